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
        breaches.push(breach(Detail::Duplicate, "/messagePayload/message/messageHeader/messageId", "messageId has been received before"));
    }
    if !content.recipient.function.as_ref().is_some_and(|function| (known.has_function)(function)) {
        breaches.push(breach(
            Detail::NotFound,
            "/messagePayload/message/messageHeader/recipient/attention/subOrganization/organizationId/extension",
            "the function address does not exist",
        ));
    }
    if breaches.is_empty() { Ok(content) } else { Err(Verdict::Reject(breaches)) }
}

/// The breach of a message that answers one which was rejected here (SDK B1.3.3 5.3 row 11).
#[must_use]
pub fn answers_rejected() -> Breach {
    breach(Detail::NotSupported, "/messagePayload/message/messageHeader/refToMessageId", "the message that this one refers to was rejected")
}

fn breach(detail: Detail, line: &str, reason: &str) -> Breach {
    Breach { code: ReasonCode::Bv, detail, line: line.into(), reason: reason.into() }
}
