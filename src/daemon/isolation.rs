//! Whose state a folder holds: messages of one environment never go out into another, however the configuration is changed
//! (SDK C3.2.1 2.10.e).

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::config::Environment;
use crate::ident::FederationId;

/// The name of the mark in the state's folder.
const MARK: &str = "federation";

/// Marks the folder as the federation's, or refuses when it is another's. An environment that the CAs do not tell is no other.
pub(super) fn claim(dir: &Path, federation: &FederationId, environment: Option<Environment>) -> Result<(), String> {
    let path = dir.join(MARK);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let environment = environment.map(|environment| environment.to_string()).unwrap_or_default();
    let marked = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(text) = &marked {
        let mut lines = text.lines();
        let (of, was) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if !of.eq_ignore_ascii_case(&federation.to_string()) {
            return Err(format!("{} holds messages of the federation {of}; give this one a state-dir of its own", dir.display()));
        }
        if !was.is_empty() && !environment.is_empty() && was != environment {
            return Err(format!("{} holds messages of {was}; give {environment} a state-dir of its own", dir.display()));
        }
        if environment.is_empty() || was == environment {
            return Ok(());
        }
    }
    fs::create_dir_all(dir).map_err(failed)?;
    fs::write(&path, format!("{federation}\n{environment}\n")).map_err(failed)
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
}
