//! Receiving: the AS4 message is compared with the envelope inside, and taken in before it is acknowledged.
//!
//! Uses the access point's keys and nothing of the participant's: the envelope stays sealed.

use jiff::Timestamp;

use super::state::{Arrival, Incoming};
use crate::as4::{Code, EbmsError, UserMessage};
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::{FederationId, ParticipantId};
use crate::port::{Blob, BlobKind, Effects, Guard, Job, JobId, NewBlob, Op, Queue, Step};
use crate::sdk::envelope::Header;

/// Whether this gateway serves a participant.
pub type Serves<'a> = &'a (dyn Fn(&ParticipantId) -> bool + Sync);

/// Why an AS4 message is refused: the error for its sender, and the cause for our journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What the other access point gets.
    pub error: Box<EbmsError>,
    /// What the journal gets.
    pub cause: String,
}

/// Compares the AS4 header with the envelope (SDK C3.4.6 3.1.6, SDK C3.3.2 2.14.1).
///
/// # Errors
/// [`Refused`] at the first disagreement; the message is deleted and never answered with a message receipt.
pub fn cross_check(message: &UserMessage, header: &Header, federation: &FederationId, serves: Serves<'_>) -> Result<(), Refused> {
    let refuse = |error: EbmsError, cause: &str| Err(Refused { error: Box::new(error), cause: cause.to_owned() });
    // SDK C3.2.1 2.5.a
    if !serves(&message.final_recipient) {
        return refuse(EbmsError::not_serviced(), "the recipient is not served here");
    }
    if header.to != message.final_recipient {
        return refuse(inconsistent("finalRecipient"), "finalRecipient is not the envelope's ToParty");
    }
    if header.from != message.original_sender {
        return refuse(inconsistent("originalSender"), "originalSender is not the envelope's FromParty");
    }
    if header.kind != message.kind {
        return refuse(inconsistent("Action"), "the Action is not the envelope's document");
    }
    if &header.federation != federation {
        return refuse(inconsistent("FEDERATIONID"), "the envelope is of another federation");
    }
    Ok(())
}

fn inconsistent(what: &str) -> EbmsError {
    EbmsError::new(Code::ValueInconsistent, format!("{what} does not agree with the envelope"))
}

/// The envelope is durable: the arrival, our receipt and the mark of the AS4 id become durable together.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn receive(arrival: Arrival, receipt: Vec<u8>, now: Timestamp) -> Result<Effects, Failure> {
    let mark = Arrival::seen(&arrival.peer, &arrival.as4_id);
    let event = arrival
        .event(now, EventName::Received)
        .with(Field::As4ConversationId, &arrival.as4_conversation)
        .with(Field::PeerCertificate, arrival.peer_certificate)
        .with(Field::PeerSignature, arrival.peer_signature)
        .with(Field::Document, arrival.kind.action());
    let header = serde_json::json!({ "record": arrival.record }).to_string();
    let blob = NewBlob { blob: Blob { id: arrival.signal, kind: BlobKind::Signal, header }, body: receipt.into() };
    let step = Step::new()
        .guard(Guard::Absent(mark.clone()))
        .guard(Guard::New(arrival.record))
        .op(Op::Note(mark, arrival.signal.0.simple().to_string()))
        .op(Op::Enqueue(Job::new(JobId::of(arrival.record, "open"), Queue::Open, arrival.record, now)))
        .op(Op::Audit(event))
        .op(Op::Put(Incoming::Retrieved(arrival).to_record()?));
    Ok(Effects { blobs: vec![blob], step, discard: Vec::new() })
}

/// What is known of an AS4 message that is not taken in, for the journal.
pub struct Unreceived<'a> {
    /// The address that it came from.
    pub peer_address: &'a str,
    /// The user message, as far as it could be read and verified.
    pub message: Option<&'a UserMessage>,
    /// Why; for a duplicate, nothing.
    pub cause: Option<&'a str>,
    /// The code that the other side got.
    pub error: Option<&'a EbmsError>,
}

/// The journal line of an AS4 message that was refused, or answered as a duplicate.
#[must_use]
pub fn unreceived(what: &Unreceived<'_>, now: Timestamp) -> Step {
    let name = if what.cause.is_some() { EventName::Refused } else { EventName::DuplicateReceived };
    let mut event = Event::new(now, name).with(Field::PeerAddress, what.peer_address);
    if let Some(cause) = what.cause {
        event = event.with(Field::Cause, cause);
    }
    if let Some(error) = what.error {
        event = event.with(Field::ErrorCode, &error.code);
    }
    if let Some(message) = what.message {
        event.organisation = Some(message.final_recipient.clone());
        event = event
            .with(Field::As4MessageId, &message.message_id)
            .with(Field::As4ConversationId, &message.conversation_id)
            .with(Field::PeerAccessPoint, &message.from)
            .with(Field::OriginalSender, &message.original_sender)
            .with(Field::FinalRecipient, &message.final_recipient);
    }
    Step::new().op(Op::Audit(event))
}
