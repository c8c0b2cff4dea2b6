//! The journal: what happened, in the order in which it happened, for those who ask years later and for the index.
//!
//! One line of JSON is one applied step: its events, and its changes as they came to be, so that replaying a line
//! needs nothing but the line. A line holds ids and states, never content: steps have none.
//!
//! ```text
//!  {"seq":7,"prev":"<64 hex>","event":12,"events":[…],"changes":[…],"hash":"<64 hex>"}
//!   │        │                 └ number of its first event: events are counted from 0 through the whole journal
//!   │        └ the hash of line 6; 64 zeros in line 0
//!   └ lines are counted from 0             hash: SHA-256 of the line's octets before `,"hash":` ┘
//! ```
//!
//! Whoever changes, removes or inserts a line must change every line after it. Lines are appended and synced by
//! groups; a crash can leave a last group cut off or with holes. Nothing of such a group was acknowledged, so opening
//! cuts it off; damage anywhere else is an error that names the line.
//!
//! Lines stand in segments, and the chain goes on from one to the next:
//!
//! ```text
//!  <dir>/0000000000.jsonl   named by the number of its first line, which says {…,"segment":{"version":1,"offset":0,"at":"…"},…}
//!        0000104206.jsonl   the next; `offset`: octets of all segments before
//!        0000104206.jsonl.new   one that is being begun: it gets its name when its first line is durable
//!        0000000000.ids         which ids its lines name, for those who search; made anew when it is gone
//!        0000098211.snapshot    the index as it was at a line: building it anew begins there
//!        lock                   held by the process that writes
//! ```
//!
//! Lines that came from another store stand at the front (`import`).
//!
//! Segments that are older than the oldest snapshot and were kept for as long as they shall be are deleted. A line says so
//! before (`"pruned":{"before":104206,"prev":"<64 hex>"}`), so that what remains still proves what it follows.

use std::io;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use crate::event::Event;

pub(in crate::store) mod copy;
pub mod find;
mod folder;
pub mod heads;
pub(in crate::store) mod import;
mod line;
mod lines;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use folder::{Segment, segments};
pub use line::{Begun, Change, Entry, Mark, Pruned};
pub use verify::{Known, Summary, verify, verify_with};

pub(super) use line::{Draft, parse, print};
pub(super) use snapshot::{Copying, Snapshot};
pub(super) use verify::stands;
pub(super) use writer::{From, Journal};

use line::Position;
use lines::Lines;

/// When a new segment is begun, and how long old ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Octets after which a segment is left.
    pub octets: u64,
    /// Time after which a segment is left.
    pub age: SignedDuration,
    /// How long a segment is kept after it was left; for ever when absent.
    pub keep: Option<SignedDuration>,
}

impl Default for JournalOptions {
    /// 64 MiB or 30 days, kept for ever.
    fn default() -> Self {
        Self { octets: 64 * 1024 * 1024, age: SignedDuration::from_hours(30 * 24), keep: None }
    }
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system failed.
    #[error("{doing} the journal {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is not what was written, or not where it was written.
    #[error("line {line} of the journal {} (octet {offset}) {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 0, counted through the whole journal.
        line: u64,
        /// Where the line begins in its file.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The last lines are gone.
    #[error("line {end} is not there, and a signed head names line {signed}: the end of the journal {} was cut off", path.display())]
    Short {
        /// The last file.
        path: PathBuf,
        /// The first line that is not there.
        end: u64,
        /// The last line that was signed.
        signed: u64,
    },
    /// The first lines are gone.
    #[error("the journal begins with line {first}: what stood before is gone, and no snapshot of the index can be read that holds it")]
    Pruned {
        /// The first line there is.
        first: u64,
    },
    /// A snapshot of the index is not what was written.
    #[error("the snapshot {} {why}", path.display())]
    Snapshot {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no segment.
    #[error("the journal has no segment")]
    Empty,
    /// Two journals, and only one can be the right one.
    #[error("there are two journals, {} and {}: keep the one that the index goes with, move the other one away", old.display(), dir.display())]
    Two {
        /// The single file of an earlier version.
        old: PathBuf,
        /// The folder.
        dir: PathBuf,
    },
    /// Another process uses the journal.
    #[error("another process uses the journal {}", .0.display())]
    InUse(PathBuf),
    /// Lines could not be written, nor be taken back: they may be there after a crash.
    #[error("whether the last lines stand in the journal {} is not known: {source}", path.display())]
    InDoubt {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It was not replayed.
    #[error("the journal takes no lines yet: it was not replayed")]
    Stopped,
}

impl JournalError {
    /// Whether there was no room, and nothing was changed.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// Hands out every line in order, and checks the chain on the way. Another process may be writing: a last line that is not
/// whole is not there yet.
///
/// # Errors
/// [`JournalError`], and what `take` returns.
pub fn entries<E: std::convert::From<JournalError>>(dir: &Path, mut take: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
    let segments = segments(dir)?;
    let mut lines = Lines::all(&segments)?;
    loop {
        match lines.next() {
            Ok(None) => return Ok(()),
            Ok(Some((entry, _))) => take(entry)?,
            Err(JournalError::Damaged { .. }) if lines.is_last()? => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads a journal and then what comes to it, while another process writes.
pub struct Following {
    dir: PathBuf,
    at: Option<Position>,
}

impl Following {
    /// From the first line there is.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, at: None }
    }

    /// Hands out the lines that came since the last time, and checks the chain on the way.
    ///
    /// # Errors
    /// [`JournalError`], and what `take` returns.
    pub fn next<E: std::convert::From<JournalError>>(&mut self, mut take: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        let segments = segments(&self.dir)?;
        let mut lines = match self.at {
            Some(at) => Lines::new(&segments, at)?,
            None => Lines::all(&segments)?,
        };
        loop {
            let next = lines.next();
            match next {
                Ok(None) => break,
                Ok(Some((entry, _))) => take(entry)?,
                Err(JournalError::Damaged { .. }) if lines.is_unfinished()? => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.at = Some(lines.at);
        Ok(())
    }
}

/// As [`entries`], every event in order.
///
/// # Errors
/// [`JournalError`], and what `take` returns.
pub fn read<E: std::convert::From<JournalError>>(dir: &Path, mut take: impl FnMut(Event) -> Result<(), E>) -> Result<(), E> {
    entries(dir, |entry| entry.events.into_iter().try_for_each(&mut take))
}

/// Events from number `from` on, out of the lines from the octet `offset` (or the first of the segment that holds the
/// event, whichever is later) to the octet `end`.
pub(super) fn events(segments: &[Segment], offset: Option<u64>, end: u64, from: u64, limit: usize) -> Result<Vec<(u64, Event)>, JournalError> {
    let holder = segments.iter().filter_map(|segment| segment.start).rfind(|start| start.event <= from);
    let first = segments.first().and_then(|segment| segment.start).unwrap_or(Position::START);
    let begin = holder.unwrap_or(first);
    let at = match offset {
        Some(offset) if offset > begin.offset => Position { offset, ..begin },
        _ => begin,
    };
    let mut lines = Lines::new(segments, at)?;
    let mut found = Vec::new();
    while found.len() < limit && lines.at.offset < end {
        let Some((entry, _)) = lines.any()? else { break };
        found.extend((entry.event..).zip(entry.events).filter(|(number, _)| *number >= from));
    }
    found.truncate(limit);
    Ok(found)
}
