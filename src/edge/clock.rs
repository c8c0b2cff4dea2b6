//! The machine's clock: what it shows, what has passed, and whether it was set.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::port::Clock;

/// A difference between what the clock shows and what has passed that is no drift: it was set, or the machine was suspended.
const JUMP: SignedDuration = SignedDuration::from_secs(30);

/// UTC as the operating system has it.
///
/// Whether the clock jumps is seen whenever somebody asks for the time; the worker does every half minute.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// There is one clock in a machine.
static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

/// When the program first asked.
fn began() -> Instant {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *BEGAN.get_or_init(Instant::now)
}

impl SystemClock {
    fn look() -> (Timestamp, Seen) {
        // Together, so that nobody comes between the two times.
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (elapsed, wall) = (began().elapsed(), Timestamp::now());
        let now = seen.map_or_else(|| Seen::first(wall, elapsed), |seen| seen.again(wall, elapsed));
        *seen = Some(now);
        (wall, now)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Self::look().0
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(began().elapsed())
    }

    fn even_since(&self) -> Timestamp {
        Self::look().1.even_since()
    }

    fn has_jumped_within(&self, span: Duration) -> bool {
        Self::look().1.has_jumped_within(span)
    }
}

/// The last look at the clock.
#[derive(Debug, Clone, Copy)]
struct Seen {
    wall: Timestamp,
    elapsed: Duration,
    /// Since when it has run evenly, by the time that passes.
    even: Duration,
    /// Whether that was a jump, and not the beginning.
    jumped: bool,
}

impl Seen {
    fn first(wall: Timestamp, elapsed: Duration) -> Self {
        Self { wall, elapsed, even: elapsed, jumped: false }
    }

    fn again(self, wall: Timestamp, elapsed: Duration) -> Self {
        let passed = SignedDuration::try_from(elapsed.saturating_sub(self.elapsed)).unwrap_or(SignedDuration::MAX);
        let off = wall.duration_since(self.wall).saturating_sub(passed);
        if off.abs() < JUMP {
            return Self { wall, elapsed, ..self };
        }
        tracing::warn!(seconds = off.as_secs(), "the clock has jumped; nothing is given up for a while because of it");
        Self { wall, elapsed, even: elapsed, jumped: true }
    }

    fn even_since(&self) -> Timestamp {
        let span = SignedDuration::try_from(self.elapsed.saturating_sub(self.even)).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_sub(span).unwrap_or(Timestamp::MIN)
    }

    fn has_jumped_within(&self, span: Duration) -> bool {
        self.jumped && self.elapsed.saturating_sub(self.even) < span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_clock_that_drifts_runs_evenly_since_the_beginning() {
        let mut seen = Seen::first(at(0), HOUR);
        for minute in 1..=600 {
            // Half a second a minute, more than a clock may be slewed.
            seen = seen.again(at(minute * 60) + SignedDuration::from_millis(500 * minute), HOUR + Duration::from_mins(minute.unsigned_abs()));
        }
        assert_eq!(seen.even_since(), at(300), "the beginning, as the clock counts now");
        assert!(!seen.has_jumped_within(Duration::MAX));
    }

    #[test]
    fn a_jump_either_way_begins_anew_and_is_forgotten_in_time() {
        for jump in [86_400, -86_400, 31, -31] {
            let seen = Seen::first(at(0), HOUR).again(at(10 + jump), HOUR + Duration::from_secs(10));
            assert_eq!(seen.even_since(), at(10 + jump), "{jump}");
            let later = seen.again(at(3610 + jump), HOUR * 2 + Duration::from_secs(10));
            assert_eq!(later.even_since(), at(10 + jump));
            assert!(later.has_jumped_within(HOUR * 2) && !later.has_jumped_within(HOUR));
        }
        // Suspended for a night: the time that passes does not count it.
        assert!(Seen::first(at(0), HOUR).again(at(8 * 3600), HOUR).has_jumped_within(HOUR));
    }

    #[test]
    fn the_machine_s_clock_counts_what_passes() {
        let clock = SystemClock;
        let (before, now) = (clock.elapsed().unwrap(), clock.now());
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.elapsed().unwrap() >= before + Duration::from_millis(20) && clock.now() > now);
        assert!(clock.even_since() <= clock.now());
    }
}
