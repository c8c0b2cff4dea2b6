//! One node at a time: what several must not do at once, such as watching the same outbox folder.
//!
//! A note in the store names who has the turn, and changes as long as that node lives. Others take the turn when they have seen
//! the same note for a whole term by their own clocks, so it does not matter what time it is anywhere. Who cannot renew the
//! note stops well before that. So two nodes do not have the turn at once, unless one of them is stopped as a whole for
//! longer than a term: what is done in a turn must still be safe then, by marks of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::chance::fresh;
use crate::edge::serving::{Stop, stop};
use crate::ident::NodeName;
use crate::port::{Guard, Key, Op, Step, Store, StoreError};

/// How long nothing may be heard of the node that has the turn.
pub const TERM: Duration = Duration::from_mins(1);

/// A turn that this node takes whenever no other has it.
pub struct Turn {
    store: Arc<dyn Store>,
    key: Key,
    /// What our notes begin with: the node, and this run of it.
    own: String,
    count: u64,
    term: Duration,
}

/// How a turn ended.
enum Ended {
    /// It is time to stop.
    Stopped,
    /// Another node has it, or may have it soon.
    Lost,
}

impl Turn {
    /// The turn for this.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, node: &NodeName, what: &str, term: Duration) -> Self {
        Self { store, key: Key::new("turn", what), own: format!("{node} {}", fresh().simple()), count: 0, term }
    }

    /// Works while this node has the turn, each time that it gets it, until it is time to stop. The work is told to stop when
    /// the turn is lost.
    pub async fn take<F: Future<Output = ()>>(mut self, mut until: Stop, work: impl Fn(Stop) -> F) {
        while !until.is_stopped() {
            let mine = tokio::select! {
                mine = self.get() => mine,
                () = until.stopped() => return,
            };
            match self.hold(mine, &mut until, &work).await {
                Ended::Stopped => return,
                Ended::Lost => tracing::warn!(turn = self.key.as_str(), "another node goes on with it"),
            }
        }
    }

    /// Waits until this node has the turn; the note that says so.
    async fn get(&mut self) -> String {
        let mut seen: Option<(String, Instant)> = None;
        loop {
            let found = match self.store.note(self.key.clone()).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(%error, "nobody can tell whose turn it is");
                    sleep(self.term / 6).await;
                    continue;
                }
            };
            let free = match (&found, &seen) {
                (None, _) => true,
                // Ours: the answer to what wrote it was missed.
                (Some(note), _) if note.starts_with(&self.own) => return note.clone(),
                (Some(note), Some((before, since))) if note == before => since.elapsed() >= self.term,
                (Some(note), _) => {
                    seen = Some((note.clone(), Instant::now()));
                    false
                }
            };
            if free && let Ok(mine) = self.write(found).await {
                tracing::debug!(turn = self.key.as_str(), "it is this node's turn");
                return mine;
            }
            sleep(self.term / 6).await;
        }
    }

    /// Writes our next note over this one.
    async fn write(&mut self, before: Option<String>) -> Result<String, StoreError> {
        self.count += 1;
        let mine = format!("{} {}", self.own, self.count);
        let guard = before.map_or_else(|| Guard::Absent(self.key.clone()), |before| Guard::Noted(self.key.clone(), before));
        self.store.apply(Step::new().guard(guard).op(Op::Note(self.key.clone(), mine.clone()))).await?;
        Ok(mine)
    }

    async fn hold<F: Future<Output = ()>>(&mut self, mut mine: String, until: &mut Stop, work: impl Fn(Stop) -> F) -> Ended {
        let (stopper, stopped) = stop();
        let mut work = std::pin::pin!(work(stopped));
        // Reading the note may have taken as long as its being written.
        let mut safe = Instant::now() + self.term / 3;
        let ended = loop {
            tokio::select! {
                () = &mut work => return self.give_back(mine).await,
                () = until.stopped() => break Ended::Stopped,
                () = sleep(self.term / 6) => {}
            }
            let begun = Instant::now();
            let renewed = tokio::select! {
                () = &mut work => return self.give_back(mine).await,
                renewed = self.renew(&mine) => renewed,
                () = sleep_until(safe) => break Ended::Lost,
            };
            match renewed {
                Ok(Some(note)) => (mine, safe) = (note, begun + self.term * 2 / 3),
                Ok(None) => break Ended::Lost,
                Err(error) => tracing::debug!(%error, "a turn cannot be prolonged"),
            }
        };
        stopper.stop();
        work.await;
        match ended {
            Ended::Stopped => self.give_back(mine).await,
            Ended::Lost => Ended::Lost,
        }
    }

    /// Our new note; none when the turn is somebody else's.
    async fn renew(&mut self, mine: &str) -> Result<Option<String>, StoreError> {
        match self.write(Some(mine.to_owned())).await {
            Ok(note) => Ok(Some(note)),
            // Either it is lost, or an attempt before this one succeeded without our hearing of it.
            Err(StoreError::Conflict(_)) => Ok(self.store.note(self.key.clone()).await?.filter(|note| note.starts_with(&self.own))),
            Err(error) => Err(error),
        }
    }

    /// The next one need not wait.
    async fn give_back(&self, mine: String) -> Ended {
        let step = Step::new().guard(Guard::Noted(self.key.clone(), mine)).op(Op::Forget(self.key.clone()));
        if let Err(error) = self.store.apply(step).await {
            tracing::debug!(%error, "a turn is not given back; it ends by itself");
        }
        Ended::Stopped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::MemoryStore;

    /// Short, and long enough for a busy machine.
    const SHORT: Duration = Duration::from_millis(600);

    /// Who works, and how many did at most at once.
    #[derive(Default)]
    struct Bench {
        now: AtomicUsize,
        most: AtomicUsize,
        begun: AtomicUsize,
    }

    fn run(store: &Arc<dyn Store>, bench: &Arc<Bench>, name: &str) -> (crate::edge::serving::Stopper, tokio::task::JoinHandle<()>) {
        let turn = Turn::new(Arc::clone(store), &name.parse().unwrap(), "folder", SHORT);
        let (stopper, stopped) = stop();
        let bench = Arc::clone(bench);
        let task = tokio::spawn(async move {
            let work = |mut until: Stop| {
                let bench = Arc::clone(&bench);
                async move {
                    let at_once = bench.now.fetch_add(1, Ordering::SeqCst) + 1;
                    bench.most.fetch_max(at_once, Ordering::SeqCst);
                    bench.begun.fetch_add(1, Ordering::SeqCst);
                    let _leaving = Leaving(Arc::clone(&bench));
                    until.stopped().await;
                }
            };
            turn.take(stopped, work).await;
        });
        (stopper, task)
    }

    struct Leaving(Arc<Bench>);

    impl Drop for Leaving {
        fn drop(&mut self) {
            self.0.now.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn wait_for(what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_mins(1);
        while !is_so() {
            assert!(Instant::now() < until, "{what}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_node_that_dies_or_leaves_is_followed_by_another_and_two_never_work_at_once() {
        let (store, bench): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), Arc::new(Bench::default()));
        let begun = |count: usize| {
            let bench = Arc::clone(&bench);
            move || bench.begun.load(Ordering::SeqCst) >= count
        };
        let (_keep, first) = run(&store, &bench, "a");
        wait_for("the first works", begun(1)).await;
        let (leave, second) = run(&store, &bench, "b");
        sleep(SHORT * 3).await;
        assert_eq!(bench.begun.load(Ordering::SeqCst), 1, "the first lives, so the second waits");
        first.abort();
        wait_for("the second follows the dead one", begun(2)).await;
        let (last, third) = run(&store, &bench, "c");
        let before = Instant::now();
        leave.stop();
        second.await.unwrap();
        wait_for("the third follows the one that left", begun(3)).await;
        assert!(before.elapsed() < SHORT, "it need not wait for a term");
        last.stop();
        third.await.unwrap();
        assert_eq!((bench.most.load(Ordering::SeqCst), bench.now.load(Ordering::SeqCst)), (1, 0));
        assert_eq!(store.note(Key::new("turn", "folder")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_turn_that_somebody_else_has_taken_is_over() {
        let (store, bench): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), Arc::new(Bench::default()));
        let (stopper, task) = run(&store, &bench, "a");
        wait_for("it works", || bench.now.load(Ordering::SeqCst) == 1).await;
        let key = Key::new("turn", "folder");
        store.apply(Step::new().op(Op::Note(key.clone(), "b other 1".into()))).await.unwrap();
        wait_for("it stops", || bench.now.load(Ordering::SeqCst) == 0).await;
        // The other one is never heard of again.
        wait_for("it goes on", || bench.begun.load(Ordering::SeqCst) == 2).await;
        stopper.stop();
        task.await.unwrap();
    }
}
