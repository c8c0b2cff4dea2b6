//! Verifying: a signature counts for what stands at its place, not for what an id can be made to name.

use jiff::{SignedDuration, Timestamp};

use super::super::envelope::Envelope;
use super::super::error::{Code, EbmsError};
use super::super::names::{CONTENT_SIGNATURE, EXC_C14N, WSU};
use super::token::{decode, key};
use super::{Reference, Signature, SignedReference};
use crate::crypto::{Certificate, DS, Digest, KeyReference, SignatureAlgorithm, sha256};
use crate::xml::{Canonicalization, Comments, Element};

/// References of one signature; AS4 needs three.
const REFERENCES: usize = 16;
/// Prefixes of one PrefixList.
const PREFIXES: usize = 32;
/// How far two clocks may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

fn failed(why: &str) -> EbmsError {
    EbmsError::new(Code::FailedAuthentication, why.to_owned())
}

fn policy(why: &str) -> EbmsError {
    EbmsError::new(Code::PolicyNoncompliance, why.to_owned())
}

/// Verifies the envelope's signature: its value, and the digests of everything that is not an attachment.
///
/// `eb:Messaging` must be covered, and the Body too unless it is empty (AS4 5.1.4, 5.1.5). The digests of attachments are
/// for the caller to compare, by the references.
pub(in super::super) fn verify(
    envelope: &Envelope<'_>,
    known: &dyn Fn(&KeyReference) -> Option<Certificate>,
    allowed: &[SignatureAlgorithm],
) -> Result<Option<Signature>, EbmsError> {
    let Some(security) = envelope.security else { return Ok(None) };
    let Some(signature) = security.child(DS, "Signature") else { return Ok(None) };
    if security.only(DS, "Signature").is_none() {
        return Err(failed("There is more than one signature"));
    }
    let (Some(signed_info), Some(value), Some(key_info)) =
        (signature.only(DS, "SignedInfo"), signature.only(DS, "SignatureValue"), signature.only(DS, "KeyInfo"))
    else {
        return Err(failed("The signature is incomplete"));
    };
    let method = signed_info.only(DS, "SignatureMethod").and_then(|e| e.attribute("Algorithm")).unwrap_or_default();
    let algorithm = SignatureAlgorithm::from_uri(method).filter(|own| allowed.contains(own));
    let algorithm = algorithm.ok_or_else(|| policy("The signature's algorithm is not accepted"))?;
    let (named, chain) = key(key_info, security).ok_or_else(|| failed("The signing certificate is not named in a known way"))?;
    let signer = match named {
        KeyReference::Certificate(certificate) => *certificate,
        other => known(&other).filter(|found| other.names(found)).ok_or_else(|| failed("The signing certificate is not known here"))?,
    };
    let method = signed_info.only(DS, "CanonicalizationMethod").ok_or_else(|| failed("The signature has no canonicalisation"))?;
    let canonical = canonicalise(method, signed_info)?;
    let value = decode(&value.text()).ok_or_else(|| failed("The signature value is not base64"))?;
    if !signer.verifies(algorithm, canonical.as_bytes(), &value) {
        return Err(failed("The signature does not verify"));
    }
    let references = references(signed_info)?;
    for (signed, element) in references.iter().zip(signed_info.named(DS, "Reference")) {
        check(envelope, &signed.reference, element)?;
    }
    let covers = |element: Element<'_>| {
        references.iter().any(|signed| signed.reference.uri.strip_prefix('#').and_then(|id| envelope.resolve(id)) == Some(element))
    };
    if !covers(envelope.messaging) {
        return Err(policy("The signature does not cover eb:Messaging"));
    }
    if !covers(envelope.body) && envelope.body.children().next().is_some() {
        return Err(policy("The signature does not cover the SOAP Body"));
    }
    Ok(Some(Signature { signer, chain, references, digest: sha256(&value) }))
}

/// Reads every `ds:Reference` below an element, which is a `ds:SignedInfo` or part of a receipt.
pub(in super::super) fn references(parent: Element<'_>) -> Result<Vec<SignedReference>, EbmsError> {
    let elements: Vec<Element<'_>> = parent.named(DS, "Reference").take(REFERENCES + 1).collect();
    if elements.is_empty() || elements.len() > REFERENCES {
        return Err(failed("The number of references is not acceptable"));
    }
    elements.into_iter().map(read).collect()
}

fn read(element: Element<'_>) -> Result<SignedReference, EbmsError> {
    let broken = || failed("A reference is incomplete");
    let algorithm = |e: Element<'_>| e.attribute("Algorithm").map(str::to_owned);
    if element.named(DS, "Transforms").count() > 1 {
        return Err(failed("A reference has two lists of transforms"));
    }
    let transforms = element.child(DS, "Transforms").map(|all| all.elements().map(|e| algorithm(e).ok_or_else(broken)).collect::<Result<_, _>>());
    let digest = element.only(DS, "DigestValue").ok_or_else(broken)?.text().split_whitespace().collect();
    Ok(SignedReference {
        reference: Reference {
            uri: element.attribute("URI").ok_or_else(broken)?.to_owned(),
            transforms: transforms.transpose()?.unwrap_or_default(),
            digest_method: element.only(DS, "DigestMethod").and_then(algorithm).ok_or_else(broken)?,
            digest_value: digest,
        },
        xml: Canonicalization::exclusive().element(element, Comments::Without, None).map_err(|_| broken())?,
    })
}

/// Checks one reference; of an attachment only that its form is acceptable.
pub(super) fn check(envelope: &Envelope<'_>, reference: &Reference, element: Element<'_>) -> Result<(), EbmsError> {
    let digest = accepted_digest(reference)?;
    if reference.uri.starts_with("cid:") {
        return match reference.transforms.as_slice() {
            [transform] if transform == CONTENT_SIGNATURE => Ok(()),
            _ => Err(policy("An attachment's signature transform is not accepted")),
        };
    }
    let target = reference.uri.strip_prefix('#').and_then(|id| envelope.resolve(id));
    let target = target.ok_or_else(|| failed("A reference names nothing that may be signed at its place"))?;
    let transforms: Vec<Element<'_>> = element.child(DS, "Transforms").into_iter().flat_map(|all| all.elements()).collect();
    let octets = match transforms.as_slice() {
        [transform] => canonicalise(*transform, target)?,
        [] => Canonicalization::Inclusive.element(target, Comments::Without, None).map_err(|_| policy("A transform is not accepted"))?,
        _ => return Err(policy("A transform is not accepted")),
    };
    let own = digest.of(octets.as_bytes()).map_err(|_| failed("A digest cannot be computed"))?;
    if decode(&reference.digest_value).as_deref() == Some(&own) { Ok(()) } else { Err(failed("The digest of a signed part differs")) }
}

/// The digest of a reference, which may not be SHA-1.
pub(in super::super) fn accepted_digest(reference: &Reference) -> Result<Digest, EbmsError> {
    Digest::from_uri(&reference.digest_method)
        .filter(|digest| *digest != Digest::Sha1)
        .ok_or_else(|| policy("The digest of a reference is not accepted"))
}

/// Canonicalises an element as a CanonicalizationMethod or Transform says, InclusiveNamespaces included.
pub(super) fn canonicalise(method: Element<'_>, target: Element<'_>) -> Result<String, EbmsError> {
    let refused = || policy("A canonicalisation is not accepted");
    let (mut form, comments) = method.attribute("Algorithm").and_then(Canonicalization::from_uri).ok_or_else(refused)?;
    if let Canonicalization::Exclusive { prefixes } = &mut form
        && let Some(list) = method.child(EXC_C14N, "InclusiveNamespaces")
    {
        prefixes.extend(list.attribute("PrefixList").unwrap_or_default().split_whitespace().take(PREFIXES + 1).map(str::to_owned));
        if prefixes.len() > PREFIXES {
            return Err(refused());
        }
    }
    form.element(target, comments, None).map_err(|_| refused())
}

/// Checks the `wsu:Timestamp` when there is one; SDK's peers write none.
pub(in super::super) fn check_timestamp(envelope: &Envelope<'_>, at: Timestamp) -> Result<(), EbmsError> {
    let Some(security) = envelope.security else { return Ok(()) };
    let Some(timestamp) = security.child(WSU, "Timestamp") else { return Ok(()) };
    let moment = |local| {
        timestamp
            .child(WSU, local)
            .map(|e| e.trimmed().parse::<Timestamp>().map_err(|_| failed("The security timestamp is not readable")))
            .transpose()
    };
    if moment("Created")?.is_some_and(|created| created > at.saturating_add(SKEW).unwrap_or(Timestamp::MAX)) {
        return Err(failed("The security timestamp lies in the future"));
    }
    if moment("Expires")?.is_some_and(|expires| expires < at.saturating_sub(SKEW).unwrap_or(Timestamp::MIN)) {
        return Err(failed("The security timestamp has expired"));
    }
    Ok(())
}
