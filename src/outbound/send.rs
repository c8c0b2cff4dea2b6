//! Sending: the envelope is wrapped in AS4 once, and the same bytes are pushed until a receipt proves them taken.
//!
//! Uses the access point's keys and nothing of the participant's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::retry::{Next, Schedule};
use super::state::{Cargo, Dispatch, End, Ended, Outgoing, Reached, Scheduled, Submitted, Waiting, place};
use super::told;
use crate::as4::{EbmsError, Sent, UserMessage};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{AccessPointId, As4MessageId, RecordId, Sha256};
use crate::mail::alarm::Cause;
use crate::port::{Blob, BlobId, BlobKind, Delay, Effects, Fail, Guard, Job, JobId, Lease, Moment, NewBlob, Op, Queue, Retained, State, Step, Tell};

/// What must be remembered of a request to judge its receipt, in the header of the request's blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prepared {
    /// Whose request it is.
    pub record: RecordId,
    /// The access point's URL.
    pub endpoint: String,
    /// The access point's name.
    pub peer: AccessPointId,
    /// The certificate that must have signed the receipt: DER in base64.
    pub certificate: String,
    /// What was signed.
    pub sent: Sent,
}

impl Prepared {
    /// The request's blob.
    ///
    /// # Errors
    /// A [`Failure`] of ours.
    pub fn blob(&self, id: BlobId) -> Result<Blob, Failure> {
        let header = serde_json::to_string(self).map_err(|error| Failure::permanent(Stage::Send, Blame::Us, error.to_string()))?;
        Ok(Blob { id, kind: BlobKind::Request, header })
    }

    /// Reads the header of a request's blob.
    ///
    /// # Errors
    /// A [`Failure`] of ours.
    pub fn from_blob(blob: &Blob) -> Result<Self, Failure> {
        serde_json::from_str(&blob.header)
            .map_err(|error| Failure::permanent(Stage::Send, Blame::Us, format!("a request's header cannot be read: {error}")))
    }
}

/// The user message around an envelope (SDK C3.2.1 2.3.1).
#[must_use]
pub fn user_message(state: &Submitted, from: &AccessPointId, to: &AccessPointId, at: Timestamp) -> UserMessage {
    let cargo = &state.cargo;
    UserMessage {
        message_id: state.dispatch.as4_id.clone(),
        timestamp: at,
        ref_to: None,
        from: from.clone(),
        to: to.clone(),
        conversation_id: cargo.as4_conversation().to_owned(),
        kind: cargo.kind(),
        original_sender: cargo.organisation().clone(),
        final_recipient: cargo.participant().clone(),
    }
}

/// The request's blob is durable: from here on only its bytes are sent.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn prepared(
    mut state: Submitted,
    lease: &Lease,
    request: BlobId,
    prepared: &Prepared,
    peer_certificate: Sha256,
    now: Timestamp,
) -> Result<(Submitted, Step), Failure> {
    let event = told::submitted(&state.cargo, &state.dispatch, &prepared.peer, peer_certificate, now);
    state.dispatch.request = Some(request);
    state.dispatch.place = Some(place(&prepared.endpoint));
    // The first attempt follows at once; what becomes of it is known when it has ended.
    state.dispatch.reached = Reached::Perhaps;
    let step = Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(state.cargo.record(), Outgoing::SUBMITTED))
        .op(Op::Put(Outgoing::Submitted(state.clone()).to_record()?))
        .op(Op::Audit(event));
    Ok((state, step))
}

/// The request is about to be sent once more; from here on it may have arrived until its failure says otherwise.
/// `None` when the record says so already.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn attempted(state: &Submitted, lease: &Lease) -> Result<Option<Step>, Failure> {
    if state.dispatch.reached == Reached::Perhaps {
        return Ok(None);
    }
    let mut state = state.clone();
    state.dispatch.reached = Reached::Perhaps;
    let step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(state.cargo.record(), Outgoing::SUBMITTED));
    Ok(Some(step.op(Op::Put(Outgoing::Submitted(state).to_record()?))))
}

/// The proof that the other access point has the message.
pub struct Proof {
    /// The signal's own id.
    pub signal_id: As4MessageId,
    /// SHA-256 of its signature value.
    pub signature: Sha256,
    /// SHA-256 of the certificate that made it.
    pub certificate: Sha256,
    /// The other access point.
    pub peer: AccessPointId,
    /// Warnings beside it.
    pub warnings: Vec<EbmsError>,
    /// The Content-Type that it came with: a package is not read without its boundary.
    pub content_type: String,
    /// The signal as it came.
    pub signal: Vec<u8>,
    /// The name of its blob.
    pub blob: BlobId,
}

impl Proof {
    fn told(&self) -> told::Receipt<'_> {
        let listed: Vec<String> = self.warnings.iter().map(ToString::to_string).collect();
        told::Receipt {
            signal: &self.signal_id,
            peer: &self.peer,
            certificate: self.certificate,
            signature: self.signature,
            warnings: (!listed.is_empty()).then(|| format!("taken with warnings: {}", listed.join(", "))),
        }
    }
}

/// The message was taken. `proof` is absent when the other access point answered a retry by naming it a duplicate.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn acknowledged(state: Submitted, lease: Lease, proof: Option<Proof>, schedule: &Schedule, now: Timestamp) -> Result<Effects, Failure> {
    let receipt = proof.as_ref().map(Proof::told);
    let event = told::acknowledged(&state.cargo, &state.dispatch, receipt.as_ref(), now);
    let record = state.cargo.record();
    let mut effects = Effects::default();
    let signal = proof.map(|proof| {
        let header = serde_json::json!({ "record": record, "content_type": proof.content_type }).to_string();
        let blob = Blob { id: proof.blob, kind: BlobKind::Signal, header };
        (proof.blob, NewBlob { blob, body: proof.signal.into() })
    });
    let mut step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record, Outgoing::SUBMITTED)).op(Op::Complete(lease));
    match state.cargo {
        Cargo::Letter(letter) => {
            let due = schedule.late_at(now).min(schedule.receipt_due(now));
            let waiting =
                Waiting { letter, dispatch: state.dispatch, acknowledged_at: now, signal: signal.as_ref().map(|(id, _)| *id), delay_told: None };
            effects.blobs.extend(signal.map(|(_, blob)| blob));
            step = step.op(Op::Put(Outgoing::Waiting(waiting).to_record()?)).op(Op::Enqueue(Job::new(
                JobId::of(record, "await"),
                Queue::Await,
                record,
                due,
            )));
        }
        cargo @ Cargo::Reply(_) => {
            effects.discard.push(state.dispatch.envelope);
            effects.blobs.extend(signal.as_ref().map(|(_, blob)| blob.clone()));
            // The request's header says what was signed: without it the receipt would prove nothing later.
            let kept = signal.iter().map(|(id, _)| *id).chain(state.dispatch.request).collect();
            let ended = Ended { cargo, end: End::Accepted, at: now, late_told: false, kept, retained: Retained::Whole };
            step = step.op(Op::Put(Outgoing::Ended(ended).to_record()?)).op(Op::retire(record, now));
        }
    }
    effects.step = step.op(Op::Audit(event));
    Ok(effects)
}

/// What the next state of a failed attempt is kept in.
pub enum Attempted {
    /// It was to be sealed.
    Scheduled(Scheduled),
    /// It was to be sent.
    Submitted(Submitted),
}

impl Attempted {
    /// What it carries.
    #[must_use]
    pub fn cargo(&self) -> Cargo {
        match self {
            Self::Scheduled(state) => Cargo::Letter(state.letter.clone()),
            Self::Submitted(state) => state.cargo.clone(),
        }
    }

    /// An event with every id that is fixed by now (SDK C3.4.6 3.4.1).
    fn dispatch(&self) -> Option<&Dispatch> {
        match self {
            Self::Scheduled(_) => None,
            Self::Submitted(state) => Some(&state.dispatch),
        }
    }

    pub(super) fn delay_told(&mut self) -> &mut Option<Timestamp> {
        match self {
            Self::Scheduled(state) => &mut state.delay_told,
            Self::Submitted(state) => &mut state.dispatch.delay_told,
        }
    }

    pub(super) fn state(&self) -> State {
        match self {
            Self::Scheduled(_) => Outgoing::SCHEDULED,
            Self::Submitted(_) => Outgoing::SUBMITTED,
        }
    }

    /// Whether its sender was told that it takes long.
    #[must_use]
    pub fn is_told(&self) -> bool {
        match self {
            Self::Scheduled(state) => state.delay_told.is_some(),
            Self::Submitted(state) => state.dispatch.delay_told.is_some(),
        }
    }

    fn may_be_there(&self) -> bool {
        matches!(self, Self::Submitted(Submitted { dispatch, .. }) if dispatch.request.is_some() && dispatch.reached == Reached::Perhaps)
    }

    pub(super) fn into_outgoing(self) -> Outgoing {
        match self {
            Self::Scheduled(state) => Outgoing::Scheduled(state),
            Self::Submitted(state) => Outgoing::Submitted(state),
        }
    }
}

/// An attempt to seal or send failed: it is repeated later, or it is the end.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn failed(
    mut state: Attempted,
    lease: Lease,
    failure: &Failure,
    fail: Fail,
    schedule: &Schedule,
    now: impl Into<Moment>,
    random: u64,
) -> Result<Effects, Failure> {
    let (cargo, moment) = (state.cargo(), now.into());
    let now = moment.now;
    if failure.is_temporary()
        && let Next::At(due) = schedule.next_asked(lease.job.attempt, failure.wait, cargo.since(), moment, random)
    {
        let event = told::deferred(&cargo, state.dispatch(), failure, lease.job.attempt + 1, due, now);
        let mut step = Step::new().guard(Guard::Held(lease.clone()));
        let why = if fail == Fail::Directory { Delay::Directory { next: due } } else { Delay::AccessPoint { next: due } };
        if let Some(told) = delayed(&cargo, state.delay_told(), why, schedule, now) {
            step = told.into_iter().fold(step, Step::op);
        }
        let outgoing = state.into_outgoing();
        let step = step.guard(Guard::In(outgoing.record_id(), outgoing.state())).op(Op::Put(outgoing.to_record()?));
        let note = Job::cause(&failure.what);
        return Ok(step.op(Op::Reschedule { lease, due, note }).op(Op::Audit(event)).into());
    }
    given_up(state, lease, failure, fail, now)
}

/// It is tried no more.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn given_up(state: Attempted, lease: Lease, failure: &Failure, fail: Fail, now: Timestamp) -> Result<Effects, Failure> {
    let fail = if fail == Fail::AccessPoint && state.may_be_there() { Fail::Unproven } else { fail };
    end(&state.into_outgoing(), lease, failure, fail, now)
}

/// Notes once that a letter takes long, when it does: `None` when there is nothing to note, else what its sender is told.
pub(super) fn delayed(cargo: &Cargo, told: &mut Option<Timestamp>, why: Delay, schedule: &Schedule, now: Timestamp) -> Option<Vec<Op>> {
    let Cargo::Letter(letter) = cargo else { return None };
    if told.is_some() || !schedule.is_late(cargo.since(), now) {
        return None;
    }
    *told = Some(now);
    let delayed = Tell::Delayed { why, until: schedule.last(cargo.since()) };
    Some(letter.notify.delay.then(|| delayed.job(letter.record, &letter.telling("delayed"), now)).into_iter().collect())
}

/// The name of a job that tells something of it.
fn cargo_name(cargo: &Cargo, name: &str) -> String {
    match cargo {
        Cargo::Letter(letter) => letter.telling(name),
        Cargo::Reply(reply) => reply.resent.as_ref().map_or_else(|| name.to_owned(), |resent| format!("{name}-{}", resent.times)),
    }
}

/// The end without outcome: the sender is told, and the operator when it is not the sender's doing.
pub(super) fn end(outgoing: &Outgoing, lease: Lease, failure: &Failure, fail: Fail, now: Timestamp) -> Result<Effects, Failure> {
    let cargo = outgoing.cargo();
    let record = cargo.record();
    let dispatch = match outgoing {
        Outgoing::Submitted(Submitted { dispatch, .. }) | Outgoing::Waiting(Waiting { dispatch, .. }) => Some(dispatch),
        Outgoing::Scheduled(_) | Outgoing::Held(_) | Outgoing::Ended(_) => None,
    };
    let event = told::exchange_failed(&cargo, dispatch, failure, now);
    let mut step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record, outgoing.state()));
    step = step.op(Op::Complete(lease)).op(Op::Audit(event));
    let alarm = match &cargo {
        Cargo::Letter(letter) => {
            if letter.notify.failure {
                step = step.op(Tell::Failed { why: fail }.job(record, &letter.telling("failed"), now));
            }
            match fail {
                Fail::NoReceipt { .. } => Some(Cause::NoReceipt),
                Fail::Certificate => Some(Cause::Certificate),
                Fail::AccessPoint | Fail::Unproven | Fail::Directory | Fail::NotServed | Fail::RefusedByPeer => Some(Cause::Unsent),
                Fail::FileType { .. } | Fail::Cancelled => None,
                Fail::NotRegistered | Fail::Internal => (failure.blame != Blame::Sender).then_some(Cause::Fault),
            }
        }
        // The other side still waits for it, and nobody but the operator will know.
        Cargo::Reply(_) => Some(Cause::ReceiptUndelivered),
    };
    if let Some(cause) = alarm {
        step = step.op(Tell::alarm(cause, &failure.what, &failure.hint).job(record, &cargo_name(&cargo, "alarm"), now));
    }
    let ended = outgoing.ended(End::ExchangeError, None, now);
    Ok(step.op(Op::retire(record, now)).op(Op::Put(Outgoing::Ended(ended).to_record()?)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::retry::later;
    use crate::outbound::state::tests::letter;

    fn lease(attempt: u32) -> Lease {
        let mut job = Job::new(JobId::of(letter().record, "send"), Queue::Send, letter().record, Timestamp::UNIX_EPOCH);
        job.attempt = attempt;
        Lease { job, token: 1, until: Timestamp::MAX }
    }

    fn attempted() -> Attempted {
        Attempted::Scheduled(Scheduled { letter: letter(), delay_told: None })
    }

    fn tells(effects: &Effects) -> Vec<Tell> {
        let jobs = effects.step.ops.iter().filter_map(|op| match op {
            Op::Enqueue(job) if job.queue == Queue::Notify => Some(serde_json::from_str::<crate::port::Told>(&job.note).unwrap().tell),
            _ => None,
        });
        jobs.collect()
    }

    #[test]
    fn a_passing_failure_is_tried_again_and_the_sender_is_told_once_when_it_takes_long() {
        let (schedule, failure) = (Schedule::default(), Failure::temporary(Stage::Send, Blame::Peer, "down"));
        let early = failed(attempted(), lease(0), &failure, Fail::AccessPoint, &schedule, Timestamp::UNIX_EPOCH, 0).unwrap();
        assert!(tells(&early).is_empty());
        assert!(early.step.ops.iter().any(|op| matches!(op, Op::Reschedule { .. })));
        let late = later(Timestamp::UNIX_EPOCH, schedule.delay_after);
        let effects = failed(attempted(), lease(9), &failure, Fail::AccessPoint, &schedule, late, 0).unwrap();
        assert!(matches!(tells(&effects)[..], [Tell::Delayed { why: Delay::AccessPoint { .. }, .. }]));
        let told = Attempted::Scheduled(Scheduled { letter: letter(), delay_told: Some(late) });
        assert!(tells(&failed(told, lease(9), &failure, Fail::AccessPoint, &schedule, late, 0).unwrap()).is_empty());
    }

    #[test]
    fn the_end_tells_the_sender_and_the_operator() {
        let (schedule, failure) = (Schedule::default(), Failure::temporary(Stage::Send, Blame::Peer, "down"));
        let end = failed(attempted(), lease(99), &failure, Fail::AccessPoint, &schedule, schedule.last(Timestamp::UNIX_EPOCH), 0).unwrap();
        assert!(matches!(tells(&end)[..], [Tell::Failed { why: Fail::AccessPoint }, Tell::Alarm { cause: Cause::Unsent, .. }]));
        assert!(end.step.ops.iter().any(|op| matches!(op, Op::Complete(_))));
    }
}
