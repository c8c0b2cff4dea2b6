//! Signed heads: what the journal's last line was at a time, signed with a key that the journal's machine need not keep.
//!
//! A head signs every line before it, since each holds the hash of the one before. Whoever keeps heads elsewhere can tell
//! whether any of these lines was changed, removed or inserted since, or the end cut off, even by one who can write every
//! file of the gateway and makes all hashes anew.
//!
//! ```text
//!  {"line":104205,"hash":"<64 hex>","at":"2026-11-20T13:10:03Z","node":"sdk-gw-1","key":"<64 hex>","signature":"<base64>"}
//!   signed: `brevbro journal head 1`, node, line, hash and time, a line each
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypto::{NotaryError, NotaryKey, NotaryPublic};
use crate::ident::Sha256;

/// The name of the file of heads beside the segments.
pub const HEADS: &str = "heads.jsonl";

/// The journal's last line at a time, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// The number of the line.
    pub line: u64,
    /// Its hash.
    pub hash: Sha256,
    /// When.
    pub at: Timestamp,
    /// Whose journal.
    pub node: String,
    /// SHA-256 of the public key.
    pub key: Sha256,
    /// Base64.
    pub signature: String,
}

impl SignedHead {
    /// Signs a head.
    ///
    /// # Errors
    /// [`NotaryError`] when the provider fails.
    pub fn sign(key: &NotaryKey, node: &str, line: u64, hash: Sha256, at: Timestamp) -> Result<Self, NotaryError> {
        let text = text(node, line, hash, at);
        let (name, signature) = (key.public()?.fingerprint()?, key.sign(text.as_bytes())?);
        Ok(Self { line, hash, at, node: node.to_owned(), key: name, signature: STANDARD.encode(signature) })
    }

    /// Whether the key signed it.
    #[must_use]
    pub fn verifies(&self, key: &NotaryPublic) -> bool {
        let signed = text(&self.node, self.line, self.hash, self.at);
        STANDARD.decode(&self.signature).is_ok_and(|signature| key.verifies(signed.as_bytes(), &signature))
    }

    /// Adds it to a file of heads, durably.
    ///
    /// # Errors
    /// The file system's.
    pub fn append(&self, path: &Path) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
        // A crash may have left half a line.
        if ends_torn(&mut file)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        file.sync_data()
    }
}

fn ends_torn(file: &mut File) -> io::Result<bool> {
    use io::{Seek, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn text(node: &str, line: u64, hash: Sha256, at: Timestamp) -> String {
    format!("brevbro journal head 1\n{node}\n{line}\n{hash}\n{at}\n")
}

/// Why heads prove nothing.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// A line is no head.
    #[error("line {0} of the heads is none")]
    NoHead(usize),
    /// A signature is wrong.
    #[error("the head of line {0} is not signed by this key, or was changed")]
    Signature(u64),
    /// Two heads of one journal contradict each other.
    #[error("two heads name line {0} with different hashes: one of them is of another journal, or the journal was written anew")]
    Contradiction(u64),
}

/// Heads out of a text, one a line, each of which the key must have signed: hashes by line.
///
/// # Errors
/// [`HeadsError`] for the first that is wrong. Half a line at the text's end was being written, and one that a crash cut off
/// is followed by a whole one.
pub fn trusted(text: &str, key: &NotaryPublic) -> Result<BTreeMap<u64, Sha256>, HeadsError> {
    let mut found = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Ok(head) = serde_json::from_str::<SignedHead>(line) else {
            if line.ends_with('}') {
                return Err(HeadsError::NoHead(number + 1));
            }
            continue;
        };
        if !head.verifies(key) {
            return Err(HeadsError::Signature(head.line));
        }
        if found.insert(head.line, head.hash).is_some_and(|before| before != head.hash) {
            return Err(HeadsError::Contradiction(head.line));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_trusted_as_they_were_signed_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join(HEADS), NotaryKey::generate().unwrap());
        let public = key.public().unwrap();
        let head = |line: u64| SignedHead::sign(&key, "sdk-gw-1", line, Sha256([line as u8; 32]), Timestamp::UNIX_EPOCH).unwrap();
        head(7).append(&path).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"line\":8,\"ha").unwrap();
        head(9).append(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let found = trusted(&text, &public).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(7, Sha256([7; 32])), (9, Sha256([9; 32]))]);
        assert!(matches!(trusted(&text.replace("\"line\":9", "\"line\":8"), &public), Err(HeadsError::Signature(8))));
        assert!(matches!(trusted(&text.replace("sdk-gw-1", "sdk-gw-2"), &public), Err(HeadsError::Signature(7))));
        assert!(matches!(trusted(&text, &NotaryKey::generate().unwrap().public().unwrap()), Err(HeadsError::Signature(7))));
        let other = SignedHead::sign(&key, "sdk-gw-1", 7, Sha256([1; 32]), Timestamp::UNIX_EPOCH).unwrap();
        let both = format!("{text}{}\n", serde_json::to_string(&other).unwrap());
        assert!(matches!(trusted(&both, &public), Err(HeadsError::Contradiction(7))));
    }
}
