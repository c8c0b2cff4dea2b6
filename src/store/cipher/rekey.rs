//! Bodies under an older key, or in the clear, are sealed anew with the active one, while everything else goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Rings;
use crate::crypto::rest::KeyId;
use crate::port::{BlobId, Blobs, Listed, Pending, StoreError};

/// Bodies that are asked for at a time.
const PAGE: usize = 1_000;

/// How many bodies are under which key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// In the clear.
    pub clear: u64,
    /// Under these keys.
    pub keys: BTreeMap<KeyId, u64>,
    /// Keys that are needed: those of bodies, the active ones that were used, and those of bodies that are being written.
    pub needed: BTreeSet<KeyId>,
    /// With a beginning that cannot be read.
    pub damaged: u64,
}

/// What came of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rekeyed {
    /// It was under the active key of its ring, or nothing seals there.
    Kept,
    /// It is now.
    Anew,
    /// It was deleted or replaced meanwhile.
    Gone,
}

/// [`Blobs`] under keys.
///
/// Promises: a body that is sealed anew is at every moment whole under one of the two keys, whatever happens to the
/// process; who reads it goes on reading; what is deleted meanwhile stays deleted, and what is replaced stays replaced.
/// It keeps its age.
pub trait Rekey: Blobs {
    /// Whether these keys open everything that there is; [`StoreError::Locked`] names the first that is missing.
    fn needs(&self, rings: Rings) -> Pending<'_, Result<(), StoreError>>;
    /// Counts the bodies. A key that no body is under is needed no longer after that.
    fn census(&self) -> Pending<'_, Result<Census, StoreError>>;
    /// Seals one body with the active key of its ring.
    fn rekey(&self, id: BlobId) -> Pending<'_, Result<Rekeyed, StoreError>>;
}

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether it goes on.
    pub running: bool,
    /// Bodies that were looked at.
    pub seen: u64,
    /// Bodies that were sealed anew.
    pub anew: u64,
    /// Bodies that could not be.
    pub failed: u64,
}

/// Goes through all bodies, one run at a time.
pub struct Rekeying {
    blobs: Arc<dyn Rekey>,
    progress: Mutex<Progress>,
}

impl Rekeying {
    /// Of these bodies.
    #[must_use]
    pub fn new(blobs: Arc<dyn Rekey>) -> Arc<Self> {
        Arc::new(Self { blobs, progress: Mutex::default() })
    }

    /// How far the last run has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.lock()
    }

    /// Takes the place of the one run; `false` when there is one.
    #[must_use]
    pub fn begin(&self) -> bool {
        let mut progress = self.lock();
        let free = !progress.running;
        if free {
            *progress = Progress { running: true, ..Progress::default() };
        }
        free
    }

    /// Goes through all bodies, after [`Self::begin`], and counts them at the end. Half of the time it leaves the disk to
    /// the messages. One body that cannot be sealed anew is told and left as it is.
    ///
    /// # Errors
    /// [`StoreError`] when bodies cannot be listed or counted; what was done stays done.
    pub async fn run(&self) -> Result<Census, StoreError> {
        let _running = Running(self);
        let mut after = None;
        loop {
            let page = self.blobs.all(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for Listed { id, .. } in page {
                let began = Instant::now();
                let done = self.blobs.rekey(id).await;
                if let Err(error) = &done {
                    tracing::error!(blob = %id.0, %error, "a body cannot be sealed with the active key");
                }
                let anew = {
                    let mut progress = self.lock();
                    progress.seen += 1;
                    progress.anew += u64::from(matches!(done, Ok(Rekeyed::Anew)));
                    progress.failed += u64::from(done.is_err());
                    matches!(done, Ok(Rekeyed::Anew))
                };
                match done {
                    // There is no use in going on with the next one at once.
                    Err(StoreError::Full) => tokio::time::sleep(Duration::from_secs(1)).await,
                    _ if anew => tokio::time::sleep(began.elapsed()).await,
                    _ => {}
                }
            }
        }
        self.blobs.census().await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run's place, which is free when it ends or is dropped.
struct Running<'a>(&'a Rekeying);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running = false;
    }
}
