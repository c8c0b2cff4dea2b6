//! Writing a content.

use std::io::{self, Write};

use zeroize::{Zeroize as _, Zeroizing};

use super::{CHUNK, ContentKey, Head, Part, RestKey};
use crate::ident::Sha256;

/// Seals what is written to it. Only [`Self::finish`] writes the last chunk: what is left without it cannot be read.
///
/// It holds one chunk of clear text, and wipes it.
pub struct Sealer<W: Write> {
    out: W,
    key: ContentKey,
    binding: Sha256,
    clear: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
    number: u64,
    failed: bool,
}

impl<W: Write> Sealer<W> {
    /// Begins: writes the head and the sealed header.
    ///
    /// # Errors
    /// Of `out`, and of the provider as [`io::ErrorKind::Other`].
    pub fn new(key: &RestKey, header: &[u8], out: W) -> io::Result<Self> {
        let (front, mut sealer) = Self::apart(key, header, out)?;
        sealer.out.write_all(&front)?;
        Ok(sealer)
    }

    /// As [`Self::new`], with the head and the sealed header handed over instead of written: for whoever keeps them apart
    /// from the body.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn apart(key: &RestKey, header: &[u8], out: W) -> io::Result<(Vec<u8>, Self)> {
        let mut salt = [0; 32];
        openssl::rand::rand_bytes(&mut salt).map_err(|_| io::Error::other(super::ProviderError("make a random number")))?;
        Self::salted(key, &salt, header, out)
    }

    pub(super) fn salted(key: &RestKey, salt: &[u8; 32], header: &[u8], out: W) -> io::Result<(Vec<u8>, Self)> {
        let head = Head::new(key.id(), header.len(), salt)?;
        let content = head.content_key(key).map_err(io::Error::other)?;
        let mut front = head.octets().to_vec();
        content.seal(Part::Header, head.octets(), header, &mut front).map_err(io::Error::other)?;
        let binding = head.binding(front.get(Head::OCTETS..).unwrap_or_default());
        Ok((front, Self { out, key: content, binding, clear: Zeroizing::new(Vec::new()), sealed: Vec::new(), number: 0, failed: false }))
    }

    /// Writes the last chunk and gives the stream back.
    ///
    /// # Errors
    /// As [`Self::new`]; [`io::ErrorKind::Other`] when a write had failed before.
    pub fn finish(self) -> io::Result<W> {
        let (mut out, last) = self.end()?;
        out.write_all(&last)?;
        Ok(out)
    }

    /// As [`Self::finish`], with the last chunk handed over instead of written.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn end(mut self) -> io::Result<(W, Vec<u8>)> {
        self.seal(Part::Last(self.number))?;
        Ok((self.out, self.sealed))
    }

    /// Writes what is held, which is a full chunk.
    fn chunk(&mut self) -> io::Result<()> {
        self.seal(Part::Chunk(self.number))?;
        // Until it is written, it is not: a chunk that went out in part must not be followed by another one.
        self.failed = true;
        self.out.write_all(&self.sealed)?;
        self.failed = false;
        self.number += 1;
        Ok(())
    }

    /// Seals what is held, and wipes it.
    fn seal(&mut self, part: Part) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write had failed"));
        }
        self.sealed.clear();
        self.key.seal(part, &self.binding.0, &self.clear, &mut self.sealed).map_err(io::Error::other)?;
        self.clear.as_mut_slice().zeroize();
        self.clear.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("an earlier write had failed"));
        }
        // A full chunk waits for more, since the last one is marked.
        if self.clear.len() == CHUNK && !bytes.is_empty() {
            self.chunk()?;
        }
        let taken = bytes.len().min(CHUNK - self.clear.len());
        if self.clear.capacity() < self.clear.len() + taken {
            self.grow(taken);
        }
        self.clear.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    /// Of whole chunks; the rest waits for its end.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Sealer<W> {
    /// Makes room without leaving a copy behind. Small contents need no whole chunk of it.
    fn grow(&mut self, by: usize) {
        let room = (self.clear.len() + by).next_power_of_two().clamp(4096, CHUNK);
        let mut grown = Zeroizing::new(Vec::with_capacity(room));
        grown.extend_from_slice(&self.clear);
        self.clear = grown;
    }
}
