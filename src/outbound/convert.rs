//! From a mail's own words to the SDK message for one recipient.

use jiff::Timestamp;

use super::state::Letter;
use crate::content::{Content, Identifier, Party, Reference};
use crate::mail::convert::{Ids, Outgoing as Mail};
use crate::sdk::message;

/// The labels of our side of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// The organisation's name.
    pub organisation: Option<String>,
    /// The function's name.
    pub function: Option<String>,
}

/// The references of the conversation that a message restores (SDK B1.3.3, `reference`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Returned {
    /// What the other side gave as its own: it comes back as the recipient's.
    pub theirs: Vec<Reference>,
    /// What we gave as ours before, where the mail names none anew.
    pub ours: Vec<Reference>,
}

/// The SDK message for one recipient. The same mail gives the same message, whenever it is made.
#[must_use]
pub fn content(mail: &Mail, letter: &Letter, labels: &Labels, returned: &Returned) -> Content {
    let sender = Party {
        participant: letter.organisation.clone(),
        label: labels.organisation.clone().map(Into::into),
        function: Some(letter.function.clone()),
        function_label: labels.function.clone().map(Into::into),
        persons: Vec::new(),
        references: returned.ours.clone(),
    };
    let recipient = Party {
        participant: letter.participant.clone(),
        label: None,
        function: Some(letter.to_function.clone()),
        function_label: None,
        persons: Vec::new(),
        references: returned.theirs.clone(),
    };
    let ids = Ids {
        message_id: letter.message_id.clone(),
        conversation_id: letter.conversation_id.clone(),
        in_reply_to: letter.in_reply_to.clone(),
        created: milliseconds(letter.accepted_at),
    };
    let mut content = mail.content(ids, sender, recipient);
    // SDK B1.3.3 4.3.2: the identifier is unregulated.
    let extension = concat!("brevbro ", env!("CARGO_PKG_VERSION")).to_owned();
    content.generating_system = Some(Identifier { root: "un-encoded".into(), extension: extension.into() });
    content
}

/// Octets of references that an answer returns, which are not read for [`octets`].
const RETURNED: u64 = 16 * 1024;

/// How many octets the largest of these messages will have as XML. It is exact but for answers: what references they
/// return is not known here, and some room is left for them. The files' contents are dropped.
#[must_use]
pub fn octets(mut mail: Mail, letters: &[Letter], labels: &Labels) -> u64 {
    let mut files = 0;
    for file in &mut mail.files {
        files += message::file_octets(file.body.len());
        file.body = Vec::new().into();
    }
    let of = |letter: &Letter| {
        message::octets(&content(&mail, letter, labels, &Returned::default())) + if letter.in_reply_to.is_some() { RETURNED } else { 0 }
    };
    letters.iter().map(of).max().unwrap_or_default() + files
}

/// SDK messages carry milliseconds.
fn milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
