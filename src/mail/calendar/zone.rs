//! Time zones as a calendar brings them along (VTIMEZONE, RFC 5545 3.6.5).

use std::collections::HashMap;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Moment;
use super::lines::Component;
use super::words::stockholm;

/// Names of zones whose clocks show Swedish time, for calendars that bring no rules along.
const SWEDISH: &[&str] = &[
    "central europe standard time",
    "central european standard time",
    "europe/amsterdam",
    "europe/berlin",
    "europe/brussels",
    "europe/copenhagen",
    "europe/madrid",
    "europe/oslo",
    "europe/paris",
    "europe/rome",
    "europe/stockholm",
    "europe/vienna",
    "europe/warsaw",
    "europe/zurich",
    "romance standard time",
    "w. europe standard time",
];

/// More changes of the clock, one by one, than a century has.
const MAX_DATES: usize = 200;

/// The zones of one calendar.
#[derive(Debug, Default)]
pub(super) struct Zones(HashMap<String, Vec<Rule>>);

/// From when a clock of a zone shows another time.
#[derive(Debug)]
struct Rule {
    start: DateTime,
    /// Other days on which it comes into force, one by one.
    dates: Vec<DateTime>,
    offset: SignedDuration,
    yearly: Option<Yearly>,
    /// The last year in which the rule applies.
    until: Option<i16>,
}

/// On which day of each year.
#[derive(Debug)]
struct Yearly {
    month: i8,
    day: Onset,
}

#[derive(Debug)]
enum Onset {
    /// The n-th one of the month, from its end when negative.
    Weekday(i8, Weekday),
    Day(i8),
}

impl Zones {
    /// The zones that stand in a calendar.
    pub(super) fn of(calendar: &Component) -> Self {
        let zones = calendar.parts.iter().filter(|part| part.name == "vtimezone");
        Self(zones.filter_map(|zone| Some((zone.value("TZID")?.to_owned(), zone.parts.iter().filter_map(rule).take(200).collect()))).collect())
    }

    /// What a clock of the zone shows, as a point in time.
    pub(super) fn moment(&self, local: DateTime, zone: Option<&str>) -> Moment {
        let Some(zone) = zone else { return Moment::Clock(local, None) };
        let name = zone.trim_start_matches('/').to_lowercase();
        let instant = match self.0.get(zone).and_then(|rules| offset(rules, local)) {
            Some(offset) => utc(local).and_then(|instant| instant.checked_sub(offset).ok()),
            None if matches!(name.as_str(), "utc" | "etc/utc" | "gmt") => utc(local),
            None if SWEDISH.contains(&name.as_str()) => local.to_zoned(stockholm()).ok().map(|zoned| zoned.timestamp()),
            None => None,
        };
        instant.map_or_else(|| Moment::Clock(local, Some(zone.chars().take(60).collect())), Moment::Exact)
    }
}

/// The instant at which a clock in Greenwich shows this.
pub(super) fn utc(local: DateTime) -> Option<Timestamp> {
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// The offset of the rule that came into force last.
fn offset(rules: &[Rule], local: DateTime) -> Option<SignedDuration> {
    let onsets = rules.iter().filter_map(|rule| Some((rule.last_onset(local)?, rule.offset)));
    let last = onsets.max_by_key(|(onset, _)| *onset).map(|(_, offset)| offset);
    // Before the first onset, the first rule is the best that is known.
    last.or_else(|| rules.first().map(|rule| rule.offset))
}

impl Rule {
    fn last_onset(&self, local: DateTime) -> Option<DateTime> {
        let start = self.dates.iter().copied().chain([self.start]).filter(|onset| *onset <= local).max();
        let Some(yearly) = &self.yearly else { return start };
        let last = self.until.map_or(local.year(), |until| until.min(local.year()));
        let onsets = [last, last.saturating_sub(1)].into_iter().filter_map(|year| Some(yearly.date(year)?.to_datetime(self.start.time())));
        onsets.into_iter().find(|onset| *onset <= local && *onset >= self.start).or(start)
    }
}

impl Yearly {
    fn date(&self, year: i16) -> Option<Date> {
        let first = Date::new(year, self.month, 1).ok()?;
        match self.day {
            Onset::Weekday(nth, weekday) => first.nth_weekday_of_month(nth, weekday).ok(),
            Onset::Day(day) => Date::new(year, self.month, day).ok(),
        }
    }
}

fn rule(part: &Component) -> Option<Rule> {
    let start = date_time(part.value("DTSTART")?)?;
    let offset = part.value("TZOFFSETTO").and_then(seconds)?;
    let parts: HashMap<&str, &str> = part.value("RRULE").unwrap_or_default().split(';').filter_map(|piece| piece.split_once('=')).collect();
    let yearly = if parts.get("FREQ") == Some(&"YEARLY") { yearly(&parts, start) } else { None };
    let until = parts.get("UNTIL").and_then(|until| until.get(..4)?.parse().ok());
    let dates = part.properties("RDATE").flat_map(|property| property.value.split(',')).filter_map(|date| date_time(date.trim()));
    Some(Rule { start, dates: dates.take(MAX_DATES).collect(), offset, yearly, until })
}

fn yearly(parts: &HashMap<&str, &str>, start: DateTime) -> Option<Yearly> {
    let month = parts.get("BYMONTH").map_or(Some(start.month()), |month| month.parse().ok())?;
    let day = match (parts.get("BYDAY"), parts.get("BYMONTHDAY")) {
        // The first Sunday from the 8th on is the second one.
        (Some(day), Some(from)) => {
            let from: i8 = from.split(',').next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
            Onset::Weekday((from - 1) / 7 + 1, weekday(day)?.1)
        }
        (Some(day), None) => {
            let (nth, weekday) = weekday(day)?;
            Onset::Weekday(nth.unwrap_or(1), weekday)
        }
        (None, Some(day)) => Onset::Day(day.parse().ok()?),
        (None, None) => Onset::Day(start.day()),
    };
    Some(Yearly { month, day })
}

/// `-1SU` is the last Sunday.
pub(super) fn weekday(text: &str) -> Option<(Option<i8>, Weekday)> {
    let (number, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let weekday = match name {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    };
    if number.is_empty() {
        return Some((None, weekday));
    }
    let nth = number.parse().ok().filter(|nth| (-5..=5).contains(nth) && *nth != 0)?;
    Some((Some(nth), weekday))
}

/// `20260305T100000`, with or without `Z`.
pub(super) fn date_time(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_once('T')?;
    let two = |at: usize| time.get(at..at + 2)?.parse::<i8>().ok();
    // A leap second is shown as the second before.
    let (hour, minute, second) = (two(0)?, two(2)?, two(4).unwrap_or(0).min(59));
    let day = date(day)?;
    DateTime::new(day.year(), day.month(), day.day(), hour, minute, second, 0).ok()
}

/// `20260305`.
pub(super) fn date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Date::new(text.get(..4)?.parse().ok()?, text.get(4..6)?.parse().ok()?, text.get(6..)?.parse().ok()?).ok()
}

/// `+0100`, maybe with seconds.
fn seconds(text: &str) -> Option<SignedDuration> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("-", digits) => (-1, digits),
        ("+", digits) => (1, digits),
        _ => (1, text),
    };
    let two = |at: usize| digits.get(at..at + 2)?.parse::<i64>().ok().filter(|number| (0..60).contains(number));
    let total = two(0).filter(|hours| *hours < 24)? * 3600 + two(2)? * 60 + two(4).unwrap_or(0);
    Some(SignedDuration::from_secs(sign * total))
}
