//! A journal in many segments: the index is built anew from a snapshot and what follows it, and old segments go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::port::{Job, JobId, Key, Op, Queue, Record, Step, Store};
use brevbro::store::journal::{self, JournalOptions, segments};
use brevbro::store::{SledOptions, SledStore};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::subject::Hands;
use crate::{at, block, job, record};

const RECORDS: u128 = 300;

pub(crate) fn narrow(keep: Option<SignedDuration>) -> JournalOptions {
    JournalOptions { octets: 20_000, keep, ..JournalOptions::default() }
}

pub(crate) fn open(dir: &Path, segments: JournalOptions, rebuild: bool) -> SledStore {
    // Every job is due.
    let clock = Hands::default();
    clock.set(at(1_000));
    SledStore::open(SledOptions { segments, rebuild, clock: Arc::new(clock), ..SledOptions::new(dir) }).unwrap()
}

fn key(n: u128) -> Key {
    Key::new("n", &n.to_string())
}

/// What can be asked of it by name.
pub(crate) type Content = (BTreeMap<u128, (Option<Record>, Option<String>)>, Vec<(Queue, Vec<Job>)>);

pub(crate) fn content(store: &SledStore) -> Content {
    let of = |n| (n, (block(store.record(RecordId(Uuid::from_u128(n)))).unwrap(), block(store.note(key(n))).unwrap()));
    let jobs = |queue| {
        let leases = block(store.claim(queue, Duration::ZERO, usize::MAX)).unwrap();
        (queue, leases.into_iter().map(|lease| lease.job).collect())
    };
    ((0..RECORDS).map(of).collect(), [Queue::Seal, Queue::Send].map(jobs).to_vec())
}

/// Changes everything that there is, again and again, each time to something else; now and then something goes.
pub(crate) fn churn(store: &SledStore, round: u128) {
    for n in 0..RECORDS {
        let step = match (n + round) % 5 {
            0 => Step::new().op(Op::Remove(RecordId(Uuid::from_u128(n)))).op(Op::Forget(key(n))).op(Op::Cancel(JobId(Uuid::from_u128(n)))),
            1 => Step::new().op(Op::Cancel(JobId(Uuid::from_u128(n)))).op(Op::Put(record(n, "sent"))),
            other => Step::new()
                .op(Op::Put(record(n, ["new", "sealed", "sent"][other as usize % 3])))
                .op(Op::Note(key(n), round.to_string()))
                .op(Op::Enqueue(job(n, [Queue::Seal, Queue::Send][round as usize % 2], at((n * round) as i64 % 99)))),
        };
        block(store.apply(step.op(Op::Audit(Event::new(at(0), EventName::Sealed).with(Field::Size, n))))).unwrap();
    }
}

#[test]
fn a_copy_that_was_made_while_steps_went_on_and_what_follows_make_the_whole_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), narrow(None), false);
    churn(&store, 0);
    let going = AtomicBool::new(true);
    let copies = std::thread::scope(|scope| {
        let copier = scope.spawn(|| {
            let mut copies = 0;
            while going.load(Ordering::Relaxed) {
                block(store.snapshot()).unwrap();
                copies += 1;
            }
            copies
        });
        (1..6).for_each(|round| churn(&store, round));
        going.store(false, Ordering::Relaxed);
        copier.join().unwrap()
    });
    assert!(copies > 3, "{copies}");
    let before = content(&store);
    assert!(before.1.iter().any(|(_, jobs)| !jobs.is_empty()));
    drop(store);
    // Each of them, with the lines that follow it; wide segments, so that opening makes no new one.
    let folder = SledOptions::new(dir.path()).journal();
    let snapshots = snapshots(dir.path());
    assert!(snapshots.len() > 1);
    for (number, newest) in snapshots.iter().enumerate().rev() {
        if number % snapshots.len().div_ceil(4) > 0 {
            std::fs::remove_file(newest).unwrap();
            continue;
        }
        assert_eq!(content(&open(dir.path(), JournalOptions::default(), true)), before, "{}", newest.display());
        std::fs::remove_file(newest).unwrap();
    }
    assert_eq!(content(&open(dir.path(), JournalOptions::default(), true)), before, "from the first line");
    journal::verify(&folder).unwrap();
}

/// Oldest first.
fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(SledOptions::new(dir).journal()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = names.filter(|path| path.extension().is_some_and(|ending| ending == "snapshot")).collect();
    found.sort();
    found
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), narrow(None), false);
    for round in 0..2 {
        churn(&store, round);
        block(store.snapshot()).unwrap();
    }
    let before = content(&store);
    drop(store);
    let path = snapshots(dir.path()).pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("sealed", "sealeD", 1)).unwrap();
    assert_eq!(content(&open(dir.path(), narrow(None), true)), before);
}

#[test]
fn segments_go_when_their_time_is_over_and_the_index_can_still_be_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let folder = SledOptions::new(dir.path()).journal();
    let kept = narrow(Some(SignedDuration::ZERO));
    let store = open(dir.path(), kept, false);
    let until = Instant::now() + Duration::from_mins(1);
    let mut round = 0;
    // The first snapshot deletes nothing: should it be damaged, there must be another way.
    while segments(&folder).unwrap()[0].first == 0 {
        assert!(Instant::now() < until, "nothing was deleted");
        churn(&store, round);
        round += 1;
    }
    churn(&store, round);
    let (before, events) = (content(&store), block(store.audit(0, 1_000)).unwrap());
    assert!(events[0].0 > 0, "events whose lines are gone are not told");
    assert!(events.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
    drop(store);
    let summary = journal::verify(&folder).unwrap();
    assert!(summary.first > 0);
    let store = open(dir.path(), kept, true);
    assert_eq!(content(&store), before);
    assert_eq!(block(store.audit(events[5].0, 3)).unwrap(), events[5..8], "events are found without the index");
    drop(store);
    // Without a snapshot there is no way to know what the lost lines said.
    for snapshot in snapshots(dir.path()) {
        std::fs::remove_file(snapshot).unwrap();
    }
    let Err(refused) = SledStore::open(SledOptions { rebuild: true, ..SledOptions::new(dir.path()) }) else { panic!("opened") };
    assert!(refused.to_string().contains("no snapshot of the index can be read that holds it"), "{refused}");
}
