//! Bodies under keys: nothing lies in the clear, a missing key is told and nothing is lost by it, keys change beside
//! readers, deletions and kills.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use brevbro::crypto::rest::{KeyId, RestKey};
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, StoreError};
use brevbro::store::cipher::{Census, Keys, Rekey, Rekeyed, Rekeying, Rings};
use brevbro::store::{Spool, SpoolOptions};
use uuid::Uuid;

use super::blobs::{body, files, keep, read};
use crate::block;

/// A key whose file is this octet and 31 of another.
pub(crate) fn key(n: u8) -> RestKey {
    let mut octets = [0x5a; 32];
    octets[0] = n;
    RestKey::read(&octets).unwrap()
}

pub(crate) fn rings(keys: &[u8]) -> Rings {
    Rings::of(keys.iter().map(|n| key(*n)).collect())
}

fn try_spool(dir: &Path, keys: &[u8]) -> Result<(Spool, Arc<Keys>), StoreError> {
    let keys = Arc::new(Keys::new(rings(keys)));
    let spool = Spool::open(SpoolOptions { keys: Arc::clone(&keys), ..SpoolOptions::new(dir) })?;
    Ok((spool, keys))
}

/// A spool under these keys, of which the first seals.
pub(crate) fn spool(dir: &Path, keys: &[u8]) -> Spool {
    try_spool(dir, keys).unwrap().0
}

pub(crate) fn counted(clear: u64, keys: &[(u8, u64)]) -> Census {
    let needed = keys.iter().map(|(n, _)| key(*n).id()).collect();
    let keys = keys.iter().filter(|(_, count)| *count > 0).map(|(n, count)| (key(*n).id(), *count)).collect();
    Census { clear, keys, needed, damaged: 0 }
}

fn marked(dir: &Path) -> Vec<KeyId> {
    fs::read_to_string(dir.join("keys")).unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn neither_head_nor_body_lies_in_the_clear() {
    for (keys, found) in [(&[][..], true), (&[1], false)] {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), keys);
        let blob = Blob { id: BlobId(Uuid::from_u128(1)), kind: BlobKind::Mail, header: "anna.andersson@habo.se".into() };
        let mut writer = block(spool.create(blob, None)).unwrap();
        writer.write_all(b"Hej! En orosanmalan.").unwrap();
        block(writer.commit()).unwrap();
        let file = fs::read(files(dir.path(), "blob").remove(0)).unwrap();
        for marker in [&b"anna.andersson"[..], b"orosanmalan", b"mail", b"header"] {
            assert_eq!(file.windows(marker.len()).any(|part| part == marker), found, "{}", String::from_utf8_lossy(marker));
        }
    }
}

#[test]
fn a_missing_or_wrong_key_is_told_at_start_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    keep(&spool(dir.path(), &[1]), 1, b"hemligt");
    for keys in [&[][..], &[2], &[2, 3]] {
        let error = try_spool(dir.path(), keys).err().unwrap();
        assert!(matches!(&error, StoreError::Locked(id) if *id == key(1).id().to_string()), "{error}");
    }
    assert_eq!(read(&spool(dir.path(), &[2, 1]), 1), b"hemligt");
}

/// Without the file that says which keys are needed, the body itself says it, and is not taken for damage.
#[test]
fn a_body_whose_key_is_missing_is_locked_and_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    keep(&spool(dir.path(), &[1]), 1, b"hemligt");
    fs::remove_file(dir.path().join("keys")).unwrap();
    let spool = spool(dir.path(), &[2]);
    assert!(matches!(block(spool.open(BlobId(Uuid::from_u128(1)))), Err(StoreError::Locked(_))));
    assert!(matches!(block(spool.rekey(BlobId(Uuid::from_u128(1)))), Err(StoreError::Locked(_))));
    assert!(matches!(block(spool.heads()), Err(StoreError::Locked(_))));
    assert_eq!(block(spool.census()).unwrap().keys, counted(0, &[(1, 1)]).keys);
}

#[test]
fn a_file_that_stands_under_another_name_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), &[1]);
    (1..=2).for_each(|n| keep(&spool, n, b"hemligt"));
    let (one, other) = (files(dir.path(), "blob").remove(0), files(dir.path(), "blob").remove(1));
    fs::copy(one, other).unwrap();
    let opened = [1, 2].map(|n| block(spool.open(BlobId(Uuid::from_u128(n)))).map(drop));
    assert!(matches!(&opened, [Ok(()), Err(StoreError::Damaged(_))] | [Err(StoreError::Damaged(_)), Ok(())]), "{opened:?}");
}

#[test]
fn keys_change_while_a_spool_is_used_and_the_old_one_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    keep(&spool(dir.path(), &[]), 1, b"in the clear");
    let (spool, keys) = try_spool(dir.path(), &[1]).unwrap();
    keep(&spool, 2, &body(300_000));
    assert_eq!((read(&spool, 1), block(spool.census()).unwrap()), (b"in the clear".to_vec(), counted(1, &[(1, 1)])));

    // A new key: what is new is under it at once, and the old one may not go yet.
    let mut early = block(spool.create(Blob { id: BlobId(Uuid::from_u128(9)), kind: BlobKind::Mail, header: String::new() }, None)).unwrap();
    keys.replace(rings(&[2, 1]));
    keep(&spool, 3, b"new");
    assert_eq!(block(spool.census()).unwrap(), counted(1, &[(1, 1), (2, 1)]));
    assert!(matches!(block(spool.needs(rings(&[2]))), Err(StoreError::Locked(_))));

    let (_, _, mut reader) = block(spool.open(BlobId(Uuid::from_u128(2)))).unwrap();
    let mut first = vec![0; 100_000];
    reader.read_exact(&mut first).unwrap();
    let spool = Arc::new(spool);
    let rekeying = Rekeying::new(Arc::clone(&spool) as Arc<dyn Rekey>);
    assert!(rekeying.begin() && !rekeying.begin(), "one run at a time");
    assert_eq!(block(rekeying.run()).unwrap(), counted(0, &[(1, 0), (2, 3)]), "the body that is being written needs the old one");
    assert_eq!((rekeying.progress().anew, rekeying.progress().failed, rekeying.progress().running), (2, 0, false));
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!([first, rest].concat() == body(300_000), "who read before reads on");

    // A writer that began under the old key keeps it needed.
    assert!(matches!(block(spool.needs(rings(&[2]))), Err(StoreError::Locked(_))));
    early.write_all(b"late").unwrap();
    block(early.commit()).unwrap();
    assert_eq!(block(spool.census()).unwrap(), counted(0, &[(1, 1), (2, 3)]));
    assert!(rekeying.begin());
    assert_eq!(block(rekeying.run()).unwrap(), counted(0, &[(2, 4)]));
    block(spool.needs(rings(&[2]))).unwrap();
    assert_eq!(marked(dir.path()), [key(2).id()]);
    keys.replace(rings(&[2]));
    assert_eq!((read(&*spool, 1), read(&*spool, 3)), (b"in the clear".to_vec(), b"new".to_vec()));
    assert!(read(&*spool, 2) == body(300_000));
    drop((spool, rekeying));
    assert!(read(&super::encryption::spool(dir.path(), &[2]), 2) == body(300_000));
}

#[test]
fn a_body_that_is_sealed_anew_keeps_its_age() {
    let dir = tempfile::tempdir().unwrap();
    keep(&spool(dir.path(), &[1]), 1, b"x");
    let path = files(dir.path(), "blob").remove(0);
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(1_000);
    fs::File::open(&path).unwrap().set_modified(old).unwrap();
    let spool = spool(dir.path(), &[2, 1]);
    assert_eq!(block(spool.rekey(BlobId(Uuid::from_u128(1)))).unwrap(), Rekeyed::Anew);
    assert_eq!(block(spool.rekey(BlobId(Uuid::from_u128(1)))).unwrap(), Rekeyed::Kept);
    assert!(block(spool.all(None, 9)).unwrap()[0].age >= std::time::Duration::from_hours(999));
}

/// Bodies are deleted and replaced while all are sealed anew again and again: none comes back, none gets an older body.
#[test]
fn what_is_deleted_or_replaced_meanwhile_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, keys) = try_spool(dir.path(), &[1]).unwrap();
    (0..60).for_each(|n| keep(&spool, n, &[0; 3_000]));
    std::thread::scope(|scope| {
        let (spool, keys) = (&spool, &keys);
        let turning = scope.spawn(move || {
            for round in 0..5_u8 {
                keys.replace(rings(if round % 2 == 0 { &[2, 1] } else { &[1, 2] }));
                (0..60).for_each(|n| assert!(block(spool.rekey(BlobId(Uuid::from_u128(n)))).is_ok()));
            }
        });
        scope.spawn(move || {
            for n in 0..60 {
                match n % 3 {
                    0 => block(spool.delete(BlobId(Uuid::from_u128(n)))).unwrap(),
                    1 => keep(spool, n, &[1; 3_000]),
                    _ => assert_eq!(read(spool, n), [0; 3_000]),
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        turning.join().unwrap();
    });
    for n in 0..60 {
        match n % 3 {
            0 => assert!(matches!(block(spool.open(BlobId(Uuid::from_u128(n)))), Err(StoreError::Missing(_))), "{n} came back"),
            1 => assert_eq!(read(&spool, n), [1; 3_000]),
            _ => assert_eq!(read(&spool, n), [0; 3_000]),
        }
    }
    assert!(files(dir.path(), "tmp").is_empty());
}

#[test]
fn a_damaged_body_is_not_sealed_anew() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), &[1]);
    keep(&spool, 1, &body(1_000));
    let path = files(dir.path(), "blob").remove(0);
    let mut octets = fs::read(&path).unwrap();
    let at = octets.len() - 20;
    octets[at] ^= 1;
    fs::write(&path, &octets).unwrap();
    drop(spool);
    let spool = super::encryption::spool(dir.path(), &[2, 1]);
    assert!(matches!(block(spool.rekey(BlobId(Uuid::from_u128(1)))), Err(StoreError::Damaged(_))));
    assert!(fs::read(&path).unwrap() == octets, "it is left as it was");
}

const CHILD: &str = "BREVBRO_TEST_REKEY_CHILD";

#[test]
#[ignore = "the child of the test below: it seals anew until it is killed"]
fn child_that_seals_anew() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    #[cfg(feature = "failpoints")]
    if let Ok(point) = std::env::var("BREVBRO_TEST_REKEY_POINT") {
        let (point, passes) = point.split_once(':').unwrap();
        let left = std::sync::atomic::AtomicUsize::new(passes.parse().unwrap());
        fail::cfg_callback(point, move || {
            if left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                std::process::abort();
            }
        })
        .unwrap();
    }
    let (spool, keys) = try_spool(Path::new(&dir), &[2, 1, 3]).unwrap();
    let mut out = std::io::stdout().lock();
    for round in 0_u8.. {
        keys.replace(rings(if round % 2 == 0 { &[2, 1, 3] } else { &[1, 2, 3] }));
        for n in 0..40 {
            block(spool.rekey(BlobId(Uuid::from_u128(n)))).unwrap();
            writeln!(out, "done {n}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// At the points, and at whatever moment otherwise.
#[test]
fn a_kill_while_bodies_are_sealed_anew_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    {
        let spool = spool(dir.path(), &[]);
        (0..20).for_each(|n| keep(&spool, n, &body(1_000 * n as usize)));
    }
    {
        let spool = spool(dir.path(), &[3]);
        (20..40).for_each(|n| keep(&spool, n, &body(1_000 * n as usize)));
    }
    // A key is marked once, before the first body under it.
    let points = [("spool.keys.write", 0), ("spool.rekey.sync", 3), ("spool.rekey.rename", 3), ("spool.rekey.directory", 3)];
    let points = points.map(|(point, passes)| Some(format!("{point}:{passes}"))).into_iter().filter(|_| cfg!(feature = "failpoints"));
    for (round, point) in points.chain(std::iter::repeat_n(None, 6)).enumerate() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "encryption::child_that_seals_anew", "--ignored", "--nocapture", "--test-threads=1"]).env(CHILD, dir.path());
        command.envs(point.as_ref().map(|point| ("BREVBRO_TEST_REKEY_POINT", point)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        if point.is_none() {
            let done = lines.by_ref().map_while(Result::ok).filter(|line| line.starts_with("done")).nth(7 * round);
            assert!(done.is_some(), "the child ended by itself");
            child.kill().unwrap();
        }
        lines.for_each(drop);
        assert!(!child.wait().unwrap().success(), "{point:?} was not reached");
        let spool = spool(dir.path(), &[1, 2, 3]);
        assert_eq!(spool.check().unwrap(), []);
        (0..40).for_each(|n| assert!(read(&spool, n) == body(1_000 * n as usize), "{n} after {point:?}"));
        assert!(files(dir.path(), "tmp").is_empty());
    }
}
