//! Content at rest: a header and a body under AES-256-GCM, written as a stream and read from any place.
//!
//! ```text
//!  "BREVSEAL"  version u8 = 1  log2 of a chunk u8 = 16  u16 = 0  octets of the sealed header u32
//!  key's id, 8 octets
//!  salt, 32 octets
//!  header      sealed; as associated data all of the above
//!  body        in chunks of 64 KiB, each sealed; as associated data the SHA-256 of all of the above.
//!              The last one has 0 to 64 KiB, and there is always one
//! ```
//!
//! Numbers are big-endian. *Sealed* is ciphertext and a tag of 16 octets, so a part is so much longer than its clear text.
//!
//! Each content has a key of its own: HKDF-SHA256 of the [`RestKey`], the salt (random), and `brevbro content v1`. So a
//! nonce can count: one octet for what is sealed (0 the header, 1 a chunk, 2 the last chunk), three that are zero, and the
//! chunk's number in eight. A changed, exchanged or missing chunk, one of another content, and a cut at the border of a
//! chunk all fail at a tag, and no octet is handed out before its tag has held.
//!
//! What can be told without the key: the id of the key, and how long header and body are.

mod head;
mod key;
mod open;
mod seal;
mod veil;

use std::io::{self, SeekFrom};

use openssl::symm::{Cipher, Crypter, Mode};
use zeroize::Zeroizing;

use super::ProviderError;

pub use head::Head;
pub use key::{KeyId, RestKey, RestKeyError};
pub use open::Opened;
pub use seal::Sealer;
pub use veil::Veil;

/// Octets of a full chunk as it is written: who cuts a body at multiples of it cuts between chunks.
pub const SEALED_CHUNK: usize = CHUNK + TAG;

/// Octets of a chunk's clear text.
const CHUNK: usize = 1 << CHUNK_LOG2;
const CHUNK_LOG2: u8 = 16;
/// Octets of a tag.
const TAG: usize = 16;

/// Where a seek leads in a body of `octets` that is read at `at`.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] before its beginning.
pub fn sought(to: SeekFrom, at: u64, octets: u64) -> io::Result<u64> {
    let place = match to {
        SeekFrom::Start(place) => Some(place),
        SeekFrom::End(by) => octets.checked_add_signed(by),
        SeekFrom::Current(by) => at.checked_add_signed(by),
    };
    place.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// What a nonce stands for.
#[derive(Debug, Clone, Copy)]
enum Part {
    Header,
    Chunk(u64),
    Last(u64),
}

impl Part {
    fn nonce(self) -> [u8; 12] {
        let (kind, number) = match self {
            Self::Header => (0, 0),
            Self::Chunk(number) => (1, number),
            Self::Last(number) => (2, number),
        };
        let mut nonce = u128::from(number).to_be_bytes();
        nonce[4] = kind;
        *nonce.last_chunk().unwrap_or(&[0; 12])
    }
}

/// The key of one content.
struct ContentKey(Zeroizing<[u8; 32]>);

impl ContentKey {
    /// Appends the sealed form of `clear` to `out`.
    fn seal(&self, part: Part, associated: &[u8], clear: &[u8], out: &mut Vec<u8>) -> Result<(), ProviderError> {
        let failed = |_| ProviderError("seal content");
        let mut crypter = Crypter::new(Cipher::aes_256_gcm(), Mode::Encrypt, &*self.0, Some(&part.nonce())).map_err(failed)?;
        crypter.aad_update(associated).map_err(failed)?;
        let start = out.len();
        // The provider asks for room for one block more than it uses.
        out.resize(start + clear.len() + TAG, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let length = if clear.is_empty() { 0 } else { crypter.update(clear, room).map_err(failed)? };
        let mut tag = [0; TAG];
        crypter.finalize(&mut tag).map_err(failed)?;
        crypter.get_tag(&mut tag).map_err(failed)?;
        out.truncate(start + length);
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens a sealed form into `clear`, which is empty when the tag does not hold.
    fn open(&self, part: Part, associated: &[u8], sealed: &[u8], clear: &mut Zeroizing<Vec<u8>>) -> Result<(), NotWhatWasSealed> {
        let opened = self.try_open(part, associated, sealed, clear);
        if opened.is_err() {
            // Not authenticated, so nobody sees it; and it may be clear text.
            zeroize::Zeroize::zeroize(&mut **clear);
        }
        opened
    }

    fn try_open(&self, part: Part, associated: &[u8], sealed: &[u8], clear: &mut Vec<u8>) -> Result<(), NotWhatWasSealed> {
        let failed = |_| NotWhatWasSealed;
        let length = sealed.len().checked_sub(TAG).ok_or(NotWhatWasSealed)?;
        let (text, tag) = sealed.split_at(length);
        let mut crypter = Crypter::new(Cipher::aes_256_gcm(), Mode::Decrypt, &*self.0, Some(&part.nonce())).map_err(failed)?;
        crypter.aad_update(associated).map_err(failed)?;
        clear.resize(length + TAG, 0);
        let opened = if text.is_empty() { 0 } else { crypter.update(text, clear).map_err(failed)? };
        crypter.set_tag(tag).map_err(failed)?;
        crypter.finalize(&mut [0; TAG]).map_err(failed)?;
        clear.truncate(opened);
        Ok(())
    }
}

/// A tag does not hold: another key, or not what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not what was sealed")]
pub struct NotWhatWasSealed;

#[cfg(test)]
mod tests;
