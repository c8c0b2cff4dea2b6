//! Parts of a mail that hold a mail, files or a meeting in themselves, opened: S/MIME, TNEF, forwarded mails, reports,
//! calendars. What comes out goes the way of every part, so that nothing hides in a wrapping.

use std::borrow::Cow;
use std::collections::HashSet;

use mail_parser::MimeHeaders;

use super::body;
use super::leaf::{Body, Leaf, Structure};
use super::note::{self, Note};
use super::policy::{MailboxPolicy, SignedMail};
use super::refusal::ConvertError;
use super::structure::{MAX_DEPTH, MAX_PARTS, split_header};
use super::{calendar, files, parse, report, tnef, transfer, words};
use crate::crypto::{Cms, open_cms};

/// What unpacking may give for each octet of the mail, over all levels, and how much besides.
const MAX_GROWTH: usize = 8;
const MAX_EXTRA: usize = 16 * 1024 * 1024;

/// Walks the parts of one mail.
pub(super) struct Walker<'n> {
    parts: usize,
    /// How many octets may still be unpacked.
    room: usize,
    /// In how many mails the part stands, besides the mail itself.
    pub(super) within: usize,
    pub(super) policy: &'n MailboxPolicy,
    pub(super) notes: &'n mut Vec<Note>,
    /// The calendars that were read: an invitation comes as a part and as a file.
    calendars: HashSet<String>,
}

impl<'n> Walker<'n> {
    pub(super) fn new(octets: usize, policy: &'n MailboxPolicy, notes: &'n mut Vec<Note>) -> Self {
        let room = octets.saturating_mul(MAX_GROWTH).saturating_add(MAX_EXTRA);
        Self { parts: 0, room, within: 0, policy, notes, calendars: HashSet::new() }
    }

    /// Counts a part.
    pub(super) fn count(&mut self) -> Result<(), ConvertError> {
        self.parts += 1;
        if self.parts > MAX_PARTS { Err(ConvertError::TooManyParts) } else { Ok(()) }
    }

    /// Counts what was unpacked.
    pub(super) fn unpacked(&mut self, octets: usize) -> Result<(), ConvertError> {
        self.room = self.room.checked_sub(octets).ok_or(ConvertError::TooManyParts)?;
        Ok(())
    }

    pub(super) fn part_number(&self) -> usize {
        self.parts
    }

    /// What is in a part, when it is of a kind that holds something; `raw` are its bytes, still encoded.
    pub(super) fn open<'a>(&mut self, leaf: &Leaf<'a>, raw: &'a [u8], kind: &str, depth: usize) -> Result<Option<Structure<'a>>, ConvertError> {
        let name = leaf.name.clone().unwrap_or_default();
        let Some(form) = Form::of(kind, &name) else { return Ok(None) };
        if depth > MAX_DEPTH {
            return Err(ConvertError::TooManyParts);
        }
        match form {
            Form::Partial => return Err(ConvertError::Partial),
            Form::Elsewhere => return Err(ConvertError::Elsewhere),
            _ => {}
        }
        let bytes = self.bytes(leaf, raw)?;
        match (form, bytes) {
            // A name alone is no promise.
            (Form::Tnef, bytes) if !tnef::is_tnef(&bytes) && !kind.ends_with("ms-tnef") => Ok(None),
            (Form::Mail, Cow::Borrowed(bytes)) => self.mail(leaf.clone(), bytes, depth).map(Some),
            (Form::Mail, Cow::Owned(bytes)) => self.mail(leaf.clone(), &bytes, depth).map(|mail| Some(mail.into_owned())),
            (Form::Calendar, bytes) => Ok(self.calendar(leaf, &bytes)),
            (form, bytes) => self.opened(form, &name, leaf, &bytes, depth),
        }
    }

    /// The same for a part whose result holds none of its bytes.
    fn opened(&mut self, form: Form, name: &str, leaf: &Leaf<'_>, bytes: &[u8], depth: usize) -> Result<Option<Structure<'static>>, ConvertError> {
        let text = || body::text_of(leaf, bytes);
        Ok(Some(match form {
            Form::Smime => self.smime(leaf, name, bytes, depth)?,
            Form::Signature => {
                note::add(self.notes, signature_dropped());
                Structure::default()
            }
            Form::Tnef => self.winmail(bytes, depth)?,
            Form::Delivery => texts(report::delivery(&text()?)),
            Form::Disposition => texts(report::disposition(&text()?)),
            Form::Header => texts(report::heading("Ur det ursprungliga mejlet", bytes)),
            Form::Mail | Form::Calendar | Form::Partial | Form::Elsewhere => return Ok(None),
        }))
    }

    /// The bytes of a part: those of the mail itself where no encoding hides them.
    fn bytes<'a>(&mut self, leaf: &Leaf<'a>, raw: &'a [u8]) -> Result<Cow<'a, [u8]>, ConvertError> {
        let encoding = leaf.part.content_transfer_encoding().map(|name| name.trim().to_ascii_lowercase());
        if matches!(encoding.as_deref(), None | Some("" | "7bit" | "8bit" | "binary")) {
            return Ok(Cow::Borrowed(raw));
        }
        let bytes = body::bytes(leaf)?;
        self.unpacked(bytes.len())?;
        Ok(Cow::Owned(bytes))
    }

    /// A mail within the mail: a file where the mailbox sends such, else its text below the body and its files among ours.
    fn mail<'a>(&mut self, leaf: Leaf<'a>, bytes: &'a [u8], depth: usize) -> Result<Structure<'a>, ConvertError> {
        let (header, _) = split_header(bytes);
        let noted = self.notes.len();
        self.within += 1;
        let mail = self.entity(bytes, depth + 1, "text/plain")?;
        self.within -= 1;
        let mut all = Structure::default();
        if self.policy.types.allows("message/rfc822") {
            // Nothing of it is changed.
            self.notes.truncate(noted);
            all.inside = mail.files;
            all.inside.extend(mail.inside);
            all.files.push(leaf);
            return Ok(all);
        }
        let subject = parse::texts(header, "Subject").next().unwrap_or_default();
        self.note_forwarded(&subject);
        all.forward(report::heading("Bifogat mejl", header), mail);
        Ok(all)
    }

    pub(super) fn note_forwarded(&mut self, subject: &str) {
        let subject = words::cut(subject, 100);
        let note = Note::new(
            format!("Det bifogade mejlet \"{subject}\" står i texten; dess bilagor skickas som filer."),
            format!("The attached mail \"{subject}\" stands in the text; its attachments are sent as files."),
        );
        note::add(self.notes, note);
    }

    /// A meeting in words, and as a file where the mailbox sends such. `None` when it cannot be read.
    fn calendar(&mut self, leaf: &Leaf<'_>, bytes: &[u8]) -> Option<Structure<'static>> {
        let charset = leaf.part.content_type().and_then(|kind| kind.attribute("charset"));
        let text = transfer::text(bytes, charset)?;
        let read = calendar::read(&text).ok()?;
        let mut all = Structure::default();
        if !self.calendars.insert(text) {
            return Some(all);
        }
        all.summaries.push(read.text());
        all.spare.extend(Body::made(None, read.description.clone()));
        if self.policy.types.allows("text/calendar") {
            all.files.push(Leaf::made("text/calendar", leaf.name.clone().or_else(|| Some("kalender.ics".to_owned())), None, bytes.to_vec()));
        } else if read.more > 0 {
            self.notes.push(Note::lost("Alla kalenderhändelser följde inte med.", "Not all events of the calendar were passed on."));
        } else {
            let swedish = "Kalenderfilen följde inte med; uppgifterna om mötet står i texten.";
            note::add(self.notes, Note::minor(swedish, "The calendar file was not passed on; what it says stands in the text."));
        }
        Some(all)
    }

    /// S/MIME in one piece: what was signed comes out.
    fn smime(&mut self, leaf: &Leaf<'_>, name: &str, bytes: &[u8], depth: usize) -> Result<Structure<'static>, ConvertError> {
        let said = leaf.part.content_type().and_then(|kind| kind.attribute("smime-type")).map(str::to_ascii_lowercase);
        if matches!(said.as_deref(), Some("enveloped-data" | "authenveloped-data")) {
            return Err(ConvertError::Encrypted);
        }
        match open_cms(bytes) {
            Ok(Cms::Signed(content)) => {
                self.unpacked(content.len())?;
                let mut all = self.signed_content(name, content, depth)?;
                if self.policy.signed == SignedMail::Keep {
                    self.keep(&mut all, "application/pkcs7-mime", if name.is_empty() { "smime.p7m" } else { name }, bytes);
                } else {
                    let swedish = "Mejlets signatur följer inte med. Den har inte kontrollerats.";
                    note::add(self.notes, Note::new(swedish, "The mail's signature is not passed on. It was not verified."));
                }
                Ok(all)
            }
            Ok(Cms::Detached) => {
                note::add(self.notes, Note::minor("Mejlets certifikat följer inte med.", "The mail's certificates are not passed on."));
                Ok(Structure::default())
            }
            Ok(Cms::Encrypted | Cms::Other) => Err(ConvertError::Encrypted),
            Err(_) => Err(ConvertError::Broken("S/MIME")),
        }
    }

    /// What was signed is a part of a mail, or a file: `avtal.pdf.p7m`. A part begins with its header.
    fn signed_content(&mut self, name: &str, content: Vec<u8>, depth: usize) -> Result<Structure<'static>, ConvertError> {
        let file = name.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| stem.contains('.') && !stem.eq_ignore_ascii_case("smime"));
        let begins = |field: &[u8]| content.get(..field.len()).is_some_and(|head| head.eq_ignore_ascii_case(field));
        if let Some(file) = file.filter(|_| !begins(b"Content-") && !begins(b"MIME-Version:")) {
            let mut all = Structure::default();
            all.files.push(Leaf::made("application/octet-stream", Some(file.to_owned()), None, content));
            return Ok(all);
        }
        self.entity(&content, depth + 1, "text/plain").map(Structure::into_owned)
    }

    /// A signature beside what it signs: it is dropped, or all of it is kept as a file.
    pub(super) fn clear_signature(&mut self, entity: &[u8], all: &mut Structure<'_>) {
        if self.policy.signed == SignedMail::Keep {
            self.keep(all, "message/rfc822", "signerat-mejl.eml", entity);
        } else {
            note::add(self.notes, signature_dropped());
        }
    }

    fn keep(&mut self, all: &mut Structure<'_>, kind: &str, name: &str, bytes: &[u8]) {
        let name = Some(files::clean_name(name)).filter(|name| !name.is_empty()).unwrap_or_else(|| "signerat-mejl.eml".to_owned());
        let note = Note::new(
            format!("Mejlets signatur skickas med i filen {name}. Den har inte kontrollerats."),
            format!("The mail's signature is sent in the file {name}. It was not verified."),
        );
        note::add(self.notes, note);
        all.kept.push(Leaf::made(kind, Some(name), None, bytes.to_vec()));
    }
}

fn signature_dropped() -> Note {
    Note::new("Mejlets signatur följer inte med.", "The mail's signature is not passed on.")
}

fn texts(text: String) -> Structure<'static> {
    Structure { bodies: Body::made(None, Some(text)).into_iter().collect(), ..Structure::default() }
}

/// What a part is that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// S/MIME in one piece.
    Smime,
    /// A signature of something else.
    Signature,
    /// `winmail.dat`.
    Tnef,
    /// A mail.
    Mail,
    /// A meeting.
    Calendar,
    /// What became of a mail on its way (RFC 3464).
    Delivery,
    /// What became of it at its reader's (RFC 8098).
    Disposition,
    /// The header of a mail (RFC 6522).
    Header,
    /// A piece of a mail (RFC 2046 5.2.2).
    Partial,
    /// A file that lies elsewhere (RFC 2046 5.2.3).
    Elsewhere,
}

impl Form {
    /// By the media type, or by the name where that says nothing.
    fn of(kind: &str, name: &str) -> Option<Self> {
        let unnamed = matches!(kind, "application/octet-stream" | "text/plain");
        let ends = |extension: &str| name.len() > extension.len() && name.to_ascii_lowercase().ends_with(extension);
        Some(match kind {
            "application/pkcs7-mime" | "application/x-pkcs7-mime" => Self::Smime,
            "application/pkcs7-signature" | "application/x-pkcs7-signature" | "application/pgp-signature" => Self::Signature,
            "application/ms-tnef" | "application/vnd.ms-tnef" => Self::Tnef,
            "message/rfc822" | "message/global" => Self::Mail,
            "message/delivery-status" | "message/global-delivery-status" => Self::Delivery,
            "message/disposition-notification" | "message/global-disposition-notification" => Self::Disposition,
            "text/rfc822-headers" | "message/global-headers" => Self::Header,
            "message/partial" => Self::Partial,
            "message/external-body" => Self::Elsewhere,
            "text/calendar" | "application/ics" => Self::Calendar,
            _ if name.eq_ignore_ascii_case("winmail.dat") => Self::Tnef,
            _ if unnamed && ends(".p7m") => Self::Smime,
            _ if unnamed && ends(".p7s") => Self::Signature,
            _ if unnamed && ends(".eml") => Self::Mail,
            _ if unnamed && ends(".ics") => Self::Calendar,
            _ => return None,
        })
    }
}
