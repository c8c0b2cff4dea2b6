//! A mail of our house to what goes into the SDK message.
//!
//! Everything that is changed or left out is a [`Note`]; everything that cannot be passed on whole is a
//! [`ConvertError`], which refuses the mail while its sender still has it.

use std::collections::HashMap;

use jiff::Timestamp;
use mail_parser::MessageParser;

use super::attached::{self, MAX_FILES, attached};
use super::body::{self, Images, Shown};
use super::files::Attached;
use super::header;
use super::history;
use super::markdown::{Block, Piece, Style};
pub use super::note::{Loss, Note, missing};
use super::parse;
use super::policy::{History, MailboxPolicy, PersonPolicy, Secrecy};
pub use super::refusal::ConvertError;
use super::spare;
use super::structure::{self, Leaf};
use super::subject::{self, LABEL_MAX, NO_SUBJECT, Relation};
use super::{thread, words};
use crate::content::{Content, Document, File, Identifier, Party, Person, Redacted, Reference};
use crate::crypto::sha256;
use crate::ident::{ConversationId, MailAddress, MessageId};

/// The code system of diary numbers.
const DIARY_NUMBER: &str = "dnr";
/// The code system of mail addresses.
const MAIL_ADDRESS: &str = "0.9.2342.19200300.100.1.3";

/// A mail, converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The header label: 1 to 256 code points.
    pub label: Redacted<String>,
    /// The body in the Markdown subset: none or one text.
    pub texts: Vec<Redacted<String>>,
    /// The files, byte for byte.
    pub files: Vec<File>,
    /// Whether the content is secret.
    pub confidential: bool,
    /// Who wrote it, as far as the mailbox tells.
    pub sender_person: Option<Person>,
    /// Our references: `[dnr …]` and `X-SDK-Reference`.
    pub references: Vec<Reference>,
    /// "Att:", by tag or `X-SDK-Attention`.
    pub attention: Option<Redacted<String>>,
    /// Message-IDs without brackets of what it answers: In-Reply-To, then References, newest first.
    pub in_reply_to: Vec<String>,
    /// Its Thread-Index, for [`thread::index::read`].
    pub thread_index: Option<String>,
    /// The ids of delivered messages that its text quotes, newest first.
    pub quoted: Vec<MessageId>,
    /// Its own Message-ID without brackets.
    pub mail_message_id: Option<String>,
    /// Its Date.
    pub date: Option<Timestamp>,
    /// By which header field the mail shows that a program sent it by itself (RFC 3834). Such a mail is not converted:
    /// it has no texts and no files, and must not go into SDK.
    pub automatic: Option<&'static str>,
    /// The SDK message that it was delivered as, by its `X-SDK-Message-Id`: a mail that a gateway delivered, sent on as it was.
    pub delivered_as: Option<String>,
    /// How many Received fields it has.
    pub received_count: usize,
    /// Whether it asks for a receipt of delivery (Return-Receipt-To).
    pub receipt: Receipt,
    /// What `X-OriginatorOrg` says: the tenant of Exchange Online that sent it. One value for each field.
    pub originators: Vec<String>,
    /// The address in From; absent only for automatic mail.
    pub from: Option<MailAddress>,
    /// What was changed or left out.
    pub notes: Vec<Note>,
}

/// Whether a mail asks to be told of its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It has a Return-Receipt-To field.
    Wanted,
    /// It has none.
    NotAsked,
}

/// The ids and the time of a new SDK message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// Its id.
    pub message_id: MessageId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// When it is made.
    pub created: Timestamp,
}

/// The one address in From, as far as the header tells it.
#[must_use]
pub fn author(bytes: &[u8]) -> Option<MailAddress> {
    let (header, _) = structure::split_header(bytes);
    let message = MessageParser::default().parse_headers(header)?;
    parse::from(&message, header).ok().map(|from| from.address)
}

/// Converts a mail.
///
/// # Errors
/// [`ConvertError`] with the SMTP reply, when a part of the mail could not be passed on.
pub fn outgoing(bytes: &[u8], policy: &MailboxPolicy) -> Result<Outgoing, ConvertError> {
    let (header, _) = structure::split_header(bytes);
    let message = MessageParser::default().parse_headers(header).ok_or(ConvertError::Broken("no header"))?;
    let automatic = parse::automatic(&message, header);
    let from = match parse::from(&message, header) {
        Ok(from) => Some(from),
        Err(_) if automatic.is_some() => None,
        Err(error) => return Err(error),
    };
    let mut notes = Vec::new();
    let subject = subject::read(&header::field(header, "Subject").map(header::text).unwrap_or_default());
    let references = references(&subject, parse::texts(header, "X-SDK-Reference"));
    let attention = subject.attention.clone().or_else(|| parse::texts(header, "X-SDK-Attention").next());
    let person = parse::sender(&message, header).or_else(|| from.clone()).and_then(|mailbox| person(mailbox, policy.person));
    let mut mail = Outgoing {
        label: label(&subject.label).to_owned().into(),
        texts: Vec::new(),
        files: Vec::new(),
        confidential: secrecy(&subject, parse::texts(header, "Sensitivity").next().as_deref(), policy.secrecy) == Secrecy::Confidential,
        sender_person: person,
        references,
        attention: attention.map(|name| words::cut(&name, LABEL_MAX).to_owned().into()),
        in_reply_to: parse::answered(&message),
        thread_index: parse::texts(header, "Thread-Index").next(),
        quoted: Vec::new(),
        mail_message_id: message.message_id().map(words::one_line).filter(|id| !id.is_empty()),
        date: parse::date(&message),
        automatic,
        delivered_as: parse::texts(header, "X-SDK-Message-Id").next(),
        received_count: parse::count(&message, "Received"),
        receipt: if parse::has(&message, "Return-Receipt-To") { Receipt::Wanted } else { Receipt::NotAsked },
        originators: parse::texts(header, "X-OriginatorOrg").collect(),
        from: from.map(|mailbox| mailbox.address),
        notes: Vec::new(),
    };
    if automatic.is_none() {
        let structure = structure::walk(bytes, policy, &mut notes)?;
        if structure.automatic.is_some() {
            return Ok(Outgoing { automatic: structure.automatic, ..mail });
        }
        if structure.files.len() + structure.kept.len() > MAX_FILES {
            return Err(ConvertError::TooManyParts);
        }
        attached::check_inside(&structure, policy)?;
        let mut attached = structure.files.iter().enumerate().map(|(at, leaf)| attached(leaf, at + 1)).collect::<Result<Vec<_>, _>>()?;
        attached::name_images_apart(&mut attached);
        mail.quoted = quoted(&structure);
        let (blocks, kept, embedded) = body(&structure, &attached, subject.relation, policy, &mut notes)?;
        mail.texts = text(blocks, &subject.label, !kept.contains(&true) && embedded.is_empty(), &mut notes)?.into_iter().map(Redacted).collect();
        let files = attached.into_iter().zip(kept).filter_map(|(file, kept)| kept.then_some(file)).chain(embedded);
        mail.files = attached::check_files(files, policy, &mut notes)?;
        for leaf in &structure.kept {
            mail.files.push(attached::kept_file(leaf, &mail.files)?);
        }
        if mail.texts.is_empty() && mail.files.is_empty() {
            return Err(ConvertError::Nothing);
        }
    }
    mail.notes = notes;
    Ok(mail)
}

/// Our references in a mail of which at least the header is given.
#[must_use]
pub fn header_references(mail: &[u8]) -> Vec<Reference> {
    let (header, _) = structure::split_header(mail);
    let subject = subject::read(&header::field(header, "Subject").map(header::text).unwrap_or_default());
    references(&subject, parse::texts(header, "X-SDK-Reference"))
}

impl Outgoing {
    /// The SDK message of this mail to one recipient.
    #[must_use]
    pub fn content(&self, ids: Ids, mut sender: Party, mut recipient: Party) -> Content {
        sender.persons.extend(self.sender_person.clone());
        for reference in &self.references {
            if !sender.references.contains(reference) {
                sender.references.push(reference.clone());
            }
        }
        recipient.persons.extend(self.attention.clone().map(|name| Person { id: None, label: Some(name) }));
        Content {
            created: ids.created,
            message_id: ids.message_id,
            conversation_id: ids.conversation_id,
            in_reply_to: ids.in_reply_to,
            label: Some(self.label.clone()),
            confidential: self.confidential,
            generating_system: None,
            recipient,
            sender,
            documents: vec![Document {
                id: "1".to_owned(),
                name: None,
                index: Some("1".to_owned()),
                files: self.files.clone(),
                texts: self.texts.clone(),
            }],
            foreign: Vec::new(),
        }
    }

    /// Whether the reader may miss something that the writer put in.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.notes.iter().any(|note| note.loss == Loss::Content)
    }

    /// How many octets the SDK message will have as XML: files in base64, texts escaped. An upper bound: ids, labels
    /// and markup, which are not known yet, are counted with 16 KiB, and a little is added for each file.
    #[must_use]
    pub fn wire_octets(&self) -> u64 {
        const FRAME: u64 = 16 * 1024;
        const FILE: u64 = 512;
        let text = |text: &str| text.len() as u64 + text.chars().map(|c| if matches!(c, '&' | '<' | '>' | '"' | '\r') { 5 } else { 0 }).sum::<u64>();
        let files: u64 = self.files.iter().map(|file| (file.body.len() as u64).div_ceil(3) * 4 + text(&file.name) + FILE).sum();
        FRAME + files + self.texts.iter().map(|body| text(body)).sum::<u64>()
    }
}

fn label(subject: &str) -> &str {
    if subject.is_empty() { NO_SUBJECT } else { words::cut(subject, LABEL_MAX) }
}

fn references(subject: &subject::Subject, fields: impl Iterator<Item = String>) -> Vec<Reference> {
    let diary = subject.diary_numbers.iter().map(|number| (DIARY_NUMBER.to_owned(), number.clone()));
    // `X-SDK-Reference: KS 2026/123`, or with a code system before it: `1.3.88 7300009000001`.
    let fields = fields.map(|text| match text.split_once(' ') {
        Some((root, value)) if is_code_system(root) => (root.to_owned(), value.trim().to_owned()),
        _ => (DIARY_NUMBER.to_owned(), text),
    });
    let mut references: Vec<Reference> = Vec::new();
    for (root, value) in diary.chain(fields).take(20) {
        let reference = Reference { id: Identifier { root, extension: words::cut(&value, 256).to_owned().into() }, label: None };
        if !references.contains(&reference) {
            references.push(reference);
        }
    }
    references
}

fn is_code_system(text: &str) -> bool {
    matches!(text, DIARY_NUMBER | "unregistred") || (text.matches('.').count() >= 2 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn person(mailbox: parse::Mailbox, policy: PersonPolicy) -> Option<Person> {
    let label = (!mailbox.name.is_empty()).then(|| Redacted(words::cut(&mailbox.name, LABEL_MAX).to_owned()));
    match policy {
        PersonPolicy::None => None,
        PersonPolicy::Name => label.map(|label| Person { id: None, label: Some(label) }),
        PersonPolicy::NameAndAddress => {
            let id = Identifier { root: MAIL_ADDRESS.to_owned(), extension: mailbox.address.to_string().into() };
            Some(Person { id: Some(id), label })
        }
    }
}

/// The gravest word wins: a tag or a header that says secret, then `[öppen]`, then the mailbox (RFC 2156 for the header).
fn secrecy(subject: &subject::Subject, sensitivity: Option<&str>, mailbox: Secrecy) -> Secrecy {
    let header = sensitivity.map(str::to_ascii_lowercase);
    let secret = matches!(header.as_deref(), Some("private" | "personal" | "company-confidential"));
    if secret { Secrecy::Confidential } else { subject.secrecy.unwrap_or(mailbox) }
}

type Blocks = (Vec<Block>, Vec<bool>, Vec<Attached>);

/// The blocks of the body, which files are kept, and the images that stood in the HTML itself.
fn body(
    structure: &structure::Structure<'_>,
    attached: &[Attached],
    relation: Option<Relation>,
    policy: &MailboxPolicy,
    notes: &mut Vec<Note>,
) -> Result<Blocks, ConvertError> {
    let id_of = |leaf: &Leaf<'_>| leaf.content_id().map(str::to_owned);
    let by_id: HashMap<_, _> = structure
        .files
        .iter()
        .zip(attached)
        .filter(|(_, file)| file.declared.starts_with("image/"))
        .filter_map(|(leaf, file)| Some((id_of(leaf)?, file)))
        .collect();
    let mut copies = HashMap::new();
    for file in attached.iter().filter(|file| file.declared.starts_with("image/")) {
        *copies.entry(sha256(&file.body)).or_insert(0) += 1;
    }
    let mut images = Images { by_id, shown: HashMap::new(), embedded: Vec::new(), copies, kept: 0, policy: policy.images, types: &policy.types };
    let mut blocks = spare::own(structure, &mut images, notes)?;
    if policy.history == History::Cut {
        match history::trim(&mut blocks, relation) {
            history::Trimmed::Cut => {
                notes.push(Note::minor("Den citerade historiken följde inte med.", "The quoted history was not passed on."));
            }
            history::Trimmed::Needed => notes.push(Note::new(
                "Den citerade historiken följde med, eftersom texten hänvisar till den eller svarar i den.",
                "The quoted history was passed on, since the text refers to it or answers within it.",
            )),
            history::Trimmed::Nothing => {}
        }
    }
    spare::surround(&mut blocks, structure, &mut images, notes)?;
    let dropped = |leaf: &Leaf<'_>| id_of(leaf).is_some_and(|id| matches!(images.shown.get(&id), Some(Shown::Dropped | Shown::Missing)));
    let kept = structure.files.iter().map(|leaf| !dropped(leaf)).collect();
    Ok((blocks, kept, images.embedded))
}

/// The text of the message; a subject too long for the label stands whole above it, and one alone is the text.
fn text(mut blocks: Vec<Block>, subject: &str, fileless: bool, notes: &mut Vec<Note>) -> Result<Option<String>, ConvertError> {
    let line = || Block::Paragraph(vec![Piece::Text(subject.to_owned(), Style::default())]);
    if words::cut(subject, LABEL_MAX).len() < subject.len() {
        blocks.insert(0, line());
        notes.push(Note::new(
            "Ämnesraden var för lång och kortades; den står hel överst i texten.",
            "The subject was too long and was cut; it stands whole above the text.",
        ));
    }
    if let Some(text) = body::markdown(&blocks) {
        return Ok(Some(text));
    }
    if !fileless {
        return Ok(None);
    }
    if subject.is_empty() {
        return Err(ConvertError::Nothing);
    }
    notes.push(Note::new("Mejlet hade ingen text; ämnesraden skickades som text.", "The mail had no text; its subject was sent as the text."));
    Ok(body::markdown(&[line()]))
}

/// Read out of the texts as they came: policy may cut the history off, and markup may hide the line.
fn quoted(structure: &structure::Structure<'_>) -> Vec<MessageId> {
    let leaves = structure.bodies.iter().chain(&structure.spare).filter_map(|body| body.html.as_ref().or(body.plain.as_ref()));
    let mut ids: Vec<MessageId> = Vec::new();
    for id in leaves.filter_map(|leaf| body::text(leaf).ok()).flat_map(|text| thread::quoted::message_ids(&text)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(mail: &str) -> Result<Outgoing, ConvertError> {
        outgoing(mail.replace('\n', "\r\n").as_bytes(), &MailboxPolicy::default())
    }

    #[test]
    fn automatic_mail_is_named_and_not_converted() {
        for (header, reason) in [
            ("Auto-Submitted: auto-replied (vacation)", Some("Auto-Submitted")),
            ("Auto-Submitted: No", None),
            ("Auto-Submitted: no\nAuto-Submitted: auto-generated", Some("Auto-Submitted")),
            ("Precedence: bulk", Some("Precedence")),
            ("Precedence: Auto_Reply", Some("Precedence")),
            ("Precedence: first-class", None),
            ("Return-Path: <>", Some("Return-Path")),
            ("Return-Path: <a@b.se>", None),
            ("X-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent", Some("X-MS-Exchange-Generated-Message-Source")),
            ("X-Autoreply: yes", Some("X-Autoreply")),
            ("X-Autoreply: no", None),
            ("X-Auto-Response-Suppress: All", None),
            ("X-Auto-Response-Suppress: OOF, AutoReply, DR, RN, NRN", None),
            ("List-Id: <x.y>", Some("List-Id")),
            ("Content-Type: multipart/report; report-type=delivery-status", Some("multipart/report")),
        ] {
            let mail = converted(&format!("From: a@b.se\n{header}\nSubject: x\n\nHej\n")).unwrap();
            assert_eq!(mail.automatic, reason, "{header}");
            assert_eq!(mail.texts.is_empty(), reason.is_some());
        }
    }

    #[test]
    fn a_mail_with_two_authors_or_none_is_refused() {
        let refused = |header: &str| converted(&format!("{header}Subject: x\n\nHej\n")).unwrap_err();
        assert_eq!(refused(""), ConvertError::From);
        for header in ["From: a@b.se, c@d.se\n", "From: a@b.se\nFrom: c@d.se\n", "From: undisclosed\n"] {
            assert!(matches!(refused(header), ConvertError::Author(_)), "{header:?}");
        }
    }

    #[test]
    fn secrecy_follows_the_gravest_word() {
        for (header, confidential) in [
            ("Subject: x", true),
            ("Subject: [öppen] x", false),
            ("Subject: [öppen] [sekretess] x", true),
            ("Sensitivity: Private\nSubject: [öppen] x", true),
            ("Sensitivity: Normal\nSubject: [öppen] x", false),
        ] {
            assert_eq!(converted(&format!("From: a@b.se\n{header}\n\nHej\n")).unwrap().confidential, confidential, "{header}");
        }
    }

    #[test]
    fn damaged_mime_is_refused() {
        let multipart = "From: a@b.se\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nHej\n";
        assert!(matches!(converted(multipart), Err(ConvertError::Broken(_))), "cut short");
        assert!(matches!(converted("From: a@b.se\nContent-Type: multipart/mixed\n\n--x\n\nHej\n--x--\n"), Err(ConvertError::Broken(_))));
        let file =
            |body: &str| format!("{multipart}--x\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n{body}\n--x--\n");
        assert!(matches!(converted(&file("JVBERi0xL")), Err(ConvertError::Encoding(_))));
        assert_eq!(converted(&file("")), Err(ConvertError::EmptyFile { name: "a.pdf".into() }));
        assert_eq!(converted(&file("JVBERi0x")).unwrap().files.len(), 1);
    }

    #[test]
    fn the_size_on_the_wire_covers_files_and_escapes() {
        let mail = converted("From: a@b.se\nSubject: x\n\na & b < c\n").unwrap();
        assert!(mail.wire_octets() >= "a &amp; b &lt; c".len() as u64);
    }
}
