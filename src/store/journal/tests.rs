//! The writer, the readers and `verify` against each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::line::{Draft, Entry, Mark, Position, Pruned, print};
use super::writer::{From, Journal};
use super::{JournalError, JournalOptions, Segment, segments};
use crate::crypto::sha256;
use crate::event::{Event, EventName};
use crate::ident::Sha256;
use crate::port::Key;
use crate::store::journal::{Change, read, verify};

const NARROW: JournalOptions = JournalOptions { octets: 700, age: SignedDuration::MAX, keep: None };
const WIDE: JournalOptions = JournalOptions { octets: 1 << 20, ..NARROW };
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn open(dir: &Path, options: JournalOptions) -> Result<Journal, JournalError> {
    Journal::open(dir.to_owned(), options, NOW)
}

/// The only segment.
fn file(dir: &Path) -> PathBuf {
    let mut found = segments(dir).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).path
}

fn note(n: usize) -> Draft {
    Draft {
        events: vec![Event::new(NOW, EventName::Sealed)],
        changes: vec![Change::Note(Key::new("n", &n.to_string()), "v".into())],
        ..Draft::default()
    }
}

fn replayed(dir: &Path, from: From) -> Result<Vec<Entry>, JournalError> {
    let mut entries = Vec::new();
    open(dir, WIDE)?.replay(from, |entry, _| {
        entries.push(entry);
        Ok::<(), JournalError>(())
    })?;
    Ok(entries)
}

/// A journal of ten lines in groups of two behind its first, and their marks.
fn ten(dir: &Path, options: JournalOptions) -> Vec<Mark> {
    let mut journal = open(dir, options).unwrap();
    let mut first = Vec::new();
    let replayed = journal.replay(From::Start, |_, mark| {
        first.push(mark);
        Ok::<(), JournalError>(())
    });
    replayed.unwrap();
    first.extend((0..5).flat_map(|n| journal.append(vec![note(n), note(n + 10)], NOW).unwrap()).map(|(_, mark)| mark));
    first
}

#[test]
fn a_line_reads_as_the_module_says() {
    let dir = tempfile::tempdir().unwrap();
    ten(dir.path(), WIDE);
    let path = file(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let (body, hash) = text.lines().nth(2).unwrap().split_once(r#","hash":"#).unwrap();
    let expected = r#","event":1,"events":[{"at":"1970-01-01T00:00:00Z","name":"sealed"}],"changes":[{"note":["n/10","v"]}]"#;
    assert!(body.starts_with(r#"{"seq":2,"prev":""#) && body.ends_with(expected), "{body}");
    assert_eq!(hash, format!("\"{}\"}}", sha256(body.as_bytes())));
    assert_eq!(verify(dir.path()).unwrap().lines, 11);
}

#[test]
fn a_reader_beside_the_writer_gets_what_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let marks = ten(dir.path(), WIDE);
    let path = file(dir.path());
    let count = || {
        let mut events = 0;
        let read = read(dir.path(), |_| {
            events += 1;
            Ok::<(), JournalError>(())
        });
        (events, read.is_ok())
    };
    assert_eq!(count(), (10, true));
    let sound = std::fs::read(&path).unwrap();
    std::fs::write(&path, &sound[..sound.len() - 20]).unwrap();
    assert_eq!(count(), (9, true));
    let mut changed = sound;
    changed[marks[4].offset as usize + 30] ^= 1;
    std::fs::write(&path, changed).unwrap();
    assert_eq!(count(), (3, false));
}

#[test]
fn any_changed_octet_is_found_and_its_line_named() {
    let dir = tempfile::tempdir().unwrap();
    let marks = ten(dir.path(), WIDE);
    let path = file(dir.path());
    let sound = std::fs::read(&path).unwrap();
    for place in (0..sound.len()).step_by(7) {
        let mut changed = sound.clone();
        changed[place] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let Err(JournalError::Damaged { line, offset, .. }) = verify(dir.path()) else { panic!("octet {place}") };
        let wanted = marks.iter().rfind(|mark| mark.offset <= place as u64).unwrap();
        assert_eq!((line, offset), (wanted.seq, wanted.offset));
    }
}

#[test]
fn a_removed_line_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let marks = ten(dir.path(), WIDE);
    let path = file(dir.path());
    let mut octets = std::fs::read(&path).unwrap();
    octets.drain(marks[4].offset as usize..marks[5].offset as usize);
    std::fs::write(&path, octets).unwrap();
    assert_eq!(
        verify(dir.path()).unwrap_err().to_string().split_once(" (").unwrap().1.split_once(") ").unwrap().1,
        "does not follow the line before it"
    );
}

#[test]
fn a_torn_end_is_cut_off_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let marks = ten(dir.path(), WIDE);
    let path = file(dir.path());
    let sound = std::fs::read(&path).unwrap();
    for cut in marks[10].offset as usize..sound.len() {
        std::fs::write(&path, &sound[..cut]).unwrap();
        assert_eq!(replayed(dir.path(), From::Start).unwrap().len(), 10, "cut at {cut}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), marks[10].offset);
    }
    let mut journal = open(dir.path(), WIDE).unwrap();
    journal.replay(From::Index(marks[3]), |_, _| Ok::<(), JournalError>(())).unwrap();
    journal.append(vec![note(99)], NOW).unwrap();
    assert_eq!(verify(dir.path()).unwrap().lines, 11);
}

#[test]
fn holes_are_cut_off_in_the_last_group_only() {
    let dir = tempfile::tempdir().unwrap();
    let marks = ten(dir.path(), WIDE);
    let path = file(dir.path());
    let sound = std::fs::read(&path).unwrap();
    let hole = |line: usize| {
        let mut octets = sound.clone();
        octets[marks[line].offset as usize + 20] = 0;
        std::fs::write(&path, &octets).unwrap();
    };
    // The groups are 7 and 8, then 9 and 10: that 9 was written says that 7 was durable.
    for line in [7, 8] {
        hole(line);
        for from in [From::Start, From::Index(marks[5])] {
            let refused = replayed(dir.path(), from).unwrap_err();
            assert!(matches!(refused, JournalError::Damaged { line: named, .. } if named == line as u64), "{refused}");
        }
        assert!(replayed(dir.path(), From::Index(marks[9])).is_ok_and(|entries| entries.len() == 1), "damage before the mark is for `verify`");
        assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, sound.len(), "nothing is cut off");
    }
    for (line, from) in [(9, From::Start), (9, From::Index(marks[5])), (10, From::Start)] {
        hole(line);
        replayed(dir.path(), from).unwrap();
        assert_eq!(verify(dir.path()).unwrap().lines, line as u64);
    }
}

#[test]
fn an_index_of_another_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mark = ten(dir.path(), WIDE)[6];
    for wrong in
        [Mark { hash: Sha256([1; 32]), ..mark }, Mark { seq: 5, ..mark }, Mark { offset: mark.offset + 1, ..mark }, Mark { offset: 1 << 40, ..mark }]
    {
        assert!(matches!(replayed(dir.path(), From::Index(wrong)), Err(JournalError::Damaged { .. })));
    }
}

#[test]
fn a_journal_is_used_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), WIDE).unwrap();
    assert!(matches!(open(dir.path(), WIDE), Err(JournalError::InUse(_))));
}

#[test]
fn the_chain_goes_on_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let marks = ten(dir.path(), NARROW);
    let found = segments(dir.path()).unwrap();
    assert!(found.len() > 3, "{found:?}");
    let summary = verify(dir.path()).unwrap();
    // Each segment begins with a line that says so.
    assert_eq!((summary.lines, summary.events, summary.segments), (10 + found.len() as u64, 10, found.len()));
    for segment in &found {
        assert_eq!(segment.path.file_name().unwrap().to_str().unwrap(), format!("{:010}.jsonl", segment.first));
        assert_eq!(segment.start.unwrap().seq, segment.first);
    }
    assert_eq!(replayed(dir.path(), From::Start).unwrap().len() as u64, summary.lines);
    for mark in marks {
        let entries = replayed(dir.path(), From::Index(mark)).unwrap();
        assert_eq!(entries.len() as u64, summary.lines - mark.seq - 1);
    }
    let ages = JournalOptions { octets: u64::MAX, age: SignedDuration::from_hours(1), keep: None };
    let mut journal = open(dir.path(), ages).unwrap();
    journal.replay(From::Start, |_, _| Ok::<(), JournalError>(())).unwrap();
    journal.append(vec![note(1)], NOW + SignedDuration::from_mins(59)).unwrap();
    assert_eq!(journal.segments().len(), found.len());
    journal.append(vec![note(2)], NOW + SignedDuration::from_mins(60)).unwrap();
    assert_eq!(journal.segments().len(), found.len() + 1);
}

#[test]
fn a_segment_that_is_missing_renamed_or_swapped_is_found() {
    let dir = tempfile::tempdir().unwrap();
    ten(dir.path(), NARROW);
    let found = segments(dir.path()).unwrap();
    let aside = dir.path().join("aside");
    for segment in &found[..found.len() - 1] {
        fs::rename(&segment.path, &aside).unwrap();
        assert!(matches!(verify(dir.path()), Err(JournalError::Damaged { .. })), "{segment:?} is missing");
        fs::rename(&aside, &segment.path).unwrap();
    }
    let (one, other) = (&found[1].path, &found[2].path);
    let swap = || {
        fs::rename(one, &aside).unwrap();
        fs::rename(other, one).unwrap();
        fs::rename(&aside, other).unwrap();
    };
    swap();
    assert!(matches!(verify(dir.path()), Err(JournalError::Damaged { line, .. }) if line == found[1].first));
    swap();
    fs::rename(one, dir.path().join(format!("{:010}.jsonl", found[1].first + 1))).unwrap();
    assert!(matches!(verify(dir.path()), Err(JournalError::Damaged { line, .. }) if line == found[1].first));
}

#[test]
fn only_the_last_segments_end_may_be_torn() {
    let dir = tempfile::tempdir().unwrap();
    let marks = ten(dir.path(), NARROW);
    let found = segments(dir.path()).unwrap();
    let torn = |segment: &Segment| {
        let octets = fs::read(&segment.path).unwrap();
        fs::write(&segment.path, &octets[..octets.len() - 9]).unwrap();
        octets
    };
    let sound = torn(&found[1]);
    assert!(matches!(replayed(dir.path(), From::Start), Err(JournalError::Damaged { .. })));
    assert!(matches!(replayed(dir.path(), From::Index(marks[0])), Err(JournalError::Damaged { .. })));
    fs::write(&found[1].path, sound).unwrap();
    torn(&found[found.len() - 1]);
    assert!(replayed(dir.path(), From::Start).is_ok());
}

#[test]
fn a_journal_of_one_file_becomes_the_first_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("journal.jsonl"), dir.path().join("journal"));
    // As it was written before there were segments: no line says that one begins.
    let (mut at, mut octets) = (Position::START, Vec::new());
    for n in 0..4 {
        let Draft { events, changes, .. } = note(n);
        let opened = (n == 0).then_some(NOW);
        let entry =
            Entry { seq: at.seq, prev: at.prev, segment: None, anew: false, group: None, opened, pruned: None, event: at.event, events, changes };
        let line = print(&entry).unwrap();
        at = at.after(&entry, line.hash, line.octets.len());
        octets.extend_from_slice(&line.octets);
    }
    fs::write(&old, &octets).unwrap();
    let user = File::open(&old).unwrap();
    user.lock().unwrap();
    assert!(matches!(open(&new, WIDE), Err(JournalError::InUse(_))), "an earlier version still uses it");
    drop(user);
    let mut journal = open(&new, NARROW).unwrap();
    journal.replay(From::Start, |_, _| Ok::<(), JournalError>(())).unwrap();
    journal.append(vec![note(5)], NOW).unwrap();
    drop(journal);
    assert!(!old.exists());
    assert_eq!(fs::read(new.join("0000000000.jsonl")).unwrap(), octets);
    assert_eq!((verify(&new).unwrap().lines, verify(&new).unwrap().segments), (6, 2));
    fs::write(&old, &octets).unwrap();
    assert!(matches!(open(&new, WIDE), Err(JournalError::Two { .. })));
}

#[test]
fn segments_whose_time_is_over_go_and_the_rest_says_so() {
    let dir = tempfile::tempdir().unwrap();
    ten(dir.path(), NARROW);
    let mut journal = open(dir.path(), NARROW).unwrap();
    journal.replay(From::Start, |_, _| Ok::<(), JournalError>(())).unwrap();
    let (found, keep) = (journal.segments().to_vec(), SignedDuration::from_hours(24));
    assert_eq!(journal.prunable(u64::MAX, keep, NOW + SignedDuration::from_hours(23)), None);
    assert_eq!(journal.prunable(found[1].first - 1, keep, NOW + keep), None, "what a snapshot needs stays");
    let pruned = journal.prunable(found[3].first - 1, keep, NOW + keep).unwrap();
    assert_eq!(pruned, Pruned { before: found[2].first, prev: found[2].start.unwrap().prev });
    // Whoever just deletes them is found.
    let sound = fs::read(&found[0].path).unwrap();
    fs::remove_file(&found[0].path).unwrap();
    let error = verify(dir.path()).unwrap_err().to_string();
    assert!(error.contains("the journal does not say that those before it were to be deleted"), "{error}");
    fs::write(&found[0].path, sound).unwrap();

    journal.append(vec![Draft { pruned: Some(pruned), ..Draft::default() }], NOW).unwrap();
    let before = verify(dir.path()).unwrap();
    // A crash may leave the deletion half done.
    fs::remove_file(&found[0].path).unwrap();
    assert_eq!(verify(dir.path()).unwrap().hash, before.hash);
    journal.prune(pruned.before).unwrap();
    let after = verify(dir.path()).unwrap();
    assert_eq!((after.first, after.hash, after.segments), (found[2].first, before.hash, before.segments - 2));
    drop(journal);
    assert!(matches!(replayed(dir.path(), From::Start), Err(JournalError::Pruned { .. })));
    fs::remove_file(&found[2].path).unwrap();
    assert!(matches!(verify(dir.path()), Err(JournalError::Damaged { .. })), "more than was said");
}
