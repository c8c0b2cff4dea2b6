//! Who hands mail in: known by address, by certificate or by password, each of which is enough (RFC 4954, RFC 4422).

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::pace::{Counted, Failures, Paces, SenderPace};
use crate::crypto::{Certificate, PasswordHash};
use crate::edge::smtp_server::Client;
use crate::edge::tls::bears_name;
use crate::ident::{Domain, MailAddress};
use crate::mail::session::{Credentials, Mechanism, Reply};

/// Passwords that are checked at once: each takes 16 MiB and a processor.
pub const PASSWORDS_AT_ONCE: usize = 2;

/// Which networks may hand in mail.
pub type Admits = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// A client that is known by its password or its certificate.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name, which it logs in with.
    pub name: String,
    /// Its password.
    pub password: Option<PasswordHash>,
    /// The name in its certificate.
    pub certificate_name: Option<String>,
    /// The mailboxes that it may send as; empty for all.
    pub mailboxes: Vec<MailAddress>,
    /// What `X-OriginatorOrg` must say in its mails.
    pub originator: Option<Domain>,
}

/// Who may hand in mail, and how much of it.
pub struct Admission {
    admits: Admits,
    accounts: Vec<Account>,
    paces: Mutex<Paces>,
    failures: Mutex<Failures>,
    checking: Semaphore,
}

impl Admission {
    /// Those from these networks, and these accounts from everywhere.
    #[must_use]
    pub fn new(admits: Admits, accounts: Vec<Account>, pace: SenderPace) -> Self {
        let (paces, failures) = (Mutex::new(Paces::new(pace)), Mutex::default());
        Self { admits, accounts, paces, failures, checking: Semaphore::new(PASSWORDS_AT_ONCE) }
    }

    /// Whether a client may speak at all.
    pub(super) fn greets(&self, client: &Client) -> Result<(), Reply> {
        if !self.accounts.is_empty() || (self.admits)(client.peer.address.ip()) {
            return Ok(());
        }
        Err(Reply::new(554, (7, 1), "Servern far inte skicka hit / this client may not send here: add it to [smtp] clients"))
    }

    /// As whom a client may send: an account, or nobody in particular where its address is enough.
    pub(super) fn sends(&self, client: &Client) -> Result<Option<&Account>, Reply> {
        let account = match &client.login {
            Some(login) => self.accounts.iter().find(|account| &account.name == login),
            None => client.peer.certificate().and_then(|certificate| self.shown(certificate)),
        };
        if account.is_some() || (self.admits)(client.peer.address.ip()) {
            return Ok(account);
        }
        // RFC 4954 6.
        Err(Reply::new(530, (7, 0), "Logga in forst, eller visa ett certifikat / log in first, or show a certificate"))
    }

    /// How a client may log in.
    pub(super) fn mechanisms(&self, client: &Client) -> Vec<Mechanism> {
        let passwords = self.accounts.iter().any(|account| account.password.is_some());
        let mut mechanisms = if passwords { vec![Mechanism::Plain, Mechanism::Login] } else { Vec::new() };
        mechanisms.extend(client.peer.certificate().and_then(|certificate| self.shown(certificate)).map(|_| Mechanism::External));
        mechanisms
    }

    /// The account whose certificate this is.
    fn shown(&self, certificate: &Certificate) -> Option<&Account> {
        let bears = |name: &String| bears_name(certificate, name) || certificate.common_name().is_some_and(|cn| cn.eq_ignore_ascii_case(name));
        self.accounts.iter().find(|account| account.certificate_name.as_ref().is_some_and(bears))
    }

    /// The name of the account that a client has proved to be. A user that is not there costs what a wrong password costs.
    pub(super) async fn log_in(&self, client: &Client, credentials: &Credentials, now: Timestamp) -> Result<String, Reply> {
        let address = client.peer.address.ip();
        if lock(&self.failures).are_too_many(address, now) {
            tracing::warn!(%address, "too many failed logins: the client is not listened to for some minutes");
            return Err(Reply::new(454, (7, 0), "For manga misslyckade inloggningar / too many failed logins, try again later"));
        }
        let known = match credentials {
            Credentials::Certificate { name } => {
                let account = client.peer.certificate().and_then(|certificate| self.shown(certificate));
                account.filter(|account| name.as_ref().is_none_or(|name| name == &account.name)).map(|account| account.name.clone())
            }
            Credentials::Password { user, password } => {
                let account = self.accounts.iter().find(|account| account.name == user.0 && account.password.is_some());
                let hash = account.and_then(|account| account.password.clone()).unwrap_or_else(PasswordHash::nobodys);
                let password = password.clone();
                let permit = self.checking.acquire().await;
                let right = tokio::task::spawn_blocking(move || hash.verify(&password)).await.unwrap_or_default();
                drop(permit);
                account.filter(|_| right).map(|account| account.name.clone())
            }
        };
        known.ok_or_else(|| {
            lock(&self.failures).note(address, now);
            // Not the user: people type passwords there.
            tracing::warn!(%address, "a login failed");
            Reply::login_failed()
        })
    }

    /// Counts a mail or a recipient of a sender, if there is one more allowed.
    pub(super) fn count(&self, what: Counted, sender: Option<&MailAddress>, now: Timestamp) -> Result<(), Reply> {
        let name = sender.map(MailAddress::folded).unwrap_or_default();
        let reached = lock(&self.paces).count(what, name, now);
        reached.map_err(|reached| {
            let (swedish, english) = match what {
                Counted::Mail => ("mejl", "mails"),
                Counted::Recipient => ("mottagare", "recipients"),
            };
            tracing::warn!(limit = reached.limit, per = reached.window, "a sender's {english} are deferred: see [smtp.pace]");
            let per = if reached.window == "hour" { "timme" } else { "minut" };
            let (limit, window) = (reached.limit, reached.window);
            Reply::new(450, (7, 1), format!("For manga {swedish}: hogst {limit} per {per} / too many {english}: at most {limit} a {window}"))
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}
