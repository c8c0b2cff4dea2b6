//! Every form that we write is what its schema says, whatever stands in it.

use std::io::Cursor;

use brevbro::as4::receive::{Context, Options};
use brevbro::as4::{self, Code, EbmsError, Severity, UserMessage};
use brevbro::content::Content;
use brevbro::ident::{AccessPointId, As4MessageId, DocumentKind};
use brevbro::sdk::envelope::Header;
use brevbro::sdk::receipt::{self, Outcome, Receipt};
use brevbro::sdk::rules::{Breach, Detail, ReasonCode};
use brevbro::sdk::{message, seal};
use brevbro::smp::{CertificateUse, Endpoint, Process, Published, ServiceGroup, ServiceMetadata};
use jiff::Timestamp;

use crate::common::judged::Judged;
use crate::judge::{self, Form, Judge};
use crate::made;
use crate::tree::Numbers;

/// Texts that people, peers and address books may hold: markup, other alphabets, what XML cannot carry, much of it.
fn text(numbers: &mut Numbers) -> String {
    let pieces = [
        "a", "å", "🙂", "<b>", "&amp;", "]]>", "\"'", "\u{0}", "\u{fffe}", "\t", "\r\n", " ", "\u{a0}", "e\u{301}", "{urn:x}y", "<!-- -->",
        "\u{202e}",
    ];
    (0..=numbers.below(8)).map(|_| numbers.one(&pieces)).collect::<String>() + "x"
}

/// A text of one line without control characters, as ids have it.
fn word(numbers: &mut Numbers) -> String {
    let pieces = ["a", "å", "<", "&", "\"", "-", ":", "🙂", "0", "/", "#", "%"];
    (0..=numbers.below(12)).map(|_| numbers.one(&pieces)).collect::<String>() + "1"
}

fn at(numbers: &mut Numbers) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(numbers.below(4_000_000_000_000)).unwrap()).unwrap()
}

fn content(numbers: &mut Numbers) -> Content {
    let mut content = made::content();
    content.created = at(numbers);
    content.label = Some(text(numbers).into());
    content.confidential = numbers.below(2) == 0;
    for party in [&mut content.recipient, &mut content.sender] {
        party.function = Some(word(numbers).parse().unwrap());
        party.label = (numbers.below(2) == 0).then(|| text(numbers).into());
        party.references[0].id.extension = text(numbers).into();
        party.persons.truncate(numbers.below(3));
    }
    content.documents[0].texts = (0..=numbers.below(3)).map(|_| text(numbers).into()).collect();
    content.documents[1].files[0].name = text(numbers).into();
    content.documents[1].files[0].media_type = word(numbers);
    content.documents[1].files[0].body = (0..=numbers.below(50)).map(|_| numbers.below(256) as u8).collect::<Vec<u8>>().into();
    content
}

fn outcome(numbers: &mut Numbers) -> Outcome {
    let codes = [ReasonCode::Sv, ReasonCode::Bv, ReasonCode::Sig];
    let details = [
        Detail::Structure,
        Detail::Invariant,
        Detail::Forbidden,
        Detail::TooLong,
        Detail::Duplicate,
        Detail::NotSupported,
        Detail::NotFound,
        Detail::Security,
        Detail::Other,
    ];
    let line = |numbers: &mut Numbers| Breach::new(codes[numbers.below(3)], details[numbers.below(9)], text(numbers), text(numbers));
    match numbers.below(3) {
        0 => Outcome::Accepted,
        _ => Outcome::Rejected((0..=numbers.below(4)).map(|_| line(numbers)).collect()),
    }
}

fn receipt_of(numbers: &mut Numbers) -> Receipt {
    let id = format!("r{}", numbers.below(1_000_000));
    Receipt { id, issued: at(numbers), ..made::receipt(outcome(numbers)) }
}

fn user_message(numbers: &mut Numbers, kind: DocumentKind) -> UserMessage {
    let ids = ["a@b", "1f4c<&>\"'@ap.kommun.se", "åäö🙂@x", "uuid:7bc5576a-3f87-4cf5-a0c5-277da06fcacb"];
    UserMessage {
        message_id: As4MessageId::new(numbers.one(&ids)).unwrap(),
        timestamp: at(numbers),
        ref_to: (numbers.below(2) == 0).then(|| As4MessageId::new(numbers.one(&ids)).unwrap()),
        from: AccessPointId::new(word(numbers)).unwrap(),
        to: AccessPointId::new(word(numbers)).unwrap(),
        conversation_id: word(numbers),
        kind,
        original_sender: "0203:avsandare.se".parse().unwrap(),
        final_recipient: "0203:håbo.se".parse().unwrap(),
    }
}

/// AS4: user messages of both kinds, their receipts, and the receipt for an ebMS test.
fn as4_messages(judged: &mut Judged) {
    let (sender, recipient) = made::identities();
    for number in 0..24 {
        let mut numbers = Numbers::new(number);
        let kind = DocumentKind::ALL[number as usize % 2];
        let user = user_message(&mut numbers, kind);
        let (mut body, scratch) = (Vec::new(), Cursor::new(Vec::new()));
        let sent = as4::send::package(&user, &mut &b"<XHE/>"[..], sender, &recipient.certificate, scratch, &mut body, "=_granstreck").unwrap();
        judged.add_package("user message", &body);
        let keys = [recipient.clone()];
        let options = Options::default();
        let context = Context { keys: &keys, known: &|_| None, options: &options, at: user.timestamp };
        let mut xhe = Vec::new();
        let received = as4::receive::open(&sent.content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut xhe).unwrap();
        let id = As4MessageId::new("r@ap.b.se").unwrap();
        judged.add("receipt", &as4::receipt::write(&received, &id, at(&mut numbers), recipient).unwrap());
    }
}

/// AS4: an error of each code and severity, alone and together, with and without the message in error, described and not.
fn as4_errors(judged: &mut Judged) {
    let (signer, _) = made::identities();
    let (id, in_error) = (As4MessageId::new("e@ap.b.se").unwrap(), As4MessageId::new("<&>\"'@b").unwrap());
    let mut add = |what: &str, errors: &[EbmsError], ref_to: Option<&As4MessageId>| {
        judged.add(what, &as4::error::write(errors, ref_to, &id, Timestamp::now(), signer).unwrap());
    };
    let mut all = vec![EbmsError::not_serviced()];
    let mut numbers = Numbers::new(7);
    for code in Code::ALL {
        for severity in [Severity::Failure, Severity::Warning] {
            let error = EbmsError { severity, ..EbmsError::new(code, text(&mut numbers)) };
            add(code.text(), std::slice::from_ref(&error), Some(&in_error));
            add(code.text(), &[EbmsError { description: String::new(), detail: text(&mut numbers).into(), ..error.clone() }], None);
            all.push(error);
        }
    }
    add("all at once", &all, Some(&in_error));
}

/// SMP: what the testbed publishes.
fn smp_answers(judged: &mut Judged) {
    let (own, smp) = made::identities();
    for number in 0..8 {
        let mut numbers = Numbers::new(100 + number);
        let participant: brevbro::ident::ParticipantId = numbers.one(&["0203:kommun.se", "0007:2021006883", "0203:håbo.se"]).parse().unwrap();
        let endpoint = |numbers: &mut Numbers| Endpoint {
            url: format!("https://ap.example.se/{}", numbers.below(99)),
            transport_profile: "digg-transport-as4-v1_0".into(),
            certificate: own.certificate.clone(),
            activation: (numbers.below(2) == 0).then(|| at(numbers)),
            expiration: (numbers.below(2) == 0).then(|| at(numbers)),
        };
        let endpoints: Vec<_> = (0..=numbers.below(3)).map(|_| endpoint(&mut numbers)).collect();
        let published = [CertificateUse::Signing, CertificateUse::Encryption].map(|usage| Published { usage, certificate: own.certificate.clone() });
        for kind in DocumentKind::ALL {
            let metadata = ServiceMetadata {
                participant: participant.clone(),
                document_id: kind.document_id().to_owned(),
                processes: vec![Process::of_sdk(endpoints.clone())],
                published: published[..numbers.below(3)].to_vec(),
            };
            judged.add("metadata", &metadata.sign(smp).unwrap());
        }
        let document_ids = DocumentKind::ALL.iter().take(numbers.below(3)).map(|kind| kind.document_id().to_owned()).collect();
        judged.add("service group", ServiceGroup { participant, document_ids }.write("https://smp.example.se/a?b=<&>").as_bytes());
    }
}

/// SDK: messages, receipts and envelopes; messages and receipts are kept for the Schematron rules too.
fn sdk_forms(judged: &mut Judged) -> [Vec<Vec<u8>>; 3] {
    let (sender, recipient) = made::identities();
    let (mut messages, mut receipts, mut envelopes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..150 {
        let mut numbers = Numbers::new(1_000 + number);
        let content = content(&mut numbers);
        let xml = message::write(&content).unwrap_or_else(|breaches| panic!("{number}: {breaches:?}"));
        let receipt_xml = receipt::write(&receipt_of(&mut numbers)).unwrap();
        judged.add("message", &xml);
        judged.add("message receipt", &receipt_xml);
        if number < 30 {
            for (kind, payload) in [(DocumentKind::Message, &xml), (DocumentKind::Receipt, &receipt_xml)] {
                let header = Header {
                    created: at(&mut numbers),
                    service: (numbers.below(3) > 0).then(|| word(&mut numbers).parse().unwrap()),
                    ..made::header(kind)
                };
                let sealed = seal::seal(&header, payload, header.encrypted.then_some(&recipient.certificate), sender).unwrap();
                judged.add("envelope", &sealed);
                envelopes.push(sealed);
            }
        }
        messages.push(xml);
        receipts.push(receipt_xml);
    }
    [messages, envelopes, receipts]
}

#[test]
fn everything_that_we_write_is_valid() {
    let mut judged = Judged::default();
    as4_messages(&mut judged);
    as4_errors(&mut judged);
    smp_answers(&mut judged);
    let forms = sdk_forms(&mut judged);
    let counts = judged.judge();
    println!("{counts:#?}");
    assert!(counts.is_empty() || counts.len() == 8, "{counts:?}: a form is missing");
    let published: [&Form; 3] = [&judge::MESSAGE, &judge::XHE, &judge::RECEIPT];
    for (form, documents) in published.into_iter().zip(forms) {
        let Some(mut judge) = Judge::of(form) else { return };
        for (document, judgement) in documents.iter().zip(judge.judge(&documents)) {
            assert!(judgement.valid(), "{judgement:?}\n{}", String::from_utf8_lossy(document));
        }
    }
}
