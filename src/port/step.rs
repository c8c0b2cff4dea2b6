//! One batch of one transaction, as data: what must hold, and what changes then.

use jiff::Timestamp;

use super::Tally;
use super::job::{Job, JobId, Lease};
use super::record::{Key, Record, State};
use crate::event::Event;
use crate::ident::RecordId;

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
    /// The leased job is done. A lease that is not held is a [`StoreError::Conflict`](super::StoreError::Conflict), as with
    /// [`Guard::Held`].
    Complete(Lease),
    /// The leased job is due again then, with one more failed attempt and a new note. A lease that is not held is a
    /// [`StoreError::Conflict`](super::StoreError::Conflict).
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
