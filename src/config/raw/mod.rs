//! Every option there is. A doc comment here is the manual: `config/gateway.toml` is made of it.
//!
//! The order is the file's; in a section the options come first, then its sections. A file here has the options of one
//! subject and is named as the one that checks them; `store`, `audit`, `limits`, `retention` and `at_rest` have theirs there.

mod access_point;
mod discovery;
mod imap;
mod mail_in;
mod mail_servers;
mod organisations;
mod patience;
mod protection;
mod trust;

use std::path::PathBuf;

pub(super) use access_point::{AccessPoint, ClientCertificates, ClientTls, Proxy, ServerTls};
pub(super) use discovery::{Discovery, DiscoveryMode, StaticParticipant};
pub(super) use imap::{Imap, Inbox, Oauth2, Outbox};
pub(super) use mail_in::{Smtp, SmtpAccount};
pub(super) use mail_servers::{MailServer, Protocol, Security};
pub(super) use organisations::{Mailbox, Organisation};
pub(super) use patience::{Day, DeliveryRetry, Hours, HoursCount, OrganisationRetry, Retry};
pub(super) use protection::{Loops, Malware};
pub(super) use trust::Trust;

use super::at_rest::Encryption;
use super::audit::RawAudit;
use super::checked::{LogFormat, LogLevel, Role};
use super::declare::section;
use super::limits::Limits;
use super::retention::Retention;
pub(super) use super::store::Store;
use super::values::{HttpUrl, Size};
use crate::ident::{Domain, FederationId, MailAddress, NodeName};

section! {
    /// The whole file.
    Root {
        /// The gateway's host name: it greets other mail servers with it, and its Message-IDs end with it.
        name: Domain = Required "\"sdk-gw.habo.se\"";
        /// The mail domain that the mail server routes to the gateway. Other organisations have their addresses below it:
        /// `socialkontoret@sundbyberg.se.sdk.habo.se` is a function of the participant `0203:sundbyberg.se`.
        mail_domain: Domain = Required "\"sdk.habo.se\"";
        /// Who gets the mail that a person has to act on. Not an address in `mail-domain`.
        operator: MailAddress = Required "\"it-drift@habo.se\"";
        /// The federation: `urn:fdc:digg.se:edelivery:federation:sdk` (production and QA) or `urn:fdc:digg.se:edelivery:federation:test` (open test).
        federation: FederationId = Required "\"urn:fdc:digg.se:edelivery:federation:sdk\"";
        /// Where the gateway keeps its state: messages on their way, the journal, the index. Back it up as a whole.
        state_dir: PathBuf = Default "\"/var/lib/brevbro\"";
        /// What keeps messages, jobs and the journal: files in `state-dir`, or a database that several nodes share.
        store: Store = Default "{}";
        /// Encryption of what the gateway keeps of messages: mails, messages, envelopes, requests and receipts. Without this section
        /// they lie there in the clear, in `state-dir` or in the database, and the log says so at start. Journal and index, which hold ids and addresses
        /// and no content, are not encrypted: the disk should be. `docs/protection.md` has the steps of a change of keys.
        encryption: Encryption = Optional "{}";
        /// How much memory the messages that are held whole may take together: those that are being converted, sealed, opened
        /// and delivered. A message of 30 MB needs up to 300 MB of it for some seconds. What does not fit waits for its turn;
        /// one that is larger than all of it runs alone. AS4 itself needs none, whatever the size.
        memory: Size = Default "\"1 GB\"";
        /// The largest SDK message that is taken in, as octets of its XML with attachments in base64. A larger one gets a message
        /// receipt: rejected, too long. Everyone must take 30 MB; as some count it as 30 MiB before base64, more is taken.
        max_incoming_message: Size = Default "42000000";
        /// How much one organisation and one mailbox may have here at once.
        limits: Limits = Default "{}";
        /// This node among several. `docs/nodes.md` says which options each of them needs, and which it refuses.
        node: Node = Default "{}";
        /// The access point: AS4 to and from other organisations.
        access_point: AccessPoint = Required "{}";
        /// Who is trusted: the CAs of the environment. `config/federation/` has those of open test, QA and production.
        trust: Trust = Required "{}";
        /// How other participants are found.
        discovery: Discovery = Required "{}";
        /// Mail in: the SMTP server that the organisation's mail server sends to. It may be left out where mailboxes have an outbox
        /// folder (`organisation.mailbox.imap.outbox`).
        smtp: Smtp = Optional "{}";
        /// Mail out: the mail server that gets incoming messages and notices, and mail to the operator.
        mail_server: MailServer = Required "{}";
        /// Another mail server, for mailboxes that name it.
        other_mail_server: Vec<MailServer> = Optional "[]";
        /// So many days before a certificate ends, of ours or of a configured CA, the operator gets a mail; each day once.
        expiry_warnings: Vec<u32> = Default "[60, 30, 14, 7, 1]";
        /// When to try again and when to give up. Waits vary by a fifth, so that messages do not all come at once.
        retry: Retry = Default "{}";
        /// How long messages are kept that have ended.
        retention: Retention = Default "{}";
        /// What looks for malware in mails to SDK and messages from it, which is asked for in both directions (SDK B1.4.7 6.1).
        /// Without this section the gateway does not look, and the mail server has to; the log says so at start.
        malware: Malware = Optional "{}";
        /// The page where people read the messages of mailboxes with `delivery = "notice"`; it stands in the notice.
        reading_url: HttpUrl = Optional "\"https://sdk-gw.habo.se/las\"";
        /// Functions that answer each other by themselves.
        loops: Loops = Default "{}";
        /// The audit journal, where every step of every message is a line.
        audit: RawAudit = Default "{}";
        /// The log on standard error.
        log: Log = Default "{}";
        /// One organisation (participant) that the gateway serves; there may be several, each with its own keys.
        organisation: Vec<Organisation> = Required "[]";
    }
}

section! {
    /// A node.
    Node {
        /// What it does: `access-point`, AS4 with the access point's key, for a machine in the DMZ, which then has no key of an
        /// organisation and sees nothing in the clear; `mail`, everything else, for a machine inside; or `both`. Nodes that
        /// are not `both` work together through one database.
        role: Role = Default "\"both\"";
        /// Its name in the journal, and beside the work that it holds. Left out, the first part of `name`; with PostgreSQL it must
        /// be said. Several nodes have one name each.
        name: NodeName = Optional "\"sdk-gw-1\"";
    }
}

section! {
    /// The log.
    Log {
        /// `text` for people, `json` for log systems.
        format: LogFormat = Default "\"text\"";
        /// `error`, `warn`, `info`, `debug` or `trace`. No level writes content.
        level: LogLevel = Default "\"info\"";
    }
}
