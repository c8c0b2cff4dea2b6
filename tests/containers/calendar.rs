//! Meetings by mail.

use brevbro::mail::convert::outgoing;

use crate::common::{python, run, temporary};
use crate::writer::{Part, base64_lines};
use crate::{converted, files, notes, sending, text};

const ICS: &str = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nPRODID:Microsoft Exchange Server 2010\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\n\
    TZID:W. Europe Standard Time\r\nBEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n\
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:16010101T020000\r\nTZOFFSETFROM:+0100\r\n\
    TZOFFSETTO:+0200\r\nRRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1\r\n\
    DTSTAMP:20260301T080000Z\r\nORGANIZER;CN=Anna Åberg:mailto:anna@habo.se\r\nATTENDEE;CN=Bo:mailto:bo@af.se\r\nDESCRIPTION:Vi ses i rum 3.\\n\r\n\
    SUMMARY:Samråd\r\nDTSTART;TZID=W. Europe Standard Time:20260701T100000\r\nDTEND;TZID=W. Europe Standard Time:20260701T113000\r\n\
    LOCATION:Kommunhuset\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

const SUMMARY: &str = "Möteskallelse: Samråd  \nNär: onsdag 1 juli 2026 kl. 10.00–11.30 (svensk tid)  \nVar: Kommunhuset  \n\
                       Organisatör: Anna Åberg (anna@habo.se)  \nDeltagare: Bo (bo@af.se)";

fn ics() -> Part {
    let header = "Content-Type: text/calendar; charset=\"utf-8\"; method=REQUEST\r\nContent-Transfer-Encoding: base64";
    Part(header.to_owned(), base64_lines(ICS.as_bytes()))
}

#[test]
fn an_invitation_is_told_in_the_text() {
    // As Exchange sends it, and as Google does: once as a part, once as a file.
    let exchange = Part::multipart("alternative", &[Part::text("Vi ses i rum 3.\n"), Part::html("<p>Vi <b>ses</b> i rum 3.</p>"), ics()]);
    let google = Part::multipart("alternative", &[Part::text("Vi ses i rum 3.\n"), Part::html("<p>Vi <b>ses</b> i rum 3.</p>"), ics()]);
    let google = Part::multipart("mixed", &[google, Part::file("application/ics", "invite.ics", ICS.as_bytes())]);
    for part in [exchange, google] {
        let mail = converted(&part.mail());
        assert_eq!((text(&mail), files(&mail)), (format!("{SUMMARY}\n\nVi **ses** i rum 3.").as_str(), vec![]));
        assert_eq!(notes(&mail), ["Kalenderfilen följde inte med; uppgifterna om mötet står i texten."]);
        let mail = outgoing(&part.mail(), &sending(&["text/calendar"])).unwrap();
        assert!(text(&mail).starts_with(SUMMARY));
        assert_eq!(files(&mail), [("kalender.ics", "text/calendar", ICS.as_bytes())]);
    }
}

#[test]
fn a_calendar_alone_brings_its_description() {
    assert_eq!(text(&converted(&ics().mail())), format!("{SUMMARY}\n\nVi ses i rum 3."));
    let attached = Part::multipart("mixed", &[Part::text("Passar det?\n"), Part::file("application/octet-stream", "Möte.ics", ICS.as_bytes())]);
    assert_eq!(text(&converted(&attached.mail())), format!("{SUMMARY}\n\nPassar det?\n\nVi ses i rum 3."));
}

#[test]
fn a_damaged_calendar_is_a_file_like_others() {
    let part = Part::multipart("mixed", &[Part::text("Hej\n"), Part::file("text/calendar", "a.ics", &ICS.as_bytes()[..300])]);
    let refused = crate::refused(&part.mail());
    assert_eq!(refused.status(), (6, 1));
    assert_eq!(files(&outgoing(&part.mail(), &sending(&["text/calendar"])).unwrap()).len(), 1);
}

#[test]
fn what_python_s_library_writes_is_read() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
import datetime, zoneinfo, icalendar, sys
calendar = icalendar.Calendar()
calendar.add("method", "CANCEL"); calendar.add("version", "2.0"); calendar.add("prodid", "x")
event = icalendar.Event()
event.add("summary", "Samråd, del 2; om ärende med ett mycket långt namn som bryts över flera rader i filen\\")
event.add("dtstart", datetime.datetime(2026, 7, 1, 9, 0, tzinfo=zoneinfo.ZoneInfo("America/New_York")))
event.add("dtend", datetime.datetime(2026, 7, 1, 10, 0, tzinfo=zoneinfo.ZoneInfo("America/New_York")))
event.add("rrule", {"freq": "weekly", "byday": "we", "count": 4})
person = icalendar.vCalAddress("MAILTO:asa@habo.se"); person.params["cn"] = icalendar.vText("Åsa; \"Ö\"")
event.add("organizer", person)
calendar.add_component(event)
calendar.add_missing_timezones()
sys.stdout.buffer.write(calendar.to_ical())
"#;
    let script = temporary(&folder, "write.py", script);
    let written = run(std::process::Command::new(python).arg(script)).unwrap();
    let mail = converted(&Part("Content-Type: text/calendar".to_owned(), written).mail());
    let expected = "Avbokat möte: Samråd, del 2; om ärende med ett mycket långt namn som bryts över flera rader i filen\\\\  \n\
                    När: onsdag 1 juli 2026 kl. 15.00–16.00 (svensk tid)  \nUpprepas: varje vecka, onsdagar, 4 gånger  \n";
    assert!(text(&mail).starts_with(expected), "{}", text(&mail));
    assert!(text(&mail).ends_with("\nOrganisatör: Åsa; \"Ö\" (asa@habo.se)"));
}
