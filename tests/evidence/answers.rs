//! Answers that another access point may give to a request: the receipt as it should be, and what is not it.

use base64::prelude::*;
use brevbro::as4::{self, Code, EbmsError, Received, Severity};
use brevbro::crypto::{Identity, Profile, SignatureAlgorithm, Template, sha256};
use brevbro::ident::As4MessageId;
use brevbro::testbed::Authority;
use brevbro::xml::{Canonicalization, Document, Limits};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::common::soap::cut;
use crate::gateway::harness::{World, world};
use crate::peer::Heard;

pub(crate) const SOAP: &str = "application/soap+xml; charset=UTF-8";
pub(crate) const PACKAGE: &str = "multipart/related; type=\"application/soap+xml\"; boundary=\"=_svar\"";

const NAME: &str = "AP0002-TESTBED";

/// The federation; answers are made on a thread that may block.
fn federation() -> &'static World {
    tokio::runtime::Handle::current().block_on(world())
}

fn point() -> &'static Identity {
    &federation().peer_point.identity
}

fn id() -> As4MessageId {
    As4MessageId::new(format!("{}@ap.peer.se", Uuid::new_v4())).unwrap()
}

fn receipt(received: &Received, signer: &Identity) -> Vec<u8> {
    as4::receipt::write(received, &id(), Timestamp::now(), signer).unwrap()
}

/// The receipt for a request that said something else, under a good signature.
fn receipt_if(heard: &Heard, change: impl FnOnce(&mut Received)) -> Vec<u8> {
    let mut received = heard.received.clone();
    change(&mut received);
    receipt(&received, point())
}

/// The sound receipt, changed and signed anew.
fn resigned(heard: &Heard, change: impl FnOnce(String) -> String) -> Vec<u8> {
    let sound = String::from_utf8(sound_receipt(heard)).unwrap();
    let mut soap = change(sound.clone());
    assert_ne!(soap, sound, "the change changed nothing");
    let canonical = |soap: &str, name: &str| {
        let document = Document::parse(soap.as_bytes(), &Limits::of(1 << 20)).unwrap();
        let element = document.elements().find(|element| element.local() == name).unwrap();
        let id = element.attributes().iter().find(|a| a.local == "Id").map(|a| a.value.clone()).unwrap_or_default();
        let (form, comments) = Canonicalization::from_uri("http://www.w3.org/2001/10/xml-exc-c14n#").unwrap();
        (form.element(element, comments, None).unwrap(), id)
    };
    let (messaging, id) = canonical(&soap, "Messaging");
    if let Some((head, rest)) = soap.split_once(&format!("<ds:Reference URI=\"#{id}\">")) {
        let (before, rest) = rest.split_once("<ds:DigestValue>").unwrap();
        let (_, after) = rest.split_once("</ds:DigestValue>").unwrap();
        let digest = BASE64_STANDARD.encode(sha256(messaging.as_bytes()).0);
        soap = format!("{head}<ds:Reference URI=\"#{id}\">{before}<ds:DigestValue>{digest}</ds:DigestValue>{after}");
    }
    let signed = canonical(&soap, "SignedInfo").0;
    let value = BASE64_STANDARD.encode(point().key.sign(SignatureAlgorithm::RsaSha256, signed.as_bytes()).unwrap());
    let (head, rest) = soap.split_once("<ds:SignatureValue>").unwrap();
    let (_, tail) = rest.split_once("</ds:SignatureValue>").unwrap();
    format!("{head}<ds:SignatureValue>{value}</ds:SignatureValue>{tail}").into_bytes()
}

pub(crate) fn sound_receipt(heard: &Heard) -> Vec<u8> {
    receipt(&heard.received, point())
}

pub(crate) fn sound_receipt_in_a_package(heard: &Heard) -> Vec<u8> {
    let head: &[u8] = b"--=_svar\r\nContent-Type: application/soap+xml; charset=UTF-8\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    [head, &sound_receipt(heard), b"\r\n--=_svar--\r\n"].concat()
}

fn with_error(heard: &Heard, severity: &str) -> Vec<u8> {
    let error = format!(
        "</eb:Receipt><eb:Error category=\"Processing\" errorCode=\"EBMS:0010\" origin=\"ebMS\" severity=\"{severity}\" shortDescription=\"ProcessingModeMismatch\"/>"
    );
    resigned(heard, |soap| soap.replace("</eb:Receipt>", &error))
}

pub(crate) fn receipt_and_warning(heard: &Heard) -> Vec<u8> {
    with_error(heard, "warning")
}

pub(crate) fn receipt_and_failure(heard: &Heard) -> Vec<u8> {
    with_error(heard, "failure")
}

pub(crate) fn receipt_of_another_access_point(heard: &Heard) -> Vec<u8> {
    receipt(&heard.received, &federation().own_point.identity)
}

fn of_period(from: i64, until: i64, issuer: Option<&Identity>) -> Identity {
    let at = |days: i64| Timestamp::now() + SignedDuration::from_hours(24 * days);
    let subject = vec![("C", "SE".to_owned()), ("CN", NAME.to_owned())];
    let template = Template { subject, from: at(from), until: at(until), profile: Profile::Service, crl_url: None, ocsp_url: None };
    template.issue(2048, issuer).unwrap()
}

pub(crate) fn receipt_self_signed(heard: &Heard) -> Vec<u8> {
    receipt(&heard.received, &of_period(-1, 1, None))
}

pub(crate) fn receipt_of_an_expired_certificate(heard: &Heard) -> Vec<u8> {
    // Of the very CA that has issued the access point's certificate.
    let ca = federation().testbed.dir().join("ca").join(Authority::AccessPoint.name()).join("identity.pem");
    let expired = of_period(-20, -10, Some(&Identity::from_pem(&std::fs::read(ca).unwrap(), None).unwrap()));
    assert_eq!(expired.certificate.issuer(), point().certificate.issuer());
    receipt(&heard.received, &expired)
}

pub(crate) fn receipt_without_a_reference(heard: &Heard) -> Vec<u8> {
    receipt_if(heard, |received| drop(received.signature.as_mut().unwrap().references.pop()))
}

pub(crate) fn receipt_with_a_reference_more(heard: &Heard) -> Vec<u8> {
    receipt_if(heard, |received| {
        let references = &mut received.signature.as_mut().unwrap().references;
        let mut more = references[0].clone();
        more.xml = more.xml.replace(&more.reference.uri, "#somewhere-else");
        references.push(more);
    })
}

pub(crate) fn receipt_with_a_reference_twice(heard: &Heard) -> Vec<u8> {
    receipt_if(heard, |received| {
        let references = &mut received.signature.as_mut().unwrap().references;
        references.push(references[0].clone());
    })
}

pub(crate) fn receipt_with_an_altered_digest(heard: &Heard) -> Vec<u8> {
    receipt_if(heard, |received| {
        let last = received.signature.as_mut().unwrap().references.last_mut().unwrap();
        let altered = BASE64_STANDARD.encode(sha256(b"another attachment").0);
        last.xml = last.xml.replace(&last.reference.digest_value, &altered);
    })
}

pub(crate) fn receipt_without_references(heard: &Heard) -> Vec<u8> {
    resigned(heard, |soap| {
        let receipt = cut(&soap, "eb:Receipt").to_owned();
        soap.replace(&receipt, "<eb:Receipt></eb:Receipt>")
    })
}

pub(crate) fn receipt_twice_in_a_signal(heard: &Heard) -> Vec<u8> {
    resigned(heard, |soap| {
        let receipt = cut(&soap, "eb:Receipt").to_owned();
        soap.replace(&receipt, &receipt.repeat(2))
    })
}

pub(crate) fn receipt_for_another_message_id(heard: &Heard) -> Vec<u8> {
    receipt_if(heard, |received| received.header.message_id = id())
}

pub(crate) fn receipt_without_a_message_id(heard: &Heard) -> Vec<u8> {
    resigned(heard, |soap| {
        let reference = cut(&soap, "eb:RefToMessageId").to_owned();
        soap.replace(&reference, "")
    })
}

pub(crate) fn receipt_unsigned(heard: &Heard) -> Vec<u8> {
    let soap = String::from_utf8(sound_receipt(heard)).unwrap();
    let unsigned = soap.replace(cut(&soap, "wsse:Security"), "");
    assert!(!unsigned.contains("Signature>"));
    unsigned.into_bytes()
}

pub(crate) fn receipt_signed_beside_messaging(heard: &Heard) -> Vec<u8> {
    resigned(heard, |soap| {
        let signed = cut(&soap, "ds:SignedInfo").to_owned();
        let id = cut(&soap, "eb:Messaging").split("wsu:Id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let (head, rest) = signed.split_once(&format!("<ds:Reference URI=\"#{id}\">")).unwrap();
        let (_, tail) = rest.split_once("</ds:Reference>").unwrap();
        soap.replace(&signed, &format!("{head}{tail}"))
    })
}

pub(crate) fn receipt_changed_after_signing(heard: &Heard) -> Vec<u8> {
    let soap = String::from_utf8(sound_receipt(heard)).unwrap();
    let changed = soap.replace("<eb:Timestamp>2", "<eb:Timestamp>3");
    assert_ne!(changed, soap);
    changed.into_bytes()
}

pub(crate) fn two_signals(heard: &Heard) -> Vec<u8> {
    resigned(heard, |soap| {
        let signal = cut(&soap, "eb:SignalMessage").to_owned();
        soap.replace(&signal, &signal.repeat(2))
    })
}

/// The request's own SOAP part, sent back.
pub(crate) fn user_message(heard: &Heard) -> Vec<u8> {
    let find = |text: &[u8]| heard.body.windows(text.len()).position(|window| window == text).unwrap();
    let end = b"</S12:Envelope>";
    heard.body[find(b"<?xml")..find(end) + end.len()].to_vec()
}

fn errors(heard: &Heard, errors: &[EbmsError]) -> Vec<u8> {
    as4::error::write(errors, Some(&heard.received.header.message_id), &id(), Timestamp::now(), point()).unwrap()
}

pub(crate) fn warning_alone(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError { severity: Severity::Warning, ..EbmsError::new(Code::ProcessingModeMismatch, "so to say") }])
}

pub(crate) fn error_ebms_0004(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::Other, "")])
}

pub(crate) fn error_ebms_0005(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::ConnectionFailure, "the backend is away")])
}

pub(crate) fn error_ebms_0202(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::DeliveryFailure, "not now")])
}

pub(crate) fn error_ebms_0301(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::MissingReceipt, "")])
}

pub(crate) fn error_not_serviced(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::not_serviced()])
}

pub(crate) fn error_ebms_0003(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::ValueInconsistent, "originalSender")])
}

pub(crate) fn error_ebms_0101(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::FailedAuthentication, "")])
}

pub(crate) fn error_ebms_0102(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::FailedDecryption, "")])
}

pub(crate) fn error_ebms_0303(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError::new(Code::DecompressionFailure, "")])
}

pub(crate) fn error_of_no_table(heard: &Heard) -> Vec<u8> {
    errors(heard, &[EbmsError { code: "ACME:0815".into(), ..EbmsError::new(Code::Other, "") }])
}

pub(crate) fn error_about_another_message(_: &Heard) -> Vec<u8> {
    as4::error::write(&[EbmsError::new(Code::InvalidHeader, "")], Some(&id()), &id(), Timestamp::now(), point()).unwrap()
}

pub(crate) fn soap_fault(_: &Heard) -> Vec<u8> {
    br#"<S12:Envelope xmlns:S12="http://www.w3.org/2003/05/soap-envelope"><S12:Body><S12:Fault><S12:Code><S12:Value>S12:Receiver</S12:Value></S12:Code><S12:Reason><S12:Text xml:lang="en">no room</S12:Text></S12:Reason></S12:Fault></S12:Body></S12:Envelope>"#.to_vec()
}

pub(crate) fn soap_1_1(heard: &Heard) -> Vec<u8> {
    let soap = String::from_utf8(sound_receipt(heard)).unwrap();
    soap.replace("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/").into_bytes()
}

pub(crate) fn html(_: &Heard) -> Vec<u8> {
    b"<!DOCTYPE html>\n<html><head><title>Sidan</title><meta charset=utf-8></head><body><p>Ett fel<br></body></html>\n".to_vec()
}
