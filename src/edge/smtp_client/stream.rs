//! What lies between the socket and lettre: the hello that was said already, and an eye on the final dot.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that notices when the final dot of a mail goes out. Dots within are stuffed, so `CRLF.CRLF` is that alone.
pub(super) struct Watched<S> {
    stream: S,
    peer: SocketAddr,
    ended: Arc<AtomicBool>,
    /// The last octets that were written.
    tail: Vec<u8>,
    /// What is read before the stream itself.
    first: Vec<u8>,
    /// What is not written: up to here, the first line.
    said: Said,
}

/// Whether lettre has said its hello, which the server has heard already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Hello,
}

impl<S> Watched<S> {
    /// A stream on which `replayed`, greeting and answer to a hello, is read first, and the first line is not written.
    pub(super) fn new(stream: S, peer: SocketAddr, ended: &Arc<AtomicBool>, replayed: Vec<u8>) -> Self {
        Self { stream, peer, ended: Arc::clone(ended), tail: Vec::new(), first: replayed, said: Said::Nothing }
    }
}

const END: &[u8] = b"\r\n.\r\n";

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.first.len().min(buffer.remaining());
        let now: Vec<u8> = self.first.drain(..count).collect();
        buffer.put_slice(&now);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if self.said == Said::Nothing {
            let line = octets.iter().position(|octet| *octet == b'\n');
            self.said = if line.is_some() { Said::Hello } else { Said::Nothing };
            return Poll::Ready(Ok(line.map_or(octets.len(), |end| end + 1)));
        }
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn the_final_dot_is_seen_however_it_is_written_and_the_hello_is_not_said_twice() {
        let ended = Arc::new(AtomicBool::new(false));
        let (near, mut far) = tokio::io::duplex(1024);
        let mut stream = Watched::new(near, "127.0.0.1:25".parse().unwrap(), &ended, b"220 x\r\n250 y\r\n".to_vec());
        let mut replayed = [0; 14];
        stream.read_exact(&mut replayed).await.unwrap();
        assert_eq!(&replayed, b"220 x\r\n250 y\r\n");
        for piece in [&b"EHLO "[..], b"gw\r\nDATA", b"\r\na\r\n..\r\nb.\r\n", b"\r", b"\n.\r"] {
            stream.write_all(piece).await.unwrap();
            assert!(!ended.load(Ordering::SeqCst));
        }
        stream.write_all(b"\n").await.unwrap();
        assert!(ended.load(Ordering::SeqCst));
        drop(stream);
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"DATA\r\na\r\n..\r\nb.\r\n\r\n.\r\n");
    }
}
