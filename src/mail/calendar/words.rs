//! A meeting in Swedish, as people read it.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::{Calendar, Moment, Occasion, Purpose, When};

const WEEKDAYS: [&str; 7] = ["måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag", "söndag"];
const MONTHS: [&str; 12] = ["januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"];

/// More people than a summary names.
const MAX_PEOPLE: usize = 50;

/// Swedish time, by the rule that holds since 1996; no table of zones is needed.
pub(in crate::mail) fn stockholm() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(TimeZone::UTC)
}

/// `torsdag 5 mars 2026`.
pub(super) fn day(date: Date) -> String {
    let weekday = weekday(usize::from(date.weekday().to_monday_zero_offset().unsigned_abs()));
    let month = MONTHS.get(usize::from(date.month().unsigned_abs()).saturating_sub(1)).copied().unwrap_or_default();
    format!("{weekday} {} {month} {}", date.day(), date.year())
}

/// `torsdag 5 mars 2026 kl. 10.00`, in Swedish time.
pub(in crate::mail) fn moment(instant: Timestamp) -> String {
    let local = instant.to_zoned(stockholm()).datetime();
    format!("{} kl. {}", day(local.date()), clock(local))
}

/// The weekday's name, from Monday as 0.
pub(super) fn weekday(at: usize) -> &'static str {
    WEEKDAYS.get(at).copied().unwrap_or_default()
}

fn clock(time: DateTime) -> String {
    format!("{:02}.{:02}", time.hour(), time.minute())
}

impl Calendar {
    /// All of it, in words.
    pub(in crate::mail) fn text(&self) -> String {
        let mut text = self.occasions.iter().map(Occasion::text).collect::<Vec<_>>().join("\n");
        if self.more > 0 {
            let _ = writeln!(text, "\nOch {} till.", self.more); // writing to a String cannot fail
        }
        text
    }
}

impl Occasion {
    /// It in words: a line for each thing that is known.
    pub(in crate::mail) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            if !value.is_empty() {
                let _ = writeln!(text, "{name}: {value}"); // writing to a String cannot fail
            }
        };
        line(self.purpose.heading(), self.title.as_deref().unwrap_or("(utan rubrik)"));
        line("När", &self.when.as_ref().map(When::text).unwrap_or_default());
        line("Upprepas", self.recurrence.as_deref().unwrap_or_default());
        line("Var", self.place.as_deref().unwrap_or_default());
        line("Organisatör", self.organizer.as_deref().unwrap_or_default());
        let mut people = self.attendees.iter().take(MAX_PEOPLE).cloned().collect::<Vec<_>>().join("; ");
        if self.attendees.len() > MAX_PEOPLE {
            let _ = write!(people, " och {} till", self.attendees.len() - MAX_PEOPLE); // writing to a String cannot fail
        }
        line(if self.purpose.is_answer() { "Svar från" } else { "Deltagare" }, &people);
        for (name, value) in &self.others {
            line(name, value);
        }
        text
    }
}

impl Purpose {
    fn heading(self) -> &'static str {
        match self {
            Self::Request => "Möteskallelse",
            Self::Cancel => "Avbokat möte",
            Self::Accepted => "Svar på möteskallelse, tackar ja",
            Self::Tentative => "Svar på möteskallelse, kommer kanske",
            Self::Declined => "Svar på möteskallelse, tackar nej",
            Self::Delegated => "Svar på möteskallelse, skickar någon annan",
            Self::Answer => "Svar på möteskallelse",
            Self::Counter => "Förslag på ny mötestid",
            Self::DeclineCounter => "Nej till föreslagen mötestid",
            Self::Refresh => "Begäran om aktuella mötesuppgifter",
            Self::Publish => "Kalenderhändelse",
            Self::Task => "Uppgift",
            Self::Busy => "Upptagen tid",
        }
    }

    fn is_answer(self) -> bool {
        matches!(self, Self::Accepted | Self::Tentative | Self::Declined | Self::Delegated | Self::Answer | Self::Counter)
    }
}

impl When {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Days(first, last) if last > first => format!("{}–{}, hela dagar", day(*first), day(*last)),
            Self::Days(first, _) => format!("{}, hela dagen", day(*first)),
            Self::Span(from, until) => {
                let (from, zone) = from.local();
                let mut text = format!("{} kl. {}", day(from.date()), clock(from));
                if let Some((until, _)) = until.as_ref().map(Moment::local).filter(|(until, _)| *until > from) {
                    text.push('–');
                    if until.date() != from.date() {
                        let _ = write!(text, "{} kl. ", day(until.date())); // writing to a String cannot fail
                    }
                    text.push_str(&clock(until));
                }
                text + &zone
            }
        }
    }
}

impl Moment {
    /// What a clock shows, and the words that say which clock.
    fn local(&self) -> (DateTime, String) {
        match self {
            Self::Exact(instant) => (instant.to_zoned(stockholm()).datetime(), " (svensk tid)".to_owned()),
            Self::Clock(local, Some(zone)) => (*local, format!(" (tidszon {zone})")),
            Self::Clock(local, None) => (*local, String::new()),
        }
    }
}
