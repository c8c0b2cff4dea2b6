//! What a received message takes of its organisation's room. Message receipts take none: they are what ends ours.

use super::state::{Incoming, Purged, Was};
use crate::ident::DocumentKind;
use crate::port::{Load, State, Underway};

impl Incoming {
    /// What it takes while its record is in `state`, which may be the one before this: what is counted of a message stays
    /// the same from state to state. Its function is known once it was opened.
    #[must_use]
    pub fn load(&self, state: &State) -> Option<Load> {
        let arrival = self.arrival();
        if arrival.kind != DocumentKind::Message {
            return None;
        }
        let (organisation, octets) = (arrival.organisation.clone(), arrival.octets?);
        if *state == Self::RETRIEVED {
            return Some(Load { organisation, function: None, underway: Underway::Unopened, octets });
        }
        // Of one that was turned away nothing is kept but the receipt that says so.
        let function = match self.clone() {
            Self::Purged(Purged { was: Was::Other(_), .. }) => return None,
            taken => taken.into_taken()?.function,
        };
        let underway = if *state == Self::NEW {
            Underway::Yes
        } else if [Self::DELIVERED, Self::RETURNED, Self::UNREAD, Self::READ, Self::UNDELIVERABLE, Self::HANDLED, Self::PURGING].contains(state) {
            Underway::Kept
        } else {
            return None;
        };
        Some(Load { organisation, function: Some(function), underway, octets })
    }
}
