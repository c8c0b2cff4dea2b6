//! A backup that is taken while bodies come and go has every body that is named at its last line, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use brevbro::failure::Failure;
use brevbro::ident::RecordId;
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, Job, Op, Record, State, Step, Store};
use brevbro::store::backup::{Named, Names, Plan, take};
use brevbro::store::journal::{self, Change, JournalError};
use brevbro::store::{SledOptions, SledStore, Spool, SpoolOptions};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::{at, block};

/// A record of these tests names one body.
fn names() -> Names {
    let record = |record: &Record| -> Result<Named, Failure> { Ok(Named { bodies: vec![BlobId(record.read::<Uuid>(1)?)], firm: true }) };
    let job = |_: &Job| -> Option<BlobId> { None };
    Names { record, job }
}

async fn body(spool: &Spool, id: Uuid, octets: usize) {
    let blob = Blob { id: BlobId(id), kind: BlobKind::Envelope, header: "{}".into() };
    let mut writer = spool.create(blob, None).await.unwrap();
    writer.write_all(&vec![7; octets]).unwrap();
    writer.commit().await.unwrap();
}

fn record(id: Uuid, state: &'static str, body: Uuid) -> Record {
    Record::of(RecordId(id), State::new(state), 1, &body).unwrap()
}

/// Bodies that the records at the end of a journal name.
fn named(dir: &Path) -> BTreeSet<Uuid> {
    let mut records = BTreeMap::new();
    journal::entries(dir, |entry| {
        for change in entry.changes {
            match change {
                Change::Record(record) => drop(records.insert(record.id, record.read::<Uuid>(1).unwrap())),
                Change::NoRecord(id) => drop(records.remove(&id)),
                _ => {}
            }
        }
        Ok::<(), JournalError>(())
    })
    .unwrap();
    records.into_values().collect()
}

fn bodies(dir: &Path) -> BTreeSet<Uuid> {
    let shards = fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let files = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    files.map(|file| Uuid::try_parse(file.path().file_stem().unwrap().to_str().unwrap()).unwrap()).collect()
}

#[test]
#[allow(clippy::print_stdout, reason = "figures of a long run")]
fn a_backup_under_load_has_what_its_last_line_names() {
    let folder = tempfile::tempdir().unwrap();
    let (state, dir) = (folder.path().join("state"), folder.path().join("backups"));
    let segments = journal::JournalOptions { octets: 40_000, age: SignedDuration::from_hours(1), keep: None };
    let store = Arc::new(SledStore::open(SledOptions { segments, ..SledOptions::new(state.join("store")) }).unwrap());
    let spool = Arc::new(Spool::open(SpoolOptions::new(state.join("spool"))).unwrap());
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let work = |strand: u128| {
        let (store, spool, stop, done) = (Arc::clone(&store), Arc::clone(&spool), Arc::clone(&stop), Arc::clone(&done));
        async move {
            let mut number: u128 = 0;
            let id = |number: u128, version: u128| Uuid::from_u128((number * 7_919) << 96 | strand << 64 | number << 8 | version);
            while !stop.load(Ordering::SeqCst) {
                // A body, the step that names it, another body in its place, the end of both: as flows do it.
                let record_id = id(number, 0);
                body(&spool, id(number, 1), 5_000).await;
                store.apply(Step::new().op(Op::Put(record(record_id, "new", id(number, 1))))).await.unwrap();
                body(&spool, id(number, 2), 3_000).await;
                store.apply(Step::new().op(Op::Put(record(record_id, "changed", id(number, 2))))).await.unwrap();
                spool.delete(BlobId(id(number, 1))).await.unwrap();
                if number >= 15 {
                    let old = number - 15;
                    store.apply(Step::new().op(Op::Remove(RecordId(id(old, 0))))).await.unwrap();
                    spool.delete(BlobId(id(old, 2))).await.unwrap();
                }
                number += 1;
                done.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let rounds: i64 = std::env::var("BREVBRO_BACKUP_ROUNDS").map_or(12, |rounds| rounds.parse().unwrap());
    let began = std::time::Instant::now();
    let (rounds, worked) = block(async {
        let strands: Vec<_> = (0..6).map(|strand| tokio::spawn(work(strand))).collect();
        let mut lines = Vec::new();
        let mut round = 0;
        while round < rounds || done.load(Ordering::SeqCst) < 400 {
            let (state, dir) = (state.clone(), dir.clone());
            let taken =
                tokio::task::spawn_blocking(move || take(&Plan { state_dir: &state, dir: &dir, names: names(), beside: &[], at: at(round * 60) }));
            let taken = taken.await.unwrap().unwrap();
            assert_eq!((&taken.lost, &taken.damaged), (&Vec::new(), &Vec::new()), "round {round}");
            lines.push(taken);
            round += 1;
        }
        stop.store(true, Ordering::SeqCst);
        for strand in strands {
            strand.await.unwrap();
        }
        (lines, done.load(Ordering::SeqCst))
    });
    println!("{} backups while {worked} bodies came and went, in {:.0} s", rounds.len(), began.elapsed().as_secs_f32());
    assert!(worked >= 400 && rounds.iter().is_sorted_by_key(|taken| taken.manifest.line), "{worked}");
    for taken in &rounds {
        let (named, there) = (named(&taken.path.join("store/journal")), bodies(&taken.path.join("spool")));
        assert_eq!(named, there, "line {}", taken.manifest.line);
        assert_eq!(there.len() as u64, taken.manifest.bodies);
        let summary = journal::verify(&taken.path.join("store/journal")).unwrap();
        assert_eq!((summary.lines, summary.hash), (taken.manifest.line + 1, taken.manifest.hash));
    }
}

#[test]
fn what_did_not_change_is_shared_and_what_rotted_in_the_backup_before_is_not() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let (state, dir) = (folder.path().join("state"), folder.path().join("backups"));
    let store = SledStore::open(SledOptions::new(state.join("store"))).unwrap();
    let spool = Spool::open(SpoolOptions::new(state.join("spool"))).unwrap();
    let id = Uuid::from_u128;
    block(async {
        for n in 1..=3 {
            body(&spool, id(n), 4_000).await;
            store.apply(Step::new().op(Op::Put(record(id(100 + n), "new", id(n))))).await.unwrap();
        }
        // Named by nobody: its mail was never acknowledged.
        body(&spool, id(9), 4_000).await;
    });
    let back_up = |round: i64| take(&Plan { state_dir: &state, dir: &dir, names: names(), beside: &[], at: at(round) }).unwrap();
    let first = back_up(0);
    assert_eq!((first.manifest.bodies, first.shared), (3, 0));
    let place = |taken: &brevbro::store::backup::Taken, n: u128| {
        let name = id(n).simple().to_string();
        taken.path.join("spool").join(&name[..2]).join(format!("{name}.blob"))
    };
    // One rots, one is replaced as retention does it, one is lost.
    let rotten = place(&first, 1);
    let (mut octets, modified) = (fs::read(&rotten).unwrap(), fs::metadata(&rotten).unwrap().modified().unwrap());
    octets[2_000] ^= 1;
    fs::write(&rotten, octets).unwrap();
    fs::File::options().write(true).open(&rotten).unwrap().set_modified(modified).unwrap();
    block(body(&spool, id(2), 0));
    let second = back_up(1);
    assert_eq!((second.manifest.bodies, fs::metadata(place(&second, 3)).unwrap().nlink()), (3, 2));
    assert_eq!(fs::read(place(&second, 1)).unwrap(), fs::read(state.join("spool/00").join(place(&second, 1).file_name().unwrap())).unwrap());
    assert!(fs::metadata(place(&second, 2)).unwrap().len() < 1_000);
    assert!(second.damaged.is_empty() && second.lost.is_empty());
    fs::remove_file(state.join("spool/00").join(place(&second, 3).file_name().unwrap())).unwrap();
    let third = back_up(2);
    assert_eq!((third.lost, third.manifest.bodies), (vec![BlobId(id(3))], 2));
    // Sums are what sha256sum(1) says.
    let told = std::process::Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&second.path).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}
