//! Meetings and tasks in words: of iCalendar (RFC 5545, RFC 5546) and of Outlook's own items.
//!
//! The crates for iCalendar read every field into the types of a second library for times; here a handful of fields
//! becomes a few lines of Swedish. What is not shown stays in the `.ics`, which goes along where the mailbox may send it.

mod lines;
mod read;
mod recurrence;
mod words;
mod zone;

pub(super) use read::read;
pub(super) use words::{moment, stockholm};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

/// No calendar, or a damaged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CalendarError {
    /// It does not begin as a calendar does.
    #[error("no calendar")]
    Beginning,
    /// A part of it is not closed: an end is missing.
    #[error("the calendar is cut short")]
    Short,
    /// Deeper parts, or more of them, than a calendar has.
    #[error("the calendar has too many parts")]
    TooMany,
}

/// A calendar: what it is sent for, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Calendar {
    /// Its meetings and tasks.
    pub(super) occasions: Vec<Occasion>,
    /// How many more it has.
    pub(super) more: usize,
    /// The description of the first, if it has one.
    pub(super) description: Option<String>,
}

/// Why it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An invitation, or a change of one.
    Request,
    /// It is called off.
    Cancel,
    /// An answer: yes.
    Accepted,
    /// An answer: maybe.
    Tentative,
    /// An answer: no.
    Declined,
    /// An answer that passes it on to somebody else.
    Delegated,
    /// An answer that says nothing of it.
    Answer,
    /// Another time is proposed.
    Counter,
    /// The proposal is turned down.
    DeclineCounter,
    /// The newest state is asked for.
    Refresh,
    /// It is told of.
    Publish,
    /// Something to do.
    Task,
    /// When somebody is busy.
    Busy,
}

/// A meeting, an appointment, or something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occasion {
    /// Why it is sent.
    pub(super) purpose: Purpose,
    /// Its title.
    pub(super) title: Option<String>,
    /// When it is.
    pub(super) when: Option<When>,
    /// How it comes again.
    pub(super) recurrence: Option<String>,
    /// Where it is.
    pub(super) place: Option<String>,
    /// Who invites.
    pub(super) organizer: Option<String>,
    /// Who is invited, or who answers.
    pub(super) attendees: Vec<String>,
    /// Other lines: a name and a value.
    pub(super) others: Vec<(&'static str, String)>,
}

impl Occasion {
    /// One that has only a purpose.
    pub(super) fn new(purpose: Purpose) -> Self {
        Self { purpose, title: None, when: None, recurrence: None, place: None, organizer: None, attendees: Vec::new(), others: Vec::new() }
    }
}

/// When something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    /// Whole days, the first and the last.
    Days(Date, Date),
    /// From, and maybe until.
    Span(Moment, Option<Moment>),
}

/// A point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moment {
    /// The same everywhere.
    Exact(Timestamp),
    /// What a clock shows: wherever the reader is, or in a zone that only has a name.
    Clock(DateTime, Option<String>),
}

#[cfg(test)]
mod tests;
