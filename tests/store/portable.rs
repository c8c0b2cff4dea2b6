//! What a store holds goes into a file and out of it into another store, with its journal.

use std::fs::{self, File};
use std::path::Path;

use brevbro::failure::Failure;
use brevbro::port::{Blob, BlobId, BlobKind, Job, Op, Queue, Record, Step, Store};
use brevbro::store::backup::{Named, Names, Plan, take};
use brevbro::store::journal::{self, JournalOptions, segments};
use brevbro::store::portable::{Head, Kind, Place, PortableError, Target, check, export, import};
use brevbro::store::{PostgresOptions, PostgresStore, SledOptions, Spool, SpoolOptions};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::segments::{churn, content, narrow, open};
use crate::subject::place;
use crate::{at, block, job, record};

/// A record names the body of its own number.
fn names() -> Names {
    let record = |record: &Record| -> Result<Named, Failure> { Ok(Named { bodies: vec![BlobId(record.id.0)], firm: false }) };
    let job = |_: &Job| -> Option<BlobId> { None };
    Names { record, job }
}

fn files(state: &Path) -> Place {
    let store = open(&state.join("store"), JournalOptions::default(), false);
    Place::Files { dir: state.to_owned(), store, blobs: Box::new(Spool::open(SpoolOptions::new(state.join("spool"))).unwrap()) }
}

/// Writes a place into a file.
fn written(place: Place, file: &Path) -> u64 {
    let (head, file) = (Head { program: "test".into(), at: at(0), from: Kind::Files, federation: String::new() }, file.to_owned());
    let exported = block(async { tokio::task::spawn_blocking(move || export(&place, names(), head, File::create(file).unwrap())).await.unwrap() });
    let exported = exported.unwrap();
    assert_eq!(exported.lost, []);
    exported.count.bodies
}

fn brought(file: &Path, target: Target) -> Result<Place, PortableError> {
    let checked = check(file)?;
    block(async { tokio::task::spawn_blocking(move || import(&checked, target)).await.unwrap() })
}

fn into_files(state: &Path) -> Target {
    Target::Files { dir: state.to_owned(), store: SledOptions::new(state.join("store")), spool: SpoolOptions::new(state.join("spool")) }
}

#[test]
fn a_pruned_journal_goes_into_a_database_and_back_and_proves_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (state, file) = (folder.path().join("state"), folder.path().join("file"));
    let store = open(&state.join("store"), narrow(Some(SignedDuration::ZERO)), false);
    let mut round = 0;
    while segments(&state.join("store/journal")).unwrap()[0].first == 0 {
        churn(&store, round);
        round += 1;
    }
    let before = content(&store);
    drop(store);
    let first = journal::verify(&state.join("store/journal")).unwrap().first;
    let place_of = files(&state);
    if let Place::Files { blobs, .. } = &place_of {
        block(async {
            for (n, octets) in [(1_u128, 10), (2, 3_000_000), (250, 0)] {
                let blob = Blob { id: BlobId(Uuid::from_u128(n)), kind: BlobKind::Mail, header: format!("{{\"n\":{n}}}") };
                let mut writer = blobs.create(blob, None).await.unwrap();
                writer = tokio::task::spawn_blocking(move || {
                    std::io::Write::write_all(&mut writer, &vec![n as u8; octets]).unwrap();
                    writer
                })
                .await
                .unwrap();
                writer.commit().await.unwrap();
            }
        });
    }
    let bodies = written(place_of, &file);
    assert!(bodies > 0);
    let there = folder.path().join("there");
    let home = match place() {
        None => brought(&file, into_files(&there)).unwrap(),
        Some(options) => {
            let lone = PostgresOptions { alone: true, ..options.clone() };
            let store = block(PostgresStore::open(lone.clone())).unwrap();
            let busy = block(PostgresStore::open(options.clone())).err().unwrap().to_string();
            assert!(busy.contains("is being exported or imported"), "{busy}");
            let blobs = Box::new(block(async { store.blobs() }));
            let moved = brought(&file, Target::Database { store, blobs }).unwrap();
            if let Place::Database { store, .. } = &moved {
                assert!(block(store.follow()).unwrap() > first);
            }
            let back = folder.path().join("back");
            assert_eq!(written(moved, &back), bodies);
            brought(&back, into_files(&there)).unwrap()
        }
    };
    if let Place::Files { store, blobs, .. } = &home {
        let mut large = Vec::new();
        if let Ok((blob, _, mut reader)) = block(blobs.open(BlobId(Uuid::from_u128(2)))) {
            assert_eq!((blob.kind, blob.header.as_str()), (BlobKind::Mail, "{\"n\":2}"));
            std::io::Read::read_to_end(&mut reader, &mut large).unwrap();
            assert_eq!(large, vec![2; 3_000_000]);
        }
        block(store.apply(Step::new().op(Op::Put(record(9_999, "new"))).op(Op::Enqueue(job(9_999, Queue::Send, at(5_000)))))).unwrap();
    }
    drop(home);
    let whole = journal::verify(&there.join("store/journal")).unwrap();
    assert_eq!(whole.first, first, "what was pruned is still said to be");
    // As it was, from the index, from the index built anew, and from a backup of it.
    for rebuild in [false, true] {
        assert_eq!(content(&open(&there.join("store"), JournalOptions::default(), rebuild)), before);
    }
    let taken = take(&Plan { state_dir: &there, dir: &folder.path().join("backups"), names: names(), beside: &[], at: Timestamp::now() }).unwrap();
    assert_eq!(taken.manifest.bodies, bodies);
    assert!(matches!(brought(&file, into_files(&there)), Err(PortableError::NotEmpty(_))));
}

#[test]
fn an_empty_store_moves_too_and_a_file_that_is_none_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (state, file, there) = (folder.path().join("state"), folder.path().join("file"), folder.path().join("there"));
    assert_eq!(written(files(&state), &file), 0);
    let sound = fs::read(&file).unwrap();
    for wrong in [&b""[..], b"brevbro-export 1\n", &sound[..sound.len() - 1], b"PK\x03\x04"] {
        fs::write(&file, wrong).unwrap();
        assert!(matches!(brought(&file, into_files(&there)), Err(PortableError::Damaged(_))));
    }
    assert!(!there.exists());
    fs::write(&file, sound).unwrap();
    let Place::Files { store, .. } = brought(&file, into_files(&there)).unwrap() else { panic!("files") };
    block(store.apply(Step::new().op(Op::Put(record(1, "new"))))).unwrap();
    drop(store);
    journal::verify(&there.join("store/journal")).unwrap();
}

/// Figures of docs/reliability.md: `BREVBRO_BACKUP_BODIES=20000 cargo test --test store what_copies_cost -- --ignored --nocapture`.
#[test]
#[ignore = "figures, for a quiet machine"]
#[allow(clippy::print_stdout, reason = "it is all that it is for")]
fn what_copies_cost() {
    let bodies: u128 = std::env::var("BREVBRO_BACKUP_BODIES").map_or(2_000, |bodies| bodies.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (state, dir) = (folder.path().join("state"), folder.path().join("backups"));
    let place_of = files(&state);
    let Place::Files { store, blobs, .. } = &place_of else { panic!("files") };
    block(async {
        for n in 0..bodies {
            let id = Uuid::from_u128(n << 96 | n);
            let blob = Blob { id: BlobId(id), kind: BlobKind::Mail, header: "{}".into() };
            let mut writer = blobs.create(blob, None).await.unwrap();
            std::io::Write::write_all(&mut writer, &vec![n as u8; 20_000]).unwrap();
            writer.commit().await.unwrap();
            let named = Record { id: brevbro::ident::RecordId(id), ..record(n, "waiting") };
            store.apply(Step::new().op(Op::Put(named)).op(Op::Enqueue(job(n, Queue::Send, at(5_000))))).await.unwrap();
        }
    });
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let began = std::time::Instant::now();
        work();
        println!("{what}: {:.1} s", began.elapsed().as_secs_f32());
    };
    println!("{bodies} bodies of 20 kB");
    let plan = |round| Plan { state_dir: &state, dir: &dir, names: names(), beside: &[], at: at(round) };
    timed("first backup", &mut || assert_eq!(take(&plan(0)).unwrap().manifest.bodies, u64::try_from(bodies).unwrap()));
    timed("second backup", &mut || assert!(take(&plan(1)).unwrap().shared >= u64::try_from(bodies).unwrap()));
    timed("restore", &mut || drop(brevbro::store::backup::restore(&dir, &folder.path().join("restored")).unwrap()));
    let file = folder.path().join("file");
    let mut place_of = Some(place_of);
    timed("export", &mut || assert_eq!(u128::from(written(place_of.take().unwrap(), &file)), bodies));
    timed("import into files", &mut || drop(brought(&file, into_files(&folder.path().join("there"))).unwrap()));
    if let Some(options) = place() {
        let store = block(PostgresStore::open(PostgresOptions { alone: true, ..options })).unwrap();
        let blobs = Box::new(block(async { store.blobs() }));
        let mut target = Some(Target::Database { store, blobs });
        timed("import into PostgreSQL", &mut || drop(brought(&file, target.take().unwrap()).unwrap()));
    }
}
