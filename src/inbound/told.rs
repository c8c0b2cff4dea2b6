//! One function for each event of the incoming flow: it asks for every field that the event must have, so that no step
//! forgets one (SDK C3.4.6 3.4.1).

use std::fmt::Display;

use jiff::Timestamp;

use super::receive::Caller;
use super::state::{Arrival, Taken};
use crate::event::{Event, EventName, Field};
use crate::ident::{ConversationId, FunctionId, MailAddress, MessageId, Sha256};

/// An AS4 message was taken in and our receipt signed.
pub(super) fn received(arrival: &Arrival, caller: &Caller, at: Timestamp) -> Event {
    caller.told(arrival.event(at, EventName::Received).with(Field::Document, arrival.kind.action()))
}

/// A message receipt was verified, and what it says is known.
pub(super) fn receipt_opened(arrival: &Arrival, refers_to: &MessageId, code: &str, signer: Sha256, at: Timestamp) -> Event {
    let event = arrival.event(at, EventName::Opened).with(Field::MessageId, refers_to);
    event.with(Field::ReceiptCode, code).with(Field::ParticipantCertificate, signer)
}

/// Whose a message is and what it belongs to.
pub(super) struct Message<'a> {
    pub(super) conversation: &'a ConversationId,
    pub(super) answers: Option<&'a MessageId>,
    pub(super) function: &'a FunctionId,
    pub(super) mailbox: &'a MailAddress,
    /// Octets of the message.
    pub(super) octets: usize,
    /// The certificate that its envelope was signed with.
    pub(super) signer: Sha256,
}

/// A message was found valid and is kept.
pub(super) fn taken(arrival: &Arrival, message: &Message<'_>, at: Timestamp) -> Event {
    arrival
        .event(at, EventName::Taken)
        .with(Field::ConversationId, message.conversation)
        .with(Field::Function, message.function)
        .with(Field::Mailbox, message.mailbox)
        .with(Field::Size, message.octets)
        .with(Field::ParticipantCertificate, message.signer)
        .with_some(Field::RefToMessageId, message.answers)
}

/// A message was rejected; our receipt says why.
pub(super) fn turned_away(arrival: &Arrival, code: &str, at: Timestamp) -> Event {
    arrival.event(at, EventName::TurnedAway).with(Field::ReceiptCode, code)
}

/// An envelope was deleted without a receipt.
pub(super) fn discarded(arrival: &Arrival, why: &str, at: Timestamp) -> Event {
    arrival.event(at, EventName::Discarded).with(Field::Cause, why)
}

/// Malware was found in a message.
pub(super) fn malware(arrival: &Arrival, name: &str, digest: Sha256, at: Timestamp) -> Event {
    arrival.event(at, EventName::MalwareFound).with(Field::Cause, name).with(Field::Digest, digest)
}

/// A message waits for somebody else.
pub(super) fn postponed(arrival: &Arrival, cause: &dyn Display, attempt: u32, due: Timestamp, at: Timestamp) -> Event {
    let event = arrival.event(at, EventName::Postponed).with(Field::Cause, cause);
    event.with(Field::Attempt, attempt).with(Field::NextAttempt, due)
}

/// A message is taken although nobody looked into it.
pub(super) fn unscanned(arrival: &Arrival, cause: &dyn Display, at: Timestamp) -> Event {
    arrival.event(at, EventName::Unscanned).with(Field::Cause, cause)
}

/// The mail server has the mail.
pub(super) fn delivered(taken: &Taken, answer: &str, at: Timestamp) -> Event {
    handed(taken, EventName::Delivered, at).with(Field::MailServerAnswer, answer)
}

/// The mail server has the notice that a message waits to be read; again, when that is a reminder.
pub(super) fn noticed(taken: &Taken, answer: &str, again: Option<&str>, at: Timestamp) -> Event {
    handed(taken, EventName::Noticed, at).with(Field::MailServerAnswer, answer).with_some(Field::Cause, again)
}

/// Somebody read a message here.
pub(super) fn message_read(taken: &Taken, by: &dyn Display, at: Timestamp) -> Event {
    handed(taken, EventName::MessageRead, at).with(Field::Reader, by)
}

/// An attempt at the mail server failed: [`EventName::DeliveryDeferred`], [`EventName::PossibleDuplicate`], or, without a next
/// one, [`EventName::Faulted`].
pub(super) fn undelivered(taken: &Taken, name: EventName, cause: &dyn Display, attempt: u32, due: Option<Timestamp>, at: Timestamp) -> Event {
    handed(taken, name, at).with(Field::Cause, cause).with(Field::Attempt, attempt).with_some(Field::NextAttempt, due)
}

/// The mail server gave a mail back that it had taken.
pub(super) fn returned(taken: &Taken, transaction: &str, cause: &str, at: Timestamp) -> Event {
    handed(taken, EventName::Returned, at).with(Field::Transaction, transaction).with(Field::Cause, cause)
}

/// A notice about a delivered mail came that changes nothing.
pub(super) fn return_noted(arrival: &Arrival, transaction: &str, cause: &str, at: Timestamp) -> Event {
    arrival.event(at, EventName::ReturnNoted).with(Field::Transaction, transaction).with(Field::Cause, cause)
}

/// A mail is about to be handed over, or was and its answer missed: the event that the outcome is told by.
#[must_use]
pub fn handing_over(taken: &Taken, at: Timestamp) -> Event {
    handed(taken, EventName::Delivered, at)
}

fn handed(taken: &Taken, name: EventName, at: Timestamp) -> Event {
    taken
        .arrival
        .event(at, name)
        .with(Field::ConversationId, &taken.conversation_id)
        .with(Field::Function, &taken.function)
        .with(Field::Mailbox, &taken.mailbox)
}
