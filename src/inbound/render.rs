//! Rendering: the kept message becomes the mail that the function mailbox gets.

use jiff::Timestamp;

use crate::content::Content;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{Domain, MailAddress};
use crate::mail::compose::{self, ComposeContext, ComposeError, Waiting};
use crate::sdk::message::{self, MessageLimits};

/// What a mail says beside its message.
pub struct Render<'a> {
    /// The gateway's mail domain.
    pub gateway: &'a Domain,
    /// The mailbox.
    pub mailbox: &'a MailAddress,
    /// The sending function's address: answers go there.
    pub from: &'a MailAddress,
    /// The Message-ID, without brackets, of the mail of ours that the message answers.
    pub answered: Option<&'a str>,
    /// It says that it answers a message between others, which neither it nor its mail shall be joined to.
    pub strange: bool,
    /// When the message came in.
    pub received_at: Timestamp,
    /// Our organisation's name, where the sender gave none.
    pub organisation: Option<&'a str>,
    /// The mailbox's name, where the sender gave none.
    pub function: Option<&'a str>,
}

/// The mail of a kept message. The same message gives the same mail.
///
/// # Errors
/// A [`Failure`] of ours: what was kept was valid.
pub fn mail(xml: &[u8], limits: &MessageLimits, with: &Render<'_>) -> Result<Vec<u8>, Failure> {
    compose::incoming(&content(xml, *limits, with)?, &context(with)).map_err(|error| uncomposed(&error))
}

/// The mail that only says that a kept message waits.
///
/// # Errors
/// As of [`mail`].
pub fn notice(xml: &[u8], limits: &MessageLimits, with: &Render<'_>, waiting: &Waiting<'_>) -> Result<Vec<u8>, Failure> {
    compose::waiting(&content(xml, *limits, with)?, &context(with), waiting).map_err(|error| uncomposed(&error))
}

fn uncomposed(error: &ComposeError) -> Failure {
    Failure::permanent(Stage::Render, Blame::Us, error.to_string())
}

fn content(xml: &[u8], limits: MessageLimits, with: &Render<'_>) -> Result<Content, Failure> {
    let mut content: Content = message::read(xml, &limits).map_err(|_| {
        Failure::permanent(Stage::Render, Blame::Us, "a kept message is no longer valid").hint("was the limit on message size lowered?")
    })?;
    if with.strange {
        content.in_reply_to = None;
    }
    let name = |name: Option<&str>| name.map(|name| name.to_owned().into());
    let recipient = &mut content.recipient;
    recipient.label = recipient.label.take().or_else(|| name(with.organisation));
    recipient.function_label = recipient.function_label.take().or_else(|| name(with.function));
    Ok(content)
}

fn context<'a>(with: &Render<'a>) -> ComposeContext<'a> {
    ComposeContext {
        gateway_domain: with.gateway,
        mailbox: with.mailbox,
        from_address: with.from,
        answered_mail: with.answered,
        received_at: with.received_at,
    }
}
