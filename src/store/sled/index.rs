//! The index in sled: the only place that calls sled.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::sled::{Batch, Db};
use jiff::Timestamp;

use super::layout::{
    decode_instant, decode_job, decode_mark, decode_record, decode_uuid, encode_instant, event_key, job_key, malformed, note_key, queue_prefix,
    record_key, state_prefix, text,
};
use super::waker::Waker;
use crate::ident::RecordId;
use crate::port::{Job, JobId, Key, Queue, Record, State};
use crate::store::journal::{Change, Mark};

/// Values of one look at a family.
const PART: usize = 256;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// It is not what was written, or sled lost its head over it: it must be built anew.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// The file system failed, which building it anew would not help.
    #[error("the index cannot be used: {0}")]
    Io(io::Error),
}

type Result<T, E = IndexError> = std::result::Result<T, E>;

/// Calls sled. 0.34 panics on some damage, and what it did halfway is of no use after that: nobody calls it again.
pub(super) fn caged<T>(work: impl FnOnce() -> ::sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Io(error))) if is_of_the_machine(&error) => Err(IndexError::Io(error)),
        Ok(Err(error)) => Err(IndexError::Damaged(error.to_string())),
        Err(_) => Err(IndexError::Damaged("sled panicked".into())),
    }
}

/// Whether an error says more of the machine than of the index. All others are taken for damage: building the index
/// anew costs time only.
fn is_of_the_machine(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let kinds = [Kind::StorageFull, Kind::QuotaExceeded, Kind::PermissionDenied, Kind::ReadOnlyFilesystem, Kind::OutOfMemory, Kind::Interrupted];
    kinds.contains(&error.kind()) || is_locked(error)
}

/// sled has no kind for it.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// An open index.
pub(super) struct Index {
    /// Before the database, which closes when nobody has it any more.
    _waker: Waker,
    db: Caged,
}

/// sled's handle. When it is dropped sled writes, syncs, and panics if that fails.
struct Caged(Option<Db>);

impl std::ops::Deref for Caged {
    type Target = Db;

    #[expect(clippy::expect_used, reason = "it is taken out by its drop alone")]
    fn deref(&self) -> &Db {
        self.0.as_ref().expect("an index that is not dropped has its database")
    }
}

impl Drop for Caged {
    fn drop(&mut self) {
        let db = self.0.take();
        let closed = caged(|| {
            drop(db);
            Ok(())
        });
        if closed.is_err() {
            tracing::error!("the index could not be closed in order");
        }
    }
}

impl Index {
    /// Opens or makes the index in `dir`.
    pub(super) fn open(dir: &Path, cache: u64) -> Result<(Self, File)> {
        let config = ::sled::Config::new().path(dir).flush_every_ms(None).use_compression(false).cache_capacity(cache);
        let mut tries = 0;
        let db = loop {
            match caged(|| config.open()) {
                // Nobody else has it, since the journal is ours; sled lets go of its lock a little after it is dropped.
                Err(IndexError::Io(error)) if is_locked(&error) && tries < 1_000 => {
                    tries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                other => break other?,
            }
        };
        let finish = || {
            let file = File::options().read(true).write(true).open(dir.join("db"))?;
            file.sync_all()?;
            File::open(dir.join("conf"))?.sync_all()?;
            crate::store::sync_directory(dir)?;
            Ok((file, fs::read_dir(dir.join("blobs"))?.next().is_some()))
        };
        let (file, blobs) = finish().map_err(IndexError::Io)?;
        if blobs {
            return Err(IndexError::Damaged("it keeps values outside of its log, which are never synced".into()));
        }
        let db = Caged(Some(db));
        let waker = Waker::start(&db).map_err(IndexError::Io)?;
        Ok((Self { _waker: waker, db }, file))
    }

    /// Writes a batch into the index, not yet durably.
    pub(super) fn write(&self, batch: Batch) -> Result<()> {
        caged(|| self.db.apply_batch(batch))
    }

    /// Makes everything written durable. `flush` alone hands it to the disk without waiting for the disk's word.
    pub(super) fn sync(&self, file: &File) -> Result<()> {
        caged(|| self.db.flush())?;
        file.sync_data().map_err(IndexError::Io)
    }

    pub(super) fn mark(&self) -> Result<Option<Mark>> {
        self.get(b"m")?.map(|value| decode_mark(&value)).transpose()
    }

    pub(super) fn record(&self, id: RecordId) -> Result<Option<Record>> {
        self.get(&record_key(id))?.map(|value| decode_record(id, &value)).transpose()
    }

    pub(super) fn note(&self, key: &Key) -> Result<Option<String>> {
        self.get(&note_key(key))?.map(|value| text(&value)).transpose()
    }

    /// Up to `limit` records of a state. One that changes meanwhile may be missing.
    pub(super) fn list(&self, state: &State, limit: usize) -> Result<Vec<Record>> {
        let prefix = state_prefix(state);
        let mut found = Vec::new();
        let mut after = prefix.clone();
        while found.len() < limit {
            let Some(key) = caged(|| self.db.range(after.as_slice()..).keys().next().transpose())? else { break };
            let Some(id) = key.strip_prefix(prefix.as_slice()) else { break };
            let record = self.record(RecordId(decode_uuid(id)?))?;
            found.extend(record.filter(|record| record.state == *state));
            after = key.to_vec();
            after.push(0);
        }
        Ok(found)
    }

    /// Up to `limit` records in the order of their ids, from behind `after` on.
    pub(super) fn records(&self, after: Option<RecordId>, limit: usize) -> Result<Vec<Record>> {
        let first = after.map_or_else(|| b"r".to_vec(), |after| [record_key(after).as_slice(), &[0]].concat());
        let mut found = Vec::new();
        let mut family = caged(|| Ok(self.db.range(first..)))?;
        while found.len() < limit
            && let Some((key, value)) = caged(|| family.next().transpose())?
            && let Some(id) = key.strip_prefix(b"r")
        {
            found.push(decode_record(RecordId(decode_uuid(id)?), &value)?);
        }
        Ok(found)
    }

    /// The jobs of a queue that are due at `from` or later, earliest first, by their due time and name, until `take` has enough.
    pub(super) fn queue(&self, queue: Queue, from: Timestamp, mut take: impl FnMut(Timestamp, JobId) -> Result<bool>) -> Result<()> {
        let prefix = queue_prefix(queue);
        let first: Vec<u8> = prefix.into_iter().chain(encode_instant(from)).collect();
        let mut keys = caged(|| Ok(self.db.range(first..).keys()))?;
        while let Some(key) = caged(|| keys.next().transpose())? {
            let Some(rest) = key.strip_prefix(&prefix) else { break };
            let (due, id) = rest.split_at_checked(16).ok_or_else(malformed)?;
            if !take(decode_instant(due)?, JobId(decode_uuid(id)?))? {
                break;
            }
        }
        Ok(())
    }

    /// Up to `limit` jobs of a queue that are due at `from` or later, earliest first. One that changes meanwhile may be missing.
    pub(super) fn jobs(&self, queue: Queue, from: Timestamp, limit: usize) -> Result<Vec<Job>> {
        let mut names = Vec::new();
        self.queue(queue, from, |_, id| {
            names.push(id);
            Ok(names.len() < limit)
        })?;
        names.truncate(limit);
        Ok(names.into_iter().map(|id| self.job(id)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    pub(super) fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.get(&job_key(id))?.map(|value| decode_job(id, &value)).transpose()
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> Result<bool> {
        caged(|| self.db.first()).map(|first| first.is_none())
    }

    /// Everything that is not made from something else. What changes meanwhile is handed out as it was or as it is, or
    /// not at all when it is new or gone.
    pub(super) fn each<E: From<IndexError>>(&self, mut take: impl FnMut(&Change) -> Result<(), E>) -> Result<(), E> {
        self.family(b"r", |id, value| {
            let id = RecordId(decode_uuid(id)?);
            take(&Change::Record(decode_record(id, value)?))
        })?;
        self.family(b"n", |key, value| take(&Change::Note(Key::kept(text(key)?), text(value)?)))?;
        self.family(b"j", |id, value| take(&Change::Job(decode_job(JobId(decode_uuid(id)?), value)?)))
    }

    /// The keys of a family, without its letter, and their values. The range is taken anew now and then, so that no
    /// node of the tree is held while others are written.
    fn family<E: From<IndexError>>(&self, letter: &[u8], mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut after = letter.to_vec();
        loop {
            let part = self.part(&after)?;
            for (key, value) in &part {
                let Some(rest) = key.strip_prefix(letter) else { return Ok(()) };
                take(rest, value)?;
            }
            let Some((last, _)) = part.last() else { return Ok(()) };
            after = last.to_vec();
            after.push(0);
        }
    }

    /// Some keys from this one on, and their values.
    pub(super) fn part(&self, from: &[u8]) -> Result<Vec<(::sled::IVec, ::sled::IVec)>> {
        caged(|| self.db.range(from..).take(PART).collect())
    }

    /// Where to begin to look for an event: at a line at or before it.
    pub(super) fn event(&self, number: u64) -> Result<Option<u64>> {
        let last = event_key(number);
        let found = caged(|| self.db.range(b"e".as_slice()..=last.as_slice()).next_back().transpose())?;
        found.map(|(_, value)| value.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| malformed())).transpose()
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<::sled::IVec>> {
        caged(|| self.db.get(key))
    }
}
