//! Delivery status notifications: the outcome of a message, told to who sent the mail (RFC 3464, RFC 6522).
//!
//! A notice has a Swedish text and an English one, the machine's part, and the header of the original mail: never its
//! content, which is secret. It goes out with `MAIL FROM:<>`. Whether one is wanted (NOTIFY, mailbox policy) and that
//! each outcome is told once is the flow's business.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId as IdList;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::MimePart;
use mail_parser::MessageParser;
use uuid::Uuid;

use super::note::{self, Note};
use super::{mime, words};
use crate::ident::{Domain, MailAddress};

mod outcome;

pub(crate) use outcome::local_time;
pub use outcome::{Attempts, Kind, Outcome, RejectedLine, Service, Verdict};

/// More of an original header than is passed back.
const HEADER_MAX: usize = 32 * 1024;

/// Everything that a notice says.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// What happened.
    pub outcome: &'a Outcome,
    /// The notice's own id.
    pub id: Uuid,
    /// Its Date.
    pub at: Timestamp,
    /// Where its readers are.
    pub zone: &'a TimeZone,
    /// The gateway's mail domain.
    pub gateway: &'a Domain,
    /// Who sent the mail: the envelope's sender. There is no notice to `<>`.
    pub to: &'a MailAddress,
    /// To whom the mail was: the envelope's recipient.
    pub recipient: &'a MailAddress,
    /// The recipient's names, as `Socialkontoret, Sundbybergs stad`.
    pub recipient_name: &'a str,
    /// ORCPT, decoded, as `rfc822;name@domain` (RFC 3461 4.2).
    pub original_recipient: Option<&'a str>,
    /// ENVID, decoded (RFC 3461 4.4).
    pub envelope_id: Option<&'a str>,
    /// When the mail was taken in.
    pub accepted_at: Timestamp,
    /// The mail, or its beginning; only its header is used.
    pub original: &'a [u8],
    /// The case number for support.
    pub case: &'a str,
    /// The message receipt that the outcome rests on, as XML.
    pub evidence: Option<&'a [u8]>,
    /// What of the mail was changed or left out; told when something is missing and the message arrived.
    pub notes: &'a [Note],
}

/// Why no notice can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// The notice would need SMTPUTF8 (RFC 6531).
    #[error("{0} is not ASCII")]
    NotAscii(MailAddress),
}

/// Composes a notice, the same bytes each time.
///
/// # Errors
/// [`NoticeError`] when the address cannot stand in a header.
pub fn compose(notice: &Notice<'_>) -> Result<Vec<u8>, NoticeError> {
    if !notice.to.as_str().is_ascii() {
        return Err(NoticeError::NotAscii(notice.to.clone()));
    }
    let header = original_header(notice.original);
    let original = MessageParser::default().parse_headers(header.as_bytes());
    let original_id = original.as_ref().and_then(|mail| mail.message_id()).map(words::one_line).filter(|id| is_message_id(id));
    let subject = original.as_ref().and_then(|mail| mail.subject()).map(words::one_line).unwrap_or_default();
    let subject = match words::cut(&subject, 200) {
        "" => notice.outcome.headline().to_owned(),
        subject => format!("{}: {subject}", notice.outcome.headline()),
    };
    let mut mail = MessageBuilder::new()
        .header("Date", Date::new(notice.at.as_second()))
        .header("From", Address::new_address(Some("Säker digital kommunikation"), format!("postmaster@{}", notice.gateway)))
        .header("To", Address::new_address(None::<&str>, notice.to.as_str()))
        .header("Subject", Text::new(subject))
        .header("Message-ID", IdList::new(format!("notis-{}@{}", notice.id, notice.gateway.folded())));
    if let Some(id) = &original_id {
        mail = mail.header("In-Reply-To", IdList::new(id.clone())).header("References", IdList::new(id.clone()));
    }
    let id = notice.id.simple().to_string();
    let parts = vec![human_part(notice, &id), status_part(notice), header_part(&header)];
    let report = ContentType::new("multipart/report").attribute("report-type", "delivery-status");
    let mut out = Vec::new();
    // RFC 3834 5: a notice is an answer that a program gives.
    mail.header("Auto-Submitted", Raw::new("auto-replied"))
        .header("X-Auto-Response-Suppress", Raw::new("All"))
        .header("MIME-Version", Raw::new("1.0"))
        .body(mime::multipart_of(report, &id, 1, parts))
        .serialize(&mut out);
    Ok(out)
}

/// RFC 6522 3: the first part may be any type; a report has no fourth, so the evidence stands in the first.
fn human_part(notice: &Notice<'_>, id: &str) -> MimePart<'static> {
    let text = mime::text("text/plain", &text(notice));
    match notice.evidence {
        Some(evidence) => mime::multipart("mixed", id, 2, vec![text, mime::file("application/xml", "kvittens.xml", evidence)]),
        None => text,
    }
}

fn text(notice: &Notice<'_>) -> String {
    let name = words::one_line(notice.recipient_name);
    let sent = local_time(notice.accepted_at, notice.zone);
    let (recipient, case) = (notice.recipient, notice.case);
    let (missing, missing_in_english) = missing(notice);
    format!(
        "{}{missing}\n\nMottagare: {name} <{recipient}>\nSkickat: {sent}\nÄrendenummer: {case}\n\n----------------------------------------\nIn English\n\n\
         {}{missing_in_english}\n\nRecipient: {name} <{recipient}>\nSent: {sent}\nCase number: {case}",
        notice.outcome.swedish(&name, notice.zone),
        notice.outcome.english(&name, notice.zone),
    )
}

/// What did not come along, in both languages; nothing when nothing is missing.
fn missing(notice: &Notice<'_>) -> (String, String) {
    let left_out = note::missing(notice.notes);
    if left_out.is_empty() || notice.outcome.kind() != Kind::Delivered {
        return (String::new(), String::new());
    }
    let list = |of: fn(&Note) -> &str| left_out.iter().flat_map(|note| ["\n- ", of(note)]).collect::<String>();
    (
        format!("\n\nAllt i mejlet följde inte med:{}", list(|note| &note.swedish)),
        format!("\n\nNot everything in the mail was passed on:{}", list(|note| &note.english)),
    )
}

/// message/delivery-status (RFC 3464 2).
fn status_part(notice: &Notice<'_>) -> MimePart<'static> {
    let mut fields = String::new();
    let mut field = |name: &str, value: &str| fields.extend([name, ": ", &printable(value), "\r\n"]);
    if let Some(id) = notice.envelope_id {
        field("Original-Envelope-Id", id);
    }
    field("Reporting-MTA", &format!("dns; {}", notice.gateway));
    field("Arrival-Date", &mail_date(notice.accepted_at));
    let mut recipient = String::new();
    let mut field = |name: &str, value: &str| recipient.extend([name, ": ", &printable(value), "\r\n"]);
    if let Some(original) = notice.original_recipient {
        let (kind, address) = original.split_once(';').unwrap_or(("rfc822", original));
        field("Original-Recipient", &format!("{}; {}", kind.trim(), address.trim()));
    }
    let kind = if notice.recipient.as_str().is_ascii() { "rfc822" } else { "utf-8" };
    field("Final-Recipient", &format!("{kind}; {}", notice.recipient));
    field("Action", notice.outcome.kind().action());
    field("Status", notice.outcome.status());
    field("Diagnostic-Code", &format!("x-sdk; {}", notice.outcome.diagnostic()));
    field("Last-Attempt-Date", &mail_date(notice.at));
    if let Some(until) = notice.outcome.retry_until() {
        field("Will-Retry-Until", &mail_date(until));
    }
    mime::lines(ContentType::new("message/delivery-status"), format!("{fields}\r\n{recipient}"))
}

/// RET is capped to the header: the content is secret.
fn header_part(header: &str) -> MimePart<'static> {
    let kind = ContentType::new("text/rfc822-headers");
    if header.is_ascii() && header.lines().all(|line| line.len() < 998 && !line.starts_with("--")) {
        let text: String = header.lines().flat_map(|line| [line, "\r\n"]).collect();
        return mime::lines(kind, text);
    }
    mime::text("text/rfc822-headers", header)
}

/// The fields before the first empty line, without control characters.
fn original_header(mail: &[u8]) -> String {
    let mut header = String::new();
    for line in mail.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || header.len() + line.len() > HEADER_MAX {
            break;
        }
        header.extend(String::from_utf8_lossy(line).chars().map(|c| if c.is_control() { ' ' } else { c }));
        header.push('\n');
    }
    header
}

/// One line of ASCII; other characters as RFC 6533 3 writes them in an address, `\x{E5}`.
fn printable(text: &str) -> String {
    words::one_line(text).chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) }).collect()
}

/// RFC 5322 3.3.
fn mail_date(at: Timestamp) -> String {
    at.strftime("%a, %-d %b %Y %H:%M:%S +0000").to_string()
}

fn is_message_id(id: &str) -> bool {
    (1..=900).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Redacted;

    const ORIGINAL: &[u8] =
        "From: anna@habo.se\r\nTo: reg@af.se.sdk.habo.se\r\nSubject: =?utf-8?Q?Ans=C3=B6kan?=\r\nMessage-ID: <abc@habo.se>\r\n\r\nHEMLIGT\r\n"
            .as_bytes();

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn noticed(outcome: &Outcome, evidence: Option<&[u8]>) -> String {
        let notice = Notice {
            outcome,
            id: Uuid::from_u128(7),
            at: at("2026-03-04T09:00:00Z"),
            zone: &TimeZone::fixed(jiff::tz::offset(1)),
            gateway: &Domain::new("sdk.habo.se").unwrap(),
            to: &MailAddress::new("soc@habo.se").unwrap(),
            recipient: &MailAddress::new("reg@af.se.sdk.habo.se").unwrap(),
            recipient_name: "Kundtjänst, Arbetsförmedlingen",
            original_recipient: Some("rfc822;reg@af.se.sdk.habo.se"),
            envelope_id: Some("QQ314159"),
            accepted_at: at("2026-03-04T08:30:00Z"),
            original: ORIGINAL,
            case: "0f1e2d3c",
            evidence,
            notes: &[],
        };
        let bytes = compose(&notice).unwrap();
        assert_eq!(bytes, compose(&notice).unwrap());
        String::from_utf8(bytes).unwrap()
    }

    fn every_outcome() -> Vec<Outcome> {
        let (early, late) = (at("2026-03-04T10:00:00Z"), at("2026-03-06T10:00:00Z"));
        vec![
            Outcome::Accepted { at: early },
            Outcome::LateReceipt { at: late, verdict: Verdict::Accepted },
            Outcome::LateReceipt { at: late, verdict: Verdict::Rejected },
            Outcome::AwaitingReceipt { acknowledged: early, until: late },
            Outcome::Unreachable { service: Service::AccessPoint, next: early, last: late },
            Outcome::Unreachable { service: Service::Directory, next: early, last: late },
            Outcome::Held { until: early },
            Outcome::GaveUp { service: Service::AccessPoint },
            Outcome::GaveUp { service: Service::Directory },
            Outcome::Unproven,
            Outcome::NoReceipt { acknowledged: early },
            Outcome::OrganisationUnknown,
            Outcome::NotServed,
            Outcome::FunctionUnknown,
            Outcome::TypeRefused { file: Some(Redacted("bild.heic".to_owned())) },
            Outcome::TypeRefused { file: None },
            Outcome::AnswersRejected,
            Outcome::TooLong,
            Outcome::Forbidden,
            Outcome::Faulty,
            Outcome::Insecure,
            Outcome::CertificateBad,
        ]
    }

    #[test]
    fn the_texts_of_every_outcome() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let texts: Vec<String> = every_outcome()
            .iter()
            .map(|outcome| {
                let name = "Kundtjänst, Arbetsförmedlingen";
                let (kind, status, headline) = (outcome.kind().action(), outcome.status(), outcome.headline());
                format!("{kind} {status} {headline} | {}\n{}\n{}\n", outcome.diagnostic(), outcome.swedish(name, &zone), outcome.english(name, &zone))
            })
            .collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn a_whole_notice_with_evidence() {
        let notice = noticed(&Outcome::Accepted { at: at("2026-03-04T10:00:00Z") }, Some(b"<kvittens/>"));
        insta::assert_snapshot!(notice.replace("\r\n", "\n"));
    }

    #[test]
    fn no_notice_holds_the_original_content() {
        for outcome in every_outcome() {
            let notice = noticed(&outcome, None);
            assert!(!notice.contains("HEMLIGT"));
            let mail = MessageParser::default().parse(notice.as_bytes()).unwrap();
            assert_eq!(mail.parts.len(), 4, "report, text, status, header");
            assert_eq!(mail.subject().unwrap(), format!("{}: Ansökan", outcome.headline()));
            assert_eq!(mail.in_reply_to().as_text(), Some("abc@habo.se"));
        }
    }

    #[test]
    fn what_is_missing_is_told_when_the_message_arrived() {
        let notes = [Note::new("Fonten byttes.", "The font was changed."), Note::lost("Bilden föll bort.", "The image was lost.")];
        let (arrived, failed) = (Outcome::Accepted { at: Timestamp::UNIX_EPOCH }, Outcome::FunctionUnknown);
        let address = MailAddress::new("soc@habo.se").unwrap();
        let (gateway, zone) = (Domain::new("sdk.habo.se").unwrap(), TimeZone::UTC);
        let notice = |outcome| Notice {
            outcome,
            id: Uuid::from_u128(7),
            at: Timestamp::UNIX_EPOCH,
            zone: &zone,
            gateway: &gateway,
            to: &address,
            recipient: &address,
            recipient_name: "x",
            original_recipient: None,
            envelope_id: None,
            accepted_at: Timestamp::UNIX_EPOCH,
            original: ORIGINAL,
            case: "1",
            evidence: None,
            notes: &notes,
        };
        let told = text(&notice(&arrived));
        assert!(told.contains("Allt i mejlet följde inte med:\n- Bilden föll bort.\n\nMottagare"), "{told}");
        assert!(told.contains("passed on:\n- The image was lost.\n\nRecipient") && !told.contains("Fonten"), "{told}");
        assert!(!text(&notice(&failed)).contains("följde inte med"));
    }

    #[test]
    fn a_hostile_original_adds_no_field() {
        let outcome = Outcome::FunctionUnknown;
        let original = b"Subject: x\r\nMessage-ID: <a@b>\r\n --=_sdk_00000000000000000000000000000007_1\r\n\xff: y\r\n\r\n";
        let notice = Notice {
            outcome: &outcome,
            id: Uuid::from_u128(7),
            at: Timestamp::UNIX_EPOCH,
            zone: &TimeZone::UTC,
            gateway: &Domain::new("sdk.habo.se").unwrap(),
            to: &MailAddress::new("soc@habo.se").unwrap(),
            recipient: &MailAddress::new("håbo@af.se.sdk.habo.se").unwrap(),
            recipient_name: "x\r\nAction: delivered",
            original_recipient: Some("rfc822;a@b\r\nAction: delivered"),
            envelope_id: Some("x\r\nAction: delivered"),
            accepted_at: Timestamp::UNIX_EPOCH,
            original,
            case: "1",
            evidence: None,
            notes: &[],
        };
        let text = String::from_utf8(compose(&notice).unwrap()).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("Action:")).count(), 1, "{text}");
        assert!(text.contains("Final-Recipient: utf-8; h\\x{E5}bo@af.se.sdk.habo.se"));
    }
}
