//! What both servers share: taking connections in within limits, and stopping without cutting anything off.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustls::ServerConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::tls;
use crate::crypto::Certificate;

/// Asks everything that holds its [`Stop`] to stop; dropping it asks too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Knows whether to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and its stop.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until it is time to stop.
    pub async fn stopped(&mut self) {
        // An error means that the stopper is gone, which asks too.
        drop(self.0.wait_for(|stop| *stop).await);
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address; an IPv4 address is never written as IPv6.
    pub address: SocketAddr,
    /// What was agreed on, where the connection is encrypted.
    pub tls: Option<PeerTls>,
}

/// What a TLS handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTls {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// The client's certificate, verified by the configured CAs, then what it sent along; empty when it showed none.
    pub certificates: Vec<Certificate>,
}

impl Peer {
    /// A peer at this address, unencrypted.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address: SocketAddr::new(address.ip().to_canonical(), address.port()), tls: None }
    }

    /// The certificate that it has shown and that was verified.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.tls.as_ref()?.certificates.first()
    }

    pub(super) fn secured(&mut self, connection: &ServerConnection) {
        self.tls = Some(PeerTls {
            version: connection.protocol_version().and_then(|v| v.as_str()).unwrap_or_default().replace("TLSv1_", "TLSv1."),
            cipher: connection.negotiated_cipher_suite().and_then(|s| s.suite().as_str()).unwrap_or_default().to_owned(),
            certificates: tls::shown(connection.peer_certificates()),
        });
    }
}

/// How many connections a server has at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// All together. Default 500.
    pub total: usize,
    /// From one IPv4 address or one IPv6 network of 64 bits. Default 100: a mail server is one address.
    pub per_peer: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 500, per_peer: 100 }
    }
}

/// Gives out seats within the limits.
#[derive(Debug)]
pub(super) struct Seats {
    limits: ConnectionLimits,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    network: IpAddr,
}

impl Seats {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.limits.total || taken.get(&network).is_some_and(|count| *count >= self.limits.per_peer) {
            return None;
        }
        *taken.entry(network).or_default() += 1;
        Some(Seat { seats: Arc::clone(self), network })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// One customer of IPv6 has at least 64 bits of addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Takes connections until told to stop, then gives those that are open `drain` to end and cuts off the rest.
pub(super) async fn serve<F>(
    listener: TcpListener,
    limits: ConnectionLimits,
    mut stop: Stop,
    drain: Duration,
    full: impl Fn(TcpStream),
    connection: impl Fn(TcpStream, Peer) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let seats = Seats::new(limits);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            () = stop.stopped() => break,
        };
        match accepted {
            Ok((stream, address)) => match seats.take(address.ip()) {
                Some(seat) => {
                    let work = connection(stream, Peer::new(address));
                    open.spawn(async move {
                        work.await;
                        drop(seat);
                    });
                }
                None => full(stream),
            },
            // Out of file descriptors, most likely; some will come back.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let ended = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!(connections = open.len(), "cut off at the end of the drain time");
        open.shutdown().await;
    }
}

/// What the future gives without waiting, if it does.
pub(super) async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_by_network_and_given_back() {
        let seats = Seats::new(ConnectionLimits { total: 3, per_peer: 2 });
        let take = |address: &str| seats.take(address.parse().unwrap());
        let (a, b) = (take("2001:db8::1").unwrap(), take("2001:db8::ffff").unwrap());
        assert!(take("2001:db8::2").is_none(), "one network");
        let c = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.2").is_none(), "full");
        drop(a);
        assert!(take("::ffff:192.0.2.1").is_some());
        drop((b, c));
        assert!(seats.taken.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_stop_is_heard_by_all_and_also_when_its_stopper_is_gone() {
        let (stopper, mut stop) = super::stop();
        assert!(!stop.is_stopped());
        let mut other = stop.clone();
        stopper.stop();
        stop.stopped().await;
        other.stopped().await;
        assert!(stop.is_stopped());
        let (stopper, mut stop) = super::stop();
        drop(stopper);
        stop.stopped().await;
        assert!(stop.is_stopped());
    }
}
