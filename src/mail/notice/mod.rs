//! Delivery status notifications: the outcome of a message, told to who sent the mail (RFC 3461 to RFC 3464, RFC 6522, RFC 6533).
//!
//! A notice has a Swedish text and an English one, the machine's part, and the header of the original mail: never its
//! content, which is secret, whatever RET says. Subject and header are the sender's own words and go to the sender alone.
//! It goes out with `MAIL FROM:<>`. Whether one is wanted (NOTIFY, mailbox policy) and that each outcome is told once is
//! the flow's business.
//!
//! What was decided where the standards leave it open:
//!
//! - One notice for each recipient. Each of them gets an SDK message of its own, whose outcome comes at its own time with
//!   its own receipt; to wait for the others would keep back what is known.
//! - Never `relayed`: SDK has message receipts, so the access point's receipt is no last word (RFC 3464 2.3.3).
//! - The evidence stands beside the text in the first part (RFC 6522 3 lets that be of any type). A report has no fourth
//!   part, and inside another multipart it would be no report to Exchange, which goes by the outermost type.
//! - Diagnostic-Code is of type `x-sdk`, Remote-MTA of type `x-as4`: no SMTP server said anything (RFC 3464 2.3.6).
//! - A notice to an ASCII address is ASCII itself: other addresses stand in the 7-bit form of RFC 6533 3, and a header that
//!   is UTF-8 is message/global-headers in quoted-printable. To any other address it is as RFC 6533 4 has it.

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
use crate::ident::{Domain, MailAddress, MessageId};

mod outcome;
mod texts;

pub use outcome::{Fault, Kind, Outcome, RejectedLine, Service, Verdict};
pub(crate) use texts::local_time;

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
    /// The gateway's host name: who reports.
    pub host: &'a Domain,
    /// Whom the reader may ask.
    pub contact: &'a MailAddress,
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
    /// The SDK message's id, by which support finds everything.
    pub message_id: &'a MessageId,
    /// The other access point, once it is known.
    pub remote: Option<&'a str>,
    /// The codes of the message receipt, where there is one.
    pub codes: Option<&'a str>,
    /// The message receipt that the outcome rests on.
    pub evidence: Option<Evidence<'a>>,
    /// What of the mail was changed or left out; told when something is missing and the message arrived.
    pub notes: &'a [Note],
}

/// A message receipt, and what was found when it came.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Its XML.
    pub xml: &'a [u8],
    /// Its id.
    pub id: &'a str,
    /// When it was issued.
    pub issued: Timestamp,
    /// Who issued it: a participant id.
    pub issuer: &'a str,
    /// Who signed it.
    pub signature: Option<Signature<'a>>,
}

/// A signature that held when it was checked: chain, revocation and registration of its certificate too.
#[derive(Debug, Clone, Copy)]
pub struct Signature<'a> {
    /// The certificate's subject.
    pub subject: &'a str,
    /// SHA-256 of the certificate.
    pub fingerprint: &'a str,
    /// When it was checked.
    pub checked: Timestamp,
}

/// Composes a notice, the same bytes each time.
#[must_use]
pub fn compose(notice: &Notice<'_>) -> Vec<u8> {
    let wide = Width::of(notice);
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
    let parts = vec![human_part(notice, &id), status_part(notice, wide), header_part(&header, wide)];
    let report = ContentType::new("multipart/report").attribute("report-type", "delivery-status");
    let mut out = Vec::new();
    // RFC 3834 5: a notice is an answer that a program gives.
    mail.header("Auto-Submitted", Raw::new("auto-replied"))
        .header("X-Auto-Response-Suppress", Raw::new("All"))
        .header("MIME-Version", Raw::new("1.0"))
        .body(mime::multipart_of(report, &id, 1, parts))
        .serialize(&mut out);
    out
}

/// Whether a notice itself needs SMTPUTF8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// It is ASCII.
    Narrow,
    /// Addresses and header may be UTF-8.
    Wide,
}

impl Width {
    fn of(notice: &Notice<'_>) -> Self {
        if notice.to.as_str().is_ascii() { Self::Narrow } else { Self::Wide }
    }
}

fn human_part(notice: &Notice<'_>, id: &str) -> MimePart<'static> {
    let text = mime::text("text/plain", &text(notice));
    match &notice.evidence {
        Some(evidence) => mime::multipart("mixed", id, 2, vec![text, mime::file("application/xml", "kvittens.xml", evidence.xml)]),
        None => text,
    }
}

fn text(notice: &Notice<'_>) -> String {
    let name = words::one_line(notice.recipient_name);
    let sent = local_time(notice.accepted_at, notice.zone);
    let Notice { recipient, message_id, contact, .. } = notice;
    let (missing, missing_in_english) = missing(notice);
    let (receipt, receipt_in_english) = receipt(notice);
    format!(
        "{}{missing}\n\nMottagare: {name} <{recipient}>\nSkickat: {sent}\nMeddelande-id: {message_id}\n\
         Frågor: kontakta {contact} och ange meddelande-id.{receipt}\n\n----------------------------------------\nIn English\n\n\
         {}{missing_in_english}\n\nRecipient: {name} <{recipient}>\nSent: {sent}\nMessage id: {message_id}\n\
         Questions: ask {contact} and quote the message id.{receipt_in_english}",
        notice.outcome.swedish(&name, notice.zone),
        notice.outcome.english(&name, notice.zone),
    )
}

/// What the attached receipt is, in both languages.
fn receipt(notice: &Notice<'_>) -> (String, String) {
    let Some(Evidence { id, issued, issuer, signature, .. }) = &notice.evidence else { return (String::new(), String::new()) };
    let (id, issuer, issued) = (words::one_line(id), words::one_line(issuer), local_time(*issued, notice.zone));
    let mut swedish = format!("\n\nKvittensen är bifogad som kvittens.xml.\nKvittens-id: {id}\nUtfärdad: {issued}\nUtfärdare: {issuer}");
    let mut english = format!("\n\nThe receipt is attached as kvittens.xml.\nReceipt id: {id}\nIssued: {issued}\nIssuer: {issuer}");
    if let Some(Signature { subject, fingerprint, checked }) = signature {
        let (subject, checked) = (words::one_line(subject), local_time(*checked, notice.zone));
        swedish.extend(["\nUnderskrift: kontrollerad och giltig ", &checked, "\nCertifikat: ", &subject, "\nSHA-256: ", fingerprint]);
        english.extend(["\nSignature: checked and valid ", &checked, "\nCertificate: ", &subject, "\nSHA-256: ", fingerprint]);
    }
    (swedish, english)
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

/// message/delivery-status (RFC 3464 2), message/global-delivery-status (RFC 6533 4).
fn status_part(notice: &Notice<'_>, width: Width) -> MimePart<'static> {
    let mut fields = String::new();
    let mut field = |name: &str, value: &str| fields.extend([name, ": ", value, "\r\n"]);
    if let Some(id) = notice.envelope_id {
        field("Original-Envelope-Id", &printable(id));
    }
    field("Reporting-MTA", &format!("dns; {}", notice.host));
    field("Arrival-Date", &mail_date(notice.accepted_at));
    let mut recipient = String::new();
    let mut field = |name: &str, value: &str| recipient.extend([name, ": ", value, "\r\n"]);
    if let Some(original) = notice.original_recipient {
        let (kind, address) = original.split_once(';').unwrap_or(("rfc822", original));
        field("Original-Recipient", &typed(kind.trim(), address.trim(), width));
    }
    let kind = if notice.recipient.as_str().is_ascii() { "rfc822" } else { UTF_8 };
    field("Final-Recipient", &typed(kind, notice.recipient.as_str(), width));
    field("Action", notice.outcome.kind().action());
    field("Status", notice.outcome.status());
    if let Some(remote) = notice.remote {
        field("Remote-MTA", &format!("x-as4; {}", printable(remote)));
    }
    field("Diagnostic-Code", &format!("x-sdk; {}", printable(notice.codes.unwrap_or_else(|| notice.outcome.diagnostic()))));
    field("Last-Attempt-Date", &mail_date(notice.at));
    field("Final-Log-ID", notice.message_id.as_str());
    if let Some(until) = notice.outcome.retry_until() {
        field("Will-Retry-Until", &mail_date(until));
    }
    let text = format!("{fields}\r\n{recipient}");
    match width {
        Width::Narrow => mime::lines(ContentType::new("message/delivery-status"), text),
        Width::Wide => mime::wide_lines(ContentType::new("message/global-delivery-status"), text),
    }
}

/// The address type of RFC 6533 3.
const UTF_8: &str = "utf-8";

/// An address with its type.
fn typed(kind: &str, address: &str, width: Width) -> String {
    let address = words::one_line(address);
    let kind = if address.is_ascii() { printable(kind) } else { UTF_8.to_owned() };
    match (kind.as_str(), width) {
        (UTF_8, Width::Wide) => format!("{UTF_8}; {address}"),
        (UTF_8, Width::Narrow) => format!("{UTF_8}; {}", address.chars().map(seven_bit).collect::<String>()),
        _ => format!("{kind}; {address}"),
    }
}

/// `utf-8-addr-xtext` of RFC 6533 3: `\x{HEX}` for what is not ASCII, and for the characters that xtext and this form use.
fn seven_bit(c: char) -> String {
    if matches!(c, '!'..='~') && !matches!(c, '\\' | '+' | '=') { c.to_string() } else { format!("\\x{{{:02X}}}", u32::from(c)) }
}

/// RET is capped to the header: the content is secret.
fn header_part(header: &str, width: Width) -> MimePart<'static> {
    // No line of it may be taken for a boundary.
    let as_it_is = header.lines().all(|line| line.len() < 998 && !line.starts_with("--"));
    let text = || header.lines().flat_map(|line| [line, "\r\n"]).collect::<String>();
    if !header.is_ascii() {
        // RFC 6533 5: unlike text/rfc822-headers it is UTF-8, in any encoding.
        let kind = ContentType::new("message/global-headers");
        return if width == Width::Wide && as_it_is { mime::wide_lines(kind, text()) } else { mime::quoted(kind, header) };
    }
    if as_it_is { mime::lines(ContentType::new("text/rfc822-headers"), text()) } else { mime::text("text/rfc822-headers", header) }
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
    words::one_line(text).chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\x{{{:02X}}}", u32::from(c)) }).collect()
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

    const ORIGINAL: &[u8] =
        "From: anna@habo.se\r\nTo: reg@af.se.sdk.habo.se\r\nSubject: =?utf-8?Q?Ans=C3=B6kan?=\r\nMessage-ID: <abc@habo.se>\r\n\r\nHEMLIGT\r\n"
            .as_bytes();

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    struct Setting {
        zone: TimeZone,
        gateway: Domain,
        host: Domain,
        contact: MailAddress,
        to: MailAddress,
        recipient: MailAddress,
        message_id: MessageId,
    }

    impl Setting {
        fn new(to: &str, recipient: &str) -> Self {
            Self {
                zone: TimeZone::fixed(jiff::tz::offset(1)),
                gateway: "sdk.habo.se".parse().unwrap(),
                host: "gw.habo.se".parse().unwrap(),
                contact: "it-drift@habo.se".parse().unwrap(),
                to: to.parse().unwrap(),
                recipient: recipient.parse().unwrap(),
                message_id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap(),
            }
        }

        fn notice<'a>(&'a self, outcome: &'a Outcome) -> Notice<'a> {
            Notice {
                outcome,
                id: Uuid::from_u128(7),
                at: at("2026-03-04T09:00:00Z"),
                zone: &self.zone,
                gateway: &self.gateway,
                host: &self.host,
                contact: &self.contact,
                to: &self.to,
                recipient: &self.recipient,
                recipient_name: "Kundtjänst, Arbetsförmedlingen",
                original_recipient: Some("rfc822;reg@af.se.sdk.habo.se"),
                envelope_id: Some("QQ314159"),
                accepted_at: at("2026-03-04T08:30:00Z"),
                original: ORIGINAL,
                message_id: &self.message_id,
                remote: Some("AP0040-SDK-PROD"),
                codes: None,
                evidence: None,
                notes: &[],
            }
        }
    }

    fn habo() -> Setting {
        Setting::new("soc@habo.se", "reg@af.se.sdk.habo.se")
    }

    fn composed(notice: &Notice<'_>) -> String {
        let bytes = compose(notice);
        assert_eq!(bytes, compose(notice), "the same bytes each time");
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_whole_notice_with_evidence() {
        let (habo, accepted) = (habo(), Outcome::Accepted { at: at("2026-03-04T10:00:00Z") });
        let signature = Signature { subject: "CN=Arbetsförmedlingen, C=SE", fingerprint: "00ff", checked: at("2026-03-04T10:00:05Z") };
        let evidence =
            Evidence { xml: b"<kvittens/>", id: "2f0c", issued: at("2026-03-04T10:00:00Z"), issuer: "0203:af.se", signature: Some(signature) };
        let notice = Notice { evidence: Some(evidence), codes: Some("ACCEPTED"), ..habo.notice(&accepted) };
        insta::assert_snapshot!(composed(&notice).replace("\r\n", "\n"));
    }

    #[test]
    fn a_recipient_outside_ascii_is_written_in_seven_bits_to_who_reads_no_more() {
        let setting = Setting::new("soc@habo.se", "håbo+a@af.se.sdk.habo.se");
        let notice = Notice { original_recipient: Some("utf-8;håbo=a@af.se"), ..setting.notice(&Outcome::TooLong) };
        let text = composed(&notice);
        assert!(text.is_ascii());
        assert!(text.contains("Final-Recipient: utf-8; h\\x{E5}bo\\x{2B}a@af.se.sdk.habo.se\r\n"), "{text}");
        assert!(text.contains("Original-Recipient: utf-8; h\\x{E5}bo\\x{3D}a@af.se\r\n") && text.contains("message/delivery-status"));
    }

    #[test]
    fn who_has_an_address_outside_ascii_gets_a_notice_of_that_kind() {
        let setting = Setting::new("åsa@habo.se", "håbo@af.se.sdk.habo.se");
        let original = "From: åsa@habo.se\r\nSubject: Ansökan\r\nMessage-ID: <abc@habo.se>\r\n\r\nHEMLIGT\r\n".as_bytes();
        let text = composed(&Notice { original, ..setting.notice(&Outcome::TooLong) });
        for part in ["To: <åsa@habo.se>\r\n", "message/global-delivery-status", "Final-Recipient: utf-8; håbo@af.se.sdk.habo.se\r\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("message/global-headers") && text.contains("\r\nSubject: Ansökan\r\n") && !text.contains("HEMLIGT"));
        // The same header to an ASCII address.
        let habo = habo();
        let narrow = composed(&Notice { original, ..habo.notice(&Outcome::TooLong) });
        assert!(narrow.is_ascii() && narrow.contains("Subject: Ans=C3=B6kan\r\n"), "{narrow}");
    }

    #[test]
    fn what_is_missing_is_told_when_the_message_arrived() {
        let notes = [Note::new("Fonten byttes.", "The font was changed."), Note::lost("Bilden föll bort.", "The image was lost.")];
        let (habo, arrived, failed) = (habo(), Outcome::Accepted { at: Timestamp::UNIX_EPOCH }, Outcome::TooLong);
        let told = text(&Notice { notes: &notes, ..habo.notice(&arrived) });
        assert!(told.contains("Allt i mejlet följde inte med:\n- Bilden föll bort.\n\nMottagare"), "{told}");
        assert!(told.contains("passed on:\n- The image was lost.\n\nRecipient") && !told.contains("Fonten"), "{told}");
        assert!(!text(&Notice { notes: &notes, ..habo.notice(&failed) }).contains("följde inte med"));
    }

    #[test]
    fn a_hostile_original_adds_no_field() {
        let habo = Setting::new("soc@habo.se", "håbo@af.se.sdk.habo.se");
        let evil = "x\r\nAction: delivered";
        let original = b"Subject: x\r\nMessage-ID: <a@b>\r\n --=_sdk_00000000000000000000000000000007_1\r\n\xff: y\r\n\r\n";
        let text = composed(&Notice {
            recipient_name: evil,
            original_recipient: Some("rfc822;a@b\r\nAction: delivered"),
            envelope_id: Some(evil),
            remote: Some(evil),
            codes: Some(evil),
            original,
            ..habo.notice(&Outcome::TooLong)
        });
        assert_eq!(text.lines().filter(|line| line.starts_with("Action:")).count(), 1, "{text}");
    }
}
