//! Office hours: when people read what they are told, and how much of a wait falls into their working time.
//!
//! Swedish public holidays are computed (lag 1989:253), with the eves that the Annual Leave Act puts beside them
//! (Midsummer, Christmas and New Year's Eve), on which authorities are closed too.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Days that are looked at for working time: more than ten years, so that every span that can be configured ends.
const DAYS_AHEAD: usize = 4_000;

/// When an organisation works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// Where.
    pub zone: TimeZone,
    /// On which days of the week; at least one.
    pub days: Vec<Weekday>,
    /// From when.
    pub opens: Time,
    /// Until when; later than [`Self::opens`].
    pub closes: Time,
    /// Whether it works on public holidays.
    pub holidays: Holidays,
    /// Further days on which it does not.
    pub closed: Vec<Date>,
}

/// What public holidays are to an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holidays {
    /// It is closed.
    Closed,
    /// Days as any other.
    Open,
}

impl Hours {
    /// Whether somebody is there.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.window(self.date(at)).is_some_and(|(opens, closes)| opens <= at && at < closes)
    }

    /// The moment itself when somebody is there, else the next opening.
    #[must_use]
    pub fn opening(&self, at: Timestamp) -> Timestamp {
        self.windows(at).next().map_or(Timestamp::MAX, |(opens, _)| opens)
    }

    /// When so much working time has passed since then; a moment at which somebody is there.
    #[must_use]
    pub fn after(&self, since: Timestamp, span: Duration) -> Timestamp {
        let mut left = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        for (opens, closes) in self.windows(since) {
            let length = closes.duration_since(opens);
            if left < length {
                return opens.saturating_add(left).unwrap_or(Timestamp::MAX);
            }
            left -= length;
        }
        Timestamp::MAX
    }

    /// Working time from a moment on: beginning and end of each day's.
    fn windows(&self, from: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let days = std::iter::successors(Some(self.date(from)), |day| day.tomorrow().ok()).take(DAYS_AHEAD);
        let windows = days.filter_map(|day| self.window(day));
        windows.map(move |(opens, closes)| (opens.max(from), closes)).filter(|(opens, closes)| opens < closes)
    }

    /// Working time of a day. Where a clock change takes an hour out of it, the day is shorter.
    fn window(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let works = self.days.contains(&day.weekday()) && !self.closed.contains(&day);
        let works = works && (self.holidays == Holidays::Open || !is_holiday(day));
        let at = |time: Time| self.zone.to_timestamp(day.to_datetime(time)).ok();
        works.then_some(()).and_then(|()| Some((at(self.opens)?, at(self.closes)?)))
    }

    fn date(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }
}

/// Whether a day is a Swedish public holiday, or an eve that counts as one.
#[must_use]
pub fn is_holiday(day: Date) -> bool {
    let (month, of_month) = (day.month(), day.day());
    let fixed = [(1, 1), (1, 6), (5, 1), (6, 6), (12, 24), (12, 25), (12, 26), (12, 31)];
    let is = |weekday, from: (i8, i8), to: (i8, i8)| day.weekday() == weekday && (from..=to).contains(&(month, of_month));
    // Midsummer's Eve and Day, and All Saints' Day, move within a week.
    let moving = is(Weekday::Friday, (6, 19), (6, 25)) || is(Weekday::Saturday, (6, 20), (6, 26)) || is(Weekday::Saturday, (10, 31), (11, 6));
    fixed.contains(&(month, of_month)) || moving || easter_tide(day)
}

/// Good Friday, Easter with its eve and Monday, Ascension Day, Whit Sunday.
fn easter_tide(day: Date) -> bool {
    let Some(easter) = easter(day.year()) else { return false };
    [-2, -1, 0, 1, 39, 49].iter().any(|days| easter.checked_add(i64::from(*days).days()).is_ok_and(|moved| moved == day))
}

/// Easter Sunday by the Gregorian rule (Gauss, in the form of Meeus).
fn easter(year: i16) -> Option<Date> {
    let year = i32::from(year);
    let (golden, century, rest) = (year % 19, year / 100, year % 100);
    let moon = (19 * golden + century - century / 4 - (century - (century + 8) / 25 + 1) / 3 + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (rest / 4) - moon - rest % 4) % 7;
    let late = (golden + 11 * moon + 22 * weekday) / 451;
    let days = moon + weekday - 7 * late + 114;
    Date::new(i16::try_from(year).ok()?, i8::try_from(days / 31).ok()?, i8::try_from(days % 31 + 1).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};

    use super::*;

    /// Sweden's rule for daylight saving, without asking the system's database.
    fn hours() -> Hours {
        Hours {
            zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
            days: vec![Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday],
            opens: time(8, 0, 0, 0),
            closes: time(16, 30, 0, 0),
            holidays: Holidays::Closed,
            closed: vec![date(2026, 1, 5)],
        }
    }

    fn at(local: &str) -> Timestamp {
        hours().zone.to_timestamp(local.parse().unwrap()).unwrap()
    }

    fn local(at: Timestamp) -> String {
        hours().zone.to_datetime(at).to_string()
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_holidays_of_2026_and_no_other_day() {
        let first = date(2026, 1, 1);
        let days = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take_while(|day| day.year() == 2026);
        let holidays: Vec<String> = days.filter(|day| is_holiday(*day)).map(|day| day.strftime("%m-%d").to_string()).collect();
        let expected = [
            "01-01", "01-06", "04-03", "04-04", "04-05", "04-06", "05-01", "05-14", "05-24", "06-06", "06-19", "06-20", "10-31", "12-24", "12-25",
            "12-26", "12-31",
        ];
        assert_eq!(holidays, expected);
    }

    #[test]
    fn easter_moves_as_the_almanac_has_it() {
        // Also the earliest and the latest that the rule gives.
        let known =
            [(2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2027, 3, 28), (2030, 4, 21), (2038, 4, 25), (2285, 3, 22), (1954, 4, 18), (2049, 4, 18)];
        for (year, month, day) in known {
            assert_eq!(easter(year), Some(date(year, month, day)));
        }
    }

    #[test]
    fn it_is_open_from_the_opening_until_before_the_closing() {
        let hours = hours();
        for (local, open) in [
            ("2026-01-07T07:59:59", false),
            ("2026-01-07T08:00:00", true),
            ("2026-01-07T16:29:59", true),
            ("2026-01-07T16:30:00", false),
            ("2026-01-10T12:00:00", false),
            ("2026-01-06T12:00:00", false),
            ("2026-01-05T12:00:00", false),
        ] {
            assert_eq!(hours.is_open(at(local)), open, "{local}");
        }
        assert!(Hours { holidays: Holidays::Open, ..hours }.is_open(at("2026-01-06T12:00:00")));
    }

    #[test]
    fn only_working_time_counts() {
        let hours = hours();
        let after = |since: &str, span| local(hours.after(at(since), span));
        assert_eq!(after("2026-01-07T10:00:00", HOUR), "2026-01-07T11:00:00");
        // Friday evening, and over the weekend.
        assert_eq!(after("2026-01-09T16:00:00", HOUR), "2026-01-12T08:30:00");
        assert_eq!(after("2026-01-09T20:00:00", HOUR), "2026-01-12T09:00:00");
        // The closing is nobody's time: what ends with it ends at the next opening.
        assert_eq!(after("2026-01-08T16:00:00", HOUR / 2), "2026-01-09T08:00:00");
        // New Year's Eve and Day, a weekend, a closed Monday and Epiphany.
        assert_eq!(after("2025-12-30T16:00:00", HOUR), "2026-01-02T08:30:00");
        assert_eq!(after("2026-01-02T16:00:00", HOUR), "2026-01-07T08:30:00");
        assert_eq!(after("2026-01-07T12:00:00", Duration::from_mins(510 * 3)), "2026-01-12T12:00:00");
        assert_eq!(local(hours.opening(at("2026-01-02T16:30:00"))), "2026-01-07T08:00:00");
        assert_eq!(hours.opening(at("2026-01-07T09:00:00")), at("2026-01-07T09:00:00"));
    }

    #[test]
    fn a_clock_change_takes_no_working_time_and_gives_none() {
        let hours = hours();
        for (friday, monday) in [("2026-03-27T16:00:00", "2026-03-30T08:30:00"), ("2026-10-23T16:00:00", "2026-10-26T08:30:00")] {
            assert_eq!(local(hours.after(at(friday), HOUR)), monday);
        }
        // Who works in the night of the change has an hour less, or one more.
        let night = Hours { days: vec![Weekday::Sunday], opens: time(0, 0, 0, 0), closes: time(6, 0, 0, 0), ..hours };
        let length = |day: &str| {
            let (opens, closes) = night.window(day.parse().unwrap()).unwrap();
            closes.duration_since(opens).as_hours()
        };
        assert_eq!((length("2026-03-29"), length("2026-10-25"), length("2026-10-18")), (5, 7, 6));
        assert_eq!(local(night.after(at("2026-03-29T01:00:00"), HOUR * 2)), "2026-03-29T04:00:00");
    }

    #[test]
    fn every_span_ends() {
        let rare = Hours { days: vec![Weekday::Saturday], closes: time(8, 1, 0, 0), ..hours() };
        assert_eq!(rare.after(at("2026-01-07T10:00:00"), Duration::MAX), Timestamp::MAX);
        assert!(rare.after(at("2026-01-07T10:00:00"), Duration::from_mins(100)) < at("2029-01-01T00:00:00"));
        assert_eq!(hours().after(Timestamp::MAX, HOUR), Timestamp::MAX);
    }
}
