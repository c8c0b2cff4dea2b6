//! What comes back about a mail that the mail server had taken: a notice of non-delivery, of delay, of success, an automatic
//! answer.
//!
//! Most are `multipart/report` (RFC 3464, RFC 6533); qmail, old gateways and some hosts write prose. In doubt it is a failure:
//! a false one costs an operator a look, a missed one a message.

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};

use super::{parse, structure, words};
use crate::ident::MessageId;

/// Octets of a notice that are looked at: what it says comes before what it gives back.
pub const LARGEST: usize = 256 * 1024;

/// Recipients of one notice that are looked at. A mail of ours has one, which a list behind it may make many.
const RECIPIENTS: usize = 200;

/// Lines of prose that are looked at.
const LINES: usize = 400;

/// What became of the mail, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// A program answered by itself: somebody is out of office, or has read it.
    Answered,
    /// It was delivered, or handed to a server that tells no more (RFC 3464 2.3.3).
    Delivered,
    /// It is still tried.
    Delayed,
    /// It was not delivered.
    Failed,
}

/// A notice about one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// What became of it; of several recipients the worst counts.
    pub fate: Fate,
    /// The enhanced status code (RFC 3463), such as `5.1.1`.
    pub status: Option<String>,
    /// What the server that failed said, one line.
    pub diagnostic: Option<String>,
    /// The address that it is about, as the notice has it.
    pub recipient: Option<String>,
    /// The envelope id that it names (RFC 3464 2.2.1).
    pub envelope_id: Option<String>,
}

impl Returned {
    /// Whether it is about this message: a notice that names an envelope names the message that the mail was made of.
    #[must_use]
    pub fn is_about(&self, message: &MessageId) -> bool {
        self.envelope_id.as_ref().is_none_or(|id| id.to_lowercase() == message.folded())
    }

    /// In words, for the journal and the operator.
    #[must_use]
    pub fn in_words(&self) -> String {
        let what = match self.fate {
            Fate::Answered => "a program answered by itself",
            Fate::Delivered => "delivered",
            Fate::Delayed => "delayed, it is still tried",
            Fate::Failed => "not delivered",
        };
        let parts = [self.status.as_deref(), self.recipient.as_deref(), self.diagnostic.as_deref()];
        parts.into_iter().flatten().fold(what.to_owned(), |text, part| text + ", " + part)
    }

    fn only(fate: Fate) -> Self {
        Self { fate, status: None, diagnostic: None, recipient: None, envelope_id: None }
    }
}

/// Reads a notice; only the first [`LARGEST`] octets of it.
#[must_use]
pub fn read(mail: &[u8]) -> Returned {
    let mail = mail.get(..LARGEST).unwrap_or(mail);
    let Some(message) = MessageParser::default().parse(mail) else { return Returned::only(Fate::Failed) };
    match kind_of_report(&message).as_deref() {
        // A receipt of reading or of deletion (RFC 8098).
        Some("disposition-notification") => return Returned::only(Fate::Answered),
        _ => {
            if let Some(report) = report(&message) {
                return report;
            }
        }
    }
    let (header, _) = structure::split_header(mail);
    prose(&message, header)
}

fn kind_of_report(message: &Message<'_>) -> Option<String> {
    let kind = message.content_type().filter(|kind| kind.ctype().eq_ignore_ascii_case("multipart"))?;
    kind.subtype().filter(|subtype| subtype.eq_ignore_ascii_case("report"))?;
    kind.attribute("report-type").map(str::to_lowercase)
}

/// The machine's part of a report (RFC 3464 2, RFC 6533 4).
fn report(message: &Message<'_>) -> Option<Returned> {
    let part = message.parts.iter().find(|part| {
        part.content_type().is_some_and(|kind| {
            let status = |subtype: &str| ["delivery-status", "global-delivery-status"].iter().any(|name| subtype.eq_ignore_ascii_case(name));
            kind.ctype().eq_ignore_ascii_case("message") && kind.subtype().is_some_and(status)
        })
    })?;
    let text = String::from_utf8_lossy(part.contents());
    let mut groups = groups(&text);
    let envelope_id = groups.first().and_then(|group| field(group, "Original-Envelope-Id"));
    // A report without a group for the whole message is not rare.
    let recipients: Vec<Returned> = groups.drain(..).filter_map(|group| recipient(&group)).take(RECIPIENTS).collect();
    let worst = recipients.into_iter().reduce(|worst, other| if other.fate > worst.fate { other } else { worst })?;
    Some(Returned { envelope_id, ..worst })
}

/// Fields of one group, unfolded.
type Group<'t> = Vec<(&'t str, String)>;

fn groups(text: &str) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = vec![Vec::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            if groups.len() > RECIPIENTS {
                break;
            }
            groups.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = groups.last_mut().and_then(|group| group.last_mut()).filter(|(_, value)| value.len() < 2_000) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':')
            && let Some(group) = groups.last_mut().filter(|group| group.len() < 50)
        {
            group.push((name.trim(), value.trim().to_owned()));
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn field(group: &Group<'_>, name: &str) -> Option<String> {
    let value = group.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| words::one_line(value))?;
    let value = words::cut(&value, 300);
    (!value.is_empty()).then(|| value.to_owned())
}

/// A group about a recipient (RFC 3464 2.3). Some servers leave the action out and give the status alone.
fn recipient(group: &Group<'_>) -> Option<Returned> {
    let status = field(group, "Status").and_then(|text| status_in(&text));
    let action = field(group, "Action").map(|action| action.to_lowercase());
    let fate = match action.as_deref().and_then(|action| action.split([' ', '(', ';']).next()) {
        Some("failed") => Fate::Failed,
        Some("delayed") => Fate::Delayed,
        Some("delivered" | "relayed" | "expanded") => Fate::Delivered,
        _ => match status.as_deref().and_then(|status| status.chars().next())? {
            '2' => Fate::Delivered,
            '4' => Fate::Delayed,
            _ => Fate::Failed,
        },
    };
    // `rfc822; anna@habo.se`, `smtp; 550 5.1.1 unknown`: the kind says nothing to a reader.
    let plain = |text: String| text.split_once(';').map_or_else(|| text.clone(), |(_, rest)| rest.trim().to_owned());
    let recipient = field(group, "Original-Recipient").or_else(|| field(group, "Final-Recipient")).map(plain);
    Some(Returned { fate, status, diagnostic: field(group, "Diagnostic-Code").map(plain), recipient, envelope_id: None })
}

/// What a notice without a machine's part says (qmail, Exim's older ones, hosts of their own make).
fn prose(message: &Message<'_>, header: &[u8]) -> Returned {
    let subject = parse::texts(header, "Subject").next().unwrap_or_default().to_lowercase();
    let from = message.from().and_then(|from| from.first()).and_then(|from| from.address()).unwrap_or_default().to_lowercase();
    let failed = parse::texts(header, "X-Failed-Recipients").next();
    let daemon =
        ["mailer-daemon@", "postmaster@", "microsoftexchange", "mailer_daemon@"].iter().any(|name| from.starts_with(name)) || from == "mailer-daemon";
    let says = |words: &[&str]| words.iter().any(|word| subject.contains(word));
    let bounce = says(&BOUNCES);
    if failed.is_none() && !daemon && !bounce && parse::automatic(message, header).is_some_and(|why| why != "multipart/report") {
        return Returned::only(Fate::Answered);
    }
    let text = message.parts.iter().find_map(|part| match &part.body {
        PartType::Text(text) => Some(text.to_string()),
        _ => None,
    });
    let text = text.or_else(|| message.body_text(0).map(std::borrow::Cow::into_owned)).unwrap_or_default();
    let line = cause(&text);
    let status = line.as_deref().and_then(status_in);
    let delayed = says(&DELAYS) || (!bounce && failed.is_none() && status.as_deref().is_some_and(|status| status.starts_with('4')));
    // Only what a mail server wrote is quoted: another's words could be the message's.
    let diagnostic = line.filter(|_| daemon || bounce || failed.is_some());
    let recipient = failed.map(|failed| words::cut(&failed, 300).to_owned());
    Returned { fate: if delayed { Fate::Delayed } else { Fate::Failed }, status, diagnostic, recipient, envelope_id: None }
}

/// Subjects of notices that a mail came back, in lower case.
const BOUNCES: [&str; 12] = [
    "undeliver",
    "returned mail",
    "returned to sender",
    "delivery status notification (failure)",
    "delivery failure",
    "delivery failed",
    "mail delivery failed",
    "failure notice",
    "nondeliverable",
    "kunde inte levereras",
    "gick inte att leverera",
    "olevererbart",
];

/// Subjects of notices that a mail is still tried, in lower case.
const DELAYS: [&str; 7] =
    ["delayed", "(delay)", "still being retried", "could not send message for past", "delivery delay", "fördröjd", "har försenats"];

/// What stands above what is given back.
const BELOW: [&str; 6] = [
    "--- below this line is a copy",
    "this is a copy of the message",
    "--- original message",
    "original message headers",
    "-----ursprungligt meddelande",
    "return-path:",
];

/// The line that says why, before anything of the mail itself.
fn cause(text: &str) -> Option<String> {
    let own = text.lines().take(LINES).take_while(|line| {
        let line = line.trim().to_lowercase();
        !BELOW.iter().any(|mark| line.contains(mark))
    });
    let lines: Vec<String> = own.map(|line| words::cut(&words::one_line(line), 300).to_owned()).collect();
    let with_code = lines.iter().find(|line| status_in(line).is_some());
    with_code.or_else(|| lines.iter().find(|line| has_reply_code(line))).cloned()
}

/// `550 ` or `(554)` and their like.
fn has_reply_code(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|b| b.is_ascii_digit()))
}

/// The first enhanced status code of a text: `5.1.1`, `#5.1.1`, `(5.1.1)`.
fn status_in(text: &str) -> Option<String> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.')).find_map(|word| {
        let parts: Vec<&str> = word.split('.').collect();
        let [class, subject, detail] = parts[..] else { return None };
        let number = |part: &str| (1..=3).contains(&part.len());
        (matches!(class, "2" | "4" | "5") && number(subject) && number(detail)).then(|| word.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dsn(groups: &str) -> String {
        format!(
            "From: MAILER-DAEMON@mail.habo.se\r\nSubject: Undelivered Mail Returned to Sender\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\n{groups}\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: hemligt\r\n--b--\r\n"
        )
    }

    fn plain(head: &str, text: &str) -> Returned {
        read(format!("{head}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n").as_bytes())
    }

    const WHOLE: &str = "Reporting-MTA: dns; mail.habo.se\r\nOriginal-Envelope-Id: 7bc5576a-3f87-4cf5-a0c5-277da06fcacb\r\n\r\n";

    #[test]
    fn postfix_and_exchange_say_what_failed_and_why() {
        let postfix = read(
            dsn(&format!(
                "{WHOLE}Final-Recipient: rfc822; anna@habo.se\r\nOriginal-Recipient: rfc822;socialkontoret@habo.se\r\nAction: failed\r\nStatus: 5.1.1\r\n\
                 Remote-MTA: dns; mbox.habo.se\r\nDiagnostic-Code: smtp; 550 5.1.1 <anna@habo.se>:\r\n    Recipient address rejected\r\n"
            ))
            .as_bytes(),
        );
        assert_eq!((postfix.fate, postfix.status.as_deref()), (Fate::Failed, Some("5.1.1")));
        assert_eq!(postfix.diagnostic.as_deref(), Some("550 5.1.1 <anna@habo.se>: Recipient address rejected"));
        assert_eq!(postfix.recipient.as_deref(), Some("socialkontoret@habo.se"));
        let message = |id: &str| MessageId::new(id).unwrap();
        assert!(
            postfix.is_about(&message("7BC5576A-3f87-4cf5-a0c5-277da06fcacb")) && !postfix.is_about(&message("8bc5576a-3f87-4cf5-a0c5-277da06fcacb"))
        );
        let exchange = read(
            dsn("Reporting-MTA: dns;EX01.habo.se\r\nReceived-From-MTA: dns;gw\r\n\r\nFinal-recipient: RFC822;full@habo.se\r\nAction: failed\r\nStatus: 5.2.2\r\n\
                 Diagnostic-Code: smtp;554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException\r\nX-Display-Name: Full\r\n")
            .as_bytes(),
        );
        assert_eq!((exchange.fate, exchange.status.as_deref(), exchange.recipient.as_deref()), (Fate::Failed, Some("5.2.2"), Some("full@habo.se")));
        assert!(exchange.is_about(&message("8bc5576a-3f87-4cf5-a0c5-277da06fcacb")), "Exchange names no envelope");
        assert!(!format!("{postfix:?}{exchange:?}").contains("hemligt"));
    }

    #[test]
    fn of_several_recipients_the_worst_counts() {
        let group = |action: &str, status: &str| format!("Final-Recipient: rfc822;x@habo.se\r\nAction: {action}\r\nStatus: {status}\r\n\r\n");
        for (groups, fate) in [
            (vec![("delivered", "2.0.0"), ("failed", "5.1.1"), ("delayed", "4.4.1")], Fate::Failed),
            (vec![("relayed", "2.0.0"), ("delayed", "4.4.1")], Fate::Delayed),
            (vec![("expanded", "2.0.0"), ("relayed (to non-DSN MTA)", "2.0.0")], Fate::Delivered),
            (vec![("", "4.4.7")], Fate::Delayed),
            (vec![("what", "5.0.0")], Fate::Failed),
        ] {
            let text = groups.iter().fold(WHOLE.to_owned(), |text, (action, status)| text + &group(action, status));
            assert_eq!(read(dsn(&text).as_bytes()).fate, fate, "{groups:?}");
        }
    }

    #[test]
    fn prose_is_understood() {
        let qmail = plain(
            "From: MAILER-DAEMON@mail.habo.se\r\nSubject: failure notice",
            "Hi. This is the qmail-send program at mail.habo.se.\r\nI'm afraid I wasn't able to deliver your message.\r\n\r\n<anna@habo.se>:\r\n\
             Sorry, no mailbox here by that name. (#5.1.1)\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nSubject: 5.9.9 hemligt",
        );
        assert_eq!((qmail.fate, qmail.status.as_deref()), (Fate::Failed, Some("5.1.1")));
        assert_eq!(qmail.diagnostic.as_deref(), Some("Sorry, no mailbox here by that name. (#5.1.1)"));
        let exim = plain(
            "From: Mail Delivery System <Mailer-Daemon@habo.se>\r\nX-Failed-Recipients: anna@habo.se\r\nAuto-Submitted: auto-replied\r\nSubject: Mail delivery failed: returning message to sender",
            "  anna@habo.se\r\n    SMTP error from remote mail server after RCPT TO:<anna@habo.se>: 550 Unrouteable address",
        );
        assert_eq!((exim.fate, exim.status, exim.recipient.as_deref()), (Fate::Failed, None, Some("anna@habo.se")));
        assert!(exim.diagnostic.unwrap().contains("550 Unrouteable"));
        for subject in ["Warning: message 1x delayed 24 hours", "=?utf-8?Q?F=C3=B6rdr=C3=B6jd_leverans?="] {
            let delayed = plain(&format!("From: postmaster@habo.se\r\nSubject: {subject}"), "451 4.4.1 no route");
            assert_eq!(delayed.fate, Fate::Delayed, "{subject}");
        }
    }

    #[test]
    fn answers_of_programs_are_told_from_notices_and_the_unknown_is_a_failure_without_quotes() {
        for head in [
            "From: anna@habo.se\r\nSubject: Frånvarande\r\nAuto-Submitted: auto-replied (vacation)",
            "From: anna@habo.se\r\nSubject: Out\r\nPrecedence: bulk",
        ] {
            assert_eq!(plain(head, "Jag är på semester, ring 555 5.1.1").fate, Fate::Answered, "{head}");
        }
        let read_receipt =
            "Subject: L\u{e4}st\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n";
        assert_eq!(read(read_receipt.as_bytes()).fate, Fate::Answered);
        let unknown = plain("From: anna@habo.se\r\nSubject: Hej", "hemligt 550 5.7.1");
        assert_eq!((unknown.fate, unknown.status.as_deref(), unknown.diagnostic), (Fate::Failed, Some("5.7.1"), None));
        for broken in [
            &b""[..],
            b"\xff\xfe",
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n",
        ] {
            assert_eq!(read(broken).fate, Fate::Failed);
        }
    }
}
