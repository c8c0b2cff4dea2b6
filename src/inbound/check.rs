//! Checking: the message's own rules, its agreement with the envelope, its recipient here, and whether it came before.

use crate::content::Content;
use crate::ident::FunctionId;
use crate::sdk::envelope::Header;
use crate::sdk::message::{self, MessageLimits};
use crate::sdk::rules::{self, Breach, Detail, ReasonCode};

use super::open::Verdict;

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

/// Validates a decrypted payload (SDK B1.3.3 5.3); every breach is reported, not the first.
///
/// # Errors
/// [`Verdict::Reject`] with all breaches. A payload that is not well-formed has not come this far: it counts as one
/// that cannot be decrypted.
pub fn message(payload: &[u8], header: &Header, known: &Known<'_>) -> Result<Content, Verdict> {
    let content = message::read(payload, known.limits).map_err(Verdict::Reject)?;
    let mut breaches = rules::check_against_envelope(&content, header);
    if known.seen_before {
        breaches.push(Breach::duplicate());
    }
    match content.recipient.function.as_ref().filter(|function| (known.has_function)(function)) {
        Some(function) => breaches.extend(refused_files(&content, |media_type| (known.takes)(function, media_type))),
        None => breaches.push(Breach::unknown_function()),
    }
    if breaches.is_empty() { Ok(content) } else { Err(Verdict::Reject(breaches)) }
}

/// The breach of a message that answers one which was rejected here (SDK B1.3.3 5.3 row 11).
#[must_use]
pub fn answers_rejected() -> Breach {
    let line = "/messagePayload/message/messageHeader/refToMessageId";
    Breach::new(ReasonCode::Bv, Detail::NotSupported, line, "The message that this one refers to was rejected.")
}

/// SDK B1.3.3 5.3 row 8: files of types that are not taken here.
fn refused_files(content: &Content, takes: impl Fn(&str) -> bool) -> Vec<Breach> {
    let files = |(document, index): (&crate::content::Document, usize)| {
        let refused = (1..).zip(&document.files).filter(|(_, file)| !takes(&file.media_type));
        refused.map(|(file, _)| Breach::file_type(index, file)).collect::<Vec<_>>()
    };
    content.documents.iter().zip(1..).flat_map(files).collect()
}
