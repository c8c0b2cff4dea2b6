//! Whose state a folder holds: messages of one environment never go out into another, however the configuration is changed
//! (SDK C3.2.1 2.10.e).

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::config::Environment;
use crate::ident::FederationId;
use crate::port::{Guard, Key, Op, Step, Store, StoreError};

/// The name of the mark in the state's folder.
const MARK: &str = "federation";

/// What a mark says, and what it is to say from here on.
struct Mark<'a> {
    federation: &'a FederationId,
    environment: String,
}

impl<'a> Mark<'a> {
    fn new(federation: &'a FederationId, environment: Option<Environment>) -> Self {
        Self { federation, environment: environment.map(|environment| environment.to_string()).unwrap_or_default() }
    }

    fn text(&self) -> String {
        format!("{}\n{}\n", self.federation, self.environment)
    }

    /// Whether the mark is to be written anew; an error when it is another federation's or environment's. One that the CAs do not
    /// tell is no other.
    fn replaces(&self, marked: &str, place: &str, advice: &str) -> Result<bool, String> {
        let Self { federation, environment } = self;
        let mut lines = marked.lines();
        let (of, was) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if !of.eq_ignore_ascii_case(&federation.to_string()) {
            return Err(format!("{place} holds messages of the federation {of}; give this one {advice} of its own"));
        }
        if !was.is_empty() && !environment.is_empty() && was != environment {
            return Err(format!("{place} holds messages of {was}; give {environment} {advice} of its own"));
        }
        Ok(!environment.is_empty() && was != environment)
    }
}

/// Marks the folder as the federation's, or refuses when it is another's.
pub(super) fn claim(dir: &Path, federation: &FederationId, environment: Option<Environment>) -> Result<(), String> {
    let (path, mark) = (dir.join(MARK), Mark::new(federation, environment));
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    match fs::read_to_string(&path) {
        // An earlier version wrote the mark into its place: a power cut or a full disk could leave it empty.
        Ok(marked) if !marked.trim().is_empty() && !mark.replaces(&marked, &dir.display().to_string(), "a state-dir")? => return Ok(()),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    fs::create_dir_all(dir).map_err(failed)?;
    write(dir, mark.text().as_bytes()).map_err(failed)
}

/// Puts the mark into its place, whole and durable.
fn write(dir: &Path, text: &[u8]) -> std::io::Result<()> {
    let new = dir.join(format!("{MARK}.new"));
    let mut file = fs::File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(MARK))?;
    fs::File::open(dir)?.sync_all()
}

/// The same for a database that several nodes share.
pub(super) async fn claim_store(store: &dyn Store, federation: &FederationId, environment: Option<Environment>) -> Result<(), String> {
    let (key, mark) = (Key::new("gateway", MARK), Mark::new(federation, environment));
    loop {
        let marked = store.note(key.clone()).await.map_err(|error| error.to_string())?;
        if let Some(marked) = &marked
            && !mark.replaces(marked, "the database", "a database")?
        {
            return Ok(());
        }
        let guard = marked.map_or_else(|| Guard::Absent(key.clone()), |marked| Guard::Noted(key.clone(), marked));
        match store.apply(Step::new().guard(guard).op(Op::Note(key.clone(), mark.text()))).await {
            Ok(()) => return Ok(()),
            // Another node marks it: what it wrote is looked at.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_with_the_environment_that_it_began_with() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        let (sdk, test) = ("urn:fdc:digg.se:edelivery:federation:sdk".parse().unwrap(), "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap());
        let claim = |federation: &FederationId, environment| claim(&dir, federation, environment);
        claim(&sdk, None).unwrap();
        claim(&sdk, Some(Environment::Qa)).unwrap();
        claim(&sdk, None).unwrap();
        claim(&sdk, Some(Environment::Qa)).unwrap();
        assert!(claim(&sdk, Some(Environment::Production)).unwrap_err().contains("holds messages of QA"));
        assert!(claim(&test, Some(Environment::OpenTest)).unwrap_err().contains("federation:sdk"));
        assert!(claim(&test, None).is_err());
    }

    #[tokio::test]
    async fn a_database_stays_with_the_environment_that_it_began_with() {
        let store = crate::store::MemoryStore::new();
        let (sdk, test) = ("urn:fdc:digg.se:edelivery:federation:sdk".parse().unwrap(), "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap());
        for environment in [None, Some(Environment::Qa), None, Some(Environment::Qa)] {
            claim_store(&store, &sdk, environment).await.unwrap();
        }
        let refused = claim_store(&store, &sdk, Some(Environment::Production)).await.unwrap_err();
        assert_eq!(refused, "the database holds messages of QA; give production a database of its own");
        assert!(claim_store(&store, &test, None).await.is_err());
    }

    #[test]
    fn a_mark_that_a_power_cut_emptied_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let federation = "urn:fdc:digg.se:edelivery:federation:sdk".parse().unwrap();
        fs::write(dir.path().join(MARK), "").unwrap();
        claim(dir.path(), &federation, Some(Environment::Qa)).unwrap();
        assert!(claim(dir.path(), &federation, Some(Environment::Production)).is_err());
    }
}
