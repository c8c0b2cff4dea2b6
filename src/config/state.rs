//! Where a gateway's state is, and nothing else of its configuration: for who only asks the journal.
//!
//! The rest may be wrong or not be there: a certificate that has ended keeps nobody from asking where a message is, and an
//! auditor's machine needs a file of `state-dir` and `[store]` alone, with a role of the database that can do nothing but read.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::check::Checker;
use super::checked::StateStore;
use super::errors::{ConfigError, ConfigErrors, syntax};
use super::{declare, raw};

/// What is read; the rest of the file is passed over.
const READ: [&str; 2] = ["state-dir", "store"];

/// Where a gateway's state is.
#[derive(Debug)]
pub struct State {
    /// The folder of its state.
    pub dir: PathBuf,
    /// What keeps messages, jobs and the journal.
    pub store: StateStore,
}

/// Reads where the state is.
///
/// # Errors
/// [`ConfigErrors`] of what is read.
pub fn state(path: &Path) -> Result<State, ConfigErrors> {
    let failed = |errors| ConfigErrors { file: path.to_owned(), errors };
    let text = std::fs::read_to_string(path).map_err(|error| failed(vec![ConfigError::new("", format!("cannot be read: {error}"))]))?;
    let mut table: toml::Table = text.parse().map_err(|error| failed(vec![syntax(&text, &error)]))?;
    table.retain(|key, _| READ.contains(&key));
    let mut errors = declare::Errors::default();
    let raw = declare::read_root::<raw::Root>(table, &mut errors);
    errors.forgive(|path| !READ.iter().any(|read| path.starts_with(read)));
    let base = path.parent().unwrap_or(Path::new(""));
    let read = raw.and_then(|raw| {
        let store = raw.store.and_then(|raw| Checker::new(base, Timestamp::now(), &mut errors).store(raw));
        Some(State { dir: base.join(raw.state_dir?), store: store? })
    });
    match read {
        Some(state) if errors.is_empty() => Ok(state),
        _ => Err(failed(errors.into_sorted())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<State, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.toml");
        std::fs::write(&path, text).unwrap();
        state(&path).map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_is_not_about_state_may_be_wrong_or_missing() {
        let found =
            read("nonsense = 1\nstate-dir = \"/srv/b\"\n[store]\nkind = \"postgresql\"\nsocket = \"/run/postgresql\"\n[trust]\nx = 1").unwrap();
        assert_eq!(found.dir, PathBuf::from("/srv/b"));
        let StateStore::Postgresql(database) = found.store else { panic!("a database") };
        assert_eq!((database.hosts.as_slice(), database.schema.as_str()), (&["/run/postgresql".to_owned()][..], "brevbro"));
        assert!(matches!(read("").unwrap().store, StateStore::Local(_)));
    }

    #[test]
    fn what_is_wrong_about_state_is_told() {
        assert!(read("[store]\nkind = \"postgresql\"").unwrap_err().contains("store.host: is missing"));
        assert!(read("[store]\nkind = 7").unwrap_err().contains("store.kind"));
        assert!(read("= 7").unwrap_err().contains("line 1"));
    }
}
