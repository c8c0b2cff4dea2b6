//! What survives a life: records, jobs, notes, journal and bodies, and the way of a life to them.
//!
//! In memory what was applied or committed is there, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::port::{
    Blob, BlobId, BlobKind, BlobWriter, Blobs, Clock, Health, Job, JobId, Key, Lease, Listed, Op, OpenBlob, Pending, Queue, Record, State, Step,
    Store, StoreError, Stored, Tally,
};
use brevbro::store::{MemoryBlobs, MemoryStore};

use jiff::Timestamp;

use crate::life::Life;
use crate::plan::{Extra, Plan, Sabotage};
use crate::world::SECRET;

/// A gateway's disk.
#[derive(Clone)]
pub struct Disk {
    pub store: Arc<MemoryStore>,
    pub blobs: MemoryBlobs,
    /// Notes and records as the applied steps left them.
    pub kept: Arc<Mutex<Kept>>,
    hidden: Arc<Mutex<BTreeSet<BlobId>>>,
}

/// What the applied steps left.
#[derive(Default)]
pub struct Kept {
    pub notes: BTreeMap<String, String>,
    pub records: BTreeMap<RecordId, Record>,
}

impl Disk {
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        let store = Arc::new(MemoryStore::with_clock(Arc::clone(clock)));
        Self { store, blobs: MemoryBlobs::with_clock(Arc::clone(clock)), kept: Arc::default(), hidden: Arc::default() }
    }

    /// Begins another life: no lease of the one before counts, but where others could hold it.
    pub fn open(&self, life: &Arc<Life>, faults: Faults, plan: &Plan) -> (Arc<dyn Store>, Arc<dyn Blobs>) {
        let sabotage = plan.sabotage;
        if !plan.extras.contains(&Extra::Nodes) {
            self.store.restart();
        }
        let store = LifeStore { life: Arc::clone(life), disk: self.clone(), faults: Arc::clone(&faults), sabotage };
        let blobs = LifeBlobs { life: Arc::clone(life), hidden: Arc::clone(&self.hidden), inner: Arc::new(self.blobs.clone()), faults, sabotage };
        (Arc::new(store), Arc::new(blobs))
    }

    /// All events so far.
    pub async fn events(&self) -> Vec<Event> {
        self.store.audit(0, 1_000_000).await.unwrap().into_iter().map(|(_, event)| event).collect()
    }
}

/// Whether the disk has no room just now.
pub type Faults = Arc<dyn Fn() -> bool + Send + Sync>;

struct LifeStore {
    life: Arc<Life>,
    disk: Disk,
    faults: Faults,
    sabotage: Option<Sabotage>,
}

impl LifeStore {
    fn reads<'a, T: Send + 'a>(&'a self, work: Pending<'a, T>) -> Pending<'a, T> {
        Box::pin(async move { self.life.does(work).await })
    }
}

impl Store for LifeStore {
    fn apply(&self, mut step: Step) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.sabotage.is_some_and(|sabotage| sabotage.spoil(&mut step)) {
                return Ok(());
            }
            self.life.here().await;
            if (self.faults)() {
                return Err(StoreError::Full);
            }
            self.life.pass("disk.apply");
            self.life.here().await;
            let ops = step.ops.clone();
            let applied = self.disk.store.apply(step).await;
            if applied.is_ok() {
                self.disk.kept.lock().unwrap().apply(ops);
            }
            self.life.pass("disk.applied");
            self.life.here().await;
            applied
        })
    }
    fn claim(&self, queue: Queue, span: Duration, limit: usize) -> Pending<'_, Result<Vec<Lease>, StoreError>> {
        self.reads(self.disk.store.claim(queue, span, limit))
    }
    fn renew(&self, lease: Lease, span: Duration) -> Pending<'_, Result<Lease, StoreError>> {
        self.reads(self.disk.store.renew(lease, span))
    }
    fn record(&self, id: RecordId) -> Pending<'_, Result<Option<Record>, StoreError>> {
        self.reads(self.disk.store.record(id))
    }
    fn note(&self, key: Key) -> Pending<'_, Result<Option<String>, StoreError>> {
        self.reads(self.disk.store.note(key))
    }
    fn list(&self, state: State, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        self.reads(self.disk.store.list(state, limit))
    }
    fn records(&self, after: Option<RecordId>, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        self.reads(self.disk.store.records(after, limit))
    }
    fn job(&self, id: JobId) -> Pending<'_, Result<Option<Job>, StoreError>> {
        self.reads(self.disk.store.job(id))
    }
    fn jobs(&self, queue: Queue, due: Timestamp, limit: usize) -> Pending<'_, Result<Vec<Job>, StoreError>> {
        self.reads(self.disk.store.jobs(queue, due, limit))
    }
    fn audit(&self, from: u64, limit: usize) -> Pending<'_, Result<Vec<(u64, Event)>, StoreError>> {
        self.reads(self.disk.store.audit(from, limit))
    }
    fn wait_work(&self, queue: Queue, at_most: Duration) -> Pending<'_, ()> {
        self.reads(self.disk.store.wait_work(queue, at_most))
    }
    fn health(&self) -> Pending<'_, Health> {
        self.reads(self.disk.store.health())
    }
}

impl Sabotage {
    /// Spoils a step; whether nothing of it is kept.
    fn spoil(self, step: &mut Step) -> bool {
        let notes = |family: &str| step.ops.iter().any(|op| matches!(op, Op::Note(key, _) if key.as_str().starts_with(family)));
        let tells = |name| step.ops.iter().any(|op| matches!(op, Op::Audit(event) if event.name == name));
        match self {
            Self::ForgetsArrivals => notes("as4/"),
            Self::ForgetsMails => tells(EventName::MailAccepted),
            Self::ForgetsDeliveries => tells(EventName::Delivered),
            Self::TellsSecrets => {
                for op in &mut step.ops {
                    if let Op::Audit(event) = op {
                        *event = event.clone().with(Field::Cause, SECRET);
                    }
                }
                false
            }
            Self::ForgetsHolds => tells(EventName::HoldSet),
            Self::LosesBodies | Self::ChangesRequests | Self::KeepsContent => false,
        }
    }
}

impl Kept {
    fn apply(&mut self, ops: Vec<Op>) {
        for op in ops {
            match op {
                Op::Put(record) => drop(self.records.insert(record.id, record)),
                Op::Remove(id) => drop(self.records.remove(&id)),
                Op::Note(key, value) => drop(self.notes.insert(key.as_str().to_owned(), value)),
                Op::Forget(key) => drop(self.notes.remove(key.as_str())),
                Op::Add(key, tally) => {
                    let note = self.notes.entry(key.as_str().to_owned()).or_default();
                    *note = Tally::noted(Some(note)).plus(tally).to_string();
                }
                _ => {}
            }
        }
    }
}

struct LifeBlobs {
    life: Arc<Life>,
    /// What is kept on purpose and said to be deleted.
    hidden: Arc<Mutex<BTreeSet<BlobId>>>,
    inner: Arc<dyn Blobs>,
    faults: Faults,
    sabotage: Option<Sabotage>,
}

impl Blobs for LifeBlobs {
    fn create(&self, blob: Blob, expected: Option<u64>) -> Pending<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        Box::pin(async move {
            self.life.here().await;
            if (self.faults)() {
                return Err(StoreError::Full);
            }
            let kind = blob.kind;
            let inner = self.inner.create(blob, expected).await?;
            let lost = self.sabotage == Some(Sabotage::LosesBodies) && kind == BlobKind::Message;
            Ok(Box::new(LifeWriter { life: Arc::clone(&self.life), inner, lost: lost.then(|| Arc::clone(&self.inner)) }) as Box<dyn BlobWriter>)
        })
    }
    fn open(&self, id: BlobId) -> Pending<'_, Result<OpenBlob, StoreError>> {
        Box::pin(async move {
            if self.hides(id) {
                return Err(StoreError::Missing("blob"));
            }
            self.life.does(self.inner.open(id)).await
        })
    }
    fn delete(&self, id: BlobId) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.life.here().await;
            self.life.pass("disk.delete");
            self.life.here().await;
            let deleted = if self.keeps(id).await { Ok(()) } else { self.inner.delete(id).await };
            self.life.pass("disk.deleted");
            self.life.here().await;
            deleted
        })
    }
    fn all(&self, after: Option<BlobId>, limit: usize) -> Pending<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(async move { self.life.does(self.inner.all(after, limit)).await })
    }
}

impl LifeBlobs {
    /// Whether a message is kept that is to be deleted.
    async fn keeps(&self, id: BlobId) -> bool {
        if self.sabotage != Some(Sabotage::KeepsContent) {
            return false;
        }
        let is_message = self.inner.open(id).await.is_ok_and(|(blob, ..)| blob.kind == BlobKind::Message);
        is_message && self.hidden.lock().unwrap().insert(id)
    }

    /// Whether it was said to be deleted.
    fn hides(&self, id: BlobId) -> bool {
        self.hidden.lock().unwrap().contains(&id)
    }
}

struct LifeWriter {
    life: Arc<Life>,
    inner: Box<dyn BlobWriter>,
    /// Where the body is lost as soon as it was committed.
    lost: Option<Arc<dyn Blobs>>,
}

impl Write for LifeWriter {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.inner.write(octets)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl BlobWriter for LifeWriter {
    fn commit(self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>> {
        Box::pin(async move {
            let Self { life, inner, lost } = *self;
            life.here().await;
            life.pass("disk.commit");
            life.here().await;
            let stored = inner.commit().await;
            if let (Some(blobs), Ok(stored)) = (lost, &stored) {
                blobs.delete(stored.id).await?;
            }
            life.pass("disk.committed");
            life.here().await;
            stored
        })
    }
}
