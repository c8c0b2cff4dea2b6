//! Whether the index holds what the journal makes: it is made once more beside it, and the two are compared key by key.

use std::cmp::Ordering;
use std::fs;
use std::path::Path;

use ::sled::IVec;

use super::index::{Index, IndexError};
use super::layout::decode_uuid;
use super::{LoadError, SledOptions, SledStore, load, load_into, unopened};
use crate::port::StoreError;
use crate::store::journal::Journal;
use crate::store::store_error;

/// What is compared, by the first octet of the key. Where to begin to look for an event is only a help, and an index that
/// began with a snapshot has fewer of those.
const FAMILIES: [(u8, &str); 6] = [
    (b'r', "record"),
    (b's', "the list of a state, record"),
    (b'n', "note"),
    (b'j', "job"),
    (b'q', "a queue, job"),
    (b'm', "up to which line it is"),
];
/// Differences that are named.
const NAMED: usize = 20;

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Keys of both together.
    pub keys: u64,
    /// Those that only one has, or both with different values.
    pub different: u64,
    /// What the first of them are, or why the index cannot be read at all.
    pub first: Vec<String>,
}

impl Comparison {
    /// Whether the index must be built anew.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.first.is_empty()
    }

    fn unreadable(why: &str) -> Self {
        Self { first: vec![format!("all of it: {why}")], ..Self::default() }
    }

    fn differs(&mut self, what: &str, key: &[u8]) {
        self.different += 1;
        if self.first.len() < NAMED {
            self.first.push(format!("{what} {}", name(key)));
        }
    }
}

impl SledStore {
    /// Compares the index of a store that nobody uses with what its journal makes. What a crash left undone is done first,
    /// as opening does it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn compare(options: &SledOptions) -> Result<Comparison, StoreError> {
        let opened = Journal::open(options.journal(), options.segments, options.clock.now());
        let mut journal = opened.map_err(|error| unopened(options, error.into()))?;
        if options.damage().exists() {
            return Ok(Comparison::unreadable("it was found damaged while the gateway ran"));
        }
        let beside = options.dir.join("index.compared");
        let compared = compare(options, &beside, &mut journal);
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(|error| store_error("deleting", &beside, &error))?;
        }
        match compared {
            Err(LoadError::Index(IndexError::Damaged(why))) => Ok(Comparison::unreadable(&why)),
            other => other.map_err(|error| unopened(options, error)),
        }
    }
}

fn compare(options: &SledOptions, beside: &Path, journal: &mut Journal) -> Result<Comparison, LoadError> {
    if beside.exists() {
        fs::remove_dir_all(beside).map_err(IndexError::Io)?;
    }
    let (own, _own) = load(options, journal)?;
    let (made, _made) = load_into(options, beside, journal)?;
    let mut compared = Comparison::default();
    for (letter, what) in FAMILIES {
        let (mut own, mut made) = (Pairs::of(&own, letter), Pairs::of(&made, letter));
        let (mut left, mut right) = (own.next()?, made.next()?);
        loop {
            let order = match (&left, &right) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((left, _)), Some((right, _))) => left.cmp(right),
            };
            compared.keys += 1;
            let key = if order == Ordering::Greater { &right } else { &left };
            if order != Ordering::Equal || left != right {
                compared.differs(what, key.as_ref().map(|(key, _)| key.as_ref()).unwrap_or_default());
            }
            if order != Ordering::Greater {
                left = own.next()?;
            }
            if order != Ordering::Less {
                right = made.next()?;
            }
        }
    }
    Ok(compared)
}

/// Keys and values of a family in their order.
struct Pairs<'a> {
    index: &'a Index,
    letter: u8,
    part: std::vec::IntoIter<(IVec, IVec)>,
    after: Option<Vec<u8>>,
}

impl<'a> Pairs<'a> {
    fn of(index: &'a Index, letter: u8) -> Self {
        Self { index, letter, part: Vec::new().into_iter(), after: Some(vec![letter]) }
    }

    fn next(&mut self) -> Result<Option<(IVec, IVec)>, IndexError> {
        loop {
            if let Some(pair) = self.part.next() {
                return Ok(Some(pair).filter(|(key, _)| key.first() == Some(&self.letter)));
            }
            let Some(after) = self.after.take() else { return Ok(None) };
            let part = self.index.part(&after)?;
            self.after = part.last().map(|(key, _)| [key.as_ref(), &[0]].concat());
            self.part = part.into_iter();
        }
    }
}

/// What a key names: an id at its end, or a note's key.
fn name(key: &[u8]) -> String {
    match key.split_first() {
        Some((b'n', rest)) => String::from_utf8_lossy(rest).into_owned(),
        Some((_, rest)) => rest.last_chunk::<16>().and_then(|id| decode_uuid(id).ok()).map(|id| id.to_string()).unwrap_or_default(),
        None => String::new(),
    }
}
