//! Waking who waits for work: the next instant of each queue, published after every change.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::port::{Clock, Queue};

/// The time of this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// For each queue the earliest instant at which a job may be claimed; none when it is empty.
pub(super) struct Bell {
    next: [watch::Sender<Option<Timestamp>>; Queue::ALL.len()],
    clock: Arc<dyn Clock>,
}

impl Bell {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { next: std::array::from_fn(|_| watch::Sender::new(None)), clock }
    }

    fn of(&self, queue: Queue) -> Option<&watch::Sender<Option<Timestamp>>> {
        self.next.get(queue as usize)
    }

    /// Now, by the store's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// So long from now.
    pub(super) fn after(&self, span: Duration) -> Timestamp {
        self.now().saturating_add(span).unwrap_or(Timestamp::MAX)
    }

    /// Publishes a queue's next instant; wakes its waiters when it is another than before.
    pub(super) fn set(&self, queue: Queue, next: Option<Timestamp>) {
        if let Some(sender) = self.of(queue) {
            sender.send_if_modified(|now| std::mem::replace(now, next) != next);
        }
    }

    /// Returns when the queue's next instant has come, or after `at_most`.
    pub(super) async fn wait(&self, queue: Queue, at_most: Duration) {
        let until = self.after(at_most);
        let Some(sender) = self.of(queue) else { return };
        let mut next = sender.subscribe();
        loop {
            let wake = next.borrow_and_update().map_or(until, |due| due.min(until));
            let Ok(rest) = Duration::try_from(wake.duration_since(self.now())) else { return };
            if rest.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(rest) => return,
                changed = next.changed() => if changed.is_err() { return },
            }
        }
    }
}
