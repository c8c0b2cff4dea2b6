//! Mailboxes by IMAP: how they are opened, and which of their folders are for what.

use std::time::Duration;

use super::check::Checker;
use super::checked::{DeliverySecurity, Organisation};
use super::errors::ConfigError;
use super::files::Secret;
use super::raw;
use super::values::{HttpUrl, is_loopback_host, words};
use crate::crypto::Certificate;
use crate::ident::MailAddress;
use crate::mail::imap::write::folder;

/// A mailbox by IMAP.
#[derive(Debug, Clone)]
pub struct Imap {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: DeliverySecurity,
    /// Whose mailbox it is.
    pub username: String,
    /// How it is opened.
    pub access: ImapAccess,
    /// How long the server may be silent.
    pub timeout: Duration,
    /// The folder whose mails are sent.
    pub outbox: Option<Outbox>,
    /// The folder that gets messages.
    pub inbox: Option<Inbox>,
}

/// How a mailbox is opened.
#[derive(Debug, Clone)]
pub enum ImapAccess {
    /// By password.
    Password(Secret),
    /// By access tokens.
    Oauth2(Oauth2),
}

/// Access tokens.
#[derive(Debug, Clone)]
pub struct Oauth2 {
    /// The token endpoint.
    pub token_url: HttpUrl,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// What a token is for.
    pub scope: String,
    /// The CAs of the token endpoint; empty for the operating system's.
    pub ca: Vec<Certificate>,
}

/// A folder whose mails are sent.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// It.
    pub folder: String,
    /// Where mails go that were taken.
    pub processed: String,
    /// Where mails go that were refused.
    pub failed: String,
    /// How often it is looked at.
    pub poll: Duration,
    /// Recipients outside the mail domain.
    pub other_recipients: OtherRecipients,
}

/// A folder that gets messages.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// It.
    pub folder: String,
    /// Whether it is made when it is not there.
    pub create: bool,
    /// What messages are marked as.
    pub flags: Vec<Flag>,
}

words! {
    /// What to do about recipients outside the mail domain.
    pub OtherRecipients {
        /// Tell the writer.
        Notice = "notice",
        /// Nothing.
        Ignore = "ignore",
    }
    /// A flag of a mail.
    pub Flag {
        /// For follow-up.
        Flagged = "flagged",
        /// Read.
        Seen = "seen",
    }
}

impl Checker<'_> {
    pub(super) fn imap(&mut self, at: &str, raw: raw::Imap, mailbox: Option<&MailAddress>) -> Option<Imap> {
        let ca = match raw.ca {
            Some(paths) => self.certificates(&format!("{at}.ca"), paths),
            None => Some(Vec::new()),
        };
        let here = raw.host.as_ref().is_none_or(|host| is_loopback_host(&host.0));
        if raw.security == Some(raw::Security::None) && !here {
            let hint = "use tls or starttls";
            self.error(
                ConfigError::new(format!("{at}.security"), "would send the login and messages in the clear to another machine")
                    .text("none")
                    .hint(hint),
            );
        }
        let access = match (raw.password_file, raw.oauth2) {
            (Some(file), None) => self.password(&format!("{at}.password-file"), &file).map(ImapAccess::Password),
            (None, Some(raw)) => self.oauth2(&format!("{at}.oauth2"), raw).map(ImapAccess::Oauth2),
            (Some(_), Some(_)) => {
                self.error(ConfigError::new(format!("{at}.password-file"), "stands beside oauth2: the mailbox is opened in one way"));
                None
            }
            (None, None) => {
                self.error(ConfigError::new(format!("{at}.password-file"), "is missing").hint("name the file of the password, or add oauth2"));
                None
            }
        };
        if raw.outbox.is_none() && raw.inbox.is_none() {
            let hint = "add a section [organisation.mailbox.imap.outbox] or [organisation.mailbox.imap.inbox]";
            self.error(ConfigError::new(at, "has neither an outbox nor an inbox").hint(hint));
        }
        let outbox = raw.outbox.map(|raw| self.outbox(&format!("{at}.outbox"), raw));
        let inbox = raw.inbox.map(|raw| self.inbox(&format!("{at}.inbox"), raw));
        if let (Some(Some(outbox)), Some(Some(inbox))) = (&outbox, &inbox)
            && outbox.folder.eq_ignore_ascii_case(&inbox.folder)
        {
            self.error(ConfigError::new(format!("{at}.inbox.folder"), "is the outbox too: what comes in would be sent").text(&inbox.folder));
        }
        let (security, port) = match raw.security? {
            raw::Security::None => (DeliverySecurity::Plain, 143),
            raw::Security::Starttls => (DeliverySecurity::Starttls(ca?), 143),
            raw::Security::Tls => (DeliverySecurity::Tls(ca?), 993),
        };
        Some(Imap {
            host: raw.host?.0,
            port: raw.port.unwrap_or(port),
            security,
            username: raw.username.map_or_else(|| mailbox.map(ToString::to_string), |name| Some(name.0))?,
            access: access?,
            timeout: raw.timeout?.0,
            outbox: match outbox {
                Some(outbox) => Some(outbox?),
                None => None,
            },
            inbox: match inbox {
                Some(inbox) => Some(inbox?),
                None => None,
            },
        })
    }

    fn oauth2(&mut self, at: &str, raw: raw::Oauth2) -> Option<Oauth2> {
        if let Some(url) = &raw.token_url {
            self.encrypted(&format!("{at}.token-url"), url, url.is_loopback());
        }
        let ca = match raw.ca {
            Some(paths) => self.certificates(&format!("{at}.ca"), paths),
            None => Some(Vec::new()),
        };
        let secret = raw.client_secret_file.and_then(|file| self.password(&format!("{at}.client-secret-file"), &file));
        Some(Oauth2 { token_url: raw.token_url?, client_id: raw.client_id?.0, client_secret: secret?, scope: raw.scope?.0, ca: ca? })
    }

    fn outbox(&mut self, at: &str, raw: raw::Outbox) -> Option<Outbox> {
        let names = [("folder", &raw.folder), ("processed-folder", &raw.processed_folder), ("failed-folder", &raw.failed_folder)];
        for (i, (key, name)) in names.iter().enumerate() {
            let Some(name) = name else { continue };
            self.folder_name(&format!("{at}.{key}"), &name.0);
            // The outbox apart from both: what is moved there would be sent once more.
            if i > 0 && raw.folder.as_ref().is_some_and(|outbox| outbox.0.eq_ignore_ascii_case(&name.0)) {
                self.error(ConfigError::new(format!("{at}.{key}"), "is the outbox itself: its mails would be sent again and again").text(&name.0));
            }
        }
        Some(Outbox {
            folder: raw.folder?.0,
            processed: raw.processed_folder?.0,
            failed: raw.failed_folder?.0,
            poll: raw.poll?.0,
            other_recipients: raw.other_recipients?,
        })
    }

    fn inbox(&mut self, at: &str, raw: raw::Inbox) -> Option<Inbox> {
        if let Some(name) = &raw.folder {
            self.folder_name(&format!("{at}.folder"), &name.0);
        }
        Some(Inbox { folder: raw.folder?.0, create: raw.create_folder?, flags: raw.flags? })
    }

    fn folder_name(&mut self, at: &str, name: &str) {
        if folder(name).is_none() {
            self.error(ConfigError::new(at, "is no name of a folder").text(name));
        }
    }

    /// A folder is one mailbox's outbox: two would send its mails twice.
    pub(super) fn outboxes_apart(&mut self, organisations: &[Organisation]) {
        let mut seen = Vec::new();
        for (i, organisation) in organisations.iter().enumerate() {
            for (j, mailbox) in organisation.mailboxes.iter().enumerate() {
                let Some((imap, outbox)) = mailbox.imap.as_ref().and_then(|imap| Some((imap, imap.outbox.as_ref()?))) else { continue };
                let place = [&imap.host, &imap.username, &outbox.folder].map(|part| part.to_lowercase());
                if seen.contains(&place) {
                    let at = format!("organisation[{i}].mailbox[{j}].imap.outbox.folder");
                    self.error(ConfigError::new(at, "is another mailbox's outbox too: its mails would be sent twice").text(&outbox.folder));
                }
                seen.push(place);
            }
        }
    }

    /// Without SMTP, mails come from outbox folders alone.
    pub(super) fn sources(&mut self, organisations: &[Organisation]) {
        let mailboxes = || {
            organisations
                .iter()
                .enumerate()
                .flat_map(|(i, organisation)| organisation.mailboxes.iter().enumerate().map(move |(j, mailbox)| (i, j, mailbox)))
        };
        let sends = |mailbox: &super::checked::Mailbox| mailbox.imap.as_ref().is_some_and(|imap| imap.outbox.is_some());
        if !mailboxes().any(|(_, _, mailbox)| sends(mailbox)) {
            let hint = "add a section [smtp], or an outbox folder to a mailbox ([organisation.mailbox.imap.outbox])";
            self.error(ConfigError::new("smtp", "is missing, and no mailbox has an outbox folder: nothing could be sent").hint(hint));
            return;
        }
        for (i, j, _) in mailboxes().filter(|(_, _, mailbox)| !sends(mailbox)) {
            self.warn(&format!("organisation[{i}].mailbox[{j}]"), "can only receive: there is no [smtp], and it has no outbox folder");
        }
    }
}
