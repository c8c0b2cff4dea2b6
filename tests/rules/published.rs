//! Every example and test file that Digg publishes, judged as its README says or for a reason that stands here.

use std::path::Path;

use base64::prelude::*;
use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::{self, EnvelopeError};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::receipt::{self, Outcome, ReceiptError};
use brevbro::sdk::seal::{self, OpenError};
use brevbro::xml::{Document, Limits};

use crate::common::shared;

/// What a file is, and what is said of it.
enum Expected {
    /// A message that is taken.
    Message,
    /// A message with these breaches: code, detail, place.
    Breaches(&'static [(&'static str, &'static str, &'static str)]),
    /// An envelope whose signature holds, from and to these participants.
    Sealed(&'static str, &'static str),
    /// As that, in base64 inside a request to an access point.
    Submitted(&'static str, &'static str),
    /// An envelope that keeps the profile; its signature does not hold.
    Reformatted(DocumentKind),
    /// Something else than an envelope, or one of another profile: the rules that it breaks.
    Profile(&'static [&'static str]),
    /// A receipt once its reference is a UUID: its code and the codes of its lines. As it stands only that is wrong.
    Receipt(&'static str, &'static [&'static str]),
}

use Expected::{Breaches, Message, Profile, Receipt, Reformatted, Sealed, Submitted};

const FILES: [(&str, Expected); 16] = [
    ("message/testdata/min.xml", Message),
    (
        "message/testdata/TF2.4.1.xml",
        Breaches(&[
            ("SV", "structure", "/messagePayload/message/messageHeader/creationDateTime"),
            ("BV", "invariant", "/messagePayload/message/messageHeader/conversationId"),
        ]),
    ),
    ("message/testdata/TF2.4.2.xml", Breaches(&[("BV", "invariant", "/messagePayload/message/messageHeader/sender/senderID/root")])),
    ("message/examples/messageWithAttachments3.xml", Message),
    // The request of an AS4 tool; what it carries was sealed by a message service.
    ("message/examples/as4_xhe_encrypted.xml", Submitted("0203:testb.testbed.inera.se", "0203:testa.testbed.inera.se")),
    // Pretty-printed after signing.
    ("message/examples/xhe_encrypted_payload.xml", Reformatted(DocumentKind::Message)),
    ("message/examples/xhe_unencrypted_payload.xml", Reformatted(DocumentKind::Message)),
    // A SOAP envelope, with the XHE as text inside.
    ("message/examples/xhe_unencrypted.xml", Profile(&["XSD"])),
    ("xhe/examples/XHE-tm-base-ext-sigenc.xml", Sealed("0203:myndighetA.org", "0203:myndighetB.org")),
    // The model without end-to-end security: another document type than SDK's, and a payload in clear.
    ("xhe/examples/XHE-tm-base.xml", Profile(&["C3.2.6"])),
    // EDIFACT in base64: not XML, and no process or document of SDK's.
    ("xhe/examples/XHE-NonXML-tm-base.xml", Profile(&["2.2", "XSD", "C3.2.6", "C3.2.6"])),
    ("receipt/examples/Kvittens_AP-Accepterat.xml", Receipt("ACCEPTED", &[])),
    ("receipt/examples/Kvittens_RE-AnnatFel.xml", Receipt("REJECTED", &["BV", "BV"])),
    ("receipt/examples/Kvittens_RE-SCHFel.xml", Receipt("REJECTED", &["BV", "BV"])),
    ("receipt/examples/Kvittens_RE-SIG.xml", Receipt("REJECTED", &["SIG"])),
    ("receipt/examples/Kvittens_RE-XSDFel.xml", Receipt("REJECTED", &["SV"])),
];

#[test]
fn every_published_file_is_judged_as_the_table_says() {
    let Some(root) = shared("sdk-docs") else { return };
    for folder in ["message/testdata", "message/examples", "xhe/examples", "receipt/examples"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(FILES.iter().any(|(file, _)| *file == name), "{name} is not in the table");
        }
    }
    for (file, expected) in &FILES {
        judge(&root, file, expected);
    }
}

fn judge(root: &Path, file: &str, expected: &Expected) {
    let xml = std::fs::read(root.join(file)).unwrap();
    let sealed = |xml: &[u8], from: &str, to: &str| {
        let opened = seal::verify(xml).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!((opened.header.from.as_str(), opened.header.to.as_str(), opened.header.encrypted), (from, to, true), "{file}");
    };
    match expected {
        Message => drop(message::read(&xml, &MessageLimits::default()).unwrap_or_else(|breaches| panic!("{file}: {breaches:?}"))),
        Breaches(expected) => {
            let found = message::read(&xml, &MessageLimits::default()).expect_err(file);
            let found: Vec<_> = found.iter().map(|b| (b.code.as_str(), b.detail.as_str().unwrap(), b.line.as_str())).collect();
            assert_eq!(found, *expected, "{file}");
        }
        Sealed(from, to) => sealed(&xml, from, to),
        Submitted(from, to) => {
            let document = Document::parse(&xml, &Limits::of(1_000_000)).unwrap();
            let value = document.elements().find(|e| e.local() == "value").unwrap().text();
            let value: Vec<u8> = value.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
            sealed(&BASE64_STANDARD.decode(value).unwrap(), from, to);
        }
        Reformatted(kind) => {
            assert_eq!(envelope::read(&xml).unwrap().kind, *kind, "{file}");
            assert!(matches!(seal::verify(&xml), Err(OpenError::Signature(_))), "{file}");
        }
        Profile(rules) => {
            let Err(EnvelopeError::Profile(found)) = envelope::read(&xml) else { panic!("{file}") };
            assert_eq!(found.iter().map(|violation| violation.rule.as_str()).collect::<Vec<_>>(), *rules, "{file}: {found:?}");
        }
        Receipt(code, codes) => {
            let Err(ReceiptError::Profile(found)) = receipt::read(&xml) else { panic!("{file}: a placeholder was taken for a UUID") };
            assert_eq!(found.iter().map(|violation| violation.rule.as_str()).collect::<Vec<_>>(), ["3.1"], "{file}");
            let xml = String::from_utf8(xml).unwrap().replace("ID-FROM-XHE-12354689", crate::made::ID);
            let outcome = receipt::read(xml.as_bytes()).unwrap_or_else(|error| panic!("{file}: {error}")).outcome;
            let (found, lines) = match outcome {
                Outcome::Accepted => ("ACCEPTED", Vec::new()),
                Outcome::Rejected(lines) => ("REJECTED", lines),
            };
            assert_eq!((found, lines.iter().map(|line| line.code.as_str()).collect::<Vec<_>>()), (*code, codes.to_vec()), "{file}");
        }
    }
}
