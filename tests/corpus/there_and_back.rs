//! Out and back.

use std::collections::BTreeMap;

use brevbro::content::Content;
use brevbro::crypto::sha256;
use brevbro::ident::{ConversationId, MailAddress, MessageId};
use brevbro::inbound::render::{self, Render};
use brevbro::mail::convert::{Ids, Note, Outgoing, outgoing};
use brevbro::mail::policy::MailboxPolicy;
use brevbro::mail::{address, thread};
use brevbro::sdk::message::{self, MessageLimits};

use crate::build::{End, Loss, Mail};
use crate::common::parties::{gateway, party};
use crate::{common, judge};

const MESSAGE: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";
const CONVERSATION: &str = "22222222-2222-4222-8222-222222222222";

/// The SDK message of a mail, and the mail that it is at the other end.
pub fn through(mail: &Outgoing) -> (Vec<u8>, Vec<u8>) {
    let answered = mail.in_reply_to.iter().find_map(|id| thread::message_id_of(id, &gateway()));
    let ids = Ids {
        message_id: MessageId::new(MESSAGE).unwrap(),
        conversation_id: ConversationId::new(if answered.is_some() { CONVERSATION } else { MESSAGE }).unwrap(),
        in_reply_to: answered,
        created: "2026-03-04T08:30:00Z".parse().unwrap(),
    };
    let content: Content =
        mail.content(ids, party("0203:habo.se", "Håbo kommun", "Socialtjänsten"), party("0203:af.se", "Arbetsförmedlingen", "Kundtjänst"));
    let xml = message::write(&content).unwrap();
    assert!(xml.len() as u64 <= mail.wire_octets());
    let from = address::canonical(&content.sender.participant, content.sender.function.as_ref().unwrap(), &gateway()).unwrap();
    let with = Render {
        gateway: &gateway(),
        mailbox: &MailAddress::new("kundtjanst@af.se").unwrap(),
        from: from.address(),
        answered: None,
        strange: false,
        received_at: "2026-03-04T08:31:00Z".parse().unwrap(),
        organisation: None,
        function: None,
    };
    // Reading judges every rule.
    let delivered = render::mail(&xml, &MessageLimits::default(), &with).unwrap_or_else(|error| panic!("{error}"));
    (xml, delivered)
}

/// What the note of a loss holds.
fn key(loss: &Loss) -> &str {
    match loss {
        Loss::Decoration(name, _) | Loss::Renamed(name) | Loss::Unnamed(name) | Loss::Twin(name) => name,
        Loss::WebImage => "webben",
        Loss::Signature => "signatur",
        Loss::LongSubject => "för lång",
        Loss::SubjectAsText => "ämnesraden skickades som text",
        Loss::Other(note, _) => note,
    }
}

/// Whether the mail really loses what the note says.
fn is_real(loss: &Loss, mail: &Mail, held: &[String], delivered: &[(String, String)]) -> bool {
    let source = mail.bytes();
    let holds = |text: &str| source.windows(text.len()).any(|octets| octets == text.as_bytes());
    match loss {
        Loss::Decoration(_, bytes) => {
            let digest = sha256(bytes).to_string();
            held.contains(&digest) && delivered.iter().all(|(_, other)| *other != digest)
        }
        Loss::WebImage => holds("<img src=") && holds("https://"),
        Loss::Signature => holds("multipart/signed") && holds("signature"),
        Loss::Renamed(name) | Loss::Unnamed(name) | Loss::Twin(name) => delivered.iter().any(|(other, _)| other.starts_with(name)),
        Loss::LongSubject => mail.label.chars().count() >= 250,
        Loss::SubjectAsText => mail.files().is_empty(),
        Loss::Other(_, evidence) => holds(evidence),
    }
}

impl Mail {
    fn files(&self) -> &[(String, Vec<u8>)] {
        &self.part.files
    }
}

/// What is wrong with what became of a mail.
pub fn faults(mail: &Mail, converted: &Outgoing, verdict: &judge::Verdict) -> Vec<String> {
    let mut faults = Vec::new();
    let delivered = verdict.files();
    let expected: Vec<(String, String)> = mail.files().iter().map(|(name, body)| (name.clone(), sha256(body).to_string())).collect();
    if delivered != expected {
        faults.push(format!(
            "files: {:?}\nexpected: {:?}",
            delivered.iter().map(|file| &file.0).collect::<Vec<_>>(),
            expected.iter().map(|file| &file.0).collect::<Vec<_>>()
        ));
    }
    let written: Vec<String> = match mail.words {
        Some(words) => words
            .split_whitespace()
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned())
            .filter(|word| !word.is_empty())
            .collect(),
        None => verdict.written(),
    };
    let composed: Vec<String> = written.iter().map(|word| unicode_normalization::UnicodeNormalization::nfc(word.as_str()).collect()).collect();
    for body in ["plain", "html"] {
        let shown: Vec<String> =
            verdict.texts_of(body).iter().map(|word| unicode_normalization::UnicodeNormalization::nfc(word.as_str()).collect()).collect();
        let missing = judge::missing(&composed, &shown);
        if !missing.is_empty() {
            faults.push(format!("{body}: {} of {} words are missing: {:?}", missing.len(), written.len(), &missing[..missing.len().min(12)]));
        }
    }
    let mut notes: Vec<&Note> = converted.notes.iter().collect();
    for loss in &mail.losses {
        match notes.iter().position(|note| note.swedish.contains(key(loss))) {
            Some(at) => drop(notes.remove(at)),
            None => faults.push(format!("no note names {:?}", key(loss))),
        }
        if !is_real(loss, mail, &verdict.held(), &delivered) {
            faults.push(format!("nothing is lost of {:?}", key(loss)));
        }
    }
    // Looks that are gone are told too; nobody misses them.
    notes.retain(|note| note.loss == brevbro::mail::convert::Loss::Content);
    if !notes.is_empty() {
        faults.push(format!("notes without a loss: {:?}", notes.iter().map(|note| &*note.swedish).collect::<Vec<_>>()));
    }
    let mut equal = |what: &str, got: Option<&str>, wanted: Option<&str>| {
        if got != wanted {
            faults.push(format!("{what}: {got:?}, not {wanted:?}"));
        }
    };
    equal("subject", verdict.field("subject"), Some(&mail.label));
    equal("Message-ID", verdict.field("message_id"), Some(&format!("<{MESSAGE}@sdk.habo.se>")));
    let answered = mail.answers.as_ref().map(|id| format!("<{id}>"));
    equal("In-Reply-To", verdict.field("in_reply_to"), answered.as_deref());
    equal("conversation", verdict.field("conversation"), Some(if answered.is_some() { CONVERSATION } else { MESSAGE }));
    equal("Sensitivity", verdict.field("sensitivity"), mail.confidential.then_some("Company-Confidential"));
    if let Some(id) = &mail.answers {
        let references = verdict.field("references").unwrap_or_default();
        if !references.contains(id) || !references.contains(CONVERSATION) {
            faults.push(format!("References: {references}"));
        }
    }
    if verdict.texts_of("shape") != ["multipart/mixed", "multipart/alternative", "text/plain", "text/html"] {
        faults.push(format!("shape {:?}", verdict.texts_of("shape")));
    }
    if !verdict.texts_of("defects").is_empty() {
        faults.push(format!("defects {:?}", verdict.texts_of("defects")));
    }
    faults
}

#[test]
fn every_mail_of_the_corpus_comes_through_or_is_turned_away_in_words() {
    if !common::has("python3") {
        return;
    }
    let mails = crate::mails();
    assert!(mails.len() >= 200, "{}", mails.len());
    let (mut wrong, mut passed, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    let mut judged = common::judged::Judged::default();
    for mail in &mails {
        let bytes = mail.bytes();
        let result = outgoing(&bytes, &MailboxPolicy::default());
        let got = match &result {
            Err(error) => {
                let (subject, detail) = error.status();
                assert!(error.code() == 550 && !error.swedish().is_empty() && !error.english().is_empty());
                format!("refused 5.{subject}.{detail}")
            }
            Ok(converted) => converted.automatic.map_or_else(|| "passes".to_owned(), |field| format!("automatic {field}")),
        };
        let wanted = match mail.end {
            End::Passes => "passes".to_owned(),
            End::Refused(status) => format!("refused {status}"),
            End::Automatic(field) => format!("automatic {field}"),
        };
        if got != wanted {
            wrong.push(format!("{}: {got}, not {wanted}: {}", mail.name, result.err().map(|error| error.english()).unwrap_or_default()));
            continue;
        }
        let Some(converted) = result.ok().filter(|converted| converted.automatic.is_none()) else { continue };
        let (xml, delivered) = through(&converted);
        judged.add(mail.name, &xml);
        if let Some(folder) = std::env::var_os("BREVBRO_CORPUS") {
            let folder = std::path::PathBuf::from(folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (extension, octets) in [("eml", &bytes), ("xml", &xml), ("delivered.eml", &delivered)] {
                std::fs::write(folder.join(format!("{}.{extension}", mail.name)), octets).unwrap();
            }
        }
        pairs.push((bytes, Some(delivered)));
        passed.push((mail, converted));
    }
    for ((mail, converted), verdict) in passed.iter().zip(judge::judge(&pairs)) {
        let faults = faults(mail, converted, &verdict);
        if !faults.is_empty() {
            wrong.push(format!("{}: {}", mail.name, faults.join("; ")));
        }
    }
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for mail in &mails {
        let end = match mail.end {
            End::Passes => "pass",
            End::Refused(_) => "are refused",
            End::Automatic(_) => "are dropped as automatic",
        };
        *ends.entry(end).or_default() += 1;
    }
    println!("{} mails: {ends:?}", mails.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), mails.len(), wrong.join("\n"));
    judged.judge();
}
