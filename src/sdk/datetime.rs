//! `xs:dateTime`, `xs:date` and `xs:time` as SDK writes and reads them.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::xml::trim;

/// UTC with exactly three decimals, as every SDK document of ours has it (SDK B1.3.3 4.3.2).
pub(super) fn write(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// `xs:date` and `xs:time` in UTC.
pub(super) fn write_split(at: Timestamp) -> (String, String) {
    (at.strftime("%Y-%m-%d").to_string(), at.strftime("%H:%M:%S%.3fZ").to_string())
}

/// An `xs:dateTime` that was read.
pub(super) struct Read {
    /// The moment; taken as UTC when there is no zone.
    pub(super) at: Timestamp,
    /// Whether there is a zone.
    pub(super) zoned: bool,
}

/// Reads an `xs:dateTime` of a four-digit year.
pub(super) fn read(text: &str) -> Option<Read> {
    let (date, time) = trim(text).split_once('T')?;
    combine(self::date(date)?, time)
}

/// Joins an `xs:date` and an `xs:time`; the time's zone counts.
pub(super) fn read_split(date: &str, time: &str) -> Option<Read> {
    let date = trim(date);
    let zone = date.get(10..)?;
    if !zone.is_empty() {
        self::zone(zone)?;
    }
    combine(self::date(date.get(..10)?)?, trim(time))
}

/// Whether the text has the form `YYYY-MM-DDThh:mm:ss.s{1,3}Z` (SDK B1.3.3, rule `creationDateTime`).
pub(super) fn is_message_form(text: &str) -> bool {
    let Some((whole, fraction)) = text.strip_suffix('Z').and_then(|rest| rest.split_once('.')) else { return false };
    whole.len() == 19 && (1..=3).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit())
}

fn combine(date: Date, time: &str) -> Option<Read> {
    let clock = time.get(..8)?;
    let (fraction, zone) = match time.get(8..)?.strip_prefix('.') {
        Some(rest) => {
            let len = rest.bytes().take_while(u8::is_ascii_digit).count();
            (rest.get(..len).filter(|digits| !digits.is_empty())?, rest.get(len..)?)
        }
        None => ("", time.get(8..)?),
    };
    let [hour, minute, second] = numbers::<3>(clock, ':')?;
    // XML Schema 2 3.2.7: 24:00:00 is the first moment of the next day.
    let midnight = hour == 24 && minute == 0 && second == 0 && fraction.bytes().all(|b| b == b'0');
    let (date, hour) = if midnight { (date.tomorrow().ok()?, 0) } else { (date, hour) };
    let nanosecond: i32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, nanosecond).ok()?;
    let offset = if zone.is_empty() { Offset::UTC } else { self::zone(zone)? };
    // A timestamp ends a day before the year 9999 does, so that it can be shown in every zone: valid all the same.
    let last = || Timestamp::from_second(Timestamp::MAX.as_second()).unwrap_or(Timestamp::MAX);
    let at = offset.to_timestamp(date.to_datetime(time)).unwrap_or_else(|_| last());
    Some(Read { at, zoned: !zone.is_empty() })
}

fn date(text: &str) -> Option<Date> {
    let year = text.get(..4).filter(|year| year.bytes().all(|b| b.is_ascii_digit()))?;
    let [month, day] = numbers::<2>(text.get(4..)?.strip_prefix('-')?, '-')?;
    // XML Schema 2 3.2.7: there is no year 0000.
    let year = year.parse().ok().filter(|year| *year != 0)?;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn zone(text: &str) -> Option<Offset> {
    if text == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, rest) = text.strip_prefix('+').map(|rest| (1, rest)).or_else(|| text.strip_prefix('-').map(|rest| (-1, rest)))?;
    let [hours, minutes] = numbers::<2>(rest, ':')?;
    if hours > 14 || minutes > 59 || (hours == 14 && minutes > 0) {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// Exactly `N` numbers of exactly two digits.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i32; N]> {
    let parts: Vec<i32> = text
        .split(separator)
        .map(|part| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_has_three_decimals() {
        let at: Timestamp = "2024-02-29T23:59:58.04Z".parse().unwrap();
        assert_eq!(write(at), "2024-02-29T23:59:58.040Z");
        assert!(is_message_form(&write(at)));
        assert_eq!(read(&write(at)).unwrap().at, at);
        let (date, time) = write_split(at);
        assert_eq!(read_split(&date, &time).unwrap().at, at);
    }

    #[test]
    fn zones_and_fractions_are_read() {
        let at = |text| read(text).unwrap().at.to_string();
        assert_eq!(at("2021-03-24T17:22:10+01:00"), "2021-03-24T16:22:10Z");
        assert_eq!(at("2021-03-24T17:22:10.1234567891-14:00"), "2021-03-25T07:22:10.123456789Z");
        assert_eq!(at("2021-12-31T24:00:00.00Z"), "2022-01-01T00:00:00Z");
        assert_eq!(at("9999-12-31T23:59:59.999Z"), "9999-12-30T22:00:00Z");
        assert!(!read("2021-03-24T17:22:10").unwrap().zoned);
        assert_eq!(read_split("2021-04-15+02:00", "12:00:00+02:00").unwrap().at.to_string(), "2021-04-15T10:00:00Z");
    }

    #[test]
    fn everything_else_is_none() {
        for text in [
            "",
            "3 Sept. 2019",
            "2021-03-24",
            "2021-02-30T00:00:00Z",
            "2021-03-24T24:00:01Z",
            "2021-03-24T24:00:00.1Z",
            "0000-03-24T00:00:00Z",
            "2021-03-24T23:59:60Z",
            "2021-03-24T1:00:00Z",
            "2021-03-24T17:22:10.Z",
            "2021-03-24T17:22:10z",
            "2021-03-24T17:22:10+1:00",
            "2021-03-24T17:22:10+15:00",
            "12021-03-24T17:22:10Z",
            "2021-03-24T17:22:10Zå",
            "+021-03-24T17:22:10Z",
            "2021-03-24T+1:22:10Z",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
        for text in ["2019-09-03T12:04:13.123", "2019-09-03T12:04:13Z", "2019-09-03T12:04:13.1234Z", "2019-09-03T12:04:13.1+00:00"] {
            assert!(!is_message_form(text), "{text}");
        }
    }
}
