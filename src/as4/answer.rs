//! Reading the answer to a request, and deciding whether it proves delivery.
//!
//! Only a receipt does that the expected certificate signed, for this message, with every reference and digest as they
//! were sent. Errors are believed unsigned (phase4 signs none): they prove nothing and cost no more than a retry.

use super::ebms::{Messaging, Signal};
use super::envelope::{Envelope, limits};
use super::error::{EbmsError, Severity};
use super::names::SOAP;
use super::package::{ContentType, PackageReader, TransferDecoder};
use super::{Reference, Sent, receipt, security};
use crate::crypto::{Certificate, KeyReference, SignatureAlgorithm};
use crate::ident::{As4MessageId, Sha256};
use crate::xml::{Document, Element};

/// Octets of an answer's SOAP part.
const LIMIT: usize = 1 << 20;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The other access point has the message, and signed for it.
    Receipt(Receipt),
    /// It has not; at least one of these is a failure, or there is no receipt beside the warnings.
    Errors(Vec<EbmsError>),
    /// Neither; why, for the log.
    Unusable(String),
}

/// A receipt that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The signal's `eb:MessageId`.
    pub signal_id: As4MessageId,
    /// Who signed: the expected certificate.
    pub signer: Certificate,
    /// SHA-256 of the receipt's signature value.
    pub signature_digest: Sha256,
    /// Warnings beside it.
    pub warnings: Vec<EbmsError>,
}

/// Reads the answer to a request, whatever the HTTP status (SOAP 1.2 and ebMS errors come with 500 or 400 too).
///
/// `expected` is the certificate that the recipient's metadata publishes.
#[must_use]
pub fn read(status: u16, content_type: &str, body: &[u8], sent: &Sent, expected: &Certificate) -> Answer {
    match inner(content_type, body, sent, expected) {
        Ok(answer) => answer,
        Err(reason) => Answer::Unusable(format!("HTTP status {status}: {reason}")),
    }
}

fn inner(content_type: &str, body: &[u8], sent: &Sent, expected: &Certificate) -> Result<Answer, String> {
    let soap = soap_part(content_type, body)?;
    let document = Document::parse(&soap, &limits(LIMIT)).map_err(|error| format!("the answer is not readable: {error}"))?;
    let envelope = Envelope::of(&document).map_err(|error| fault(&document).unwrap_or_else(|| error.to_string()))?;
    let Messaging::Signal(signal) = Messaging::read(envelope.messaging).map_err(|error| error.to_string())? else {
        return Err("the answer is a user message".into());
    };
    let named = signal.ref_to.as_ref().map(As4MessageId::as_str);
    let ours = |id: &str| id == sent.message_id.as_str();
    if let Some(other) = named.into_iter().chain(signal.errors.iter().filter_map(|e| e.ref_to.as_deref())).find(|id| !id.is_empty() && !ours(id)) {
        return Err(format!("the answer is about another message, {}", other.chars().take(100).collect::<String>()));
    }
    if signal.errors.iter().any(|error| error.severity == Severity::Failure) || (signal.receipt.is_none() && !signal.errors.is_empty()) {
        return Ok(Answer::Errors(signal.errors));
    }
    let receipt = signal.receipt.ok_or("the answer has neither receipt nor error")?;
    if !named.is_some_and(ours) {
        return Err("the receipt does not say for which message it is".into());
    }
    accept(&envelope, signal, receipt, sent, expected)
}

fn accept(envelope: &Envelope<'_>, signal: Signal<'_>, receipt: Element<'_>, sent: &Sent, expected: &Certificate) -> Result<Answer, String> {
    const ALGORITHMS: [SignatureAlgorithm; 3] = [SignatureAlgorithm::RsaSha256, SignatureAlgorithm::RsaSha384, SignatureAlgorithm::RsaSha512];
    let known = |reference: &KeyReference| reference.names(expected).then(|| expected.clone());
    let signature = security::verify(envelope, &known, &ALGORITHMS).map_err(|error| format!("the receipt's signature does not hold: {error}"))?;
    let signature = signature.ok_or("the receipt is not signed")?;
    if signature.signer != *expected {
        return Err(format!("the receipt is signed by another certificate than the recipient's, {:?}", signature.signer));
    }
    let references = receipt::references(receipt).map_err(|error| format!("the receipt's references are not readable: {error}"))?;
    let mut left: Vec<&Reference> = references.iter().map(|signed| &signed.reference).collect();
    for own in &sent.references {
        let at = left.iter().position(|other| repeats(own, other)).ok_or("the receipt does not repeat every digest that was signed")?;
        left.swap_remove(at);
    }
    if !left.is_empty() {
        return Err("the receipt has a digest that was not signed".into());
    }
    Ok(Answer::Receipt(Receipt {
        signal_id: signal.message_id,
        signer: signature.signer,
        signature_digest: signature.digest,
        warnings: signal.errors,
    }))
}

/// Whether a receipt's reference is the one that was signed. Its transforms may be left out (they are, where the
/// receipt is built from a store), the rest may not.
fn repeats(own: &Reference, other: &Reference) -> bool {
    own.uri == other.uri
        && own.digest_method == other.digest_method
        && own.digest_value == other.digest_value
        && (other.transforms.is_empty() || own.transforms == other.transforms)
}

fn soap_part(content_type: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    if body.is_empty() {
        return Err("the answer is empty".into());
    }
    let content_type = ContentType::parse(content_type);
    let Some(boundary) = content_type.as_ref().filter(|own| own.media() == "multipart/related").and_then(|own| own.parameter("boundary")) else {
        // Whatever the header says: what is not SOAP does not read as such.
        return Ok(body.to_vec());
    };
    let mut source = body;
    let mut reader = PackageReader::new(&mut source, boundary, body.len() as u64);
    let mut read = || {
        let Some(headers) = reader.next_part()? else { return Ok(Vec::new()) };
        let mut decoder = TransferDecoder::new(headers.encoding);
        let mut soap = Vec::new();
        while let Some(chunk) = reader.chunk()? {
            decoder.decode(chunk, &mut soap)?;
        }
        decoder.finish(&mut soap)?;
        Ok(soap)
    };
    read().map_err(|error: super::package::PackageError| format!("the answer's MIME is not readable: {error}"))
}

/// What a SOAP fault says, for the log.
pub(super) fn fault(document: &Document) -> Option<String> {
    let fault = document.root().child(SOAP, "Body")?.child(SOAP, "Fault")?;
    let reason = fault.child(SOAP, "Reason").and_then(|reason| reason.child(SOAP, "Text")).map(|text| text.trimmed()).unwrap_or_default();
    let reason: String = reason.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(format!("the answer is a SOAP fault: {reason}"))
}
