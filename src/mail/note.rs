//! What was changed or left out of a mail, in words.

use serde::{Deserialize, Serialize};

use super::words;
use crate::content::Redacted;

/// More notes than a sender reads.
const MOST: usize = 40;
/// Longest text of a note that is kept, in code points.
const LONGEST: usize = 400;

/// What a change costs the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Nothing: it says the same in another form.
    None,
    /// What only decorates, or what the mailbox's own rules cut: a logo, a tracking dot, quoted history.
    Minor,
    /// What the writer may think that the reader got. The sender is told, asked or not.
    Content,
}

/// Something that was changed or left out on the way, for the sender and for `brevbro convert`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Note {
    /// What it costs the reader.
    pub loss: Loss,
    /// In Swedish.
    pub swedish: Redacted<String>,
    /// In English.
    pub english: Redacted<String>,
}

impl Note {
    /// Something was changed; nothing is missing.
    pub(super) fn new(swedish: impl Into<String>, english: impl Into<String>) -> Self {
        Self { loss: Loss::None, swedish: Redacted(swedish.into()), english: Redacted(english.into()) }
    }

    /// Something is missing that nobody misses.
    pub(super) fn minor(swedish: impl Into<String>, english: impl Into<String>) -> Self {
        Self { loss: Loss::Minor, ..Self::new(swedish, english) }
    }

    /// Something is missing.
    pub(super) fn lost(swedish: impl Into<String>, english: impl Into<String>) -> Self {
        Self { loss: Loss::Content, ..Self::new(swedish, english) }
    }
}

/// A note as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    loss: Loss,
    sv: String,
    en: String,
}

impl From<Kept> for Note {
    fn from(kept: Kept) -> Self {
        Self { loss: kept.loss, swedish: kept.sv.into(), english: kept.en.into() }
    }
}

impl From<Note> for Kept {
    fn from(note: Note) -> Self {
        Self { loss: note.loss, sv: note.swedish.0, en: note.english.0 }
    }
}

/// The notes that a notice tells: of what is missing, the gravest first, in bounded size.
#[must_use]
pub fn missing(notes: &[Note]) -> Vec<Note> {
    let short = |text: &str| words::cut(&words::one_line(text), LONGEST).to_owned();
    let mut all: Vec<Note> = notes
        .iter()
        .filter(|note| note.loss > Loss::None)
        .map(|note| Note { loss: note.loss, swedish: short(&note.swedish).into(), english: short(&note.english).into() })
        .collect();
    all.sort_by_key(|note| std::cmp::Reverse(note.loss));
    let further = all.len().saturating_sub(MOST);
    if further > 0 {
        all.truncate(MOST);
        all.push(Note::minor(format!("Och {further} till."), format!("And {further} more.")));
    }
    all
}

/// Adds a note unless it stands there already: an image shown twice is one image.
pub(super) fn add(notes: &mut Vec<Note>, note: Note) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_reads_back() {
        let mut notes = vec![Note::new("a", "a"), Note::minor("b\n\u{1}c", "b")];
        notes.extend((0..100).map(|n| Note::lost(format!("{n} {}", "å".repeat(1_000)), "x")));
        let kept = missing(&notes);
        assert_eq!((kept.len(), kept[MOST].swedish.as_str()), (MOST + 1, "Och 61 till."));
        assert!(kept.iter().take(MOST).all(|note| note.loss == Loss::Content));
        let text = serde_json::to_string(&kept).unwrap();
        assert!(text.len() < 64 * 1024, "{}", text.len());
        assert_eq!(serde_json::from_str::<Vec<Note>>(&text).unwrap(), kept);
    }
}
