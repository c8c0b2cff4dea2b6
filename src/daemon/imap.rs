//! The mailboxes by IMAP of a configuration: what is watched, and what gets messages.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::checked::{self, ImapAccess};
use crate::crypto::Certificate;
use crate::edge::http::{HttpOptions, PlainHttp};
use crate::edge::imap::{ImapLogin, ImapOptions, ImapSink, ImapTls, InboxOptions, OutboxOptions, TokenOptions, TokenSource, inbox::Creation};
use crate::edge::reach::Reach;
use crate::edge::tls::{self, Roots};
use crate::ident::MailAddress;
use crate::worker::{OtherRecipients, OutboxSettings};

/// What is made of all mailboxes.
#[derive(Default)]
pub(super) struct Folders {
    /// Folders whose mails are sent.
    pub(super) outboxes: Vec<(OutboxOptions, OutboxSettings)>,
    /// Folders that get messages, by the addresses of their mailboxes.
    pub(super) inboxes: Vec<(MailAddress, ImapSink)>,
}

/// Every folder of a configuration.
pub(super) fn folders(mail: &checked::Mail) -> Result<Folders, String> {
    let mut folders = Folders::default();
    for organisation in &mail.organisations {
        for mailbox in &organisation.mailboxes {
            let Some(imap) = &mailbox.imap else { continue };
            let account = account(imap).map_err(|why| format!("{}: {why}", mailbox.address))?;
            if let Some(inbox) = &imap.inbox {
                folders.inboxes.push((mailbox.address.clone(), ImapSink::new(inbox_options(inbox, account.clone()))));
            }
            if let Some(outbox) = &imap.outbox {
                let settings = OutboxSettings {
                    organisation: organisation.participant.clone(),
                    function: mailbox.function.clone(),
                    server: imap.host.clone(),
                    max_recipients: mail.smtp.as_ref().map_or(100, |smtp| smtp.max_recipients as usize),
                    others: match outbox.other_recipients {
                        checked::OtherRecipients::Notice => OtherRecipients::Notice,
                        checked::OtherRecipients::Ignore => OtherRecipients::Ignore,
                    },
                };
                folders.outboxes.push((outbox_options(outbox, account, mail.max_message()), settings));
            }
        }
    }
    Ok(folders)
}

fn outbox_options(outbox: &checked::Outbox, account: ImapOptions, max_message: u64) -> OutboxOptions {
    OutboxOptions {
        account,
        folder: outbox.folder.clone(),
        processed: outbox.processed.clone(),
        failed: outbox.failed.clone(),
        poll: outbox.poll,
        // MIME is larger than what it becomes, as with SMTP.
        max_mail: max_message + max_message / 2,
    }
}

fn inbox_options(inbox: &checked::Inbox, account: ImapOptions) -> InboxOptions {
    let flag = |flag: &checked::Flag| match flag {
        checked::Flag::Flagged => "\\Flagged".to_owned(),
        checked::Flag::Seen => "\\Seen".to_owned(),
    };
    InboxOptions {
        account,
        folder: inbox.folder.clone(),
        create: if inbox.create { Creation::Allowed } else { Creation::Forbidden },
        flags: inbox.flags.iter().map(flag).collect(),
    }
}

fn account(imap: &checked::Imap) -> Result<ImapOptions, String> {
    Ok(ImapOptions {
        host: imap.host.clone(),
        port: imap.port,
        tls: match &imap.security {
            checked::DeliverySecurity::Plain => ImapTls::Plain,
            checked::DeliverySecurity::Starttls(ca) => ImapTls::StartTls(client(ca)?),
            checked::DeliverySecurity::Tls(ca) => ImapTls::Implicit(client(ca)?),
        },
        user: imap.username.clone(),
        login: match &imap.access {
            ImapAccess::Password(password) => ImapLogin::Password(Zeroizing::new(password.expose().to_owned())),
            ImapAccess::Oauth2(oauth2) => ImapLogin::Token(Arc::new(TokenSource::new(token_options(oauth2)?))),
        },
        timeout: imap.timeout,
    })
}

fn token_options(oauth2: &checked::Oauth2) -> Result<TokenOptions, String> {
    Ok(TokenOptions {
        url: oauth2.token_url.as_str().to_owned(),
        client_id: oauth2.client_id.clone(),
        secret: Zeroizing::new(oauth2.client_secret.expose().to_owned()),
        scope: oauth2.scope.clone(),
        http: HttpOptions {
            // The operator vouches for what stands in the configuration.
            reach: Reach::Anywhere,
            plain: PlainHttp::Loopback,
            tls: if oauth2.token_url.is_plain() { None } else { Some(client(&oauth2.ca)?) },
            ..HttpOptions::default()
        },
    })
}

/// No CAs are the operating system's.
fn client(ca: &[Certificate]) -> Result<Arc<rustls::ClientConfig>, String> {
    let roots = if ca.is_empty() { Roots::System } else { Roots::Only(ca) };
    tls::client_config(roots, None).map_err(|error| error.to_string())
}
