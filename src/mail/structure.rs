//! The tree of MIME parts: which text is the body, which parts are files (RFC 2046).
//!
//! The parts are cut here, at delimiter lines and nowhere else; the parser reads their headers. Its own cutting takes
//! `--boundary` in the middle of a line, or as the beginning of a longer boundary, for a delimiter, and a file would lose
//! its end without a word. What is a mail or a bag of files in itself is opened by [`super::contained`].

use mail_parser::{MessageParser, MessagePart, MimeHeaders};

use super::contained::Walker;
use super::header;
pub(super) use super::leaf::{Body, Leaf, Structure, media_type};
use super::note::Note;
use super::policy::MailboxPolicy;
use super::refusal::ConvertError;

/// More parts than any mail program writes.
pub(super) const MAX_PARTS: usize = 500;
/// Deeper nesting than any mail program writes.
pub(super) const MAX_DEPTH: usize = 32;

/// Walks the tree.
pub(super) fn walk<'a>(mail: &'a [u8], policy: &MailboxPolicy, notes: &mut Vec<Note>) -> Result<Structure<'a>, ConvertError> {
    Walker::new(mail.len(), policy, notes).entity(mail, 0, "text/plain")
}

/// The header with its empty line, and what follows.
pub(super) fn split_header(entity: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    for line in entity.split_inclusive(|&octet| octet == b'\n') {
        from += line.len();
        if matches!(line, b"\r\n" | b"\n") {
            break;
        }
    }
    entity.split_at_checked(from).unwrap_or((entity, &[]))
}

impl Walker<'_> {
    /// One entity: a header and what it says of the rest. `usual` is its type when the header names none.
    pub(super) fn entity<'a>(&mut self, entity: &'a [u8], depth: usize, usual: &str) -> Result<Structure<'a>, ConvertError> {
        self.count()?;
        if depth > MAX_DEPTH {
            return Err(ConvertError::TooManyParts);
        }
        let (header, raw) = split_header(entity);
        let part = MessageParser::default().parse_headers(header).and_then(|message| message.parts.into_iter().next()).unwrap_or_default();
        let kind = if part.content_type().is_some() { media_type(&part) } else { usual.to_owned() };
        if let Some(subtype) = kind.strip_prefix("multipart/") {
            return self.multipart(&part, subtype, entity, raw, depth);
        }
        let leaf = Leaf { part, name: header::file_name(header), raw: raw.into() };
        if let Some(opened) = self.open(&leaf, raw, &kind, depth)? {
            return Ok(opened);
        }
        let attached = leaf.part.content_disposition().is_some_and(mail_parser::ContentType::is_attachment);
        let is_body = !attached && leaf.name.as_deref().is_none_or(str::is_empty);
        let mut structure = Structure::default();
        match kind.as_str() {
            "text/html" if is_body => structure.bodies.push(Body { html: Some(leaf), plain: None }),
            "text/plain" if is_body => structure.bodies.push(Body { html: None, plain: Some(leaf) }),
            _ => structure.files.push(leaf),
        }
        Ok(structure)
    }

    fn multipart<'a>(
        &mut self,
        part: &MessagePart<'_>,
        subtype: &str,
        entity: &'a [u8],
        raw: &'a [u8],
        depth: usize,
    ) -> Result<Structure<'a>, ConvertError> {
        let boundary = part.content_type().and_then(|kind| kind.attribute("boundary")).unwrap_or_default();
        if boundary.is_empty() {
            return Err(ConvertError::Broken("a multipart has no boundary"));
        }
        let children = cut(raw, boundary.as_bytes())?;
        match subtype {
            "encrypted" => return Err(ConvertError::Encrypted),
            "signed" => {
                let first = children.first().copied().ok_or(ConvertError::Broken("a multipart has no parts"))?;
                let mut signed = self.entity(first, depth + 1, "text/plain")?;
                self.clear_signature(entity, &mut signed);
                return Ok(signed);
            }
            _ => {}
        }
        // RFC 2046 5.1.5
        let usual = if subtype == "digest" { "message/rfc822" } else { "text/plain" };
        let parts = children.into_iter().map(|child| self.entity(child, depth + 1, usual)).collect::<Result<Vec<_>, _>>()?;
        Ok(if subtype == "alternative" { alternative(parts) } else { in_order(parts) })
    }
}

/// The parts of a multipart. The line end before a delimiter belongs to the delimiter (RFC 2046 5.1.1). A mail cut short
/// lacks the closing one, and with it maybe files.
fn cut<'a>(body: &'a [u8], boundary: &[u8]) -> Result<Vec<&'a [u8]>, ConvertError> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        let from = at;
        at += line.len();
        let Some(rest) = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)) else { continue };
        let (closing, padding) = match rest.strip_prefix(b"--") {
            Some(padding) => (true, padding),
            None => (false, rest),
        };
        if !padding.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if let Some(start) = start {
            let part = body.get(start..from).unwrap_or_default();
            parts.push(part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).unwrap_or(part));
        }
        if closing {
            return if parts.is_empty() { Err(ConvertError::Broken("a multipart has no parts")) } else { Ok(parts) };
        }
        if parts.len() > MAX_PARTS {
            return Err(ConvertError::TooManyParts);
        }
        start = Some(at);
    }
    Err(ConvertError::Broken("a multipart has no end"))
}

fn in_order(parts: Vec<Structure<'_>>) -> Structure<'_> {
    let mut all = Structure::default();
    for part in parts {
        all.extend(part);
    }
    all
}

/// The richest form is the last (RFC 2046 5.1.4): HTML wins, plain text stands by; all but the texts of the other forms is kept.
fn alternative(parts: Vec<Structure<'_>>) -> Structure<'_> {
    let has_html = |part: &Structure<'_>| part.bodies.iter().any(|body| body.html.is_some());
    let plain = parts.iter().filter(|part| !has_html(part)).flat_map(|part| &part.bodies).find_map(|body| body.plain.clone());
    let chosen = parts.iter().rposition(has_html).or_else(|| parts.iter().rposition(|part| !part.bodies.is_empty()));
    let mut all = Structure::default();
    for (at, mut part) in parts.into_iter().enumerate() {
        if Some(at) != chosen {
            part.bodies.clear();
        }
        all.extend(part);
    }
    if let [Body { html: Some(_), plain: stand_in @ None }] = all.bodies.as_mut_slice() {
        *stand_in = plain;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_delimit() {
        let body = b"x\r\n--b\r\none --b\r\n--bx\r\n--b- -\r\n\r\n--b  \r\n\r\ntwo\n\n--b--\r\nafter --b\r\n--b\r\n";
        assert_eq!(cut(body, b"b").unwrap(), [&b"one --b\r\n--bx\r\n--b- -\r\n"[..], b"\r\ntwo\n"]);
        assert!(cut(b"--b\r\none\r\n--b\r\n", b"b").is_err(), "no end");
        assert!(cut(b"--b--\r\n", b"b").is_err(), "no parts");
    }

    #[test]
    fn the_header_ends_at_the_first_empty_line() {
        assert_eq!(split_header(b"A: b\r\n\r\nc\r\n\r\n"), (&b"A: b\r\n\r\n"[..], &b"c\r\n\r\n"[..]));
        assert_eq!(split_header(b"\r\nbody"), (&b"\r\n"[..], &b"body"[..]));
        assert_eq!(split_header(b"A: b"), (&b"A: b"[..], &b""[..]));
    }
}
