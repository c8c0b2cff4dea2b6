//! One connection: the session's actions carried out, with deadlines, until the handshake or the end.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Accepted, Client, DataSink, Reception, SmtpServerOptions};
use crate::edge::serving::{Stop, now};
use crate::mail::session::{Action, Credentials, Expects, Question, Reply, Session};
use crate::port::Pending;

/// Octets that are gathered before the sink writes them, on a thread that may block.
const PIECE: usize = 64 * 1024;
/// Octets read at once.
const READ: usize = 16 * 1024;
/// How long the other side may take to read our last words and close.
const LINGER: Duration = Duration::from_secs(10);

/// How a conversation ended.
pub(super) enum Ended {
    /// The client may begin the handshake.
    StartTls,
    /// Nothing more comes or goes.
    Closed,
}

/// One connection's state beside its socket.
pub(super) struct Conversation<'a> {
    pub(super) session: Session,
    options: &'a SmtpServerOptions,
    reception: &'a dyn Reception,
    stop: Stop,
    /// Replies that are not sent yet.
    out: Vec<u8>,
    mail: Option<Mail>,
    /// Accepted and not yet known to the client.
    unconfirmed: Option<String>,
    greeted: bool,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(session: Session, options: &'a SmtpServerOptions, reception: &'a dyn Reception, stop: Stop) -> Self {
        Self { session, options, reception, stop, out: Vec::new(), mail: None, unconfirmed: None, greeted: false }
    }

    /// Talks until the handshake or the end.
    pub(super) async fn hold<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S, client: &mut Client) -> io::Result<Ended> {
        if !std::mem::replace(&mut self.greeted, true)
            && let Err(reply) = self.reception.client(client)
        {
            self.out.extend_from_slice(reply.to_string().as_bytes());
            return self.close(stream).await;
        }
        let mut buffer = vec![0; READ];
        let mut deadline = Instant::now() + self.options.command_timeout;
        let mut mail_deadline = None;
        let mut input_ended = false;
        loop {
            while let Some(action) = self.session.next() {
                // Progress: only a client that brings none runs into the deadline.
                deadline = Instant::now() + self.patience();
                match action {
                    Action::Reply(reply) => self.out.extend_from_slice(reply.to_string().as_bytes()),
                    Action::Ask(Question::Message) => {
                        let answer = self.finish(stream).await?;
                        // What has come by now was sent before our 250, and so confirms nothing. Twice is enough for
                        // the commands of one more mail and not enough to fill memory.
                        for _ in 0..2 {
                            match now(stream.read(&mut buffer)).await {
                                Some(Ok(count)) if count > 0 => self.session.input(buffer.get(..count).unwrap_or_default()),
                                Some(_) => input_ended = true,
                                None => break,
                            }
                        }
                        self.session.answer(answer);
                    }
                    Action::Ask(Question::Login(credentials)) => self.log_in(stream, client, &credentials).await?,
                    Action::Ask(question) => self.ask(stream, client, question).await?,
                    Action::Data(piece) => {
                        if let Some(mail) = &mut self.mail
                            && let Err(reply) = mail.write(&piece).await
                        {
                            self.session.refuse_data(reply);
                        }
                    }
                    Action::Discard => self.mail = None,
                    Action::Confirmed => {
                        if let Some(transaction) = self.unconfirmed.take() {
                            self.reception.confirmed(&transaction).await;
                        }
                    }
                    Action::StartTls => {
                        self.flush(stream).await?;
                        return Ok(Ended::StartTls);
                    }
                    Action::Close => return self.close(stream).await,
                }
            }
            self.flush(stream).await?;
            if input_ended {
                return self.close(stream).await;
            }
            let expects = self.session.expects();
            mail_deadline = match expects {
                Expects::Command => None,
                Expects::Data => mail_deadline.or(Some(Instant::now() + self.options.data_timeout)),
            };
            let until = mail_deadline.map_or(deadline, |mail: Instant| mail.min(deadline));
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => self.session.end(Reply::timed_out()),
                () = self.stop.stopped(), if expects == Expects::Command => self.session.end(Reply::shutting_down()),
                read = stream.read(&mut buffer) => match read? {
                    0 => input_ended = true,
                    count => self.session.input(buffer.get(..count).unwrap_or_default()),
                },
            }
        }
    }

    fn patience(&self) -> Duration {
        match self.session.expects() {
            Expects::Command => self.options.command_timeout,
            Expects::Data => self.options.data_block_timeout,
        }
    }

    /// Has a question answered; when that takes time, the replies before it are sent first.
    async fn ask<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, client: &Client, question: Question) -> io::Result<()> {
        let Some(envelope) = self.session.envelope().cloned() else {
            self.session.answer(Err(Reply::local_error()));
            return Ok(());
        };
        let granted = |granted: Result<(), Reply>| granted.map(|()| String::new());
        let answer = match question {
            Question::Sender => granted(self.waiting(stream, self.reception.sender(client, &envelope)).await?),
            Question::Recipient(recipient) => granted(self.waiting(stream, self.reception.recipient(client, &envelope, &recipient)).await?),
            Question::Data => match self.waiting(stream, self.reception.data(client, &envelope)).await? {
                Ok(sink) => {
                    self.mail = Some(Mail { sink: Some(sink), piece: Vec::new() });
                    Ok(String::new())
                }
                Err(reply) => Err(reply),
            },
            // Answered where they are asked.
            Question::Message | Question::Login(_) => Err(Reply::local_error()),
        };
        self.session.answer(answer);
        Ok(())
    }

    async fn log_in<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, client: &mut Client, credentials: &Credentials) -> io::Result<()> {
        let answer = self.waiting(stream, self.reception.login(client, credentials)).await?;
        match answer {
            Ok(name) => {
                client.login = Some(name);
                self.session.answer(Ok(String::new()));
            }
            Err(reply) => {
                // Guessing takes time. The client's other connections wait just as long.
                tokio::time::sleep(self.options.login_delay).await;
                self.session.answer(Err(reply));
            }
        }
        Ok(())
    }

    async fn finish<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Result<String, Reply>> {
        let Some(mail) = self.mail.take() else { return Ok(Err(Reply::local_error())) };
        let finished = self.waiting(stream, Box::pin(mail.finish())).await?;
        Ok(finished.map(|accepted| {
            self.unconfirmed = Some(accepted.transaction.clone());
            accepted.transaction
        }))
    }

    async fn waiting<S: AsyncWrite + Unpin, T>(&mut self, stream: &mut S, work: Pending<'_, T>) -> io::Result<T> {
        let mut work = pin!(work);
        if let Some(output) = now(work.as_mut()).await {
            return Ok(output);
        }
        // A client that broke off does not stop the work: whether the mail is ours must not hang on it.
        let flushed = self.flush(stream).await;
        let output = work.await;
        flushed.map(|()| output)
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let until = Instant::now() + self.options.command_timeout;
        timeout_at(until, stream.write_all(&self.out)).await??;
        timeout_at(until, stream.flush()).await??;
        self.out.clear();
        Ok(())
    }

    /// Says the last words and waits until the client has read them: closing with unread input resets the connection,
    /// and the client would never see why.
    async fn close<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Ended> {
        self.mail = None;
        self.flush(stream).await?;
        let mut sink = vec![0; READ];
        let leave = async {
            stream.shutdown().await?;
            while stream.read(&mut sink).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        drop(timeout(LINGER, leave).await);
        Ok(Ended::Closed)
    }
}

/// A mail that is coming in.
struct Mail {
    sink: Option<Box<dyn DataSink>>,
    piece: Vec<u8>,
}

impl Mail {
    async fn write(&mut self, octets: &[u8]) -> Result<(), Reply> {
        self.piece.extend_from_slice(octets);
        if self.piece.len() >= PIECE { self.spill().await } else { Ok(()) }
    }

    async fn spill(&mut self) -> Result<(), Reply> {
        let Some(mut sink) = self.sink.take() else { return Err(Reply::local_error()) };
        let piece = std::mem::take(&mut self.piece);
        let written = tokio::task::spawn_blocking(move || {
            let written = sink.write(&piece);
            (sink, written)
        });
        match written.await {
            Ok((sink, Ok(()))) => {
                self.sink = Some(sink);
                Ok(())
            }
            Ok((_, Err(error))) => {
                tracing::error!(%error, "a mail cannot be kept");
                Err(unkept(&error))
            }
            Err(_) => Err(Reply::local_error()),
        }
    }

    async fn finish(mut self) -> Result<Accepted, Reply> {
        if !self.piece.is_empty() {
            self.spill().await?;
        }
        match self.sink {
            Some(sink) => sink.finish().await,
            None => Err(Reply::local_error()),
        }
    }
}

fn unkept(error: &io::Error) -> Reply {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reply::new(452, (3, 1), "No space left, try again later"),
        _ => Reply::local_error(),
    }
}
