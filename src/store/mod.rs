//! Where records, jobs, notes, the journal and bodies are kept.
//!
//! | implementation | of | for |
//! |---|---|---|
//! | [`MemoryStore`], [`MemoryBlobs`] | [`Store`], [`Blobs`] | the model that the others are compared with; tests of flows |
//! | [`SledStore`] | [`Store`] | one node |
//! | [`Spool`] | [`Blobs`] | one node |
//! | [`PostgresStore`], [`PostgresBlobs`] | [`Store`], [`Blobs`] | several nodes |
//!
//! What is durable when, on one node; `═` is an `fdatasync`, and to the right of it stands who may be answered:
//!
//! ```text
//!  a body    create ─ header ─ body ─ digest ═ rename ═ directory        commit returns: a step may name the blob
//!  a step    guards ─ journal lines ═ one batch ─ flush ═ db file        apply returns: the peer may be answered
//!                                   │
//!                                   └ the batch holds the mark of its last journal line
//! ```
//!
//! The spool files and the [`journal`] are the truth; sled is an index over them. A crash between the journal and the
//! batch leaves the journal ahead: opening replays the lines after the mark. The index is never ahead of the journal.
//! A damaged index is moved aside and built anew from the journal. Leases stand in neither: they end with the process
//! that gave them, so that a restarted gateway goes on at once.
//!
//! Every effect has a fail point: `store.journal.append`, `store.journal.sync`, `store.batch`, `store.flush`,
//! `store.segment.*`, `store.snapshot.*`, `store.prune.*`, `spool.sync`, `spool.rename`, `spool.directory`, `spool.keys.write`,
//! `spool.rekey.*`.
//!
//! [`Store`]: crate::port::Store
//! [`Blobs`]: crate::port::Blobs

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::port::{Job, Op, Record, State, Step, StoreError};

pub mod backup;
mod bell;
pub mod cipher;
pub mod journal;
mod lease;
mod memory;
pub mod portable;
mod postgres;
mod reserve;
mod scratch;
mod sled;
mod spool;
mod unfinished;
mod verified;

pub use memory::{MemoryBlobs, MemoryStore};
pub use postgres::{Bodies, PostgresBlobs, PostgresJournal, PostgresOptions, PostgresStore, Walk};
pub use reserve::Reserve;
pub use scratch::Scratch;
pub use sled::{Comparison, SledOptions, SledStore};
pub use spool::{Damage, Spool, SpoolOptions};
pub use unfinished::Unfinished;

/// Octets of a state's word.
const MAX_STATE: usize = 40;
/// Octets of a note's key.
const MAX_KEY: usize = 60;
/// Octets of a note, and of a job's note.
const MAX_NOTE: usize = 1_000;
/// Octets of a blob's header.
const MAX_HEADER: usize = 1024 * 1024;

/// Refuses a step with a value over its limit. Every store does so before anything else.
fn check_limits(step: &Step) -> Result<(), StoreError> {
    let mut sum = 0;
    for op in &step.ops {
        sum += match op {
            Op::Put(Record { state: State(word), body, .. }) => {
                text("the state of a record", word, MAX_STATE)?;
                text("the body of a record", body, Record::MAX_BODY)?
            }
            Op::Note(key, value) => {
                text("the key of a note", key.as_str(), MAX_KEY)?;
                text("a note", value, MAX_NOTE)?
            }
            Op::Add(key, _) => text("the key of a note", key.as_str(), MAX_KEY)?,
            Op::Enqueue(Job { note, .. }) | Op::Reschedule { note, .. } => text("the note of a job", note, MAX_NOTE)?,
            Op::Audit(event) => event.fields.values().map(String::len).sum(),
            Op::Remove(_) | Op::Forget(_) | Op::Complete(_) | Op::Hasten(..) | Op::Cancel(_) => 0,
        };
        // What every change costs beside its texts: ids, names, punctuation.
        sum += 256;
    }
    within("a step", sum, Step::MAX).map(drop)
}

/// As [`within`], for a text that a database may have to keep: PostgreSQL has no NUL.
fn text(what: &'static str, text: &str, limit: usize) -> Result<usize, StoreError> {
    within("the number of NULs in a text", text.bytes().filter(|octet| *octet == 0).count(), 0)?;
    within(what, text.len(), limit)
}

fn within(what: &'static str, octets: usize, limit: usize) -> Result<usize, StoreError> {
    if octets > limit { Err(StoreError::TooLarge { what, octets, limit }) } else { Ok(octets) }
}

/// Makes names in a directory durable: those created in it, renamed in it, removed from it.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory that only we may read, and everything above it, and makes its name durable.
fn create_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    create_directory(above)?;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(above),
    }
}

/// Takes a file for this process alone. Who had it before, or a child that was being started just then, may hold it a
/// moment longer than its user thinks: waits a second.
fn lock(file: &File) -> Result<(), TryLockError> {
    let mut tries = 0;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if tries < 200 => tries += 1,
            other => return other,
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// An error of the file system as an error of the store: no room is worth a retry, the rest is not.
fn store_error(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Broken(format!("{doing} {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::RecordId;

    #[test]
    fn values_over_their_limit_are_refused_and_named() {
        let record = |octets| Step::new().op(Op::Put(Record { id: RecordId(uuid::Uuid::nil()), state: State::new("x"), body: "b".repeat(octets) }));
        assert!(check_limits(&record(Record::MAX_BODY)).is_ok());
        let refused = check_limits(&record(Record::MAX_BODY + 1)).unwrap_err();
        assert_eq!(refused.to_string(), "the body of a record of 3801 octets is over the limit of 3800");
    }

    #[test]
    fn the_sum_of_a_step_is_limited() {
        let step = (0..300).fold(Step::new(), |step, n| {
            step.op(Op::Put(Record { id: RecordId(uuid::Uuid::from_u128(n)), state: State::new("x"), body: "b".repeat(3_800) }))
        });
        assert!(matches!(check_limits(&step), Err(StoreError::TooLarge { what: "a step", .. })));
    }
}
