//! Mails through the formats: real-shaped mails out, golden; out and in again, judged by two foreign readers; answers
//! thread; notices hold to their RFCs; damaged mails never bring the converter down.
//!
//! `BREVBRO_BLESS=1` writes the golden files anew.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use brevbro::content::{Content, Redacted};
use brevbro::crypto::sha256;
use brevbro::ident::{ConversationId, FunctionId, MailAddress, MessageId, ParticipantId};
use brevbro::mail::compose::{ComposeContext, incoming};
use brevbro::mail::convert::{ConvertError, Ids, Outgoing, outgoing};
use brevbro::mail::notice::{self, Evidence, Fault, Notice, Outcome, Service, Verdict};
use brevbro::mail::policy::{AllowedTypes, History, InlineImages, MailboxPolicy, PersonPolicy};
use brevbro::mail::{address, thread};
use brevbro::sdk::message::{self, MessageLimits};
use common::golden::Golden;
use common::parties::{gateway, party};
use mail_parser::{MessageParser, MimeHeaders as _};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

const MESSAGE: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail")
}

/// Every fixture, by name.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    assert!(paths.len() >= 20);
    paths.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())).collect()
}

fn policy() -> MailboxPolicy {
    MailboxPolicy { person: PersonPolicy::NameAndAddress, ..MailboxPolicy::default() }
}

fn content(mail: &Outgoing) -> Content {
    let ids = Ids {
        message_id: MessageId::new(MESSAGE).unwrap(),
        conversation_id: ConversationId::new(MESSAGE).unwrap(),
        in_reply_to: None,
        created: "2026-03-04T08:30:00Z".parse().unwrap(),
    };
    mail.content(ids, party("0203:af.se", "Arbetsförmedlingen", "Kundtjänst"), party("0203:habo.se", "Håbo kommun", "Socialtjänsten"))
}

/// The mail that the content is delivered as.
fn delivered(content: &Content) -> Vec<u8> {
    let from = address::canonical(&content.sender.participant, content.sender.function.as_ref().unwrap(), &gateway()).unwrap();
    let setting = ComposeContext {
        gateway_domain: &gateway(),
        mailbox: &MailAddress::new("socialtjansten@habo.se").unwrap(),
        from_address: from.address(),
        answered_mail: None,
        received_at: "2026-03-04T08:31:00Z".parse().unwrap(),
    };
    incoming(content, &setting).unwrap()
}

/// A readable account of what became of a mail.
fn account(result: &Result<Outgoing, ConvertError>) -> String {
    let mut out = String::new();
    let mail = match result {
        Ok(mail) => mail,
        Err(error) => {
            let (subject, detail) = error.status();
            return format!("refused: {} 5.{subject}.{detail}\n{}\n{}\n", error.code(), error.swedish(), error.english());
        }
    };
    let mut line = |name: &str, value: &dyn std::fmt::Display| writeln!(out, "{name}: {value}").unwrap();
    line("label", &*mail.label);
    line("confidential", &mail.confidential);
    line("from", &mail.from.as_ref().map(ToString::to_string).unwrap_or_default());
    if let Some(person) = &mail.sender_person {
        let id = person.id.as_ref().map(|id| format!("{} {}", id.root, *id.extension)).unwrap_or_default();
        line("person", &format!("{} | {id}", person.label.as_ref().map(|label| label.as_str()).unwrap_or_default()));
    }
    for reference in &mail.references {
        line("reference", &format!("{} {}", reference.id.root, *reference.id.extension));
    }
    if let Some(attention) = &mail.attention {
        line("attention", &**attention);
    }
    for id in &mail.in_reply_to {
        line("answers", id);
    }
    line("message-id", &mail.mail_message_id.as_deref().unwrap_or("none"));
    line("date", &mail.date.map(|date| date.to_string()).unwrap_or_default());
    line("automatic", &mail.automatic.unwrap_or("no"));
    line("received", &mail.received_count);
    line("receipt", &format!("{:?}", mail.receipt));
    for file in &mail.files {
        line("file", &format!("{} | {} | {} | {}", *file.name, file.media_type, file.body.len(), sha256(&file.body)));
    }
    for note in &mail.notes {
        line("note", &format!("{} | {}", *note.swedish, *note.english));
    }
    for text in &mail.texts {
        // A hard break is two spaces, which no editor shows.
        writeln!(out, "----\n{}", text.replace("  \n", "··\n")).unwrap();
    }
    out
}

#[test]
fn real_mails_become_what_their_golden_files_say() {
    let mut golden = Golden::default();
    for (name, bytes) in fixtures() {
        let path = folder().join(format!("{name}.expected"));
        let account = account(&outgoing(&bytes, &policy()));
        golden.hold(&path, &account);
    }
    golden.settle();
}

#[test]
fn the_mailbox_decides_on_images_history_and_persons() {
    let convert = |name: &str, policy: &MailboxPolicy| outgoing(&std::fs::read(folder().join(name)).unwrap(), policy).unwrap();
    let logo = "outlook-logo-pdf-docx.eml";
    let keep = convert(logo, &MailboxPolicy { images: InlineImages::Keep, ..policy() });
    assert_eq!(keep.files.iter().filter(|file| file.media_type == "image/png").count(), 1);
    assert!(keep.texts[0].contains("[Bild 1: image001.png]"));
    let pdf_only = convert(logo, &MailboxPolicy { images: InlineImages::Keep, types: AllowedTypes::new(word()), ..policy() });
    assert_eq!(pdf_only.files.len(), 2, "a logo of a type that may not be sent does not sink the mail");
    let screenshot = "nested-multipart-screenshot.eml";
    assert_eq!(convert(screenshot, &policy()).files.len(), 3);
    assert_eq!(convert(screenshot, &MailboxPolicy { images: InlineImages::DropAll, ..policy() }).files.len(), 2);
    for (reply, quoted) in
        [("outlook-reply-history.eml", "planeringen"), ("gmail-reply.eml", "kan ni svara"), ("thunderbird-html-reply.eml", "torsdag")]
    {
        assert!(convert(reply, &policy()).texts[0].contains(quoted), "{reply}");
        let cut = convert(reply, &MailboxPolicy { history: History::Cut, ..policy() });
        assert!(!cut.texts[0].contains(quoted) && !cut.texts[0].is_empty(), "{reply}");
    }
    assert_eq!(convert(logo, &MailboxPolicy { person: PersonPolicy::None, ..policy() }).sender_person, None);
}

fn word() -> Vec<(String, Vec<String>)> {
    vec![("application/vnd.openxmlformats-officedocument.wordprocessingml.document".to_owned(), vec!["docx".to_owned()])]
}

/// The words that a reader of the Markdown sees.
fn visible_words(markdown: &str) -> BTreeSet<String> {
    let mut text = String::new();
    for event in Parser::new(markdown) {
        match event {
            Event::Text(words) => text.push_str(&words),
            Event::Start(Tag::Strong | Tag::Emphasis) | Event::End(TagEnd::Strong | TagEnd::Emphasis) => {}
            _ => text.push(' '),
        }
    }
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn what_goes_out_comes_in_whole_by_two_foreign_readers() {
    let folder = tempfile::tempdir().unwrap();
    let mut mails = Vec::new();
    for (name, bytes) in fixtures() {
        let Ok(mail) = outgoing(&bytes, &policy()) else { continue };
        let composed = delivered(&content(&mail));
        let told: BTreeSet<String> = mail.texts.iter().flat_map(|text| visible_words(text)).collect();

        let parsed = MessageParser::default().parse(&composed).unwrap();
        assert_eq!(parsed.subject().unwrap(), mail.label.as_str(), "{name}");
        assert_eq!(parsed.attachment_count(), mail.files.len(), "{name}");
        for (part, file) in parsed.attachments().zip(&mail.files) {
            assert_eq!(part.attachment_name().unwrap(), file.name.as_str(), "{name}");
            // mail-parser turns text files into UTF-8; their bytes are the other reader's matter.
            assert!(part.contents() == file.body.as_slice() || file.media_type.starts_with("text/"), "{name}: {}", *file.name);
        }
        assert!(told.is_subset(&words(&parsed.body_text(0).unwrap())), "{name}");

        let path = folder.path().join(&name);
        std::fs::write(&path, &composed).unwrap();
        mails.push((path, mail, told));
    }
    if !common::has("python3") {
        return;
    }
    let read = peer("read", mails.iter().map(|(path, ..)| path));
    for (read, (path, mail, told)) in read.iter().zip(&mails) {
        let name = path.display();
        assert_eq!(read["defects"], serde_json::json!([]), "{name}");
        assert_eq!(read["shape"].as_array().unwrap()[..4], ["multipart/mixed", "multipart/alternative", "text/plain", "text/html"], "{name}");
        assert_eq!(read["subject"], mail.label.as_str(), "{name}");
        assert_eq!(read["from"], "\"Kundtjänst, Arbetsförmedlingen (SDK)\" <sdk=3Areg=3A1@af.se.sdk.habo.se>");
        assert_eq!(read["message_id"], format!("<{MESSAGE}@sdk.habo.se>"));
        let files: Vec<_> = mail.files.iter().map(|file| (file.name.0.clone(), sha256(&file.body).to_string())).collect();
        let got: Vec<_> = read["files"].as_array().unwrap().iter().map(|file| (text(&file["name"]), text(&file["sha256"]))).collect();
        assert_eq!(got, files, "{name}: byte for byte");
        assert!(told.is_subset(&words(&text(&read["plain"]))), "{name}");
        assert!(told.is_subset(&words(&text(&read["html"]))), "{name}");
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What Python makes of the mails in these files.
fn peer(command: &str, paths: impl Iterator<Item = impl AsRef<OsStr>>) -> Vec<serde_json::Value> {
    let output = common::run(Command::new("python3").arg("-I").arg(folder().join("peer.py")).arg(command).args(paths)).unwrap();
    serde_json::from_slice(&output).unwrap()
}

#[test]
fn the_golden_attachments_are_the_bytes_that_python_reads_in_the_fixture() {
    if !common::has("python3") {
        return;
    }
    let mails: Vec<_> = fixtures().into_iter().filter_map(|(name, bytes)| Some((name, outgoing(&bytes, &policy()).ok()?))).collect();
    let digests = peer("digests", mails.iter().map(|(name, _)| folder().join(format!("{name}.eml"))));
    for ((name, mail), digests) in mails.iter().zip(&digests) {
        for file in &mail.files {
            assert!(digests.as_array().unwrap().iter().any(|digest| digest == &sha256(&file.body).to_string()), "{name}: {}", *file.name);
        }
    }
}

#[test]
fn every_converted_mail_is_a_valid_sdk_message_of_the_size_that_was_counted() {
    for (name, bytes) in fixtures() {
        let Ok(mail) = outgoing(&bytes, &policy()) else { continue };
        if mail.automatic.is_some() {
            continue;
        }
        let content = content(&mail);
        let xml = message::write(&content).unwrap();
        let read = message::read(&xml, &MessageLimits::default()).unwrap();
        assert_eq!((&read.documents, &read.label, &read.sender), (&content.documents, &content.label, &content.sender), "{name}");
        let (counted, octets) = (mail.wire_octets(), xml.len() as u64);
        assert!(octets <= counted && counted < octets + 20_000, "{name}: counted {counted}, is {octets}");
    }
}

#[test]
fn an_answer_to_a_delivered_mail_names_the_message_it_answers() {
    let mail = outgoing(&fixtures()[0].1, &policy()).unwrap();
    let composed = delivered(&content(&mail));
    let parsed = MessageParser::default().parse(&composed).unwrap();
    let id = parsed.message_id().unwrap();
    let reply_to = parsed.reply_to().unwrap().first().unwrap().address().unwrap().to_owned();
    let reply = format!(
        "From: socialtjansten@habo.se\r\nTo: {reply_to}\r\nSubject: SV: {}\r\nIn-Reply-To: <{id}>\r\nReferences: <older@habo.se> <{id}>\r\n\r\nSvar\r\n",
        parsed.subject().unwrap()
    );
    let answer = outgoing(reply.as_bytes(), &policy()).unwrap();
    assert_eq!(answer.label, mail.label);
    assert_eq!(answer.in_reply_to, [id, "older@habo.se"]);
    let answered: Vec<MessageId> = answer.in_reply_to.iter().filter_map(|id| thread::message_id_of(id, &gateway())).collect();
    assert_eq!(answered, [MessageId::new(MESSAGE).unwrap()]);
    let reading = address::read(&MailAddress::new(reply_to).unwrap(), &gateway());
    let function = FunctionId::new("sdk:reg:1").unwrap();
    assert_eq!(reading, address::Reading::Function { participant: ParticipantId::new("0203:af.se").unwrap(), function });
}

#[test]
fn every_notice_is_a_sound_report_for_python() {
    if !common::has("python3") {
        return;
    }
    let at = |text: &str| text.parse().unwrap();
    let (soon, late) = (at("2026-03-04T10:00:00Z"), at("2026-03-06T10:00:00Z"));
    let outcomes = [
        Outcome::Accepted { at: soon },
        Outcome::LateReceipt { at: late, verdict: Verdict::Accepted },
        Outcome::AwaitingReceipt { acknowledged: soon, until: late },
        Outcome::Unreachable { service: Service::AccessPoint, next: soon, last: late },
        Outcome::Unreachable { service: Service::Directory, next: soon, last: late },
        Outcome::GaveUp { service: Service::AccessPoint },
        Outcome::NoReceipt { acknowledged: soon },
        Outcome::FunctionUnknown { near: Vec::new() },
        Outcome::TypeRefused { file: Some(Redacted("bild.heic".to_owned())) },
        Outcome::Faulty { at: Fault::Gateway },
        Outcome::CertificateBad,
    ];
    let folder = tempfile::tempdir().unwrap();
    let fixtures = fixtures();
    let mut told = Vec::new();
    // Each outcome once, and the first for the header of every mail.
    let every = outcomes.iter().map(|outcome| (outcome, &fixtures[0])).chain(fixtures.iter().map(|fixture| (&outcomes[0], fixture)));
    for (number, (outcome, (name, bytes))) in every.enumerate() {
        let notice = Notice {
            outcome,
            id: uuid::Uuid::from_u128(number as u128),
            at: late,
            zone: &jiff::tz::TimeZone::UTC,
            gateway: &gateway(),
            to: &MailAddress::new("socialtjansten@habo.se").unwrap(),
            recipient: &MailAddress::new("kundtjanst@af.se.sdk.habo.se").unwrap(),
            recipient_name: "Kundtjänst, Arbetsförmedlingen",
            original_recipient: Some("rfc822;kundtjanst@af.se.sdk.habo.se"),
            envelope_id: Some("QQ+1"),
            accepted_at: soon,
            original: bytes,
            host: &gateway(),
            contact: &MailAddress::new("it-drift@habo.se").unwrap(),
            message_id: &MessageId::new(MESSAGE).unwrap(),
            remote: None,
            codes: None,
            notes: &[],
            evidence: (number == 0).then_some(Evidence { xml: b"<kvittens/>", id: "1", issued: soon, issuer: "0203:af.se", signature: None }),
        };
        let path = folder.path().join(format!("{number}-{name}"));
        std::fs::write(&path, notice::compose(&notice)).unwrap();
        told.push((path, outcome));
    }
    let reports = peer("report", told.iter().map(|(path, _)| path));
    for (report, (path, outcome)) in reports.iter().zip(&told) {
        assert_eq!(report["defects"], serde_json::json!([]), "{}", path.display());
        assert_eq!((text(&report["action"]).as_str(), text(&report["status"]).as_str()), (outcome.kind().action(), outcome.status()));
        assert!(text(&report["header"]).to_lowercase().contains("message-id:"), "{}", path.display());
    }
}

/// A small generator of numbers, the same each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }
}

/// Damages a mail: octets, whole lines, pieces of other mails, words that mean something.
fn damage(mail: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    const WORDS: &[&[u8]] = &[
        b"\r\n\r\n",
        b"--",
        b"--\r\n",
        b"=?utf-8?B?w4U=?=",
        b"=?utf-8?Q?=C3?=",
        b"\0",
        b"\xff",
        b"%C3%85",
        b"filename*0*=",
        b"boundary=\"\"",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"charset=utf-7",
        b"charset=utf-16",
        b"<table><tr><td>",
        b"</div></p></table>",
        b"<li>",
        b"mso-list:l0 level99999999999 lfo1",
        b"&#x110000;",
        b"data:image/png;base64,iVBO",
        b"[dnr ",
    ];
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(mail.len());
        let end = (at + numbers.below(120)).min(mail.len());
        match numbers.below(6) {
            0 => mail[at..end].iter_mut().take(3).for_each(|octet| *octet ^= 0x21),
            1 => drop(mail.drain(at..end)),
            2 => {
                let piece = mail[at..end].to_vec();
                let to = numbers.below(mail.len());
                mail.splice(to..to, piece);
            }
            3 => drop(mail.splice(at..at, WORDS[numbers.below(WORDS.len())].iter().copied())),
            4 => {
                let from = numbers.below(other.len());
                let piece = &other[from..(from + numbers.below(400)).min(other.len())];
                mail.splice(at..at, piece.iter().copied());
            }
            _ => mail.truncate(end),
        }
        if mail.is_empty() {
            mail.push(b'x');
        }
    }
}

#[test]
fn no_damaged_mail_brings_the_converter_down_or_slips_through_unsound() {
    let fixtures = fixtures();
    let mut numbers = Numbers(0x5eed_2026_0304);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..1_500 {
        let mut mail = fixtures[round % fixtures.len()].1.clone();
        let other = &fixtures[numbers.below(fixtures.len())].1;
        damage(&mut mail, other, &mut numbers);
        match outgoing(&mail, &policy()) {
            Ok(mail) => {
                taken += 1;
                sound(&mail);
            }
            Err(error) => {
                refused += 1;
                assert!(error.code() == 550 && !error.swedish().is_empty());
            }
        }
    }
    assert!(taken > 300 && refused > 300, "{taken} taken, {refused} refused");
}

/// What each converted mail must be, or the SDK message breaks a rule.
fn sound(mail: &Outgoing) {
    let fit = |text: &str| !text.trim().is_empty() && text.chars().all(|c| c == '\n' || !c.is_control());
    assert!(fit(&mail.label) && mail.label.chars().count() <= 256);
    assert!(mail.texts.iter().all(|text| fit(text)));
    assert!(mail.automatic.is_some() || !(mail.texts.is_empty() && mail.files.is_empty()));
    for file in &mail.files {
        assert!(fit(&file.name) && !file.name.contains(['/', '\\', '\n']) && !file.body.is_empty() && file.media_type.contains('/'));
    }
    let composed = delivered(&content(mail));
    assert!(mail.wire_octets() > mail.files.iter().map(|file| file.body.len() as u64).sum::<u64>());
    let parsed = MessageParser::default().parse(&composed).unwrap();
    assert_eq!(parsed.attachment_count(), mail.files.len());
}
