//! One line: what it says, how it is written, and how its octets are checked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypto::sha256;
use crate::event::Event;
use crate::ident::{RecordId, Sha256};
use crate::port::{Job, JobId, Key, Record, Step};

/// Octets of a line: JSON may write an octet of a text as six.
pub(super) const MAX_LINE: usize = 8 * Step::MAX;
const HASH: &[u8] = br#","hash":""#;
/// `,"hash":"`, 64 digits, `"}`.
const TAIL: usize = HASH.len() + 64 + 2;

/// The form of segments that this version writes.
pub(super) const VERSION: u8 = 1;
/// The form of a segment behind which the state begins anew, and the newest that this version reads.
pub(super) const ANEW: u8 = 2;

/// One change that a step made, whole: applying it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The record is this.
    Record(Record),
    /// There is no such record.
    NoRecord(RecordId),
    /// The note of this key is this.
    Note(Key, String),
    /// There is no note of this key.
    NoNote(Key),
    /// The job is this.
    Job(Job),
    /// There is no such job.
    NoJob(JobId),
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// The hash of the line before.
    pub prev: Sha256,
    /// Only in the first line of a segment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub segment: Option<Begun>,
    /// What lines before this one changed counts no more: they came from elsewhere, and the state that came with them stands
    /// behind this line. Only in the first line of a segment.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub anew: bool,
    /// The first line of those that it was written and synced with; only where that is another one. A line is written
    /// when all of earlier groups are durable.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<u64>,
    /// When a process began to use the journal; only in the first line that it wrote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub opened: Option<Timestamp>,
    /// Lines that may be gone from here on, since their time of keeping is over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pruned: Option<Pruned>,
    /// The number of its first event.
    pub event: u64,
    /// What the step told.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub events: Vec<Event>,
    /// What the step changed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<Change>,
}

/// How a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The form of its lines.
    pub version: u8,
    /// Octets of all segments before it: places are counted through the whole journal.
    pub offset: u64,
    /// When.
    pub at: Timestamp,
}

/// What is no longer kept, and what the rest is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The first line that stays.
    pub before: u64,
    /// The hash of the last line that does not.
    pub prev: Sha256,
}

/// What is to become a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct Draft {
    pub(in crate::store) opened: Option<Timestamp>,
    pub(in crate::store) pruned: Option<Pruned>,
    pub(in crate::store) events: Vec<Event>,
    pub(in crate::store) changes: Vec<Change>,
}

/// Where a line stands: what the index keeps of the last line that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number.
    pub seq: u64,
    /// Where it begins, counted through all segments.
    pub offset: u64,
    /// Its hash.
    pub hash: Sha256,
}

/// What is known after a line: what the next one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) seq: u64,
    pub(super) prev: Sha256,
    pub(super) event: u64,
    pub(super) offset: u64,
}

impl Position {
    pub(super) const START: Self = Self { seq: 0, prev: Sha256([0; 32]), event: 0, offset: 0 };

    /// The position after a line of so many octets.
    pub(super) fn after(self, entry: &Entry, hash: Sha256, octets: usize) -> Self {
        Self { seq: entry.seq + 1, prev: hash, event: entry.event + entry.events.len() as u64, offset: self.offset + octets as u64 }
    }

    /// The line that begins a segment here; behind one that begins `anew`, what lines before it changed counts no more.
    pub(super) fn begin(self, anew: bool, now: Timestamp) -> Entry {
        Entry {
            seq: self.seq,
            prev: self.prev,
            segment: Some(Begun { version: if anew { ANEW } else { VERSION }, offset: self.offset, at: now }),
            anew,
            group: None,
            opened: None,
            pruned: None,
            event: self.event,
            events: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// The mark of the line that stands here.
    pub(super) fn mark(self, entry: &Entry, hash: Sha256) -> Mark {
        Mark { seq: entry.seq, offset: self.offset, hash }
    }
}

/// A line as it is written, with its line feed.
pub(in crate::store) struct Line {
    pub(in crate::store) octets: Vec<u8>,
    pub(in crate::store) hash: Sha256,
}

/// Writes a draft as the line at a position.
pub(in crate::store) fn print(entry: &Entry) -> serde_json::Result<Line> {
    let mut octets = serde_json::to_vec(entry)?;
    // The hash takes the place of the closing brace.
    octets.pop();
    let hash = sha256(&octets);
    octets.extend_from_slice(HASH);
    octets.extend_from_slice(hash.to_string().as_bytes());
    octets.extend_from_slice(b"\"}\n");
    Ok(Line { octets, hash })
}

/// The hash of a line (without its line feed), when it is the one that the line says.
pub(super) fn hash(line: &[u8]) -> Result<Sha256, &'static str> {
    let (body, tail) = line.len().checked_sub(TAIL).and_then(|at| line.split_at_checked(at)).ok_or("is too short")?;
    let hash = sha256(body);
    let said = tail.strip_prefix(HASH).and_then(|tail| tail.strip_suffix(b"\"}"));
    if said == Some(hash.to_string().as_bytes()) { Ok(hash) } else { Err("does not have the hash that it says") }
}

/// What a line says, when it is whole.
pub(in crate::store) fn parse(line: &[u8]) -> Result<(Entry, Sha256), &'static str> {
    let hash = hash(line)?;
    let entry: Entry = serde_json::from_slice(line).map_err(|_| "is not understood by this version")?;
    match entry.segment {
        Some(begun) if begun.version > ANEW => Err("begins a segment of a newer version of brevbro; run that version, or a newer one"),
        _ => Ok((entry, hash)),
    }
}
