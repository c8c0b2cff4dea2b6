//! What we write, judged by the published schemas and by xmlsec1.

use std::process::Command;

use brevbro::as4::{Code, EbmsError, error};
use brevbro::xml::{Canonicalization, Comments, Document, Element, Limits};
use jiff::Timestamp;

use crate::common::{has, run, shared};
use crate::exchange::{opened, packaged, receipt_for, receiver, sender, signal_id};
use crate::foreign::{C14n, EXC, Foreign};

/// The SOAP part of a package.
fn soap(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let start = text.find("<?xml").unwrap();
    let end = text.find("</S12:Envelope>").unwrap() + "</S12:Envelope>".len();
    text[start..end].as_bytes().to_vec()
}

fn signals() -> Vec<(&'static str, Vec<u8>)> {
    let (body, sent) = packaged(b"<XHE/>");
    let (received, _) = opened(&body, &sent).unwrap();
    let errors = [EbmsError::not_serviced(), EbmsError::new(Code::FailedAuthentication, "The signature does not verify")];
    let error = error::write(&errors, Some(&sent.message_id), &signal_id(), Timestamp::now(), receiver()).unwrap();
    let lone = error::write(&errors[1..], None, &signal_id(), Timestamp::now(), receiver()).unwrap();
    vec![("message", soap(&body)), ("receipt", receipt_for(&received)), ("error", error), ("error without reference", lone)]
}

#[test]
fn the_published_schemas_take_what_we_write() {
    let Some(schemas) = shared("as4-schemas") else { return };
    if !has("xmllint") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let judge = |what: &str, schema: &str, element: Element<'_>| {
        let path = dir.path().join("instance.xml");
        std::fs::write(&path, Canonicalization::exclusive().element(element, Comments::With, None).unwrap()).unwrap();
        let mut xmllint = Command::new("xmllint");
        xmllint.args(["--noout", "--nonet", "--schema"]).arg(schemas.join(schema)).arg(&path);
        run(&mut xmllint).unwrap_or_else(|error| panic!("{what}: {error}"));
    };
    let mut receipts = 0;
    for (what, envelope) in signals() {
        let document = Document::parse(&envelope, &Limits::of(1 << 20)).unwrap();
        judge(what, "soap12.xsd", document.root());
        let named = |local: &'static str| document.elements().filter(move |e| e.local() == local);
        judge(what, "ebms-header-3_0-200704.xsd", named("Messaging").next().unwrap());
        judge(what, "xmldsig-core-schema.xsd", named("Signature").next().unwrap());
        for receipt in named("NonRepudiationInformation") {
            judge(what, "ebbp-signals-2.0.4.xsd", receipt);
            receipts += 1;
        }
    }
    assert_eq!(receipts, 1);
}

#[test]
fn xmlsec1_verifies_our_signals() {
    if !has("xmlsec1") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (instance, own, other) = (dir.path().join("signal.xml"), dir.path().join("own.pem"), dir.path().join("other.pem"));
    std::fs::write(&own, receiver().certificate.to_pem()).unwrap();
    std::fs::write(&other, sender().certificate.to_pem()).unwrap();
    let verify = |certificate: &std::path::Path| {
        let mut xmlsec1 = Command::new("xmlsec1");
        xmlsec1.args(["--verify", "--id-attr:Id", "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/:Messaging"]);
        xmlsec1.args(["--id-attr:Id", "http://www.w3.org/2003/05/soap-envelope:Body", "--pubkey-cert-pem"]).arg(certificate).arg(&instance);
        run(&mut xmlsec1)
    };
    for (what, envelope) in signals().into_iter().skip(1) {
        std::fs::write(&instance, &envelope).unwrap();
        verify(&own).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(verify(&other).is_err(), "{what}");
        std::fs::write(&instance, String::from_utf8(envelope).unwrap().replacen("<eb:Timestamp>20", "<eb:Timestamp>21", 1)).unwrap();
        assert!(verify(&own).is_err(), "{what}");
    }
}

/// The foreign writer of these tests is right about canonical forms, or what it makes us take proves little.
#[test]
fn xmlsec1_verifies_what_the_foreign_writer_signs() {
    if !has("xmlsec1") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (instance, own) = (dir.path().join("message.xml"), dir.path().join("own.pem"));
    std::fs::write(&own, sender().certificate.to_pem()).unwrap();
    let verify = |text: &str| {
        std::fs::write(&instance, text).unwrap();
        let mut xmlsec1 = Command::new("xmlsec1");
        xmlsec1.args(["--verify", "--id-attr:Id", "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/:Messaging"]);
        xmlsec1.args(["--id-attr:Id", "http://www.w3.org/2003/05/soap-envelope:Body", "--pubkey-cert-pem"]).arg(&own).arg(&instance);
        run(&mut xmlsec1)
    };
    let lists = [None, Some(""), Some("env"), Some("#default env wsse"), Some("nowhere"), Some("unused eb3")];
    let inclusive = ["http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "http://www.w3.org/2006/12/xml-c14n11"].map(|name| C14n(name, None));
    for form in lists.into_iter().map(|list| C14n(EXC, list)).chain(inclusive) {
        for (signed_info, transform) in [(form, C14n(EXC, None)), (C14n(EXC, None), form)] {
            let foreign = Foreign { parts: Vec::new(), signed_info, transform, line_break: "&#xd;\n", ..Foreign::new() };
            let (_, body) = foreign.edit("<eb3:UserMessage>", "<eb3:UserMessage><!-- c -->\r\n").written();
            let text = String::from_utf8(body).unwrap();
            let soap = &text[text.find("<?xml").unwrap()..text.find("</env:Envelope>").unwrap() + 15];
            verify(soap).unwrap_or_else(|error| panic!("{signed_info:?} {transform:?}: {error}"));
            assert!(verify(&soap.replace("0203:habo.se", "0203:evil.se")).is_err());
        }
    }
}
