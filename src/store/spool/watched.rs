//! Whether writing works: noted where it is tried, and tried where nobody does.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::writer::SpoolWriter;
use crate::port::{BlobWriter, Pending, StoreError, Stored};

/// Whether the last attempt failed, for another reason than want of room.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble(Arc<AtomicBool>);

impl Trouble {
    /// Notes what came of an attempt to write.
    pub(super) fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match &outcome {
            Ok(_) => self.0.store(false, Ordering::Relaxed),
            Err(StoreError::Broken(_)) => self.0.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        outcome
    }

    /// Whether writing works in this directory. Where it did not, it is tried again.
    pub(super) fn is_over(&self, dir: &Path) -> bool {
        if self.0.load(Ordering::Relaxed) {
            self.0.store(attempt(&dir.join("attempt.tmp")).is_err(), Ordering::Relaxed);
        }
        !self.0.load(Ordering::Relaxed)
    }
}

fn attempt(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(b"?")?;
    file.sync_data()?;
    fs::remove_file(path)
}

/// A blob under writing, of which is noted how that ends.
pub(super) struct Watched {
    pub(super) inner: SpoolWriter,
    pub(super) trouble: Trouble,
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl BlobWriter for Watched {
    fn commit(self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>> {
        let Self { inner, trouble } = *self;
        Box::pin(async move { trouble.noted(Box::new(inner).commit().await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_until_it_works() {
        let dir = tempfile::tempdir().unwrap();
        let (trouble, gone) = (Trouble::default(), dir.path().join("none"));
        assert!(trouble.is_over(&gone), "what nobody tried is not tried here");
        assert!(trouble.noted::<()>(Err(StoreError::Full)).is_err() && trouble.is_over(&gone), "want of room is no fault");
        assert!(trouble.noted::<()>(Err(StoreError::Broken("x".into()))).is_err());
        assert!(!trouble.is_over(&gone) && !trouble.is_over(&gone));
        assert!(trouble.is_over(dir.path()) && trouble.is_over(&gone));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(trouble.noted::<()>(Err(StoreError::Broken("x".into()))).is_err());
        assert!(trouble.noted(Ok(())).is_ok() && trouble.is_over(&gone), "another succeeded meanwhile");
    }
}
