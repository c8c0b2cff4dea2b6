//! A state folder that is being filled: by a restore, or by an import. Nobody may start on it before it is whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::sync_directory;
use crate::port::StoreError;

/// The name of the mark.
const NAME: &str = "unfinished";

/// The mark of a state folder that is being filled. It stays when it is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished(PathBuf);

impl Unfinished {
    /// Marks a folder, durably, before anything else is written into it.
    ///
    /// # Errors
    /// The file system's; [`io::ErrorKind::AlreadyExists`] when it is marked.
    pub fn begin(state_dir: &Path, what: &str) -> io::Result<Self> {
        let path = state_dir.join(NAME);
        let mut file = File::create_new(&path)?;
        file.write_all(what.as_bytes())?;
        file.sync_all()?;
        sync_directory(state_dir)?;
        Ok(Self(path))
    }

    /// Everything is there, durably.
    ///
    /// # Errors
    /// The file system's.
    pub fn end(self) -> io::Result<()> {
        fs::remove_file(&self.0)?;
        self.0.parent().map_or(Ok(()), sync_directory)
    }

    /// Refuses a folder that is marked.
    ///
    /// # Errors
    /// [`StoreError::Broken`] with advice.
    pub fn refuse(state_dir: &Path) -> Result<(), StoreError> {
        match fs::read_to_string(state_dir.join(NAME)) {
            Ok(what) => Err(Self::refusal(&state_dir.display().to_string(), &what)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(super::store_error("reading", &state_dir.join(NAME), &error)),
        }
    }

    /// What is said of a place where something was not ended.
    pub(super) fn refusal(place: &str, what: &str) -> StoreError {
        StoreError::Broken(format!("{what} into {place} was cut off, so that what is there is not all of it: empty it, and do it again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_refused_from_the_beginning_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        Unfinished::refuse(dir.path()).unwrap();
        let mark = Unfinished::begin(dir.path(), "an import").unwrap();
        let refused = Unfinished::refuse(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("an import into ") && refused.contains("empty it"), "{refused}");
        assert!(Unfinished::begin(dir.path(), "another").is_err());
        mark.end().unwrap();
        Unfinished::refuse(dir.path()).unwrap();
    }
}
