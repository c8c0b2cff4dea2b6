//! The manual of every option, made of the declarations: `config/gateway.toml`.

use std::fmt::Write as _;

use super::declare::{Entry, Need, Read, Shape};
use super::raw;

const HEAD: &str = "\
# Every option of brevbro, with its manual. Generated: `brevbro check-config --reference`.
#
# What is required stands as an example. What need not be given stands behind a # with its default, or with an example
# where there is none. Paths are relative to this file. Secrets are named by file, never written here.
";

/// The whole reference, a TOML text.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    if let Shape::Table(entries) = raw::Root::shape() {
        section(&mut text, &entries, "", false);
    }
    text
}

/// What holds where an option is left out, as TOML; `None` when there is no such option, or no default. The path is that of
/// the file without numbers, `smtp.pace.mails-per-hour`.
#[must_use]
pub fn default_of(path: &str) -> Option<&'static str> {
    let (Shape::Table(mut entries), mut rest) = (raw::Root::shape(), path) else { return None };
    loop {
        let (key, behind) = rest.split_once('.').map_or((rest, None), |(key, behind)| (key, Some(behind)));
        let entry = entries.into_iter().find(|entry| entry.key == key)?;
        match (entry.shape, behind) {
            (Shape::Value(_), None) => return (entry.need == Need::Default).then_some(entry.text),
            (Shape::Table(inside) | Shape::Tables(inside), Some(behind)) => (entries, rest) = (inside, behind),
            _ => return None,
        }
    }
}

/// The options of a section, then its sections. `quiet`: the section itself need not be given, so all of it is a comment.
fn section(text: &mut String, entries: &[Entry], path: &str, quiet: bool) {
    let is_value = |entry: &&Entry| matches!(entry.shape, Shape::Value(_));
    for entry in entries.iter().filter(is_value) {
        let Shape::Value(kind) = &entry.shape else { continue };
        text.push('\n');
        manual(text, entry.doc);
        let need = match entry.need {
            Need::Required => "required",
            Need::Optional => "optional; an example follows",
            Need::Default => "default follows",
        };
        let mark = if quiet || entry.need != Need::Required { "#" } else { "" };
        let _ = writeln!(text, "# ({kind}; {need})\n{mark}{} = {}", entry.key, entry.text);
    }
    for entry in entries {
        let (entries, open, close) = match &entry.shape {
            Shape::Value(_) => continue,
            Shape::Table(entries) => (entries, "[", "]"),
            Shape::Tables(entries) => (entries, "[[", "]]"),
        };
        let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        let quiet = quiet || entry.need == Need::Optional;
        text.push('\n');
        manual(text, entry.doc);
        let _ = writeln!(text, "{}{open}{path}{close}", if quiet { "#" } else { "" });
        section(text, entries, &path, quiet);
    }
}

/// A doc comment as comment lines. Backticks are Markdown's and fall away.
fn manual(text: &mut String, doc: &str) {
    for line in doc.lines() {
        let _ = writeln!(text, "#{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::declare::{Errors, read_root};
    use super::*;

    /// Lines `#key = value` and `#[section]` without their mark: the whole manual as one configuration.
    fn everything() -> String {
        let option = |line: &str| line.starts_with("#[") || (!line.starts_with("# ") && line.starts_with('#') && line.contains(" = "));
        let reference = reference();
        reference.lines().map(|line| if option(line) { line.trim_start_matches('#') } else { line }).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_example_and_default_is_a_right_value() {
        let mut errors = Errors::default();
        let root = read_root::<raw::Root>(everything().parse().unwrap(), &mut errors).unwrap();
        assert_eq!(errors.into_sorted(), Vec::new());
        let organisation = &root.organisation.unwrap()[0];
        assert!(organisation.mailbox.as_ref().unwrap()[0].file_types.is_some());
        assert!(root.discovery.unwrap().participant.unwrap()[0].encryption_certificate.is_some());
    }

    #[test]
    fn defaults_hold_where_a_section_is_left_out() {
        let mut errors = Errors::default();
        let root = read_root::<raw::Root>(reference().parse().unwrap(), &mut errors).unwrap();
        assert_eq!(errors.into_sorted(), Vec::new());
        assert_eq!(root.retry.unwrap().give_up.unwrap().0.as_secs(), 172_800);
        assert_eq!(root.access_point.unwrap().max_envelope.unwrap().0, 150_000_000);
    }
}
