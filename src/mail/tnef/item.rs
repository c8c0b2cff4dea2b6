//! What meetings, tasks, contacts and votes say in fields of their own (MS-OXOCAL, MS-OXOTASK, MS-OXOCNTC, MS-OXOMSG).

use jiff::Timestamp;

use super::properties::{Key, Properties, Set};
use crate::mail::calendar::{Moment, Occasion, Purpose, When, moment, stockholm};
use crate::mail::codepage;

/// A set of Outlook's: the GUIDs differ in one octet.
const fn set(octet: u8) -> Set {
    Set([octet, 0x20, 6, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46])
}

const APPOINTMENT: Set = set(2);
const TASK: Set = set(3);
const ADDRESS: Set = set(4);
const COMMON: Set = set(8);

/// More answers than voting buttons offer.
const MAX_VOTES: usize = 50;

/// What an item of a class says, a line for each thing; `None` for a mail.
pub(super) fn summary(class: &str, properties: &Properties<'_>) -> Option<String> {
    let class = class.to_ascii_lowercase();
    let within = |name: &str| class.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let meeting = |purpose| Some(meeting(purpose, properties));
    match class.as_str() {
        _ if within("ipm.schedule.meeting.request") => meeting(Purpose::Request),
        _ if within("ipm.schedule.meeting.canceled") => meeting(Purpose::Cancel),
        _ if within("ipm.schedule.meeting.resp.pos") => meeting(Purpose::Accepted),
        _ if within("ipm.schedule.meeting.resp.tent") => meeting(Purpose::Tentative),
        _ if within("ipm.schedule.meeting.resp.neg") => meeting(Purpose::Declined),
        _ if within("ipm.schedule.meeting") => meeting(Purpose::Answer),
        _ if within("ipm.appointment") => meeting(Purpose::Publish),
        _ if within("ipm.task") || class.starts_with("ipm.taskrequest") => Some(task(properties)),
        _ if within("ipm.contact") => Some(contact(properties)),
        _ if within("ipm.distlist") => properties.text(0x3001).map(|name| format!("Kontaktgrupp: {}\n", one_line(&name))),
        _ => None,
    }
}

fn meeting(purpose: Purpose, properties: &Properties<'_>) -> String {
    let time = |id: u32, tag: u16| properties.named_time(APPOINTMENT, id).or_else(|| properties.time(tag));
    let (start, end) = (time(0x820d, 0x0060), time(0x820e, 0x0061));
    let whole_days = properties.named_integer(APPOINTMENT, 0x8215) == Some(1);
    let attendees = properties.named_text(APPOINTMENT, 0x8238).or_else(|| properties.text(0x0e04));
    let occasion = Occasion {
        title: properties.text(0x0037),
        when: start.map(|start| when(start, end, whole_days)),
        recurrence: properties.named_text(APPOINTMENT, 0x8232),
        place: properties.named_text(APPOINTMENT, 0x8208),
        organizer: properties.text(0x0042).filter(|_| matches!(purpose, Purpose::Request | Purpose::Cancel | Purpose::Publish)),
        attendees: if matches!(purpose, Purpose::Request | Purpose::Cancel | Purpose::Publish) {
            attendees.into_iter().collect()
        } else {
            properties.text(0x0042).into_iter().collect()
        },
        ..Occasion::new(purpose)
    };
    occasion.text()
}

fn when(start: Timestamp, end: Option<Timestamp>, whole_days: bool) -> When {
    if !whole_days {
        return When::Span(Moment::Exact(start), end.map(Moment::Exact));
    }
    let date = |instant: Timestamp| instant.to_zoned(stockholm()).date();
    let first = date(start);
    // The end is the midnight after the last day.
    let last = end.and_then(|end| date(end).yesterday().ok()).unwrap_or(first);
    When::Days(first, last.max(first))
}

fn task(properties: &Properties<'_>) -> String {
    let mut others = Vec::new();
    if let Some(start) = properties.named_time(TASK, 0x8104) {
        others.push(("Börjar", moment(start)));
    }
    if let Some(due) = properties.named_time(TASK, 0x8105) {
        others.push(("Klart senast", moment(due)));
    }
    let status = match properties.named_integer(TASK, 0x8101) {
        Some(0) => Some("inte påbörjad"),
        Some(1) => Some("pågår"),
        Some(2) => Some("klar"),
        Some(3) => Some("väntar på någon annan"),
        Some(4) => Some("uppskjuten"),
        _ => None,
    };
    others.extend(status.map(|status| ("Läge", status.to_owned())));
    others.extend(properties.named_text(TASK, 0x811f).map(|owner| ("Ägare", owner)));
    Occasion { title: properties.text(0x0037), others, ..Occasion::new(Purpose::Task) }.text()
}

fn contact(properties: &Properties<'_>) -> String {
    let tags: [(&str, u16); 10] = [
        ("Kontakt", 0x3001),
        ("Titel", 0x3a17),
        ("Organisation", 0x3a16),
        ("Avdelning", 0x3a18),
        ("Telefon, arbete", 0x3a08),
        ("Mobiltelefon", 0x3a1c),
        ("Telefon, hem", 0x3a09),
        ("Fax", 0x3a24),
        ("Postadress", 0x3a15),
        ("Webbsida", 0x3a51),
    ];
    let fields = tags.into_iter().filter_map(|(name, tag)| Some((name, properties.text(tag)?)));
    let named = [("E-post", 0x8083), ("E-post", 0x8093), ("E-post", 0x80a3), ("Arbetsadress", 0x801b), ("Hemadress", 0x801a)];
    let named = named.into_iter().filter_map(|(name, id)| Some((name, properties.named_text(ADDRESS, id)?)));
    fields.chain(named).flat_map(|(name, value)| [name.to_owned(), ": ".to_owned(), one_line(&value), "\n".to_owned()]).collect()
}

/// The answers that voting buttons offer (MS-OXOMSG 2.2.1.74), or the one that was given.
pub(super) fn votes(properties: &Properties<'_>) -> Vec<String> {
    let offered = properties.named_binary(COMMON, 0x8520).map(|stream| verbs(stream, properties.page)).unwrap_or_default();
    if offered.is_empty() { properties.texts(&Key::Number(COMMON, 0x8524)) } else { offered }
}

/// The names of the verbs that are votes; those in Unicode stand after all others.
fn verbs(stream: &[u8], page: u32) -> Vec<String> {
    let mut input = stream;
    let mut narrow = Vec::new();
    let Some(count) = take(&mut input, 2).and_then(|_| take(&mut input, 4)).and_then(number) else { return Vec::new() };
    for _ in 0..count.min(1_000) {
        let Some(verb) = verb(&mut input, page) else { return votes_of(narrow, Vec::new()) };
        narrow.push(verb);
    }
    let mut wide = Vec::new();
    let _ = take(&mut input, 2);
    for _ in &narrow {
        let (Some(name), Some(_)) = (wide_name(&mut input), wide_name(&mut input)) else { break };
        wide.push(name);
    }
    votes_of(narrow, wide)
}

/// The votes among the verbs, each in Unicode where that is there.
fn votes_of(narrow: Vec<(bool, String)>, wide: Vec<String>) -> Vec<String> {
    let whole = wide.len() == narrow.len();
    let names = narrow.into_iter().enumerate().filter(|(_, (vote, _))| *vote);
    let names = names.map(|(at, (_, name))| if whole { wide.get(at).cloned().unwrap_or(name) } else { name });
    names.filter(|name| !name.is_empty()).take(MAX_VOTES).collect()
}

/// One verb: whether it is a vote, and its name.
fn verb(input: &mut &[u8], page: u32) -> Option<(bool, String)> {
    let kind = number(take(input, 4)?)?;
    let name = short_text(input)?;
    // The class of the answer, a string that is always empty, and the name again.
    for _ in 0..3 {
        short_text(input)?;
    }
    // Two flags, how the header is written, and four numbers (MS-OXOMSG 2.2.1.74.1).
    take(input, 4 + 1 + 4 + 4 + 4 + 4 + 4 + 4)?;
    Some((kind == 4, codepage::decode(name, page).or_else(|| codepage::decode(name, 1252))?))
}

fn short_text<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = *take(input, 1)?.first()?;
    take(input, usize::from(length))
}

fn wide_name(input: &mut &[u8]) -> Option<String> {
    let units = *take(input, 1)?.first()?;
    take(input, usize::from(units) * 2).map(codepage::utf16)
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

fn number(octets: &[u8]) -> Option<u32> {
    octets.try_into().ok().map(u32::from_le_bytes)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
