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

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypto::sha256;
use crate::event::Event;
use crate::ident::{RecordId, Sha256};
use crate::port::{Job, JobId, Key, Record, Step};

/// Octets of a line: JSON may write an octet of a text as six.
const MAX_LINE: usize = 8 * Step::MAX;
const HASH: &[u8] = br#","hash":""#;
/// `,"hash":"`, 64 digits, `"}`.
const TAIL: usize = HASH.len() + 64 + 2;

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
        /// Which line, from 0.
        line: u64,
        /// Where the line begins.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another process uses the journal.
    #[error("another process uses the journal {}", .0.display())]
    InUse(PathBuf),
    /// A failed sync leaves unknown what is on disk.
    #[error("the journal takes no more lines: an earlier sync failed")]
    Stopped,
}

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
    /// When a process began to use the journal; only in the first line that it wrote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub opened: Option<Timestamp>,
    /// The number of its first event.
    pub event: u64,
    /// What the step told.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub events: Vec<Event>,
    /// What the step changed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<Change>,
}

/// What is to become a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) opened: Option<Timestamp>,
    pub(super) events: Vec<Event>,
    pub(super) changes: Vec<Change>,
}

/// Where a line stands: what the index keeps of the last line that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) seq: u64,
    pub(super) offset: u64,
    pub(super) hash: Sha256,
}

/// What is known after a line: what the next one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    seq: u64,
    prev: Sha256,
    event: u64,
    offset: u64,
}

impl Position {
    const START: Self = Self { seq: 0, prev: Sha256([0; 32]), event: 0, offset: 0 };
}

/// A whole and unbroken journal, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Its lines.
    pub lines: u64,
    /// Their events.
    pub events: u64,
    /// The hash of its last line: whoever knows it can tell whether lines before were changed or lines after cut off.
    pub hash: Sha256,
}

/// Checks every line of a journal, of which no process writes, and their chain.
pub fn verify(path: &Path) -> Result<Summary, JournalError> {
    let file = File::open(path).map_err(|source| JournalError::Io { doing: "opening", path: path.to_owned(), source })?;
    let mut lines = Lines::new(file, path, Position::START)?;
    while lines.next()?.is_some() {}
    let Position { seq, prev, event, .. } = lines.at;
    Ok(Summary { lines: seq, events: event, hash: prev })
}

/// Hands out every event in order, and checks the chain on the way. Another process may be writing: a last line that is not
/// whole is not there yet.
pub fn read<E: From<JournalError>>(path: &Path, mut take: impl FnMut(Event) -> Result<(), E>) -> Result<(), E> {
    let file = File::open(path).map_err(|source| JournalError::Io { doing: "opening", path: path.to_owned(), source })?;
    let mut lines = Lines::new(file, path, Position::START)?;
    loop {
        match lines.next() {
            Ok(None) => return Ok(()),
            Ok(Some((entry, _))) => entry.events.into_iter().try_for_each(&mut take)?,
            Err(JournalError::Damaged { .. }) if lines.is_last()? => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The journal of a process, which nobody else appends to.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    next: Position,
    stopped: bool,
}

impl Journal {
    /// Opens or makes a journal for this process alone. It must be [replayed](Journal::replay) before it takes lines.
    pub(super) fn open(path: PathBuf) -> Result<Self, JournalError> {
        let begin = || {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path)?;
            file.sync_all()?;
            path.parent().map_or(Ok(()), super::sync_directory)?;
            Ok(file)
        };
        let file = begin().map_err(|source| JournalError::Io { doing: "opening", path: path.clone(), source })?;
        match super::lock(&file) {
            Ok(()) => Ok(Self { file, path, next: Position::START, stopped: true }),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(JournalError::Io { doing: "locking", path, source }),
        }
    }

    /// Hands out the lines after `mark`, or all of them, cuts off what a crash left behind them, and takes lines from then on.
    ///
    /// With a mark everything that was acknowledged stands at or before it, and the rest ends at its first damage.
    /// Without one only the last line may be damaged.
    pub(super) fn replay<E: From<JournalError>>(&mut self, mark: Option<Mark>, mut take: impl FnMut(Entry, Mark) -> Result<(), E>) -> Result<(), E> {
        let begin = match mark {
            Some(mark) => self.after(mark)?,
            None => Position::START,
        };
        let file = self.file.try_clone().map_err(|source| self.io("reading", source))?;
        let mut lines = Lines::new(file, &self.path, begin)?;
        let torn = loop {
            match lines.next() {
                Ok(None) => break None,
                Ok(Some((entry, mark))) => take(entry, mark)?,
                Err(error @ JournalError::Damaged { .. }) if mark.is_some() || lines.is_last()? => break Some(error),
                Err(error) => return Err(error.into()),
            }
        };
        self.next = lines.at;
        if let Some(error) = torn {
            tracing::warn!(%error, "a crash left the journal's end unfinished; it is cut off, nothing of it was acknowledged");
            self.cut()?;
        }
        self.stopped = false;
        Ok(())
    }

    /// The position after a line that must be there.
    fn after(&self, mark: Mark) -> Result<Position, JournalError> {
        let file = self.file.try_clone().map_err(|source| self.io("reading", source))?;
        let mut lines = Lines::new(file, &self.path, Position { seq: mark.seq, offset: mark.offset, ..Position::START })?;
        let gone = |why| JournalError::Damaged { path: self.path.clone(), line: mark.seq, offset: mark.offset, why };
        match lines.any() {
            Ok(Some((entry, found))) if found == mark && entry.seq == mark.seq => Ok(lines.at),
            Err(error @ JournalError::Io { .. }) => Err(error),
            _ => Err(gone("is not the line that the index knows")),
        }
    }

    /// Appends lines and syncs them; where each stands. On an error none of them is there.
    pub(super) fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<(Entry, Mark)>, JournalError> {
        if self.stopped {
            return Err(JournalError::Stopped);
        }
        let mut at = self.next;
        let (mut octets, mut written) = (Vec::new(), Vec::with_capacity(drafts.len()));
        for Draft { opened, events, changes } in drafts {
            let entry = Entry { seq: at.seq, prev: at.prev, opened, event: at.event, events, changes };
            let line = print(&entry).map_err(|source| self.io("writing", source.into()))?;
            octets.extend_from_slice(&line.octets);
            let mark = Mark { seq: at.seq, offset: at.offset, hash: line.hash };
            at = Position {
                seq: at.seq + 1,
                prev: line.hash,
                event: at.event + entry.events.len() as u64,
                offset: at.offset + line.octets.len() as u64,
            };
            written.push((entry, mark));
        }
        if let Err(source) = self.write(&octets) {
            self.cut()?;
            return Err(self.io("writing", source));
        }
        if let Err(source) = self.sync() {
            // What is on disk after a failed sync is not known, and a second one may succeed without having written.
            self.stopped = true;
            let _ = self.cut();
            return Err(self.io("syncing", source));
        }
        self.next = at;
        Ok(written)
    }

    /// The journal's octets: where the next line will begin.
    pub(super) fn end(&self) -> u64 {
        self.next.offset
    }

    fn write(&self, octets: &[u8]) -> io::Result<()> {
        fail::fail_point!("store.journal.append", |_| {
            // As a full disk does it: a part is written.
            let part = octets.get(..octets.len() / 2).unwrap_or_default();
            self.file.write_all_at(part, self.next.offset)?;
            Err(io::ErrorKind::StorageFull.into())
        });
        self.file.write_all_at(octets, self.next.offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        fail::fail_point!("store.journal.sync", |_| Err(io::Error::other("fail point")));
        Ok(())
    }

    /// Takes back what stands after the last whole line, durably: a line of it must not come to life after a crash.
    fn cut(&mut self) -> Result<(), JournalError> {
        let cut = self.file.set_len(self.next.offset).and_then(|()| self.file.sync_all());
        cut.map_err(|source| {
            self.stopped = true;
            self.io("cutting", source)
        })
    }

    fn io(&self, doing: &'static str, source: io::Error) -> JournalError {
        JournalError::Io { doing, path: self.path.clone(), source }
    }
}

/// Events from number `from` on, out of the lines from the one at `mark` to the octet `end`.
pub(super) fn events(path: &Path, offset: u64, end: u64, from: u64, limit: usize) -> Result<Vec<(u64, Event)>, JournalError> {
    let failed = |source| JournalError::Io { doing: "reading", path: path.to_owned(), source };
    let mut lines = Lines::new(File::open(path).map_err(failed)?, path, Position { offset, ..Position::START })?;
    let mut found = Vec::new();
    while found.len() < limit && lines.at.offset < end {
        let Some((entry, _)) = lines.any()? else { break };
        found.extend((entry.event..).zip(entry.events).filter(|(number, _)| *number >= from));
    }
    found.truncate(limit);
    Ok(found)
}

/// A line as it is written, with its line feed.
struct Line {
    octets: Vec<u8>,
    hash: Sha256,
}

fn print(entry: &Entry) -> serde_json::Result<Line> {
    let mut octets = serde_json::to_vec(entry)?;
    // The hash takes the place of the closing brace.
    octets.pop();
    let hash = sha256(&octets);
    octets.extend_from_slice(HASH);
    octets.extend_from_slice(hash.to_string().as_bytes());
    octets.extend_from_slice(b"\"}\n");
    Ok(Line { octets, hash })
}

/// Reads lines one after another and checks each.
struct Lines<'a> {
    from: BufReader<File>,
    path: &'a Path,
    /// What the next line must follow; stays when it does not.
    at: Position,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(file: File, path: &'a Path, at: Position) -> Result<Self, JournalError> {
        let mut from = BufReader::with_capacity(256 * 1024, file);
        let sought = from.seek(SeekFrom::Start(at.offset));
        let lines = Self { from, path, at, line: Vec::new() };
        sought.map_err(|source| lines.io(source))?;
        Ok(lines)
    }

    /// The next line, which must follow the one before.
    fn next(&mut self) -> Result<Option<(Entry, Mark)>, JournalError> {
        let Some((entry, hash)) = self.read()? else { return Ok(None) };
        let Position { seq, prev, event, .. } = self.at;
        if (entry.seq, entry.prev, entry.event) != (seq, prev, event) {
            return Err(self.damaged("does not follow the line before it"));
        }
        Ok(Some(self.step(entry, hash)))
    }

    /// The next line, whatever it follows.
    fn any(&mut self) -> Result<Option<(Entry, Mark)>, JournalError> {
        let Some((entry, hash)) = self.read()? else { return Ok(None) };
        self.at.seq = entry.seq;
        Ok(Some(self.step(entry, hash)))
    }

    fn step(&mut self, entry: Entry, hash: Sha256) -> (Entry, Mark) {
        let mark = Mark { seq: entry.seq, offset: self.at.offset, hash };
        let (offset, event) = (self.at.offset + self.line.len() as u64, entry.event + entry.events.len() as u64);
        self.at = Position { seq: entry.seq + 1, prev: hash, event, offset };
        (entry, mark)
    }

    fn read(&mut self) -> Result<Option<(Entry, Sha256)>, JournalError> {
        self.line.clear();
        let limit = MAX_LINE as u64;
        (&mut self.from).take(limit).read_until(b'\n', &mut self.line).map_err(|source| self.io(source))?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let Some(line) = self.line.strip_suffix(b"\n") else { return Err(self.damaged("has no end")) };
        let Some((body, tail)) = line.len().checked_sub(TAIL).and_then(|at| line.split_at_checked(at)) else {
            return Err(self.damaged("is too short"));
        };
        let hash = sha256(body);
        let said = tail.strip_prefix(HASH).and_then(|tail| tail.strip_suffix(b"\"}"));
        if said != Some(hash.to_string().as_bytes()) {
            return Err(self.damaged("does not have the hash that it says"));
        }
        let entry = serde_json::from_slice(line).map_err(|_| self.damaged("is not understood by this version"))?;
        Ok(Some((entry, hash)))
    }

    /// Whether nothing stands behind the line that was just read.
    fn is_last(&mut self) -> Result<bool, JournalError> {
        let rest = self.from.fill_buf().map(<[u8]>::is_empty);
        rest.map_err(|source| self.io(source))
    }

    fn damaged(&self, why: &'static str) -> JournalError {
        JournalError::Damaged { path: self.path.to_owned(), line: self.at.seq, offset: self.at.offset, why }
    }

    fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { doing: "reading", path: self.path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventName;

    fn note(n: usize) -> Draft {
        Draft {
            opened: None,
            events: vec![Event::new(Timestamp::UNIX_EPOCH, EventName::Sealed)],
            changes: vec![Change::Note(Key::new("n", &n.to_string()), "v".into())],
        }
    }

    fn replayed(path: &Path, mark: Option<Mark>) -> Result<Vec<Entry>, JournalError> {
        let mut entries = Vec::new();
        Journal::open(path.to_owned())?.replay(mark, |entry, _| {
            entries.push(entry);
            Ok::<(), JournalError>(())
        })?;
        Ok(entries)
    }

    /// A journal of ten lines in groups of two, and their marks.
    fn ten(path: &Path) -> Vec<Mark> {
        let mut journal = Journal::open(path.to_owned()).unwrap();
        journal.replay(None, |_, _| Ok::<(), JournalError>(())).unwrap();
        (0..5).flat_map(|n| journal.append(vec![note(n), note(n + 10)]).unwrap()).map(|(_, mark)| mark).collect()
    }

    #[test]
    fn a_line_reads_as_the_module_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        ten(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        let (body, hash) = text.lines().nth(1).unwrap().split_once(r#","hash":"#).unwrap();
        let expected = r#","event":1,"events":[{"at":"1970-01-01T00:00:00Z","name":"sealed"}],"changes":[{"note":["n/10","v"]}]"#;
        assert!(body.starts_with(r#"{"seq":1,"prev":""#) && body.ends_with(expected), "{body}");
        assert_eq!(hash, format!("\"{}\"}}", sha256(body.as_bytes())));
        assert_eq!(verify(&path).unwrap().lines, 10);
    }

    #[test]
    fn a_reader_beside_the_writer_gets_what_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let marks = ten(&path);
        let count = || {
            let mut events = 0;
            let read = read(&path, |_| {
                events += 1;
                Ok::<(), JournalError>(())
            });
            (events, read.is_ok())
        };
        assert_eq!(count(), (10, true));
        let sound = std::fs::read(&path).unwrap();
        std::fs::write(&path, &sound[..sound.len() - 20]).unwrap();
        assert_eq!(count(), (9, true));
        let mut changed = sound;
        changed[marks[4].offset as usize + 30] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert_eq!(count(), (4, false));
    }

    #[test]
    fn any_changed_octet_is_found_and_its_line_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let marks = ten(&path);
        let sound = std::fs::read(&path).unwrap();
        for place in (0..sound.len()).step_by(7) {
            let mut changed = sound.clone();
            changed[place] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            let Err(JournalError::Damaged { line, offset, .. }) = verify(&path) else { panic!("octet {place}") };
            let wanted = marks.iter().rfind(|mark| mark.offset <= place as u64).unwrap();
            assert_eq!((line, offset), (wanted.seq, wanted.offset));
        }
    }

    #[test]
    fn a_removed_line_breaks_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let marks = ten(&path);
        let mut octets = std::fs::read(&path).unwrap();
        octets.drain(marks[4].offset as usize..marks[5].offset as usize);
        std::fs::write(&path, octets).unwrap();
        assert_eq!(
            verify(&path).unwrap_err().to_string().split_once(" (").unwrap().1.split_once(") ").unwrap().1,
            "does not follow the line before it"
        );
    }

    #[test]
    fn a_torn_end_is_cut_off_and_the_journal_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let marks = ten(&path);
        let sound = std::fs::read(&path).unwrap();
        for cut in marks[9].offset as usize..sound.len() {
            std::fs::write(&path, &sound[..cut]).unwrap();
            assert_eq!(replayed(&path, None).unwrap().len(), 9, "cut at {cut}");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), marks[9].offset);
        }
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.replay(Some(marks[3]), |_, _| Ok::<(), JournalError>(())).unwrap();
        journal.append(vec![note(99)]).unwrap();
        assert_eq!(verify(&path).unwrap().lines, 10);
    }

    #[test]
    fn holes_are_cut_off_after_the_mark_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let marks = ten(&path);
        let mut octets = std::fs::read(&path).unwrap();
        octets[marks[7].offset as usize + 20] = 0;
        std::fs::write(&path, &octets).unwrap();
        let refused = replayed(&path, None).unwrap_err();
        assert!(matches!(refused, JournalError::Damaged { line: 7, .. }), "{refused}");
        assert!(replayed(&path, Some(marks[8])).is_ok_and(|entries| entries.len() == 1), "damage before the mark is for `verify`");
        assert_eq!(replayed(&path, Some(marks[5])).unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [6]);
        assert_eq!(verify(&path).unwrap().lines, 7);
    }

    #[test]
    fn an_index_of_another_journal_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mark = ten(&path)[6];
        for wrong in [
            Mark { hash: Sha256([1; 32]), ..mark },
            Mark { seq: 5, ..mark },
            Mark { offset: mark.offset + 1, ..mark },
            Mark { offset: 1 << 40, ..mark },
        ] {
            assert!(matches!(replayed(&path, Some(wrong)), Err(JournalError::Damaged { .. })));
        }
    }

    #[test]
    fn a_journal_is_used_by_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let _first = Journal::open(path.clone()).unwrap();
        assert!(matches!(Journal::open(path), Err(JournalError::InUse(_))));
    }
}
