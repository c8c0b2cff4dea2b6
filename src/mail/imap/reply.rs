//! One response as a type. What is unknown or malformed is [`Reply::Other`]: a client takes any response at any time
//! (RFC 9051 2.2.2).

use super::frame::announced;
use crate::content::Redacted;

/// How deep lists may stand in one another.
const DEPTH: usize = 32;
/// Characters of a text for people that are kept.
const TEXT: usize = 300;

/// A status word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It succeeded.
    Ok,
    /// It failed.
    No,
    /// The server does not understand.
    Bad,
    /// The server ends the connection.
    Bye,
    /// The connection is logged in from the beginning.
    Preauth,
}

/// A response code in brackets, `[APPENDUID 1 2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The word, in upper case.
    pub name: String,
    /// The rest.
    pub arguments: String,
}

/// What a status response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The word.
    pub status: Status,
    /// The code, when there is one.
    pub code: Option<Code>,
    /// The text, one line, cut.
    pub text: String,
}

/// What is told of one mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Its number in the folder, which changes.
    pub number: u32,
    /// Its UID.
    pub uid: Option<u32>,
    /// Its octets.
    pub size: Option<u64>,
    /// Its flags, in lower case.
    pub flags: Option<Vec<String>>,
    /// When the server got it, in the server's form.
    pub internal_date: Option<String>,
    /// The part of it that was asked for.
    pub body: Option<Redacted<Vec<u8>>>,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+`: go on. What stands behind it.
    Continue(String),
    /// The end of the command with this tag.
    Done(String, Said),
    /// A status that belongs to no command.
    Said(Said),
    /// What the server can do, in upper case.
    Capability(Vec<String>),
    /// So many mails are in the folder.
    Exists(u32),
    /// The mail with this number is gone.
    Expunge(u32),
    /// Of one mail.
    Fetch(Fetched),
    /// What a search found.
    Search(Vec<u32>),
    /// What was asked about a folder: words in upper case with their numbers.
    Folder(Vec<(String, u64)>),
    /// Resources of a quota: the word in upper case, use and limit.
    Quota(Vec<(String, u64, u64)>),
    /// Anything else.
    Other,
}

impl Reply {
    /// Reads a response as [`Framer`](super::frame::Framer) cuts it.
    #[must_use]
    pub fn read(mut frame: Vec<u8>) -> Self {
        let (reply, body) = read(&frame).unwrap_or((Self::Other, Text::Nil));
        match (reply, body) {
            (Self::Fetch(fetched), Text::At(start, end)) => {
                // In place: the body may be most of the memory that there is.
                frame.truncate(end);
                frame.drain(..start);
                Self::Fetch(Fetched { body: Some(Redacted(frame)), ..fetched })
            }
            (reply, _) => reply,
        }
    }
}

/// Where the octets of a string lie.
#[derive(Clone, Copy)]
enum Text {
    Nil,
    At(usize, usize),
}

/// A reply, and where the body of a mail lies in the frame.
type Read = (Reply, Text);

fn read(frame: &[u8]) -> Option<Read> {
    let only = |reply| Some((reply, Text::Nil));
    let mut cursor = Cursor { octets: frame, at: 0 };
    if frame.first() == Some(&b'+') {
        return only(Reply::Continue(line(frame.get(1..)?)));
    }
    let tag = cursor.atom()?;
    cursor.space()?;
    let word = cursor.atom()?;
    if let Some(status) = status(word) {
        let said = Said { status, ..said(cursor.rest()) };
        return only(if tag == b"*" { Reply::Said(said) } else { Reply::Done(line(tag), said) });
    }
    if tag != b"*" {
        return None;
    }
    if let Some(number) = number(word) {
        let number = u32::try_from(number).ok()?;
        cursor.space()?;
        let what = cursor.atom()?.to_ascii_uppercase();
        return match what.as_slice() {
            b"EXISTS" => only(Reply::Exists(number)),
            b"EXPUNGE" => only(Reply::Expunge(number)),
            b"FETCH" => {
                cursor.space()?;
                let mut fetched = Fetched { number, ..Fetched::default() };
                let body = fetch(&mut cursor, &mut fetched)?;
                Some((Reply::Fetch(fetched), body))
            }
            _ => None,
        };
    }
    match word.to_ascii_uppercase().as_slice() {
        b"CAPABILITY" => only(Reply::Capability(words(cursor.rest()))),
        b"SEARCH" => {
            let found = cursor.rest().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            // A search may end in a list of its own (RFC 7162 3.1.5).
            only(Reply::Search(found.map_while(|word| u32::try_from(number(word)?).ok()).collect()))
        }
        b"STATUS" => {
            cursor.space()?;
            cursor.skip()?;
            cursor.space()?;
            let items = cursor.list()?;
            let pairs = items.chunks_exact(2).filter_map(|pair| Some((line(pair.first()?).to_ascii_uppercase(), number(pair.get(1)?)?)));
            only(Reply::Folder(pairs.collect()))
        }
        b"QUOTA" => {
            cursor.space()?;
            cursor.skip()?;
            cursor.space()?;
            let items = cursor.list()?;
            let resource = |three: &[&[u8]]| Some((line(three.first()?).to_ascii_uppercase(), number(three.get(1)?)?, number(three.get(2)?)?));
            only(Reply::Quota(items.chunks_exact(3).filter_map(resource).collect()))
        }
        _ => None,
    }
}

/// The attributes of a mail.
fn fetch(cursor: &mut Cursor<'_>, fetched: &mut Fetched) -> Option<Text> {
    cursor.expect(b'(')?;
    let mut body = Text::Nil;
    while !cursor.take(b')') {
        cursor.spaces();
        let name = cursor.attribute()?.to_ascii_uppercase();
        cursor.space()?;
        match name.as_slice() {
            b"UID" => fetched.uid = Some(u32::try_from(number(cursor.atom()?)?).ok()?),
            b"RFC822.SIZE" => fetched.size = Some(number(cursor.atom()?)?),
            b"INTERNALDATE" => {
                let text = cursor.string()?;
                fetched.internal_date = cursor.octets_of(text).map(line);
            }
            b"FLAGS" => fetched.flags = Some(cursor.list()?.into_iter().map(|flag| line(flag).to_ascii_lowercase()).collect()),
            name if name.starts_with(b"BODY[") => body = cursor.string()?,
            _ => cursor.skip()?,
        }
        cursor.spaces();
    }
    Some(body)
}

fn status(word: &[u8]) -> Option<Status> {
    let known = [("OK", Status::Ok), ("NO", Status::No), ("BAD", Status::Bad), ("BYE", Status::Bye), ("PREAUTH", Status::Preauth)];
    known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, status)| status)
}

fn said(rest: &[u8]) -> Said {
    let rest = rest.trim_ascii_start();
    let code = rest.strip_prefix(b"[").and_then(|inner| {
        let end = inner.iter().position(|b| *b == b']')?;
        let (code, text) = inner.split_at(end);
        let (name, arguments) = match code.iter().position(|b| *b == b' ') {
            Some(space) => code.split_at(space),
            None => (code, &b""[..]),
        };
        Some((Code { name: line(name).to_ascii_uppercase(), arguments: whole_line(arguments) }, text.get(1..).unwrap_or_default()))
    });
    let (code, text) = code.map_or((None, rest), |(code, text)| (Some(code), text));
    Said { status: Status::Ok, code, text: line(text) }
}

/// Words in upper case.
pub(super) fn words(octets: &[u8]) -> Vec<String> {
    octets.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(|word| line(word).to_ascii_uppercase()).collect()
}

fn number(octets: &[u8]) -> Option<u64> {
    if !octets.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(octets).ok()?.parse().ok()
}

/// One line of text, without control characters.
fn line(octets: &[u8]) -> String {
    let octets = octets.get(..TEXT * 4).unwrap_or(octets);
    String::from_utf8_lossy(octets).trim().chars().filter(|c| !c.is_control()).take(TEXT).collect()
}

/// The same, of any length.
fn whole_line(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim().chars().filter(|c| !c.is_control()).collect()
}

/// A place in a response.
struct Cursor<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    fn between(&self, start: usize, end: usize) -> &'a [u8] {
        self.octets.get(start..end).unwrap_or_default()
    }

    fn octets_of(&self, text: Text) -> Option<&'a [u8]> {
        match text {
            Text::Nil => None,
            Text::At(start, end) => Some(self.between(start, end)),
        }
    }

    fn take(&mut self, octet: u8) -> bool {
        let there = self.rest().first() == Some(&octet);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, octet: u8) -> Option<()> {
        self.take(octet).then_some(())
    }

    fn space(&mut self) -> Option<()> {
        self.expect(b' ')?;
        self.spaces();
        Some(())
    }

    fn spaces(&mut self) {
        while self.take(b' ') {}
    }

    fn atom(&mut self) -> Option<&'a [u8]> {
        let length = self.rest().iter().position(|b| matches!(b, b' ' | b'(' | b')' | b'\r' | b'\n' | b'"')).unwrap_or(self.rest().len());
        let atom = self.rest().get(..length).filter(|atom| !atom.is_empty())?;
        self.at += length;
        Some(atom)
    }

    /// The name of an attribute: `BODY[HEADER.FIELDS (From)]<0>` has spaces within its brackets.
    fn attribute(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let mut within = false;
        while let Some(octet) = self.rest().first() {
            match octet {
                b'[' => within = true,
                b']' => within = false,
                b' ' | b'(' | b')' | b'\r' | b'\n' if !within => break,
                b'\r' | b'\n' => return None,
                _ => {}
            }
            self.at += 1;
        }
        Some(self.between(start, self.at)).filter(|name| !name.is_empty())
    }

    /// A quoted string, a literal or NIL. What is escaped in a quoted string stays so.
    fn string(&mut self) -> Option<Text> {
        match self.rest().first()? {
            b'"' => {
                self.at += 1;
                let start = self.at;
                loop {
                    match self.rest().first()? {
                        b'\\' => self.at += 2,
                        b'"' => break,
                        b'\r' | b'\n' => return None,
                        _ => self.at += 1,
                    }
                }
                self.at += 1;
                Some(Text::At(start, self.at - 1))
            }
            b'{' | b'~' => {
                let end = self.rest().iter().position(|b| *b == b'\n')?;
                let announcement = self.rest().get(..end)?;
                let octets = usize::try_from(announced(announcement.strip_suffix(b"\r").unwrap_or(announcement))?).ok()?;
                let start = self.at + end + 1;
                self.octets.get(start..start.checked_add(octets)?)?;
                self.at = start + octets;
                Some(Text::At(start, self.at))
            }
            _ => self.atom()?.eq_ignore_ascii_case(b"NIL").then_some(Text::Nil),
        }
    }

    /// Passes one value of any kind.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.rest().first()? {
                b'(' => {
                    self.at += 1;
                    depth += 1;
                    if depth > DEPTH {
                        return None;
                    }
                }
                b')' => {
                    self.at += 1;
                    depth = depth.checked_sub(1)?;
                }
                b' ' => self.at += 1,
                b'"' | b'{' | b'~' => {
                    self.string()?;
                }
                _ => {
                    self.atom()?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// The atoms and strings of a list without lists in it.
    fn list(&mut self) -> Option<Vec<&'a [u8]>> {
        self.expect(b'(')?;
        let mut items = Vec::new();
        loop {
            self.spaces();
            if self.take(b')') {
                return Some(items);
            }
            match self.rest().first()? {
                b'"' | b'{' => {
                    let text = self.string()?;
                    items.push(self.octets_of(text).unwrap_or_default());
                }
                _ => items.push(self.atom()?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply::read(text.as_bytes().to_vec())
    }

    #[test]
    fn what_servers_say_is_read() {
        let said = |status, code: Option<(&str, &str)>, text: &str| Said {
            status,
            code: code.map(|(name, arguments)| Code { name: name.into(), arguments: arguments.into() }),
            text: text.into(),
        };
        for (text, expected) in [
            ("* OK [CAPABILITY IMAP4rev1 IDLE] hello", Reply::Said(said(Status::Ok, Some(("CAPABILITY", "IMAP4rev1 IDLE")), "hello"))),
            ("a7 no [throttled] later", Reply::Done("a7".into(), said(Status::No, Some(("THROTTLED", "")), "later"))),
            ("a7 BAD", Reply::Done("a7".into(), said(Status::Bad, None, ""))),
            ("* BYE [broken", Reply::Said(said(Status::Bye, None, "[broken"))),
            ("+ idling", Reply::Continue("idling".into())),
            ("+", Reply::Continue(String::new())),
            ("* CAPABILITY IMAP4rev1 AppendLimit=99", Reply::Capability(vec!["IMAP4REV1".into(), "APPENDLIMIT=99".into()])),
            ("* 3 EXISTS", Reply::Exists(3)),
            ("* 4294967296 EXISTS", Reply::Other),
            ("* 3 expunge", Reply::Expunge(3)),
            ("* SEARCH", Reply::Search(vec![])),
            ("* SEARCH 3 1 2 (MODSEQ 9)", Reply::Search(vec![3, 1, 2])),
            (
                "* STATUS \"a (b\" (MESSAGES 1 APPENDLIMIT 5000000000)",
                Reply::Folder(vec![("MESSAGES".into(), 1), ("APPENDLIMIT".into(), 5_000_000_000)]),
            ),
            ("* QUOTA \"\" (STORAGE 10 512)", Reply::Quota(vec![("STORAGE".into(), 10, 512)])),
            ("* LIST () \"/\" x", Reply::Other),
            ("* FROBNICATE ((((", Reply::Other),
            ("", Reply::Other),
            ("*", Reply::Other),
        ] {
            assert_eq!(reply(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mail_is_found_among_what_else_is_told_of_it() {
        let text = "* 12 FETCH (FLAGS (\\Seen $X) X-NEW (a (b \")\" {3}\r\n)))) UID 7 BODY[HEADER.FIELDS (From To)] {5}\r\na)\r\n) RFC822.SIZE 9 INTERNALDATE \" 1-Jan-2026 10:00:00 +0100\")";
        let Reply::Fetch(fetched) = reply(&text.replace("{3}\r\n))))", "{3}\r\n))) ))")) else { panic!("{:?}", reply(text)) };
        assert_eq!((fetched.number, fetched.uid, fetched.size), (12, Some(7), Some(9)));
        assert_eq!(fetched.flags.unwrap(), ["\\seen", "$x"]);
        assert_eq!(fetched.internal_date.as_deref(), Some("1-Jan-2026 10:00:00 +0100"));
        assert_eq!(fetched.body.unwrap().0, b"a)\r\n)");
        for (text, body) in [
            ("* 1 FETCH (BODY[] \"ab\")", Some("ab")),
            ("* 1 FETCH (BODY[]<0> ~{2}\r\nab UID 1)", Some("ab")),
            ("* 1 FETCH (BODY[] NIL UID 1)", None),
        ] {
            let Reply::Fetch(fetched) = reply(text) else { panic!("{text}") };
            assert_eq!(fetched.body.map(|body| String::from_utf8(body.0).unwrap()).as_deref(), body, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        for text in [
            "* 1 FETCH (BODY[] {9}\r\nab)",
            "* 1 FETCH (BODY[] \"ab",
            "* 1 FETCH (UID x)",
            "* 1 FETCH (X ((((((((((((((((((((((((((((((((((((((((((((((((((((((",
            "* 1 FETCH",
            "* 1 FETCH (UID 1",
            "* 1 FETCH (BODY[\r\n] x)",
            "* STATUS x (MESSAGES 1",
            "* 1 FETCH (BODY[] {18446744073709551615}\r\n)",
        ] {
            assert_eq!(reply(text), Reply::Other, "{text}");
        }
    }
}
