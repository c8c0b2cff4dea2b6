//! The files that a configuration names: read with a limit, secrets only when nobody else can read them.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

/// No key or list of CAs is larger.
const LIMIT: u64 = 1 << 20;

/// A password out of a file. Its debug print shows nothing of it; it is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The password itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[…]")
    }
}

/// Why a file cannot be used.
pub(super) enum FileError {
    /// It is not there, or cannot be read.
    Unreadable(std::io::Error),
    /// It is a folder, a pipe, or larger than it can be.
    Odd(&'static str),
    /// Others can read or change it; its mode.
    Exposed(u32),
    /// It holds no text.
    NoText,
}

impl FileError {
    /// What is wrong, as the rest of a sentence.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Unreadable(error) if error.kind() == std::io::ErrorKind::NotFound => "names a file that is not there".to_owned(),
            Self::Unreadable(error) => format!("names a file that cannot be read: {error}"),
            Self::Odd(what) => format!("names {what}"),
            Self::Exposed(mode) => format!("names a file that others can read or change (mode {mode:03o})"),
            Self::NoText => "names a file that is empty or no UTF-8".to_owned(),
        }
    }

    /// What to do.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Unreadable(error) if error.kind() == std::io::ErrorKind::NotFound => {
                "a relative path begins at the configuration file's folder; credential:NAME needs LoadCredential= in the unit".to_owned()
            }
            Self::Unreadable(_) => "the user that runs brevbro must be able to read it".to_owned(),
            Self::Exposed(_) => "chmod 600 it and give it to the user that runs brevbro".to_owned(),
            Self::Odd(_) | Self::NoText => String::new(),
        }
    }

    /// Whether the file is there: then its name is no secret that was written in the wrong place.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::Unreadable(error) if error.kind() != std::io::ErrorKind::PermissionDenied)
    }
}

/// A secret's octets, and whether its group can read it too.
pub(super) struct SecretOctets {
    pub(super) octets: Zeroizing<Vec<u8>>,
    pub(super) group_reads: bool,
}

/// Reads a file that is no secret.
pub(super) fn public(path: &Path) -> Result<Vec<u8>, FileError> {
    read(path).map(|(octets, _)| octets)
}

/// Reads a secret; refuses one that others can read or anyone but its owner can change.
pub(super) fn secret(path: &Path) -> Result<SecretOctets, FileError> {
    let (octets, mode) = read(path)?;
    let octets = Zeroizing::new(octets);
    if mode & 0o027 == 0 { Ok(SecretOctets { octets, group_reads: mode & 0o040 != 0 }) } else { Err(FileError::Exposed(mode)) }
}

/// Reads a password: the file's text without the line end at its end.
pub(super) fn password(path: &Path) -> Result<(Secret, bool), FileError> {
    let read = secret(path)?;
    let text = std::str::from_utf8(&read.octets).map_err(|_| FileError::NoText)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err(FileError::NoText) } else { Ok((Secret(Zeroizing::new(text.to_owned())), read.group_reads)) }
}

fn read(path: &Path) -> Result<(Vec<u8>, u32), FileError> {
    let metadata = std::fs::metadata(path).map_err(FileError::Unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::Odd("something that is no file"));
    }
    let file = std::fs::File::open(path).map_err(FileError::Unreadable)?;
    // Room for all of it at once: a vector that grows leaves copies of a key behind.
    let mut octets = Vec::with_capacity(usize::try_from(metadata.len().min(LIMIT)).unwrap_or_default() + 1);
    file.take(LIMIT + 1).read_to_end(&mut octets).map_err(FileError::Unreadable)?;
    if octets.len() as u64 > LIMIT { Err(FileError::Odd("a file of more than 1 MiB")) } else { Ok((octets, metadata.mode() & 0o777)) }
}
