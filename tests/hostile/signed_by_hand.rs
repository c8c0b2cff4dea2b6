//! Signatures that compute but say something that no access point may accept. They are made with the sender's own key:
//! what is refused is their form alone.

use brevbro::as4::{Code, Refusal};
use brevbro::xml::{Canonicalization, Comments, Document, Limits};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::common::soap::{cut, edited};
use crate::request::{opened, world};

const RSA: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const EXC: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// In place of a URI: the attribute is left out.
const NO_URI: &str = "(none)";

/// A `ds:Reference`.
#[derive(Clone)]
struct Reference {
    uri: String,
    transforms: String,
    method: String,
    value: String,
}

/// What the good request was signed with: header, Body, attachment in some order.
fn references() -> Vec<Reference> {
    let transform = |algorithm: &String| format!("<ds:Transform Algorithm=\"{algorithm}\"/>");
    let of = |r: &brevbro::as4::Reference| Reference {
        uri: r.uri.clone(),
        transforms: r.transforms.iter().map(transform).collect(),
        method: r.digest_method.clone(),
        value: r.digest_value.clone(),
    };
    world().sent.references.iter().map(of).collect()
}

fn digest(digest: MessageDigest, octets: &[u8]) -> String {
    openssl::base64::encode_block(&openssl::hash::hash(digest, octets).unwrap())
}

/// The exclusive canonical form of the first element of that name.
fn canonical(soap: &str, local: &str) -> String {
    let document = Document::parse(soap.as_bytes(), &Limits::of(1 << 20)).unwrap();
    let element = document.elements().find(|e| e.local() == local).unwrap();
    Canonicalization::exclusive().element(element, Comments::Without, None).unwrap()
}

/// The SOAP part with the signature over these references that `sign` computes.
fn signed(soap: &str, references: &[Reference], method: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> String {
    let mut info = format!(
        "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:CanonicalizationMethod Algorithm=\"{EXC}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{method}\"></ds:SignatureMethod>"
    );
    for Reference { uri, transforms, method, value } in references {
        let uri = if uri == NO_URI { String::new() } else { format!(" URI=\"{uri}\"") };
        info += &format!(
            "<ds:Reference{uri}><ds:Transforms>{transforms}</ds:Transforms><ds:DigestMethod Algorithm=\"{method}\"></ds:DigestMethod>\
             <ds:DigestValue>{value}</ds:DigestValue></ds:Reference>"
        );
    }
    info += "</ds:SignedInfo>";
    with_info(soap, &info, sign)
}

/// The SOAP part with this `ds:SignedInfo`, signed.
fn with_info(soap: &str, info: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> String {
    let value = openssl::base64::encode_block(&sign(canonical(info, "SignedInfo").as_bytes()));
    let old = cut(soap, "ds:Signature");
    let changed = old.replace(cut(old, "ds:SignedInfo"), info);
    let changed = changed.replace(cut(&changed, "ds:SignatureValue"), &format!("<ds:SignatureValue>{value}</ds:SignatureValue>"));
    soap.replace(old, &changed)
}

fn by_sender(octets: &[u8]) -> Vec<u8> {
    let key = PKey::private_key_from_pkcs8(&world().sender.key.to_pkcs8().unwrap()).unwrap();
    Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(octets).unwrap()
}

/// What becomes of the request when the SOAP part, changed first, is signed over these references.
fn outcome(edit: &dyn Fn(&str) -> String, references: &[Reference]) -> Result<(), Refusal> {
    opened(&edited(&world().body, &|soap| signed(&edit(soap), references, RSA, &by_sender))).map(|_| ())
}

fn refused(code: Code, edit: &dyn Fn(&str) -> String, change: &dyn Fn(&mut Vec<Reference>)) {
    outcome(&str::to_owned, &references()).unwrap();
    let mut all = references();
    change(&mut all);
    let refusal = outcome(edit, &all).unwrap_err();
    assert!(refusal.error.is(code), "{refusal}");
}

fn at(references: &[Reference], prefix: &str) -> usize {
    references.iter().position(|r| r.uri.starts_with(prefix)).unwrap()
}

fn whole(soap: &str) -> String {
    soap.to_owned()
}

#[test]
fn an_xpath_or_xslt_transform_is_refused() {
    let filters = [
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>ancestor-or-self::x</ds:XPath></ds:Transform>",
        "<ds:Transform Algorithm=\"http://www.w3.org/2002/06/xmldsig-filter2\"/>",
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/>",
        "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>",
        "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#base64\"/>",
        "<ds:Transform Algorithm=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform\"/>",
    ];
    for filter in filters {
        for replace in [true, false] {
            refused(Code::PolicyNoncompliance, &whole, &|all| {
                let own = at(all, "#messaging");
                // XPath that selects nothing leaves nothing to digest.
                all[own].transforms = if replace { filter.into() } else { format!("{filter}{}", all[own].transforms) };
                all[own].value = digest(MessageDigest::sha256(), b"");
            });
        }
    }
}

#[test]
fn another_transform_of_the_attachment_is_refused() {
    for transform in ["http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Complete-Signature-Transform", EXC, "urn:x"] {
        refused(Code::PolicyNoncompliance, &whole, &|all| {
            let own = at(all, "cid:");
            all[own].transforms = format!("<ds:Transform Algorithm=\"{transform}\"/>");
        });
    }
}

#[test]
fn a_reference_to_the_whole_document_counts_for_nothing() {
    for uri in ["", "#", "#xpointer(/)", "http://127.0.0.1:9/x", "file:///etc/hostname"] {
        refused(Code::FailedAuthentication, &whole, &|all| {
            let own = at(all, "#messaging");
            all[own].uri = uri.into();
        });
    }
}

/// The SOAP part of the good request.
fn soap() -> String {
    let body = String::from_utf8_lossy(&world().body).into_owned();
    body[body.find("<?xml").unwrap()..body.find("</S12:Envelope>").unwrap() + 15].to_owned()
}

#[test]
fn a_pointer_into_the_document_is_no_reference_to_a_place() {
    let id = references().into_iter().find(|r| r.uri.starts_with("#messaging")).unwrap().uri;
    let id = id.trim_start_matches('#');
    for uri in [format!("#xpointer(id('{id}'))"), format!("#xpointer(//*[@wsu:Id='{id}'])"), format!("# {id}"), format!("x#{id}"), NO_URI.into()] {
        refused(Code::FailedAuthentication, &whole, &|all| {
            let own = at(all, "#messaging");
            all[own].uri.clone_from(&uri);
        });
    }
    // A character reference in the URI is the character.
    let mut all = references();
    let own = at(&all, "#messaging");
    all[own].uri = all[own].uri.replace("#messaging", "#&#109;essaging");
    outcome(&whole, &all).unwrap();
}

#[test]
fn a_reference_to_the_signature_or_its_key_stands_for_nothing() {
    let soap = soap();
    let signature = cut(&soap, "ds:Signature").split(" Id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let with_key_info = |soap: &str| {
        let own = cut(soap, "ds:Signature");
        soap.replace(own, &own.replace("<ds:KeyInfo>", "<ds:KeyInfo Id=\"KI-1\">"))
    };
    for uri in [format!("#{signature}"), "#KI-1".into()] {
        // In place of the header's, and beside all.
        refused(Code::FailedAuthentication, &with_key_info, &|all| {
            let own = at(all, "#messaging");
            all[own].uri.clone_from(&uri);
        });
        refused(Code::FailedAuthentication, &with_key_info, &|all| {
            let mut one = all[at(all, "#messaging")].clone();
            one.uri.clone_from(&uri);
            all.push(one);
        });
    }
    // The token, which WS-Security lets a signature cover, may be covered: by its own digest.
    let token = soap.rfind("<wsse:BinarySecurityToken").unwrap();
    let id = soap[token..].split("wsu:Id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let document = Document::parse(soap.as_bytes(), &Limits::of(1 << 20)).unwrap();
    let element = document.elements().filter(|e| e.local() == "BinarySecurityToken").last().unwrap();
    let octets = Canonicalization::exclusive().element(element, Comments::Without, None).unwrap();
    let mut all = references();
    let mut one = all[at(&all, "#messaging")].clone();
    (one.uri, one.value) = (format!("#{id}"), digest(MessageDigest::sha256(), octets.as_bytes()));
    all.push(one.clone());
    outcome(&whole, &all).unwrap();
    refused(Code::FailedAuthentication, &whole, &|all| {
        all.push(Reference { value: digest(MessageDigest::sha256(), b"other"), ..one.clone() });
    });
}

#[test]
fn transforms_count_only_alone_and_at_their_place() {
    let exclusive = format!("<ds:Transform Algorithm=\"{EXC}\"/>");
    let content = "<ds:Transform Algorithm=\"http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform\"/>";
    for (prefix, transforms) in [
        ("#messaging", format!("{exclusive}{exclusive}")),
        ("#messaging", content.to_owned()),
        ("#messaging", format!("{content}{exclusive}")),
        ("#body", format!("{exclusive}{content}")),
        ("cid:", format!("{exclusive}{content}")),
        ("cid:", format!("{content}{exclusive}")),
        ("cid:", format!("{content}{content}")),
        ("cid:", String::new()),
    ] {
        refused(Code::PolicyNoncompliance, &whole, &|all| {
            let own = at(all, prefix);
            all[own].transforms.clone_from(&transforms);
        });
    }
    refused(Code::FailedAuthentication, &whole, &|all| {
        let own = at(all, "#messaging");
        all[own].transforms = format!("{exclusive}</ds:Transforms><ds:Transforms>{exclusive}");
    });
}

#[test]
fn a_signed_info_that_says_two_things_is_refused() {
    let good = cut(&soap(), "ds:SignedInfo").replace("<ds:SignedInfo", "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"");
    let opened_with = |info: &str| opened(&edited(&world().body, &|soap| with_info(soap, info, &by_sender))).map(|_| ());
    opened_with(&good.replace("</ds:SignedInfo>", "\n</ds:SignedInfo>")).unwrap();
    let inclusive = "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/>";
    let digest = "<ds:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\"/>";
    for (what, info, code) in [
        ("two canonicalisations", good.replace("<ds:SignatureMethod", &format!("{inclusive}<ds:SignatureMethod")), Code::FailedAuthentication),
        (
            "two methods",
            good.replacen("<ds:Reference", &format!("<ds:SignatureMethod Algorithm=\"{RSA}\"/><ds:Reference"), 1),
            Code::PolicyNoncompliance,
        ),
        ("two digest methods", good.replacen("<ds:DigestValue>", &format!("{digest}<ds:DigestValue>"), 1), Code::FailedAuthentication),
        ("two digests", good.replacen("<ds:DigestValue>", "<ds:DigestValue>AAAA</ds:DigestValue><ds:DigestValue>", 1), Code::FailedAuthentication),
        ("no canonicalisation", good.replace(cut(&good, "ds:CanonicalizationMethod"), ""), Code::FailedAuthentication),
        ("no references", format!("{}</ds:SignedInfo>", &good[..good.find("<ds:Reference").unwrap()]), Code::FailedAuthentication),
        (
            "references in an Object",
            good.replacen("<ds:Reference", "<ds:Object><ds:Reference", 1).replace("</ds:SignedInfo>", "</ds:Object></ds:SignedInfo>"),
            Code::FailedAuthentication,
        ),
    ] {
        let refusal = opened_with(&info).expect_err(what);
        assert!(refusal.error.is(code), "{what}: {refusal}");
    }
}

/// The header that the edit makes, signed as it then is.
fn header_signed(edit: &dyn Fn(&str) -> String) -> Result<(), Refusal> {
    let value = digest(MessageDigest::sha256(), canonical(&edit(&soap()), "Messaging").as_bytes());
    let mut all = references();
    let own = at(&all, "#messaging");
    all[own].value = value;
    outcome(edit, &all)
}

#[test]
fn two_names_of_one_attachment_do_not_make_two() {
    let second = |uri: &'static str| {
        move |soap: &str| {
            let part = cut(soap, "eb:PartInfo").to_owned();
            soap.replace(&part, &format!("{part}{}", part.replace("cid:message", uri)))
        }
    };
    header_signed(&|soap| soap.replace("href=\"cid:message\"", "href=\"cid:%6dessage\"")).unwrap();
    assert!(header_signed(&second("cid:message")).unwrap_err().error.is(Code::ValueInconsistent));
    assert!(header_signed(&second("cid:%6dessage")).unwrap_err().error.is(Code::ValueInconsistent));
    // Two references to it must both hold.
    let mut all = references();
    let own = at(&all, "cid:");
    let mut again = all[own].clone();
    again.uri = "cid:%6dessage".into();
    all.push(again.clone());
    outcome(&whole, &all).unwrap();
    again.value = digest(MessageDigest::sha256(), b"other");
    all.push(again);
    assert!(outcome(&whole, &all).unwrap_err().error.is(Code::FailedAuthentication));
}

#[test]
fn the_root_part_is_no_attachment() {
    let named = |body: &[u8]| {
        let text = b"Content-Type: application/soap+xml";
        let at = body.windows(text.len()).position(|w| w == text).unwrap();
        [&body[..at], b"Content-ID: <root>\r\n", &body[at..]].concat()
    };
    opened(&named(&world().body)).unwrap();
    let to_root = |soap: &str| soap.replace("cid:message", "cid:root");
    let value = digest(MessageDigest::sha256(), canonical(&to_root(&soap()), "Messaging").as_bytes());
    let mut all = references();
    let (own, part) = (at(&all, "#messaging"), at(&all, "cid:"));
    all[own].value = value;
    all[part].uri = "cid:root".into();
    let body = edited(&world().body, &|soap| signed(&to_root(soap), &all, RSA, &by_sender));
    assert!(opened(&named(&body)).unwrap_err().error.is(Code::MimeInconsistency));
}

#[test]
fn the_header_must_be_covered_by_its_own_reference() {
    refused(Code::PolicyNoncompliance, &whole, &|all| {
        let own = at(all, "#messaging");
        all.remove(own);
    });
}

#[test]
fn a_filled_body_must_be_covered() {
    let filled = |soap: &str| soap.replace(cut(soap, "S12:Body"), "<S12:Body>text</S12:Body>");
    refused(Code::PolicyNoncompliance, &filled, &|all| {
        let own = at(all, "#body");
        all.remove(own);
    });
}

#[test]
fn the_attachment_must_be_covered() {
    refused(Code::PolicyNoncompliance, &whole, &|all| {
        let own = at(all, "cid:");
        all.remove(own);
    });
}

#[test]
fn an_unsigned_attachment_beside_the_signed_one_is_refused() {
    let two = |soap: &str| {
        let part = cut(soap, "eb:PartInfo").to_owned();
        soap.replace(&part, &format!("{part}{}", part.replace("cid:message", "cid:other")))
    };
    let soap = String::from_utf8_lossy(&world().body).into_owned();
    let changed = two(&soap[soap.find("<?xml").unwrap()..soap.find("</S12:Envelope>").unwrap() + 15]);
    let messaging = digest(MessageDigest::sha256(), canonical(&changed, "Messaging").as_bytes());
    refused(Code::PolicyNoncompliance, &two, &|all| {
        let own = at(all, "#messaging");
        all[own].value.clone_from(&messaging);
    });
}

#[test]
fn a_signature_over_an_attachment_that_is_not_there_is_refused() {
    refused(Code::FailedAuthentication, &whole, &|all| {
        let own = at(all, "cid:");
        let mut other = all[own].clone();
        other.uri = "cid:other".into();
        all.push(other);
    });
}

#[test]
fn a_digest_of_sha_1_or_md5_is_refused() {
    let methods = [
        ("http://www.w3.org/2000/09/xmldsig#sha1", MessageDigest::sha1()),
        ("http://www.w3.org/2001/04/xmldsig-more#md5", MessageDigest::md5()),
        ("urn:none", MessageDigest::sha256()),
    ];
    for (uri, method) in methods {
        refused(Code::PolicyNoncompliance, &whole, &|all| {
            let soap = String::from_utf8_lossy(&world().body).into_owned();
            let soap = &soap[soap.find("<?xml").unwrap()..soap.find("</S12:Envelope>").unwrap() + 15];
            let own = at(all, "#messaging");
            all[own].method = uri.into();
            all[own].value = digest(method, canonical(soap, "Messaging").as_bytes());
        });
    }
}

#[test]
fn more_references_than_any_message_needs_are_refused() {
    refused(Code::FailedAuthentication, &whole, &|all| {
        let own = at(all, "#messaging");
        let one = all[own].clone();
        all.extend(std::iter::repeat_n(one, 20));
    });
}

/// The public key is known to everyone: as the key of an HMAC it makes a signature that anyone can write.
#[test]
fn an_hmac_with_the_public_key_is_refused() {
    outcome(&str::to_owned, &references()).unwrap();
    let public = world().sender.certificate.public_key().unwrap();
    for secret in [public.public_key_to_der().unwrap(), public.public_key_to_pem().unwrap(), world().sender.certificate.der().to_vec()] {
        let hmac = |octets: &[u8]| {
            let key = PKey::hmac(&secret).unwrap();
            Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(octets).unwrap()
        };
        for method in ["http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"] {
            let body = edited(&world().body, &|soap| signed(soap, &references(), method, &hmac));
            let refusal = opened(&body).unwrap_err();
            assert!(refusal.error.is(Code::PolicyNoncompliance), "{refusal}");
        }
        let body = edited(&world().body, &|soap| signed(soap, &references(), RSA, &hmac));
        assert!(opened(&body).unwrap_err().error.is(Code::FailedAuthentication));
    }
}

#[test]
fn the_digest_must_be_that_of_the_method() {
    refused(Code::FailedAuthentication, &whole, &|all| {
        let own = at(all, "#messaging");
        all[own].method = "http://www.w3.org/2001/04/xmlenc#sha512".into();
    });
    assert!(references().iter().all(|r| r.method == SHA256));
}
