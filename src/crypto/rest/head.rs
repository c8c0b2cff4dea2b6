//! What stands in the clear before a sealed header.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::{CHUNK_LOG2, ContentKey, KeyId, NotWhatWasSealed, Part, RestKey, TAG};
use crate::crypto::{Hasher, ProviderError};
use crate::ident::Sha256;

const MAGIC: &[u8; 8] = b"BREVSEAL";
const VERSION: u8 = 1;

/// The beginning of a content: with which key it is to be opened, and how long its header is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    octets: [u8; Self::OCTETS],
}

impl Head {
    /// Octets of the beginning, before the sealed header.
    pub const OCTETS: usize = 16 + 8 + 32;

    /// Whether a content begins like this.
    #[must_use]
    pub fn begins(octets: &[u8]) -> bool {
        octets.starts_with(MAGIC)
    }

    pub(super) fn new(key: KeyId, header: usize, salt: &[u8; 32]) -> io::Result<Self> {
        let length = u32::try_from(header + TAG).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut octets = [0; Self::OCTETS];
        let fields = [MAGIC.as_slice(), &[VERSION, CHUNK_LOG2, 0, 0], &length.to_be_bytes(), &key.0, salt];
        for (octet, field) in octets.iter_mut().zip(fields.into_iter().flatten()) {
            *octet = *field;
        }
        Ok(Self { octets })
    }

    /// Reads the beginning.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is none, or of a later version.
    pub fn read(octets: [u8; Self::OCTETS]) -> io::Result<Self> {
        let damaged = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        match octets {
            [.., _, _, _, _] if !Self::begins(&octets) => damaged("it is no sealed content"),
            [_, _, _, _, _, _, _, _, VERSION, CHUNK_LOG2, 0, 0, ..] => Ok(Self { octets }),
            _ => damaged("it was sealed by a later version, or its beginning is damaged"),
        }
    }

    /// The key to open it with.
    #[must_use]
    pub fn key(&self) -> KeyId {
        KeyId(self.field::<24, 8>())
    }

    /// Octets of the sealed header that follows.
    #[must_use]
    pub fn sealed_header(&self) -> u32 {
        u32::from_be_bytes(self.field::<16, 4>())
    }

    /// Its octets.
    #[must_use]
    pub fn octets(&self) -> &[u8; Self::OCTETS] {
        &self.octets
    }

    /// The octets before a place.
    fn field<const END: usize, const OCTETS: usize>(&self) -> [u8; OCTETS] {
        self.octets.first_chunk::<END>().and_then(|front| front.last_chunk()).copied().unwrap_or([0; OCTETS])
    }

    fn salt(&self) -> &[u8; 32] {
        self.octets.last_chunk().unwrap_or(&[0; 32])
    }

    pub(super) fn content_key(&self, key: &RestKey) -> Result<ContentKey, ProviderError> {
        key.content(self.salt())
    }

    /// What the chunks of the body are bound to.
    pub(super) fn binding(&self, sealed_header: &[u8]) -> Sha256 {
        let mut hasher = Hasher::new();
        hasher.update(&self.octets);
        hasher.update(sealed_header);
        hasher.finish()
    }

    /// Opens the sealed header that follows the beginning.
    ///
    /// # Errors
    /// [`NotWhatWasSealed`].
    pub fn open_header(&self, key: &RestKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotWhatWasSealed> {
        let mut clear = Zeroizing::new(Vec::with_capacity(sealed.len()));
        let content = self.content_key(key).map_err(|_| NotWhatWasSealed)?;
        content.open(Part::Header, &self.octets, sealed, &mut clear)?;
        Ok(clear)
    }

    /// Reads a beginning and the sealed header behind it, of at most `limit` octets, from a stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when they are not there, and those of the stream.
    pub fn read_from(stream: &mut impl Read, limit: usize) -> io::Result<(Self, Vec<u8>)> {
        let mut octets = [0; Self::OCTETS];
        stream.read_exact(&mut octets).map_err(short)?;
        let head = Self::read(octets)?;
        let length = head.sealed_header() as usize;
        if length > limit.saturating_add(TAG) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its header is too long"));
        }
        let mut sealed = vec![0; length];
        stream.read_exact(&mut sealed).map_err(short)?;
        Ok((head, sealed))
    }
}

/// Octets that are missing are damage.
pub(super) fn short(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { io::Error::new(io::ErrorKind::InvalidData, "it is cut off") } else { error }
}
