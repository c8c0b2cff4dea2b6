//! The SMTP server: sockets, TLS and time around [`Session`].
//!
//! The server decides nothing about mail: it asks a [`Reception`], and it streams the mail into the [`DataSink`] that
//! the reception gives it. A mail is acknowledged when the sink says that it is durable, never before.
//! Memory of a connection is bounded by what is read at once and by what a sink gets at once.

mod conversation;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conversation::{Conversation, Ended};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::serving::{self, ConnectionLimits, Crowd, Peer, Seat, Standing, Stop};
use crate::ident::Domain;
use crate::mail::session::{self, Credentials, Envelope, Mechanism, OnwardTls, Recipient, Reply, Security, Session, timeout as rfc};
use crate::port::Pending;

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

/// Faulty commands on one connection, where nothing else is said.
pub const MAX_ERRORS: u32 = 20;

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
    /// Mails on one connection.
    pub max_mails: u32,
    /// Faulty commands on one connection.
    pub max_errors: u32,
    /// Whether REQUIRETLS can be kept.
    pub onward: OnwardTls,
    /// How long a failed login waits for its answer.
    pub login_delay: Duration,
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
            max_mails: 1000,
            max_errors: MAX_ERRORS,
            onward: OnwardTls::Uncertain,
            login_delay: Duration::from_secs(3),
            command_timeout: rfc::COMMAND,
            data_block_timeout: rfc::DATA_BLOCK,
            data_timeout: rfc::DATA,
            handshake_timeout: rfc::HANDSHAKE,
            drain: Duration::from_secs(30),
        }
    }
}

/// The other end of a connection, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address and what it showed in the handshake.
    pub peer: Peer,
    /// As whom it has logged in (AUTH).
    pub login: Option<String>,
}

/// Who decides about mail. Replies that refuse are 4xx or 5xx; a 421 ends the connection.
pub trait Reception: Send + Sync + 'static {
    /// May this client speak at all? Asked before the greeting, so without its certificate unless TLS came first.
    ///
    /// # Errors
    /// The reply that it gets instead of a greeting.
    fn client(&self, client: &Client) -> Result<(), Reply>;

    /// How it may log in. Asked once it has shown its certificate.
    fn mechanisms(&self, client: &Client) -> Vec<Mechanism> {
        let _ = client;
        Vec::new()
    }

    /// Is it who it says it is? The name that [`Client::login`] has from then on, or a refusal that tells nothing of which
    /// part was wrong.
    fn login<'a>(&'a self, client: &'a Client, credentials: &'a Credentials) -> Pending<'a, Result<String, Reply>> {
        let _ = (client, credentials);
        Box::pin(async { Err(Reply::login_failed()) })
    }

    /// May this client send in this name? The envelope has no recipients yet.
    fn sender<'a>(&'a self, client: &'a Client, envelope: &'a Envelope) -> Pending<'a, Result<(), Reply>>;

    /// Is the mail taken for this recipient? The envelope holds those that were taken before.
    fn recipient<'a>(&'a self, client: &'a Client, envelope: &'a Envelope, recipient: &'a Recipient) -> Pending<'a, Result<(), Reply>>;

    /// Is there room for this mail, and where?
    fn data<'a>(&'a self, client: &'a Client, envelope: &'a Envelope) -> Pending<'a, Result<Box<dyn DataSink>, Reply>>;

    /// A client is turned away, before the greeting: there are too many connections. May not wait.
    fn crowded(&self, crowd: Crowd) {
        let _ = crowd;
    }

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
        let connection = |stream, peer, seat: Arc<Seat>| {
            let (options, reception, stop) = (Arc::clone(&options), Arc::clone(&reception), stop.clone());
            // Clients are the organisation's own mail servers: who is too many is told so, and nobody is cut off.
            seat.stand(Standing::Working);
            async move {
                if let Err(error) = connection(stream, peer, &options, reception.as_ref(), stop).await {
                    tracing::debug!(%error, "an SMTP connection broke");
                }
            }
        };
        let full = |stream, crowd| {
            turn_away(stream);
            reception.crowded(crowd);
        };
        serving::serve(self.listener, options.connections, stop.clone(), options.drain, full, connection).await;
    }
}

/// Says 421 without waiting: who is turned away may cost nothing.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        drop(io::Write::write(&mut stream, Reply::too_many_connections().to_string().as_bytes()));
    }
}

async fn connection(stream: TcpStream, peer: Peer, options: &SmtpServerOptions, reception: &dyn Reception, stop: Stop) -> io::Result<()> {
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
        max_mails: options.max_mails,
        max_errors: options.max_errors,
        onward: options.onward,
    });
    let mut client = Client { peer, login: None };
    let mut stream = stream;
    let mut conversation = Conversation::new(session, options, reception, stop);
    if security != Security::Secured && matches!(conversation.hold(&mut stream, &mut client).await?, Ended::Closed) {
        return Ok(());
    }
    let Some(acceptor) = acceptor else { return Ok(()) };
    let shaken = timeout(options.handshake_timeout, acceptor.accept(stream)).await.map_err(io::Error::from).flatten();
    // Whoever set up the mail server looks here for why nothing comes.
    let mut stream = shaken.inspect_err(|error| tracing::warn!(address = %client.peer.address, %error, "a mail client's TLS handshake failed"))?;
    client.peer.secured(stream.get_ref().1);
    conversation.session.secured(reception.mechanisms(&client));
    conversation.hold(&mut stream, &mut client).await?;
    Ok(())
}
