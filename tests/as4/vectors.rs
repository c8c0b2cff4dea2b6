//! Messages that other software made.

use std::io::Cursor;
use std::path::Path;

use brevbro::as4::receive::{Context, Options, Requirement, open};
use brevbro::as4::{Answer, Code, PMode, Received, Refusal, Sent, answer, pmode};
use brevbro::crypto::{Certificate, Identity, KeyReference, SignatureAlgorithm};
use brevbro::ident::{AccessPointId, As4MessageId, Sha256};
use jiff::Timestamp;

use crate::common::shared;

/// Whatever these peers do that SDK does not: no signature, no encryption, SHA-384, RSA 1024.
fn lenient() -> Options {
    Options {
        signature: Requirement::Optional,
        encryption: Requirement::Optional,
        signature_algorithms: vec![SignatureAlgorithm::RsaSha256, SignatureAlgorithm::RsaSha384],
        signature_key: 1024,
        ..Options::default()
    }
}

/// The vectors have no HTTP header: the boundary is read off the first delimiter.
fn content_type(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let first = text.lines().map(|line| line.trim_start_matches('\u{feff}')).find(|line| !line.trim().is_empty()).unwrap();
    match first.strip_prefix("--") {
        Some(boundary) => format!("multipart/related; boundary=\"{boundary}\"; type=\"application/soap+xml\""),
        None => "application/soap+xml; charset=utf-8".into(),
    }
}

fn opened(dir: &Path, file: &str, options: &Options) -> Result<(Received, Vec<u8>), Refusal> {
    let identity = |name: &str| Identity::from_pem(&std::fs::read(dir.join(name)).unwrap(), None).unwrap();
    let keys = [identity("APA.pem"), identity("APB.pem")];
    let certificates: Vec<Certificate> = keys.iter().map(|key| key.certificate.clone()).collect();
    let known = |reference: &KeyReference| certificates.iter().find(|c| reference.names(c)).cloned();
    let body = std::fs::read(dir.join(file)).unwrap();
    let context = Context { keys: &keys, known: &known, options, at: Timestamp::now() };
    let mut payload = Vec::new();
    let received = open(&content_type(&body), &mut &body[..], &context, Cursor::new(Vec::new()), &mut payload)?;
    Ok((received, payload))
}

fn sizes(received: &Received) -> Vec<u64> {
    received.parts.iter().map(|part| part.octets).collect()
}

fn signer(received: &Received) -> String {
    received.signer().unwrap().common_name().unwrap()
}

/// SDK takes none of them, however good they are.
fn strictly_refused(dir: &Path, file: &str) {
    let refusal = opened(dir, file, &Options::default()).unwrap_err();
    assert!(refusal.error.is(Code::PolicyNoncompliance), "{file}: {refusal}");
    assert!(refusal.ref_to.is_some(), "{file}");
}

/// Refused even where much is allowed, with this error, and nothing of it comes out.
fn refused(file: &str, code: Code) {
    let Some(dir) = shared("as4-vectors") else { return };
    let refusal = opened(&dir, file, &lenient()).unwrap_err();
    assert!(refusal.error.is(code), "{refusal}");
    assert!(refusal.ref_to.is_some());
}

#[test]
fn holodeck_encrypted_signed_issuerserial_opens() {
    let Some(dir) = shared("as4-vectors") else { return };
    let file = "as4-encrypted-signed-issuerserial.as4";
    let (received, payload) = opened(&dir, file, &lenient()).unwrap();
    assert_eq!((sizes(&received), signer(&received)), (vec![296_454, 206], "AccessPointA".into()));
    assert!(received.parts.iter().all(|part| part.encrypted && part.compressed));
    assert!(payload.starts_with(b"\xff\xd8\xff"), "the first payload is a JPEG picture");
    assert_eq!(payload.len(), 296_454 + 206);
    assert_eq!(received.header.message_id.as_str(), "b545c3a0-e57f-46aa-862f-381eb4b70097@CLT-SMOREELS.mshome.net");
    // rsa-sha384 is no algorithm of SDK, two payloads and these parties are not in its P-Mode.
    strictly_refused(&dir, file);
    let pmode = PMode::sdk(AccessPointId::new("AccessPointB").unwrap());
    assert!(pmode::check(&received, &pmode).unwrap_err().is(Code::ProcessingModeMismatch));
}

#[test]
fn holodeck_signed_message_verifies_by_its_key_identifier() {
    let Some(dir) = shared("as4-vectors") else { return };
    let file = "signed_holodeck_message.as4";
    let (received, _) = opened(&dir, file, &lenient()).unwrap();
    assert_eq!((sizes(&received), signer(&received)), (vec![296_454, 206], "AccessPointB".into()));
    assert_eq!(received.signature.unwrap().references.len(), 4);
    strictly_refused(&dir, file);
}

/// It decrypts too: the unit test of `as4::receive` has the key, RSA 1024, which nothing else takes.
#[test]
fn as4_net_encrypted_compressed_message_is_refused_by_sdk_for_it_is_not_signed() {
    let Some(dir) = shared("as4-vectors") else { return };
    strictly_refused(&dir, "as4-encrypted-compressed-message.as4");
}

#[test]
fn as4_net_signed_message_without_payload_verifies() {
    let Some(dir) = shared("as4-vectors") else { return };
    let (received, payload) = opened(&dir, "as4-soap-signed-message.txt", &lenient()).unwrap();
    assert!(received.parts.is_empty() && received.signature.is_some() && payload.is_empty());
    // Its key has 1024 bits.
    strictly_refused(&dir, "as4-soap-signed-message.txt");
    let pmode = PMode::sdk(AccessPointId::new("AccessPointB").unwrap());
    assert!(pmode::check(&received, &pmode).unwrap_err().is(Code::ProcessingModeMismatch));
}

#[test]
fn as4_net_wrong_signed_message_is_refused() {
    refused("as4-soap-wrong-signed-message.txt", Code::FailedAuthentication);
}

#[test]
fn as4_net_untrusted_signed_message_is_refused() {
    refused("as4-soap-untrusted-signed-message.txt", Code::FailedAuthentication);
}

#[test]
fn as4_net_wrong_encrypted_message_is_refused() {
    refused("as4-soap-wrong-encrypted-message", Code::FailedDecryption);
}

#[test]
fn as4_net_message_without_mime_property_is_refused() {
    refused("as4message_missing_mime_property.txt", Code::DecompressionFailure);
    if let Some(dir) = shared("as4-vectors") {
        strictly_refused(&dir, "as4message_missing_mime_property.txt");
    }
}

#[test]
fn as4_net_incorrectly_compressed_message_is_refused() {
    refused("as4message_incorect_compressed.txt", Code::DecompressionFailure);
}

#[test]
fn as4_net_message_that_names_an_attachment_that_is_not_there_is_refused() {
    refused("receiveagent_message_nonexist_attachment.as4", Code::MimeInconsistency);
}

#[test]
fn every_vector_has_its_test() {
    let Some(dir) = shared("as4-vectors") else { return };
    let readme = std::fs::read_to_string(dir.join("README.md")).unwrap();
    let (own, unit) = (include_str!("vectors.rs"), include_str!("../../src/as4/receive/mod.rs"));
    let mut files = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if std::path::Path::new(&name).extension().is_some_and(|kind| kind == "md" || kind == "pem") {
            continue;
        }
        assert!(readme.contains(&name), "{name} is not in the README");
        assert!(own.contains(&name) || unit.contains(&name), "no test reads {name}");
        files += 1;
    }
    assert_eq!(files, 12);
}

/// The references of the receipt in a vector, as if we had sent that message.
fn sent(receipt: &str, message_id: &str) -> Sent {
    let between =
        |text: &str, from: &str, to: &str| text.split(from).skip(1).map(|rest| rest.split(to).next().unwrap().to_owned()).collect::<Vec<_>>();
    let start = receipt.find("NonRepudiationInformation").unwrap();
    let end = receipt.rfind("NonRepudiationInformation").unwrap();
    let references = between(&receipt[start..end], "MessagePartNRInformation>", "MessagePartNRInformation>");
    let references = references.iter().filter(|part| part.contains("URI=")).map(|part| brevbro::as4::Reference {
        uri: between(part, "URI=\"", "\"").remove(0),
        transforms: between(part, "Transform Algorithm=\"", "\""),
        digest_method: between(part, "DigestMethod Algorithm=\"", "\"").remove(0),
        digest_value: between(part, "DigestValue>", "<").remove(0),
    });
    Sent {
        message_id: As4MessageId::new(message_id).unwrap(),
        content_type: String::new(),
        references: references.collect(),
        signature_digest: Sha256([0; 32]),
        octets: 0,
    }
}

#[test]
fn a_receipt_of_a_peppol_access_point_verifies() {
    let Some(path) = shared("as4-vectors/governikus.as4in") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let body = &text[text.find("<?xml").unwrap()..];
    let token = body.split("BinarySecurityToken").nth(1).unwrap();
    let token = token.split('>').nth(1).unwrap().split('<').next().unwrap();
    let certificate = Certificate::from_any(token.as_bytes()).unwrap();
    let sent = sent(body, "6b52b4c0-de6a-46b8-8286-27bac7d1a463@phase4");
    assert_eq!(sent.references.len(), 3);
    let read = |body: &str| answer::read(200, "application/soap+xml; charset=UTF-8", body.as_bytes(), &sent, &certificate);
    assert!(matches!(read(body), Answer::Receipt(_)), "{:?}", read(body));
    // The prefix of an attribute is part of what was signed.
    let renamed = body.replace("xmlns:mustUnderstand=", "xmlns:soap=").replace("mustUnderstand:mustUnderstand=", "soap:mustUnderstand=");
    assert!(matches!(read(&renamed), Answer::Unusable(_)));
}

#[test]
fn a_receipt_with_an_invalid_signature_proves_nothing() {
    let Some(path) = shared("as4-vectors/receipt_with_invalid_signature.as4") else { return };
    let Some(dir) = shared("as4-vectors") else { return };
    let body = std::fs::read_to_string(path).unwrap().replace("{{RefToMessageId}}", "a@b");
    let expected = Identity::from_pem(&std::fs::read(dir.join("APA.pem")).unwrap(), None).unwrap();
    let sent = sent(&body, "a@b");
    let read = answer::read(200, "application/soap+xml", body.as_bytes(), &sent, &expected.certificate);
    let Answer::Unusable(reason) = read else { panic!("{read:?}") };
    assert!(reason.contains("signature"), "{reason}");
}
