//! Returned: the mail server had taken the mail and could not deliver it after all.
//!
//! The other side has our receipt, so there is nobody to tell but the operator; the message is kept.

use jiff::Timestamp;

use super::state::{Delivered, Incoming, Returned, Unread};
use super::told;
use crate::failure::Failure;
use crate::mail::alarm::Cause;
use crate::mail::returned::{Fate, Returned as Notice};
use crate::port::{Effects, Guard, Op, SinkError, Step, Tell};

/// A notice about a mail that was handed over. The first failure is the message's end; what comes besides is noted.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn returned(state: Incoming, notice: &Notice, transaction: &str, now: Timestamp) -> Result<Effects, Failure> {
    let (record, word) = (state.arrival().record, state.state());
    let cause = notice.in_words();
    let step = Step::new().guard(Guard::In(record, word));
    let (taken, next) = match &state {
        Incoming::Delivered(Delivered { taken, at }) if notice.fate == Fate::Failed => {
            let returned = Returned { taken: taken.clone(), delivered_at: *at, at: now, status: notice.status.clone() };
            (taken, Some(Incoming::Returned(returned)))
        }
        // The message waits here as before; it is the mail about it that came back.
        Incoming::Unread(Unread { taken, .. }) if notice.fate == Fate::Failed => (taken, None),
        _ => return Ok(step.op(Op::Audit(told::return_noted(state.arrival(), transaction, &cause, now))).into()),
    };
    let what =
        format!("message {} was taken by the mail server for {} and came back: {}", taken.arrival.envelope_id, taken.mailbox, notice.in_words());
    let hint = SinkError::Permanent(notice.status.clone().unwrap_or_default()).hint();
    // A mail each: the notice about a waiting message and its reminder may both come back, and a mail that is delivered once more.
    let alarm = Tell::alarm(Cause::Returned, &what, hint).job(record, &format!("returned-{transaction}"), now);
    let event = told::returned(taken, transaction, &cause, now);
    let step = step.op(Op::Audit(event)).op(alarm);
    Ok(match next {
        Some(next) => step.op(Op::Put(next.to_record()?)).into(),
        None => step.into(),
    })
}
