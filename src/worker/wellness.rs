//! The operator is told when disk space runs short, and that the store did not work as soon as it works again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Gateway;
use super::notify::announced;
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::mail::alarm::Cause;
use crate::port::{Step, StoreError};

/// How often it is looked. What lasts shorter is in the log only.
const LOOK: Duration = Duration::from_secs(5);

/// What is well for so long is over; what comes back earlier is the same again, of which the operator has been told.
const CALM: SignedDuration = SignedDuration::from_mins(30);

/// A trouble from its beginning until the operator has been told and it is over.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    began: Timestamp,
    last: Timestamp,
    told: bool,
}

impl Trouble {
    /// What is known of it after a look that found it, or did not.
    fn after(before: Option<Self>, found: bool, now: Timestamp) -> Option<Self> {
        match before {
            Some(trouble) if found => Some(Self { last: now, ..trouble }),
            None if found => Some(Self { began: now, last: now, told: false }),
            Some(trouble) if trouble.told && now.duration_since(trouble.last) > CALM => None,
            other => other,
        }
    }
}

impl Gateway {
    /// Watches for as long as it is polled.
    pub async fn watch_store(&self) {
        let (mut space, mut standstill) = (None, None);
        loop {
            tokio::time::sleep(LOOK).await;
            let stands = !self.works().await;
            let full = matches!(self.blobs.admit(None).await, Err(StoreError::Full));
            let now = self.now();
            (space, standstill) = (Trouble::after(space, full, now), Trouble::after(standstill, stands, now));
            // What stands still cannot keep a mail to the operator.
            if !stands {
                self.tell_once(&mut space, Cause::Space, now).await;
                self.tell_once(&mut standstill, Cause::Standstill, now).await;
            }
        }
    }

    /// Tells of what was not told yet; again at the next look where that fails.
    async fn tell_once(&self, trouble: &mut Option<Trouble>, cause: Cause, now: Timestamp) {
        let Some(trouble) = trouble.as_mut().filter(|trouble| !trouble.told) else { return };
        match self.tell_of(cause, trouble.began, now).await {
            Ok(()) => trouble.told = true,
            Err(failure) => tracing::warn!(what = failure.what, ?cause, "the operator cannot be told yet"),
        }
    }

    async fn tell_of(&self, cause: Cause, began: Timestamp, now: Timestamp) -> Result<(), Failure> {
        let (what, hint) = match cause {
            Cause::Space => (
                format!("since {began:.0} less space is free where state-dir is than store.reserve keeps"),
                "make room, in octets or inodes; taking in goes on by itself",
            ),
            _ => (
                format!("the store did not work from {began:.0} to {now:.0}; what came in that time was told to come again"),
                "see in the logs of brevbro, of the system and of the database what happened",
            ),
        };
        tracing::error!(what, hint, "the operator is told of the store");
        let event = Event::new(now, EventName::Faulted).with(Field::Cause, &what);
        self.carry_out("store.watch", announced(Step::new(), event, cause, hint).into()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    #[test]
    fn a_trouble_lasts_until_it_was_told_and_is_over_for_a_while() {
        assert!(Trouble::after(None, false, at(0)).is_none());
        let begun = Trouble::after(None, true, at(0));
        let short = Trouble::after(begun, false, at(600)).unwrap();
        assert!((short.began, short.told) == (at(0), false), "what nobody was told of is not forgotten");
        let told = Some(Trouble { told: true, ..short });
        assert!(Trouble::after(told, false, at(30)).is_some());
        assert!(Trouble::after(told, false, at(31)).is_none());
    }

    #[test]
    fn what_comes_back_soon_is_the_same_trouble() {
        let told = Some(Trouble { began: at(0), last: at(0), told: true });
        let back = Trouble::after(told, true, at(29)).unwrap();
        assert!((back.began, back.last, back.told) == (at(0), at(29), true));
        assert!(Trouble::after(Some(back), false, at(50)).is_some());
    }
}
