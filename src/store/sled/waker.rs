//! Wakes those who wait for sled in vain.
//!
//! When the write of a full buffer fails, sled 0.34 notes the error and forgets to wake the `flush` that waits for that
//! write. A `flush` that is asked for after the error sees it at once, and wakes all the others.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ::sled::Db;

use super::index::caged;

/// How often it is looked for an error.
const LOOK: Duration = Duration::from_millis(100);

/// The thread that looks, for as long as this lives.
pub(super) struct Waker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waker {
    pub(super) fn start(db: &Db) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let db = db.clone();
        let thread = std::thread::Builder::new().name("index".into()).spawn(move || {
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if db.context.global_error().is_err() {
                    // What it says is said to those whom it wakes.
                    let _ = caged(|| db.flush());
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Waker {
    /// Waits for the thread, which holds the database open.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
