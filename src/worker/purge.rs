//! [`Queue::Purge`](crate::port::Queue::Purge): what has ended is deleted when its time is over, first its content, then the rest.
//!
//! ```text
//!  ended ─ content-days ─▶ purging ═ bodies deleted, each found gone ═▶ purged ─ metadata-days ─▶ nothing but the journal
//! ```
//!
//! What is going to be deleted is durable with digests before the first body goes, so a deletion that a crash cut off is
//! completed and told as it was. A job looks again at least once a week: a rule that was changed takes hold by then, and
//! nothing ever searches the store.

use std::io::Read;
use std::time::Duration;

use jiff::Timestamp;

use super::effects::{Outcome, blocking, from_store, point};
use super::{Node, holds};
use crate::crypto::Hasher;
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{ConversationId, ParticipantId, RecordId};
use crate::inbound::Incoming;
use crate::inbound::retire::Past;
use crate::outbound::Outgoing;
use crate::outbound::accept::{Link, Transaction};
use crate::outbound::retry::later;
use crate::outbound::state::Ended;
use crate::outbound::turn;
use crate::port::{BlobId, BlobKind, Doomed, Guard, JobId, Key, Lease, Op, Record, Retained, Step, StoreError};

/// The note of a job that waits for the end of a hold.
pub(super) const HELD: &str = "held";

/// Octets that are digested at once.
const CHUNK: usize = 256 * 1024;

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Content.
    pub content: Duration,
    /// The rest; not shorter.
    pub metadata: Duration,
}

/// A day. Tests make it shorter.
fn day() -> Duration {
    #[cfg(feature = "failpoints")]
    if let Some(milliseconds) = fail::eval("purge.day", |length| length.and_then(|text| text.parse().ok())).flatten() {
        return Duration::from_millis(milliseconds);
    }
    Duration::from_hours(24)
}

impl Retention {
    fn content_until(self, ended: Timestamp) -> Timestamp {
        later(ended, self.content.mul_f64(day().as_secs_f64() / 86_400.0))
    }

    fn metadata_until(self, ended: Timestamp) -> Timestamp {
        later(ended, self.metadata.mul_f64(day().as_secs_f64() / 86_400.0))
    }

    /// The rule, as the journal has it.
    fn rule(kept: Duration, what: &str, organisation: &ParticipantId) -> String {
        format!("{what} of {organisation}: {} days", kept.as_secs() / 86_400)
    }
}

/// A message of either direction that has ended.
enum Over {
    Out(Ended),
    In(Past),
}

impl Over {
    fn of(record: &Record) -> Result<Option<Self>, Failure> {
        match Outgoing::from_record(record) {
            Ok(Outgoing::Ended(ended)) => Ok(Some(Self::Out(ended))),
            Ok(_) => Ok(None),
            Err(_) => Ok(Past::of(Incoming::from_record(record)?).map(Self::In)),
        }
    }

    fn at(&self) -> Timestamp {
        match self {
            Self::Out(ended) => ended.at,
            Self::In(past) => past.at,
        }
    }

    fn organisation(&self) -> &ParticipantId {
        match self {
            Self::Out(ended) => ended.cargo.organisation(),
            Self::In(past) => &past.arrival().organisation,
        }
    }

    fn conversation(&self) -> Option<&ConversationId> {
        match self {
            Self::Out(ended) => ended.conversation(),
            Self::In(past) => past.conversation(),
        }
    }

    fn retained(&self) -> &Retained {
        match self {
            Self::Out(ended) => &ended.retained,
            Self::In(past) => &past.retained,
        }
    }

    fn has_content(&self) -> bool {
        match self {
            Self::Out(ended) => ended.has_content(),
            Self::In(past) => past.has_content(),
        }
    }

    fn doomed(self, blobs: Vec<Doomed>) -> Result<Record, Failure> {
        match self {
            Self::Out(ended) => ended.doomed(blobs).to_record(),
            Self::In(past) => past.doomed(blobs).to_record(),
        }
    }

    fn gone(self, at: Timestamp) -> Result<Record, Failure> {
        match self {
            Self::Out(ended) => ended.gone(at).to_record(),
            Self::In(past) => past.gone(at).to_record(),
        }
    }

    fn needed_by(&self) -> Vec<JobId> {
        match self {
            Self::Out(ended) => ended.needed_by(),
            Self::In(past) => past.needed_by(),
        }
    }

    fn marks(&self) -> Vec<Key> {
        match self {
            Self::Out(ended) => ended.marks(),
            Self::In(past) => std::iter::once(Link::received(&past.arrival().envelope_id)).chain(past.marks()).collect(),
        }
    }

    fn event(&self, now: Timestamp, name: EventName) -> Event {
        let event = match self {
            Self::Out(ended) => ended.cargo.event(now, name),
            Self::In(past) => past.arrival().event(now, name),
        };
        match self.conversation() {
            Some(conversation) => event.with(Field::ConversationId, conversation),
            None => event,
        }
    }
}

impl Node {
    /// Runs a purge job.
    pub(super) async fn purge(&self, lease: Lease) -> Result<Outcome, Failure> {
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        // Sent or delivered again: its next end makes a job anew.
        let Some(over) = Over::of(&record)? else { return self.abandon(lease).await };
        let rule = self.retention(over.organisation());
        if let Retained::Going(doomed) = over.retained().clone() {
            return self.complete_purge(&record, over, &doomed, rule, lease).await;
        }
        let now = self.now();
        let due = if over.has_content() { rule.content_until(over.at()) } else { rule.metadata_until(over.at()) };
        if due > now {
            return self.look_later(lease, due, "", now).await;
        }
        let holds = holds::over(record.id, over.conversation(), over.organisation());
        for hold in &holds {
            if self.store.record(*hold).await.map_err(|error| from_store(&error))?.is_some() {
                return self.wait_for_hold(&over, lease, now).await;
            }
        }
        for needed in over.needed_by() {
            if self.store.job(needed).await.map_err(|error| from_store(&error))?.is_some() {
                return self.look_later(lease, later(now, day() / 24), "", now).await;
            }
        }
        if over.has_content() {
            self.begin_purge(&record, over, &holds, rule, lease).await
        } else {
            self.remove(&record, &over, &holds, rule, lease).await
        }
    }

    /// The job looks again when it is due, and within a week in any case.
    async fn look_later(&self, lease: Lease, due: Timestamp, note: &str, now: Timestamp) -> Result<Outcome, Failure> {
        let due = due.min(later(now, day() * 7));
        let step = Step::new().guard(Guard::Held(lease.clone())).op(Op::Reschedule { lease, due, note: note.to_owned() });
        self.carry_out("purge.later", step.into()).await
    }

    async fn wait_for_hold(&self, over: &Over, lease: Lease, now: Timestamp) -> Result<Outcome, Failure> {
        if lease.job.note == HELD {
            return self.look_later(lease, later(now, day()), HELD, now).await;
        }
        let event = over.event(now, EventName::PurgeHeld);
        let step = Step::new().guard(Guard::Held(lease.clone())).op(Op::Audit(event));
        let step = step.op(Op::Reschedule { lease, due: later(now, day()), note: HELD.to_owned() });
        self.carry_out("purge.held", step.into()).await
    }

    /// What is to be deleted becomes durable, then it is.
    async fn begin_purge(&self, record: &Record, over: Over, holds: &[RecordId], rule: Retention, lease: Lease) -> Result<Outcome, Failure> {
        let mut doomed = Vec::new();
        for id in named(record)? {
            if let Some(blob) = self.look_at(id).await?
                && Ended::is_content(blob.kind)
            {
                doomed.push(blob);
            }
        }
        let next = over.doomed(doomed.clone())?;
        let guarded = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record.id, record.state.clone()));
        let guarded = holds.iter().fold(guarded, |step, hold| step.guard(Guard::New(*hold)));
        if self.carry_out("purge.doomed", guarded.op(Op::Put(next.clone())).into()).await? == Outcome::Overtaken {
            return Ok(Outcome::Overtaken);
        }
        match Over::of(&next)? {
            Some(over) => self.complete_purge(&next, over, &doomed, rule, lease).await,
            None => Err(lost("a record that has ended no longer has")),
        }
    }

    /// Deletes what is doomed, sees that it is gone, and says so.
    async fn complete_purge(&self, record: &Record, over: Over, doomed: &[Doomed], rule: Retention, lease: Lease) -> Result<Outcome, Failure> {
        let now = self.now();
        let name = Retention::rule(rule.content, "content", over.organisation());
        let mut step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record.id, record.state.clone()));
        for blob in doomed {
            match blob.kind {
                // One mail to several recipients goes with the last of them.
                BlobKind::Mail if self.is_shared(blob.id, record.id).await? => continue,
                BlobKind::Request => self.strip(blob.id).await?,
                _ => self.erase(blob.id).await?,
            }
            point("purge", "blob");
            let kind = serde_json::to_value(blob.kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
            let event = over.event(now, EventName::ContentDeleted).with(Field::Blob, blob.id.0).with(Field::Document, kind);
            let event = event.with(Field::Size, blob.octets).with(Field::Rule, &name);
            step = step.op(Op::Audit(blob.digest.map_or(event.clone(), |digest| event.with(Field::Digest, digest))));
        }
        let due = rule.metadata_until(over.at()).min(later(now, day() * 7));
        let step = step.op(Op::Put(over.gone(now)?)).op(Op::Reschedule { lease, due, note: String::new() });
        self.carry_out("purge.content", step.into()).await
    }

    /// Deletes the rest: receipts, marks, the record.
    async fn remove(&self, record: &Record, over: &Over, holds: &[RecordId], rule: Retention, lease: Lease) -> Result<Outcome, Failure> {
        let left = named(record)?;
        for id in &left {
            self.erase(*id).await?;
            point("purge", "rest");
        }
        let now = self.now();
        let event = over.event(now, EventName::RecordDeleted).with(Field::Rule, Retention::rule(rule.metadata, "metadata", over.organisation()));
        let mut step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record.id, record.state.clone()));
        step = holds.iter().fold(step, |step, hold| step.guard(Guard::New(*hold)));
        for key in over.marks() {
            let Some(value) = self.store.note(key.clone()).await.map_err(|error| from_store(&error))? else { continue };
            // Who waited for it is noted under its own name.
            if key == turn::next(record.id) || is_mark_of(&value, record.id, &left) {
                step = step.guard(Guard::Noted(key.clone(), value)).op(Op::Forget(key));
            }
        }
        let step = step.op(Op::Remove(record.id)).op(Op::Audit(event)).op(Op::Complete(lease));
        self.carry_out("purge.record", step.into()).await
    }

    /// A blob as it is found; `None` when there is none.
    async fn look_at(&self, id: BlobId) -> Result<Option<Doomed>, Failure> {
        let (blob, octets, mut body) = match self.blobs.open(id).await {
            Ok(opened) => opened,
            Err(StoreError::Missing(_)) => return Ok(None),
            Err(error) => return Err(from_store(&error)),
        };
        let digest = blocking(move || {
            let (mut digest, mut chunk) = (Hasher::new(), vec![0; CHUNK]);
            loop {
                match body.read(&mut chunk) {
                    Ok(0) => return Some(digest.finish()),
                    Ok(octets) => digest.update(chunk.get(..octets).unwrap_or_default()),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    // Damaged: it is deleted as it is.
                    Err(_) => return None,
                }
            }
        });
        Ok(Some(Doomed { id, kind: blob.kind, octets, digest: digest.await? }))
    }

    /// Deletes a blob and sees that it is gone.
    async fn erase(&self, id: BlobId) -> Result<(), Failure> {
        self.blobs.delete(id).await.map_err(|error| from_store(&error))?;
        match self.blobs.open(id).await {
            Err(StoreError::Missing(_)) => Ok(()),
            Err(error) => Err(from_store(&error)),
            Ok(_) => Err(lost("a body that was deleted is still there")),
        }
    }

    /// Deletes a blob's body, and leaves what stands before it.
    async fn strip(&self, id: BlobId) -> Result<(), Failure> {
        let blob = match self.blobs.open(id).await {
            Ok((_, 0, _)) | Err(StoreError::Missing(_)) => return Ok(()),
            Ok((blob, ..)) => blob,
            Err(error) => return Err(from_store(&error)),
        };
        self.write_blob(blob, Vec::new()).await?;
        match self.blobs.open(id).await.map_err(|error| from_store(&error))? {
            (_, 0, _) => Ok(()),
            _ => Err(lost("a body that was deleted is still there")),
        }
    }

    /// Whether a mail is another record's too, whose time is not over.
    async fn is_shared(&self, mail: BlobId, own: RecordId) -> Result<bool, Failure> {
        let blob = match self.blobs.open(mail).await {
            Ok((blob, ..)) => blob,
            Err(StoreError::Missing(_)) => return Ok(false),
            Err(error) => return Err(from_store(&error)),
        };
        for recipient in Transaction::from_blob(&blob)?.recipients.iter().filter(|recipient| recipient.record != own) {
            let Some(other) = self.store.record(recipient.record).await.map_err(|error| from_store(&error))? else { continue };
            if other.state != Outgoing::PURGING && other.state != Outgoing::PURGED {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// At start: what ended before there was retention gets its job, once.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub async fn retire_all(&self) -> Result<usize, Failure> {
        const STATES: [crate::port::State; 7] = [
            Outgoing::ACCEPTED,
            Outgoing::REJECTED,
            Outgoing::EXCHANGE_ERROR,
            Incoming::DELIVERED,
            Incoming::READ,
            Incoming::HANDLED,
            Incoming::CLOSED,
        ];
        const BATCH: usize = 200;
        const MOST: usize = 1_000_000;
        let done = Key::new("retention", "begun");
        if self.store.note(done.clone()).await.map_err(|error| from_store(&error))?.is_some() {
            return Ok(0);
        }
        let (now, mut retired) = (self.now(), 0);
        for state in STATES {
            let records = self.store.list(state, MOST).await.map_err(|error| from_store(&error))?;
            for batch in records.chunks(BATCH) {
                let step = batch.iter().fold(Step::new(), |step, record| step.op(Op::retire(record.id, now)));
                self.carry_out("purge.begin", step.into()).await?;
                retired += batch.len();
            }
        }
        self.carry_out("purge.begin", Step::new().op(Op::Note(done, now.to_string())).into()).await?;
        Ok(retired)
    }
}

/// Every blob that a record names.
pub(super) fn named(record: &Record) -> Result<Vec<BlobId>, Failure> {
    match Outgoing::from_record(record) {
        Ok(outgoing) => Ok(outgoing.blobs()),
        Err(_) => Ok(Incoming::from_record(record)?.blobs()),
    }
}

/// Whether a mark leads to this record: by a link, by its id, or by our receipt, which is one of `left`.
fn is_mark_of(value: &str, record: RecordId, left: &[BlobId]) -> bool {
    let link = Link::from_note(value).is_some_and(|link| link.record == record);
    link || value == record.to_string() || left.iter().any(|blob| value == blob.0.simple().to_string())
}

fn lost(what: &str) -> Failure {
    Failure::temporary(Stage::Store, Blame::Us, what).hint("look into the file system and the log")
}
