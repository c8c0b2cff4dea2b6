//! How a meeting comes again, in words (RRULE, RFC 5545 3.3.10).

use std::collections::HashMap;
use std::fmt::Write as _;

use super::words;
use super::zone::{date, weekday};

/// The words; for a rule beyond them, the rule itself, so that nothing is hidden.
pub(super) fn words(rule: &str) -> String {
    plain(rule).unwrap_or_else(|| rule.chars().take(200).collect())
}

fn plain(rule: &str) -> Option<String> {
    let upper = rule.trim().to_ascii_uppercase();
    let parts: HashMap<&str, &str> = upper.split(';').filter_map(|piece| piece.split_once('=')).collect();
    let known = ["FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "WKST"];
    if !parts.keys().all(|key| known.contains(key)) {
        return None;
    }
    let interval: u32 = parts.get("INTERVAL").map_or(Some(1), |text| text.parse().ok())?;
    let mut text = match (*parts.get("FREQ")?, interval) {
        ("DAILY", 1) => "varje dag".to_owned(),
        ("DAILY", days) => format!("var {days}:e dag"),
        ("WEEKLY", 1) => "varje vecka".to_owned(),
        ("WEEKLY", 2) => "varannan vecka".to_owned(),
        ("WEEKLY", weeks) => format!("var {weeks}:e vecka"),
        ("MONTHLY", 1) => "varje månad".to_owned(),
        ("MONTHLY", 2) => "varannan månad".to_owned(),
        ("MONTHLY", months) => format!("var {months}:e månad"),
        ("YEARLY", 1) => "varje år".to_owned(),
        ("YEARLY", years) => format!("var {years}:e år"),
        _ => return None,
    };
    if let Some(days) = parts.get("BYDAY") {
        let days = days.split(',').map(weekday_words).collect::<Option<Vec<_>>>()?;
        text.push_str(", ");
        text.push_str(&days.join(" och "));
    } else if let Some(day) = parts.get("BYMONTHDAY") {
        let day: i8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
        let _ = write!(text, ", den {day}:e"); // writing to a String cannot fail
    }
    if let Some(count) = parts.get("COUNT") {
        let count: u32 = count.parse().ok()?;
        let _ = write!(text, ", {count} gånger"); // writing to a String cannot fail
    }
    if let Some(until) = parts.get("UNTIL") {
        text.push_str(", till och med ");
        text.push_str(&words::day(date(until.get(..8)?)?));
    }
    Some(text)
}

/// `tisdagar`, `andra tisdagen`, `sista tisdagen`.
fn weekday_words(text: &str) -> Option<String> {
    let (nth, day) = weekday(text)?;
    let name = words::weekday(usize::from(day.to_monday_zero_offset().unsigned_abs()));
    let order = match nth {
        None => return Some(format!("{name}ar")),
        Some(1) => "första",
        Some(2) => "andra",
        Some(3) => "tredje",
        Some(4) => "fjärde",
        Some(5) => "femte",
        Some(-1) => "sista",
        Some(_) => return None,
    };
    Some(format!("{order} {name}en"))
}
