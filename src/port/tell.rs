//! Telling a person something by mail, as data: decided by a step, carried by a [`Queue::Notify`] job.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BlobId, Job, JobId, Op, Queue};
use crate::ident::RecordId;
use crate::mail::alarm::Cause;

/// What to tell, and when that was decided: the date of the mail, and the beginning of its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub since: Timestamp,
    /// What.
    pub tell: Tell,
}

/// What to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "tell")]
pub enum Tell {
    /// The recipient's organisation has acknowledged it.
    Accepted {
        /// When the receipt was issued.
        at: Timestamp,
        /// The receipt's blob.
        receipt: BlobId,
        /// It came after the sender was told that it failed.
        late: bool,
    },
    /// The recipient's organisation rejected it; the receipt has the lines.
    Rejected {
        /// When the receipt was issued.
        at: Timestamp,
        /// The receipt's blob.
        receipt: BlobId,
        /// It came after the sender was told that it failed.
        late: bool,
    },
    /// It takes long; attempts go on.
    Delayed {
        /// Why.
        why: Delay,
        /// When it is given up.
        until: Timestamp,
    },
    /// It was given up or cannot be sent.
    Failed {
        /// Why.
        why: Fail,
    },
    /// The operator must look at it.
    Alarm {
        /// Why the operator is told.
        cause: Cause,
        /// What failed, in English, without content.
        what: String,
        /// What to do.
        hint: String,
    },
}

/// Why it takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delay {
    /// The access point is not reached.
    AccessPoint {
        /// When it is tried next.
        next: Timestamp,
    },
    /// DNS or SMP is not reached.
    Directory {
        /// When it is tried next.
        next: Timestamp,
    },
    /// The access point has it; the message receipt is not there.
    Receipt {
        /// When the access point took it.
        acknowledged: Timestamp,
    },
}

/// Why it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fail {
    /// The access point was not reached in time.
    AccessPoint,
    /// DNS or SMP was not reached in time.
    Directory,
    /// The access point has it, but no message receipt came: it may have arrived.
    NoReceipt {
        /// When the access point took it.
        acknowledged: Timestamp,
    },
    /// The organisation is not in the federation, or takes no messages.
    NotRegistered,
    /// A certificate of the recipient is expired, revoked or foreign.
    Certificate,
    /// The other access point refused it.
    RefusedByPeer,
    /// A fault of ours; the operator was told.
    Internal,
}

impl Tell {
    /// The operator must look at it.
    #[must_use]
    pub fn alarm(cause: Cause, what: &str, hint: &str) -> Self {
        // Escaped, both fit a job's note together with what stands around them.
        Self::Alarm { cause, what: short(what, 240), hint: short(hint, 160) }
    }

    /// The job that tells it, once for each `name` on a record.
    #[must_use]
    pub fn job(self, record: RecordId, name: &str, at: Timestamp) -> Op {
        // Words, times and ids have no way to fail.
        let note = serde_json::to_string(&Told { since: at, tell: self }).unwrap_or_default();
        Op::Enqueue(Job::new(JobId::of(record, &format!("tell-{name}")), Queue::Notify, record, at).with(note))
    }
}

/// The beginning of a text, at most so many octets and without control characters.
fn short(text: &str, octets: usize) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > octets {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_survives_its_job() {
        for text in ["å", "\"", "\u{1}", "𝄞", "\\"] {
            let tell = Tell::alarm(Cause::ReceiptUndelivered, &text.repeat(500), &text.repeat(500));
            let Op::Enqueue(job) = tell.clone().job(RecordId(uuid::Uuid::nil()), "alarm", Timestamp::UNIX_EPOCH) else { panic!("a job") };
            assert!(job.note.len() <= 1_000, "{}", job.note.len());
            assert_eq!(serde_json::from_str::<Told>(&job.note).unwrap(), Told { since: Timestamp::UNIX_EPOCH, tell });
        }
    }
}
