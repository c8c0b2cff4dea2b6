//! What ends soon: the operator is told some days before, once for each of them.
//!
//! A mark in the store remembers what was told of each certificate, so a restart tells nothing twice. A renewed
//! certificate is another one and begins anew.

use super::Node;
use super::effects::{Outcome, from_store};
use super::notify::announced;
use crate::crypto::{Certificate, sha256};
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::mail::alarm::Cause;
use crate::port::{Guard, Key, Op, RevocationList, Step};
use jiff::{SignedDuration, Timestamp};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A certificate whose end somebody must know of in time.
#[derive(Debug, Clone)]
pub struct Watched {
    /// What it is, `the access point's certificate`.
    pub what: String,
    /// It.
    pub certificate: Certificate,
    /// What to do, in English.
    pub hint: &'static str,
}

/// What is watched, and how long before its end it is told.
#[derive(Debug, Clone, Default)]
pub struct Expiry {
    /// Days before the end.
    pub days: Vec<u32>,
    /// The certificates.
    pub watched: Vec<Watched>,
}

impl Expiry {
    /// The smallest of the configured numbers of days that is not below what is left; 0 when it has ended. `None` while more
    /// is left than all of them.
    fn threshold(&self, until: Timestamp, now: Timestamp) -> Option<u32> {
        if until < now {
            return Some(0);
        }
        let left = until.duration_since(now);
        self.days.iter().copied().filter(|days| left <= DAY.saturating_mul(i32::try_from(*days).unwrap_or(i32::MAX))).min()
    }
}

impl Node {
    /// Tells the operator of everything that has come nearer to its end than was told before; how many that were.
    ///
    /// # Errors
    /// A [`Failure`] when the store cannot be read or written.
    pub async fn watch_expiry(&self) -> Result<usize, Failure> {
        let mut told = 0;
        for watched in &self.settings.expiry.watched {
            told += usize::from(self.watch(watched).await?);
        }
        for list in self.trust.lists() {
            told += usize::from(self.watch_list(&list).await?);
        }
        Ok(told)
    }

    async fn watch(&self, watched: &Watched) -> Result<bool, Failure> {
        let (now, until) = (self.now(), watched.certificate.not_after());
        let Some(threshold) = self.settings.expiry.threshold(until, now) else { return Ok(false) };
        let name = watched.certificate.common_name().unwrap_or_else(|| watched.certificate.subject());
        let days = until.duration_since(now).as_hours() / 24;
        let end = until.strftime("%Y-%m-%d %H:%M UTC");
        let what = match threshold {
            0 => format!("{}, {name}, ended at {end}", watched.what),
            _ => format!("{}, {name}, ends at {end}, in {days} days", watched.what),
        };
        let mark = Key::new("expiry", &watched.certificate.fingerprint().to_string());
        self.tell_once(mark, &threshold.to_string(), |before| before.parse().is_ok_and(|before: u32| before <= threshold), &what, watched.hint).await
    }

    /// A list ends every few days and is fetched anew long before; it is told of when that fails and little is left.
    async fn watch_list(&self, list: &RevocationList) -> Result<bool, Failure> {
        let (Some(until), Some(failure)) = (list.until, &list.failure) else { return Ok(false) };
        let (now, whole) = (self.now(), until.duration_since(list.issued));
        if until.duration_since(now) > whole / 4 {
            return Ok(false);
        }
        let what = format!("the revocation list {} ends at {until} and no newer one is to be had: {failure}", list.url);
        let hint = "see whether this machine reaches the address; without a list messages wait, unless trust.revocation is soft";
        let mark = Key::new("expiry", &sha256(list.url.as_bytes()).to_string());
        self.tell_once(mark, &until.to_string(), |before| before == until.to_string(), &what, hint).await
    }

    /// Journal and mail, unless the mark says that it was told.
    async fn tell_once(&self, mark: Key, value: &str, was_told: impl Fn(&str) -> bool, what: &str, hint: &str) -> Result<bool, Failure> {
        let before = self.store.note(mark.clone()).await.map_err(|error| from_store(&error))?;
        if before.as_deref().is_some_and(was_told) {
            return Ok(false);
        }
        let now = self.now();
        tracing::warn!(what, hint, "something ends soon");
        let guard = before.map_or_else(|| Guard::Absent(mark.clone()), |before| Guard::Noted(mark.clone(), before));
        let event = Event::new(now, EventName::Expiring).with(Field::Cause, what);
        let step = announced(Step::new().guard(guard).op(Op::Note(mark, value.to_owned())), event, Cause::Expiry, hint);
        Ok(self.carry_out("expiry", step.into()).await? == Outcome::Applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_days_is_one_threshold_and_the_end_the_last() {
        let expiry = Expiry { days: vec![60, 7, 30], watched: Vec::new() };
        let now = Timestamp::UNIX_EPOCH;
        let at = |hours: i64| expiry.threshold(now + SignedDuration::from_hours(hours), now);
        assert_eq!(
            [at(60 * 24 + 1), at(60 * 24), at(31 * 24), at(30 * 24), at(8 * 24), at(7 * 24), at(0), at(-1)].map(|days| days),
            [None, Some(60), Some(60), Some(30), Some(30), Some(7), Some(7), Some(0)]
        );
        assert_eq!(Expiry::default().threshold(now + DAY, now), None, "nothing is told but the end where nothing is configured");
    }
}
