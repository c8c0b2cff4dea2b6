//! Replies: a code, an enhanced status whose class is the code's, and ASCII lines of bounded length.

use std::fmt;

/// Octets of text on one reply line, so that code, status and line end stay below 512 (RFC 5321 4.5.3.1.5).
const LINE: usize = 480;

/// One reply to a client (RFC 5321 4.2, RFC 2034).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// Subject and detail; the class is the code's first digit.
    status: Option<(u16, u16)>,
    lines: Vec<String>,
}

impl Reply {
    /// A reply with an enhanced status `class.subject.detail`, the class being the code's (RFC 3463 2).
    ///
    /// Replies are ASCII (RFC 6531 3.7.4.2 frees only VRFY and EXPN): Swedish letters lose their dots and rings,
    /// other characters become `?`. A long text goes on over several lines.
    #[must_use]
    pub fn new(code: u16, (subject, detail): (u16, u16), text: impl AsRef<str>) -> Self {
        Self { code, status: Some((subject, detail)), lines: wrapped(text.as_ref()) }
    }

    /// A reply without status: the greeting, the answer to EHLO, and `354` (RFC 2034 3).
    pub(super) fn bare(code: u16, lines: Vec<String>) -> Self {
        Self { code, status: None, lines: lines.iter().flat_map(|line| wrapped(line)).collect() }
    }

    /// `250`: the message is durable here and ours from now on.
    #[must_use]
    pub fn accepted(text: &str) -> Self {
        Self::new(250, (0, 0), format!("Ok: {text}"))
    }

    /// `421`: the server is going down; nothing was lost, come back later.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::new(421, (3, 2), "Service stopping, try again later")
    }

    /// `421`: the client was silent for too long (RFC 5321 4.5.3.2.7).
    #[must_use]
    pub fn timed_out() -> Self {
        Self::new(421, (4, 2), "Timeout, closing the connection")
    }

    /// `421`: there are too many connections, from everybody or from this address.
    #[must_use]
    pub fn too_many_connections() -> Self {
        Self::new(421, (7, 0), "Too many connections, try again later")
    }

    /// `535`: the login failed; whether for its user or its password is not told (RFC 4954 6).
    #[must_use]
    pub fn login_failed() -> Self {
        Self::new(535, (7, 8), "Login failed")
    }

    /// `451`: something of ours failed; the mail is to be sent again.
    #[must_use]
    pub fn local_error() -> Self {
        Self::new(451, (3, 0), "Local error, try again later")
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status, `5.7.1`, where it has one.
    #[must_use]
    pub fn status(&self) -> Option<String> {
        self.status.map(|(subject, detail)| format!("{}.{subject}.{detail}", self.code / 100))
    }

    /// Whether it grants what was asked for.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Whether the connection ends with it.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.code, 221 | 421)
    }
}

/// The octets on the wire, line ends included.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status().map(|status| status + " ").unwrap_or_default();
        for (at, line) in self.lines.iter().enumerate() {
            let mark = if at + 1 == self.lines.len() { ' ' } else { '-' };
            write!(f, "{}{mark}{status}{line}\r\n", self.code)?;
        }
        Ok(())
    }
}

/// Never empty; no line is over [`LINE`] octets or holds anything but printable ASCII.
fn wrapped(text: &str) -> Vec<String> {
    let plain: String = text.chars().map(ascii).collect();
    let mut lines = vec![String::new()];
    for word in plain.split(' ') {
        // A word longer than a line is cut; it is ASCII, so every octet is a border.
        for piece in word.as_bytes().chunks(LINE).map(String::from_utf8_lossy) {
            if let Some(line) = lines.last_mut() {
                if line.is_empty() {
                    line.push_str(&piece);
                } else if line.len() + 1 + piece.len() <= LINE {
                    line.push(' ');
                    line.push_str(&piece);
                } else {
                    lines.push(piece.into_owned());
                }
            }
        }
    }
    lines
}

fn ascii(c: char) -> char {
    match c {
        ' '..='~' => c,
        'å' | 'ä' | 'à' | 'á' => 'a',
        'Å' | 'Ä' => 'A',
        'ö' => 'o',
        'Ö' => 'O',
        'é' | 'è' => 'e',
        'É' => 'E',
        'ü' => 'u',
        'Ü' => 'U',
        c if c.is_whitespace() || c.is_control() => ' ',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_bears_code_and_status_and_no_line_is_too_long() {
        let reply = Reply::new(550, (1, 1), format!("{} {}", "ord ".repeat(200), "x".repeat(1000)));
        let text = reply.to_string();
        let lines: Vec<&str> = text.split_inclusive("\r\n").collect();
        assert!(lines.len() > 3);
        assert!(lines.iter().all(|line| line.len() <= 512 && line.ends_with("\r\n")));
        let (last, others) = lines.split_last().unwrap();
        assert!(last.starts_with("550 5.1.1 ") && others.iter().all(|line| line.starts_with("550-5.1.1 ")));
    }

    #[test]
    fn a_text_cannot_break_the_dialogue_or_leave_ascii() {
        assert_eq!(Reply::new(550, (1, 1), "Okänd\r\n250 ok åäö ✓").to_string(), "550 5.1.1 Okand 250 ok aao ?\r\n");
        assert_eq!(Reply::new(250, (0, 0), "").to_string(), "250 2.0.0 \r\n");
    }
}
