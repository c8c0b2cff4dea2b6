//! How long what has ended is kept: for all, and for one organisation.

use std::time::Duration;

use super::check::Checker;
use super::declare::section;
use super::errors::ConfigError;

section! {
    /// How long messages are kept that have ended. The gateway is no archive: the mail server has what came, its sender has what
    /// went. What is deleted when, and what stays in the journal, is in `docs/retention.md`. A hold (`brevbro hold`) stops it.
    Retention {
        /// So many days after a message has ended its content is deleted: mail, envelope, request, message.
        content_days: u32 = Default "30";
        /// So many days after a message has ended the rest is deleted: its record, the receipts, and the marks by which a message that
        /// comes again is known. At least 90, since one that comes again later is delivered again.
        metadata_days: u32 = Default "400";
    }
}

section! {
    /// How long messages are kept that have ended, for one organisation.
    OrganisationRetention {
        /// So many days after a message has ended its content is deleted.
        content_days: u32 = Optional "7";
        /// So many days after a message has ended the rest is deleted.
        metadata_days: u32 = Optional "730";
    }
}

/// The shortest time that marks are kept for: no access point repeats a message for longer, and no operator should.
const MARKS: u32 = 90;
/// A hundred years.
const LONGEST: u32 = 36_500;

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Content.
    pub content: Duration,
    /// The rest; not shorter.
    pub metadata: Duration,
}

impl Checker<'_> {
    pub(super) fn retention(&mut self, raw: &Retention) -> Option<Retained> {
        self.kept("retention", raw.content_days?, raw.metadata_days?)
    }

    /// What an organisation says for itself, and for the rest what holds for all.
    pub(super) fn retention_of(&mut self, at: &str, raw: Option<&OrganisationRetention>, of_all: Option<Retained>) -> Option<Retained> {
        let (Some(raw), Some(of_all)) = (raw, of_all) else { return of_all };
        let content = raw.content_days.unwrap_or_else(|| days(of_all.content));
        let metadata = raw.metadata_days.unwrap_or_else(|| days(of_all.metadata));
        self.kept(&format!("{at}.retention"), content, metadata)
    }

    fn kept(&mut self, at: &str, content: u32, metadata: u32) -> Option<Retained> {
        let mut sound = true;
        let mut wrong = |error: ConfigError| {
            sound = false;
            self.error(error);
        };
        if !(1..=LONGEST).contains(&content) {
            wrong(ConfigError::new(format!("{at}.content-days"), format!("is not from 1 to {LONGEST}")).value(content));
        }
        if !(MARKS..=LONGEST).contains(&metadata) {
            let hint = "the marks by which a message that comes again is known go with the metadata";
            wrong(ConfigError::new(format!("{at}.metadata-days"), format!("is not from {MARKS} to {LONGEST}")).value(metadata).hint(hint));
        } else if metadata < content {
            wrong(ConfigError::new(format!("{at}.metadata-days"), "is less than content-days").value(metadata));
        }
        let span = |days: u32| Duration::from_hours(24 * u64::from(days));
        sound.then(|| Retained { content: span(content), metadata: span(metadata) })
    }
}

fn days(span: Duration) -> u32 {
    u32::try_from(span.as_secs() / 86_400).unwrap_or(LONGEST)
}
