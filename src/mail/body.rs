//! The body's parts as blocks, and which of the mail's images its text shows.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::MimeHeaders;

use super::convert::Note;
use super::files;
use super::html::{self, ImageUse};
use super::image::is_decoration;
use super::markdown::{self, Block, Piece, plain_words};
use super::note;
use super::plain::{self, Flow};
use super::policy::{AllowedTypes, InlineImages};
use super::refusal::ConvertError;
use super::structure::{Body, Leaf};
use super::transfer::{self, TransferError};
use super::uu;

/// Longest HTML that is read as such; a longer one gives way to the plain text.
const HTML_MAX: usize = 8 * 1024 * 1024;

/// What becomes of an image that the text shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// It stays a file, under this name.
    Kept(String),
    /// It is gone.
    Dropped,
}

/// Images of the mail by Content-ID, and what became of those that the text shows.
pub(super) struct Images<'a> {
    /// Decoded images, by Content-ID.
    pub(super) by_id: HashMap<String, &'a files::Attached>,
    /// What was decided, by Content-ID.
    pub(super) shown: HashMap<String, Shown>,
    /// Images that stand in the HTML itself and are kept.
    pub(super) embedded: Vec<files::Attached>,
    /// The mailbox's wish.
    pub(super) policy: InlineImages,
    /// The types that may pass.
    pub(super) types: &'a AllowedTypes,
}

/// One part of the body as blocks.
pub(super) fn blocks(body: &Body<'_>, images: &mut Images<'_>, notes: &mut Vec<Note>) -> Result<Vec<Block>, ConvertError> {
    if let Some(leaf) = &body.html {
        let text = text(leaf)?;
        if text.len() <= HTML_MAX || body.plain.is_none() {
            let blocks = html::blocks(&text, &mut |usage| images.decide(usage, notes));
            if !blocks.is_empty() || body.plain.is_none() {
                return Ok(blocks);
            }
        } else {
            notes.push(Note::new("Mejlets HTML är för stor; den rena texten skickas.", "The mail's HTML is too large; its plain text is sent."));
        }
    }
    let Some(leaf) = &body.plain else { return Ok(Vec::new()) };
    let attribute = |name: &str| leaf.part.content_type().and_then(|kind| kind.attribute(name)).map(str::to_ascii_lowercase);
    let flow = match (attribute("format").as_deref(), attribute("delsp").as_deref()) {
        (Some("flowed"), Some("yes")) => Flow::FlowedDelSp,
        (Some("flowed"), _) => Flow::Flowed,
        _ => Flow::Fixed,
    };
    let (text, files) = uu::extract(&text(leaf)?);
    for file in files {
        let declared = "application/octet-stream".to_owned();
        images.embedded.push(files::Attached { name: Some(file.name), declared, body: file.body });
        note::add(notes, Note::new("En fil som stod i texten (uuencode) blev en bilaga.", "A file in the text (uuencode) became an attachment."));
    }
    Ok(plain::blocks(&text, flow))
}

/// The bytes of a part.
pub(super) fn bytes(leaf: &Leaf<'_>) -> Result<Vec<u8>, ConvertError> {
    transfer::decode(&leaf.raw, leaf.part.content_transfer_encoding()).map_err(|error| {
        ConvertError::Encoding(match error {
            TransferError::Truncated => "base64".to_owned(),
            TransferError::Unknown(name) => name,
        })
    })
}

pub(super) fn text(leaf: &Leaf<'_>) -> Result<String, ConvertError> {
    text_of(leaf, &bytes(leaf)?)
}

/// The text of a part whose bytes are known.
pub(super) fn text_of(leaf: &Leaf<'_>, bytes: &[u8]) -> Result<String, ConvertError> {
    let charset = leaf.part.content_type().and_then(|kind| kind.attribute("charset"));
    let inside = if charset.is_none() { html::charset(bytes) } else { None };
    let charset = charset.or(inside.as_deref());
    transfer::text(bytes, charset).ok_or_else(|| ConvertError::Charset(charset.unwrap_or_default().chars().take(40).collect()))
}

impl Images<'_> {
    /// Decides on one image, and says what words stand in its place.
    fn decide(&mut self, usage: &ImageUse, notes: &mut Vec<Note>) -> Option<String> {
        let source = usage.source.trim();
        if let Some(id) = strip_scheme(source, "cid:") {
            let id = percent_decode(id);
            if let Some(shown) = self.shown.get(&id) {
                return words_for(shown);
            }
            let file = self.by_id.get(&id)?;
            let shown = self.judge(file, usage, notes);
            self.shown.insert(id, shown.clone());
            return words_for(&shown);
        }
        if let Some(data) = strip_scheme(source, "data:") {
            let (kind, body) = data.split_once(";base64,")?;
            let body = STANDARD.decode(body.bytes().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<_>>()).ok()?;
            let declared = files::normal_type(kind);
            let name = format!("bild-{}.{}", self.embedded.len() + 1, self.types.extension(&declared).unwrap_or("bin"));
            let file = files::Attached { name: Some(name), declared, body };
            let shown = self.judge(&file, usage, notes);
            if matches!(shown, Shown::Kept(_)) {
                self.embedded.push(file);
            }
            return words_for(&shown);
        }
        let tracking = usage.height.is_some_and(|height| height <= 2);
        if !source.is_empty() && !tracking {
            note::add(notes, Note::lost("En bild som bara fanns på webben följde inte med.", "An image that was only on the web was not passed on."));
        }
        (!usage.alt.is_empty()).then(|| usage.alt.clone())
    }

    fn judge(&self, file: &files::Attached, usage: &ImageUse, notes: &mut Vec<Note>) -> Shown {
        let name = files::clean_name(file.name.as_deref().unwrap_or_default());
        let name = if name.is_empty() { "bild".to_owned() } else { name };
        let decorative = is_decoration(&file.body, usage.height);
        let reason = if self.policy == InlineImages::DropAll || (decorative && self.policy == InlineImages::DropDecorative) {
            ("Bilden i texten följde inte med", "The image in the text was not passed on")
        } else if !self.types.allows(&file.declared) || file.body.is_empty() {
            (
                "Bilden i texten har en filtyp som inte får skickas och följde inte med",
                "The image in the text has a type that may not be sent and was not passed on",
            )
        } else {
            return Shown::Kept(name);
        };
        let note = if decorative { Note::minor } else { Note::lost };
        note::add(notes, note(format!("{}: {name}.", reason.0), format!("{}: {name}.", reason.1)));
        Shown::Dropped
    }
}

fn words_for(shown: &Shown) -> Option<String> {
    match shown {
        Shown::Kept(name) => Some(format!("[Bild: {name}]")),
        Shown::Dropped => None,
    }
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(tail)
}

/// RFC 2392: a cid URL may percent-encode the Content-ID.
fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, tail)) = rest.split_first() {
        let hex = |octet: u8| char::from(octet).to_digit(16);
        match (octet, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.extend(hex(*high).zip(hex(*low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok()));
                rest = after;
            }
            _ => {
                out.push(octet);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the quoted mails of an answer begin: the block that Outlook, Gmail or Apple Mail puts before them.
pub(super) fn history_start(blocks: &[Block]) -> Option<usize> {
    blocks.iter().position(|block| {
        let Block::Paragraph(pieces) = block else { return false };
        let mut lines = pieces.split(|piece| *piece == Piece::Break).map(|line| plain_words(line).trim().to_lowercase());
        let Some(first) = lines.next() else { return false };
        let ruled = ["-----ursprungligt meddelande-----", "-----original message-----", "________________________________"];
        let field = |line: &str, names: &[&str]| names.iter().any(|name| line.starts_with(name));
        ruled.iter().any(|rule| first.starts_with(rule))
            || (field(&first, &["från:", "from:"]) && lines.take(4).any(|line| field(&line, &["skickat:", "sent:", "datum:", "date:"])))
            || (first.ends_with(':') && field(&first, &["den ", "on "]) && (first.contains(" skrev") || first.contains(" wrote")))
    })
}

/// Markdown of blocks; `None` when there is nothing to read.
pub(super) fn markdown(blocks: &[Block]) -> Option<String> {
    let text = markdown::write(blocks);
    (!markdown::is_blank(&text)).then_some(text)
}
