//! Settling: the message receipt decides, or its absence does.
//!
//! A message is told of once. A receipt that comes after the end is recorded and told once, and changes no history.

use jiff::Timestamp;

use super::retry::{Schedule, later};
use super::send::end;
use super::state::{Cargo, End, Ended, Held, Letter, Outgoing, Scheduled, Submitted, Waiting};
use crate::event::{EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{MessageId, ParticipantId};
use crate::mail::alarm::Cause;
use crate::port::{BlobId, Delay, Effects, Fail, Guard, JobId, Lease, Op, Step, Tell};
use crate::sdk::receipt::{Outcome, Receipt};
use crate::sdk::rules::Detail;

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

/// What a message receipt brings about for the message that it refers to.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn settle(outgoing: Outgoing, received: &Received<'_>, now: Timestamp) -> Result<Effects, Failure> {
    let guard = Guard::In(outgoing.record_id(), outgoing.state());
    let stray = |cargo: &Cargo, cause: &str| {
        let event = cargo
            .event(now, EventName::StrayReceipt)
            .with(Field::ReceiptId, received.envelope_id)
            .with(Field::ReceiptCode, received.receipt.outcome.summary())
            .with(Field::Cause, cause);
        Effects { discard: vec![received.blob], ..Step::new().op(Op::Audit(event)).into() }
    };
    let before = outgoing.clone();
    let (letter, ended) = match outgoing {
        Outgoing::Scheduled(Scheduled { letter, .. }) | Outgoing::Held(Held { letter, .. }) => {
            return Ok(stray(&Cargo::Letter(letter), "a receipt for a message that was not sent yet"));
        }
        Outgoing::Submitted(Submitted { cargo: Cargo::Letter(letter), .. }) | Outgoing::Waiting(Waiting { letter, .. }) => (letter, None),
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
            let same = matches!((ended.end, &received.receipt.outcome), (End::Accepted, Outcome::Accepted) | (End::Rejected, Outcome::Rejected(_)));
            Ok(stray(&cargo, if same { "a receipt that came before" } else { "a receipt that contradicts the one before" }))
        }
    }
}

fn decide(letter: Letter, before: &Outgoing, received: &Received<'_>, guard: Guard, now: Timestamp) -> Result<Effects, Failure> {
    let receipt = received.receipt;
    let cargo = Cargo::Letter(letter.clone());
    let name = match receipt.outcome {
        Outcome::Accepted => EventName::Accepted,
        Outcome::Rejected(_) => EventName::Rejected,
    };
    let event = cargo.event(now, name).with(Field::ReceiptId, received.envelope_id).with(Field::ReceiptCode, receipt.outcome.summary());
    if is_duplicate(receipt) {
        // They have the message from an earlier delivery of the same envelope: its own receipt decides.
        let event = event.with(Field::Cause, "the recipient has the message already; its first receipt decides");
        return Ok(Effects { discard: vec![received.blob], ..Step::new().op(Op::Audit(event)).into() });
    }
    let (end, name, told) = outcome(&letter, received, false);
    let mut step = Step::new()
        .guard(guard)
        .op(Op::Cancel(JobId::of(letter.record, "send")))
        .op(Op::Cancel(JobId::of(letter.record, "await")))
        .op(Op::Audit(event));
    if let Some(told) = told {
        step = step.op(told.job(letter.record, name, now));
    }
    if is_our_fault(receipt) {
        let what = format!("message {} was rejected: {}", letter.message_id, receipt.outcome.summary());
        step = step.op(Tell::alarm(Cause::RejectedAsFaulty, &what, "the recipient found the message itself faulty; its receipt is kept").job(
            letter.record,
            "alarm",
            now,
        ));
    }
    let ended = before.ended(end, Some(received.blob), now);
    Ok(step.op(Op::Put(Outgoing::Ended(ended).to_record()?)).into())
}

fn late(letter: Letter, ended: &Ended, received: &Received<'_>, guard: Guard, now: Timestamp) -> Result<Effects, Failure> {
    let cargo = Cargo::Letter(letter.clone());
    let event = cargo
        .event(now, EventName::LateReceipt)
        .with(Field::ReceiptId, received.envelope_id)
        .with(Field::ReceiptCode, received.receipt.outcome.summary());
    let (_, _, told) = outcome(&letter, received, true);
    let mut step = Step::new().guard(guard).op(Op::Audit(event));
    if let Some(told) = told {
        step = step.op(told.job(letter.record, "late", now));
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
pub fn overdue(mut state: Waiting, lease: Lease, schedule: &Schedule, now: Timestamp) -> Result<Effects, Failure> {
    let last = later(state.acknowledged_at, schedule.receipt_within);
    if now >= last {
        let failure = Failure::permanent(Stage::Settle, Blame::Peer, "no message receipt came in time");
        let fail = Fail::NoReceipt { acknowledged: state.acknowledged_at };
        return end(&Outgoing::Waiting(state), lease, &failure, fail, now);
    }
    let mut step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(state.letter.record, Outgoing::WAITING));
    if state.delay_told.replace(now).is_none() && state.letter.notify.delay {
        let why = Delay::Receipt { acknowledged: state.acknowledged_at };
        step = step.op(Tell::Delayed { why, until: last }.job(state.letter.record, "delayed-receipt", now));
    }
    let note = lease.job.note.clone();
    Ok(step.op(Op::Put(Outgoing::Waiting(state).to_record()?)).op(Op::Reschedule { lease, due: last, note }).into())
}

fn is_duplicate(receipt: &Receipt) -> bool {
    matches!(&receipt.outcome, Outcome::Rejected(lines) if !lines.is_empty() && lines.iter().all(|line| line.detail == Detail::Duplicate))
}

/// Whether the message itself was faulty, which is never the sender's doing.
fn is_our_fault(receipt: &Receipt) -> bool {
    let of_sender = [Detail::NotFound, Detail::NotSupported, Detail::TooLong, Detail::Forbidden];
    matches!(&receipt.outcome, Outcome::Rejected(lines) if lines.iter().any(|line| !of_sender.contains(&line.detail)))
}
