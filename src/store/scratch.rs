//! Files for what is too large for memory and needed for a moment: without a name, and under a key that only they have.
//!
//! So what a process leaves behind, however it ends, and the blocks that the file had, are of use to nobody.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::crypto::rest::{Veil, sought};

/// Octets that are hidden or shown at a time.
const PIECE: usize = 64 * 1024;

/// A file that is gone when it is dropped. It is written from front to back, once, and read from any place.
pub struct Scratch {
    file: File,
    veil: Veil,
    at: u64,
    end: u64,
    hidden: Vec<u8>,
}

impl Scratch {
    /// A new one in this folder.
    ///
    /// # Errors
    /// Of the file system and the provider.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let veil = Veil::new().map_err(io::Error::other)?;
        Ok(Self { file: tempfile::tempfile_in(dir)?, veil, at: 0, end: 0, hidden: Vec::new() })
    }
}

impl Write for Scratch {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.at != self.end {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a scratch file is written at its end only"));
        }
        let octets = octets.get(..octets.len().min(PIECE)).unwrap_or_default();
        self.hidden.resize(octets.len(), 0);
        self.veil.pass(self.at, octets, &mut self.hidden).map_err(io::Error::other)?;
        self.file.write_all_at(&self.hidden, self.at)?;
        self.at += octets.len() as u64;
        self.end = self.at;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Scratch {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.hidden.resize(into.len().min(PIECE), 0);
        let read = self.file.read_at(&mut self.hidden, self.at)?;
        if let (Some(hidden), Some(into)) = (self.hidden.get(..read), into.get_mut(..read)) {
            self.veil.pass(self.at, hidden, into).map_err(io::Error::other)?;
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Scratch {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.end)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_reads_back_and_holds_nothing_in_the_clear() {
        let dir = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new(dir.path()).unwrap();
        let text = b"Orosanmalan om ett barn. ".repeat(10_000);
        text.chunks(70_001).for_each(|piece| scratch.write_all(piece).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it has no name");
        let mut kept = vec![0; text.len()];
        scratch.file.read_exact_at(&mut kept, 0).unwrap();
        assert!(memchr::memmem::find(&kept, b"Orosanmalan").is_none());
        for from in [0, 25, 100_000, text.len()] {
            scratch.seek(SeekFrom::Start(from as u64)).unwrap();
            let mut read = Vec::new();
            scratch.read_to_end(&mut read).unwrap();
            assert!(read == text[from..], "{from}");
        }
        assert_eq!(scratch.seek(SeekFrom::End(-5)).unwrap(), text.len() as u64 - 5);
        assert_eq!(scratch.write(b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput, "no place is written twice");
    }
}
