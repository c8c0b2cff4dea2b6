//! Compressed RTF (MS-OXRTFCP): `LZFu`, and `MELA`, which is not compressed.

/// What both sides know before the first octet (MS-OXRTFCP 2.1.2.1).
const DICTIONARY: &[u8] =
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArial\
Times New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

/// The window.
const WINDOW: usize = 4096;
/// COMPSIZE, RAWSIZE, COMPTYPE and CRC.
const HEADER: usize = 16;
/// Longest RTF that is read; Word writes far less for what a person writes.
pub(super) const RAW_MAX: usize = 64 * 1024 * 1024;

/// Compressed RTF that is damaged, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::mail) enum LzfuError {
    /// Shorter than it says.
    #[error("compressed RTF is cut short")]
    Short,
    /// Neither `LZFu` nor `MELA`.
    #[error("compressed RTF has an unknown signature")]
    Signature,
    /// The checksum is another.
    #[error("compressed RTF has a wrong checksum")]
    Checksum,
    /// More than a mail has.
    #[error("compressed RTF is too long")]
    Long,
}

/// The RTF in a value of `PidTagRtfCompressed`.
pub(in crate::mail) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, LzfuError> {
    let field = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (Some(size), Some(raw), Some(kind), Some(checksum)) = (field(0), field(4), field(8), field(12)) else { return Err(LzfuError::Short) };
    // COMPSIZE counts what follows itself: the rest of the header too.
    let end = (size as usize).checked_add(4).ok_or(LzfuError::Short)?;
    let raw = raw as usize;
    match &kind.to_le_bytes() {
        b"LZFu" => {
            let contents = bytes.get(HEADER..end).ok_or(LzfuError::Short)?;
            if crc(contents) != checksum {
                return Err(LzfuError::Checksum);
            }
            expand(contents, raw)
        }
        b"MELA" if raw > RAW_MAX => Err(LzfuError::Long),
        b"MELA" => bytes.get(HEADER..HEADER + raw).map(<[u8]>::to_vec).ok_or(LzfuError::Short),
        _ => Err(LzfuError::Signature),
    }
}

/// The window, where it is written next, and all that was written.
struct Window {
    octets: [u8; WINDOW],
    at: usize,
    out: Vec<u8>,
}

impl Window {
    fn new() -> Self {
        let mut octets = [0; WINDOW];
        for (place, octet) in octets.iter_mut().zip(DICTIONARY) {
            *place = *octet;
        }
        Self { octets, at: DICTIONARY.len(), out: Vec::new() }
    }

    fn put(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.at) {
            *place = octet;
        }
        self.at = (self.at + 1) % WINDOW;
        self.out.push(octet);
    }

    fn copy(&mut self, offset: usize, length: usize) {
        for step in 0..length {
            self.put(self.octets.get((offset + step) % WINDOW).copied().unwrap_or_default());
        }
    }
}

/// MS-OXRTFCP 2.2.2: runs of eight tokens; a set bit is a reference into the window, one to where it is written ends.
fn expand(contents: &[u8], raw: usize) -> Result<Vec<u8>, LzfuError> {
    let mut window = Window::new();
    let mut input = contents.iter().copied();
    while let Some(control) = input.next() {
        for bit in 0..8 {
            let Some(octet) = input.next() else { return finished(window.out, raw) };
            if control & 1 << bit == 0 {
                window.put(octet);
                continue;
            }
            let Some(low) = input.next() else { return finished(window.out, raw) };
            let token = usize::from(u16::from_be_bytes([octet, low]));
            if token >> 4 == window.at {
                return Ok(window.out);
            }
            window.copy(token >> 4, (token & 15) + 2);
        }
        if window.out.len() > RAW_MAX {
            return Err(LzfuError::Long);
        }
    }
    finished(window.out, raw)
}

/// Without an end mark, only the length says that nothing is missing.
fn finished(out: Vec<u8>, raw: usize) -> Result<Vec<u8>, LzfuError> {
    if out.len() < raw { Err(LzfuError::Short) } else { Ok(out) }
}

/// MS-OXRTFCP 2.1.3.2: the polynomial of Ethernet, begun with zero and not inverted.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    bytes.iter().fold(0, |crc, &octet| TABLE.get(usize::from(crc as u8 ^ octet)).copied().unwrap_or_default() ^ crc >> 8)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0_u32;
    while at < 256 {
        let mut value = at;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "a constant: the compiler has counted")]
        {
            table[at as usize] = value;
        }
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MS-OXRTFCP 3.1.1 and 3.1.2.
    const SIMPLE: &[u8] = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
    const CROSSING: &[u8] = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4KQA\0\x04 WXYZ\x0dn}\x01\x0e\xb0";

    #[test]
    fn the_examples_of_the_specification_are_read() {
        assert_eq!(DICTIONARY.len(), 207);
        assert_eq!(decompress(SIMPLE).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        assert_eq!(decompress(CROSSING).unwrap(), b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(decompress(b"\x0f\0\0\0\x03\0\0\0MELA\0\0\0\0abc").unwrap(), b"abc");
    }

    #[test]
    fn damage_at_any_octet_is_seen() {
        for end in 0..SIMPLE.len() {
            assert!(decompress(&SIMPLE[..end]).is_err(), "{end}");
        }
        // RAWSIZE, octets 4 to 7, only counts where there is no end mark.
        for at in (0..4).chain(8..SIMPLE.len()) {
            let mut damaged = SIMPLE.to_vec();
            damaged[at] ^= 0x10;
            assert!(decompress(&damaged).is_err(), "{at}");
        }
        assert_eq!(decompress(b"\x0f\0\0\0\x04\0\0\0MELA\0\0\0\0abc"), Err(LzfuError::Short));
        assert_eq!(decompress(b"\x0f\0\0\0\x03\0\0\0LZFU\0\0\0\0abc"), Err(LzfuError::Signature));
        assert_eq!(decompress(b"\x0f\0\0\0\xff\xff\xff\xffMELA\0\0\0\0abc"), Err(LzfuError::Long));
    }
}
