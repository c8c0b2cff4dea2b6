//! Whose turn it is: messages of one conversation leave in the order in which they were accepted.
//!
//! A letter names the one before it; a note has the last one of each conversation. So the order is in the store, and holds
//! for all nodes and after every restart. A letter waits until the one before it is with the other access point or has ended.
//! It waits no longer when that one fails by itself while others get through, or when it has waited for so long as
//! [`Schedule::in_order_within`](super::retry::Schedule) says.
//!
//! Who waits leaves a note with whom it waits for, and is hastened when that one moves on.

use jiff::Timestamp;

use super::retry::{Schedule, later};
use super::send::{Attempted, delayed};
use super::state::{Cargo, End, Ended, Letter, Outgoing, Submitted};
use crate::event::{EventName, Field};
use crate::failure::Failure;
use crate::ident::RecordId;
use crate::port::{Delay, Effects, Guard, Job, JobId, Key, Lease, Op, Step};

/// Where the last letter of a conversation stands: one function's messages to one other function in one conversation.
#[must_use]
pub fn last(letter: &Letter) -> Key {
    let Letter { organisation, function, participant, to_function, conversation_id, .. } = letter;
    let ends = format!("{} {} {} {}", organisation.folded(), function.folded(), participant.folded(), to_function.folded());
    Key::new("last", &format!("{ends} {}", conversation_id.as_str().to_ascii_lowercase()))
}

/// Where it stands who waits for a record.
#[must_use]
pub fn next(record: RecordId) -> Key {
    Key::new("next", &record.0.simple().to_string())
}

/// What is noted of a record.
#[must_use]
pub fn noted(record: RecordId) -> String {
    record.0.simple().to_string()
}

/// Reads such a note.
#[must_use]
pub fn read(note: &str) -> Option<RecordId> {
    note.parse().ok().map(RecordId)
}

/// What an earlier letter means for a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// The later one waits.
    OnItsWay,
    /// The later one goes.
    Gone,
    /// It ended without having been there: the one before it counts.
    Never(Option<RecordId>),
}

/// Judges an earlier letter.
#[must_use]
pub fn judge(earlier: &Outgoing) -> Earlier {
    match earlier {
        Outgoing::Submitted(Submitted { dispatch, .. }) if dispatch.yields => Earlier::Gone,
        Outgoing::Scheduled(_) | Outgoing::Held(_) | Outgoing::Submitted(_) => Earlier::OnItsWay,
        Outgoing::Ended(Ended { cargo: Cargo::Letter(letter), end: End::ExchangeError, .. }) => Earlier::Never(letter.after),
        Outgoing::Waiting(_) | Outgoing::Ended(_) => Earlier::Gone,
    }
}

/// Until when a letter waits for earlier ones.
#[must_use]
pub fn waits_until(letter: &Letter, schedule: &Schedule) -> Timestamp {
    later(letter.accepted_at, schedule.in_order_within.min(schedule.give_up / 2))
}

/// Why a message is put off.
#[derive(Debug, Clone, Copy)]
pub struct Why<'a> {
    /// In words.
    pub words: &'a str,
    /// What its sender is told when it takes long.
    pub delay: Delay,
    /// Whom it waits for, when that is one letter.
    pub behind: Option<&'a Outgoing>,
}

/// The job is put off until `due` without having cost an attempt: others are first, or the destination is down. The sender is
/// told once when it takes long.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn put_off(mut state: Attempted, lease: Lease, why: Why<'_>, due: Timestamp, schedule: &Schedule, now: Timestamp) -> Result<Effects, Failure> {
    let (cargo, Why { words, delay, behind }) = (state.cargo(), why);
    let (record, before) = (cargo.record(), state.state());
    let mut step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record, before));
    if let Some(behind) = behind {
        // It must not have moved on meanwhile, or nobody would hasten this one.
        let guard = Guard::In(behind.record_id(), behind.state());
        step = step.guard(guard).op(Op::Note(next(behind.record_id()), noted(record)));
    }
    let note = Job::cause(words);
    if lease.job.note != note {
        step = step.op(Op::Audit(cargo.event(now, EventName::SendQueued).with(Field::Cause, words)));
    }
    if let Some(told) = delayed(&cargo, state.delay_told(), delay, schedule, now) {
        step = told.into_iter().fold(step, Step::op).op(Op::Put(state.into_outgoing().to_record()?));
    }
    let job = Job { due, note, ..lease.job.clone() };
    Ok(step.op(Op::Complete(lease)).op(Op::Enqueue(job)).into())
}

/// A letter has moved on, and `waiting` is hastened; its job keeps the place of when it came.
#[must_use]
pub fn hasten(gone: RecordId, waiting: RecordId, now: Timestamp) -> Step {
    Step::new().op(Op::Forget(next(gone))).op(Op::Hasten(JobId::of(waiting, "send"), now))
}
