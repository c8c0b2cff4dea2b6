//! The mail that only says that a message waits in the gateway: who it is from and to, when it came, and whether it is
//! confidential. Nothing that its sender wrote beside the names of organisations and functions.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_builder::mime::MimePart;

use super::facts;
use crate::content::Content;
use crate::mail::notice::local_time;
use crate::mail::{mime, words};

/// How often the mailbox has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is told now.
    First,
    /// It was, and nobody has read the message.
    Again,
}

/// What a notice says beside its message.
#[derive(Debug, Clone)]
pub struct Waiting<'a> {
    /// How often the mailbox has been told.
    pub told: Told,
    /// Where messages are read; without it the text names no place.
    pub place: Option<&'a str>,
    /// Where the readers are.
    pub zone: &'a TimeZone,
}

impl Told {
    /// The local part's beginning of the mail's Message-ID.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::First => "avisering-",
            Self::Again => "paminnelse-",
        }
    }

    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::First => "Ett SDK-meddelande väntar på att läsas / An SDK message waits to be read",
            Self::Again => "Påminnelse: ett SDK-meddelande är oläst / Reminder: an SDK message is unread",
        }
    }
}

pub(super) fn body(content: &Content, waiting: &Waiting<'_>, received_at: Timestamp) -> MimePart<'static> {
    let (from, to) = (facts::names(&content.sender).join(", "), facts::names(&content.recipient).join(", "));
    let at = local_time(received_at, waiting.zone);
    let (opening, english_opening) = match waiting.told {
        Told::First => (
            "Ett meddelande har kommit genom SDK (Säker digital kommunikation) och väntar på att läsas.",
            "A message has come by SDK (Säker digital kommunikation) and waits to be read.",
        ),
        Told::Again => (
            "Ett meddelande som kom genom SDK (Säker digital kommunikation) är fortfarande oläst.",
            "A message that came by SDK (Säker digital kommunikation) is still unread.",
        ),
    };
    let (place, english_place) = match waiting.place {
        Some(place) => (format!("Läs det här: {place}"), format!("Read it here: {place}")),
        None => ("Läs det där din organisation läser SDK-meddelanden.".to_owned(), "Read it where your organisation reads SDK messages.".to_owned()),
    };
    let (secret, english_secret) = if content.confidential { ("Ja", "Yes") } else { ("Nej", "No") };
    let text = format!(
        "{opening}\n\nFrån: {from}\nTill: {to}\nInkom: {at}\nSekretess: {secret}\n\nInnehållet är inte med i det här mejlet. {place}\n\nEtt svar på det här mejlet skickas till avsändaren genom SDK.\n\n----------------------------------------\n{english_opening}\n\nFrom: {from}\nTo: {to}\nReceived: {at}\nConfidential: {english_secret}\n\nIts content is not in this mail. {english_place}\n\nAn answer to this mail is sent to the sender by SDK.",
    );
    mime::text("text/plain", words::cut(&text, 20_000))
}
