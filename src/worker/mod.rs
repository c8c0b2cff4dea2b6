//! The worker: claims jobs, calls the pure steps of the flows, and carries out what they return.
//!
//! ```text
//! reception (SMTP) ─┐                        ┌─ Seal   ─ participant's keys
//! arrival   (AS4)  ─┼─▶ store: jobs ─claim─▶ ┼─ Send   ─ access point's keys
//!                   │                        ├─ Open   ─ participant's keys
//!                   │                        ├─ Answer ─ participant's keys
//!                   └─ steps, Effects ◀──────┴─ Deliver, Await, Notify ─ no keys
//! ```
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
mod effects;
mod expiry;
mod household;
mod loops;
mod nearest;
mod notice;
mod notify;
mod open;
mod orphans;
mod outbox;
mod overview;
mod pace;
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
mod sinks;
mod smtp;
mod stale;
mod threads;

use std::sync::Arc;

use jiff::Timestamp;

use crate::crypto::Identity;
use crate::ident::{AccessPointId, Domain, FederationId, MailAddress, Sha256};
use crate::outbound::retry::Schedule;
use crate::port::{Blobs, Clock, Directory, Store, Transport, Trust};
use crate::sdk::message::MessageLimits;

pub use acquaintances::Acquaintances;
pub use admission::{Account, Admission, Admits};
#[cfg(feature = "failpoints")]
pub use chance::fixed::fix_chance;
pub use expiry::{Expiry, Watched};
pub use household::{Household, Mailbox, Mode, Organisation};
pub use orphans::Found;
pub use outbox::{OtherRecipients, OutboxDoor, OutboxSettings};
pub use overview::{Count, Known, Line, Overview, Waiting};
pub use pace::{Rate, SenderPace};
pub use reception::{Destination, Refusal, Sender, Settled};
pub use registration::Misregistered;
pub use room::Room;
pub use run::Crew;
pub use scan::{Directions, Malware, OnFailure};
pub use sinks::Sinks;
pub use smtp::MailDoor;

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

/// What all steps share that is no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The gateway's host name.
    pub name: Domain,
    /// The gateway's own mail domain.
    pub domain: Domain,
    /// The federation.
    pub federation: FederationId,
    /// Which access points may bring a participant's messages.
    pub bringer: crate::inbound::receive::Bringer,
    /// Who is told when a human is needed.
    pub operator: MailAddress,
    /// The sender of notices.
    pub postmaster: MailAddress,
    /// How long a file type that a function has refused is not sent to it.
    pub refused_types: jiff::SignedDuration,
    /// Attempts and patience, where no organisation is known that has its own.
    pub schedule: Schedule,
    /// Attempts at delivering to the mail server.
    pub delivery: Schedule,
    /// Bounds on messages that come in.
    pub message: MessageLimits,
    /// Bounds on messages that go out.
    pub sending: MessageLimits,
    /// Where people read messages of mailboxes that are only told of them.
    pub reading: Option<String>,
    /// Where scratch files are made.
    pub scratch: std::path::PathBuf,
    /// The transport profiles of endpoints that are sent to.
    pub transport_profiles: Vec<String>,
    /// What ends some day.
    pub expiry: Expiry,
}

/// Everything a job may need of the world.
pub struct Gateway {
    /// Records, notes, jobs, journal.
    pub store: Arc<dyn Store>,
    /// Bodies.
    pub blobs: Arc<dyn Blobs>,
    /// DNS, SMP, CertPub.
    pub directory: Arc<dyn Directory>,
    /// Certificates.
    pub trust: Arc<dyn Trust>,
    /// AS4 out.
    pub transport: Arc<dyn Transport>,
    /// Mail out.
    pub sinks: Sinks,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The memory for messages that are held whole.
    pub room: Room,
    /// What all steps share.
    pub settings: Settings,
    /// The participants' side.
    pub household: Household,
    /// The access point's side.
    pub access_point: AccessPoint,
    /// What looks for malware, when something does.
    pub malware: Option<Malware>,
    /// Other access points whose certificates are known.
    pub acquaintances: Acquaintances,
}
