//! `brevbro as4 inspect` says what other programs' messages and our own hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::Cursor;
use std::path::Path;

use brevbro::as4::receive::{Context, Options, open};
use brevbro::as4::{EbmsError, UserMessage, error, receipt, send};
use brevbro::cli::as4::{Keys, report};
use brevbro::crypto::Identity;
use brevbro::ident::{AccessPointId, As4MessageId, DocumentKind, ParticipantId};
use brevbro::sdk::{envelope, seal};
use common::pki::Ca;
use common::shared;
use jiff::Timestamp;

const SECRET: &str = "hemligt";

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
}

/// A request as it is captured on the wire, with a sealed message inside, and its receipt.
fn made() -> Made {
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
        message_id: As4MessageId::new("0b0b3a9e-6e0f-4a39-a1c1-8a1f0d7a2a10@ap.habo.se").unwrap(),
        timestamp: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        ref_to: None,
        from: AccessPointId::new("AP0001-TESTBED").unwrap(),
        to: AccessPointId::new("AP0002-TESTBED").unwrap(),
        conversation_id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".into(),
        kind: DocumentKind::Message,
        original_sender: ParticipantId::new("0203:habo.se").unwrap(),
        final_recipient: ParticipantId::new("0203:arbetsformedlingen.se").unwrap(),
    };
    let mut body = Vec::new();
    let sent = send::package(&message, &mut &sealed[..], &sender, &receiver.certificate, Cursor::new(Vec::new()), &mut body, "=_b").unwrap();
    let options = Options::default();
    let context = Context { keys: std::slice::from_ref(&receiver), known: &|_| None, options: &options, at: Timestamp::now() };
    let received = open(&sent.content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut std::io::sink()).unwrap();
    let receipt = receipt::write(&received, &As4MessageId::new("r@b").unwrap(), Timestamp::now(), &receiver).unwrap();
    let head = format!("POST /as4 HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\n\r\n", sent.content_type);
    let request = [head.as_bytes(), &body].concat();
    Made { keys: Keys { own: vec![receiver, to], known: Vec::new() }, sender, request, receipt }
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
    let mut other = made.keys;
    other.own.remove(0);
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
