//! One lane to each destination, so that no destination takes the others' places, and one that is down is left alone.
//!
//! ```text
//!              k failures in a row, or it asks to be left alone
//!   ┌─ open ◀──────────────────────────────────────────────▶ shut ─┐ one probe at a time,
//!   │    ▲                                                    │     │ further and further apart
//!   │    └──────────────── opening ◀──────────────────────────┘ ◀───┘
//!   │  so many at once        one by one, faster and faster      a probe got through
//! ```
//!
//! A job that finds no place is put off in the store and remembered here by its name, the oldest first; when there is a place
//! it is hastened. What is remembered is a help and no more: a job that nobody calls comes by itself when it is due. So
//! a restart forgets nothing, and each node of several keeps lanes of its own.

mod destination;
mod lane;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) use self::destination::Destination;
pub(super) use self::lane::{Ended, Turn, Waits};
use self::lane::{Lane, Who};
use crate::ident::RecordId;
use crate::outbound::retry::Schedule;
use crate::port::JobId;

/// Jobs that are remembered in all lanes together. More wait until they are due.
const REMEMBERED: usize = 100_000;
/// Jobs that an operator wants tried now and that have not come yet.
const URGENT: usize = 10_000;
/// Lanes that nothing happens in are forgotten beyond this number.
const LANES: usize = 1_000;

/// How many go at once, and how long a destination that is down is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneOptions {
    /// Messages that are sent at once, wherever to.
    pub at_once: usize,
    /// To one access point.
    pub to_access_point: usize,
    /// To one mail server.
    pub to_mail_server: usize,
    /// Questions to one SMP, and to DNS.
    pub to_directory: usize,
    /// The wait before the first probe. Each is twice as long as the last, up to five minutes or [`Self::longest`].
    pub first: Duration,
    /// The longest wait, also where the other side asks for a longer one.
    pub longest: Duration,
    /// After how long the operator is told.
    pub told_after: Duration,
}

impl LaneOptions {
    /// The waits of a schedule, with 64 places in all, four to each access point and eight to each mail server and each SMP.
    #[must_use]
    pub fn of(schedule: &Schedule) -> Self {
        let Schedule { first, longest, delay_after, .. } = schedule;
        Self { at_once: 64, to_access_point: 4, to_mail_server: 8, to_directory: 8, first: *first, longest: *longest, told_after: *delay_after }
    }
}

/// Those that are called, and when to look again.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Since when each has waited, and its name.
    pub(super) jobs: Vec<(Timestamp, JobId)>,
    /// When to look again, where nobody says so before.
    pub(super) next: Option<Instant>,
}

/// All lanes.
pub struct Lanes {
    options: LaneOptions,
    all: Mutex<BTreeMap<Destination, Lane>>,
    /// Jobs that go when they come next, though a lane be shut.
    urgent: Mutex<BTreeSet<JobId>>,
    changed: Notify,
}

impl Lanes {
    /// Lanes that nothing is known of yet.
    #[must_use]
    pub fn new(options: LaneOptions) -> Arc<Self> {
        Arc::new(Self { options, all: Mutex::default(), urgent: Mutex::default(), changed: Notify::new() })
    }

    pub(super) fn options(&self) -> &LaneOptions {
        &self.options
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Destination, Lane>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn urgent(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        self.urgent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operator wants it tried now: it does not wait until a destination that is down gets its next probe.
    pub(super) fn insist(&self, job: JobId) {
        let mut urgent = self.urgent();
        if urgent.len() < URGENT {
            urgent.insert(job);
        }
    }

    fn places(&self, to: &Destination) -> usize {
        match to {
            Destination::AccessPoint(_) => self.options.to_access_point,
            Destination::MailServer(_) => self.options.to_mail_server,
            Destination::Dns | Destination::Smp(_) => self.options.to_directory,
        }
        .max(1)
    }

    /// A place for a job that has waited since then, or where it stands.
    pub(super) fn enter(self: &Arc<Self>, to: &Destination, job: JobId, record: RecordId, since: Timestamp) -> Result<Pass, Waits> {
        let (now, places) = (Instant::now(), self.places(to));
        let mut lanes = self.lock();
        if lanes.len() >= LANES && !lanes.contains_key(to) {
            lanes.retain(|_, lane| !lane.is_idle());
        }
        let lane = lanes.entry(to.clone()).or_insert_with(Lane::new);
        let called = lane.called.remove(&job).is_some();
        lane.forget_absent(now);
        let first = lane.waiting.first().is_none_or(|first| (since, job) <= *first);
        // Places that others were called to are theirs.
        let goes = if self.urgent().remove(&job) {
            lane.running < places
        } else if called {
            lane.still_admits(now, places)
        } else {
            first && lane.admits(now, places)
        };
        if goes {
            lane.waiting.remove(&(since, job));
            if !called {
                lane.opens_further(now);
            }
            lane.running += 1;
            return Ok(Pass { lanes: Arc::clone(self), to: to.clone(), who: Who { job, record, since }, over: false });
        }
        let waits = if lane.is_shut() { Waits::Shut(lane.failed) } else { Waits::Behind };
        let remembered: usize = lanes.values().map(|lane| lane.waiting.len()).sum();
        if remembered < REMEMBERED
            && let Some(lane) = lanes.get_mut(to)
        {
            lane.waiting.insert((since, job));
        }
        drop(lanes);
        self.changed.notify_one();
        Err(waits)
    }

    /// Calls those for whom there is a place.
    pub(super) fn call(&self) -> Calls {
        let now = Instant::now();
        let mut calls = Calls::default();
        for (to, lane) in self.lock().iter_mut() {
            if lane.waiting.is_empty() && lane.called.is_empty() {
                continue;
            }
            calls.jobs.extend(lane.call(now, self.places(to)));
            calls.next = calls.next.into_iter().chain(lane.next_look()).min();
        }
        calls
    }

    /// Keeps why the last attempt failed.
    pub(super) fn remember(&self, to: &Destination, why: &str) {
        if let Some(lane) = self.lock().get_mut(to) {
            why.clone_into(&mut lane.why);
        }
    }

    /// Why the last attempt failed; nothing, when none has failed yet.
    pub(super) fn why(&self, to: &Destination) -> String {
        self.lock().get(to).map(|lane| lane.why.clone()).unwrap_or_default()
    }

    /// Somebody who was called will not come: the job is gone.
    pub(super) fn strike_out(&self, job: JobId) {
        for lane in self.lock().values_mut() {
            lane.called.remove(&job);
        }
    }

    /// Returns when something has changed that may make a place.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// A place in a lane, until it is dropped.
pub(super) struct Pass {
    lanes: Arc<Lanes>,
    to: Destination,
    who: Who,
    over: bool,
}

impl Pass {
    /// Where it leads.
    pub(super) fn to(&self) -> &Destination {
        &self.to
    }

    /// Says how the attempt ended: what that did to the lane, and whether the message is one that fails by itself.
    /// `random` is any number.
    pub(super) fn end(mut self, ended: Ended, random: u64) -> (Option<Turn>, bool) {
        self.over = true;
        #[expect(clippy::cast_precision_loss, reason = "ten bits of randomness are exact")]
        let jitter = 0.8 + 0.4 * ((random % 1024) as f64 / 1024.0);
        let mut lanes = self.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.to) else { return (None, false) };
        lane.running = lane.running.saturating_sub(1);
        let ended = lane.ended(&self.who, ended, Instant::now(), &self.lanes.options, jitter);
        drop(lanes);
        self.lanes.changed.notify_one();
        ended
    }
}

impl Drop for Pass {
    /// An attempt that came to nothing by our own doing says nothing of the destination.
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Some(lane) = self.lanes.lock().get_mut(&self.to) {
            lane.running = lane.running.saturating_sub(1);
        }
        self.lanes.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Arc<Lanes> {
        Lanes::new(LaneOptions { to_access_point: 2, ..LaneOptions::of(&Schedule::default()) })
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(test);
    }

    fn to(place: &str) -> Destination {
        Destination::AccessPoint(place.to_owned())
    }

    fn job(n: u64) -> JobId {
        JobId(uuid::Uuid::from_u128(n.into()))
    }

    fn enter(lanes: &Arc<Lanes>, place: &str, n: u64) -> Result<Pass, Waits> {
        let since = Timestamp::from_second(i64::try_from(n).unwrap()).unwrap();
        lanes.enter(&to(place), job(n), RecordId(uuid::Uuid::from_u128(n.into())), since)
    }

    fn called(lanes: &Lanes) -> Vec<JobId> {
        lanes.call().jobs.into_iter().map(|(_, job)| job).collect()
    }

    fn fail(lanes: &Arc<Lanes>, place: &str, n: u64) -> Option<Turn> {
        enter(lanes, place, n).ok().unwrap().end(Ended::Unreached(None), 512).0
    }

    #[test]
    fn a_slow_destination_takes_its_own_places_only() {
        run(async {
            let lanes = lanes();
            let slow = [enter(&lanes, "slow", 1).ok().unwrap(), enter(&lanes, "slow", 2).ok().unwrap()];
            assert_eq!(enter(&lanes, "slow", 4).err(), Some(Waits::Behind));
            assert_eq!(enter(&lanes, "slow", 3).err(), Some(Waits::Behind));
            assert!(enter(&lanes, "other", 5).is_ok());
            assert_eq!(called(&lanes), []);
            drop(slow);
            assert_eq!(called(&lanes), [job(3), job(4)], "the oldest first");
            assert_eq!(enter(&lanes, "slow", 6).err(), Some(Waits::Behind), "nobody goes before those who were called");
            let both = [enter(&lanes, "slow", 3).ok().unwrap(), enter(&lanes, "slow", 4).ok().unwrap()];
            assert_eq!(called(&lanes), []);
            drop(both);
            assert_eq!(called(&lanes), [job(6)]);
        });
    }

    #[test]
    fn a_destination_that_is_down_gets_probes_alone_and_further_and_further_apart() {
        run(async {
            let lanes = lanes();
            assert_eq!([fail(&lanes, "down", 1), fail(&lanes, "down", 2), fail(&lanes, "down", 3)], [None, None, Some(Turn::Shut)]);
            for n in 10..20 {
                assert_eq!(enter(&lanes, "down", n).err(), Some(Waits::Shut(3)));
            }
            let (began, mut waits) = (Instant::now(), Vec::new());
            // The one that found it down waits with the others and is the first to try again.
            for probe in [3, 10, 11, 12, 13, 14] {
                let calls = loop {
                    let calls = lanes.call();
                    if !calls.jobs.is_empty() {
                        break calls.jobs;
                    }
                    tokio::time::sleep_until(calls.next.unwrap()).await;
                };
                assert_eq!(calls.iter().map(|(_, job)| *job).collect::<Vec<_>>(), [job(probe)], "one, and each time another");
                waits.push(began.elapsed().as_secs());
                assert!(matches!(fail(&lanes, "down", probe), Some(Turn::StillShut(_))));
            }
            let gaps: Vec<u64> = waits.iter().scan(0, |last, at| Some(at - std::mem::replace(last, *at))).collect();
            assert_eq!(gaps, [30, 60, 120, 240, 300, 300]);
        });
    }

    #[test]
    fn when_it_is_back_those_who_wait_go_in_their_order_slowly_at_first() {
        run(async {
            let lanes = lanes();
            for n in 1..=3 {
                fail(&lanes, "down", n);
            }
            for n in (10..1_010).rev() {
                assert!(enter(&lanes, "down", n).is_err());
            }
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(called(&lanes), [job(3)]);
            let probe = enter(&lanes, "down", 3).ok().unwrap();
            assert!(matches!(probe.end(Ended::Answered, 0).0, Some(Turn::Opens(_))), "whoever answers is there");
            let (began, mut gone, mut by_second) = (Instant::now(), Vec::new(), BTreeMap::<u64, usize>::new());
            while gone.len() < 1_000 {
                for (_, job) in lanes.call().jobs {
                    *by_second.entry(began.elapsed().as_secs()).or_default() += 1;
                    let n = u64::try_from(job.0.as_u128()).unwrap();
                    gone.push(n);
                    enter(&lanes, "down", n).ok().unwrap().end(Ended::Taken, 0);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(gone.is_sorted() && gone.len() == 1_000);
            let rate = |second: u64| by_second.get(&second).copied().unwrap_or_default();
            assert!((1..=2).contains(&rate(0)) && (1..=2).contains(&rate(3)), "{by_second:?}");
            assert!((3..=5).contains(&rate(12)) && (13..=17).contains(&rate(22)), "{by_second:?}");
        });
    }

    #[test]
    fn what_an_operator_wants_tried_now_is_whether_a_destination_is_down_or_not() {
        run(async {
            let lanes = lanes();
            for n in 1..=3 {
                fail(&lanes, "down", n);
            }
            assert!(enter(&lanes, "down", 5).is_err());
            lanes.insist(job(5));
            let pass = enter(&lanes, "down", 5).ok().unwrap();
            assert!(matches!(pass.end(Ended::Unreached(None), 0).0, Some(Turn::StillShut(_))));
            assert!(enter(&lanes, "down", 5).is_err(), "once");
        });
    }

    #[test]
    fn who_comes_by_itself_while_a_lane_opens_goes_no_faster() {
        run(async {
            let lanes = lanes();
            for n in 1..=3 {
                fail(&lanes, "down", n);
            }
            for n in 10..110 {
                assert!(enter(&lanes, "down", n).is_err());
            }
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(called(&lanes), [job(3)]);
            enter(&lanes, "down", 3).ok().unwrap().end(Ended::Taken, 0);
            let went = |range: std::ops::Range<u64>| {
                let mut went = 0;
                for pass in range.filter_map(|n| enter(&lanes, "down", n).ok()) {
                    pass.end(Ended::Taken, 0);
                    went += 1;
                }
                went
            };
            assert_eq!(went(10..110), 1, "in their order, and all at once");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(went(11..110), 1);
        });
    }

    #[test]
    fn nobody_is_asked_to_look_again_while_a_probe_runs() {
        run(async {
            let lanes = lanes();
            for n in 1..=3 {
                fail(&lanes, "down", n);
            }
            for n in 4..=5 {
                assert!(enter(&lanes, "down", n).is_err());
            }
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(called(&lanes), [job(3)]);
            assert!(lanes.call().next.is_some_and(|next| next > Instant::now()));
            let _probe = enter(&lanes, "down", 3).ok().unwrap();
            assert_eq!((called(&lanes).len(), lanes.call().next), (0, None));
        });
    }

    #[test]
    fn who_asks_to_be_left_alone_is_at_once_and_for_as_long() {
        run(async {
            let lanes = lanes();
            let asked = Ended::Unreached(Some(Duration::from_mins(10)));
            assert_eq!(enter(&lanes, "busy", 1).ok().unwrap().end(asked, 0).0, Some(Turn::Shut));
            assert_eq!(enter(&lanes, "busy", 2).err(), Some(Waits::Shut(1)));
            tokio::time::sleep(Duration::from_secs(599)).await;
            assert_eq!(called(&lanes), []);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(called(&lanes), [job(1)]);
        });
    }

    #[test]
    fn a_message_that_fails_alone_is_told_from_a_destination_that_is_down() {
        run(async {
            let lanes = lanes();
            let end = |n, ended| enter(&lanes, "peer", n).ok().unwrap().end(ended, 0).1;
            let mut yields = Vec::new();
            for n in 0..4 {
                yields.push(end(1, Ended::Answered));
                assert!(!end(10 + n, Ended::Taken));
            }
            assert_eq!(yields, [false, false, false, true]);
            assert!(!(0..9).any(|_| end(2, Ended::Answered)), "nothing else gets through either");
        });
    }

    #[test]
    fn who_was_called_and_does_not_come_keeps_nobody_waiting_for_long() {
        run(async {
            let lanes = lanes();
            let both = [enter(&lanes, "peer", 1), enter(&lanes, "peer", 2)];
            for n in 3..=6 {
                assert!(enter(&lanes, "peer", n).is_err());
            }
            drop(both);
            assert_eq!(called(&lanes), [job(3), job(4)]);
            let next = lanes.call().next.unwrap();
            tokio::time::sleep_until(next).await;
            assert_eq!(called(&lanes), [job(5), job(6)]);
        });
    }
}
