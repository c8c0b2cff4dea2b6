//! What a subject says: the label, and the tags `[dnr …]`, `[att: …]`, `[sekretess]`, `[öppen]` that case workers write.

use super::policy::Secrecy;
use super::words;

/// The label's greatest length in code points (SDK B1.3.3).
pub(super) const LABEL_MAX: usize = 256;
/// The label of a mail without subject.
pub(super) const NO_SUBJECT: &str = "(utan rubrik)";
/// What mail programs put before an answered or forwarded subject.
const PREFIXES: &[&str] = &["re", "sv", "vb", "fw", "fwd", "aw"];

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
    words::one_line(strip_prefixes(&label)).clone_into(&mut subject.label);
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

fn strip_prefixes(text: &str) -> &str {
    let mut text = text.trim_start();
    while let Some((word, rest)) = text.split_once(':') {
        if !PREFIXES.contains(&word.trim_end().to_lowercase().as_str()) {
            break;
        }
        text = rest.trim_start();
    }
    text
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
    fn a_subject_of_nothing_but_marks_is_empty() {
        assert_eq!(read(" Re: \r\n [öppen] ").label, "");
        assert_eq!(read("[dnr] [").label, "[dnr] [");
    }
}
