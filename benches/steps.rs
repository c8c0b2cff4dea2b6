//! How long the steps of a message take, from a mail's size on: `make bench`. Keys as in the federation: access points 3072, participants 4096 bits.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails by panicking and prints what it measures")]

use std::io::Cursor;
use std::time::{Duration, Instant};

use brevbro::as4::receive::{self, Context, Options};
use brevbro::as4::{UserMessage, receipt, send};
use brevbro::content::{Content, Document, File, Party};
use brevbro::crypto::{Certificate, Identity, KeyReference, PrivateKey};
use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::Header;
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::seal;
use jiff::Timestamp;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

const ID: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";

fn main() {
    // `cargo test --all-targets` runs benches too, without this word: once, with little, to see that they work.
    let in_earnest = std::env::args().any(|argument| argument == "--bench");
    let (bits, sizes): (_, &[usize]) = if in_earnest { ((3072, 4096), &[20_000, 1_000_000, 20_000_000]) } else { ((2048, 2048), &[20_000]) };
    let keys = Keys {
        ours: identity("AP0001", bits.0),
        theirs: identity("AP0002", bits.0),
        sender: identity("s", bits.1),
        recipient: identity("r", bits.1),
    };
    for size in sizes {
        steps(*size, &keys, if in_earnest { Duration::from_secs(2) } else { Duration::ZERO });
    }
}

struct Keys {
    ours: Identity,
    theirs: Identity,
    sender: Identity,
    recipient: Identity,
}

/// Each step of one message with an attachment of this many octets, the output of one the input of the next.
fn steps(size: usize, keys: &Keys, span: Duration) {
    println!("attachment of {size} octets");
    let content = content(size);
    let payload = timed("convert: message written and checked", size, span, || message::write(&content).unwrap());
    let envelope =
        timed("seal: encrypted and signed", size, span, || seal::seal(&header(), &payload, Some(&keys.recipient.certificate), &keys.sender).unwrap());
    let package = || {
        let mut body = Vec::new();
        let sent = send::package(
            &user_message(),
            &mut &envelope[..],
            &keys.ours,
            &keys.theirs.certificate,
            Cursor::new(Vec::new()),
            &mut body,
            "=_boundary",
        )
        .unwrap();
        (body, sent)
    };
    let (body, sent) = timed("send: AS4 packaged", size, span, package);
    let theirs = [keys.theirs.clone()];
    let known = |_: &KeyReference| -> Option<Certificate> { None };
    let options = Options::default();
    let open = || {
        let with = Context { keys: &theirs, known: &known, options: &options, at: Timestamp::now() };
        let mut taken = Vec::new();
        let received = receive::open(&sent.content_type, &mut &body[..], &with, Cursor::new(Vec::new()), &mut taken).unwrap();
        (received, taken)
    };
    let (received, taken) = timed("receive: AS4 opened", size, span, open);
    assert_eq!(taken, envelope);
    timed("receive: receipt signed", 0, span, || receipt::write(&received, &received.header.message_id, Timestamp::now(), &keys.theirs).unwrap());
    let verified = timed("open: signature verified", size, span, || seal::verify(&taken).unwrap());
    let own = [keys.recipient.clone()];
    let opened = timed("open: decrypted", size, span, || verified.payload(&own).unwrap());
    timed("check: message read and judged", size, span, || message::read(&opened, &MessageLimits::default()).unwrap());
}

/// Repeats for about `span`, prints the mean, returns the last result.
fn timed<T>(name: &str, octets: usize, span: Duration, mut step: impl FnMut() -> T) -> T {
    let start = Instant::now();
    let mut rounds = 1_u32;
    let mut result = step();
    while start.elapsed() < span {
        result = step();
        rounds += 1;
    }
    let mean = start.elapsed() / rounds;
    #[expect(clippy::cast_precision_loss, reason = "sizes of files are exact")]
    let rate = octets as f64 / 1e6 / mean.as_secs_f64();
    println!("  {name:<40}{:>12.3} ms{}", mean.as_secs_f64() * 1e3, if octets < 1_000_000 { String::new() } else { format!("{rate:>9.0} MB/s") });
    result
}

fn content(size: usize) -> Content {
    let party = |participant: &str, function: &str| Party {
        participant: participant.parse().unwrap(),
        label: Some("Kommunen".to_owned().into()),
        function: Some(function.parse().unwrap()),
        function_label: Some("Funktionen".to_owned().into()),
        persons: vec![],
        references: vec![],
    };
    // No two octets in a row alike: as a compressed file is.
    let body: Vec<u8> = (0_u32..).take(size).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = File { name: "bilaga.pdf".to_owned().into(), media_type: "application/pdf".into(), body: body.into() };
    Content {
        created: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        message_id: ID.parse().unwrap(),
        conversation_id: ID.parse().unwrap(),
        in_reply_to: None,
        label: Some("Ärende".to_owned().into()),
        confidential: true,
        generating_system: None,
        recipient: party("0203:mottagare.se", "m"),
        sender: party("0203:avsandare.se", "a"),
        documents: vec![Document { id: "1".into(), name: None, index: Some("1".into()), files: vec![file], texts: vec!["Hej".to_owned().into()] }],
        foreign: vec![],
    }
}

fn header() -> Header {
    Header {
        id: ID.parse().unwrap(),
        created: "2026-01-02T03:04:06.000Z".parse().unwrap(),
        kind: DocumentKind::Message,
        federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
        from: "0203:avsandare.se".parse().unwrap(),
        to: "0203:mottagare.se".parse().unwrap(),
        service: Some("m".parse().unwrap()),
        encrypted: true,
    }
}

fn user_message() -> UserMessage {
    UserMessage {
        message_id: "1f4c@ap.avsandare.se".parse().unwrap(),
        timestamp: "2026-01-02T03:04:06.000Z".parse().unwrap(),
        ref_to: None,
        from: "AP0001".parse().unwrap(),
        to: "AP0002".parse().unwrap(),
        conversation_id: ID.into(),
        kind: DocumentKind::Message,
        original_sender: "0203:avsandare.se".parse().unwrap(),
        final_recipient: "0203:mottagare.se".parse().unwrap(),
    }
}

fn identity(name: &str, bits: u32) -> Identity {
    let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    Identity::new(PrivateKey::new(key).unwrap(), Certificate::try_from(builder.build()).unwrap(), vec![]).unwrap()
}
