//! Bodies as files: one file a blob, written once, whole when it has its name.
//!
//! ```text
//!  <dir>/4f/4f1c….blob             in a folder of the first two digits of its id
//!        4f/4f1c….….tmp            while it is written; what is left of those is removed at start
//!        lock                      held by the process that uses the spool
//!        keys                      ids of the keys that bodies are under
//! ```
//!
//! A file begins with its envelope, [`Blob`], so that it can be taken in when no index knows it ([`file`] has the layout).
//! Many threads make files durable, each one file at a time: a file system writes its own journal once for all that
//! are waiting, so they share its work. To wait for a group first and to sync its directories one after another was
//! several times slower, since names that are made at the same time stand in different directories.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock, mpsc};

use self::folder::Folder;
use self::watched::{Trouble, Watched};
use self::writer::{Commit, closed, serve};
use super::cipher::{Census, Keys, Mark, Rekey, Rekeyed, Rings};
use super::{Reserve, create_directory, store_error, sync_directory};
use crate::port::{Blob, BlobId, BlobWriter, Blobs, Listed, OpenBlob, Pending, StoreError};

mod file;
mod folder;
mod rekey;
mod watched;
mod writer;

/// Where and how a spool is kept.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// The directory; created when absent.
    pub dir: PathBuf,
    /// What stays free on the file system.
    pub reserve: Reserve,
    /// Threads that sync files.
    pub threads: usize,
    /// The keys that bodies are under.
    pub keys: Arc<Keys>,
}

impl SpoolOptions {
    /// A spool in this directory, with 32 threads and no keys.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), reserve: Reserve::default(), threads: 32, keys: Arc::default() }
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
    folder: Arc<Folder>,
    commits: mpsc::Sender<Commit>,
    trouble: Trouble,
    /// Keeps a second process from taking our unfinished files for left ones.
    _lock: File,
}

impl Spool {
    /// Opens a spool, removes what was left half-written, and makes its folders.
    pub fn open(options: SpoolOptions) -> Result<Self, StoreError> {
        let SpoolOptions { dir, reserve, threads, keys } = options;
        let failed = |error: io::Error| store_error("opening the spool", &dir, &error);
        create_directory(&dir).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock")).map_err(failed)?;
        super::lock(&lock).map_err(|error| failed(error.into()))?;
        let mark = Arc::new(Mark::read(&dir)?);
        mark.opens_with(&keys.rings())?;
        for shard in 0..=u8::MAX {
            let shard = dir.join(format!("{shard:02x}"));
            match fs::create_dir(&shard) {
                Ok(()) => {
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            for entry in fs::read_dir(&shard).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_some_and(|ending| ending == "tmp") {
                    fs::remove_file(&path).map_err(failed)?;
                }
            }
            // A process that was killed may have named a blob that a power cut would still take: who finds it builds on it.
            sync_directory(&shard).map_err(failed)?;
        }
        sync_directory(&dir).map_err(failed)?;

        let folder = Arc::new(Folder { dir: dir.clone(), reserve, keys, mark, names: RwLock::default(), in_doubt: AtomicBool::new(false) });
        let (commits, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let (waiting, folder) = (Arc::clone(&waiting), Arc::clone(&folder));
            // It ends by itself when the spool and every writer are gone.
            std::thread::Builder::new().name("spool".into()).spawn(move || serve(&waiting, &folder)).map_err(failed)?;
        }
        Ok(Self { folder, commits, trouble: Trouble::default(), _lock: lock })
    }

    /// Reads a file of a spool from front to back; what is wrong with it. One that is encrypted cannot be looked into.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn check_file(path: &Path) -> Result<Option<String>, StoreError> {
        let found = file::open(path, &Keys::default()).map(|mut found| io::copy(&mut found.body, &mut io::sink()));
        match found {
            Ok(Ok(_)) | Err(StoreError::Locked(_)) => Ok(None),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(error.to_string())),
            Ok(Err(error)) => Err(store_error("reading", path, &error)),
            Err(StoreError::Damaged(why)) => Ok(Some(why)),
            Err(error) => Err(error),
        }
    }

    /// Reads every blob from front to back; those that are damaged.
    pub fn check(&self) -> Result<Vec<Damage>, StoreError> {
        self.folder.check()
    }

    /// Does something with the files on a thread that may wait for the disk.
    fn with<T: Send + 'static>(&self, work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static) -> Pending<'_, Result<T, StoreError>> {
        let folder = Arc::clone(&self.folder);
        Box::pin(async move { tokio::task::spawn_blocking(move || work(&folder)).await.map_err(|_| closed())? })
    }
}

impl Blobs for Spool {
    fn admit(&self, expected: Option<u64>) -> Pending<'_, Result<(), StoreError>> {
        self.with(move |folder| folder.reserve.admits_new(&folder.dir, expected.unwrap_or(0)))
    }

    fn create(&self, blob: Blob, expected: Option<u64>) -> Pending<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        let (commits, trouble) = (self.commits.clone(), self.trouble.clone());
        self.with(move |folder| {
            let inner = trouble.noted(folder.create(&blob, expected, commits))?;
            Ok(Box::new(Watched { inner, trouble }) as Box<dyn BlobWriter>)
        })
    }

    fn works(&self) -> Pending<'_, bool> {
        let trouble = self.trouble.clone();
        Box::pin(async move { self.with(move |folder| Ok(trouble.is_over(&folder.dir))).await.is_ok_and(|works| works) })
    }

    fn open(&self, id: BlobId) -> Pending<'_, Result<OpenBlob, StoreError>> {
        self.with(move |folder| folder.open(id))
    }

    fn delete(&self, id: BlobId) -> Pending<'_, Result<(), StoreError>> {
        self.with(move |folder| folder.delete(id))
    }

    fn all(&self, after: Option<BlobId>, limit: usize) -> Pending<'_, Result<Vec<Listed>, StoreError>> {
        self.with(move |folder| folder.list(after, limit))
    }
}

impl Rekey for Spool {
    fn needs(&self, rings: Rings) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move { self.folder.mark.opens_with(&rings) })
    }

    fn census(&self) -> Pending<'_, Result<Census, StoreError>> {
        self.with(Folder::census)
    }

    fn rekey(&self, id: BlobId) -> Pending<'_, Result<Rekeyed, StoreError>> {
        self.with(move |folder| folder.rekey(id))
    }
}
