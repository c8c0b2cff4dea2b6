//! What lies between the socket and lettre: STARTTLS, and an eye on the final dot.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::ident::Domain;

/// Octets of a reply while lettre does not read yet.
const REPLY: usize = 8 * 1024;

/// Greeting, EHLO and STARTTLS in plaintext (RFC 3207). What comes beyond the last reply was put there by somebody else.
pub(super) async fn start_tls(mut tcp: TcpStream, hostname: &Domain) -> io::Result<TcpStream> {
    let mut received = Vec::new();
    reply(&mut tcp, &mut received, "220").await?;
    tcp.write_all(format!("EHLO {hostname}\r\n").as_bytes()).await?;
    let offers = reply(&mut tcp, &mut received, "250").await?;
    if !offers.lines().any(|line| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"))) {
        return Err(io::Error::other("the mail server does not offer it"));
    }
    tcp.write_all(b"STARTTLS\r\n").await?;
    reply(&mut tcp, &mut received, "220").await?;
    if received.is_empty() { Ok(tcp) } else { Err(io::Error::other("plaintext came after the reply")) }
}

/// Reads one reply and leaves in `received` what came after it.
async fn reply(tcp: &mut TcpStream, received: &mut Vec<u8>, code: &str) -> io::Result<String> {
    let mut start = 0;
    loop {
        while let Some(length) = received.get(start..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) {
            let last = received.get(start + 3) != Some(&b'-');
            start += length + 1;
            if last {
                let text = String::from_utf8_lossy(received.get(..start).unwrap_or_default()).into_owned();
                received.drain(..start);
                let reason = || text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect::<String>();
                return if text.starts_with(code) { Ok(text) } else { Err(io::Error::other(reason())) };
            }
        }
        if received.len() > REPLY {
            return Err(io::Error::other("the reply is too long"));
        }
        let mut piece = [0; 1024];
        let count = tcp.read(&mut piece).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

/// A stream that notices when the final dot of a mail goes out. Dots within are stuffed, so `CRLF.CRLF` is that alone.
pub(super) struct Watched<S> {
    stream: S,
    peer: SocketAddr,
    ended: Arc<AtomicBool>,
    /// The last octets that were written.
    tail: Vec<u8>,
    /// What is read before the stream itself.
    first: &'static [u8],
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, peer: SocketAddr, ended: &Arc<AtomicBool>, first: &'static [u8]) -> Self {
        Self { stream, peer, ended: Arc::clone(ended), tail: Vec::new(), first }
    }
}

const END: &[u8] = b"\r\n.\r\n";

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let (now, later) = self.first.split_at(self.first.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.first = later;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, octets))?;
        let written = octets.get(..count).unwrap_or_default();
        let recent = written.get(written.len().saturating_sub(END.len())..).unwrap_or_default();
        self.tail.extend_from_slice(recent);
        let old = self.tail.len().saturating_sub(END.len());
        self.tail.drain(..old);
        if self.tail == END {
            self.ended.store(true, Ordering::SeqCst);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Watched<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// lettre prints connections; nothing of a stream is worth printing but whose it is.
impl<S> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({})", self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_final_dot_is_seen_however_it_is_written() {
        let ended = Arc::new(AtomicBool::new(false));
        let (near, _far) = tokio::io::duplex(1024);
        let mut stream = Watched::new(near, "127.0.0.1:25".parse().unwrap(), &ended, b"");
        for piece in [&b"a\r\n..\r\nb.\r\n"[..], b"\r", b"\n.\r"] {
            stream.write_all(piece).await.unwrap();
            assert!(!ended.load(Ordering::SeqCst));
        }
        stream.write_all(b"\n").await.unwrap();
        assert!(ended.load(Ordering::SeqCst));
    }
}
