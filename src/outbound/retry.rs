//! When to try again, and when to give up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::hours::Hours;
use crate::port::Moment;

/// A schedule of attempts. Waiting times grow by a factor up to a longest one, with jitter so that many messages to
/// one place do not come at once.
///
/// Attempts go on day and night. With office hours, only working time counts until the sender is told that it takes long,
/// and that is told when somebody is there; what ends the waiting stays in real time, unless [`Patience`] says otherwise.
///
/// Time alone gives nothing up: there must have been [`Self::least_attempts`], as far as so many fit in. And what began
/// before the clock jumped, or before the gateway stood still, is tried for a [round](Self::round) more.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The wait after the first failure.
    pub first: Duration,
    /// How much longer each wait is than the last.
    pub factor: f64,
    /// The longest wait.
    pub longest: Duration,
    /// How long after the beginning the last attempt may be made.
    pub give_up: Duration,
    /// How many attempts are made before it is given up, as long as so many fit into [`Self::give_up`].
    pub least_attempts: u32,
    /// How long a message waits for earlier ones of its conversation, at most half of [`Self::give_up`].
    pub in_order_within: Duration,
    /// How long after the beginning the sender is told that it takes long.
    pub delay_after: Duration,
    /// How long after the access point's receipt the message receipt is awaited.
    pub receipt_within: Duration,
    /// When the senders work; none where they always do.
    pub hours: Option<Hours>,
    /// By which clock it is given up.
    pub patience: Patience,
}

/// By which clock [`Schedule::give_up`] and [`Schedule::receipt_within`] run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patience {
    /// Every hour counts.
    #[default]
    RealTime,
    /// Office hours count.
    WorkingTime,
}

impl Default for Schedule {
    /// Thirty seconds to half an hour, two days and six attempts, a notice after an hour, a receipt within a day.
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            first: Duration::from_secs(30),
            factor: 2.0,
            longest: minutes(30),
            give_up: minutes(60 * 48),
            least_attempts: 6,
            in_order_within: minutes(60 * 12),
            delay_after: minutes(60),
            receipt_within: minutes(60 * 24),
            hours: None,
            patience: Patience::RealTime,
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again then.
    At(Timestamp),
    /// No more.
    GiveUp,
}

impl Schedule {
    /// What follows attempt number `attempt` (0 is the first) of something that began at `since`.
    ///
    /// `random` is any number; it moves the wait by up to a fifth either way.
    #[must_use]
    pub fn next(&self, attempt: u32, since: Timestamp, now: impl Into<Moment>, random: u64) -> Next {
        self.next_asked(attempt, None, since, now, random)
    }

    /// As [`Self::next`], where the other side asked to be left alone for a time: that lengthens a wait, up to the
    /// longest one.
    #[must_use]
    pub fn next_asked(&self, attempt: u32, asked: Option<Duration>, since: Timestamp, now: impl Into<Moment>, random: u64) -> Next {
        let moment = now.into();
        let wait = self.wait(attempt);
        #[expect(clippy::cast_precision_loss, reason = "ten bits of randomness are exact")]
        let jitter = 0.8 + 0.4 * ((random % 1024) as f64 / 1024.0);
        // Not before the time that was asked for: jitter only comes on top.
        let asked = asked.unwrap_or_default().min(self.longest).as_secs_f64();
        let wait = (wait * jitter).max(asked * (jitter + 0.2)).max(0.001);
        let due = moment.now.saturating_add(SignedDuration::from_secs_f64(wait)).unwrap_or(Timestamp::MAX);
        let over = due > self.last_at(since, moment) && attempt.saturating_add(1) >= self.least();
        if over { Next::GiveUp } else { Next::At(due) }
    }

    /// Seconds of the wait after attempt number `attempt`, before jitter.
    fn wait(&self, attempt: u32) -> f64 {
        let grown = self.first.as_secs_f64() * self.factor.powi(i32::try_from(attempt.min(64)).unwrap_or(64));
        grown.min(self.longest.as_secs_f64())
    }

    /// How many attempts there must have been: as many as are asked for, or as fit in.
    #[must_use]
    pub fn least(&self) -> u32 {
        let (mut attempts, mut passed) = (1, 0.0);
        while attempts < self.least_attempts {
            // With the longest jitter, so that what fits in fits in always.
            passed += self.wait(attempts - 1) * 1.2;
            if passed > self.give_up.as_secs_f64() {
                break;
            }
            attempts += 1;
        }
        attempts
    }

    /// How long attempts go on after the clock has jumped or the gateway stood still, for what began before: four of the longest
    /// waits.
    #[must_use]
    pub fn round(&self) -> Duration {
        self.longest.saturating_mul(4).min(self.give_up)
    }

    /// When the last attempt may be made.
    #[must_use]
    pub fn last(&self, since: Timestamp) -> Timestamp {
        self.ends(since, self.give_up)
    }

    /// The same, by a clock that may have jumped.
    #[must_use]
    pub fn last_at(&self, since: Timestamp, moment: Moment) -> Timestamp {
        Self::once_more(since, self.last(since), self.round(), moment)
    }

    /// As [`Self::receipt_due`], by a clock that may have jumped: the other side may have tried to send it meanwhile.
    #[must_use]
    pub fn receipt_due_at(&self, since: Timestamp, moment: Moment) -> Timestamp {
        Self::once_more(since, self.receipt_due(since), self.round().min(self.receipt_within), moment)
    }

    fn once_more(since: Timestamp, last: Timestamp, round: Duration, moment: Moment) -> Timestamp {
        if since < moment.even_since { last.max(later(moment.even_since, round)) } else { last }
    }

    /// How long a message receipt is awaited that the access point's came at `since` for.
    #[must_use]
    pub fn receipt_due(&self, since: Timestamp) -> Timestamp {
        self.ends(since, self.receipt_within)
    }

    fn ends(&self, since: Timestamp, span: Duration) -> Timestamp {
        match (&self.hours, self.patience) {
            (Some(hours), Patience::WorkingTime) => hours.after(since, span),
            _ => later(since, span),
        }
    }

    /// When the sender is told that it takes long.
    #[must_use]
    pub fn late_at(&self, since: Timestamp) -> Timestamp {
        self.hours.as_ref().map_or_else(|| later(since, self.delay_after), |hours| hours.after(since, self.delay_after))
    }

    /// Whether it is time to tell the sender that it takes long.
    #[must_use]
    pub fn is_late(&self, since: Timestamp, now: Timestamp) -> bool {
        now >= self.late_at(since) && self.told_at(now) == now
    }

    /// When a delay that is known now is told: now, or when somebody is there again.
    #[must_use]
    pub fn told_at(&self, now: Timestamp) -> Timestamp {
        self.hours.as_ref().map_or(now, |hours| hours.opening(now))
    }
}

/// A moment after another, never past the end of time.
#[must_use]
pub fn later(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| at.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_then_end() {
        let schedule = Schedule::default();
        let since = Timestamp::UNIX_EPOCH;
        let mut now = since;
        let mut waits = Vec::new();
        while let Next::At(due) = schedule.next(u32::try_from(waits.len()).unwrap(), since, now, 512) {
            waits.push(due.duration_since(now).as_secs());
            now = due;
        }
        assert_eq!(waits[..7], [30, 60, 120, 240, 480, 960, 1800]);
        assert!(now <= schedule.last(since) && waits.len() > 90);
    }

    #[test]
    fn a_delay_is_told_in_office_hours_and_the_end_comes_in_real_time() {
        use crate::outbound::hours::Holidays;
        use jiff::civil::{Weekday, time};
        use jiff::tz::TimeZone;
        let hours = Hours {
            zone: TimeZone::UTC,
            days: vec![Weekday::Wednesday, Weekday::Thursday],
            opens: time(8, 0, 0, 0),
            closes: time(16, 0, 0, 0),
            holidays: Holidays::Closed,
            closed: Vec::new(),
        };
        let real = Schedule { hours: Some(hours), ..Schedule::default() };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        // Wednesday afternoon: an hour of work later it is Thursday morning.
        let since = at("2026-03-04T15:30:00Z");
        assert_eq!(real.late_at(since), at("2026-03-05T08:30:00Z"));
        assert!(!real.is_late(since, at("2026-03-04T17:00:00Z")) && real.is_late(since, at("2026-03-05T08:30:00Z")));
        // An attempt of the night is told in the morning.
        assert!(!real.is_late(since, at("2026-03-05T20:00:00Z")));
        assert_eq!(real.told_at(at("2026-03-05T20:00:00Z")), at("2026-03-11T08:00:00Z"));
        assert_eq!((real.last(since), real.receipt_due(since)), (at("2026-03-06T15:30:00Z"), at("2026-03-05T15:30:00Z")));
        let working = Schedule { patience: Patience::WorkingTime, ..real };
        // 24 hours of work are three days of eight.
        assert_eq!((working.last(since), working.receipt_due(since)), (at("2026-03-25T15:30:00Z"), at("2026-03-12T15:30:00Z")));
    }

    #[test]
    fn time_alone_gives_nothing_up() {
        let (schedule, since) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        let late = later(since, schedule.give_up * 2);
        let gives_up = |attempt, now: Moment| schedule.next(attempt, since, now, 0) == Next::GiveUp;
        assert_eq!((0..9).find(|attempt| gives_up(*attempt, late.into())), Some(5), "six attempts");
        // The gateway begins to run, or its clock has jumped: four of the longest waits more, however many there were.
        let jumped = |minutes| Moment { now: later(late, Duration::from_mins(minutes)), even_since: late };
        assert!(!gives_up(99, jumped(0)) && !gives_up(99, jumped(80)) && gives_up(99, jumped(120)));
        // What began after the jump has its time as ever.
        let new = later(late, Duration::from_mins(1));
        let at = |span| Moment { now: later(new, span), even_since: late };
        assert_eq!(schedule.last_at(new, at(Duration::ZERO)), schedule.last(new));
        assert_eq!(schedule.receipt_due_at(since, jumped(0)), later(late, Duration::from_hours(2)));
        assert_eq!(schedule.receipt_due_at(new, jumped(5)), schedule.receipt_due(new));
    }

    #[test]
    fn a_short_patience_has_no_more_attempts_than_fit() {
        let seconds = Duration::from_secs;
        let short = Schedule { first: seconds(1), longest: seconds(4), give_up: seconds(5), ..Schedule::default() };
        assert_eq!((short.least(), Schedule::default().least()), (3, 6));
        assert_eq!(short.next(2, Timestamp::UNIX_EPOCH, later(Timestamp::UNIX_EPOCH, seconds(6)), 0), Next::GiveUp);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let schedule = Schedule::default();
        for random in [0, 1023, u64::MAX] {
            let Next::At(due) = schedule.next(0, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, random) else { panic!("it gave up") };
            assert!((24_000..=36_000).contains(&due.as_millisecond()), "{due}");
        }
    }

    #[test]
    fn who_asks_to_be_left_alone_is_but_no_longer_than_the_longest_wait() {
        let schedule = Schedule::default();
        let wait = |asked: u64, random| {
            let asked = Some(Duration::from_secs(asked));
            let next = schedule.next_asked(0, asked, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, random);
            let Next::At(due) = next else { panic!("it gave up") };
            due.as_millisecond()
        };
        for random in [0, 512, 1023] {
            assert!((24_000..=36_000).contains(&wait(1, random)), "shorter than our own wait");
            assert!((120_000..=168_000).contains(&wait(120, random)));
            assert!((1_800_000..=2_520_000).contains(&wait(1 << 40, random)));
        }
    }
}
