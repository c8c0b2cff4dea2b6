//! One attachment: off the wire, decrypted and hashed into the scratch file, and out of it decompressed.

use std::borrow::Cow;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;
use percent_encoding::percent_decode_str;

use super::error::{Code, EbmsError};
use super::package::{PackageReader, PartHeaders, TransferDecoder};
use super::receive::{Problem, ReceiveLimits};
use super::security::Decryption;
use crate::crypto::{Decryptor, Digest, Digester};
use crate::xml::{Canonicalization, Comments, Document, Limits};

/// Octets up to which any ratio of compression is fine.
const RATIO_FROM: u64 = 1 << 20;

/// An attachment that the header announces.
pub(super) struct Expected {
    /// `cid:` and its Content-ID, as PartInfo writes it.
    pub(super) href: String,
    pub(super) compressed: bool,
    pub(super) decryption: Option<Decryption>,
    /// Digests that the signature gives it.
    pub(super) digests: Vec<(Digest, Vec<u8>)>,
}

/// An attachment in the scratch file.
pub(super) struct Landed {
    start: u64,
    length: u64,
    /// Its media type, from EncryptedData or the part's header.
    pub(super) media: Option<String>,
    /// Whether it came encrypted.
    pub(super) encrypted: bool,
}

/// Whether a `cid:` URI names the part with this Content-ID (RFC 2392).
pub(super) fn is_part(uri: &str, content_id: &str) -> bool {
    uri.strip_prefix("cid:").is_some_and(|id| id == content_id || percent_decoded(id).as_deref() == Some(content_id))
}

/// Whether two `cid:` URIs name one part: one of them may be encoded and the other not, as header and signature are written by
/// different programs.
pub(super) fn is_same_part(one: &str, other: &str) -> bool {
    let id = |uri: &str| uri.strip_prefix("cid:").map(str::to_owned);
    let (Some(own), Some(id)) = (id(one), id(other)) else { return false };
    own == id || is_part(one, &id) || is_part(other, &own) || percent_decoded(&own).is_some_and(|own| percent_decoded(&id) == Some(own))
}

/// `None` where that is no text.
fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// Takes the part that the reader came to into the scratch file, at `start`, and checks its tag and digests.
pub(super) fn land(
    reader: &mut PackageReader<'_>,
    headers: &PartHeaders,
    expected: &mut Expected,
    start: u64,
    mut scratch: impl Read + Write + Seek,
    limits: &ReceiveLimits,
) -> Result<Landed, Problem> {
    let mut media = headers.content_type.as_ref().map(|own| own.media().to_owned());
    let mut decryptor = None;
    if let Some(decryption) = expected.decryption.take() {
        media = decryption.mime_type.or(media);
        decryptor = Some(Decryptor::new(decryption.key));
    }
    let encrypted = decryptor.is_some();
    let undecryptable = || EbmsError::new(Code::FailedDecryption, "The message cannot be decrypted");
    let mut digesters = Vec::new();
    for (digest, value) in &expected.digests {
        digesters.push((Digester::new(*digest).map_err(Problem::provider)?, *digest, value));
    }
    let mut decoder = TransferDecoder::new(headers.encoding);
    let (mut encoded, mut plain, mut length) = (Vec::new(), Vec::new(), 0);
    let mut more = true;
    while more {
        encoded.clear();
        if let Some(chunk) = reader.chunk()? {
            decoder.decode(chunk, &mut encoded)?;
        } else {
            more = false;
            decoder.finish(&mut encoded)?;
        }
        let octets = match &mut decryptor {
            Some(decryptor) => {
                plain.clear();
                decryptor.update(&encoded, &mut plain).map_err(|_| undecryptable())?;
                &plain
            }
            None => &encoded,
        };
        for (digester, ..) in &mut digesters {
            digester.update(octets).map_err(Problem::provider)?;
        }
        scratch.write_all(octets).map_err(Problem::Ours)?;
        length += octets.len() as u64;
    }
    if let Some(decryptor) = decryptor {
        decryptor.finish().map_err(|_| undecryptable())?;
    }
    let landed = Landed { start, length, media, encrypted };
    for (digester, digest, value) in digesters {
        let own = digester.finish().map_err(Problem::provider)?;
        if own != *value && !canonical_digest_matches(&landed, expected.compressed, digest, value, &mut scratch, limits)? {
            return Err(EbmsError::new(Code::FailedAuthentication, "The digest of an attachment differs").into());
        }
    }
    Ok(landed)
}

impl Landed {
    /// Octets after the part in the scratch file.
    pub(super) fn end(&self) -> u64 {
        self.start + self.length
    }

    /// Writes the payload to `out`, decompressed when it is compressed; at most `room` octets. Its octets.
    pub(super) fn release(
        &self,
        compressed: bool,
        mut scratch: impl Read + Seek,
        room: u64,
        ratio: u64,
        out: &mut dyn Write,
    ) -> Result<u64, Problem> {
        scratch.seek(SeekFrom::Start(self.start)).map_err(Problem::Ours)?;
        let source = BufReader::with_capacity(64 * 1024, scratch.take(self.length));
        let too_large = || EbmsError::new(Code::DecompressionFailure, "The payload is too large");
        let mut source: Box<dyn Read> = if compressed { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        let mut buffer = vec![0; 64 * 1024];
        let mut total = 0;
        loop {
            let length = match source.read(&mut buffer) {
                Ok(0) => return Ok(total),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The operating system's errors are the scratch file's, the others the decompressor's.
                Err(error) if error.raw_os_error().is_some() => return Err(Problem::Ours(error)),
                Err(_) => return Err(EbmsError::new(Code::DecompressionFailure, "The payload is not gzip").into()),
            };
            total += length as u64;
            if total > room || (total > RATIO_FROM && total / ratio.max(1) > self.length) {
                return Err(too_large().into());
            }
            out.write_all(buffer.get(..length).unwrap_or_default()).map_err(Problem::Ours)?;
        }
    }
}

/// Whether the digest is that of the canonical form which WSS4J takes of XML and text when they are not compressed
/// (WSS SwA 1.1 5.4.2): exclusive C14N of XML, CRLF line ends of text.
fn canonical_digest_matches(
    landed: &Landed,
    compressed: bool,
    digest: Digest,
    value: &[u8],
    mut scratch: impl Read + Seek,
    limits: &ReceiveLimits,
) -> Result<bool, Problem> {
    // EncryptedData/@MimeType may have parameters, as a Content-Type has.
    let media = landed.media.as_deref().and_then(|media| media.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    let xml = matches!(media.as_str(), "text/xml" | "application/xml") || media.ends_with("+xml");
    if compressed || landed.length > limits.canonical as u64 || !(xml || media.starts_with("text/")) {
        return Ok(false);
    }
    let mut octets = Vec::new();
    scratch.seek(SeekFrom::Start(landed.start)).map_err(Problem::Ours)?;
    scratch.by_ref().take(landed.length).read_to_end(&mut octets).map_err(Problem::Ours)?;
    scratch.seek(SeekFrom::Start(landed.end())).map_err(Problem::Ours)?;
    let forms = if xml {
        let document = Document::parse(&octets, &Limits::of(limits.canonical)).ok();
        let canonical = document.and_then(|document| Canonicalization::exclusive().document(&document, Comments::Without, None).ok());
        canonical.map(|canonical| vec![canonical.into_bytes()]).unwrap_or_default()
    } else {
        // What becomes of a lone CR is written nowhere, and differs.
        vec![crlf(&octets, false), crlf(&octets, true)]
    };
    for form in forms {
        if digest.of(&form).map_err(Problem::provider)? == value {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The text with CRLF for every LF, and for every lone CR when `lone` says so.
fn crlf(octets: &[u8], lone: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'\n' => out.extend_from_slice(b"\r\n"),
            b'\r' if after.first() == Some(&b'\n') => {
                out.extend_from_slice(b"\r\n");
                rest = after.get(1..).unwrap_or_default();
            }
            b'\r' if lone => out.extend_from_slice(b"\r\n"),
            other => out.push(*other),
        }
    }
    out
}
