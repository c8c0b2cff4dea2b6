//! What every implementation of `Blobs` promises, and what a spool promises beyond.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use brevbro::crypto::sha256;
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, StoreError};
use brevbro::store::{MemoryBlobs, Reserve, Spool, SpoolOptions};
use uuid::Uuid;

use crate::block;

macro_rules! promises {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&brevbro::store::MemoryBlobs::new()); })*
        }
        mod spool {
            $(#[test] fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(&super::spool(dir.path()));
            })*
        }
        mod postgres {
            $(#[test] fn $name() {
                if let Some(options) = crate::subject::place() {
                    let blobs = crate::block(async { brevbro::store::PostgresStore::open(options).await.unwrap().blobs() });
                    super::$name(&blobs);
                }
            })*
        }
        mod sealed_rows {
            $(#[test] fn $name() {
                if let Some(options) = crate::subject::place() {
                    super::$name(&crate::sealed_rows::blobs(&options, &[1]));
                }
            })*
        }
        mod sealed {
            $(#[test] fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(&crate::encryption::spool(dir.path(), &[1]));
            })*
        }
    };
}

promises! {
    a_committed_blob_reads_back
    a_blob_is_absent_until_it_is_committed
    a_blob_that_is_committed_again_is_replaced_whole
    an_empty_blob_is_a_blob
    deleting_twice_is_no_error
    all_lists_what_is_committed
    all_comes_in_pages_by_name
    a_blob_tells_its_age
    a_header_over_its_limit_is_refused
    readers_may_jump
    many_commits_at_once_are_each_whole
}

fn spool(dir: &Path) -> Spool {
    Spool::open(SpoolOptions::new(dir)).unwrap()
}

fn blob(n: u128) -> Blob {
    Blob { id: BlobId(Uuid::from_u128(n)), kind: BlobKind::Mail, header: format!("{{\"från\":\"{n}\"}}") }
}

pub(crate) fn keep(blobs: &dyn Blobs, n: u128, body: &[u8]) {
    let mut writer = block(blobs.create(blob(n), Some(body.len() as u64))).unwrap();
    writer.write_all(body).unwrap();
    let stored = block(writer.commit()).unwrap();
    assert_eq!((stored.id, stored.octets, stored.digest), (blob(n).id, body.len() as u64, sha256(body)));
}

pub(crate) fn read(blobs: &dyn Blobs, n: u128) -> Vec<u8> {
    let (head, octets, mut reader) = block(blobs.open(blob(n).id)).unwrap();
    assert_eq!(head, blob(n));
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    assert_eq!(body.len() as u64, octets);
    body
}

fn is_missing(blobs: &dyn Blobs, n: u128) -> bool {
    matches!(block(blobs.open(blob(n).id)), Err(StoreError::Missing(_)))
}

pub(crate) fn body(octets: usize) -> Vec<u8> {
    (0..octets).map(|n| (n % 251) as u8).collect()
}

fn a_committed_blob_reads_back(blobs: &dyn Blobs) {
    let body = body(1_000_003);
    keep(blobs, 1, &body);
    assert_eq!(read(blobs, 1), body);
}

fn a_blob_is_absent_until_it_is_committed(blobs: &dyn Blobs) {
    let mut writer = block(blobs.create(blob(1), None)).unwrap();
    writer.write_all(b"half").unwrap();
    assert!(is_missing(blobs, 1) && block(blobs.all(None, 9)).unwrap().is_empty());
    drop(writer);
    assert!(is_missing(blobs, 1));
}

fn a_blob_that_is_committed_again_is_replaced_whole(blobs: &dyn Blobs) {
    keep(blobs, 1, b"first, and longer");
    let (_, _, mut early) = block(blobs.open(blob(1).id)).unwrap();
    keep(blobs, 1, b"second");
    let mut seen = String::new();
    early.read_to_string(&mut seen).unwrap();
    assert_eq!((seen.as_str(), read(blobs, 1).as_slice()), ("first, and longer", b"second".as_slice()));
}

fn an_empty_blob_is_a_blob(blobs: &dyn Blobs) {
    keep(blobs, 1, b"");
    assert_eq!(read(blobs, 1), b"");
}

fn deleting_twice_is_no_error(blobs: &dyn Blobs) {
    keep(blobs, 1, b"x");
    for _ in 0..2 {
        block(blobs.delete(blob(1).id)).unwrap();
        assert!(is_missing(blobs, 1));
    }
}

fn all_lists_what_is_committed(blobs: &dyn Blobs) {
    (0..20).for_each(|n| keep(blobs, n << 120, b"x"));
    assert_eq!(block(blobs.heads()).unwrap(), (0..20).map(|n| blob(n << 120)).collect::<Vec<_>>());
}

fn all_comes_in_pages_by_name(blobs: &dyn Blobs) {
    // Many of one folder of a spool, and some of others.
    let ids: Vec<u128> = (0..25).chain((1..9).map(|n| n << 120)).collect();
    ids.iter().rev().for_each(|n| keep(blobs, *n, b"x"));
    for limit in [1, 7, 25, 33, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = block(blobs.all(after, limit)).unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit);
            after = Some(last.id);
            found.extend(page.iter().map(|listed| listed.id.0.as_u128()));
        }
        assert_eq!(found, ids, "by {limit}");
    }
    assert_eq!(block(blobs.all(Some(blob(11).id), 2)).unwrap().iter().map(|listed| listed.id).collect::<Vec<_>>(), [blob(12).id, blob(13).id]);
}

fn a_blob_tells_its_age(blobs: &dyn Blobs) {
    keep(blobs, 1, b"x");
    std::thread::sleep(Duration::from_millis(1_100));
    keep(blobs, 2, b"x");
    let ages: Vec<Duration> = block(blobs.all(None, 9)).unwrap().iter().map(|listed| listed.age).collect();
    assert!(ages[0] >= ages[1] + Duration::from_secs(1) && ages[0] < Duration::from_mins(5), "{ages:?}");
}

fn a_header_over_its_limit_is_refused(blobs: &dyn Blobs) {
    let header = |octets| Blob { header: "\"".repeat(octets), ..blob(1) };
    assert!(matches!(block(blobs.create(header(1024 * 1024 + 1), None)), Err(StoreError::TooLarge { .. })));
    let writer = block(blobs.create(header(1024 * 1024), None)).unwrap();
    block(writer.commit()).unwrap();
    assert_eq!(block(blobs.open(blob(1).id)).unwrap().0.header.len(), 1024 * 1024);
}

fn readers_may_jump(blobs: &dyn Blobs) {
    let whole = body(300_000);
    keep(blobs, 1, &whole);
    let (_, _, mut reader) = block(blobs.open(blob(1).id)).unwrap();
    let mut piece = [0; 1_000];
    for from in [299_000, 0, 500, 150_000, 100] {
        assert_eq!(reader.seek(SeekFrom::Start(from)).unwrap(), from);
        reader.read_exact(&mut piece).unwrap();
        assert_eq!(piece, whole[from as usize..][..1_000]);
    }
    assert_eq!(reader.seek(SeekFrom::End(-10)).unwrap(), 299_990);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, whole[299_990..]);
}

fn many_commits_at_once_are_each_whole(blobs: &dyn Blobs) {
    std::thread::scope(|scope| {
        for n in 0..16_u128 {
            scope.spawn(move || (0..10).for_each(|m| keep(blobs, (n << 120) + m, &body((n * 1_000 + m) as usize))));
        }
    });
    for n in 0..16_u128 {
        (0..10).for_each(|m| assert_eq!(read(blobs, (n << 120) + m), body((n * 1_000 + m) as usize)));
    }
}

#[test]
fn a_spool_opened_anew_has_what_was_committed_and_no_halves() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    keep(&first, 1, b"whole");
    let mut half = block(first.create(blob(2), None)).unwrap();
    half.write_all(&body(200_000)).unwrap();
    assert_eq!(files(dir.path(), "tmp").len(), 1);
    // What a killed process leaves: the writer is never dropped.
    std::mem::forget(half);
    drop(first);

    let second = spool(dir.path());
    assert_eq!(read(&second, 1), b"whole");
    assert!(is_missing(&second, 2) && files(dir.path(), "tmp").is_empty());
}

#[test]
fn a_spool_is_used_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let _first = spool(dir.path());
    assert!(matches!(Spool::open(SpoolOptions::new(dir.path())), Err(StoreError::Broken(_))));
}

#[test]
fn any_changed_octet_and_any_cut_of_a_file_is_found() {
    for keys in [&[][..], &[1]] {
        finds_every_change(keys);
    }
}

fn finds_every_change(keys: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let spool = crate::encryption::spool(dir.path(), keys);
    keep(&spool, 1, &body(500));
    let path = files(dir.path(), "blob").remove(0);
    let sound = fs::read(&path).unwrap();
    let found = |changed: &[u8], how: &str| {
        fs::write(&path, changed).unwrap();
        assert_eq!(spool.check().unwrap().len(), 1, "{how}");
    };
    for place in 0..sound.len() {
        let mut changed = sound.clone();
        changed[place] ^= 0x20;
        found(&changed, &format!("octet {place}"));
        found(&sound[..place], &format!("cut at {place}"));
    }
    fs::write(&path, &sound).unwrap();
    assert_eq!(spool.check().unwrap(), []);
}

#[test]
fn a_damaged_head_does_not_hide_the_other_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    (1..=3).for_each(|n| keep(&spool, n, b"x"));
    let path = files(dir.path(), "blob").remove(0);
    fs::write(&path, b"not a blob").unwrap();
    assert_eq!(block(spool.heads()).unwrap().len(), 2);
}

#[test]
fn no_room_is_said_before_the_body_comes() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(SpoolOptions { reserve: Reserve::of(0), ..SpoolOptions::new(dir.path()) }).unwrap();
    assert!(matches!(block(spool.create(blob(1), Some(u64::MAX / 2))), Err(StoreError::Full)));
    assert!(block(spool.create(blob(1), Some(1))).is_ok());
    assert!(block(MemoryBlobs::new().create(blob(1), Some(1))).is_ok());
}

#[test]
fn what_was_begun_goes_on_where_there_is_no_room_for_anything_new() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = rustix::fs::statvfs(dir.path()).unwrap();
    let free = numbers.f_bavail * numbers.f_frsize;
    let spool = Spool::open(SpoolOptions { reserve: Reserve::of(free * 2), ..SpoolOptions::new(dir.path()) }).unwrap();
    assert!(matches!(block(spool.admit(None)), Err(StoreError::Full)));
    assert!(block(spool.create(blob(1), Some(1))).is_ok());
    let spool = {
        drop(spool);
        Spool::open(SpoolOptions { reserve: Reserve::of(0), ..SpoolOptions::new(dir.path()) }).unwrap()
    };
    assert!(block(spool.admit(Some(1))).is_ok());
    assert!(matches!(block(spool.admit(Some(u64::MAX / 2))), Err(StoreError::Full)));
}

/// The files of this ending below a directory.
pub(crate) fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let shards = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = shards.flat_map(|shard| fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}
