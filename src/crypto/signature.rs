//! Enveloped XML signatures over a whole document: the XHE's (SDK C3.2.2 3.5) and the SMP's (SDK C3.4.1).
//!
//! Everything that a signature may say is checked on our own tree before libxmlsec1 sees the bytes: one signature, a
//! child of the root, over the whole document, with algorithms of the lists below. What then verifies is the document
//! that [`SignedBy::document`] holds, all of it but the signature itself.

use super::xmlsec;
use super::{Certificate, CertificateError, DS, Identity, LibraryError, sha256};
use crate::ident::Sha256;
use crate::xml::{Document, Element, Limits, Writer, XmlError};

const C14N: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
/// Canonical forms that are read. The forms with comments are left out: `URI=""` drops comments before them anyway.
const CANONICAL: [&str; 3] = [C14N, "http://www.w3.org/2006/12/xml-c14n11", EXC_C14N];
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
/// Signature methods that are read; SHA-1, HMAC and everything else is refused.
const METHODS: [&str; 3] = [RSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"];
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
/// Digest methods that are read.
const DIGESTS: [&str; 3] = [SHA256, "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512"];
/// More certificates than any chain has.
const MAX_CERTIFICATES: usize = 10;

/// Why a document cannot be signed, or its signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlSecError {
    /// The document itself is refused.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// There is no signature that is a child of the root element.
    #[error("the document has no signature of its own")]
    NoSignature,
    /// There is more than one signature, or one elsewhere than as a child of the root element.
    #[error("the document has {0} signatures")]
    ManySignatures(usize),
    /// The one signature is not a child of the root element.
    #[error("the signature is not a child of the root element")]
    Misplaced,
    /// The signature says something that is not accepted.
    #[error("the signature's {0} is not accepted")]
    Refused(&'static str),
    /// The signer's certificate cannot be read.
    #[error("the signature's certificate cannot be read")]
    Certificate(#[from] CertificateError),
    /// The signature does not belong to this document and this certificate.
    #[error("the signature does not hold")]
    Mismatch,
    /// The library failed.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

/// Who signed a document, once the signature holds. Whether the certificate is to be trusted is for others to judge.
#[derive(Debug)]
pub struct SignedBy {
    /// The certificate whose key made the signature.
    pub certificate: Certificate,
    /// The other certificates that the signature carries.
    pub intermediates: Vec<Certificate>,
    /// SHA-256 of the signature's octets: which signature this was, for the log.
    pub signature_value_digest: Sha256,
    /// The document that is signed, signature included.
    pub document: Document,
}

/// Appends an enveloped signature over the whole document as the last child of its root element.
///
/// The octets before the root's end tag stay as they are. Written are canonical XML 1.0, RSA-SHA256, SHA-256 and the
/// signer's certificate (SDK C3.2.2 3.5.2).
///
/// # Errors
/// [`XmlSecError`] when the document is not well-formed, is signed already or the library fails.
pub fn sign_enveloped(xml: &[u8], signer: &Identity) -> Result<Vec<u8>, XmlSecError> {
    let xml = without_mark(xml);
    let document = Document::parse(xml, &Limits::of(xml.len()))?;
    let signatures = document.elements().filter(|e| e.is(DS, "Signature")).count();
    if signatures > 0 {
        return Err(XmlSecError::ManySignatures(signatures + 1));
    }
    let end = document.root().source().end;
    drop(document);
    // The end tag is the last markup of the root; an attribute value cannot hold `<`.
    let root = xml.get(..end).unwrap_or(xml);
    let at = root.windows(2).rposition(|pair| pair == b"</").ok_or(XmlSecError::Refused("document without content"))?;
    let (before, after) = xml.split_at_checked(at).unwrap_or((xml, &[]));
    let splice = |signature: String| [before, signature.as_bytes(), after].concat();
    let values = xmlsec::sign(&splice(signature("", "", None)), &signer.key)?;
    Ok(splice(signature(&values.digest, &values.value, Some(signer))))
}

/// Writes the signature. Without `signer` it has no `KeyInfo`, which is not part of what is signed.
fn signature(digest: &str, value: &str, signer: Option<&Identity>) -> String {
    let mut w = Writer::new();
    w.open("ds:Signature").attribute("xmlns:ds", DS);
    w.open("ds:SignedInfo");
    w.open("ds:CanonicalizationMethod").attribute("Algorithm", C14N).close();
    w.open("ds:SignatureMethod").attribute("Algorithm", RSA_SHA256).close();
    w.open("ds:Reference").attribute("URI", "");
    w.open("ds:Transforms");
    w.open("ds:Transform").attribute("Algorithm", ENVELOPED).close();
    w.open("ds:Transform").attribute("Algorithm", C14N).close();
    w.close();
    w.open("ds:DigestMethod").attribute("Algorithm", SHA256).close();
    w.leaf("ds:DigestValue", digest);
    w.close().close();
    w.leaf("ds:SignatureValue", value);
    if let Some(signer) = signer {
        w.open("ds:KeyInfo").open("ds:X509Data").leaf("ds:X509Certificate", &signer.certificate.to_base64());
    }
    w.finish()
}

/// Verifies the one signature of a document with the certificate that it carries.
///
/// # Errors
/// [`XmlSecError`]; nothing of the document is to be believed then.
pub fn verify_enveloped(xml: &[u8], limits: &Limits) -> Result<SignedBy, XmlSecError> {
    let document = Document::parse(xml, limits)?;
    let signature = own_signature(&document)?;
    check_signed_info(signature)?;
    let value: Vec<u8> = only(signature, "SignatureValue")?.text().bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let (certificate, intermediates) = certificates(signature)?;
    let bits = certificate.public_key()?.rsa().map_or(0, |key| key.size() * 8);
    if bits < 2048 {
        return Err(XmlSecError::Refused("key"));
    }
    // libxml2 gets the very octets that our reader accepted; a byte order mark is not part of the document.
    if !xmlsec::verify(without_mark(xml), &certificate)? {
        return Err(XmlSecError::Mismatch);
    }
    Ok(SignedBy { certificate, intermediates, signature_value_digest: sha256(&value), document })
}

/// The signature that is a child of the root, when there is no other anywhere.
fn own_signature(document: &Document) -> Result<Element<'_>, XmlSecError> {
    let mut all = document.elements().filter(|e| e.is(DS, "Signature"));
    let first = all.next().ok_or(XmlSecError::NoSignature)?;
    let more = all.count();
    if more > 0 {
        return Err(XmlSecError::ManySignatures(more + 1));
    }
    if first.parent() == Some(document.root()) { Ok(first) } else { Err(XmlSecError::Misplaced) }
}

fn check_signed_info(signature: Element<'_>) -> Result<(), XmlSecError> {
    let refused = XmlSecError::Refused;
    exactly(signature, &["SignedInfo", "SignatureValue", "KeyInfo"], "structure")?;
    let info = only(signature, "SignedInfo")?;
    exactly(info, &["CanonicalizationMethod", "SignatureMethod", "Reference"], "structure, which must have one reference,")?;
    let canonical = only(info, "CanonicalizationMethod")?;
    if !is_canonical(canonical) {
        return Err(refused("canonicalization method"));
    }
    let method = only(info, "SignatureMethod")?;
    if !METHODS.contains(&algorithm(method)) || method.elements().next().is_some() {
        return Err(refused("signature method"));
    }
    let reference = only(info, "Reference")?;
    // SDK C3.2.2 3.5: the whole envelope is signed; an absent URI would leave it to the application what is.
    if reference.attribute("URI") != Some("") {
        return Err(refused("reference to something else than the whole document"));
    }
    exactly(reference, &["Transforms", "DigestMethod", "DigestValue"], "reference")?;
    let mut transforms = only(reference, "Transforms")?.elements();
    let enveloped = transforms.next().is_some_and(|t| t.is(DS, "Transform") && algorithm(t) == ENVELOPED && t.elements().next().is_none());
    // With enveloped-signature alone the form is canonical XML 1.0 (XML Signature 4.4.3.2), as Digg's own vector has it.
    let canonical = transforms.next().is_none_or(|t| t.is(DS, "Transform") && is_canonical(t));
    if !enveloped || !canonical || transforms.next().is_some() {
        return Err(refused("list of transforms"));
    }
    let digest = only(reference, "DigestMethod")?;
    if !DIGESTS.contains(&algorithm(digest)) || digest.elements().next().is_some() {
        return Err(refused("digest method"));
    }
    Ok(())
}

/// A canonical form of the list, with nothing inside but the prefixes of exclusive canonicalisation.
fn is_canonical(element: Element<'_>) -> bool {
    let name = algorithm(element);
    CANONICAL.contains(&name) && element.elements().all(|inner| name == EXC_C14N && inner.is(EXC_C14N, "InclusiveNamespaces"))
}

fn algorithm(element: Element<'_>) -> &str {
    element.attribute("Algorithm").unwrap_or_default()
}

/// Checks that the child elements are these of XML Signature, each once, in this order.
fn exactly(parent: Element<'_>, names: &[&str], what: &'static str) -> Result<(), XmlSecError> {
    let mut children = parent.elements();
    let all = names.iter().all(|name| children.next().is_some_and(|child| child.is(DS, name)));
    if all && children.next().is_none() { Ok(()) } else { Err(XmlSecError::Refused(what)) }
}

fn only<'a>(parent: Element<'a>, name: &str) -> Result<Element<'a>, XmlSecError> {
    parent.only(DS, name).ok_or(XmlSecError::Refused("structure"))
}

/// The signer's certificate and the rest. Their order is free (XML Signature 4.5.4): the signer's is the one that issued
/// none of the others.
fn certificates(signature: Element<'_>) -> Result<(Certificate, Vec<Certificate>), XmlSecError> {
    let info = only(signature, "KeyInfo")?;
    let elements = info.named(DS, "X509Data").flat_map(|data| data.named(DS, "X509Certificate"));
    let elements: Vec<_> = elements.take(MAX_CERTIFICATES + 1).collect();
    if elements.is_empty() || elements.len() > MAX_CERTIFICATES {
        return Err(XmlSecError::Refused("number of certificates"));
    }
    let mut all = elements.iter().map(|e| Certificate::from_any(e.text().as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let name = |name: &openssl::x509::X509NameRef| name.to_der().unwrap_or_default();
    let issued_none = |one: &Certificate| {
        let subject = name(one.x509().subject_name());
        all.iter().all(|other| other == one || name(other.x509().issuer_name()) != subject)
    };
    let own = all.iter().position(issued_none).unwrap_or(0);
    let own = all.remove(own);
    Ok((own, all))
}

fn without_mark(xml: &[u8]) -> &[u8] {
    xml.strip_prefix(b"\xef\xbb\xbf").unwrap_or(xml)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::identity;

    const LIMITS: Limits = Limits::of(100_000);
    const PLAIN: &str =
        "\u{feff}<?xml version=\"1.0\"?>\n<!-- before --><r xmlns='urn:r' xmlns:b='urn:b' b:y='2' a='1'><b:c>å&amp;<!-- c --></b:c>\r\n</r>\n";

    fn signed() -> (String, Identity) {
        let signer = identity("signer");
        (String::from_utf8(sign_enveloped(PLAIN.as_bytes(), &signer).unwrap()).unwrap(), signer)
    }

    fn refusal(xml: &str) -> XmlSecError {
        verify_enveloped(xml.as_bytes(), &LIMITS).unwrap_err()
    }

    #[test]
    fn a_signed_document_verifies_and_names_its_signer() {
        let (xml, signer) = signed();
        let by = verify_enveloped(xml.as_bytes(), &LIMITS).unwrap();
        assert_eq!(by.certificate, signer.certificate);
        assert!(by.intermediates.is_empty());
        assert!(xml.starts_with(PLAIN.strip_prefix('\u{feff}').unwrap().strip_suffix("</r>\n").unwrap()));
    }

    #[test]
    fn a_changed_document_does_not_verify() {
        let (xml, _) = signed();
        for (from, to) in [("a='1'", "a='2'"), ("å&amp;", "ä&amp;"), ("xmlns:b='urn:b'", "xmlns:b='urn:c'"), ("\r\n<ds", "<ds")] {
            assert!(xml.contains(from), "{from}");
            assert_eq!(refusal(&xml.replacen(from, to, 1)), XmlSecError::Mismatch, "{from}");
        }
        let value = xml.find("SignatureValue>").unwrap() + 20;
        let mut bytes = xml.clone().into_bytes();
        bytes[value] = if bytes[value] == b'A' { b'B' } else { b'A' };
        assert_eq!(verify_enveloped(&bytes, &LIMITS).unwrap_err(), XmlSecError::Mismatch);
        // A comment is not part of what URI="" signs, and none of our readers looks at one.
        verify_enveloped(xml.replacen("<!-- c -->", "<!-- d -->", 1).as_bytes(), &LIMITS).unwrap();
    }

    #[test]
    fn another_certificate_does_not_verify() {
        let (xml, signer) = signed();
        let other = identity("other");
        assert_eq!(refusal(&xml.replace(&signer.certificate.to_base64(), &other.certificate.to_base64())), XmlSecError::Mismatch);
    }

    #[test]
    fn only_one_signature_and_only_under_the_root() {
        let (xml, signer) = signed();
        assert_eq!(refusal(PLAIN), XmlSecError::NoSignature);
        assert_eq!(sign_enveloped(xml.as_bytes(), &signer).unwrap_err(), XmlSecError::ManySignatures(2));
        let start = xml.find("<ds:Signature ").unwrap();
        let end = xml.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
        let signature = &xml[start..end];
        assert_eq!(refusal(&format!("{}{signature}{}", &xml[..end], &xml[end..])), XmlSecError::ManySignatures(2));
        assert_eq!(refusal(&format!("{}<w>{signature}</w>{}", &xml[..start], &xml[end..])), XmlSecError::Misplaced);
        assert_eq!(refusal(&format!("<w>{}</w>", xml.strip_prefix("<?xml version=\"1.0\"?>").unwrap())), XmlSecError::Misplaced);
    }

    #[test]
    fn weak_or_dangerous_algorithms_are_refused_before_anything_is_computed() {
        let (xml, _) = signed();
        let cases = [
            (RSA_SHA256, "http://www.w3.org/2000/09/xmldsig#rsa-sha1", "signature method"),
            (RSA_SHA256, "http://www.w3.org/2000/09/xmldsig#hmac-sha1", "signature method"),
            (SHA256, "http://www.w3.org/2000/09/xmldsig#sha1", "digest method"),
            ("URI=\"\"", "URI=\"http://127.0.0.1:9/x\"", "reference to something else than the whole document"),
            ("URI=\"\"", "URI=\"file:///etc/passwd\"", "reference to something else than the whole document"),
            ("URI=\"\"", "URI=\"#x\"", "reference to something else than the whole document"),
            ("URI=\"\"", "", "reference to something else than the whole document"),
            (ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116", "list of transforms"),
            (ENVELOPED, "http://www.w3.org/TR/1999/REC-xpath-19991116", "list of transforms"),
            (C14N, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments", "canonicalization method"),
            ("<ds:SignatureValue>", "<ds:Object/><ds:SignatureValue>", "structure"),
        ];
        for (from, to, what) in cases {
            assert_eq!(refusal(&xml.replacen(from, to, 1)), XmlSecError::Refused(what), "{to}");
        }
        let (from, to) = (xml.find("<ds:Reference").unwrap(), xml.find("</ds:SignedInfo>").unwrap());
        let twice = format!("{}{}{}", &xml[..to], &xml[from..to], &xml[to..]);
        assert_eq!(refusal(&twice), XmlSecError::Refused("structure, which must have one reference,"));
    }

    #[test]
    fn a_document_type_declaration_is_refused() {
        let (xml, _) = signed();
        assert_eq!(refusal(&xml.replacen("<!-- before -->", "<!DOCTYPE r>", 1)), XmlSecError::Xml(XmlError::Dtd));
    }

    #[test]
    fn threads_sign_and_verify_at_once() {
        let signer = identity("signer");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let xml = sign_enveloped(PLAIN.as_bytes(), &signer).unwrap();
                    assert_eq!(verify_enveloped(&xml, &LIMITS).unwrap().certificate, signer.certificate);
                });
            }
        });
    }
}
