//! Receiving: the AS4 message is compared with the envelope inside, and taken in before it is acknowledged.
//!
//! Uses the access point's keys and nothing of the participant's: the envelope stays sealed.

use jiff::Timestamp;

use super::state::{Arrival, Incoming};
use super::told;
use crate::as4::{Code, EbmsError, Received, UserMessage};
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{As4MessageId, DocumentKind, FederationId, ParticipantId, RecordId, Sha256};
use crate::mail::alarm::Cause;
use crate::port::{Blob, BlobKind, DirectoryError, Effects, Guard, Job, JobId, Metadata, NewBlob, Op, Queue, Step, Tell};
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

/// What the federation's register says of the recipient: without a registration for this kind of document it is not
/// served here, whatever our configuration says (SDK C3.2.1 2.5.a, TF-10).
///
/// # Errors
/// [`Refused`] when DNS and SMP say so. That they cannot be asked is no reason: nothing that conforms is refused
/// (SDK C3.4.6 3.1.2.b).
pub fn registered(looked_up: &Result<Metadata, DirectoryError>) -> Result<(), Refused> {
    match looked_up {
        Err(DirectoryError::UnknownParticipant(_) | DirectoryError::UnknownDocument { .. }) => Err(Refused {
            error: Box::new(EbmsError::not_serviced()),
            cause: "the recipient is not registered in SMP for this kind of document".to_owned(),
        }),
        Ok(_) | Err(DirectoryError::Unusable { .. } | DirectoryError::Unavailable { .. }) => Ok(()),
    }
}

/// Which access points may bring a participant's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bringer {
    /// Every one that the federation has approved (SDK C3.4.6 3.1.2.b).
    #[default]
    Approved,
    /// The one at which the participant is registered.
    Registered,
}

/// What the register says of the access point that brings a sender's message, where [`Bringer::Registered`] is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brought {
    /// The sender is registered there.
    Rightly,
    /// It is not.
    Wrongly(Refused),
    /// Nobody can tell now.
    Unknown(Failure),
}

/// Compares From, which is the signer's name already, with the access point at which the sender is registered.
#[must_use]
pub fn brought(message: &UserMessage, sender: &Result<Metadata, DirectoryError>) -> Brought {
    let refused = |cause: &str| {
        let error = EbmsError::new(Code::ValueInconsistent, "The originalSender is not registered at the access point in From");
        Brought::Wrongly(Refused { error: Box::new(error), cause: cause.to_owned() })
    };
    match sender {
        Ok(metadata) if metadata.access_point.common_name().as_deref() == Some(message.from.as_str()) => Brought::Rightly,
        Ok(_) => refused("originalSender is registered at another access point than From"),
        Err(DirectoryError::UnknownParticipant(_) | DirectoryError::UnknownDocument { .. }) => refused("originalSender is not registered in SMP"),
        Err(error @ (DirectoryError::Unusable { .. } | DirectoryError::Unavailable { .. })) => {
            Brought::Unknown(Failure::temporary(Stage::Receive, Blame::Federation, error.to_string()))
        }
    }
}

fn inconsistent(what: &str) -> EbmsError {
    EbmsError::new(Code::ValueInconsistent, format!("{what} does not agree with the envelope"))
}

/// The envelope is durable: the arrival, our receipt and the mark of the AS4 id become durable together.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn receive(arrival: Arrival, receipt: Vec<u8>, caller: &Caller, now: Timestamp) -> Result<Effects, Failure> {
    let mark = Arrival::seen(&arrival.peer, &arrival.as4_id);
    let event = told::received(&arrival, caller, now);
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

/// The other end of the connection that brought a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Its address.
    pub address: String,
    /// The certificate that it showed for TLS and that was verified: subject and fingerprint.
    pub certificate: Option<(String, Sha256)>,
}

impl Caller {
    pub(super) fn told(&self, event: Event) -> Event {
        let event = event.with(Field::PeerAddress, &self.address);
        match &self.certificate {
            Some((subject, fingerprint)) => event.with(Field::TlsClient, subject).with(Field::TlsClientCertificate, fingerprint),
            None => event,
        }
    }
}

/// What an AS4 message said of itself and who signed it, for the journal of one that is not taken in: every field of
/// SDK C3.4.6 3.4.1 that could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(Vec<(Field, String)>);

impl Seen {
    /// Of a message that could not be opened: nothing vouches for its id.
    #[must_use]
    pub fn unopened(id: Option<&As4MessageId>) -> Self {
        Self(id.map(|id| (Field::As4MessageId, id.to_string())).into_iter().collect())
    }

    /// Of a message that was opened. The header may still break the P-Mode, so its values stand as they were written;
    /// the access point's name is its certificate's.
    #[must_use]
    pub fn of(received: &Received) -> Self {
        let header = &received.header;
        let mut seen = vec![
            (Field::As4MessageId, header.message_id.to_string()),
            (Field::As4ConversationId, header.conversation_id.clone()),
            (Field::Document, header.action.clone()),
        ];
        let property = |name| header.property(name).map(|property| property.value.clone());
        seen.extend(property("originalSender").map(|value| (Field::OriginalSender, value)));
        seen.extend(property("finalRecipient").map(|value| (Field::FinalRecipient, value)));
        if let Some(signature) = &received.signature {
            let name = signature.signer.common_name();
            seen.push((Field::PeerAccessPoint, name.unwrap_or_else(|| header.from.ids.iter().map(|id| id.value.as_str()).collect())));
            seen.push((Field::PeerCertificate, signature.signer.fingerprint().to_string()));
            seen.push((Field::PeerSignature, signature.digest.to_string()));
        }
        Self(seen)
    }

    /// Adds the id of the envelope inside, as far as that could be read.
    #[must_use]
    pub fn with_envelope(mut self, header: &Header) -> Self {
        let field = if header.kind == DocumentKind::Message { Field::MessageId } else { Field::ReceiptId };
        self.0.push((field, header.id.to_string()));
        self
    }
}

/// What is known of an AS4 message that is not taken in, for the journal.
pub struct Unreceived<'a> {
    /// Who brought it.
    pub caller: &'a Caller,
    /// What it said of itself.
    pub seen: &'a Seen,
    /// The participant of ours that it is for, whose journal this belongs to.
    pub organisation: Option<&'a ParticipantId>,
    /// Why; for a duplicate, nothing.
    pub cause: Option<&'a str>,
    /// The code that the other side got.
    pub error: Option<&'a EbmsError>,
}

/// The journal line of an AS4 message that was refused, or answered as a duplicate.
#[must_use]
pub fn unreceived(what: &Unreceived<'_>, now: Timestamp) -> Step {
    Step::new().op(Op::Audit(line(what, now)))
}

/// The same of a message that breaks the federation's rules: the operator is told too, with what the report to Digg needs
/// (SDK C1.6 4.1.1.a). `record` is a new name, for the alarm alone.
#[must_use]
pub fn reported(what: &Unreceived<'_>, record: RecordId, now: Timestamp) -> Step {
    let event = line(what, now);
    let hint = "report it to Digg as an incident (SDK C1.6 4.1.1.a)";
    let told = format!("an AS4 message was deleted: {}", what.cause.unwrap_or_default());
    let alarm = Tell::alarm(Cause::EnvelopeDiscarded, &told, hint);
    Step::new().op(Tell::facts(record, &event)).op(Op::Audit(event)).op(alarm.job(record, "alarm", now))
}

fn line(what: &Unreceived<'_>, now: Timestamp) -> Event {
    let name = if what.cause.is_some() { EventName::Refused } else { EventName::DuplicateReceived };
    let mut event = what.caller.told(Event::new(now, name));
    event.organisation = what.organisation.cloned();
    event = what.seen.0.iter().fold(event, |event, (field, value)| event.with(*field, value));
    if let Some(cause) = what.cause {
        event = event.with(Field::Cause, cause);
    }
    if let Some(error) = what.error {
        event = event.with(Field::ErrorCode, &error.code);
    }
    event
}
