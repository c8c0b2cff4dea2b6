//! The states of an outgoing message (SDK B1.4.2), and what is kept of it: ids and addresses, never content.

mod cargo;
mod dispatch;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use cargo::{Cargo, Letter, Notify, Reply, Resent};
pub use dispatch::{Dispatch, Reached, place};

use crate::failure::Failure;
use crate::ident::RecordId;
use crate::port::{BlobId, Record, Retained, State};

/// Accepted, valid, recipient known; not yet sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// What.
    pub letter: Letter,
    /// When the sender was told that it takes long.
    pub delay_told: Option<Timestamp>,
}

/// Not sealed yet, and kept back: its pair of functions exchanges messages too fast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What.
    pub letter: Letter,
    /// Until when.
    pub until: Timestamp,
    /// When the sender was told that it takes long.
    pub delay_told: Option<Timestamp>,
}

/// Sealed; the AS4 id is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// What.
    pub cargo: Cargo,
    /// Its envelope and request.
    pub dispatch: Dispatch,
}

/// The other access point has it; the message receipt is awaited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What.
    pub letter: Letter,
    /// Its envelope and request.
    pub dispatch: Dispatch,
    /// When the access point's receipt was verified.
    pub acknowledged_at: Timestamp,
    /// The access point's receipt; absent when a retry was answered as a duplicate.
    pub signal: Option<BlobId>,
    /// When the sender was told that it takes long.
    pub delay_told: Option<Timestamp>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The message receipt says ACCEPTED, or our receipt was delivered.
    Accepted,
    /// The message receipt says REJECTED.
    Rejected,
    /// No outcome, or it could not be sent.
    ExchangeError,
}

/// The end; a receipt that comes now is told once and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What.
    pub cargo: Cargo,
    /// How.
    pub end: End,
    /// When.
    pub at: Timestamp,
    /// Whether a receipt that came after the end was told: a late one to the sender, one that contradicts to the operator.
    pub late_told: bool,
    /// What is kept until retention ends: envelope, request, both receipts, as far as there were any.
    pub kept: Vec<BlobId>,
    /// Where its content is.
    #[serde(default, skip_serializing_if = "Retained::is_whole")]
    pub retained: Retained,
}

/// An outgoing message or receipt as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Outgoing {
    /// See [`Scheduled`].
    Scheduled(Scheduled),
    /// See [`Held`].
    Held(Held),
    /// See [`Submitted`].
    Submitted(Submitted),
    /// See [`Waiting`].
    Waiting(Waiting),
    /// See [`Ended`].
    Ended(Ended),
}

impl Outgoing {
    /// The version of the stored form.
    const VERSION: u8 = 1;

    /// Waiting to be sealed.
    pub const SCHEDULED: State = State::new("scheduled");
    /// Kept back.
    pub const HELD: State = State::new("held");
    /// Waiting to be sent.
    pub const SUBMITTED: State = State::new("submitted");
    /// Waiting for the message receipt.
    pub const WAITING: State = State::new("waiting-for-receipt");
    /// Ended well.
    pub const ACCEPTED: State = State::new("accepted");
    /// Ended with a rejection.
    pub const REJECTED: State = State::new("rejected");
    /// Ended without outcome.
    pub const EXCHANGE_ERROR: State = State::new("message-exchange-error");

    /// Ended in any way; its content is being deleted.
    pub const PURGING: State = State::new("purging");
    /// Ended in any way; its content was deleted.
    pub const PURGED: State = State::new("purged");

    /// The state's word.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Ended(Ended { retained: Retained::Going(_), .. }) => Self::PURGING,
            Self::Ended(Ended { retained: Retained::Gone { .. }, .. }) => Self::PURGED,
            Self::Scheduled(_) => Self::SCHEDULED,
            Self::Held(_) => Self::HELD,
            Self::Submitted(_) => Self::SUBMITTED,
            Self::Waiting(_) => Self::WAITING,
            Self::Ended(Ended { end: End::Accepted, .. }) => Self::ACCEPTED,
            Self::Ended(Ended { end: End::Rejected, .. }) => Self::REJECTED,
            Self::Ended(Ended { end: End::ExchangeError, .. }) => Self::EXCHANGE_ERROR,
        }
    }

    /// Our name for it.
    #[must_use]
    pub fn record_id(&self) -> RecordId {
        match self {
            Self::Scheduled(Scheduled { letter, .. }) | Self::Held(Held { letter, .. }) | Self::Waiting(Waiting { letter, .. }) => letter.record,
            Self::Submitted(Submitted { cargo, .. }) | Self::Ended(Ended { cargo, .. }) => cargo.record(),
        }
    }

    /// What it carries.
    #[must_use]
    pub fn cargo(&self) -> Cargo {
        match self {
            Self::Scheduled(Scheduled { letter, .. }) | Self::Held(Held { letter, .. }) | Self::Waiting(Waiting { letter, .. }) => {
                Cargo::Letter(letter.clone())
            }
            Self::Submitted(Submitted { cargo, .. }) | Self::Ended(Ended { cargo, .. }) => cargo.clone(),
        }
    }

    /// Its end, keeping what it names.
    #[must_use]
    pub fn ended(&self, end: End, receipt: Option<BlobId>, at: Timestamp) -> Ended {
        let cargo = self.cargo();
        let own = cargo.blobs();
        let kept = self.blobs().into_iter().filter(|blob| !own.contains(blob)).chain(receipt).collect();
        Ended { cargo, end, at, late_told: false, kept, retained: Retained::Whole }
    }

    /// Every blob that the record names.
    #[must_use]
    pub fn blobs(&self) -> Vec<BlobId> {
        let of_dispatch = |dispatch: &Dispatch| std::iter::once(dispatch.envelope).chain(dispatch.request);
        let own = self.cargo().blobs().into_iter();
        match self {
            Self::Scheduled(_) | Self::Held(_) => own.collect(),
            Self::Submitted(s) => own.chain(of_dispatch(&s.dispatch)).collect(),
            Self::Waiting(s) => own.chain(of_dispatch(&s.dispatch)).chain(s.signal).collect(),
            Self::Ended(s) => {
                // The mail was deleted, or is another recipient's alone by now.
                let gone = match &s.cargo {
                    Cargo::Letter(letter) if matches!(s.retained, Retained::Gone { .. }) => Some(letter.mail),
                    Cargo::Letter(_) | Cargo::Reply(_) => None,
                };
                own.chain(s.kept.iter().copied()).filter(|blob| Some(*blob) != gone).collect()
            }
        }
    }

    /// The record to store.
    ///
    /// # Errors
    /// A [`Failure`] as of [`Record::of`].
    pub fn to_record(&self) -> Result<Record, Failure> {
        Record::of(self.record_id(), self.state(), Self::VERSION, self)
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// A [`Failure`] as of [`Record::read`].
    pub fn from_record(record: &Record) -> Result<Self, Failure> {
        record.read(Self::VERSION)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn letter() -> Letter {
        Letter {
            record: RecordId(uuid::Uuid::from_u128(1)),
            mail: BlobId(uuid::Uuid::from_u128(2)),
            transaction: uuid::Uuid::from_u128(3),
            accepted_at: Timestamp::UNIX_EPOCH,
            organisation: "0203:habo.se".parse().unwrap(),
            function: "socialkontoret".parse().unwrap(),
            sender: "socialkontoret@habo.se".parse().unwrap(),
            address: "inkorg@arbetsformedlingen.se.sdk.habo.se".parse().unwrap(),
            participant: "0203:arbetsformedlingen.se".parse().unwrap(),
            to_function: "inkorg".parse().unwrap(),
            message_id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap(),
            conversation_id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap(),
            in_reply_to: None,
            mail_message_id: Some("<1@habo.se>".into()),
            envid: None,
            orcpt: None,
            notify: Notify { success: true, failure: true, delay: true },
            resent: None,
            octets: Some(1_000),
            after: None,
        }
    }

    #[test]
    fn every_state_survives_its_record() {
        let dispatch = Dispatch {
            as4_id: "a@b".parse().unwrap(),
            envelope: BlobId(uuid::Uuid::nil()),
            request: None,
            reached: Reached::Never,
            delay_told: None,
            place: None,
            yields: false,
        };
        let cargo = Cargo::Letter(letter());
        for state in [
            Outgoing::Scheduled(Scheduled { letter: letter(), delay_told: None }),
            Outgoing::Submitted(Submitted { cargo: cargo.clone(), dispatch: dispatch.clone() }),
            Outgoing::Waiting(Waiting { letter: letter(), dispatch, acknowledged_at: Timestamp::UNIX_EPOCH, signal: None, delay_told: None }),
            Outgoing::Ended(Ended {
                cargo,
                end: End::Rejected,
                at: Timestamp::UNIX_EPOCH,
                late_told: false,
                kept: Vec::new(),
                retained: Retained::Whole,
            }),
        ] {
            let record = state.to_record().unwrap();
            assert_eq!(Outgoing::from_record(&record).unwrap(), state);
            assert_eq!(record.state, state.state());
        }
    }

    #[test]
    fn a_record_of_another_version_is_refused_with_advice() {
        let mut record = Outgoing::Scheduled(Scheduled { letter: letter(), delay_told: None }).to_record().unwrap();
        record.body = record.body.replace("\"v\":1", "\"v\":9");
        assert!(!Outgoing::from_record(&record).unwrap_err().hint.is_empty());
    }
}
