//! `MessageWithAttachments:3`: [`Content`] to XML and back (SDK B1.3.3 4, its schema and its Schematron rules).
//!
//! Reading goes through the whole message and collects every breach of schema and rules, because the sender gets one
//! receipt with all of them. What the schema lets anyone add (`xs:any ##other`) is accepted, named and left out.

use base64::prelude::*;

mod reading;

use super::datetime;
use super::rules::Breach;
use crate::content::{Content, Document, Identifier, Party, Redacted};
use crate::ident::{FUNCTION_ROOT, PARTICIPANT_SCHEME};
use crate::xml::Writer;

pub use reading::{FileType, Glimpse, examine, read};

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
