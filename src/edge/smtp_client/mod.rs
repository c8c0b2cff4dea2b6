//! Delivery to the internal mail server by SMTP.
//!
//! lettre speaks the protocol, on a stream of ours, one step at a time, so that it is known where a delivery broke:
//! before the final dot had left, the mail was not taken and is sent again; after it, nobody here can know.
//! STARTTLS is done before lettre takes over, because what came in plaintext must not be left in its buffer.

mod stream;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::Response;
use rustls::ClientConfig;
use stream::{Watched, start_tls};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::tls;
use crate::ident::Domain;
use crate::port::{Delivery, MailSink, Pending, SinkAnswer, SinkError};

/// How long a connection may rest; mail servers close theirs after five minutes and more.
const REST: Duration = Duration::from_mins(1);

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
        Self { host: host.into(), port, hostname, tls: ClientTls::Plain, login: None, connections: 8, timeouts: ClientTimeouts::default() }
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

/// A [`MailSink`] that delivers by SMTP.
pub struct SmtpClient {
    options: SmtpClientOptions,
    resting: Mutex<Vec<(Instant, Connection)>>,
    /// One permit for each connection.
    free: Semaphore,
}

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
        Ok(Self { options, resting: Mutex::default(), free })
    }

    /// Says QUIT on every connection that rests; for the end of the program.
    pub async fn close(&self) {
        let resting = std::mem::take(&mut *self.resting.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, mut connection) in resting {
            drop(timeout(Duration::from_secs(2), connection.smtp.quit()).await);
        }
    }

    async fn deliver(&self, delivery: Delivery) -> Result<SinkAnswer, SinkError> {
        // It is never closed; without a permit there would just be one connection more.
        let _permit = self.free.acquire().await;
        let message = with_line_ends(delivery.message);
        let mail = Transaction {
            from: delivery.from.as_ref().map_or("", |address| address.as_str()),
            to: delivery.to.as_str(),
            // lettre writes a line end before its dot, which is the mail's own last one.
            message: message.strip_suffix(b"\r\n").unwrap_or(&message),
        };
        if let Some(mut connection) = self.rested() {
            match connection.send(&mail, &self.options.timeouts).await {
                // It rested too long and the server had closed it: nothing was sent, a new one will tell.
                Err(Broke::Early(_)) => {}
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
                let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
                if resting.len() < self.options.connections {
                    resting.push((Instant::now(), connection));
                }
                Ok(answer)
            }
            // A connection after a refusal is dropped: a new one costs little and has nothing left over.
            Err(Broke::Refused(error)) => Err(error),
            Err(Broke::Early(reason)) => Err(SinkError::Temporary(reason)),
            Err(Broke::Late(reason)) => Err(SinkError::Unknown(reason)),
        }
    }

    fn rested(&self) -> Option<Connection> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|(since, _)| since.elapsed() < REST);
        resting.pop().map(|(_, connection)| connection)
    }

    /// A connection that is ready for MAIL. Whatever fails here says nothing about the mail, so all of it is temporary:
    /// a refused login or a wrong certificate is the operator's to mend while the mail waits.
    async fn connect(&self) -> Result<Connection, String> {
        let options = &self.options;
        let limit = options.timeouts.connect;
        let place = format!("{}:{}", options.host, options.port);
        let step = |what: &'static str| {
            let place = place.clone();
            move |error: &dyn fmt::Display| format!("{place}: {what}: {error}")
        };
        let tcp = within(limit, TcpStream::connect((options.host.as_str(), options.port))).await.map_err(|e| step("connect")(&e))?;
        tcp.set_nodelay(true).map_err(|e| step("connect")(&e))?;
        let peer = tcp.peer_addr().map_err(|e| step("connect")(&e))?;
        let ended = Arc::new(AtomicBool::new(false));
        let stream: Box<dyn AsyncTokioStream> = match &options.tls {
            ClientTls::Plain => Box::new(Watched::new(tcp, peer, &ended, b"")),
            ClientTls::Implicit(config) => {
                Box::new(Watched::new(handshake(tcp, config, options).await.map_err(|e| step("TLS")(&e))?, peer, &ended, b""))
            }
            ClientTls::StartTls(config) => {
                let tcp = within(limit, start_tls(tcp, &options.hostname)).await.map_err(|e| step("STARTTLS")(&e))?;
                let tls = handshake(tcp, config, options).await.map_err(|e| step("TLS")(&e))?;
                // The server greets no second time, but lettre waits for it.
                Box::new(Watched::new(tls, peer, &ended, b"220 STARTTLS\r\n"))
            }
        };
        let hello = ClientId::Domain(options.hostname.to_string());
        let mut smtp = within(limit, AsyncSmtpConnection::connect_with_transport(stream, &hello)).await.map_err(|e| step("EHLO")(&e))?;
        if let Some(login) = &options.login {
            let credentials = Credentials::new(login.user.clone(), login.password.to_string());
            let login = smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            within(limit, login).await.map_err(|e| step("login")(&e))?;
        }
        Ok(Connection { smtp, ended })
    }
}

impl MailSink for SmtpClient {
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(self.deliver(delivery))
    }
}

impl fmt::Debug for SmtpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpClient({}:{})", self.options.host, self.options.port)
    }
}

/// One mail for one recipient.
struct Transaction<'a> {
    from: &'a str,
    to: &'a str,
    message: &'a [u8],
}

/// How a transaction failed.
enum Broke {
    /// The server said so.
    Refused(SinkError),
    /// The connection broke before the final dot had left.
    Early(String),
    /// The final dot had left, or may have.
    Late(String),
}

/// A connection that is ready for MAIL.
struct Connection {
    smtp: AsyncSmtpConnection,
    /// Whether the final dot of a mail was given to the network.
    ended: Arc<AtomicBool>,
}

impl Connection {
    async fn send(&mut self, mail: &Transaction<'_>, timeouts: &ClientTimeouts) -> Result<SinkAnswer, Broke> {
        self.ended.store(false, Ordering::SeqCst);
        let parameters = self.parameters(mail)?;
        self.command(format!("MAIL FROM:<{}>{parameters}\r\n", mail.from), timeouts).await?;
        self.command(format!("RCPT TO:<{}>\r\n", mail.to), timeouts).await?;
        let ready = self.command("DATA\r\n".to_owned(), timeouts).await?;
        if !ready.has_code(354) {
            return Err(Broke::Early(format!("DATA was answered with {}", words(&ready))));
        }
        let sent = timeout(timeouts.message, self.smtp.message(mail.message)).await;
        match sent {
            Ok(Ok(answer)) if answer.has_code(250) => Ok(SinkAnswer { text: words(&answer) }),
            Ok(Ok(answer)) => Err(self.broke(format!("the mail was answered with {}", words(&answer)))),
            Ok(Err(error)) => Err(self.judged(&error)),
            Err(_) => Err(self.broke("no answer to the mail in time".to_owned())),
        }
    }

    /// SMTPUTF8 when an address or the header needs it (RFC 6531 3.4), 8BITMIME when anything is not ASCII.
    fn parameters(&self, mail: &Transaction<'_>) -> Result<&'static str, Broke> {
        let head = mail.message.windows(4).position(|w| w == b"\r\n\r\n").map_or(mail.message, |end| mail.message.get(..end).unwrap_or_default());
        let utf8 = !mail.from.is_ascii() || !mail.to.is_ascii() || !head.is_ascii();
        let eight_bit = !mail.message.is_ascii();
        let lacks =
            |extension: &str| Broke::Refused(SinkError::Permanent(format!("the mail needs {extension}, which the mail server does not offer")));
        let offers = self.smtp.server_info();
        if utf8 && !offers.supports_feature(Extension::SmtpUtfEight) {
            return Err(lacks("SMTPUTF8"));
        }
        if eight_bit && !offers.supports_feature(Extension::EightBitMime) {
            return Err(lacks("8BITMIME"));
        }
        Ok(match (utf8, eight_bit) {
            (false, false) => "",
            (false, true) => " BODY=8BITMIME",
            (true, false) => " SMTPUTF8",
            (true, true) => " SMTPUTF8 BODY=8BITMIME",
        })
    }

    async fn command(&mut self, line: String, timeouts: &ClientTimeouts) -> Result<Response, Broke> {
        match timeout(timeouts.command, self.smtp.command(line)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.judged(&error)),
            Err(_) => Err(Broke::Early("no answer to a command in time".to_owned())),
        }
    }

    fn judged(&self, error: &lettre::transport::smtp::Error) -> Broke {
        let text = error.to_string();
        match error.status().map(u16::from) {
            // 530, 534, 535, 538: it wants TLS or a login; that is settings, not the mail (RFC 3207 4, RFC 4954 6).
            Some(530 | 534 | 535 | 538) => Broke::Refused(SinkError::Temporary(text)),
            // 421 without being asked: it is going down. A resting connection ends so too.
            Some(421) => self.broke_or_early(text),
            Some(code) if code >= 500 => Broke::Refused(SinkError::Permanent(text)),
            Some(_) => Broke::Refused(SinkError::Temporary(text)),
            None => self.broke(text),
        }
    }

    /// A 421 in answer to the whole mail is a plain "not now": the server says that it did not take it.
    fn broke_or_early(&self, text: String) -> Broke {
        if self.ended.load(Ordering::SeqCst) { Broke::Refused(SinkError::Temporary(text)) } else { Broke::Early(text) }
    }

    fn broke(&self, reason: String) -> Broke {
        if self.ended.load(Ordering::SeqCst) { Broke::Late(reason) } else { Broke::Early(reason) }
    }
}

fn words(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "))
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
