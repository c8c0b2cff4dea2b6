//! What was damaged on disk is found, named, and where the journal can mend it, mended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName};
use brevbro::port::{Health, JobId, Key, Op, Queue, Record, State, Step, Store, StoreError};
use brevbro::store::{Reserve, SledOptions, SledStore, journal};
use uuid::Uuid;

use crate::{at, block, job, open, record};

const RECORDS: u128 = 300;

fn key(n: u128) -> Key {
    Key::new("n", &n.to_string())
}

/// Records, notes, jobs and events, some of them changed and removed again, in steps of a realistic width.
fn fill(store: &SledStore) {
    for n in 0..RECORDS {
        let wide = Record { body: "x".repeat(2_000), ..record(n, "new") };
        let step = Step::new().op(Op::Put(wide)).op(Op::Note(key(n), n.to_string())).op(Op::Enqueue(job(n, Queue::Seal, at(n as i64))));
        block(store.apply(step.op(Op::Audit(Event::new(at(n as i64), EventName::MailAccepted))))).unwrap();
    }
    for n in (0..RECORDS).step_by(3) {
        let step = Step::new().op(Op::Put(record(n, "sealed"))).op(Op::Forget(key(n))).op(Op::Cancel(JobId(Uuid::from_u128(n))));
        block(store.apply(step)).unwrap();
    }
}

#[derive(Debug, PartialEq)]
struct Content {
    records: Vec<Option<Record>>,
    notes: Vec<Option<String>>,
    new: Vec<Record>,
    events: Vec<(u64, Event)>,
    health: Health,
}

fn content(store: &SledStore) -> Result<Content, StoreError> {
    let mut new = block(store.list(State::new("new"), 999))?;
    new.sort_by_key(|record| record.id);
    Ok(Content {
        records: (0..RECORDS).map(|n| block(store.record(record(n, "").id))).collect::<Result<_, _>>()?,
        notes: (0..RECORDS).map(|n| block(store.note(key(n)))).collect::<Result<_, _>>()?,
        new,
        events: block(store.audit(0, 999))?,
        health: block(store.health()),
    })
}

/// Damages a filled store and opens it, again if it has to find the damage while it reads: its content must be the old one.
fn survives(damage: impl Fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store);
    let before = content(&store).unwrap();
    drop(store);
    damage(&dir.path().join("index"));
    let store = open(dir.path());
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match content(&store) {
            Ok(after) if after.health.working => {
                assert_eq!(after, before);
                // It goes on from there.
                block(store.apply(Step::new().op(Op::Put(record(0, "sent"))))).unwrap();
                return;
            }
            // The index is built anew, without a restart.
            Ok(_) => {}
            Err(error) => assert!(matches!(error, StoreError::Broken(_)), "{error}"),
        }
        assert!(Instant::now() < until, "not mended");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_removed_index_is_built_anew() {
    survives(|index| fs::remove_dir_all(index).unwrap());
}

#[test]
fn an_index_of_noise_is_built_anew() {
    survives(|index| {
        let length = fs::metadata(index.join("db")).unwrap().len();
        fs::write(index.join("db"), (0..length).map(|n| (n * n % 251) as u8).collect::<Vec<_>>()).unwrap();
    });
}

#[test]
fn an_index_that_was_cut_off_is_built_anew() {
    survives(|index| {
        let db = fs::OpenOptions::new().write(true).open(index.join("db")).unwrap();
        db.set_len(db.metadata().unwrap().len() / 3).unwrap();
        for entry in fs::read_dir(index).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.file_name().unwrap().to_string_lossy().starts_with("snap") {
                fs::remove_file(entry).unwrap();
            }
        }
    });
}

#[test]
fn holes_all_over_the_index_are_found_and_mended() {
    for phase in 0..4 {
        survives(|index| {
            let mut octets = fs::read(index.join("db")).unwrap();
            for place in (1_000 + phase * 1_777..octets.len()).step_by(7_111) {
                octets[place] ^= 0xff;
            }
            fs::write(index.join("db"), octets).unwrap();
        });
    }
}

#[test]
fn a_marked_index_is_built_anew_and_the_old_one_kept_aside() {
    survives(|index| fs::write(index.with_extension("rebuild"), "").unwrap());
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::write(dir.path().join("index.rebuild"), "").unwrap();
    drop(open(dir.path()));
    assert!(dir.path().join("index.damaged/db").exists() && !dir.path().join("index.rebuild").exists());
}

#[test]
fn an_index_that_is_behind_is_brought_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    block(store.apply(Step::new().op(Op::Put(record(1, "early"))))).unwrap();
    drop(store);
    copy(&dir.path().join("index"), &dir.path().join("early"));
    let store = open(dir.path());
    fill(&store);
    let before = content(&store).unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(dir.path().join("early"), dir.path().join("index")).unwrap();
    assert_eq!(content(&open(dir.path())).unwrap(), before);
    assert!(!dir.path().join("index.damaged").exists(), "it was replayed, not built anew");
}

#[test]
fn an_index_that_is_ahead_of_its_journal_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = first_segment(dir.path());
    let store = open(dir.path());
    block(store.apply(Step::new().op(Op::Put(record(1, "early"))))).unwrap();
    let early = fs::read(&path).unwrap();
    fill(&store);
    drop(store);
    fs::write(&path, early).unwrap();
    let Err(refused) = SledStore::open(SledOptions::new(dir.path())) else { panic!("opened") };
    assert!(refused.to_string().contains("is not the line that the index knows"), "{refused}");
}

#[test]
fn the_torn_end_of_the_journal_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = first_segment(dir.path());
    let store = open(dir.path());
    fill(&store);
    let before = content(&store).unwrap();
    drop(store);
    for torn in [&b"{\"seq\":"[..], b"\0\0\0\0\0\0\0", b"{}\n", b"\n\n\n", b"no line\nand another"] {
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), torn].concat()).unwrap();
        assert_eq!(content(&open(dir.path())).unwrap(), before);
        journal::verify(&SledOptions::new(dir.path()).journal()).unwrap();
    }
}

#[test]
fn a_damaged_line_of_the_journal_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = first_segment(dir.path());
    let store = open(dir.path());
    fill(&store);
    drop(store);
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().nth(100).unwrap();
    let offset = text.lines().take(100).map(|line| line.len() + 1).sum::<usize>();
    fs::write(&path, text.replace(line, &line.replacen("mail-accepted", "mail-accepteD", 1))).unwrap();
    let expected = format!("line 100 of the journal {} (octet {offset}) does not have the hash that it says", path.display());
    assert_eq!(journal::verify(&SledOptions::new(dir.path()).journal()).unwrap_err().to_string(), expected);

    // The index holds that line: the gateway goes on. Without the index it says what it lacks.
    drop(open(dir.path()));
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let Err(refused) = SledStore::open(SledOptions::new(dir.path())) else { panic!("opened") };
    assert_eq!(refused.to_string(), format!("the store is not working: {expected}"));
}

#[test]
fn a_store_is_used_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let Err(refused) = SledStore::open(SledOptions::new(dir.path())) else { panic!("opened") };
    assert!(refused.to_string().contains("another process"), "{refused}");
    fill(&first);
}

#[test]
fn no_room_changes_nothing_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let full = SledStore::open(SledOptions { reserve: Reserve::of(u64::MAX), ..SledOptions::new(dir.path()) }).unwrap();
    assert!(matches!(block(full.apply(Step::new().op(Op::Put(record(1, "new"))))), Err(StoreError::Full)));
    assert_eq!(block(full.record(record(1, "new").id)).unwrap(), None);
    assert!(block(full.health()).working);
    drop(full);
    fill(&open(dir.path()));
}

#[test]
fn nothing_leaves_the_log_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..2_000 {
        let step = (0..10).fold(Step::new(), |step, m| {
            step.op(Op::Put(Record { body: "y".repeat(Record::MAX_BODY), ..record(n % 500 * 10 + m, "waiting-for-receipt") }))
        });
        if n % 4 == 0 {
            block(store.apply(step)).unwrap();
        }
    }
    drop(store);
    assert_eq!(fs::read_dir(dir.path().join("index/blobs")).unwrap().count(), 0);
}

/// The journal's first file, and in these tests its only one.
fn first_segment(dir: &Path) -> PathBuf {
    SledOptions::new(dir).journal().join("0000000000.jsonl")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).unwrap();
        }
    }
}
