//! Files under another key.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::file::{self, open};
use super::folder::Folder;
use crate::port::{BlobId, StoreError};
use crate::store::cipher::{self, Census, Rekeyed};
use crate::store::{store_error, sync_directory};

impl Folder {
    /// Counts files by the key that they are under, and forgets keys that none is under.
    pub(super) fn census(&self) -> Result<Census, StoreError> {
        let mut unused = self.mark.unused(&self.keys.rings());
        let mut census = Census::default();
        for shard in 0..=u8::MAX {
            for path in self.shard(shard)?.into_iter().map(|id| self.path(id, "blob")) {
                match File::open(&path).and_then(|file| file::key(&file)) {
                    Ok(Some(key)) => *census.keys.entry(key).or_default() += 1,
                    Ok(None) => census.clear += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => census.damaged += 1,
                    Err(error) => return Err(store_error("opening", &path, &error)),
                }
            }
        }
        if self.in_doubt.load(Ordering::SeqCst) {
            unused.clear();
        }
        census.needed = self.mark.forget(&unused, |key| census.keys.contains_key(&key))?;
        Ok(census)
    }

    /// Writes a file anew under the active key and puts it in the place of the old one, if that is still there.
    pub(super) fn rekey(&self, id: BlobId) -> Result<Rekeyed, StoreError> {
        let path = self.path(id, "blob");
        let mut old = match open(&path, &self.keys) {
            Ok(old) => old,
            Err(StoreError::Missing(_)) => return Ok(Rekeyed::Gone),
            Err(error) => return Err(error),
        };
        let Some(key) = self.keys.active(old.blob.kind).filter(|key| Some(key.id()) != old.key) else { return Ok(Rekeyed::Kept) };
        let _used = self.mark.begin(key.id())?;
        let (file, mut temporary) = self.new_file(id, Some(old.body.octets()))?;
        let copied = || {
            let mut sealer = cipher::seal(&key, &old.blob, BufWriter::with_capacity(64 * 1024, file))?;
            // Read to its end, the old body is what was written.
            io::copy(&mut old.body, &mut sealer)?;
            let file = sealer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            // Its age is the body's, not this copy's.
            file.set_modified(old.file.metadata()?.modified()?)?;
            fail::fail_point!("spool.rekey.sync", |_| Err(io::ErrorKind::StorageFull.into()));
            file.sync_all()
        };
        copied().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::InvalidData => StoreError::Damaged(format!("{}: {error}", path.display())),
            _ => store_error("writing", &path, &error),
        })?;
        let mut exchanged = || {
            fail::fail_point!("spool.rekey.rename", |_| Err(io::ErrorKind::StorageFull.into()));
            let _alone = self.names.write().unwrap_or_else(PoisonError::into_inner);
            if !is_still(&path, &old.file)? {
                return Ok(false);
            }
            fs::rename(temporary.path(), &path)?;
            temporary.keep();
            Ok(true)
        };
        if !exchanged().map_err(|error: io::Error| store_error("exchanging", &path, &error))? {
            return Ok(Rekeyed::Gone);
        }
        let synced = || {
            fail::fail_point!("spool.rekey.directory", |_| Err(io::ErrorKind::StorageFull.into()));
            path.parent().map_or(Ok(()), sync_directory)
        };
        synced().map_err(|error: io::Error| {
            self.in_doubt.store(true, Ordering::SeqCst);
            store_error("exchanging", &path, &error)
        })?;
        Ok(Rekeyed::Anew)
    }
}

/// Whether the name leads to this file.
fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(now) => Ok((now.dev(), now.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
