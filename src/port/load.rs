//! What messages take of the room that there is, counted with the steps that change it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ident::{FunctionId, ParticipantId};

/// So many messages and so many octets; either may be negative where it is a change, or one part of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Messages under way.
    pub messages: i64,
    /// Octets that are kept.
    pub octets: i64,
}

impl Tally {
    /// Nothing.
    pub const NONE: Self = Self { messages: 0, octets: 0 };

    /// Both added.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { messages: self.messages.saturating_add(other.messages), octets: self.octets.saturating_add(other.octets) }
    }

    /// The other one taken away.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { messages: self.messages.saturating_sub(other.messages), octets: self.octets.saturating_sub(other.octets) }
    }

    /// What a note says; what is no tally counts as nothing.
    #[must_use]
    pub fn noted(note: Option<&str>) -> Self {
        note.and_then(|note| note.parse().ok()).unwrap_or_default()
    }
}

/// As a note has it: both numbers with a space between.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.messages, self.octets)
    }
}

/// A text that is no tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not two numbers")]
pub struct NoTally;

impl FromStr for Tally {
    type Err = NoTally;

    fn from_str(text: &str) -> Result<Self, NoTally> {
        let (messages, octets) = text.split_once(' ').ok_or(NoTally)?;
        Ok(Self { messages: messages.parse().map_err(|_| NoTally)?, octets: octets.parse().map_err(|_| NoTally)? })
    }
}

/// Where a message is on its way, as far as limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Underway {
    /// It waits to be opened; whom it is for within the organisation is not known yet.
    Unopened,
    /// It is to be worked on, or somebody else has to answer.
    Yes,
    /// It has ended; its content is kept.
    Kept,
}

/// What one message takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Our organisation.
    pub organisation: ParticipantId,
    /// Its function, where that is known.
    pub function: Option<FunctionId>,
    /// Where it is.
    pub underway: Underway,
    /// Octets of it as it came in: of a mail, or of an envelope.
    pub octets: u64,
}

impl Load {
    /// What it adds to the sums that it is counted in.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally { messages: i64::from(self.underway != Underway::Kept), octets: i64::try_from(self.octets).unwrap_or(i64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_as_it_is_written_and_anything_else_is_nothing() {
        for tally in [Tally::NONE, Tally { messages: -3, octets: 12 }, Tally { messages: i64::MAX, octets: i64::MIN }] {
            assert_eq!(Tally::noted(Some(&tally.to_string())), tally);
        }
        for text in ["", "1", "1 2 3", "a b", "1  2", "99999999999999999999 1"] {
            assert_eq!(Tally::noted(Some(text)), Tally::NONE, "{text}");
        }
        let most = Tally { messages: i64::MAX, octets: 1 };
        assert_eq!(most.plus(Tally { messages: 1, octets: 1 }), Tally { messages: i64::MAX, octets: 2 });
    }
}
