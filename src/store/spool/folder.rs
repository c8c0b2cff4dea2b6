//! The files of a spool by their names.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::SystemTime;

use super::Damage;
use super::file::{head, open};
use super::writer::{Commit, SpoolWriter, Temporary};
use crate::port::{Blob, BlobId, Listed, OpenBlob, StoreError};
use crate::store::{MAX_HEADER, Reserve, store_error, sync_directory, within};

/// Where the files are, and what stays free beside them.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    pub(super) reserve: Reserve,
}

impl Folder {
    pub(super) fn create(&self, blob: &Blob, expected: Option<u64>, commits: mpsc::Sender<Commit>) -> Result<SpoolWriter, StoreError> {
        within("the header of a blob", blob.header.len(), MAX_HEADER)?;
        self.reserve.admits_work(&self.dir, expected.unwrap_or(0))?;
        // Two writers of one name, one of them of a run that was given up, must not write into one file.
        let temporary = Temporary(Some(self.path(blob.id, &format!("{}.tmp", uuid::Uuid::new_v4().simple()))));
        let path = self.path(blob.id, "blob");
        let begin = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary.path())?;
            let mut file = BufWriter::with_capacity(64 * 1024, file);
            file.write_all(&head(blob)?)?;
            Ok(file)
        };
        let file = begin().map_err(|error| store_error("writing", &path, &error))?;
        Ok(SpoolWriter::new(blob.id, file, temporary, path, commits))
    }

    pub(super) fn open(&self, id: BlobId) -> Result<OpenBlob, StoreError> {
        let path = self.path(id, "blob");
        match open(&path) {
            Ok((blob, body)) if blob.id == id => Ok((blob, body.octets(), Box::new(body))),
            Ok(_) => Err(StoreError::Damaged(format!("{} holds another blob", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing("blob")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(StoreError::Damaged(format!("{}: {error}", path.display()))),
            Err(error) => Err(store_error("opening", &path, &error)),
        }
    }

    pub(super) fn delete(&self, id: BlobId) -> Result<(), StoreError> {
        let path = self.path(id, "blob");
        let gone = match fs::remove_file(&path) {
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
                let whole = open(&path).and_then(|(_, mut body)| io::copy(&mut body, &mut io::sink()));
                match whole {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => damaged.push(Damage { path, why: error.to_string() }),
                }
            }
        }
        Ok(damaged)
    }

    fn path(&self, id: BlobId, ending: &str) -> PathBuf {
        let name = id.0.simple().to_string();
        self.dir.join(name.get(..2).unwrap_or_default()).join(format!("{name}.{ending}"))
    }

    /// The blobs whose ids begin with these two digits.
    fn shard(&self, shard: u8) -> Result<Vec<BlobId>, StoreError> {
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
