//! `multipart/related` (RFC 2387, RFC 2046 5.1): what the parts of an AS4 request are cut out of, as a stream.
//!
//! Read more freely than written: any transfer encoding, a preamble, LF for CRLF when the first boundary has it, header
//! names in any case, folded headers, parameters quoted or not.

use std::io::Read;

use base64::prelude::*;
use memchr::memmem;

/// Octets of all headers of one part, and of a preamble.
const HEADER_LIMIT: usize = 16 * 1024;
/// Octets that are read at a time.
const STEP: usize = 64 * 1024;

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackageError {
    /// It is not MIME as it should be.
    #[error("{0}")]
    Mime(&'static str),
    /// It is larger than allowed.
    #[error("the package is larger than {0} octets")]
    TooLarge(u64),
    /// The stream failed.
    #[error("reading the request failed")]
    Stream(#[source] std::io::Error),
}

/// A Content-Type: media type in lower case, parameters by name in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    media: String,
    parameters: Vec<(String, String)>,
}

impl ContentType {
    /// Reads a field value, folded or not; `None` when there is no media type in it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = split_quoted(text).into_iter();
        let media = fields.next()?.trim().to_ascii_lowercase();
        if !media.contains('/') {
            return None;
        }
        let parameters = fields.filter_map(|field| {
            let (name, value) = field.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), unquoted(value.trim())))
        });
        Some(Self { media, parameters: parameters.collect() })
    }

    /// The media type, for example `multipart/related`.
    #[must_use]
    pub fn media(&self) -> &str {
        &self.media
    }

    /// A parameter by its name in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Splits at semicolons outside quotes.
fn split_quoted(text: &str) -> Vec<&str> {
    let (mut fields, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                fields.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.extend(text.get(start..));
    fields
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// The headers of one part that matter.
#[derive(Debug, Clone)]
pub(super) struct PartHeaders {
    pub(super) content_type: Option<ContentType>,
    /// Without the angle brackets.
    pub(super) content_id: Option<String>,
    pub(super) encoding: TransferEncoding,
}

/// How a part's octets are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    Identity,
    Base64,
    QuotedPrintable,
}

impl PartHeaders {
    fn parse(text: &str) -> Result<Self, PackageError> {
        let mut headers = Self { content_type: None, content_id: None, encoding: TransferEncoding::Identity };
        let mut fields: Vec<String> = Vec::new();
        for line in text.lines() {
            match fields.last_mut() {
                Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
                _ => fields.push(line.to_owned()),
            }
        }
        for field in fields.iter().filter(|field| !field.trim().is_empty()) {
            let (name, value) = field.split_once(':').ok_or(PackageError::Mime("a part has a line that is no header"))?;
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "content-type" => headers.content_type = ContentType::parse(value),
                "content-id" => {
                    let id = value.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(value);
                    headers.content_id = Some(id.to_owned());
                }
                "content-transfer-encoding" => {
                    headers.encoding = match value.to_ascii_lowercase().as_str() {
                        "binary" | "8bit" | "7bit" => TransferEncoding::Identity,
                        "base64" => TransferEncoding::Base64,
                        "quoted-printable" => TransferEncoding::QuotedPrintable,
                        _ => return Err(PackageError::Mime("a part has an unknown transfer encoding")),
                    };
                }
                _ => {}
            }
        }
        Ok(headers)
    }
}

/// Undoes a transfer encoding piece by piece.
#[derive(Debug)]
pub(super) struct TransferDecoder {
    encoding: TransferEncoding,
    held: Vec<u8>,
    /// Base64 came to its padding: nothing may follow.
    padded: bool,
}

impl TransferDecoder {
    pub(super) fn new(encoding: TransferEncoding) -> Self {
        Self { encoding, held: Vec::new(), padded: false }
    }

    /// Appends what the octets stand for.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), PackageError> {
        match self.encoding {
            TransferEncoding::Identity => out.extend_from_slice(input),
            TransferEncoding::Base64 => {
                self.held.extend(input.iter().filter(|octet| !octet.is_ascii_whitespace()));
                self.base64(self.held.len() / 4 * 4, out)?;
            }
            TransferEncoding::QuotedPrintable => {
                self.held.extend_from_slice(input);
                self.quoted_printable(out)?;
            }
        }
        Ok(())
    }

    /// Decodes what is left.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), PackageError> {
        match self.encoding {
            TransferEncoding::Identity => Ok(()),
            TransferEncoding::Base64 => self.base64(self.held.len(), out),
            TransferEncoding::QuotedPrintable if self.held.is_empty() || self.held == b"=" => Ok(()),
            TransferEncoding::QuotedPrintable => Err(PackageError::Mime("quoted-printable that is none")),
        }
    }

    fn base64(&mut self, length: usize, out: &mut Vec<u8>) -> Result<(), PackageError> {
        let wrong = || PackageError::Mime("base64 that is none");
        let ready: Vec<u8> = self.held.drain(..length).collect();
        if self.padded && !(ready.is_empty() && self.held.is_empty()) {
            return Err(wrong());
        }
        self.padded |= ready.last() == Some(&b'=');
        BASE64_STANDARD.decode_vec(ready, out).map_err(|_| wrong())
    }

    fn quoted_printable(&mut self, out: &mut Vec<u8>) -> Result<(), PackageError> {
        let wrong = || PackageError::Mime("quoted-printable that is none");
        let mut rest = self.held.as_slice();
        loop {
            match rest {
                [b'=', b'\r', b'\n', after @ ..] | [b'=', b'\n', after @ ..] => rest = after,
                [b'=', _] | [b'='] | [] => break,
                [b'=', high, low, after @ ..] => {
                    let digits = std::str::from_utf8(&[*high, *low]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    out.push(digits.ok_or_else(wrong)?);
                    rest = after;
                }
                [octet, after @ ..] => {
                    out.push(*octet);
                    rest = after;
                }
            }
        }
        self.held = rest.to_vec();
        Ok(())
    }
}

/// Reads the parts of a package one after another.
pub(super) struct PackageReader<'r> {
    source: &'r mut dyn Read,
    /// A line feed, two hyphens and the boundary.
    needle: Vec<u8>,
    buffer: Vec<u8>,
    /// Octets at the front of the buffer that were given out.
    used: usize,
    ended: bool,
    /// Whether lines end with CRLF: decided by the first delimiter.
    crlf: bool,
    state: State,
    total: u64,
    limit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Body,
    /// Behind a delimiter.
    Between,
    End,
}

/// What the front of the buffer is.
enum Found {
    /// So many octets of content, at least one.
    Content(usize),
    /// A delimiter after so many octets of content; the line behind it ends before `next`.
    Delimiter { content: usize, next: usize, last: bool, crlf: bool },
    /// Nothing can be said before more is read.
    More,
}

impl<'r> PackageReader<'r> {
    /// Begins to read; at most `limit` octets are taken from the source.
    pub(super) fn new(source: &'r mut dyn Read, boundary: &str, limit: u64) -> Self {
        // The first delimiter may stand at the very beginning: a line feed before it makes it like the others.
        let needle = [b"\n--", boundary.as_bytes()].concat();
        Self { source, needle, buffer: b"\r\n".to_vec(), used: 0, ended: false, crlf: true, state: State::Preamble, total: 0, limit }
    }

    /// The next part's headers; `None` behind the last part. What is left of the part before is skipped.
    pub(super) fn next_part(&mut self) -> Result<Option<PartHeaders>, PackageError> {
        let mut skipped = 0;
        while let State::Preamble | State::Body = self.state {
            let preamble = self.state == State::Preamble;
            skipped += self.chunk()?.map_or(0, <[u8]>::len);
            if preamble && skipped > HEADER_LIMIT {
                return Err(PackageError::Mime("no boundary where the package should begin"));
            }
        }
        self.release();
        if self.state == State::End {
            return Ok(None);
        }
        let (end, next) = loop {
            let found = end_of_headers(&self.buffer);
            // However many octets happened to be read at once, the bound is the same.
            if found.map_or(self.buffer.len(), |(end, _)| end) > HEADER_LIMIT {
                return Err(PackageError::Mime("the headers of a part are too long"));
            }
            if let Some(found) = found {
                break found;
            }
            self.fill()?;
        };
        let text = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).into_owned();
        self.used = next;
        self.state = State::Body;
        PartHeaders::parse(&text).map(Some)
    }

    /// The next octets of the part that [`Self::next_part`] came to, as they are written; `None` at its end.
    pub(super) fn chunk(&mut self) -> Result<Option<&[u8]>, PackageError> {
        loop {
            self.release();
            if let State::Between | State::End = self.state {
                return Ok(None);
            }
            match self.look() {
                Found::Content(length) | Found::Delimiter { content: length @ 1.., .. } => {
                    self.used = length;
                    return Ok(self.buffer.get(..length));
                }
                Found::Delimiter { next, last, crlf, .. } => {
                    if self.state == State::Preamble {
                        self.crlf = crlf;
                    }
                    self.used = next;
                    self.state = if last { State::End } else { State::Between };
                }
                Found::More => self.fill()?,
            }
        }
    }

    fn look(&self) -> Found {
        let mut from = 0;
        while let Some(found) = self.buffer.get(from..).and_then(|rest| memmem::find(rest, &self.needle)) {
            let at = from + found;
            let after_return = at > 0 && self.buffer.get(at - 1) == Some(&b'\r');
            let content = if after_return && self.crlf { at - 1 } else { at };
            let line = self.buffer.get(at + self.needle.len()..).unwrap_or_default();
            let possible = after_return || !self.crlf || self.state == State::Preamble;
            match if possible { Line::judge(line, self.ended) } else { Line::Content } {
                Line::Delimiter { length, last, crlf } => {
                    return Found::Delimiter { content, next: at + self.needle.len() + length, last, crlf };
                }
                Line::Undecided => return if content > 0 { Found::Content(content) } else { Found::More },
                Line::Content => from = at + 1,
            }
        }
        // A carriage return and all but the last octet of the needle may be the beginning of a delimiter.
        match self.buffer.len().saturating_sub(self.needle.len()) {
            0 => Found::More,
            length => Found::Content(length),
        }
    }

    fn release(&mut self) {
        self.buffer.drain(..self.used);
        self.used = 0;
    }

    fn fill(&mut self) -> Result<(), PackageError> {
        if self.ended {
            return Err(PackageError::Mime("the package ends before its last boundary"));
        }
        let start = self.buffer.len();
        self.buffer.resize(start + STEP, 0);
        let length = loop {
            match self.source.read(self.buffer.get_mut(start..).unwrap_or_default()) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result.map_err(PackageError::Stream)?,
            }
        };
        self.buffer.truncate(start + length);
        self.ended = length == 0;
        self.total += length as u64;
        if self.total > self.limit { Err(PackageError::TooLarge(self.limit)) } else { Ok(()) }
    }
}

/// What the line behind a boundary makes of it.
enum Line {
    /// A delimiter: octets to the end of its line, whether it is the last one, whether the line ends with CRLF.
    Delimiter { length: usize, last: bool, crlf: bool },
    /// The line is not there yet.
    Undecided,
    /// No delimiter but content that looks like one.
    Content,
}

impl Line {
    fn judge(line: &[u8], ended: bool) -> Self {
        const LENGTH: usize = 256;
        let last = line.starts_with(b"--");
        let skip = if last { 2 } else { 0 };
        let blank = |end: usize| line.get(skip..end).is_some_and(|text| text.iter().all(|octet| matches!(octet, b' ' | b'\t' | b'\r')));
        match line.iter().take(LENGTH).position(|octet| *octet == b'\n') {
            Some(end) if blank(end) => Self::Delimiter { length: end + 1, last, crlf: line.get(..end).is_some_and(|text| text.ends_with(b"\r")) },
            None if ended && last && blank(line.len()) => Self::Delimiter { length: line.len(), last, crlf: true },
            None if !ended && line.len() < LENGTH => Self::Undecided,
            _ => Self::Content,
        }
    }
}

/// Where the headers end and what stands behind the blank line begins.
fn end_of_headers(buffer: &[u8]) -> Option<(usize, usize)> {
    if buffer.starts_with(b"\r\n") {
        return Some((0, 2));
    }
    if buffer.starts_with(b"\n") {
        return Some((0, 1));
    }
    let crlf = memmem::find(buffer, b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = memmem::find(buffer, b"\n\n").map(|at| (at, at + 2));
    [crlf, lf].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives one octet at a time, so that every cut is tried.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            out[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    type Parts = Vec<(Option<String>, Vec<u8>)>;

    fn read_from(source: &mut dyn Read, boundary: &str) -> Result<Parts, PackageError> {
        let mut reader = PackageReader::new(source, boundary, 1_000_000);
        let mut parts = Vec::new();
        while let Some(headers) = reader.next_part()? {
            let mut decoder = TransferDecoder::new(headers.encoding);
            let mut body = Vec::new();
            while let Some(chunk) = reader.chunk()? {
                decoder.decode(chunk, &mut body)?;
            }
            decoder.finish(&mut body)?;
            parts.push((headers.content_id, body));
        }
        Ok(parts)
    }

    fn read(text: &[u8]) -> Result<Parts, PackageError> {
        let whole = read_from(&mut { text }, "b");
        let dripped = read_from(&mut Drip(text), "b");
        assert_eq!(format!("{whole:?}"), format!("{dripped:?}"));
        whole
    }

    fn part(id: &str, body: &[u8]) -> (Option<String>, Vec<u8>) {
        (Some(id.to_owned()), body.to_vec())
    }

    #[test]
    fn parts_come_out_octet_for_octet() {
        let text = b"preamble\r\n--b\r\nContent-Id: <a@b>\r\nX: \r\n y\r\n\r\n\r\n--bc\r\r\n--\n--b--x\r\n--b \t\r\ncontent-id:c\r\n\r\n\r\n--b--\r\nepilogue";
        assert_eq!(read(text).unwrap(), [part("a@b", b"\r\n--bc\r\r\n--\n--b--x"), part("c", b"")]);
        assert_eq!(read(b"--b\nContent-ID: <x>\n\n1\r\n--b--").unwrap(), [part("x", b"1\r")]);
        assert_eq!(read(b"\r\n--b\r\n\r\n1\r\n--b--").unwrap(), [(None, b"1".to_vec())]);
    }

    #[test]
    fn transfer_encodings_are_undone() {
        let text = b"--b\r\nContent-ID: <x>\r\nContent-Transfer-Encoding: BASE64\r\n\r\naGVtb\r\n Gln\r\ndA==\r\n--b\r\nContent-ID: <y>\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\nH=C3=\r\n=A5bo=\r\n--b--";
        assert_eq!(read(text).unwrap(), [part("x", b"hemligt"), part("y", "H\u{e5}bo".as_bytes())]);
        for body in ["aGVtbGlndA==AAAA", "aGVtbGln!A==", "aGVtb"] {
            let text = format!("--b\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n--b--");
            assert!(matches!(read(text.as_bytes()), Err(PackageError::Mime(_))), "{body}");
        }
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let text = b"--b\r\nContent-ID: <x>\r\n\r\n12345\r\n--b--\r\n";
        for length in 0..text.len() - 2 {
            assert!(matches!(read(&text[..length]), Err(PackageError::Mime(_))), "{length}");
        }
        let long = [vec![b'x'; 20_000], text.to_vec()].concat();
        assert!(matches!(read(&long), Err(PackageError::Mime(_))));
        let mut source = &text[..];
        let mut reader = PackageReader::new(&mut source, "b", 10);
        assert!(matches!(reader.next_part(), Err(PackageError::TooLarge(10))));
    }

    #[test]
    fn a_content_type_reads_however_it_is_quoted() {
        let text = "Multipart/Related;\r\n boundary=\"=-a;b\\\"==\"; type=application/soap+xml;charset=utf-8";
        let read = ContentType::parse(text).unwrap();
        assert_eq!((read.media(), read.parameter("boundary"), read.parameter("type")), ("multipart/related", Some("=-a;b\"=="), Some(SOAP)));
        assert_eq!(ContentType::parse("multipart/related; boundary=--=-x==").unwrap().parameter("boundary"), Some("--=-x=="));
        assert_eq!(ContentType::parse(""), None);
    }

    const SOAP: &str = "application/soap+xml";
}
