//! Messages that stay in the gateway: the mailbox is told that one waits, perhaps reminded, and somebody reads it there.
//!
//! Who read what and when is in the journal before the first word is shown.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deliver::{Next, handover};
use super::state::{Incoming, Read, Taken, Unread};
use super::told;
use crate::event::EventName;
use crate::failure::Failure;
use crate::port::{Effects, Guard, Job, JobId, Lease, Op, Queue, SinkAnswer, SinkError, Step};

/// Who reads: the name under which a person has logged in, 1 to 128 characters without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reader(String);

/// A text that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a reader's name has 1 to 128 characters and no control characters")]
pub struct NoReader;

impl Reader {
    /// The reader of this name.
    ///
    /// # Errors
    /// [`NoReader`].
    pub fn new(name: impl Into<String>) -> Result<Self, NoReader> {
        let name = name.into();
        let sound = !name.trim().is_empty() && name.chars().count() <= 128 && !name.chars().any(char::is_control);
        if sound { Ok(Self(name)) } else { Err(NoReader) }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Reader {
    type Error = NoReader;
    fn try_from(name: String) -> Result<Self, NoReader> {
        Self::new(name)
    }
}

impl From<Reader> for String {
    fn from(reader: Reader) -> Self {
        reader.0
    }
}

/// The job that reminds the mailbox of a message.
#[must_use]
pub fn reminder(taken: &Taken) -> JobId {
    JobId::of(taken.arrival.record, "remind")
}

/// The mail server has the notice: from here on the message waits to be read, and `remind` is when the mailbox is reminded.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn told(state: Taken, lease: Lease, answer: &SinkAnswer, remind: Option<Timestamp>, now: Timestamp) -> Result<Effects, Failure> {
    let record = state.arrival.record;
    let event = told::noticed(&state, &answer.text, None, now);
    let mut step = Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(record, Incoming::NEW))
        .op(Op::Forget(handover(lease.job.id)))
        .op(Op::Complete(lease))
        .op(Op::Audit(event));
    if let Some(due) = remind {
        step = step.op(Op::Enqueue(Job::new(reminder(&state), Queue::Deliver, record, due)));
    }
    let unread = Incoming::Unread(Unread { taken: state, told_at: now, reminded_at: None });
    Ok(step.op(Op::Put(unread.to_record()?)).into())
}

/// The mail server has the reminder; there is one.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn reminded(mut state: Unread, lease: Lease, answer: &SinkAnswer, now: Timestamp) -> Result<Effects, Failure> {
    let event = told::noticed(&state.taken, &answer.text, Some("unread"), now);
    state.reminded_at = Some(now);
    let step = held(&state, &lease).op(Op::Complete(lease)).op(Op::Audit(event)).op(Op::Put(Incoming::Unread(state).to_record()?));
    Ok(step.into())
}

/// The mail server did not take the reminder, or nobody knows. The message waits as before.
#[must_use]
pub fn reminder_failed(state: &Unread, lease: Lease, error: &SinkError, next: Next, now: Timestamp) -> Step {
    let name = if matches!(error, SinkError::Unknown(_)) { EventName::PossibleDuplicate } else { EventName::DeliveryDeferred };
    let event = told::undelivered(&state.taken, name, error, lease.job.attempt + 1, next, now);
    let step = held(state, &lease);
    match next {
        Some(due) => {
            let note = lease.job.note.clone();
            step.op(Op::Audit(event)).op(Op::Reschedule { lease, due, note })
        }
        None => step.op(Op::Audit(event)).op(Op::Complete(lease)),
    }
}

/// Somebody opens a message; each time is one line of the journal. `None` when it is none that is read here.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn opened(state: Incoming, by: &Reader, now: Timestamp) -> Result<Option<Effects>, Failure> {
    let (taken, from, next) = match state {
        Incoming::Unread(unread) => {
            let read = Read { taken: unread.taken.clone(), at: now, by: by.clone() };
            (unread.taken, Incoming::UNREAD, Some(Incoming::Read(read)))
        }
        Incoming::Read(read) => (read.taken, Incoming::READ, None),
        _ => return Ok(None),
    };
    let mut step =
        Step::new().guard(Guard::In(taken.arrival.record, from)).op(Op::Cancel(reminder(&taken))).op(Op::Audit(told::message_read(&taken, by, now)));
    if let Some(next) = next {
        step = step.op(Op::Put(next.to_record()?)).op(Op::retire(taken.arrival.record, now));
    }
    Ok(Some(step.into()))
}

/// A message that nobody has read goes to its mailbox after all, whose mode has changed.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn delivered_instead(state: Unread, now: Timestamp) -> Result<Effects, Failure> {
    let record = state.taken.arrival.record;
    let step = Step::new()
        .guard(Guard::In(record, Incoming::UNREAD))
        .op(Op::Cancel(reminder(&state.taken)))
        .op(Op::Enqueue(Job::new(JobId::of(record, "deliver"), Queue::Deliver, record, now)))
        .op(Op::Put(Incoming::New(state.taken).to_record()?));
    Ok(step.into())
}

fn held(state: &Unread, lease: &Lease) -> Step {
    Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(state.taken.arrival.record, Incoming::UNREAD))
        .op(Op::Forget(handover(lease.job.id)))
}
