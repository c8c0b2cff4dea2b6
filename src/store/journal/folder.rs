//! The folder of segments: which files there are, and what the first line of each says.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::JournalError;
use super::line::{self, Begun, MAX_LINE, Position};

/// The end of a segment's name.
const ENDING: &str = ".jsonl";
/// The end of the name of what is being written and is not there yet.
pub(super) const NEW: &str = ".new";

/// One file of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The number of its first line, which is its name.
    pub first: u64,
    /// The file.
    pub path: PathBuf,
    /// When it was begun, where its first line says so and is whole.
    pub at: Option<Timestamp>,
    /// What its first line follows, as that line says; none where it is damaged.
    pub(super) start: Option<Position>,
    /// Whether the state begins anew with it.
    pub(super) anew: bool,
}

/// The name of the segment that begins with a line.
pub(super) fn name(first: u64) -> String {
    format!("{first:010}{ENDING}")
}

/// The segments of a journal in their order. What has another name is no segment.
///
/// # Errors
/// [`JournalError::Io`] when the folder or a file cannot be read.
pub fn segments(dir: &Path) -> Result<Vec<Segment>, JournalError> {
    let failed = |source| JournalError::Io { doing: "listing", path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(first) = number(&path) else { continue };
        match begin(&path, first) {
            Ok((start, at, anew)) => found.push(Segment { first, path, at, start, anew }),
            // Deleted meanwhile: its time of keeping was over.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(JournalError::Io { doing: "reading", path, source }),
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// Where replaying the whole journal begins: with line 0, or where the state began anew.
pub(super) fn beginning(segments: &[Segment]) -> Result<Position, JournalError> {
    if let Some(start) = segments.iter().rfind(|segment| segment.anew).and_then(|segment| segment.start) {
        return Ok(start);
    }
    match segments.first() {
        Some(first) if first.first > 0 => Err(JournalError::Pruned { first: first.first }),
        _ => Ok(Position::START),
    }
}

fn number(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    let number = digits.parse().ok()?;
    (digits.len() >= 10 && name(number).strip_suffix(ENDING) == Some(digits)).then_some(number)
}

/// What the first line of a segment says of its beginning.
fn begin(path: &Path, first: u64) -> io::Result<(Option<Position>, Option<Timestamp>, bool)> {
    let mut line = Vec::new();
    BufReader::with_capacity(1024, File::open(path)?).take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
    let parsed = line.strip_suffix(b"\n").and_then(|line| line::parse(line).ok());
    Ok(match parsed {
        Some((entry, _)) if entry.seq == first => match entry.segment {
            Some(Begun { offset, at, .. }) => (Some(Position { seq: first, prev: entry.prev, event: entry.event, offset }), Some(at), entry.anew),
            // A journal of one file, or of a database, began without saying so.
            None => (Some(Position { seq: first, prev: entry.prev, event: entry.event, offset: 0 }), entry.opened, false),
        },
        // Its first lines may be torn, but where they begin is known.
        None if first == 0 => (Some(Position::START), None, false),
        _ => (None, None, false),
    })
}

/// Makes the single file of an earlier version the first segment, and removes what a crash left half made.
pub(super) fn tidy(dir: &Path) -> Result<(), JournalError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| JournalError::Io { doing: "tidying", path, source }
    };
    let old = dir.with_extension("jsonl");
    if old.symlink_metadata().is_ok() {
        if !segments(dir)?.is_empty() {
            return Err(JournalError::Two { old, dir: dir.to_owned() });
        }
        // The process of an earlier version that uses it locks the file itself.
        match File::open(&old).map(|file| crate::store::lock(&file)) {
            Ok(Err(TryLockError::WouldBlock)) => return Err(JournalError::InUse(old)),
            Ok(Ok(())) => {}
            Ok(Err(TryLockError::Error(source))) | Err(source) => return Err(failed(&old)(source)),
        }
        fs::rename(&old, dir.join(name(0))).map_err(failed(&old))?;
        crate::store::sync_directory(dir).map_err(failed(dir))?;
        dir.parent().map_or(Ok(()), crate::store::sync_directory).map_err(failed(dir))?;
    }
    for entry in fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        if path.to_str().is_some_and(|name| name.ends_with(NEW)) {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_known_by_its_name() {
        let number = |name: &str| number(Path::new(name));
        assert_eq!(number("0000000000.jsonl"), Some(0));
        assert_eq!(number("0000000123.jsonl"), Some(123));
        assert_eq!(number("12345678901.jsonl"), Some(12_345_678_901));
        for other in ["1.jsonl", "00000000123.jsonl", "+000000123.jsonl", "0000000123.jsonl.new", "heads.jsonl", "0000000123.snapshot"] {
            assert_eq!(number(other), None, "{other}");
        }
        assert_eq!(name(12_345_678_901), "12345678901.jsonl");
    }
}
