//! Settling: the message is kept and acknowledged, or turned away with every reason.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Arrival, Closed, How, Incoming, Taken};
use super::told;
use crate::content::Content;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{ConversationId, FunctionId, MailAddress, MessageId, ParticipantId, RecordId, Sha256};
use crate::port::{Blob, BlobId, BlobKind, Effects, Guard, Job, JobId, Key, Lease, NewBlob, Op, Queue, Step};
use crate::sdk::receipt::{self, Outcome, Receipt};
use crate::sdk::rules::{Breach, Detail, ReasonCode};

/// What must be done to send our receipt, as the note of a [`Queue::Answer`] job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The receipt's XML.
    pub receipt: BlobId,
    /// The receipt's code, for the journal.
    pub code: String,
}

/// The job that seals and sends our receipt for an incoming message.
#[must_use]
pub fn answer_job(incoming: RecordId) -> JobId {
    JobId::of(incoming, "answer")
}

/// The header of a receipt's blob: what does not fit a job, since peers write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptHeader {
    /// The incoming message's record.
    pub record: RecordId,
    /// The `HandlingServiceID` of the message, which its receipt repeats.
    pub service: Option<FunctionId>,
}

/// Names for what settling makes.
pub struct Names {
    /// The receipt's `ID`.
    pub receipt_id: String,
    /// The receipt's blob.
    pub receipt: BlobId,
    /// The message's blob.
    pub message: BlobId,
}

/// The mark of a message that was rejected here: what its sender sends in answer to it is turned away too (SDK B1.3.3 5.3
/// row 11). Of its sender only: nobody else has seen it, and nobody else may mark another's message.
#[must_use]
pub fn rejected(from: &ParticipantId, message: &MessageId) -> Key {
    Key::new("rejected", &format!("{} {}", from.folded(), message.folded()))
}

/// A message that is valid: it and our receipt become durable together with the mark of its id.
///
/// `link` is the key and value by which answers find the conversation; it is also the mark against a second one.
///
/// # Errors
/// A [`Failure`] when the receipt or the record cannot be written.
#[expect(clippy::too_many_arguments, reason = "one step joins all that is known of a message")]
pub fn taken(
    arrival: Arrival,
    lease: Lease,
    content: &Content,
    xml: Vec<u8>,
    mailbox: &MailAddress,
    signer: Sha256,
    link: (Key, String),
    names: Names,
    now: Timestamp,
) -> Result<Effects, Failure> {
    let function = content.recipient.function.clone().ok_or_else(|| ours("a valid message has a recipient function"))?;
    let conversation_id: ConversationId = content.conversation_id.clone();
    let message = told::Message {
        conversation: &conversation_id,
        answers: content.in_reply_to.as_ref(),
        function: &function,
        mailbox,
        octets: xml.len(),
        signer,
    };
    let event = told::taken(&arrival, &message, now);
    let (receipt, answer) = answer(&arrival, Outcome::Accepted, Some(function.clone()), &names, now)?;
    let header = serde_json::json!({ "record": arrival.record, "message_id": arrival.envelope_id }).to_string();
    let message = NewBlob { blob: Blob { id: names.message, kind: BlobKind::Message, header }, body: xml.into() };
    let (discard, record) = (vec![arrival.envelope], arrival.record);
    let mark = rejected(&arrival.from, &arrival.envelope_id);
    let taken = Taken {
        arrival,
        message: names.message,
        conversation_id,
        in_reply_to: content.in_reply_to.clone(),
        function,
        mailbox: mailbox.clone(),
        alarmed: false,
    };
    let step = Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(record, Incoming::RETRIEVED))
        .guard(Guard::Absent(link.0.clone()))
        .op(Op::Complete(lease))
        .op(Op::Note(link.0, link.1))
        // It may have been rejected before, and put right since.
        .op(Op::Forget(mark))
        .op(Op::Put(Incoming::New(taken).to_record()?))
        .op(Op::Audit(event))
        .op(Op::Enqueue(Job::new(JobId::of(record, "deliver"), Queue::Deliver, record, now)))
        .op(answer);
    Ok(Effects { blobs: vec![message, receipt], step, discard })
}

/// A message that is rejected: our receipt says why.
///
/// # Errors
/// A [`Failure`] when the receipt or the record cannot be written.
pub fn turned_away(
    arrival: Arrival,
    lease: Lease,
    service: Option<FunctionId>,
    breaches: Vec<Breach>,
    names: &Names,
    now: Timestamp,
) -> Result<Effects, Failure> {
    // A second copy of a message that was taken leaves the first one's fate alone, and so does what nobody signed.
    let unmarked = |breach: &Breach| breach.detail == Detail::Duplicate || breach.code == ReasonCode::Sig;
    let marked = (!breaches.iter().any(unmarked)).then(|| rejected(&arrival.from, &arrival.envelope_id));
    let outcome = Outcome::Rejected(breaches);
    let event = told::turned_away(&arrival, &outcome.summary(), now);
    let (receipt, answer) = answer(&arrival, outcome, service, names, now)?;
    let (discard, record) = (vec![arrival.envelope], arrival.record);
    let closed = Incoming::Closed(Closed { arrival, how: How::TurnedAway, at: now, kept: None });
    let mut step = Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(record, Incoming::RETRIEVED))
        .op(Op::Complete(lease))
        .op(Op::Put(closed.to_record()?))
        .op(Op::retire(record, now))
        .op(Op::Audit(event))
        .op(answer);
    if let Some(key) = marked {
        step = step.op(Op::Note(key, record.to_string()));
    }
    Ok(Effects { blobs: vec![receipt], step, discard })
}

/// A receipt that was read: its own record ends here, what it settles is the other flow's.
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn receipt_taken(arrival: Arrival, lease: Lease, refers_to: &MessageId, code: &str, signer: Sha256, now: Timestamp) -> Result<Effects, Failure> {
    let event = told::receipt_opened(&arrival, refers_to, code, signer, now);
    let (discard, record) = (vec![arrival.envelope], arrival.record);
    let closed = Incoming::Closed(Closed { arrival, how: How::Settled, at: now, kept: None });
    let step = Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(record, Incoming::RETRIEVED))
        .op(Op::Complete(lease))
        .op(Op::Put(closed.to_record()?))
        .op(Op::retire(record, now))
        .op(Op::Audit(event));
    Ok(Effects { step, discard, ..Effects::default() })
}

fn answer(arrival: &Arrival, outcome: Outcome, service: Option<FunctionId>, names: &Names, now: Timestamp) -> Result<(NewBlob, Op), Failure> {
    let receipt = Receipt {
        id: names.receipt_id.clone(),
        issued: now,
        sender: arrival.organisation.clone(),
        receiver: arrival.from.clone(),
        refers_to: arrival.envelope_id.clone(),
        outcome,
    };
    let code = receipt.outcome.summary();
    let xml = receipt::write(&receipt).map_err(|_| ours("the receipt breaks its own rules"))?;
    let header = ReceiptHeader { record: arrival.record, service };
    let header = serde_json::to_string(&header).map_err(|error| ours(&error.to_string()))?;
    let blob = NewBlob { blob: Blob { id: names.receipt, kind: BlobKind::Receipt, header }, body: xml.into() };
    let note = serde_json::to_string(&Answer { receipt: names.receipt, code }).map_err(|error| ours(&error.to_string()))?;
    let job = Job::new(answer_job(arrival.record), Queue::Answer, arrival.record, now).with(note);
    Ok((blob, Op::Enqueue(job)))
}

fn ours(what: &str) -> Failure {
    Failure::permanent(Stage::Settle, Blame::Us, what)
}
