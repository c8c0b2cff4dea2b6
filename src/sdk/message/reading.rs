//! Reading a message: one walk that collects every breach, and what can be known of a message that has some.

use base64::prelude::*;

use super::{MAX_LABEL, MessageLimits, NAMESPACE};
use crate::content::{Content, Document, File, Identifier, Party, Person, Redacted, Reference};
use crate::ident::{ConversationId, FUNCTION_ROOT, FunctionId, MessageId, PARTICIPANT_SCHEME, ParticipantId};
use crate::sdk::datetime;
use crate::sdk::rules::{Breach, Detail, MAX_BREACHES, NO_LINE, ReasonCode};
use crate::sdk::structure::{self, Child, Fault, Type, many, one, optional, xpath};
use crate::xml::{self, Element, Limits, trim};

/// What a message says about itself that others are compared with. Of a message that breaks schema or rules, whatever
/// could be read all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// The message's id.
    pub message_id: Option<MessageId>,
    /// The message that it answers.
    pub in_reply_to: Option<MessageId>,
    /// The participant that it is for.
    pub recipient: Option<ParticipantId>,
    /// The function that it is for.
    pub function: Option<FunctionId>,
    /// The participant that it is from.
    pub sender: Option<ParticipantId>,
    /// Its files.
    pub files: Vec<FileType>,
    /// Which `documents` each document of its content is, from 1, in the order of the XML: those of the content are in the
    /// order of their index.
    pub places: Vec<usize>,
}

/// A file of a message by its place, and the type that it is said to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileType {
    /// Which `documents` it stands in, from 1, in the order of the XML.
    pub document: usize,
    /// Which `ContentFiles` of those it is, from 1.
    pub file: usize,
    /// `contentType`.
    pub media_type: String,
}

/// Reads a message.
///
/// # Errors
/// Every breach of schema and rules, up to a hundred. Only a message over the limit is not looked into.
pub fn read(xml: &[u8], limits: &MessageLimits) -> Result<Content, Vec<Breach>> {
    examine(xml, limits).0
}

/// Reads a message, and what can be read of one that is not valid.
///
/// # Errors
/// As of [`read`].
pub fn examine(xml: &[u8], limits: &MessageLimits) -> (Result<Content, Vec<Breach>>, Glimpse) {
    if xml.len() > limits.payload {
        return (Err(vec![Breach::too_long(limits.payload)]), Glimpse::default());
    }
    let document = match xml::Document::parse(xml, &Limits::of(limits.payload)) {
        Ok(document) => document,
        Err(error) => return (Err(vec![Breach::structure(NO_LINE, error.to_string())]), Glimpse::default()),
    };
    let mut reader = Reader::default();
    let content = reader.payload(document.root());
    let read = match content {
        Some(content) if reader.breaches.is_empty() => Ok(content),
        _ if reader.breaches.is_empty() => Err(vec![Breach::structure(NO_LINE, "The message cannot be read.")]),
        _ => Err(reader.breaches),
    };
    (read, reader.glimpse)
}

/// The type of most texts. Type names are `xsi:type`'s business; the labels with a bound have a type without a name.
const STRING: Type = Type::of(structure::XSD, "string");

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
    glimpse: Glimpse,
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
    fn sequence(&mut self, parent: Element<'_>, name: &'static str, model: &[Child]) {
        let mut names = Vec::new();
        let faults =
            structure::sequence(parent, Type::of(NAMESPACE, name), model, true, &mut |e| names.push(format!("{{{}}}{}", e.namespace(), e.local())));
        for name in names {
            let name: String = name.chars().take(256).collect();
            if self.foreign.len() < MAX_BREACHES && !self.foreign.contains(&name) {
                self.foreign.push(name);
            }
        }
        self.faults(parent, faults);
    }

    /// As [`Self::sequence`] for the types that have no extension point.
    fn closed(&mut self, parent: Element<'_>, name: &'static str, model: &[Child]) {
        let faults = structure::sequence(parent, Type::of(NAMESPACE, name), model, false, &mut |_| {});
        self.faults(parent, faults);
    }

    /// The text of a child; `None` when there is none or it is empty, which is noted elsewhere.
    fn text<'a>(&mut self, parent: Element<'a>, name: &str) -> Option<(String, Element<'a>)> {
        self.typed(parent, name, STRING).filter(|(text, _)| !structure::is_blank(text))
    }

    /// The text of a child of a type, blank or not.
    fn typed<'a>(&mut self, parent: Element<'a>, name: &str, kind: Type) -> Option<(String, Element<'a>)> {
        let child = parent.child(NAMESPACE, name)?;
        let faults = structure::leaf(child, kind, &[]);
        self.faults(child, faults);
        Some((child.text(), child))
    }

    fn label(&mut self, parent: Element<'_>) -> Option<Redacted<String>> {
        let (text, child) = self.typed(parent, "label", Type::NAMELESS)?;
        if text.chars().count() > MAX_LABEL {
            self.structure(child, &format!("The text is longer than {MAX_LABEL} characters."));
        }
        (!structure::is_blank(&text)).then(|| text.into())
    }

    fn identifier(&mut self, element: Element<'_>) -> Option<Identifier> {
        self.closed(element, "IIType", &[m("root"), m("extension")]);
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
        self.closed(element, "IIType", &[m("root"), m("extension")]);
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
        self.closed(root, "MessagePayloadType", &[m("message")]);
        let message = root.child(NAMESPACE, "message")?;
        self.sequence(message, "MessageType", &[m("messageHeader"), m("messageBody")]);
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
            "MessageHeaderType",
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
        (self.glimpse.message_id, self.glimpse.in_reply_to) = (message_id.clone(), in_reply_to.clone());
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
        let (text, child) = self.typed(header, "creationDateTime", Type::of(structure::XSD, "dateTime"))?;
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
        let (text, child) = self.typed(header, "label", STRING)?;
        let length = text.chars().count();
        if length > MAX_LABEL {
            let reason = format!("In messageHeader/label, string length {length} exceeded maxlength {MAX_LABEL}.");
            self.note(child, |line| Breach::new(ReasonCode::Bv, Detail::Structure, line, reason));
        }
        (!structure::is_blank(&text)).then(|| text.into())
    }

    fn confidential(&mut self, header: Element<'_>) -> Option<bool> {
        let (text, child) = self.typed(header, "confidentiality", Type::of(structure::XSD, "boolean"))?;
        match trim(&text) {
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
        let (name, attention) = if recipient { ("RecipientType", m("attention")) } else { ("SenderType", m01("attention")) };
        self.sequence(party, name, &[m(id), m01("label"), attention]);
        let unknown = if recipient { "Wrong or unknown recipient-id." } else { "Wrong or unknown sender-id." };
        let participant =
            party.child(NAMESPACE, id).and_then(|id| self.fixed(id, PARTICIPANT_SCHEME, unknown, |text| ParticipantId::new(trim(text))));
        let label = self.label(party);
        let attention = party.child(NAMESPACE, "attention").map(|attention| self.attention(attention)).unwrap_or_default();
        let Attention { function, function_label, persons, references } = attention;
        if recipient {
            (self.glimpse.recipient, self.glimpse.function) = (participant.clone(), function.clone());
        } else {
            self.glimpse.sender.clone_from(&participant);
        }
        Some(Party { participant: participant?, label, function, function_label, persons, references })
    }

    fn attention(&mut self, attention: Element<'_>) -> Attention {
        let mut party = Attention::default();
        self.sequence(attention, "AttentionDataType", &[many(NAMESPACE, "person", 0), m("subOrganization"), many(NAMESPACE, "reference", 0)]);
        for person in attention.named(NAMESPACE, "person") {
            self.sequence(person, "AttentionPersonType", &[m01("personId"), m01("label")]);
            let id = person.child(NAMESPACE, "personId").and_then(|id| self.identifier(id));
            let label = self.label(person);
            party.persons.push(Person { id, label });
        }
        if let Some(function) = attention.child(NAMESPACE, "subOrganization") {
            self.sequence(function, "subOrganizationType", &[m("organizationId"), m01("label")]);
            party.function = function
                .child(NAMESPACE, "organizationId")
                .and_then(|id| self.fixed(id, FUNCTION_ROOT, "The value is no function address.", |text| FunctionId::new(trim(text))));
            party.function_label = self.label(function);
        }
        for reference in attention.named(NAMESPACE, "reference") {
            self.sequence(reference, "ReferenceType", &[m("referenceId"), m01("label")]);
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
        self.sequence(body, "MessageBodyType", &[many(NAMESPACE, "documents", 1)]);
        let elements = body.named(NAMESPACE, "documents").zip(1..);
        let mut documents: Vec<_> = elements.filter_map(|(document, place)| Some((place, self.document(document, place)?))).collect();
        // SDK B1.3.3 4.3.3.1: the index is the order of presentation, 1 first; without one a document comes last.
        documents.sort_by_key(|(_, d)| d.index.as_deref().and_then(|index| index.trim().parse::<u64>().ok()).unwrap_or(u64::MAX));
        let (places, documents) = documents.into_iter().unzip();
        self.glimpse.places = places;
        documents
    }

    fn document(&mut self, document: Element<'_>, place: usize) -> Option<Document> {
        let model = [m("documentID"), m01("documentName"), m01("index"), many(NAMESPACE, "ContentFiles", 0), many(NAMESPACE, "ContentText", 0)];
        self.sequence(document, "DigitalDocumentType", &model);
        let id = self.text(document, "documentID");
        let name = self.text(document, "documentName").map(|(text, _)| text.into());
        let index = self.text(document, "index").map(|(text, _)| text);
        let elements = document.named(NAMESPACE, "ContentFiles").chain(document.named(NAMESPACE, "ContentText"));
        if elements.count() == 0 {
            self.invariant(document, "The document has neither ContentText nor ContentFiles.");
        }
        let files = document.named(NAMESPACE, "ContentFiles").zip(1..);
        let files = files.filter_map(|(file, number)| self.file(file, place, number)).collect();
        let mut texts = Vec::new();
        for text in document.named(NAMESPACE, "ContentText") {
            self.sequence(text, "contentAsText", &[m("characterSequence")]);
            texts.extend(self.text(text, "characterSequence").map(|(text, _)| text.into()));
        }
        Some(Document { id: id?.0, name, index, files, texts })
    }

    fn file(&mut self, file: Element<'_>, document: usize, number: usize) -> Option<File> {
        self.sequence(file, "ContentAsBase64", &[m("fileName"), m("contentType"), m("content")]);
        let name = self.text(file, "fileName");
        let media_type = self.text(file, "contentType").map(|(text, _)| trim(&text).to_owned());
        if let Some(media_type) = &media_type {
            self.glimpse.files.push(FileType { document, file: number, media_type: media_type.clone() });
        }
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
        Some(File { name: file_name(&name?.0).into(), media_type: media_type?, body: body.into() })
    }
}

/// A name without path and control characters, whatever the peer wrote.
fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).collect();
    let name = name.trim().trim_matches('.').trim();
    if name.is_empty() { "namnlös".to_owned() } else { name.to_owned() }
}
