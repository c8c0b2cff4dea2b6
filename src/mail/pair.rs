//! Two functions that answer each other by themselves: how fast a pair may exchange messages before ours are kept back.
//!
//! A program that answers every mail and says so in its header never gets into SDK (RFC 3834). One that does not say so
//! meets another on the other side sooner or later. People are told from the two by their pace, both ways: a pair trips when
//! more messages than configured went out **and** more came in within the window. One who sends many and gets few is no loop.
//!
//! What is kept back goes out when the hold is over, one by one. If the pair trips again within a day, it takes half as many
//! messages and holds twice as long: a loop that nobody mends comes to rest.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Parts of the window that are counted apart.
const SLOTS: usize = 8;
/// The longest hold, and how long a pair that has tripped is watched more closely.
const DAY: Duration = Duration::from_hours(24);

/// How fast a pair may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages in each direction.
    pub messages: u32,
    /// Within this time.
    pub window: Duration,
    /// How long the first hold lasts.
    pub hold: Duration,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From us.
    Out,
    /// To us.
    In,
}

/// What is kept of a pair, a few hundred octets however many messages it exchanges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The number of the newest slot, counted from 1970.
    slot: i64,
    out: [u32; SLOTS],
    came: [u32; SLOTS],
    /// The hold that is or was last.
    hold: Option<Hold>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    until: Timestamp,
    /// Messages that wait for its end.
    waiting: u32,
    /// Holds before it that it followed within a day.
    before: u32,
}

impl Pair {
    /// Counts a message. The end of the hold that begins with it, when one does.
    pub fn count(&mut self, way: Way, pace: &Pace, now: Timestamp) -> Option<Timestamp> {
        self.roll(pace, now);
        let slots = match way {
            Way::Out => &mut self.out,
            Way::In => &mut self.came,
        };
        if let Some(newest) = slots.last_mut() {
            *newest = newest.saturating_add(1);
        }
        if self.held(now).is_some() || self.exchanged() <= self.limit(pace, now) {
            return None;
        }
        let before = self.watched(now).map_or(0, |hold| hold.before.saturating_add(1));
        let span = pace.hold.saturating_mul(1 << before.min(20)).min(DAY);
        let until = after(now, span);
        *self = Self { slot: self.slot, hold: Some(Hold { until, waiting: 0, before }), ..Self::default() };
        Some(until)
    }

    /// When the hold ends, while there is one.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> Option<Timestamp> {
        self.hold.as_ref().map(|hold| hold.until).filter(|until| now < *until)
    }

    /// Puts one more message into the line that waits; when its turn comes, while there is a hold. The line moves as fast as the
    /// pair may be, and is through one hold's length after its end at the latest.
    pub fn wait(&mut self, pace: &Pace, now: Timestamp) -> Option<Timestamp> {
        let until = self.held(now)?;
        let hold = self.hold.as_mut()?;
        let turn = (pace.window / pace.messages.max(1)).saturating_mul(hold.waiting).min(pace.hold);
        hold.waiting = hold.waiting.saturating_add(1);
        Some(after(until, turn))
    }

    /// Messages in the slower direction.
    fn exchanged(&self) -> u32 {
        let sum = |slots: &[u32; SLOTS]| slots.iter().fold(0_u32, |sum, slot| sum.saturating_add(*slot));
        sum(&self.out).min(sum(&self.came))
    }

    fn limit(&self, pace: &Pace, now: Timestamp) -> u32 {
        let halved = self.watched(now).map_or(0, |hold| hold.before.saturating_add(1));
        (pace.messages >> halved.min(31)).max(1)
    }

    /// The last hold, within a day of its end.
    fn watched(&self, now: Timestamp) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| now < after(hold.until, DAY))
    }

    /// Forgets what is out of the window.
    fn roll(&mut self, pace: &Pace, now: Timestamp) {
        let slot = i64::try_from((pace.window / SLOTS as u32).as_millis()).unwrap_or(i64::MAX).max(1);
        let newest = now.as_millisecond().div_euclid(slot);
        let moved = usize::try_from(newest.saturating_sub(self.slot)).unwrap_or(SLOTS).min(SLOTS);
        for slots in [&mut self.out, &mut self.came] {
            slots.rotate_left(moved);
            slots.iter_mut().rev().take(moved).for_each(|slot| *slot = 0);
        }
        self.slot = newest;
    }
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| at.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { messages: 4, window: Duration::from_mins(8), hold: Duration::from_mins(10) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    /// A turn a second, from then on, until the pair trips: after how many turns, and the hold's end.
    fn turns(pair: &mut Pair, from: i64) -> (i64, Timestamp) {
        (1..1000)
            .find_map(|turn| {
                let now = at(from + turn);
                let until = pair.count(Way::Out, &PACE, now).or_else(|| pair.count(Way::In, &PACE, now));
                until.map(|until| (turn, until))
            })
            .expect("it trips")
    }

    #[test]
    fn a_pair_that_answers_at_once_is_held_and_a_crowd_that_gets_no_answers_is_not() {
        let mut pair = Pair::default();
        assert_eq!(turns(&mut pair, 0), (5, at(5 + 600)));
        assert_eq!((pair.held(at(604)), pair.held(at(605))), (Some(at(605)), None));
        for way in [Way::Out, Way::In] {
            let mut pair = Pair::default();
            assert!((0..1000).all(|n| pair.count(way, &PACE, at(n)).is_none()));
            // As many answers as are allowed.
            let other = if way == Way::Out { Way::In } else { Way::Out };
            assert!((1000..1004).all(|n| pair.count(other, &PACE, at(n)).is_none()));
            assert!(pair.count(other, &PACE, at(1004)).is_some());
        }
    }

    #[test]
    fn people_who_answer_each_other_all_day_are_not_held() {
        let mut pair = Pair::default();
        for turn in 0..500 {
            let now = at(turn * 150);
            assert_eq!((pair.count(Way::Out, &PACE, now), pair.count(Way::In, &PACE, now)), (None, None), "{turn}");
        }
    }

    #[test]
    fn a_loop_that_goes_on_comes_to_rest_and_is_forgotten_after_a_calm_day() {
        let (mut pair, mut from) = (Pair::default(), 0);
        let mut seen = Vec::new();
        for _ in 0..10 {
            let (turns, until) = turns(&mut pair, from);
            seen.push((turns, until.duration_since(at(from + turns)).as_secs() / 60));
            from = until.as_second() - at(0).as_second();
        }
        assert_eq!(seen[..4], [(5, 10), (3, 20), (2, 40), (2, 80)]);
        assert_eq!(seen[9], (2, 24 * 60), "and no more than a day");
        assert_eq!(turns(&mut pair, from + 25 * 3600).0, 5);
    }

    #[test]
    fn who_waits_goes_one_by_one_when_the_hold_is_over() {
        let mut pair = Pair::default();
        assert_eq!(pair.wait(&PACE, at(0)), None);
        let (_, until) = turns(&mut pair, 0);
        let waits: Vec<_> = (0..7).map(|_| pair.wait(&PACE, at(6)).unwrap().duration_since(until).as_secs()).collect();
        assert_eq!(waits, [0, 120, 240, 360, 480, 600, 600]);
        assert_eq!(pair.wait(&PACE, until), None);
    }

    #[test]
    fn what_is_kept_is_small_and_survives_whatever_the_clock_does() {
        let mut pair = Pair { out: [u32::MAX; SLOTS], came: [u32::MAX; SLOTS], slot: i64::MAX, hold: None };
        let text = serde_json::to_string(&pair).unwrap();
        assert!(text.len() < 600 && serde_json::from_str::<Pair>(&text).unwrap() == pair, "{}", text.len());
        for now in [Timestamp::MIN, Timestamp::MAX, at(0)] {
            pair.count(Way::Out, &PACE, now);
            pair.count(Way::In, &PACE, now);
            pair.wait(&PACE, now);
        }
        let mut back = Pair::default();
        back.count(Way::Out, &PACE, at(1000));
        assert_eq!(back.count(Way::In, &PACE, at(0)), None, "a clock that is set back forgets");
    }
}
