//! The octets between `354` and `CRLF.CRLF`: dots unstuffed, bare line ends found, in a stream.

/// Where in a line the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the start of a line.
    Start,
    /// Within a line.
    Text,
    /// After a CR that ends a line or is bare.
    Cr,
    /// After a dot that began a line.
    Dot,
    /// After that dot and a CR.
    DotCr,
}

/// What stopped the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// `CRLF.CRLF`.
    End,
    /// A CR without LF or an LF without CR: two servers may see two different mails in it (CVE-2023-51764).
    BareLineEnd,
}

/// Reads the data of one mail (RFC 5321 4.1.1.4, 4.5.2).
#[derive(Debug)]
pub(super) struct Unstuffer(At);

impl Unstuffer {
    pub(super) fn new() -> Self {
        // The CRLF of the DATA command begins the first line: a dot right after it ends an empty mail.
        Self(At::Start)
    }

    /// Reads on; puts content into `out`. Gives how many octets were read, all of them unless something stopped it.
    pub(super) fn read(&mut self, octets: &[u8], out: &mut Vec<u8>) -> (usize, Option<Stop>) {
        let mut at = 0;
        while let Some(&octet) = octets.get(at) {
            self.0 = match (self.0, octet) {
                (At::Start | At::Text, b'\r') => At::Cr,
                (At::Cr, b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    At::Start
                }
                (At::Start, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => return (at + 1, Some(Stop::End)),
                (_, b'\n') | (At::Cr | At::DotCr, _) => return (at + 1, Some(Stop::BareLineEnd)),
                (At::Start | At::Text | At::Dot, _) => {
                    // RFC 5321 4.5.2: the dot that began the line is gone; the rest of the line goes in one piece.
                    let rest = octets.get(at..).unwrap_or_default();
                    let run = rest.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(rest.len());
                    out.extend_from_slice(rest.get(..run).unwrap_or_default());
                    at += run;
                    self.0 = At::Text;
                    continue;
                }
            };
            at += 1;
        }
        (octets.len(), None)
    }
}

/// Looks for bare line ends in the chunks of a mail; a CR and its LF may stand in two.
#[derive(Debug, Default)]
pub(super) struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    /// Reads on; whether all line ends in these octets are CRLF.
    pub(super) fn read(&mut self, octets: &[u8]) -> bool {
        let mut after_cr = self.after_cr;
        let mut sound = true;
        for octet in octets {
            sound &= (*octet == b'\n') == after_cr;
            after_cr = *octet == b'\r';
        }
        self.after_cr = after_cr;
        sound
    }

    /// Whether a mail may end here.
    pub(super) fn may_end(&self) -> bool {
        !self.after_cr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_whole_line_ends_wherever_they_are_cut() {
        let texts =
            [("a\r\nb", true), ("", true), ("\r\n\r\n", true), ("a\nb", false), ("a\rb", false), ("\r\r\n", false), ("\n", false), ("a\r", false)];
        for (text, sound) in texts {
            for cut in 0..=text.len() {
                let mut ends = LineEnds::default();
                let (first, second) = text.as_bytes().split_at(cut);
                let read = [ends.read(first), ends.read(second), ends.may_end()];
                assert_eq!(read.iter().all(|sound| *sound), sound, "{text:?} cut at {cut}");
            }
        }
    }

    fn read(octets: &[u8]) -> (Vec<u8>, usize, Option<Stop>) {
        let mut out = Vec::new();
        let (used, stop) = Unstuffer::new().read(octets, &mut out);
        (out, used, stop)
    }

    #[test]
    fn only_a_dot_alone_between_two_line_ends_ends_the_mail() {
        assert_eq!(read(b".\r\nQUIT"), (b"".to_vec(), 3, Some(Stop::End)));
        assert_eq!(read(b"a\r\n.\r\nQUIT"), (b"a\r\n".to_vec(), 6, Some(Stop::End)));
        assert_eq!(read(b"..\r\n...a\r\n.b\r\na.\r\n.\r\n").0, b".\r\n..a\r\nb\r\na.\r\n".to_vec());
        assert_eq!(read(b"a.\r\n").2, None);
    }

    #[test]
    fn every_bare_line_end_stops_the_stream() {
        for text in ["a\nb", "\n", ".\n", "a\r\n.\n", "a\n.\r\n", "a\rb", "a\r\r\n", "\r.\r\n", ".\r.\r\n", ".\r\r\n", "a\n.\n", "a\r\n.\ra"] {
            assert_eq!(read(text.as_bytes()).2, Some(Stop::BareLineEnd), "{text:?}");
        }
    }
}
