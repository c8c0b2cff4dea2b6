//! What `brevbro demo` leaves is true: every file is judged by programs that are not ours, and so is the federation while
//! it runs.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

#[path = "demo/by_hand.rs"]
mod by_hand;
#[path = "demo/stay.rs"]
mod stay;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use brevbro::xml::{Canonicalization, Comments, Document, Element, Limits};
use common::{has, python, run, shared, temporary};
use serde_json::Value;

const BREVBRO: &str = env!("CARGO_BIN_EXE_brevbro");

/// What the demo left, and what it printed. It runs once for all tests.
struct Left {
    dir: PathBuf,
    printed: String,
}

fn left() -> &'static Left {
    static LEFT: OnceLock<Left> = OnceLock::new();
    LEFT.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo");
        let printed = run(Command::new(BREVBRO).args(["demo", "--small-keys", "--out"]).arg(&dir)).unwrap();
        Left { dir, printed: String::from_utf8(printed).unwrap() }
    })
}

impl Left {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Vec<Value> {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// A file of an issued key.
    fn issued(&self, name: &str) -> PathBuf {
        self.dir.join("keys/issued").join(name)
    }
}

/// The verdict of a published schema; true where there is none to ask.
fn assert_schema(xsd: &str, file: &Path) {
    let Some(xsd) = has("xmllint").then(|| shared(xsd)).flatten() else { return };
    run(Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).args([&xsd, file])).unwrap();
}

fn assert_schematron(rules: &str, file: &Path) {
    let (Some(python), Some(script), Some(rules)) = (python(), shared("tools/schematron.py"), shared(rules)) else { return };
    run(Command::new(python).arg(script).args([&rules, file])).unwrap();
}

fn canonical(file: &Path) -> Vec<u8> {
    run(Command::new("xmllint").args(["--nonet", "--c14n"]).arg(file)).unwrap()
}

/// The octets of the one element of a name.
fn element<'a>(xml: &'a [u8], local: &str) -> &'a [u8] {
    let document = Document::parse(xml, &Limits::of(10_000_000)).unwrap();
    let found: Vec<_> = document.elements().filter(|element| element.local() == local).map(|element| element.source()).collect();
    assert_eq!(found.len(), 1, "{local}");
    &xml[found[0].clone()]
}

/// A CA's certificates as two files: the root, and the one between when there is one.
fn root_and_between(left: &Left, authority: &str, dir: &tempfile::TempDir) -> (PathBuf, Option<PathBuf>) {
    let bundle = left.text(&format!("keys/trust/{authority}.pem"));
    let mut certificates: Vec<&str> = bundle.split_inclusive("-----END CERTIFICATE-----\n").collect();
    let root = temporary(dir, &format!("{authority}-root.pem"), certificates.pop().unwrap());
    (root, certificates.pop().map(|between| temporary(dir, &format!("{authority}-between.pem"), between)))
}

/// `xmlsec1 --verify` with nothing trusted but the testbed's CA.
fn xmlsec1_verify(left: &Left, authority: &str, file: &Path) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let (root, between) = root_and_between(left, authority, &dir);
    let mut command = Command::new("xmlsec1");
    command.args(["--verify", "--enabled-reference-uris", "empty", "--enabled-key-data", "x509", "--trusted-pem"]).arg(root);
    if let Some(between) = between {
        command.arg("--untrusted-pem").arg(between);
    }
    run(command.arg(file)).map(|_| ())
}

#[test]
fn the_demo_ends_well_and_tells_every_step() {
    let left = left();
    assert!(left.printed.contains("\n  ok   ") && !left.printed.contains("FEL"), "{}", left.printed);
    for words in ["mejlet mottaget", "mottagarens accesspunkt har kvitterat", "levererat som mejl", "besked skickat till avsändaren"] {
        assert_eq!(left.printed.matches(words).count(), 2, "{words}");
    }
    let listed: Vec<&str> =
        left.printed.split("Filerna ligger i").nth(1).unwrap().lines().skip(1).map(|line| line.split("  ").nth(1).unwrap()).collect();
    for name in listed.iter().flat_map(|names| names.split(", ")) {
        let path = left.path(name);
        assert!(path.is_dir() || fs::metadata(&path).unwrap().len() > 0, "{name}");
    }
    assert!(listed.len() >= 19, "{listed:?}");
}

#[test]
fn the_timeline_has_every_step_of_both_directions_in_order() {
    let lines = left().json("timeline.json");
    let (habo, af) = ("Håbo kommun", "Arbetsförmedlingen");
    let mut messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    messages.dedup();
    assert_eq!(messages.len(), 2, "one message after the other: {messages:?}");
    for (message, from, to) in [(messages[0], habo, af), (messages[1], af, habo)] {
        let steps: Vec<_> = lines.iter().filter(|line| line["message"] == message).collect();
        let of = |gateway: &str| -> Vec<&str> {
            steps.iter().filter(|line| line["gateway"] == gateway).map(|line| line["event"]["name"].as_str().unwrap()).collect()
        };
        let sender = ["mail-accepted", "addressed", "sealed", "submitted", "acknowledged", "received", "opened", "accepted", "notice-sent"];
        // The receipt may overtake the acknowledgement's journal line, as its message was durable before it was acknowledged.
        let (mut seen, mut expected) = (of(from), sender.to_vec());
        assert_eq!(seen[..4], expected[..4]);
        let inner = |steps: &[&str]| steps.iter().filter(|name| **name != "acknowledged").map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(inner(&seen), inner(&expected));
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected);
        let receiver = of(to);
        assert_eq!(receiver[..2], ["received", "taken"]);
        assert_eq!(
            receiver.iter().filter(|name| **name != "delivered").copied().collect::<Vec<_>>(),
            ["received", "taken", "sealed", "submitted", "receipt-sent"]
        );
        assert_eq!(receiver.iter().filter(|name| **name == "delivered").count(), 1);
        let ms: Vec<i64> = steps.iter().map(|line| line["ms"].as_i64().unwrap()).collect();
        assert!(ms.is_sorted(), "{ms:?}");
        let since: Vec<i64> = steps.iter().map(|line| line["since-last-ms"].as_i64().unwrap()).collect();
        // Both are cut to whole milliseconds.
        assert!(ms.windows(2).zip(&since[1..]).all(|(two, since)| (two[1] - two[0] - since).abs() <= 1), "{ms:?} {since:?}");
        for line in steps {
            assert!(line["event"]["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        }
    }
}

#[test]
fn the_published_schemas_and_rules_accept_the_messages_and_the_receipt() {
    let left = left();
    for name in ["message.xml", "answer-message.xml"] {
        assert_schema("sdk-docs/message/infrastructure_messaging_MessageWithAttachments_3.0.xsd", &left.path(name));
        assert_schematron("sdk-docs/message/MessageConstraints.xml", &left.path(name));
    }
    assert_schema("sdk-docs/receipt/schema/Response-2.1.xsd", &left.path("kvittens.xml"));
    assert_schematron("sdk-docs/receipt/rules/DIGG-AppRes-Business-Rules.scmt", &left.path("kvittens.xml"));
}

#[test]
fn the_answers_message_gives_the_reference_back() {
    let left = left();
    let (first, answer) = (left.text("message.xml"), left.text("answer-message.xml"));
    let id = |xml: &str, local: &str| String::from_utf8(element(xml.as_bytes(), local).to_vec()).unwrap();
    assert_eq!(id(&answer, "conversationId"), id(&first, "messageId").replace("messageId", "conversationId"));
    assert_eq!(id(&answer, "refToMessageId"), id(&first, "messageId").replace("messageId", "refToMessageId"));
    let (first, answer) = (id(&first, "sender"), id(&answer, "recipient"));
    assert!(first.contains("<extension>SN 2026/1047</extension>") && answer.contains("<extension>SN 2026/1047</extension>"));
}

#[test]
fn the_envelope_is_accepted_verified_and_decrypted_by_others() {
    let left = left();
    let envelope = left.path("envelope.xml");
    assert_schema("sdk-docs/xhe/schema/XHE-1.0.xsd", &envelope);
    assert_schematron("sdk-docs/xhe/rules/DIGG-XHE-Business-Rules.scmt", &envelope);
    if !has("xmlsec1") || !has("xmllint") {
        return;
    }
    xmlsec1_verify(left, "participant", &envelope).unwrap();
    xmlsec1_verify(left, "access-point", &envelope).unwrap_err();
    let dir = tempfile::tempdir().unwrap();
    let other = temporary(&dir, "other.xml", left.text("envelope.xml").replace("sdk:etablering", "sdk:etablerinq"));
    xmlsec1_verify(left, "participant", &other).unwrap_err();

    let decrypt = |participant: &str| {
        let key = left.issued(&format!("participant/0203_{participant}/identity.pem"));
        run(Command::new("xmlsec1").args(["--decrypt", "--privkey-pem"]).args([&key, &envelope]))
    };
    let clear = decrypt("arbetsformedlingen.se").unwrap();
    let message = temporary(&dir, "message.xml", element(&clear, "messagePayload"));
    assert_eq!(canonical(&message), canonical(&left.path("message.xml")));
    decrypt("habo.se").unwrap_err();
}

#[test]
fn the_smps_answers_are_valid_and_signed_below_its_ca() {
    let left = left();
    for name in ["servicegroup.xml", "smp.xml"] {
        assert_schema("as4-schemas/bdx-smp-201605.xsd", &left.path(name));
        assert!(left.text(name).contains("0203:arbetsformedlingen.se"));
    }
    if !has("xmlsec1") {
        return;
    }
    xmlsec1_verify(left, "smp", &left.path("smp.xml")).unwrap();
    xmlsec1_verify(left, "participant", &left.path("smp.xml")).unwrap_err();
    let dir = tempfile::tempdir().unwrap();
    let other = temporary(&dir, "other.xml", left.text("smp.xml").replace("https://127.0.0.1", "https://127.0.0.2"));
    xmlsec1_verify(left, "smp", &other).unwrap_err();
}

/// What Python makes of an exchange: the envelope that was inside.
fn envelope_of(left: &Left, name: &str, access_point: &str) -> Option<Vec<u8>> {
    let key = left.issued(&format!("access-point/{access_point}/identity.pem"));
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/judge.py");
    Some(run(Command::new(python()?).arg(judge).arg("as4").arg(&left.dir).arg(name).arg(key)).unwrap())
}

#[test]
fn the_recorded_as4_request_carries_the_envelope_and_its_receipt_repeats_what_was_signed() {
    let left = left();
    if let Some(envelope) = envelope_of(left, "as4", "AP0002-TESTBED") {
        assert_eq!(envelope, fs::read(left.path("envelope.xml")).unwrap(), "octet for octet");
    }
}

#[test]
fn the_message_receipt_is_the_one_that_was_sent_in_a_signed_envelope() {
    let left = left();
    let Some(envelope) = envelope_of(left, "kvittens", "AP0001-TESTBED") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = temporary(&dir, "envelope.xml", &envelope);
    assert_schema("sdk-docs/xhe/schema/XHE-1.0.xsd", &file);
    if !has("xmlsec1") || !has("xmllint") {
        return;
    }
    xmlsec1_verify(left, "participant", &file).unwrap();
    let inside = temporary(&dir, "kvittens.xml", element(&envelope, "ApplicationResponse"));
    assert_eq!(canonical(&inside), canonical(&left.path("kvittens.xml")));
}

#[test]
fn the_schemas_accept_the_soap_of_the_exchanges_and_xmlsec1_verifies_both_answers() {
    let left = left();
    let Some(schemas) = shared("as4-schemas") else { return };
    if !has("xmllint") || !has("xmlsec1") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, answering) in [("as4", "AP0002-TESTBED"), ("kvittens", "AP0001-TESTBED")] {
        for (half, receipts) in [("request", 0), ("response", 1)] {
            let recorded = fs::read(left.path(&format!("{name}-{half}.http"))).unwrap();
            let (start, end) = (find(&recorded, b"<S12:Envelope"), find(&recorded, b"</S12:Envelope>") + b"</S12:Envelope>".len());
            let soap = &recorded[start..end];
            let document = Document::parse(soap, &Limits::of(1 << 20)).unwrap();
            let judge = |schema: &str, element: Element<'_>| {
                let instance = temporary(&dir, "instance.xml", Canonicalization::exclusive().element(element, Comments::With, None).unwrap());
                run(Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(schemas.join(schema)).arg(instance)).unwrap();
            };
            let named = |local: &'static str| document.elements().filter(move |element| element.local() == local);
            judge("soap12.xsd", document.root());
            judge("ebms-header-3_0-200704.xsd", named("Messaging").next().unwrap());
            judge("xmldsig-core-schema.xsd", named("Signature").next().unwrap());
            let told: Vec<_> = named("NonRepudiationInformation").collect();
            assert_eq!(told.len(), receipts);
            for receipt in told {
                judge("ebbp-signals-2.0.4.xsd", receipt);
            }
            if receipts == 0 {
                continue;
            }
            let signal = temporary(&dir, "signal.xml", soap);
            let verify = |access_point: &str| {
                let mut xmlsec1 = Command::new("xmlsec1");
                xmlsec1.args(["--verify", "--id-attr:Id", "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/:Messaging"]);
                xmlsec1.args(["--id-attr:Id", "http://www.w3.org/2003/05/soap-envelope:Body", "--pubkey-cert-pem"]);
                run(xmlsec1.arg(left.issued(&format!("access-point/{access_point}/certificate.pem"))).arg(&signal))
            };
            verify(answering).unwrap();
            verify(if answering == "AP0001-TESTBED" { "AP0002-TESTBED" } else { "AP0001-TESTBED" }).unwrap_err();
        }
    }
}

fn find(octets: &[u8], wanted: &[u8]) -> usize {
    octets.windows(wanted.len()).position(|window| window == wanted).unwrap()
}

#[test]
fn python_reads_the_mails_and_finds_the_same_attachments_and_the_notices() {
    let (left, Some(python)) = (left(), python()) else { return };
    run(Command::new(python).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/judge.py")).arg("mail").arg(&left.dir)).unwrap();
}

#[test]
fn a_folder_with_other_files_is_refused_with_exit_code_1_and_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("keys")).unwrap();
    let precious = temporary(&dir, "keys/ca.pem", "precious");
    let output = Command::new(BREVBRO).args(["demo", "--small-keys", "--out"]).arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("holds files that no demo made") && error.contains("hint: name a folder with --out"), "{error}");
    assert_eq!(fs::read(precious).unwrap(), b"precious");
}
