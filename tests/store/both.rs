//! Two nodes at one database at once: whatever they are answered, there is an order of the steps that explains it.

use std::sync::Barrier;

use brevbro::ident::RecordId;
use brevbro::port::{Guard, JobId, Key, Op, Queue, State, Step, Store, StoreError};
use brevbro::store::{MemoryStore, PostgresStore};
use uuid::Uuid;

use crate::common::dice::{Dice, setting};
use crate::subject::place;
use crate::{at, block, job, record};

const STEPS: usize = 3;
const STATES: [&str; 2] = ["new", "sent"];

/// The small world of one round.
struct World(u64);

impl World {
    fn note(&self, n: u64) -> Key {
        Key::new("both", &format!("{}/{n}", self.0))
    }

    fn id(&self, n: u64) -> u128 {
        u128::from(self.0) << 8 | u128::from(n)
    }

    fn step(&self, dice: &mut Dice) -> Step {
        let mut step = Step::new();
        for _ in 0..dice.roll(3) {
            let n = dice.roll(2);
            step = step.guard(match dice.roll(4) {
                0 => Guard::Absent(self.note(n)),
                1 => Guard::Noted(self.note(n), dice.roll(2).to_string()),
                2 => Guard::In(RecordId(Uuid::from_u128(self.id(n))), State::new(STATES[dice.roll(2) as usize])),
                _ => Guard::New(RecordId(Uuid::from_u128(self.id(n)))),
            });
        }
        for _ in 0..=dice.roll(3) {
            let n = dice.roll(2);
            step = step.op(match dice.roll(6) {
                0 | 1 => Op::Note(self.note(n), dice.roll(2).to_string()),
                2 => Op::Forget(self.note(n)),
                3 => Op::Put(record(self.id(n), STATES[dice.roll(2) as usize])),
                4 => Op::Enqueue(job(self.id(n), Queue::Seal, at(dice.roll(9).cast_signed()))),
                _ => Op::Cancel(JobId(Uuid::from_u128(self.id(n)))),
            });
        }
        step
    }

    fn seen(&self, store: &dyn Store) -> String {
        let of = |n| {
            (
                block(store.note(self.note(n))).unwrap(),
                block(store.record(RecordId(Uuid::from_u128(self.id(n))))).unwrap(),
                block(store.job(JobId(Uuid::from_u128(self.id(n))))).unwrap(),
            )
        };
        format!("{:?}", [of(0), of(1)])
    }
}

/// Whether it was applied.
fn outcome(answer: Result<(), StoreError>) -> bool {
    match answer {
        Ok(()) => true,
        Err(StoreError::Conflict(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Every order of two times three steps in which each node's own stand in theirs.
fn orders() -> Vec<Vec<usize>> {
    (0_u32..1 << (2 * STEPS))
        .filter(|bits| bits.count_ones() as usize == STEPS)
        .map(|bits| (0..2 * STEPS).map(|place| usize::from(bits >> place & 1 == 1)).collect())
        .collect()
}

#[test]
fn what_two_nodes_are_answered_has_an_order_that_explains_it() {
    let Some(place) = place() else { return };
    let nodes = [block(PostgresStore::open(place.clone())).unwrap(), block(PostgresStore::open(place)).unwrap()];
    let rounds = setting("BREVBRO_HISTORIES").unwrap_or(60);
    let (mut dice, mut refused) = (Dice(7), 0);
    for round in 0..rounds {
        let world = World(round);
        let steps: [Vec<Step>; 2] = std::array::from_fn(|_| (0..STEPS).map(|_| world.step(&mut dice)).collect());
        let together = Barrier::new(2);
        let answers = std::thread::scope(|scope| {
            let threads: [_; 2] = std::array::from_fn(|node| {
                let (store, steps, together) = (&nodes[node], &steps[node], &together);
                scope.spawn(move || {
                    together.wait();
                    steps.iter().map(|step| outcome(block(store.apply(step.clone())))).collect::<Vec<_>>()
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        refused += answers.iter().flatten().filter(|applied| !**applied).count();
        let end = world.seen(&nodes[0]);
        let explained = orders().into_iter().any(|order| {
            let (model, mut next) = (MemoryStore::new(), [0, 0]);
            let same = order.into_iter().all(|node| {
                let n = next[node];
                next[node] += 1;
                outcome(block(model.apply(steps[node][n].clone()))) == answers[node][n]
            });
            same && world.seen(&model) == end
        });
        assert!(explained, "round {round}: {steps:?} were answered {answers:?} and left {end}");
    }
    assert!(refused > rounds as usize / 2, "the steps met too seldom to mean anything: {refused}");
}
