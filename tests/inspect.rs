//! `brevbro as4 inspect` says what other programs' messages and our own hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::Cursor;
use std::path::Path;

use brevbro::as4::receive::{Context, Options, open};
use brevbro::as4::{EbmsError, Received, UserMessage, error, receipt, send};
use brevbro::cli::CliError;
use brevbro::cli::as4::{Keys, Report, Subject, explain};
use brevbro::crypto::Identity;
use brevbro::ident::{AccessPointId, As4MessageId, DocumentKind};
use brevbro::sdk::{envelope, seal};
use common::parties::user_message;
use common::pki::Ca;
use common::shared;
use jiff::Timestamp;

const SECRET: &str = "hemligt";

/// The report on a capture.
fn report(file: &[u8], content_type: Option<&str>, keys: &Keys, at: Timestamp) -> Result<Report, CliError> {
    explain(Subject { file, content_type, request: None }, keys, at).map(|explained| explained.report)
}

/// The report on a vector with both parties' keys, or with none.
fn vector(dir: &Path, file: &str, with_keys: bool) -> String {
    let own = if with_keys {
        ["APA.pem", "APB.pem"].map(|name| Identity::from_pem(&std::fs::read(dir.join(name)).unwrap(), None).unwrap()).to_vec()
    } else {
        Vec::new()
    };
    report(&std::fs::read(dir.join(file)).unwrap(), None, &Keys { own, known: Vec::new() }, Timestamp::now()).unwrap().text()
}

/// That the report has each of these lines; their white space counts as one.
fn says(report: &str, lines: &[&str]) {
    let compact: Vec<String> = report.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in lines {
        assert!(compact.iter().any(|own| own.contains(line)), "no {line:?} in\n{report}");
    }
}

#[test]
fn messages_of_other_programs_are_explained() {
    let Some(dir) = shared("as4-vectors") else { return };
    let both = vector(&dir, "as4-encrypted-signed-issuerserial.as4", true);
    says(
        &both,
        &[
            "message id b545c3a0-e57f-46aa-862f-381eb4b70097@CLT-SMOREELS.mshome.net",
            "verdict verifies",
            "algorithm rsa-sha384",
            "signer by issuer",
            "CN=AccessPointA",
            "algorithm aes128-gcm",
            "key transport rsa-oaep-mgf1p",
            "oaep digest sha256, mask sha1",
            "private key given:",
            "payload 296454 octets",
            "payload 206 octets",
            "security BROKEN: EBMS:0103",
            "P-Mode Service and its type: BROKEN: EBMS:0010",
            "P-Mode one payload, XML, gzip: BROKEN",
        ],
    );
    assert_eq!(both.matches("matches").count(), both.matches("reference ").count(), "{both}");
    // Without keys it still says who and what, and what is missing.
    let none = vector(&dir, "as4-encrypted-signed-issuerserial.as4", false);
    says(&none, &["signer not known; --cert gives its certificate", "private key NOT GIVEN", "payload not looked into: the private key"]);

    says(
        &vector(&dir, "signed_holodeck_message.as4", true),
        &["verdict verifies", "signer by subject key identifier", "encrypted no", "payload 296454 octets"],
    );
    says(&vector(&dir, "as4-encrypted-compressed-message.as4", true), &["verdict not signed", "key transport rsa-oaep", "private key NOT GIVEN"]);
    says(&vector(&dir, "as4-soap-signed-message.txt", true), &["verdict verifies"]);
}

#[test]
fn what_is_wrong_with_a_message_is_said() {
    let Some(dir) = shared("as4-vectors") else { return };
    says(&vector(&dir, "as4-soap-wrong-signed-message.txt", true), &["verdict DOES NOT VERIFY: EBMS:0101"]);
    says(&vector(&dir, "as4-soap-untrusted-signed-message.txt", true), &["verdict DOES NOT VERIFY: EBMS:0101"]);
    says(&vector(&dir, "as4-soap-wrong-encrypted-message", true), &["payload CANNOT BE READ: EBMS:0102"]);
    says(&vector(&dir, "as4message_incorect_compressed.txt", true), &["CANNOT BE READ: EBMS:0303"]);
    says(&vector(&dir, "as4message_missing_mime_property.txt", true), &["security BROKEN"]);
    says(&vector(&dir, "receiveagent_message_nonexist_attachment.as4", true), &["user message", "security BROKEN"]);
}

#[test]
fn a_receipt_is_explained() {
    let Some(dir) = shared("as4-vectors") else { return };
    let receipt = vector(&dir, "governikus.as4in", false);
    says(
        &receipt,
        &["signal message", "refers to 6b52b4c0-de6a-46b8-8286-27bac7d1a463@phase4", "receipt for 3 references", "received cid:", "verdict verifies"],
    );
    says(&vector(&dir, "receipt_with_invalid_signature.as4", true), &["signal message", "verdict DOES NOT VERIFY"]);
}

struct Made {
    keys: Keys,
    sender: Identity,
    request: Vec<u8>,
    receipt: Vec<u8>,
    received: Received,
    sealed: Vec<u8>,
}

/// A request as it is captured on the wire, with a sealed message inside, and its receipt.
fn made() -> &'static Made {
    static MADE: std::sync::OnceLock<Made> = std::sync::OnceLock::new();
    MADE.get_or_init(make)
}

fn make() -> Made {
    let ca = Ca::new("CA");
    let [sender, receiver, from, to] = ["AP0001-TESTBED", "AP0002-TESTBED", "habo.se", "arbetsformedlingen.se"].map(|name| ca.issue(name));
    let header = envelope::Header {
        id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap(),
        created: "2026-01-02T03:04:06.000Z".parse().unwrap(),
        kind: DocumentKind::Message,
        federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
        from: "0203:habo.se".parse().unwrap(),
        to: "0203:arbetsformedlingen.se".parse().unwrap(),
        service: Some("sdk:inkorg01:0203:arbetsformedlingen.se".parse().unwrap()),
        encrypted: true,
    };
    let sealed = seal::seal(&header, format!("<m>{SECRET}</m>").as_bytes(), Some(&to.certificate), &from).unwrap();
    let message = UserMessage {
        from: AccessPointId::new("AP0001-TESTBED").unwrap(),
        to: AccessPointId::new("AP0002-TESTBED").unwrap(),
        conversation_id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".into(),
        ..user_message()
    };
    let mut body = Vec::new();
    let sent = send::package(&message, &mut &sealed[..], &sender, &receiver.certificate, Cursor::new(Vec::new()), &mut body, "=_b").unwrap();
    let options = Options::default();
    let context = Context { keys: std::slice::from_ref(&receiver), known: &|_| None, options: &options, at: Timestamp::now() };
    let received = open(&sent.content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut std::io::sink()).unwrap();
    let receipt = receipt::write(&received, &As4MessageId::new("r@b").unwrap(), Timestamp::now(), &receiver).unwrap();
    let head = format!("POST /as4 HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\n\r\n", sent.content_type);
    let request = [head.as_bytes(), &body].concat();
    Made { keys: Keys { own: vec![receiver, to], known: Vec::new() }, sender, request, receipt, received, sealed }
}

fn text(file: &[u8], keys: &Keys) -> String {
    report(file, None, keys, Timestamp::now()).unwrap().text()
}

#[test]
fn a_captured_request_is_explained_to_the_envelope_inside() {
    let made = made();
    let whole = text(&made.request, &made.keys);
    says(
        &whole,
        &[
            "first line POST /as4 HTTP/1.1",
            "from AP0001-TESTBED (urn:fdc:digg.se:edelivery:transportprofile:as4:partytype:ap)",
            "conversation 7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
            "property finalRecipient = 0203:arbetsformedlingen.se (iso6523-actorid-upis)",
            "payload cid:message MimeType=text/xml CompressionType=application/gzip",
            "subject C=SE, CN=AP0001-TESTBED",
            "issuer C=SE, CN=CA",
            "reference cid:message sha256: matches",
            "private key given: C=SE, CN=AP0002-TESTBED",
            "security holds",
            "P-Mode From is the signing certificate's common name: holds",
            "envelope (XHE)",
            "id 7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
            "payload encrypted; decrypts to",
        ],
    );
    assert!(!whole.contains("BROKEN") && !whole.contains("NOT "), "{whole}");
    assert!(!whole.contains(SECRET), "what the payload says is never printed");

    // Of the receiving access point alone, the envelope is seen but not opened.
    let access_point = Keys { own: made.keys.own[..1].to_vec(), known: Vec::new() };
    says(&text(&made.request, &access_point), &["security holds", "payload the payload cannot be decrypted"]);
    let nobody = text(&made.request, &Keys::default());
    says(
        &nobody,
        &[
            "verdict verifies",
            "reference cid:message sha256: cannot be checked",
            "private key NOT GIVEN",
            "security not looked into: the private key",
        ],
    );
    // A fingerprint is what peers compare over the telephone.
    says(&nobody, &[&format!("sha-256 {}", made.sender.certificate.fingerprint())]);
}

#[test]
fn a_change_on_the_way_is_seen_where_it_is() {
    let made = made();
    let at = made.request.windows(12).position(|window| window == b"0203:habo.se").unwrap();
    let mut changed = made.request.clone();
    changed[at + 11] = b'x';
    let changed = text(&changed, &made.keys);
    says(
        &changed,
        &[
            "verdict DOES NOT VERIFY: EBMS:0101",
            "value is the signer's",
            "DOES NOT HOLD: The digest of a signed part differs",
            "reference cid:message sha256: matches",
            "security BROKEN: EBMS:0101",
        ],
    );
    let length = made.request.len();
    let mut changed = made.request.clone();
    changed[length - 20] ^= 1;
    says(&text(&changed, &made.keys), &["verdict verifies", "CANNOT BE READ: EBMS:0102", "reference cid:message sha256: cannot be checked"]);
    let other = Keys { own: made.keys.own[1..].to_vec(), known: Vec::new() };
    says(&text(&made.request, &other), &["private key NOT GIVEN"]);
}

#[test]
fn answers_are_explained() {
    let made = made();
    let response =
        [&b"HTTP/1.1 200 OK\r\ncontent-type: application/soap+xml\r\ntransfer-encoding: chunked\r\n\r\n"[..], &chunked(&made.receipt)].concat();
    let receipt = text(&response, &made.keys);
    says(
        &receipt,
        &[
            "first line HTTP/1.1 200 OK",
            "refers to 0b0b3a9e-6e0f-4a39-a1c1-8a1f0d7a2a10@ap.habo.se",
            "receipt for 3 references",
            "received cid:message sha256",
            "verdict verifies",
        ],
    );
    assert_eq!(receipt.matches("received ").count(), 3);
    let signal = As4MessageId::new("e@b").unwrap();
    let error = error::write(&[EbmsError::not_serviced()], Some(&signal), &signal, Timestamp::now(), &made.sender).unwrap();
    says(&text(&error, &made.keys), &["error failure: EBMS:0004 Other: NOT_SERVICED", "verdict verifies"]);
    let fault = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><s:Fault><s:Reason><s:Text xml:lang=\"en\">No policy</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>";
    says(&text(fault.as_bytes(), &made.keys), &["SOAP fault: No policy"]);
    assert!(report(b"<html/>", None, &made.keys, Timestamp::now()).is_ok());
    assert!(report(b"no message at all", None, &made.keys, Timestamp::now()).is_err());
}

/// As some servers write a body.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(1000) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

#[test]
fn the_report_is_json_too() {
    let made = made();
    let json: serde_json::Value = serde_json::from_str(&report(&made.request, None, &made.keys, Timestamp::now()).unwrap().json()).unwrap();
    let sections = json["sections"].as_array().unwrap();
    let section = |title: &str| sections.iter().find(|section| section["title"] == title).unwrap();
    assert_eq!(section("user message")["message id"], "0b0b3a9e-6e0f-4a39-a1c1-8a1f0d7a2a10@ap.habo.se");
    assert_eq!(section("signature")["verdict"], "verifies");
    assert_eq!(section("signature")["reference"].as_array().unwrap().len(), 3);
}

/// The report on an answer beside the request that it is for.
fn against(answer: &[u8], request: &[u8], keys: &Keys) -> Report {
    explain(Subject { file: answer, content_type: None, request: Some(request) }, keys, Timestamp::now()).unwrap().report
}

#[test]
fn a_receipt_is_compared_with_its_request() {
    let made = made();
    let nothing = Keys::default();
    // Neither key nor certificate is needed: the request brought the recipient's along.
    let good = against(&made.receipt, &made.request, &nothing);
    says(
        &good.text(),
        &[
            "receipt against request",
            "request 0b0b3a9e-6e0f-4a39-a1c1-8a1f0d7a2a10@ap.habo.se",
            "its signature verifies",
            "about it yes",
            "signed cid:message sha256: repeated",
            "signer is the access point that the request is encrypted for",
            "verdict proves that the message was taken",
        ],
    );
    assert_eq!((good.wrong(), good.text().matches(": repeated").count()), (None, 3));

    let receiver = &made.keys.own[0];
    let receipt =
        |received: &Received, signer: &Identity| receipt::write(received, &As4MessageId::new("r@b").unwrap(), Timestamp::now(), signer).unwrap();
    let wrong = |what: &str, answer: &[u8], request: &[u8], lines: &[&str]| {
        let report = against(answer, request, &nothing);
        assert!(report.wrong().is_some(), "{what}: {}", report.text());
        says(&report.text(), lines);
    };
    let nothing_proved = "verdict PROVES NOTHING";
    wrong(
        "another signer",
        &receipt(&made.received, &made.sender),
        &made.request,
        &["signer IS ANOTHER than C=SE, CN=AP0002-TESTBED", nothing_proved],
    );
    let mut fewer = made.received.clone();
    fewer.signature.as_mut().unwrap().references.pop();
    wrong("a reference too few", &receipt(&fewer, receiver), &made.request, &["signed cid:message sha256: NOT REPEATED", nothing_proved]);
    let mut other = made.received.clone();
    let edit = |received: &mut Received, from: &str, to: &str| {
        let reference = &mut received.signature.as_mut().unwrap().references[2];
        reference.xml = reference.xml.replacen(from, to, 1);
    };
    edit(&mut other, "DigestValue>", "DigestValue>AAAA");
    wrong("another digest", &receipt(&other, receiver), &made.request, &["signed cid:message sha256: ANOTHER DIGEST was received", nothing_proved]);
    edit(&mut other, "cid:message", "cid:other");
    wrong("a reference too many", &receipt(&other, receiver), &made.request, &["received cid:other: WAS NOT SIGNED in the request", nothing_proved]);
    let mut about = made.received.clone();
    about.header.message_id = As4MessageId::new("other@x").unwrap();
    wrong("another message", &receipt(&about, receiver), &made.request, &["about it NO", nothing_proved]);
    let refused = error::write(
        &[EbmsError::not_serviced()],
        Some(&made.received.header.message_id),
        &As4MessageId::new("e@b").unwrap(),
        Timestamp::now(),
        receiver,
    );
    wrong("an error", &refused.unwrap(), &made.request, &["verdict the message was refused: EBMS:0004 Other: NOT_SERVICED"]);
    wrong("a request again", &made.request, &made.request, &["verdict PROVES NOTHING: the message is neither receipt nor error"]);
    wrong("a receipt for a receipt", &made.receipt, &made.receipt, &["request is no signed message of a user"]);
    let mut response = b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/soap+xml\r\n\r\n".to_vec();
    response.extend_from_slice(&String::from_utf8(made.receipt.clone()).unwrap().replace("<eb:Timestamp>20", "<eb:Timestamp>21").into_bytes());
    wrong(
        "changed",
        &response,
        &made.request,
        &["verdict DOES NOT VERIFY", "verdict PROVES NOTHING: HTTP status 500: the receipt's signature does not hold"],
    );
}

#[test]
fn nothing_is_wrong_with_what_holds() {
    let made = made();
    let holds = |file: &[u8], keys: &Keys| report(file, None, keys, Timestamp::now()).unwrap().wrong().map(str::to_owned);
    assert_eq!(holds(&made.request, &made.keys), None);
    assert_eq!(holds(&made.request, &Keys::default()), None, "a key that is not given is no fault of the message");
    assert_eq!(holds(&made.receipt, &Keys::default()), None);
    let mut changed = made.request.clone();
    let at = changed.len() - 30;
    changed[at] ^= 1;
    let told = holds(&changed, &made.keys).unwrap();
    assert!(told.starts_with("attachment, payload: CANNOT BE READ: EBMS:0102"), "{told}");
    let at = made.request.len() - 200;
    assert!(holds(&made.request[..at], &made.keys).is_some());
}

/// Captures are what programs happened to write down, and peers happened to send.
#[test]
fn no_damage_to_a_capture_breaks_the_program() {
    let made = made();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/soap+xml\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = [&head[..], &chunked(&made.receipt)].concat();
    let keys = Keys { own: made.keys.own[..1].to_vec(), known: vec![made.sender.certificate.clone()] };
    let (mut state, mut explained, mut unsound) = (7_u64, 0, 0);
    for round in 0..300 {
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        let mut file = if round % 2 == 0 { answer.clone() } else { made.request.clone() };
        let length = file.len();
        match round % 5 {
            0 => file.truncate(below(length)),
            1 => drop(file.drain(below(length / 2)..length / 2)),
            2 => file[below(250)] = u8::try_from(below(256)).unwrap(),
            3 => file[below(length)] ^= 1 << below(8),
            _ => drop(file.splice(below(length)..length, vec![b'0'; 40])),
        }
        let subject = Subject { file: &file, content_type: None, request: Some(&made.request).filter(|_| round % 3 == 0).map(Vec::as_slice) };
        if let Ok(found) = explain(subject, &keys, Timestamp::now()) {
            explained += 1;
            unsound += u32::from(found.report.wrong().is_some());
            assert!(!found.report.text().contains(SECRET), "round {round}");
        }
    }
    assert!(explained > 30 && unsound > 20, "{explained} explained, {unsound} of them unsound");
}

/// The program itself: exit codes, and the payload in a file when it is asked for.
#[test]
fn the_command_ends_as_its_report_says() {
    let made = made();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("request"), &made.request).unwrap();
    std::fs::write(path("receipt"), &made.receipt).unwrap();
    std::fs::write(path("nothing"), "no message at all").unwrap();
    let mut changed = made.request.clone();
    let at = changed.windows(12).position(|window| window == b"0203:habo.se").unwrap();
    changed[at + 5] = b'x';
    std::fs::write(path("changed"), changed).unwrap();
    std::fs::write(path("key"), common::pki::pem(&made.keys.own[0])).unwrap();
    let inspect = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_brevbro"));
        command.current_dir(dir.path()).args(["as4", "inspect"]).args(arguments);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, told, complaint) = inspect(&["request", "--key", "key"]);
    assert_eq!((code, complaint.as_str()), (0, ""), "{told}");
    assert!(told.contains("security") && !told.contains(SECRET) && !told.contains("XHE xmlns"), "{told}");
    assert_eq!(inspect(&["receipt", "--request", "request"]).0, 0);
    let (code, told, complaint) = inspect(&["changed", "--key", "key"]);
    assert_eq!(code, 3, "{complaint}");
    assert!(told.contains("DOES NOT VERIFY") && complaint.starts_with("error: the message does not hold true: signature, verdict:"), "{complaint}");
    assert_eq!(inspect(&["receipt", "--request", "changed"]).0, 3, "the request that was captured is not the one that was signed");
    assert_eq!((inspect(&["nothing"]).0, inspect(&["absent"]).0, inspect(&["request", "--request", "absent"]).0), (1, 2, 2));

    // The content, to a new file and nobody else.
    assert_eq!(inspect(&["request", "--key", "key", "--payload", "xhe"]).0, 0);
    assert_eq!(std::fs::read(path("xhe")).unwrap(), made.sealed);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path("xhe")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let (code, _, complaint) = inspect(&["request", "--key", "key", "--payload", "xhe"]);
    assert!(code == 1 && complaint.contains("cannot write xhe"), "{complaint}");
}

/// What differs from run to run: keys, times, sizes.
fn steady(report: &str) -> String {
    let mut out = String::new();
    for line in report.lines() {
        let (name, value) = line.split_at(line.len().min(20));
        let value = match name.trim() {
            "sha-256" | "valid" | "octets" => "…".to_owned(),
            "received" | "reference" | "signed" => value
                .split(' ')
                .map(|word| match word {
                    word if word.len() == 44 && word.ends_with('=') => "(digest)".to_owned(),
                    word => word.to_owned(),
                })
                .collect::<Vec<_>>()
                .join(" "),
            "timestamp" | "created" => value.to_owned(),
            _ if value.contains(" octets") => {
                value.split(' ').map(|word| if word.parse::<u32>().is_ok() { "…" } else { word }).collect::<Vec<_>>().join(" ")
            }
            _ => value.to_owned(),
        };
        out += format!("{name}{value}").trim_end();
        out.push('\n');
    }
    out
}

/// The same as in docs/as4.md, which shows what operators will see.
#[test]
fn the_manual_shows_what_is_printed() {
    let made = made();
    let access_point = Keys { own: made.keys.own[..1].to_vec(), known: Vec::new() };
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/as4.md")).unwrap();
    for (name, shown) in [
        ("brevbro as4 inspect request.txt --key ap.p12 --password-file ap.password", steady(&text(&made.request, &access_point))),
        ("brevbro as4 inspect answer.txt --request request.txt", steady(&against(&made.receipt, &made.request, &Keys::default()).text())),
    ] {
        let (_, rest) = manual.split_once(&format!("$ {name}\n")).unwrap_or_else(|| panic!("docs/as4.md has no {name}"));
        let documented = rest.split("```").next().unwrap();
        assert_eq!(documented, shown, "docs/as4.md is to show this after `{name}`:\n{shown}");
    }
}
