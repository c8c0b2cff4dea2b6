//! Opening a request: verify the header, decrypt and check the attachments, decompress.
//!
//! The header's signature is verified before an attachment is read; nothing of a payload leaves the scratch file before
//! its tag and its digest hold.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom, Write};

use jiff::Timestamp;

use super::ebms::{self, Header, Messaging};
use super::envelope::{Envelope, limits, unreadable};
use super::error::{Code, EbmsError};
use super::names::{EB, GZIP, SOAP, SOAP_TYPE, TEST_ACTION, TEST_SERVICE};
use super::package::{ContentType, PackageError, PackageReader, TransferDecoder};
use super::payload::{Expected, Landed, is_part, is_same_part, land};
use super::security::{self, Signature};
use crate::crypto::{Certificate, Digest, Identity, KeyReference, SignatureAlgorithm};
use crate::ident::{As4MessageId, Sha256};
use crate::xml::Document;

/// Bounds on a request, against floods and bombs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// Octets of the SOAP part.
    pub soap: usize,
    /// Octets of the whole body.
    pub package: u64,
    /// Octets of all payloads, decompressed.
    pub payload: u64,
    /// How many times larger than compressed a payload of over 1 MiB may be.
    pub ratio: u64,
    /// Octets of an uncompressed XML or text payload that is canonicalised for its digest.
    pub canonical: usize,
    /// Attachments.
    pub parts: usize,
}

impl Default for ReceiveLimits {
    /// Room for more than the 100 MB of SDK C3.2.1 2.8.
    fn default() -> Self {
        Self { soap: 1 << 20, package: 200 << 20, payload: 200 << 20, ratio: 100, canonical: 16 << 20, parts: 8 }
    }
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// Without it a message is refused with EBMS:0103.
    Required,
    /// It is checked when it is there.
    Optional,
}

/// What is asked of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bounds.
    pub limits: ReceiveLimits,
    /// Whether the header and every attachment must be signed.
    pub signature: Requirement,
    /// Whether every attachment must be encrypted.
    pub encryption: Requirement,
    /// The algorithms that a signature may have.
    pub signature_algorithms: Vec<SignatureAlgorithm>,
    /// Bits of the smallest key that a signature may be of.
    pub signature_key: u32,
}

impl Default for Options {
    /// Everything signed with rsa-sha256 and encrypted (SDK C3.2.1 2.10).
    fn default() -> Self {
        Self {
            limits: ReceiveLimits::default(),
            signature: Requirement::Required,
            encryption: Requirement::Required,
            signature_algorithms: vec![SignatureAlgorithm::RsaSha256],
            signature_key: 2048,
        }
    }
}

/// What is needed to open requests.
pub struct Context<'a> {
    /// Our own keys; several while one is being replaced.
    pub keys: &'a [Identity],
    /// Finds a signer's certificate that did not come along.
    pub known: &'a dyn Fn(&KeyReference) -> Option<Certificate>,
    /// What is asked of a request.
    pub options: &'a Options,
    /// Now.
    pub at: Timestamp,
}

/// What became of the search for a signer's certificate that did not come along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// It is this one. Whether it is the one that was named is checked again.
    Found(Box<Certificate>),
    /// It is not known here.
    Unknown,
    /// It cannot be told now, why: the other side is asked to try again.
    Later(String),
}

/// Finds a signer's certificate by its name and by what the header claims, for which nothing vouches yet: who searches has
/// to bound what a stranger can make it do.
pub type Seeking<'a> = &'a dyn Fn(&KeyReference, &Header) -> Sought;

/// A request that was opened. What it says was not yet compared with a P-Mode; see [`super::pmode::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The user message's header.
    pub header: Header,
    /// The signature; always there when it is required.
    pub signature: Option<Signature>,
    /// The attachments, in the order of the header, which is that of the payloads as they were written.
    pub parts: Vec<ReceivedPart>,
    /// Which of our certificates it was encrypted to: the one that its sender knows. None when nothing was encrypted.
    pub recipient: Option<Sha256>,
}

/// An attachment that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedPart {
    /// `cid:` and its Content-ID.
    pub href: String,
    /// The media type of the payload: the part property, or what the part itself says.
    pub media_type: Option<String>,
    /// Whether it was compressed.
    pub compressed: bool,
    /// Whether it was encrypted.
    pub encrypted: bool,
    /// Octets of the payload, decompressed.
    pub octets: u64,
}

impl Received {
    /// The signer's certificate.
    #[must_use]
    pub fn signer(&self) -> Option<&Certificate> {
        self.signature.as_ref().map(|signature| &signature.signer)
    }

    /// Whether this is the ebMS test, which is answered with a receipt and never delivered (ebMS 3.0 5.2.2.8).
    #[must_use]
    pub fn is_ping(&self) -> bool {
        self.header.service.value == TEST_SERVICE && self.header.action == TEST_ACTION
    }
}

/// Whose fault a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The peer's: the error goes back to them.
    Peer,
    /// Ours (a disk, the provider): answer that the service is not available, so that they try again.
    Ours,
    /// The connection's: there is nobody to answer.
    Connection,
}

/// Why a request was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Refusal {
    /// What the peer is told.
    pub error: Box<EbmsError>,
    /// The message's id, when it could be read. Nothing vouches for it.
    pub ref_to: Option<As4MessageId>,
    /// What the log is told.
    pub cause: String,
    /// Whose it is.
    pub fault: Fault,
}

/// What can go wrong on the way.
pub(super) enum Problem {
    Peer(EbmsError),
    Package(PackageError),
    Ours(io::Error),
    /// It cannot be told now whether the message is good.
    Later(String),
}

impl Problem {
    pub(super) fn provider(error: crate::crypto::ProviderError) -> Self {
        Self::Ours(io::Error::other(error))
    }

    pub(super) fn refusal(self, ref_to: Option<As4MessageId>) -> Refusal {
        let (error, cause, fault) = match self {
            Self::Peer(error) => (error.clone(), error.to_string(), Fault::Peer),
            Self::Package(PackageError::Mime(what)) => {
                (EbmsError::new(Code::MimeInconsistency, "The MIME package is not readable"), format!("MIME: {what}"), Fault::Peer)
            }
            Self::Package(PackageError::TooLarge(limit)) => {
                (EbmsError::new(Code::Other, "The message is too large"), format!("the package is over {limit} octets"), Fault::Peer)
            }
            Self::Package(PackageError::Stream(source)) => {
                (EbmsError::new(Code::Other, "The message did not arrive whole"), format!("reading the request: {source}"), Fault::Connection)
            }
            Self::Ours(source) => {
                (EbmsError::new(Code::Other, "The access point cannot take messages now"), format!("storing the request: {source}"), Fault::Ours)
            }
            Self::Later(why) => (EbmsError::new(Code::Other, "The access point cannot take messages now"), why, Fault::Ours),
        };
        Refusal { error: Box::new(error), ref_to, cause, fault }
    }
}

impl From<EbmsError> for Problem {
    fn from(error: EbmsError) -> Self {
        Self::Peer(error)
    }
}

impl From<PackageError> for Problem {
    fn from(error: PackageError) -> Self {
        Self::Package(error)
    }
}

/// Opens the body of a request. `scratch` (empty) takes the attachments decrypted, `payload_out` the payloads one after
/// another, only after their tags and digests hold.
///
/// # Errors
/// [`Refusal`]; what was written to `payload_out` then is to be thrown away.
pub fn open(
    content_type: &str,
    body: &mut dyn Read,
    context: &Context<'_>,
    scratch: impl Read + Write + Seek,
    payload_out: &mut dyn Write,
) -> Result<Received, Refusal> {
    open_seeking(content_type, body, context, &|_, _| Sought::Unknown, scratch, payload_out)
}

/// Opens the body of a request as [`open`] does; a signer's certificate that neither came along nor is among the known is
/// sought.
///
/// # Errors
/// As [`open`].
pub fn open_seeking(
    content_type: &str,
    body: &mut dyn Read,
    context: &Context<'_>,
    seeking: Seeking<'_>,
    scratch: impl Read + Write + Seek,
    payload_out: &mut dyn Write,
) -> Result<Received, Refusal> {
    let mut ref_to = None;
    inner(content_type, body, context, seeking, scratch, payload_out, &mut ref_to).map_err(|problem| problem.refusal(ref_to))
}

fn inner(
    content_type: &str,
    body: &mut dyn Read,
    context: &Context<'_>,
    seeking: Seeking<'_>,
    mut scratch: impl Read + Write + Seek,
    payload_out: &mut dyn Write,
    ref_to: &mut Option<As4MessageId>,
) -> Result<Received, Problem> {
    let options = context.options;
    let (soap, mut reader) = soap_part(content_type, body, &options.limits)?;
    let document = Document::parse(&soap, &limits(options.limits.soap)).map_err(|error| unreadable(&error))?;
    *ref_to = document.root().child(SOAP, "Header").and_then(|header| header.child(EB, "Messaging")).and_then(ebms::message_id);
    let envelope = Envelope::of(&document)?;
    let Messaging::User(header) = Messaging::read(envelope.messaging)? else {
        return Err(EbmsError::new(Code::ProcessingModeMismatch, "Signals are not taken outside of an HTTP response").into());
    };
    let later = Cell::new(None);
    let known = |reference: &KeyReference| {
        let sought = || match seeking(reference, &header) {
            Sought::Found(certificate) => Some(*certificate),
            Sought::Unknown => None,
            Sought::Later(why) => {
                later.set(Some(why));
                None
            }
        };
        (context.known)(reference).or_else(sought)
    };
    let signature = security::verify(&envelope, &known, &options.signature_algorithms);
    if let Some(why) = later.take() {
        return Err(Problem::Later(why));
    }
    let signature = signature?;
    if signature.as_ref().is_some_and(|signature| signature.signer.key_bits() < options.signature_key) {
        return Err(EbmsError::new(Code::PolicyNoncompliance, "The signer's key is too small").into());
    }
    if signature.is_none() && options.signature == Requirement::Required {
        return Err(EbmsError::new(Code::PolicyNoncompliance, "The message is not signed").into());
    }
    security::check_timestamp(&envelope, context.at)?;
    if envelope.body.elements().next().is_some() {
        return Err(EbmsError::new(Code::PackagingNotSupported, "A payload in the SOAP Body is not supported").into());
    }
    let mut expected = announced(&header, &envelope, signature.as_ref(), context)?;
    let recipient = expected.iter().find_map(|expected| expected.decryption.as_ref()).map(|decryption| decryption.recipient);

    let mut landed: Vec<Option<Landed>> = expected.iter().map(|_| None).collect();
    let mut position = scratch.stream_position().map_err(Problem::Ours)?;
    while let Some(reader) = &mut reader
        && let Some(headers) = reader.next_part()?
    {
        let mime = |what: &str| EbmsError::new(Code::MimeInconsistency, what.to_owned());
        let id = headers.content_id.clone().ok_or_else(|| mime("A MIME part has no Content-ID"))?;
        let found = expected.iter_mut().zip(&mut landed).find(|(expected, _)| is_part(&expected.href, &id));
        let (expected, slot) = found.ok_or_else(|| mime("A MIME part is named by no eb:PartInfo"))?;
        if slot.is_some() {
            return Err(mime("Two MIME parts have one Content-ID").into());
        }
        let part = land(reader, &headers, expected, position, &mut scratch, &options.limits)?;
        position = part.end();
        *slot = Some(part);
    }
    scratch.flush().map_err(Problem::Ours)?;

    let landed: Option<Vec<Landed>> = landed.into_iter().collect();
    let landed = landed.ok_or_else(|| EbmsError::new(Code::MimeInconsistency, "An eb:PartInfo names no MIME part"))?;
    let mut room = options.limits.payload;
    let mut parts = Vec::new();
    for ((landed, expected), info) in landed.into_iter().zip(expected).zip(&header.parts) {
        let octets = landed.release(expected.compressed, &mut scratch, room, options.limits.ratio, payload_out)?;
        room -= octets;
        parts.push(ReceivedPart {
            media_type: info.property("MimeType").map(str::to_owned).or(landed.media),
            href: expected.href,
            compressed: expected.compressed,
            encrypted: landed.encrypted,
            octets,
        });
    }
    payload_out.flush().map_err(Problem::Ours)?;
    scratch.seek(SeekFrom::Start(position)).map_err(Problem::Ours)?;
    Ok(Received { header: *header, signature, parts, recipient })
}

/// The SOAP part, and the reader of what follows it.
pub(super) fn soap_part<'r>(
    content_type: &str,
    body: &'r mut dyn Read,
    limits: &ReceiveLimits,
) -> Result<(Vec<u8>, Option<PackageReader<'r>>), Problem> {
    let content_type = ContentType::parse(content_type).ok_or(PackageError::Mime("the request has no Content-Type"))?;
    let too_large = || EbmsError::new(Code::InvalidHeader, "The SOAP part is too large");
    match content_type.media() {
        SOAP_TYPE => {
            let mut soap = Vec::new();
            body.take(limits.soap as u64 + 1).read_to_end(&mut soap).map_err(PackageError::Stream)?;
            if soap.len() > limits.soap { Err(too_large().into()) } else { Ok((soap, None)) }
        }
        "multipart/related" => {
            let boundary = content_type.parameter("boundary").filter(|text| (1..=200).contains(&text.len()));
            let boundary = boundary.ok_or(PackageError::Mime("the Content-Type has no boundary"))?;
            let mut reader = PackageReader::new(body, boundary, limits.package);
            let headers = reader.next_part()?.ok_or(PackageError::Mime("the package has no parts"))?;
            let start = content_type.parameter("start").map(|id| id.trim().trim_start_matches('<').trim_end_matches('>'));
            if start.is_some() && headers.content_id.is_some() && start != headers.content_id.as_deref() {
                return Err(PackageError::Mime("the SOAP part is not the first").into());
            }
            if headers.content_type.as_ref().is_none_or(|own| own.media() != SOAP_TYPE) {
                return Err(PackageError::Mime("the first part is not SOAP 1.2").into());
            }
            let mut soap = Vec::new();
            let mut decoder = TransferDecoder::new(headers.encoding);
            while let Some(chunk) = reader.chunk()? {
                decoder.decode(chunk, &mut soap)?;
                if soap.len() > limits.soap {
                    return Err(too_large().into());
                }
            }
            decoder.finish(&mut soap)?;
            Ok((soap, Some(reader)))
        }
        _ => Err(PackageError::Mime("the request is neither multipart/related nor SOAP 1.2").into()),
    }
}

/// What the header, the signature and the encryption together say of the attachments.
fn announced(header: &Header, envelope: &Envelope<'_>, signature: Option<&Signature>, context: &Context<'_>) -> Result<Vec<Expected>, EbmsError> {
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use openssl::pkey::PKey;

    use super::*;
    use crate::crypto::PrivateKey;
    use crate::ident::{AccessPointId, DocumentKind, ParticipantId};

    /// Opens a message with one part `octets` of a media type, signed over attachments with these digested octets.
    fn opened_with(octets: &[u8], media: &str, attachments: &[(&str, &[u8])]) -> Result<(Received, Vec<u8>), Refusal> {
        let (sender, receiver) = (crate::crypto::testing::identity("a"), crate::crypto::testing::identity("b"));
        let message = crate::as4::UserMessage {
            message_id: As4MessageId::new("m@a").unwrap(),
            timestamp: Timestamp::UNIX_EPOCH,
            ref_to: None,
            from: AccessPointId::new("a").unwrap(),
            to: AccessPointId::new("b").unwrap(),
            conversation_id: String::new(),
            kind: DocumentKind::Message,
            original_sender: ParticipantId::new("0203:a.se").unwrap(),
            final_recipient: ParticipantId::new("0203:b.se").unwrap(),
        };
        let ids = security::Ids::of(&message.message_id);
        let mut messaging = ebms::write_user(&message, ebms::Purpose::Document, &ids, "cid:message");
        if media != GZIP {
            messaging = messaging.replace(r#"<eb:Property name="CompressionType">application/gzip</eb:Property>"#, "");
        }
        let (session, encryption) = security::encrypt(&receiver.certificate, &ids, "message").unwrap();
        let encryption = encryption.replace("MimeType=\"application/gzip\"", &format!("MimeType=\"{media}\""));
        let attachments: Vec<_> = attachments.iter().map(|(cid, digested)| ((*cid).to_owned(), crate::crypto::sha256(digested))).collect();
        let sealed = security::sign(&messaging, &ids, &encryption, &attachments, &sender).unwrap();
        let mut encryptor = crate::crypto::Encryptor::new(&session, Vec::new()).unwrap();
        encryptor.write_all(octets).unwrap();
        let soap: &[u8] = b"--b\r\nContent-Type: application/soap+xml\r\n\r\n";
        let part: &[u8] = b"\r\n--b\r\nContent-ID: <message>\r\n\r\n";
        let body = [soap, &sealed.envelope, part, &encryptor.finish().unwrap(), b"\r\n--b--"].concat();
        let options = Options::default();
        let context = Context { keys: &[receiver], known: &|_| None, options: &options, at: Timestamp::UNIX_EPOCH };
        let mut out = Vec::new();
        let result = open("multipart/related; boundary=b", &mut &body[..], &context, Cursor::new(Vec::new()), &mut out);
        result.map(|opened| (opened, out))
    }

    #[test]
    fn a_signature_must_cover_just_the_attachments_that_there_are() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"<XHE/>").unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(opened_with(&gzip, GZIP, &[("message", &gzip)]).unwrap().1, b"<XHE/>");
        assert!(opened_with(&gzip, GZIP, &[]).unwrap_err().error.is(Code::PolicyNoncompliance));
        assert!(opened_with(&gzip, GZIP, &[("message", &gzip), ("other", &gzip)]).unwrap_err().error.is(Code::FailedAuthentication));
        assert!(opened_with(&gzip, GZIP, &[("message", b"other")]).unwrap_err().error.is(Code::FailedAuthentication));
    }

    #[test]
    fn an_uncompressed_payload_may_be_digested_in_its_canonical_form() {
        let taken = |octets: &[u8], media: &str, digested: &[u8]| {
            opened_with(octets, media, &[("message", digested)]).is_ok_and(|(received, out)| out == octets && !received.parts[0].compressed)
        };
        let (xml, canonical) = (b"<?xml version='1.0'?>\n<a  b='1'/>", b"<a b=\"1\"></a>");
        assert!(taken(xml, "text/xml", xml));
        assert!(taken(xml, "text/xml", canonical) && taken(xml, "application/x+xml", canonical));
        assert!(taken(xml, "TEXT/XML; charset=UTF-8", canonical) && taken(xml, "image/svg+xml;x=y", canonical));
        assert!(taken(b"a\rb\r", "text/plain", b"a\rb\r") && taken(b"a\rb\n\r", "text/plain", b"a\r\nb\r\n\r\n"));
        assert!(!taken(xml, "application/octet-stream", canonical) && !taken(b"<a b='2'/>", "text/xml", canonical));
        assert!(!taken(b"<!DOCTYPE a><a b='1'/>", "text/xml", canonical), "a DTD is not even read here");
        assert!(taken(b"a\nb\r\nc", "text/plain", b"a\r\nb\r\nc") && !taken(b"a\nb", "image/png", b"a\r\nb"));
    }

    /// The vector's key is RSA 1024, which no configuration takes: hence here and not among the other vectors.
    #[test]
    fn a_message_of_as4_net_with_mgf1_sha1_decrypts() {
        let root = std::env::var_os("BREVBRO_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
        let dir = root.join("as4-vectors");
        let (Ok(pem), Ok(body)) = (std::fs::read(dir.join("partyC.pem")), std::fs::read(dir.join("as4-encrypted-compressed-message.as4"))) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped with CI=true: {} is absent", dir.display());
            return;
        };
        let key = PrivateKey::of_any_size(PKey::private_key_from_pem(&pem).unwrap());
        let keys = [Identity::new(key, Certificate::from_pem(&pem).unwrap(), Vec::new()).unwrap()];
        let options = Options { signature: Requirement::Optional, ..Options::default() };
        let context = Context { keys: &keys, known: &|_| None, options: &options, at: Timestamp::UNIX_EPOCH };
        let content_type = "multipart/related; boundary=\"=-6sJmyirLVoAPyUJUzCWk0w==\"";
        let mut payload = Vec::new();
        let received = open(content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut payload).unwrap();
        // It is compressed but does not say so: what comes out is the gzip.
        let [first, second] = received.parts.as_slice() else { panic!("{} parts", received.parts.len()) };
        let (picture, text) = payload.split_at(first.octets as usize);
        assert_eq!(text.len() as u64, second.octets);
        let unpacked = |gzip: &[u8]| io::copy(&mut flate2::read::GzDecoder::new(gzip), &mut io::sink()).unwrap();
        assert_eq!((unpacked(picture), unpacked(text)), (290_403, 63));
    }
}
