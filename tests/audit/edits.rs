//! Whatever is done to a journal's files is found, and the line is named.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use brevbro::crypto::NotaryKey;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::Sha256;
use brevbro::port::{Op, Step, Store};
use brevbro::store::journal::heads::{SignedHead, trusted};
use brevbro::store::journal::{JournalError, JournalOptions, Known, verify_with};
use brevbro::store::{SledOptions, SledStore};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::{copy, segments};

/// A journal of many segments, and its last line as a signed head knows it.
fn journal() -> &'static (tempfile::TempDir, BTreeMap<u64, Sha256>) {
    static JOURNAL: OnceLock<(tempfile::TempDir, BTreeMap<u64, Sha256>)> = OnceLock::new();
    JOURNAL.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let narrow = JournalOptions { octets: 3_000, ..JournalOptions::default() };
        let store = SledStore::open(SledOptions { segments: narrow, ..SledOptions::new(dir.path()) }).unwrap();
        for n in 0..60 {
            let event = Event::new(Timestamp::UNIX_EPOCH, EventName::Sealed).with(Field::Size, n).with(Field::MessageId, format!("m-{n}"));
            runtime.block_on(store.apply(Step::new().op(Op::Audit(event)))).unwrap();
        }
        let head = runtime.block_on(store.head()).unwrap().unwrap();
        let key = NotaryKey::generate().unwrap();
        let signed = SignedHead::sign(&key, "n", head.line, head.hash, Timestamp::UNIX_EPOCH).unwrap();
        let heads = trusted(&serde_json::to_string(&signed).unwrap(), &key.public().unwrap()).unwrap();
        (dir, heads)
    })
}

/// What somebody does to a file.
#[derive(Debug, Clone)]
enum Edit {
    /// Flips bits of an octet.
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    RemoveLine(prop::sample::Index),
    DoubleLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
    RemoveFile,
    SwapFiles(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        4 => (place(), 1..=255_u8).prop_map(|(at, bits)| Edit::Flip(at, bits)),
        2 => place().prop_map(Edit::Cut),
        2 => (place(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, octets)| Edit::Insert(at, octets)),
        2 => place().prop_map(Edit::RemoveLine),
        2 => place().prop_map(Edit::DoubleLine),
        2 => (place(), place()).prop_map(|(one, other)| Edit::SwapLines(one, other)),
        1 => Just(Edit::RemoveFile),
        1 => place().prop_map(Edit::SwapFiles),
    ]
}

/// Does it; whether anything is otherwise now.
fn apply(edit: &Edit, file: &Path, all: &[std::path::PathBuf]) -> bool {
    let before = std::fs::read(file).unwrap();
    let mut lines: Vec<Vec<u8>> = before.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
    let after = match edit {
        Edit::Flip(at, bits) => {
            let mut after = before.clone();
            after[at.index(before.len())] ^= bits;
            after
        }
        Edit::Cut(at) => before[..at.index(before.len())].to_vec(),
        Edit::Insert(at, octets) => {
            let at = at.index(before.len() + 1);
            [&before[..at], octets, &before[at..]].concat()
        }
        Edit::RemoveLine(at) => {
            lines.remove(at.index(lines.len()));
            lines.concat()
        }
        Edit::DoubleLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at].clone());
            lines.concat()
        }
        Edit::SwapLines(one, other) => {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
            lines.concat()
        }
        Edit::RemoveFile => {
            std::fs::remove_file(file).unwrap();
            return true;
        }
        Edit::SwapFiles(other) => {
            let other = &all[other.index(all.len())];
            let theirs = std::fs::read(other).unwrap();
            std::fs::write(other, &before).unwrap();
            theirs
        }
    };
    std::fs::write(file, &after).unwrap();
    after != before
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edit_is_found(edit in edit(), file in any::<prop::sample::Index>()) {
        let (store, heads) = journal();
        let dir = tempfile::tempdir().unwrap();
        copy(&SledOptions::new(store.path()).journal(), dir.path());
        let all = segments(dir.path());
        prop_assert!(all.len() > 4);
        let known = Known { heads: heads.clone(), running: false };
        let whole = verify_with(dir.path(), &known, |_, _| {}).is_ok();
        prop_assert!(whole);
        if apply(&edit, &all[file.index(all.len())], &all) {
            let found = verify_with(dir.path(), &known, |_, _| {});
            let is_found = matches!(found, Err(JournalError::Damaged { .. } | JournalError::Short { .. }));
            prop_assert!(is_found, "{:?}", found);
        }
    }
}
