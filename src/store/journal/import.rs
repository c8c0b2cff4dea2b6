//! Lines of another journal as the beginning of this one, and where the state begins anew behind them.
//!
//! ```text
//!  0000000000.jsonl   as it was, in the same files where it stood in files
//!  0000104206.jsonl   {"seq":104206,…,"segment":{"version":2,…},"anew":true,…}   what lines before changed counts no more
//! ```
//!
//! Lines of a database tell what happened, and not what was changed. So the state that came with them is written behind them,
//! as steps, and building the index anew begins there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::line::{Entry, Position, parse, print};
use super::{JournalError, folder};
use crate::ident::Sha256;
use crate::store::portable::PortableError;

/// Lines that follow one another.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Chain {
    at: Option<Position>,
}

/// Where a chain of lines ends: lines and events there were, and the hash of the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct ChainEnd {
    pub(in crate::store) lines: u64,
    pub(in crate::store) events: u64,
    pub(in crate::store) hash: Sha256,
}

impl Chain {
    /// The next line, which must follow the one before. The first may be any.
    pub(in crate::store) fn follow(&mut self, line: &[u8]) -> Result<Entry, &'static str> {
        let (entry, hash) = parse(line)?;
        let at = self.at.unwrap_or(Position {
            seq: entry.seq,
            prev: entry.prev,
            event: entry.event,
            offset: entry.segment.map_or(0, |begun| begun.offset),
        });
        if (entry.seq, entry.prev, entry.event) != (at.seq, at.prev, at.event) {
            return Err("a line of the journal does not follow the line before it");
        }
        self.at = Some(at.after(&entry, hash, line.len() + 1));
        Ok(entry)
    }

    pub(in crate::store) fn end(&self) -> Option<ChainEnd> {
        self.at.map(|at| ChainEnd { lines: at.seq, events: at.event, hash: at.prev })
    }
}

/// A journal's folder that is being filled.
pub(in crate::store) struct Importing {
    dir: PathBuf,
    chain: Chain,
    file: Option<BufWriter<File>>,
}

impl Importing {
    pub(in crate::store) fn begin(dir: &Path) -> Result<Self, JournalError> {
        crate::store::create_directory(dir).map_err(failed("creating", dir))?;
        Ok(Self { dir: dir.to_owned(), chain: Chain::default(), file: None })
    }

    /// Adds a line, without its line feed.
    pub(in crate::store) fn line(&mut self, line: &[u8]) -> Result<(), PortableError> {
        let entry = self.chain.follow(line).map_err(|why| PortableError::Damaged(why.to_owned()))?;
        // A line that begins a segment stands at the front of a file, and no other but the journal's first does.
        if entry.segment.is_some() || self.file.is_none() {
            self.file(entry.seq)?;
        }
        self.write(line)?;
        Ok(())
    }

    /// Begins the segment behind which the state begins anew, and has all of it on the disk.
    pub(in crate::store) fn end(mut self, now: Timestamp) -> Result<(), JournalError> {
        let at = self.chain.at.unwrap_or(Position::START);
        let line = print(&at.begin(true, now)).map_err(|error| failed("writing", &self.dir)(error.into()))?;
        self.file(at.seq)?;
        self.write(line.octets.strip_suffix(b"\n").unwrap_or(&line.octets))?;
        self.settle()?;
        crate::store::sync_directory(&self.dir).map_err(failed("syncing", &self.dir))
    }

    fn file(&mut self, first: u64) -> Result<(), JournalError> {
        self.settle()?;
        let path = self.dir.join(folder::name(first));
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).map_err(failed("creating", &path))?;
        self.file = Some(BufWriter::with_capacity(256 * 1024, file));
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> Result<(), JournalError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(failed("writing", &self.dir))
    }

    fn settle(&mut self) -> Result<(), JournalError> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(failed("syncing", &self.dir))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { doing, path, source }
}
