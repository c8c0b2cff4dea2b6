//! The worker: claims jobs, calls the pure steps of the flows, and carries out what they return.
//!
//! ```text
//!                            mail side                       access point's side
//!                            participants' keys              access point's keys
//! mails (SMTP, IMAP) ─▶ reception ─▶ Seal ───────┐
//!                       Notify ◀─ Await          ├─ store ─▶ Send ─▶ other access points
//!                       Answer ──────────────────┤
//! mail server ◀─ Deliver ◀─ Open ◀───────────────┴─ store ◀─ arrival ◀─ AS4
//! ```
//!
//! Each side (`sides`) has its own keys, edges and queues; what one has to say to the other goes through the store. So they
//! can be two programs on two machines: what a node of one role lacks is not in its types.
//!
//! Only here are Store, Blobs, Directory, Transport and MailSink called. Every effect passes a fail point named after
//! its step, so that tests can end the program between any two of them.

mod acquaintances;
mod admission;
mod answer;
mod arrival;
mod attend;
mod chance;
mod deliver;
mod doubt;
mod effects;
mod expiry;
mod holds;
mod household;
mod lanes;
mod lawful;
mod limits;
mod lookup;
mod loops;
mod nearest;
mod notice;
mod notify;
mod open;
mod operate;
mod orphans;
mod outbox;
mod overview;
mod pace;
mod published;
mod purge;
mod reading;
mod reception;
mod refusals;
mod registration;
mod returned;
mod room;
mod run;
mod scan;
mod seal;
mod send;
mod sides;
mod sinks;
mod smtp;
mod stale;
mod threads;
mod traffic;
mod turn;
mod verify;
mod wellness;

use jiff::Timestamp;

use crate::crypto::Identity;
use crate::ident::{AccessPointId, Sha256};

pub use acquaintances::Acquaintances;
pub use admission::{Account, Admission, Admits, PASSWORDS_AT_ONCE};
#[cfg(feature = "failpoints")]
pub use chance::fixed::fix_chance;
pub use expiry::{Expiry, Watched};
pub use holds::{Hold, HoldOn};
pub use household::{Household, Mailbox, Mode, Organisation};
pub use lanes::{LaneOptions, Lanes};
pub use lawful::unlawful;
pub use limits::{Limit, Limits, MailboxQuota, Quotas, Usage};
pub use operate::{Did, Target};
pub use orphans::Found;
pub use outbox::{OtherRecipients, OutboxDoor, OutboxSettings};
pub use overview::{Count, Known, Line, Overview, Waiting};
pub use pace::{FAILED_LOGINS, Rate, SenderPace};
pub use purge::Retention;
pub use reception::{Destination, FOR_ROOM, Refusal, Sender, Settled};
pub use registration::Misregistered;
pub use room::Room;
pub use run::Crew;
pub use scan::{Directions, Malware, OnFailure};
pub use sides::{AccessPointSide, Company, Gateway, MailSettings, MailSide, Node, Participant, Settings, Sides};
pub use sinks::Sinks;
pub use smtp::MailDoor;
pub use turn::{TERM, Turn};
pub use verify::{Agreement, agreement, bodies_of, body_of};

/// The access point's side: its name and keys. Steps of the participants never see it.
#[derive(Debug, Clone)]
pub struct AccessPoint {
    /// The CN of the certificate.
    pub name: AccessPointId,
    /// Signs and decrypts AS4.
    pub identity: Identity,
    /// The next key or the one before it: they decrypt, and sign for those who know no other.
    pub others: Vec<Identity>,
    /// The URL that SMP must have for it.
    pub public_url: String,
    /// What is accepted in AS4 headers.
    pub pmode: crate::as4::pmode::PMode,
    /// Bounds on what is received.
    pub limits: crate::as4::receive::ReceiveLimits,
    /// Which access points may bring a participant's messages.
    pub bringer: crate::inbound::receive::Bringer,
}

impl AccessPoint {
    /// Every key that decrypts.
    #[must_use]
    pub fn keys(&self) -> Vec<Identity> {
        std::iter::once(&self.identity).chain(&self.others).cloned().collect()
    }

    /// What signs the receipt of a message that was encrypted to this certificate of ours. Its sender found that one in SMP
    /// and will compare the receipt's signer with it, perhaps out of a cache from before a change of keys.
    #[must_use]
    pub fn answering(&self, recipient: Option<Sha256>, now: Timestamp) -> &Identity {
        let known = self.others.iter().find(|other| recipient.is_some_and(|known| other.certificate.fingerprint() == known));
        known.filter(|other| other.certificate.is_valid_at(now)).unwrap_or(&self.identity)
    }
}
