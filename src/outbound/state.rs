//! The states of an outgoing message (SDK B1.4.2), and what is kept of it: ids and addresses, never content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::{As4MessageId, ConversationId, DocumentKind, FunctionId, MailAddress, MessageId, ParticipantId, RecordId};
use crate::port::{BlobId, Record, Retained, State};

/// When the sender wants to hear of it (RFC 3461 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// When it was acknowledged.
    pub success: bool,
    /// When it failed.
    pub failure: bool,
    /// When it takes long.
    pub delay: bool,
}

/// One mail to one recipient: everything but its content, which stays in the mail's blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Our name for it.
    pub record: RecordId,
    /// The mail.
    pub mail: BlobId,
    /// The SMTP transaction that brought it.
    pub transaction: uuid::Uuid,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whose it is.
    pub organisation: ParticipantId,
    /// The function it is from.
    pub function: FunctionId,
    /// `MAIL FROM`: where notices go.
    pub sender: MailAddress,
    /// `RCPT TO` as it was given.
    pub address: MailAddress,
    /// The organisation it is for.
    pub participant: ParticipantId,
    /// The function it is for.
    pub to_function: FunctionId,
    /// The SDK message's id.
    pub message_id: MessageId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// The SDK message that it answers or completes.
    pub in_reply_to: Option<MessageId>,
    /// The mail's Message-ID, with brackets; cut from a mail whose id is over 300 characters.
    pub mail_message_id: Option<String>,
    /// `ENVID`, decoded.
    pub envid: Option<String>,
    /// `ORCPT`, as given.
    pub orcpt: Option<String>,
    /// When to tell the sender.
    pub notify: Notify,
    /// The letter before it in its conversation, from the same function to the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RecordId>,
    /// That an operator has it sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent: Option<Resent>,
    /// Octets of the mail, which limits count. An earlier version kept none, and then it is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octets: Option<u64>,
}

/// A message that had ended without outcome and is sent again, as the same SDK message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// When; give-up times count from here.
    pub at: Timestamp,
    /// For the how manieth time.
    pub times: u8,
    /// What is kept of the attempts before.
    pub kept: Vec<BlobId>,
}

impl Letter {
    /// The name of a job that tells its sender something: each time that it is sent again is told anew.
    #[must_use]
    pub fn telling(&self, name: &str) -> String {
        self.resent.as_ref().map_or_else(|| name.to_owned(), |resent| format!("{name}-{}", resent.times))
    }

    /// What is kept of it wherever it is.
    fn blobs(&self) -> impl Iterator<Item = BlobId> {
        std::iter::once(self.mail).chain(self.resent.iter().flat_map(|resent| resent.kept.iter().copied()))
    }
}

/// A message receipt of ours on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Our name for it.
    pub record: RecordId,
    /// Whose it is.
    pub organisation: ParticipantId,
    /// Who gets it.
    pub participant: ParticipantId,
    /// The receipt's own envelope id.
    pub envelope_id: MessageId,
    /// The message that it is for.
    pub refers_to: MessageId,
    /// The incoming message's record.
    pub incoming: RecordId,
    /// Its code, `ACCEPTED` or `REJECTED …`, for the journal.
    pub code: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// That an operator has it sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent: Option<Resent>,
}

/// What an AS4 message carries.
#[expect(clippy::large_enum_variant, reason = "letters are the rule, and none is kept in bulk")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cargo {
    /// A message of ours.
    Letter(Letter),
    /// A receipt of ours for a message of theirs.
    Reply(Reply),
}

impl Cargo {
    /// Our name for it.
    #[must_use]
    pub fn record(&self) -> RecordId {
        match self {
            Self::Letter(letter) => letter.record,
            Self::Reply(reply) => reply.record,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn organisation(&self) -> &ParticipantId {
        match self {
            Self::Letter(letter) => &letter.organisation,
            Self::Reply(reply) => &reply.organisation,
        }
    }

    /// Who gets it.
    #[must_use]
    pub fn participant(&self) -> &ParticipantId {
        match self {
            Self::Letter(letter) => &letter.participant,
            Self::Reply(reply) => &reply.participant,
        }
    }

    /// The SDK message that it is or is for.
    #[must_use]
    pub fn message_id(&self) -> &MessageId {
        match self {
            Self::Letter(letter) => &letter.message_id,
            Self::Reply(reply) => &reply.refers_to,
        }
    }

    /// The kind of document inside.
    #[must_use]
    pub fn kind(&self) -> DocumentKind {
        match self {
            Self::Letter(_) => DocumentKind::Message,
            Self::Reply(_) => DocumentKind::Receipt,
        }
    }

    /// When its clock began: give-up times count from here.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        match self {
            Self::Letter(letter) => letter.resent.as_ref().map_or(letter.accepted_at, |resent| resent.at),
            Self::Reply(reply) => reply.resent.as_ref().map_or(reply.made_at, |resent| resent.at),
        }
    }

    /// `eb:ConversationId`: the conversation for a message, the envelope for a receipt (SDK C3.2.1 2.7).
    #[must_use]
    pub fn as4_conversation(&self) -> &str {
        match self {
            Self::Letter(letter) => letter.conversation_id.as_str(),
            Self::Reply(reply) => reply.envelope_id.as_str(),
        }
    }

    /// What is kept of it wherever it is.
    fn blobs(&self) -> Vec<BlobId> {
        match self {
            Self::Letter(letter) => letter.blobs().collect(),
            Self::Reply(reply) => reply.resent.iter().flat_map(|resent| resent.kept.iter().copied()).collect(),
        }
    }

    /// An event that carries all ids of the cargo.
    #[must_use]
    pub fn event(&self, at: Timestamp, name: EventName) -> Event {
        let event = Event::new(at, name)
            .of(self.record(), self.organisation())
            .with(Field::MessageId, self.message_id())
            .with(Field::OriginalSender, self.organisation())
            .with(Field::FinalRecipient, self.participant());
        match self {
            Self::Letter(letter) => {
                let event = event.with(Field::ConversationId, &letter.conversation_id).with(Field::Function, &letter.to_function);
                let event = event.with(Field::Transaction, letter.transaction.simple());
                letter.mail_message_id.as_ref().map_or(event.clone(), |id| event.with(Field::MailMessageId, id))
            }
            Self::Reply(reply) => event.with(Field::ReceiptId, &reply.envelope_id).with(Field::ReceiptCode, &reply.code),
        }
    }
}

/// The AS4 side of a sealed envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Fixed before the first attempt; every attempt has it.
    pub as4_id: As4MessageId,
    /// The sealed envelope.
    pub envelope: BlobId,
    /// The AS4 request, once it is made; every attempt sends these bytes.
    pub request: Option<BlobId>,
    /// Whether an attempt so far may have got there; written before each attempt, so a crash leaves it at the safe side.
    #[serde(default)]
    pub reached: Reached,
    /// When the sender was told that it takes long.
    pub delay_told: Option<Timestamp>,
    /// Host and port of the other access point, as they were last known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// It fails by itself, while others get through: later ones of its conversation wait for it no longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yields: bool,
}

/// Host and port of an endpoint, as destinations are told apart.
#[must_use]
pub fn place(endpoint: &str) -> String {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|octet| octet.is_ascii_digit()));
    let port = if endpoint.starts_with("http://") { 80 } else { 443 };
    let place = if has_port { host } else { format!("{host}:{port}") };
    // No host name is longer; what is, names no host, and would not fit a record.
    place.chars().take(260).collect()
}

/// Whether the other access point may have taken a message without our knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// It cannot have: no connection came about, or it said by an error that it did not take it.
    Never,
    /// It may have.
    #[default]
    Perhaps,
}

impl Reached {
    /// Either of two attempts.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Perhaps { self } else { other }
    }
}

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
    fn destinations_are_told_apart_by_host_and_port() {
        for (endpoint, expected) in [
            ("https://AS4.habo.se/as4", "as4.habo.se:443"),
            ("https://as4.habo.se:443/other", "as4.habo.se:443"),
            ("https://as4.habo.se:8443", "as4.habo.se:8443"),
            ("http://127.0.0.1:4080/as4", "127.0.0.1:4080"),
            ("https://u@[2001:db8::1]/x", "[2001:db8::1]:443"),
            ("nonsense", "nonsense:443"),
        ] {
            assert_eq!(place(endpoint), expected);
        }
        assert!(place(&format!("https://{}/", "å".repeat(9_000))).len() <= 1_040);
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
