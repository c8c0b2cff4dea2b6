//! Telling a person something by mail, as data: decided by a step, carried by a [`Queue::Notify`] job.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BlobId, Job, JobId, Key, Op, Queue};
use crate::event::Event;
use crate::ident::RecordId;
use crate::mail::alarm::Cause;

/// Octets of the facts of an alarm, so that they fit a note.
const FACTS: usize = 1_000;

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
    /// Its pair of functions exchanges messages too fast; it is kept back.
    Held,
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
    /// It was sent, but no valid receipt of the access point came in time: it may have arrived.
    Unproven,
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
    /// The other access point says that it does not serve the participant, or not for this document (SDK C3.2.1 2.5.c).
    NotServed,
    /// The receiving function has refused a file of this type before.
    FileType {
        /// Which of the mail's files, from 0 on.
        file: usize,
    },
    /// The other access point refused it.
    RefusedByPeer,
    /// The operator stopped it before it was sent.
    Cancelled,
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

    /// Keeps what an event names, for an alarm about something that has no record.
    #[must_use]
    pub fn facts(record: RecordId, event: &Event) -> Op {
        let mut facts = BTreeMap::new();
        for (field, value) in &event.fields {
            facts.insert(*field, short(value, 64));
            // Names and texts have no way to fail. What comes first is what a report needs most.
            if serde_json::to_string(&facts).map_or(0, |note| note.len()) > FACTS {
                facts.remove(field);
            }
        }
        Op::Note(Self::facts_key(record), serde_json::to_string(&facts).unwrap_or_default())
    }

    /// Where [`Self::facts`] are kept.
    #[must_use]
    pub fn facts_key(record: RecordId) -> Key {
        Key::new("facts", &record.0.simple().to_string())
    }

    /// In one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::Delayed { .. } => "delayed",
            Self::Failed { .. } => "failed",
            Self::Alarm { .. } => "alarm",
        }
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
pub(super) fn short(text: &str, octets: usize) -> String {
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
    fn the_facts_of_an_alarm_fit_a_note() {
        use crate::event::{EventName, Field};
        let fields = [
            Field::MessageId,
            Field::As4MessageId,
            Field::As4ConversationId,
            Field::PeerAccessPoint,
            Field::PeerCertificate,
            Field::PeerSignature,
            Field::OriginalSender,
            Field::FinalRecipient,
            Field::ErrorCode,
            Field::Cause,
        ];
        for text in ["a", "å", "\"", "\\"] {
            let event =
                fields.iter().fold(Event::new(Timestamp::UNIX_EPOCH, EventName::Refused), |event, field| event.with(*field, text.repeat(300)));
            let Op::Note(_, note) = Tell::facts(RecordId(uuid::Uuid::nil()), &event) else { panic!("a note") };
            let facts: BTreeMap<Field, String> = serde_json::from_str(&note).unwrap();
            assert!(note.len() <= FACTS && facts.contains_key(&Field::As4MessageId) && facts.contains_key(&Field::PeerAccessPoint), "{note}");
        }
    }

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
