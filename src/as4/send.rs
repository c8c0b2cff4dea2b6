//! Making a request: compress, sign, encrypt, in that order (AS4 5.1.7, SDK C3.2.1 2.2.a), as a stream.

use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::ebms::Purpose;
use super::names::SOAP_TYPE;
use super::{As4Error, Reference, UserMessage, ebms, security};
use crate::crypto::{Certificate, Encryptor, Hasher, Identity};
use crate::ident::{As4MessageId, Sha256};

/// The payload's Content-ID. Domibus with the published P-Mode refuses every other one.
const PAYLOAD: &str = "message";

/// What must be kept of a request until its receipt came: under 2 KB of JSON, so that it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// `eb:MessageId`.
    pub message_id: As4MessageId,
    /// The whole Content-Type of the body.
    pub content_type: String,
    /// What was signed; the receipt must repeat it.
    pub references: Vec<Reference>,
    /// SHA-256 of the signature value.
    pub signature_digest: Sha256,
    /// Octets of the body.
    pub octets: u64,
}

/// Writes the HTTP body of a request to the other access point's test service, as [`package`] that of a message. Participants
/// stand in it as in any message; it is answered and goes no further.
///
/// # Errors
/// As [`package`].
pub fn ping(
    message: &UserMessage,
    payload: &mut dyn Read,
    signer: &Identity,
    recipient: &Certificate,
    scratch: impl Read + Write + Seek,
    out: &mut dyn Write,
    boundary: &str,
) -> Result<Sent, As4Error> {
    pack((message, Purpose::Test), payload, signer, recipient, scratch, out, boundary)
}

/// Writes the HTTP body of a request with one payload to `out`.
///
/// The payload is read once; `scratch` (empty, at its start) takes it compressed, since its digest stands before it.
/// `boundary` is a random text of 1 to 70 characters of RFC 2046 5.1.1.
///
/// # Errors
/// [`As4Error`]; what was written to `out` then is of no use.
pub fn package(
    message: &UserMessage,
    payload: &mut dyn Read,
    signer: &Identity,
    recipient: &Certificate,
    scratch: impl Read + Write + Seek,
    out: &mut dyn Write,
    boundary: &str,
) -> Result<Sent, As4Error> {
    pack((message, Purpose::Document), payload, signer, recipient, scratch, out, boundary)
}

fn pack(
    (message, purpose): (&UserMessage, Purpose),
    payload: &mut dyn Read,
    signer: &Identity,
    recipient: &Certificate,
    mut scratch: impl Read + Write + Seek,
    out: &mut dyn Write,
    boundary: &str,
) -> Result<Sent, As4Error> {
    if !is_boundary(boundary) {
        return Err(As4Error::Boundary);
    }
    let start = scratch.stream_position().map_err(As4Error::stream("use the scratch file"))?;
    let digest = compress(payload, &mut scratch)?;
    let ids = security::Ids::of(&message.message_id);
    let messaging = ebms::write_user(message, purpose, &ids, &format!("cid:{PAYLOAD}"));
    let (session, encryption) = security::encrypt(recipient, &ids, PAYLOAD)?;
    let sealed = security::sign(&messaging, &ids, &encryption, &[(PAYLOAD.to_owned(), digest)], signer)?;

    scratch.seek(SeekFrom::Start(start)).map_err(As4Error::stream("use the scratch file"))?;
    let mut out = Counted { out, octets: 0 };
    let mut write = || {
        // The SOAP part stands first; it has no Content-ID and the package no `start`, which every peer reads so.
        write!(out, "--{boundary}\r\nContent-Type: {SOAP_TYPE}; charset=UTF-8\r\nContent-Transfer-Encoding: binary\r\n\r\n")?;
        out.write_all(&sealed.envelope)?;
        write!(
            out,
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{PAYLOAD}>\r\n\r\n"
        )?;
        let mut encryptor = Encryptor::new(&session, &mut out)?;
        io::copy(&mut scratch, &mut encryptor)?;
        let out = encryptor.finish()?;
        write!(out, "\r\n--{boundary}--\r\n")?;
        out.flush()
    };
    write().map_err(As4Error::stream("write the request"))?;
    Ok(Sent {
        message_id: message.message_id.clone(),
        content_type: format!("multipart/related; type=\"{SOAP_TYPE}\"; boundary=\"{boundary}\""),
        references: sealed.references,
        signature_digest: sealed.digest,
        octets: out.octets,
    })
}

fn is_boundary(text: &str) -> bool {
    (1..=70).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&octet))
}

/// Compresses into the scratch file; the digest of what was written there.
fn compress(payload: &mut dyn Read, scratch: impl Write) -> Result<Sha256, As4Error> {
    // An envelope is mostly base64 of ciphertext: the fastest level takes out what there is to take.
    let mut encoder = GzEncoder::new(Hashed { out: scratch, hasher: Hasher::new() }, Compression::fast());
    io::copy(payload, &mut encoder).map_err(As4Error::stream("compress the payload"))?;
    let mut hashed = encoder.finish().map_err(As4Error::stream("compress the payload"))?;
    hashed.out.flush().map_err(As4Error::stream("use the scratch file"))?;
    Ok(hashed.hasher.finish())
}

struct Hashed<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Counted<'w> {
    out: &'w mut dyn Write,
    octets: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.octets += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
