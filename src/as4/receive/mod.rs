//! Opening a request: verify the header, decrypt and check the attachments, decompress.
//!
//! The header's signature is verified before an attachment is read; nothing of a payload leaves the scratch file before
//! its tag and its digest hold.

mod announced;
mod options;
mod refusal;
mod soap;

use std::cell::Cell;
use std::io::{Read, Seek, SeekFrom, Write};

pub use options::{Context, Options, ReceiveLimits, Requirement, Seeking, Sought};
pub(super) use refusal::Problem;
pub use refusal::{Fault, Refusal};
pub(super) use soap::soap_part;

use announced::announced;

use super::ebms::{self, Header, Messaging};
use super::envelope::{Envelope, limits, unreadable};
use super::error::{Code, EbmsError};
use super::names::{EB, SOAP, TEST_ACTION, TEST_SERVICE};
use super::payload::{Landed, is_part, land};
use super::security::{self, Signature};
use crate::crypto::{Certificate, KeyReference};
use crate::ident::{As4MessageId, Sha256};
use crate::xml::Document;

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

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};
    use std::path::Path;

    use jiff::Timestamp;
    use openssl::pkey::PKey;

    use super::*;
    use crate::as4::names::GZIP;
    use crate::crypto::{Identity, PrivateKey};
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
