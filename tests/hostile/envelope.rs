//! Signature wrapping and exchanged payloads at the envelope (XHE).

use std::sync::OnceLock;

use brevbro::crypto::{Identity, XmlSecError, encrypt_element, sign_enveloped};
use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::{self, EnvelopeError, Header};
use brevbro::sdk::seal::{self, OpenError};
use brevbro::xml::XmlError;

use crate::common::pki::Ca;
use crate::common::soap::cut;

pub(crate) const PAYLOAD: &[u8] = b"<m xmlns=\"urn:riv:infrastructure:messaging:MessageWithAttachments:3\">hemligt</m>";

pub(crate) struct World {
    pub(crate) sender: Identity,
    pub(crate) recipient: Identity,
    pub(crate) stranger: Identity,
    pub(crate) xml: String,
}

fn header() -> Header {
    Header {
        id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap(),
        created: "2026-01-02T03:04:06.000Z".parse().unwrap(),
        kind: DocumentKind::Message,
        federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
        from: "0203:avsandare.se".parse().unwrap(),
        to: "0203:mottagare.se".parse().unwrap(),
        service: Some("sdk:inkorg01:0203:mottagare.se".parse().unwrap()),
        encrypted: true,
    }
}

/// One sealed message, which opens.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let ca = Ca::new("O2O");
        let (sender, recipient, stranger) = (ca.issue("avsandare"), ca.issue("mottagare"), ca.issue("annan"));
        let xml = String::from_utf8(seal::seal(&header(), PAYLOAD, Some(&recipient.certificate), &sender).unwrap()).unwrap();
        let world = World { sender, recipient, stranger, xml };
        assert_eq!(open(&world, &world.xml).unwrap(), PAYLOAD);
        world
    })
}

fn open(world: &World, xml: &str) -> Result<Vec<u8>, OpenError> {
    seal::verify(xml.as_bytes())?.payload(std::slice::from_ref(&world.recipient)).map(|payload| payload.to_vec())
}

fn refused(error: OpenError, edit: &dyn Fn(&str) -> String) {
    let changed = edit(&world().xml);
    assert_ne!(changed, world().xml, "the edit changed nothing");
    assert_eq!(open(world(), &changed).unwrap_err(), error);
}

fn structure(what: &'static str) -> OpenError {
    OpenError::Signature(XmlSecError::Refused(what))
}

fn mismatch() -> OpenError {
    OpenError::Signature(XmlSecError::Mismatch)
}

const WHOLE: &str = "reference to something else than the whole document";
const TRANSFORMS: &str = "list of transforms";
const STRUCTURE: &str = "structure";

/// The root with everything in it but the XML declaration.
fn root(xml: &str) -> &str {
    &xml[xml.find("<x:XHE").unwrap()..]
}

/// The envelope as the attacker would have it, without a signature.
fn evil(xml: &str) -> String {
    root(xml).replace(cut(xml, "ds:Signature"), "").replace("0203:avsandare.se", "0203:evil.se")
}

macro_rules! attacks {
    ($($name:ident: $error:expr, $edit:expr;)*) => {
        $(#[test] fn $name() { refused($error, &$edit); })*
    };
}

attacks! {
    a_signed_envelope_inside_the_attackers: OpenError::NotSignedOnce(XmlSecError::Misplaced),
        |s: &str| evil(s).replace("</x:XHE>", &format!("<w>{}</w></x:XHE>", root(s)));
    a_signed_envelope_as_child_of_the_attackers: OpenError::NotSignedOnce(XmlSecError::Misplaced),
        |s: &str| evil(s).replace("</x:XHE>", &format!("{}</x:XHE>", root(s)));
    a_wrapped_root: OpenError::NotSignedOnce(XmlSecError::Misplaced), |s: &str| format!("<w>{}</w>", root(s));
    a_signed_envelope_in_an_object_of_its_own_signature: structure(STRUCTURE), |s: &str| {
        let signature = cut(s, "ds:Signature");
        let wrapped = signature.replace("</ds:Signature>", &format!("<ds:Object>{}</ds:Object></ds:Signature>", root(s).replace(signature, "")));
        evil(s).replace("</x:XHE>", &format!("{wrapped}</x:XHE>"))
    };
    the_attackers_envelope_with_the_signature: mismatch(), |s: &str| evil(s).replace("</x:XHE>", &format!("{}</x:XHE>", cut(s, "ds:Signature")));
    a_signature_around_the_envelope: OpenError::NotSignedOnce(XmlSecError::Misplaced), |s: &str| {
        let signature = cut(s, "ds:Signature");
        signature.replace("</ds:Signature>", &format!("<ds:Object>{}</ds:Object></ds:Signature>", root(s).replace(signature, "")))
    };
    a_signature_in_the_header: OpenError::NotSignedOnce(XmlSecError::Misplaced), |s: &str| {
        let signature = cut(s, "ds:Signature").to_owned();
        s.replace(&signature, "").replacen("Header>", &format!("Header>{signature}"), 1)
    };
    a_second_signature_deep_inside: OpenError::NotSignedOnce(XmlSecError::ManySignatures(2)),
        |s: &str| s.replacen("Header>", "Header><w><ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/></w>", 1);
    a_signature_of_another_namespace: OpenError::NotSignedOnce(XmlSecError::NoSignature), |s: &str| s.replace("http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo", "urn:x\"><ds:SignedInfo");
    a_reference_by_fragment: structure(WHOLE), |s: &str| s.replace("Reference URI=\"\"", "Reference URI=\"#x\"");
    a_reference_by_xpointer: structure(WHOLE), |s: &str| s.replace("Reference URI=\"\"", "Reference URI=\"#xpointer(/)\"");
    a_reference_without_uri: structure(WHOLE), |s: &str| s.replace("Reference URI=\"\"", "Reference");
    two_references: structure("structure, which must have one reference,"), |s: &str| s.replace(cut(s, "ds:Reference"), &cut(s, "ds:Reference").repeat(2));
    an_xpath_transform: structure(TRANSFORMS),
        |s: &str| s.replacen("REC-xml-c14n-20010315\"/></ds:Transforms>", "x\"/></ds:Transforms>", 1).replacen("http://www.w3.org/TR/2001/x", "http://www.w3.org/TR/1999/REC-xpath-19991116", 1);
    an_xslt_transform_beside_the_others: structure(TRANSFORMS), |s: &str| s.replace("</ds:Transforms>", "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/></ds:Transforms>");
    a_filter_inside_a_canonicalisation: structure(TRANSFORMS),
        |s: &str| s.replace("REC-xml-c14n-20010315\"/></ds:Transforms>", "REC-xml-c14n-20010315\"><ds:XPath>self::x</ds:XPath></ds:Transform></ds:Transforms>");
    transforms_in_another_order: structure(TRANSFORMS), |s: &str| {
        let all = cut(s, "ds:Transforms");
        let inner = &all["<ds:Transforms>".len()..all.len() - "</ds:Transforms>".len()];
        let (first, second) = inner.split_at(inner.find("/>").unwrap() + 2);
        s.replace(inner, &format!("{second}{first}"))
    };
    no_enveloped_signature_transform: structure(TRANSFORMS), |s: &str| s.replace("<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>", "");
    an_hmac: structure("signature method"), |s: &str| s.replace("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256");
    an_hmac_cut_to_nothing: structure("signature method"),
        |s: &str| s.replace("xmldsig-more#rsa-sha256\"/>", "xmldsig-more#rsa-sha256\"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>");
    a_digest_that_is_weaker: structure("digest method"), |s: &str| s.replace("<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256", "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#md5");
    a_retrieval_method_for_the_key: structure("number of certificates"), |s: &str| {
        let info = cut(&s[s.find("<ds:SignatureValue").unwrap()..], "ds:KeyInfo").to_owned();
        s.replace(&info, "<ds:KeyInfo><ds:RetrievalMethod URI=\"http://127.0.0.1:9/key\"/></ds:KeyInfo>")
    };
    a_key_value_for_the_key: structure("number of certificates"), |s: &str| {
        let info = cut(&s[s.find("<ds:SignatureValue").unwrap()..], "ds:KeyInfo").to_owned();
        s.replace(&info, "<ds:KeyInfo><ds:KeyValue/></ds:KeyInfo>")
    };
    another_certificate: mismatch(), |s: &str| s.replace(&world().sender.certificate.to_base64(), &world().stranger.certificate.to_base64());
    a_payload_replaced_by_a_clear_one: mismatch(), |s: &str| {
        let clear = s.replace(cut(s, "xenc:EncryptedData"), std::str::from_utf8(PAYLOAD).unwrap());
        clear.replace("InstanceEncryptionIndicator>true", "InstanceEncryptionIndicator>false")
    };
    a_payload_replaced_by_another_encrypted_one: mismatch(),
        |s: &str| s.replace(cut(s, "xenc:EncryptedData"), &encrypt_element(b"<evil/>", &world().recipient.certificate).unwrap());
    an_encrypted_type_that_changed: mismatch(), |s: &str| s.replace("xmlenc#Element", "xmlenc#Content");
    a_key_for_another_recipient: mismatch(), |s: &str| {
        let other = encrypt_element(PAYLOAD, &world().stranger.certificate).unwrap();
        s.replace(cut(s, "xenc:EncryptedKey"), cut(&other, "xenc:EncryptedKey"))
    };
    a_document_type: OpenError::Envelope(EnvelopeError::Xml(XmlError::Dtd)), |s: &str| s.replace("<x:XHE", "<!DOCTYPE x:XHE [<!ATTLIST x:XHE Id ID \"a\">]><x:XHE");
    an_instruction_inside: mismatch(), |s: &str| s.replace("0203:avsandare.se", "0203:avs<?x?>andare.se");
}

#[test]
fn a_comment_that_splits_a_value_takes_nothing_off_it() {
    let split = world().xml.replace("0203:mottagare.se<", "0203:motta<!-- -->gare.se<");
    assert_ne!(split, world().xml);
    let verified = seal::verify(split.as_bytes()).unwrap();
    assert_eq!(verified.header, header());
    assert_eq!(envelope::read(split.as_bytes()).unwrap(), header());
}

/// What the stranger signs is the stranger's, whatever it was before: the flow compares this certificate with the sender's.
#[test]
fn an_envelope_that_was_signed_anew_names_its_new_signer() {
    let unsigned = world().xml.replace(cut(&world().xml, "ds:Signature"), "");
    let again = sign_enveloped(unsigned.as_bytes(), &world().stranger).unwrap();
    assert_eq!(seal::verify(&again).unwrap().signer, world().stranger.certificate);
}

#[test]
fn an_extra_certificate_never_becomes_the_signer_of_what_it_did_not_sign() {
    let (own, other) = (world().sender.certificate.to_base64(), world().stranger.certificate.to_base64());
    let element = |text: &str| format!("<ds:X509Certificate>{text}</ds:X509Certificate>");
    for both in [format!("{}{}", element(&other), element(&own)), format!("{}{}", element(&own), element(&other))] {
        match seal::verify(world().xml.replace(&element(&own), &both).as_bytes()) {
            Ok(verified) => assert_eq!(verified.signer, world().sender.certificate),
            Err(error) => assert_eq!(error, mismatch()),
        }
    }
}
