//! What a subject says: the label, and the tags `[dnr …]`, `[att: …]`, `[sekretess]`, `[öppen]` that case workers write.

use super::policy::Secrecy;
use super::words;

/// The label's greatest length in code points (SDK B1.3.3).
pub(super) const LABEL_MAX: usize = 256;
/// The label of a mail without subject.
pub(super) const NO_SUBJECT: &str = "(utan rubrik)";
/// What mail programs put before an answered subject: English, Swedish, German, Finnish, Danish, Dutch.
const ANSWERED: &[&str] = &["re", "sv", "aw", "vs", "antw"];
/// And before a forwarded one.
const FORWARDED: &[&str] = &["vb", "fw", "fwd", "wg", "vl"];

/// What a mail is to the one that it quotes, as its subject tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It answers it.
    Answer,
    /// It forwards it.
    Forward,
}

/// A subject, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Subject {
    /// What is left without prefixes and tags; may be empty.
    pub(super) label: String,
    /// `[dnr …]`.
    pub(super) diary_numbers: Vec<String>,
    /// `[att: …]`.
    pub(super) attention: Option<String>,
    /// `[sekretess]` or `[öppen]`; the former wins.
    pub(super) secrecy: Option<Secrecy>,
    /// What the outermost prefix says.
    pub(super) relation: Option<Relation>,
}

/// Reads a decoded Subject.
pub(super) fn read(text: &str) -> Subject {
    let mut subject = Subject::default();
    let text = words::one_line(text);
    let mut label = String::new();
    let mut rest = text.as_str();
    while let Some((before, tail)) = rest.split_once('[') {
        let Some((tag, after)) = tail.split_once(']') else { break };
        label.push_str(before);
        if !take_tag(&mut subject, tag.trim()) {
            label.push('[');
            label.push_str(tag);
            label.push(']');
        }
        rest = after;
    }
    label.push_str(rest);
    let (relation, label) = strip_prefixes(&label);
    subject.relation = relation;
    words::one_line(label).clone_into(&mut subject.label);
    subject
}

fn take_tag(subject: &mut Subject, tag: &str) -> bool {
    let (word, value) = tag.split_once([' ', ':']).unwrap_or((tag, ""));
    let value = words::cut(value.trim_start_matches([' ', ':']).trim(), LABEL_MAX);
    match (word.to_lowercase().as_str(), value.is_empty()) {
        ("dnr" | "diarienr" | "diarienummer", false) => subject.diary_numbers.push(value.to_owned()),
        ("att", false) => subject.attention = Some(value.to_owned()),
        ("sekretess", true) => subject.secrecy = Some(Secrecy::Confidential),
        ("öppen", true) => subject.secrecy = subject.secrecy.or(Some(Secrecy::Open)),
        _ => return false,
    }
    true
}

/// A subject as Thread-Topic has it: without what answers and forwards put before it.
pub(super) fn topic(subject: &str) -> &str {
    match strip_prefixes(subject).1 {
        "" => subject,
        topic => topic,
    }
}

/// `SV: RE[2]: VB (3):` and so on, and what the first of them says.
fn strip_prefixes(text: &str) -> (Option<Relation>, &str) {
    let mut text = text.trim_start();
    let mut relation = None;
    // Some keyboards have a colon of full width.
    while let Some((word, rest)) = text.split_once([':', '\u{ff1a}']) {
        let word = without_count(word).to_lowercase();
        let of = |words: &[&str]| words.contains(&word.as_str());
        let this = match (of(ANSWERED), of(FORWARDED)) {
            (true, _) => Relation::Answer,
            (_, true) => Relation::Forward,
            _ => break,
        };
        relation = relation.or(Some(this));
        text = rest.trim_start();
    }
    (relation, text)
}

/// `RE[2]`, `RE (2)`, `RE^2` without their count.
fn without_count(word: &str) -> &str {
    let word = word.trim();
    let bare = word.trim_end_matches([']', ')']).trim_end_matches(|c: char| c.is_ascii_digit());
    bare.strip_suffix(['[', '(', '^']).map_or(word, str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_our_tags_are_stripped_and_other_brackets_stay() {
        let subject = read("SV: RE : [sekretess] [dnr KS 2026/123] VB: Ansökan [bilaga 2] om: stöd [Att: Anna Åberg] [öppen]");
        assert_eq!(subject.label, "Ansökan [bilaga 2] om: stöd");
        assert_eq!(subject.diary_numbers, ["KS 2026/123"]);
        assert_eq!(subject.attention.as_deref(), Some("Anna Åberg"));
        assert_eq!(subject.secrecy, Some(Secrecy::Confidential));
    }

    #[test]
    fn prefixes_of_every_kind_are_stripped_and_the_outermost_decides() {
        for (text, label, relation) in [
            ("Ansökan", "Ansökan", None),
            ("RE[2]: Sv (3): Ansökan", "Ansökan", Some(Relation::Answer)),
            ("Re^2: Ansökan", "Ansökan", Some(Relation::Answer)),
            ("VB: SV: Ansökan", "Ansökan", Some(Relation::Forward)),
            ("SV: VB: Fwd: Ansökan", "Ansökan", Some(Relation::Answer)),
            ("AW： WG: Ansökan", "Ansökan", Some(Relation::Answer)),
            ("[dnr 1] FW:[sekretess]RE: Ansökan", "Ansökan", Some(Relation::Forward)),
            ("Beslut: avslag", "Beslut: avslag", None),
            ("Kl 10:30", "Kl 10:30", None),
            ("Re 2: x", "Re 2: x", None),
        ] {
            let subject = read(text);
            assert_eq!((subject.label.as_str(), subject.relation), (label, relation), "{text}");
        }
    }

    #[test]
    fn a_subject_of_nothing_but_marks_is_empty() {
        assert_eq!(read(" Re: \r\n [öppen] ").label, "");
        assert_eq!(read("[dnr] [").label, "[dnr] [");
    }
}
