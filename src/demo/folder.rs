//! The demo's folder: what it leaves there, and the care that it deletes nothing but its own.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::DemoError;
use super::say;

/// A folder with this file was made by a demo. It is locked while one runs.
const MARK: &str = ".brevbro-demo";

/// What the demo leaves: name, Swedish, English.
const CONTENTS: [(&str, &str, &str); 20] = [
    ("sent.eml", "mejlet som Håbo lämnade till sin gateway", "the mail as submitted"),
    ("message.xml", "SDK-meddelandet i klartext", "the SDK message in the clear"),
    ("envelope.xml", "XHE-kuvertet: krypterat och signerat, som det skickades", "the XHE as sent"),
    ("as4-request.http", "AS4-meddelandet på tråden, huvuden och kropp", "the AS4 request on the wire"),
    ("as4-response.http", "svaret: accesspunktens signerade kvittens", "the response with the AS4 receipt"),
    ("kvittens.xml", "meddelandekvittensen i klartext", "the message receipt"),
    ("kvittens-request.http", "AS4-meddelandet som bar den", "the AS4 request that carried it"),
    ("kvittens-response.http", "och svaret på det", "and its response"),
    ("delivered.eml", "mejlet som Arbetsförmedlingen fick", "the mail as delivered"),
    ("dsn.eml", "beskedet till avsändaren", "the delivery notice (DSN)"),
    ("answer-sent.eml", "svaret som mejl", "the answer as submitted"),
    ("answer-message.xml", "svaret som SDK-meddelande", "its SDK message"),
    ("answer-delivered.eml", "svaret som Håbo fick", "the answer as delivered"),
    ("answer-dsn.eml", "beskedet om svaret", "its delivery notice"),
    ("timeline.json", "varje steg med alla id:n och tider", "every step"),
    ("servicegroup.xml", "mottagarens registrering i SMP", "the recipient's service group"),
    ("smp.xml", "mottagarens signerade metadata i SMP", "its signed service metadata"),
    ("keys", "federationens CA:er och alla nycklar", "the federation: CAs and keys"),
    ("mail", "brevlådorna, som Maildir", "the mailboxes as Maildir"),
    ("habo, arbetsformedlingen", "gatewayernas konfiguration och tillstånd", "the gateways' configuration and state"),
];

/// Where Dovecot has its files.
pub(super) const DOVECOT: &str = "dovecot";

/// The folder, for this demo alone.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder: one that is new, empty, or an earlier demo's, which is cleared.
    ///
    /// # Errors
    /// [`DemoError::Foreign`] when something else is in it; nothing is deleted then.
    pub(super) fn take(path: &Path) -> Result<Self, DemoError> {
        let file = |source| DemoError::File { path: path.into(), source };
        fs::create_dir_all(path).map_err(file)?;
        let path = path.canonicalize().map_err(file)?;
        let mark = path.join(MARK);
        if !mark.is_file() && fs::read_dir(&path).map_err(file)?.next().is_some() {
            return Err(DemoError::Foreign(path));
        }
        let lock = File::options().create(true).append(true).open(&mark).map_err(file)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DemoError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(DemoError::File { path: mark, source }),
        }
        // Only what a demo makes, by name: a file that somebody laid beside it stays.
        for name in CONTENTS.iter().flat_map(|(names, ..)| names.split(", ")).chain([DOVECOT]) {
            let old = path.join(name);
            let gone = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            match gone {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(DemoError::File { path: old, source }),
                _ => {}
            }
        }
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a file.
    pub(super) fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), DemoError> {
        let path = self.path.join(name);
        fs::write(&path, bytes).map_err(|source| DemoError::File { path, source })
    }

    /// Prints what lies there.
    pub(super) fn print(&self, out: &mut (dyn Write + Send)) {
        say(out, &format!("Filerna ligger i / The files are in {}", self.path.display()));
        for (name, swedish, english) in CONTENTS {
            say(out, &format!("  {name:<26}{swedish} ({english})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_an_earlier_demo_is_cleared_of_what_demos_make() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder");
        let folder = Folder::take(&path).unwrap();
        folder.keep("dsn.eml", b"x").unwrap();
        folder.keep("notes.txt", b"mine").unwrap();
        fs::create_dir_all(path.join("keys/ca")).unwrap();
        assert!(matches!(Folder::take(&path), Err(DemoError::InUse(_))));
        drop(folder);
        let _again = Folder::take(&path).unwrap();
        assert!(!path.join("dsn.eml").exists() && !path.join("keys").exists());
        assert_eq!(fs::read(path.join("notes.txt")).unwrap(), b"mine");
    }

    #[test]
    fn a_folder_with_anything_else_in_it_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("keys")).unwrap();
        fs::write(dir.path().join("keys/ca.pem"), b"precious").unwrap();
        assert!(matches!(Folder::take(dir.path()), Err(DemoError::Foreign(_))));
        assert_eq!(fs::read(dir.path().join("keys/ca.pem")).unwrap(), b"precious");
        assert!(!dir.path().join(MARK).exists());
    }
}
