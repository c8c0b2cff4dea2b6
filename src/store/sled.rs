//! The store of one node: the journal, and sled as an index over it, inside a cage.
//!
//! sled 0.34 loses data in a power cut, and does not open any more, when it is used as its manual shows. Inside these
//! rules it did neither: one thread owns the database and the journal and does all writes; one batch on one tree for a
//! group of steps; a blocking flush and then a sync of its file; small keys and values, so that nothing leaves its log;
//! no scans but by prefix; and as it panics on damage, every call is fenced, and the index is built anew from the journal.
//!
//! ```text
//!  <dir>/journal.jsonl   the truth                                   (see `journal`)
//!        index/          sled: db, conf, blobs/ (stays empty)
//!        index.damaged/  the last index that was set aside
//!        index.rebuild   a mark: the index was found damaged, the next start builds it anew
//! ```
//!
//! Reads go past the thread: what is in the index is in the journal, and durable, before it is seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use self::index::{Index, IndexError};
use self::owner::{Answer, Owner, Request};
use self::plan::{Leases, Plan};
use super::bell::{Bell, Wall};
use super::journal::{self, Draft, Journal, JournalError};
use super::{check_limits, create_directory, store_error, sync_directory};
use crate::event::Event;
use crate::ident::RecordId;
use crate::port::{Clock, Health, Job, JobId, Key, Lease, Pending, Queue, Record, State, Step, Store, StoreError};

mod index;
mod layout;
mod owner;
mod plan;

/// Lines that are replayed in one batch.
const REPLAY: usize = 256;
/// Events of one answer.
const AUDIT: usize = 1_000;

/// Where and how a [`SledStore`] is kept.
#[derive(Clone)]
pub struct SledOptions {
    /// The directory; created when absent.
    pub dir: PathBuf,
    /// Octets that stay free on the file system: below, no step is taken.
    pub reserve: u64,
    /// Octets of sled's cache.
    pub cache: u64,
    /// Whether to build the index anew from the journal, whatever it is like.
    pub rebuild: bool,
    /// The time by which jobs are due and leases end.
    pub clock: Arc<dyn Clock>,
}

impl SledOptions {
    /// A store in this directory, with 64 MiB kept free and as much cache.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), reserve: 64 * 1024 * 1024, cache: 64 * 1024 * 1024, rebuild: false, clock: Arc::new(Wall) }
    }

    /// The journal's file.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.jsonl")
    }

    fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    fn damage(&self) -> PathBuf {
        self.dir.join("index.rebuild")
    }
}

/// A [`Store`] on sled and a journal.
pub struct SledStore {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    journal: PathBuf,
}

/// What the writing thread and the readers share.
struct Shared {
    index: Index,
    bell: Bell,
    working: AtomicBool,
    /// Jobs by queue.
    jobs: [AtomicIsize; Queue::ALL.len()],
    /// Where the journal ends for readers: behind it may stand what is not applied yet.
    journal_end: AtomicU64,
    /// The mark that makes the next start build the index anew.
    damage: PathBuf,
}

impl Shared {
    fn new(index: Index, options: &SledOptions) -> Self {
        Self {
            index,
            bell: Bell::new(Arc::clone(&options.clock)),
            working: AtomicBool::new(true),
            jobs: Default::default(),
            journal_end: AtomicU64::new(0),
            damage: options.damage(),
        }
    }

    /// Takes no more steps; a damaged index is marked, since opening alone may not find what is wrong with it.
    fn give_up(&self, error: &IndexError) {
        self.working.store(false, Ordering::Release);
        tracing::error!(%error, "the store stops");
        if matches!(error, IndexError::Damaged(_))
            && let Err(error) = fs::write(&self.damage, error.to_string())
        {
            tracing::error!(%error, "the damage could not be marked for the next start");
        }
    }

    /// The outcome of a read.
    fn read<T>(&self, outcome: Result<T, IndexError>) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            self.give_up(&error);
            StoreError::Broken(error.to_string())
        })
    }
}

impl SledStore {
    /// Opens or makes a store: brings the index up to the journal, builds it anew when it is damaged.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the journal is damaged, does not go with the index, or is used by another process.
    pub fn open(options: SledOptions) -> Result<Self, StoreError> {
        create_directory(&options.dir).map_err(|error| store_error("creating", &options.dir, &error))?;
        let broken = |error: &dyn std::error::Error| StoreError::Broken(error.to_string());
        let mut journal = Journal::open(options.journal()).map_err(|error| broken(&error))?;
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
        .map_err(|error| broken(&error))?;

        // The first line of this process makes its tokens larger than those of every process before.
        let opened = Draft { opened: Some(options.clock.now()), ..Draft::default() };
        let lines = journal.append(vec![opened]).map_err(|error| broken(&error))?;
        let token = lines.last().map_or(0, |(entry, _)| entry.seq << 32);

        let shared = Arc::new(Shared::new(index, &options));
        shared.journal_end.store(journal.end(), Ordering::Release);
        let owner =
            Owner { shared: Arc::clone(&shared), journal, file, dir: options.dir.clone(), reserve: options.reserve, leases: Leases::new(), token };
        for (queue, count) in Queue::ALL.into_iter().zip(&shared.jobs) {
            let counting = shared.index.queue(queue, Timestamp::MIN, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            });
            counting.and_then(|()| owner.ring(queue)).map_err(|error| broken(&error))?;
        }
        let (requests, waiting) = mpsc::channel(1_024);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || owner.run(waiting));
        let thread = thread.map_err(|error| store_error("starting the thread of", &options.dir, &error))?;
        Ok(Self { requests: Some(requests), thread: Some(thread), shared, journal: options.journal() })
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
        Box::pin(async move { self.shared.read(self.shared.index.record(id)) })
    }

    fn note(&self, key: Key) -> Pending<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move { self.shared.read(self.shared.index.note(&key)) })
    }

    fn list(&self, state: State, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move { self.shared.read(self.shared.index.list(&state, limit)) })
    }

    fn job(&self, id: JobId) -> Pending<'_, Result<Option<Job>, StoreError>> {
        Box::pin(async move { self.shared.read(self.shared.index.job(id)) })
    }

    fn jobs(&self, queue: Queue, from: Timestamp, limit: usize) -> Pending<'_, Result<Vec<Job>, StoreError>> {
        Box::pin(async move { self.shared.read(self.shared.index.jobs(queue, from, limit)) })
    }

    fn audit(&self, from: u64, limit: usize) -> Pending<'_, Result<Vec<(u64, Event)>, StoreError>> {
        Box::pin(async move {
            let end = self.shared.journal_end.load(Ordering::Acquire);
            let Some(offset) = self.shared.read(self.shared.index.event(from))? else { return Ok(Vec::new()) };
            journal::events(&self.journal, offset, end, from, limit.min(AUDIT)).map_err(|error| StoreError::Broken(error.to_string()))
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
    /// Waits for the thread, so that the directory can be opened again.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
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

/// Opens the index and replays the lines that it does not hold yet.
fn load(options: &SledOptions, journal: &mut Journal) -> Result<(Index, fs::File), LoadError> {
    let (index, file) = Index::open(&options.index(), options.cache)?;
    sync_directory(&options.dir).map_err(IndexError::Io)?;
    let mark = index.mark()?;
    let (nobody, mut lines) = (Leases::new(), 0);
    let mut plan = Plan::new(&index, &nobody);
    journal.replay(mark, |entry, mark| {
        plan.line(&entry, mark, true)?;
        lines += 1;
        if lines % REPLAY == 0 {
            let full = std::mem::replace(&mut plan, Plan::new(&index, &nobody));
            index.write(full.finish().0)?;
        }
        Ok::<(), LoadError>(())
    })?;
    index.write(plan.finish().0)?;
    index.sync(&file)?;
    Ok((index, file))
}

/// Moves the index out of the way; what was there from an earlier time is deleted.
fn set_aside(options: &SledOptions) -> Result<(), StoreError> {
    let aside = options.dir.join("index.damaged");
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
