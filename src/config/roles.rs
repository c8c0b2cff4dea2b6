//! What a node of one side is not configured with: what belongs to the other side is refused, and not asked for.
//!
//! A participant's private key that is merely not used on the machine in the DMZ can be stolen there all the same, so it is
//! an error. This is decided on the table as it was written: an option with a default is there only if somebody wrote it.

use super::checked::Role;
use super::declare::Errors;
use super::errors::ConfigError;

/// Options of the mail side: what gets mails in and out, and what is done with messages in the clear.
const MAIL: &[&str] =
    &["operator", "memory", "max-incoming-message", "smtp", "mail-server", "other-mail-server", "malware", "reading-url", "loops", "audit"];
/// What only the mail side has of an organisation.
const INSIDE: &[&str] = &["name", "mailbox"];
/// What is limited of mailboxes, which only the mail side knows.
const MAILBOXES: &[&str] = &["max-mailbox-waiting", "max-mailbox-stored", "max-mailbox-at-once"];
/// A participant's keys.
const KEYS: &[&str] = &["key", "key-password-file", "certificate", "encryption-key"];
/// Options of the access point's side.
const ACCESS_POINT: &[&str] = &["access-point"];

/// The role that the file names; a wrong one is told when it is read.
fn role_of(table: &toml::Table) -> Role {
    match table.get("node").and_then(|node| node.get("role")).and_then(toml::Value::as_str) {
        Some("access-point") => Role::AccessPoint,
        Some("mail") => Role::Mail,
        _ => Role::Both,
    }
}

/// Takes what belongs to the other side out of the file, and refuses it.
pub(super) fn divide(table: &mut toml::Table, errors: &mut Errors) -> Role {
    let role = role_of(table);
    match role {
        Role::Both => {}
        Role::Mail => {
            let hint = "its key and endpoint are configured on the node with role = \"access-point\": remove the section here";
            refuse(table, ACCESS_POINT, "", "belongs to the access point's side", hint, errors);
        }
        Role::AccessPoint => {
            refuse(table, MAIL, "", "belongs to the mail side", "it is configured on the node with role = \"mail\": remove it here", errors);
            if let Some(limits) = table.get_mut("limits").and_then(toml::Value::as_table_mut) {
                let hint = "mailboxes are configured on the node with role = \"mail\": remove it here";
                refuse(limits, MAILBOXES, "limits.", "belongs to the mail side", hint, errors);
            }
            let organisations = table.get_mut("organisation").and_then(toml::Value::as_array_mut);
            for (i, organisation) in organisations.into_iter().flatten().filter_map(toml::Value::as_table_mut).enumerate() {
                let at = format!("organisation[{i}].");
                let hint = "a participant's key must not be on an access point node: whoever gets into it could read and sign everything; \
                            keep it on the node with role = \"mail\"";
                refuse(organisation, KEYS, &at, "belongs to a participant's key", hint, errors);
                let hint = "an access point node needs to know no more than `participant`: remove it here";
                refuse(organisation, INSIDE, &at, "belongs to the mail side", hint, errors);
            }
        }
    }
    role
}

fn refuse(table: &mut toml::Table, keys: &[&str], at: &str, reason: &str, hint: &str, errors: &mut Errors) {
    for key in keys {
        if table.remove(*key).is_some() {
            errors.push(ConfigError::new(format!("{at}{key}"), reason).hint(hint));
        }
    }
}

/// Whether a node of this role can do without an option.
pub(super) fn is_needed(role: Role, path: &str) -> bool {
    let of = |keys: &[&str], path: &str| keys.contains(&path);
    match role {
        Role::Both => true,
        Role::Mail => !of(ACCESS_POINT, path),
        Role::AccessPoint => {
            let inside = path.strip_prefix("organisation[").and_then(|rest| rest.split_once("].")).map(|(_, key)| key);
            !of(MAIL, path) && !inside.is_some_and(|key| of(INSIDE, key) || of(KEYS, key))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::declare::{Shape, read_root};
    use crate::config::{declare::Read, raw};

    #[test]
    fn every_option_that_a_side_is_refused_is_one() {
        let Shape::Table(root) = raw::Root::shape() else { panic!("the root is a table") };
        let is_there = |keys: &[&str], entries: &[super::super::declare::Entry]| {
            for key in keys {
                assert!(entries.iter().any(|entry| entry.key == *key), "{key}");
            }
        };
        is_there(MAIL, &root);
        is_there(ACCESS_POINT, &root);
        let limits = root.iter().find(|entry| entry.key == "limits").map(|entry| &entry.shape);
        let Some(Shape::Table(limits)) = limits else { panic!("limits are a table") };
        is_there(MAILBOXES, limits);
        let organisation = root.iter().find(|entry| entry.key == "organisation").map(|entry| &entry.shape);
        let Some(Shape::Tables(organisation)) = organisation else { panic!("organisations are tables") };
        is_there(INSIDE, organisation);
        is_there(KEYS, organisation);
    }

    #[test]
    fn what_is_left_out_on_one_side_is_missing_on_the_other() {
        let missing = |role: &str| {
            let mut table: toml::Table = format!("node = {{ role = \"{role}\" }}\n[[organisation]]\nparticipant = \"0203:a.se\"").parse().unwrap();
            let mut errors = Errors::default();
            let role = divide(&mut table, &mut errors);
            drop(read_root::<raw::Root>(table, &mut errors));
            errors.forgive(|path| !is_needed(role, path));
            errors.into_sorted().into_iter().map(|error| error.path).collect::<Vec<_>>()
        };
        let all = ["discovery", "federation", "mail-domain", "name", "trust"];
        let inside = ["mail-server", "operator", "organisation[0].key", "organisation[0].mailbox", "organisation[0].name"];
        let sorted = |parts: &[&[&'static str]]| {
            let mut sorted: Vec<_> = parts.concat();
            sorted.sort_unstable();
            sorted
        };
        assert_eq!(missing("access-point"), sorted(&[&all, ACCESS_POINT]));
        assert_eq!(missing("mail"), sorted(&[&all, &inside]));
        assert_eq!(missing("both"), sorted(&[&all, &inside, ACCESS_POINT]));
    }
}
