//! The message between the two worlds: what a mail says and an SDK message says, without the form of either.
//!
//! `mail` fills it and renders it, `sdk` writes it and reads it; neither knows the other. Everything that a person
//! wrote stands in [`Redacted`], so that no debug print can carry it into a log.

use std::fmt;

use jiff::Timestamp;

use crate::ident::{ConversationId, FunctionId, MessageId, ParticipantId};

/// A value that a person wrote or that must stay secret: readable in code, `[…]` in every debug print.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[…]")
    }
}

impl<T> std::ops::Deref for Redacted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// One SDK message (SDK B1.3.3 4), free of XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// When the message was made, UTC, written with milliseconds.
    pub created: Timestamp,
    /// The message's id, which is also its envelope's.
    pub message_id: MessageId,
    /// The conversation; equals `message_id` for its first message.
    pub conversation_id: ConversationId,
    /// The message that this one answers or completes.
    pub in_reply_to: Option<MessageId>,
    /// The subject; absent only on reading.
    pub label: Option<Redacted<String>>,
    /// Whether the content is secret by law.
    pub confidential: bool,
    /// The program that wrote the message, `root` and `extension`.
    pub generating_system: Option<Identifier>,
    /// Who it is for.
    pub recipient: Party,
    /// Who it is from.
    pub sender: Party,
    /// The body, in the order of its `index`; at least one.
    pub documents: Vec<Document>,
    /// Names of elements in foreign namespaces that were left out, `{namespace}local`.
    pub foreign: Vec<String>,
}

/// One end of a message: organisation, function, persons and its own references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The organisation.
    pub participant: ParticipantId,
    /// The organisation's name.
    pub label: Option<Redacted<String>>,
    /// The function address; absent only for a sender without attention, on reading.
    pub function: Option<FunctionId>,
    /// The function's name.
    pub function_label: Option<Redacted<String>>,
    /// "Att:", or who wrote it.
    pub persons: Vec<Person>,
    /// Case and diary numbers of this end.
    pub references: Vec<Reference>,
}

/// A person at one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// A personal identity number, HSA id, mail address and so on, by its `root`.
    pub id: Option<Identifier>,
    /// The name.
    pub label: Option<Redacted<String>>,
}

/// A case, diary or identity number at one end; the other end returns it in its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The number within its code system.
    pub id: Identifier,
    /// What it is called.
    pub label: Option<Redacted<String>>,
}

/// A value within a code system: HL7's instance identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// The code system, an OID or a word such as `dnr`.
    pub root: String,
    /// The value.
    pub extension: Redacted<String>,
}

/// A part of the body: texts and files that belong together. At least one text or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id within the message.
    pub id: String,
    /// Its name.
    pub name: Option<Redacted<String>>,
    /// Its place among the documents.
    pub index: Option<String>,
    /// The files.
    pub files: Vec<File>,
    /// The texts, in the Markdown subset of SDK B1.3.3.
    pub texts: Vec<Redacted<String>>,
}

/// A file, byte for byte as its sender attached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The name to show; no path, no control character.
    pub name: Redacted<String>,
    /// The media type, for example `application/pdf`.
    pub media_type: String,
    /// The bytes.
    pub body: Redacted<Vec<u8>>,
}

impl Content {
    /// All files of all documents, in order.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.documents.iter().flat_map(|document| &document.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_print_tells_nothing_that_a_person_wrote() {
        let file = File { name: "hemlig.pdf".to_owned().into(), media_type: "application/pdf".into(), body: b"hemlig".to_vec().into() };
        assert!(!format!("{file:?}").contains("hemlig"));
    }
}
