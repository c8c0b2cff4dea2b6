//! MIME parts whose bytes are the same each time: our own encodings, boundaries made of ids.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

/// Longest encoded line (RFC 2045 6.7, 6.8).
const LINE: usize = 76;

/// A multipart whose boundary no quoted-printable or base64 line can hold: in both, no `_` ever follows a `=`.
pub(super) fn multipart<'x>(subtype: &str, id: &str, number: u8, parts: Vec<MimePart<'x>>) -> MimePart<'x> {
    multipart_of(ContentType::new(format!("multipart/{subtype}")), id, number, parts)
}

/// The same for a content type with parameters of its own.
pub(super) fn multipart_of<'x>(kind: ContentType<'x>, id: &str, number: u8, parts: Vec<MimePart<'x>>) -> MimePart<'x> {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    MimePart::new(kind.attribute("boundary", format!("=_sdk_{id}_{number}")), BodyPart::Multipart(parts))
}

/// A text part in quoted-printable, always, so that no line of it can be taken for a boundary.
pub(super) fn text<'x>(media_type: &'static str, text: &str) -> MimePart<'x> {
    MimePart::new(ContentType::new(media_type).attribute("charset", "utf-8"), BodyPart::Binary(quoted_printable(text).into_bytes().into()))
        .transfer_encoding("quoted-printable")
}

/// A part of UTF-8 lines in quoted-printable that has no charset to tell.
pub(super) fn quoted<'x>(kind: ContentType<'x>, text: &str) -> MimePart<'x> {
    MimePart::new(kind, BodyPart::Binary(quoted_printable(text).into_bytes().into())).transfer_encoding("quoted-printable")
}

/// A part of UTF-8 lines as they are.
pub(super) fn wide_lines(kind: ContentType<'_>, text: String) -> MimePart<'_> {
    MimePart::new(kind, BodyPart::Binary(text.into_bytes().into())).transfer_encoding("8bit")
}

/// A part of ASCII lines as they are.
pub(super) fn lines(kind: ContentType<'_>, text: String) -> MimePart<'_> {
    MimePart::new(kind, BodyPart::Binary(text.into_bytes().into())).transfer_encoding("7bit")
}

/// A file in base64, its name by RFC 2231, and by RFC 2047 for programs that read nothing else.
pub(super) fn file<'x>(media_type: &str, name: &str, body: &[u8]) -> MimePart<'x> {
    let kind = format!("{media_type}; name=\"{}\"", encoded_words(name));
    MimePart::raw(BodyPart::Binary(base64_lines(body).into()))
        .header("Content-Type", Raw::new(kind))
        .attachment(name.to_owned())
        .transfer_encoding("base64")
}

/// A name in ASCII for a quoted string. RFC 2047 5 does not let encoded words stand there; Outlook has always put them there,
/// and every program that knows no RFC 2231 looks for them there.
fn encoded_words(name: &str) -> String {
    if name.bytes().all(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\')) && name.len() <= 60 && !name.contains("=?") {
        return name.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut piece = String::new();
    for c in name.chars() {
        // RFC 2047 2: a word is at most 75 long; each is whole characters.
        if piece.len() + c.len_utf8() > 39 {
            words.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    words.push(piece);
    words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect::<Vec<_>>().join(" ")
}

fn base64_lines(body: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(body);
    let mut out = Vec::with_capacity(encoded.len() / LINE * (LINE + 2) + LINE + 2);
    for line in encoded.as_bytes().chunks(LINE) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// RFC 2045 6.7: UTF-8, lines of at most 76, no space at a line's end, CRLF.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for line in text.split('\n') {
        let line = line.trim_end_matches('\r');
        let mut width = 0;
        let last = line.len().saturating_sub(1);
        for (at, octet) in line.bytes().enumerate() {
            let plain = matches!(octet, b'!'..=b'<' | b'>'..=b'~') || (octet == b' ' && at != last);
            let size = if plain { 1 } else { 3 };
            if width + size > LINE - 1 {
                out.push_str("=\r\n");
                width = 0;
            }
            // A dot that begins a line is stuffed on the way, "From " gets a `>` in a mailbox file; neither is always undone.
            let harmed = width == 0 && (octet == b'.' || line.get(at..).is_some_and(|rest| rest.starts_with("From ")));
            let (plain, size) = if harmed { (false, 3) } else { (plain, size) };
            if plain {
                out.push(char::from(octet));
            } else {
                use std::fmt::Write as _;
                let _ = write!(out, "={octet:02X}"); // writing to a String cannot fail
            }
            width += size;
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::transfer;

    proptest! {
        #[test]
        fn quoted_printable_gives_back_the_text(text in "([a-zåäö =.\n\u{a0}]|\nFrom ){0,200}") {
            let encoded = quoted_printable(&text);
            prop_assert!(encoded.split("\r\n").all(|line| line.len() <= LINE && !line.ends_with(' ') && !line.starts_with('.') && !line.starts_with("From ")));
            let decoded = transfer::decode(encoded.as_bytes(), Some("quoted-printable")).unwrap();
            prop_assert_eq!(String::from_utf8(decoded).unwrap(), text.replace('\n', "\r\n") + "\r\n");
        }
    }
}
