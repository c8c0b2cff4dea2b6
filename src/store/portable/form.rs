//! The frames of an export.

use std::io::{self, BufRead, Read, Write};

use super::{MAX_FRAME, PortableError, VERSION};
use crate::crypto::Hasher;

/// The first word of the file.
const MAGIC: &str = "brevbro-export";
/// Octets that are copied at once.
const CHUNK: usize = 256 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Head,
    Line,
    Change,
    Body,
    Data,
    End,
}

impl Word {
    const ALL: [(Self, &'static str); 6] =
        [(Self::Head, "head"), (Self::Line, "line"), (Self::Change, "change"), (Self::Body, "body"), (Self::Data, "data"), (Self::End, "end")];

    fn text(self) -> &'static str {
        Self::ALL.into_iter().find(|(word, _)| *word == self).map_or("", |(_, text)| text)
    }
}

/// An export that is written.
pub(super) struct Writer<W: Write> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let mut writer = Self { out, hasher: Hasher::new() };
        writer.put(format!("{MAGIC} {VERSION}\n").as_bytes())?;
        Ok(writer)
    }

    pub(super) fn frame(&mut self, word: Word, octets: &[u8]) -> io::Result<()> {
        self.stream(word, octets.len() as u64, &mut &*octets)
    }

    /// A frame whose octets are read as they are written. [`io::ErrorKind::UnexpectedEof`] when there are fewer.
    pub(super) fn stream(&mut self, word: Word, octets: u64, from: &mut dyn Read) -> io::Result<()> {
        self.put(format!("{} {octets}\n", word.text()).as_bytes())?;
        let (mut rest, mut chunk) = (octets, vec![0; CHUNK.min(usize::try_from(octets).unwrap_or(CHUNK))]);
        while rest > 0 {
            let room = usize::try_from(rest).unwrap_or(CHUNK).min(chunk.len());
            let read = match from.read(chunk.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.put(chunk.get(..read).unwrap_or_default())?;
            rest -= read as u64;
        }
        self.put(b"\n")
    }

    /// The sum of everything; the stream is given back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let sum = std::mem::take(&mut self.hasher).finish();
        self.out.write_all(format!("sha256 {sum}\n").as_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.hasher.update(octets);
        self.out.write_all(octets)
    }
}

/// An export that is read.
pub(super) struct Reader<R: BufRead> {
    from: R,
    hasher: Hasher,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn begin(from: R) -> Result<Self, PortableError> {
        let mut reader = Self { from, hasher: Hasher::new() };
        let line = reader.line()?;
        let version = line.strip_prefix(MAGIC).and_then(|rest| rest.trim().parse::<u32>().ok());
        match version.ok_or_else(|| damaged("it is no export"))? {
            version if version > VERSION => Err(PortableError::Newer(version)),
            _ => Ok(reader),
        }
    }

    /// The next frame: its word and its length. What it holds is to be read next.
    pub(super) fn next(&mut self) -> Result<(Word, u64), PortableError> {
        let line = self.line()?;
        let parsed = line.split_once(' ').and_then(|(word, octets)| {
            let (word, _) = Word::ALL.into_iter().find(|(_, text)| *text == word)?;
            Some((word, octets.parse().ok()?))
        });
        parsed.ok_or_else(|| damaged("a frame has no head"))
    }

    /// What a frame holds, but for a body.
    pub(super) fn take(&mut self, octets: u64) -> Result<Vec<u8>, PortableError> {
        let octets = usize::try_from(octets).ok().filter(|octets| *octets <= MAX_FRAME).ok_or_else(|| damaged("a frame is too long"))?;
        let mut held = Vec::new();
        self.pass(octets as u64, |chunk| {
            held.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(held)
    }

    /// What a frame holds, in pieces.
    pub(super) fn pass(&mut self, octets: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), PortableError> {
        let (mut rest, mut chunk) = (octets, vec![0; CHUNK.min(usize::try_from(octets).unwrap_or(CHUNK))]);
        while rest > 0 {
            let room = usize::try_from(rest).unwrap_or(CHUNK).min(chunk.len());
            let room = chunk.get_mut(..room).unwrap_or_default();
            self.from.read_exact(room).map_err(short)?;
            self.hasher.update(room);
            take(room)?;
            rest -= room.len() as u64;
        }
        let mut end = [0];
        self.from.read_exact(&mut end).map_err(short)?;
        self.hasher.update(&end);
        if end == *b"\n" { Ok(()) } else { Err(damaged("a frame is longer than it says")) }
    }

    /// The sum at the end, behind which nothing stands.
    pub(super) fn finish(mut self) -> Result<(), PortableError> {
        let sum = std::mem::take(&mut self.hasher).finish();
        let line = self.line()?;
        if line != format!("sha256 {sum}") {
            return Err(damaged("its sum is another one"));
        }
        if self.from.fill_buf()?.is_empty() { Ok(()) } else { Err(damaged("something stands behind its end")) }
    }

    /// A short line, without its line feed.
    fn line(&mut self) -> Result<String, PortableError> {
        let mut line = Vec::new();
        (&mut self.from).take(128).read_until(b'\n', &mut line)?;
        self.hasher.update(&line);
        let text = line.strip_suffix(b"\n").ok_or_else(|| damaged("it ends before its end"))?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

fn short(error: io::Error) -> PortableError {
    if error.kind() == io::ErrorKind::UnexpectedEof { damaged("it ends before its end") } else { error.into() }
}

pub(super) fn damaged(why: &str) -> PortableError {
    PortableError::Damaged(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new()).unwrap();
        writer.frame(Word::Head, b"{}").unwrap();
        writer.frame(Word::Line, "rad å\nmed radbrytning".as_bytes()).unwrap();
        writer.stream(Word::Data, 600_000, &mut io::repeat(7)).unwrap();
        writer.frame(Word::End, b"").unwrap();
        writer.finish().unwrap()
    }

    fn read(octets: &[u8]) -> Result<Vec<(Word, usize)>, PortableError> {
        let mut reader = Reader::begin(octets)?;
        let mut found = Vec::new();
        loop {
            let (word, octets) = reader.next()?;
            found.push((word, reader.take(octets)?.len()));
            if word == Word::End {
                reader.finish()?;
                return Ok(found);
            }
        }
    }

    #[test]
    fn an_export_reads_back_and_whatever_is_changed_or_cut_off_is_found() {
        let sound = sample();
        assert_eq!(read(&sound).unwrap(), [(Word::Head, 2), (Word::Line, 22), (Word::Data, 600_000), (Word::End, 0)]);
        for place in (0..sound.len()).filter(|place| *place < 200 || *place + 200 > sound.len() || place % 50_021 == 0) {
            let mut changed = sound.clone();
            changed[place] ^= 1;
            assert!(read(&changed).is_err(), "octet {place}");
            assert!(read(&sound[..place]).is_err(), "cut at {place}");
        }
        assert!(read(&[sound.as_slice(), b"x"].concat()).is_err());
        assert!(matches!(read(b"brevbro-export 2\nwhatever"), Err(PortableError::Newer(2))));
    }

    #[test]
    fn a_hostile_length_is_no_allocation() {
        for line in ["line 99999999999999999999\n", "line 18446744073709551615\n", "change 16777217\n", "line -1\n"] {
            let text = format!("brevbro-export 1\n{line}");
            assert!(matches!(read(text.as_bytes()), Err(PortableError::Damaged(_))), "{line}");
        }
    }
}
