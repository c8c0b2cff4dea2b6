//! When to try again and when to give up: for all, for one organisation, and by its office hours.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::check::Checker;
use super::errors::ConfigError;
use super::raw;
use super::values::Span;
use crate::outbound::hours::{Holidays, Hours};
use crate::outbound::retry::Patience;

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// The wait after the first failure.
    pub first: Duration,
    /// How many times longer each wait is.
    pub factor: f64,
    /// The longest wait.
    pub longest: Duration,
    /// When a message is given up, from its beginning.
    pub give_up: Duration,
    /// How many attempts there are before.
    pub least_attempts: u32,
    /// How long a message waits for earlier ones of its conversation.
    pub in_order_within: Duration,
    /// How long the message receipt is awaited.
    pub receipt_timeout: Duration,
    /// When the sender is told of a delay.
    pub delayed_notice_after: Duration,
}

impl Retry {
    /// This, but for what is said otherwise.
    fn but(self, raw: &raw::OrganisationRetry) -> Self {
        let or = |said: Option<Span>, otherwise: Duration| said.map_or(otherwise, |span| span.0);
        Self {
            first: or(raw.first, self.first),
            factor: raw.factor.unwrap_or(self.factor),
            longest: or(raw.longest, self.longest),
            give_up: or(raw.give_up, self.give_up),
            receipt_timeout: or(raw.receipt_timeout, self.receipt_timeout),
            delayed_notice_after: or(raw.delayed_notice_after, self.delayed_notice_after),
            ..self
        }
    }
}

impl Checker<'_> {
    pub(super) fn retry(&mut self, raw: raw::Retry) -> Option<Retry> {
        let retry = Retry {
            first: raw.first?.0,
            factor: raw.factor?,
            longest: raw.longest?.0,
            give_up: raw.give_up?.0,
            least_attempts: raw.least_attempts?,
            in_order_within: raw.in_order_within?.0,
            receipt_timeout: raw.receipt_timeout?.0,
            delayed_notice_after: raw.delayed_notice_after?.0,
        };
        self.sound("retry", &retry);
        if !(1..=100).contains(&retry.least_attempts) {
            self.error(ConfigError::new("retry.least-attempts", "is not from 1 to 100").value(retry.least_attempts));
        }
        Some(retry)
    }

    /// What holds for what the mail server gets, and for the rest what holds for all.
    pub(super) fn delivery(&mut self, raw: Option<raw::DeliveryRetry>, of_all: Option<Retry>) -> Option<Retry> {
        let (Some(raw), Some(of_all)) = (raw, of_all) else { return of_all };
        let raw::DeliveryRetry { first, factor, longest, give_up } = raw;
        let retry = of_all.but(&raw::OrganisationRetry { first, factor, longest, give_up, receipt_timeout: None, delayed_notice_after: None });
        if retry != of_all {
            // No sender waits for it.
            self.sound("retry.delivery", &Retry { delayed_notice_after: Duration::ZERO, ..retry });
        }
        Some(retry)
    }

    /// What an organisation says for itself, and for the rest what holds for all.
    pub(super) fn retry_of(&mut self, at: &str, raw: Option<&raw::OrganisationRetry>, of_all: Option<Retry>) -> Option<Retry> {
        let (Some(raw), Some(of_all)) = (raw, of_all) else { return of_all };
        let retry = of_all.but(raw);
        // What is wrong for all is told once.
        if retry != of_all {
            self.sound(&format!("{at}.retry"), &retry);
        }
        Some(retry)
    }

    fn sound(&mut self, at: &str, retry: &Retry) {
        if !(1.0..=10.0).contains(&retry.factor) {
            self.error(ConfigError::new(format!("{at}.factor"), "is not from 1 to 10").value(retry.factor));
        }
        if retry.longest < retry.first {
            self.error(ConfigError::new(format!("{at}.longest"), "is shorter than retry.first"));
        }
        if retry.give_up <= retry.first {
            self.error(ConfigError::new(format!("{at}.give-up"), "leaves no time for a second attempt: it is not longer than retry.first"));
        }
        if retry.delayed_notice_after >= retry.give_up {
            self.error(ConfigError::new(format!("{at}.delayed-notice-after"), "is not before retry.give-up"));
        }
    }

    /// Office hours, and by which clock messages are given up.
    pub(super) fn hours(&mut self, at: &str, raw: raw::Hours) -> Option<(Hours, Patience)> {
        let days: Vec<Weekday> = raw.days?.into_iter().map(weekday).collect();
        if days.is_empty() {
            self.error(
                ConfigError::new(format!("{at}.hours.days"), "is empty").hint("leave [organisation.hours] out where somebody is always there"),
            );
            return None;
        }
        let (opens, closes) = (raw.opens?.0, raw.closes?.0);
        if closes <= opens {
            self.error(ConfigError::new(format!("{at}.hours.closes"), "is not after opens"));
            return None;
        }
        let Ok(zone) = TimeZone::get("Europe/Stockholm") else {
            self.error(ConfigError::new(format!("{at}.hours"), "needs the system's time zone database").hint("install the package tzdata"));
            return None;
        };
        let hours = Hours {
            zone,
            days,
            opens,
            closes,
            holidays: if raw.work_on_holidays? { Holidays::Open } else { Holidays::Closed },
            closed: raw.closed?.into_iter().map(|date| date.0).collect(),
        };
        let patience = match raw.count? {
            raw::HoursCount::Delays => Patience::RealTime,
            raw::HoursCount::All => Patience::WorkingTime,
        };
        Some((hours, patience))
    }
}

fn weekday(day: raw::Day) -> Weekday {
    match day {
        raw::Day::Monday => Weekday::Monday,
        raw::Day::Tuesday => Weekday::Tuesday,
        raw::Day::Wednesday => Weekday::Wednesday,
        raw::Day::Thursday => Weekday::Thursday,
        raw::Day::Friday => Weekday::Friday,
        raw::Day::Saturday => Weekday::Saturday,
        raw::Day::Sunday => Weekday::Sunday,
    }
}
