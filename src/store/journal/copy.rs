//! A copy of a journal, and what it makes, while another process writes it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::folder::{Segment, beginning, segments};
use super::heads::{HEADS, SignedHead};
use super::line::{Change, Mark, Position};
use super::lines::Lines;
use super::snapshot::Snapshot;
use super::{Following, JournalError};
use crate::ident::Sha256;

/// Hands out every line of a journal that nobody writes, as it was written but for its line feed, and checks the chain.
pub(in crate::store) fn lines<E: From<JournalError>>(dir: &Path, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let segments = segments(dir)?;
    let mut lines = Lines::all(&segments)?;
    while lines.next()?.is_some() {
        let line = lines.octets();
        take(line.strip_suffix(b"\n").unwrap_or(line))?;
    }
    Ok(())
}

/// The last line that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct End {
    /// Its number.
    pub(in crate::store) line: u64,
    /// Its hash.
    pub(in crate::store) hash: Sha256,
    /// Where it ends, counted through all segments.
    offset: u64,
}

/// A journal that is read line after line. Its files are held open, so that one that is deleted meanwhile, since its time of
/// keeping is over, can be copied still.
pub(in crate::store) struct Reading {
    dir: PathBuf,
    following: Following,
    files: BTreeMap<u64, (Segment, File)>,
}

/// A file of a journal, as it is to be copied.
pub(in crate::store) struct Part {
    /// Its name.
    pub(in crate::store) name: String,
    /// Itself.
    pub(in crate::store) file: File,
    /// How many octets of it.
    pub(in crate::store) octets: u64,
}

impl Reading {
    /// Begins with the newest snapshot, or with line 0; hands out what the snapshot holds.
    pub(in crate::store) fn begin<E: From<JournalError>>(dir: &Path, mut take: impl FnMut(Change) -> Result<(), E>) -> Result<Self, E> {
        let mut reading = Self { dir: dir.to_owned(), following: Following::new(dir.to_owned()), files: BTreeMap::new() };
        reading.hold()?;
        if let Some(snapshot) = Snapshot::newest(dir)? {
            snapshot.read(&mut take)?;
            reading.following.at = Some(reading.after(snapshot.mark)?);
        } else {
            let segments: Vec<Segment> = reading.files.values().map(|(segment, _)| segment.clone()).collect();
            reading.following.at = Some(beginning(&segments)?);
        }
        Ok(reading)
    }

    /// Hands out what the lines changed that came since; the last line there is now.
    pub(in crate::store) fn go_on<E: From<JournalError>>(&mut self, mut take: impl FnMut(Change) -> Result<(), E>) -> Result<Option<End>, E> {
        self.following.next(|entry| entry.changes.into_iter().try_for_each(&mut take))?;
        self.hold()?;
        let end = self.following.at.filter(|at| at.seq > 0);
        Ok(end.map(|at| End { line: at.seq - 1, hash: at.prev, offset: at.offset }))
    }

    /// The segments up to a line, oldest first.
    pub(in crate::store) fn segments(&self, end: End) -> Result<Vec<Part>, JournalError> {
        let held: Vec<_> = self.files.values().filter(|(segment, _)| segment.first <= end.line).collect();
        let mut parts = Vec::with_capacity(held.len());
        for (number, (segment, file)) in held.iter().enumerate() {
            let failed = |source| JournalError::Io { doing: "reading", path: segment.path.clone(), source };
            let damaged =
                || JournalError::Damaged { path: segment.path.clone(), line: segment.first, offset: 0, why: "is not one that a segment begins with" };
            let start = segment.start.ok_or_else(damaged)?.offset;
            let next = held.get(number + 1).map(|(next, _)| next.start.map(|start| start.offset).ok_or_else(damaged)).transpose()?;
            let octets = next.unwrap_or(end.offset).saturating_sub(start);
            let name = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            parts.push(Part { name, file: file.try_clone().map_err(failed)?, octets });
        }
        Ok(parts)
    }

    /// The newest two snapshots that hold nothing of what comes after a line.
    pub(in crate::store) fn snapshots(&self, end: End) -> Result<Vec<Part>, JournalError> {
        let mut parts = Vec::new();
        for path in Snapshot::list(&self.dir)? {
            let failed = |source| JournalError::Io { doing: "reading a snapshot beside", path: path.clone(), source };
            let file = match File::open(&path) {
                // A newer one took its place.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(failed)?,
            };
            let octets = match Snapshot::open(path.clone()) {
                Ok(snapshot) if snapshot.upto <= end.line => snapshot.octets,
                _ => continue,
            };
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            parts.push(Part { name, file, octets });
            if parts.len() == 2 {
                break;
            }
        }
        Ok(parts)
    }

    /// The signed heads of lines up to this one, as the file of heads has them.
    pub(in crate::store) fn heads(&self, end: End) -> Result<Vec<u8>, JournalError> {
        let path = self.dir.join(HEADS);
        let mut text = String::new();
        match File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::Io { doing: "reading the heads of", path, source: error });
            }
            _ => {}
        }
        let known = |line: &&str| serde_json::from_str::<SignedHead>(line).is_ok_and(|head| head.line <= end.line);
        Ok(text.lines().filter(known).flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect())
    }

    /// Opens the files that came since.
    fn hold(&mut self) -> Result<(), JournalError> {
        for segment in segments(&self.dir)? {
            if self.files.contains_key(&segment.first) {
                continue;
            }
            match File::open(&segment.path) {
                Ok(file) => drop(self.files.insert(segment.first, (segment, file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(JournalError::Io { doing: "opening", path: segment.path, source }),
            }
        }
        Ok(())
    }

    /// The position after a line that must be there.
    fn after(&self, mark: Mark) -> Result<Position, JournalError> {
        let segments = segments(&self.dir)?;
        let mut lines = Lines::new(&segments, Position { seq: mark.seq, offset: mark.offset, ..Position::START })?;
        match lines.any()? {
            Some((_, found)) if found == mark => Ok(lines.at),
            _ => Err(lines.damaged("is not the line that the snapshot of the index begins with")),
        }
    }
}
