//! The server's stream as responses: lines, and the literals that a line announces at its end (RFC 9051 4.3).
//!
//! Whatever a server sends, at most one response is held, and each octet is looked at once. A literal that is larger than
//! what was asked for is refused when it is announced, before it is read.

use memchr::memchr;

/// How much a server may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Octets of a line, without the literals in it.
    pub line: usize,
    /// Octets of a literal.
    pub literal: usize,
    /// Octets of a response with all its literals.
    pub response: usize,
}

impl Default for FrameLimits {
    /// A megabyte for a line, which is the answer to a search in a folder of 100,000 mails; 64 KiB for literals.
    fn default() -> Self {
        Self { line: 1 << 20, literal: 64 << 10, response: (1 << 20) + (256 << 10) }
    }
}

/// What a server sent too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A line.
    #[error("a line has more than {0} octets")]
    Line(usize),
    /// A literal.
    #[error("a string of {octets} octets was announced, at most {limit} were asked for")]
    Literal {
        /// Its size.
        octets: u64,
        /// What it may have.
        limit: usize,
    },
    /// A response.
    #[error("a response has more than {0} octets")]
    Response(usize),
}

/// Cuts the stream.
#[derive(Debug)]
pub struct Framer {
    limits: FrameLimits,
    buffer: Vec<u8>,
    /// Where the response begins that is not whole yet.
    start: usize,
    /// Where its last line begins.
    line: usize,
    /// Up to where it was looked at.
    seen: usize,
    /// What is missing of the literal that is being read.
    literal: usize,
    /// Octets of lines in it that have ended.
    lines: usize,
}

/// A response above this is handed on as it lies in the buffer, a smaller one is copied out.
const LARGE: usize = 32 << 10;

impl Framer {
    /// With these limits.
    #[must_use]
    pub fn new(limits: FrameLimits) -> Self {
        Self { limits, buffer: Vec::new(), start: 0, line: 0, seen: 0, literal: 0, lines: 0 }
    }

    /// Other limits from here on.
    pub fn limit(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Whether nothing is left over: neither a whole response nor a part of one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Takes what was read.
    pub fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.line -= self.start;
            self.seen -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole response, without the line end at its end; `None` until more was read.
    ///
    /// # Errors
    /// [`FrameError`]; the stream cannot be read any further then.
    pub fn cut_next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        while self.seen < self.buffer.len() {
            if self.literal > 0 {
                let step = self.literal.min(self.buffer.len() - self.seen);
                self.seen += step;
                self.literal -= step;
                self.line = self.seen;
                continue;
            }
            let Some(length) = memchr(b'\n', self.buffer.get(self.seen..).unwrap_or_default()) else {
                self.seen = self.buffer.len();
                break;
            };
            let end = self.seen + length;
            self.lines += end - self.line;
            self.check_line(0)?;
            let line = self.buffer.get(self.line..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let announced = if self.line == self.start && is_text(line) { None } else { announced(line) };
            self.seen = end + 1;
            if let Some(octets) = announced {
                self.begin_literal(octets)?;
            } else {
                let whole = self.line + line.len();
                return Ok(Some(self.cut(whole)));
            }
        }
        let open = if self.literal > 0 { 0 } else { self.seen - self.line };
        self.check_line(open)?;
        Ok(None)
    }

    fn check_line(&self, open: usize) -> Result<(), FrameError> {
        if self.lines + open > self.limits.line { Err(FrameError::Line(self.limits.line)) } else { Ok(()) }
    }

    fn begin_literal(&mut self, octets: u64) -> Result<(), FrameError> {
        let limit = self.limits.literal;
        let size = usize::try_from(octets).ok().filter(|size| *size <= limit).ok_or(FrameError::Literal { octets, limit })?;
        if self.seen - self.start + size > self.limits.response {
            return Err(FrameError::Response(self.limits.response));
        }
        let there = self.buffer.len() - self.seen;
        if size > there {
            self.buffer.reserve_exact(size - there + 256);
        }
        (self.literal, self.line) = (size, self.seen);
        Ok(())
    }

    /// Takes the response out, which ends before `end`; what follows it has been read up to `seen`.
    fn cut(&mut self, end: usize) -> Vec<u8> {
        self.lines = 0;
        let frame = if end - self.start > LARGE {
            let rest = self.buffer.split_off(self.seen);
            let mut frame = std::mem::replace(&mut self.buffer, rest);
            frame.truncate(end);
            frame.drain(..self.start);
            self.seen = 0;
            frame
        } else {
            self.buffer.get(self.start..end).unwrap_or_default().to_vec()
        };
        (self.start, self.line) = (self.seen, self.seen);
        frame
    }
}

/// The size of the literal that a line announces at its end, `{12}`, `{12+}` or `~{12}`.
pub(super) fn announced(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let digits = inner.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (before, number) = inner.split_at(inner.len() - digits);
    if digits == 0 || before.last() != Some(&b'{') {
        return None;
    }
    // A number beyond all numbers is a size beyond all limits.
    Some(std::str::from_utf8(number).ok()?.parse().unwrap_or(u64::MAX))
}

/// Whether a response ends in a text for people, which announces nothing, whatever it ends with (RFC 9051 7.1).
fn is_text(line: &[u8]) -> bool {
    if line.first() == Some(&b'+') {
        return true;
    }
    let word = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
    [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].iter().any(|status| word.eq_ignore_ascii_case(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FrameLimits {
        FrameLimits { line: 64, literal: 100_000, response: 200_000 }
    }

    fn frames(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut framer = Framer::new(limits());
        let mut frames = Vec::new();
        for piece in stream.chunks(piece) {
            framer.push(piece);
            while let Some(frame) = framer.cut_next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn responses_are_the_same_however_they_arrive() {
        let large = "x\r\n".repeat(20_000);
        let stream =
            format!("* OK hi {{9}}\r\n* 1 FETCH (BODY[] {{{}}}\r\n{large} UID 7)\r\n* X {{0}}\r\n\r\n+ {{3}}\na1 NO ~{{2}}\r\n", large.len());
        let whole = frames(stream.as_bytes(), usize::MAX).unwrap();
        assert_eq!(whole.len(), 5);
        assert!(whole[1].ends_with(b"x\r\n UID 7)") && whole[2] == b"* X {0}\r\n" && whole[3] == b"+ {3}");
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(frames(stream.as_bytes(), piece).unwrap(), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_too_much_is_refused_before_it_is_held() {
        assert_eq!(frames(&[b'x'; 1000], 10), Err(FrameError::Line(64)));
        let literals = "* F {1}\r\nx".to_owned() + &" {1}\r\nx".repeat(30);
        assert_eq!(frames(literals.as_bytes(), 5), Err(FrameError::Line(64)), "lines between literals count together");
        assert_eq!(frames(b"* F {100001}\r\n", 5), Err(FrameError::Literal { octets: 100_001, limit: 100_000 }));
        assert_eq!(frames(b"* F {99999999999999999999999}\r\n", 99), Err(FrameError::Literal { octets: u64::MAX, limit: 100_000 }));
        let mut three = Vec::new();
        for _ in 0..3 {
            three.extend_from_slice(b"* {100000}\r\n");
            three.resize(three.len() + 100_000, b'x');
        }
        assert_eq!(frames(&three, 4096), Err(FrameError::Response(200_000)));
    }

    #[test]
    fn many_small_responses_cost_their_octets() {
        let stream = b"* 1 EXISTS\r\n".repeat(200_000);
        let began = std::time::Instant::now();
        assert_eq!(frames(&stream, 64 << 10).unwrap().len(), 200_000);
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
    }
}
