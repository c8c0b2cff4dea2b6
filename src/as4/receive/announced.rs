//! What a header announces of its attachments, before one of them is read.

use super::{Context, Requirement};
use crate::as4::ebms::Header;
use crate::as4::envelope::Envelope;
use crate::as4::error::{Code, EbmsError};
use crate::as4::names::GZIP;
use crate::as4::payload::{Expected, is_same_part};
use crate::as4::security::{self, Signature};
use crate::crypto::Digest;

/// What the header, the signature and the encryption together say of the attachments.
pub(super) fn announced(
    header: &Header,
    envelope: &Envelope<'_>,
    signature: Option<&Signature>,
    context: &Context<'_>,
) -> Result<Vec<Expected>, EbmsError> {
    let error = |code, what: &str| EbmsError::new(code, what.to_owned());
    if header.parts.len() > context.options.limits.parts {
        return Err(error(Code::FeatureNotSupported, "The message has too many payloads"));
    }
    let mut decryptions = security::decryptions(envelope, context.keys, header.parts.len())?;
    let mut expected: Vec<Expected> = Vec::new();
    for part in &header.parts {
        let href = match &part.href {
            Some(href) if href.starts_with("cid:") => href.clone(),
            None => return Err(error(Code::PackagingNotSupported, "A payload in the SOAP Body is not supported")),
            Some(href) if href.starts_with('#') => return Err(error(Code::PackagingNotSupported, "A payload in the SOAP part is not supported")),
            Some(_) => return Err(error(Code::ExternalPayloadError, "A payload outside of the message is not fetched")),
        };
        if expected.iter().any(|other| is_same_part(&other.href, &href)) {
            return Err(error(Code::ValueInconsistent, "Two eb:PartInfo have one href"));
        }
        // AS4 3.1: a compressed part says so, and what it is.
        let compressed = match part.property("CompressionType") {
            None => false,
            Some(GZIP) if part.property("MimeType").is_some() => true,
            Some(GZIP) => return Err(error(Code::DecompressionFailure, "A compressed payload has no MimeType property")),
            Some(_) => return Err(error(Code::DecompressionFailure, "The CompressionType is not application/gzip")),
        };
        let names = |uri: &str| is_same_part(uri, &href);
        let mut digests = Vec::new();
        for signed in signature.into_iter().flat_map(|signature| &signature.references).filter(|signed| names(&signed.reference.uri)) {
            let digest = Digest::from_uri(&signed.reference.digest_method);
            let value = security::digest_value(&signed.reference);
            digests.push(digest.zip(value).ok_or_else(|| error(Code::FailedAuthentication, "A digest is not readable"))?);
        }
        if signature.is_some() && digests.is_empty() {
            return Err(error(Code::PolicyNoncompliance, "The signature does not cover every attachment"));
        }
        let mut own = decryptions.extract_if(.., |decryption| names(&decryption.uri));
        let decryption = own.next();
        if own.next().is_some() {
            return Err(error(Code::PolicyNoncompliance, "An attachment is encrypted more than once"));
        }
        drop(own);
        if decryption.is_none() && context.options.encryption == Requirement::Required {
            return Err(error(Code::PolicyNoncompliance, "An attachment is not encrypted"));
        }
        expected.push(Expected { href, compressed, decryption, digests });
    }
    if !decryptions.is_empty() {
        return Err(error(Code::MimeInconsistency, "An encrypted attachment is named by no eb:PartInfo"));
    }
    let signed_attachments =
        signature.into_iter().flat_map(|signature| &signature.references).filter(|signed| signed.reference.uri.starts_with("cid:"));
    if signed_attachments.count() != expected.iter().map(|part| part.digests.len()).sum::<usize>() {
        return Err(error(Code::FailedAuthentication, "A signed attachment is named by no eb:PartInfo"));
    }
    Ok(expected)
}
