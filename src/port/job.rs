//! Work that waits for its time: queues, jobs, and who has claimed one.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ident::{RecordId, Sha256};

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
        let Sha256(digest) = crate::crypto::sha256(format!("{record}/{name}").as_bytes());
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
