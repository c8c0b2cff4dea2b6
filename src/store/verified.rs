//! A body that is checked while it is read from front to back.

use std::io::{self, Read, Seek, SeekFrom};

use crate::crypto::Hasher;
use crate::crypto::rest::sought;
use crate::ident::Sha256;

/// A body whose length and digest are known.
///
/// Who reads it to its end, in whatever pieces and with whatever jumps, is told there when it is not what was written.
pub(super) struct Verified<R> {
    inner: R,
    octets: u64,
    digest: Sha256,
    at: u64,
    /// Octets from the front that the hasher has seen.
    hashed: u64,
    hasher: Option<Hasher>,
}

impl<R> Verified<R> {
    pub(super) fn new(inner: R, octets: u64, digest: Sha256) -> Self {
        Self { inner, octets, digest, at: 0, hashed: 0, hasher: Some(Hasher::new()) }
    }

    /// Its length.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.octets.saturating_sub(self.at)).unwrap_or(usize::MAX).min(into.len());
        let room = into.get_mut(..rest).unwrap_or_default();
        let read = self.inner.read(room)?;
        if read == 0 && !room.is_empty() {
            return Err(damaged("a body ends before its end"));
        }
        // Octets [hashed, at + read) are new when this read begins at or before `hashed`.
        if let Some(known) = self.hashed.checked_sub(self.at).and_then(|known| usize::try_from(known).ok())
            && let Some(new) = room.get(known..read)
        {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(new);
            }
            self.hashed += new.len() as u64;
        }
        if self.hashed == self.octets
            && let Some(hasher) = self.hasher.take()
            && hasher.finish() != self.digest
        {
            self.hasher = Some(Hasher::new());
            return Err(damaged("a body is not what was written"));
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Verified<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.octets)?;
        self.inner.seek(SeekFrom::Start(self.at))?;
        Ok(self.at)
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sha256;

    #[test]
    fn a_wrong_octet_is_told_at_the_end_whatever_was_jumped_over() {
        let body: Vec<u8> = (0..200).collect();
        let mut spoiled = body.clone();
        spoiled[150] ^= 1;
        let open = |octets: &[u8]| Verified::new(io::Cursor::new(octets.to_vec()), 200, sha256(&body));
        assert_eq!(io::copy(&mut open(&body), &mut io::sink()).unwrap(), 200);
        let mut reader = open(&spoiled);
        reader.read_exact(&mut [0; 60]).unwrap();
        reader.seek(SeekFrom::Start(20)).unwrap();
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(open(&spoiled).read_exact(&mut [0; 200]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(io::copy(&mut open(&body[..100]), &mut io::sink()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_stands_behind_the_end_is_not_read() {
        let mut reader = Verified::new(io::Cursor::new(vec![7; 300]), 200, sha256(&[7; 200]));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!((read.len(), reader.seek(SeekFrom::End(-10)).unwrap()), (200, 190));
    }
}
