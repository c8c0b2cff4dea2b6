//! One connection: tagged commands and the responses to them. Each read has its time, each command its octets.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::ImapError;
use crate::mail::imap::frame::{FrameError, FrameLimits, Framer};
use crate::mail::imap::refusal::Refusal;
use crate::mail::imap::reply::{Reply, Said, Status};

/// What is read at once.
const PIECE: usize = 64 << 10;
/// Octets that a server may send between two commands, besides a mail that was asked for.
const FLOOD: usize = 32 << 20;
/// Time for one command with all that belongs to it: a mail of 150 MB over a slow line.
const COMMAND: Duration = Duration::from_mins(30);

/// A stream of any kind.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection.
pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    framer: Framer,
    piece: Vec<u8>,
    tag: u32,
    /// How long the server may be silent.
    silence: Duration,
    /// Octets that were read since the last command.
    read: usize,
    /// Octets that may be.
    may_read: usize,
    ended: Option<Refusal>,
    /// What the server can do, in upper case; none where that was not asked.
    pub(super) capabilities: Option<Vec<String>>,
    /// Whether mails have come into the selected folder since this was last made false.
    pub(super) news: bool,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Duplex>, silence: Duration) -> Self {
        Self {
            stream,
            framer: Framer::new(FrameLimits::default()),
            piece: vec![0; PIECE],
            tag: 0,
            silence,
            read: 0,
            may_read: FLOOD,
            ended: None,
            capabilities: None,
            news: false,
        }
    }

    /// The stream, for a TLS handshake on it. What the server sent ahead of that was put there by somebody else.
    pub(super) fn into_stream(self) -> Result<Box<dyn Duplex>, ImapError> {
        if self.framer.is_empty() { Ok(self.stream) } else { Err(ImapError::Unsuited("plaintext came after the answer to STARTTLS".into())) }
    }

    pub(super) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().flatten().any(|own| own == capability)
    }

    /// Waits for the greeting.
    pub(super) async fn greeted(&mut self) -> Result<Said, ImapError> {
        match self.reply().await? {
            Reply::Said(said) if matches!(said.status, Status::Ok | Status::Preauth) => Ok(said),
            Reply::Said(said) => Err(ImapError::Ended(Refusal::of(&said))),
            _ => Err(ImapError::Unsuited("the greeting is none of an IMAP server".into())),
        }
    }

    /// Runs a command to its end; `each` gets what comes before that. The error of a refusal names the command.
    pub(super) async fn command(&mut self, name: &'static str, line: &str, mut each: impl FnMut(Reply)) -> Result<Said, ImapError> {
        let tag = self.begin(line).await?;
        self.finish(name, &tag, &mut each).await
    }

    /// Sends a command line; its tag.
    pub(super) async fn begin(&mut self, line: &str) -> Result<String, ImapError> {
        self.tag = self.tag.wrapping_add(1);
        let tag = format!("b{}", self.tag);
        (self.read, self.may_read) = (0, self.may_read.max(FLOOD));
        let whole = Zeroizing::new(format!("{tag} {line}\r\n"));
        self.write(whole.as_bytes()).await?;
        Ok(tag)
    }

    /// Reads to the end of a command.
    pub(super) async fn finish(&mut self, name: &'static str, tag: &str, each: &mut impl FnMut(Reply)) -> Result<Said, ImapError> {
        let all = async {
            loop {
                match self.reply().await? {
                    Reply::Done(done, said) if done == tag => return done_with(name, said),
                    other => each(other),
                }
            }
        };
        timeout(COMMAND, all).await.unwrap_or_else(|_| Err(ImapError::Lost(format!("{name} took too long"))))
    }

    /// Waits until the server says "go on"; the command's end, when that comes instead.
    pub(super) async fn go_on(&mut self, name: &'static str, tag: &str) -> Result<Option<Said>, ImapError> {
        loop {
            match self.reply().await? {
                Reply::Continue(_) => return Ok(None),
                Reply::Done(done, said) if done == tag => return done_with(name, said).map(Some),
                _ => {}
            }
        }
    }

    /// Allows literals of this size until [`Self::allow_no_more`].
    pub(super) fn allow(&mut self, literal: usize) {
        let usual = FrameLimits::default();
        self.framer.limit(FrameLimits { literal, response: usual.response.saturating_add(literal), ..usual });
        self.may_read = FLOOD.saturating_add(literal);
    }

    /// Back to the usual limits.
    pub(super) fn allow_no_more(&mut self) {
        self.framer.limit(FrameLimits::default());
        self.may_read = FLOOD;
    }

    /// Writes octets; the server must take them in time.
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), ImapError> {
        for piece in octets.chunks(PIECE) {
            within(self.silence, self.stream.write_all(piece)).await?;
        }
        within(self.silence, self.stream.flush()).await
    }

    /// The next response.
    pub(super) async fn reply(&mut self) -> Result<Reply, ImapError> {
        let silence = self.silence;
        loop {
            if let Some(reply) = self.ready()? {
                return Ok(reply);
            }
            match timeout(silence, self.receive()).await {
                Ok(received) => received?,
                Err(_) => return Err(ImapError::Lost(format!("no answer in {} s", silence.as_secs_f32()))),
            }
        }
    }

    /// The next response, however long it takes. Dropped while it waits, it has lost nothing.
    pub(super) async fn next(&mut self) -> Result<Reply, ImapError> {
        loop {
            if let Some(reply) = self.ready()? {
                return Ok(reply);
            }
            self.receive().await?;
        }
    }

    /// A response that was received whole.
    fn ready(&mut self) -> Result<Option<Reply>, ImapError> {
        let frame = self.framer.cut_next().map_err(|error| match error {
            FrameError::Literal { octets, .. } if self.may_read > FLOOD => ImapError::TooLarge { octets },
            _ => ImapError::Unsuited(error.to_string()),
        })?;
        Ok(frame.map(|frame| self.note(Reply::read(frame))))
    }

    async fn receive(&mut self) -> Result<(), ImapError> {
        if self.read > self.may_read {
            return Err(ImapError::Unsuited("the server sends without end".into()));
        }
        let count = match self.stream.read(&mut self.piece).await {
            Ok(0) => return Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) => return Err(self.lost(&error)),
        };
        self.read += count;
        self.framer.push(self.piece.get(..count).unwrap_or_default());
        Ok(())
    }

    fn lost(&mut self, error: &io::Error) -> ImapError {
        match self.ended.take() {
            Some(refusal) => ImapError::Ended(refusal),
            None if error.kind() == io::ErrorKind::UnexpectedEof => ImapError::Lost("the server closed it".into()),
            None => ImapError::Lost(error.to_string()),
        }
    }

    fn note(&mut self, reply: Reply) -> Reply {
        match &reply {
            Reply::Capability(words) => self.capabilities = Some(words.clone()),
            Reply::Said(said) | Reply::Done(_, said) => {
                if let Some(code) = said.code.as_ref().filter(|code| code.name == "CAPABILITY") {
                    self.capabilities = Some(code.arguments.split_ascii_whitespace().map(str::to_ascii_uppercase).collect());
                }
                if said.status == Status::Bye {
                    self.ended = Some(Refusal::of(said));
                }
            }
            Reply::Exists(_) => self.news = true,
            _ => {}
        }
        reply
    }
}

fn done_with(command: &'static str, said: Said) -> Result<Said, ImapError> {
    if said.status == Status::Ok { Ok(said) } else { Err(ImapError::Refused { command, refusal: Refusal::of(&said) }) }
}

async fn within(limit: Duration, work: impl Future<Output = io::Result<()>>) -> Result<(), ImapError> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(|error| ImapError::Lost(error.to_string())),
        Err(_) => Err(ImapError::Lost("the server takes nothing more".into())),
    }
}
