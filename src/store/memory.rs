//! The model: everything in maps under one lock, as simple as the contract reads.
//!
//! Nothing survives the process. What the other stores do is compared with this.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::bell::{Bell, Wall};
use super::{MAX_HEADER, check_limits, within};
use crate::event::Event;
use crate::ident::RecordId;
use crate::port::{
    Blob, BlobId, BlobWriter, Blobs, Clock, Guard, Health, Job, JobId, Key, Lease, Listed, Op, OpenBlob, Pending, Queue, Record, State, Step, Store,
    StoreError, Stored,
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

/// What a step changes: cloned before the step, put back whole when it conflicts.
#[derive(Clone, Default)]
struct Kept {
    records: BTreeMap<RecordId, Record>,
    notes: BTreeMap<Key, String>,
    jobs: BTreeMap<JobId, Job>,
    /// Token and end of the last lease of a job since it was enqueued or rescheduled.
    leases: BTreeMap<JobId, (u64, Timestamp)>,
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
            self.bell.set(queue, kept.jobs.values().filter(|job| job.queue == queue).map(|job| kept.claimable(job)).min());
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    /// From when on a job may be claimed.
    fn claimable(&self, job: &Job) -> Timestamp {
        self.leases.get(&job.id).map_or(job.due, |(_, until)| job.due.max(*until))
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
            Op::Enqueue(job) => drop(self.jobs.entry(job.id).or_insert(job)),
            Op::Complete(lease) => {
                let job = self.release(&lease)?;
                self.jobs.remove(&job.id);
            }
            Op::Reschedule { lease, due, note } => {
                let job = self.release(&lease)?;
                self.jobs.insert(job.id, Job { due, note, attempt: job.attempt.saturating_add(1), ..job });
            }
            Op::Cancel(id) => {
                self.leases.remove(&id);
                self.jobs.remove(&id);
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
            let (mut after, mut events) = (inner.state.clone(), Vec::new());
            for op in step.ops {
                after.change(op, &mut events)?;
            }
            inner.state = after;
            inner.events.append(&mut events);
            self.ring(&inner.state);
            Ok(())
        })
    }

    fn claim(&self, queue: Queue, span: Duration, limit: usize) -> Pending<'_, Result<Vec<Lease>, StoreError>> {
        Box::pin(async move {
            let mut inner = self.lock();
            let (now, until) = (self.bell.now(), self.bell.after(span));
            let kept = &inner.state;
            let mut due: Vec<Job> = kept.jobs.values().filter(|job| job.queue == queue && kept.claimable(job) <= now).cloned().collect();
            due.sort_by_key(|job| (job.due, job.id));
            due.truncate(limit);
            let mut leases = Vec::new();
            for job in due {
                inner.tokens += 1;
                let token = inner.tokens;
                inner.state.leases.insert(job.id, (token, until));
                leases.push(Lease { job, token, until });
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
            let until = self.bell.after(span);
            inner.state.leases.insert(lease.job.id, (lease.token, until));
            self.ring(&inner.state);
            Ok(Lease { until, ..lease })
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

    fn job(&self, id: JobId) -> Pending<'_, Result<Option<Job>, StoreError>> {
        Box::pin(async move { Ok(self.lock().state.jobs.get(&id).cloned()) })
    }

    fn jobs(&self, queue: Queue, limit: usize) -> Pending<'_, Result<Vec<Job>, StoreError>> {
        Box::pin(async move {
            let mut jobs: Vec<Job> = self.lock().state.jobs.values().filter(|job| job.queue == queue).cloned().collect();
            jobs.sort_by_key(|job| (job.due, job.id));
            jobs.truncate(limit);
            Ok(jobs)
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
            let count = |queue| inner.state.jobs.values().filter(|job| job.queue == queue).count();
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
