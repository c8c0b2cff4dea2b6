//! The index as it was at a line, so that building it anew need not begin with line 0.
//!
//! ```text
//!  {"snapshot":1,"mark":{"seq":98211,…},"at":"…"}      which line it was when the copy began
//!  {"record":{…}} {"note":[…]} {"job":{…}}             one change a line
//!  {"upto":98260,"changes":5123,"hash":"<64 hex>"}     which line it was when the copy ended; SHA-256 of all before `,"hash":`
//! ```
//!
//! It is copied while steps go on, so some of it is older and some newer. Changes are whole values: replaying the lines
//! from the one where the copy began leaves each as its last line has it, whichever of them the copy had seen.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::folder::NEW;
use super::line::{Change, MAX_LINE, Mark};
use crate::crypto::Hasher;
use crate::ident::Sha256;

const VERSION: u8 = 1;
const ENDING: &str = "snapshot";

#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(rename = "snapshot")]
    version: u8,
    mark: Mark,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Tail {
    upto: u64,
    changes: u64,
}

#[derive(Deserialize)]
struct Sealed {
    upto: u64,
    changes: u64,
    hash: Sha256,
}

/// A snapshot that is whole.
#[derive(Debug)]
pub(in crate::store) struct Snapshot {
    path: PathBuf,
    changes: u64,
    /// The last line that it holds for sure.
    pub(in crate::store) mark: Mark,
    /// The last line that it may hold something of.
    pub(in crate::store) upto: u64,
    /// Octets of its file.
    pub(in crate::store) octets: u64,
}

impl Snapshot {
    /// The snapshots beside a journal, newest first, whatever they are like.
    pub(in crate::store) fn list(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
        let failed = |source| JournalError::Io { doing: "listing", path: dir.to_owned(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            found.extend(number.filter(|_| path.extension().is_some_and(|ending| ending == ENDING)).map(|number| (number, path)));
        }
        found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }

    /// The newest that is whole; those that are not are told to the log.
    pub(in crate::store) fn newest(dir: &Path) -> Result<Option<Self>, JournalError> {
        for path in Self::list(dir)? {
            match Self::open(path) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(error @ JournalError::Snapshot { .. }) => tracing::error!(%error, "an older snapshot is looked for"),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Opens a snapshot and checks that it is whole.
    pub(in crate::store) fn open(path: PathBuf) -> Result<Self, JournalError> {
        let wrong = |why| JournalError::Snapshot { path: path.clone(), why };
        let failed = |source| JournalError::Io { doing: "reading a snapshot beside", path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let octets = file.metadata().map_err(failed)?.len();
        let mut from = Octets { from: BufReader::with_capacity(256 * 1024, file), line: Vec::new() };
        let mut hasher = Hasher::new();
        let head = from.next().map_err(failed)?.ok_or_else(|| wrong("is empty"))?;
        let Head { version, mark, .. } = serde_json::from_slice(head).map_err(|_| wrong("is not understood"))?;
        if version > VERSION {
            return Err(wrong("was written by a newer version of brevbro"));
        }
        hasher.update(head);
        let mut changes = 0;
        loop {
            let line = from.next().map_err(failed)?.ok_or_else(|| wrong("has no end"))?;
            if line.starts_with(br#"{"upto":"#) {
                let Sealed { upto, changes: said, hash } = serde_json::from_slice(line).map_err(|_| wrong("has no end"))?;
                let tail = serde_json::to_vec(&Tail { upto, changes: said }).map_err(|_| wrong("has no end"))?;
                hasher.update(tail.strip_suffix(b"}").unwrap_or(&tail));
                if (hasher.finish(), changes) != (hash, said) || !line.ends_with(b"}\n") || from.next().map_err(failed)?.is_some() {
                    return Err(wrong("is not what was written"));
                }
                return Ok(Self { path, changes, mark, upto, octets });
            }
            hasher.update(line);
            changes += 1;
        }
    }

    /// Hands out everything that it holds.
    pub(in crate::store) fn read<E: From<JournalError>>(&self, mut take: impl FnMut(Change) -> Result<(), E>) -> Result<(), E> {
        let failed = |source| JournalError::Io { doing: "reading a snapshot beside", path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(failed)?;
        let mut from = Octets { from: BufReader::with_capacity(256 * 1024, file), line: Vec::new() };
        from.next().map_err(failed)?;
        for _ in 0..self.changes {
            let line = from.next().map_err(failed)?.unwrap_or_default();
            let wrong = |_| JournalError::Snapshot { path: self.path.clone(), why: "is not understood" };
            take(serde_json::from_slice(line).map_err(wrong)?)?;
        }
        Ok(())
    }

    /// Deletes all but the newest two: should the newest be damaged, the journal is kept from the other one on.
    pub(in crate::store) fn forget_old(dir: &Path) -> Result<(), JournalError> {
        for path in Self::list(dir)?.into_iter().skip(2) {
            fs::remove_file(&path).map_err(|source| JournalError::Io { doing: "deleting a snapshot beside", path, source })?;
        }
        Ok(())
    }
}

/// A snapshot that is being written.
pub(in crate::store) struct Copying {
    to: BufWriter<File>,
    path: PathBuf,
    new: PathBuf,
    hasher: Hasher,
    changes: u64,
    mark: Mark,
}

impl Copying {
    /// Begins one at the last line that is in the index.
    pub(in crate::store) fn begin(dir: &Path, mark: Mark, at: Timestamp) -> Result<Self, JournalError> {
        let path = dir.join(format!("{:010}.{ENDING}", mark.seq));
        let new = path.with_extension(format!("{ENDING}{NEW}"));
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new);
        let file = file.map_err(|source| JournalError::Io { doing: "beginning a snapshot beside", path: new.clone(), source })?;
        let mut copying = Self { to: BufWriter::with_capacity(256 * 1024, file), path, new, hasher: Hasher::new(), changes: 0, mark };
        copying.line(&Head { version: VERSION, mark, at })?;
        Ok(copying)
    }

    /// Adds what stands in the index.
    pub(in crate::store) fn add(&mut self, change: &Change) -> Result<(), JournalError> {
        self.changes += 1;
        self.line(change)
    }

    /// Makes it durable, and then gives it its name. `upto`: the last line that is in the index now.
    pub(in crate::store) fn finish(mut self, upto: u64) -> Result<Snapshot, JournalError> {
        let tail = serde_json::to_vec(&Tail { upto, changes: self.changes }).map_err(|source| self.io(source.into()))?;
        let tail = tail.strip_suffix(b"}").unwrap_or(&tail);
        self.hasher.update(tail);
        let hash = std::mem::take(&mut self.hasher).finish();
        let mut end = || {
            self.to.write_all(tail)?;
            self.to.write_all(format!(",\"hash\":\"{hash}\"}}\n").as_bytes())?;
            self.to.flush()?;
            fail::fail_point!("store.snapshot.written", |_| Err(io::ErrorKind::StorageFull.into()));
            self.to.get_ref().sync_all()?;
            fail::fail_point!("store.snapshot.synced");
            let octets = self.to.get_ref().metadata()?.len();
            fs::rename(&self.new, &self.path)?;
            fail::fail_point!("store.snapshot.renamed");
            self.path.parent().map_or(Ok(()), crate::store::sync_directory)?;
            fail::fail_point!("store.snapshot.directory");
            Ok(octets)
        };
        let ended = end();
        let octets = ended.map_err(|source| self.io(source))?;
        Ok(Snapshot { path: self.path.clone(), changes: self.changes, mark: self.mark, upto, octets })
    }

    fn line(&mut self, what: &impl Serialize) -> Result<(), JournalError> {
        let mut octets = serde_json::to_vec(what).map_err(|source| self.io(source.into()))?;
        octets.push(b'\n');
        self.hasher.update(&octets);
        self.to.write_all(&octets).map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { doing: "writing a snapshot beside", path: self.new.clone(), source }
    }
}

impl Drop for Copying {
    /// What was not finished takes no room. After the end there is nothing of this name.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.new);
    }
}

/// Lines with their line feeds.
struct Octets {
    from: BufReader<File>,
    line: Vec<u8>,
}

impl Octets {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        (&mut self.from).take(MAX_LINE as u64).read_until(b'\n', &mut self.line)?;
        Ok((!self.line.is_empty()).then_some(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Key;

    fn write(dir: &Path) -> Snapshot {
        let mark = Mark { seq: 7, offset: 900, hash: Sha256([7; 32]) };
        let mut copying = Copying::begin(dir, mark, Timestamp::UNIX_EPOCH).unwrap();
        for n in 0..20 {
            copying.add(&Change::Note(Key::new("n", &n.to_string()), "värde".into())).unwrap();
        }
        copying.finish(9).unwrap()
    }

    #[test]
    fn a_snapshot_reads_back_and_any_changed_octet_is_found() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let path = Snapshot::list(dir.path()).unwrap().remove(0);
        let found = Snapshot::open(path.clone()).unwrap();
        assert_eq!((found.mark.seq, found.upto, found.changes), (7, 9, 20));
        let mut notes = 0;
        found
            .read(|change| {
                assert_eq!(change, Change::Note(Key::new("n", &notes.to_string()), "värde".into()));
                notes += 1;
                Ok::<(), JournalError>(())
            })
            .unwrap();
        assert_eq!(notes, 20);
        let sound = fs::read(&path).unwrap();
        for place in 0..sound.len() {
            let mut changed = sound.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(matches!(Snapshot::open(path.clone()), Err(JournalError::Snapshot { .. })), "octet {place}");
            fs::write(&path, &sound[..place]).unwrap();
            assert!(matches!(Snapshot::open(path.clone()), Err(JournalError::Snapshot { .. })), "cut at {place}");
        }
        assert!(Snapshot::newest(dir.path()).unwrap().is_none());
    }

    #[test]
    fn what_was_not_finished_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        drop(Copying::begin(dir.path(), Mark { seq: 1, offset: 2, hash: Sha256([3; 32]) }, Timestamp::UNIX_EPOCH).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
