//! Finding the events that name an id, or that happened in a while, without reading every line.
//!
//! Beside each segment that is finished stands an index of its ids, in blocks of lines:
//!
//! ```text
//!  0000000000.ids   "brevbro ids 1\n", octets of the segment u64, and for each block:
//!                   where it begins u64, its octets u32, its first and last time i64, number of ids u32, their hashes u32 …
//! ```
//!
//! It may say too much, never too little: the lines of a block are read and looked at. It can be thrown away, and is made
//! anew when it is missing or is not of this segment. It proves nothing: that is for `verify`.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use super::JournalError;
use super::folder::{Segment, segments};
use super::line::MAX_LINE;
use crate::event::Event;

const MAGIC: &[u8] = b"brevbro ids 1\n";
/// Octets of lines in a block.
const BLOCK: u64 = 256 * 1024;

/// What an id is compared by: without brackets and white space around it, without case, a UUID in its one form with hyphens.
#[must_use]
pub fn fold(id: &str) -> String {
    let bare = id.trim().trim_start_matches('<').trim_end_matches('>');
    uuid::Uuid::try_parse(bare).map_or_else(|_| bare.to_lowercase(), |uuid| uuid.to_string())
}

/// The ids of an event, folded: all fields that name something, and its record.
pub fn ids(event: &Event) -> impl Iterator<Item = String> + '_ {
    let fields = event.fields.iter().filter(|(field, _)| field.is_name()).map(|(_, value)| fold(value));
    fields.chain(event.record.map(|record| fold(&record.to_string())))
}

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// Folded ids, of which an event names one; empty for any event.
    pub ids: BTreeSet<String>,
    /// When it happened, first and last.
    pub window: Option<(Timestamp, Timestamp)>,
}

impl Want {
    /// Whether an event is looked for.
    #[must_use]
    pub fn is(&self, event: &Event) -> bool {
        self.window.is_none_or(|(first, last)| (first..=last).contains(&event.at))
            && (self.ids.is_empty() || ids(event).any(|id| self.ids.contains(&id)))
    }
}

/// An event, and which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The number of the line that tells of it.
    pub line: u64,
    /// Its own number.
    pub number: u64,
    /// The event.
    pub event: Event,
}

/// A journal whose ids are at hand.
pub struct Finder {
    segments: Vec<(Segment, Vec<Block>)>,
    /// Lines that could not be read.
    pub unread: u64,
}

/// Some lines of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    offset: u64,
    octets: u32,
    first: i64,
    last: i64,
    /// Hashes as they stand in the index, sorted: only those that are looked at are made numbers of.
    ids: Vec<u8>,
}

impl Block {
    fn begin(offset: u64) -> Self {
        Self { offset, octets: 0, first: i64::MAX, last: i64::MIN, ids: Vec::new() }
    }

    fn may_hold(&self, want: &Want, hashes: &[u32]) -> bool {
        let then = want.window.is_none_or(|(first, last)| self.first <= last.as_second() && first.as_second() <= self.last);
        then && (want.ids.is_empty() || hashes.iter().any(|hash| self.names(*hash)))
    }

    fn names(&self, hash: u32) -> bool {
        self.ids.as_chunks::<4>().0.binary_search(&hash.to_be_bytes()).is_ok()
    }
}

/// A line's events; what it changed is passed over.
#[derive(Deserialize)]
struct Told {
    seq: u64,
    event: u64,
    #[serde(default)]
    events: Vec<Event>,
}

impl Finder {
    /// Opens a journal, of which a process may be writing.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        let found = segments(dir)?;
        let last = found.len().saturating_sub(1);
        let mut finder = Self { segments: Vec::with_capacity(found.len()), unread: 0 };
        for (place, segment) in found.into_iter().enumerate() {
            let blocks = if place == last { read(&segment, &mut finder.unread)? } else { kept(&segment, &mut finder.unread)? };
            finder.segments.push((segment, blocks));
        }
        Ok(finder)
    }

    /// The events that are looked for, in their order.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn find(&self, want: &Want) -> Result<Vec<Found>, JournalError> {
        let hashes: Vec<u32> = want.ids.iter().map(|id| hash(id)).collect();
        let mut found = Vec::new();
        for (segment, blocks) in &self.segments {
            let mut file = None;
            for block in blocks.iter().filter(|block| block.may_hold(want, &hashes)) {
                let failed = |source| JournalError::Io { doing: "reading", path: segment.path.clone(), source };
                let file = match &mut file {
                    Some(file) => file,
                    none => none.insert(File::open(&segment.path).map_err(failed)?),
                };
                let mut lines = vec![0; block.octets as usize];
                file.seek(SeekFrom::Start(block.offset)).and_then(|_| file.read_exact(&mut lines)).map_err(failed)?;
                for line in lines.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
                    let Ok(told) = serde_json::from_slice::<Told>(line) else { continue };
                    let numbered = (told.event..).zip(told.events).filter(|(_, event)| want.is(event));
                    found.extend(numbered.map(|(number, event)| Found { line: told.seq, number, event }));
                }
            }
        }
        Ok(found)
    }
}

/// The index of a segment that is finished: as it stands beside it, or made anew.
fn kept(segment: &Segment, unread: &mut u64) -> Result<Vec<Block>, JournalError> {
    let octets = fs::metadata(&segment.path).map_err(|source| JournalError::Io { doing: "reading", path: segment.path.clone(), source })?.len();
    if let Some(blocks) = fs::read(path(segment)).ok().and_then(|text| decode(&text, octets)) {
        return Ok(blocks);
    }
    let before = *unread;
    let blocks = read(segment, unread)?;
    // Whoever may not write here makes it anew each time.
    if before == *unread {
        write(segment, octets, &blocks);
    }
    Ok(blocks)
}

/// Makes the index of a segment that is finished, where there is none.
///
/// # Errors
/// [`JournalError::Io`].
pub(in crate::store) fn index(segment: &Segment) -> Result<(), JournalError> {
    if path(segment).exists() { Ok(()) } else { kept(segment, &mut 0).map(drop) }
}

/// The file beside a segment.
pub(super) fn path(segment: &Segment) -> PathBuf {
    segment.path.with_extension("ids")
}

fn write(segment: &Segment, octets: u64, blocks: &[Block]) {
    use std::os::unix::fs::OpenOptionsExt;
    let (path, new) = (path(segment), segment.path.with_extension("ids.making"));
    let made = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &encode(octets, blocks))?;
        fs::rename(&new, &path)
    });
    if let Err(error) = made {
        tracing::debug!(%error, path = %path.display(), "the index of a segment's ids is not kept");
    }
}

fn encode(octets: u64, blocks: &[Block]) -> Vec<u8> {
    let mut text = MAGIC.to_vec();
    text.extend_from_slice(&octets.to_be_bytes());
    for block in blocks {
        text.extend_from_slice(&block.offset.to_be_bytes());
        text.extend_from_slice(&block.octets.to_be_bytes());
        text.extend_from_slice(&block.first.to_be_bytes());
        text.extend_from_slice(&block.last.to_be_bytes());
        text.extend_from_slice(&((block.ids.len() / 4) as u32).to_be_bytes());
        text.extend_from_slice(&block.ids);
    }
    text
}

/// The blocks of a segment of so many octets; none when the index is not of it, or not whole.
fn decode(text: &[u8], octets: u64) -> Option<Vec<Block>> {
    let mut rest = Rest(text.strip_prefix(MAGIC)?);
    if u64::from_be_bytes(rest.take()?) != octets {
        return None;
    }
    let (mut blocks, mut end) = (Vec::new(), 0);
    while !rest.0.is_empty() {
        let mut block = Block::begin(u64::from_be_bytes(rest.take()?));
        block.octets = u32::from_be_bytes(rest.take()?);
        (block.first, block.last) = (i64::from_be_bytes(rest.take()?), i64::from_be_bytes(rest.take()?));
        let ids = u32::from_be_bytes(rest.take()?) as usize;
        let (hashes, after) = rest.0.split_at_checked(ids.checked_mul(4)?)?;
        block.ids = hashes.to_vec();
        rest = Rest(after);
        if block.offset != end {
            return None;
        }
        end = block.offset.checked_add(block.octets.into())?;
        blocks.push(block);
    }
    (end == octets).then_some(blocks)
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

/// Reads all lines of a segment. A last one that is not whole is not there yet.
fn read(segment: &Segment, unread: &mut u64) -> Result<Vec<Block>, JournalError> {
    let failed = |source| JournalError::Io { doing: "reading", path: segment.path.clone(), source };
    let mut from = BufReader::with_capacity(1 << 20, File::open(&segment.path).map_err(failed)?);
    let (mut blocks, mut block, mut seen, mut line) = (Vec::new(), Block::begin(0), HashSet::new(), Vec::new());
    loop {
        line.clear();
        (&mut from).take(MAX_LINE as u64).read_until(b'\n', &mut line).map_err(failed)?;
        if !line.ends_with(b"\n") {
            break;
        }
        match serde_json::from_slice::<Told>(&line) {
            Ok(told) => {
                for event in &told.events {
                    let second = event.at.as_second();
                    (block.first, block.last) = (block.first.min(second), block.last.max(second));
                    seen.extend(ids(event).map(|id| hash(&id)));
                }
            }
            Err(_) => *unread += 1,
        }
        block.octets += line.len() as u32;
        if u64::from(block.octets) >= BLOCK {
            let next = Block::begin(block.offset + u64::from(block.octets));
            blocks.push(finished(std::mem::replace(&mut block, next), &mut seen));
        }
    }
    if block.octets > 0 {
        blocks.push(finished(block, &mut seen));
    }
    Ok(blocks)
}

fn finished(mut block: Block, seen: &mut HashSet<u32>) -> Block {
    let mut ids: Vec<u32> = seen.drain().collect();
    ids.sort_unstable();
    block.ids = ids.into_iter().flat_map(u32::to_be_bytes).collect();
    block
}

/// FNV-1a: it need not be hard to invert, only cheap, and the same for ever.
pub(in crate::store) fn hash(id: &str) -> u32 {
    let long = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    (long ^ (long >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_it_was_written_and_never_for_another_segment() {
        let block = Block { offset: 0, octets: 90, first: -5, last: 7, ids: [1, 5, u32::MAX].into_iter().flat_map(u32::to_be_bytes).collect() };
        assert!(block.names(5) && block.names(u32::MAX) && !block.names(6));
        let other = Block { offset: 90, octets: 10, first: 8, last: 9, ids: Vec::new() };
        let text = encode(100, &[block.clone(), other.clone()]);
        assert_eq!(decode(&text, 100), Some(vec![block, other]));
        assert_eq!(decode(&text, 101), None);
        for cut in 0..text.len() {
            assert_eq!(decode(&text[..cut], 100), None, "{cut}");
        }
    }

    #[test]
    fn ids_are_compared_without_case_and_brackets() {
        assert_eq!(fold(" <Ab@Kommun.SE> "), "ab@kommun.se");
        assert_eq!(fold("ÅSA@kommun.se"), "åsa@kommun.se");
        assert_ne!(hash("a"), hash("b"));
    }
}
