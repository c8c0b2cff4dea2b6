//! What a sound configuration says, as values that are ready to use: keys opened, certificates read, TLS built.
//!
//! The values of a subject stand beside the checks that make them.

use std::path::PathBuf;
use std::time::Duration;

pub use super::access_point::{AccessPoint, ClientTls, ServerTls};
pub use super::audit::{Audit, Heads};
pub use super::discovery::{Discovery, StaticParticipant};
use super::environment::Environment;
pub use super::imap::{Flag, Imap, ImapAccess, Inbox, Oauth2, OtherRecipients, Outbox};
pub use super::limits::{MailboxLimit, OrganisationLimit};
pub use super::mail_in::{Smtp, SmtpAccount};
pub use super::mail_servers::{DeliverySecurity, MailServer};
pub use super::organisations::{DeliveryMode, History, InlineImages, Mailbox, Organisation, Participant, PersonPolicy, SignedMail, SuccessNotice};
pub use super::patience::Retry;
pub use super::protection::{Loops, Malware, OnScanFailure, ScanDirections};
pub use super::retention::Retained;
pub use super::store::{Database, StateStore};
pub use super::trust::{Revocation, RevocationOrder, SenderAccessPoint, TrustAnchors};
use super::values::{HttpUrl, words};
use crate::edge::reach::Reach;
use crate::ident::{Domain, FederationId, MailAddress, NodeName, ParticipantId};
use crate::store::cipher::Rings;

/// A whole configuration.
#[derive(Debug)]
pub struct Gateway {
    /// The gateway's host name.
    pub name: Domain,
    /// The mail domain that is routed to the gateway.
    pub mail_domain: Domain,
    /// The federation.
    pub federation: FederationId,
    /// Its environment, where the CAs tell.
    pub environment: Option<Environment>,
    /// What this node is called among several.
    pub node: NodeName,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// What keeps messages, jobs and the journal.
    pub store: StateStore,
    /// The file that this was read from.
    pub file: PathBuf,
    /// The keys that what is kept lies under; none where it lies in the clear.
    pub encryption: Rings,
    /// Octets of memory for messages that are held whole.
    pub memory: u64,
    /// Who is served, as far as every node knows it; at least one.
    pub participants: Vec<Participant>,
    /// AS4; none on a mail node.
    pub access_point: Option<AccessPoint>,
    /// Mail and the participants' keys; none on an access point node.
    pub mail: Option<Mail>,
    /// Who is trusted.
    pub trust: TrustAnchors,
    /// How participants are found.
    pub discovery: Discovery,
    /// Where addresses that others name may lead.
    pub reach: Reach,
    /// When to try again.
    pub retry: Retry,
    /// How long what has ended is kept, where no participant is known that has its own rule.
    pub retention: Retained,
    /// The journal.
    pub audit: Audit,
    /// When to try again what the mail server did not take.
    pub delivery: Retry,
    /// The log.
    pub log: Log,
    /// So many days before a certificate ends the operator is told.
    pub expiry_warnings: Vec<u32>,
    /// What works but should not stay so.
    pub warnings: Vec<Warning>,
}

impl Gateway {
    /// What this node does.
    #[must_use]
    pub fn role(&self) -> Role {
        match (&self.access_point, &self.mail) {
            (Some(_), None) => Role::AccessPoint,
            (None, Some(_)) => Role::Mail,
            _ => Role::Both,
        }
    }

    /// The organisations with their keys; none on an access point node.
    #[must_use]
    pub fn organisations(&self) -> &[Organisation] {
        self.mail.as_ref().map(|mail| mail.organisations.as_slice()).unwrap_or_default()
    }

    /// The organisation with this participant id.
    #[must_use]
    pub fn organisation(&self, participant: &ParticipantId) -> Option<&Organisation> {
        self.organisations().iter().find(|organisation| organisation.participant == *participant)
    }

    /// Mail in by SMTP.
    #[must_use]
    pub fn smtp(&self) -> Option<&Smtp> {
        self.mail.as_ref()?.smtp.as_ref()
    }

    /// The mailbox that may send as this address, with its organisation.
    #[must_use]
    pub fn sender(&self, address: &MailAddress) -> Option<(&Organisation, &Mailbox)> {
        let all = self.organisations().iter().flat_map(|organisation| organisation.mailboxes.iter().map(move |mailbox| (organisation, mailbox)));
        let mut own = all.clone().filter(|(_, mailbox)| mailbox.address == *address);
        own.next().or_else(|| all.into_iter().find(|(_, mailbox)| mailbox.senders.contains(address)))
    }
}

/// The mail side.
#[derive(Debug)]
pub struct Mail {
    /// Who gets what a person has to act on.
    pub operator: MailAddress,
    /// The largest SDK message that is taken in, in octets of its XML.
    pub max_incoming: u64,
    /// Mail in by SMTP.
    pub smtp: Option<Smtp>,
    /// Mail out.
    pub server: MailServer,
    /// Mail out of mailboxes that name one of these; each has a name of its own.
    pub other_servers: Vec<MailServer>,
    /// Where people read messages of mailboxes that are only told of them.
    pub reading_url: Option<HttpUrl>,
    /// How fast functions may answer each other.
    pub loops: Loops,
    /// What looks for malware, when something does.
    pub malware: Option<Malware>,
    /// Who is served; at least one.
    pub organisations: Vec<Organisation>,
}

impl Mail {
    /// The largest SDK message that a mail may become, in octets of its XML.
    #[must_use]
    pub fn max_message(&self) -> u64 {
        // What no receiver needs to take more than.
        self.smtp.as_ref().map_or(30_000_000, |smtp| smtp.max_message)
    }

    /// How long a file type that a function has rejected is remembered.
    #[must_use]
    pub fn refused_types(&self) -> Duration {
        self.smtp.as_ref().map_or(Duration::from_hours(30 * 24), |smtp| smtp.refused_types)
    }
}

/// The log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// What it leaves out.
    pub level: LogLevel,
}

/// What works but should not stay so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub path: String,
    /// What.
    pub what: String,
}

words! {
    /// What a node does.
    pub Role {
        /// AS4 with the access point's keys, in the DMZ.
        AccessPoint = "access-point",
        /// Mail with the participants' keys, inside.
        Mail = "mail",
        /// Everything.
        Both = "both",
    }
    /// The log's form.
    pub LogFormat {
        /// For people.
        Text = "text",
        /// For log systems.
        Json = "json",
    }
    /// The log's level.
    pub LogLevel {
        /// Errors.
        Error = "error",
        /// And warnings.
        Warn = "warn",
        /// And events.
        Info = "info",
        /// And details.
        Debug = "debug",
        /// And everything.
        Trace = "trace",
    }
}
