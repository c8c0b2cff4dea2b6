//! No record becomes what it may not become: every step is held against the tables of transitions before it is applied.
//!
//! A step that writes a record must be guarded by the state before, so that a record which has moved on meanwhile is
//! left alone; and the tables of both flows must have the way from there to the new state.

use crate::ident::RecordId;
use crate::port::{Guard, Op, State, Step, Transition};
use crate::{inbound, outbound};

/// Records that are no messages.
const OTHERS: [Transition; 2] =
    [Transition::begin("hold", "an operator keeps something from being deleted"), Transition::end("hold", "an operator ends it")];

/// What is wrong with a step; `None` when it is lawful.
#[must_use]
pub fn unlawful(step: &Step) -> Option<String> {
    step.ops.iter().find_map(|op| {
        let (id, to) = match op {
            Op::Put(record) => (record.id, Some(&record.state)),
            Op::Remove(id) => (*id, None),
            _ => return None,
        };
        let word = |state: Option<&State>| state.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        match before(step, id) {
            None => Some(format!("record {id} becomes {} whatever it was", word(to))),
            Some(from) if is_lawful(from.state(), to) => None,
            Some(from) => Some(format!("record {id} may not become {} from {}", word(to), word(from.state()))),
        }
    })
}

/// What a step wants to find of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before<'a> {
    /// That there is none.
    Nothing,
    /// It, in this state.
    In(&'a State),
}

impl<'a> Before<'a> {
    /// The state, of a record that is to be there.
    pub(super) fn state(self) -> Option<&'a State> {
        match self {
            Self::Nothing => None,
            Self::In(state) => Some(state),
        }
    }
}

/// What a step wants to find of a record; `None` where it does not say.
pub(super) fn before(step: &Step, id: RecordId) -> Option<Before<'_>> {
    step.guards.iter().find_map(|guard| match guard {
        Guard::In(guarded, state) if *guarded == id => Some(Before::In(state)),
        Guard::New(guarded) if *guarded == id => Some(Before::Nothing),
        _ => None,
    })
}

fn is_lawful(from: Option<&State>, to: Option<&State>) -> bool {
    let tables = [&outbound::transitions::TRANSITIONS[..], &inbound::transitions::TRANSITIONS, &OTHERS];
    tables.into_iter().flatten().any(|transition| transition.is(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Record;

    fn states() -> Vec<State> {
        let tables = outbound::transitions::TRANSITIONS.into_iter().chain(inbound::transitions::TRANSITIONS);
        let mut words: Vec<&str> = tables.flat_map(|transition| [transition.from, transition.to]).flatten().collect();
        words.sort_unstable();
        words.dedup();
        words.into_iter().map(State::new).collect()
    }

    fn put(id: RecordId, state: &State) -> Op {
        Op::Put(Record { id, state: state.clone(), body: "{}".into() })
    }

    #[test]
    fn each_pair_of_states_is_in_the_tables_or_is_refused() {
        let id = RecordId(uuid::Uuid::from_u128(1));
        let states = states();
        assert_eq!(states.len(), 18);
        let mut lawful = 0;
        for from in &states {
            for to in &states {
                let step = Step::new().guard(Guard::In(id, from.clone())).op(put(id, to));
                lawful += usize::from(unlawful(&step).is_none());
            }
            assert!(unlawful(&Step::new().op(put(id, from))).is_some(), "a change of {from} without a guard");
            let other = Guard::In(RecordId(uuid::Uuid::from_u128(2)), from.clone());
            assert!(unlawful(&Step::new().guard(other).op(put(id, from))).is_some(), "a guard on another record");
        }
        let rows = outbound::transitions::TRANSITIONS.iter().chain(&inbound::transitions::TRANSITIONS);
        assert_eq!(lawful, rows.filter(|row| row.from.is_some() && row.to.is_some()).count(), "no row stands twice");
    }

    #[test]
    fn a_lawful_step_is_refused_by_the_store_in_every_other_state() {
        use crate::port::{Store, StoreError};
        use crate::store::MemoryStore;
        let id = RecordId(uuid::Uuid::from_u128(1));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let rows = outbound::transitions::TRANSITIONS.iter().chain(&inbound::transitions::TRANSITIONS);
        for row in rows.filter(|row| row.from.is_some()) {
            let from = State::new(row.from.unwrap());
            let step = Step::new().guard(Guard::In(id, from.clone()));
            let step = row.to.map_or_else(|| step.clone().op(Op::Remove(id)), |to| step.clone().op(put(id, &State::new(to))));
            assert_eq!(unlawful(&step), None);
            for state in states() {
                let store = MemoryStore::new();
                runtime.block_on(store.apply(Step::new().op(put(id, &state)))).unwrap();
                let applied = runtime.block_on(store.apply(step.clone()));
                if state == from {
                    applied.unwrap();
                } else {
                    assert!(matches!(applied, Err(StoreError::Conflict(_))), "{state}: {row:?}");
                }
            }
        }
    }
}
