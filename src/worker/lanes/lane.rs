//! One lane: who may go, who is called, and what an attempt's end does to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::LaneOptions;
use crate::ident::RecordId;
use crate::port::JobId;

/// Failures in a row that shut a lane.
const FAILURES: u32 = 3;
/// The longest wait for a probe.
const LONGEST_PROBE: Duration = Duration::from_mins(5);
/// A lane that opens lets one job go in this time at first, and twice as many after each [`DOUBLING`], until it is
/// [`FASTEST`] and open.
const SLOWEST: Duration = Duration::from_secs(1);
const FASTEST: Duration = Duration::from_millis(20);
const DOUBLING: Duration = Duration::from_secs(5);
/// A job that was called and has not come since will not come: somebody else has it.
const COMES_WITHIN: Duration = Duration::from_secs(2);
/// Attempts of one message that fail while others get through, after which it keeps later ones waiting no longer.
const STRIKES: u32 = 3;

/// How an attempt ended, as far as the destination is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Ended {
    /// It took it.
    Taken,
    /// It answered, and did not take it.
    Answered,
    /// It gave no answer, or one that says that it is not there; perhaps it asked to be left alone for so long.
    Unreached(Option<Duration>),
}

impl Ended {
    /// What an HTTP answer without a receipt says of the destination: 429 and what gateways answer when nobody is behind them
    /// (RFC 9110 15.6.3 to 15.6.5, RFC 6585 4).
    pub(in crate::worker) fn of(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            429 | 503 => Self::Unreached(retry_after),
            502 | 504 => Self::Unreached(None),
            _ => Self::Answered,
        }
    }
}

/// What an end did to a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Turn {
    /// It is shut since just now.
    Shut,
    /// It has been shut for so long.
    StillShut(Duration),
    /// It was shut for so long, and opens.
    Opens(Duration),
    /// It is the first time that the destination took something.
    First,
}

/// Why a job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Waits {
    /// All places are taken, or others were there before.
    Behind,
    /// The destination is down; so many attempts failed in a row.
    Shut(u32),
}

/// Who has a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    pub(super) job: JobId,
    pub(super) record: RecordId,
    pub(super) since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut { since: Instant, wait: Duration, probe: Instant },
    Opening { since: Instant, next: Instant },
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) gate: Gate,
    pub(super) running: usize,
    /// In a row.
    pub(super) failed: u32,
    /// Why the last of them did.
    pub(super) why: String,
    /// How many were taken, ever.
    pub(super) taken: u64,
    pub(super) waiting: BTreeSet<(Timestamp, JobId)>,
    /// Who was called and has not come yet.
    pub(super) called: HashMap<JobId, Instant>,
    /// Who was the last probe: the next one is another, as long as there are others.
    pub(super) probe: Option<(Timestamp, JobId)>,
    /// How often a message failed while others were taken: how many were taken when it last failed.
    pub(super) strikes: BTreeMap<RecordId, (u32, u64)>,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            gate: Gate::Open,
            running: 0,
            failed: 0,
            why: String::new(),
            taken: 0,
            waiting: BTreeSet::new(),
            called: HashMap::new(),
            probe: None,
            strikes: BTreeMap::new(),
        }
    }

    /// Whether only probes go.
    pub(super) fn is_shut(&self) -> bool {
        matches!(self.gate, Gate::Shut { .. })
    }

    /// Those who were called and do not come keep no places.
    pub(super) fn forget_absent(&mut self, now: Instant) {
        self.called.retain(|_, called| now < *called + COMES_WITHIN);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.gate == Gate::Open && self.running == 0 && self.failed == 0 && self.waiting.is_empty() && self.called.is_empty()
    }

    /// Whether one more may go that nobody called, with so many who have been called and are not there yet.
    pub(super) fn admits(&self, now: Instant, places: usize) -> bool {
        let taken = self.running + self.called.len();
        match self.gate {
            Gate::Shut { probe, .. } => taken == 0 && now >= probe,
            Gate::Opening { next, .. } => taken < places && now >= next,
            Gate::Open => taken < places,
        }
    }

    /// Whether one that was called may go: what it was called to may have changed.
    pub(super) fn still_admits(&self, now: Instant, places: usize) -> bool {
        match self.gate {
            Gate::Shut { probe, .. } => self.running == 0 && now >= probe,
            Gate::Opening { .. } | Gate::Open => self.running < places,
        }
    }

    /// How many may be called now.
    fn calls(&self, now: Instant, places: usize) -> usize {
        let free = places.saturating_sub(self.running + self.called.len());
        match self.gate {
            Gate::Open => free,
            Gate::Shut { probe, .. } => usize::from(now >= probe && self.running == 0 && self.called.is_empty()),
            Gate::Opening { next, .. } => usize::from(now >= next).min(free),
        }
    }

    /// When it is worth looking at it again, where nothing happens before.
    pub(super) fn next_look(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let gate = match self.gate {
            Gate::Open => None,
            // While a probe runs, its end is what changes something.
            Gate::Shut { probe, .. } => (self.running == 0 && self.called.is_empty()).then_some(probe),
            Gate::Opening { next, .. } => Some(next),
        };
        let comes = self.called.values().min().map(|called| *called + COMES_WITHIN);
        gate.into_iter().chain(comes).min()
    }

    pub(super) fn ended(&mut self, who: &Who, ended: Ended, now: Instant, options: &LaneOptions, jitter: f64) -> (Option<Turn>, bool) {
        let record = who.record;
        let mut yields = false;
        if ended == Ended::Taken {
            self.taken += 1;
            self.strikes.remove(&record);
        } else {
            let (strikes, taken) = self.strikes.get(&record).copied().unwrap_or((0, self.taken));
            let strikes = if self.taken > taken { strikes + 1 } else { strikes };
            yields = strikes >= STRIKES;
            if self.strikes.len() >= 1_000 {
                self.strikes.pop_first();
            }
            self.strikes.insert(record, (strikes, self.taken));
        }
        let turn = match ended {
            Ended::Taken | Ended::Answered => {
                self.failed = 0;
                match self.gate {
                    Gate::Shut { since, .. } => {
                        self.gate = Gate::Opening { since: now, next: now };
                        Some(Turn::Opens(now - since))
                    }
                    Gate::Open | Gate::Opening { .. } => (ended == Ended::Taken && self.taken == 1).then_some(Turn::First),
                }
            }
            Ended::Unreached(asked) => {
                self.failed = self.failed.saturating_add(1);
                let asked = asked.unwrap_or_default().min(options.longest);
                let until = |wait: Duration| now + wait.mul_f64(jitter).max(asked);
                match self.gate {
                    Gate::Shut { since, wait, .. } => {
                        let wait = (wait * 2).min(LONGEST_PROBE).min(options.longest);
                        self.gate = Gate::Shut { since, wait, probe: until(wait) };
                        // It may be the next probe again, before its own time.
                        self.waiting.insert((who.since, who.job));
                        Some(Turn::StillShut(now - since))
                    }
                    Gate::Open if self.failed < FAILURES && asked.is_zero() => None,
                    Gate::Open | Gate::Opening { .. } => {
                        self.gate = Gate::Shut { since: now, wait: options.first, probe: until(options.first) };
                        self.waiting.insert((who.since, who.job));
                        Some(Turn::Shut)
                    }
                }
            }
        };
        (turn, yields)
    }

    /// Whose turn it is: the oldest one's, and as a probe everybody's in turn.
    fn next(&mut self) -> Option<(Timestamp, JobId)> {
        let Gate::Shut { .. } = self.gate else { return self.waiting.pop_first() };
        let after = self.probe.and_then(|last| self.waiting.range((Bound::Excluded(last), Bound::Unbounded)).next().copied());
        self.probe = after.or_else(|| self.waiting.first().copied());
        self.probe.filter(|next| self.waiting.remove(next))
    }

    /// Those who are called now, the oldest first.
    pub(super) fn call(&mut self, now: Instant, places: usize) -> Vec<(Timestamp, JobId)> {
        self.forget_absent(now);
        let mut calls = Vec::new();
        for _ in 0..self.calls(now, places) {
            let Some((since, job)) = self.next() else { break };
            self.called.insert(job, now);
            calls.push((since, job));
        }
        self.opens_further(now);
        calls
    }

    /// Who goes while a lane opens keeps the next one for a while.
    pub(super) fn opens_further(&mut self, now: Instant) {
        if let Gate::Opening { since, next } = &mut self.gate
            && now >= *next
        {
            let doublings = i32::try_from((now - *since).as_secs() / DOUBLING.as_secs()).unwrap_or(i32::MAX).min(16);
            let pause = SLOWEST.div_f64(2_f64.powi(doublings));
            *next = now + pause;
            if pause <= FASTEST || self.waiting.is_empty() {
                self.gate = Gate::Open;
            }
        }
    }
}
