//! A copy of what a gateway keeps in files, taken while it works, and the way back from it.
//!
//! ```text
//!  <dir>/2026-11-22T101500.250Z/ a backup; `.unfinished` stands behind its name until it is whole and verified
//!          backup.json           its form, when, up to which line of the journal
//!          SHA256SUMS            of every other file, as sha256sum(1) reads and writes them
//!          federation            whose state it is
//!          store/journal/…       segments up to that line, at most two snapshots, signed heads of lines up to it
//!          spool/4f/4f1c….blob   the bodies that are named at that line, as they lie: what is encrypted stays so
//!          keys/…                on demand
//!        lock                    held while one is taken
//! ```
//!
//! The index is no part of it: it is made anew from the journal. What must hold is that each body that is named at the last
//! line is there. A body is durable before the line that names it, and goes only after a line that names it no more. So
//! ([`take`]): lines are read up to the last one there is, and then what they name is opened. A body that is gone by then is
//! no longer named by a later line: a few more lines are read, and what they name anew is opened, until nothing is missing.
//! That line is the backup's last. A body that is open can be copied also when it is deleted meanwhile.
//!
//! A body that did not change since the backup before is a second name of that one's file, where the file system has such.

mod files;
mod restore;
mod take;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::journal::JournalError;
use crate::failure::Failure;
use crate::ident::Sha256;
use crate::port::{BlobId, Job, Record};

pub use restore::{Restored, restore};
pub use take::{Plan, Taken, take};

/// The form of a backup that this version writes; it reads all up to it.
const VERSION: u32 = 1;
/// The name of the file that says what a backup is.
const MANIFEST: &str = "backup.json";
/// The name of the file of sums.
const SUMS: &str = "SHA256SUMS";
/// The end of the name of a backup that is not whole.
const UNFINISHED: &str = ".unfinished";

/// Which bodies are named by what is kept: the flows know that.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Those of a record.
    pub record: fn(&Record) -> Result<Named, Failure>,
    /// That of a job.
    pub job: fn(&Job) -> Option<BlobId>,
}

/// The bodies that a record names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub bodies: Vec<BlobId>,
    /// Whether they must be there: not while they are being deleted.
    pub firm: bool,
}

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of its form.
    #[serde(rename = "brevbro-backup")]
    pub version: u32,
    /// The version of the program that took it.
    pub program: String,
    /// When it was taken.
    pub at: Timestamp,
    /// The last line of the journal that is in it.
    pub line: u64,
    /// That line's hash.
    pub hash: Sha256,
    /// Its bodies.
    pub bodies: u64,
    /// Their octets, as files.
    pub octets: u64,
}

/// Why there is no backup, or nothing is restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file system failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A record cannot be read.
    #[error("{0}")]
    Record(String),
    /// Bodies were deleted faster than they could be opened.
    #[error("the gateway deletes bodies faster than they can be copied")]
    Restless,
    /// The folder of backups is used by another one.
    #[error("another backup is being taken to {}", .0.display())]
    Taking(PathBuf),
    /// There is nothing to copy.
    #[error("there is no journal in {}", .0.display())]
    NoState(PathBuf),
    /// What there is was not ended: it says what.
    #[error("{0}")]
    Unfinished(String),
    /// There is no backup.
    #[error("there is no whole backup in {}", .0.display())]
    NoBackup(PathBuf),
    /// A later version wrote it.
    #[error("the backup is of form {0}, and this version of brevbro reads {VERSION}")]
    Newer(u32),
    /// A file of the backup is not what was written.
    #[error("{} is not what was written", .0.display())]
    Damaged(PathBuf),
    /// A gateway runs there.
    #[error("a gateway uses {}", .0.display())]
    InUse(PathBuf),
    /// Something is there.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
}

impl BackupError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Journal(_) => "brevbro audit verify says what is whole",
            Self::Io { .. } => "run the command as root or as the gateway's user; see that there is room",
            Self::Record(_) => "take the backup with the version of brevbro that runs",
            Self::Restless => "try again when less is to be done, or while the gateway is stopped",
            Self::Taking(_) => "wait for its end",
            Self::NoState(_) => "name the gateway's state-dir with --state-dir; a database has backups of its own (docs/postgresql.md)",
            Self::Unfinished(_) => "the backups that there are stay as they are",
            Self::NoBackup(_) => "name a backup, or the folder of backups; one whose name ends in .unfinished is none",
            Self::Newer(_) => "restore it with the version of brevbro that took it, or a newer one",
            Self::Damaged(_) => "restore an older backup",
            Self::InUse(_) => "stop the gateway, and restore into another, empty folder",
            Self::NotEmpty(_) => "restore into an empty folder; move what is there away, nothing is ever restored over something",
        }
    }
}

/// A failure of the file system with what was being done.
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { doing, path, source }
}

/// The whole backups in a folder, oldest first.
fn whole(dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed("listing", dir))? {
        let path = entry.map_err(failed("listing", dir))?.path();
        let unfinished = path.to_str().is_none_or(|name| name.ends_with(UNFINISHED));
        if !unfinished && path.join(MANIFEST).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The place of a body in a state folder and in a backup.
fn place(id: BlobId) -> String {
    let name = id.0.simple().to_string();
    format!("spool/{}/{name}.blob", name.get(..2).unwrap_or_default())
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Record(error.to_string())
    }
}
