//! The model: everything in maps under one lock, as simple as the contract reads.
//!
//! Nothing survives the process. What the other stores do is compared with this.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::bell::{Bell, Wall};
use super::lease::Until;
use super::{MAX_HEADER, check_limits, within};
use crate::event::Event;
use crate::ident::RecordId;
use crate::port::{
    Blob, BlobId, BlobWriter, Blobs, Clock, Guard, Health, Job, JobId, Key, Lease, Listed, Op, OpenBlob, Pending, Queue, Record, State, Step, Store,
    StoreError, Stored, Tally,
};

/// A [`Store`] in memory.
pub struct MemoryStore {
    inner: Mutex<Inner>,
    bell: Bell,
}

#[derive(Default)]
struct Inner {
    state: Kept,
    events: Vec<Event>,
    tokens: u64,
}

/// What a step changes.
#[derive(Default)]
struct Kept {
    records: BTreeMap<RecordId, Record>,
    notes: BTreeMap<Key, String>,
    jobs: BTreeMap<JobId, Job>,
    /// The jobs by queue, in the order in which they are due.
    queued: BTreeSet<(Queue, Timestamp, JobId)>,
    /// Token and end of the last lease of a job since it was enqueued or rescheduled.
    leases: BTreeMap<JobId, (u64, Until)>,
}

/// Something as it was before a step, to be put back when the step is refused.
enum Before {
    Record(RecordId, Option<Record>),
    Note(Key, Option<String>),
    Job(JobId, Option<Job>, Option<(u64, Until)>),
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(Wall))
    }

    /// An empty store that goes by this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { inner: Mutex::default(), bell: Bell::new(clock) }
    }

    /// Does what a restart of the gateway does to its store: every lease ends.
    pub fn restart(&self) {
        let mut inner = self.lock();
        inner.state.leases.clear();
        self.ring(&inner.state);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, kept: &Kept) {
        for queue in Queue::ALL {
            self.bell.set(queue, kept.next(queue, self.bell.clock()));
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    /// The jobs of a queue that are due at a moment or later, in the order in which they are.
    fn queued(&self, queue: Queue, from: Timestamp) -> impl Iterator<Item = (Timestamp, JobId)> + '_ {
        let rest = self.queued.range((queue, from, JobId(uuid::Uuid::nil()))..);
        rest.take_while(move |(of, ..)| *of == queue).map(|(_, due, id)| (*due, *id))
    }

    /// When the next job of a queue may be claimed.
    fn next(&self, queue: Queue, clock: &dyn Clock) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for (due, id) in self.queued(queue, Timestamp::MIN) {
            let lease = self.leases.get(&id);
            let claimable = lease.map_or(due, |(_, until)| due.max(until.by_now(clock)));
            next = Some(next.map_or(claimable, |next| next.min(claimable)));
            // Behind one that is free none is earlier.
            if lease.is_none() {
                break;
            }
        }
        next
    }

    fn put_job(&mut self, job: Job) {
        self.take_job(job.id);
        self.queued.insert((job.queue, job.due, job.id));
        self.jobs.insert(job.id, job);
    }

    fn take_job(&mut self, id: JobId) {
        if let Some(job) = self.jobs.remove(&id) {
            self.queued.remove(&(job.queue, job.due, id));
        }
    }

    /// What an operation may change, as it is.
    fn before(&self, op: &Op) -> Option<Before> {
        let job = |id: JobId| Before::Job(id, self.jobs.get(&id).cloned(), self.leases.get(&id).copied());
        Some(match op {
            Op::Put(Record { id, .. }) | Op::Remove(id) => Before::Record(*id, self.records.get(id).cloned()),
            Op::Note(key, _) | Op::Forget(key) | Op::Add(key, _) => Before::Note(key.clone(), self.notes.get(key).cloned()),
            Op::Enqueue(Job { id, .. }) | Op::Hasten(id, _) | Op::Cancel(id) => job(*id),
            Op::Complete(lease) | Op::Reschedule { lease, .. } => job(lease.job.id),
            Op::Audit(_) => return None,
        })
    }

    fn put_back(&mut self, before: Vec<Before>) {
        for before in before {
            match before {
                Before::Record(id, Some(record)) => drop(self.records.insert(id, record)),
                Before::Record(id, None) => drop(self.records.remove(&id)),
                Before::Note(key, Some(note)) => drop(self.notes.insert(key, note)),
                Before::Note(key, None) => drop(self.notes.remove(&key)),
                Before::Job(id, job, lease) => {
                    self.take_job(id);
                    self.leases.remove(&id);
                    if let Some(job) = job {
                        self.put_job(job);
                    }
                    if let Some(lease) = lease {
                        self.leases.insert(id, lease);
                    }
                }
            }
        }
    }

    fn held(&self, lease: &Lease) -> bool {
        self.leases.get(&lease.job.id).is_some_and(|(token, _)| *token == lease.token)
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Absent(key) => !self.notes.contains_key(key),
            Guard::Noted(key, value) => self.notes.get(key) == Some(value),
            Guard::In(id, state) => self.records.get(id).is_some_and(|record| record.state == *state),
            Guard::New(id) => !self.records.contains_key(id),
            Guard::Held(lease) => self.held(lease),
        }
    }

    fn change(&mut self, op: Op, events: &mut Vec<Event>) -> Result<(), StoreError> {
        match op {
            Op::Put(record) => drop(self.records.insert(record.id, record)),
            Op::Remove(id) => drop(self.records.remove(&id)),
            Op::Note(key, value) => drop(self.notes.insert(key, value)),
            Op::Forget(key) => drop(self.notes.remove(&key)),
            Op::Add(key, tally) => {
                let sum = Tally::noted(self.notes.get(&key).map(String::as_str)).plus(tally);
                self.notes.insert(key, sum.to_string());
            }
            Op::Enqueue(job) => {
                if !self.jobs.contains_key(&job.id) {
                    self.put_job(job);
                }
            }
            Op::Complete(lease) => {
                let job = self.release(&lease)?;
                self.take_job(job.id);
            }
            Op::Reschedule { lease, due, note } => {
                let job = self.release(&lease)?;
                self.put_job(Job { due, note, attempt: job.attempt.saturating_add(1), ..job });
            }
            Op::Hasten(id, due) => {
                let waits = self.jobs.get(&id).filter(|job| job.due > due && !self.leases.contains_key(&id)).cloned();
                if let Some(job) = waits {
                    self.put_job(Job { due, ..job });
                }
            }
            Op::Cancel(id) => {
                self.leases.remove(&id);
                self.take_job(id);
            }
            Op::Audit(event) => events.push(event),
        }
        Ok(())
    }

    /// Ends a lease that is held; the job as it is kept.
    fn release(&mut self, lease: &Lease) -> Result<Job, StoreError> {
        let conflict = || StoreError::Conflict(Box::new(Guard::Held(lease.clone())));
        if !self.held(lease) {
            return Err(conflict());
        }
        self.leases.remove(&lease.job.id);
        self.jobs.get(&lease.job.id).cloned().ok_or_else(conflict)
    }
}

impl Store for MemoryStore {
    fn apply(&self, step: Step) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            check_limits(&step)?;
            let mut inner = self.lock();
            if let Some(guard) = step.guards.into_iter().find(|guard| !inner.state.holds(guard)) {
                return Err(StoreError::Conflict(Box::new(guard)));
            }
            let before = step.ops.iter().filter_map(|op| inner.state.before(op)).collect();
            let mut events = Vec::new();
            for op in step.ops {
                if let Err(refused) = inner.state.change(op, &mut events) {
                    inner.state.put_back(before);
                    return Err(refused);
                }
            }
            inner.events.append(&mut events);
            self.ring(&inner.state);
            Ok(())
        })
    }

    fn claim(&self, queue: Queue, span: Duration, limit: usize) -> Pending<'_, Result<Vec<Lease>, StoreError>> {
        Box::pin(async move {
            let mut inner = self.lock();
            let (kept, clock) = (&inner.state, self.bell.clock());
            let due = kept.queued(queue, Timestamp::MIN).take_while(|(due, _)| *due <= clock.now());
            let free = due.filter(|(_, id)| kept.leases.get(id).is_none_or(|(_, until)| until.has_come(clock)));
            let due: Vec<Job> = free.take(limit).filter_map(|(_, id)| kept.jobs.get(&id).cloned()).collect();
            let until = Until::after(span, clock);
            let mut leases = Vec::new();
            for job in due {
                inner.tokens += 1;
                let token = inner.tokens;
                inner.state.leases.insert(job.id, (token, until));
                leases.push(Lease { job, token, until: until.wall });
            }
            self.ring(&inner.state);
            Ok(leases)
        })
    }

    fn renew(&self, lease: Lease, span: Duration) -> Pending<'_, Result<Lease, StoreError>> {
        Box::pin(async move {
            let mut inner = self.lock();
            if !inner.state.held(&lease) {
                return Err(StoreError::Conflict(Box::new(Guard::Held(lease))));
            }
            let until = Until::after(span, self.bell.clock());
            inner.state.leases.insert(lease.job.id, (lease.token, until));
            self.ring(&inner.state);
            Ok(Lease { until: until.wall, ..lease })
        })
    }

    fn record(&self, id: RecordId) -> Pending<'_, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(self.lock().state.records.get(&id).cloned()) })
    }

    fn note(&self, key: Key) -> Pending<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move { Ok(self.lock().state.notes.get(&key).cloned()) })
    }

    fn list(&self, state: State, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move { Ok(self.lock().state.records.values().filter(|record| record.state == state).take(limit).cloned().collect()) })
    }

    fn records(&self, after: Option<RecordId>, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let kept = &self.lock().state.records;
            Ok(kept.values().filter(|record| after.is_none_or(|after| record.id > after)).take(limit).cloned().collect())
        })
    }

    fn job(&self, id: JobId) -> Pending<'_, Result<Option<Job>, StoreError>> {
        Box::pin(async move { Ok(self.lock().state.jobs.get(&id).cloned()) })
    }

    fn jobs(&self, queue: Queue, from: Timestamp, limit: usize) -> Pending<'_, Result<Vec<Job>, StoreError>> {
        Box::pin(async move {
            let kept = &self.lock().state;
            Ok(kept.queued(queue, from).take(limit).filter_map(|(_, id)| kept.jobs.get(&id).cloned()).collect())
        })
    }

    fn audit(&self, from: u64, limit: usize) -> Pending<'_, Result<Vec<(u64, Event)>, StoreError>> {
        Box::pin(async move { Ok((0..).zip(self.lock().events.iter().cloned()).skip_while(|(number, _)| *number < from).take(limit).collect()) })
    }

    fn wait_work(&self, queue: Queue, at_most: Duration) -> Pending<'_, ()> {
        Box::pin(self.bell.wait(queue, at_most))
    }

    fn health(&self) -> Pending<'_, Health> {
        Box::pin(async move {
            let inner = self.lock();
            let count = |queue| inner.state.queued(queue, Timestamp::MIN).count();
            Health { working: true, jobs: Queue::ALL.into_iter().map(|queue| (queue, count(queue))).collect() }
        })
    }
}

/// [`Blobs`] in memory.
#[derive(Clone)]
pub struct MemoryBlobs {
    bodies: Arc<Mutex<Bodies>>,
    clock: Arc<dyn Clock>,
}

/// Heads and bodies with the time at which they were written.
type Bodies = BTreeMap<BlobId, (Blob, Arc<[u8]>, Timestamp)>;

impl MemoryBlobs {
    /// No blobs.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(Wall))
    }

    /// No blobs, whose age goes by this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { bodies: Arc::default(), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs for MemoryBlobs {
    fn create(&self, blob: Blob, _expected: Option<u64>) -> Pending<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        Box::pin(async move {
            within("the header of a blob", blob.header.len(), MAX_HEADER)?;
            Ok(Box::new(MemoryWriter { blobs: self.clone(), blob, body: Vec::new() }) as Box<dyn BlobWriter>)
        })
    }

    fn open(&self, id: BlobId) -> Pending<'_, Result<OpenBlob, StoreError>> {
        Box::pin(async move {
            let (blob, body, _) = self.lock().get(&id).cloned().ok_or(StoreError::Missing("blob"))?;
            Ok((blob, body.len() as u64, Box::new(Cursor::new(body)) as _))
        })
    }

    fn delete(&self, id: BlobId) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.lock().remove(&id);
            Ok(())
        })
    }

    fn all(&self, after: Option<BlobId>, limit: usize) -> Pending<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(async move {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let now = self.clock.now();
            let age = |at: &Timestamp| now.duration_since(*at).try_into().unwrap_or_default();
            let listed = |(id, (_, _, at)): (&BlobId, &(_, _, Timestamp))| Listed { id: *id, age: age(at) };
            Ok(self.lock().range((from, Bound::Unbounded)).take(limit).map(listed).collect())
        })
    }
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self::new()
    }
}

struct MemoryWriter {
    blobs: MemoryBlobs,
    blob: Blob,
    body: Vec<u8>,
}

impl Write for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.body.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for MemoryWriter {
    fn commit(self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>> {
        Box::pin(async move {
            let stored = Stored { id: self.blob.id, octets: self.body.len() as u64, digest: crate::crypto::sha256(&self.body) };
            let now = self.blobs.clock.now();
            self.blobs.lock().insert(self.blob.id, (self.blob, self.body.into(), now));
            Ok(stored)
        })
    }
}
