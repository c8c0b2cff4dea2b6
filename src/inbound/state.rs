//! The states of an incoming envelope (SDK B1.4.2), and what is kept of it: ids and addresses, never content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::read::Reader;
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::{AccessPointId, As4MessageId, ConversationId, DocumentKind, FunctionId, MailAddress, MessageId, ParticipantId, RecordId, Sha256};
use crate::port::{BlobId, Key, Record, Retained, State};

/// An envelope that came by AS4 and is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Our name for it.
    pub record: RecordId,
    /// The participant of ours that it is for.
    pub organisation: ParticipantId,
    /// The participant that it is from, by AS4 header and envelope.
    pub from: ParticipantId,
    /// What it says it carries.
    pub kind: DocumentKind,
    /// The envelope's id.
    pub envelope_id: MessageId,
    /// `eb:MessageId`.
    pub as4_id: As4MessageId,
    /// `eb:ConversationId`.
    pub as4_conversation: String,
    /// The access point that sent it.
    pub peer: AccessPointId,
    /// SHA-256 of that access point's certificate.
    pub peer_certificate: Sha256,
    /// SHA-256 of its signature value.
    pub peer_signature: Sha256,
    /// The envelope.
    pub envelope: BlobId,
    /// Our AS4 receipt, for a duplicate.
    pub signal: BlobId,
    /// When it was received.
    pub received_at: Timestamp,
    /// Octets of the envelope, which limits count. An earlier version kept none, and then it is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octets: Option<u64>,
}

impl Arrival {
    /// Where the mark of an AS4 message stands: its id is only as unique as its sender makes it.
    #[must_use]
    pub fn seen(peer: &AccessPointId, id: &As4MessageId) -> Key {
        Key::new("as4", &format!("{peer} {id}"))
    }

    /// An event that carries all ids of the arrival: each line answers SDK C3.4.6 3.4.1 by itself.
    #[must_use]
    pub fn event(&self, at: Timestamp, name: EventName) -> Event {
        let event = Event::new(at, name)
            .of(self.record, &self.organisation)
            .with(Field::OriginalSender, &self.from)
            .with(Field::FinalRecipient, &self.organisation)
            .with(Field::As4MessageId, &self.as4_id)
            .with(Field::As4ConversationId, &self.as4_conversation)
            .with(Field::PeerAccessPoint, &self.peer)
            .with(Field::PeerCertificate, self.peer_certificate)
            .with(Field::PeerSignature, self.peer_signature);
        match self.kind {
            DocumentKind::Message => event.with(Field::MessageId, &self.envelope_id),
            DocumentKind::Receipt => event.with(Field::ReceiptId, &self.envelope_id),
        }
    }
}

/// A valid message, to be delivered as mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// How it came.
    pub arrival: Arrival,
    /// The message in the clear.
    pub message: BlobId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// The message that it answers.
    pub in_reply_to: Option<MessageId>,
    /// The function it is for.
    pub function: FunctionId,
    /// The mailbox it is delivered to.
    pub mailbox: MailAddress,
    /// Whether the operator was told that delivery fails.
    pub alarmed: bool,
}

/// A message that the mail server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// What.
    pub taken: Taken,
    /// When.
    pub at: Timestamp,
}

/// A message that the mail server had and gave back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// What.
    pub taken: Taken,
    /// When the mail server took it.
    pub delivered_at: Timestamp,
    /// When it came back.
    pub at: Timestamp,
    /// Why, as an enhanced status code, where one was given.
    pub status: Option<String>,
}

/// A message that waits here to be read: its mailbox was told, and retention leaves it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// What.
    pub taken: Taken,
    /// When the mailbox was told.
    pub told_at: Timestamp,
    /// When it was reminded.
    pub reminded_at: Option<Timestamp>,
}

/// A message that somebody has read here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// What.
    pub taken: Taken,
    /// When first.
    pub at: Timestamp,
    /// By whom first; the journal has all.
    pub by: Reader,
}

/// A message that the mail server refused until the end; it is kept until somebody sees to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeliverable {
    /// What.
    pub taken: Taken,
    /// Since when.
    pub at: Timestamp,
}

/// A message that has ended and whose content's time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// What is known of it.
    pub was: Was,
    /// When it ended.
    pub at: Timestamp,
    /// Where its content is.
    pub retained: Retained,
}

/// What is known of a message whose content's time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Was {
    /// A message that was taken.
    Taken(Taken),
    /// Any other.
    Other(Arrival),
}

/// How an envelope ended that was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was a receipt, and was settled.
    Settled,
    /// It was a message, and was rejected with a receipt.
    TurnedAway,
    /// It was deleted without a receipt.
    Discarded,
    /// The mail server refused it until the end; the message is kept. Of an earlier version: see [`Undeliverable`].
    Undeliverable,
}

/// The end of an envelope that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// How it came.
    pub arrival: Arrival,
    /// How it ended.
    pub how: How,
    /// When.
    pub at: Timestamp,
    /// What is kept of it.
    pub kept: Option<BlobId>,
}

/// An incoming envelope as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Incoming {
    /// To be opened.
    Retrieved(Arrival),
    /// To be delivered.
    New(Taken),
    /// See [`Delivered`].
    Delivered(Delivered),
    /// See [`Returned`].
    Returned(Returned),
    /// See [`Unread`].
    Unread(Unread),
    /// See [`Read`].
    Read(Read),
    /// See [`Undeliverable`].
    Undeliverable(Undeliverable),
    /// An operator has seen to it, since then.
    Handled(Undeliverable),
    /// See [`Closed`].
    Closed(Closed),
    /// See [`Purged`].
    Purged(Purged),
}

impl Incoming {
    /// The version of the stored form.
    const VERSION: u8 = 1;

    /// Waiting to be opened.
    pub const RETRIEVED: State = State::new("retrieved");
    /// Waiting for mail delivery.
    pub const NEW: State = State::new("new");
    /// Delivered.
    pub const DELIVERED: State = State::new("delivered");
    /// Delivered, and given back by the mail server.
    pub const RETURNED: State = State::new("returned");
    /// Waiting to be read here.
    pub const UNREAD: State = State::new("unread");
    /// Read here.
    pub const READ: State = State::new("read");
    /// Refused by the mail server.
    pub const UNDELIVERABLE: State = State::new("undeliverable");
    /// Seen to by an operator.
    pub const HANDLED: State = State::new("handled");
    /// Ended; its content is being deleted.
    pub const PURGING: State = State::new("purging");
    /// Ended; its content was deleted.
    pub const PURGED: State = State::new("purged");
    /// Ended otherwise.
    pub const CLOSED: State = State::new("closed");

    /// The state's word.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Retrieved(_) => Self::RETRIEVED,
            Self::New(_) => Self::NEW,
            Self::Delivered(_) => Self::DELIVERED,
            Self::Returned(_) => Self::RETURNED,
            Self::Unread(_) => Self::UNREAD,
            Self::Read(_) => Self::READ,
            Self::Undeliverable(_) => Self::UNDELIVERABLE,
            Self::Handled(_) => Self::HANDLED,
            Self::Closed(_) => Self::CLOSED,
            Self::Purged(Purged { retained: Retained::Gone { .. }, .. }) => Self::PURGED,
            Self::Purged(_) => Self::PURGING,
        }
    }

    /// How it came.
    #[must_use]
    pub fn arrival(&self) -> &Arrival {
        match self {
            Self::Retrieved(arrival) | Self::Closed(Closed { arrival, .. }) | Self::Purged(Purged { was: Was::Other(arrival), .. }) => arrival,
            Self::New(taken)
            | Self::Undeliverable(Undeliverable { taken, .. })
            | Self::Handled(Undeliverable { taken, .. })
            | Self::Purged(Purged { was: Was::Taken(taken), .. })
            | Self::Delivered(Delivered { taken, .. })
            | Self::Returned(Returned { taken, .. })
            | Self::Unread(Unread { taken, .. })
            | Self::Read(Read { taken, .. }) => &taken.arrival,
        }
    }

    /// The message, when it was a valid one; of one whose content was deleted its ids are left.
    #[must_use]
    pub fn into_taken(self) -> Option<Taken> {
        match self {
            Self::New(taken)
            | Self::Delivered(Delivered { taken, .. })
            | Self::Returned(Returned { taken, .. })
            | Self::Unread(Unread { taken, .. })
            | Self::Undeliverable(Undeliverable { taken, .. })
            | Self::Handled(Undeliverable { taken, .. })
            | Self::Purged(Purged { was: Was::Taken(taken), .. })
            | Self::Read(Read { taken, .. }) => Some(taken),
            Self::Retrieved(_) | Self::Closed(_) | Self::Purged(_) => None,
        }
    }

    /// Every blob that the record names.
    #[must_use]
    pub fn blobs(&self) -> Vec<BlobId> {
        let signal = self.arrival().signal;
        match self {
            Self::Retrieved(arrival) => vec![signal, arrival.envelope],
            Self::New(taken)
            | Self::Delivered(Delivered { taken, .. })
            | Self::Returned(Returned { taken, .. })
            | Self::Unread(Unread { taken, .. })
            | Self::Undeliverable(Undeliverable { taken, .. })
            | Self::Handled(Undeliverable { taken, .. })
            | Self::Read(Read { taken, .. }) => vec![signal, taken.message],
            Self::Purged(Purged { retained: Retained::Going(doomed), .. }) => {
                std::iter::once(signal).chain(doomed.iter().map(|blob| blob.id)).collect()
            }
            Self::Purged(_) => vec![signal],
            Self::Closed(closed) => std::iter::once(signal).chain(closed.kept).collect(),
        }
    }

    /// The record to store.
    ///
    /// # Errors
    /// A [`Failure`] as of [`Record::of`].
    pub fn to_record(&self) -> Result<Record, Failure> {
        Record::of(self.arrival().record, self.state(), Self::VERSION, self)
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// A [`Failure`] as of [`Record::read`].
    pub fn from_record(record: &Record) -> Result<Self, Failure> {
        record.read(Self::VERSION)
    }
}
