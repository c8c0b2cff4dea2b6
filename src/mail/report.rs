//! Reports and forwarded mails as people read them: what stands above a mail, what became of one.

use std::fmt::Write as _;

use mail_parser::MessageParser;

use super::{calendar, parse, tnef, words};

/// More recipients than are named.
const MAX_PEOPLE: usize = 50;
/// Longest field that is shown, in code points.
const MAX_FIELD: usize = 2_000;

/// The lines above a mail within the mail, out of its header.
pub(super) fn heading(title: &str, header: &[u8]) -> String {
    let field = |name: &str| words::cut(&parse::texts(header, name).next().unwrap_or_default().replace('"', ""), MAX_FIELD).to_owned();
    let sent = MessageParser::default().parse_headers(header).as_ref().and_then(parse::date).map(calendar::moment).unwrap_or_default();
    lines(title, &field("From"), &sent, &field("To"), &field("Cc"), &field("Subject"))
}

/// The same for a message out of TNEF.
pub(super) fn heading_of(title: &str, message: &tnef::Message<'_>) -> String {
    let people = |list: &[String]| list.iter().take(MAX_PEOPLE).map(|person| words::one_line(person)).collect::<Vec<_>>().join("; ");
    let sent = message.sent.map(calendar::moment).unwrap_or_default();
    let text = |text: &Option<String>| words::one_line(text.as_deref().unwrap_or_default());
    lines(title, &text(&message.from), &sent, &people(&message.to), &people(&message.cc), &text(&message.subject))
}

fn lines(title: &str, from: &str, sent: &str, to: &str, cc: &str, subject: &str) -> String {
    let mut text = format!("——— {title} ———\n");
    for (name, value) in [("Från", from), ("Skickat", sent), ("Till", to), ("Kopia", cc), ("Ämne", subject)] {
        if !value.is_empty() {
            let _ = writeln!(text, "{name}: {value}"); // writing to a String cannot fail
        }
    }
    text
}

/// message/delivery-status: what became of a mail, recipient by recipient (RFC 3464 2).
pub(super) fn delivery(text: &str) -> String {
    let names = [
        ("final-recipient", "Mottagare"),
        ("original-recipient", "Ursprunglig mottagare"),
        ("action", "Utfall"),
        ("status", "Statuskod"),
        ("diagnostic-code", "Svar från mejlservern"),
        ("remote-mta", "Mottagarens mejlserver"),
        ("reporting-mta", "Rapporten kommer från"),
        ("arrival-date", "Mottaget"),
        ("last-attempt-date", "Senaste försök"),
        ("will-retry-until", "Försöker till"),
    ];
    let outcome = |value: &str| {
        Some(match value.to_ascii_lowercase().as_str() {
            "failed" => "kunde inte levereras",
            "delayed" => "försenat",
            "delivered" => "levererat",
            "relayed" => "vidaresänt",
            "expanded" => "vidaresänt till flera",
            _ => return None,
        })
    };
    fields("Leveransrapport", text, &names, &|name, value| if name == "action" { outcome(value) } else { None })
}

/// message/disposition-notification: what its reader did with a mail (RFC 8098 3.1).
pub(super) fn disposition(text: &str) -> String {
    let names = [
        ("final-recipient", "Mottagare"),
        ("original-recipient", "Ursprunglig mottagare"),
        ("original-message-id", "Mejlets id"),
        ("disposition", "Utfall"),
        ("reporting-ua", "Rapporten kommer från"),
    ];
    let outcome = |value: &str| {
        // `manual-action/MDN-sent-manually; displayed/error`
        let deed = value.rsplit(';').next()?.trim().to_ascii_lowercase();
        Some(match deed.split('/').next()? {
            "displayed" => "visat för mottagaren",
            "deleted" => "borttaget",
            "dispatched" => "vidaresänt",
            "processed" => "behandlat",
            "denied" => "mottagaren skickar inga läskvitton",
            _ => return None,
        })
    };
    fields("Läskvitto", text, &names, &|name, value| if name == "disposition" { outcome(value) } else { None })
}

/// The fields that people understand, under Swedish names; the rest as they stand.
fn fields(title: &str, text: &str, names: &[(&str, &str)], translate: &dyn Fn(&str, &str) -> Option<&'static str>) -> String {
    let mut out = format!("——— {title} ———\n");
    for line in unfold(text) {
        let Some((name, value)) = line.split_once(':') else {
            if line.trim().is_empty() && !out.ends_with("\n\n") {
                out.push('\n');
            }
            continue;
        };
        let key = name.trim().to_ascii_lowercase();
        // `rfc822; anna@habo.se`, `smtp; 550 5.1.1 …`
        let typed = ["recipient", "-mta", "diagnostic-code"].iter().any(|end| key.ends_with(end));
        let value = words::one_line(if typed { value.split_once(';').map_or(value, |(_, value)| value) } else { value });
        let shown = names.iter().find(|(own, _)| *own == key).map_or(name.trim(), |(_, shown)| shown);
        let value = translate(&key, &value).map_or(value.clone(), |words| format!("{words} ({value})"));
        let _ = writeln!(out, "{shown}: {value}"); // writing to a String cannot fail
    }
    out
}

/// A line that begins with white space goes on with the one before (RFC 5322 2.2.3).
fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) && !last.is_empty() => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_told_in_words() {
        let status = "Reporting-MTA: dns; mail.habo.se\r\nArrival-Date: Wed, 4 Mar 2026 09:30:00 +0100\r\n\r\nFinal-Recipient: rfc822; bo@x.se\r\n\
                      Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1\r\n unknown user\r\nX-Own: a\r\n";
        let expected = "——— Leveransrapport ———\nRapporten kommer från: mail.habo.se\nMottaget: Wed, 4 Mar 2026 09:30:00 +0100\n\nMottagare: bo@x.se\n\
                        Utfall: kunde inte levereras (failed)\nStatuskod: 5.1.1\nSvar från mejlservern: 550 5.1.1 unknown user\nX-Own: a\n";
        assert_eq!(delivery(status), expected);
        for (disposition_field, words) in [
            ("manual-action/MDN-sent-manually; displayed", "visat för mottagaren"),
            ("automatic-action/MDN-sent-automatically; deleted/error", "borttaget"),
        ] {
            let text = disposition(&format!("Final-Recipient: rfc822;bo@x.se\r\nDisposition: {disposition_field}\r\n"));
            assert_eq!(text, format!("——— Läskvitto ———\nMottagare: bo@x.se\nUtfall: {words} ({disposition_field})\n"));
        }
    }
}
