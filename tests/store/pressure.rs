//! PostgreSQL under pressure: workers that are killed, a database that stops and crashes, connections that break at the worst
//! moment. Nothing acknowledged is lost, nothing is done twice, and no answer is a wrong one.
//!
//! `BREVBRO_PRESSURE=10` makes the runs ten times as long.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brevbro::crypto::sha256;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, Guard, Key, Op, Queue, State, Step, Store, StoreError};
use brevbro::store::{PostgresOptions, PostgresStore};
use jiff::Timestamp;
use uuid::Uuid;

use crate::common::cable::Cable;
use crate::common::postgres::{Cluster, Plan, Stop};
use crate::subject::within;
use crate::{block, job, record};

const CHILD: &str = "BREVBRO_TEST_POSTGRES_WORKER";
const SPAN: Duration = Duration::from_secs(2);

fn longer() -> u64 {
    std::env::var("BREVBRO_PRESSURE").map_or(1, |times| times.parse().unwrap())
}

fn key(n: u64) -> Key {
    Key::new("n", &n.to_string())
}

fn told(n: u64) -> Op {
    Op::Audit(Event::new(Timestamp::UNIX_EPOCH, EventName::Sealed).with(Field::Size, n))
}

/// How often each number was told in the journal, whose chain is whole.
fn journal(store: &PostgresStore) -> BTreeMap<u64, u32> {
    let (mut counts, mut next) = (BTreeMap::new(), 0);
    loop {
        let events = block(store.audit(next, 500)).unwrap();
        let Some((last, _)) = events.last() else { break };
        next = last + 1;
        for (_, event) in &events {
            *counts.entry(event.fields[&Field::Size].parse().unwrap()).or_default() += 1;
        }
    }
    assert_eq!(block(store.verify()).unwrap().events, next);
    counts
}

#[test]
#[ignore = "a worker of the test below: it works until it is killed"]
fn worker_that_works_until_it_is_killed() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let (url, schema) = place.split_once(' ').unwrap();
    let options = PostgresOptions { schema: schema.into(), connections: 4, patience: Duration::from_mins(1), ..PostgresOptions::new(url).unwrap() };
    let store = block(PostgresStore::open(options)).unwrap();
    let say = |word: &str, n: u128| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word} {n}").unwrap();
        out.flush().unwrap();
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    for lease in block(store.claim(Queue::Send, SPAN, 2)).unwrap() {
                        let n = lease.job.record.0.as_u128();
                        say("sent", n);
                        let step = Step::new().guard(Guard::In(record(n, "").id, State::new("new"))).op(Op::Put(record(n, "sent")));
                        match block(store.apply(step.op(told(n as u64)).op(Op::Complete(lease)))) {
                            Ok(()) => say("done", n),
                            Err(StoreError::Conflict(_)) => say("stale", n),
                            Err(other) => panic!("{other}"),
                        }
                    }
                    block(store.wait_work(Queue::Send, Duration::from_millis(200)));
                }
            });
        }
    });
}

struct Worker {
    process: Child,
    out: std::thread::JoinHandle<Vec<String>>,
}

impl Worker {
    fn start(options: &PostgresOptions, url: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "pressure::worker_that_works_until_it_is_killed", "--ignored", "--nocapture", "--test-threads=1"]);
        let mut process = command.env(CHILD, format!("{url} {}", options.schema)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        Self { process, out: std::thread::spawn(move || out.lines().map_while(Result::ok).collect()) }
    }

    fn kill(mut self, said: &mut Vec<String>) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        said.extend(self.out.join().unwrap());
    }
}

#[test]
fn workers_that_are_killed_lose_no_job_and_none_is_done_twice() {
    let Some(cluster) = Cluster::start(&Plan { durable: true, ..Plan::default() }) else { return };
    let options = within(&cluster, "postgres");
    let store = block(PostgresStore::open(options.clone())).unwrap();
    let (jobs, kills) = (u128::from(400 * longer()), 12 * longer());
    for first in (0..jobs).step_by(20) {
        let step = (first..first + 20)
            .fold(Step::new(), |step, n| step.op(Op::Put(record(n, "new"))).op(Op::Enqueue(job(n, Queue::Send, Timestamp::now()))));
        block(store.apply(step)).unwrap();
    }
    let (url, mut said) = (cluster.url("postgres"), Vec::new());
    let mut workers: Vec<Worker> = (0..3).map(|_| Worker::start(&options, &url)).collect();
    let left = || block(store.health()).jobs.iter().find(|(queue, _)| *queue == Queue::Send).unwrap().1;
    for kill in 0..kills {
        // Whoever is killed is at work: some jobs have ended since the last one was.
        let (before, begun) = (left(), Instant::now());
        while left() + 15 > before && left() > 0 {
            assert!(begun.elapsed() < Duration::from_mins(1), "the workers work");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_micros(kill * 7_919 % 9_000));
        workers.remove(0).kill(&mut said);
        workers.push(Worker::start(&options, &url));
    }
    let begun = Instant::now();
    while left() > 0 {
        assert!(begun.elapsed() < Duration::from_mins(3), "jobs are left");
        std::thread::sleep(Duration::from_millis(50));
    }
    for worker in workers {
        worker.kill(&mut said);
    }
    let of = |word: &str| {
        said.iter().filter_map(|line| line.split_once(' ').filter(|(found, _)| *found == word)?.1.parse::<u128>().ok()).collect::<Vec<_>>()
    };
    let (sent, done, stale) = (of("sent"), of("done"), of("stale"));
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), done.len(), "none was acknowledged twice");
    let counts = journal(&store);
    assert_eq!(counts.len() as u128, jobs);
    assert!(counts.values().all(|times| *times == 1), "none was completed twice");
    assert_eq!(block(store.list(State::new("sent"), usize::MAX)).unwrap().len() as u128, jobs);
    let again = sent.len() - sent.iter().collect::<BTreeSet<_>>().len();
    println!("{jobs} jobs, {kills} kills: {} acknowledged, {again} begun again, {} refused as stale, none lost, none twice", done.len(), stale.len());
}

/// Steps of several threads, each of which is the only one of its name; what they were answered.
struct Load {
    next: AtomicU64,
    stop: AtomicBool,
    applied: Mutex<BTreeSet<u64>>,
    unknown: Mutex<BTreeSet<u64>>,
}

impl Load {
    fn new() -> Self {
        Self { next: AtomicU64::new(0), stop: AtomicBool::new(false), applied: Mutex::default(), unknown: Mutex::default() }
    }

    fn applied(&self) -> usize {
        self.applied.lock().unwrap().len()
    }

    fn run(&self, store: &PostgresStore) {
        while !self.stop.load(Ordering::SeqCst) {
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            let step = Step::new().guard(Guard::Absent(key(n))).op(Op::Note(key(n), "there".into())).op(Op::Put(record(n.into(), "new"))).op(told(n));
            match block(store.apply(step)) {
                Ok(()) => drop(self.applied.lock().unwrap().insert(n)),
                Err(StoreError::Broken(_)) => drop(self.unknown.lock().unwrap().insert(n)),
                // Nobody else has this name: a guard that does not hold would be the step's own trace.
                Err(other) => panic!("a wrong answer to {n}: {other}"),
            }
        }
    }

    fn check(&self, store: &PostgresStore) {
        let (applied, unknown, counts) = (self.applied.lock().unwrap(), self.unknown.lock().unwrap(), journal(store));
        for n in 0..self.next.load(Ordering::SeqCst) {
            let there = block(store.note(key(n))).unwrap().is_some();
            assert!(there || !applied.contains(&n), "{n} was acknowledged and is gone");
            assert!(there == applied.contains(&n) || unknown.contains(&n), "{n} is there, and nobody knows why");
            assert_eq!(counts.get(&n).copied().unwrap_or(0), u32::from(there), "{n} is there whole, once, or not at all");
            assert_eq!(block(store.record(RecordId(Uuid::from_u128(n.into())))).unwrap().is_some(), there);
        }
    }
}

fn through(cluster: &Cluster, cable: SocketAddr) -> PostgresOptions {
    let direct = within(cluster, "postgres");
    let url = format!("postgresql://postgres@{cable}/postgres");
    PostgresOptions { schema: direct.schema, connections: 6, patience: Duration::from_mins(1), ..PostgresOptions::new(&url).unwrap() }
}

#[test]
fn cut_connections_and_a_database_that_stops_or_crashes_lose_nothing_and_answer_nothing_wrongly() {
    let Some(cluster) = Cluster::start(&Plan { durable: true, ..Plan::default() }) else { return };
    let cable = Cable::to(SocketAddr::from(([127, 0, 0, 1], cluster.port)));
    let options = through(&cluster, cable.address);
    let (store, load) = (block(PostgresStore::open(options.clone())).unwrap(), Load::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load.run(&store));
        }
        // Each trouble begins when there was some work since the one before.
        let progress = |by: usize| {
            let (begun, goal) = (Instant::now(), load.applied() + by);
            while load.applied() < goal {
                assert!(begun.elapsed() < Duration::from_mins(1), "the steps go on");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let troubles = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..10 * longer() {
                progress(10);
                cable.jerk();
                progress(10);
                // The request arrives, the answer does not.
                cable.jerk_after(round * 7_919 % 900);
            }
            for how in [Stop::Fast, Stop::Crash] {
                progress(10);
                cluster.stop(how);
                assert!(!block(store.health()).working);
                cluster.go();
                progress(10);
                assert!(block(store.health()).working);
            }
            cable.cut();
            std::thread::sleep(Duration::from_millis(300));
            cable.mend();
            progress(20);
        }));
        load.stop.store(true, Ordering::SeqCst);
        cable.mend();
        if let Err(panic) = troubles {
            std::panic::resume_unwind(panic);
        }
    });
    load.check(&store);
    println!("{} steps acknowledged, {} in doubt, none lost, none twice, no wrong answer", load.applied(), load.unknown.lock().unwrap().len());
}

/// The answer to the commit itself is lost, each time.
#[cfg(feature = "failpoints")]
#[test]
fn a_commit_whose_answer_is_lost_is_found_out_about() {
    let Some(cluster) = Cluster::start(&Plan::default()) else { return };
    let cable = Arc::new(Cable::to(SocketAddr::from(([127, 0, 0, 1], cluster.port))));
    let store = block(PostgresStore::open(through(&cluster, cable.address))).unwrap();
    let (cutting, armed) = (Arc::clone(&cable), Arc::new(AtomicBool::new(false)));
    let arm = Arc::clone(&armed);
    fail::cfg_callback("store.postgres.commit", move || {
        if arm.swap(false, Ordering::SeqCst) {
            cutting.jerk_after(0);
        }
    })
    .unwrap();
    for n in 0..10 {
        armed.store(true, Ordering::SeqCst);
        let step = Step::new().guard(Guard::Absent(key(n))).op(Op::Note(key(n), "there".into())).op(told(n));
        block(store.apply(step)).unwrap();
    }
    fail::remove("store.postgres.commit");
    let counts = journal(&store);
    assert!((0..10).all(|n| counts[&n] == 1 && block(store.note(key(n))).unwrap().is_some()), "{counts:?}");
}

#[test]
fn bodies_survive_cut_connections_whole_or_not_at_all() {
    let Some(cluster) = Cluster::start(&Plan { durable: true, ..Plan::default() }) else { return };
    let cable = Cable::to(SocketAddr::from(([127, 0, 0, 1], cluster.port)));
    let options = through(&cluster, cable.address);
    let blobs = block(async { PostgresStore::open(options).await.unwrap().blobs() });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            let mut after = 0;
            while !stop.load(Ordering::SeqCst) {
                // In the midst of an answer, of a part or of a few words; then some peace.
                after = (after + 79_919) % 1_500_000;
                cable.jerk_after(if after % 2 == 0 { after } else { after % 700 });
                std::thread::sleep(Duration::from_millis(60));
                cable.mend();
                std::thread::sleep(Duration::from_millis(250));
            }
        });
        for n in 0..12_u128 {
            let id = BlobId(Uuid::from_u128(n % 5));
            // Up to three parts and a rest; each name is replaced by later ones.
            let body: Vec<u8> = (0..n as usize * 300_000).map(|at| ((at as u128 + n) % 251) as u8).collect();
            let mut writer = block(blobs.create(Blob { id, kind: BlobKind::Mail, header: format!("{{\"n\":{n}}}") }, None)).unwrap();
            writer.write_all(&body).unwrap();
            assert_eq!(block(writer.commit()).unwrap().digest, sha256(&body));
            let (blob, octets, mut reader) = block(blobs.open(id)).unwrap();
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == body && octets == body.len() as u64 && blob.header == format!("{{\"n\":{n}}}"), "body {n}");
        }
        stop.store(true, Ordering::SeqCst);
        cutting.join().unwrap();
    });
    cable.mend();
    assert_eq!(block(blobs.all(None, 99)).unwrap().len(), 5);
}
