//! How much an organisation and a mailbox may have here, and what everybody shares: what is used of it, what is answered when
//! it is used up, and that the operator hears of it once.
//!
//! ```text
//!  a step that changes a record ─▶ ledger: what it adds and takes, as operations of the same step ─▶ store
//!  a mail, an AS4 message       ─▶ quota:  is there room?  no ─▶ the peer's answer: later
//!                                                             └▶ told: reached (once) … over (once)
//! ```
//!
//! A look at what is used is as old as two seconds and does not lock anything, so those that come in at the same moment may
//! together go past a limit: by as many as there are connections, and not more.

mod ledger;
mod quota;
mod told;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::ident::{FunctionId, NodeName, ParticipantId};
use crate::port::Tally;

use ledger::Owner;
pub use quota::Usage;
pub(super) use quota::mailbox_name;

/// What one organisation may have here at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Whose.
    pub organisation: ParticipantId,
    /// Messages under way.
    pub waiting: u64,
    /// Messages to be opened.
    pub unopened: u64,
    /// Octets.
    pub stored: u64,
    /// Its mailboxes, where this node knows them.
    pub mailboxes: Vec<MailboxQuota>,
}

/// What one mailbox may have here at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxQuota {
    /// Whose.
    pub function: FunctionId,
    /// Messages under way.
    pub waiting: u64,
    /// Octets.
    pub stored: u64,
    /// Mails that it hands in at the same moment.
    pub at_once: usize,
}

/// A limit at which the operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Messages of an organisation that are under way.
    OrganisationWaiting,
    /// Messages to an organisation that are to be opened.
    OrganisationUnopened,
    /// Octets of an organisation's messages.
    OrganisationStored,
    /// Messages of a mailbox that are under way.
    MailboxWaiting,
    /// Octets of a mailbox's messages.
    MailboxStored,
    /// Mails that a mailbox hands in at the same moment.
    MailboxAtOnce,
    /// Memory for messages that are held whole.
    Memory,
    /// Connections of mail clients.
    SmtpConnections,
    /// Connections of one address of mail clients.
    SmtpAddress,
    /// Connections of access points.
    As4Connections,
    /// Connections of one address of access points.
    As4Address,
    /// Requests of one access point at the same moment.
    As4Requests,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::OrganisationWaiting,
        Self::OrganisationUnopened,
        Self::OrganisationStored,
        Self::MailboxWaiting,
        Self::MailboxStored,
        Self::MailboxAtOnce,
        Self::Memory,
        Self::SmtpConnections,
        Self::SmtpAddress,
        Self::As4Connections,
        Self::As4Address,
        Self::As4Requests,
    ];

    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OrganisationWaiting => "organisation-waiting",
            Self::OrganisationUnopened => "organisation-unopened",
            Self::OrganisationStored => "organisation-stored",
            Self::MailboxWaiting => "mailbox-waiting",
            Self::MailboxStored => "mailbox-stored",
            Self::MailboxAtOnce => "mailbox-at-once",
            Self::Memory => "memory",
            Self::SmtpConnections => "smtp-connections",
            Self::SmtpAddress => "smtp-address",
            Self::As4Connections => "as4-connections",
            Self::As4Address => "as4-address",
            Self::As4Requests => "as4-requests",
        }
    }

    /// The option that sets it.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::OrganisationWaiting => "limits.max-waiting",
            Self::OrganisationUnopened => "limits.max-unopened",
            Self::OrganisationStored => "limits.max-stored",
            Self::MailboxWaiting => "limits.max-mailbox-waiting",
            Self::MailboxStored => "limits.max-mailbox-stored",
            Self::MailboxAtOnce => "limits.max-mailbox-at-once",
            Self::Memory => "memory",
            Self::SmtpConnections => "smtp.max-connections",
            Self::SmtpAddress => "smtp.max-connections-per-address",
            Self::As4Connections => "access-point.max-connections",
            Self::As4Address => "access-point.max-connections-per-address",
            Self::As4Requests => "access-point.max-requests-per-client",
        }
    }

    /// Whether what is used of it stands in the store, and is the same for all nodes. The others are of one node, and over
    /// when nobody has been turned away for a while.
    const fn is_kept(self) -> bool {
        match self {
            Self::OrganisationWaiting | Self::OrganisationUnopened | Self::OrganisationStored | Self::MailboxWaiting | Self::MailboxStored => true,
            Self::MailboxAtOnce
            | Self::Memory
            | Self::SmtpConnections
            | Self::SmtpAddress
            | Self::As4Connections
            | Self::As4Address
            | Self::As4Requests => false,
        }
    }
}

/// What is known of limits on one node.
#[derive(Debug)]
pub struct Limits {
    quotas: Vec<Quotas>,
    /// Which part of each sum this node's steps add to, so that nodes do not wait for one another.
    shard: u8,
    /// What was read last, with what own steps have added since.
    seen: Mutex<HashMap<Owner, (Tally, Instant)>>,
    /// What the operator was told of, and when somebody was turned away last.
    open: Mutex<HashMap<(Limit, String), Instant>>,
    /// Since when this node looks.
    since: Instant,
}

impl Limits {
    /// These quotas, on a node of this name.
    #[must_use]
    pub fn new(quotas: Vec<Quotas>, node: &NodeName) -> Self {
        Self { quotas, shard: Self::shard(node), seen: Mutex::default(), open: Mutex::default(), since: Instant::now() }
    }

    /// How many mails a mailbox may hand in at the same moment.
    pub(super) fn at_once(&self, organisation: &ParticipantId, function: &FunctionId) -> Option<usize> {
        self.of(organisation)?.mailboxes.iter().find(|mailbox| mailbox.function == *function).map(|mailbox| mailbox.at_once)
    }

    fn of(&self, organisation: &ParticipantId) -> Option<&Quotas> {
        self.quotas.iter().find(|quotas| quotas.organisation == *organisation)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
