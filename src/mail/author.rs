//! Who wrote a mail, by its From field, read so strictly that no two readers can see two people.
//!
//! What an organisation lets a mailbox send is decided by this address, so a field is taken only when it has one reading:
//! one field, one mailbox of RFC 5322 3.4, no group, no source route, no address beside the address.

use super::header;
use crate::ident::MailAddress;

/// Comments within comments; nobody writes more.
const DEPTH: usize = 20;

/// Why a mail has no single author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorError {
    /// There is no From field, or an empty one.
    #[error("there is no From")]
    Missing,
    /// There are several fields or several addresses.
    #[error("there are several From addresses")]
    Several,
    /// The field has another form than one name and one address.
    #[error("From is no single address")]
    Form,
    /// The name is an address of another domain than the address.
    #[error("the name in From is another's address")]
    Disguised,
}

/// The author's address.
///
/// # Errors
/// [`AuthorError`].
pub fn author(header: &[u8]) -> Result<MailAddress, AuthorError> {
    let mut fields = header::fields(header, "From");
    let value = fields.next().ok_or(AuthorError::Missing)?;
    if fields.next().is_some() {
        return Err(AuthorError::Several);
    }
    let mut tokens = Tokens { rest: value }.collect::<Result<Vec<_>, _>>()?;
    if tokens.is_empty() {
        return Err(AuthorError::Missing);
    }
    if tokens.iter().any(|token| matches!(token, Token::Special(b','))) {
        return Err(AuthorError::Several);
    }
    let Some(open) = tokens.iter().position(|token| *token == Token::Special(b'<')) else {
        return address(&tokens);
    };
    if tokens.pop() != Some(Token::Special(b'>')) {
        return Err(AuthorError::Form);
    }
    let (name, inner) = tokens.split_at_checked(open).ok_or(AuthorError::Form)?;
    if name.iter().any(|token| matches!(token, Token::Special(_))) {
        return Err(AuthorError::Form);
    }
    let address = address(inner.get(1..).unwrap_or_default())?;
    // The whole part before the bracket, comments too: that is what a mail program shows.
    let shown = header::text(value.iter().rposition(|octet| *octet == b'<').and_then(|at| value.get(..at)).unwrap_or_default());
    if names_another(&shown, address.domain()) { Err(AuthorError::Disguised) } else { Ok(address) }
}

/// `local@domain` and nothing else.
fn address(tokens: &[Token<'_>]) -> Result<MailAddress, AuthorError> {
    let [Token::Atom(local) | Token::Quoted(local), Token::Special(b'@'), Token::Atom(domain)] = tokens else {
        return Err(AuthorError::Form);
    };
    let (Ok(local), Ok(domain)) = (std::str::from_utf8(local), std::str::from_utf8(domain)) else { return Err(AuthorError::Form) };
    // Encoded words have no place in an address (RFC 2047 5), and yet there are readers that decode them.
    if local.contains("=?") || domain.contains("=?") {
        return Err(AuthorError::Form);
    }
    MailAddress::new(format!("{local}@{domain}")).map_err(|_| AuthorError::Form)
}

/// Whether a name holds an address of another domain.
fn names_another(name: &str, domain: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\'' | ',' | ';' | ':' | '\u{ff20}');
    let name = name.replace(['\u{ff20}', '\u{fe6b}'], "@");
    name.split(ends).filter_map(|word| word.rsplit_once('@')).any(|(local, other)| {
        let other = other.trim_end_matches(['.', '!', '?']);
        !local.is_empty() && other.contains('.') && !other.eq_ignore_ascii_case(domain)
    })
}

/// A piece of a structured field (RFC 5322 3.2); comments and white space are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// Letters, digits, dots and so on; above ASCII too (RFC 6532).
    Atom(&'a [u8]),
    /// With its quotes.
    Quoted(&'a [u8]),
    /// One of `<>@,;:[]\`.
    Special(u8),
}

struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Result<Token<'a>, AuthorError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.token().transpose()?;
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

impl<'a> Tokens<'a> {
    fn token(&mut self) -> Result<Option<Token<'a>>, AuthorError> {
        loop {
            let Some(first) = self.rest.first() else { return Ok(None) };
            return match first {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.take(1);
                    continue;
                }
                b'(' => {
                    self.comment()?;
                    continue;
                }
                b'"' => self.quoted().map(Some),
                b'<' | b'>' | b'@' | b',' | b';' | b':' | b'[' | b']' | b'\\' | b')' => {
                    let special = *first;
                    self.take(1);
                    Ok(Some(Token::Special(special)))
                }
                octet if octet.is_ascii_control() => Err(AuthorError::Form),
                _ => {
                    let end = self.rest.iter().position(|octet| {
                        octet.is_ascii_control()
                            || matches!(octet, b' ' | b'(' | b')' | b'"' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'[' | b']' | b'\\')
                    });
                    Ok(Some(Token::Atom(self.take(end.unwrap_or(self.rest.len())))))
                }
            };
        }
    }

    fn quoted(&mut self) -> Result<Token<'a>, AuthorError> {
        let mut at = 1;
        loop {
            match self.rest.get(at) {
                Some(b'"') => return Ok(Token::Quoted(self.take(at + 1))),
                Some(b'\\') => at += 2,
                Some(octet) if octet.is_ascii_control() && !matches!(octet, b'\t' | b'\r' | b'\n') => return Err(AuthorError::Form),
                Some(_) => at += 1,
                None => return Err(AuthorError::Form),
            }
        }
    }

    fn comment(&mut self) -> Result<(), AuthorError> {
        let (mut at, mut depth) = (0, 0);
        loop {
            match self.rest.get(at) {
                Some(b'(') => depth += 1,
                Some(b')') => depth -= 1,
                Some(b'\\') => at += 1,
                Some(_) => {}
                None => return Err(AuthorError::Form),
            }
            at += 1;
            if depth > DEPTH {
                return Err(AuthorError::Form);
            }
            if depth == 0 {
                self.take(at);
                return Ok(());
            }
        }
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str) -> Result<String, AuthorError> {
        author(format!("Subject: x\r\n{field}\r\nTo: y\r\n").as_bytes()).map(|address| address.to_string())
    }

    #[test]
    fn every_honest_form_has_its_address() {
        for field in [
            "From: studs@habo.se",
            "from: <studs@habo.se>",
            "FROM:\tAnna Ek\r\n <studs@habo.se>",
            "From: \"Ek, Anna (Socialtjänsten)\" <studs@habo.se>",
            "From: =?utf-8?Q?=C3=85sa_Ek?= <studs@habo.se>",
            "From: Åsa Ek <studs@habo.se>",
            "From: Anna.Ek <studs@habo.se>",
            "From: studs@habo.se (Anna Ek)",
            "From: \"'studs@habo.se'\" <studs@habo.se>",
            "From: \"anna@habo.se via webben\" <studs@habo.se>",
            "From: \"Fråga @ studs\" <studs@habo.se>",
            "From: \"A \\\"B\\\" C\" <studs@habo.se>",
            "From : studs@habo.se",
            "From: (kommentar (inuti)) studs@habo.se",
        ] {
            assert_eq!(read(field).as_deref(), Ok("studs@habo.se"), "{field}");
        }
        assert_eq!(read("From: \"a b\"@habo.se").as_deref(), Ok("\"a b\"@habo.se"));
    }

    #[test]
    fn what_two_readers_could_read_as_two_people_has_no_author() {
        use AuthorError::{Disguised, Form, Missing, Several};
        for (field, why) in [
            ("X-From: studs@habo.se", Missing),
            ("From:", Missing),
            ("From: (studs@habo.se)", Missing),
            ("From: studs@habo.se\r\nFrom: chef@habo.se", Several),
            ("From: studs@habo.se\r\nfrom : chef@habo.se", Several),
            ("From: studs@habo.se, chef@habo.se", Several),
            ("From: Ek, Anna <studs@habo.se>", Several),
            ("From: <studs@habo.se>, <chef@habo.se>", Several),
            ("From: <studs@habo.se> <chef@habo.se>", Form),
            ("From: Grupp: studs@habo.se;", Form),
            ("From: undisclosed-recipients:;", Form),
            ("From: <@evil.se:studs@habo.se>", Form),
            ("From: <@evil.se,@b.se:studs@habo.se>", Several),
            ("From: chef@habo.se <studs@habo.se>", Form),
            ("From: studs@habo.se chef@habo.se", Form),
            ("From: studs @habo.se x", Form),
            ("From: <studs@habo.se", Form),
            ("From: studs@habo.se>", Form),
            ("From: <<studs@habo.se>>", Form),
            ("From: <studs@habo.se> chef", Form),
            ("From: studs@[192.0.2.1]", Form),
            ("From: studs", Form),
            ("From: =?utf-8?q?studs=40habo.se?=", Form),
            ("From: =?utf-8?q?studs?=@habo.se", Form),
            ("From: <=?utf-8?q?studs=40habo.se?=>", Form),
            ("From: \"studs@habo.se", Form),
            ("From: (studs@habo.se", Form),
            ("From: studs@habo.se\0@evil.se", Form),
            ("From: \"studs@habo.se\"@evil.se.", Form),
            ("From: studs\\@habo.se@evil.se", Form),
            ("From: \"chef@annan.se\" <studs@habo.se>", Disguised),
            ("From: =?utf-8?q?=3Cchef=40annan.se=3E?= <studs@habo.se>", Disguised),
            ("From: (chef@annan.se) Anna <studs@habo.se>", Disguised),
            ("From: \"chef\u{ff20}annan.se\" <studs@habo.se>", Disguised),
        ] {
            assert_eq!(read(field), Err(why), "{field}");
        }
        let deep = format!("From: {}studs@habo.se{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(read(&deep), Err(Form));
    }
}
