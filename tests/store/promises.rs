//! What every implementation of `Store` promises.

use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::port::{Guard, Job, JobId, Key, Lease, Op, Queue, Record, State, Step, StoreError, Tally};
use jiff::Timestamp;
use uuid::Uuid;

use crate::subject::Subject;
use crate::{at, block, job, record};

macro_rules! promises {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&crate::subject::memory()); })*
        }
        mod sled {
            $(#[test] fn $name() { super::$name(&crate::subject::sled()); })*
        }
        mod postgres {
            $(#[test] fn $name() {
                if let Some(subject) = crate::subject::postgres() {
                    super::$name(&subject);
                }
            })*
        }
    };
}

promises! {
    what_was_put_is_read
    a_step_happens_whole_or_not_at_all
    each_guard_holds_and_fails
    changes_happen_in_their_order
    a_tally_counts_every_step_once
    of_steps_that_add_at_once_every_one_counts
    values_over_their_limit_change_nothing
    records_are_listed_by_their_state
    records_are_read_page_by_page
    jobs_are_claimed_oldest_first_and_only_when_due
    jobs_are_looked_at_without_being_claimed
    a_job_is_leased_to_one_claimant_at_a_time
    a_job_comes_back_when_its_lease_ends
    a_stale_lease_completes_nothing
    a_lease_completes_once
    a_renewed_lease_lasts_longer
    a_rescheduled_job_comes_again_with_one_more_attempt
    a_name_enqueued_twice_is_one_job
    a_waiting_job_is_hastened_and_no_other
    a_cancelled_job_is_gone_claimed_or_not
    of_many_steps_with_one_guard_one_is_applied
    many_claimants_share_the_jobs
    events_stand_in_the_order_of_the_steps
    waiting_ends_when_work_comes_becomes_due_or_comes_back
    waiting_ends_at_its_end
    health_counts_the_jobs
}

const SPAN: Duration = Duration::from_mins(1);

fn apply(store: &Subject, step: Step) {
    block(store.apply(step)).unwrap();
}

fn refuse(store: &Subject, step: Step) -> Guard {
    match block(store.apply(step)) {
        Err(StoreError::Conflict(guard)) => *guard,
        other => panic!("{other:?}"),
    }
}

fn claim(store: &Subject, queue: Queue, now: Timestamp, limit: usize) -> Vec<Lease> {
    store.hands.set(now);
    block(store.claim(queue, SPAN, limit)).unwrap()
}

fn note(store: &Subject, key: &Key) -> Option<String> {
    block(store.note(key.clone())).unwrap()
}

fn get(store: &Subject, id: RecordId) -> Option<Record> {
    block(store.record(id)).unwrap()
}

fn event(attempt: usize) -> Event {
    Event::new(at(0), EventName::Sealed).with(Field::Attempt, attempt)
}

fn key(id: &str) -> Key {
    Key::new("test", id)
}

fn what_was_put_is_read(store: &Subject) {
    let widest = Record { body: "\"\u{1}å".repeat(950), ..record(2, "waiting-for-receipt") };
    apply(store, Step::new().op(Op::Put(record(1, "new"))).op(Op::Put(widest.clone())).op(Op::Note(key("a"), "ett värde".into())));
    assert_eq!(get(store, record(1, "new").id), Some(record(1, "new")));
    assert_eq!(get(store, widest.id), Some(widest));
    assert_eq!(get(store, record(3, "new").id), None);
    assert_eq!(note(store, &key("a")).as_deref(), Some("ett värde"));
    assert_eq!(note(store, &key("A")), None);
    apply(store, Step::new().op(Op::Remove(record(1, "new").id)).op(Op::Forget(key("a"))).op(Op::Forget(key("never"))));
    assert_eq!((get(store, record(1, "new").id), note(store, &key("a"))), (None, None));
}

fn a_step_happens_whole_or_not_at_all(store: &Subject) {
    apply(store, Step::new().op(Op::Note(key("taken"), "1".into())).op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    let lease = claim(store, Queue::Send, at(0), 1).remove(0);
    let stale = Lease { token: lease.token + 1, ..lease.clone() };
    let everything = |step: Step| {
        step.op(Op::Put(record(1, "new")))
            .op(Op::Note(key("b"), "2".into()))
            .op(Op::Forget(key("taken")))
            .op(Op::Enqueue(job(2, Queue::Send, at(0))))
            .op(Op::Cancel(JobId(Uuid::from_u128(1))))
            .op(Op::Audit(event(1)))
    };
    assert_eq!(refuse(store, everything(Step::new().guard(Guard::Absent(key("taken"))))), Guard::Absent(key("taken")));
    assert_eq!(refuse(store, everything(Step::new()).op(Op::Complete(stale.clone()))), Guard::Held(stale));
    assert_eq!((get(store, record(1, "new").id), note(store, &key("b"))), (None, None));
    assert_eq!(note(store, &key("taken")).as_deref(), Some("1"));
    assert_eq!(block(store.audit(0, 10)).unwrap(), []);
    assert_eq!(claim(store, Queue::Send, at(0), 9), []);
    apply(store, Step::new().op(Op::Complete(lease)));
}

fn each_guard_holds_and_fails(store: &Subject) {
    let (kept, free) = (record(1, "sealed"), record(2, "new"));
    apply(store, Step::new().op(Op::Put(kept.clone())).op(Op::Note(key("k"), "v".into())).op(Op::Enqueue(job(1, Queue::Open, at(0)))));
    let lease = claim(store, Queue::Open, at(0), 1).remove(0);
    let holds = [
        Guard::Absent(key("x")),
        Guard::Noted(key("k"), "v".into()),
        Guard::In(kept.id, State::new("sealed")),
        Guard::New(free.id),
        Guard::Held(lease.clone()),
    ];
    let fails = [
        Guard::Absent(key("k")),
        Guard::Noted(key("k"), "w".into()),
        Guard::Noted(key("x"), "v".into()),
        Guard::In(kept.id, State::new("new")),
        Guard::In(free.id, State::new("new")),
        Guard::New(kept.id),
        Guard::Held(Lease { token: lease.token - 1, ..lease.clone() }),
        Guard::Held(Lease { job: job(2, Queue::Open, at(0)), ..lease }),
    ];
    for guard in holds.clone() {
        apply(store, Step::new().guard(guard));
    }
    for guard in fails {
        let step = holds.iter().cloned().fold(Step::new(), Step::guard).guard(guard.clone());
        assert_eq!(refuse(store, step.op(Op::Note(key("never"), String::new()))), guard);
    }
    assert_eq!(note(store, &key("never")), None);
}

fn changes_happen_in_their_order(store: &Subject) {
    apply(
        store,
        Step::new()
            .guard(Guard::New(record(1, "a").id))
            .op(Op::Put(record(1, "a")))
            .op(Op::Put(record(1, "b")))
            .op(Op::Note(key("n"), "1".into()))
            .op(Op::Forget(key("n")))
            .op(Op::Enqueue(job(1, Queue::Seal, at(5))))
            .op(Op::Cancel(JobId(Uuid::from_u128(1))))
            .op(Op::Enqueue(job(1, Queue::Send, at(0)))),
    );
    assert_eq!(get(store, record(1, "b").id), Some(record(1, "b")));
    assert_eq!(note(store, &key("n")), None);
    assert_eq!(claim(store, Queue::Seal, at(9), 9), []);
    let lease = claim(store, Queue::Send, at(9), 9).remove(0);
    // The same name again, after its end, is a new job.
    apply(store, Step::new().op(Op::Complete(lease)).op(Op::Enqueue(job(1, Queue::Send, at(3)))));
    assert_eq!(claim(store, Queue::Send, at(9), 9).remove(0).job, job(1, Queue::Send, at(3)));
}

fn a_tally_counts_every_step_once(store: &Subject) {
    let add = |messages, octets| Op::Add(key("sum"), Tally { messages, octets });
    apply(store, Step::new().op(add(1, 700)));
    assert_eq!(note(store, &key("sum")).as_deref(), Some("1 700"));
    apply(store, Step::new().op(add(2, -900)).op(add(-4, 50)));
    assert_eq!(note(store, &key("sum")).as_deref(), Some("-1 -150"));
    // A step that is refused adds nothing.
    refuse(store, Step::new().guard(Guard::Absent(key("sum"))).op(add(1, 1)));
    assert_eq!(note(store, &key("sum")).as_deref(), Some("-1 -150"));
    apply(store, Step::new().op(add(1, 150)));
    assert_eq!(note(store, &key("sum")).as_deref(), Some("0 0"));
}

fn of_steps_that_add_at_once_every_one_counts(store: &Subject) {
    const EACH: i64 = 12;
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                for _ in 0..EACH {
                    // Half of them in the other order, so that two could wait for one another.
                    let (first, second) = if number % 2 == 0 { ("one", "two") } else { ("two", "one") };
                    let by = Tally { messages: 1, octets: number };
                    apply(store, Step::new().op(Op::Add(key(first), by)).op(Op::Add(key(second), by)));
                }
            });
        }
    });
    let sum = Tally { messages: 4 * EACH, octets: (1 + 2 + 3) * EACH }.to_string();
    assert_eq!([note(store, &key("one")), note(store, &key("two"))], [Some(sum.clone()), Some(sum)]);
}

fn values_over_their_limit_change_nothing(store: &Subject) {
    let long = |octets| "x".repeat(octets);
    let over = [
        Op::Put(Record { body: long(Record::MAX_BODY + 1), ..record(1, "new") }),
        Op::Put(Record { state: State(long(41).into()), ..record(1, "new") }),
        Op::Note(key("n"), "a\0b".into()),
        Op::Note(key("n"), long(1_001)),
        Op::Enqueue(Job { note: long(1_001), ..job(1, Queue::Send, at(0)) }),
    ];
    for op in over {
        let step = Step::new().op(Op::Note(key("beside"), String::new())).op(op);
        assert!(matches!(block(store.apply(step)), Err(StoreError::TooLarge { .. })));
    }
    assert_eq!(note(store, &key("beside")), None);
    let widest = Job { note: "\u{1}".repeat(1_000), ..job(1, Queue::Send, at(0)) };
    apply(store, Step::new().op(Op::Note(key("n"), long(1_000))).op(Op::Enqueue(widest.clone())));
    assert_eq!(claim(store, Queue::Send, at(0), 1).remove(0).job, widest);
}

fn records_are_listed_by_their_state(store: &Subject) {
    for n in 0..10 {
        apply(store, Step::new().op(Op::Put(record(n, if n % 2 == 0 { "sealed" } else { "sealed-2" }))));
    }
    apply(store, Step::new().op(Op::Put(record(0, "sent"))).op(Op::Remove(record(2, "").id)));
    let list = |state, limit| {
        let mut found = block(store.list(State::new(state), limit)).unwrap();
        found.sort_by_key(|record| record.id);
        found
    };
    assert_eq!(list("sealed", 99), [4, 6, 8].map(|n| record(n, "sealed")));
    assert_eq!(list("sealed-2", 99), [1, 3, 5, 7, 9].map(|n| record(n, "sealed-2")));
    assert_eq!(list("sent", 99), [record(0, "sent")]);
    assert_eq!(list("seal", 99), []);
    assert_eq!(list("sealed", 2).len(), 2);
}

fn records_are_read_page_by_page(store: &Subject) {
    let pages = |size: usize| {
        let (mut found, mut after) = (Vec::new(), None);
        while let page = block(store.records(after, size)).unwrap()
            && let Some(last) = page.last()
        {
            assert!(page.len() <= size);
            after = Some(last.id);
            found.extend(page);
        }
        found
    };
    assert_eq!(pages(3), []);
    let all: Vec<Record> = (1..=20).map(|n| record(n << 120 | n, if n % 2 == 0 { "sealed" } else { "new" })).collect();
    let step = all.iter().rev().fold(Step::new().op(Op::Note(key("r"), "no record".into())), |step, record| step.op(Op::Put(record.clone())));
    apply(store, step.op(Op::Put(record(u128::MAX, "sent"))).op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    apply(store, Step::new().op(Op::Remove(record(u128::MAX, "sent").id)));
    for size in [1, 3, 20, 99] {
        assert_eq!(pages(size), all, "{size} at a time");
    }
    assert_eq!(block(store.records(Some(record(7 << 120 | 7, "new").id), 1)).unwrap(), all[7..8]);
}

fn jobs_are_claimed_oldest_first_and_only_when_due(store: &Subject) {
    for (n, due) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        apply(store, Step::new().op(Op::Enqueue(job(n, Queue::Seal, at(due)))));
    }
    apply(store, Step::new().op(Op::Enqueue(job(5, Queue::Send, at(0)))));
    assert_eq!(claim(store, Queue::Seal, at(9), 9), []);
    let leases = claim(store, Queue::Seal, at(20), 2);
    assert_eq!(leases.iter().map(|lease| lease.job.clone()).collect::<Vec<_>>(), [job(2, Queue::Seal, at(10)), job(4, Queue::Seal, at(10))]);
    assert!(leases.iter().all(|lease| lease.until == at(80)));
    assert_eq!(claim(store, Queue::Seal, at(20), 9).remove(0).job, job(3, Queue::Seal, at(20)));
    assert_eq!(claim(store, Queue::Seal, at(29), 9), []);
}

fn jobs_are_looked_at_without_being_claimed(store: &Subject) {
    for (n, due) in [(1, 30), (2, 10), (3, 20)] {
        apply(store, Step::new().op(Op::Enqueue(job(n, Queue::Seal, at(due)))));
    }
    apply(store, Step::new().op(Op::Enqueue(job(4, Queue::Send, at(0)))));
    assert_eq!(claim(store, Queue::Seal, at(10), 1).len(), 1);
    let jobs = |limit| block(store.jobs(Queue::Seal, Timestamp::MIN, limit)).unwrap();
    assert_eq!(block(store.jobs(Queue::Seal, at(20), 9)).unwrap(), [job(3, Queue::Seal, at(20)), job(1, Queue::Seal, at(30))]);
    assert_eq!(block(store.jobs(Queue::Seal, at(31), 9)).unwrap(), []);
    let expected = [job(2, Queue::Seal, at(10)), job(3, Queue::Seal, at(20)), job(1, Queue::Seal, at(30))];
    assert_eq!(jobs(9), expected);
    assert_eq!((jobs(2).as_slice(), jobs(0)), (&expected[..2], vec![]));
    let one = |n| block(store.job(JobId(Uuid::from_u128(n)))).unwrap();
    assert_eq!((one(4), one(5)), (Some(job(4, Queue::Send, at(0))), None));
}

fn a_job_is_leased_to_one_claimant_at_a_time(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    assert_eq!(claim(store, Queue::Send, at(0), 9).len(), 1);
    assert_eq!(claim(store, Queue::Send, at(0), 9), []);
    assert_eq!(claim(store, Queue::Send, at(59), 9), []);
}

fn a_job_comes_back_when_its_lease_ends(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    let first = claim(store, Queue::Send, at(0), 9).remove(0);
    let second = claim(store, Queue::Send, at(60), 9).remove(0);
    assert_eq!(second.job, first.job);
    assert!(second.token > first.token);
}

fn a_stale_lease_completes_nothing(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    let first = claim(store, Queue::Send, at(0), 9).remove(0);
    let second = claim(store, Queue::Send, at(60), 9).remove(0);
    assert_eq!(refuse(store, Step::new().op(Op::Complete(first.clone()))), Guard::Held(first.clone()));
    let again = Op::Reschedule { lease: first.clone(), due: at(0), note: String::new() };
    assert_eq!(refuse(store, Step::new().op(again)), Guard::Held(first.clone()));
    assert!(matches!(block(store.renew(first, SPAN)), Err(StoreError::Conflict(_))));
    apply(store, Step::new().op(Op::Complete(second)));
    assert_eq!(claim(store, Queue::Send, at(999), 9), []);
}

fn a_lease_completes_once(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    let lease = claim(store, Queue::Send, at(0), 9).remove(0);
    let twice = Step::new().op(Op::Complete(lease.clone())).op(Op::Complete(lease.clone()));
    assert_eq!(refuse(store, twice), Guard::Held(lease.clone()));
    apply(store, Step::new().op(Op::Complete(lease.clone())));
    assert_eq!(refuse(store, Step::new().op(Op::Complete(lease.clone()))), Guard::Held(lease));
}

fn a_renewed_lease_lasts_longer(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    let lease = claim(store, Queue::Send, at(0), 9).remove(0);
    store.hands.set(at(240));
    let renewed = block(store.renew(lease.clone(), SPAN)).unwrap();
    assert_eq!(renewed, Lease { until: at(300), ..lease.clone() });
    assert_eq!(claim(store, Queue::Send, at(299), 9), []);
    apply(store, Step::new().guard(Guard::Held(lease)).guard(Guard::Held(renewed)));
    assert_eq!(claim(store, Queue::Send, at(300), 9).len(), 1);
}

fn a_rescheduled_job_comes_again_with_one_more_attempt(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    for attempt in 0..3 {
        let now = at(100 * i64::from(attempt));
        let lease = claim(store, Queue::Send, now, 9).remove(0);
        assert_eq!(lease.job.attempt, attempt);
        let due = at(100 * i64::from(attempt + 1));
        apply(store, Step::new().op(Op::Reschedule { lease: lease.clone(), due, note: format!("after {attempt}") }));
        assert!(matches!(refuse(store, Step::new().guard(Guard::Held(lease))), Guard::Held(_)));
        assert_eq!(claim(store, Queue::Send, at(100 * i64::from(attempt) + 99), 9), []);
    }
    assert_eq!(
        claim(store, Queue::Send, at(300), 9).remove(0).job,
        Job { due: at(300), attempt: 3, note: "after 2".into(), ..job(1, Queue::Send, at(0)) }
    );
}

fn a_name_enqueued_twice_is_one_job(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Open, at(5)))));
    let lease = claim(store, Queue::Send, at(9), 9).remove(0);
    assert_eq!(lease.job, job(1, Queue::Send, at(0)));
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))));
    assert_eq!((claim(store, Queue::Send, at(9), 9), claim(store, Queue::Open, at(9), 9)), (vec![], vec![]));
    apply(store, Step::new().op(Op::Complete(lease)));
}

fn a_waiting_job_is_hastened_and_no_other(store: &Subject) {
    let hasten = |n, due| apply(store, Step::new().op(Op::Hasten(JobId(Uuid::from_u128(n)), at(due))));
    for n in [1, 2] {
        apply(store, Step::new().op(Op::Enqueue(job(n, Queue::Send, at(10)))));
    }
    let lease = claim(store, Queue::Send, at(10), 1).remove(0);
    let (leased, other) = if lease.job == job(1, Queue::Send, at(10)) { (1, 2) } else { (2, 1) };
    hasten(leased, 0);
    hasten(other, 20);
    hasten(9, 0);
    assert_eq!(claim(store, Queue::Send, at(9), 9), [], "nobody is claimed twice, put off, or made");
    let step = Step::new().op(Op::Reschedule { lease, due: at(50), note: "again".into() });
    apply(store, step);
    hasten(leased, 5);
    let again = claim(store, Queue::Send, at(5), 9).remove(0).job;
    assert_eq!(again, Job { attempt: 1, note: "again".into(), ..job(leased, Queue::Send, at(5)) }, "it keeps what it was");
    hasten(other, 6);
    // What a step that is refused hastened is due when it was.
    let refused = Step::new().op(Op::Hasten(JobId(Uuid::from_u128(other)), at(0))).op(Op::Complete(Lease { job: again, token: 0, until: at(0) }));
    refuse(store, refused);
    assert_eq!(claim(store, Queue::Send, at(5), 9), []);
    assert_eq!(claim(store, Queue::Send, at(6), 9).len(), 1);
}

fn a_cancelled_job_is_gone_claimed_or_not(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, at(0)))).op(Op::Enqueue(job(2, Queue::Send, at(5)))));
    let lease = claim(store, Queue::Send, at(0), 9).remove(0);
    let cancel = [1, 2, 3].into_iter().fold(Step::new(), |step, n| step.op(Op::Cancel(JobId(Uuid::from_u128(n)))));
    apply(store, cancel);
    assert_eq!(refuse(store, Step::new().op(Op::Complete(lease.clone()))), Guard::Held(lease));
    assert_eq!(claim(store, Queue::Send, at(999), 9), []);
}

fn of_many_steps_with_one_guard_one_is_applied(store: &Subject) {
    let applied: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                scope.spawn(move || {
                    let mut applied = 0;
                    for n in 0..20 {
                        let step = Step::new().guard(Guard::Absent(key(&format!("{n}")))).op(Op::Note(key(&format!("{n}")), format!("{thread}")));
                        match block(store.apply(step.op(Op::Audit(event(n))))) {
                            Ok(()) => applied += 1,
                            Err(StoreError::Conflict(_)) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    applied
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((applied, block(store.audit(0, 999)).unwrap().len()), (20, 20));
}

fn many_claimants_share_the_jobs(store: &Subject) {
    let step = (0..100).fold(Step::new(), |step, n| step.op(Op::Enqueue(job(n, Queue::Deliver, at(0)))));
    apply(store, step);
    let mut done: Vec<JobId> = std::thread::scope(|scope| {
        let work = move || {
            let mut done = Vec::new();
            loop {
                let leases = claim(store, Queue::Deliver, at(0), 3);
                if leases.is_empty() {
                    return done;
                }
                for lease in leases {
                    done.push(lease.job.id);
                    apply(store, Step::new().op(Op::Complete(lease)));
                }
            }
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    done.sort();
    assert_eq!(done, (0..100).map(|n| JobId(Uuid::from_u128(n))).collect::<Vec<_>>());
}

fn events_stand_in_the_order_of_the_steps(store: &Subject) {
    for n in 0..100 {
        let step = (0..n % 4).fold(Step::new(), |step, m| step.op(Op::Audit(event(n * 10 + m))));
        apply(store, step.op(Op::Note(key("n"), n.to_string())));
    }
    let expected: Vec<(u64, Event)> = (0..).zip((0..100).flat_map(|n| (0..n % 4).map(move |m| event(n * 10 + m)))).collect();
    assert_eq!(block(store.audit(0, 1_000)).unwrap(), expected);
    for from in [0, 1, 63, 64, 65, 100, 149] {
        assert_eq!(block(store.audit(from, 7)).unwrap(), expected.iter().skip(from as usize).take(7).cloned().collect::<Vec<_>>());
    }
    assert_eq!(block(store.audit(150, 7)).unwrap(), []);
}

fn waiting_ends_when_work_comes_becomes_due_or_comes_back(store: &Subject) {
    let begun = Instant::now();
    let after = |millis| Timestamp::now() + Duration::from_millis(millis);
    let wait = || block(store.wait_work(Queue::Send, Duration::from_secs(20)));
    let now = || Timestamp::now();

    // Comes, while someone waits; a job of another queue is none.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(wait);
        apply(store, Step::new().op(Op::Enqueue(job(9, Queue::Seal, now()))));
        apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, after(150)))));
        waiting.join().unwrap();
    });
    // Was due when the wait began; comes back when a lease ends.
    let lease = block(store.claim(Queue::Send, Duration::from_millis(150), 1)).unwrap().remove(0);
    wait();
    assert!(now() >= lease.until);
    wait();
    let lease = block(store.claim(Queue::Send, SPAN, 1)).unwrap().remove(0);
    // Is rescheduled.
    apply(store, Step::new().op(Op::Reschedule { lease, due: after(100), note: String::new() }));
    wait();
    assert_eq!(block(store.claim(Queue::Send, SPAN, 1)).unwrap().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(15));
}

fn waiting_ends_at_its_end(store: &Subject) {
    apply(store, Step::new().op(Op::Enqueue(job(1, Queue::Send, Timestamp::now() + Duration::from_hours(1)))));
    let begun = Instant::now();
    block(store.wait_work(Queue::Send, Duration::from_millis(50)));
    block(store.wait_work(Queue::Send, Duration::ZERO));
    assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < Duration::from_secs(15));
}

fn health_counts_the_jobs(store: &Subject) {
    let counts = || block(store.health());
    for n in 0..5 {
        apply(store, Step::new().op(Op::Enqueue(job(n, Queue::Await, at(0)))).op(Op::Enqueue(job(n, Queue::Send, at(0)))));
    }
    let lease = claim(store, Queue::Await, at(0), 2).remove(0);
    apply(store, Step::new().op(Op::Complete(lease)).op(Op::Cancel(JobId(Uuid::from_u128(4)))));
    let health = counts();
    assert!(health.working);
    assert_eq!(health.jobs, Queue::ALL.map(|queue| (queue, if queue == Queue::Await { 3 } else { 0 })));
}
