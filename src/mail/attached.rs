//! The files of a mail: out of their parts, named apart, checked.

use std::collections::HashSet;

use super::body;
use super::files::{self, Attached};
use super::note::Note;
use super::policy::MailboxPolicy;
use super::refusal::ConvertError;
use super::structure;
use super::structure::Leaf;
use crate::content::{File, Redacted};

/// More files than a case worker attaches.
pub(super) const MAX_FILES: usize = 200;

/// The `number`-th file of a mail, decoded.
pub(super) fn attached(leaf: &Leaf<'_>, number: usize) -> Result<Attached, ConvertError> {
    let declared = files::normal_type(&leaf.media_type());
    let name = leaf.name.clone().or_else(|| match declared.split_once('/') {
        Some(("image", subtype)) => Some(format!("bild-{number}.{}", if subtype == "jpeg" { "jpg" } else { subtype })),
        Some(("message", "rfc822")) => Some(format!("mejl-{number}.eml")),
        Some(("text", "calendar")) => Some(format!("kalender-{number}.ics")),
        _ => None,
    });
    Ok(Attached { name, declared, body: body::bytes(leaf)? })
}

/// Files within a mail that is sent as a file: what may not be sent may not be sent so either.
pub(super) fn check_inside(structure: &structure::Structure<'_>, policy: &MailboxPolicy) -> Result<(), ConvertError> {
    for (at, leaf) in structure.inside.iter().enumerate() {
        let file = attached(leaf, at + 1)?;
        let shown = file.declared.starts_with("image/") && leaf.content_id().is_some();
        match files::check(file, at + 1, &policy.types, &mut Vec::new()) {
            // An image of the text, or nothing at all, harms nobody there.
            Err(ConvertError::Type { .. }) if shown => {}
            Ok(_) | Err(ConvertError::EmptyFile { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file that the mailbox's own rules attach: what is in it has been checked.
pub(super) fn kept_file(leaf: &Leaf<'_>, others: &[File]) -> Result<File, ConvertError> {
    let Attached { name, declared, body } = attached(leaf, others.len() + 1)?;
    let name = name.unwrap_or_default();
    let taken = |name: &str| others.iter().any(|other| other.name.eq_ignore_ascii_case(name));
    let free = (2..=MAX_FILES + 1).map(|number| files::numbered(&name, number)).find(|name| !taken(name));
    let name = if taken(&name) { free.unwrap_or(name) } else { name };
    Ok(File { name: name.into(), media_type: declared, body: body.into() })
}

/// Gives images of one name names of their own before the text names them: a phone calls each of its own `image0.jpeg`.
pub(super) fn name_images_apart(files: &mut [Attached]) {
    let mut taken: HashSet<String> = HashSet::new();
    for file in files {
        let name = files::clean_name(file.name.as_deref().unwrap_or_default());
        if name.is_empty() || taken.insert(name.to_lowercase()) || !file.declared.starts_with("image/") {
            continue;
        }
        if let Some(free) = (2..=MAX_FILES + 1).map(|number| files::numbered(&name, number)).find(|name| taken.insert(name.to_lowercase())) {
            file.name = Some(free);
        }
    }
}

/// Checks all files and gives them names that differ.
pub(super) fn check_files(files: impl Iterator<Item = Attached>, policy: &MailboxPolicy, notes: &mut Vec<Note>) -> Result<Vec<File>, ConvertError> {
    let mut checked: Vec<File> = Vec::new();
    for (at, file) in files.enumerate() {
        let mut file = files::check(file, at + 1, &policy.types, notes)?;
        let taken = |name: &str, checked: &[File]| checked.iter().any(|other| other.name.to_lowercase() == name.to_lowercase());
        if taken(&file.name, &checked) {
            let free = (2..=MAX_FILES + 1).map(|number| files::numbered(&file.name, number)).find(|name| !taken(name, &checked));
            file.name = Redacted(free.unwrap_or_else(|| file.name.0.clone()));
            notes.push(Note::new(
                format!("Två bilagor hette lika; en heter nu {}.", *file.name),
                format!("Two attachments had one name; one is now {}.", *file.name),
            ));
        }
        checked.push(file);
    }
    Ok(checked)
}
