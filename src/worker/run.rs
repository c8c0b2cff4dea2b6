//! Claiming jobs and running them, so many of each queue at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::effects::Outcome;
use super::traffic::{call_waiting, judge_due_times};
use super::{Gateway, Node};
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::mail::alarm::Cause;
use crate::outbound::retry::later;
use crate::port::{Guard, Job, Lease, Op, Queue, Step, StoreError, Tell};

/// How long a job is leased. It is renewed at a third while the job runs; after a crash it is taken back when it ends.
const LEASE: Duration = Duration::from_mins(1);

/// How often, a second apart, it is tried to put a failed job back before that is left to the end of its lease.
const INSISTENCE: u32 = 20;

/// The longest wait between two looks for work.
const LOOK: Duration = Duration::from_secs(30);

/// All queues' workers, until they are told to stop.
pub struct Crew {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Crew {
    /// Starts a worker for every queue of the node.
    #[must_use]
    pub fn start(gateway: &Arc<Gateway>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for queue in gateway.queues() {
            tasks.spawn(work(Arc::clone(gateway), queue, stopped.clone()));
        }
        tasks.spawn(call_waiting(Arc::clone(gateway), stopped.clone()));
        tasks.spawn(judge_due_times(Arc::clone(gateway), stopped));
        Self { tasks, stop }
    }

    /// Claims no more jobs, and returns when the running ones have ended.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// How many jobs of a queue run at once: the ones that compute are bound by cores, the ones that wait are not. Of those that wait
/// there are more than go to one destination, so that a slow one does not have them all.
fn slots(gateway: &Gateway, queue: Queue) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    match queue {
        Queue::Seal | Queue::Open | Queue::Answer => cores.max(2),
        Queue::Send => gateway.lanes.options().at_once.max(1),
        Queue::Deliver | Queue::Notify => 24,
        Queue::Await => 4,
        Queue::Purge => 2,
    }
}

async fn work(gateway: Arc<Gateway>, queue: Queue, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(slots(&gateway, queue)));
    let mut running = JoinSet::new();
    while !*stop.borrow() {
        let free = tokio::select! {
            free = Arc::clone(&slots).acquire_owned() => free,
            _ = stop.changed() => break,
        };
        let Ok(free) = free else { break };
        let leases = match gateway.store.claim(queue, LEASE, 1 + slots.available_permits()).await {
            Ok(leases) => leases,
            Err(error) => {
                tracing::error!(?queue, %error, "jobs cannot be claimed");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if leases.is_empty() {
            drop(free);
            tokio::select! {
                () = gateway.store.wait_work(queue, LOOK) => {}
                _ = stop.changed() => {}
            }
            continue;
        }
        let mut first = Some(free);
        for lease in leases {
            let permit = match first.take() {
                Some(permit) => Ok(permit),
                None => Arc::clone(&slots).acquire_owned().await,
            };
            let gateway = Arc::clone(&gateway);
            running.spawn(async move {
                let _permit = permit;
                gateway.run(lease).await;
            });
        }
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
}

impl Gateway {
    /// Runs one job; whatever goes wrong, the job is there again later.
    async fn run(&self, lease: Lease) {
        let (queue, record) = (lease.job.queue, lease.job.record);
        let renewed = self.keep(&lease);
        let outcome = tokio::select! {
            outcome = self.dispatch(lease.clone()) => outcome,
            () = renewed => {
                tracing::warn!(?queue, %record, "the lease was lost; the job is someone else's now");
                return;
            }
        };
        match outcome {
            Ok(Outcome::Applied) => {}
            Ok(Outcome::Overtaken) => self.look_again(lease).await,
            Err(failure) => self.postpone(lease, &failure).await,
        }
    }

    async fn dispatch(&self, lease: Lease) -> Result<Outcome, Failure> {
        match (lease.job.queue, self.access_point(), self.mail()) {
            (Queue::Send, Some(side), _) => side.send(lease).await,
            (Queue::Seal, _, Some(side)) => side.seal(lease).await,
            (Queue::Await, _, Some(side)) => side.attend(lease).await,
            (Queue::Open, _, Some(side)) => side.open(lease).await,
            (Queue::Deliver, _, Some(side)) => side.deliver(lease).await,
            (Queue::Answer, _, Some(side)) => side.answer(lease).await,
            (Queue::Notify, _, Some(side)) => side.notify(lease).await,
            (Queue::Purge, _, Some(side)) => side.purge(lease).await,
            (queue, ..) => Err(Failure::permanent(Stage::Store, Blame::Us, format!("a job of {queue:?} is none of this node's"))),
        }
    }

    /// Renews the lease until it is lost; never returns while it is held.
    async fn keep(&self, lease: &Lease) {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            match self.store.renew(lease.clone(), LEASE).await {
                Ok(_) => {}
                Err(StoreError::Conflict(_)) => return,
                Err(error) => tracing::warn!(%error, "a lease cannot be renewed"),
            }
        }
    }

    /// What the step was decided on has changed meanwhile: the job, if it is still there, is decided anew.
    async fn look_again(&self, lease: Lease) {
        tracing::debug!(queue = ?lease.job.queue, record = %lease.job.record, "overtaken");
        let (due, note) = (later(self.now(), Duration::from_millis(200)), lease.job.note.clone());
        let step = Step::new().guard(Guard::Held(lease.clone())).op(Op::Reschedule { lease, due, note });
        match self.apply(step).await {
            // It is done, cancelled, or someone else's.
            Ok(()) | Err(StoreError::Conflict(_)) => {}
            Err(error) => tracing::error!(%error, "a job cannot be put back; it comes back when its lease ends"),
        }
    }

    /// A failure that no step decided on: the job is due again later, and the operator finds it in the journal.
    ///
    /// When it lies with others and will pass, the operator is troubled only if it lasts.
    async fn postpone(&self, lease: Lease, failure: &Failure) {
        let now = self.clock.now();
        let elsewhere = failure.is_temporary() && failure.blame != Blame::Us;
        // After half a minute, or after twenty.
        let (name, patience) = if elsewhere { (EventName::Postponed, 8) } else { (EventName::Faulted, 3) };
        tracing::error!(queue = ?lease.job.queue, record = %lease.job.record, stage = ?failure.stage, what = %failure.what, hint = %failure.hint, "a job failed");
        let wait = pause(lease.job.attempt, Node::random());
        let mut event = Event::new(now, name).with(Field::Cause, &failure.what).with(Field::Attempt, lease.job.attempt + 1);
        event.record = Some(lease.job.record);
        let mut step = Step::new().guard(Guard::Held(lease.clone())).op(Op::Audit(event));
        if lease.job.attempt == patience && lease.job.queue != Queue::Notify {
            step = step.op(Tell::alarm(Cause::Fault, &failure.what, &failure.hint).job(
                lease.job.record,
                &format!("fault-{}", lease.job.id.0.simple()),
                now,
            ));
        }
        let note = match lease.job.queue {
            Queue::Answer | Queue::Notify | Queue::Purge => lease.job.note.clone(),
            Queue::Seal | Queue::Send | Queue::Await | Queue::Open | Queue::Deliver => Job::cause(&failure.what),
        };
        self.insist(step.op(Op::Reschedule { lease, due: later(now, wait), note })).await;
    }

    /// Puts a job back, again and again for a while: a disk that was full may soon have room.
    async fn insist(&self, step: Step) {
        for attempt in 0..INSISTENCE {
            match self.apply(step.clone()).await {
                // It is done, cancelled, or someone else's.
                Ok(()) | Err(StoreError::Conflict(_)) => return,
                Err(error) if attempt == 0 => tracing::error!(%error, "a failed job cannot be postponed yet"),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tracing::error!("a failed job cannot be postponed; it comes back when its lease ends");
    }
}

/// The wait after a failure that nobody decided on: 5, 10, 20 … seconds up to twenty minutes, give or take a fifth, so that what
/// failed together does not come together again.
fn pause(attempt: u32, random: u64) -> Duration {
    Duration::from_millis((5 << attempt.min(8)) * (800 + random % 400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_vary_by_a_fifth() {
        assert_eq!([0, 1, 2].map(|attempt| pause(attempt, 200).as_secs()), [5, 10, 20]);
        assert_eq!((pause(0, 0).as_millis(), pause(0, 399).as_millis()), (4_000, 5_995));
        assert!(pause(u32::MAX, 399) < Duration::from_mins(26) && pause(8, 0) == pause(800, 0));
    }
}
