//! The SMTP server: sockets, TLS and time around [`Session`].
//!
//! The server decides nothing about mail: it asks a [`Reception`], and it streams the mail into the [`DataSink`] that
//! the reception gives it. A mail is acknowledged when the sink says that it is durable, never before.
//! Memory of a connection is bounded by what is read at once and by [`PIECE`].

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::serving::{self, ConnectionLimits, Peer, Stop, now};
use crate::ident::Domain;
use crate::mail::session::{self, Action, Envelope, Expects, Question, Recipient, Reply, Security, Session, timeout as rfc};
use crate::port::Pending;

/// Octets that are gathered before the sink writes them, on a thread that may block.
const PIECE: usize = 64 * 1024;
/// Octets read at once.
const READ: usize = 16 * 1024;
/// How long the other side may take to read our last words and close.
const LINGER: Duration = Duration::from_secs(10);

/// TLS of an SMTP server.
#[derive(Debug, Clone)]
pub enum SmtpTls {
    /// None.
    Plain,
    /// STARTTLS for those who want it.
    Offered(Arc<ServerConfig>),
    /// No mail before STARTTLS.
    Required(Arc<ServerConfig>),
    /// TLS from the first octet (RFC 8314 3.3).
    Implicit(Arc<ServerConfig>),
}

/// The server's options.
#[derive(Debug, Clone)]
pub struct SmtpServerOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its name in the greeting.
    pub hostname: Domain,
    /// TLS.
    pub tls: SmtpTls,
    /// How many connections.
    pub connections: ConnectionLimits,
    /// Octets of one mail.
    pub max_message: u64,
    /// Recipients of one mail.
    pub max_recipients: usize,
    /// Faulty commands on one connection.
    pub max_errors: u32,
    /// For one whole command.
    pub command_timeout: Duration,
    /// For the next piece of a mail.
    pub data_block_timeout: Duration,
    /// For a whole mail.
    pub data_timeout: Duration,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// How long mails that are coming in may take after the server was told to stop.
    pub drain: Duration,
}

impl SmtpServerOptions {
    /// Options with the RFC's timeouts, 100 recipients, 64 MiB and no TLS.
    #[must_use]
    pub fn new(listen: SocketAddr, hostname: Domain) -> Self {
        Self {
            listen,
            hostname,
            tls: SmtpTls::Plain,
            connections: ConnectionLimits::default(),
            max_message: 64 * 1024 * 1024,
            max_recipients: 100,
            max_errors: 20,
            command_timeout: rfc::COMMAND,
            data_block_timeout: rfc::DATA_BLOCK,
            data_timeout: rfc::DATA,
            handshake_timeout: rfc::HANDSHAKE,
            drain: Duration::from_secs(30),
        }
    }
}

/// Who decides about mail. Replies that refuse are 4xx or 5xx; a 421 ends the connection.
pub trait Reception: Send + Sync + 'static {
    /// May this client speak at all? Asked before the greeting, so without its certificate unless TLS came first.
    ///
    /// # Errors
    /// The reply that it gets instead of a greeting.
    fn client(&self, peer: &Peer) -> Result<(), Reply>;

    /// May this client send in this name? The envelope has no recipients yet.
    fn sender<'a>(&'a self, peer: &'a Peer, envelope: &'a Envelope) -> Pending<'a, Result<(), Reply>>;

    /// Is the mail taken for this recipient? The envelope holds those that were taken before.
    fn recipient<'a>(&'a self, peer: &'a Peer, envelope: &'a Envelope, recipient: &'a Recipient) -> Pending<'a, Result<(), Reply>>;

    /// Is there room for this mail, and where?
    fn data<'a>(&'a self, peer: &'a Peer, envelope: &'a Envelope) -> Pending<'a, Result<Box<dyn DataSink>, Reply>>;

    /// The client knows that this transaction was accepted: it went on after our 250 (RFC 1047). Called at most once
    /// for each, and never for a client that went away or that had sent its next command along with the mail.
    fn confirmed<'a>(&'a self, transaction: &'a str) -> Pending<'a, ()>;
}

/// Where one mail goes. Dropped without [`Self::finish`] it has not been sent and leaves nothing behind.
pub trait DataSink: Send {
    /// Keeps a piece. Runs on a thread that may block.
    ///
    /// # Errors
    /// Any; the mail is then refused, with 452 4.3.1 when the storage is full and 451 4.3.0 otherwise.
    fn write(&mut self, octets: &[u8]) -> io::Result<()>;

    /// The mail is complete. When this gives [`Accepted`] the mail is durable with its envelope; an error is the refusal.
    fn finish(self: Box<Self>) -> Pending<'static, Result<Accepted, Reply>>;
}

/// A mail is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The reception's own name of the transaction, given back by [`Reception::confirmed`] and told to the client.
    pub transaction: String,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SmtpServerError {
    /// The address is taken or none of ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A server that listens.
#[derive(Debug)]
pub struct SmtpServer {
    listener: TcpListener,
    address: SocketAddr,
    options: SmtpServerOptions,
}

impl SmtpServer {
    /// Begins to listen; connections wait until [`Self::run`].
    ///
    /// # Errors
    /// [`SmtpServerError::Listen`].
    pub async fn bind(options: SmtpServerOptions) -> Result<Self, SmtpServerError> {
        let failed = |source| SmtpServerError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, options })
    }

    /// Where it listens, with the port that the system chose when the options have port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop; then idle clients get 421 and mails that are coming in are finished.
    pub async fn run(self, reception: Arc<dyn Reception>, stop: Stop) {
        let options = Arc::new(self.options);
        let connection = |stream, peer| {
            let (options, reception, stop) = (Arc::clone(&options), Arc::clone(&reception), stop.clone());
            async move {
                if let Err(error) = connection(stream, peer, &options, reception.as_ref(), stop).await {
                    tracing::debug!(%error, "an SMTP connection broke");
                }
            }
        };
        serving::serve(self.listener, options.connections, stop.clone(), options.drain, turn_away, connection).await;
    }
}

/// Says 421 without waiting: who is turned away may cost nothing.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        drop(io::Write::write(&mut stream, Reply::too_many_connections().to_string().as_bytes()));
    }
}

async fn connection(stream: TcpStream, mut peer: Peer, options: &SmtpServerOptions, reception: &dyn Reception, stop: Stop) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (security, acceptor) = match &options.tls {
        SmtpTls::Plain => (Security::Plain, None),
        SmtpTls::Offered(config) => (Security::Offered, Some(Arc::clone(config))),
        SmtpTls::Required(config) => (Security::Required, Some(Arc::clone(config))),
        SmtpTls::Implicit(config) => (Security::Secured, Some(Arc::clone(config))),
    };
    let acceptor = acceptor.map(TlsAcceptor::from);
    let session = Session::new(session::Options {
        hostname: options.hostname.clone(),
        security,
        max_message: options.max_message,
        max_recipients: options.max_recipients,
        max_errors: options.max_errors,
    });
    let mut stream = stream;
    let mut conversation = Conversation::new(session, options, reception, stop);
    if security != Security::Secured && matches!(conversation.hold(&mut stream, &peer).await?, Ended::Closed) {
        return Ok(());
    }
    let Some(acceptor) = acceptor else { return Ok(()) };
    let mut stream = timeout(options.handshake_timeout, acceptor.accept(stream)).await.map_err(io::Error::from)??;
    peer.secured(stream.get_ref().1);
    conversation.session.secured();
    conversation.hold(&mut stream, &peer).await?;
    Ok(())
}

/// How a conversation ended.
enum Ended {
    /// The client may begin the handshake.
    StartTls,
    /// Nothing more comes or goes.
    Closed,
}

/// One connection's state beside its socket.
struct Conversation<'a> {
    session: Session,
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
    fn new(session: Session, options: &'a SmtpServerOptions, reception: &'a dyn Reception, stop: Stop) -> Self {
        Self { session, options, reception, stop, out: Vec::new(), mail: None, unconfirmed: None, greeted: false }
    }

    /// Talks until the handshake or the end.
    async fn hold<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S, peer: &Peer) -> io::Result<Ended> {
        if !std::mem::replace(&mut self.greeted, true)
            && let Err(reply) = self.reception.client(peer)
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
                    Action::Ask(question) => self.ask(stream, peer, question).await?,
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
    async fn ask<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, peer: &Peer, question: Question) -> io::Result<()> {
        let Some(envelope) = self.session.envelope().cloned() else {
            self.session.answer(Err(Reply::local_error()));
            return Ok(());
        };
        let granted = |granted: Result<(), Reply>| granted.map(|()| String::new());
        let answer = match question {
            Question::Sender => granted(self.waiting(stream, self.reception.sender(peer, &envelope)).await?),
            Question::Recipient(recipient) => granted(self.waiting(stream, self.reception.recipient(peer, &envelope, &recipient)).await?),
            Question::Data => match self.waiting(stream, self.reception.data(peer, &envelope)).await? {
                Ok(sink) => {
                    self.mail = Some(Mail { sink: Some(sink), piece: Vec::new() });
                    Ok(String::new())
                }
                Err(reply) => Err(reply),
            },
            // Answered where it is asked.
            Question::Message => Err(Reply::local_error()),
        };
        self.session.answer(answer);
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
