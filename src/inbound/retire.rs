//! What is deleted of a received message when its time is over, and by which marks it was known.
//!
//! Content is the message in the clear; the envelope went when it was opened. Our AS4 receipt stays as long as the record.

use jiff::Timestamp;

use super::settle;
use super::state::{Arrival, Closed, Delivered, Incoming, Purged, Read, Undeliverable, Was};
use crate::ident::{ConversationId, DocumentKind};
use crate::port::{Doomed, JobId, Key, Retained};

/// A received message that has ended. What waits for a reader or for an operator has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    was: Was,
    /// When it ended.
    pub at: Timestamp,
    /// Where its content is.
    pub retained: Retained,
    has_content: bool,
}

impl Past {
    /// Of a message that has ended.
    #[must_use]
    pub fn of(state: Incoming) -> Option<Self> {
        let whole = |was, at, has_content| Some(Self { was, at, retained: Retained::Whole, has_content });
        match state {
            Incoming::Delivered(Delivered { taken, at })
            | Incoming::Read(Read { taken, at, .. })
            | Incoming::Handled(Undeliverable { taken, at }) => whole(Was::Taken(taken), at, true),
            Incoming::Closed(Closed { arrival, at, kept, .. }) => whole(Was::Other(arrival), at, kept.is_some()),
            Incoming::Purged(Purged { was, at, retained }) => {
                let has_content = matches!(retained, Retained::Going(_));
                Some(Self { was, at, retained, has_content })
            }
            Incoming::Retrieved(_) | Incoming::New(_) | Incoming::Returned(_) | Incoming::Unread(_) | Incoming::Undeliverable(_) => None,
        }
    }

    /// Whether it has content.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.has_content
    }

    /// How it came.
    #[must_use]
    pub fn arrival(&self) -> &Arrival {
        match &self.was {
            Was::Taken(taken) => &taken.arrival,
            Was::Other(arrival) => arrival,
        }
    }

    /// Its conversation, where it is known.
    #[must_use]
    pub fn conversation(&self) -> Option<&ConversationId> {
        match &self.was {
            Was::Taken(taken) => Some(&taken.conversation_id),
            Was::Other(_) => None,
        }
    }

    /// The next state: these blobs are being deleted.
    #[must_use]
    pub fn doomed(self, blobs: Vec<Doomed>) -> Incoming {
        Incoming::Purged(Purged { was: self.was, at: self.at, retained: Retained::Going(blobs) })
    }

    /// The next state: they are gone.
    #[must_use]
    pub fn gone(self, at: Timestamp) -> Incoming {
        Incoming::Purged(Purged { was: self.was, at: self.at, retained: Retained::Gone { at } })
    }

    /// The marks by which it, or a copy of it, is known.
    #[must_use]
    pub fn marks(&self) -> Vec<Key> {
        let arrival = self.arrival();
        let mut marks = vec![Arrival::seen(&arrival.peer, &arrival.as4_id)];
        if arrival.kind == DocumentKind::Message {
            marks.push(settle::rejected(&arrival.from, &arrival.envelope_id));
        }
        marks
    }

    /// The jobs that need what is kept of it: while one is there nothing is deleted.
    #[must_use]
    pub fn needed_by(&self) -> Vec<JobId> {
        let record = self.arrival().record;
        ["answer", "tell-alarm"].into_iter().map(|name| JobId::of(record, name)).collect()
    }
}
