//! One event of the journal: what happened to a message, with every id that it may be asked for by, never content.
//!
//! Steps make events, the store keeps them in the same transaction as the change they tell of (SDK C3.4.6 3.4.1,
//! SDK C1.6 3.3.a). The same fields carry the same names everywhere, so that one search finds a whole life.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ident::{ParticipantId, RecordId};

mod standing;
mod words;

pub use standing::{Standing, Who};
pub use words::Language;

/// What happened, in the order of the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventName {
    /// The gateway started.
    Started,
    /// A mail was taken in; one event for each recipient.
    MailAccepted,
    /// A mail that a program sent by itself was taken in and dropped (RFC 3834).
    MailDropped,
    /// A mail that goes in circles was refused.
    LoopStopped,
    /// A pair of functions exchanges messages too fast; ours are kept back.
    PairHeld,
    /// A message of such a pair is kept back.
    Held,
    /// A message that was kept back goes on.
    Released,
    /// Malware was found, in a mail that was refused or a message that was turned away.
    MalwareFound,
    /// A mail or a message was passed on although nobody looked for malware in it, as it is configured.
    Unscanned,
    /// A mail equal to an unconfirmed one came again and is the same transaction (RFC 1047).
    MailRepeated,
    /// A mail in an outbox folder was refused, and its writer told.
    MailRefused,
    /// The recipient's metadata was looked up and verified.
    Addressed,
    /// Metadata was used beyond its age, since DNS or the SMP is down.
    StaleMetadata,
    /// The XHE was encrypted and signed.
    Sealed,
    /// The AS4 message was signed and encrypted; its id is fixed.
    Submitted,
    /// One attempt to send failed and will be repeated.
    SendDeferred,
    /// A message waits to be sent, without an attempt: an earlier one of its conversation is first, or its destination is down.
    SendQueued,
    /// A destination has been down for long.
    DestinationDown,
    /// A destination that had been down for long is back.
    DestinationBack,
    /// The access point's receipt was verified.
    Acknowledged,
    /// The message receipt says ACCEPTED.
    Accepted,
    /// The message receipt says REJECTED.
    Rejected,
    /// An outgoing message ended without outcome.
    ExchangeFailed,
    /// A message receipt came after the end; recorded, told once.
    LateReceipt,
    /// A message receipt came that belongs to nothing here or contradicts what is known.
    StrayReceipt,
    /// The sender was told of an outcome.
    NoticeSent,
    /// An AS4 message was taken in and our receipt signed.
    Received,
    /// An AS4 message came again and got the recorded receipt.
    DuplicateReceived,
    /// An AS4 message was refused with an EBMS error.
    Refused,
    /// An XHE was verified and decrypted.
    Opened,
    /// A step waits for somebody else, such as the SMP or a revocation list, and will be repeated.
    Postponed,
    /// An SDK message was found valid and is stored.
    Taken,
    /// An SDK message was rejected; our receipt says why.
    TurnedAway,
    /// An XHE was deleted without a receipt (SDK C3.4.6 3.1.6).
    Discarded,
    /// Our message receipt reached the other access point.
    ReceiptSent,
    /// The mail was handed to the mail server.
    Delivered,
    /// The mail server has a notice that a message waits in the gateway to be read.
    Noticed,
    /// Somebody read a message in the gateway.
    MessageRead,
    /// One attempt to deliver failed and will be repeated.
    DeliveryDeferred,
    /// The mail server may have got the mail twice: its answer was missed (RFC 1047).
    PossibleDuplicate,
    /// The mail server gave a mail back that it had taken.
    Returned,
    /// A notice about a delivered mail came that changes nothing: a delay, a success, one that was known.
    ReturnNoted,
    /// An operator has a message sent again that had ended without outcome.
    Resent,
    /// An operator has something tried now that waited for its next attempt.
    TriedNow,
    /// An operator stopped a message before it was sent.
    Cancelled,
    /// An operator has a received message delivered once more.
    Redelivered,
    /// An operator has seen to a message that could not be delivered or was not read.
    Handled,
    /// Nothing of a message, a conversation or an organisation is deleted until further notice.
    HoldSet,
    /// What was held is deleted again when its time is over.
    HoldEnded,
    /// A deletion that is due waits for the end of a hold.
    PurgeHeld,
    /// A body was deleted since its time is over, and found gone.
    ContentDeleted,
    /// What was left of a message was deleted since its time is over, and found gone.
    RecordDeleted,
    /// A certificate or a revocation list ends soon.
    Expiring,
    /// An organisation, a mailbox or a node has reached one of its limits.
    LimitReached,
    /// It is below that limit again.
    LimitOver,
    /// The operator was told.
    Alarmed,
    /// A step failed in a way that nobody foresaw.
    Faulted,
    /// The state was restored from a backup: what the gateway did after it was taken is not known.
    Restored,
    /// The state was written to a file, to be brought elsewhere.
    Exported,
    /// The state was brought here from files or from a database.
    Imported,
    /// The keys of what is kept were read again; new ones may be among them.
    KeysChanged,
    /// What is kept was encrypted with the active keys, all that could be.
    Rekeyed,
}

/// Declares the fields once: the list of all of them, with what each means, is made of the same text.
macro_rules! fields {
    ($( $( #[doc = $means:literal] )+ $field:ident, )+) => {
        /// What a field of an event names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Field {
            $( $( #[doc = $means] )+ $field, )+
        }

        impl Field {
            /// Every field, and what it means.
            pub const ALL: &[(Self, &str)] = &[$( (Self::$field, concat!($( $means ),+).trim_ascii()), )+];
        }
    };
}

fields! {
    /// The SDK message's id.
    MessageId,
    /// The SDK conversation's id.
    ConversationId,
    /// The id of the message that is answered.
    RefToMessageId,
    /// `eb:MessageId` of the user message.
    As4MessageId,
    /// `eb:MessageId` of the signal that answered it.
    As4SignalId,
    /// `eb:ConversationId`.
    As4ConversationId,
    /// The mail's Message-ID.
    MailMessageId,
    /// The SMTP transaction that brought the mail.
    Transaction,
    /// The other access point's name.
    PeerAccessPoint,
    /// SHA-256 of the other access point's certificate.
    PeerCertificate,
    /// SHA-256 of the signature value that was verified.
    PeerSignature,
    /// The sending participant.
    OriginalSender,
    /// The receiving participant.
    FinalRecipient,
    /// The function on the other side or on ours.
    Function,
    /// SHA-256 of the participant's certificate.
    ParticipantCertificate,
    /// The receipt's own id.
    ReceiptId,
    /// The receipt's code with its detail codes.
    ReceiptCode,
    /// The EBMS error code.
    ErrorCode,
    /// The state that the record is in now.
    State,
    /// Octets.
    Size,
    /// SHA-256 of an attachment or a body.
    Digest,
    /// The address of the other end of a connection.
    PeerAddress,
    /// As whom a mail client was known, where that was not by its address.
    Account,
    /// Which attempt.
    Attempt,
    /// When the next attempt is due.
    NextAttempt,
    /// What failed and why; never content.
    Cause,
    /// The queue id that the mail server answered with.
    MailServerAnswer,
    /// Who read it.
    Reader,
    /// Which operator asked for it.
    Operator,
    /// A body by its name in the spool.
    Blob,
    /// The rule of retention by which it was deleted.
    Rule,
    /// The host and port of another access point, or the name of a mail server.
    Destination,
    /// The kind of document.
    Document,
    /// The participant whose metadata was used.
    MetadataOf,
    /// When the metadata that was used was fetched.
    MetadataFetched,
    /// The subject of the certificate that the other end of the connection showed and that was verified.
    TlsClient,
    /// SHA-256 of that certificate.
    TlsClientCertificate,
    /// The mail address that a mail came from (`MAIL FROM`).
    Sender,
    /// The mail address that a mail was sent to (`RCPT TO`).
    Recipient,
    /// The mail address that a message is delivered to.
    Mailbox,
    /// Our function that a message is from.
    OwnFunction,
    /// SHA-256 of the certificate of ours that signed.
    OwnCertificate,
    /// The node, of several, that it happened on.
    Node,
    /// The keys that what is kept is encrypted with, by their ids, the active one first.
    Key,
}

impl Field {
    /// Whether its value names something that an operator may ask by: an id, an address, a fingerprint.
    #[must_use]
    pub fn is_name(self) -> bool {
        matches!(
            self,
            Self::MessageId
                | Self::ConversationId
                | Self::RefToMessageId
                | Self::As4MessageId
                | Self::As4SignalId
                | Self::As4ConversationId
                | Self::MailMessageId
                | Self::Transaction
                | Self::PeerAccessPoint
                | Self::PeerCertificate
                | Self::PeerSignature
                | Self::ParticipantCertificate
                | Self::OwnCertificate
                | Self::ReceiptId
                | Self::Digest
                | Self::Sender
                | Self::Recipient
                | Self::Mailbox
                | Self::Function
                | Self::OwnFunction
                | Self::TlsClientCertificate
        )
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub name: EventName,
    /// To which record; none for events of the gateway itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<RecordId>,
    /// Whose it is: events are kept apart per participant (SDK C1.6 3.3.a).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub organisation: Option<ParticipantId>,
    /// The rest.
    #[serde(flatten)]
    pub fields: BTreeMap<Field, String>,
}

impl Event {
    /// An event without fields.
    #[must_use]
    pub fn new(at: Timestamp, name: EventName) -> Self {
        Self { at, name, record: None, organisation: None, fields: BTreeMap::new() }
    }

    /// Names the record and whose it is.
    #[must_use]
    pub fn of(mut self, record: RecordId, organisation: &ParticipantId) -> Self {
        self.record = Some(record);
        self.organisation = Some(organisation.clone());
        self
    }

    /// Adds why it happened, and what the failure knows besides.
    #[must_use]
    pub fn because(self, failure: &Failure) -> Self {
        failure.facts.iter().fold(self, |event, (field, value)| event.with(*field, value)).with(Field::Cause, &failure.what)
    }

    /// Adds a field that is not always known.
    #[must_use]
    pub fn with_some(self, field: Field, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    /// Adds a field; the text is cut to 512 characters and freed of control characters, since peers write some of it.
    #[must_use]
    pub fn with(mut self, field: Field, value: impl ToString) -> Self {
        let text = value.to_string().chars().take(512).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.fields.insert(field, text);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_reads_back() {
        let event = Event::new(Timestamp::UNIX_EPOCH, EventName::Received).with(Field::Cause, "a\r\nb").with(Field::Attempt, 3);
        let line = serde_json::to_string(&event).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(line, r#"{"at":"1970-01-01T00:00:00Z","name":"received","attempt":"3","cause":"a  b"}"#);
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
