//! A request's body, streamed.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// How much of a body is read at once and how many such pieces wait for the network.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;

/// A request's body: pieces that a blocking thread reads and the connection takes.
pub(super) struct Upload {
    pieces: Option<mpsc::Receiver<io::Result<Bytes>>>,
    remaining: u64,
}

impl Upload {
    pub(super) fn empty() -> Self {
        Self { pieces: None, remaining: 0 }
    }

    /// Starts reading. When the connection ends first, the channel closes and the thread stops at its next piece.
    pub(super) fn of(length: u64, mut body: Box<dyn Read + Send>) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            let mut left = length;
            while left > 0 {
                let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
                let read = body.read_exact(&mut piece);
                left -= piece.len() as u64;
                let failed = read.is_err();
                if sender.blocking_send(read.map(|()| Bytes::from(piece))).is_err() || failed {
                    return;
                }
            }
        });
        Self { pieces: Some(pieces), remaining: length }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let Some(pieces) = self.pieces.as_mut() else { return Poll::Ready(None) };
        match std::task::ready!(pieces.poll_recv(context)) {
            Some(Ok(piece)) => {
                self.remaining = self.remaining.saturating_sub(piece.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
