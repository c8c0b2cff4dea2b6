//! The store of one node: the journal, and sled as an index over it, inside a cage.
//!
//! sled 0.34 loses data in a power cut, and does not open any more, when it is used as its manual shows. Inside these
//! rules it did neither: one thread owns the database and the journal and does all writes; one batch on one tree for a
//! group of steps; a blocking flush and then a sync of its file; small keys and values, so that nothing leaves its log;
//! no scans but by prefix; and as it panics on damage, every call is fenced, and the index is built anew from the journal.
//!
//! ```text
//!  <dir>/journal/        the truth, in segments, and snapshots        (see `journal`)
//!        index/          sled: db, conf, blobs/ (stays empty)
//!        index.damaged/  the last index that was set aside
//!        index.rebuild   a mark: the index was found damaged, the next start builds it anew
//! ```
//!
//! Reads go past the thread: what is in the index is in the journal, and durable, before it is seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use self::index::{Index, IndexError};
use self::keeper::{Errand, Keeper};
use self::mend::Trouble;
use self::owner::{Answer, Owner, Request};
use self::plan::{Leases, Plan};
use super::bell::{Bell, Wall};
use super::journal::{self, Draft, From, Journal, JournalError, JournalOptions, Segment, Snapshot};
use super::{Reserve, check_limits, create_directory, store_error, sync_directory};
use crate::event::Event;
use crate::ident::RecordId;
use crate::port::{ChainHead, Clock, Health, Job, JobId, Key, Lease, Pending, Queue, Record, State, Step, Store, StoreError};

mod compare;
mod each;
mod index;
mod keeper;
mod layout;
mod mend;
mod owner;
mod plan;
mod waker;

pub use compare::Comparison;

/// Lines that are replayed in one batch.
const REPLAY: usize = 256;
/// Events of one answer.
const AUDIT: usize = 1_000;

/// Where and how a [`SledStore`] is kept.
#[derive(Clone)]
pub struct SledOptions {
    /// The directory; created when absent.
    pub dir: PathBuf,
    /// What stays free on the file system: steps are taken until its last quarter.
    pub reserve: Reserve,
    /// Octets of sled's cache.
    pub cache: u64,
    /// When the journal goes on in a new segment, and how long old ones are kept.
    pub segments: JournalOptions,
    /// Whether to build the index anew from the journal, whatever it is like.
    pub rebuild: bool,
    /// The time by which jobs are due and leases end.
    pub clock: Arc<dyn Clock>,
}

impl SledOptions {
    /// A store in this directory, with 64 MiB of cache.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            reserve: Reserve::default(),
            cache: 64 * 1024 * 1024,
            segments: JournalOptions::default(),
            rebuild: false,
            clock: Arc::new(Wall),
        }
    }

    /// The journal's folder.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    fn aside(&self) -> PathBuf {
        self.dir.join("index.damaged")
    }

    fn damage(&self) -> PathBuf {
        self.dir.join("index.rebuild")
    }
}

/// A [`Store`] on sled and a journal.
pub struct SledStore {
    requests: Option<mpsc::Sender<Request>>,
    /// The one that writes, and the one that looks after the journal's files.
    threads: [Option<JoinHandle<()>>; 2],
    errands: Option<std::sync::mpsc::Sender<Errand>>,
    shared: Arc<Shared>,
}

/// What the writing thread and the readers share.
struct Shared {
    /// None while it is built anew.
    index: RwLock<Option<Arc<Index>>>,
    bell: Bell,
    working: AtomicBool,
    /// Jobs by queue.
    jobs: [AtomicIsize; Queue::ALL.len()],
    /// The journal's files.
    segments: RwLock<Arc<[Segment]>>,
    /// Where the journal ends for readers: behind it may stand what is not applied yet.
    journal_end: AtomicU64,
    /// The mark that makes the next start build the index anew.
    damage: PathBuf,
}

impl Shared {
    fn new(index: Index, options: &SledOptions) -> Self {
        Self {
            index: RwLock::new(Some(Arc::new(index))),
            bell: Bell::new(Arc::clone(&options.clock)),
            working: AtomicBool::new(true),
            jobs: Default::default(),
            segments: RwLock::new(Arc::default()),
            journal_end: AtomicU64::new(0),
            damage: options.damage(),
        }
    }

    fn segments(&self) -> Arc<[Segment]> {
        Arc::clone(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_segments(&self, segments: &[Segment]) {
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = segments.into();
    }

    fn index(&self) -> Result<Arc<Index>, IndexError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner).clone();
        index.ok_or_else(|| IndexError::Io(std::io::Error::other("it is being built anew")))
    }

    fn set_index(&self, index: Option<Arc<Index>>) -> Option<Arc<Index>> {
        std::mem::replace(&mut *self.index.write().unwrap_or_else(PoisonError::into_inner), index)
    }

    /// Takes no steps for now. An index that failed is marked: should the process end before it is built anew, opening
    /// alone may not find what is wrong with it.
    fn stop(&self, trouble: &Trouble) {
        self.working.store(false, Ordering::Release);
        if matches!(trouble, Trouble::Index(_))
            && let Err(error) = fs::write(&self.damage, trouble.to_string())
        {
            tracing::error!(%error, "the damage could not be marked for the next start");
        }
    }
}

impl SledStore {
    /// Opens or makes a store: brings the index up to the journal, builds it anew when it is damaged.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the journal is damaged, does not go with the index, or is used by another process.
    pub fn open(options: SledOptions) -> Result<Self, StoreError> {
        create_directory(&options.dir).map_err(|error| store_error("creating", &options.dir, &error))?;
        let mut journal =
            Journal::open(options.journal(), options.segments, options.clock.now()).map_err(|error| unopened(&options, error.into()))?;
        if options.rebuild || options.damage().exists() {
            set_aside(&options)?;
        }
        let (index, file) = match load(&options, &mut journal) {
            Err(LoadError::Index(IndexError::Damaged(why))) => {
                tracing::error!(why, "the index is damaged; it is built anew from the journal");
                set_aside(&options)?;
                load(&options, &mut journal)
            }
            other => other,
        }
        .map_err(|error| unopened(&options, error))?;

        // The first line of this process makes its tokens larger than those of every process before.
        let opened = Draft { opened: Some(options.clock.now()), ..Draft::default() };
        let lines = journal.append(vec![opened], options.clock.now()).map_err(|error| unopened(&options, error.into()))?;
        let token = lines.last().map_or(0, |(entry, _)| entry.seq << 32);

        let shared = Arc::new(Shared::new(index, &options));
        shared.journal_end.store(journal.end(), Ordering::Release);
        shared.set_segments(journal.segments());
        let (errands, waiting_errands) = std::sync::mpsc::channel();
        let owner = Owner {
            shared: Arc::clone(&shared),
            journal,
            file,
            options: options.clone(),
            clock: Arc::clone(&options.clock),
            leases: Leases::new(),
            token,
            errands: errands.clone(),
            owed: Vec::new(),
            suspect: false,
            old: None,
        };
        for (queue, count) in Queue::ALL.into_iter().zip(&shared.jobs) {
            let counting = shared.index().map_err(|error| unopened(&options, error.into()))?.queue(queue, Timestamp::MIN, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            });
            counting.and_then(|()| owner.ring(queue)).map_err(|error| unopened(&options, error.into()))?;
        }
        let (requests, waiting) = mpsc::channel(1_024);
        let keeper = Keeper { shared: Arc::clone(&shared), requests: requests.downgrade(), options: options.clone() };
        let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.into()).spawn(work);
            thread.map(Some).map_err(|error| store_error("starting a thread of", &options.dir, &error))
        };
        let threads = [start("store", Box::new(move || owner.run(waiting)))?, start("journal", Box::new(move || keeper.run(&waiting_errands)))?];
        // What a crash may have kept from being done.
        let _ = errands.send(Errand::Rotated);
        Ok(Self { requests: Some(requests), threads, errands: Some(errands), shared })
    }

    /// Copies the index beside the journal now, so that building it anew begins here.
    ///
    /// # Errors
    /// [`StoreError`] when the copy cannot be written; the store goes on.
    pub async fn snapshot(&self) -> Result<(), StoreError> {
        let stopped = || StoreError::Broken("it stopped; the log says why".into());
        let (answer, answered) = oneshot::channel();
        self.errands.as_ref().and_then(|errands| errands.send(Errand::Copy(answer)).ok()).ok_or_else(stopped)?;
        answered.await.map_err(|_| stopped())?
    }

    /// Reads from the index. One that is damaged is built anew, and then the question may be asked again.
    fn read<T>(&self, read: impl FnOnce(&Index) -> Result<T, IndexError>) -> Result<T, StoreError> {
        self.shared.index().and_then(|index| read(&index)).map_err(|error| {
            if let IndexError::Damaged(_) = error {
                tracing::error!(%error, "the index is damaged");
                self.shared.working.store(false, Ordering::Release);
                // When there is no place for it, whoever has it wakes the thread.
                if let Some(requests) = &self.requests {
                    drop(requests.try_send(Request::Look));
                }
            }
            StoreError::Broken(error.to_string())
        })
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let stopped = || StoreError::Broken("it stopped; the log says why".into());
        let (answer, answered) = oneshot::channel();
        self.requests.as_ref().ok_or_else(stopped)?.send(request(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

impl Store for SledStore {
    fn apply(&self, step: Step) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            check_limits(&step)?;
            self.ask(|answer| Request::Apply(step, answer)).await
        })
    }

    fn claim(&self, queue: Queue, span: Duration, limit: usize) -> Pending<'_, Result<Vec<Lease>, StoreError>> {
        Box::pin(self.ask(move |answer| Request::Claim { queue, span, limit, answer }))
    }

    fn renew(&self, lease: Lease, span: Duration) -> Pending<'_, Result<Lease, StoreError>> {
        Box::pin(self.ask(move |answer| Request::Renew(lease, span, answer)))
    }

    fn record(&self, id: RecordId) -> Pending<'_, Result<Option<Record>, StoreError>> {
        Box::pin(async move { self.read(|index| index.record(id)) })
    }

    fn note(&self, key: Key) -> Pending<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move { self.read(|index| index.note(&key)) })
    }

    fn list(&self, state: State, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move { self.read(|index| index.list(&state, limit)) })
    }

    fn records(&self, after: Option<RecordId>, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move { self.read(|index| index.records(after, limit)) })
    }

    fn job(&self, id: JobId) -> Pending<'_, Result<Option<Job>, StoreError>> {
        Box::pin(async move { self.read(|index| index.job(id)) })
    }

    fn jobs(&self, queue: Queue, from: Timestamp, limit: usize) -> Pending<'_, Result<Vec<Job>, StoreError>> {
        Box::pin(async move { self.read(|index| index.jobs(queue, from, limit)) })
    }

    fn audit(&self, from: u64, limit: usize) -> Pending<'_, Result<Vec<(u64, Event)>, StoreError>> {
        Box::pin(async move {
            let end = self.shared.journal_end.load(Ordering::Acquire);
            let offset = self.read(|index| index.event(from))?;
            loop {
                let segments = self.shared.segments();
                match journal::events(&segments, offset, end, from, limit.min(AUDIT)) {
                    // One was deleted meanwhile: its time of keeping is over.
                    Err(JournalError::Io { source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound && !Arc::ptr_eq(&segments, &self.shared.segments()) => {}
                    found => return found.map_err(|error| StoreError::Broken(error.to_string())),
                }
            }
        })
    }

    fn head(&self) -> Pending<'_, Result<Option<ChainHead>, StoreError>> {
        Box::pin(async move {
            let mark = self.read(Index::mark)?;
            let segments = self.shared.segments();
            let segment = |line| segments.iter().rfind(|segment| segment.first <= line).map_or(0, |segment| segment.first);
            Ok(mark.map(|mark| ChainHead { line: mark.seq, hash: mark.hash, segment: segment(mark.seq) }))
        })
    }

    fn wait_work(&self, queue: Queue, at_most: Duration) -> Pending<'_, ()> {
        Box::pin(self.shared.bell.wait(queue, at_most))
    }

    fn health(&self) -> Pending<'_, Health> {
        Box::pin(async move {
            let count = |count: &AtomicIsize| usize::try_from(count.load(Ordering::Relaxed)).unwrap_or(0);
            Health {
                working: self.shared.working.load(Ordering::Acquire),
                jobs: Queue::ALL.into_iter().zip(self.shared.jobs.iter().map(count)).collect(),
            }
        })
    }
}

impl Drop for SledStore {
    /// Waits for the threads, so that the directory can be opened again.
    fn drop(&mut self) {
        (self.requests, self.errands) = (None, None);
        for thread in self.threads.iter_mut().filter_map(Option::take) {
            let _ = thread.join();
        }
    }
}

/// Why the index could not be brought up to the journal.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why a store cannot be opened, with the place.
fn unopened(options: &SledOptions, error: LoadError) -> StoreError {
    match error {
        LoadError::Index(IndexError::Io(error)) => store_error("opening the index", &options.index(), &error),
        LoadError::Index(error) => StoreError::Broken(format!("{}: {error}", options.index().display())),
        LoadError::Journal(JournalError::Io { doing, path, source }) => store_error(&format!("{doing} the journal"), &path, &source),
        LoadError::Journal(error) => StoreError::Broken(error.to_string()),
    }
}

/// Opens the index and replays the lines that it does not hold yet.
fn load(options: &SledOptions, journal: &mut Journal) -> Result<(Index, fs::File), LoadError> {
    load_into(options, &options.index(), journal)
}

/// The same with an index that stands elsewhere.
fn load_into(options: &SledOptions, dir: &Path, journal: &mut Journal) -> Result<(Index, fs::File), LoadError> {
    let (index, file) = Index::open(dir, options.cache)?;
    sync_directory(&options.dir).map_err(IndexError::Io)?;
    let from = match index.mark()? {
        Some(mark) => From::Index(mark),
        None => begin(options, &index)?,
    };
    let nobody = Leases::new();
    let mut filling = Filling { index: &index, plan: Plan::new(&index, &nobody), nobody: &nobody, parts: 0 };
    journal.replay(from, |entry, mark| {
        filling.plan.line(&entry, mark, true)?;
        Ok::<(), LoadError>(filling.next()?)
    })?;
    filling.finish()?;
    // What the index holds durably must stand in the journal durably.
    journal.settle()?;
    index.sync(&file)?;
    Ok((index, file))
}

/// Fills an index that holds nothing with what a snapshot holds; from where the journal goes on.
fn begin(options: &SledOptions, index: &Index) -> Result<From, LoadError> {
    if !index.is_empty()? {
        return Err(IndexError::Damaged("it was being filled when that was cut off".into()).into());
    }
    let Some(snapshot) = Snapshot::newest(&options.journal())? else { return Ok(From::Start) };
    let nobody = Leases::new();
    let mut filling = Filling { index, plan: Plan::new(index, &nobody), nobody: &nobody, parts: 0 };
    snapshot.read(|change| {
        filling.plan.put_back(&change)?;
        Ok::<(), LoadError>(filling.next()?)
    })?;
    filling.finish()?;
    Ok(From::Snapshot { mark: snapshot.mark, upto: snapshot.upto })
}

/// Writing much into an index, batch after batch.
struct Filling<'a> {
    index: &'a Index,
    plan: Plan<'a>,
    nobody: &'a Leases,
    parts: usize,
}

impl Filling<'_> {
    fn next(&mut self) -> Result<(), IndexError> {
        self.parts += 1;
        if !self.parts.is_multiple_of(REPLAY) {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.plan, Plan::new(self.index, self.nobody));
        self.index.write(full.finish().0)
    }

    fn finish(self) -> Result<(), IndexError> {
        self.index.write(self.plan.finish().0)
    }
}

/// Moves the index out of the way; what was there from an earlier time is deleted.
fn set_aside(options: &SledOptions) -> Result<(), StoreError> {
    let aside = options.aside();
    let present = |path: &Path| path.symlink_metadata().is_ok();
    let go = || {
        if present(&options.index()) {
            if present(&aside) {
                fs::remove_dir_all(&aside)?;
            }
            fs::rename(options.index(), &aside)?;
        }
        if present(&options.damage()) {
            fs::remove_file(options.damage())?;
        }
        sync_directory(&options.dir)
    };
    go().map_err(|error| store_error("setting aside", &options.index(), &error))
}
