//! Keeping state: records, notes, jobs and the journal.
//!
//! Operations are data, not closures: a [`Step`] is one batch of one transaction and durable when
//! [`Store::apply`] returns.

use std::time::Duration;

use jiff::Timestamp;

use super::Pending;
use super::job::{Job, JobId, Lease, Queue};
use super::record::{Key, Record, State};
use super::step::{Guard, Step};
use crate::event::Event;
use crate::ident::{RecordId, Sha256};

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
