//! What is used, counted by the steps themselves: each that changes a record adds what the record takes from then on and
//! subtracts what it took before, in the same transaction. So the sums are right after every crash, and nothing is ever
//! counted through.
//!
//! A sum is kept in parts, notes of the family `use`, one of which a node adds to. A message may come in on one node
//! and end on another, so a part alone means nothing and may be negative.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Limits, lock};
use crate::crypto::sha256;
use crate::failure::Failure;
use crate::ident::{FunctionId, NodeName, ParticipantId, Sha256};
use crate::inbound::Incoming;
use crate::outbound::Outgoing;
use crate::port::{Key, Load, Op, Record, State, Step, Tally, Underway};
use crate::worker::Node;
use crate::worker::effects::from_store;
use crate::worker::lawful::{Before, before};

/// Parts of a sum.
const SHARDS: u8 = 4;
/// How old a look at a sum may be.
const FRESH: Duration = Duration::from_secs(2);

/// Whose sum.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::worker) struct Owner(String);

impl Owner {
    pub(super) fn organisation(organisation: &ParticipantId) -> Self {
        Self(format!("o {}", organisation.folded()))
    }

    pub(super) fn unopened(organisation: &ParticipantId) -> Self {
        Self(format!("u {}", organisation.folded()))
    }

    pub(super) fn mailbox(organisation: &ParticipantId, function: &FunctionId) -> Self {
        Self(format!("m {} {}", organisation.folded(), function.folded()))
    }

    fn key(&self, shard: u8) -> Key {
        Key::new("use", &format!("{shard} {}", self.0))
    }
}

/// The sums that a message is counted in.
fn owners(load: &Load) -> impl Iterator<Item = Owner> {
    let Load { organisation, function, underway, .. } = load;
    let unopened = (*underway == Underway::Unopened).then(|| Owner::unopened(organisation));
    let mailbox = function.as_ref().map(|function| Owner::mailbox(organisation, function));
    std::iter::once(Owner::organisation(organisation)).chain(unopened).chain(mailbox)
}

/// What a step changes of the sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::worker) struct Changes(BTreeMap<Owner, Tally>);

impl Changes {
    /// Of a step whose records are guarded by the states before. What a step removes has nothing left that is counted: its
    /// content was deleted before, or it never had any.
    pub(super) fn of(step: &Step) -> Self {
        let mut changes = Self::default();
        for op in &step.ops {
            let Op::Put(record) = op else { continue };
            let was = before(step, record.id).and_then(Before::state);
            if was == Some(&record.state) {
                continue;
            }
            let Some(load) = loads(record) else { continue };
            if let Some(load) = was.and_then(&load) {
                changes.add(&load, Tally::minus);
            }
            if let Some(load) = load(&record.state) {
                changes.add(&load, Tally::plus);
            }
        }
        changes.0.retain(|_, tally| *tally != Tally::NONE);
        changes
    }

    fn add(&mut self, load: &Load, how: impl Fn(Tally, Tally) -> Tally) {
        for owner in owners(load) {
            let sum = self.0.entry(owner).or_default();
            *sum = how(*sum, load.tally());
        }
    }
}

/// What a record takes in a state.
type Loads = Box<dyn Fn(&State) -> Option<Load>>;

/// What a record takes in each state; `None` for a record of no message.
fn loads(record: &Record) -> Option<Loads> {
    if let Ok(outgoing) = Outgoing::from_record(record) {
        return Some(Box::new(move |state| outgoing.load(state)));
    }
    let incoming = Incoming::from_record(record).ok()?;
    Some(Box::new(move |state| incoming.load(state)))
}

impl Limits {
    /// Which part of each sum a node adds to.
    pub(super) fn shard(node: &NodeName) -> u8 {
        let Sha256([first, ..]) = sha256(node.as_str().as_bytes());
        first % SHARDS
    }

    /// Adds to a step what it changes of the sums.
    pub(in crate::worker) fn count(&self, step: &mut Step) -> Changes {
        let changes = Changes::of(step);
        step.ops.extend(changes.0.iter().map(|(owner, tally)| Op::Add(owner.key(self.shard), *tally)));
        changes
    }

    /// The step was applied.
    pub(in crate::worker) fn counted(&self, changes: &Changes) {
        let mut seen = lock(&self.seen);
        for (owner, tally) in &changes.0 {
            if let Some((sum, _)) = seen.get_mut(owner) {
                *sum = sum.plus(*tally);
            }
        }
    }
}

impl Node {
    /// What an owner has here, as it was two seconds ago at most.
    pub(super) async fn used(&self, owner: Owner) -> Result<Tally, Failure> {
        let known = lock(&self.limits.seen).get(&owner).copied();
        if let Some((sum, _)) = known.filter(|(_, at)| at.elapsed() < FRESH) {
            return Ok(sum);
        }
        let mut sum = Tally::NONE;
        for shard in 0..SHARDS {
            let part = self.store.note(owner.key(shard)).await.map_err(|error| from_store(&error))?;
            sum = sum.plus(Tally::noted(part.as_deref()));
        }
        lock(&self.limits.seen).insert(owner, (sum, Instant::now()));
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::RecordId;
    use crate::outbound::state::{End, Scheduled};
    use crate::port::{Guard, Retained};

    fn letter(record: u128) -> crate::outbound::state::Letter {
        crate::outbound::state::Letter { record: RecordId(uuid::Uuid::from_u128(record)), ..crate::outbound::state::tests::letter() }
    }

    fn sums(changes: &Changes) -> Vec<(&str, i64, i64)> {
        changes.0.iter().map(|(owner, tally)| (owner.0.as_str(), tally.messages, tally.octets)).collect()
    }

    #[test]
    fn what_a_step_adds_is_taken_away_by_the_steps_that_end_it() {
        let scheduled = |record| Outgoing::Scheduled(Scheduled { letter: letter(record), delay_told: None });
        let accept = [1, 2].into_iter().fold(Step::new(), |step, record| {
            let record = scheduled(record).to_record().unwrap();
            step.guard(Guard::New(record.id)).op(Op::Put(record))
        });
        assert_eq!(sums(&Changes::of(&accept)), [("m 0203:habo.se socialkontoret", 2, 2_000), ("o 0203:habo.se", 2, 2_000)]);
        let ended = scheduled(1).ended(End::ExchangeError, None, jiff::Timestamp::UNIX_EPOCH);
        let step = |from: State, to: Outgoing| {
            let record = to.to_record().unwrap();
            Changes::of(&Step::new().guard(Guard::In(record.id, from)).op(Op::Put(record)))
        };
        let end = step(Outgoing::SCHEDULED, Outgoing::Ended(ended.clone()));
        assert_eq!(sums(&end), [("m 0203:habo.se socialkontoret", -1, 0), ("o 0203:habo.se", -1, 0)]);
        assert_eq!(step(Outgoing::EXCHANGE_ERROR, Outgoing::Ended(ended.clone())), Changes::default(), "nothing changes");
        let going = Outgoing::Ended(crate::outbound::state::Ended { retained: Retained::Going(Vec::new()), ..ended.clone() });
        assert_eq!(step(Outgoing::EXCHANGE_ERROR, going), Changes::default(), "content is there until it is gone");
        let gone = step(Outgoing::PURGING, ended.gone(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(sums(&gone), [("m 0203:habo.se socialkontoret", 0, -1_000), ("o 0203:habo.se", 0, -1_000)]);
    }

    #[test]
    fn keys_of_owners_and_parts_stand_apart() {
        let (a, b): (ParticipantId, ParticipantId) = ("0203:a.se".parse().unwrap(), "0203:b.se".parse().unwrap());
        let function: FunctionId = "f".parse().unwrap();
        let owners = [&a, &b].map(|id| [Owner::organisation(id), Owner::unopened(id), Owner::mailbox(id, &function)]);
        let keys: std::collections::BTreeSet<Key> = owners.iter().flatten().flat_map(|owner| (0..SHARDS).map(|shard| owner.key(shard))).collect();
        assert_eq!(keys.len(), 2 * 3 * usize::from(SHARDS));
        let upper: ParticipantId = "0203:A.se".parse().unwrap();
        assert_eq!(Owner::organisation(&upper), Owner::organisation(&a));
    }
}
