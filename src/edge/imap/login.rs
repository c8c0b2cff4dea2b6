//! To a session that is logged in: TCP, TLS, and a password or a token.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::ImapError;
use super::connection::{Connection, Duplex};
use super::session::Session;
use super::token::{Held, TokenSource};
use crate::edge::tls;
use crate::mail::imap::refusal::{Refusal, Why};
use crate::mail::imap::reply::{Reply, Status};
use crate::mail::imap::write::{oauthbearer, plain, quoted, xoauth2};

/// How the connection is secured. There is no "if it offers it": who can take the offer out can read the mail.
#[derive(Clone)]
pub enum ImapTls {
    /// Not at all: the server is this machine.
    Plain,
    /// STARTTLS, or no connection.
    StartTls(Arc<ClientConfig>),
    /// TLS from the first octet.
    Implicit(Arc<ClientConfig>),
}

/// How it is proved who we are.
#[derive(Clone)]
pub enum ImapLogin {
    /// By password.
    Password(Zeroizing<String>),
    /// By access token.
    Token(Arc<TokenSource>),
}

/// Where a mailbox is, and who opens it.
#[derive(Clone)]
pub struct ImapOptions {
    /// The server's name, which its certificate must bear, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS.
    pub tls: ImapTls,
    /// Whose mailbox it is.
    pub user: String,
    /// How it is opened.
    pub login: ImapLogin,
    /// How long a connection may take to come about, and the server be silent after that.
    pub timeout: Duration,
}

impl ImapOptions {
    /// `user@host:port`, for logs, and to tell mailboxes apart.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} at {}:{}", self.user, self.host, self.port)
    }

    /// A session. A token that is refused is fetched anew once, since it may have been revoked before its end.
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn open(&self) -> Result<Session, ImapError> {
        let ImapLogin::Token(source) = &self.login else { return self.open_with(None).await };
        let token = source.token().await?;
        let first = self.open_with(Some(&token)).await;
        let refused = match &first {
            Err(ImapError::Refused { command: "AUTHENTICATE", refusal }) => !matches!(refusal.why, Why::Throttled | Why::Busy),
            _ => false,
        };
        if !refused {
            return first;
        }
        source.forget(&token).await;
        if token.is_new {
            return first;
        }
        self.open_with(Some(&source.token().await?)).await
    }

    async fn open_with(&self, token: Option<&Held>) -> Result<Session, ImapError> {
        let mut connection = self.connect().await?;
        let greeting = connection.greeted().await?;
        if let ImapTls::StartTls(config) = &self.tls {
            if greeting.status == Status::Preauth {
                // RFC 9051 11.1: a greeting that forestalls TLS was put there by somebody else.
                return Err(ImapError::Unsuited("the greeting forestalls STARTTLS".into()));
            }
            connection.command("STARTTLS", "STARTTLS", |_| ()).await?;
            // What was said in the clear counts for nothing (RFC 9051 6.2.1).
            connection = Connection::new(self.handshake(connection.into_stream()?, config).await?, self.timeout);
        }
        if greeting.status != Status::Preauth {
            if connection.capabilities.is_none() {
                connection.command("CAPABILITY", "CAPABILITY", |_| ()).await?;
            }
            self.log_in(&mut connection, token).await?;
        }
        if connection.capabilities.is_none() {
            connection.command("CAPABILITY", "CAPABILITY", |_| ()).await?;
        }
        Ok(Session::new(connection))
    }

    async fn connect(&self) -> Result<Connection, ImapError> {
        let unreachable = |error: &dyn Display| ImapError::Unreachable(error.to_string());
        let tcp = match timeout(self.timeout, TcpStream::connect((self.host.as_str(), self.port))).await {
            Ok(connected) => connected.map_err(|error| unreachable(&error))?,
            Err(_) => return Err(ImapError::Unreachable("it took too long".into())),
        };
        tcp.set_nodelay(true).map_err(|error| unreachable(&error))?;
        let stream: Box<dyn Duplex> = match &self.tls {
            ImapTls::Implicit(config) => self.handshake(Box::new(tcp), config).await?,
            // A name may lead elsewhere one day.
            ImapTls::Plain if !tcp.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback()) => {
                return Err(ImapError::Unreachable("without TLS only this machine is connected to".into()));
            }
            ImapTls::Plain | ImapTls::StartTls(_) => Box::new(tcp),
        };
        Ok(Connection::new(stream, self.timeout))
    }

    async fn handshake(&self, stream: Box<dyn Duplex>, config: &Arc<ClientConfig>) -> Result<Box<dyn Duplex>, ImapError> {
        let unreachable = |error: &dyn Display| ImapError::Unreachable(format!("TLS: {error}"));
        let name = tls::server_name(&self.host).map_err(|error| unreachable(&error))?;
        match timeout(self.timeout, TlsConnector::from(Arc::clone(config)).connect(name, stream)).await {
            Ok(stream) => Ok(Box::new(stream.map_err(|error| unreachable(&error))?)),
            Err(_) => Err(unreachable(&"it took too long")),
        }
    }

    async fn log_in(&self, connection: &mut Connection, token: Option<&Held>) -> Result<(), ImapError> {
        match (&self.login, token) {
            (ImapLogin::Token(_), Some(token)) => {
                // Exchange Online and Gmail know XOAUTH2 best; OAUTHBEARER is the standard.
                let standard = connection.can("AUTH=OAUTHBEARER") && !connection.can("AUTH=XOAUTH2");
                let (mechanism, first) = if standard {
                    ("OAUTHBEARER", oauthbearer(&self.user, &self.host, self.port, &token.text))
                } else {
                    ("XOAUTH2", xoauth2(&self.user, &token.text))
                };
                authenticate(connection, mechanism, &first).await.map_err(|error| without(error, &[&token.text, &first]))
            }
            (ImapLogin::Token(_), None) => Err(ImapError::Unsuited("there is no token".into())),
            (ImapLogin::Password(password), _) if connection.can("AUTH=PLAIN") => {
                let first = plain(&self.user, password);
                authenticate(connection, "PLAIN", &first).await.map_err(|error| without(error, &[password, &first]))
            }
            (ImapLogin::Password(password), _) => self.log_in_simply(connection, password).await.map_err(|error| without(error, &[password])),
        }
    }

    /// LOGIN, for servers without SASL PLAIN.
    async fn log_in_simply(&self, connection: &mut Connection, password: &str) -> Result<(), ImapError> {
        if connection.can("LOGINDISABLED") {
            return Err(ImapError::Unsuited("the server takes no password (LOGINDISABLED), or not before STARTTLS".into()));
        }
        // RFC 9051 6.2.3: quoted strings are ASCII. Servers that know more know PLAIN.
        let (Some(user), Some(password)) = (quoted(&self.user), quoted(password)) else {
            return Err(ImapError::Unsuited("name and password must be ASCII for this server".into()));
        };
        let line = Zeroizing::new(format!("LOGIN {user} {}", *Zeroizing::new(password)));
        connection.capabilities = None;
        connection.command("LOGIN", &line, |_| ()).await.map(drop)
    }
}

/// AUTHENTICATE. What the server can do may be something else afterwards.
async fn authenticate(connection: &mut Connection, mechanism: &'static str, first: &str) -> Result<(), ImapError> {
    // RFC 4959 3: the first answer along with the command.
    let mut sent = connection.can("SASL-IR");
    connection.capabilities = None;
    let line = Zeroizing::new(if sent { format!("AUTHENTICATE {mechanism} {first}") } else { format!("AUTHENTICATE {mechanism}") });
    let tag = connection.begin(&line).await?;
    for _ in 0..100 {
        match connection.reply().await? {
            Reply::Continue(_) if !sent => {
                connection.write(Zeroizing::new(format!("{first}\r\n")).as_bytes()).await?;
                sent = true;
            }
            // The server tells why it refuses, and waits for an empty answer before it does; RFC 7628 3.2.3 has one octet.
            Reply::Continue(_) => connection.write(if mechanism == "OAUTHBEARER" { b"AQ==\r\n" } else { b"\r\n" }).await?,
            Reply::Done(done, said) if done == tag && said.status == Status::Ok => return Ok(()),
            Reply::Done(done, said) if done == tag => {
                return Err(ImapError::Refused { command: "AUTHENTICATE", refusal: Refusal::of(&said) });
            }
            _ => {}
        }
    }
    Err(ImapError::Unsuited("the login does not end".into()))
}

/// The error without the server's words, where they repeat a secret.
fn without(mut error: ImapError, secrets: &[&str]) -> ImapError {
    if let ImapError::Refused { refusal, .. } | ImapError::Ended(refusal) = &mut error
        && secrets.iter().any(|secret| refusal.text.contains(secret))
    {
        "the server's words repeat the secret".clone_into(&mut refusal.text);
    }
    error
}
