//! Whatever becomes of the time of day, a lease lasts as long as it was given for, and nobody waits longer than they meant to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brevbro::port::{Clock, Op, Queue, Step, Store};
use brevbro::store::{MemoryStore, SledOptions, SledStore};
use jiff::{SignedDuration, Timestamp};

use crate::{at, block, job};

const SPAN: Duration = Duration::from_mins(1);

/// A clock whose two times are moved by hand.
struct ByHand(Mutex<(Timestamp, Duration)>);

impl ByHand {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((at(0), Duration::ZERO))))
    }

    fn pass(&self, span: Duration) {
        let mut times = self.0.lock().unwrap();
        *times = (times.0 + span, times.1 + span);
    }

    fn set(&self, by: SignedDuration) {
        self.0.lock().unwrap().0 += by;
    }
}

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.0.lock().unwrap().1)
    }
}

fn on_each_store(test: impl Fn(&dyn Store, &ByHand)) {
    let clock = ByHand::new();
    test(&MemoryStore::with_clock(Arc::clone(&clock) as Arc<dyn Clock>), &clock);
    let (dir, clock) = (tempfile::tempdir().unwrap(), ByHand::new());
    let options = SledOptions { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..SledOptions::new(dir.path()) };
    test(&SledStore::open(options).unwrap(), &clock);
}

#[test]
fn setting_the_clock_ends_no_lease_and_prolongs_none() {
    on_each_store(|store, clock| {
        let claimed = || block(store.claim(Queue::Send, SPAN, 9)).unwrap();
        block(store.apply(Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))))).unwrap();
        let lease = claimed().remove(0);
        clock.set(SignedDuration::from_hours(24));
        assert_eq!(claimed(), [], "a day forward");
        clock.pass(SPAN / 2);
        let lease = block(store.renew(lease, SPAN)).unwrap();
        clock.set(SignedDuration::from_hours(-24));
        clock.pass(SPAN / 2);
        assert_eq!(claimed(), [], "renewed, and a day back");
        clock.pass(SPAN / 2);
        let again = claimed().remove(0);
        assert_eq!((again.job, again.token > lease.token), (lease.job, true), "over when its time has passed, though the clock says earlier");
    });
}

#[test]
fn who_waits_for_work_is_not_kept_by_a_clock_that_is_put_back() {
    on_each_store(|store, clock| {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| block(store.wait_work(Queue::Send, Duration::from_millis(200))));
            std::thread::sleep(Duration::from_millis(50));
            clock.set(SignedDuration::from_hours(-24));
            // A change of the queue makes it look at the clock again.
            block(store.apply(Step::new().op(Op::Enqueue(job(1, Queue::Send, clock.now() + SPAN))))).unwrap();
            waiting.join().unwrap();
        });
        assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    });
}
