//! Mail out: the mail servers.

use std::path::PathBuf;

use crate::config::declare::section;
use crate::config::values::{Host, Line, SecretFile, Span, words};
use crate::ident::{Domain, MailServerName};

section! {
    /// Mail out.
    MailServer {
        /// What mailboxes call it. Needed by every mail server but the first.
        name: MailServerName = Optional "\"skolan\"";
        /// `smtp`, or `lmtp` (RFC 2033) to what keeps the mailboxes, such as Dovecot: it answers for the mailbox itself, so a full
        /// one is known at once. It takes no mail for the operator or other senders that are not its own.
        protocol: Protocol = Default "\"smtp\"";
        /// The mail server's host name, which its certificate bears, or its address.
        host: Host = Required "\"mail.habo.se\"";
        /// Its port. Left out, 25 with `smtp` and 24 with `lmtp`.
        port: u16 = Optional "25";
        /// `starttls` (required, never "if offered"), `tls` from the first octet on, or `none`.
        security: Security = Default "\"starttls\"";
        /// Allows `none` towards another machine: messages then cross the network in the clear.
        allow_plain: bool = Default "false";
        /// The CAs of its certificate. Left out, the operating system's.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
        /// The user to log in as.
        username: Line = Optional "\"brevbro\"";
        /// The file that holds the user's password.
        password_file: SecretFile = Optional "\"/etc/brevbro/mail-server.password\"";
        /// The name the gateway greets with. Left out, the gateway's.
        hello: Domain = Optional "\"sdk-gw.habo.se\"";
        /// How long one command may take.
        timeout: Span = Default "\"5m\"";
        /// Connections at once. They are kept open for a minute between mails.
        max_connections: u32 = Default "8";
    }
}

words! {
    /// What is spoken to the mail server.
    pub(in crate::config) Protocol {
        /// SMTP.
        Smtp = "smtp",
        /// LMTP.
        Lmtp = "lmtp",
    }
    /// TLS towards the mail server.
    pub(in crate::config) Security {
        /// None.
        None = "none",
        /// STARTTLS, required.
        Starttls = "starttls",
        /// From the first octet on.
        Tls = "tls",
    }
}
