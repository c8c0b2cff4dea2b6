//! Mail in: who may hand it in, and by what it is known.

use std::net::SocketAddr;
use std::time::Duration;

use super::check::{Checker, Common};
use super::checked::{Organisation, ServerTls};
use super::errors::ConfigError;
use super::keys::KeyFiles;
use super::raw;
use crate::crypto::{Certificate, PasswordHash};
use crate::edge::reach::IpNetwork;
use crate::edge::tls::ClientAuth;
use crate::ident::{Domain, MailAddress};

/// The name in the certificate that every tenant of Exchange Online shows.
const EVERY_TENANTS: &str = "mail.protection.outlook.com";

/// Mail in.
#[derive(Debug)]
pub struct Smtp {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The name it greets with.
    pub hostname: Domain,
    /// From where anyone may send.
    pub clients: Vec<IpNetwork>,
    /// Who may send from everywhere.
    pub accounts: Vec<SmtpAccount>,
    /// Whether mail is taken only after STARTTLS.
    pub require_tls: bool,
    /// The largest SDK message that a mail may become, in octets of its XML.
    pub max_message: u64,
    /// Recipients of one mail.
    pub max_recipients: u32,
    /// Mails on one connection.
    pub max_mails: u32,
    /// How long a file type that a function has rejected is remembered.
    pub refused_types: Duration,
    /// Connections at once.
    pub max_connections: u32,
    /// Connections at once from one address.
    pub max_connections_per_address: u32,
    /// Mails of one sender in a minute.
    pub mails_per_minute: u32,
    /// Mails of one sender in an hour.
    pub mails_per_hour: u32,
    /// Recipients of one sender in a minute.
    pub recipients_per_minute: u32,
    /// Recipients of one sender in an hour.
    pub recipients_per_hour: u32,
    /// How long a client may be silent.
    pub timeout: Duration,
    /// STARTTLS, when there is a certificate.
    pub tls: Option<ServerTls>,
}

/// A client that is known by a password or a certificate; at least one of them.
#[derive(Debug, Clone)]
pub struct SmtpAccount {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: Option<PasswordHash>,
    /// The name in its certificate.
    pub certificate_name: Option<Domain>,
    /// The mailboxes that it may send as; empty for all.
    pub mailboxes: Vec<MailAddress>,
    /// What `X-OriginatorOrg` must say.
    pub originator: Option<Domain>,
}

impl Checker<'_> {
    pub(super) fn smtp(&mut self, raw: raw::Smtp, common: &Common) -> Option<Smtp> {
        let accounts = self.accounts(raw.account.unwrap_or_default());
        let by_certificate = accounts.iter().flatten().any(|account| account.certificate_name.is_some());
        let mut client_ca = None;
        let tls = raw.tls.map(|raw| {
            let files = KeyFiles { key: raw.key, password: raw.key_password_file, certificate: raw.certificate };
            client_ca = raw.client_ca.map(|paths| self.certificates("smtp.tls.client-ca", paths));
            let identity = self.tls_identity("smtp.tls", files)?;
            let clients: Vec<Certificate> = client_ca.clone().flatten().unwrap_or_default();
            let clients = if clients.is_empty() { ClientAuth::None } else { ClientAuth::Optional(&clients) };
            self.server_tls("smtp.tls", identity, clients)
        });
        if raw.require_tls == Some(true) && tls.is_none() {
            let hint = "add a section [smtp.tls], or say require-tls = false where the way from the mail server is safe";
            self.error(ConfigError::new("smtp.require-tls", "needs a certificate").hint(hint));
        }
        if accounts.as_ref().is_some_and(|accounts| !accounts.is_empty()) && tls.is_none() {
            let hint = "add a section [smtp.tls]: passwords and certificates are taken over TLS only";
            self.error(ConfigError::new("smtp.account", "needs TLS").hint(hint));
        }
        if by_certificate && tls.is_some() && client_ca.is_none() {
            let hint = "name the CA that issued the certificate of the account's mail server";
            self.error(ConfigError::new("smtp.tls.client-ca", "is missing: an account is known by its certificate").hint(hint));
        }
        if client_ca.is_some() && !by_certificate {
            self.warn("smtp.tls.client-ca", "has no use: no [[smtp.account]] has a certificate-name");
        }
        let nobody_by_address =
            if raw.clients.is_none() { "is missing, and there is no account: nobody could send" } else { "is empty: nobody could send" };
        let clients = raw.clients.unwrap_or_default();
        for (i, network) in clients.iter().enumerate().filter(|(_, network)| network.is_everything()) {
            let hint = "name the mail servers of the organisation; anyone else could send as it";
            self.error(ConfigError::new(format!("smtp.clients[{i}]"), "lets the whole world in").text(network).hint(hint));
        }
        if clients.is_empty() && accounts.as_ref().is_some_and(Vec::is_empty) {
            let hint = "for example clients = [\"10.1.2.0/28\"], or add a section [[smtp.account]]";
            self.error(ConfigError::new("smtp.clients", nobody_by_address).hint(hint));
        }
        let pace = raw.pace?;
        Some(Smtp {
            listen: raw.listen?,
            hostname: raw.hostname.or_else(|| common.name.clone())?,
            clients,
            accounts: accounts?,
            require_tls: raw.require_tls?,
            max_message: raw.max_message?.0,
            max_recipients: raw.max_recipients?,
            refused_types: raw.refused_types?.0,
            max_mails: raw.max_mails?,
            max_connections: raw.max_connections?,
            max_connections_per_address: raw.max_connections_per_address?,
            mails_per_minute: pace.mails_per_minute?,
            mails_per_hour: pace.mails_per_hour?,
            recipients_per_minute: pace.recipients_per_minute?,
            recipients_per_hour: pace.recipients_per_hour?,
            timeout: raw.timeout?.0,
            tls: match tls {
                Some(tls) => Some(tls?),
                None => None,
            },
        })
    }

    fn accounts(&mut self, raw: Vec<raw::SmtpAccount>) -> Option<Vec<SmtpAccount>> {
        let read: Vec<_> = raw.into_iter().enumerate().map(|(i, raw)| self.account(i, raw)).collect();
        let accounts: Vec<SmtpAccount> = read.into_iter().collect::<Option<_>>()?;
        for (i, account) in accounts.iter().enumerate() {
            let before = accounts.get(..i).unwrap_or_default();
            if before.iter().any(|other| other.name == account.name) {
                self.error(ConfigError::new(format!("smtp.account[{i}].name"), "stands twice").text(&account.name));
            }
            if let Some(name) =
                account.certificate_name.as_ref().filter(|name| before.iter().any(|other| other.certificate_name.as_ref() == Some(name)))
            {
                self.error(ConfigError::new(format!("smtp.account[{i}].certificate-name"), "stands twice").text(name));
            }
        }
        Some(accounts)
    }

    fn account(&mut self, index: usize, raw: raw::SmtpAccount) -> Option<SmtpAccount> {
        let at = |key: &str| format!("smtp.account[{index}].{key}");
        let (by_password, certificate_name) = (raw.password_hash_file.is_some(), raw.certificate_name);
        let hash = raw.password_hash_file.and_then(|file| {
            let line = self.password(&at("password-hash-file"), &file)?;
            let hash = PasswordHash::parse(line.expose().trim_end());
            let hint = "`brevbro smtp-password` writes such a line";
            hash.map_err(|error| self.error(ConfigError::new(at("password-hash-file"), format!("names a file whose text {error}")).hint(hint))).ok()
        });
        if !by_password && certificate_name.is_none() {
            let hint = "give it a password-hash-file or a certificate-name";
            self.error(ConfigError::new(format!("smtp.account[{index}]"), "is known by nothing").hint(hint));
        }
        if certificate_name.as_ref().is_some_and(|name| name.folded() == EVERY_TENANTS) && raw.originator.is_none() {
            let hint = "say which tenant is yours: originator = \"habo.se\"";
            let reason = "is the name in every tenant's certificate: all customers of Exchange Online could send";
            self.error(ConfigError::new(at("certificate-name"), reason).text(EVERY_TENANTS).hint(hint));
        }
        if by_password && hash.is_none() {
            return None;
        }
        Some(SmtpAccount { name: raw.name?.0, password: hash, certificate_name, mailboxes: raw.mailboxes?, originator: raw.originator })
    }

    /// The mailboxes that accounts are bound to are ours.
    pub(super) fn accounts_mailboxes(&mut self, smtp: &Smtp, organisations: &[Organisation]) {
        let ours =
            |address: &MailAddress| organisations.iter().any(|organisation| organisation.mailboxes.iter().any(|mailbox| mailbox.address == *address));
        for (i, account) in smtp.accounts.iter().enumerate() {
            for (j, address) in account.mailboxes.iter().enumerate().filter(|(_, address)| !ours(address)) {
                let hint = "name the address of a function mailbox";
                self.error(ConfigError::new(format!("smtp.account[{i}].mailboxes[{j}]"), "is no mailbox of this file").text(address).hint(hint));
            }
        }
    }
}
