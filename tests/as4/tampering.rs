//! Messages and receipts that somebody changed, and forms that only look unusual.

use brevbro::as4::receive::{Context, Options, ReceiveLimits, open};
use brevbro::as4::{Answer, Code, EbmsError, Received, Refusal, Sent, answer, error, receipt, send};
use brevbro::crypto::{Certificate, KeyReference};
use jiff::Timestamp;
use std::io::{Cursor, Read};

use crate::common::parties::user_message;
use crate::common::soap::{cut, edited};
use crate::exchange::{BOUNDARY, opened, opened_with, own_pmode, packaged, read, receipt_for, receiver, sender, signal_id};
use crate::keys;

/// A change of a SOAP part.
type Edit<'a> = Box<dyn Fn(&str) -> String + 'a>;

const PAYLOAD: &[u8] = b"<XHE>Prov</XHE>";

fn refused(body: &[u8], sent: &Sent) -> Refusal {
    match opened(body, sent) {
        Err(refusal) => refusal,
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn a_changed_header_is_refused_with_the_right_error() {
    let (body, sent) = packaged(PAYLOAD);
    let other = keys::identity("AP0001-SDK-TEST").certificate.to_base64();
    let own = sender().certificate.to_base64();
    let moved = |soap: &str, name: &str, replacement: &str| {
        let original = cut(soap, name);
        soap.replace(original, replacement).replace("<S12:Header>", &format!("<S12:Header><w:Wrapper xmlns:w=\"urn:w\">{original}</w:Wrapper>"))
    };
    let cases: Vec<(&str, Code, Edit<'_>)> = vec![
        ("a value changed", Code::FailedAuthentication, Box::new(|s| s.replace("0203:habo.se", "0203:habo.nu"))),
        ("white space added", Code::FailedAuthentication, Box::new(|s| s.replace("<eb:UserMessage>", "<eb:UserMessage> "))),
        (
            "a property added",
            Code::FailedAuthentication,
            Box::new(|s| s.replace("</eb:MessageProperties>", "<eb:Property name=\"x\">y</eb:Property></eb:MessageProperties>")),
        ),
        (
            "Messaging moved, another in its place",
            Code::FailedAuthentication,
            Box::new(|s| {
                let evil = cut(s, "eb:Messaging").replace("habo.se", "evil.se").replace("wsu:Id=\"messaging-", "wsu:Id=\"evil-");
                moved(s, "eb:Messaging", &evil)
            }),
        ),
        (
            "Messaging moved, another with its id",
            Code::FailedAuthentication,
            Box::new(|s| moved(s, "eb:Messaging", &cut(s, "eb:Messaging").replace("habo.se", "evil.se"))),
        ),
        (
            "Messaging moved into Security",
            Code::FailedAuthentication,
            Box::new(|s| {
                let original = cut(s, "eb:Messaging");
                let evil = original.replace("habo.se", "evil.se").replace("wsu:Id=\"messaging-", "wsu:Id=\"evil-");
                s.replace(original, &evil).replace("</wsse:Security>", &format!("{original}</wsse:Security>"))
            }),
        ),
        (
            "two Messaging",
            Code::InvalidHeader,
            Box::new(|s| {
                s.replace("</S12:Header>", "<eb:Messaging xmlns:eb=\"http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/\"/></S12:Header>")
            }),
        ),
        ("Body moved, another in its place", Code::FailedAuthentication, Box::new(|s| moved(s, "S12:Body", "<S12:Body>evil</S12:Body>"))),
        (
            "Body moved, an empty one with its id",
            Code::FailedAuthentication,
            Box::new(|s| moved(s, "S12:Body", &cut(s, "S12:Body").replace("/>", "><evil/></S12:Body>"))),
        ),
        (
            "Body filled",
            Code::FailedAuthentication,
            Box::new(|s| s.replace(cut(s, "S12:Body"), &cut(s, "S12:Body").replace("/>", "><evil/></S12:Body>"))),
        ),
        ("two Body", Code::InvalidHeader, Box::new(|s| s.replace("</S12:Envelope>", "<S12:Body/></S12:Envelope>"))),
        (
            "two elements with one id",
            Code::FailedAuthentication,
            Box::new(|s| {
                let id = s.split("wsu:Id=\"body-").nth(1).unwrap().split('"').next().unwrap();
                s.replace("<S12:Header>", &format!("<S12:Header><x Id=\"body-{id}\"/>"))
            }),
        ),
        ("a digest changed", Code::FailedAuthentication, Box::new(|s| s.replacen("<ds:DigestValue>", "<ds:DigestValue>AAAA", 1))),
        (
            "the signature value changed",
            Code::FailedAuthentication,
            Box::new(|s| {
                let value = cut(s, "ds:SignatureValue");
                s.replace(value, &format!("<ds:SignatureValue>{}</ds:SignatureValue>", "A".repeat(344)))
            }),
        ),
        ("another signer's certificate", Code::FailedAuthentication, Box::new(|s| s.replace(&own, &other))),
        ("no signature", Code::PolicyNoncompliance, Box::new(|s| s.replace(cut(s, "ds:Signature"), ""))),
        ("no security", Code::PolicyNoncompliance, Box::new(|s| s.replace(cut(s, "wsse:Security"), ""))),
        (
            "two signatures",
            Code::FailedAuthentication,
            Box::new(|s| s.replace("</wsse:Security>", "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/></wsse:Security>")),
        ),
        ("rsa-sha1", Code::PolicyNoncompliance, Box::new(|s| s.replace("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#rsa-sha1"))),
        ("HMAC", Code::PolicyNoncompliance, Box::new(|s| s.replace("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256"))),
        ("rsa-sha512 where only rsa-sha256 is allowed", Code::PolicyNoncompliance, Box::new(|s| s.replace("#rsa-sha256", "#rsa-sha512"))),
        (
            "an unknown canonicalisation",
            Code::PolicyNoncompliance,
            Box::new(|s| {
                s.replacen(
                    "CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#",
                    "CanonicalizationMethod Algorithm=\"urn:x",
                    1,
                )
            }),
        ),
        ("AES-CBC", Code::PolicyNoncompliance, Box::new(|s| s.replace("2009/xmlenc11#aes128-gcm", "2001/04/xmlenc#aes128-cbc"))),
        ("RSA 1.5", Code::PolicyNoncompliance, Box::new(|s| s.replace("2009/xmlenc11#rsa-oaep", "2001/04/xmlenc#rsa-1_5"))),
        ("not encrypted", Code::PolicyNoncompliance, Box::new(|s| s.replace(cut(s, "xenc:EncryptedData"), ""))),
        ("the Body encrypted", Code::PolicyNoncompliance, Box::new(|s| s.replace("SwAProfile-1.1#Attachment-Content-Only", "x#Content"))),
        ("encrypted to somebody else", Code::FailedDecryption, Box::new(|s| s.replace(&receiver().certificate.to_base64(), &own))),
        (
            "another session key",
            Code::FailedDecryption,
            Box::new(|s| s.replace(cut(s, "xenc:CipherValue"), "<xenc:CipherValue>AAAA</xenc:CipherValue>")),
        ),
        ("another mask", Code::FailedDecryption, Box::new(|s| s.replace("mgf1sha256", "mgf1sha1"))),
        ("no key", Code::FailedDecryption, Box::new(|s| s.replace(cut(s, "xenc:EncryptedKey"), ""))),
        (
            "a time stamp that expired",
            Code::FailedAuthentication,
            Box::new(|s| {
                s.replace("</wsse:Security>", "<wsu:Timestamp><wsu:Created>2020-01-01T00:00:00Z</wsu:Created><wsu:Expires>2020-01-01T00:05:00Z</wsu:Expires></wsu:Timestamp></wsse:Security>")
            }),
        ),
        (
            "a time stamp of the future",
            Code::FailedAuthentication,
            Box::new(|s| {
                s.replace("</wsse:Security>", "<wsu:Timestamp><wsu:Created>2120-01-01T00:00:00Z</wsu:Created></wsu:Timestamp></wsse:Security>")
            }),
        ),
        (
            "a header that must be understood",
            Code::InvalidHeader,
            Box::new(|s| s.replace("</S12:Header>", "<x S12:mustUnderstand=\"1\"/></S12:Header>")),
        ),
        (
            "two messages",
            Code::FeatureNotSupported,
            Box::new(|s| {
                let user = cut(s, "eb:UserMessage");
                s.replace(user, &user.repeat(2))
            }),
        ),
        ("no Service", Code::InvalidHeader, Box::new(|s| s.replace(cut(s, "eb:Service"), ""))),
        (
            "an external payload",
            Code::ExternalPayloadError,
            Box::new(|s| s.replace("href=\"cid:message\"", "href=\"http://127.0.0.1/\"").replace(cut(s, "ds:Signature"), "")),
        ),
        (
            "SOAP 1.1",
            Code::InvalidHeader,
            Box::new(|s| s.replace("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/")),
        ),
        ("not well-formed", Code::InvalidHeader, Box::new(|s| s.replace("</S12:Header>", ""))),
        ("a DTD", Code::InvalidHeader, Box::new(|s| s.replace("<S12:Envelope", "<!DOCTYPE x [<!ENTITY a \"b\">]><S12:Envelope"))),
        ("not UTF-8", Code::InvalidHeader, Box::new(|s| s.replace("encoding=\"UTF-8\"", "encoding=\"UTF-16\""))),
        ("too many elements", Code::InvalidHeader, Box::new(|s| s.replace("</S12:Envelope>", &format!("{}</S12:Envelope>", "<x/>".repeat(5000))))),
        ("too large", Code::InvalidHeader, Box::new(|s| s.replace("</S12:Envelope>", &format!("<!--{}--></S12:Envelope>", "x".repeat(1 << 20))))),
    ];
    for (what, code, edit) in cases {
        let changed = edited(&body, &edit);
        let mut options = Options::default();
        if what == "an external payload" {
            options.signature = brevbro::as4::receive::Requirement::Optional;
        }
        let Err(refusal) = opened_with(&changed, &sent.content_type, &options) else { panic!("{what}: taken") };
        assert!(refusal.error.is(code), "{what}: {refusal}");
    }
}

#[test]
fn a_changed_package_is_refused_with_the_right_error() {
    let (body, sent) = packaged(PAYLOAD);
    let at = |needle: &[u8]| body.windows(needle.len()).position(|w| w == needle).unwrap();
    let attachment = at(b"Content-ID: <message>\r\n\r\n") + 25;
    let end = body.len() - format!("\r\n--{BOUNDARY}--\r\n").len();
    for position in [attachment, attachment + 12, attachment + 30, end - 1] {
        let mut changed = body.clone();
        changed[position] ^= 1;
        let refusal = refused(&changed, &sent);
        assert!(refusal.error.is(Code::FailedDecryption), "{position}: {refusal}");
        // Whatever is wrong with a ciphertext or its key, the peer learns the same.
        assert_eq!(refusal.error.description, "The message cannot be decrypted");
    }
    for length in [0, 10, attachment - 40, attachment, attachment + 20, end, end + 2, body.len() - 4] {
        assert!(refused(&body[..length], &sent).error.is(Code::MimeInconsistency), "{length}");
    }
    let part = |id: &str| format!("\r\n--{BOUNDARY}\r\nContent-ID: <{id}>\r\n\r\nx").into_bytes();
    for id in ["other", "message"] {
        let changed = [&body[..end], &part(id), &body[end..]].concat();
        assert!(refused(&changed, &sent).error.is(Code::MimeInconsistency), "{id}");
    }
    let renamed = String::from_utf8_lossy(&body[..attachment]).replace("Content-ID: <message>", "X-ID: <message>");
    assert!(refused(&[renamed.as_bytes(), &body[attachment..]].concat(), &sent).error.is(Code::MimeInconsistency));
    let without = [
        &body[..attachment
            - format!(
                "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <message>\r\n\r\n\r\n"
            )
            .len()],
        &body[end..],
    ]
    .concat();
    assert!(refused(&without, &sent).error.is(Code::MimeInconsistency));
    for content_type in ["", "text/plain", "multipart/related", "multipart/mixed; boundary=x", "multipart/related; boundary=other"] {
        assert!(opened_with(&body, content_type, &Options::default()).unwrap_err().error.is(Code::MimeInconsistency), "{content_type}");
    }
    let small = Options { limits: ReceiveLimits { package: 1000, ..ReceiveLimits::default() }, ..Options::default() };
    assert!(opened_with(&body, &sent.content_type, &small).unwrap_err().error.is(Code::Other));
}

#[test]
fn a_bomb_is_stopped_before_it_fills_the_disk() {
    let mut body = Vec::new();
    let mut zeros = std::io::repeat(0).take(40_000_000);
    let sent = send::package(&user_message(), &mut zeros, sender(), &receiver().certificate, Cursor::new(Vec::new()), &mut body, BOUNDARY).unwrap();
    let keys = [receiver().clone()];
    for limits in [ReceiveLimits::default(), ReceiveLimits { payload: 10_000_000, ratio: 100_000, ..ReceiveLimits::default() }] {
        let options = Options { limits, ..Options::default() };
        let context = Context { keys: &keys, known: &|_| None, options: &options, at: Timestamp::now() };
        let mut out = Vec::new();
        let refusal = open(&sent.content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut out).unwrap_err();
        assert!(refusal.error.is(Code::DecompressionFailure), "{refusal}");
        assert!(out.len() <= 21_000_000, "{}", out.len());
    }
}

#[test]
fn unusual_forms_are_read() {
    let (body, sent) = packaged(PAYLOAD);
    let recipient = |s: &str| cut(cut(s, "xenc:EncryptedKey"), "ds:KeyInfo").to_owned();
    let identifier = |kind: &str, octets: &[u8]| {
        let value = openssl::base64::encode_block(octets);
        format!(
            "<ds:KeyInfo><wsse:SecurityTokenReference><wsse:KeyIdentifier ValueType=\"{kind}\">{value}</wsse:KeyIdentifier></wsse:SecurityTokenReference></ds:KeyInfo>"
        )
    };
    let serial = |certificate: &Certificate, name: &str| {
        format!(
            "<ds:KeyInfo><wsse:SecurityTokenReference><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>CN={name},O=Prov\\, AB,C=SE</ds:X509IssuerName>\
             <ds:X509SerialNumber>{}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data></wsse:SecurityTokenReference></ds:KeyInfo>",
            certificate.serial()
        )
    };
    let ski_kind = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509SubjectKeyIdentifier";
    let thumbprint_kind = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1";
    let (theirs, ours) = (&receiver().certificate, &sender().certificate);
    let thumbprint = openssl::hash::hash(openssl::hash::MessageDigest::sha1(), theirs.der()).unwrap();
    let signature = |s: &str| cut(cut(s, "ds:Signature"), "ds:KeyInfo").to_owned();
    // A PKIPath of one certificate: a DER sequence around it, with a length of two octets.
    let path = [&[0x30, 0x82][..], &(ours.der().len() as u16).to_be_bytes(), ours.der()].concat();
    let cases: Vec<(&str, Edit<'_>)> = vec![
        ("the recipient by key identifier", Box::new(|s| s.replace(&recipient(s), &identifier(ski_kind, &theirs.subject_key_id().unwrap())))),
        ("the recipient by thumbprint", Box::new(|s| s.replace(&recipient(s), &identifier(thumbprint_kind, &thumbprint)))),
        ("the recipient by issuer and serial number", Box::new(|s| s.replace(&recipient(s), &serial(theirs, "AP0002-SDK-TEST")))),
        ("the signer by key identifier", Box::new(|s| s.replace(&signature(s), &identifier(ski_kind, &ours.subject_key_id().unwrap())))),
        ("the signer by issuer and serial number", Box::new(|s| s.replace(&signature(s), &serial(ours, "AP0001-SDK-TEST")))),
        (
            "the signer in a path",
            Box::new(|s| {
                let token = s.split("<wsse:BinarySecurityToken").last().unwrap().split('>').next().unwrap().to_owned();
                s.replace(&token, &token.replace("#X509v3", "#X509PKIPathv1")).replace(&ours.to_base64(), &openssl::base64::encode_block(&path))
            }),
        ),
        (
            "an EncryptedData that only the ReferenceList ties to its key",
            Box::new(|s| {
                let data = cut(s, "xenc:EncryptedData");
                s.replace(data, &data.replace(cut(data, "ds:KeyInfo"), ""))
            }),
        ),
        ("a CipherValue with carriage returns", Box::new(|s| s.replace("<xenc:CipherValue>", "<xenc:CipherValue>&#xd;\n "))),
        ("a token with line breaks", Box::new(|s| s.replace(&theirs.to_base64(), &theirs.to_base64().replace('A', "A&#xd;\n")))),
        (
            "a current time stamp",
            Box::new(|s| {
                let now = Timestamp::now();
                s.replace("</wsse:Security>", &format!("<wsu:Timestamp><wsu:Created>{now}</wsu:Created></wsu:Timestamp></wsse:Security>"))
            }),
        ),
        (
            "Security before Messaging",
            Box::new(|s| {
                let messaging = cut(s, "eb:Messaging");
                s.replace(messaging, "").replace("</S12:Header>", &format!("{messaging}</S12:Header>"))
            }),
        ),
        ("an unknown header", Box::new(|s| s.replace("</S12:Header>", "<x/></S12:Header>"))),
    ];
    let keys = [receiver().clone()];
    let known = |reference: &KeyReference| reference.names(ours).then(|| ours.clone());
    let options = Options::default();
    let context = Context { keys: &keys, known: &known, options: &options, at: Timestamp::now() };
    for (what, edit) in cases {
        let changed = edited(&body, &edit);
        let mut out = Vec::new();
        let received = open(&sent.content_type, &mut &changed[..], &context, Cursor::new(Vec::new()), &mut out);
        let received = received.unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        assert_eq!((out.as_slice(), received.signer()), (PAYLOAD, Some(ours)), "{what}");
    }
}

#[test]
fn unusual_packages_are_read() {
    let (body, sent) = packaged(PAYLOAD);
    let find = |needle: &str| body.windows(needle.len()).position(|w| w == needle.as_bytes()).unwrap();
    let soap = &body[find("<?xml")..find("</S12:Envelope>") + 15];
    let attachment = &body[find("Content-ID: <message>\r\n\r\n") + 25..body.len() - format!("\r\n--{BOUNDARY}--\r\n").len()];
    let encoded = openssl::base64::encode_block(attachment);
    let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let package = format!(
        "This is a MIME package.\r\n\r\n--{BOUNDARY}\r\ncontent-type: application/soap+xml;\r\n charset=\"utf-8\"\r\nContent-Id: <root@x>\r\n\r\n{}\r\n--{BOUNDARY}  \r\n\
         CONTENT-TYPE: application/octet-stream\r\ncontent-id: <message>\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--{BOUNDARY}--\r\nbye",
        std::str::from_utf8(soap).unwrap(),
        lines.join("\r\n")
    );
    let content_type = format!("Multipart/Related; charset=utf-8;\r\n\tstart=\"<root@x>\"; type=application/soap+xml; boundary={BOUNDARY}");
    assert_eq!(opened_with(package.as_bytes(), &content_type, &Options::default()).unwrap().1, PAYLOAD);
    assert!(opened_with(package.as_bytes(), &content_type.replace("root@x", "other"), &Options::default()).is_err());
    drop(sent);
}

#[test]
fn a_message_signed_by_another_access_point_does_not_pass_as_ours() {
    let other = keys::identity("AP0003-SDK-TEST");
    let mut body = Vec::new();
    let sent =
        send::package(&user_message(), &mut &PAYLOAD[..], &other, &receiver().certificate, Cursor::new(Vec::new()), &mut body, BOUNDARY).unwrap();
    let (received, _) = opened(&body, &sent).unwrap();
    assert_eq!(received.signer(), Some(&other.certificate));
    assert!(brevbro::as4::pmode::check(&received, &own_pmode()).unwrap_err().is(Code::ValueInconsistent));
}

#[test]
fn only_the_right_receipt_proves_delivery() {
    let (body, sent) = packaged(PAYLOAD);
    let (received, _) = opened(&body, &sent).unwrap();
    let unusable = |what: &str, answer: Answer, word: &str| match answer {
        Answer::Unusable(reason) => assert!(reason.contains(word), "{what}: {reason}"),
        other => panic!("{what}: {other:?}"),
    };
    let good = receipt_for(&received);
    assert!(matches!(read(200, &good, &sent), Answer::Receipt(_)));
    assert!(matches!(read(202, &good, &sent), Answer::Receipt(_)));
    let text = String::from_utf8(good.clone()).unwrap();

    let foreign = receipt::write(&received, &signal_id(), Timestamp::now(), sender()).unwrap();
    unusable("another signer", read(200, &foreign, &sent), "another certificate");
    for drop in 0..3 {
        let mut fewer = received.clone();
        fewer.signature.as_mut().unwrap().references.remove(drop);
        unusable("a missing reference", read(200, &receipt_for(&fewer), &sent), "every digest");
    }
    let mut more = received.clone();
    let again = more.signature.as_ref().unwrap().references[0].clone();
    more.signature.as_mut().unwrap().references.push(again);
    unusable("one reference twice", read(200, &receipt_for(&more), &sent), "not signed");
    for (what, from, to) in
        [("a digest", "DigestValue>", "DigestValue>AAAA"), ("an algorithm", "xmlenc#sha256", "xmlenc#sha512"), ("a URI", "#messaging-", "#x-")]
    {
        let mut other = received.clone();
        let reference = &mut other.signature.as_mut().unwrap().references[0];
        reference.xml = reference.xml.replacen(from, to, 1);
        unusable(what, read(200, &receipt_for(&other), &sent), "every digest");
    }
    let mut other = received.clone();
    other.header.message_id = signal_id();
    unusable("another message", read(200, &receipt_for(&other), &sent), "another message");
    let mut other_sent = sent.clone();
    other_sent.message_id = signal_id();
    unusable("for another message", read(200, &good, &other_sent), "another message");

    let change = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to).into_bytes()
    };
    unusable("changed", read(200, &change("<eb:Timestamp>20", "<eb:Timestamp>21"), &sent), "does not hold");
    unusable("unsigned", read(200, &change(cut(&text, "ds:Signature"), ""), &sent), "not signed");
    unusable("no RefToMessageId", read(200, &change(cut(&text, "eb:RefToMessageId"), ""), &sent), "for which message");
    let evil = cut(&text, "eb:Messaging").replace("wsu:Id=\"messaging-", "wsu:Id=\"evil-");
    let moved = change(cut(&text, "eb:Messaging"), &format!("<w>{}</w>{evil}", cut(&text, "eb:Messaging")));
    unusable("wrapped", read(200, &moved, &sent), "does not hold");

    unusable("empty", read(202, b"", &sent), "empty");
    unusable("not XML", read(502, b"<html><br></html>", &sent), "502");
    unusable("our own message", answer::read(200, &sent.content_type, &body, &sent, &receiver().certificate), "user message");
    let fault = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><s:Fault><s:Reason><s:Text xml:lang=\"en\">No policy\n</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>";
    unusable("a fault", read(500, fault.as_bytes(), &sent), "SOAP fault: No policy");

    // An error about something else is not about this message; one that says nothing of it is.
    let error = |ref_to| error::write(&[EbmsError::not_serviced()], ref_to, &signal_id(), Timestamp::now(), receiver()).unwrap();
    let other = signal_id();
    unusable("an error for another message", read(500, &error(Some(&other)), &sent), "another message");
    assert!(matches!(read(500, &error(None), &sent), Answer::Errors(_)));
    let unsigned = String::from_utf8(error(None)).unwrap();
    let unsigned = unsigned.replace(cut(&unsigned, "wsse:Security"), "");
    assert!(matches!(read(500, unsigned.as_bytes(), &sent), Answer::Errors(_)));
    // A receipt inside a MIME package is read too.
    let package = format!("--r\r\nContent-Type: application/soap+xml\r\n\r\n{text}\r\n--r--\r\n");
    assert!(matches!(answer::read(200, "multipart/related; boundary=r", package.as_bytes(), &sent, &receiver().certificate), Answer::Receipt(_)));
}

#[test]
fn no_octet_can_be_changed_unseen() {
    let (body, sent) = packaged(PAYLOAD);
    let (original, _) = opened(&body, &sent).unwrap();
    let (mut taken, mut state) = (0, 7_u64);
    for _ in 0..600 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut changed = body.clone();
        let at = (state >> 33) as usize % body.len();
        changed[at] ^= 1 << (state >> 20 & 7);
        // What is taken all the same (the name of a MIME header, an id outside of the signature) says just what was sent.
        if let Ok((received, payload)) = opened(&changed, &sent) {
            taken += 1;
            assert_eq!((&received.header, payload.as_slice()), (&original.header, PAYLOAD), "octet {at}");
            // A changed certificate with the same key is for whoever judges certificates: its issuer's signature breaks.
            let key = |received: &Received| received.signer().unwrap().public_key().unwrap();
            assert!(key(&received).public_eq(&key(&original)), "octet {at}");
        }
    }
    assert!(taken < 200, "{taken} of 600 changes went through");
}
