//! Random histories: whatever is asked of a store, in whatever order and with restarts between, it answers as the model does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use brevbro::event::{Event, EventName};
use brevbro::ident::RecordId;
use brevbro::port::{Clock, Guard, JobId, Key, Lease, Op, Queue, State, Step, Store, StoreError, Tally};
use brevbro::store::journal::{self, JournalOptions};
use brevbro::store::{MemoryStore, PostgresOptions, PostgresStore, Reserve, SledOptions, SledStore};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use crate::common::scratch;
use crate::subject::{Hands, place, sql};
use crate::{at, block, job, record};

/// What a history is made of. Names come from a small world, so that they meet.
#[derive(Debug, Clone)]
enum Act {
    Apply(Vec<Rule>, Vec<Deed>),
    Claim { queue: u8, now: i64, limit: usize },
    Renew { lease: u8, now: i64 },
    Restart { rebuild: bool },
    Copy,
}

#[derive(Debug, Clone)]
enum Rule {
    Absent(u8),
    Noted(u8, u8),
    In(u8, u8),
    New(u8),
    Held(u8),
}

#[derive(Debug, Clone)]
enum Deed {
    Put(u8, u8),
    Remove(u8),
    Note(u8, u8),
    Forget(u8),
    Add(u8, i8),
    Enqueue(u8, u8, i64),
    Complete(u8),
    Reschedule(u8, i64),
    Hasten(u8, i64),
    Cancel(u8),
    Audit,
}

const STATES: [&str; 3] = ["new", "sealed", "sent"];
const QUEUES: [Queue; 2] = [Queue::Seal, Queue::Send];
const WORLD: u8 = 5;
const SPAN: Duration = Duration::from_secs(50);

fn rule() -> impl Strategy<Value = Rule> {
    let name = 0..WORLD;
    prop_oneof![
        name.clone().prop_map(Rule::Absent),
        (name.clone(), 0..2_u8).prop_map(|(key, value)| Rule::Noted(key, value)),
        (name.clone(), 0..3_u8).prop_map(|(id, state)| Rule::In(id, state)),
        name.prop_map(Rule::New),
        (0..8_u8).prop_map(Rule::Held),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let name = 0..WORLD;
    prop_oneof![
        1 => (name.clone(), 0..3_u8).prop_map(|(id, state)| Deed::Put(id, state)),
        1 => name.clone().prop_map(Deed::Remove),
        1 => (name.clone(), 0..2_u8).prop_map(|(key, value)| Deed::Note(key, value)),
        1 => name.clone().prop_map(Deed::Forget),
        1 => (0..2_u8, any::<i8>()).prop_map(|(key, by)| Deed::Add(key, by)),
        3 => (name.clone(), 0..2_u8, 0..100_i64).prop_map(|(id, queue, due)| Deed::Enqueue(id, queue, due)),
        1 => (0..8_u8).prop_map(Deed::Complete),
        1 => (0..8_u8, 0..200_i64).prop_map(|(lease, due)| Deed::Reschedule(lease, due)),
        1 => (name.clone(), 0..100_i64).prop_map(|(id, due)| Deed::Hasten(id, due)),
        1 => name.prop_map(Deed::Cancel),
        1 => Just(Deed::Audit),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (prop::collection::vec(rule(), 0..2), prop::collection::vec(deed(), 0..6)).prop_map(|(rules, deeds)| Act::Apply(rules, deeds)),
        6 => (0..2_u8, 0..200_i64, 0..4_usize).prop_map(|(queue, now, limit)| Act::Claim { queue, now, limit }),
        2 => (0..8_u8, 0..250_i64).prop_map(|(lease, now)| Act::Renew { lease, now }),
        1 => prop::bool::weighted(0.3).prop_map(|rebuild| Act::Restart { rebuild }),
        1 => Just(Act::Copy),
    ]
}

/// Both stores, and the leases that each gave: their tokens differ, their order does not.
struct Pair {
    model: MemoryStore,
    other: Other,
    hands: Arc<Hands>,
    leases: Vec<(Lease, Lease)>,
    told: i64,
}

/// The store that is compared with the model.
enum Other {
    Sled { store: Option<SledStore>, dir: PathBuf },
    Postgres { store: PostgresStore, options: Box<PostgresOptions> },
}

impl Other {
    fn store(&self) -> &dyn Store {
        match self {
            Self::Sled { store, .. } => store.as_ref().unwrap(),
            Self::Postgres { store, .. } => store,
        }
    }

    /// Opens it anew; the model does what that does to leases.
    fn restart(&mut self, model: &MemoryStore, rebuild: bool, hands: &Arc<Hands>) {
        match self {
            Self::Sled { store, dir } => {
                model.restart();
                drop(store.take());
                *store = Some(open(dir, rebuild, hands));
            }
            // Another node, as it were: what the first one has leased stays so.
            Self::Postgres { store, options } => *store = block(PostgresStore::open(PostgresOptions::clone(options))).unwrap(),
        }
    }

    fn copy(&self) {
        if let Self::Sled { store: Some(store), .. } = self {
            block(store.snapshot()).unwrap();
        }
    }
}

impl Pair {
    /// A lease out of the last few, or one that nobody ever gave.
    fn lease(&self, back: u8) -> (Lease, Lease) {
        let found = self.leases.len().checked_sub(1 + usize::from(back)).map(|place| self.leases[place].clone());
        found.unwrap_or_else(|| {
            let never = Lease { job: job(u128::from(back % WORLD), QUEUES[0], at(0)), token: u64::MAX, until: at(0) };
            (never.clone(), never)
        })
    }

    /// The same step for each, with its own leases.
    fn steps(&mut self, rules: &[Rule], deeds: &[Deed]) -> (Step, Step) {
        let (mut model, mut sled) = (Step::new(), Step::new());
        for rule in rules {
            let (for_model, for_sled) = match *rule {
                Rule::Absent(key) => same(Guard::Absent(note(key))),
                Rule::Noted(key, value) => same(Guard::Noted(note(key), value.to_string())),
                Rule::In(id, state) => same(Guard::In(RecordId(Uuid::from_u128(id.into())), State::new(STATES[usize::from(state)]))),
                Rule::New(id) => same(Guard::New(RecordId(Uuid::from_u128(id.into())))),
                Rule::Held(back) => {
                    let (one, other) = self.lease(back);
                    (Guard::Held(one), Guard::Held(other))
                }
            };
            model = model.guard(for_model);
            sled = sled.guard(for_sled);
        }
        for deed in deeds {
            let (for_model, for_sled) = match *deed {
                Deed::Put(id, state) => same(Op::Put(record(id.into(), STATES[usize::from(state)]))),
                Deed::Remove(id) => same(Op::Remove(RecordId(Uuid::from_u128(id.into())))),
                Deed::Note(key, value) => same(Op::Note(note(key), value.to_string())),
                Deed::Forget(key) => same(Op::Forget(note(key))),
                Deed::Add(key, by) => same(Op::Add(sum(key), Tally { messages: by.into(), octets: i64::from(by) * 1_000_000_007 })),
                Deed::Enqueue(id, queue, due) => same(Op::Enqueue(job(id.into(), QUEUES[usize::from(queue)], at(due)))),
                Deed::Complete(back) => {
                    let (one, other) = self.lease(back);
                    (Op::Complete(one), Op::Complete(other))
                }
                Deed::Reschedule(back, due) => {
                    let (one, other) = self.lease(back);
                    let again = |lease| Op::Reschedule { lease, due: at(due), note: format!("again at {due}") };
                    (again(one), again(other))
                }
                Deed::Hasten(id, due) => same(Op::Hasten(JobId(Uuid::from_u128(id.into())), at(due))),
                Deed::Cancel(id) => same(Op::Cancel(JobId(Uuid::from_u128(id.into())))),
                Deed::Audit => {
                    self.told += 1;
                    same(Op::Audit(Event::new(at(self.told), EventName::Sealed)))
                }
            };
            model = model.op(for_model);
            sled = sled.op(for_sled);
        }
        (model, sled)
    }

    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act {
            Act::Apply(rules, deeds) => {
                let (model, sled) = self.steps(rules, deeds);
                let outcomes = (block(self.model.apply(model)), block(self.other.store().apply(sled)));
                prop_assert_eq!(kind(&outcomes.0), kind(&outcomes.1));
            }
            Act::Claim { queue, now, limit } => {
                self.hands.set(at(*now));
                let claim = |store: &dyn Store| block(store.claim(QUEUES[usize::from(*queue)], SPAN, *limit)).unwrap();
                let (model, sled) = (claim(&self.model), claim(self.other.store()));
                let seen = |leases: &[Lease]| leases.iter().map(|lease| (lease.job.clone(), lease.until)).collect::<Vec<_>>();
                prop_assert_eq!(seen(&model), seen(&sled));
                self.leases.extend(model.into_iter().zip(sled));
            }
            Act::Renew { lease, now } => {
                self.hands.set(at(*now));
                let (model, sled) = self.lease(*lease);
                let outcomes = (block(self.model.renew(model, SPAN)), block(self.other.store().renew(sled, SPAN)));
                prop_assert_eq!(outcomes.0.as_ref().ok().map(|lease| lease.until), outcomes.1.as_ref().ok().map(|lease| lease.until));
                prop_assert_eq!(kind(&outcomes.0.map(drop)), kind(&outcomes.1.map(drop)));
            }
            Act::Restart { rebuild } => {
                self.other.restart(&self.model, *rebuild, &self.hands);
            }
            Act::Copy => self.other.copy(),
        }
        Ok(())
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        let all: [&dyn Store; 2] = [&self.model, self.other.store()];
        let seen = all.map(|store| {
            let records: Vec<_> = (0..WORLD).map(|id| block(store.record(RecordId(Uuid::from_u128(id.into())))).unwrap()).collect();
            let notes: Vec<_> = (0..WORLD).flat_map(|key| [note(key), sum(key)]).map(|key| block(store.note(key)).unwrap()).collect();
            let states = STATES.map(|state| {
                let found = block(store.list(State::new(state), 99)).unwrap();
                found.into_iter().map(|record| (record.id, record)).collect::<HashMap<_, _>>()
            });
            (records, notes, states, block(store.audit(0, 999)).unwrap(), block(store.health()).jobs)
        });
        prop_assert_eq!(&seen[0], &seen[1]);
        Ok(())
    }
}

fn open(dir: &Path, rebuild: bool, hands: &Arc<Hands>) -> SledStore {
    let clock = Arc::clone(hands) as Arc<dyn Clock>;
    // Segments of a few lines.
    let segments = JournalOptions { octets: 2_000, ..JournalOptions::default() };
    SledStore::open(SledOptions { rebuild, reserve: Reserve::of(0), segments, clock, ..SledOptions::new(dir) }).unwrap()
}

fn same<T: Clone>(both: T) -> (T, T) {
    (both.clone(), both)
}

fn note(key: u8) -> Key {
    Key::new("test", &key.to_string())
}

fn sum(key: u8) -> Key {
    Key::new("sum", &key.to_string())
}

/// What an outcome is, whoever's lease it names.
fn kind(outcome: &Result<(), StoreError>) -> String {
    match outcome {
        Ok(()) => "done".into(),
        Err(StoreError::Conflict(guard)) => match &**guard {
            Guard::Held(lease) => format!("lease of {:?} not held", lease.job.id),
            other => format!("{other:?}"),
        },
        Err(other) => panic!("{other}"),
    }
}

/// How many histories: some hundreds with all tests, ten thousand when asked for.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("BREVBRO_HISTORIES").map_or(usual, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn model() -> (MemoryStore, Arc<Hands>) {
    let hands = Arc::new(Hands::default());
    hands.set(at(0));
    (MemoryStore::with_clock(Arc::clone(&hands) as Arc<dyn Clock>), hands)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn sled_answers_as_the_model_does(acts in prop::collection::vec(act(), 1..60)) {
        let dir = scratch("histories");
        let (model, hands) = model();
        let other = Other::Sled { store: Some(open(dir.path(), false, &hands)), dir: dir.path().to_owned() };
        let mut pair = Pair { model, other, hands, leases: Vec::new(), told: 0 };
        for act in &acts {
            pair.act(act)?;
        }
        pair.agree()?;
        pair.act(&Act::Restart { rebuild: true })?;
        pair.agree()?;
        drop(pair.other);
        prop_assert_eq!(journal::verify(&SledOptions::new(dir.path()).journal()).unwrap().events, block(pair.model.audit(0, 999)).unwrap().len() as u64);
    }
}

#[test]
fn postgres_answers_as_the_model_does() {
    let Some(place) = place() else { return };
    let (_, hands) = model();
    let options = PostgresOptions { clock: Some(Arc::clone(&hands) as Arc<dyn Clock>), connections: 2, ..place };
    // One schema for all histories, emptied before each: making one takes longer than a history.
    let kept = std::cell::RefCell::new(Some(block(PostgresStore::open(options.clone())).unwrap()));
    let mut runner = TestRunner::new(cases(60));
    let outcome = runner.run(&prop::collection::vec(act(), 1..60), |acts| {
        let store = kept.take().unwrap_or_else(|| block(PostgresStore::open(options.clone())).unwrap());
        sql(&options, "SELECT 1 FROM journal_end FOR UPDATE; TRUNCATE records, notes, jobs, steps, told, journal; UPDATE journal_end SET seq = 0, event = 0, hash = repeat('0', 64)");
        hands.set(at(0));
        let model = MemoryStore::with_clock(Arc::clone(&hands) as Arc<dyn Clock>);
        let mut pair =
            Pair { model, other: Other::Postgres { store, options: Box::new(options.clone()) }, hands: Arc::clone(&hands), leases: Vec::new(), told: 0 };
        for act in &acts {
            pair.act(act)?;
        }
        pair.agree()?;
        let Other::Postgres { store, .. } = pair.other else { unreachable!() };
        prop_assert_eq!(block(store.verify()).unwrap().events, block(pair.model.audit(0, 999)).unwrap().len() as u64);
        kept.replace(Some(store));
        Ok(())
    });
    outcome.unwrap();
}
