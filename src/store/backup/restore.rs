//! The way back from a backup.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::files::{copy, read_sums, settle};
use super::{BackupError, MANIFEST, Manifest, SUMS, UNFINISHED, VERSION, failed, whole};
use crate::store::journal::verify;
use crate::store::{Damage, Unfinished, create_directory};

/// What is in the place of the state now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Bodies that are not what was written, or not there.
    pub damaged: Vec<Damage>,
    /// Whether keys are in it: they were left there.
    pub keys: bool,
    /// Until this is [ended](Unfinished::end), no gateway starts on the state.
    pub unfinished: Unfinished,
}

/// Copies a backup, or the newest of a folder, into an empty state folder.
///
/// # Errors
/// [`BackupError`]; a state folder that was begun is refused by every gateway.
pub fn restore(backup: &Path, state_dir: &Path) -> Result<Restored, BackupError> {
    let path = find(backup)?;
    let text = fs::read(path.join(MANIFEST)).map_err(failed("reading", &path.join(MANIFEST)))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| BackupError::Damaged(path.join(MANIFEST)))?;
    if manifest.version > VERSION {
        return Err(BackupError::Newer(manifest.version));
    }
    let sums = read_sums(&path.join(SUMS)).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => BackupError::Damaged(path.join(SUMS)),
        _ => failed("reading", &path.join(SUMS))(error),
    })?;
    empty(state_dir)?;
    let unfinished = Unfinished::begin(state_dir, "the restore of a backup").map_err(failed("marking", state_dir))?;
    fail::fail_point!("restore.begun");
    let (mut damaged, mut keys) = (Vec::new(), false);
    for (place, known) in &sums {
        let (from, to) = (path.join(place), state_dir.join(place));
        let body = place.starts_with("spool/");
        if !body && !place.starts_with("store/") && place != "federation" {
            keys |= place.starts_with("keys/");
            continue;
        }
        let copied = File::open(&from).and_then(|mut file| {
            let octets = file.metadata()?.len();
            copy(&mut file, &to, octets)
        });
        fail::fail_point!("restore.copied", |_| Err(failed("copying", &from)(io::ErrorKind::StorageFull.into())));
        match copied {
            Ok(sum) if sum == *known => {}
            // One that is lost leaves the others good.
            Ok(_) if body => damaged.push(Damage { path: to, why: "it is not what was written into the backup".to_owned() }),
            Err(error) if body && error.kind() == io::ErrorKind::NotFound => {
                damaged.push(Damage { path: to, why: "it is not in the backup any more".to_owned() });
            }
            Ok(_) => return Err(BackupError::Damaged(from)),
            Err(error) => return Err(failed("copying", &from)(error)),
        }
    }
    settle(state_dir).map_err(failed("syncing", state_dir))?;
    fail::fail_point!("restore.synced");
    let summary = verify(&state_dir.join("store/journal"))?;
    if (summary.first + summary.lines, summary.hash) != (manifest.line + 1, manifest.hash) {
        return Err(BackupError::Damaged(path.join("store/journal")));
    }
    fail::fail_point!("restore.verified");
    Ok(Restored { path, manifest, damaged, keys, unfinished })
}

/// The backup itself, or the newest in a folder.
fn find(backup: &Path) -> Result<PathBuf, BackupError> {
    let none = || BackupError::NoBackup(backup.to_owned());
    if backup.to_str().is_some_and(|name| name.trim_end_matches('/').ends_with(UNFINISHED)) || !backup.is_dir() {
        return Err(none());
    }
    if backup.join(MANIFEST).is_file() {
        return Ok(backup.to_owned());
    }
    whole(backup)?.pop().ok_or_else(none)
}

/// Makes the folder, and refuses one that holds anything.
fn empty(dir: &Path) -> Result<(), BackupError> {
    let lock = File::open(dir.join("store/journal/lock"));
    if lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))) {
        return Err(BackupError::InUse(dir.to_owned()));
    }
    create_directory(dir).map_err(failed("creating", dir))?;
    match fs::read_dir(dir).map_err(failed("listing", dir))?.next() {
        Some(_) => Err(BackupError::NotEmpty(dir.to_owned())),
        None => Ok(()),
    }
}
