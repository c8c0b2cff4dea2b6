//! Malware in a message to us: it is turned away with a receipt that says so, or waits while nobody can look into it.

use jiff::Timestamp;

use super::settle::{self, Names};
use super::state::Arrival;
use super::told;
use crate::failure::Failure;
use crate::ident::{FunctionId, Sha256};
use crate::mail::alarm::Cause;
use crate::port::{Effects, Guard, Job, Lease, Op, ScanError, Step, Tell};
use crate::sdk::rules::Breach;

/// Something that was found in one file or text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The scanner's name for it.
    pub name: String,
    /// SHA-256 of the file or text.
    pub digest: Sha256,
    /// Where it stands, for the receipt.
    pub breach: Breach,
}

/// A message that holds malware: the receipt is REJECTED BV forbidden (SDK B1.3.3 5.3 row 3), the envelope is deleted as that of
/// every rejected message, and the operator has an incident to report.
///
/// # Errors
/// A [`Failure`] when the receipt or the record cannot be written.
pub fn infected(
    arrival: Arrival,
    lease: Lease,
    service: Option<FunctionId>,
    found: Vec<Found>,
    names: &Names,
    now: Timestamp,
) -> Result<Effects, Failure> {
    let mut step = Step::new();
    for found in &found {
        let event = told::malware(&arrival, &found.name, found.digest, now);
        step = step.op(Op::Audit(event));
    }
    let first = found.first().map(|found| found.name.clone()).unwrap_or_default();
    let what = format!("message {} from {} was rejected: {first}", arrival.envelope_id, arrival.from);
    let hint = "report the incident; tell the sender in another way, who may not know. Nothing of the message is kept";
    step = step.op(Tell::alarm(Cause::Malware, &what, hint).job(arrival.record, "alarm", now));
    let breaches = found.into_iter().map(|found| found.breach).collect();
    Ok(settle::turned_away(arrival, lease, service, breaches, names, now)?.and(step.into()))
}

/// A message that nobody can look into now: it stays as it is, without a receipt, and is tried again at `due`.
#[must_use]
pub fn waits(arrival: &Arrival, lease: Lease, error: &ScanError, due: Timestamp, now: Timestamp) -> Step {
    let event = told::postponed(arrival, error, lease.job.attempt + 1, due, now);
    let note = Job::cause(error);
    Step::new().guard(Guard::Held(lease.clone())).op(Op::Audit(event)).op(Op::Reschedule { lease, due, note })
}

/// The step of a message that is taken although nobody has looked into it, as it is configured.
#[must_use]
pub fn unscanned(arrival: &Arrival, error: &ScanError, now: Timestamp) -> Step {
    Step::new().op(Op::Audit(told::unscanned(arrival, error, now)))
}
