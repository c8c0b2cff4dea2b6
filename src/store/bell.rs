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

    /// The store's clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Publishes a queue's next instant; wakes its waiters when it is another than before.
    pub(super) fn set(&self, queue: Queue, next: Option<Timestamp>) {
        if let Some(sender) = self.of(queue) {
            sender.send_if_modified(|now| std::mem::replace(now, next) != next);
        }
    }

    /// Returns when the queue's next instant has come, or when as much time as `at_most` has passed, whatever becomes of the clock.
    pub(super) async fn wait(&self, queue: Queue, at_most: Duration) {
        let Some(sender) = self.of(queue) else { return };
        let left = |to: Timestamp| Duration::try_from(to.duration_since(self.clock.now())).unwrap_or_default();
        let mut next = sender.subscribe();
        let patience = tokio::time::sleep(at_most);
        tokio::pin!(patience);
        loop {
            let rest = next.borrow_and_update().map(left);
            if rest.is_some_and(|rest| rest.is_zero()) {
                return;
            }
            tokio::select! {
                () = &mut patience => return,
                () = tokio::time::sleep(rest.unwrap_or(Duration::MAX)) => return,
                changed = next.changed() => if changed.is_err() { return },
            }
        }
    }
}
