//! iCalendar to what is told of it.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::lines::{Component, Property, components};
use super::zone::{Zones, date, date_time, utc};
use super::{Calendar, CalendarError, Moment, Occasion, Purpose, When, recurrence};

/// More meetings than a summary tells of.
const MAX_OCCASIONS: usize = 20;

/// Reads text/calendar.
pub(in crate::mail) fn read(text: &str) -> Result<Calendar, CalendarError> {
    let calendars = components(text)?;
    if calendars.is_empty() || calendars.iter().any(|calendar| calendar.name != "vcalendar") {
        return Err(CalendarError::Beginning);
    }
    let mut all = Calendar { occasions: Vec::new(), more: 0, description: None };
    for calendar in &calendars {
        let zones = Zones::of(calendar);
        let method = calendar.value("METHOD").unwrap_or_default().to_ascii_uppercase();
        for part in &calendar.parts {
            let Some(purpose) = purpose(part, &method) else { continue };
            if all.occasions.len() >= MAX_OCCASIONS {
                all.more += 1;
                continue;
            }
            if all.description.is_none() {
                all.description = part.text("DESCRIPTION");
            }
            all.occasions.push(occasion(part, purpose, &zones));
        }
    }
    if all.occasions.is_empty() { Err(CalendarError::Beginning) } else { Ok(all) }
}

/// Why a component is sent (RFC 5546 1.4); `None` for what is no occasion.
fn purpose(part: &Component, method: &str) -> Option<Purpose> {
    match part.name.as_str() {
        "vtodo" => return Some(Purpose::Task),
        "vfreebusy" => return Some(Purpose::Busy),
        "vevent" => {}
        _ => return None,
    }
    let cancelled = part.value("STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED"));
    Some(match method {
        "CANCEL" => Purpose::Cancel,
        "REPLY" => match part.property("ATTENDEE").and_then(|attendee| attendee.parameter("PARTSTAT")).map(str::to_ascii_uppercase).as_deref() {
            Some("ACCEPTED") => Purpose::Accepted,
            Some("TENTATIVE") => Purpose::Tentative,
            Some("DECLINED") => Purpose::Declined,
            Some("DELEGATED") => Purpose::Delegated,
            _ => Purpose::Answer,
        },
        "COUNTER" => Purpose::Counter,
        "DECLINECOUNTER" => Purpose::DeclineCounter,
        "REFRESH" => Purpose::Refresh,
        _ if cancelled => Purpose::Cancel,
        "REQUEST" | "ADD" => Purpose::Request,
        _ => Purpose::Publish,
    })
}

fn occasion(part: &Component, purpose: Purpose, zones: &Zones) -> Occasion {
    let mut others = Vec::new();
    if let Some(due) = part.property("DUE").and_then(|due| moment(due, zones)) {
        others.push(("Klart senast", When::Span(due, None).text()));
    } else if let Some(due) = part.value("DUE").and_then(date) {
        others.push(("Klart senast", super::words::day(due)));
    }
    if let Some(comment) = part.text("COMMENT") {
        others.push(("Kommentar", comment));
    }
    if let Some(url) = part.text("URL") {
        others.push(("Länk", url));
    }
    if part.properties("ATTACH").next().is_some() {
        others.push(("Bilagor i kalendern", part.properties("ATTACH").filter_map(attachment).collect::<Vec<_>>().join("; ")));
    }
    Occasion {
        purpose,
        title: part.text("SUMMARY"),
        when: when(part, zones),
        recurrence: part.value("RRULE").map(recurrence::words),
        place: part.text("LOCATION"),
        organizer: part.property("ORGANIZER").and_then(person),
        attendees: part.properties("ATTENDEE").filter_map(person).collect(),
        others,
    }
}

/// The name and the address of a person.
fn person(property: &Property) -> Option<String> {
    let value = property.value.trim();
    let address = value.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("mailto:")).map_or(value, |(_, address)| address);
    match property.parameter("CN").map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) if !name.eq_ignore_ascii_case(address) => Some(format!("{name} ({address})")),
        _ => (!address.is_empty()).then(|| address.to_owned()),
    }
}

/// Where an attachment lies, or its name when it is part of the calendar.
fn attachment(property: &Property) -> Option<String> {
    let inline = property.parameter("VALUE").is_some_and(|value| value.eq_ignore_ascii_case("BINARY"));
    if inline { property.parameter("FILENAME").map(str::to_owned) } else { Some(property.value.trim().to_owned()).filter(|value| !value.is_empty()) }
}

fn when(part: &Component, zones: &Zones) -> Option<When> {
    let start = part.property("DTSTART")?;
    let end = part.property("DTEND");
    if let Some(first) = date(start.value.trim()) {
        // The end is the day after the last one (RFC 5545 3.6.1).
        let end = end.and_then(|end| date(end.value.trim())).and_then(|end| end.yesterday().ok());
        let lasting = || part.value("DURATION").and_then(duration).and_then(|lasting| first.checked_add((lasting.as_hours() / 24 - 1).days()).ok());
        return Some(When::Days(first, end.or_else(lasting).unwrap_or(first)));
    }
    let from = moment(start, zones)?;
    let until = end.and_then(|end| moment(end, zones)).or_else(|| {
        let lasting = part.value("DURATION").and_then(duration)?;
        Some(match &from {
            Moment::Exact(instant) => Moment::Exact(later(*instant, lasting)?),
            Moment::Clock(local, zone) => Moment::Clock(later_clock(*local, lasting)?, zone.clone()),
        })
    });
    Some(When::Span(from, until))
}

fn later(instant: Timestamp, lasting: SignedDuration) -> Option<Timestamp> {
    instant.checked_add(lasting).ok()
}

fn later_clock(local: DateTime, lasting: SignedDuration) -> Option<DateTime> {
    local.checked_add(lasting).ok()
}

fn moment(property: &Property, zones: &Zones) -> Option<Moment> {
    let value = property.value.trim();
    let local = date_time(value)?;
    if value.ends_with('Z') {
        return utc(local).map(Moment::Exact);
    }
    Some(zones.moment(local, property.parameter("TZID")))
}

/// `P1DT2H30M` or `P2W` (RFC 5545 3.3.6).
fn duration(text: &str) -> Option<SignedDuration> {
    let rest = text.trim().trim_start_matches('+').strip_prefix('P')?;
    let mut seconds = 0_i64;
    let mut number = 0_i64;
    for c in rest.chars() {
        let unit = match c {
            '0'..='9' => {
                number = number.checked_mul(10)?.checked_add(i64::from(c.to_digit(10)?))?;
                continue;
            }
            'T' => 0,
            'W' => 7 * 86_400,
            'D' => 86_400,
            'H' => 3_600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        number = 0;
    }
    Some(SignedDuration::from_secs(seconds))
}
