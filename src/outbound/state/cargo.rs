//! What an AS4 message of ours carries: a letter, or a message receipt on its way back. Ids and addresses, never content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, EventName, Field};
use crate::ident::{ConversationId, DocumentKind, FunctionId, MailAddress, MessageId, ParticipantId, RecordId};
use crate::port::BlobId;

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
    pub(super) fn blobs(&self) -> impl Iterator<Item = BlobId> {
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
    pub(super) fn blobs(&self) -> Vec<BlobId> {
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
