//! `MessageWithAttachments:3`: [`Content`] to XML and back (SDK B1.3.3 4, its schema and its Schematron rules).
//!
//! Reading goes through the whole message and collects every breach of schema and rules, because the sender gets one
//! receipt with all of them. What the schema lets anyone add (`xs:any ##other`) is accepted, named and left out.

use base64::prelude::*;

use super::datetime;
use super::rules::{Breach, Detail, MAX_BREACHES, NO_LINE, ReasonCode};
use super::structure::{self, Child, Fault, many, one, optional, xpath};
use crate::content::{Content, Document, File, Identifier, Party, Person, Redacted, Reference};
use crate::ident::{ConversationId, FUNCTION_ROOT, FunctionId, MessageId, PARTICIPANT_SCHEME, ParticipantId};
use crate::xml::{self, Element, Limits, Writer};

/// The namespace of the message.
pub const NAMESPACE: &str = "urn:riv:infrastructure:messaging:MessageWithAttachments:3";
/// Labels, and extensions of references, hold at most so many characters.
pub const MAX_LABEL: usize = 256;

/// How large a message may be, in octets of its XML, attachments in base64 included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Octets of the XML.
    pub payload: usize,
}

impl MessageLimits {
    /// What is sent: every receiver must take 30 MB (SDK B1.3.3 4.3.3.3).
    pub const SENDING: Self = Self { payload: 30_000_000 };
    /// What is received: 30 MiB of content in base64 and some, as peers count the 30 MB differently.
    pub const RECEIVING: Self = Self { payload: 42_000_000 };
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self::RECEIVING
    }
}

/// Writes a message of at most [`MessageLimits::SENDING`].
///
/// # Errors
/// Every breach of the rules that a receiver would find: nothing is sent that would be rejected (SDK B1.3.3 5).
pub fn write(content: &Content) -> Result<Vec<u8>, Vec<Breach>> {
    write_within(content, &MessageLimits::SENDING)
}

/// As [`write()`], with another limit.
///
/// # Errors
/// As [`write()`].
pub fn write_within(content: &Content, limits: &MessageLimits) -> Result<Vec<u8>, Vec<Breach>> {
    let mut breaches = Vec::new();
    // SDK B1.3.3 4.3.2, 4.3.2.2: 1..1 in the text, optional in the schema; written always, missed in nothing that is read.
    if content.label.is_none() {
        breaches.push(Breach::invariant("/messagePayload/message/messageHeader/label", "label is missing."));
    }
    if content.sender.function.is_none() {
        breaches.push(Breach::invariant("/messagePayload/message/messageHeader/sender/attention", "attention is missing."));
    }
    let xml = render(content, Bodies::Whole).into_bytes();
    if let Err(found) = read(&xml, limits) {
        breaches.extend(found);
    }
    if breaches.is_empty() { Ok(xml) } else { Err(breaches) }
}

/// How many octets [`write()`] makes of a message, without making them.
#[must_use]
pub fn octets(content: &Content) -> u64 {
    let files: u64 = content.documents.iter().flat_map(|document| &document.files).map(|file| file_octets(file.body.len())).sum();
    render(content, Bodies::LeftOut).len() as u64 + files
}

/// How many octets the content of a file of this length takes in a message.
#[must_use]
pub const fn file_octets(length: usize) -> u64 {
    length.div_ceil(3) as u64 * 4
}

/// Whether the contents of files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    Whole,
    LeftOut,
}

fn render(content: &Content, bodies: Bodies) -> String {
    let mut w = Writer::with_declaration();
    w.open("messagePayload").attribute("xmlns", NAMESPACE).open("message");
    w.open("messageHeader");
    w.leaf("creationDateTime", &datetime::write(content.created));
    w.leaf("messageId", content.message_id.as_str());
    w.leaf("conversationId", content.conversation_id.as_str());
    if let Some(id) = &content.in_reply_to {
        w.leaf("refToMessageId", id.as_str());
    }
    write_label(&mut w, content.label.as_ref());
    w.leaf("confidentiality", if content.confidential { "true" } else { "false" });
    if let Some(system) = &content.generating_system {
        write_identifier(&mut w, "generatingSystem", system);
    }
    write_party(&mut w, "recipient", "recipientID", &content.recipient);
    write_party(&mut w, "sender", "senderID", &content.sender);
    w.close();
    w.open("messageBody");
    for document in &content.documents {
        write_document(&mut w, document, bodies);
    }
    w.finish()
}

fn write_party(w: &mut Writer, name: &'static str, id: &'static str, party: &Party) {
    w.open(name);
    w.open(id).leaf("root", PARTICIPANT_SCHEME).leaf("extension", party.participant.as_str()).close();
    write_label(w, party.label.as_ref());
    if let Some(function) = &party.function {
        w.open("attention");
        for person in party.persons.iter().filter(|p| p.id.is_some() || p.label.is_some()) {
            w.open("person");
            if let Some(id) = &person.id {
                write_identifier(w, "personId", id);
            }
            write_label(w, person.label.as_ref());
            w.close();
        }
        w.open("subOrganization");
        w.open("organizationId").leaf("root", FUNCTION_ROOT).leaf("extension", function.as_str()).close();
        write_label(w, party.function_label.as_ref());
        w.close();
        for reference in &party.references {
            w.open("reference");
            write_identifier(w, "referenceId", &reference.id);
            write_label(w, reference.label.as_ref());
            w.close();
        }
        w.close();
    }
    w.close();
}

fn write_identifier(w: &mut Writer, name: &'static str, id: &Identifier) {
    w.open(name).leaf("root", &id.root).leaf("extension", &id.extension).close();
}

fn write_label(w: &mut Writer, label: Option<&Redacted<String>>) {
    if let Some(label) = label {
        w.leaf("label", label);
    }
}

fn write_document(w: &mut Writer, document: &Document, bodies: Bodies) {
    w.open("documents").leaf("documentID", &document.id);
    if let Some(name) = &document.name {
        w.leaf("documentName", name);
    }
    if let Some(index) = &document.index {
        w.leaf("index", index);
    }
    for file in &document.files {
        w.open("ContentFiles").leaf("fileName", &file.name).leaf("contentType", &file.media_type);
        // Base64 has nothing to escape, and a file is large.
        let body = if bodies == Bodies::Whole { BASE64_STANDARD.encode(file.body.as_slice()) } else { String::new() };
        w.open("content").raw(&body).close().close();
    }
    for text in &document.texts {
        w.open("ContentText").leaf("characterSequence", text).close();
    }
    w.close();
}

/// Reads a message.
///
/// # Errors
/// Every breach of schema and rules, up to a hundred. Only a message over the limit is not looked into.
pub fn read(xml: &[u8], limits: &MessageLimits) -> Result<Content, Vec<Breach>> {
    if xml.len() > limits.payload {
        return Err(vec![Breach::too_long(limits.payload)]);
    }
    let document = xml::Document::parse(xml, &Limits::of(limits.payload)).map_err(|error| vec![Breach::structure(NO_LINE, error.to_string())])?;
    let mut reader = Reader::default();
    let content = reader.payload(document.root());
    match content {
        Some(content) if reader.breaches.is_empty() => Ok(content),
        _ if reader.breaches.is_empty() => Err(vec![Breach::structure(NO_LINE, "The message cannot be read.")]),
        _ => Err(reader.breaches),
    }
}

const fn m(name: &'static str) -> Child {
    one(NAMESPACE, name)
}

const fn m01(name: &'static str) -> Child {
    optional(NAMESPACE, name)
}

/// Walks the message once. A method returns `None` when it has noted why.
#[derive(Default)]
struct Reader {
    breaches: Vec<Breach>,
    foreign: Vec<String>,
}

/// What stands in `attention`.
#[derive(Default)]
struct Attention {
    function: Option<FunctionId>,
    function_label: Option<Redacted<String>>,
    persons: Vec<Person>,
    references: Vec<Reference>,
}

impl Reader {
    /// Notes a breach; its place is worked out only while there is room, for it takes time that a peer could waste.
    fn note(&mut self, at: Element<'_>, breach: impl FnOnce(String) -> Breach) {
        if self.breaches.len() < MAX_BREACHES {
            self.breaches.push(breach(xpath(at)));
        }
    }

    fn structure(&mut self, at: Element<'_>, reason: &str) {
        self.note(at, |line| Breach::structure(line, reason));
    }

    fn invariant(&mut self, at: Element<'_>, reason: &str) {
        self.note(at, |line| Breach::invariant(line, reason));
    }

    fn faults(&mut self, parent: Element<'_>, faults: Vec<Fault<'_>>) {
        for fault in faults {
            match fault {
                Fault::Missing(name) => self.note(parent, |line| Breach::structure(format!("{line}/{name}"), "The element is missing.")),
                Fault::TooMany(child) => self.structure(child, "The element is repeated."),
                Fault::Unexpected(child) => self.structure(child, "The element is not in the schema at this place."),
                Fault::Misplaced(child) => self.structure(child, "The element is out of order."),
                Fault::Text => self.structure(parent, "The element holds text beside its elements."),
                Fault::Attribute => self.structure(parent, "The element has an attribute that is not in the schema."),
            }
        }
    }

    /// Checks the children against the schema's sequence, extension point included.
    fn sequence(&mut self, parent: Element<'_>, model: &[Child]) {
        let mut names = Vec::new();
        let faults = structure::sequence(parent, model, true, &mut |e| names.push(format!("{{{}}}{}", e.namespace(), e.local())));
        for name in names {
            let name: String = name.chars().take(256).collect();
            if self.foreign.len() < MAX_BREACHES && !self.foreign.contains(&name) {
                self.foreign.push(name);
            }
        }
        self.faults(parent, faults);
    }

    /// As [`Self::sequence`] for the types that have no extension point.
    fn closed(&mut self, parent: Element<'_>, model: &[Child]) {
        let faults = structure::sequence(parent, model, false, &mut |_| {});
        self.faults(parent, faults);
    }

    /// The text of a child; `None` when there is none or it is empty, which is noted elsewhere.
    fn text<'a>(&mut self, parent: Element<'a>, name: &str) -> Option<(String, Element<'a>)> {
        let child = parent.child(NAMESPACE, name)?;
        let faults = structure::leaf(child, &[]);
        self.faults(child, faults);
        let text = child.text();
        (!structure::is_blank(&text)).then_some((text, child))
    }

    fn label(&mut self, parent: Element<'_>) -> Option<Redacted<String>> {
        let (text, child) = self.text(parent, "label")?;
        if text.chars().count() > MAX_LABEL {
            self.structure(child, &format!("The text is longer than {MAX_LABEL} characters."));
        }
        Some(text.into())
    }

    fn identifier(&mut self, element: Element<'_>) -> Option<Identifier> {
        self.closed(element, &[m("root"), m("extension")]);
        let root = self.text(element, "root");
        let extension = self.text(element, "extension");
        Some(Identifier { root: root?.0, extension: extension?.0.into() })
    }

    /// An id whose form a rule prescribes.
    fn checked<T, E>(&mut self, parent: Element<'_>, name: &str, reason: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let (text, child) = self.text(parent, name)?;
        parse(&text).map_err(|_| self.invariant(child, reason)).ok()
    }

    /// An identifier in a fixed code system.
    fn fixed<T, E>(&mut self, element: Element<'_>, root: &str, reason: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        self.closed(element, &[m("root"), m("extension")]);
        if let Some((text, child)) = self.text(element, "root")
            && text != root
        {
            self.invariant(child, &format!("The value should be '{root}'."));
        }
        self.checked(element, "extension", reason, parse)
    }

    fn payload(&mut self, root: Element<'_>) -> Option<Content> {
        if !root.is(NAMESPACE, "messagePayload") {
            self.structure(root, &format!("The root element is not messagePayload of {NAMESPACE}."));
            return None;
        }
        self.empties(root);
        self.closed(root, &[m("message")]);
        let message = root.child(NAMESPACE, "message")?;
        self.sequence(message, &[m("messageHeader"), m("messageBody")]);
        let body = message.child(NAMESPACE, "messageBody").map(|body| self.body(body));
        let mut content = self.header(message.child(NAMESPACE, "messageHeader")?)?;
        content.documents = body?;
        content.foreign = std::mem::take(&mut self.foreign);
        Some(content)
    }

    /// Schematron `verifyNonEmptyElements`: no element, in whatever namespace, is without text.
    fn empties(&mut self, root: Element<'_>) {
        // A parent that is empty is named, and its children with it, as the published rule does.
        let empty: Vec<_> = root.descendants().skip(1).filter(|e| structure::is_empty(*e)).take(MAX_BREACHES).collect();
        for element in empty {
            self.invariant(element, "The element is included but empty.");
        }
    }

    fn header(&mut self, header: Element<'_>) -> Option<Content> {
        const UUID: &str = "The value is not a valid UUID.";
        self.sequence(
            header,
            &[
                m("creationDateTime"),
                m("messageId"),
                m("conversationId"),
                m01("refToMessageId"),
                m01("label"),
                m("confidentiality"),
                m01("generatingSystem"),
                m("recipient"),
                m("sender"),
            ],
        );
        let created = self.created(header);
        let message_id = self.checked(header, "messageId", UUID, str::parse::<MessageId>);
        let conversation_id = self.checked(header, "conversationId", UUID, str::parse::<ConversationId>);
        let in_reply_to = self.checked(header, "refToMessageId", UUID, str::parse::<MessageId>);
        let label = self.subject(header);
        let confidential = self.confidential(header);
        let generating_system = header.child(NAMESPACE, "generatingSystem").and_then(|system| self.identifier(system));
        let recipient = header.child(NAMESPACE, "recipient").and_then(|party| self.party(party, "recipientID", true));
        let sender = header.child(NAMESPACE, "sender").and_then(|party| self.party(party, "senderID", false));
        Some(Content {
            created: created?,
            message_id: message_id?,
            conversation_id: conversation_id?,
            in_reply_to,
            label,
            confidential: confidential?,
            generating_system,
            recipient: recipient?,
            sender: sender?,
            documents: Vec::new(),
            foreign: Vec::new(),
        })
    }

    fn created(&mut self, header: Element<'_>) -> Option<jiff::Timestamp> {
        let (text, child) = self.text(header, "creationDateTime")?;
        let Some(read) = datetime::read(&text) else {
            self.structure(child, "The value is not a valid value for 'dateTime'.");
            return None;
        };
        if !datetime::is_message_form(&text) {
            self.invariant(child, "Timestamp should match pattern \"YYYY-MM-DD'T'hh:mm:ss.s'Z'\".");
        }
        Some(read.at)
    }

    /// `messageHeader/label`, whose length is a rule and not the schema's (SDK B1.3.3 4.3.2: BV with detail structure).
    fn subject(&mut self, header: Element<'_>) -> Option<Redacted<String>> {
        let (text, child) = self.text(header, "label")?;
        let length = text.chars().count();
        if length > MAX_LABEL {
            let reason = format!("In messageHeader/label, string length {length} exceeded maxlength {MAX_LABEL}.");
            self.note(child, |line| Breach::new(ReasonCode::Bv, Detail::Structure, line, reason));
        }
        Some(text.into())
    }

    fn confidential(&mut self, header: Element<'_>) -> Option<bool> {
        let (text, child) = self.text(header, "confidentiality")?;
        match text.trim() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => {
                self.structure(child, "The value is not a valid value for 'boolean'.");
                None
            }
        }
    }

    fn party(&mut self, party: Element<'_>, id: &'static str, recipient: bool) -> Option<Party> {
        // SDK B1.3.3 4.3.2.2 has the sender's attention as 1..1, the schema as optional; its absence is accepted.
        self.sequence(party, &[m(id), m01("label"), if recipient { m("attention") } else { m01("attention") }]);
        let unknown = if recipient { "Wrong or unknown recipient-id." } else { "Wrong or unknown sender-id." };
        let participant =
            party.child(NAMESPACE, id).and_then(|id| self.fixed(id, PARTICIPANT_SCHEME, unknown, |text| ParticipantId::new(text.trim())));
        let label = self.label(party);
        let attention = party.child(NAMESPACE, "attention").map(|attention| self.attention(attention)).unwrap_or_default();
        let Attention { function, function_label, persons, references } = attention;
        Some(Party { participant: participant?, label, function, function_label, persons, references })
    }

    fn attention(&mut self, attention: Element<'_>) -> Attention {
        let mut party = Attention::default();
        self.sequence(attention, &[many(NAMESPACE, "person", 0), m("subOrganization"), many(NAMESPACE, "reference", 0)]);
        for person in attention.named(NAMESPACE, "person") {
            self.sequence(person, &[m01("personId"), m01("label")]);
            let id = person.child(NAMESPACE, "personId").and_then(|id| self.identifier(id));
            let label = self.label(person);
            party.persons.push(Person { id, label });
        }
        if let Some(function) = attention.child(NAMESPACE, "subOrganization") {
            self.sequence(function, &[m("organizationId"), m01("label")]);
            party.function = function
                .child(NAMESPACE, "organizationId")
                .and_then(|id| self.fixed(id, FUNCTION_ROOT, "The value is no function address.", |text| FunctionId::new(text.trim())));
            party.function_label = self.label(function);
        }
        for reference in attention.named(NAMESPACE, "reference") {
            self.sequence(reference, &[m("referenceId"), m01("label")]);
            let id = reference.child(NAMESPACE, "referenceId").and_then(|id| self.identifier(id));
            let label = self.label(reference);
            let Some(id) = id else { continue };
            if id.extension.chars().count() > MAX_LABEL {
                self.invariant(reference, &format!("referenceId is longer than {MAX_LABEL} characters."));
            }
            party.references.push(Reference { id, label });
        }
        party
    }

    fn body(&mut self, body: Element<'_>) -> Vec<Document> {
        self.sequence(body, &[many(NAMESPACE, "documents", 1)]);
        let mut documents: Vec<_> = body.named(NAMESPACE, "documents").filter_map(|document| self.document(document)).collect();
        // SDK B1.3.3 4.3.3.1: the index is the order of presentation, 1 first; without one a document comes last.
        documents.sort_by_key(|d| d.index.as_deref().and_then(|index| index.trim().parse::<u64>().ok()).unwrap_or(u64::MAX));
        documents
    }

    fn document(&mut self, document: Element<'_>) -> Option<Document> {
        let model = [m("documentID"), m01("documentName"), m01("index"), many(NAMESPACE, "ContentFiles", 0), many(NAMESPACE, "ContentText", 0)];
        self.sequence(document, &model);
        let id = self.text(document, "documentID");
        let name = self.text(document, "documentName").map(|(text, _)| text.into());
        let index = self.text(document, "index").map(|(text, _)| text);
        let elements = document.named(NAMESPACE, "ContentFiles").chain(document.named(NAMESPACE, "ContentText"));
        if elements.count() == 0 {
            self.invariant(document, "The document has neither ContentText nor ContentFiles.");
        }
        let files = document.named(NAMESPACE, "ContentFiles").filter_map(|file| self.file(file)).collect();
        let mut texts = Vec::new();
        for text in document.named(NAMESPACE, "ContentText") {
            self.sequence(text, &[m("characterSequence")]);
            texts.extend(self.text(text, "characterSequence").map(|(text, _)| text.into()));
        }
        Some(Document { id: id?.0, name, index, files, texts })
    }

    fn file(&mut self, file: Element<'_>) -> Option<File> {
        self.sequence(file, &[m("fileName"), m("contentType"), m("content")]);
        let name = self.text(file, "fileName");
        let media_type = self.text(file, "contentType");
        let (text, content) = self.text(file, "content")?;
        let body = if text.bytes().any(|b| b.is_ascii_whitespace()) {
            let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
            BASE64_STANDARD.decode(compact)
        } else {
            BASE64_STANDARD.decode(text)
        };
        let Ok(body) = body else {
            self.invariant(content, "The value must be a valid base64 encoded string.");
            return None;
        };
        Some(File { name: file_name(&name?.0).into(), media_type: media_type?.0.trim().to_owned(), body: body.into() })
    }
}

/// A name without path and control characters, whatever the peer wrote.
fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).collect();
    let name = name.trim().trim_matches('.').trim();
    if name.is_empty() { "namnlös".to_owned() } else { name.to_owned() }
}
