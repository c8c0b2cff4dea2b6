//! One life of a gateway: it ends at a named point, or at a moment, and from then on nothing that it does has an effect.
//!
//! The points are global names (`fail`); which gateway passes one is told by the task that does: every task of a life
//! asks an edge before it passes a point, and each edge notes whose task that is.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id};

/// A point at which a life ends, and the time that it is passed.
#[derive(Debug, Clone)]
pub struct Arm {
    pub point: String,
    pub pass: u32,
}

/// A life.
pub struct Life {
    pub side: usize,
    pub number: u32,
    dead: AtomicBool,
    arm: Mutex<Option<Arm>>,
    over: watch::Sender<bool>,
    tasks: Mutex<Vec<AbortHandle>>,
    /// What makes the state that the end leaves, where that is not just there.
    at_end: Box<dyn Fn() + Send + Sync>,
}

/// What this thread's schedule has passed.
#[derive(Default)]
pub struct Tally {
    owners: HashMap<Id, Arc<Life>>,
    /// How often each point was passed.
    pub passed: BTreeMap<String, u64>,
    /// How often a life ended at each point.
    pub ended: BTreeMap<String, u64>,
    /// Points that were passed by nobody's task: a fault of the harness.
    pub unowned: Vec<String>,
}

thread_local! {
    static PASSED: RefCell<Tally> = RefCell::default();
}

/// What this thread has passed since the last time.
pub fn take_passed() -> Tally {
    PASSED.take()
}

/// Makes every point of these names ask whether a life ends there; once in a process.
pub fn watch_points(names: &[String]) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::mem::forget(fail::FailScenario::setup());
        for name in names {
            let own = name.clone();
            fail::cfg_callback(name.as_str(), move || passed(&own)).unwrap();
        }
    });
}

fn passed(point: &str) {
    let owner = tokio::task::try_id().and_then(|id| PASSED.with_borrow(|passed| passed.owners.get(&id).cloned()));
    match owner {
        Some(life) => life.pass(point),
        None => PASSED.with_borrow_mut(|passed| passed.unowned.push(point.to_owned())),
    }
}

impl Life {
    pub fn new(side: usize, number: u32, arm: Option<Arm>, at_end: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            side,
            number,
            dead: AtomicBool::new(false),
            arm: Mutex::new(arm),
            over: watch::Sender::new(false),
            tasks: Mutex::default(),
            at_end: Box::new(at_end),
        })
    }

    /// Passes a point; the life ends when it is the one.
    pub fn pass(&self, point: &str) {
        if self.is_dead() {
            return;
        }
        PASSED.with_borrow_mut(|passed| *passed.passed.entry(point.to_owned()).or_default() += 1);
        let mut arm = self.arm.lock().unwrap();
        let Some(own) = arm.as_mut().filter(|arm| arm.point == point) else { return };
        own.pass -= 1;
        if own.pass == 0 {
            *arm = None;
            drop(arm);
            PASSED.with_borrow_mut(|passed| *passed.ended.entry(point.to_owned()).or_default() += 1);
            self.end();
        }
    }

    /// Ends it here and now.
    pub fn end(&self) {
        if !self.dead.swap(true, Ordering::SeqCst) {
            (self.at_end)();
            self.over.send_replace(true);
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Returns when it has ended.
    pub async fn ended(&self) {
        let mut over = self.over.subscribe();
        let _ = over.wait_for(|over| *over).await;
    }

    /// Says that the running task is of this life, and never returns when it has ended.
    pub async fn here(self: &Arc<Self>) {
        PASSED.with_borrow_mut(|passed| passed.owners.insert(tokio::task::id(), Arc::clone(self)));
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// What an edge does for this life: nothing of it is begun after the end, and nobody learns of it.
    pub async fn does<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        self.here().await;
        let done = work.await;
        self.here().await;
        done
    }

    /// Runs something as a part of this life; the answer never comes when it ends before.
    pub fn run<T: Send + 'static>(self: &Arc<Self>, work: impl Future<Output = T> + Send + 'static) -> tokio::sync::oneshot::Receiver<T> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let own = Arc::clone(self);
        let task = tokio::spawn(async move {
            let done = own.does(work).await;
            drop(tell.send(done));
        });
        self.tasks.lock().unwrap().push(task.abort_handle());
        told
    }

    /// Where it was to end, if it did not get there.
    pub fn missed(&self) -> Option<Arm> {
        self.arm.lock().unwrap().take()
    }

    /// Drops every task.
    pub fn bury(&self) {
        self.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
    }
}
