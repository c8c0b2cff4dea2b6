//! Rendering: the kept message becomes the mail that the function mailbox gets.

use jiff::Timestamp;

use crate::content::Content;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{Domain, MailAddress};
use crate::mail::compose::{self, ComposeContext};
use crate::sdk::message::{self, MessageLimits};

/// The mail of a kept message; `answered` is the Message-ID, without brackets, of the mail of ours that it answers. The same message gives the same mail.
///
/// # Errors
/// A [`Failure`] of ours: what was kept was valid.
pub fn mail(
    xml: &[u8],
    limits: &MessageLimits,
    gateway: &Domain,
    mailbox: &MailAddress,
    from: &MailAddress,
    answered: Option<&str>,
    received_at: Timestamp,
) -> Result<Vec<u8>, Failure> {
    let content: Content = message::read(xml, limits).map_err(|_| {
        Failure::permanent(Stage::Render, Blame::Us, "a kept message is no longer valid").hint("was the limit on message size lowered?")
    })?;
    let context = ComposeContext { gateway_domain: gateway, mailbox, from_address: from, answered_mail: answered, received_at };
    compose::incoming(&content, &context).map_err(|error| Failure::permanent(Stage::Render, Blame::Us, error.to_string()))
}
