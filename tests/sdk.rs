//! The forms of SDK, judged by others: xmllint with the published schemas, the published Schematron rules, xmlsec1,
//! and the published examples of real message services.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use brevbro::content::{Content, Document, File, Identifier, Party, Person, Reference};
use brevbro::crypto::{Identity, XmlSecError};
use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::{self, EnvelopeError, Header};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::receipt::{self, Outcome, Receipt};
use brevbro::sdk::rules::{self, Breach, Detail, ReasonCode};
use brevbro::sdk::seal::{self, OpenError};
use brevbro::xml;
use common::{has, python, run, shared};

const MESSAGE_XSD: &str = "sdk-docs/message/infrastructure_messaging_MessageWithAttachments_3.0.xsd";
const MESSAGE_RULES: &str = "sdk-docs/message/MessageConstraints.xml";
const XHE_XSD: &str = "sdk-docs/xhe/schema/XHE-1.0.xsd";
const XHE_RULES: &str = "sdk-docs/xhe/rules/DIGG-XHE-Business-Rules.scmt";
const RECEIPT_XSD: &str = "sdk-docs/receipt/schema/Response-2.1.xsd";
const RECEIPT_RULES: &str = "sdk-docs/receipt/rules/DIGG-AppRes-Business-Rules.scmt";
const ID: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";

fn party(participant: &str, function: &str) -> Party {
    Party {
        participant: participant.parse().unwrap(),
        label: Some("Håbo kommun".to_owned().into()),
        function: Some(function.parse().unwrap()),
        function_label: Some("Socialtjänsten & <vård>".to_owned().into()),
        persons: vec![
            Person { id: None, label: Some("Karin \"Kajsa\" Svensson".to_owned().into()) },
            Person { id: Some(Identifier { root: "1.2.752.29.6.2.1".into(), extension: "SE232-x".to_owned().into() }), label: None },
        ],
        references: vec![Reference {
            id: Identifier { root: "dnr".into(), extension: "KS 2026/123".to_owned().into() },
            label: Some("Diarienummer".to_owned().into()),
        }],
    }
}

fn content() -> Content {
    Content {
        created: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        message_id: ID.parse().unwrap(),
        conversation_id: ID.parse().unwrap(),
        in_reply_to: Some("0f2b5b0a-67e7-4a43-9b0f-0d8b2a0c1d2e".parse().unwrap()),
        label: Some("Sekretess: ärende ]]> & <b>".to_owned().into()),
        confidential: true,
        generating_system: Some(Identifier { root: "un-encoded".into(), extension: "brevbro".to_owned().into() }),
        recipient: party("0203:mottagare.se", "sdk:inkorg01:0203:mottagare.se"),
        sender: party("0203:avsandare.se", "sdk:inkorg02:0203:avsandare.se"),
        documents: vec![
            Document {
                id: "1".into(),
                name: Some("Brev".to_owned().into()),
                index: Some("1".into()),
                files: vec![],
                texts: vec!["# Hej\r\n\r\n*å* 🙂  \nrad".to_owned().into()],
            },
            Document {
                id: "2".into(),
                name: None,
                index: Some("2".into()),
                files: vec![
                    File { name: "å.pdf".to_owned().into(), media_type: "application/pdf".into(), body: vec![0, 1, 2, 255].into() },
                    File { name: "b.txt".to_owned().into(), media_type: "text/plain".into(), body: vec![b'x'; 100].into() },
                ],
                texts: vec![],
            },
        ],
        foreign: vec![],
    }
}

fn header(kind: DocumentKind) -> Header {
    let message = kind == DocumentKind::Message;
    Header {
        id: ID.parse().unwrap(),
        created: "2026-01-02T03:04:06.000Z".parse().unwrap(),
        kind,
        federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
        from: "0203:avsandare.se".parse().unwrap(),
        to: "0203:mottagare.se".parse().unwrap(),
        service: Some("sdk:inkorg01:0203:mottagare.se".parse().unwrap()),
        encrypted: message,
    }
}

fn identities() -> (Identity, Identity) {
    let ca = common::pki::Ca::new("Test CA");
    (ca.issue("avsandare"), ca.issue("mottagare"))
}

/// Writes `xml` into a folder that vanishes, and gives its path to `judge`.
fn with_file<T>(name: &str, xml: &[u8], judge: impl FnOnce(&Path) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, xml).unwrap();
    judge(&path)
}

/// The verdict of a published schema; `None` where there is none to ask.
fn schema(xsd: &str, xml: &[u8]) -> Option<Result<(), String>> {
    let xsd = has("xmllint").then(|| shared(xsd)).flatten()?;
    Some(with_file("document.xml", xml, |path| run(Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).args([&xsd, path])).map(|_| ())))
}

/// The verdict of published Schematron rules.
fn schematron(rules: &str, xml: &[u8]) -> Option<Result<(), String>> {
    let (python, script, rules) = (python()?, shared("tools/schematron.py")?, shared(rules)?);
    Some(with_file("document.xml", xml, |path| run(Command::new(&python).arg(&script).args([&rules, path])).map(|_| ())))
}

fn assert_judged(xsd: &str, rules: &str, xml: &[u8]) {
    if let Some(verdict) = schema(xsd, xml) {
        verdict.unwrap();
    }
    if let Some(verdict) = schematron(rules, xml) {
        verdict.unwrap();
    }
}

fn canonical(xml: &[u8]) -> Vec<u8> {
    with_file("document.xml", xml, |path| run(Command::new("xmllint").args(["--nonet", "--c14n"]).arg(path))).unwrap()
}

fn vector(path: &str) -> Option<Vec<u8>> {
    Some(fs::read(shared(&format!("sdk-docs/{path}"))?).unwrap())
}

fn breach(xml: &str) -> Vec<Breach> {
    message::read(xml.as_bytes(), &MessageLimits::default()).expect_err("a breach")
}

// ---------------------------------------------------------------------------------------------------- the message

#[test]
fn a_written_message_passes_the_published_judges_and_reads_back_the_same() {
    let xml = message::write(&content()).unwrap();
    assert_eq!(message::read(&xml, &MessageLimits::default()).unwrap(), content());
    assert_judged(MESSAGE_XSD, MESSAGE_RULES, &xml);
}

#[test]
fn published_messages_read_back_the_same_when_written_again() {
    for path in ["message/testdata/min.xml", "message/examples/messageWithAttachments3.xml"] {
        let Some(xml) = vector(path) else { return };
        let read = message::read(&xml, &MessageLimits::default()).unwrap();
        let again = message::write(&read).unwrap();
        assert_eq!(message::read(&again, &MessageLimits::default()).unwrap(), read);
    }
}

/// One thing changed in a valid message: what, into what, and the breach, if it is one.
type Mutant<'a> = (&'a str, &'a str, Option<(ReasonCode, Detail)>);

const SV: Option<(ReasonCode, Detail)> = Some((ReasonCode::Sv, Detail::Structure));
const BV: Option<(ReasonCode, Detail)> = Some((ReasonCode::Bv, Detail::Invariant));

/// Where the published judges are the law: schema and Schematron agree with us on every one.
const JUDGED: [Mutant<'_>; 34] = [
    ("<confidentiality>true", "<confidentiality> 1 ", None),
    ("<confidentiality>true", "<confidentiality>ja", SV),
    ("<confidentiality>true</confidentiality>", "", SV),
    ("05.678Z", "05Z", BV),
    ("05.678Z", "05.678", BV),
    ("05.678Z", "05.678+01:00", BV),
    ("05.678Z", "05.6785Z", BV),
    ("05.678Z", "05.6Z", None),
    ("2026-01-02T03", "2026-13-02T03", SV),
    ("</messageHeader>", "<f:x xmlns:f=\"urn:f\">y</f:x></messageHeader>", None),
    ("</attention></recipient>", "</attention><f:x xmlns:f=\"urn:f\"/></recipient>", BV),
    ("<messageId>", "<f:x xmlns:f=\"urn:f\">y</f:x><messageId>", SV),
    ("</messageHeader>", "<x xmlns=\"\">y</x></messageHeader>", SV),
    ("</messageHeader>", "<x>y</x></messageHeader>", SV),
    ("</message></messagePayload>", "</message><message/></messagePayload>", SV),
    ("<message>", "<message a=\"b\">", SV),
    ("<message>", "<message>text", SV),
    ("<message>", "<!-- c --><message><?p i?>", None),
    ("<messageBody>", "<messageBody xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"a b\">", None),
    ("<root>iso6523-actorid-upis</root>", "<root>iso6523-actorid</root>", BV),
    ("<root>urn:riv:infrastructure:messaging:functionalAddress</root>", "<root>urn:riv</root>", BV),
    ("<label>Håbo kommun</label>", "<label> </label>", BV),
    ("<label>Håbo kommun</label>", "<label>\u{a0}</label>", None),
    ("<label>Håbo kommun</label>", "<label><b>Håbo</b></label>", SV),
    ("<label>Håbo kommun</label>", "<label>a</label><label>b</label>", SV),
    ("<refToMessageId>0f2b5b0a-", "<refToMessageId>urn:0f2b5b0a-", BV),
    ("<refToMessageId>0f2b5b0a-67e7-", "<refToMessageId>0F2B5B0A-67e7-", None),
    ("<personId><root>1.2.752.29.6.2.1</root><extension>SE232-x</extension></personId>", "", BV),
    ("<extension>SE232-x</extension>", "", SV),
    ("<extension>SE232-x</extension>", "<extension>SE232-x</extension><f:x xmlns:f=\"urn:f\">y</f:x>", SV),
    ("<documentID>1</documentID>", "", SV),
    ("<fileName>b.txt</fileName>", "", SV),
    ("<fileName>b.txt</fileName><contentType>text/plain</contentType>", "<contentType>text/plain</contentType><fileName>b.txt</fileName>", SV),
    ("<content>AAEC/w==</content>", "<content>AAEC\n/w== </content>", None),
];

/// Where the text says more than the published judges, or something else.
const PROSE: [Mutant<'_>; 6] = [
    ("<content>AAEC/w==</content>", "<content>\n AAEC/w==</content>", None),
    ("<content>AAEC/w==</content>", "<content>AAEC/w*=</content>", BV),
    ("<content>AAEC/w==</content>", "<content>AAEC/w</content>", BV),
    ("<extension>0203:mottagare.se</extension>", "<extension>mottagare</extension>", BV),
    ("<ContentText><characterSequence># Hej&#xD;\n&#xD;\n*å* 🙂  \nrad</characterSequence></ContentText>", "", BV),
    (
        "<subOrganization><organizationId><root>urn:riv:infrastructure:messaging:functionalAddress</root><extension>sdk:inkorg01",
        "<subOrganization><organizationId><root>urn:riv:infrastructure:messaging:functionalAddress</root><extension> \u{1f4a9}\u{85}",
        BV,
    ),
];

fn mutate((from, to, _): &Mutant<'_>) -> String {
    let xml = String::from_utf8(message::write(&content()).unwrap()).unwrap();
    assert!(xml.contains(from), "{from}");
    xml.replacen(from, to, 1)
}

fn check(mutant: &Mutant<'_>) {
    let read = message::read(mutate(mutant).as_bytes(), &MessageLimits::default());
    match (&mutant.2, read) {
        (None, read) => assert!(read.is_ok(), "{}: {read:?}", mutant.1),
        (Some(expected), Err(found)) => assert!(found.iter().any(|b| (b.code, b.detail) == *expected), "{}: {found:?}", mutant.1),
        (Some(_), Ok(_)) => panic!("accepted: {}", mutant.1),
    }
}

#[test]
fn schema_and_rules_are_read_as_the_published_judges_read_them() {
    for mutant in &JUDGED {
        check(mutant);
        let xml = mutate(mutant);
        let (Some(schema), Some(rules)) = (schema(MESSAGE_XSD, xml.as_bytes()), schematron(MESSAGE_RULES, xml.as_bytes())) else { continue };
        let expected = mutant.2.map(|(code, _)| code);
        assert_eq!(schema.is_err(), expected == Some(ReasonCode::Sv), "{}: {schema:?}", mutant.1);
        if expected != Some(ReasonCode::Sv) {
            assert_eq!(rules.is_err(), expected == Some(ReasonCode::Bv), "{}: {rules:?}", mutant.1);
        }
    }
}

#[test]
fn rules_that_only_the_text_has_hold_too() {
    PROSE.iter().for_each(check);
}

#[test]
fn labels_and_references_hold_256_characters_and_no_more() {
    let cases = [
        ("<label>Sekretess: ärende ]]&gt; &amp; &lt;b&gt;</label>", "label", Some((ReasonCode::Bv, Detail::Structure))),
        ("<label>Håbo kommun</label>", "label", SV),
        ("<label>Socialtjänsten &amp; &lt;vård&gt;</label>", "label", SV),
        ("<label>Karin \"Kajsa\" Svensson</label>", "label", SV),
        ("<label>Diarienummer</label>", "label", SV),
        ("<extension>KS 2026/123</extension>", "extension", BV),
    ];
    for (from, name, breach) in cases {
        check(&(from, &format!("<{name}>{}</{name}>", "å".repeat(256)), None));
        check(&(from, &format!("<{name}>{}</{name}>", "å".repeat(257)), breach));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..proptest::test_runner::Config::with_cases(200) })]
    #[test]
    fn whatever_text_is_written_reads_back(label in "[\\PC\r\n\t]{1,40}", text in "[\\PC\r\n\t]{1,80}", body in proptest::collection::vec(proptest::num::u8::ANY, 1..200)) {
        let mut content = content();
        content.label = Some(label.into());
        content.documents[0].texts = vec![text.into()];
        content.documents[1].files[0].body = body.into();
        match message::write(&content) {
            Ok(xml) => assert_eq!(message::read(&xml, &MessageLimits::default()).unwrap(), content),
            Err(found) => assert!(found.iter().all(|b| b.reason.contains("empty")), "{found:?}"),
        }
    }
}

#[test]
fn all_breaches_are_told_and_none_echoes_what_a_person_wrote() {
    let mut content = content();
    content.label = Some("HEMLIG ".repeat(60).into());
    content.recipient.label = Some("HEMLIG ".repeat(60).into());
    content.documents[1].files[0].body = Vec::new().into();
    content.documents[0].texts = vec!["   ".to_owned().into()];
    content.sender.function = None;
    let found = message::write(&content).unwrap_err();
    let lines: Vec<_> = found.iter().map(|b| b.line.as_str()).collect();
    for line in [
        "/messagePayload/message/messageHeader/sender/attention",
        "/messagePayload/message/messageHeader/label",
        "/messagePayload/message/messageHeader/recipient/label",
        "/messagePayload/message/messageBody/documents[1]/ContentText",
        "/messagePayload/message/messageBody/documents[2]/ContentFiles[1]/content",
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
    assert!(found.iter().all(|b| !b.reason.contains("HEMLIG") && !b.line.contains("HEMLIG")));
}

#[test]
fn what_others_add_in_their_own_namespaces_is_named_and_left_out() {
    let xml = mutate(&("</messageHeader>", "<f:x xmlns:f=\"urn:f\">y</f:x></messageHeader>", None));
    let read = message::read(xml.as_bytes(), &MessageLimits::default()).unwrap();
    assert_eq!(read.foreign, ["{urn:f}x"]);
}

#[test]
fn a_missing_subject_and_a_missing_sender_attention_are_accepted_but_not_written() {
    let mut content = content();
    let xml = String::from_utf8(message::write(&content).unwrap()).unwrap();
    let start = xml.find("<sender>").unwrap();
    let (from, to) = (start + xml[start..].find("<attention>").unwrap(), start + xml[start..].find("</sender>").unwrap());
    let without = format!("{}{}", &xml[..from], &xml[to..]);
    let without = without.replace("<label>Sekretess: ärende ]]&gt; &amp; &lt;b&gt;</label>", "");
    let read = message::read(without.as_bytes(), &MessageLimits::default()).unwrap();
    assert_eq!((read.label, read.sender.function), (None, None));
    content.label = None;
    content.sender.function = None;
    assert_eq!(message::write(&content).unwrap_err().len(), 2);
}

#[test]
fn a_message_over_the_limit_is_too_long_both_ways() {
    let mut content = content();
    content.documents[1].files[0].body = vec![b'x'; 22_500_000].into();
    let found = message::write(&content).unwrap_err();
    assert_eq!(found, [Breach::too_long(30_000_000)]);
    let large = message::write_within(&content, &MessageLimits::RECEIVING).unwrap();
    assert!(message::read(&large, &MessageLimits::default()).is_ok());
    let found = message::read(&large, &MessageLimits { payload: 1_000_000 }).unwrap_err();
    assert_eq!(found.iter().map(|b| b.detail).collect::<Vec<_>>(), [Detail::TooLong]);
}

#[test]
fn a_flood_of_breaches_is_cut_at_a_hundred() {
    let xml = mutate(&("<message>", "<message>", None)).replace("<messageBody>", &format!("<messageBody>{}", "<x/>".repeat(50_000)));
    assert_eq!(breach(&xml).len(), 100);
}

#[test]
fn a_file_name_comes_without_path_and_control_characters() {
    let mutant = ("<fileName>b.txt</fileName>", "<fileName>..\\/etc/\t../pass\nwd</fileName>", None);
    let read = message::read(mutate(&mutant).as_bytes(), &MessageLimits::default()).unwrap();
    assert_eq!(read.documents[1].files[1].name.as_str(), "passwd");
}

// --------------------------------------------------------------------------------------------- envelope and seal

fn sealed_message() -> (Vec<u8>, Vec<u8>, Identity, Identity) {
    let (sender, recipient) = identities();
    let payload = message::write(&content()).unwrap();
    let xml = seal::seal(&header(DocumentKind::Message), &payload, Some(&recipient.certificate), &sender).unwrap();
    (xml, payload, sender, recipient)
}

fn sealed_receipt() -> (String, Identity) {
    let (sender, _) = identities();
    let payload = receipt::write(&accepted()).unwrap();
    let xml = seal::seal(&header(DocumentKind::Receipt), &payload, None, &sender).unwrap();
    (String::from_utf8(xml).unwrap(), sender)
}

#[test]
fn a_sealed_message_opens_again() {
    let (xml, _, sender, recipient) = sealed_message();
    let opened = seal::verify(&xml).unwrap();
    assert_eq!(opened.header, header(DocumentKind::Message));
    assert_eq!(opened.signer, sender.certificate);
    let payload = opened.payload(std::slice::from_ref(&recipient)).unwrap();
    assert_eq!(message::read(&payload, &MessageLimits::default()).unwrap(), content());
    assert_eq!(opened.payload(&[sender]).unwrap_err(), OpenError::Undecryptable);
}

#[test]
fn a_sealed_envelope_passes_the_published_judges() {
    let (xml, ..) = sealed_message();
    assert_judged(XHE_XSD, XHE_RULES, &xml);
    assert_judged(XHE_XSD, XHE_RULES, sealed_receipt().0.as_bytes());
}

#[test]
fn xmlsec1_verifies_and_decrypts_what_is_sealed_here() {
    if !has("xmlsec1") || !has("xmllint") {
        return;
    }
    let (xml, payload, sender, recipient) = sealed_message();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, octets).unwrap();
        path
    };
    let envelope = file("envelope.xml", &xml);
    let certificate = file("sender.pem", sender.certificate.to_pem().as_bytes());
    run(Command::new("xmlsec1").args(["--verify", "--enabled-reference-uris", "empty", "--pubkey-cert-pem"]).args([&certificate, &envelope]))
        .unwrap();
    let wrong = file("wrong.xml", &String::from_utf8(xml).unwrap().replace("sdk:inkorg01", "sdk:inkorg99").into_bytes());
    run(Command::new("xmlsec1").args(["--verify", "--pubkey-cert-pem"]).args([&certificate, &wrong])).unwrap_err();
    let key = file("recipient.pem", common::pki::pem(&recipient).as_bytes());
    let decrypted = run(Command::new("xmlsec1").args(["--decrypt", "--privkey-pem"]).args([&key, &envelope])).unwrap();
    let document = xml::Document::parse(&decrypted, &xml::Limits::of(10_000_000)).unwrap();
    let element = document.elements().find(|e| e.is(message::NAMESPACE, "messagePayload")).unwrap();
    assert_eq!(canonical(&decrypted[element.source()]), canonical(&payload));
}

#[test]
fn what_xmlsec1_seals_opens_here() {
    if !has("xmlsec1") {
        return;
    }
    let (sender, recipient) = identities();
    let payload = message::write(&content()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    let payload = payload.split_once("?>\n").unwrap().1;
    // The message's namespace is declared on the root of the envelope only, and xmlsec1 encrypts just the element's octets.
    let prefixed = payload.replace("<messagePayload xmlns=\"urn:riv:infrastructure:messaging:MessageWithAttachments:3\"", "<m:messagePayload");
    let prefixed = prefixed.replace("</", "</m:").replace('<', "<m:").replace("<m:/m:", "</m:").replace("<m:m:", "<m:");
    let (envelope, _) = sealed_receipt();
    let start = envelope.find("<ApplicationResponse").unwrap();
    let end = envelope.find("</ApplicationResponse>").unwrap() + "</ApplicationResponse>".len();
    let signature = envelope.find("<ds:Signature ").unwrap();
    let template = |indicator: &str, kind: DocumentKind, signature: &str| {
        format!("{}{prefixed}{}{signature}</x:XHE>", &envelope[..start], &envelope[end..envelope.find("<ds:Signature ").unwrap()])
            .replace("<x:XHE ", &format!("<x:XHE xmlns:m=\"{}\" ", message::NAMESPACE))
            .replace(DocumentKind::Receipt.document_id(), kind.document_id())
            .replace(DocumentKind::Receipt.type_code(), kind.type_code())
            .replace(">false</xhb:Inst", &format!(">{indicator}</xhb:Inst"))
    };
    let empty = &envelope[signature..envelope.rfind("</x:XHE>").unwrap()];
    let cut = |text: &str, tag: &str| {
        let (from, to) = (text.find(&format!("<ds:{tag}>")).unwrap() + tag.len() + 5, text.find(&format!("</ds:{tag}>")).unwrap());
        format!("{}{}", &text[..from], &text[to..])
    };
    let empty = cut(&cut(&cut(empty, "DigestValue"), "SignatureValue"), "X509Certificate").replace("<ds:X509Certificate></ds:X509Certificate>", "");
    let clear = template("true", DocumentKind::Message, &empty);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, octets).unwrap();
        path
    };
    let encryption = r#"<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><EncryptedKey xmlns="http://www.w3.org/2001/04/xmlenc#"><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><CipherData><CipherValue/></CipherData></EncryptedKey></KeyInfo><CipherData><CipherValue/></CipherData></EncryptedData>"#;
    let (clear, encryption) = (file("clear.xml", clear.as_bytes()), file("encryption.xml", encryption.as_bytes()));
    let recipient_pem = file("recipient.pem", recipient.certificate.to_pem().as_bytes());
    let encrypted = dir.path().join("encrypted.xml");
    run(Command::new("xmlsec1")
        .args(["--encrypt", "--session-key", "aes-256", "--pubkey-cert-pem"])
        .arg(&recipient_pem)
        .arg("--xml-data")
        .arg(&clear)
        .args(["--node-xpath", "//*[local-name()='messagePayload']", "--output"])
        .args([&encrypted, &encryption]))
    .unwrap();
    let (key, certificate) = (file("key.pem", common::pki::pem(&sender).as_bytes()), file("sender.pem", sender.certificate.to_pem().as_bytes()));
    let pair = format!("{},{}", key.display(), certificate.display());
    let signed = run(Command::new("xmlsec1").args(["--sign", "--privkey-pem", &pair]).arg(&encrypted)).unwrap();
    let opened = seal::verify(&signed).unwrap();
    assert_eq!(opened.signer, sender.certificate);
    let payload = opened.payload(&[recipient]).unwrap();
    assert_eq!(message::read(&payload, &MessageLimits::default()).unwrap(), content());
}

#[test]
fn a_tampered_envelope_or_payload_fails() {
    let (xml, ..) = sealed_message();
    let xml = String::from_utf8(xml).unwrap();
    let at = xml.rfind("<xenc:CipherValue>").unwrap() + 1000;
    let flipped = if xml.as_bytes()[at] == b'A' { "B" } else { "A" };
    let payload = format!("{}{flipped}{}", &xml[..at], &xml[at + 1..]);
    for tampered in [payload, xml.replace("0203:avsandare.se", "0203:annan.se"), xml.replace("sdk:inkorg01", "sdk:inkorg02")] {
        assert_ne!(tampered, xml);
        assert_eq!(seal::verify(tampered.as_bytes()).unwrap_err(), OpenError::Signature(XmlSecError::Mismatch));
    }
}

fn signature_of(xml: &str) -> (usize, usize) {
    (xml.find("<ds:Signature ").unwrap(), xml.find("</ds:Signature>").unwrap() + "</ds:Signature>".len())
}

#[test]
fn an_unsigned_envelope_is_told_apart() {
    let (xml, _) = sealed_receipt();
    let (from, to) = signature_of(&xml);
    let unsigned = format!("{}{}", &xml[..from], &xml[to..]);
    assert_eq!(seal::verify(unsigned.as_bytes()).unwrap_err(), OpenError::NotSignedOnce(XmlSecError::NoSignature));
    envelope::read(unsigned.as_bytes()).unwrap();
}

#[test]
fn a_moved_signature_is_refused() {
    let (xml, _) = sealed_receipt();
    let (from, to) = signature_of(&xml);
    let moved = format!("{}{}", &xml[..from], &xml[to..]).replace("</ApplicationResponse>", &format!("{}</ApplicationResponse>", &xml[from..to]));
    assert_eq!(seal::verify(moved.as_bytes()).unwrap_err(), OpenError::NotSignedOnce(XmlSecError::Misplaced));
}

#[test]
fn a_second_signature_is_refused() {
    let (xml, _) = sealed_receipt();
    let (from, to) = signature_of(&xml);
    let twice = format!("{}{}", &xml[..to], &xml[from..]);
    assert_eq!(seal::verify(twice.as_bytes()).unwrap_err(), OpenError::NotSignedOnce(XmlSecError::ManySignatures(2)));
}

#[test]
fn a_document_type_declaration_is_refused() {
    let (xml, _) = sealed_receipt();
    let dtd = xml.replace("<x:XHE ", "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x:XHE ");
    assert_eq!(seal::verify(dtd.as_bytes()).unwrap_err(), OpenError::Envelope(EnvelopeError::Xml(xml::XmlError::Dtd)));
}

#[test]
fn a_sha_1_signature_is_refused() {
    let (xml, _) = sealed_receipt();
    let refused = |from: &str, to: &str| seal::verify(xml.replace(from, to).as_bytes()).unwrap_err();
    let method = refused("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#rsa-sha1");
    assert_eq!(method, OpenError::Signature(XmlSecError::Refused("signature method")));
    let digest = refused("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1");
    assert_eq!(digest, OpenError::Signature(XmlSecError::Refused("digest method")));
}

#[test]
fn a_reference_to_anything_but_the_whole_document_is_refused_and_not_fetched() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let http = format!("http://{}/x", listener.local_addr().unwrap());
    let (xml, _) = sealed_receipt();
    for uri in [http.as_str(), "file:///etc/hostname", "#xpointer(/)", "#x"] {
        let error = seal::verify(xml.replace("URI=\"\"", &format!("URI=\"{uri}\"")).as_bytes()).unwrap_err();
        assert_eq!(error, OpenError::Signature(XmlSecError::Refused("reference to something else than the whole document")), "{uri}");
    }
    assert!(listener.accept().is_err());
}

#[test]
fn a_message_in_clear_is_told_apart_from_one_that_cannot_be_decrypted() {
    let (sender, recipient) = identities();
    let payload = message::write(&content()).unwrap();
    let message = header(DocumentKind::Message);
    assert_eq!(seal::seal(&message, &payload, None, &sender).unwrap_err(), seal::SealError::Encryption);
    let (xml, _) = sealed_receipt();
    let (from, to) = signature_of(&xml);
    let clear = format!("{}{}", &xml[..from], &xml[to..]).replace(DocumentKind::Receipt.document_id(), DocumentKind::Message.document_id());
    let clear = brevbro::crypto::sign_enveloped(clear.as_bytes(), &sender).unwrap();
    assert_eq!(seal::verify(&clear).unwrap().payload(&[recipient]).unwrap_err(), OpenError::NotEncrypted);
}

#[test]
fn what_decrypts_to_no_xml_looks_like_what_does_not_decrypt() {
    let (sender, recipient) = identities();
    let (xml, ..) = sealed_message();
    let xml = String::from_utf8(xml).unwrap();
    let (from, to) = (xml.find("<xenc:EncryptedData").unwrap(), xml.find("</xenc:EncryptedData>").unwrap() + "</xenc:EncryptedData>".len());
    let (signature, end) = signature_of(&xml);
    let data = brevbro::crypto::encrypt_element(b"no xml at all", &recipient.certificate).unwrap();
    let forged = format!("{}{data}{}{}", &xml[..from], &xml[to..signature], &xml[end..]);
    let forged = brevbro::crypto::sign_enveloped(forged.as_bytes(), &sender).unwrap();
    assert_eq!(seal::verify(&forged).unwrap().payload(&[recipient]).unwrap_err(), OpenError::Undecryptable);
}

#[test]
fn a_message_of_thirty_megabytes_is_sealed_and_opened() {
    let (sender, recipient) = identities();
    let mut content = content();
    content.documents[1].files[0].body = (0..22_490_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>().into();
    let payload = message::write(&content).unwrap();
    assert!(payload.len() > 29_900_000);
    let xml = seal::seal(&header(DocumentKind::Message), &payload, Some(&recipient.certificate), &sender).unwrap();
    let opened = seal::verify(&xml).unwrap().payload(&[recipient]).unwrap();
    assert!(payload.ends_with(&opened));
}

// ----------------------------------------------------------------------------------------------------- the receipt

fn accepted() -> Receipt {
    Receipt {
        id: "0f2b5b0a-67e7-4a43-9b0f-0d8b2a0c1d2e".into(),
        issued: "2026-01-02T03:04:07.089Z".parse().unwrap(),
        sender: "0203:mottagare.se".parse().unwrap(),
        receiver: "0203:avsandare.se".parse().unwrap(),
        refers_to: ID.parse().unwrap(),
        outcome: Outcome::Accepted,
    }
}

fn rejected() -> Receipt {
    let breaches = vec![
        Breach::structure("/messagePayload/message[1]/x", "å <&> \"'"),
        Breach::invariant(rules::NO_LINE, "b"),
        Breach::signature("c"),
        Breach::too_long(42),
        Breach::duplicate(),
        Breach::unknown_function(),
        Breach::file_type(1, 2),
        Breach::malware(2, 1),
        Breach::address("/a", "d"),
        Breach::new(ReasonCode::Bv, Detail::Other, "/a", "e"),
    ];
    Receipt { outcome: Outcome::Rejected(breaches), ..accepted() }
}

#[test]
fn written_receipts_pass_the_published_judges_and_read_back_the_same() {
    for receipt in [accepted(), rejected()] {
        let xml = receipt::write(&receipt).unwrap();
        assert_eq!(receipt::read(&xml).unwrap(), receipt);
        assert_judged(RECEIPT_XSD, RECEIPT_RULES, &xml);
    }
}

#[test]
fn codes_are_read_in_any_case_and_unknown_ones_are_kept_in_the_reason() {
    let xml = String::from_utf8(receipt::write(&rejected()).unwrap()).unwrap();
    let xml =
        xml.replace(">REJECTED<", ">Rejected<").replace(">SIG<", ">sig<").replace(">duplicate<", ">Multiple-Matches<").replace(">not-found<", ">R7<");
    let Outcome::Rejected(breaches) = receipt::read(xml.as_bytes()).unwrap().outcome else { panic!() };
    assert_eq!(breaches[2].code, ReasonCode::Sig);
    assert_eq!(breaches[4].detail, Detail::Duplicate);
    assert_eq!(breaches[5].detail, Detail::Other);
    assert!(breaches[5].reason.starts_with("[R7] "));
}

#[test]
fn a_rejection_without_a_reason_is_not_written() {
    let nothing = Receipt { outcome: Outcome::Rejected(vec![]), ..accepted() };
    let error = receipt::write(&nothing).unwrap_err();
    assert!(error.to_string().contains("R8-APP"), "{error}");
}

#[test]
fn a_sealed_receipt_opens_without_any_key() {
    let (xml, sender) = sealed_receipt();
    let opened = seal::verify(xml.as_bytes()).unwrap();
    assert_eq!(opened.signer, sender.certificate);
    assert_eq!(receipt::read(&opened.payload(&[]).unwrap()).unwrap(), accepted());
}

/// Signs a document whose namespace name has no canonical form, in a process of its own when asked by the test below.
#[test]
fn the_libraries_below_print_nothing_of_a_document() {
    const CHILD: &str = "BREVBRO_TEST_PRINTS_NOTHING";
    const NAME: &str = "the_libraries_below_print_nothing_of_a_document";
    if std::env::var_os(CHILD).is_some() {
        let (signer, _) = identities();
        for href in ["hemligt", "hemligt%zz", "http://[hemligt"] {
            let xml = format!("<a xmlns:x=\"{href}\"><x:b/></a>");
            let _ = brevbro::crypto::sign_enveloped(xml.as_bytes(), &signer);
        }
        return;
    }
    let own = std::env::current_exe().unwrap();
    let output = std::process::Command::new(own).args(["--exact", NAME, "--nocapture"]).env(CHILD, "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
