//! Listening on a connection of ours inside its TLS, for the demo and for whoever must show a peer what was sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Hears what goes over connections. What an access point sends is sealed twice; answers of an SMP are public.
pub trait Tap: Send + Sync + std::fmt::Debug {
    /// We sent these octets on this connection.
    fn sent(&self, connection: u64, octets: &[u8]);
    /// We got these octets on this connection.
    fn heard(&self, connection: u64, octets: &[u8]);
}

/// A stream with or without a tap.
pub(super) struct Tapped<S> {
    inner: S,
    tap: Option<(u64, Arc<dyn Tap>)>,
}

impl<S> Tapped<S> {
    pub(super) fn new(inner: S, tap: Option<&Arc<dyn Tap>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { inner, tap: tap.map(|tap| (NEXT.fetch_add(1, Ordering::Relaxed), Arc::clone(tap))) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if let (Poll::Ready(Ok(())), Some((connection, tap))) = (&polled, &self.tap) {
            tap.heard(*connection, buffer.filled().get(before..).unwrap_or_default());
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, octets);
        if let (Poll::Ready(Ok(written)), Some((connection, tap))) = (&polled, &self.tap) {
            tap.sent(*connection, octets.get(..*written).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
