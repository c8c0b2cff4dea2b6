//! The testbed's files: written whole or not at all, secrets for their owner alone. Two processes may write at once.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TestbedError;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Keys and passwords.
    Owner,
    /// Certificates and the rest.
    Everyone,
}

pub(super) fn make_dir(dir: &Path) -> Result<(), TestbedError> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(|source| TestbedError::File { path: dir.into(), source })
}

pub(super) fn write(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), TestbedError> {
    let file_error = |source| TestbedError::File { path: path.into(), source };
    if let Some(dir) = path.parent() {
        make_dir(dir)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", uuid::Uuid::new_v4().simple()));
    let temporary = path.with_file_name(name);
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(file_error)?;
    // The mode above passes through the process's mask.
    file.set_permissions(Permissions::from_mode(mode)).map_err(file_error)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(file_error)?;
    fs::rename(&temporary, path).map_err(file_error)
}

/// The file's octets; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, TestbedError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TestbedError::File { path: path.into(), source }),
    }
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), TestbedError> {
    let text = serde_json::to_vec_pretty(value).map_err(|source| TestbedError::Json { path: path.into(), source })?;
    write(path, &text, Readers::Everyone)
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TestbedError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| TestbedError::Json { path: path.into(), source })
}

/// The names in a directory, sorted; none when it does not exist. Files that are being written are left out.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, TestbedError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TestbedError::File { path: dir.into(), source }),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| Path::new(name).extension().is_none_or(|extension| extension != "new")).collect();
    names.sort();
    Ok(names)
}
