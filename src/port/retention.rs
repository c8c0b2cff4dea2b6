//! What is left of a message whose time is over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BlobId, BlobKind, Job, JobId, Op, Queue};
use crate::ident::{RecordId, Sha256};

/// Where a message's content is, of a message that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retained {
    /// Where it was.
    #[default]
    Whole,
    /// It is being deleted: what, as it was found. A crash leaves it here, and the deletion is completed.
    Going(Vec<Doomed>),
    /// It was deleted, and found gone.
    Gone {
        /// When.
        at: Timestamp,
    },
}

impl Retained {
    /// Whether nothing was deleted yet, nor is about to be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

/// A blob that is deleted because its time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doomed {
    /// Its name.
    pub id: BlobId,
    /// What it holds.
    pub kind: BlobKind,
    /// Octets of its body.
    pub octets: u64,
    /// SHA-256 of its body; absent where it could not be read whole.
    pub digest: Option<Sha256>,
}

impl Op {
    /// The job that looks after what is kept of a record from its end on: deletes it when its time is over.
    #[must_use]
    pub fn retire(record: RecordId, now: Timestamp) -> Self {
        Self::Enqueue(Job::new(retiring(record), Queue::Purge, record, now))
    }
}

/// The name of the job that deletes what is kept of a record.
#[must_use]
pub fn retiring(record: RecordId) -> JobId {
    JobId::of(record, "purge")
}
