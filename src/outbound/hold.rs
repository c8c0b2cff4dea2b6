//! Keeping a message back while its pair of functions exchanges messages too fast ([`crate::mail::pair`]), and letting it go.

use jiff::Timestamp;

use super::state::{Held, Outgoing, Scheduled};
use super::told;
use crate::failure::Failure;
use crate::port::{Delay, Effects, Guard, Job, JobId, Lease, Op, Queue, Step, Tell};

/// The message is kept back until `due`, perhaps once more; its sender is told the first time.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn hold(state: Scheduled, lease: Lease, due: Timestamp, now: Timestamp) -> Result<Effects, Failure> {
    let Scheduled { letter, mut delay_told } = state;
    let record = letter.record;
    let cause = "the two functions exchange messages faster than people do";
    let event = told::held(&letter, cause, due, now);
    let mut step = again(Outgoing::SCHEDULED, lease, due).op(Op::Audit(event));
    if delay_told.is_none() && letter.notify.delay {
        step = step.op(Tell::Delayed { why: Delay::Held, until: due }.job(record, &letter.telling("delayed-held"), now));
    }
    delay_told.get_or_insert(now);
    Ok(step.op(Op::Put(Outgoing::Held(Held { letter, until: due, delay_told }).to_record()?)).into())
}

/// The message has waited long enough and goes on as one that was just taken in; whether its pair is held again is asked then.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn release(state: Held, lease: Lease, now: Timestamp) -> Result<Effects, Failure> {
    let Held { letter, delay_told, .. } = state;
    let event = told::released(&letter, now);
    let step = again(Outgoing::HELD, lease, now).op(Op::Audit(event));
    Ok(step.op(Op::Put(Outgoing::Scheduled(Scheduled { letter, delay_told }).to_record()?)).into())
}

/// The same job, due then, as if it had not been tried.
fn again(from: crate::port::State, lease: Lease, due: Timestamp) -> Step {
    let record = lease.job.record;
    Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record, from)).op(Op::Complete(lease)).op(Op::Enqueue(Job::new(
        JobId::of(record, "seal"),
        Queue::Seal,
        record,
        due,
    )))
}
