//! What is done for the journal's files beside the steps: snapshots of the index, and the end of old segments.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::{mpsc, oneshot};

use super::index::IndexError;
use super::owner::{Answer, Request};
use super::{LoadError, Shared, SledOptions};
use crate::port::StoreError;
use crate::store::journal::{Copying, JournalError, Snapshot, find};

/// What the thread is asked for.
pub(super) enum Errand {
    /// The journal goes on in a new segment: look what follows from that.
    Rotated,
    /// Copy the index now.
    Copy(Answer<()>),
}

/// The thread's own.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::WeakSender<Request>,
    pub(super) options: SledOptions,
}

impl Keeper {
    /// Serves until nobody can ask any more. Nothing of it is needed for the store to be right.
    pub(super) fn run(self, errands: &Receiver<Errand>) {
        while let Ok(errand) = errands.recv() {
            match errand {
                Errand::Rotated => {
                    if let Err(error) = self.look() {
                        tracing::error!(%error, "the journal's files cannot be looked after; it is tried again with the next segment");
                    }
                }
                Errand::Copy(answer) => {
                    let copied = self.copy().map(drop).map_err(|error| match error {
                        LoadError::Journal(JournalError::Io { source, path, .. }) => crate::store::store_error("writing", &path, &source),
                        other => StoreError::Broken(other.to_string()),
                    });
                    let _ = answer.send(copied);
                }
            }
        }
    }

    fn look(&self) -> Result<(), LoadError> {
        let dir = self.options.journal();
        let segments = self.shared.segments();
        for finished in segments.split_last().map_or(&[][..], |(_, finished)| finished) {
            find::index(finished)?;
        }
        let newest = Snapshot::newest(&dir)?;
        if let Some(mark) = self.shared.index()?.mark()? {
            // Copying costs what the index is large, so it pays when the journal has grown by as much.
            let (from, octets) = newest.as_ref().map_or((0, 0), |snapshot| (snapshot.mark.offset, snapshot.octets));
            if mark.offset.saturating_sub(from) >= octets.max(self.options.segments.octets) {
                self.copy()?;
                Snapshot::forget_old(&dir)?;
            }
        }
        // The older one of the two that are kept: should the newer be damaged, everything since the older is still there.
        let (Some(keep), Some(older)) = (self.options.segments.keep, Snapshot::list(&dir)?.into_iter().nth(1)) else { return Ok(()) };
        let upto = Snapshot::open(older)?.mark.seq;
        let Some(requests) = self.requests.upgrade() else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        if requests.blocking_send(Request::Prune { upto, keep, answer }).is_ok() {
            drop(requests);
            if let Ok(Err(error)) = answered.blocking_recv() {
                tracing::error!(%error, "segments of the journal whose time of keeping is over cannot be deleted");
            }
        }
        Ok(())
    }

    /// Copies the index while steps go on.
    fn copy(&self) -> Result<Option<Snapshot>, LoadError> {
        let index = self.shared.index()?;
        let Some(mark) = index.mark()? else { return Ok(None) };
        let mut copying = Copying::begin(&self.options.journal(), mark, self.options.clock.now())?;
        fail::fail_point!("store.snapshot.begun");
        index.each(|change| copying.add(change).map_err(LoadError::Journal))?;
        let end = index.mark()?.ok_or_else(|| IndexError::Damaged("it no longer says up to which line".into()))?;
        Ok(Some(copying.finish(end.seq)?))
    }
}
