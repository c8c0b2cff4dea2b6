//! Reading a content.

use std::io::{self, Read, Seek, SeekFrom};

use zeroize::{Zeroize as _, Zeroizing};

use super::head::short;
use super::{CHUNK, ContentKey, Head, Part, RestKey, TAG, sought};
use crate::ident::Sha256;

/// The body of a content, from any place. No octet is handed out before the tag of its chunk has held. The first read opens
/// the last chunk before all others, so that whoever reads anything knows that the length is what was written.
///
/// It holds one chunk of clear text, and wipes it.
pub struct Opened<R: Read + Seek> {
    stream: R,
    key: ContentKey,
    binding: Sha256,
    /// Where the body begins in the stream.
    start: u64,
    octets: u64,
    at: u64,
    /// Whether the last chunk has been opened.
    ends: bool,
    /// The number of the chunk that `clear` holds.
    held: Option<u64>,
    clear: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
}

impl<R: Read + Seek> Opened<R> {
    /// Begins behind the head and the sealed header, where the stream stands; the body ends where the stream ends. Nothing
    /// is read yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when no body has that length; those of the stream.
    pub fn new(key: &RestKey, head: &Head, sealed_header: &[u8], mut stream: R) -> io::Result<Self> {
        let start = stream.stream_position()?;
        let end = stream.seek(SeekFrom::End(0))?;
        let sealed = end.checked_sub(start).ok_or_else(damaged)?;
        // As many chunks as begin: all but the last are full, and none is shorter than its tag.
        let chunks = sealed.div_ceil((CHUNK + TAG) as u64);
        let octets = chunks.checked_mul(TAG as u64).and_then(|tags| sealed.checked_sub(tags)).filter(|_| chunks > 0).ok_or_else(damaged)?;
        let content = head.content_key(key).map_err(io::Error::other)?;
        let binding = head.binding(sealed_header);
        let (clear, sealed) = (Zeroizing::new(Vec::new()), Vec::new());
        Ok(Self { stream, key: content, binding, start, octets, at: 0, ends: false, held: None, clear, sealed })
    }

    /// Octets of the body, by the length of the stream. A read tells whether it is true.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    fn last(&self) -> u64 {
        // A body that ends with a full chunk has no empty one behind it.
        self.octets.saturating_sub(1) / CHUNK as u64
    }

    /// Opens a chunk, if it is not at hand.
    fn hold(&mut self, number: u64) -> io::Result<()> {
        if self.held == Some(number) {
            return Ok(());
        }
        self.held = None;
        self.clear.as_mut_slice().zeroize();
        let before = number * CHUNK as u64;
        let length = usize::try_from(self.octets - before).unwrap_or(usize::MAX).min(CHUNK) + TAG;
        if self.clear.capacity() < length {
            self.clear = Zeroizing::new(Vec::with_capacity(length));
        }
        self.stream.seek(SeekFrom::Start(self.start + number * (CHUNK + TAG) as u64))?;
        self.sealed.resize(length, 0);
        self.stream.read_exact(&mut self.sealed).map_err(short)?;
        let part = if number == self.last() { Part::Last(number) } else { Part::Chunk(number) };
        self.key.open(part, &self.binding.0, &self.sealed, &mut self.clear).map_err(|_| damaged())?;
        self.held = Some(number);
        Ok(())
    }
}

impl<R: Read + Seek> Read for Opened<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.ends {
            self.hold(self.last())?;
            self.ends = true;
        }
        if self.at >= self.octets || into.is_empty() {
            return Ok(0);
        }
        self.hold(self.at / CHUNK as u64)?;
        let within = usize::try_from(self.at % CHUNK as u64).unwrap_or(usize::MAX);
        let rest = self.clear.get(within..).unwrap_or_default();
        let read = rest.len().min(into.len());
        into.get_mut(..read).unwrap_or_default().copy_from_slice(rest.get(..read).unwrap_or_default());
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for Opened<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.octets)?;
        Ok(self.at)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not what was sealed")
}
