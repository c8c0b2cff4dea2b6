//! Going on after the disk failed, without a restart.
//!
//! After a failed sync nobody knows what the disk has: the system takes the pages for clean, and a second sync may succeed
//! without having written them. So nothing that was under way is trusted. The journal takes back what stands behind its last
//! durable line and goes on in a new segment; an index that failed is put away and built anew from the journal. Until both
//! succeed everybody is told that the store is not working, and it is tried again and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::index::{Index, IndexError};
use super::owner::{Answer, Owner, Request};
use super::{LoadError, load, set_aside};
use crate::port::{Queue, StoreError};
use crate::store::journal::JournalError;

/// The first wait before it is tried again, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long readers of an index that is put away may take to let go of it.
const READERS: Duration = Duration::from_secs(5);

/// Why the store does not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// It cannot be put away.
    #[error(transparent)]
    Aside(#[from] StoreError),
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Index(error) => Self::Index(error),
            LoadError::Journal(error) => Self::Journal(error),
        }
    }
}

/// What to do about it, for the log.
const HINT: &str =
    "see in the system's log what the disk has; make room, replace it, mount it for writing. It is tried again by itself, without a restart";

impl Owner {
    /// Tries until the store works again; `false` when nobody is left to ask. Whoever asks meanwhile is told.
    pub(super) fn mend(&mut self, mut trouble: Trouble, requests: &mut mpsc::Receiver<Request>) -> bool {
        self.shared.stop(&trouble);
        tracing::error!(error = %trouble, hint = HINT, "the store does not work");
        let mut wait = WAITS.0;
        loop {
            match self.try_mend(&trouble) {
                Ok(()) => break,
                Err(other) => {
                    if other.to_string() != trouble.to_string() {
                        tracing::error!(error = %other, hint = HINT, "the store still does not work");
                    }
                    trouble = other;
                }
            }
            // Their steps stand in the journal, and the index knows them when it is there again.
            for (answer, _) in std::mem::take(&mut self.owed) {
                drop(answer.send(Err(StoreError::Broken(trouble.to_string()))));
            }
            let until = Instant::now() + wait;
            while Instant::now() < until {
                match requests.try_recv() {
                    Ok(request) => request.refuse(&trouble),
                    Err(TryRecvError::Empty) => std::thread::sleep(WAITS.0 / 10),
                    Err(TryRecvError::Disconnected) => return false,
                }
            }
            wait = (wait * 2).min(WAITS.1);
        }
        self.shared.working.store(true, Ordering::Release);
        tracing::warn!("the store works again");
        for (answer, outcome) in std::mem::take(&mut self.owed) {
            drop(answer.send(outcome));
        }
        true
    }

    fn try_mend(&mut self, trouble: &Trouble) -> Result<(), Trouble> {
        if let Trouble::Index(_) = trouble {
            self.suspect = true;
        }
        self.journal.mend(self.clock.now())?;
        if self.suspect {
            self.rebuild(trouble)?;
            self.suspect = false;
        }
        self.publish();
        Queue::ALL.into_iter().try_for_each(|queue| self.ring(queue))?;
        Ok(())
    }

    /// Builds the index anew.
    fn rebuild(&mut self, trouble: &Trouble) -> Result<(), Trouble> {
        self.put_away()?;
        self.room()?;
        set_aside(&self.options)?;
        if !matches!(trouble, Trouble::Index(IndexError::Damaged(_))) {
            // There is nothing to learn from it, and there may be little room.
            drop(std::fs::remove_dir_all(self.options.aside()));
        }
        let (index, file) = load(&self.options, &mut self.journal)?;
        self.file = file;
        for queue in Queue::ALL {
            let mut jobs = 0;
            index.queue(queue, jiff::Timestamp::MIN, |_, _| {
                jobs += 1;
                Ok(true)
            })?;
            if let Some(count) = self.shared.jobs.get(queue as usize) {
                count.store(jobs, Ordering::Relaxed);
            }
        }
        let mut gone = Vec::new();
        for id in self.leases.keys() {
            if index.job(*id)?.is_none() {
                gone.push(*id);
            }
        }
        for id in gone {
            self.leases.remove(&id);
        }
        self.shared.set_index(Some(Arc::new(index)));
        Ok(())
    }

    /// Takes the index from the readers and closes it.
    fn put_away(&mut self) -> Result<(), Trouble> {
        self.old = self.shared.set_index(None).or(self.old.take());
        let until = Instant::now() + READERS;
        while let Some(index) = self.old.take() {
            match Arc::try_unwrap(index) {
                Ok(index) => drop::<Index>(index),
                Err(index) if Instant::now() < until => {
                    self.old = Some(index);
                    std::thread::sleep(WAITS.0 / 10);
                }
                Err(index) => {
                    self.old = Some(index);
                    return Err(IndexError::Io(std::io::Error::other("somebody is still reading it")).into());
                }
            }
        }
        Ok(())
    }
}

impl Request {
    fn refuse(self, trouble: &Trouble) {
        fn tell<T>(answer: Answer<T>, trouble: &Trouble) {
            drop(answer.send(Err(StoreError::Broken(trouble.to_string()))));
        }
        match self {
            Self::Apply(_, answer) | Self::Prune { answer, .. } => tell(answer, trouble),
            Self::Claim { answer, .. } => tell(answer, trouble),
            Self::Renew(_, _, answer) => tell(answer, trouble),
            Self::Look => {}
        }
    }
}
