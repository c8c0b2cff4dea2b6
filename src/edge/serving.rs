//! What both servers share: taking connections in within limits, and stopping without cutting anything off.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustls::{CommonState, ServerConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
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
    /// What was agreed on, where the connection is encrypted; of a proxy's connection, what the proxy said of its client's.
    pub tls: Option<PeerTls>,
}

/// What a TLS handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTls {
    /// `TLSv1.3` or `TLSv1.2`; empty where a proxy knows it.
    pub version: String,
    /// The cipher suite; empty where a proxy knows it.
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
        self.tls = Some(PeerTls::of(connection));
    }
}

impl PeerTls {
    /// What either end of a connection sees of the other.
    pub(super) fn of(connection: &CommonState) -> Self {
        Self {
            version: connection.protocol_version().and_then(|v| v.as_str()).unwrap_or_default().replace("TLSv1_", "TLSv1."),
            cipher: connection.negotiated_cipher_suite().and_then(|s| s.suite().as_str()).unwrap_or_default().to_owned(),
            certificates: tls::shown(connection.peer_certificates()),
        }
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

/// Somebody is turned away since so many are here already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// Of whom there are too many: a server, an address, a client by its certificate.
    pub who: String,
    /// How many there may be.
    pub most: usize,
    /// What there are too many of.
    pub of: Crowding,
}

/// What there are too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowding {
    /// Connections of all together.
    Connections,
    /// Connections of one address.
    OfAddress,
    /// Requests of one client.
    Requests,
}

/// Where a connection stands, and so whether it may be cut off for another when all seats are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is begun for it: it is in the handshake, in a request's head or the beginning of its body, or idle. Cut off
    /// first.
    Waiting,
    /// A request is coming in. Cut off only for a network that has fewer seats.
    Receiving,
    /// A request is whole and being worked on. Never cut off.
    Working,
}

/// Gives out seats within the limits. When they are all taken, whoever holds one without using it makes room: thousands
/// of connections that begin and never go on cost others nothing.
#[derive(Debug)]
pub(super) struct Seats {
    limits: ConnectionLimits,
    taken: Mutex<Taken>,
}

/// The seats that are taken, oldest first.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Sitter>,
}

#[derive(Debug)]
struct Sitter {
    network: IpAddr,
    standing: Standing,
    cut: Arc<Notify>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    cut: Arc<Notify>,
}

impl Seats {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network(address);
        let mut taken = self.lock();
        let own = taken.held(network);
        let victim = if own >= self.limits.per_peer {
            Some(taken.oldest(Standing::Waiting, network)?)
        } else if taken.seats.len() >= self.limits.total {
            Some(taken.idler().or_else(|| taken.hog(own))?)
        } else {
            None
        };
        if let Some(victim) = victim.and_then(|number| taken.seats.remove(&number)) {
            victim.cut.notify_one();
        }
        let (number, cut) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken.seats.insert(number, Sitter { network, standing: Standing::Waiting, cut: Arc::clone(&cut) });
        Some(Seat { seats: Arc::clone(self), number, cut })
    }

    /// Why there is no seat for an address.
    fn crowd(&self, address: IpAddr) -> Crowd {
        let who = address.to_canonical().to_string();
        let (most, of) = if self.lock().held(network(address)) >= self.limits.per_peer {
            (self.limits.per_peer, Crowding::OfAddress)
        } else {
            (self.limits.total, Crowding::Connections)
        };
        Crowd { who, most, of }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn held(&self, network: IpAddr) -> usize {
        self.seats.values().filter(|sitter| sitter.network == network).count()
    }

    fn oldest(&self, standing: Standing, network: IpAddr) -> Option<u64> {
        self.seats.iter().find(|(_, sitter)| sitter.standing == standing && sitter.network == network).map(|(number, _)| *number)
    }

    /// The network with most connections of that standing, and how many.
    fn largest(&self, standing: Standing) -> Option<(IpAddr, usize)> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for sitter in self.seats.values().filter(|sitter| sitter.standing == standing) {
            *counts.entry(sitter.network).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count)
    }

    /// The one that has waited longest, of the network that has most waiting.
    fn idler(&self) -> Option<u64> {
        self.oldest(Standing::Waiting, self.largest(Standing::Waiting)?.0)
    }

    /// The longest of the requests that are coming in, of the network that has most; only when it has clearly more than
    /// the newcomer's `own`.
    fn hog(&self, own: usize) -> Option<u64> {
        let (network, count) = self.largest(Standing::Receiving)?;
        if count > own + 1 { self.oldest(Standing::Receiving, network) } else { None }
    }
}

impl Seat {
    /// Says where the connection stands.
    pub(super) fn stand(&self, standing: Standing) {
        if let Some(sitter) = self.seats.lock().seats.get_mut(&self.number) {
            sitter.standing = standing;
        }
    }

    /// Waits until the connection has to make room for another.
    async fn cut(&self) {
        self.cut.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().seats.remove(&self.number);
    }
}

/// One customer of IPv6 has at least 64 bits of addresses.
pub(super) fn network(address: IpAddr) -> IpAddr {
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
    full: impl Fn(TcpStream, Crowd),
    connection: impl Fn(TcpStream, Peer, Arc<Seat>) -> F,
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
                    let seat = Arc::new(seat);
                    let work = connection(stream, Peer::new(address), Arc::clone(&seat));
                    open.spawn(async move {
                        tokio::select! {
                            () = work => {}
                            () = seat.cut() => tracing::debug!(%address, "a connection was cut off to make room for another"),
                        }
                    });
                    // In a flood there are more that have ended than come in between two that are taken.
                    while open.try_join_next().is_some() {}
                }
                None => full(stream, seats.crowd(address.ip())),
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

    fn seats(total: usize, per_peer: usize) -> impl Fn(&str) -> Option<Seat> {
        let seats = Seats::new(ConnectionLimits { total, per_peer });
        move |address| seats.take(address.parse().unwrap())
    }

    fn working(seat: Option<Seat>) -> Seat {
        let seat = seat.unwrap();
        seat.stand(Standing::Working);
        seat
    }

    fn is_cut(seat: &Seat) -> bool {
        !seat.seats.lock().seats.contains_key(&seat.number)
    }

    #[test]
    fn seats_are_counted_by_network_and_given_back() {
        let take = seats(3, 2);
        let (a, b) = (working(take("2001:db8::1")), working(take("2001:db8::ffff")));
        assert!(take("2001:db8::2").is_none(), "one network");
        let c = working(take("192.0.2.1"));
        assert!(take("192.0.2.2").is_none(), "full");
        let crowd = |address: &str| (a.seats.crowd(address.parse().unwrap()).of, a.seats.crowd(address.parse().unwrap()).most);
        assert_eq!([crowd("2001:db8::2"), crowd("192.0.2.2")], [(Crowding::OfAddress, 2), (Crowding::Connections, 3)]);
        drop(a);
        let d = take("::ffff:192.0.2.1").unwrap();
        assert_eq!(d.seats.lock().held("192.0.2.1".parse().unwrap()), 2);
        let all = Arc::clone(&d.seats);
        drop((b, c, d));
        assert!(all.lock().seats.is_empty());
    }

    #[test]
    fn who_waits_makes_room_the_oldest_of_the_largest_network_first() {
        let take = seats(4, 3);
        let few = take("192.0.2.1").unwrap();
        let many: Vec<Seat> = (0..3).map(|_| take("192.0.2.2").unwrap()).collect();
        let newcomer = take("192.0.2.3").unwrap();
        assert_eq!(many.iter().map(is_cut).collect::<Vec<_>>(), [true, false, false]);
        // One more of the same network replaces one of its own, not somebody else.
        let own = take("192.0.2.2").unwrap();
        assert_eq!((is_cut(&many[1]), is_cut(&few), is_cut(&newcomer), is_cut(&own)), (true, false, false, false));
    }

    #[test]
    fn a_request_under_way_makes_room_only_for_who_has_less_and_one_that_is_whole_never() {
        let take = seats(3, 3);
        let receiving: Vec<Seat> = (0..3).map(|_| take("192.0.2.1").unwrap()).collect();
        for seat in &receiving {
            seat.stand(Standing::Receiving);
        }
        assert!(take("192.0.2.1").is_none(), "its own network is full of requests");
        let newcomer = working(take("192.0.2.2"));
        assert!(is_cut(&receiving[0]) && !is_cut(&receiving[1]));
        assert!(take("192.0.2.2").is_none(), "it has as many then");
        for seat in &receiving {
            seat.stand(Standing::Working);
        }
        assert!(take("192.0.2.3").is_none());
        assert!(!is_cut(&receiving[1]) && !is_cut(&newcomer));
        // One that was cut off and says where it stands takes no seat again.
        receiving[0].stand(Standing::Waiting);
        assert!(is_cut(&receiving[0]));
    }

    #[tokio::test]
    async fn one_that_was_cut_off_before_it_looked_hears_of_it() {
        let take = seats(1, 1);
        let (first, second) = (take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap());
        first.cut().await;
        assert!(now(second.cut()).await.is_none());
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
