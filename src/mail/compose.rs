//! An SDK message as the mail that is delivered to our function mailbox.
//!
//! The shape is always the same, `multipart/mixed(multipart/alternative(text/plain, text/html), files…)`, and so are the
//! bytes: no clock, no random boundary, so that a repeated delivery is the same mail with the same Message-ID.

use jiff::{SignedDuration, Timestamp};
use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId as IdList;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::MimePart;

use super::subject::{self, NO_SUBJECT};
use super::{mime, thread, words};
use crate::content::Content;
use crate::ident::{Domain, MailAddress};

mod attachments;
mod facts;
mod page;
mod waiting;

pub use waiting::{Told, Waiting};

/// How far a message's own time may lie from its arrival and still be the mail's Date.
const DATE_TRUST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What a mail needs beside the message.
#[derive(Debug, Clone)]
pub struct ComposeContext<'a> {
    /// The gateway's mail domain, for Message-IDs.
    pub gateway_domain: &'a Domain,
    /// Our function mailbox.
    pub mailbox: &'a MailAddress,
    /// The sending function's canonical address: answers go there.
    pub from_address: &'a MailAddress,
    /// The Message-ID, without brackets, of the mail of ours that the message answers, when there was one.
    pub answered_mail: Option<&'a str>,
    /// When the message came in.
    pub received_at: Timestamp,
}

/// Why no mail can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The mail would need SMTPUTF8 (RFC 6531), which not every mail server takes.
    #[error("{0} is not ASCII")]
    NotAscii(MailAddress),
}

/// Composes the mail.
///
/// # Errors
/// [`ComposeError`] when one of the addresses cannot stand in a header.
pub fn incoming(content: &Content, setting: &ComposeContext<'_>) -> Result<Vec<u8>, ComposeError> {
    compose(content, setting, &subject(content), None, body(content, setting.received_at))
}

/// Composes the mail that only says that the message waits, with another Message-ID: an answer to it is one to the message.
///
/// # Errors
/// [`ComposeError`] when one of the addresses cannot stand in a header.
pub fn waiting(content: &Content, setting: &ComposeContext<'_>, waiting: &Waiting<'_>) -> Result<Vec<u8>, ComposeError> {
    let body = waiting::body(content, waiting, setting.received_at);
    compose(content, setting, waiting.told.subject(), Some(waiting.told), body)
}

/// The mail of a message, or about one that the mailbox is only told of.
fn compose(
    content: &Content,
    setting: &ComposeContext<'_>,
    subject: &str,
    told: Option<Told>,
    body: MimePart<'static>,
) -> Result<Vec<u8>, ComposeError> {
    for address in [setting.mailbox, setting.from_address] {
        if !address.as_str().is_ascii() {
            return Err(ComposeError::NotAscii(address.clone()));
        }
    }
    let gateway = setting.gateway_domain;
    let own = thread::mail_id(&content.message_id, gateway);
    let id = told.map_or_else(|| own.clone(), |told| format!("{}{own}", told.prefix()));
    let from_name = format!("{} (SDK)", facts::names(&content.sender).join(", "));
    let to_name = facts::names(&content.recipient).into_iter().next().unwrap_or_default();
    let from = || Address::new_address(Some(from_name.clone()), setting.from_address.as_str());

    let mut mail = MessageBuilder::new()
        .header("Date", Date::new(date(content.created, setting.received_at).as_second()))
        .header("From", from())
        .header("Reply-To", from())
        .header("To", Address::new_address(Some(to_name), setting.mailbox.as_str()))
        .header("Subject", Text::new(subject.to_owned()))
        .header("Message-ID", IdList::new(id));
    let ends = content.recipient.function.as_ref().map(|function| thread::Ends {
        organisation: &content.recipient.participant,
        function,
        other: &content.sender.participant,
    });
    let (answers, mut references) = ancestors(content, setting, ends.as_ref());
    if told.is_some() {
        // What answers the notice names the message by this.
        references.push(own);
    }
    if let Some(answers) = answers {
        mail = mail.header("In-Reply-To", IdList::new(answers));
    }
    if !references.is_empty() {
        mail = mail.header("References", IdList::new_list(references.into_iter()));
    }
    mail = mail.header("Thread-Topic", Text::new(subject::topic(subject).to_owned()));
    if let Some(ends) = &ends {
        mail = mail.header("Thread-Index", Raw::new(thread::index::write(&content.conversation_id, &content.message_id, ends, gateway)));
    }
    if content.confidential {
        mail = mail.header("Sensitivity", Raw::new("Company-Confidential"));
    }
    if told.is_some() {
        mail = mail.header("Auto-Submitted", Raw::new("auto-generated"));
    }
    let mut out = Vec::new();
    mail.header("X-SDK-Message-Id", Raw::new(content.message_id.folded()))
        .header("X-SDK-Conversation-Id", Raw::new(content.conversation_id.folded()))
        // [MS-OXCMAIL] 2.2.3.2.14: no answer that a program writes comes back from Exchange.
        .header("X-Auto-Response-Suppress", Raw::new("OOF, AutoReply, DR, RN, NRN"))
        .header("MIME-Version", HeaderType::Raw(Raw::new("1.0")))
        .body(body)
        .serialize(&mut out);
    Ok(out)
}

fn body(content: &Content, received_at: Timestamp) -> MimePart<'static> {
    let id = content.message_id.folded();
    let (attached, mut notes) = attachments::of(content);
    notes.extend(facts::notes(content, (date(content.created, received_at) != content.created).then_some(content.created)));
    let page = page::of(content, &attached, &notes);
    let texts = vec![mime::text("text/plain", page.plain.trim_end_matches('\n')), mime::text("text/html", page.html.trim_end_matches('\n'))];
    let mut parts = vec![mime::multipart("alternative", &id, 2, texts)];
    parts.extend(attached.iter().map(|file| mime::file(&file.media_type, &file.name, file.body)));
    mime::multipart("mixed", &id, 1, parts)
}

fn subject(content: &Content) -> String {
    let label = content.label.as_ref().map(|label| words::one_line(label)).unwrap_or_default();
    if label.is_empty() { NO_SUBJECT.to_owned() } else { label }
}

/// In-Reply-To and References: the conversation's mark, the answered mail, and our own mail that it answers.
fn ancestors(content: &Content, setting: &ComposeContext<'_>, ends: Option<&thread::Ends<'_>>) -> (Option<String>, Vec<String>) {
    let own = thread::mail_id(&content.message_id, setting.gateway_domain);
    let mut references = Vec::new();
    let conversation = ends.map(|ends| thread::mark(&content.conversation_id, ends, setting.gateway_domain));
    let answered = content.in_reply_to.as_ref().map(|id| thread::mail_id(id, setting.gateway_domain));
    // A stored Message-ID was a mail program's text once.
    let is_id = |id: &&str| {
        !id.is_empty()
            && id.len() < 900
            && id.is_ascii()
            && !id.contains(|c: char| c.is_ascii_whitespace() || c.is_control() || matches!(c, '<' | '>'))
    };
    let mail = setting.answered_mail.filter(is_id).map(str::to_owned);
    for id in [conversation, answered.clone(), mail.clone()].into_iter().flatten() {
        if id != own && !references.contains(&id) {
            references.push(id);
        }
    }
    (mail.or(answered), references)
}

/// The message's own time, unless it is far from when the message came.
fn date(created: Timestamp, received: Timestamp) -> Timestamp {
    if created.duration_since(received).abs() <= DATE_TRUST { created } else { received }
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;
    use crate::content::{Document, File, Identifier, Party, Person, Reference};
    use crate::ident::{ConversationId, FunctionId, MessageId, ParticipantId};

    fn party(participant: &str, organisation: &str, function: &str) -> Party {
        Party {
            participant: ParticipantId::new(participant).unwrap(),
            label: Some(organisation.to_owned().into()),
            function: Some(FunctionId::new("reg").unwrap()),
            function_label: Some(function.to_owned().into()),
            persons: Vec::new(),
            references: Vec::new(),
        }
    }

    fn content(text: &str) -> Content {
        let id = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";
        Content {
            created: "2026-03-04T08:30:00Z".parse().unwrap(),
            message_id: MessageId::new(id).unwrap(),
            conversation_id: ConversationId::new(id).unwrap(),
            in_reply_to: None,
            label: Some("Ansökan om stöd".to_owned().into()),
            confidential: true,
            generating_system: None,
            recipient: party("0203:habo.se", "Håbo kommun", "Socialtjänsten"),
            sender: party("0203:af.se", "Arbetsförmedlingen", "Kundtjänst \"Väst\""),
            documents: vec![Document {
                id: "1".into(),
                name: None,
                index: None,
                files: vec![File {
                    name: "Å ä ö, beslut.pdf".to_owned().into(),
                    media_type: "application/pdf".into(),
                    body: (0..=255).collect::<Vec<u8>>().into(),
                }],
                texts: vec![text.to_owned().into()],
            }],
            foreign: Vec::new(),
        }
    }

    fn composed(content: &Content, answered_mail: Option<&str>) -> Vec<u8> {
        let context = ComposeContext {
            gateway_domain: &Domain::new("sdk.habo.se").unwrap(),
            mailbox: &MailAddress::new("soc@habo.se").unwrap(),
            from_address: &MailAddress::new("reg@af.se.sdk.habo.se").unwrap(),
            answered_mail,
            received_at: "2026-03-04T08:31:00Z".parse().unwrap(),
        };
        incoming(content, &context).unwrap()
    }

    #[test]
    fn the_mail_has_its_fixed_shape_and_headers() {
        let mut content = content("Hej **Anna**");
        content.sender.references.push(Reference { id: Identifier { root: "dnr".into(), extension: "KS 2026/123".to_owned().into() }, label: None });
        content.recipient.persons.push(Person { id: None, label: Some("Bo Ek".to_owned().into()) });
        insta::assert_snapshot!(String::from_utf8(composed(&content, None)).unwrap().replace("\r\n", "\n"));
    }

    #[test]
    fn a_notice_says_that_a_message_waits_and_nothing_of_it() {
        let mut content = content("Hemligheten står här");
        content.sender.persons.push(Person { id: None, label: Some("Anna Ek".to_owned().into()) });
        content.documents[0].name = Some("Dokumentnamnet".to_owned().into());
        content.in_reply_to = Some(MessageId::new("22222222-2222-4222-8222-222222222222").unwrap());
        let context = ComposeContext {
            gateway_domain: &Domain::new("sdk.habo.se").unwrap(),
            mailbox: &MailAddress::new("soc@habo.se").unwrap(),
            from_address: &MailAddress::new("reg@af.se.sdk.habo.se").unwrap(),
            answered_mail: Some("abc@mail.habo.se"),
            received_at: "2026-03-04T08:31:00Z".parse().unwrap(),
        };
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(1));
        let notice = |told, place| waiting(&content, &context, &Waiting { told, place, zone: &zone }).unwrap();
        let first = notice(Told::First, Some("https://sdk-gw.habo.se/las"));
        for mail in [&first, &notice(Told::Again, None)] {
            let parsed = MessageParser::default().parse(mail).unwrap();
            let all = format!("{} {}", String::from_utf8_lossy(mail), parsed.body_text(0).unwrap());
            for word in ["Hemligheten", "Ansökan", "beslut.pdf", "Dokumentnamnet", "Anna Ek"] {
                assert!(!all.contains(word) && !parsed.subject().unwrap().contains(word), "{word} in {all}");
            }
            assert_eq!(parsed.references().as_text_list().unwrap().last().unwrap(), "7bc5576a-3f87-4cf5-a0c5-277da06fcacb@sdk.habo.se");
        }
        let text = |mail: &[u8]| MessageParser::default().parse(mail).unwrap().body_text(0).unwrap().replace("\r\n", "\n");
        let head = String::from_utf8(first.clone()).unwrap().replace("\r\n", "\n");
        let (head, _) = head.split_once("\n\n").unwrap();
        insta::assert_snapshot!(format!("{head}\n\n{}\n====\n{}", text(&first), text(&notice(Told::Again, None))));
    }

    #[test]
    fn the_same_message_is_the_same_mail_with_crlf_line_ends() {
        let content = content("rad\nrad");
        let mail = composed(&content, None);
        assert_eq!(mail, composed(&content, None));
        let bare = mail.iter().enumerate().filter(|&(at, &b)| b == b'\n' && mail[at - 1] != b'\r').count();
        assert_eq!(bare, 0);
        assert!(mail.split(|&b| b == b'\n').all(|line| line.len() <= 999));
    }

    #[test]
    fn an_answer_threads_to_our_own_mail_and_to_the_conversation() {
        let mut content = content("Hej");
        content.conversation_id = ConversationId::new("11111111-1111-4111-8111-111111111111").unwrap();
        content.in_reply_to = Some(MessageId::new("22222222-2222-4222-8222-222222222222").unwrap());
        let mail = composed(&content, Some("abc@mail.habo.se"));
        let mail = MessageParser::default().parse(&mail).unwrap();
        assert_eq!(mail.in_reply_to().as_text(), Some("abc@mail.habo.se"));
        let references = mail.references().as_text_list().unwrap().join(" ");
        let mark = references.split(' ').next().unwrap();
        let ends = thread::Ends {
            organisation: &content.recipient.participant,
            function: content.recipient.function.as_ref().unwrap(),
            other: &content.sender.participant,
        };
        let gateway = Domain::new("sdk.habo.se").unwrap();
        assert_eq!(thread::marked(mark, &ends, &gateway), thread::Marked::Conversation(content.conversation_id.clone()));
        assert_eq!(references, format!("{mark} 22222222-2222-4222-8222-222222222222@sdk.habo.se abc@mail.habo.se"));
        let index = thread::index::read(mail.header("Thread-Index").unwrap().as_text().unwrap(), &gateway).unwrap();
        assert!(index.is_between(&ends, &gateway) && index.message == content.message_id);
    }

    #[test]
    fn a_hostile_message_adds_no_header_and_no_part() {
        let boundary = "=_sdk_7bc5576a3f874cf5a0c5277da06fcacb_1";
        let mut content = content(&format!("Hej\n--{boundary}\nContent-Type: text/html\n\n<script>x</script>"));
        content.label = Some("x\r\nBcc: a@b.se".to_owned().into());
        content.sender.label = Some("\"\r\nX-Evil: 1\r\n\r\n".to_owned().into());
        content.documents[0].files[0].name = "../../a\r\nX: y\".exe".to_owned().into();
        content.documents[0].files[0].media_type = "text/html\r\nX: y".into();
        let bytes = composed(&content, Some("a@b>\r\nX-Evil: 1"));
        let mail = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(mail.parts.len(), 5);
        for header in ["Bcc", "X-Evil", "X"] {
            assert!(mail.header(header).is_none(), "{header}");
        }
        assert_eq!(mail.subject(), Some("x Bcc: a@b.se"));
    }
}
