//! What PostgreSQL as a store promises beyond the contract of all.

use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName, Field};
use brevbro::port::{Guard, Key, Op, Queue, Step, Store, StoreError};
use brevbro::store::{PostgresOptions, PostgresStore};
use jiff::Timestamp;

use crate::common::postgres::{Cluster, Plan};
use crate::subject::{place, sql, within};
use crate::{block, job};

fn open(options: &PostgresOptions) -> PostgresStore {
    block(PostgresStore::open(options.clone())).unwrap()
}

fn refused(options: &PostgresOptions) -> String {
    block(PostgresStore::open(options.clone())).err().unwrap().to_string()
}

#[test]
fn leases_end_by_the_clock_of_the_database() {
    let Some(place) = place() else { return };
    let (one, other) = (open(&place), open(&place));
    block(one.apply(Step::new().op(Op::Enqueue(job(1, Queue::Send, Timestamp::now()))))).unwrap();
    let claim = |store: &PostgresStore, span| block(store.claim(Queue::Send, span, 9)).unwrap();
    let first = claim(&one, Duration::from_millis(800)).remove(0);
    assert_eq!(claim(&other, Duration::from_secs(9)), [], "it is held");
    let renewed = block(one.renew(first.clone(), Duration::from_secs(2))).unwrap();
    assert!(renewed.until > first.until);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(claim(&other, Duration::from_secs(9)), [], "it was renewed");
    std::thread::sleep(Duration::from_millis(1_100));
    let second = claim(&other, Duration::from_secs(9)).remove(0);
    assert!(second.token > first.token);
    for stale in [Op::Complete(first.clone()), Op::Reschedule { lease: first.clone(), due: Timestamp::now(), note: String::new() }] {
        assert!(matches!(block(one.apply(Step::new().op(stale))), Err(StoreError::Conflict(_))));
    }
    assert!(matches!(block(one.renew(first, Duration::from_secs(9))), Err(StoreError::Conflict(_))));
    block(other.apply(Step::new().op(Op::Complete(second)))).unwrap();
}

#[test]
fn a_hint_from_another_node_comes_before_the_next_look() {
    let Some(place) = place() else { return };
    let (one, other) = (open(&place), open(&place));
    // Whoever listens has to be there first.
    std::thread::sleep(Duration::from_millis(500));
    let quick = (0..5).filter(|n| {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let begun = Instant::now();
                block(other.wait_work(Queue::Send, Duration::from_secs(20)));
                begun.elapsed()
            });
            std::thread::sleep(Duration::from_millis(200));
            block(one.apply(Step::new().op(Op::Enqueue(job(*n, Queue::Send, Timestamp::now()))))).unwrap();
            let waited = waiting.join().unwrap();
            for lease in block(one.claim(Queue::Send, Duration::from_secs(9), 9)).unwrap() {
                block(one.apply(Step::new().op(Op::Complete(lease)))).unwrap();
            }
            waited < Duration::from_millis(1_500)
        })
    });
    assert!(quick.count() >= 3, "a look every two seconds would have found them too, but later");
}

#[test]
fn of_two_nodes_that_demand_what_the_other_writes_one_is_refused() {
    let Some(place) = place() else { return };
    let nodes = [open(&place), open(&place)];
    let key = |name: &str, n: usize| Key::new("skew", &format!("{name}{n}"));
    for n in 0..40 {
        // Each sees that the other's mark is absent, and sets its own: done one after the other, the second one is refused.
        let step = |own: &str, foreign: &str| Step::new().guard(Guard::Absent(key(foreign, n))).op(Op::Note(key(own, n), String::new()));
        let applied = std::thread::scope(|scope| {
            let threads = [scope.spawn(|| block(nodes[0].apply(step("a", "b")))), scope.spawn(|| block(nodes[1].apply(step("b", "a"))))];
            threads.map(|thread| thread.join().unwrap()).iter().filter(|outcome| outcome.is_ok()).count()
        });
        assert_eq!(applied, 1, "round {n}");
    }
}

#[test]
fn the_journal_of_many_nodes_is_one_chain_in_the_order_of_each_record() {
    let Some(place) = place() else { return };
    let nodes = [open(&place), open(&place), open(&place)];
    std::thread::scope(|scope| {
        for (node, store) in nodes.iter().enumerate() {
            scope.spawn(move || {
                for n in 0..40 {
                    let event = Event::new(Timestamp::UNIX_EPOCH, EventName::Sealed).with(Field::Attempt, n).with(Field::Cause, node);
                    block(store.apply(Step::new().op(Op::Note(Key::new("node", &node.to_string()), n.to_string())).op(Op::Audit(event)))).unwrap();
                }
            });
        }
    });
    let mut events = Vec::new();
    while events.len() < 120 {
        let more = block(nodes[0].audit(events.len() as u64, 50)).unwrap();
        assert!(!more.is_empty(), "everything told before is there");
        events.extend(more);
    }
    assert_eq!(events.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..120).collect::<Vec<_>>());
    for node in 0..3 {
        let own: Vec<String> = events
            .iter()
            .filter(|(_, event)| event.fields[&Field::Cause] == node.to_string())
            .map(|(_, event)| event.fields[&Field::Attempt].clone())
            .collect();
        assert_eq!(own, (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    let whole = block(nodes[1].verify()).unwrap();
    assert_eq!((whole.lines, whole.events), (120, 120));
    let lines = block(nodes[2].lines(7, 3)).unwrap();
    assert_eq!(lines.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [7, 8, 9]);

    for (damage, says) in [
        ("UPDATE journal SET line = replace(line, 'sealed', 'opened') WHERE seq = 50", "line 50"),
        ("DELETE FROM journal WHERE seq = 119", "line 119"),
        ("DELETE FROM journal WHERE seq = 30", "line 30"),
    ] {
        sql(&place, "CREATE TABLE kept AS SELECT * FROM journal");
        sql(&place, damage);
        let found = block(nodes[0].verify()).unwrap_err();
        assert!(matches!(&found, StoreError::Damaged(why) if why.starts_with(says)), "{damage}: {found}");
        sql(&place, "TRUNCATE journal; INSERT INTO journal SELECT * FROM kept; DROP TABLE kept");
        assert_eq!(block(nodes[0].verify()).unwrap(), whole);
    }
}

#[test]
fn a_server_that_does_not_wait_for_its_disk_is_refused() {
    let Some(cluster) = Cluster::start(&Plan { settings: vec!["synchronous_commit=off".into()], ..Plan::default() }) else { return };
    let begun = Instant::now();
    let why = refused(&within(&cluster, "postgres"));
    assert!(why.contains("synchronous_commit is off"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(15), "it is not tried for long");
}

#[test]
fn tables_of_a_later_version_are_used_only_where_they_say_so() {
    let Some(place) = place() else { return };
    drop(open(&place));
    sql(&place, "UPDATE schema_version SET version = 99, compatible_with = 1");
    let beside = open(&place);
    block(beside.apply(Step::new().op(Op::Note(Key::new("k", "1"), String::new())))).unwrap();
    sql(&place, "UPDATE schema_version SET compatible_with = 98");
    let why = refused(&place);
    assert!(why.contains("version 99") && why.contains("install"), "{why}");
}

#[test]
fn nodes_that_start_at_once_make_the_tables_once() {
    let Some(place) = place() else { return };
    let stores: Vec<PostgresStore> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| open(&PostgresOptions { connections: 2, ..place.clone() }))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (n, store) in stores.iter().enumerate() {
        let step = Step::new().guard(Guard::Absent(Key::new("k", "1"))).op(Op::Note(Key::new("k", "1"), String::new()));
        assert_eq!(block(store.apply(step)).is_ok(), n == 0);
    }
}
