//! Looking at signatures and encryption without asking that anything of them holds.

use super::super::envelope::Envelope;
use super::super::error::EbmsError;
use super::encryption::{Decryption, decryption, encrypted_key};
use super::token::{decode, key};
use super::verify::{canonicalise, check, references, verify};
use super::{Reference, SignedReference};
use crate::crypto::{Certificate, DS, Identity, KeyReference, Oaep, SignatureAlgorithm, XENC};
use crate::xml::Element;

/// A signature as it was found; nothing of it needs to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSignature {
    /// The `Algorithm` of SignatureMethod.
    pub algorithm: String,
    /// The `Algorithm` of CanonicalizationMethod.
    pub canonicalization: String,
    /// How the signer's certificate is named; `None` when in no way that is known.
    pub named: Option<KeyReference>,
    /// The signer's certificate, when it came along or is known.
    pub signer: Option<Certificate>,
    /// Whether the signature value is of the signer's key; `None` where that cannot be computed.
    pub value: Option<bool>,
    /// What it covers.
    pub references: Vec<FoundReference>,
    /// Why the signature does not count; `None` when it does (attachments apart).
    pub refused: Option<EbmsError>,
}

/// One reference of a signature that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundReference {
    /// Its values.
    pub reference: Reference,
    /// What became of it.
    pub digest: DigestFound,
}

/// What became of a reference's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DigestFound {
    /// It is that of what it names.
    Matches,
    /// It is not, or the reference is not accepted.
    Refused(String),
    /// What it names could not be read (an attachment that cannot be decrypted).
    Unknown,
}

/// An encrypted attachment as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEncryption {
    /// What is encrypted, as written.
    pub uri: String,
    /// The `Algorithm` of the encryption.
    pub algorithm: String,
    /// The `Algorithm` of the key transport.
    pub transport: String,
    /// The digest and the mask's digest of RSA-OAEP, as `Algorithm` URIs; `None` when they are not accepted.
    pub oaep: Option<(&'static str, &'static str)>,
    /// How the recipient's certificate is named.
    pub recipient: Option<KeyReference>,
    /// The one of our certificates that this names.
    pub ours: Option<Certificate>,
}

/// The envelope's first signature.
pub(in super::super) fn signature(envelope: &Envelope<'_>, known: &dyn Fn(&KeyReference) -> Option<Certificate>) -> Option<FoundSignature> {
    const ALL: [SignatureAlgorithm; 3] = [SignatureAlgorithm::RsaSha256, SignatureAlgorithm::RsaSha384, SignatureAlgorithm::RsaSha512];
    let security = envelope.security?;
    let signature = security.child(DS, "Signature")?;
    let info = signature.child(DS, "SignedInfo");
    let algorithm = |local| info.and_then(|info| info.child(DS, local)).and_then(|e| e.attribute("Algorithm")).unwrap_or_default();
    let named = signature.child(DS, "KeyInfo").and_then(|key_info| key(key_info, security)).map(|(named, _)| named);
    let signer = named.as_ref().and_then(|named| match named {
        KeyReference::Certificate(certificate) => Some((**certificate).clone()),
        other => known(other).filter(|found| other.names(found)),
    });
    let verifies = || {
        let canonical = canonicalise(info?.child(DS, "CanonicalizationMethod")?, info?).ok()?;
        let value = decode(&signature.child(DS, "SignatureValue")?.text())?;
        let method = SignatureAlgorithm::from_uri(algorithm("SignatureMethod"))?;
        Some(signer.as_ref()?.verifies(method, canonical.as_bytes(), &value))
    };
    let found = |(signed, element): (SignedReference, Element<'_>)| {
        let digest = match check(envelope, &signed.reference, element) {
            Err(error) => DigestFound::Refused(error.description),
            Ok(()) if signed.reference.uri.starts_with("cid:") => DigestFound::Unknown,
            Ok(()) => DigestFound::Matches,
        };
        FoundReference { reference: signed.reference, digest }
    };
    let all = info.and_then(|info| Some(references(info).ok()?.into_iter().zip(info.named(DS, "Reference")).map(found).collect()));
    Some(FoundSignature {
        algorithm: algorithm("SignatureMethod").to_owned(),
        canonicalization: algorithm("CanonicalizationMethod").to_owned(),
        value: verifies(),
        references: all.unwrap_or_default(),
        refused: verify(envelope, known, &ALL).err(),
        named,
        signer,
    })
}

/// Every EncryptedData of the envelope.
pub(in super::super) fn encryptions(envelope: &Envelope<'_>, keys: &[Identity]) -> Vec<FoundEncryption> {
    let Some(security) = envelope.security else { return Vec::new() };
    let method = |e: Element<'_>| e.child(XENC, "EncryptionMethod").and_then(|method| method.attribute("Algorithm")).unwrap_or_default().to_owned();
    let found = |data: Element<'_>| {
        let wrapped = encrypted_key(data, security, keys);
        let recipient = wrapped.and_then(|e| e.child(DS, "KeyInfo")).and_then(|info| key(info, security)).map(|(named, _)| named);
        FoundEncryption {
            uri: uri(data).unwrap_or_default().to_owned(),
            algorithm: method(data),
            transport: wrapped.map(method).unwrap_or_default(),
            oaep: wrapped.and_then(Oaep::declared).map(|oaep| (oaep.digest.uri(), oaep.mask.uri())),
            ours: keys.iter().find(|own| recipient.as_ref().is_some_and(|named| named.names(&own.certificate))).map(|own| own.certificate.clone()),
            recipient,
        }
    };
    security.named(XENC, "EncryptedData").take(16).map(found).collect()
}

/// How the attachment that `names` accepts the URI of is decrypted; `None` when it is not encrypted.
pub(in super::super) fn decryption_of(
    envelope: &Envelope<'_>,
    keys: &[Identity],
    names: &dyn Fn(&str) -> bool,
) -> Option<Result<Decryption, EbmsError>> {
    let security = envelope.security?;
    let data = security.named(XENC, "EncryptedData").find(|data| uri(*data).is_some_and(names))?;
    Some(decryption(data, security, keys))
}

fn uri(data: Element<'_>) -> Option<&str> {
    data.child(XENC, "CipherData")?.child(XENC, "CipherReference")?.attribute("URI")
}
