//! What holds messages and answers together in mail, and how an answer's conversation is read out of it.
//!
//! A mail that this gateway delivers says in four places which SDK message it is:
//!
//! | where | what | survives |
//! |---|---|---|
//! | Message-ID | `<messageId@gateway domain>` | what answers by In-Reply-To |
//! | References | the conversation's [`mark`], then the message that it answers, then our own mail that that one was | a Message-ID that the mail server rewrote |
//! | Thread-Index | conversation and message ([`index`]) | a mail server that keeps MAPI's properties and no header field |
//! | the block above the text | `Meddelande-id: …` ([`quoted`]) | everything that quotes the mail |
//!
//! Mark and index name the conversation themselves, so an old mail can be answered when nothing is stored of it any more.
//! Both are sealed: they hold a digest over the two ends of the conversation. What was said to one organisation opens
//! nothing towards another. The seal has no key: whoever knows a conversation's id and both ends can make it, and then
//! names a conversation of these two ends, which is all that a seal can show.
//!
//! The return path is of the same make: a non-delivery report names the mail that it is about.

use crate::crypto::sha256;
use crate::ident::{ConversationId, Domain, FunctionId, MailAddress, MessageId, ParticipantId, Sha256};

pub mod index;
pub mod quoted;

pub use index::Index;

/// What a mark's local part begins with.
const MARK_PREFIX: &str = "samtal-";

/// The two ends of a conversation, as far as answers are kept apart: our function mailbox and the other organisation.
/// Which function of the other one writes may change from message to message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends<'a> {
    /// Our organisation.
    pub organisation: &'a ParticipantId,
    /// Our function mailbox.
    pub function: &'a FunctionId,
    /// The other organisation.
    pub other: &'a ParticipantId,
}

impl Ends<'_> {
    /// A digest over the ends and what is said between them.
    fn seal<const N: usize>(&self, of: &str, gateway: &Domain) -> [u8; N] {
        // None of them holds a line end.
        digest(&format!("{of}\n{}\n{}\n{}\n{}", gateway.folded(), self.organisation.folded(), self.function.folded(), self.other.folded()))
    }
}

fn digest<const N: usize>(text: &str) -> [u8; N] {
    let Sha256(digest) = sha256(text.as_bytes());
    let mut out = [0; N];
    out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    out
}

/// The References entry, without brackets, that all mails of a conversation between two ends have.
#[must_use]
pub fn mark(conversation: &ConversationId, ends: &Ends<'_>, gateway: &Domain) -> String {
    let seal: [u8; 8] = ends.seal(&conversation.folded(), gateway);
    format!("{MARK_PREFIX}{}-{:016x}@{}", conversation.folded(), u64::from_be_bytes(seal), gateway.folded())
}

/// What an id of an answer's References is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// The mark of this conversation, sealed for these ends.
    Conversation(ConversationId),
    /// A mark of this gateway for other ends.
    Other,
    /// No mark of this gateway.
    None,
}

/// Reads a References entry, with or without brackets.
#[must_use]
pub fn marked(text: &str, ends: &Ends<'_>, gateway: &Domain) -> Marked {
    let id = bare(text).to_lowercase();
    let Some((conversation, seal)) = id.strip_prefix(MARK_PREFIX).and_then(|rest| rest.split_at_checked(36)) else { return Marked::None };
    let (Ok(conversation), true) = (ConversationId::new(conversation), seal.ends_with(&format!("@{}", gateway.folded()))) else {
        return Marked::None;
    };
    if mark(&conversation, ends, gateway) == id { Marked::Conversation(conversation) } else { Marked::Other }
}

fn bare(text: &str) -> &str {
    text.trim().trim_start_matches('<').trim_end_matches('>')
}

/// What a return path's local part begins with.
const RETURN_PREFIX: &str = "retur-";

/// The Message-ID, without angle brackets, of the mail that a message is delivered as.
#[must_use]
pub fn mail_id(message: &MessageId, gateway: &Domain) -> String {
    format!("{}@{}", message.folded(), gateway.folded())
}

/// The message that a Message-ID of ours names; `None` for everybody else's. Takes it with or without brackets.
#[must_use]
pub fn message_id_of(text: &str, gateway: &Domain) -> Option<MessageId> {
    let (local, domain) = bare(text).rsplit_once('@')?;
    (domain.to_lowercase() == gateway.folded()).then(|| MessageId::new(local).ok()).flatten()
}

/// The envelope sender of a delivered mail, unique to the message: what comes back to it tells of that delivery.
/// `None` when the gateway's domain leaves no room for an address.
#[must_use]
pub fn return_path(message: &MessageId, gateway: &Domain) -> Option<MailAddress> {
    MailAddress::new(format!("{RETURN_PREFIX}{}", mail_id(message, gateway))).ok()
}

/// The message whose delivery a mail to `address` is about.
#[must_use]
pub fn returned(address: &MailAddress, gateway: &Domain) -> Option<MessageId> {
    let folded = address.folded();
    message_id_of(folded.strip_prefix(RETURN_PREFIX)?, gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_message_ids_are_found_and_no_others() {
        let (gateway, message) = (Domain::new("sdk.habo.se").unwrap(), MessageId::new("7BC5576A-3f87-4cf5-a0c5-277da06fcacb").unwrap());
        let id = mail_id(&message, &gateway);
        assert_eq!(id, "7bc5576a-3f87-4cf5-a0c5-277da06fcacb@sdk.habo.se");
        assert_eq!(message_id_of(&format!(" <{}> ", id.to_uppercase()), &gateway), Some(message.clone()));
        assert_eq!(message_id_of("<7bc5576a-3f87-4cf5-a0c5-277da06fcacb@habo.se>", &gateway), None);
        assert_eq!(message_id_of("<CAF+1@sdk.habo.se>", &gateway), None);
        let path = return_path(&message, &gateway).unwrap();
        assert_eq!(returned(&path, &gateway), Some(message));
        assert_eq!(returned(&MailAddress::new("postmaster@sdk.habo.se").unwrap(), &gateway), None);
    }

    #[test]
    fn a_mark_names_its_conversation_to_its_own_ends_only() {
        let gateway = Domain::new("sdk.habo.se").unwrap();
        let conversation = ConversationId::new("7BC5576A-3f87-4cf5-a0c5-277da06fcacb").unwrap();
        let (habo, af, fk) = ("0203:habo.se".parse().unwrap(), "0203:af.se".parse().unwrap(), "0203:fk.se".parse().unwrap());
        let (soc, skola) = ("soc".parse().unwrap(), "skola".parse().unwrap());
        let ends = Ends { organisation: &habo, function: &soc, other: &af };
        let mark = mark(&conversation, &ends, &gateway);
        assert_eq!(marked(&format!("<{}>", mark.to_uppercase()), &ends, &gateway), Marked::Conversation(conversation.clone()));
        for other in [Ends { other: &fk, ..ends }, Ends { function: &skola, ..ends }, Ends { organisation: &fk, ..ends }] {
            assert_eq!(marked(&mark, &other, &gateway), Marked::Other);
        }
        let forged = mark.replace("7bc5576a", "8bc5576a");
        assert_eq!(marked(&forged, &ends, &gateway), Marked::Other);
        for foreign in
            [mark.replace("@sdk.", "@sdx."), mail_id(&conversation.as_str().parse().unwrap(), &gateway), "samtal-å".repeat(9), String::new()]
        {
            assert_eq!(marked(&foreign, &ends, &gateway), Marked::None, "{foreign}");
        }
    }
}
