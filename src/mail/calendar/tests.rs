//! Calendars as Outlook, Exchange, Google and others write them.

use super::*;

fn text(calendar: &str) -> String {
    read(&calendar.replace('\n', "\r\n")).unwrap().text()
}

fn event(method: &str, lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nMETHOD:{method}\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n")
}

/// As Exchange writes it: zones by Windows' names, with their rules.
const INVITATION: &str = "BEGIN:VCALENDAR
METHOD:REQUEST
PRODID:Microsoft Exchange Server 2010
VERSION:2.0
BEGIN:VTIMEZONE
TZID:GMT Standard Time
BEGIN:STANDARD
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0000
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T010000
TZOFFSETFROM:+0000
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
ORGANIZER;CN=\"Åberg; Anna\":mailto:anna.aberg@habo.se
ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Kalle:MAILT
 O:kalle@af.se
ATTENDEE:mailto:lisa@af.se
DESCRIPTION;LANGUAGE=sv-SE:Hej\\,\\nvi ses.\\n
RRULE:FREQ=WEEKLY;UNTIL=20260430T080000Z;INTERVAL=2;BYDAY=TU,TH
SUMMARY;LANGUAGE=sv-SE:Samråd om ärende\\; del 1
DTSTART;TZID=GMT Standard Time:20260402T090000
DTEND;TZID=GMT Standard Time:20260402T103000
LOCATION;LANGUAGE=sv-SE:Kommunhuset\\, rum 3
BEGIN:VALARM
TRIGGER:-PT15M
DESCRIPTION:REMINDER
END:VALARM
END:VEVENT
END:VCALENDAR
";

#[test]
fn an_invitation_reads_as_people_say_it() {
    let expected = "Möteskallelse: Samråd om ärende; del 1
När: torsdag 2 april 2026 kl. 10.00–11.30 (svensk tid)
Upprepas: varannan vecka, tisdagar och torsdagar, till och med torsdag 30 april 2026
Var: Kommunhuset, rum 3
Organisatör: Åberg; Anna (anna.aberg@habo.se)
Deltagare: Kalle (kalle@af.se); lisa@af.se
";
    assert_eq!(text(INVITATION), expected);
    assert_eq!(read(INVITATION).unwrap().description.as_deref(), Some("Hej,\nvi ses."));
}

#[test]
fn the_purpose_is_told() {
    for (method, lines, expected) in [
        ("CANCEL", "SUMMARY:x", "Avbokat möte: x\n"),
        ("REQUEST", "SUMMARY:x\nSTATUS:CANCELLED", "Avbokat möte: x\n"),
        ("REPLY", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.se", "Svar på möteskallelse, tackar ja: (utan rubrik)\nSvar från: a@b.se\n"),
        ("REPLY", "ATTENDEE;PARTSTAT=DECLINED;CN=A:mailto:a@b.se", "Svar på möteskallelse, tackar nej: (utan rubrik)\nSvar från: A (a@b.se)\n"),
        ("REPLY", "ATTENDEE;PARTSTAT=TENTATIVE:a", "Svar på möteskallelse, kommer kanske: (utan rubrik)\nSvar från: a\n"),
        ("COUNTER", "SUMMARY:x\nCOMMENT:Sjuk", "Förslag på ny mötestid: x\nKommentar: Sjuk\n"),
        ("PUBLISH", "SUMMARY:x\nURL:https://habo.se/m", "Kalenderhändelse: x\nLänk: https://habo.se/m\n"),
    ] {
        assert_eq!(text(&event(method, lines)), expected, "{method}");
    }
    let task = "BEGIN:VCALENDAR\nBEGIN:vtodo\nSUMMARY:Svara\nDUE;VALUE=DATE:20260305\nEND:vtodo\nEND:VCALENDAR\n";
    assert_eq!(text(task), "Uppgift: Svara\nKlart senast: torsdag 5 mars 2026\n");
}

#[test]
fn times_are_told_in_swedish_time_or_as_they_stand() {
    for (lines, expected) in [
        ("DTSTART:20260305T090000Z\nDTEND:20260305T100000Z", "torsdag 5 mars 2026 kl. 10.00–11.00 (svensk tid)"),
        ("DTSTART:20260705T090000Z\nDURATION:P1DT1H30M", "söndag 5 juli 2026 kl. 11.00–måndag 6 juli 2026 kl. 12.30 (svensk tid)"),
        ("DTSTART;TZID=W. Europe Standard Time:20260705T090000", "söndag 5 juli 2026 kl. 09.00 (svensk tid)"),
        ("DTSTART;TZID=/Europe/Stockholm:20260105T090000", "måndag 5 januari 2026 kl. 09.00 (svensk tid)"),
        ("DTSTART;TZID=Asia/Tokyo:20260105T090000", "måndag 5 januari 2026 kl. 09.00 (tidszon Asia/Tokyo)"),
        ("DTSTART:20260105T090000", "måndag 5 januari 2026 kl. 09.00"),
        ("DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260106", "måndag 5 januari 2026, hela dagen"),
        ("DTSTART;VALUE=DATE:20260105\nDURATION:P2D", "måndag 5 januari 2026–tisdag 6 januari 2026, hela dagar"),
    ] {
        assert_eq!(text(&event("REQUEST", lines)), format!("Möteskallelse: (utan rubrik)\nNär: {expected}\n"), "{lines}");
    }
}

#[test]
fn the_zone_s_own_rules_decide_in_every_part_of_the_year() {
    let at = |local: &str| text(&INVITATION.replace("20260402T090000", local).replace("DTEND;TZID=GMT Standard Time:20260402T103000\n", ""));
    for (local, swedish) in [
        ("20260101T090000", "torsdag 1 januari 2026 kl. 10.00"),
        ("20260329T030000", "söndag 29 mars 2026 kl. 04.00"),
        ("20260701T090000", "onsdag 1 juli 2026 kl. 10.00"),
        ("20261101T090000", "söndag 1 november 2026 kl. 10.00"),
        ("20261231T233000", "fredag 1 januari 2027 kl. 00.30"),
    ] {
        assert!(at(local).contains(&format!("När: {swedish} (svensk tid)\n")), "{local}: {}", at(local));
    }
    // New York changes two weeks before Stockholm does.
    let york = "BEGIN:VTIMEZONE\nTZID:NY\nBEGIN:DAYLIGHT\nDTSTART:20070311T020000\nTZOFFSETTO:-0400\nTZOFFSETFROM:-0500\n\
                RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\nEND:DAYLIGHT\nBEGIN:STANDARD\nDTSTART:20071104T020000\nTZOFFSETFROM:-0400\n\
                TZOFFSETTO:-0500\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU\nEND:STANDARD\nEND:VTIMEZONE\n";
    let calendar = event("REQUEST", "DTSTART;TZID=NY:20260316T090000").replace("BEGIN:VEVENT", &format!("{york}BEGIN:VEVENT"));
    assert!(text(&calendar).contains("måndag 16 mars 2026 kl. 14.00"), "{}", text(&calendar));
}

#[test]
fn recurrence_is_told_or_shown_as_it_stands() {
    for (rule, words) in [
        ("FREQ=DAILY;COUNT=3", "varje dag, 3 gånger"),
        ("FREQ=WEEKLY;BYDAY=MO", "varje vecka, måndagar"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "varje månad, sista fredagen"),
        ("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=15", "var 3:e månad, den 15:e"),
        ("FREQ=YEARLY", "varje år"),
        ("FREQ=SECONDLY;BYSETPOS=2", "FREQ=SECONDLY;BYSETPOS=2"),
    ] {
        assert_eq!(recurrence::words(rule), words);
    }
}

#[test]
fn what_is_no_whole_calendar_is_refused() {
    for (calendar, error) in [
        ("", CalendarError::Beginning),
        ("Hej: du", CalendarError::Beginning),
        ("BEGIN:VCARD\nEND:VCARD", CalendarError::Beginning),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR", CalendarError::Beginning),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x", CalendarError::Short),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", CalendarError::Short),
    ] {
        assert_eq!(read(calendar), Err(error), "{calendar}");
    }
    assert_eq!(read(&"BEGIN:VCALENDAR\n".repeat(9)), Err(CalendarError::TooMany));
    let many = event("PUBLISH", "SUMMARY:x").replace("END:VCALENDAR", &("BEGIN:VEVENT\nEND:VEVENT\n".repeat(30) + "END:VCALENDAR"));
    assert!(text(&many).ends_with("\nOch 11 till.\n"));
}
