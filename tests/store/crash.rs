//! Killed with SIGKILL at any moment: what was acknowledged is there, what was not is there whole or not at all.
//!
//! The child is this test binary again, asked for the one ignored test, which writes until it is killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, Guard, Key, Op, Queue, Step, Store};
use brevbro::store::journal::{self, JournalError, JournalOptions};
use brevbro::store::{SledOptions, SledStore, Spool, SpoolOptions};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::{at, block, job, record};

const CHILD: &str = "BREVBRO_TEST_STORE_CHILD";
const WRITERS: u128 = 4;
/// Seconds to the beginning of the tests: when jobs are due at once.
const PAST: i64 = -1_000_000_000;

/// How the child keeps its journal: in one file, in many, or in many of which old ones go.
const KEPT: &str = "BREVBRO_TEST_STORE_KEPT";

fn kept() -> JournalOptions {
    let narrow = JournalOptions { octets: 3_000, ..JournalOptions::default() };
    match std::env::var(KEPT).as_deref() {
        Ok("pruned") => JournalOptions { keep: Some(SignedDuration::ZERO), ..narrow },
        Ok("narrow") => narrow,
        _ => JournalOptions::default(),
    }
}

fn open_kept(dir: &Path, segments: JournalOptions) -> SledStore {
    SledStore::open(SledOptions { segments, ..SledOptions::new(dir) }).unwrap()
}

fn key(n: u128) -> Key {
    Key::new("n", &n.to_string())
}

fn body(n: u128) -> Vec<u8> {
    n.to_string().repeat(500).into_bytes()
}

#[test]
#[ignore = "the child of the crash tests: it writes until it is killed"]
fn child_that_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    #[cfg(feature = "failpoints")]
    points::arm();
    let dir = Path::new(&dir);
    let (store, spool) = (open_kept(dir, kept()), Spool::open(SpoolOptions::new(dir.join("spool"))).unwrap());
    let first: u128 = std::env::var("BREVBRO_TEST_STORE_FIRST").unwrap().parse().unwrap();
    let say = |word: &str, n: u128| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word} {n}").unwrap();
        out.flush().unwrap();
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, spool) = (&store, &spool);
            scope.spawn(move || {
                for n in (first + writer..).step_by(WRITERS as usize) {
                    let blob = Blob { id: BlobId(Uuid::from_u128(n << 64 | n)), kind: BlobKind::Mail, header: "{}".into() };
                    let mut body_of = block(spool.create(blob, None)).unwrap();
                    body_of.write_all(&body(n)).unwrap();
                    block(body_of.commit()).unwrap();
                    let step = Step::new()
                        .guard(Guard::Absent(key(n)))
                        .op(Op::Put(record(n, "new")))
                        .op(Op::Note(key(n), "taken".into()))
                        .op(Op::Enqueue(job(n, Queue::Seal, at(PAST))))
                        .op(Op::Audit(Event::new(at(0), EventName::MailAccepted).with(Field::Size, n)));
                    block(store.apply(step)).unwrap();
                    say("taken", n);
                    for lease in block(store.claim(Queue::Seal, Duration::from_secs(9), 1)).unwrap() {
                        let n = lease.job.record.0.as_u128();
                        let step =
                            Step::new().op(Op::Put(record(n, "sealed"))).op(Op::Complete(lease)).op(Op::Enqueue(job(n << 32, Queue::Send, at(PAST))));
                        block(store.apply(step)).unwrap();
                        say("sealed", n);
                    }
                }
            });
        }
    });
}

/// Starts the child; its acknowledgements come out of the pipe.
fn child(dir: &Path, first: u128, more: &[(&str, &str)]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child_that_writes_until_it_is_killed", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, dir).env("BREVBRO_TEST_STORE_FIRST", first.to_string()).envs(more.iter().copied());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Everything acknowledged so far, over all rounds.
#[derive(Default)]
struct Acknowledged {
    taken: BTreeSet<u128>,
    sealed: BTreeSet<u128>,
}

impl Acknowledged {
    /// Reads one line; whether it was an acknowledgement.
    fn read(&mut self, line: &str) -> bool {
        let Some((word, n)) = line.trim().split_once(' ') else { return false };
        match (word, n.parse()) {
            ("taken", Ok(n)) => self.taken.insert(n),
            ("sealed", Ok(n)) => self.sealed.insert(n),
            _ => false,
        }
    }

    fn read_rest(&mut self, out: impl Read) {
        for line in BufReader::new(out).lines() {
            self.read(&line.unwrap());
        }
    }

    /// Holds the store to what was acknowledged; `end` is above every number that a child may have reached.
    fn check(&self, dir: &Path, end: u128, round: &str) {
        let first = match journal::verify(&SledOptions::new(dir).journal()) {
            Ok(whole) => whole.first,
            Err(JournalError::Empty) => 0,
            Err(error) => panic!("{round}: {error}"),
        };
        let (store, spool) = (open_kept(dir, JournalOptions::default()), Spool::open(SpoolOptions::new(dir.join("spool"))).unwrap());
        let mut jobs = BTreeSet::new();
        for queue in [Queue::Seal, Queue::Send] {
            let leases = block(store.claim(queue, Duration::from_secs(9), usize::MAX)).unwrap();
            jobs.extend(leases.iter().map(|lease| (lease.job.id.0.as_u128(), queue)));
        }
        let mut events = Vec::new();
        while let Some(last) = {
            let next = block(store.audit(events.last().map_or(0, |(last, _)| last + 1), 500)).unwrap();
            events.extend(next.iter().cloned());
            next.last().cloned()
        } {
            assert_eq!((last.0 - events[0].0) as usize + 1, events.len(), "events are counted without a gap");
        }
        // What is no longer kept is missing at the front only.
        assert!(first > 0 || events.first().is_none_or(|(first, _)| *first == 0));
        let forgotten = events.first().map_or(0, |(_, event)| event.fields[&Field::Size].parse().unwrap());
        let told: BTreeSet<u128> = events.iter().map(|(_, event)| event.fields[&Field::Size].parse().unwrap()).collect();
        assert_eq!(told.len(), events.len(), "no event is told twice");

        for n in 0..end {
            let found = block(store.record(RecordId(Uuid::from_u128(n)))).unwrap();
            let state = found.as_ref().map(|record| record.state.0.to_string());
            let sealed = state.as_deref() == Some("sealed");
            assert!(found.is_some() || !self.taken.contains(&n), "{round}: {n} was acknowledged and is gone");
            assert!(sealed || !self.sealed.contains(&n), "{round}: {n} was sealed, and is {state:?}");
            // A step is there whole or not at all.
            assert_eq!(block(store.note(key(n))).unwrap().is_some(), found.is_some(), "{round}: {n}");
            assert!(told.contains(&n) == found.is_some() || (first > 0 && n < forgotten + 2 * WRITERS), "{round}: {n}");
            assert_eq!(jobs.contains(&(n, Queue::Seal)), found.is_some() && !sealed, "{round}: {n}");
            assert_eq!(n != 0 && jobs.contains(&(n << 32, Queue::Send)), n != 0 && sealed, "{round}: {n}");
            if found.is_some() {
                let mut read = Vec::new();
                block(spool.open(BlobId(Uuid::from_u128(n << 64 | n)))).unwrap().2.read_to_end(&mut read).unwrap();
                assert_eq!(read, body(n), "{round}: a record's body is there before it");
            }
        }
        assert_eq!(spool.check().unwrap(), []);
        drop(store);
        assert_eq!(std::fs::read_dir(dir.join("index/blobs")).unwrap().count(), 0);
    }
}

#[test]
fn nothing_acknowledged_is_missing_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut first) = (Acknowledged::default(), 1);
    for round in 0..20_u64 {
        let (mut child, mut out) = child(dir.path(), first, &[]);
        // From the first acknowledgement on, a while that differs from round to round; some rounds are killed while they open.
        if round % 5 != 4 {
            let mut line = String::new();
            while !acknowledged.read(&line) {
                line.clear();
                assert!(out.read_line(&mut line).unwrap() > 0, "the child ended by itself");
            }
        }
        std::thread::sleep(Duration::from_micros(round * 7_919 % 60_000));
        child.kill().unwrap();
        acknowledged.read_rest(out);
        child.wait().unwrap();
        first = acknowledged.taken.last().map_or(first, |last| last + 2 * WRITERS);
        acknowledged.check(dir.path(), first, &format!("round {round}"));
    }
    assert!(acknowledged.taken.len() > 50 && acknowledged.sealed.len() > 50, "the children did too little to mean anything");
}

/// With fail points the moment is not left to chance.
#[cfg(feature = "failpoints")]
mod points {
    use super::*;

    const POINTS: [&str; 7] =
        ["store.journal.append", "store.journal.sync", "store.batch", "store.flush", "spool.sync", "spool.rename", "spool.directory"];

    /// Few passes, where a point is passed again only when the index has grown by as much as it is large.
    const ROTATION: [(&str, &str, &[u32]); 13] = [
        ("store.segment.begin", "narrow", &[0, 1, 9]),
        ("store.segment.written", "narrow", &[0, 1, 9]),
        ("store.segment.synced", "narrow", &[0, 1, 9]),
        ("store.segment.renamed", "narrow", &[0, 1, 9]),
        ("store.segment.directory", "narrow", &[0, 1, 9]),
        ("store.snapshot.begun", "narrow", &[0, 1]),
        ("store.snapshot.written", "narrow", &[0, 1]),
        ("store.snapshot.synced", "narrow", &[0, 1]),
        ("store.snapshot.renamed", "narrow", &[0, 1]),
        ("store.snapshot.directory", "narrow", &[0, 1]),
        ("store.prune.said", "pruned", &[0, 1]),
        ("store.prune.removed", "pruned", &[0, 1, 5]),
        ("store.prune.directory", "pruned", &[0, 1, 5]),
    ];

    /// In the child: the process is gone when the named point is reached for the given time.
    pub(super) fn arm() {
        let Ok(point) = std::env::var("BREVBRO_TEST_STORE_POINT") else { return };
        let passes: usize = std::env::var("BREVBRO_TEST_STORE_PASSES").unwrap().parse().unwrap();
        let left = std::sync::atomic::AtomicUsize::new(passes);
        fail::cfg_callback(point, move || {
            if left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                std::process::abort();
            }
        })
        .unwrap();
    }

    #[test]
    fn nothing_acknowledged_is_missing_after_a_kill_at_any_point() {
        for (point, kept, passes) in POINTS.map(|point| (point, "whole", &[0, 1, 5, 30][..])) {
            dies(point, kept, passes);
        }
    }

    #[test]
    fn nothing_acknowledged_is_missing_after_a_kill_while_the_journal_goes_on_in_a_new_segment() {
        for (point, kept, passes) in ROTATION {
            dies(point, kept, passes);
        }
    }

    /// Ends the child at a point, at one pass of it after another, and looks each time.
    fn dies(point: &str, kept: &str, passes: &[u32]) {
        {
            let dir = tempfile::tempdir().unwrap();
            let (mut acknowledged, mut first) = (Acknowledged::default(), 1);
            for passes in passes {
                let passes_text = passes.to_string();
                let point_of = [("BREVBRO_TEST_STORE_POINT", point), ("BREVBRO_TEST_STORE_PASSES", &passes_text), (KEPT, kept)];
                let (mut child, out) = child(dir.path(), first, &point_of);
                acknowledged.read_rest(out);
                assert!(!child.wait().unwrap().success(), "{point}: not reached");
                first = acknowledged.taken.last().map_or(first, |last| *last) + 40 * WRITERS;
                acknowledged.check(dir.path(), first, &format!("{point}, {passes} passes"));
            }
        }
    }

    #[test]
    #[ignore = "a child of the test below: fail points are of the whole process"]
    fn child_whose_disk_is_full() {
        let Some(dir) = std::env::var_os(CHILD) else { return };
        let store = crate::open(Path::new(&dir));
        let step = |n| Step::new().op(Op::Put(record(n, "new")));
        block(store.apply(step(1))).unwrap();
        fail::cfg("store.journal.append", "1*return").unwrap();
        assert!(matches!(block(store.apply(step(2))), Err(brevbro::port::StoreError::Full)));
        block(store.apply(step(3))).unwrap();
        assert!(block(store.record(record(2, "").id)).unwrap().is_none());
        // A sync that failed is believed: its lines are taken back, and the journal goes on in a new segment.
        fail::cfg("store.journal.sync", "1*return").unwrap();
        assert!(matches!(block(store.apply(step(4))), Err(brevbro::port::StoreError::Broken(_))));
        assert!(block(store.record(record(4, "").id)).unwrap().is_none());
        let until = std::time::Instant::now() + Duration::from_secs(30);
        while block(store.apply(step(5))).is_err() {
            assert!(std::time::Instant::now() < until, "the store does not go on");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(block(store.health()).working);
    }

    #[test]
    fn a_journal_that_cannot_be_written_leaves_no_half_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::points::child_whose_disk_is_full", "--ignored"]).env(CHILD, dir.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(journal::verify(&SledOptions::new(dir.path()).journal()).unwrap().lines, 6);
        let store = crate::open(dir.path());
        let there = [1, 2, 3, 4, 5].map(|n| block(store.record(record(n, "").id)).unwrap().is_some());
        assert_eq!(there, [true, false, true, false, true]);
    }
}
