//! The files of a spool by their names.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::time::SystemTime;

use super::Damage;
use super::file::{Out, open};
use super::writer::{Commit, SpoolWriter, Temporary};
use crate::port::{Blob, BlobId, Listed, OpenBlob, StoreError};
use crate::store::cipher::{Keys, Mark};
use crate::store::{MAX_HEADER, Reserve, store_error, sync_directory, within};

/// Where the files are, what stays free beside them, and the keys that they are under.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    pub(super) reserve: Reserve,
    pub(super) keys: Arc<Keys>,
    pub(super) mark: Arc<Mark>,
    /// Held for writing while a file is exchanged for the same one under another key; for reading while it gets another
    /// body or is deleted.
    pub(super) names: RwLock<()>,
    /// A name was exchanged and its folder could not be synced: a power cut may bring back a file under an older key.
    pub(super) in_doubt: AtomicBool,
}

impl Folder {
    pub(super) fn create(&self, blob: &Blob, expected: Option<u64>, commits: mpsc::Sender<Commit>) -> Result<SpoolWriter, StoreError> {
        within("the header of a blob", blob.header.len(), MAX_HEADER)?;
        let path = self.path(blob.id, "blob");
        let key = self.keys.active(blob.kind);
        let used = key.as_ref().map(|key| self.mark.begin(key.id())).transpose()?;
        let (file, temporary) = self.new_file(blob.id, expected)?;
        let out = Out::begin(blob, key.as_deref(), file).map_err(|error| store_error("writing", &path, &error))?;
        Ok(SpoolWriter::new(blob.id, out, temporary, path, used, commits))
    }

    /// A file under a temporary name. [`StoreError::Full`] when there is no room for `expected` octets.
    pub(super) fn new_file(&self, id: BlobId, expected: Option<u64>) -> Result<(File, Temporary), StoreError> {
        self.reserve.admits_work(&self.dir, expected.unwrap_or(0))?;
        // Two writers of one name, one of them of a run that was given up, must not write into one file.
        let temporary = Temporary(Some(self.path(id, &format!("{}.tmp", uuid::Uuid::new_v4().simple()))));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary.path());
        Ok((file.map_err(|error| store_error("writing", temporary.path(), &error))?, temporary))
    }

    pub(super) fn open(&self, id: BlobId) -> Result<OpenBlob, StoreError> {
        let path = self.path(id, "blob");
        let found = open(&path, &self.keys)?;
        if found.blob.id != id {
            return Err(StoreError::Damaged(format!("{} holds another blob", path.display())));
        }
        Ok((found.blob, found.body.octets(), Box::new(found.body)))
    }

    pub(super) fn delete(&self, id: BlobId) -> Result<(), StoreError> {
        let path = self.path(id, "blob");
        let names = self.names();
        let removed = fs::remove_file(&path);
        drop(names);
        let gone = match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A power cut must not bring back a mail: once its record is gone too, the next start would take it for a new one.
            Ok(()) => path.parent().map_or(Ok(()), sync_directory),
            Err(error) => Err(error),
        };
        gone.map_err(|error| store_error("deleting", &path, &error))
    }

    pub(super) fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let now = SystemTime::now();
        let first = after.and_then(|after| after.0.as_bytes().first().copied()).unwrap_or(0);
        let mut listed = Vec::new();
        for shard in first..=u8::MAX {
            let mut ids = self.shard(shard)?;
            ids.retain(|id| after.is_none_or(|after| *id > after));
            ids.sort_unstable();
            for id in ids {
                if listed.len() == limit {
                    return Ok(listed);
                }
                let path = self.path(id, "blob");
                match fs::metadata(&path).and_then(|file| file.modified()) {
                    // A clock that was set back makes it young, and so waited for.
                    Ok(written) => listed.push(Listed { id, age: now.duration_since(written).unwrap_or_default() }),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(store_error("looking at", &path, &error)),
                }
            }
        }
        Ok(listed)
    }

    /// Reads every blob from front to back; those that are damaged.
    pub(super) fn check(&self) -> Result<Vec<Damage>, StoreError> {
        let mut damaged = Vec::new();
        for shard in 0..=u8::MAX {
            for path in self.shard(shard)?.into_iter().map(|id| self.path(id, "blob")) {
                match open(&path, &self.keys).map(|mut found| io::copy(&mut found.body, &mut io::sink())) {
                    Ok(Ok(_)) | Err(StoreError::Missing(_)) => {}
                    Ok(Err(error)) => damaged.push(Damage { path, why: error.to_string() }),
                    Err(error) => damaged.push(Damage { path, why: error.to_string() }),
                }
            }
        }
        Ok(damaged)
    }

    /// Held while a name gets another body or is removed.
    pub(super) fn names(&self) -> RwLockReadGuard<'_, ()> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self, id: BlobId, ending: &str) -> PathBuf {
        let name = id.0.simple().to_string();
        self.dir.join(name.get(..2).unwrap_or_default()).join(format!("{name}.{ending}"))
    }

    /// The blobs whose ids begin with these two digits.
    pub(super) fn shard(&self, shard: u8) -> Result<Vec<BlobId>, StoreError> {
        let dir = self.dir.join(format!("{shard:02x}"));
        let failed = |error: io::Error| store_error("listing", &dir, &error);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".blob")).and_then(|name| uuid::Uuid::try_parse(name).ok());
            // A foreign file, or one that stands in a folder where nobody looks for it, is none of ours.
            ids.extend(id.map(BlobId).filter(|id| id.0.as_bytes().first() == Some(&shard)));
        }
        Ok(ids)
    }
}
