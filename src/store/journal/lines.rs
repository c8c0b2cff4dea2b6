//! Reading lines one after another, over all segments, and checking each.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::JournalError;
use super::folder::Segment;
use super::line::{self, Entry, MAX_LINE, Mark, Position};

/// Lines from a position on.
pub(super) struct Lines<'a> {
    /// The segments that come after the one that is being read.
    rest: std::slice::Iter<'a, Segment>,
    from: BufReader<File>,
    path: &'a Path,
    /// Where the file that is being read begins, counted through the whole journal.
    base: u64,
    /// The number of the journal's first line.
    first: u64,
    /// What the next line must follow; stays when it does not.
    pub(super) at: Position,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// From a position that stands in one of these segments.
    pub(super) fn new(segments: &'a [Segment], at: Position) -> Result<Self, JournalError> {
        let holds = |segment: &&Segment| segment.start.is_some_and(|start| start.seq <= at.seq && start.offset <= at.offset);
        let place = segments.iter().rposition(|segment| holds(&segment)).unwrap_or(0);
        let (segment, rest) = segments.get(place..).and_then(<[Segment]>::split_first).ok_or(JournalError::Empty)?;
        let base = segment.start.map_or(0, |start| start.offset);
        let first = segments.first().map_or(0, |first| first.first);
        let mut lines = Self { rest: rest.iter(), from: open(&segment.path)?, path: &segment.path, base, first, at, line: Vec::new() };
        let sought = lines.from.seek(SeekFrom::Start(at.offset.saturating_sub(base)));
        sought.map_err(|source| lines.io(source))?;
        Ok(lines)
    }

    /// All lines there are: from the first segment's beginning, as its first line says it.
    pub(super) fn all(segments: &'a [Segment]) -> Result<Self, JournalError> {
        let first = segments.first().ok_or(JournalError::Empty)?;
        let at = first.start.unwrap_or(Position { seq: first.first, ..Position::START });
        Self::new(segments, at)
    }

    /// The next line, which must follow the one before.
    pub(super) fn next(&mut self) -> Result<Option<(Entry, Mark)>, JournalError> {
        let Some((entry, hash)) = self.read()? else { return Ok(None) };
        let Position { seq, prev, event, offset } = self.at;
        if (entry.seq, entry.prev, entry.event) != (seq, prev, event) {
            return Err(self.damaged("does not follow the line before it"));
        }
        let begins = entry.segment.map(|begun| begun.offset);
        // A journal of one file, or of a database, began without saying so.
        let expected = (offset == self.base).then_some(offset);
        if begins != expected && !(seq == self.first && begins.is_none()) {
            return Err(self.damaged("is not where a segment begins, or does not say that one does"));
        }
        Ok(Some(self.step(entry, hash)))
    }

    /// The next line, whatever it follows.
    pub(super) fn any(&mut self) -> Result<Option<(Entry, Mark)>, JournalError> {
        let Some((entry, hash)) = self.read()? else { return Ok(None) };
        self.at.seq = entry.seq;
        Ok(Some(self.step(entry, hash)))
    }

    fn step(&mut self, entry: Entry, hash: crate::ident::Sha256) -> (Entry, Mark) {
        let mark = self.at.mark(&entry, hash);
        self.at = self.at.after(&entry, hash, self.line.len());
        (entry, mark)
    }

    /// The line that was read last, as it was written, with its line feed.
    pub(super) fn octets(&self) -> &[u8] {
        &self.line
    }

    /// The file that was read from last.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    fn read(&mut self) -> Result<Option<(Entry, crate::ident::Sha256)>, JournalError> {
        loop {
            self.line.clear();
            let limit = MAX_LINE as u64;
            (&mut self.from).take(limit).read_until(b'\n', &mut self.line).map_err(|source| self.io(source))?;
            if !self.line.is_empty() {
                break;
            }
            let Some(next) = self.rest.next() else { return Ok(None) };
            if next.first != self.at.seq {
                return Err(self.damaged("is not there, and the next file begins with a later one"));
            }
            self.from = open(&next.path)?;
            (self.path, self.base) = (&next.path, self.at.offset);
        }
        let Some(line) = self.line.strip_suffix(b"\n") else { return Err(self.damaged("has no end")) };
        line::parse(line).map(Some).map_err(|why| self.damaged(why))
    }

    /// Whether nothing stands behind the line that was just read.
    pub(super) fn is_last(&mut self) -> Result<bool, JournalError> {
        let rest = self.from.fill_buf().map(<[u8]>::is_empty);
        rest.map(|end| end && self.rest.len() == 0).map_err(|source| self.io(source))
    }

    /// Whether the line that was just read is the last, and has no end yet.
    pub(super) fn is_unfinished(&mut self) -> Result<bool, JournalError> {
        Ok(self.is_last()? && self.line.last() != Some(&b'\n'))
    }

    /// Whether the line that was just read, and is damaged, may be of a group that a crash cut off: nothing that can be
    /// read behind it is of a later group, before which it would have been durable.
    pub(super) fn is_torn(&mut self) -> Result<bool, JournalError> {
        if self.rest.len() > 0 {
            return Ok(false);
        }
        let damaged = self.at.seq;
        loop {
            let parsed = self.line.strip_suffix(b"\n").and_then(|line| line::parse(line).ok());
            if parsed.is_some_and(|(entry, _)| entry.group.unwrap_or(entry.seq) > damaged) {
                return Ok(false);
            }
            self.line.clear();
            (&mut self.from).take(MAX_LINE as u64).read_until(b'\n', &mut self.line).map_err(|source| self.io(source))?;
            if self.line.is_empty() {
                return Ok(true);
            }
        }
    }

    pub(super) fn damaged(&self, why: &'static str) -> JournalError {
        let offset = self.at.offset.saturating_sub(self.base);
        JournalError::Damaged { path: self.path.to_owned(), line: self.at.seq, offset, why }
    }

    fn io(&self, source: std::io::Error) -> JournalError {
        JournalError::Io { doing: "reading", path: self.path.to_owned(), source }
    }
}

fn open(path: &Path) -> Result<BufReader<File>, JournalError> {
    let file = File::open(path).map_err(|source| JournalError::Io { doing: "opening", path: PathBuf::from(path), source })?;
    Ok(BufReader::with_capacity(256 * 1024, file))
}
