//! SHA-256 of bytes and streams.

use std::io;

use crate::ident::Sha256;

/// SHA-256 of a stream, fed by [`io::Write`].
pub struct Hasher(openssl::sha::Sha256);

impl Hasher {
    /// A hasher that was fed nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(openssl::sha::Sha256::new())
    }

    /// Feeds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything fed.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finish())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 of bytes at hand.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(openssl::sha::sha256(bytes))
}
