//! The mail servers that get what comes in, and which mailbox has which.

use std::collections::BTreeSet;
use std::time::Duration;

use super::check::{Checker, Common};
use super::checked::Organisation;
use super::errors::ConfigError;
use super::files::Secret;
use super::raw;
use super::values::is_loopback_host;
use crate::crypto::Certificate;
use crate::edge::smtp_client::Protocol;
use crate::ident::{Domain, MailServerName};

/// Mail out.
#[derive(Debug)]
pub struct MailServer {
    /// What mailboxes call it.
    pub name: Option<MailServerName>,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: DeliverySecurity,
    /// User and password.
    pub credentials: Option<(String, Secret)>,
    /// The name the gateway greets with.
    pub hello: Domain,
    /// How long one command may take.
    pub timeout: Duration,
    /// Connections at once.
    pub max_connections: u32,
}

/// TLS towards the mail server. CAs are an empty list where the operating system's count.
#[derive(Debug, Clone)]
pub enum DeliverySecurity {
    /// In the clear.
    Plain,
    /// STARTTLS, required; by these CAs.
    Starttls(Vec<Certificate>),
    /// From the first octet on; by these CAs.
    Tls(Vec<Certificate>),
}

impl Checker<'_> {
    pub(super) fn mail_server(&mut self, at: &str, raw: raw::MailServer, common: &Common) -> Option<MailServer> {
        let ca = match raw.ca {
            Some(paths) => self.certificates(&format!("{at}.ca"), paths),
            None => Some(Vec::new()),
        };
        let password = raw.password_file.map(|file| self.password(&format!("{at}.password-file"), &file));
        let (user, plain) = (raw.username.is_some(), raw.security == Some(raw::Security::None));
        if user != password.is_some() {
            let missing = if user { "password-file" } else { "username" };
            self.error(ConfigError::new(format!("{at}.{missing}"), "is missing: username and password-file go together"));
        }
        let here = raw.host.as_ref().is_none_or(|host| is_loopback_host(&host.0));
        if plain && !here && raw.allow_plain != Some(true) {
            let hint = "use starttls or tls; if the way there is safe, say allow-plain = true";
            self.error(ConfigError::new(format!("{at}.security"), "would send messages in the clear to another machine").text("none").hint(hint));
        }
        if plain && !here && user {
            self.error(ConfigError::new(format!("{at}.username"), "would be sent in the clear with its password").hint("use starttls or tls"));
        }
        let credentials = match (raw.username, password) {
            (Some(user), Some(password)) => Some((user.0, password?)),
            _ => None,
        };
        let security = match raw.security? {
            raw::Security::None => DeliverySecurity::Plain,
            raw::Security::Starttls => DeliverySecurity::Starttls(ca?),
            raw::Security::Tls => DeliverySecurity::Tls(ca?),
        };
        let (protocol, port) = match raw.protocol? {
            raw::Protocol::Smtp => (Protocol::Smtp, 25),
            // RFC 2033 5: never 25.
            raw::Protocol::Lmtp => (Protocol::Lmtp, 24),
        };
        Some(MailServer {
            name: raw.name,
            protocol,
            host: raw.host?.0,
            port: raw.port.unwrap_or(port),
            security,
            credentials,
            hello: raw.hello.or_else(|| common.name.clone())?,
            timeout: raw.timeout?.0,
            max_connections: raw.max_connections?,
        })
    }

    pub(super) fn other_mail_servers(&mut self, raw: Vec<raw::MailServer>, common: &Common) -> Option<Vec<MailServer>> {
        let mut read = Vec::with_capacity(raw.len());
        for (i, raw) in raw.into_iter().enumerate() {
            let at = format!("other-mail-server[{i}]");
            if raw.name.is_none() {
                self.error(ConfigError::new(format!("{at}.name"), "is missing: no mailbox could name it"));
            }
            read.push(self.mail_server(&at, raw, common));
        }
        read.into_iter().collect()
    }

    /// Each name is one server's, and each server that a mailbox names is there.
    pub(super) fn mail_servers_known(&mut self, organisations: &[Organisation], first: Option<&MailServer>, others: Option<&[MailServer]>) {
        // What is wrong in a server is told already; whether its name is known cannot be.
        let (Some(first), Some(others)) = (first, others) else { return };
        let names: BTreeSet<&MailServerName> = std::iter::once(first).chain(others).filter_map(|server| server.name.as_ref()).collect();
        for (i, other) in others.iter().enumerate() {
            let earlier = std::iter::once(first).chain(others.iter().take(i));
            if let Some(name) = other.name.as_ref().filter(|name| earlier.into_iter().any(|server| server.name.as_ref() == Some(name))) {
                self.error(ConfigError::new(format!("other-mail-server[{i}].name"), "stands twice").text(name));
            }
        }
        let mailboxes = organisations.iter().enumerate();
        for (i, j, mailbox) in mailboxes.flat_map(|(i, own)| own.mailboxes.iter().enumerate().map(move |(j, mailbox)| (i, j, mailbox))) {
            if let Some(name) = mailbox.mail_server.as_ref().filter(|name| !names.contains(*name)) {
                let error = ConfigError::new(format!("organisation[{i}].mailbox[{j}].mail-server"), "is no mail server's name").text(name);
                let known = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                let hint = if known.is_empty() { "add a section [[other-mail-server]] with that name".to_owned() } else { format!("known: {known}") };
                self.error(error.hint(hint));
            }
        }
    }
}
