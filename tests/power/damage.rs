//! A file of the state folder is changed, cut off or gone: what is lost is named, what can be built anew is, and nobody gets
//! wrong octets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use brevbro::port::{Blobs, StoreError};
use brevbro::store::{SledOptions, SledStore, Spool, SpoolOptions, journal};

use crate::block;
use crate::common::dice::{Dice, setting};
use crate::disk::{build, real};
use crate::work::{Found, Strand, options};

const SEED: u64 = 3;
const WORKERS: usize = 3;
const STEPS: u64 = 25;

/// A folder with a little of everything: some segments, a snapshot, an index, a spool.
fn filled(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let spool = Spool::open(SpoolOptions { threads: 1, ..SpoolOptions::new(dir.join("spool")) }).unwrap();
    let store = SledStore::open(options(dir, SEED)).unwrap();
    for step in 0..STEPS {
        for number in 0..WORKERS {
            Strand::after(SEED, number, step).work(&store, &spool).unwrap();
        }
    }
    block(store.snapshot()).unwrap();
    drop((spool, store));
    real(dir)
}

/// One octet or some are changed, the end is missing, or is not what was written.
fn damage(octets: &[u8], dice: &mut Dice) -> (Vec<u8>, &'static str) {
    let mut changed = octets.to_vec();
    let place = dice.roll(octets.len() as u64) as usize;
    let what = match dice.roll(6) {
        0 => {
            changed.truncate(place);
            "cut off"
        }
        1 => {
            let end = (place + 1 + dice.roll(5_000) as usize).min(octets.len());
            changed[place..end].fill(0);
            "zeros"
        }
        2 => {
            let end = (place + 1 + dice.roll(600) as usize).min(octets.len());
            changed[place..end].iter_mut().for_each(|octet| *octet = dice.roll(256) as u8);
            "noise"
        }
        _ => {
            changed[place] ^= 1 << dice.roll(8);
            "a bit"
        }
    };
    (changed, what)
}

/// What is found of the store, reading again where a read says that the index is damaged: it is built anew meanwhile.
fn found(options: &SledOptions, spool: &Spool) -> Result<Found, StoreError> {
    let mut last = None;
    for _ in 0..3 {
        let store = SledStore::open(options.clone())?;
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Found::try_read(&store, spool, SEED, &[STEPS; WORKERS])));
        match read.unwrap_or_else(|_| panic!("reading panicked")) {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap())
}

#[test]
fn any_damage_is_named_or_mended_and_never_wrong_octets() {
    let scratch = crate::common::scratch("power-damage");
    let whole = filled(&scratch.path().join("whole"));
    let files: Vec<&PathBuf> =
        whole.iter().filter(|(_, octets)| octets.as_ref().is_some_and(|octets| !octets.is_empty())).map(|(path, _)| path).collect();
    let (index, rest): (Vec<&PathBuf>, Vec<&PathBuf>) = files.into_iter().partition(|path| path.starts_with("store/index"));
    let (journal_files, spooled): (Vec<&PathBuf>, Vec<&PathBuf>) = rest.into_iter().partition(|path| path.starts_with("store/journal"));
    assert!(journal_files.len() > 3 && !index.is_empty() && spooled.len() > 10, "{journal_files:?} {index:?} {spooled:?}");
    let mut dice = Dice(setting("BREVBRO_POWER_SEED").unwrap_or(1));
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..setting("BREVBRO_POWER_FLIPS").unwrap_or(300) {
        let family = [&index, &journal_files, &spooled][(round % 3) as usize];
        let path = family[dice.roll(family.len() as u64) as usize];
        let sound = whole[path].as_ref().unwrap();
        let (changed, what) = damage(sound, &mut dice);
        if changed == *sound {
            continue;
        }
        let dir = scratch.path().join("damaged");
        let _ = fs::remove_dir_all(&dir);
        build(&dir, &whole);
        fs::write(dir.join(path), &changed).unwrap();
        let context = format!("round {round}: {what} in {}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        let outcome = match round % 3 {
            0 => index_is_damaged(&dir, &context),
            1 => journal_is_damaged(&dir, name, &context),
            _ => spool_is_damaged(&dir, path, &context),
        };
        *outcomes.entry(format!("{}: {outcome}", ["index", "journal", "spool"][(round % 3) as usize])).or_default() += 1;
    }
    for (outcome, count) in outcomes {
        println!("{outcome}: {count}");
    }
}

fn spool(dir: &Path) -> Spool {
    Spool::open(SpoolOptions { threads: 1, ..SpoolOptions::new(dir.join("spool")) }).unwrap()
}

fn index_is_damaged(dir: &Path, context: &str) -> &'static str {
    let found = found(&options(dir, SEED), &spool(dir)).unwrap_or_else(|error| panic!("{context}: {error}"));
    found.judge(SEED, &[STEPS; WORKERS], true).unwrap_or_else(|why| panic!("{context}: {why}"));
    if dir.join("store/index.damaged").exists() { "built anew" } else { "no harm" }
}

fn journal_is_damaged(dir: &Path, name: &str, context: &str) -> &'static str {
    let verified = journal::verify(&options(dir, SEED).journal()).map_err(|error| error.to_string());
    if Path::new(name).extension().is_some_and(|ending| ending == "jsonl") {
        let Err(said) = &verified else { panic!("{context}: not found by verifying") };
        assert!(said.contains(name), "{context}: {said}");
    }
    match found(&options(dir, SEED), &spool(dir)) {
        Ok(found) => {
            found.judge(SEED, &[STEPS; WORKERS], true).unwrap_or_else(|why| panic!("{context}: {why}"));
            "read past"
        }
        Err(error) => {
            assert!(error.to_string().contains(name), "{context}: {error}");
            // An index that is gone too must not hide it.
            let rebuilt = SledStore::open(SledOptions { rebuild: true, ..options(dir, SEED) }).map(drop);
            match rebuilt {
                Err(error) if error.to_string().contains(name) => "named",
                Err(error) => panic!("{context}, rebuilt: {error}"),
                Ok(()) => "named, and built anew from a snapshot behind it",
            }
        }
    }
}

fn spool_is_damaged(dir: &Path, path: &Path, context: &str) -> &'static str {
    let spool = spool(dir);
    let damaged: Vec<PathBuf> = spool.check().unwrap().into_iter().map(|damage| damage.path).collect();
    assert_eq!(damaged, [dir.join(path)], "{context}");
    let mut unread = 0;
    for listed in block(spool.all(None, usize::MAX)).unwrap() {
        let (blob, _, mut body) = match block(spool.open(listed.id)) {
            Ok(open) => open,
            Err(StoreError::Damaged(why)) => {
                assert!(why.contains(path.to_str().unwrap()), "{context}: {why}");
                unread += 1;
                continue;
            }
            Err(error) => panic!("{context}: {error}"),
        };
        let mut octets = Vec::new();
        match body.read_to_end(&mut octets) {
            Ok(_) => assert!(Strand::is_body(SEED, &blob, &octets), "{context}: wrong octets of {}", blob.header),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{context}");
                unread += 1;
            }
        }
    }
    assert_eq!(unread, 1, "{context}");
    "named"
}
