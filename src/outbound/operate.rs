//! What an operator does with an outgoing message: has it sent again, lets it go, stops it.
//!
//! The message stays the same SDK message through all of it: its messageId and conversation are never changed. So a
//! receiver that has it already says so, and nobody gets it twice.

use jiff::Timestamp;

use super::state::{Cargo, Dispatch, End, Ended, Held, Letter, Outgoing, Reached, Resent, Scheduled, Submitted};
use crate::event::{EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::As4MessageId;
use crate::port::{BlobId, Effects, Fail, Guard, Job, JobId, Op, Queue, Step, Tell, retiring};

/// How often one message is sent again: its record keeps what every attempt left.
const RESENDS: u8 = 8;

/// What a message that ended without outcome has left, by the kinds of its blobs.
pub struct Left {
    /// Its sealed envelope, where there was one.
    pub envelope: Option<BlobId>,
    /// What is no proof of anything: envelope and request of the ended attempt.
    pub spent: Vec<BlobId>,
    /// The AS4 id of another attempt, for a receipt of ours; a message gets one when it is sealed again.
    pub as4_id: As4MessageId,
}

/// A message that ended without outcome is sent again: it is sealed anew, for the keys that its recipient has by now,
/// and has a new AS4 id, since another access point that took the old one would drop it as a duplicate. A message
/// receipt of ours is sent again as it was signed.
///
/// # Errors
/// A [`Failure`] that says why it makes no sense, when it does not.
pub fn resend(ended: Ended, left: &Left, by: &str, now: Timestamp) -> Result<Effects, Failure> {
    let why = match (&ended.end, &ended.cargo, ended.retained.is_whole()) {
        (End::Accepted, Cargo::Letter(_), _) => Some("the recipient has acknowledged it (ACCEPTED)"),
        (End::Accepted, Cargo::Reply(_), _) => Some("the other access point has it"),
        (End::Rejected, ..) => Some("the recipient has rejected it; put right, it is a new mail"),
        (End::ExchangeError, _, false) => Some("its content was deleted when its time was over"),
        (End::ExchangeError, ..) if ended.late_told => Some("a late receipt has told what became of it; the sender knows"),
        (End::ExchangeError, ..) => None,
    };
    if let Some(why) = why {
        return Err(refused(why));
    }
    let before = match &ended.cargo {
        Cargo::Letter(letter) => letter.resent.clone(),
        Cargo::Reply(reply) => reply.resent.clone(),
    };
    let times = before.as_ref().map_or(0, |resent| resent.times) + 1;
    if times > RESENDS {
        return Err(refused(&format!("it was sent again {RESENDS} times already; find out why it does not arrive")));
    }
    let record = ended.cargo.record();
    let event = ended.cargo.event(now, EventName::Resent).with(Field::Operator, by).with(Field::Attempt, times);
    let kept = before.into_iter().flat_map(|resent| resent.kept).chain(ended.kept).filter(|id| !left.spent.contains(id));
    let resent = Some(Resent { at: now, times, kept: kept.collect() });
    let step = Step::new().guard(Guard::In(record, Outgoing::EXCHANGE_ERROR)).op(Op::Cancel(retiring(record))).op(Op::Audit(event));
    match ended.cargo {
        Cargo::Letter(letter) => {
            let scheduled = Scheduled { letter: Letter { resent, ..letter }, delay_told: None };
            let step = step.op(Op::Put(Outgoing::Scheduled(scheduled).to_record()?)).op(Op::Enqueue(Job::new(
                JobId::of(record, "seal"),
                Queue::Seal,
                record,
                now,
            )));
            Ok(Effects { step, discard: left.spent.clone(), ..Effects::default() })
        }
        Cargo::Reply(mut reply) => {
            let envelope = left.envelope.ok_or_else(|| refused("its envelope is no longer there"))?;
            reply.resent = resent.map(|resent| Resent { kept: resent.kept.into_iter().filter(|id| *id != envelope).collect(), ..resent });
            let dispatch = Dispatch {
                as4_id: left.as4_id.clone(),
                envelope,
                request: None,
                reached: Reached::Never,
                delay_told: None,
                place: None,
                yields: false,
            };
            let submitted = Submitted { cargo: Cargo::Reply(reply), dispatch };
            let step = step.op(Op::Put(Outgoing::Submitted(submitted).to_record()?)).op(Op::Enqueue(Job::new(
                JobId::of(record, "send"),
                Queue::Send,
                record,
                now,
            )));
            let discard = left.spent.iter().copied().filter(|id| *id != envelope).collect();
            Ok(Effects { step, discard, ..Effects::default() })
        }
    }
}

/// A message that was kept back goes on now, whatever its pair of functions does.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn let_go(state: Held, by: &str, now: Timestamp) -> Result<Step, Failure> {
    let Held { letter, delay_told, .. } = state;
    let record = letter.record;
    let event = Cargo::Letter(letter.clone()).event(now, EventName::Released).with(Field::Operator, by);
    Ok(Step::new()
        .guard(Guard::In(record, Outgoing::HELD))
        .op(Op::Cancel(JobId::of(record, "seal")))
        .op(Op::Enqueue(Job::new(JobId::of(record, "seal"), Queue::Seal, record, now)))
        .op(Op::Audit(event))
        .op(Op::Put(Outgoing::Scheduled(Scheduled { letter, delay_told }).to_record()?)))
}

/// A message that has not left is stopped, and its sender told.
///
/// # Errors
/// A [`Failure`] that says why not, when it may have left.
pub fn cancel(state: &Outgoing, by: &str, now: Timestamp) -> Result<Step, Failure> {
    let letter = match state {
        Outgoing::Scheduled(Scheduled { letter, .. }) | Outgoing::Held(Held { letter, .. }) => letter,
        Outgoing::Submitted(Submitted { cargo: Cargo::Letter(letter), dispatch }) if dispatch.reached == Reached::Never => letter,
        Outgoing::Submitted(Submitted { cargo: Cargo::Letter(_), .. }) => {
            return Err(refused("an attempt to send it may have arrived; it is sent until that is certain"));
        }
        Outgoing::Submitted(_) => return Err(refused("a message receipt is owed to the other organisation")),
        Outgoing::Waiting(_) => return Err(refused("the other access point has it")),
        Outgoing::Ended(_) => return Err(refused("it has ended already")),
    };
    let record = letter.record;
    let event = state.cargo().event(now, EventName::Cancelled).with(Field::Operator, by);
    let mut step = Step::new()
        .guard(Guard::In(record, state.state()))
        .op(Op::Cancel(JobId::of(record, "seal")))
        .op(Op::Cancel(JobId::of(record, "send")))
        .op(Op::Audit(event));
    if letter.notify.failure {
        step = step.op(Tell::Failed { why: Fail::Cancelled }.job(record, &letter.telling("failed"), now));
    }
    let ended = state.ended(End::ExchangeError, None, now);
    Ok(step.op(Op::retire(record, now)).op(Op::Put(Outgoing::Ended(ended).to_record()?)))
}

fn refused(why: &str) -> Failure {
    Failure::permanent(Stage::Settle, Blame::Us, why)
}
