//! The message that benches measure the steps of, and keys for it.

use brevbro::as4::UserMessage;
use brevbro::content::{Content, Document, File, Party};
use brevbro::crypto::{Certificate, Identity, PrivateKey};
use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::Header;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

const ID: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";

/// A message with an attachment of this many octets.
pub(crate) fn content(size: usize) -> Content {
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

/// The header of its envelope.
pub(crate) fn header() -> Header {
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

/// The AS4 message that carries it.
pub(crate) fn user_message() -> UserMessage {
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

/// A key of so many bits, with a certificate that it signed itself.
pub(crate) fn identity(name: &str, bits: u32) -> Identity {
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
