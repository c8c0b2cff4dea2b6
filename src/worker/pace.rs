//! How much a sender may send in a minute and in an hour, and how often an address may fail to log in.
//!
//! Kept in memory: after a restart everybody begins anew.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Within this time so many logins may fail.
const LOGIN_WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Logins of one address that may fail in ten minutes.
pub const FAILED_LOGINS: usize = 10;
/// Addresses whose failed logins are remembered.
const ADDRESSES: usize = 10_000;

/// How many in a minute and in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In any minute.
    pub minute: u32,
    /// In any hour.
    pub hour: u32,
}

/// What one sender may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderPace {
    /// Mails.
    pub mails: Rate,
    /// Recipients, of all its mails together.
    pub recipients: Rate,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) limit: u32,
    pub(super) window: &'static str,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    Mail,
    Recipient,
}

/// What was sent, in sliding windows. Senders are addresses of the configuration, so there are not many.
#[derive(Debug)]
pub(super) struct Paces {
    pace: SenderPace,
    seen: HashMap<(Counted, String), VecDeque<Timestamp>>,
}

impl Paces {
    pub(super) fn new(pace: SenderPace) -> Self {
        Self { pace, seen: HashMap::new() }
    }

    /// Counts one more, if that is not too many.
    pub(super) fn count(&mut self, what: Counted, sender: String, now: Timestamp) -> Result<(), Reached> {
        let rate = match what {
            Counted::Mail => self.pace.mails,
            Counted::Recipient => self.pace.recipients,
        };
        let times = self.seen.entry((what, sender)).or_default();
        forget(times, now, HOUR);
        let in_minute = times.iter().rev().take_while(|at| now.duration_since(**at) < MINUTE).count();
        if in_minute >= rate.minute as usize {
            return Err(Reached { limit: rate.minute, window: "minute" });
        }
        if times.len() >= rate.hour as usize {
            return Err(Reached { limit: rate.hour, window: "hour" });
        }
        times.push_back(now);
        Ok(())
    }
}

/// Failed logins by address.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<IpAddr, VecDeque<Timestamp>>);

impl Failures {
    /// Whether an address has failed too often to be listened to.
    pub(super) fn are_too_many(&mut self, address: IpAddr, now: Timestamp) -> bool {
        let Some(times) = self.0.get_mut(&address) else { return false };
        forget(times, now, LOGIN_WINDOW);
        times.len() >= FAILED_LOGINS
    }

    pub(super) fn note(&mut self, address: IpAddr, now: Timestamp) {
        if self.0.len() >= ADDRESSES {
            self.0.retain(|_, times| {
                forget(times, now, LOGIN_WINDOW);
                !times.is_empty()
            });
        }
        if self.0.len() < ADDRESSES {
            self.0.entry(address).or_default().push_back(now);
        }
    }
}

/// Drops what is older; also what is newer than now, for a clock that was put back.
fn forget(times: &mut VecDeque<Timestamp>, now: Timestamp, window: SignedDuration) {
    times.retain(|at| *at <= now && now.duration_since(*at) < window);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn paces() -> Paces {
        let few = Rate { minute: 2, hour: 3 };
        Paces::new(SenderPace { mails: few, recipients: Rate { minute: 10, hour: 10 } })
    }

    #[test]
    fn a_window_slides_and_senders_do_not_count_for_one_another() {
        let mut paces = paces();
        let mut count = |sender: &str, seconds| paces.count(Counted::Mail, sender.to_owned(), at(seconds));
        let (minute, hour) = (Err(Reached { limit: 2, window: "minute" }), Err(Reached { limit: 3, window: "hour" }));
        assert_eq!([count("a", 0), count("a", 50), count("a", 59)], [Ok(()), Ok(()), minute]);
        assert_eq!(count("b", 59), Ok(()));
        assert_eq!([count("a", 60), count("a", 61)], [Ok(()), minute], "the first has left the minute, the second has not");
        assert_eq!(count("a", 3599), hour);
        assert_eq!([count("a", 3600), count("a", 3601)], [Ok(()), hour]);
        assert_eq!(count("a", -100), Ok(()), "a clock that was put back");
    }

    #[test]
    fn mails_and_recipients_are_counted_apart() {
        let mut paces = paces();
        for _ in 0..10 {
            paces.count(Counted::Recipient, "a".into(), at(0)).unwrap();
        }
        assert!(paces.count(Counted::Recipient, "a".into(), at(0)).is_err());
        assert_eq!(paces.count(Counted::Mail, "a".into(), at(0)), Ok(()));
    }

    #[test]
    fn an_address_that_fails_to_log_in_is_not_listened_to_for_a_while() {
        let mut failures = Failures::default();
        let (guesser, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for n in 0..10 {
            assert!(!failures.are_too_many(guesser, at(n)));
            failures.note(guesser, at(n));
        }
        assert!(failures.are_too_many(guesser, at(10)) && !failures.are_too_many(other, at(10)));
        assert!(!failures.are_too_many(guesser, at(700)));
        for n in 0..20_000_u32 {
            failures.note(IpAddr::V4(n.into()), at(10));
        }
        assert!(failures.0.len() <= ADDRESSES);
        failures.note(other, at(700));
        assert_eq!(failures.0.len(), 1);
    }
}
