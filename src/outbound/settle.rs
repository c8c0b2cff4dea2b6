//! Settling: the message receipt decides, or its absence does.
//!
//! A message is told of once. A receipt that comes after the end is recorded and told once, and changes no history.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::retry::Schedule;
use super::send::end;
use super::state::{Cargo, End, Ended, Held, Letter, Outgoing, Scheduled, Submitted, Waiting};
use super::told::receipt as told_event;
use crate::event::{EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{MessageId, ParticipantId, RecordId, Sha256};
use crate::mail::alarm::Cause;
use crate::mail::notice::{self, RejectedLine};
use crate::port::{Blob, BlobId, BlobKind, Delay, Effects, Fail, Guard, JobId, Lease, Moment, Op, Step, Tell};
use crate::sdk::receipt::{Outcome, Receipt};
use crate::sdk::rules::Breach;

/// A message receipt whose signature holds and whose signer is `from`.
pub struct Received<'a> {
    /// What it says.
    pub receipt: &'a Receipt,
    /// The id of the envelope that it came in.
    pub envelope_id: &'a MessageId,
    /// The participant whose certificate signed it.
    pub from: &'a ParticipantId,
    /// The blob that holds its XML.
    pub blob: BlobId,
}

/// What the header of a receipt's blob keeps: whose it is, and by which certificate its signature held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The message's record.
    pub record: RecordId,
    /// The certificate's subject.
    pub subject: String,
    /// SHA-256 of the certificate.
    pub certificate: Sha256,
    /// When it was checked.
    pub checked: Timestamp,
}

impl Signed {
    /// Reads the header of a receipt's blob; `None` where it tells nothing of a signature.
    #[must_use]
    pub fn of(blob: &Blob) -> Option<Self> {
        serde_json::from_str(&blob.header).ok()
    }

    /// The blob that keeps a receipt.
    ///
    /// # Errors
    /// A [`Failure`] of ours.
    pub fn blob(&self, id: BlobId) -> Result<Blob, Failure> {
        let header = serde_json::to_string(self).map_err(|error| Failure::permanent(Stage::Settle, Blame::Us, error.to_string()))?;
        Ok(Blob { id, kind: BlobKind::Receipt, header })
    }
}

/// The lines of a rejection, as notices read them.
#[must_use]
pub fn lines(breaches: &[Breach]) -> Vec<RejectedLine<'_>> {
    let line = |breach: &'_ Breach| breach.detail.as_str().unwrap_or_default();
    breaches.iter().map(|breach| RejectedLine { code: breach.code.as_str(), detail: line(breach), line_id: &breach.line }).collect()
}

/// What a message receipt brings about for the message that it refers to.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn settle(outgoing: Outgoing, received: &Received<'_>, now: Timestamp) -> Result<Effects, Failure> {
    let guard = Guard::In(outgoing.record_id(), outgoing.state());
    let stray = |cargo: &Cargo, cause: &str| {
        let code = received.receipt.outcome.summary();
        let event = told_event(cargo, EventName::StrayReceipt, received.envelope_id, &code, now).with(Field::Cause, cause);
        Effects { discard: vec![received.blob], ..Step::new().op(Op::Audit(event)).into() }
    };
    let before = outgoing.clone();
    let (letter, ended) = match outgoing {
        Outgoing::Scheduled(Scheduled { letter, .. }) | Outgoing::Held(Held { letter, .. }) => {
            // One that is to be sent again was sent before.
            if letter.resent.is_none() {
                return Ok(stray(&Cargo::Letter(letter), "a receipt for a message that was not sent yet"));
            }
            (letter, None)
        }
        Outgoing::Submitted(Submitted { cargo: Cargo::Letter(letter), .. }) | Outgoing::Waiting(Waiting { letter, .. }) => (letter, None),
        Outgoing::Ended(ended) if !ended.retained.is_whole() => {
            return Ok(stray(&ended.cargo, "a receipt for a message whose content was deleted since"));
        }
        Outgoing::Ended(ended) => match ended.cargo.clone() {
            Cargo::Letter(letter) => (letter, Some(ended)),
            cargo @ Cargo::Reply(_) => return Ok(stray(&cargo, "a receipt for a receipt")),
        },
        Outgoing::Submitted(Submitted { cargo, .. }) => return Ok(stray(&cargo, "a receipt for a receipt")),
    };
    let cargo = Cargo::Letter(letter.clone());
    if &letter.participant != received.from {
        return Ok(stray(&cargo, "a receipt that another participant than the recipient signed"));
    }
    match ended {
        None => decide(letter, &before, received, guard, now),
        Some(ended) if ended.end == End::ExchangeError && !ended.late_told => late(letter, &ended, received, guard, now),
        Some(ended) => {
            let outcome = &received.receipt.outcome;
            // What a late receipt said first is not known any more; it came after the end, and so does this one.
            let late = ended.end == End::ExchangeError;
            let same = late || matches!((ended.end, outcome), (End::Accepted, Outcome::Accepted) | (End::Rejected, Outcome::Rejected(_)));
            let stray = stray(&cargo, if same { "a receipt that came before" } else { "a receipt that contradicts the one before" });
            // What an earlier attempt's copy was answered contradicts nothing.
            if same || is_duplicate(received.receipt) { Ok(stray) } else { contradicted(&letter, &ended, received, guard, stray, now) }
        }
    }
}

/// The sender has been told, and is not told the contrary; the operator must find out which receipt is true.
fn contradicted(letter: &Letter, ended: &Ended, received: &Received<'_>, guard: Guard, stray: Effects, now: Timestamp) -> Result<Effects, Failure> {
    // Once: who sends a hundred of them fills no disk and no mailbox.
    if ended.late_told {
        return Ok(stray);
    }
    let what = format!("message {} ended as {:?}, and now came {}", letter.message_id, ended.end, received.receipt.outcome.summary());
    let alarm = Tell::alarm(Cause::StrayReceipt, &what, "ask the other organisation whether it has the message; both receipts are kept");
    let kept = ended.kept.iter().copied().chain([received.blob]).collect();
    let ended = Ended { kept, late_told: true, ..ended.clone() };
    let step =
        stray.step.guard(guard).op(Op::Put(Outgoing::Ended(ended).to_record()?)).op(alarm.job(letter.record, &letter.telling("contradiction"), now));
    Ok(step.into())
}

fn decide(letter: Letter, before: &Outgoing, received: &Received<'_>, guard: Guard, now: Timestamp) -> Result<Effects, Failure> {
    let receipt = received.receipt;
    let cargo = Cargo::Letter(letter.clone());
    let name = match receipt.outcome {
        Outcome::Accepted => EventName::Accepted,
        Outcome::Rejected(_) => EventName::Rejected,
    };
    let event = told_event(&cargo, name, received.envelope_id, &receipt.outcome.summary(), now);
    if is_duplicate(receipt) {
        // They have the message from an earlier delivery of the same envelope: its own receipt decides.
        let event = event.with(Field::Cause, "the recipient has the message already; its first receipt decides");
        return Ok(Effects { discard: vec![received.blob], ..Step::new().op(Op::Audit(event)).into() });
    }
    // Who was told that it failed, before it was sent again, is told that this holds no longer.
    let (end, name, told) = outcome(&letter, received, letter.resent.is_some());
    let mut step = Step::new()
        .guard(guard)
        .op(Op::Cancel(JobId::of(letter.record, "seal")))
        .op(Op::Cancel(JobId::of(letter.record, "send")))
        .op(Op::Cancel(JobId::of(letter.record, "await")))
        .op(Op::Audit(event));
    if let Some(told) = told {
        step = step.op(told.job(letter.record, &letter.telling(name), now));
    }
    if is_our_fault(receipt) {
        let what = format!("message {} was rejected: {}", letter.message_id, receipt.outcome.summary());
        step = step.op(Tell::alarm(Cause::RejectedAsFaulty, &what, "the recipient found the message itself faulty; its receipt is kept").job(
            letter.record,
            &letter.telling("alarm"),
            now,
        ));
    }
    let ended = before.ended(end, Some(received.blob), now);
    let step = step.op(Op::retire(letter.record, now));
    Ok(step.op(Op::Put(Outgoing::Ended(ended).to_record()?)).into())
}

fn late(letter: Letter, ended: &Ended, received: &Received<'_>, guard: Guard, now: Timestamp) -> Result<Effects, Failure> {
    let cargo = Cargo::Letter(letter.clone());
    let event = told_event(&cargo, EventName::LateReceipt, received.envelope_id, &received.receipt.outcome.summary(), now);
    let (_, _, told) = outcome(&letter, received, true);
    let mut step = Step::new().guard(guard).op(Op::Audit(event));
    if let Some(told) = told {
        step = step.op(told.job(letter.record, &letter.telling("late"), now));
    }
    let kept = ended.kept.iter().copied().chain([received.blob]).collect();
    let ended = Ended { late_told: true, kept, ..ended.clone() };
    Ok(step.op(Op::Put(Outgoing::Ended(ended).to_record()?)).into())
}

fn outcome(letter: &Letter, received: &Received<'_>, late: bool) -> (End, &'static str, Option<Tell>) {
    let (at, receipt) = (received.receipt.issued, received.blob);
    match received.receipt.outcome {
        // Who was told that it failed is told that it arrived, whatever was asked for.
        Outcome::Accepted => (End::Accepted, "accepted", (letter.notify.success || late).then_some(Tell::Accepted { at, receipt, late })),
        Outcome::Rejected(_) => (End::Rejected, "rejected", letter.notify.failure.then_some(Tell::Rejected { at, receipt, late })),
    }
}

/// The job that waits for the receipt is due: the sender is told that it takes long, and at last that none came.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn overdue(mut state: Waiting, lease: Lease, schedule: &Schedule, now: impl Into<Moment>) -> Result<Effects, Failure> {
    let moment = now.into();
    let (now, last) = (moment.now, schedule.receipt_due_at(state.acknowledged_at, moment));
    if now >= last {
        let failure = Failure::permanent(Stage::Settle, Blame::Peer, "no message receipt came in time");
        let fail = Fail::NoReceipt { acknowledged: state.acknowledged_at };
        return end(&Outgoing::Waiting(state), lease, &failure, fail, now);
    }
    let mut step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(state.letter.record, Outgoing::WAITING));
    let note = lease.job.note.clone();
    // Nobody is there to read it.
    let told_at = schedule.told_at(now);
    if told_at > now && state.delay_told.is_none() {
        return Ok(step.op(Op::Reschedule { lease, due: told_at.min(last), note }).into());
    }
    if state.delay_told.replace(now).is_none() && state.letter.notify.delay {
        let why = Delay::Receipt { acknowledged: state.acknowledged_at };
        step = step.op(Tell::Delayed { why, until: last }.job(state.letter.record, &state.letter.telling("delayed-receipt"), now));
    }
    Ok(step.op(Op::Put(Outgoing::Waiting(state).to_record()?)).op(Op::Reschedule { lease, due: last, note }).into())
}

fn is_duplicate(receipt: &Receipt) -> bool {
    matches!(&receipt.outcome, Outcome::Rejected(breaches) if told(breaches).is_none())
}

/// Whether the message itself was faulty, which is never the sender's doing.
fn is_our_fault(receipt: &Receipt) -> bool {
    matches!(&receipt.outcome, Outcome::Rejected(breaches) if told(breaches).is_some_and(|outcome| outcome.is_our_fault()))
}

/// What a rejection means to the sender: the gravest line decides, and a duplicate alone means nothing.
fn told(breaches: &[Breach]) -> Option<notice::Outcome> {
    notice::Outcome::rejected(&lines(breaches), &[])
}
