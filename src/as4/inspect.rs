//! Looking into a message without taking it: what it holds and what of it holds true, for an operator and the peer's
//! support. Nothing here is a reason to deliver; that is [`super::receive`] and [`super::answer`].

use std::io::{Read, Seek, Write};

use super::ebms::{Header, Messaging};
use super::envelope::{Envelope, limits, unreadable};
use super::error::{Code, EbmsError};
use super::names::{GZIP, SOAP};
use super::package::{PackageReader, PartHeaders};
use super::payload::{Expected, Landed, is_part, land};
use super::pmode::{PMode, Verdict, verdicts};
use super::receive::{Problem, Received, ReceivedPart, Refusal, soap_part};
use super::security::{self, Signature};
pub use super::security::{DigestFound, FoundEncryption, FoundReference, FoundSignature};
use super::{Reference, Sent, answer, receipt};
use crate::crypto::{Certificate, Digest, Identity, KeyReference};
use crate::ident::{As4MessageId, Sha256};
use crate::xml::Document;

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What is wrong with the envelope as such; signature and encryption are then not looked at.
    pub structure: Option<EbmsError>,
    /// What it says.
    pub contents: Contents,
    /// Its signature.
    pub signature: Option<FoundSignature>,
    /// What is encrypted.
    pub encryptions: Vec<FoundEncryption>,
    /// The MIME parts behind the SOAP part.
    pub parts: Vec<FoundPart>,
    /// Why the package could not be read to its end.
    pub package: Option<String>,
}

/// What an envelope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// A message of a user.
    User(Box<Header>),
    /// A receipt, errors, or both.
    Signal(Box<FoundSignal>),
    /// A SOAP fault, or nothing of ebMS; in words.
    Other(String),
}

/// A signal that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSignal {
    /// Its `eb:MessageId`.
    pub message_id: As4MessageId,
    /// The message that it is about.
    pub ref_to: Option<As4MessageId>,
    /// The references that its receipt repeats; `None` without a receipt.
    pub receipt: Option<Vec<Reference>>,
    /// Its errors.
    pub errors: Vec<EbmsError>,
}

/// A MIME part that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPart {
    /// Its Content-ID; empty when it has none.
    pub content_id: String,
    /// Its media type as MIME says.
    pub media: Option<String>,
    /// Whether an `eb:PartInfo` names it.
    pub announced: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Whether it is compressed, as the header says.
    pub compressed: bool,
    /// Octets of the payload; what stood in the way otherwise.
    pub payload: Result<u64, EbmsError>,
}

/// Looks into a body. Payloads that can be read go to `payload_out`, one after another; `scratch` is empty.
///
/// # Errors
/// [`Refusal`] when there is no SOAP part that can be read, or a stream fails.
pub fn inspect(
    content_type: &str,
    body: &mut dyn Read,
    keys: &[Identity],
    known: &dyn Fn(&KeyReference) -> Option<Certificate>,
    mut scratch: impl Read + Write + Seek,
    payload_out: &mut dyn Write,
) -> Result<Inspection, Refusal> {
    let bounds = super::receive::ReceiveLimits::default();
    let mut inner = || -> Result<Inspection, Problem> {
        let (soap, reader) = soap_part(content_type, body, &bounds)?;
        let document = Document::parse(&soap, &limits(bounds.soap)).map_err(|error| unreadable(&error))?;
        let mut found = match Envelope::of(&document) {
            Ok(envelope) => Inspection {
                structure: None,
                contents: contents(Messaging::read(envelope.messaging)),
                signature: security::look_at_signature(&envelope, known),
                encryptions: security::look_at_encryptions(&envelope, keys),
                parts: Vec::new(),
                package: None,
            },
            Err(error) => {
                let messaging = document.root().child(SOAP, "Header").and_then(|header| header.child(super::names::EB, "Messaging"));
                let fault = || Contents::Other(answer::fault(&document).unwrap_or_else(|| error.description.clone()));
                let contents = messaging.map_or_else(fault, |messaging| contents(Messaging::read(messaging)));
                Inspection { structure: Some(error), contents, signature: None, encryptions: Vec::new(), parts: Vec::new(), package: None }
            }
        };
        if let (Ok(envelope), Some(mut reader)) = (Envelope::of(&document), reader) {
            while let Some(headers) = reader.next_part().unwrap_or_else(|error| {
                found.package = Some(error.to_string());
                None
            }) {
                if found.parts.len() > bounds.parts {
                    found.package = Some("there are too many parts".into());
                    break;
                }
                let part = part(&mut reader, &headers, &mut found, &envelope, keys, &mut scratch, payload_out)?;
                found.parts.push(part);
            }
        }
        Ok(found)
    };
    inner().map_err(|problem| problem.refusal(None))
}

fn contents(messaging: Result<Messaging<'_>, EbmsError>) -> Contents {
    match messaging {
        Ok(Messaging::User(header)) => Contents::User(header),
        Ok(Messaging::Signal(signal)) => Contents::Signal(Box::new(FoundSignal {
            message_id: signal.message_id,
            ref_to: signal.ref_to,
            receipt: signal.receipt.map(|e| receipt::references(e).unwrap_or_default().into_iter().map(|signed| signed.reference).collect()),
            errors: signal.errors,
        })),
        Err(error) => Contents::Other(error.description),
    }
}

/// Reads one part as far as it goes, and enters into `found` what that says of the references to it.
fn part(
    reader: &mut PackageReader<'_>,
    headers: &PartHeaders,
    found: &mut Inspection,
    envelope: &Envelope<'_>,
    keys: &[Identity],
    mut scratch: impl Read + Write + Seek,
    payload_out: &mut dyn Write,
) -> Result<FoundPart, Problem> {
    let bounds = super::receive::ReceiveLimits::default();
    let content_id = headers.content_id.clone().unwrap_or_default();
    let names = |uri: &str| is_part(uri, &content_id);
    let info = match &found.contents {
        Contents::User(header) => header.parts.iter().find(|info| info.href.as_deref().is_some_and(names)),
        _ => None,
    };
    let announced = info.is_some();
    let compressed = info.is_some_and(|info| info.property("CompressionType") == Some(GZIP));
    let decryption = security::decryption_of(envelope, keys, &names);
    let encrypted = decryption.is_some();
    let signed = |reference: &FoundReference| names(&reference.reference.uri) && reference.digest == DigestFound::Unknown;
    let references = found.signature.iter().flat_map(|signature| &signature.references).filter(|reference| signed(reference));
    let digests = references.filter_map(|r| Some((Digest::from_uri(&r.reference.digest_method)?, security::digest_value(&r.reference)?))).collect();
    let mut land = |decryption, digests| -> Result<Landed, Problem> {
        let start = scratch.stream_position().map_err(Problem::Ours)?;
        let mut expected = Expected { href: format!("cid:{content_id}"), compressed, decryption, digests };
        land(reader, headers, &mut expected, start, &mut scratch, &bounds)
    };
    let landed = match decryption.transpose() {
        Ok(decryption) => land(decryption, digests),
        Err(error) => Err(Problem::Peer(error)),
    };
    let payload = match landed.and_then(|landed| {
        let octets = landed.release(compressed, &mut scratch, bounds.payload, bounds.ratio, payload_out);
        Ok((octets, scratch.seek(std::io::SeekFrom::Start(landed.end())).map_err(Problem::Ours)?).0)
    }) {
        Ok(Ok(octets)) => Ok(octets),
        Ok(Err(Problem::Peer(error))) | Err(Problem::Peer(error)) => Err(error),
        Err(Problem::Package(error)) => Err(EbmsError::new(Code::MimeInconsistency, error.to_string())),
        Ok(Err(problem)) | Err(problem) => return Err(problem),
    };
    let digest = match &payload {
        Err(error) if error.is(Code::FailedAuthentication) => DigestFound::Refused(error.description.clone()),
        Err(error) if !error.is(Code::DecompressionFailure) => DigestFound::Unknown,
        _ => DigestFound::Matches,
    };
    for reference in found.signature.iter_mut().flat_map(|signature| &mut signature.references) {
        if names(&reference.reference.uri) && reference.digest == DigestFound::Unknown {
            reference.digest = digest.clone();
        }
    }
    let media = headers.content_type.as_ref().map(|own| own.media().to_owned());
    Ok(FoundPart { content_id, media, announced, encrypted, compressed, payload })
}

impl Inspection {
    /// What would have been kept of this request until its answer came; `None` when it is no signed message of a user.
    #[must_use]
    pub fn sent(&self, content_type: &str) -> Option<Sent> {
        let (Contents::User(header), Some(signature)) = (&self.contents, &self.signature) else { return None };
        Some(Sent {
            message_id: header.message_id.clone(),
            content_type: content_type.to_owned(),
            references: signature.references.iter().map(|found| found.reference.clone()).collect(),
            // Neither has a part in what a receipt must repeat.
            signature_digest: Sha256([0; 32]),
            octets: 0,
        })
    }

    /// Whose certificate a receipt for this request must have: that of the access point which it is encrypted for, when it came
    /// along or is known.
    #[must_use]
    pub fn recipient(&self, known: &dyn Fn(&KeyReference) -> Option<Certificate>) -> Option<Certificate> {
        self.encryptions.iter().filter_map(|encryption| encryption.recipient.as_ref()).find_map(|reference| match reference {
            KeyReference::Certificate(certificate) => Some((**certificate).clone()),
            other => known(other).filter(|found| other.names(found)),
        })
    }

    /// The P-Mode's rules, each with its verdict on a user message; none for everything else. The signer is taken as
    /// named, whether or not the signature holds.
    #[must_use]
    pub fn rules(&self, pmode: &PMode) -> Vec<Verdict> {
        let Contents::User(header) = &self.contents else { return Vec::new() };
        let signer = self.signature.as_ref().and_then(|signature| signature.signer.clone());
        let part = |info: &super::PartInfo| ReceivedPart {
            href: info.href.clone().unwrap_or_default(),
            media_type: info.property("MimeType").map(str::to_owned),
            compressed: info.property("CompressionType") == Some(GZIP),
            encrypted: true,
            octets: 0,
        };
        let received = Received {
            header: (**header).clone(),
            signature: signer.map(|signer| Signature { signer, chain: Vec::new(), references: Vec::new(), digest: Sha256([0; 32]) }),
            parts: header.parts.iter().map(part).collect(),
            recipient: None,
        };
        verdicts(&received, pmode)
    }
}
