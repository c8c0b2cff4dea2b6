//! Keeping state: records, notes, jobs, the journal, and blobs.
//!
//! Operations are data, not closures: a [`Step`] is one batch of one transaction and durable when
//! [`Store::apply`] returns. Bodies are blobs, written and made durable before a step that names them.

use std::fmt;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Pending, Tally};
use crate::event::Event;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{RecordId, Sha256};

/// The state of a record, a word of the flow that owns it (SDK B1.4.2), for example `waiting-for-receipt`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State(pub std::borrow::Cow<'static, str>);

impl State {
    /// A state by its word.
    #[must_use]
    pub const fn new(word: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(word))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One message to or from one recipient. The body is the flow's own JSON, at most [`Record::MAX_BODY`] octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub id: RecordId,
    /// Its state.
    pub state: State,
    /// What the flow keeps of it, JSON.
    pub body: String,
}

impl Record {
    /// Octets of a body: with its name and state it stays below the 4 KiB of one value.
    pub const MAX_BODY: usize = 3_800;

    /// Writes what a flow keeps, with the version of its form.
    ///
    /// # Errors
    /// A [`Failure`] when it is over [`Self::MAX_BODY`], which only unreasonably long ids can bring about.
    pub fn of<T: Serialize>(id: RecordId, state: State, version: u8, kept: &T) -> Result<Self, Failure> {
        let body = serde_json::to_string(&Versioned { version, kept })
            .map_err(|error| Failure::permanent(Stage::Store, Blame::Us, format!("a record cannot be written: {error}")))?;
        if body.len() > Self::MAX_BODY {
            return Err(Failure::permanent(Stage::Store, Blame::Peer, "addresses and ids are too long to keep"));
        }
        Ok(Self { id, state, body })
    }

    /// Reads what a flow keeps.
    ///
    /// # Errors
    /// A [`Failure`] when it is not the flow's, or of another version.
    pub fn read<T: DeserializeOwned>(&self, version: u8) -> Result<T, Failure> {
        let read: Versioned<T> = serde_json::from_str(&self.body)
            .map_err(|error| Failure::permanent(Stage::Store, Blame::Us, format!("record {} cannot be read: {error}", self.id)))?;
        if read.version != version {
            return Err(Failure::permanent(Stage::Store, Blame::Us, format!("record {} has version {}", self.id, read.version))
                .hint("run the version of brevbro that wrote it, or a newer one"));
        }
        Ok(read.kept)
    }
}

/// A record's body.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    #[serde(rename = "v")]
    version: u8,
    #[serde(rename = "is")]
    kept: T,
}

/// The key of a note, 1 to 60 octets: dedupe marks and cross references such as `as4/<digest>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(String);

impl Key {
    /// A key out of a short family word and an id of any length: the id is kept when short and hashed when long.
    ///
    /// Two ids of one family give two keys; case of the id matters, so fold it before.
    #[must_use]
    pub fn new(family: &'static str, id: &str) -> Self {
        debug_assert!(family.len() <= 12, "a family is a short word");
        if id.len() <= 40 && id.bytes().all(|b| b.is_ascii_graphic()) {
            Self(format!("{family}/{id}"))
        } else {
            let digest = crate::crypto::sha256(id.as_bytes()).to_string();
            // 46 characters: longer than every id that is kept as it is, so that the two never meet.
            Self(format!("{family}/#{}", digest.get(..45).unwrap_or_default()))
        }
    }

    /// The key that a store keeps as this text, which [`Self::as_str`] gave.
    #[must_use]
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What kind of work a job is: who claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// Address and seal an outgoing message. Participant keys.
    Seal,
    /// Wrap an envelope in AS4 and send it. Access point keys.
    Send,
    /// A message receipt has not come in time.
    Await,
    /// Open and check an incoming envelope. Participant keys.
    Open,
    /// Deliver an incoming message as mail.
    Deliver,
    /// Make and seal a message receipt of ours. Participant keys.
    Answer,
    /// Tell the sender or the operator something by mail.
    Notify,
    /// Delete what is kept of a record when its time is over.
    Purge,
}

impl Queue {
    /// All queues.
    pub const ALL: [Self; 8] = [Self::Seal, Self::Send, Self::Await, Self::Open, Self::Deliver, Self::Answer, Self::Notify, Self::Purge];
}

/// A job's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub uuid::Uuid);

impl JobId {
    /// The one job of this name on a record: deciding twice to do the same makes one job.
    #[must_use]
    pub fn of(record: RecordId, name: &str) -> Self {
        let crate::ident::Sha256(digest) = crate::crypto::sha256(format!("{record}/{name}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

/// One piece of work on one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name; enqueueing the same name twice is one job.
    pub id: JobId,
    /// Who claims it.
    pub queue: Queue,
    /// What it is about.
    pub record: RecordId,
    /// When it is due.
    pub due: Timestamp,
    /// Attempts that have failed so far.
    pub attempt: u32,
    /// What the flow wants to know when it runs, at most 1,000 octets.
    pub note: String,
}

impl Job {
    /// A job that no attempt has been made at.
    #[must_use]
    pub fn new(id: JobId, queue: Queue, record: RecordId, due: Timestamp) -> Self {
        Self { id, queue, record, due, attempt: 0, note: String::new() }
    }

    /// Why an attempt failed, as the note of a job that needs none otherwise: for who asks what waits and why.
    #[must_use]
    pub fn cause(why: impl fmt::Display) -> String {
        super::tell::short(&why.to_string(), 400)
    }

    /// The same job with something to know when it runs.
    #[must_use]
    pub fn with(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// A claimed job. From `until` on another may claim it, and once that is done `token` no longer counts; nor does it after a
/// store that one process uses was opened anew by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: Job,
    /// The fencing token, larger at every claim.
    pub token: u64,
    /// When the lease ends, by the store's clock.
    pub until: Timestamp,
}

/// A condition that must hold for a step to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// No note has this key.
    Absent(Key),
    /// The note of this key has this value.
    Noted(Key, String),
    /// The record is in this state.
    In(RecordId, State),
    /// There is no such record.
    New(RecordId),
    /// The lease is still ours: nobody claimed the job since and it is still there.
    Held(Lease),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Write a record, new or changed.
    Put(Record),
    /// Remove a record; it is no error when there is none.
    Remove(RecordId),
    /// Write a note; the value has at most 1,000 octets.
    Note(Key, String),
    /// Remove a note; it is no error when there is none.
    Forget(Key),
    /// Add to the tally that a note is; none is nothing. Steps that add to the same note follow one another, so that every
    /// one counts. Such a key is of tallies only.
    Add(Key, Tally),
    /// Add a job; a job of that name that is there already stays as it is.
    Enqueue(Job),
    /// The leased job is done. A lease that is not held is a [`StoreError::Conflict`], as with [`Guard::Held`].
    Complete(Lease),
    /// The leased job is due again then, with one more failed attempt and a new note. A lease that is not held is a
    /// [`StoreError::Conflict`].
    Reschedule {
        /// Which.
        lease: Lease,
        /// When.
        due: Timestamp,
        /// The job's new note.
        note: String,
    },
    /// The job is due at this moment already, if it would be later, with its attempts and its note as they are. Nothing
    /// happens to one that is leased, or is not there.
    Hasten(JobId, Timestamp),
    /// Remove a job, claimed or not; it is no error when there is none.
    Cancel(JobId),
    /// Add an event to the journal.
    Audit(Event),
}

/// Guards and changes that hold or fail together: all guards look at the state before the step, then the changes
/// happen in their order. As data at most [`Step::MAX`] octets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// All of them must hold.
    pub guards: Vec<Guard>,
    /// All of them happen.
    pub ops: Vec<Op>,
}

impl Step {
    /// Octets of all that a step writes, in sum: a few hundred records.
    pub const MAX: usize = 1024 * 1024;

    /// A step that does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a guard.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Adds a change.
    #[must_use]
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A guard does not hold; nothing was changed.
    #[error("a guard does not hold: {0:?}")]
    Conflict(Box<Guard>),
    /// A value is over its limit; nothing was changed. A fault of the program.
    #[error("{what} of {octets} octets is over the limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        octets: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk is full; nothing was changed. Try again.
    #[error("the disk is full")]
    Full,
    /// What was asked for is not there.
    #[error("no such {0}")]
    Missing(&'static str),
    /// What is kept is not what was written. Another attempt finds the same.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A body is under this key, which is not configured. It is neither damaged nor to be deleted.
    #[error("a body is encrypted with the key {0}, which is not among the keys of [encryption]")]
    Locked(String),
    /// The store is damaged or stopped; what it was doing may or may not have happened.
    #[error("the store is not working: {0}")]
    Broken(String),
}

/// How the store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether it takes steps.
    pub working: bool,
    /// Jobs waiting or leased, by queue.
    pub jobs: Vec<(Queue, usize)>,
}

/// The last line of a journal whose lines are chained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Its number.
    pub line: u64,
    /// Its hash, which stands for all lines before it.
    pub hash: Sha256,
    /// The first line of the part of the journal that it stands in.
    pub segment: u64,
}

/// Records, notes, jobs and the journal.
///
/// Promises: a step is applied whole or not at all, in some order with all others; what it wrote is durable when
/// `apply` returns; a job is leased to one claimant at a time; a job that was enqueued is claimed again and again
/// until it is completed or cancelled; the journal's events are in the order of the steps. A call whose future is
/// dropped, and a step that ended in [`StoreError::Broken`], may or may not have happened.
///
/// What is due, and when a lease ends, goes by the store's own clock: that of the machine where one process uses it, that of
/// the database where several share one. Instants are kept to the microsecond at least.
pub trait Store: Send + Sync {
    /// Applies a step.
    fn apply(&self, step: Step) -> Pending<'_, Result<(), StoreError>>;
    /// Leases up to `limit` jobs of a queue that are due, oldest first, for `span`.
    fn claim(&self, queue: Queue, span: Duration, limit: usize) -> Pending<'_, Result<Vec<Lease>, StoreError>>;
    /// Lets a lease end `span` from now; [`StoreError::Conflict`] when it is no longer held.
    fn renew(&self, lease: Lease, span: Duration) -> Pending<'_, Result<Lease, StoreError>>;
    /// Reads a record.
    fn record(&self, id: RecordId) -> Pending<'_, Result<Option<Record>, StoreError>>;
    /// Reads a note.
    fn note(&self, key: Key) -> Pending<'_, Result<Option<String>, StoreError>>;
    /// Up to `limit` records in a state, in no promised order.
    fn list(&self, state: State, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>>;
    /// Up to `limit` records in the order of their ids, from behind `after` on; none are left when none come. One that changes
    /// meanwhile is there as it was or as it is; one that comes or goes may be missing.
    fn records(&self, after: Option<RecordId>, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>>;
    /// Reads a job, waiting or leased.
    fn job(&self, id: JobId) -> Pending<'_, Result<Option<Job>, StoreError>>;
    /// Up to `limit` jobs of a queue, waiting or leased, that are due at `from` or later, the one that is due first before
    /// the others. One that changes meanwhile may be missing.
    fn jobs(&self, queue: Queue, from: Timestamp, limit: usize) -> Pending<'_, Result<Vec<Job>, StoreError>>;
    /// Up to `limit` events from number `from` on (0 is the first), with their numbers. Fewer than `limit` do not mean
    /// the end, none does.
    fn audit(&self, from: u64, limit: usize) -> Pending<'_, Result<Vec<(u64, Event)>, StoreError>>;
    /// The journal's last line; none where its lines are not chained, or there is none yet.
    fn head(&self) -> Pending<'_, Result<Option<ChainHead>, StoreError>> {
        Box::pin(async { Ok(None) })
    }
    /// Returns when a job of the queue may have become due, at the latest after `at_most`; returning early is allowed.
    fn wait_work(&self, queue: Queue, at_most: Duration) -> Pending<'_, ()>;
    /// How it is.
    fn health(&self) -> Pending<'_, Health>;
}

/// A blob's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobId(pub uuid::Uuid);

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobKind {
    /// A mail as it was taken in.
    Mail,
    /// An XHE, sealed by us or received.
    Envelope,
    /// An AS4 request as it is sent.
    Request,
    /// An AS4 signal: our receipt for a duplicate, or theirs as evidence.
    Signal,
    /// An SDK message in the clear, before its mail is delivered.
    Message,
    /// A message receipt in the clear.
    Receipt,
}

/// A blob's first part: what must be known to take it in again when no index knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its name.
    pub id: BlobId,
    /// What it holds.
    pub kind: BlobKind,
    /// The flow's own JSON: a transaction's envelope, a message's ids. At most 1 MiB.
    pub header: String,
}

/// What is known of a blob that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub id: BlobId,
    /// Octets of the body.
    pub octets: u64,
    /// SHA-256 of the body.
    pub digest: Sha256,
}

/// A blob that is there, without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: BlobId,
    /// How long ago it was written, by the clock of whatever keeps it. A young one that no record names may be of somebody
    /// who is just about to apply the step that names it.
    pub age: Duration,
}

/// A blob that is being written, on a thread that may block. Dropped without [`BlobWriter::commit`] it never was.
pub trait BlobWriter: io::Write + Send {
    /// Makes the blob durable: file and directory.
    fn commit(self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>>;
}

/// A blob's body, read on a thread that may block.
pub trait BlobReader: io::Read + io::Seek + Send {}

impl<T: io::Read + io::Seek + Send> BlobReader for T {}

/// A blob that is open: its head, the number of its body's octets, and its body.
pub type OpenBlob = (Blob, u64, Box<dyn BlobReader>);

/// Bodies.
///
/// Promises: a blob is durable and whole when `commit` returns, and absent before; it never changes under a reader.
/// A name that is committed again is replaced whole: work that was cut off before its step may run again. What was
/// damaged on disk is an error: reading from front to back ends in [`io::ErrorKind::InvalidData`], never in wrong bytes
/// that pass for right ones.
pub trait Blobs: Send + Sync {
    /// Whether something new may be taken in, of so many octets if that is known: [`StoreError::Full`] when there is room only for
    /// what has been taken in before. What goes on does not ask, for `create` has the last word.
    fn admit(&self, _expected: Option<u64>) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
    /// Whether blobs can be written, as far as the last attempt shows; one that failed is followed by others, until it works again.
    fn works(&self) -> Pending<'_, bool> {
        Box::pin(async { true })
    }
    /// Begins a blob. [`StoreError::Full`] when there is no room for `expected` octets.
    fn create(&self, blob: Blob, expected: Option<u64>) -> Pending<'_, Result<Box<dyn BlobWriter>, StoreError>>;
    /// Opens a blob for reading; [`StoreError::Missing`] when there is none, [`StoreError::Damaged`] when its head is not
    /// what was written, [`StoreError::Locked`] when its key is not here. The body is not touched yet.
    fn open(&self, id: BlobId) -> Pending<'_, Result<OpenBlob, StoreError>>;
    /// Deletes a blob, for good when it returns; it is no error when there is none.
    fn delete(&self, id: BlobId) -> Pending<'_, Result<(), StoreError>>;
    /// The blobs there are, at most `limit` of them, in the order of their names, from behind `after` on; none are left when
    /// none come. Reads no heads, so that millions can be listed. One that is committed or deleted meanwhile may be in it or not.
    fn all(&self, after: Option<BlobId>, limit: usize) -> Pending<'_, Result<Vec<Listed>, StoreError>>;

    /// The heads of all blobs, in the order of their names; reads every one of them, which is for looking at few. One that
    /// is damaged is left out.
    fn heads(&self) -> Pending<'_, Result<Vec<Blob>, StoreError>> {
        Box::pin(async move {
            let (mut heads, mut after) = (Vec::new(), None);
            loop {
                let page = self.all(after, 1_000).await?;
                let Some(last) = page.last() else { return Ok(heads) };
                after = Some(last.id);
                for Listed { id, .. } in page {
                    match self.open(id).await {
                        Ok((blob, ..)) => heads.push(blob),
                        Err(StoreError::Missing(_) | StoreError::Damaged(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_short_and_apart() {
        let long = "x".repeat(41);
        let (short, hashed) = (Key::new("as4", "a@b"), Key::new("as4", &long));
        assert_eq!(short.as_str(), "as4/a@b");
        assert!(hashed.as_str().len() <= 60 && hashed != Key::new("as4", &"x".repeat(42)));
    }
}
