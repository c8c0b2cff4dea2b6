//! Who goes when: earlier messages of a conversation first, and each destination in its own [lane](super::lanes).
//!
//! Who has to wait is put off in the store, without having cost an attempt, and called when it may go. A call may be lost, with
//! the process that would have made it: each looks by itself when it has waited for as long as before, or half an hour.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::chance::fresh;
use super::effects::{Outcome, from_store};
use super::lanes::{Destination, Ended, Pass, Turn, Waits};
use super::{Gateway, Mailbox, Node};
use crate::as4::Code;
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::RecordId;
use crate::mail::alarm::Cause;
use crate::outbound::retry::{Schedule, later};
use crate::outbound::send::{self, Attempted};
use crate::outbound::turn::{self, Earlier, Why};
use crate::outbound::{Cargo, Outgoing, Submitted};
use crate::port::{Delay, Fail, Guard, Job, Lease, Op, Queue, SinkAnswer, SinkError, Step, Tell};

/// How long a job that waits for its turn is put off at most, give or take a fifth.
const LOOKS_AFTER: Duration = Duration::from_mins(30);
/// Letters of a conversation that ended without having been sent, one after another, and are looked past.
const LOOKED_PAST: usize = 32;
/// Jobs that are called in one step.
const CALLED: usize = 64;
/// Jobs that are looked at at once for a due time that cannot be.
const LOOKED_AT: usize = 500;
/// How often they are looked at.
const LOOKS_EVERY: Duration = Duration::from_mins(1);

impl Node {
    /// The letter that has to go before this one, where there is one.
    pub(super) async fn earlier(&self, state: &Submitted) -> Result<Option<Outgoing>, Failure> {
        let Cargo::Letter(letter) = &state.cargo else { return Ok(None) };
        let mut before = letter.after;
        if before.is_none() || self.now() >= turn::waits_until(letter, self.schedule(&letter.organisation)) {
            return Ok(None);
        }
        for _ in 0..LOOKED_PAST {
            let Some(id) = before else { break };
            // What is no longer kept has ended long ago.
            let Some(record) = self.store.record(id).await.map_err(|error| from_store(&error))? else { break };
            let earlier = Outgoing::from_record(&record)?;
            match turn::judge(&earlier) {
                Earlier::OnItsWay => return Ok(Some(earlier)),
                Earlier::Gone => break,
                Earlier::Never(one_more) => before = one_more,
            }
        }
        Ok(None)
    }

    /// Puts a message off behind an earlier one of its conversation.
    pub(super) async fn stand_behind(&self, state: Submitted, lease: Lease, earlier: &Outgoing) -> Result<Outcome, Failure> {
        let why = "an earlier message of its conversation is first";
        self.put_off_message(Attempted::Submitted(state), lease, why, Fail::AccessPoint, Some(earlier)).await
    }

    /// Puts a message off that has no place in its lane, or gives it up when its time has run out and its destination is down.
    pub(super) async fn wait_in_lane(&self, state: Attempted, lease: Lease, to: &Destination, waits: Waits) -> Result<Outcome, Failure> {
        let (cargo, moment) = (state.cargo(), self.moment());
        let schedule = self.schedule(cargo.organisation());
        let (fail, blame) = match to {
            Destination::Dns | Destination::Smp(_) => (Fail::Directory, Blame::Federation),
            Destination::AccessPoint(_) | Destination::MailServer(_) => (Fail::AccessPoint, Blame::Peer),
        };
        match waits {
            Waits::Behind => self.put_off_message(state, lease, &format!("others to {to} are before it"), fail, None).await,
            // The probes were attempts for all that wait.
            Waits::Shut(failed) if failed >= schedule.least() && moment.now > schedule.last_at(cargo.since(), moment) => {
                let what = format!("{to} was down until the time for it ran out: {}", self.lanes.why(to));
                let mut failure = Failure::temporary(Stage::Send, blame, what);
                if fail == Fail::AccessPoint {
                    failure = failure.about(Field::ErrorCode, Code::ConnectionFailure.text());
                }
                self.carry_out("send", send::given_up(state, lease, &failure, fail, moment.now)?).await
            }
            Waits::Shut(_) => {
                let why = format!("{to} is down, and is tried again from time to time");
                self.put_off_message(state, lease, &why, fail, None).await
            }
        }
    }

    async fn put_off_message(&self, state: Attempted, lease: Lease, words: &str, fail: Fail, behind: Option<&Outgoing>) -> Result<Outcome, Failure> {
        let (cargo, moment, told) = (state.cargo(), self.moment(), state.is_told());
        let (schedule, since) = (self.schedule(cargo.organisation()), cargo.since());
        let late = Some(schedule.late_at(since)).filter(|at| !told && *at > moment.now);
        let last = Some(schedule.last_at(since, moment)).filter(|at| *at > moment.now);
        let due = late.into_iter().chain(last).fold(looks_at(moment.now, since, schedule), Timestamp::min);
        let delay = if fail == Fail::Directory { Delay::Directory { next: due } } else { Delay::AccessPoint { next: due } };
        let effects = turn::put_off(state, lease, Why { words, delay, behind }, due, schedule, moment.now)?;
        self.carry_out("put-off", effects).await
    }

    /// A place in the lane to a mail server; without one the job is put off, for as long as it takes: what is to be delivered is
    /// ours to look after.
    pub(super) async fn enter_mail(&self, to: &Destination, lease: &Lease, since: Timestamp) -> Result<Result<Pass, Outcome>, Failure> {
        if let Ok(pass) = self.lanes.enter(to, lease.job.id, lease.job.record, since) {
            return Ok(Ok(pass));
        }
        let job = Job { due: looks_at(self.now(), since, &self.settings.schedule), ..lease.job.clone() };
        let step = Step::new().guard(Guard::Held(lease.clone())).op(Op::Complete(lease.clone())).op(Op::Enqueue(job));
        self.carry_out("put-off", step.into()).await.map(Err)
    }

    /// Leaves a place: whether the message fails by itself, while others get through.
    pub(super) async fn leave(&self, pass: Option<Pass>, ended: Ended, why: &str) -> bool {
        let Some(pass) = pass else { return false };
        let to = pass.to().clone();
        if matches!(ended, Ended::Unreached(_)) {
            self.lanes.remember(&to, why);
        }
        let (turn, yields) = pass.end(ended, Self::random());
        if let Some(turn) = turn
            && let Err(failure) = self.turned(&to, turn, why).await
        {
            tracing::warn!(what = failure.what, "the operator cannot be told of a destination");
        }
        yields
    }

    /// Leaves a place in the lane to a mail server.
    pub(super) async fn leave_mail(&self, pass: Pass, answer: &Result<SinkAnswer, SinkError>) {
        let (ended, why) = match answer {
            Ok(_) => (Ended::Taken, String::new()),
            Err(error) if error.is_of_the_server() => (Ended::Unreached(None), error.to_string()),
            Err(error) => (Ended::Answered, error.to_string()),
        };
        self.leave(Some(pass), ended, &why).await;
    }

    async fn turned(&self, to: &Destination, turn: Turn, why: &str) -> Result<(), Failure> {
        match turn {
            Turn::Shut => {
                tracing::warn!(%to, why, "a destination is down; it is tried from time to time, and what is for it waits");
                Ok(())
            }
            Turn::StillShut(span) if span < self.lanes.options().told_after => Ok(()),
            Turn::StillShut(span) => self.tell_down(to, span, why).await,
            Turn::Opens(span) => {
                tracing::info!(%to, seconds = span.as_secs(), "a destination is back; what has waited goes in its order");
                self.tell_back(to).await
            }
            Turn::First => self.tell_back(to).await,
        }
    }

    /// Tells the operator once, whichever of several nodes finds it.
    async fn tell_down(&self, to: &Destination, span: Duration, why: &str) -> Result<(), Failure> {
        let (key, now) = (to.down(), self.now());
        if self.store.note(key.clone()).await.map_err(|error| from_store(&error))?.is_some() {
            return Ok(());
        }
        let what = format!("{to} has been down for {} minutes: {why}", span.as_secs() / 60);
        let hint = "what is for it waits and goes by itself when it answers again; it is tried every few minutes";
        let step = Step::new().guard(Guard::Absent(key.clone())).op(Op::Note(key, now.to_string()));
        self.tell_of(step, to, EventName::DestinationDown, Cause::DestinationDown, &what, hint).await
    }

    async fn tell_back(&self, to: &Destination) -> Result<(), Failure> {
        let key = to.down();
        let Some(note) = self.store.note(key.clone()).await.map_err(|error| from_store(&error))? else { return Ok(()) };
        let what = format!("{to} answers again; the operator was told at {note} that it was down");
        let step = Step::new().guard(Guard::Noted(key.clone(), note)).op(Op::Forget(key));
        self.tell_of(step, to, EventName::DestinationBack, Cause::DestinationBack, &what, "nothing needs to be done").await
    }

    async fn tell_of(&self, step: Step, to: &Destination, name: EventName, cause: Cause, what: &str, hint: &str) -> Result<(), Failure> {
        let (record, now) = (RecordId(fresh()), self.now());
        let event = Event::new(now, name).with(Field::Destination, to.name()).with(Field::Cause, what);
        let step = step.op(Tell::facts(record, &event)).op(Op::Audit(event)).op(Tell::alarm(cause, what, hint).job(record, "alarm", now));
        self.carry_out("destination", step.into()).await.map(drop)
    }

    /// Who waits for a letter that has moved on is due at once.
    pub(super) async fn hasten_next(&self, gone: RecordId) {
        let hastened = async {
            let Some(note) = self.store.note(turn::next(gone)).await.map_err(|error| from_store(&error))? else { return Ok(()) };
            let Some(waiting) = turn::read(&note) else { return Ok(()) };
            self.store.apply(turn::hasten(gone, waiting, self.now())).await.map_err(|error| from_store(&error))
        };
        if let Err(failure) = hastened.await {
            tracing::warn!(record = %gone, what = failure.what, "the next message of a conversation is not hastened; it comes by itself");
        }
    }
}

/// Calls those who wait in a lane when there is a place for them, until told to stop.
pub(super) async fn call_waiting(node: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let calls = node.lanes.call();
        let mut hastened = Step::new();
        for (since, job) in &calls.jobs {
            // Another node may have done it, or it was cancelled.
            if matches!(node.store.job(*job).await, Ok(None)) {
                node.lanes.strike_out(*job);
            } else {
                // Due when it came: that is the order in which jobs are claimed.
                hastened = hastened.op(Op::Hasten(*job, *since));
            }
        }
        let gone = hastened.ops.len() < calls.jobs.len();
        if !hastened.ops.is_empty()
            && let Err(error) = node.store.apply(hastened).await
        {
            tracing::warn!(%error, "jobs that may go now are not hastened; they come by themselves");
        }
        if gone {
            continue;
        }
        let next = async {
            match calls.next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = node.lanes.changed() => {}
            () = next => {}
            _ = stop.changed() => {}
        }
    }
}

/// Looks for jobs that are due so late as none can be, until told to stop: their due times were reckoned by a clock that was
/// ahead and has been put back since.
pub(super) async fn judge_due_times(node: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        for queue in node.queues() {
            if let Err(failure) = node.bring_forward(queue).await {
                tracing::warn!(?queue, what = failure.what, "due times cannot be looked at");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOKS_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}

impl Gateway {
    async fn bring_forward(&self, queue: Queue) -> Result<(), Failure> {
        let Some(latest) = self.latest(queue) else { return Ok(()) };
        let now = self.now();
        let late = self.store.jobs(queue, later(now, latest), LOOKED_AT).await.map_err(|error| from_store(&error))?;
        for jobs in late.chunks(CALLED) {
            tracing::warn!(?queue, jobs = jobs.len(), "jobs are due later than any can be: the clock was ahead; they are due now");
            let spread = |job: &Job| later(now, Duration::from_millis(u64::from_le_bytes(first_octets(job)) % 30_000));
            let step = jobs.iter().fold(Step::new(), |step, job| step.op(Op::Hasten(job.id, spread(job))));
            self.store.apply(step).await.map_err(|error| from_store(&error))?;
        }
        Ok(())
    }

    /// The longest that a job of a queue is ever put off; `None` where that is for days, by design.
    fn latest(&self, queue: Queue) -> Option<Duration> {
        let mail = self.mail().map(|side| &side.mail.delivery);
        let schedules = || self.participants.iter().map(|own| &own.schedule).chain([&self.settings.schedule]).chain(mail);
        // Jitter, and what a peer asks for on top.
        let longest = schedules().map(|schedule| schedule.longest).max().unwrap_or_default().max(LOOKS_AFTER) * 2;
        match queue {
            Queue::Send | Queue::Open | Queue::Answer | Queue::Notify => Some(longest),
            // A pair that is held is for a day at most.
            Queue::Seal => Some(longest.max(Duration::from_hours(25))),
            // By the clock, where no office hours stretch it.
            Queue::Await if schedules().all(|schedule| schedule.hours.is_none()) => {
                Some(schedules().map(|schedule| schedule.receipt_within).max().unwrap_or_default() + longest)
            }
            // What is to be deleted is for years.
            Queue::Await | Queue::Purge => None,
            Queue::Deliver => {
                let organisations = self.mail().map(|side| side.household.organisations.as_slice()).unwrap_or_default();
                let reminders = organisations.iter().flat_map(|own| &own.mailboxes).filter_map(Mailbox::reminds_after);
                Some(reminders.max().unwrap_or_default() + longest)
            }
        }
    }
}

/// When a job that has waited since then looks for its turn by itself, if nobody calls it: after as long again. So a lost call
/// keeps nobody for more than twice as long, and those who wait for hours ask seldom.
fn looks_at(now: Timestamp, since: Timestamp, schedule: &Schedule) -> Timestamp {
    let longest = schedule.longest.min(LOOKS_AFTER);
    let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let fifth = waited.clamp(schedule.first.min(longest), longest) / 5;
    let jitter = Duration::from_millis(Node::random() % u64::try_from(2 * fifth.as_millis()).unwrap_or(1).max(1));
    later(now, 4 * fifth + jitter)
}

/// A number that differs from job to job.
fn first_octets(job: &Job) -> [u8; 8] {
    job.id.0.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_looks_by_itself_after_as_long_again_and_every_half_hour_at_last() {
        let (schedule, since) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        for (waited, least, most) in [(0, 24, 36), (60, 48, 72), (600, 480, 720), (86_400, 1_440, 2_160)] {
            let now = later(since, Duration::from_secs(waited));
            let pause = looks_at(now, since, &schedule).duration_since(now).as_secs();
            assert!((least..=most).contains(&pause), "after {waited} s: {pause}");
        }
        let seconds = Duration::from_secs;
        let short = Schedule { first: seconds(1), longest: seconds(2), ..schedule };
        assert!(looks_at(later(since, seconds(90)), since, &short) <= later(since, seconds(93)));
        assert!(looks_at(since, later(since, seconds(90)), &short) > since, "the clock was put back");
    }
}
