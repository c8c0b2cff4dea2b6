//! The one thread that writes: it takes what has come in meanwhile as a group, and the group shares the syncs.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::index::{Index, IndexError};
use super::keeper::Errand;
use super::mend::Trouble;
use super::plan::{Leases, Plan, Refusal};
use super::{Shared, SledOptions};
use crate::port::{Clock, Guard, JobId, Lease, Queue, Step, StoreError};
use crate::store::journal::{Draft, Journal, JournalError};
use crate::store::lease::Until;

/// Requests that share their syncs.
const GROUP: usize = 64;

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) type Outcomes<T> = Vec<(Answer<T>, Result<T, StoreError>)>;

/// What the thread is asked for.
pub(super) enum Request {
    Apply(Step, Answer<()>),
    Claim {
        queue: Queue,
        span: Duration,
        limit: usize,
        answer: Answer<Vec<Lease>>,
    },
    Renew(Lease, Duration, Answer<Lease>),
    /// Delete the segments before line `upto` that were left behind `keep` ago.
    Prune {
        upto: u64,
        keep: SignedDuration,
        answer: Answer<()>,
    },
    /// Somebody found the index damaged.
    Look,
}

/// The thread's own.
pub(super) struct Owner {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    /// A handle of sled's file: sled's own flush does not wait for the disk.
    pub(super) file: File,
    pub(super) options: SledOptions,
    pub(super) leases: Leases,
    /// The last token; larger than every one that an earlier process gave.
    pub(super) token: u64,
    pub(super) clock: Arc<dyn Clock>,
    /// For what may take long.
    pub(super) errands: Sender<Errand>,
    /// Whose steps stand in the journal and are not answered yet.
    pub(super) owed: Outcomes<()>,
    /// Whether the index must be built anew.
    pub(super) suspect: bool,
    /// One that is put away and still read from.
    pub(super) old: Option<Arc<Index>>,
}

impl Owner {
    /// Serves until nobody can ask any more.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = requests.try_recv()
            {
                group.push(next);
            }
            // A panic drops the group's answers unsent, which says to those who wait that the store is broken.
            let served = catch_unwind(AssertUnwindSafe(|| self.serve(group)));
            let trouble = match served {
                Ok(Ok(())) => continue,
                Ok(Err(trouble)) => trouble,
                Err(_) => {
                    self.journal.distrust();
                    IndexError::Damaged("its thread panicked".into()).into()
                }
            };
            if !self.mend(trouble, &mut requests) {
                return;
            }
        }
    }

    fn serve(&mut self, group: Vec<Request>) -> Result<(), Trouble> {
        if !self.shared.working.load(Ordering::Acquire) {
            return Err(IndexError::Damaged("found while reading".into()).into());
        }
        // The group's requests came at once, so any order is a right one: steps first, for they share the syncs.
        let (mut steps, mut rest) = (Vec::new(), Vec::new());
        for request in group {
            match request {
                Request::Apply(step, answer) => steps.push((step, answer)),
                other => rest.push(other),
            }
        }
        let (mut touched, steps) = self.apply(steps)?;
        self.owed = steps;
        let mut claims = Vec::new();
        let mut renewals = Vec::new();
        for request in rest {
            match request {
                Request::Claim { queue, span, limit, answer } => {
                    touched.push(queue);
                    claims.push((answer, Ok(self.claim(queue, span, limit)?)));
                }
                Request::Renew(lease, span, answer) => {
                    touched.push(lease.job.queue);
                    renewals.push((answer, self.renew(lease, span)));
                }
                Request::Prune { upto, keep, answer } => {
                    let pruned = self.prune(upto, keep);
                    tell(vec![(answer, pruned)]);
                }
                Request::Apply(..) | Request::Look => {}
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().try_for_each(|queue| self.ring(queue))?;
        tell(std::mem::take(&mut self.owed));
        tell(claims);
        tell(renewals);
        Ok(())
    }

    /// Applies steps, to the journal and then to the index: the queues whose jobs changed, and what is to be answered.
    fn apply(&mut self, steps: Vec<(Step, Answer<()>)>) -> Result<(Vec<Queue>, Outcomes<()>), Trouble> {
        let (shared, index) = (Arc::clone(&self.shared), self.shared.index()?);
        let mut plan = Plan::new(&index, &self.leases);
        let (mut drafts, mut answers) = (Vec::new(), Vec::new());
        for (step, answer) in steps {
            let outcome = match plan.step(step) {
                Ok(draft) if draft.events.is_empty() && draft.changes.is_empty() => Ok(()),
                Ok(draft) => {
                    drafts.push(draft);
                    Ok(())
                }
                Err(Refusal::Index(error)) => return Err(error.into()),
                Err(refused) => Err(refused.into()),
            };
            answers.push((answer, outcome));
        }
        if drafts.is_empty() {
            return Ok((Vec::new(), answers));
        }
        // Those that were refused too get the same answer: they may have looked at what was not applied after all.
        let refuse = |refused: StoreError, answers: Outcomes<()>| -> Outcomes<()> {
            answers.into_iter().map(|(answer, _)| (answer, Err(again(&refused)))).collect()
        };
        if let Err(refused) = self.room() {
            return Ok((Vec::new(), refuse(refused, answers)));
        }
        let lines = match self.journal.append(drafts, self.clock.now()) {
            Ok(lines) => lines,
            Err(error) => {
                let refused = refuse(refusal(&error), answers);
                if error.is_full() {
                    // A segment that was begun for these lines may be gone again.
                    self.publish();
                    return Ok((Vec::new(), refused));
                }
                // Whoever is told knows that it does not work until it is mended.
                self.shared.working.store(false, Ordering::Release);
                tell(refused);
                return Err(error.into());
            }
        };
        for (entry, mark) in &lines {
            plan.line(entry, *mark, false)?;
        }
        let (batch, writes) = plan.finish();
        // From here on the steps have happened, whatever becomes of the index.
        for id in &writes.ended {
            self.leases.remove(id);
        }
        self.owed = answers;
        index.write(batch)?;
        fail::fail_point!("store.batch");
        index.sync(&self.file)?;
        fail::fail_point!("store.flush");

        self.publish();
        let answers = std::mem::take(&mut self.owed);
        for (queue, by) in &writes.jobs {
            if let Some(count) = shared.jobs.get(*queue as usize) {
                count.fetch_add(*by, Ordering::Relaxed);
            }
        }
        Ok((writes.jobs.into_keys().collect(), answers))
    }

    /// Shows readers up to where the journal is applied, and in which files it stands.
    pub(super) fn publish(&self) {
        let segments = self.journal.segments();
        if *self.shared.segments() != *segments {
            self.shared.set_segments(segments);
            // When nobody does errands any more, the store is about to close.
            let _ = self.errands.send(Errand::Rotated);
        }
        self.shared.journal_end.store(self.journal.end(), Ordering::Release);
    }

    /// Says in the journal which of its lines go, and deletes their files.
    fn prune(&mut self, upto: u64, keep: SignedDuration) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(pruned) = self.journal.prunable(upto, keep, now) else { return Ok(()) };
        let draft = Draft { pruned: Some(pruned), ..Draft::default() };
        self.journal.append(vec![draft], now).map_err(|error| refusal(&error))?;
        fail::fail_point!("store.prune.said");
        // Readers know before that these go.
        let stay: Vec<_> = self.journal.segments().iter().filter(|segment| segment.first >= pruned.before).cloned().collect();
        self.shared.set_segments(&stay);
        let deleted = self.journal.prune(pruned.before);
        self.shared.set_segments(self.journal.segments());
        deleted.map_err(|error| refusal(&error))
    }

    /// Refuses before the disk is full: what is half-written into sled cannot be taken back.
    pub(super) fn room(&self) -> Result<(), StoreError> {
        self.options.reserve.admits_work(&self.options.dir, 0)
    }

    fn claim(&mut self, queue: Queue, span: Duration, limit: usize) -> Result<Vec<Lease>, IndexError> {
        let mut ids: Vec<JobId> = Vec::new();
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (shared, index) = (Arc::clone(&self.shared), self.shared.index()?);
        let clock = shared.bell.clock();
        let (now, until) = (clock.now(), Until::after(span, clock));
        index.queue(queue, Timestamp::MIN, |due, id| {
            if due > now {
                return Ok(false);
            }
            if self.leases.get(&id).is_none_or(|(_, until)| until.has_come(clock)) {
                ids.push(id);
            }
            Ok(ids.len() < limit)
        })?;
        let mut leases = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(job) = index.job(id)? else { return Err(IndexError::Damaged("a queue names a job that is not there".into())) };
            self.token += 1;
            self.leases.insert(id, (self.token, until));
            leases.push(Lease { job, token: self.token, until: until.wall });
        }
        Ok(leases)
    }

    fn renew(&mut self, lease: Lease, span: Duration) -> Result<Lease, StoreError> {
        let until = Until::after(span, self.shared.bell.clock());
        match self.leases.get_mut(&lease.job.id) {
            Some((token, end)) if *token == lease.token => {
                *end = until;
                Ok(Lease { until: until.wall, ..lease })
            }
            _ => Err(StoreError::Conflict(Box::new(Guard::Held(lease)))),
        }
    }

    /// Tells those who wait for a queue when its next job can be claimed.
    pub(super) fn ring(&self, queue: Queue) -> Result<(), IndexError> {
        let mut next: Option<Timestamp> = None;
        self.shared.index()?.queue(queue, Timestamp::MIN, |due, id| {
            let lease = self.leases.get(&id).map(|(_, until)| due.max(until.by_now(self.shared.bell.clock())));
            let claimable = lease.unwrap_or(due);
            next = Some(next.map_or(claimable, |next| next.min(claimable)));
            // Jobs stand by their due time: behind one that is free none is earlier.
            Ok(lease.is_some())
        })?;
        self.shared.bell.set(queue, next);
        Ok(())
    }
}

/// Answers, when everything that follows from them is in place.
fn tell<T>(outcomes: Outcomes<T>) {
    for (answer, outcome) in outcomes {
        drop(answer.send(outcome));
    }
}

fn refusal(error: &JournalError) -> StoreError {
    match error {
        JournalError::Io { source, path, .. } => crate::store::store_error("writing", path, source),
        _ => StoreError::Broken(error.to_string()),
    }
}

/// The same refusal for everyone of a group.
fn again(refused: &StoreError) -> StoreError {
    match refused {
        StoreError::Full => StoreError::Full,
        other => StoreError::Broken(other.to_string()),
    }
}
