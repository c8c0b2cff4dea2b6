//! Delivering: the mail server takes the mail, or it is tried again.
//!
//! What cannot be delivered is kept: the other side has our receipt, so the message is ours to look after.

use jiff::{SignedDuration, Timestamp};

use super::state::{Delivered, Incoming, Taken, Undeliverable};
use super::told;
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::mail::alarm::Cause;
use crate::port::{Effects, Guard, Job, JobId, Key, Lease, Op, SinkAnswer, SinkError, Step, Tell};

/// What follows a failed delivery: when it is tried again, or that it is not.
pub type Next = Option<Timestamp>;

/// The mark of a job whose mail is being handed over: durable before the first octet goes to the mail server, gone with
/// the outcome.
#[must_use]
pub fn handover(job: JobId) -> Key {
    Key::new("hand", &job.0.simple().to_string())
}

/// The step before a mail is handed over. `repeated` when the mark is there already: a crash hid how an earlier attempt
/// ended, so the mail server may get the mail a second time, with the same Message-ID (RFC 1047).
#[must_use]
pub fn hand_over(event: Event, lease: &Lease, repeated: bool) -> Step {
    let step = Step::new().guard(Guard::Held(lease.clone()));
    if repeated {
        let cause = "an attempt ended without a known outcome; the mail is handed over again with the same Message-ID";
        step.op(Op::Audit(Event { name: EventName::PossibleDuplicate, ..event }.with(Field::Cause, cause)))
    } else {
        step.op(Op::Note(handover(lease.job.id), lease.job.attempt.to_string()))
    }
}

/// The mail server has it.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn delivered(state: Taken, lease: Lease, answer: &SinkAnswer, now: Timestamp) -> Result<Effects, Failure> {
    let event = told::delivered(&state, &answer.text, now);
    let record = state.arrival.record;
    let step = Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(record, Incoming::NEW))
        .op(Op::Forget(handover(lease.job.id)))
        .op(Op::Complete(lease))
        .op(Op::retire(record, now))
        .op(Op::Put(Incoming::Delivered(Delivered { taken: state, at: now }).to_record()?))
        .op(Op::Audit(event));
    Ok(step.into())
}

/// The mail server did not take it, or nobody knows.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn failed(mut state: Taken, lease: Lease, error: &SinkError, next: Next, now: Timestamp) -> Result<Effects, Failure> {
    let record = state.arrival.record;
    let held = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record, Incoming::NEW)).op(Op::Forget(handover(lease.job.id)));
    let what = format!("message {} cannot be delivered to {}: {error}", state.arrival.envelope_id, state.mailbox);
    // A mail each, also when it is delivered once more: a mail server that has seen the Message-ID of the first may drop the second.
    let alarm = Tell::alarm(Cause::MailRefused, &what, error.hint()).job(record, &format!("undelivered-{}", now.as_millisecond()), now);
    let event = |name, due| told::undelivered(&state, name, error, lease.job.attempt + 1, due, now);
    let Some(due) = next else {
        let event = event(EventName::Faulted, None);
        let kept = Undeliverable { taken: state, at: now };
        let step = held.op(Op::Complete(lease)).op(Op::Put(Incoming::Undeliverable(kept).to_record()?)).op(Op::Audit(event)).op(alarm);
        return Ok(step.into());
    };
    let name = if matches!(error, SinkError::Unknown(_)) { EventName::PossibleDuplicate } else { EventName::DeliveryDeferred };
    let event = event(name, Some(due));
    let mut step = held.op(Op::Audit(event));
    // A refusal for good will not mend itself; a mail server that is away for an hour is for the operator too.
    let long = now.duration_since(state.arrival.received_at) >= SignedDuration::from_hours(1);
    if !state.alarmed && (matches!(error, SinkError::Permanent(_)) || long) {
        state.alarmed = true;
        step = step.op(alarm).op(Op::Put(Incoming::New(state).to_record()?));
    }
    let note = Job::cause(error);
    Ok(step.op(Op::Reschedule { lease, due, note }).into())
}
