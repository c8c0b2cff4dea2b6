//! How a header names a certificate: by a token that came along, by key identifier, by issuer and serial number.

use base64::prelude::*;

use super::super::envelope::has_id;
use super::super::names::{SKI, THUMBPRINT, WSSE, X509_PATH, X509V3};
use crate::crypto::{Certificate, DS, KeyReference};
use crate::xml::Element;

/// Base64 without its white space; Domibus writes `&#xd;` into it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_whitespace().collect();
    BASE64_STANDARD.decode(compact).ok()
}

/// The certificate that a `ds:KeyInfo` names, and the chain that came along; `None` when it names none in a way that is
/// known. Tokens are looked for among the children of `wsse:Security` only.
pub(super) fn key(key_info: Element<'_>, security: Element<'_>) -> Option<(KeyReference, Vec<Certificate>)> {
    let at = key_info.only(WSSE, "SecurityTokenReference").unwrap_or(key_info);
    if let Some(reference) = at.child(WSSE, "Reference") {
        let id = reference.attribute("URI")?.strip_prefix('#')?;
        let token = security.elements().find(|e| e.is(WSSE, "BinarySecurityToken") && has_id(*e, id))?;
        return certificates(&decode(&token.text())?, token.attribute("ValueType").unwrap_or(X509V3));
    }
    if let Some(identifier) = at.child(WSSE, "KeyIdentifier") {
        let octets = decode(&identifier.text())?;
        return match identifier.attribute("ValueType")? {
            SKI => Some((KeyReference::SubjectKeyIdentifier(octets), Vec::new())),
            THUMBPRINT => Some((KeyReference::Thumbprint(octets), Vec::new())),
            kind => certificates(&octets, kind),
        };
    }
    let data = at.child(DS, "X509Data")?;
    if let Some(certificate) = data.child(DS, "X509Certificate") {
        return certificates(&decode(&certificate.text())?, X509V3);
    }
    if let Some(pair) = data.child(DS, "X509IssuerSerial") {
        let text = |local| pair.only(DS, local).map(|e| e.trimmed());
        return Some((KeyReference::IssuerSerial { issuer: text("X509IssuerName")?, serial: text("X509SerialNumber")? }, Vec::new()));
    }
    Some((KeyReference::SubjectKeyIdentifier(decode(&data.child(DS, "X509SKI")?.text())?), Vec::new()))
}

fn certificates(octets: &[u8], kind: &str) -> Option<(KeyReference, Vec<Certificate>)> {
    let mut path = match kind {
        X509V3 => vec![Certificate::from_der(octets).ok()?],
        X509_PATH => Certificate::path_from_der(octets).ok()?,
        _ => return None,
    }
    .into_iter();
    Some((KeyReference::Certificate(Box::new(path.next()?)), path.collect()))
}
