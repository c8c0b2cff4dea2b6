//! The body's parts as blocks, and which of the mail's images its text shows.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::MimeHeaders;

use super::convert::Note;
use super::files;
use super::html::{self, ImageUse, Remark};
use super::image::{self, is_decoration};
use super::markdown::{self, Block};
use super::note;
use super::plain::{self, Flow};
use super::policy::{AllowedTypes, InlineImages};
use super::refusal::ConvertError;
use super::structure::{Body, Leaf};
use super::transfer::{self, TransferError};
use super::uu;
use super::words;
use crate::crypto::sha256;
use crate::ident::Sha256;

/// More images than a text shows.
const MAX_IMAGES: usize = 500;
/// Longest HTML that is read as such; a longer one gives way to the plain text.
const HTML_MAX: usize = 8 * 1024 * 1024;

/// What becomes of an image that the text shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// It stays a file.
    Kept {
        /// Its place among those that the text shows.
        number: usize,
        /// The file's name.
        name: String,
    },
    /// It is gone, and nobody misses it.
    Dropped,
    /// It is gone, and the text says so.
    Missing,
}

/// Images of the mail by Content-ID, and what became of those that the text shows.
pub(super) struct Images<'a> {
    /// Decoded images, by Content-ID.
    pub(super) by_id: HashMap<String, &'a files::Attached>,
    /// What was decided, by Content-ID.
    pub(super) shown: HashMap<String, Shown>,
    /// Images that stand in the HTML itself and are kept.
    pub(super) embedded: Vec<files::Attached>,
    /// How often the mail has an image, by its digest.
    pub(super) copies: HashMap<Sha256, usize>,
    /// How many the text shows so far.
    pub(super) kept: usize,
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
            let read = html::read(&text, &mut |usage| images.decide(usage, notes));
            if !read.blocks.is_empty() || body.plain.is_none() {
                for remark in read.remarks {
                    note::add(notes, remarked(remark));
                }
                return Ok(read.blocks);
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

/// What the text cannot say of what the HTML did.
fn remarked(remark: Remark) -> Note {
    match remark {
        Remark::Media => Note::lost(
            "Ljud, film, ritningar eller inbäddade sidor i texten följde inte med.",
            "Sound, video, drawings or embedded pages in the text were not passed on.",
        ),
        Remark::HiddenText => {
            Note::minor("Dold text, som inget mejlprogram visar, följde inte med.", "Hidden text, which no mail program shows, was not passed on.")
        }
        Remark::WhiteText => Note::new("Vit text i mejlet syns som vanlig text.", "White text in the mail is shown as plain text."),
        Remark::Struck => {
            Note::new("Överstruken text står inom [överstruket: …].", "Struck out text stands in [överstruket: …], which means struck out.")
        }
        Remark::Coloured => Note::minor(
            "Textens färger följde inte med; det som bara färgen säger behöver stå i ord.",
            "The text's colours were not passed on; what only a colour says must be put in words.",
        ),
        Remark::UnknownSign => Note::lost(
            "Ett tecken ur ett symboltypsnitt kunde inte återges och står som □.",
            "A sign of a symbol font could not be shown and stands as □.",
        ),
        Remark::GuardedLink => Note::new(
            "En länk visas med sin egentliga adress, utan säkerhetsomvägen.",
            "A link is shown with its own address, without the guard's detour.",
        ),
    }
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
                return words_for(shown, usage);
            }
            let Some(file) = self.by_id.get(&id) else {
                note::add(notes, Note::lost("En bild i texten saknades i mejlet.", "An image of the text was missing in the mail."));
                return Some(missing(usage));
            };
            let shown = self.judge(file, usage, notes);
            let words = words_for(&shown, usage);
            self.shown.insert(id, shown);
            return words;
        }
        if let Some(data) = strip_scheme(source, "data:") {
            return self.embedded(data, usage, notes);
        }
        let small = |size: Option<u32>, most: u32| size.is_some_and(|size| size <= most);
        let tracking = small(usage.height, 2) || small(usage.width, 2);
        let icon = small(usage.height, 64) && small(usage.width, 64);
        if source.is_empty() || tracking || icon {
            return None;
        }
        if usage.in_signature && usage.height.is_none_or(|height| height <= 200) {
            note::add(notes, Note::minor("En webbild i signaturen följde inte med.", "An image of the signature, on the web, was not passed on."));
            return None;
        }
        note::add(notes, Note::lost("En bild som bara fanns på webben följde inte med.", "An image that was only on the web was not passed on."));
        Some(missing(usage))
    }

    /// An image that stands in the HTML itself.
    fn embedded(&mut self, data: &str, usage: &ImageUse, notes: &mut Vec<Note>) -> Option<String> {
        let decoded = data.split_once(',').and_then(|(head, body)| {
            let (kind, _) = head.split_once(";base64")?;
            let body = percent_encoding::percent_decode_str(body).filter(|octet| !octet.is_ascii_whitespace()).collect::<Vec<_>>();
            Some((kind.split(';').next().unwrap_or_default(), STANDARD.decode(body).ok()?))
        });
        let Some((kind, body)) = decoded else {
            note::add(notes, Note::lost("En bild i texten var skadad.", "An image of the text was damaged."));
            return Some(missing(usage));
        };
        let declared = files::normal_type(kind);
        let extension = self.types.extension(&declared).or_else(|| declared.strip_prefix("image/")).unwrap_or("bin").to_owned();
        let taken = |name: &str| self.embedded.iter().chain(self.by_id.values().copied()).any(|file| file.name.as_deref() == Some(name));
        let name = (1..=MAX_IMAGES).map(|number| format!("bild-{number}.{extension}")).find(|name| !taken(name));
        let file = files::Attached { name, declared, body };
        let shown = self.judge(&file, usage, notes);
        let words = words_for(&shown, usage);
        if matches!(shown, Shown::Kept { .. }) {
            self.embedded.push(file);
        }
        words
    }

    fn judge(&mut self, file: &files::Attached, usage: &ImageUse, notes: &mut Vec<Note>) -> Shown {
        let name = files::clean_name(file.name.as_deref().unwrap_or_default());
        let name = if name.is_empty() { "bild".to_owned() } else { name };
        let repeated = self.copies.get(&sha256(&file.body)).is_some_and(|copies| *copies > 1);
        let shown = image::Shown { height: usage.height, width: usage.width, in_signature: usage.in_signature, repeated };
        let decorative = is_decoration(&file.body, shown);
        let reason = if self.policy == InlineImages::DropAll || (decorative && self.policy == InlineImages::DropDecorative) {
            ("Bilden i texten följde inte med", "The image in the text was not passed on")
        } else if !self.types.allows(&file.declared) || file.body.is_empty() {
            (
                "Bilden i texten har en filtyp som inte får skickas och följde inte med",
                "The image in the text has a type that may not be sent and was not passed on",
            )
        } else {
            self.kept += 1;
            return Shown::Kept { number: self.kept, name };
        };
        let note = if decorative { Note::minor } else { Note::lost };
        note::add(notes, note(format!("{}: {name}.", reason.0), format!("{}: {name}.", reason.1)));
        if decorative { Shown::Dropped } else { Shown::Missing }
    }
}

fn words_for(shown: &Shown, usage: &ImageUse) -> Option<String> {
    match shown {
        Shown::Kept { number, name } => Some(format!("[Bild {number}: {name}]")),
        Shown::Dropped => None,
        Shown::Missing => Some(missing(usage)),
    }
}

/// What stands where an image stood that may have said something: its own description, if it has one.
fn missing(usage: &ImageUse) -> String {
    let words = words::cut(&usage.alt, 200);
    if words.is_empty() { "[Bild som inte följde med]".to_owned() } else { format!("[Bild som inte följde med: {words}]") }
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

/// Markdown of blocks; `None` when there is nothing to read.
pub(super) fn markdown(blocks: &[Block]) -> Option<String> {
    let text = markdown::write(blocks);
    (!markdown::is_blank(&text)).then_some(text)
}
