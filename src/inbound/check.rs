//! Checking: the message's own rules, its agreement with the envelope, its recipient here, and whether it came before.

use crate::content::Content;
use crate::ident::{FunctionId, MessageId};
use crate::sdk::envelope::Header;
use crate::sdk::message::{self, MessageLimits};
use crate::sdk::rules::{self, Breach, Detail, ReasonCode};

/// What this gateway knows that a message is held against.
pub struct Known<'a> {
    /// Whether one of our mailboxes of this organisation has the function.
    pub has_function: &'a dyn Fn(&FunctionId) -> bool,
    /// Whether the mailbox of a function takes files of a media type.
    pub takes: &'a dyn Fn(&FunctionId, &str) -> bool,
    /// Whether a message of this id was taken before.
    pub seen_before: bool,
    /// Bounds on its size.
    pub limits: &'a MessageLimits,
}

/// A message that was looked at; what it answers is still to be looked up.
#[derive(Debug)]
pub struct Checked {
    content: Result<Content, Vec<Breach>>,
    answers: Option<MessageId>,
    places: Vec<usize>,
}

/// Validates a decrypted payload (SDK B1.3.3 5.3); every breach is noted, not the first, and of a message that breaks the
/// schema those too that can be seen all the same.
///
/// A payload that is not well-formed has not come this far: it counts as one that cannot be decrypted.
#[must_use]
pub fn message(payload: &[u8], header: &Header, known: &Known<'_>) -> Checked {
    let (content, seen) = message::examine(payload, known.limits);
    // First, so that a receipt which holds a hundred lines has them.
    let mut breaches = Vec::new();
    if known.seen_before {
        breaches.push(Breach::duplicate());
    }
    breaches.extend(rules::check_against_envelope(&seen, header));
    if let Some(function) = &seen.function {
        if (known.has_function)(function) {
            let refused = seen.files.iter().filter(|file| !(known.takes)(function, &file.media_type));
            // SDK B1.3.3 5.3 row 8
            breaches.extend(refused.map(|file| Breach::file_type(file.document, file.file)).take(rules::MAX_BREACHES));
        } else {
            breaches.push(Breach::unknown_function());
        }
    }
    // SDK B1.3.3 3: the envelope's function, where it is another than the message's and none of ours.
    if let Some(service) = &header.service
        && seen.function.as_ref() != Some(service)
        && !(known.has_function)(service)
    {
        breaches.push(Breach::unknown_service());
    }
    let content = match content {
        Ok(content) if breaches.is_empty() => Ok(content),
        Ok(_) => Err(breaches),
        Err(own) => Err(breaches.into_iter().chain(own).collect()),
    };
    Checked { content, answers: seen.in_reply_to, places: seen.places }
}

impl Checked {
    /// The message that it answers, or says it does.
    #[must_use]
    pub fn answers(&self) -> Option<&MessageId> {
        self.answers.as_ref()
    }

    /// Which `documents` of the XML each document of the message is, from 1.
    #[must_use]
    pub fn places(&self) -> Vec<usize> {
        self.places.clone()
    }

    /// The message, when nothing is wrong with it. `rejected`: whether what it answers was rejected here.
    ///
    /// # Errors
    /// All breaches.
    pub fn verdict(self, rejected: bool) -> Result<Content, Vec<Breach>> {
        match (self.content, rejected) {
            (content, false) => content,
            (Ok(_), true) => Err(vec![answers_rejected()]),
            (Err(breaches), true) => Err(std::iter::once(answers_rejected()).chain(breaches).collect()),
        }
    }
}

/// The breach of a message that answers one which was rejected here (SDK B1.3.3 5.3 row 11).
fn answers_rejected() -> Breach {
    let line = "/messagePayload/message/messageHeader/refToMessageId";
    Breach::new(ReasonCode::Bv, Detail::NotSupported, line, "The message that this one refers to was rejected.")
}
