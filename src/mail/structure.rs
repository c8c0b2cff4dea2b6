//! The tree of MIME parts: which text is the body, which parts are files (RFC 2046).

use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

use super::convert::Note;
use super::refusal::ConvertError;

/// More parts than any mail program writes.
const MAX_PARTS: usize = 500;
/// Deeper nesting than any mail program writes.
const MAX_DEPTH: usize = 32;

/// A part that is no multipart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf<'a> {
    /// Its headers and offsets.
    pub(super) part: &'a MessagePart<'a>,
    /// Its bytes, still encoded.
    pub(super) raw: &'a [u8],
}

impl Leaf<'_> {
    /// `type/subtype` in lower case; text/plain when nothing is said (RFC 2045 5.2).
    pub(super) fn media_type(&self) -> String {
        media_type(self.part)
    }

    /// Content-ID without brackets.
    pub(super) fn content_id(&self) -> Option<&str> {
        self.part.content_id().map(|id| id.trim().trim_start_matches('<').trim_end_matches('>'))
    }
}

/// A text of the body in the forms that the mail offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    /// text/html.
    pub(super) html: Option<Leaf<'a>>,
    /// text/plain.
    pub(super) plain: Option<Leaf<'a>>,
}

/// What a mail consists of.
#[derive(Debug, Default)]
pub(super) struct Structure<'a> {
    /// The body's texts, in order.
    pub(super) bodies: Vec<Body<'a>>,
    /// The files, in order; images of the body among them.
    pub(super) files: Vec<Leaf<'a>>,
}

/// Walks the tree.
pub(super) fn walk<'a>(message: &'a Message<'a>, bytes: &'a [u8], notes: &mut Vec<Note>) -> Result<Structure<'a>, ConvertError> {
    if message.parts.len() > MAX_PARTS {
        return Err(ConvertError::TooManyParts);
    }
    let mut walker = Walker { message, bytes, notes };
    walker.part(0, 0)
}

struct Walker<'a, 'n> {
    message: &'a Message<'a>,
    bytes: &'a [u8],
    notes: &'n mut Vec<Note>,
}

impl<'a> Walker<'a, '_> {
    fn part(&mut self, id: u32, depth: usize) -> Result<Structure<'a>, ConvertError> {
        if depth > MAX_DEPTH {
            return Err(ConvertError::TooManyParts);
        }
        let part = self.message.parts.get(id as usize).ok_or(ConvertError::Broken("a part is missing"))?;
        let kind = media_type(part);
        if let Some(subtype) = kind.strip_prefix("multipart/") {
            return self.multipart(part, subtype, depth);
        }
        let raw = self.bytes.get(part.offset_body as usize..part.offset_end as usize).ok_or(ConvertError::Broken("a part has no end"))?;
        let leaf = Leaf { part, raw };
        let name = part.attachment_name().unwrap_or_default();
        if matches!(kind.as_str(), "application/pkcs7-mime" | "application/x-pkcs7-mime") || name.eq_ignore_ascii_case("smime.p7m") {
            return Err(ConvertError::Encrypted);
        }
        if matches!(kind.as_str(), "application/ms-tnef" | "application/vnd.ms-tnef") || name.eq_ignore_ascii_case("winmail.dat") {
            return Err(ConvertError::Tnef);
        }
        let attached = part.content_disposition().is_some_and(mail_parser::ContentType::is_attachment);
        let is_body = !attached && name.is_empty();
        let mut structure = Structure::default();
        match kind.as_str() {
            "text/html" if is_body => structure.bodies.push(Body { html: Some(leaf), plain: None }),
            "text/plain" if is_body => structure.bodies.push(Body { html: None, plain: Some(leaf) }),
            _ => structure.files.push(leaf),
        }
        Ok(structure)
    }

    fn multipart(&mut self, part: &'a MessagePart<'a>, subtype: &str, depth: usize) -> Result<Structure<'a>, ConvertError> {
        let PartType::Multipart(children) = &part.body else { return Err(ConvertError::Broken("a multipart has no parts")) };
        if children.is_empty() {
            return Err(ConvertError::Broken("a multipart has no parts"));
        }
        if !self.is_closed(part) {
            return Err(ConvertError::Broken("a multipart has no end"));
        }
        match subtype {
            "encrypted" => return Err(ConvertError::Encrypted),
            "signed" => {
                self.notes.push(Note::new("Mejlets signatur följer inte med.", "The mail's signature is not passed on."));
                let first = children.first().copied().ok_or(ConvertError::Broken("a multipart has no parts"))?;
                return self.part(first, depth + 1);
            }
            _ => {}
        }
        let parts = children.iter().map(|&child| self.part(child, depth + 1)).collect::<Result<Vec<_>, _>>()?;
        Ok(if subtype == "alternative" { alternative(parts) } else { in_order(parts) })
    }

    /// A mail cut short lacks the closing delimiter, and with it maybe files (RFC 2046 5.1.1).
    fn is_closed(&self, part: &MessagePart<'_>) -> bool {
        let Some(boundary) = part.content_type().and_then(|kind| kind.attribute("boundary")) else { return false };
        let mark = format!("--{boundary}--");
        let body = self.bytes.get(part.offset_body as usize..).unwrap_or_default();
        body.split(|&octet| octet == b'\n').any(|line| line.starts_with(mark.as_bytes()))
    }
}

fn in_order(parts: Vec<Structure<'_>>) -> Structure<'_> {
    let mut all = Structure::default();
    for part in parts {
        all.bodies.extend(part.bodies);
        all.files.extend(part.files);
    }
    all
}

/// The richest form is the last (RFC 2046 5.1.4): HTML wins, plain text stands by; the files of all forms are kept.
fn alternative(parts: Vec<Structure<'_>>) -> Structure<'_> {
    let has_html = |part: &Structure<'_>| part.bodies.iter().any(|body| body.html.is_some());
    let plain = parts.iter().filter(|part| !has_html(part)).flat_map(|part| &part.bodies).find_map(|body| body.plain);
    let chosen = parts.iter().rposition(has_html).or_else(|| parts.iter().rposition(|part| !part.bodies.is_empty()));
    let mut all = Structure::default();
    for (at, part) in parts.into_iter().enumerate() {
        if Some(at) == chosen {
            all.bodies = part.bodies;
        }
        all.files.extend(part.files);
    }
    if let [Body { html: Some(_), plain: stand_in @ None }] = all.bodies.as_mut_slice() {
        *stand_in = plain;
    }
    all
}

fn media_type(part: &MessagePart<'_>) -> String {
    match part.content_type() {
        Some(kind) => match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()).to_ascii_lowercase(),
            None => "application/octet-stream".to_owned(),
        },
        None => "text/plain".to_owned(),
    }
}
