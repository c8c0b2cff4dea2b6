//! Bodies as files: one file a blob, written once, whole when it has its name.
//!
//! ```text
//!  <dir>/4f/4f1c….blob             in a folder of the first two digits of its id
//!        4f/4f1c….….tmp            while it is written; what is left of those is removed at start
//!        lock                      held by the process that uses the spool
//! ```
//!
//! A file begins with its envelope, [`Blob`], so that it can be taken in when no index knows it ([`file`] has the layout).
//! Many threads make files durable, each one file at a time: a file system writes its own journal once for all that
//! are waiting, so they share its work. To wait for a group first and to sync its directories one after another was
//! several times slower, since names that are made at the same time stand in different directories.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

use self::file::{head, open, trailer};
use super::{MAX_HEADER, create_directory, free_space, store_error, sync_directory, within};
use crate::crypto::Hasher;
use crate::port::{Blob, BlobId, BlobReader, BlobWriter, Blobs, Pending, StoreError, Stored};

mod file;

/// Where and how a spool is kept.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// The directory; created when absent.
    pub dir: PathBuf,
    /// Octets that stay free on the file system: below, nothing is taken in.
    pub reserve: u64,
    /// Threads that sync files.
    pub threads: usize,
}

impl SpoolOptions {
    /// A spool in this directory, with 64 MiB kept free and 32 threads.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), reserve: 64 * 1024 * 1024, threads: 32 }
    }
}

/// A file of the spool that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// [`Blobs`] as files.
pub struct Spool {
    dir: PathBuf,
    reserve: u64,
    commits: mpsc::Sender<Commit>,
    /// Keeps a second process from taking our unfinished files for left ones.
    _lock: File,
}

/// A blob that is written and waits for being durable.
struct Commit {
    file: File,
    temporary: Temporary,
    path: PathBuf,
    stored: Stored,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Stored, StoreError>>;

impl Spool {
    /// Opens a spool, removes what was left half-written, and makes its folders.
    pub fn open(options: SpoolOptions) -> Result<Self, StoreError> {
        let SpoolOptions { dir, reserve, threads } = options;
        let failed = |error: io::Error| store_error("opening the spool", &dir, &error);
        create_directory(&dir).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock")).map_err(failed)?;
        super::lock(&lock).map_err(|error| failed(error.into()))?;
        for shard in 0..=u8::MAX {
            let shard = dir.join(format!("{shard:02x}"));
            if fs::create_dir(&shard).is_ok() {
                continue;
            }
            for entry in fs::read_dir(&shard).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_some_and(|ending| ending == "tmp") {
                    fs::remove_file(&path).map_err(failed)?;
                }
            }
        }
        sync_directory(&dir).map_err(failed)?;

        let (commits, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            // It ends by itself when the spool and every writer are gone.
            std::thread::Builder::new().name("spool".into()).spawn(move || serve(&waiting)).map_err(failed)?;
        }
        Ok(Self { dir, reserve, commits, _lock: lock })
    }

    /// Reads every blob from front to back; those that are damaged.
    pub fn check(&self) -> Result<Vec<Damage>, StoreError> {
        let mut damaged = Vec::new();
        for path in self.paths()? {
            let whole = open(&path).and_then(|(_, mut body)| io::copy(&mut body, &mut io::sink()));
            match whole {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => damaged.push(Damage { path, why: error.to_string() }),
            }
        }
        Ok(damaged)
    }

    fn path(&self, id: BlobId, ending: &str) -> PathBuf {
        let name = id.0.simple().to_string();
        self.dir.join(name.get(..2).unwrap_or_default()).join(format!("{name}.{ending}"))
    }

    fn paths(&self) -> Result<Vec<PathBuf>, StoreError> {
        let failed = |error: io::Error| store_error("listing the spool", &self.dir, &error);
        let mut paths = Vec::new();
        for shard in 0..=u8::MAX {
            for entry in fs::read_dir(self.dir.join(format!("{shard:02x}"))).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_some_and(|ending| ending == "blob") {
                    paths.push(path);
                }
            }
        }
        Ok(paths)
    }
}

impl Blobs for Spool {
    fn create(&self, blob: Blob, expected: Option<u64>) -> Result<Box<dyn BlobWriter>, StoreError> {
        within("the header of a blob", blob.header.len(), MAX_HEADER)?;
        let free = free_space(&self.dir).map_err(|error| store_error("asking for free space of", &self.dir, &error))?;
        if free < self.reserve.saturating_add(expected.unwrap_or(0)) {
            return Err(StoreError::Full);
        }
        // Two writers of one name, one of them of a run that was given up, must not write into one file.
        let temporary = Temporary(Some(self.path(blob.id, &format!("{}.tmp", uuid::Uuid::new_v4().simple()))));
        let path = self.path(blob.id, "blob");
        let begin = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary.path())?;
            let mut file = BufWriter::with_capacity(64 * 1024, file);
            file.write_all(&head(&blob)?)?;
            Ok(file)
        };
        let file = begin().map_err(|error| store_error("writing", &path, &error))?;
        Ok(Box::new(SpoolWriter {
            id: blob.id,
            file,
            temporary,
            path,
            commits: self.commits.clone(),
            hasher: Hasher::new(),
            octets: 0,
            failed: None,
        }))
    }

    fn open(&self, id: BlobId) -> Result<(Blob, u64, Box<dyn BlobReader>), StoreError> {
        let path = self.path(id, "blob");
        match open(&path) {
            Ok((blob, body)) if blob.id == id => Ok((blob, body.octets(), Box::new(body))),
            Ok(_) => Err(StoreError::Broken(format!("{} holds another blob", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing("blob")),
            Err(error) => Err(store_error("opening", &path, &error)),
        }
    }

    fn delete(&self, id: BlobId) -> Result<(), StoreError> {
        let path = self.path(id, "blob");
        // The directory is not synced: a blob that a power cut brings back is one that no record names.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(store_error("deleting", &path, &error)),
            _ => Ok(()),
        }
    }

    /// A blob whose head is damaged is told to the log and left where it is.
    fn all(&self) -> Result<Vec<Blob>, StoreError> {
        let mut blobs = Vec::new();
        for path in self.paths()? {
            match open(&path) {
                Ok((blob, _)) => blobs.push(blob),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(path = %path.display(), %error, "a file of the spool is damaged");
                }
                Err(error) => return Err(store_error("opening", &path, &error)),
            }
        }
        Ok(blobs)
    }
}

/// The name of an unfinished file, which vanishes with it.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// The file has another name now.
    fn keep(&mut self) {
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

struct SpoolWriter {
    id: BlobId,
    file: BufWriter<File>,
    temporary: Temporary,
    path: PathBuf,
    commits: mpsc::Sender<Commit>,
    hasher: Hasher,
    octets: u64,
    failed: Option<io::ErrorKind>,
}

impl SpoolWriter {
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
        let Self { id, mut file, temporary, path, commits, hasher, octets, failed } = self;
        if let Some(kind) = failed {
            return Err(store_error("writing", &path, &kind.into()));
        }
        let digest = hasher.finish();
        let written = file.write_all(&trailer(octets, digest)).and_then(|()| file.into_inner().map_err(io::IntoInnerError::into_error));
        let file = written.map_err(|error| store_error("writing", &path, &error))?;
        let (answer, answered) = oneshot::channel();
        commits.send(Commit { file, temporary, path, stored: Stored { id, octets, digest }, answer }).map_err(|_| closed())?;
        Ok(answered)
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        let taken = self.noted(result)?;
        self.hasher.update(bytes.get(..taken).unwrap_or_default());
        self.octets += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.file.flush();
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

fn closed() -> StoreError {
    StoreError::Broken("the spool is closed".into())
}

/// Makes blobs durable, one after another.
fn serve(waiting: &Mutex<mpsc::Receiver<Commit>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Commit { file, mut temporary, path, stored, answer }) = next else { return };
        let outcome = make_durable(&file, &mut temporary, &path);
        drop(answer.send(outcome.map(|()| stored).map_err(|error| store_error("committing", &path, &error))));
    }
}

fn make_durable(file: &File, temporary: &mut Temporary, path: &Path) -> io::Result<()> {
    fail::fail_point!("spool.sync", |_| Err(io::ErrorKind::StorageFull.into()));
    file.sync_data()?;
    fail::fail_point!("spool.rename", |_| Err(io::ErrorKind::StorageFull.into()));
    fs::rename(temporary.path(), path)?;
    temporary.keep();
    fail::fail_point!("spool.directory", |_| Err(io::ErrorKind::StorageFull.into()));
    path.parent().map_or(Ok(()), sync_directory)
}
