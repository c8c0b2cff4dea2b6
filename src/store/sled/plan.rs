//! Steps before they are written: guards looked at, changes laid over the index.

use std::collections::{HashMap, HashSet};

use ::sled::Batch;

use super::index::{Index, IndexError};
use super::layout::{
    decode_job, decode_record, encode_job, encode_mark, encode_record, event_key, job_key, note_key, queue_key, record_key, state_key, text,
};
use crate::event::Event;
use crate::ident::RecordId;
use crate::port::{Guard, Job, JobId, Lease, Op, Queue, Record, Step, StoreError, Tally};
use crate::store::journal::{Change, Draft, Entry, Mark};
use crate::store::lease::Until;

/// Every so many events one line is found by its number.
const STRIDE: u64 = 64;

type Result<T, E = IndexError> = std::result::Result<T, E>;

/// Why a step is not applied.
pub(super) enum Refusal {
    /// A guard does not hold.
    Guard(Guard),
    /// Nothing can be said.
    Index(IndexError),
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Guard(guard) => Self::Conflict(Box::new(guard)),
            Refusal::Index(error) => Self::Broken(error.to_string()),
        }
    }
}

/// Who holds which jobs: token and end of the last lease of each, until its job ends or is due anew.
pub(super) type Leases = HashMap<JobId, (u64, Until)>;

/// The changes of a group of steps before they are written: each step sees those before it.
pub(super) struct Plan<'a> {
    index: &'a Index,
    leases: &'a Leases,
    group: Writes,
    step: Writes,
}

/// Keys with their new values, and what else follows from them.
#[derive(Default)]
pub(super) struct Writes {
    keys: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// Jobs whose leases end.
    pub(super) ended: HashSet<JobId>,
    /// How many jobs more or fewer, by queue; what is named has changed.
    pub(super) jobs: HashMap<Queue, isize>,
}

impl Writes {
    fn add(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.ended.extend(other.ended);
        for (queue, by) in other.jobs {
            *self.jobs.entry(queue).or_default() += by;
        }
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(index: &'a Index, leases: &'a Leases) -> Self {
        Self { index, leases, group: Writes::default(), step: Writes::default() }
    }

    /// Adds a step; what of it goes to the journal. A refused step leaves nothing behind.
    pub(super) fn step(&mut self, step: Step) -> Result<Draft, Refusal> {
        self.step = Writes::default();
        for guard in step.guards {
            if !self.holds(&guard)? {
                return Err(Refusal::Guard(guard));
            }
        }
        let mut draft = Draft::default();
        for op in step.ops {
            match self.change(op)? {
                Outcome::Change(change) => {
                    self.write(&change)?;
                    draft.changes.push(change);
                }
                Outcome::Event(event) => draft.events.push(event),
                Outcome::Nothing => {}
            }
        }
        self.group.add(std::mem::take(&mut self.step));
        Ok(draft)
    }

    /// Adds a line of the journal: that it is in the index now and, when it is replayed, what it changes.
    pub(super) fn line(&mut self, entry: &Entry, mark: Mark, replayed: bool) -> Result<()> {
        if replayed {
            for change in &entry.changes {
                self.write(change)?;
            }
        }
        let end = entry.event + entry.events.len() as u64;
        if entry.event.next_multiple_of(STRIDE) < end {
            self.put(event_key(entry.event), Some(mark.offset.to_be_bytes().to_vec()));
        }
        self.put(b"m".to_vec(), Some(encode_mark(mark)));
        self.group.add(std::mem::take(&mut self.step));
        Ok(())
    }

    /// Adds what a snapshot holds.
    pub(super) fn put_back(&mut self, change: &Change) -> Result<()> {
        self.write(change)?;
        self.group.add(std::mem::take(&mut self.step));
        Ok(())
    }

    /// The batch of all of it, and what follows.
    pub(super) fn finish(self) -> (Batch, Writes) {
        let mut batch = Batch::default();
        let mut writes = self.group;
        for (key, value) in writes.keys.drain() {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        (batch, writes)
    }

    fn holds(&self, guard: &Guard) -> Result<bool> {
        Ok(match guard {
            Guard::Absent(key) => self.get(&note_key(key))?.is_none(),
            Guard::Noted(key, value) => self.get(&note_key(key))?.is_some_and(|found| found == value.as_bytes()),
            Guard::In(id, state) => self.record(*id)?.is_some_and(|record| record.state == *state),
            Guard::New(id) => self.get(&record_key(*id))?.is_none(),
            Guard::Held(lease) => self.held(lease),
        })
    }

    fn held(&self, Lease { job, token, .. }: &Lease) -> bool {
        self.is_leased(job.id) && self.leases.get(&job.id).is_some_and(|(held, _)| held == token)
    }

    fn is_leased(&self, id: JobId) -> bool {
        let ended = self.step.ended.contains(&id) || self.group.ended.contains(&id);
        !ended && self.leases.contains_key(&id)
    }

    fn change(&mut self, op: Op) -> Result<Outcome, Refusal> {
        Ok(Outcome::Change(match op {
            Op::Put(record) => Change::Record(record),
            Op::Remove(id) if self.get(&record_key(id))?.is_some() => Change::NoRecord(id),
            Op::Note(key, value) => Change::Note(key, value),
            Op::Forget(key) if self.get(&note_key(&key))?.is_some() => Change::NoNote(key),
            // The whole value: a line that is replayed counts nothing twice.
            Op::Add(key, tally) => {
                let before = self.get(&note_key(&key))?.and_then(|note| text(&note).ok());
                Change::Note(key, Tally::noted(before.as_deref()).plus(tally).to_string())
            }
            Op::Enqueue(job) if self.job(job.id)?.is_none() => Change::Job(job),
            Op::Complete(lease) => Change::NoJob(self.release(lease)?.id),
            Op::Reschedule { lease, due, note } => {
                let job = self.release(lease)?;
                Change::Job(Job { due, note, attempt: job.attempt.saturating_add(1), ..job })
            }
            Op::Hasten(id, due) => match self.job(id)? {
                Some(job) if job.due > due && !self.is_leased(id) => Change::Job(Job { due, ..job }),
                _ => return Ok(Outcome::Nothing),
            },
            Op::Cancel(id) if self.job(id)?.is_some() => {
                self.step.ended.insert(id);
                Change::NoJob(id)
            }
            Op::Audit(event) => return Ok(Outcome::Event(event)),
            Op::Remove(_) | Op::Forget(_) | Op::Enqueue(_) | Op::Cancel(_) => return Ok(Outcome::Nothing),
        }))
    }

    /// Ends a lease that is held; the job as it is kept.
    fn release(&mut self, lease: Lease) -> Result<Job, Refusal> {
        match self.job(lease.job.id)? {
            Some(job) if self.held(&lease) => {
                self.step.ended.insert(job.id);
                Ok(job)
            }
            _ => Err(Refusal::Guard(Guard::Held(lease))),
        }
    }

    fn write(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Record(record) => {
                self.unlist(record.id)?;
                self.put(state_key(&record.state, record.id), Some(Vec::new()));
                self.put(record_key(record.id), Some(encode_record(record)?));
            }
            Change::NoRecord(id) => {
                self.unlist(*id)?;
                self.put(record_key(*id), None);
            }
            Change::Note(key, value) => self.put(note_key(key), Some(value.clone().into_bytes())),
            Change::NoNote(key) => self.put(note_key(key), None),
            Change::Job(job) => {
                self.unqueue(job.id)?;
                self.put(queue_key(job), Some(Vec::new()));
                self.put(job_key(job.id), Some(encode_job(job)));
                *self.step.jobs.entry(job.queue).or_default() += 1;
            }
            Change::NoJob(id) => {
                self.unqueue(*id)?;
                self.put(job_key(*id), None);
            }
        }
        Ok(())
    }

    fn unlist(&mut self, id: RecordId) -> Result<()> {
        if let Some(old) = self.record(id)? {
            self.put(state_key(&old.state, id), None);
        }
        Ok(())
    }

    fn unqueue(&mut self, id: JobId) -> Result<()> {
        if let Some(old) = self.job(id)? {
            self.put(queue_key(&old), None);
            *self.step.jobs.entry(old.queue).or_default() -= 1;
        }
        Ok(())
    }

    fn record(&self, id: RecordId) -> Result<Option<Record>> {
        self.get(&record_key(id))?.map(|value| decode_record(id, &value)).transpose()
    }

    fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.get(&job_key(id))?.map(|value| decode_job(id, &value)).transpose()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.step.keys.get(key).or_else(|| self.group.keys.get(key)) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.index.get(key)?.map(|value| value.to_vec())),
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        debug_assert!(key.len() <= 64 && value.as_ref().is_none_or(|value| value.len() <= 4096), "sled's cage");
        self.step.keys.insert(key, value);
    }
}

/// What an operation comes to.
enum Outcome {
    Change(Change),
    Event(Event),
    Nothing,
}
