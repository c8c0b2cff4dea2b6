//! Mail in: the SMTP server.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::declare::section;
use crate::config::values::{Line, SecretFile, Size, Span};
use crate::edge::reach::IpNetwork;
use crate::ident::{Domain, MailAddress};

section! {
    /// Mail in.
    Smtp {
        /// Where it listens.
        listen: SocketAddr = Required "\"0.0.0.0:25\"";
        /// The name it greets with. Left out, the gateway's.
        hostname: Domain = Optional "\"sdk-gw.habo.se\"";
        /// The addresses that may send: those of the organisation's own mail servers. This is what keeps strangers out. A client
        /// from elsewhere must be one of the accounts below; without accounts it is turned away at once.
        clients: Vec<IpNetwork> = Optional "[\"10.1.2.0/28\"]";
        /// Takes mail only after STARTTLS.
        require_tls: bool = Default "true";
        /// The largest SDK message that a mail may become, as octets of its XML with attachments in base64. A larger mail is
        /// refused at the end of its data (552 5.3.4), one that is larger by half already when it is announced. No receiver
        /// needs to take more than 30 MB.
        max_message: Size = Default "30000000";
        /// Recipients of one mail.
        max_recipients: u32 = Default "100";
        /// Mails on one connection. Then the client goes on with another.
        max_mails: u32 = Default "1000";
        /// How long a file type is remembered that a receiving function has rejected. A mail with such a file to it is refused at
        /// once, with the file's name; of several recipients only those are told who do not take it. PDF is always sent.
        refused_types: Span = Default "\"30d\"";
        /// Connections at once, of all clients together.
        max_connections: u32 = Default "100";
        /// Connections at once from one address (of IPv6: one network of 64 bits).
        max_connections_per_address: u32 = Default "50";
        /// How long a client may be silent.
        timeout: Span = Default "\"5m\"";
        /// How much one sender may send. What is more is deferred (450 4.7.1) and tried again by the mail server.
        pace: SmtpPace = Default "{}";
        /// The key and certificate of STARTTLS.
        tls: SmtpTls = Optional "{}";
        /// A client that is known by a password or a certificate, from whichever address it comes.
        account: Vec<SmtpAccount> = Optional "[]";
    }
}

section! {
    /// How much one sender may send.
    SmtpPace {
        /// Mails in any minute.
        mails_per_minute: u32 = Default "120";
        /// Mails in any hour.
        mails_per_hour: u32 = Default "2000";
        /// Recipients in any minute, of all its mails together.
        recipients_per_minute: u32 = Default "600";
        /// Recipients in any hour.
        recipients_per_hour: u32 = Default "6000";
    }
}

section! {
    /// A client that is known by a password or a certificate. `docs/smtp.md` has its side for Exchange and Postfix.
    SmtpAccount {
        /// Its name: what it logs in with, and what the transaction is noted under.
        name: Line = Required "\"exchange\"";
        /// The file that holds the hash of its password, as `brevbro smtp-password` writes it. Passwords are taken over TLS only.
        password_hash_file: SecretFile = Optional "\"/etc/brevbro/exchange.hash\"";
        /// The name in its certificate, which a CA of `client-ca` has issued. With it no login is needed.
        certificate_name: Domain = Optional "\"mail.habo.se\"";
        /// The addresses of the function mailboxes that it may send as. Left out, all of them.
        mailboxes: Vec<MailAddress> = Default "[]";
        /// What `X-OriginatorOrg` in its mails must say. Exchange Online writes the tenant's domain there, and shows one
        /// certificate for all its tenants.
        originator: Domain = Optional "\"habo.se\"";
    }
}

section! {
    /// TLS of the SMTP server.
    SmtpTls {
        /// The private key: PEM, or PKCS#12.
        key: SecretFile = Required "\"/etc/brevbro/smtp.key\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/smtp.password\"";
        /// The certificate and the intermediates (PEM), when they are not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/smtp.pem\"";
        /// The CAs of clients' certificates. With them clients are asked for one; one that is shown must be good, or there is
        /// no connection. Revocation is not checked.
        client_ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
    }
}
