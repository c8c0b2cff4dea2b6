//! What an outgoing message takes of its organisation's room. Receipts of ours take none: nothing keeps us from answering.

use super::state::{Cargo, Outgoing};
use crate::port::{Load, State, Underway};

impl Outgoing {
    /// What it takes while its record is in `state`, which may be the one before this: what is counted of a message stays
    /// the same from state to state.
    #[must_use]
    pub fn load(&self, state: &State) -> Option<Load> {
        let Cargo::Letter(letter) = self.cargo() else { return None };
        let underway = if [Self::SCHEDULED, Self::HELD, Self::SUBMITTED, Self::WAITING].contains(state) {
            Underway::Yes
        } else if [Self::ACCEPTED, Self::REJECTED, Self::EXCHANGE_ERROR, Self::PURGING].contains(state) {
            Underway::Kept
        } else {
            return None;
        };
        Some(Load { organisation: letter.organisation, function: Some(letter.function), underway, octets: letter.octets? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::state::Scheduled;
    use crate::outbound::state::tests::letter;
    use crate::outbound::transitions::TRANSITIONS;

    #[test]
    fn a_message_is_under_way_until_its_end_and_kept_until_its_content_is_gone() {
        let outgoing = Outgoing::Scheduled(Scheduled { letter: letter(), delay_told: None });
        let mut words: Vec<&str> = TRANSITIONS.iter().flat_map(|row| [row.from, row.to]).flatten().chain(["purged"]).collect();
        words.sort_unstable();
        words.dedup();
        let of = |word: &&str| (word.to_string(), outgoing.load(&State(word.to_string().into())).map(|load| load.underway));
        let expected = [
            ("accepted", Some(Underway::Kept)),
            ("held", Some(Underway::Yes)),
            ("message-exchange-error", Some(Underway::Kept)),
            ("purged", None),
            ("purging", Some(Underway::Kept)),
            ("rejected", Some(Underway::Kept)),
            ("scheduled", Some(Underway::Yes)),
            ("submitted", Some(Underway::Yes)),
            ("waiting-for-receipt", Some(Underway::Yes)),
        ];
        assert_eq!(words.iter().map(of).collect::<Vec<_>>(), expected.map(|(word, load)| (word.to_owned(), load)));
    }

    #[test]
    fn what_an_earlier_version_took_is_not_counted() {
        let before = Outgoing::Scheduled(Scheduled { letter: crate::outbound::state::Letter { octets: None, ..letter() }, delay_told: None });
        assert_eq!(before.load(&Outgoing::SCHEDULED), None);
    }
}
