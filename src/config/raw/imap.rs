//! A mailbox by IMAP.

use std::path::PathBuf;

use super::Security;
use crate::config::checked::{Flag, OtherRecipients};
use crate::config::declare::section;
use crate::config::values::{Host, HttpUrl, Line, SecretFile, Span};

section! {
    /// A mailbox by IMAP. `docs/imap.md` has the steps for Exchange Online and others.
    Imap {
        /// The server's name, which its certificate bears, or its address.
        host: Host = Required "\"outlook.office365.com\"";
        /// Its port. Left out, 993 with `tls`, else 143.
        port: u16 = Optional "993";
        /// `tls` from the first octet on, `starttls` (required, never "if offered"), or `none`, to this machine only.
        security: Security = Default "\"tls\"";
        /// The CAs of its certificate. Left out, the operating system's.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
        /// The user whose mailbox it is. Left out, the mailbox's address.
        username: Line = Optional "\"socialkontoret@habo.se\"";
        /// The file that holds the user's password. Either this or `oauth2`.
        password_file: SecretFile = Optional "\"/etc/brevbro/imap.password\"";
        /// How long the server may be silent, and a connection take to come about.
        timeout: Span = Default "\"1m\"";
        /// Logs in with access tokens in place of a password.
        oauth2: Oauth2 = Optional "{}";
        /// A folder whose mails are sent to SDK.
        outbox: Outbox = Optional "{}";
        /// A folder that gets the messages and notices of the mailbox, in place of the mail server.
        inbox: Inbox = Optional "{}";
    }
}

section! {
    /// Access tokens by OAuth2 client credentials (RFC 6749 4.4), for XOAUTH2 and OAUTHBEARER.
    Oauth2 {
        /// The token endpoint.
        token_url: HttpUrl = Required "\"https://login.microsoftonline.com/TENANT/oauth2/v2.0/token\"";
        /// The application's (client's) id.
        client_id: Line = Required "\"00000000-0000-0000-0000-000000000000\"";
        /// The file that holds the application's secret.
        client_secret_file: SecretFile = Required "\"/etc/brevbro/imap.client-secret\"";
        /// What the token is for.
        scope: Line = Default "\"https://outlook.office365.com/.default\"";
        /// The CAs of the token endpoint's certificate. Left out, the operating system's.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
    }
}

section! {
    /// A folder whose mails are sent: to those of To, Cc and Bcc that are in `mail-domain`. Only one gateway may have it.
    /// A missing folder is made.
    Outbox {
        /// The folder. Never the one for drafts: what is in it is sent at once.
        folder: Line = Default "\"SDK att skicka\"";
        /// Where mails go that were taken over.
        processed_folder: Line = Default "\"SDK skickat\"";
        /// Where mails go that were refused; the writer gets a notice with the reason.
        failed_folder: Line = Default "\"SDK ej skickat\"";
        /// How often it is looked at where the server tells nothing of new mails (no IDLE, or silent).
        poll: Span = Default "\"1m\"";
        /// Recipients outside `mail-domain` beside others within: `notice` tells the writer that nothing is sent to them from here,
        /// `ignore` does not, for folders of mails that the mail server has sent to them already.
        other_recipients: OtherRecipients = Default "\"notice\"";
    }
}

section! {
    /// A folder that gets messages.
    Inbox {
        /// The folder.
        folder: Line = Default "\"INBOX\"";
        /// Makes the folder when it is not there. Otherwise messages wait for it.
        create_folder: bool = Default "true";
        /// Flags that messages get: `flagged`, `seen`. None leaves them unread.
        flags: Vec<Flag> = Default "[]";
    }
}
