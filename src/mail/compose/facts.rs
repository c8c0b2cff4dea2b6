//! What stands above a delivered text: from whom, to whom, about what, and what the mail cannot show.

use jiff::Timestamp;

use crate::content::{Content, Identifier, Party, Person, Redacted, Reference};
use crate::mail::{thread, words};

/// More names of foreign elements than a reader can do anything with.
const MAX_FOREIGN: usize = 5;

/// Something that the reader should know of this mail.
pub(super) struct Note {
    /// In Swedish.
    pub(super) swedish: String,
    /// In English.
    pub(super) english: String,
}

impl Note {
    pub(super) fn new(swedish: String, english: String) -> Self {
        Self { swedish, english }
    }
}

/// What the message holds and the mail does not show. `replaced` is the message's time where the mail has another Date.
pub(super) fn notes(content: &Content, replaced: Option<Timestamp>) -> Vec<Note> {
    let mut notes = Vec::new();
    if !content.foreign.is_empty() {
        let mut names: Vec<String> =
            content.foreign.iter().take(MAX_FOREIGN).map(|name| words::cut(&words::one_line(name), 120).to_owned()).collect();
        let more = content.foreign.len() - names.len();
        if more > 0 {
            names.push(format!("+{more}"));
        }
        let names = names.join(", ");
        notes.push(Note::new(
            format!("Meddelandet innehåller även uppgifter i ett format som inte kan visas här ({names}). Fråga avsändaren om något verkar saknas."),
            format!("The message also holds data in a form that cannot be shown here ({names}). Ask the sender if something seems to be missing."),
        ));
    }
    if let Some(created) = replaced {
        let created = created.strftime("%Y-%m-%d %H:%M UTC");
        notes.push(Note::new(
            format!("Enligt avsändaren skapades meddelandet {created}. Mejlets datum är när det kom hit."),
            format!("The sender says that the message was made {created}. The date of this mail is when it came here."),
        ));
    }
    notes
}

/// The function's name and the organisation's, or their ids.
pub(super) fn names(party: &Party) -> Vec<String> {
    let label = |label: &Option<Redacted<String>>| label.as_ref().map(|text| words::one_line(text)).filter(|text| !text.is_empty());
    let function = label(&party.function_label).or_else(|| party.function.as_ref().map(ToString::to_string));
    let organisation = label(&party.label).unwrap_or_else(|| party.participant.to_string());
    function.into_iter().chain(std::iter::once(organisation)).collect()
}

/// The lines of the block: a name and a value each.
pub(super) fn block(content: &Content) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Sekretess", if content.confidential { "Ja" } else { "Nej" }.to_owned())];
    let persons = |persons: &[Person]| persons.iter().filter_map(person).collect::<Vec<_>>().join(", ");
    let mut from = names(&content.sender).join(", ");
    let writers = persons(&content.sender.persons);
    if !writers.is_empty() {
        from = format!("{from} ({writers})");
    }
    facts.push(("Från", from));
    facts.push(("Till", names(&content.recipient).join(", ")));
    let attention = persons(&content.recipient.persons);
    if !attention.is_empty() {
        facts.push(("Att", attention));
    }
    let theirs = content.sender.references.iter().map(|reference| format!("{} (avsändarens)", number(reference)));
    let ours = content.recipient.references.iter().map(|reference| format!("{} (vår)", number(reference)));
    let references = theirs.chain(ours).collect::<Vec<_>>().join("; ");
    if !references.is_empty() {
        facts.push(("Referenser", references));
    }
    // What support asks for, and what an answer is known by when nothing is left of its header.
    facts.push((thread::quoted::LABEL, content.message_id.folded()));
    facts
}

fn person(person: &Person) -> Option<String> {
    let label = person.label.as_ref().map(|label| words::one_line(label)).filter(|label| !label.is_empty());
    let id = person.id.as_ref().map(identifier);
    match (label, id) {
        (Some(label), Some(id)) => Some(format!("{label}, {id}")),
        (label, id) => label.or(id),
    }
}

fn number(reference: &Reference) -> String {
    match reference.label.as_ref().map(|label| words::one_line(label)).filter(|label| !label.is_empty()) {
        Some(label) => format!("{label}: {}", identifier(&reference.id)),
        None => identifier(&reference.id),
    }
}

/// A value with its code system's name (SDK C3.2.7).
fn identifier(id: &Identifier) -> String {
    let value = words::one_line(&id.extension);
    let system = match id.root.trim() {
        "1.2.752.129.2.1.3.1" => "personnummer",
        "1.2.752.129.2.1.3.3" => "samordningsnummer",
        "1.2.752.74.9.1" => "reservnummer",
        "1.2.752.29.6.2.1" => "HSA-id",
        "dnr" => "dnr",
        "1.3.88" => "GLN",
        _ => return value,
    };
    format!("{system} {value}")
}
