//! A blob that is being written, and the threads that make it durable.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

use super::file::Out;
use super::folder::Folder;
use crate::crypto::Hasher;
use crate::port::{BlobId, BlobWriter, Pending, StoreError, Stored};
use crate::store::cipher::Use;
use crate::store::{store_error, sync_directory};

/// A blob that is written and waits for being durable.
pub(super) struct Commit {
    file: File,
    temporary: Temporary,
    path: PathBuf,
    stored: Stored,
    _used: Option<Use>,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Stored, StoreError>>;

/// The name of an unfinished file, which vanishes with it.
pub(super) struct Temporary(pub(super) Option<PathBuf>);

impl Temporary {
    pub(super) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// The file has another name now.
    pub(super) fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// [`BlobWriter`] into one file.
pub(super) struct SpoolWriter {
    id: BlobId,
    out: Out,
    temporary: Temporary,
    path: PathBuf,
    used: Option<Use>,
    commits: mpsc::Sender<Commit>,
    hasher: Hasher,
    octets: u64,
    failed: Option<io::ErrorKind>,
}

impl SpoolWriter {
    /// A blob whose head is written.
    pub(super) fn new(id: BlobId, out: Out, temporary: Temporary, path: PathBuf, used: Option<Use>, commits: mpsc::Sender<Commit>) -> Self {
        Self { id, out, temporary, path, used, commits, hasher: Hasher::new(), octets: 0, failed: None }
    }

    /// What was written may be in the file twice or in part once a write failed: such a blob is never committed.
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(error.kind());
        }
        result
    }

    /// Writes the trailer and hands the file to the threads that make it durable.
    fn finish(self) -> Result<oneshot::Receiver<Result<Stored, StoreError>>, StoreError> {
        let Self { id, out, temporary, path, used, commits, hasher, octets, failed } = self;
        if let Some(kind) = failed {
            return Err(store_error("writing", &path, &kind.into()));
        }
        let digest = hasher.finish();
        let file = out.end(octets, digest).map_err(|error| store_error("writing", &path, &error))?;
        let (answer, answered) = oneshot::channel();
        commits.send(Commit { file, temporary, path, stored: Stored { id, octets, digest }, _used: used, answer }).map_err(|_| closed())?;
        Ok(answered)
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        let taken = self.noted(result)?;
        self.hasher.update(bytes.get(..taken).unwrap_or_default());
        self.octets += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.noted(result)
    }
}

impl BlobWriter for SpoolWriter {
    fn commit(self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>> {
        Box::pin(async move {
            let answered = self.finish()?;
            answered.await.map_err(|_| closed())?
        })
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Broken("the spool is closed".into())
}

/// Makes blobs durable, one after another.
pub(super) fn serve(waiting: &Mutex<mpsc::Receiver<Commit>>, folder: &Folder) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Commit { file, mut temporary, path, stored, _used, answer }) = next else { return };
        let outcome = make_durable(&file, &mut temporary, &path, folder);
        drop(answer.send(outcome.map(|()| stored).map_err(|error| store_error("committing", &path, &error))));
    }
}

fn make_durable(file: &File, temporary: &mut Temporary, path: &Path, folder: &Folder) -> io::Result<()> {
    fail::fail_point!("spool.sync", |_| Err(io::ErrorKind::StorageFull.into()));
    file.sync_data()?;
    fail::fail_point!("spool.rename", |_| Err(io::ErrorKind::StorageFull.into()));
    let names = folder.names();
    fs::rename(temporary.path(), path)?;
    drop(names);
    temporary.keep();
    fail::fail_point!("spool.directory", |_| Err(io::ErrorKind::StorageFull.into()));
    path.parent().map_or(Ok(()), sync_directory)
}
