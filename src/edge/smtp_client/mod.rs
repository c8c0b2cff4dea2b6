//! Delivery to the internal mail server by SMTP or LMTP.
//!
//! lettre speaks the protocol, on a stream of ours, one step at a time, so that it is known where a delivery broke:
//! before the final dot had left, the mail was not taken and is sent again; after it, nobody here can know.
//! Hello and STARTTLS come before lettre takes over: it knows no LMTP, and what came in plaintext must not be left in its buffer.
//!
//! Connections rest between deliveries. One that rested is asked (RSET) before a mail is trusted to it.

mod hello;
mod stream;
mod transaction;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hello::Offers;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use rustls::ClientConfig;
use stream::Watched;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use transaction::{Broke, Connection, Transaction};
use zeroize::Zeroizing;

use super::tls;
use crate::ident::Domain;
use crate::port::{Delivery, MailSink, Pending, SinkAnswer, SinkError};

/// How long a connection may rest; mail servers close theirs after five minutes and more.
const REST: Duration = Duration::from_mins(1);

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// SMTP, to a mail server that takes mail for anybody it serves.
    #[default]
    Smtp,
    /// LMTP (RFC 2033), to what keeps the mailboxes: its answer is the mailbox's own, and nothing is queued after it.
    Lmtp,
}

/// How the connection is secured. There is no "if it offers it": who can take the offer out can read the mail.
#[derive(Clone)]
pub enum ClientTls {
    /// Not at all: the mail server is this machine or the network between is trusted.
    Plain,
    /// STARTTLS, or no delivery.
    StartTls(Arc<ClientConfig>),
    /// TLS from the first octet.
    Implicit(Arc<ClientConfig>),
}

/// A name and a password.
#[derive(Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// How long each step may take (RFC 5321 4.5.3.2, shorter where a mail server next door needs no minutes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// Connecting, TLS, greeting, EHLO, login; each.
    pub connect: Duration,
    /// MAIL, RCPT and DATA; each.
    pub command: Duration,
    /// The mail and the answer to it (RFC 5321 4.5.3.2.6).
    pub message: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), command: Duration::from_mins(5), message: Duration::from_mins(10) }
    }
}

/// The client's options.
#[derive(Clone)]
pub struct SmtpClientOptions {
    /// What is spoken.
    pub protocol: Protocol,
    /// The mail server's name, which its certificate must bear, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our name in EHLO.
    pub hostname: Domain,
    /// TLS.
    pub tls: ClientTls,
    /// Who we are, where the mail server wants to know.
    pub login: Option<Login>,
    /// Connections at once; so many are also kept open between deliveries.
    pub connections: usize,
    /// Time.
    pub timeouts: ClientTimeouts,
}

impl SmtpClientOptions {
    /// Options without TLS and login, with at most eight connections.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, hostname: Domain) -> Self {
        Self {
            protocol: Protocol::Smtp,
            host: host.into(),
            port,
            hostname,
            tls: ClientTls::Plain,
            login: None,
            connections: 8,
            timeouts: ClientTimeouts::default(),
        }
    }
}

/// Why the client cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmtpClientError {
    /// A password is not sent in plaintext.
    #[error("a login needs TLS")]
    LoginWithoutTls,
    /// The name is neither a host name nor an address.
    #[error("{0:?} is neither a host name nor an IP address")]
    Host(String),
}

/// A [`MailSink`] that delivers by SMTP or LMTP.
pub struct SmtpClient {
    options: SmtpClientOptions,
    resting: Resting,
    /// One permit for each connection.
    free: Semaphore,
}

/// Connections that rest, the one that rested shortest last.
type Resting = Arc<Mutex<Vec<(Instant, Connection)>>>;

impl SmtpClient {
    /// A client; it connects when there is something to deliver.
    ///
    /// # Errors
    /// [`SmtpClientError`].
    pub fn new(options: SmtpClientOptions) -> Result<Self, SmtpClientError> {
        tls::server_name(&options.host).map_err(|_| SmtpClientError::Host(options.host.clone()))?;
        if options.login.is_some() && matches!(options.tls, ClientTls::Plain) {
            return Err(SmtpClientError::LoginWithoutTls);
        }
        let free = Semaphore::new(options.connections.max(1));
        Ok(Self { options, resting: Resting::default(), free })
    }

    /// Says QUIT on every connection that rests; for the end of the program.
    pub async fn close(&self) {
        let resting = std::mem::take(&mut *self.resting.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, connection) in resting {
            connection.quit().await;
        }
    }

    async fn deliver(&self, delivery: Delivery) -> Result<SinkAnswer, SinkError> {
        // It is never closed; without a permit there would just be one connection more.
        let _permit = self.free.acquire().await;
        let message = with_line_ends(delivery.message);
        let mail = Transaction {
            from: delivery.from.as_ref().map_or("", |address| address.as_str()),
            to: delivery.to.as_str(),
            id: delivery.id.as_ref(),
            // lettre writes a line end before its dot, which is the mail's own last one.
            message: message.strip_suffix(b"\r\n").unwrap_or(&message),
        };
        while let Some(mut connection) = self.rested() {
            // The server may have closed it while it rested, or be gone: that is found out before a mail depends on it.
            if !connection.is_alive(self.options.timeouts.connect).await {
                continue;
            }
            match connection.send(&mail, &self.options.timeouts).await {
                // Nothing was taken; a new connection will tell.
                Err(Broke::Early(_)) => break,
                outcome => return self.settle(connection, outcome),
            }
        }
        let mut connection = self.connect().await.map_err(SinkError::Temporary)?;
        let outcome = connection.send(&mail, &self.options.timeouts).await;
        self.settle(connection, outcome)
    }

    fn settle(&self, connection: Connection, outcome: Result<SinkAnswer, Broke>) -> Result<SinkAnswer, SinkError> {
        match outcome {
            Ok(answer) => {
                self.rest(connection);
                Ok(answer)
            }
            // What is left of the transaction ends with the RSET before the next one.
            Err(Broke::Refused(error)) => {
                self.rest(connection);
                Err(error)
            }
            Err(Broke::Closing(error)) => Err(error),
            Err(Broke::Early(reason)) => Err(SinkError::Temporary(reason)),
            Err(Broke::Late(reason)) => Err(SinkError::Unknown(reason)),
        }
    }

    fn rest(&self, connection: Connection) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.is_empty() {
            tokio::spawn(retire(Arc::clone(&self.resting)));
        }
        resting.push((Instant::now(), connection));
    }

    fn rested(&self) -> Option<Connection> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.pop().map(|(_, connection)| connection)
    }

    /// A connection that is ready for MAIL. Whatever fails here says nothing about the mail, so all of it is temporary:
    /// a refused login or a wrong certificate is the operator's to mend while the mail waits.
    async fn connect(&self) -> Result<Connection, String> {
        let options = &self.options;
        let (limit, protocol, hostname) = (options.timeouts.connect, options.protocol, &options.hostname);
        let place = format!("{}:{}", options.host, options.port);
        let step = |what: &'static str| {
            let place = place.clone();
            move |error: &dyn fmt::Display| format!("{place}: {what}: {error}")
        };
        let mut tcp = within(limit, TcpStream::connect((options.host.as_str(), options.port))).await.map_err(|e| step("connect")(&e))?;
        tcp.set_nodelay(true).map_err(|e| step("connect")(&e))?;
        let peer = tcp.peer_addr().map_err(|e| step("connect")(&e))?;
        let ended = Arc::new(AtomicBool::new(false));
        let (stream, offers): (Box<dyn AsyncTokioStream>, Offers) = match &options.tls {
            ClientTls::Plain => {
                let offers = within(limit, hello::greet(&mut tcp, protocol, hostname)).await.map_err(|e| step("greeting")(&e))?;
                (Box::new(Watched::new(tcp, peer, &ended, offers.replayed())), offers)
            }
            ClientTls::Implicit(config) => {
                let mut tls = handshake(tcp, config, options).await.map_err(|e| step("TLS")(&e))?;
                let offers = within(limit, hello::greet(&mut tls, protocol, hostname)).await.map_err(|e| step("greeting")(&e))?;
                (Box::new(Watched::new(tls, peer, &ended, offers.replayed())), offers)
            }
            ClientTls::StartTls(config) => {
                let tcp = within(limit, hello::start_tls(tcp, protocol, hostname)).await.map_err(|e| step("STARTTLS")(&e))?;
                let mut tls = handshake(tcp, config, options).await.map_err(|e| step("TLS")(&e))?;
                // The server greets no second time.
                let offers = within(limit, hello::hello(&mut tls, &mut Vec::new(), protocol, hostname)).await.map_err(|e| step("hello")(&e))?;
                (Box::new(Watched::new(tls, peer, &ended, offers.replayed())), offers)
            }
        };
        let hello = ClientId::Domain(hostname.to_string());
        let mut smtp = within(limit, AsyncSmtpConnection::connect_with_transport(stream, &hello)).await.map_err(|e| step("hello")(&e))?;
        if let Some(login) = &options.login {
            let credentials = Credentials::new(login.user.clone(), login.password.to_string());
            let login = smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            within(limit, login).await.map_err(|e| step("login")(&e))?;
        }
        Ok(Connection::new(smtp, offers, ended))
    }
}

/// Ends connections that have rested long enough, until none rests.
async fn retire(resting: Resting) {
    loop {
        tokio::time::sleep(REST / 4).await;
        let (old, left) = {
            let mut resting = resting.lock().unwrap_or_else(PoisonError::into_inner);
            let old: Vec<_> = resting.extract_if(.., |(since, _)| since.elapsed() >= REST).collect();
            (old, resting.len())
        };
        for (_, connection) in old {
            connection.quit().await;
        }
        if left == 0 {
            return;
        }
    }
}

impl MailSink for SmtpClient {
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(self.deliver(delivery))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(self.close())
    }
}

impl fmt::Debug for SmtpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpClient({:?} {}:{})", self.options.protocol, self.options.host, self.options.port)
    }
}

/// The same mail with every line end as CRLF: a bare one would be refused by good servers and misread by others.
fn with_line_ends(message: Vec<u8>) -> Vec<u8> {
    let bare = |at: usize, octet: u8| match octet {
        b'\n' => at == 0 || message.get(at - 1) != Some(&b'\r'),
        b'\r' => message.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    if !message.iter().enumerate().any(|(at, octet)| bare(at, *octet)) {
        return message;
    }
    let mut whole = Vec::with_capacity(message.len() + 64);
    for (at, octet) in message.iter().enumerate() {
        if bare(at, *octet) { whole.extend_from_slice(b"\r\n") } else { whole.push(*octet) }
    }
    whole
}

async fn within<T, E: fmt::Display>(limit: Duration, work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn handshake(
    tcp: TcpStream,
    config: &Arc<ClientConfig>,
    options: &SmtpClientOptions,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let name = tls::server_name(&options.host).map_err(|error| error.to_string())?;
    within(options.timeouts.connect, TlsConnector::from(Arc::clone(config)).connect(name, tcp)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_become_crlf_and_nothing_else_changes() {
        let ends = |text: &str| String::from_utf8(with_line_ends(text.as_bytes().to_vec())).unwrap();
        assert_eq!(ends("a\r\n.\r\nb"), "a\r\n.\r\nb");
        assert_eq!(ends("a\n.\nb\rc\r\r\n\n"), "a\r\n.\r\nb\r\nc\r\n\r\n\r\n");
    }

    #[test]
    fn a_password_is_never_sent_in_plaintext() {
        let login = Login { user: "gw".into(), password: Zeroizing::new("hemlig".to_owned()) };
        let options = SmtpClientOptions { login: Some(login), ..SmtpClientOptions::new("mail.test", 25, Domain::new("gw.test").unwrap()) };
        assert_eq!(SmtpClient::new(options).err(), Some(SmtpClientError::LoginWithoutTls));
    }
}
