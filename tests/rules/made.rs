//! Sound documents that rules are tried on.

use std::sync::OnceLock;

use brevbro::content::{Content, Document, File, Identifier, Party, Person, Reference};
use brevbro::crypto::Identity;
use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::Header;
use brevbro::sdk::receipt::{self, Outcome, Receipt};
use brevbro::sdk::rules::Breach;
use brevbro::sdk::{message, seal};

use crate::common::pki::Ca;

pub(crate) const ID: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";

fn party(participant: &str, function: &str) -> Party {
    Party {
        participant: participant.parse().unwrap(),
        label: Some("Kommunen Kanariefagel".to_owned().into()),
        function: Some(function.parse().unwrap()),
        function_label: Some("Funktionen Kanariefagel".to_owned().into()),
        persons: vec![
            Person { id: None, label: Some("Kanariefagel Svensson".to_owned().into()) },
            Person { id: Some(Identifier { root: "1.2.752.29.6.2.1".into(), extension: "SE232-x".to_owned().into() }), label: None },
        ],
        references: vec![Reference {
            id: Identifier { root: "dnr".into(), extension: "Kanariefagel 2026/123".to_owned().into() },
            label: Some("Diarienummer".to_owned().into()),
        }],
    }
}

/// A message that has everything.
pub(crate) fn content() -> Content {
    Content {
        created: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        message_id: ID.parse().unwrap(),
        conversation_id: ID.parse().unwrap(),
        in_reply_to: Some("0f2b5b0a-67e7-4a43-9b0f-0d8b2a0c1d2e".parse().unwrap()),
        label: Some("Kanariefagel".to_owned().into()),
        confidential: true,
        generating_system: Some(Identifier { root: "un-encoded".into(), extension: "brevbro".to_owned().into() }),
        recipient: party("0203:mottagare.se", "inkorg"),
        sender: party("0203:avsandare.se", "avdelningen"),
        documents: vec![
            Document {
                id: "1".into(),
                name: Some("Brev Kanariefagel".to_owned().into()),
                index: Some("2".into()),
                files: vec![],
                texts: vec!["# Hej Kanariefagel".to_owned().into(), "igen".to_owned().into()],
            },
            Document {
                id: "2".into(),
                name: None,
                index: Some("1".into()),
                files: vec![
                    File { name: "kanariefagel.pdf".to_owned().into(), media_type: "application/pdf".into(), body: vec![0, 1, 2, 255].into() },
                    File { name: "b.txt".to_owned().into(), media_type: "text/plain".into(), body: vec![b'x'; 100].into() },
                ],
                texts: vec![],
            },
        ],
        foreign: vec![],
    }
}

pub(crate) fn header(kind: DocumentKind) -> Header {
    Header {
        id: ID.parse().unwrap(),
        created: "2026-01-02T03:04:06.000Z".parse().unwrap(),
        kind,
        federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
        from: "0203:avsandare.se".parse().unwrap(),
        to: "0203:mottagare.se".parse().unwrap(),
        service: Some("inkorg".parse().unwrap()),
        encrypted: kind == DocumentKind::Message,
    }
}

pub(crate) fn receipt(outcome: Outcome) -> Receipt {
    Receipt {
        id: "0f2b5b0a-67e7-4a43-9b0f-0d8b2a0c1d2e".into(),
        issued: "2026-01-02T03:04:07.089Z".parse().unwrap(),
        sender: "0203:mottagare.se".parse().unwrap(),
        receiver: "0203:avsandare.se".parse().unwrap(),
        refers_to: ID.parse().unwrap(),
        outcome,
    }
}

/// A rejection of three lines.
pub(crate) fn rejected() -> Outcome {
    Outcome::Rejected(vec![
        Breach::unknown_function(),
        Breach::structure("/messagePayload/message", "The element is repeated."),
        Breach::signature("The signature does not hold."),
    ])
}

pub(crate) fn identities() -> &'static (Identity, Identity) {
    static MADE: OnceLock<(Identity, Identity)> = OnceLock::new();
    MADE.get_or_init(|| {
        let ca = Ca::new("Test CA");
        (ca.issue("avsandare"), ca.issue("mottagare"))
    })
}

pub(crate) fn message_xml() -> String {
    String::from_utf8(message::write(&content()).unwrap()).unwrap()
}

pub(crate) fn receipt_xml(outcome: Outcome) -> String {
    String::from_utf8(receipt::write(&receipt(outcome)).unwrap()).unwrap()
}

/// A sealed envelope of a kind.
pub(crate) fn envelope(kind: DocumentKind) -> String {
    let (sender, recipient) = identities();
    let sealed = match kind {
        DocumentKind::Message => seal::seal(&header(kind), message_xml().as_bytes(), Some(&recipient.certificate), sender),
        DocumentKind::Receipt => seal::seal(&header(kind), receipt_xml(Outcome::Accepted).as_bytes(), None, sender),
    };
    String::from_utf8(sealed.unwrap()).unwrap()
}

/// An envelope without its signature.
pub(crate) fn unsigned(envelope: &str) -> String {
    let (from, to) = (envelope.find("<ds:Signature ").unwrap(), envelope.find("</ds:Signature>").unwrap() + "</ds:Signature>".len());
    format!("{}{}", &envelope[..from], &envelope[to..])
}
