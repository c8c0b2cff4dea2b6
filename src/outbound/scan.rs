//! Malware in a mail of ours: it is refused before `250`, and somebody has to look into it.

use jiff::Timestamp;

use super::accept::Transaction;
use crate::event::{Event, EventName, Field};
use crate::ident::{RecordId, Sha256};
use crate::mail::alarm::Cause;
use crate::port::{Op, ScanError, Step, Tell};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The scanner's name for it.
    pub name: String,
    /// SHA-256 of the attachment that holds it, or of the whole mail.
    pub digest: Sha256,
}

/// Whether the operator gets a mail beside the journal's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Under the name of this new record.
    As(RecordId),
    /// A mail about this mailbox went out a moment ago.
    Told,
}

/// The step of a mail that is refused for what it holds (SDK B1.4.7 6.1).
#[must_use]
pub fn infected(transaction: &Transaction, found: &Found, alarm: Alarm, now: Timestamp) -> Step {
    let event = event(transaction, EventName::MalwareFound, now).with(Field::Cause, &found.name).with(Field::Digest, found.digest);
    let what = format!("a mail from the function {} was refused: {}", transaction.function, found.name);
    let hint = "find out where the file came from; the mail was not sent and nothing of it is kept here";
    match alarm {
        Alarm::As(record) => {
            let told = Tell::alarm(Cause::Malware, &what, hint).job(record, "alarm", now);
            Step::new().op(Tell::facts(record, &event)).op(Op::Audit(event)).op(told)
        }
        Alarm::Told => Step::new().op(Op::Audit(event)),
    }
}

/// The step of a mail that is passed on although nobody has looked into it, as it is configured.
#[must_use]
pub fn unscanned(transaction: &Transaction, error: &ScanError, now: Timestamp) -> Step {
    Step::new().op(Op::Audit(event(transaction, EventName::Unscanned, now).with(Field::Cause, error)))
}

fn event(transaction: &Transaction, name: EventName, now: Timestamp) -> Event {
    let mut event = Event::new(now, name)
        .with(Field::Transaction, transaction.id.simple())
        .with(Field::OriginalSender, &transaction.organisation)
        .with(Field::Function, &transaction.function)
        .with(Field::PeerAddress, &transaction.peer);
    event.organisation = Some(transaction.organisation.clone());
    event
}
