//! Checking a journal: every line, the chain over all segments, and what is known of it from elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::JournalError;
use super::folder::{Segment, segments};
use super::line::{Entry, Mark, Pruned};
use super::lines::Lines;
use super::writer::NOTHING;
use crate::ident::Sha256;

/// A whole and unbroken journal, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The first line there is: not 0 when older ones are no longer kept.
    pub first: u64,
    /// The lines there are.
    pub lines: u64,
    /// Their events.
    pub events: u64,
    /// The files that they stand in; none in a database.
    pub segments: usize,
    /// The hash of the last line: whoever knows it can tell whether lines before were changed or lines after cut off.
    pub hash: Sha256,
    /// The last line whose hash was known from elsewhere, and right.
    pub vouched: Option<u64>,
    /// Whether a line is being written.
    pub unfinished: bool,
}

/// What is known of a journal before it is looked at.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Hashes of lines, out of signed heads.
    pub heads: BTreeMap<u64, Sha256>,
    /// Whether a process may be writing meanwhile, so that the last line may not be whole yet.
    pub running: bool,
}

/// Checks every line of a journal, of which no process writes, and their chain.
///
/// # Errors
/// [`JournalError`], which names the first line that is wrong.
pub fn verify(dir: &Path) -> Result<Summary, JournalError> {
    verify_with(dir, &Known::default(), |_, _| {})
}

/// As [`verify`], with what is known from elsewhere; every line that is right is shown to `seen`.
///
/// # Errors
/// [`JournalError`], which names the first line that is wrong.
pub fn verify_with(dir: &Path, known: &Known, mut seen: impl FnMut(&Entry, Mark)) -> Result<Summary, JournalError> {
    let segments = segments(dir)?;
    let mut lines = Lines::all(&segments)?;
    let begin = lines.at;
    let (mut pruned, mut vouched, mut unfinished) = (Vec::new(), None, false);
    if begin.seq.checked_sub(1).is_some_and(|before| known.heads.get(&before) == Some(&begin.prev)) {
        vouched = begin.seq.checked_sub(1);
    }
    loop {
        let (entry, mark) = match lines.next() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(JournalError::Damaged { .. }) if known.running && lines.is_unfinished()? => {
                unfinished = true;
                break;
            }
            Err(error) => return Err(error),
        };
        match known.heads.get(&mark.seq) {
            Some(head) if *head == mark.hash => vouched = Some(mark.seq),
            Some(_) => return Err(damaged(&segments, mark, "is not the line that was signed: it and lines before it were written anew")),
            None => {}
        }
        pruned.extend(entry.pruned);
        seen(&entry, mark);
    }
    let end = lines.at;
    if let Some((line, _)) = known.heads.range(end.seq..).next_back() {
        return Err(JournalError::Short { path: lines.path().to_owned(), end: end.seq, signed: *line });
    }
    stands(begin.seq, begin.prev, &pruned).map_err(|why| {
        let path = segments.first().map(|segment| segment.path.clone()).unwrap_or_default();
        JournalError::Damaged { path, line: begin.seq, offset: 0, why }
    })?;
    Ok(Summary {
        first: begin.seq,
        lines: end.seq - begin.seq,
        events: end.event.saturating_sub(begin.event),
        segments: segments.len(),
        hash: end.prev,
        vouched,
        unfinished,
    })
}

/// Whether the first line there is may be the first: it is line 0, or the journal says that those before are gone.
/// That a signed head knows what it follows is not enough: so do those who delete what tells of them.
pub(in crate::store) fn stands(first: u64, prev: Sha256, pruned: &[Pruned]) -> Result<(), &'static str> {
    if first == 0 {
        return if prev == NOTHING { Ok(()) } else { Err("follows a line, and is the first") };
    }
    // Lines between its first and the one that was to stay may still be there: a crash cut the deletion short.
    match pruned.iter().rfind(|pruned| pruned.before >= first) {
        Some(pruned) if pruned.before > first || pruned.prev == prev => Ok(()),
        Some(_) => Err("does not follow the line that the journal says was the last to be deleted"),
        None => Err("is the first there is, and the journal does not say that those before it were to be deleted"),
    }
}

fn damaged(segments: &[Segment], mark: Mark, why: &'static str) -> JournalError {
    let holder = segments.iter().rfind(|segment| segment.first <= mark.seq);
    let base = holder.and_then(|segment| segment.start).map_or(0, |start| start.offset);
    let path = holder.map(|segment| segment.path.clone()).unwrap_or_default();
    JournalError::Damaged { path, line: mark.seq, offset: mark.offset.saturating_sub(base), why }
}
