//! The tokens of RTF.

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `{`.
    Open,
    /// `}`.
    Close,
    /// A backslash, letters, and a number if there is one.
    Word(&'a [u8], Option<i32>),
    /// A backslash and one character that is no letter.
    Symbol(u8),
    /// `\'` and two hexadecimal digits.
    Hex(u8),
    /// The octets that `\bin` announces.
    Binary(&'a [u8]),
    /// Octets of text, without line ends.
    Text(&'a [u8]),
}

/// Reads tokens one by one; every octet belongs to one, except line ends and the space after a word.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let length = self.0.iter().take_while(|octet| matches!(octet, b'\r' | b'\n' | 0)).count();
        let whole = self.0.get(length..)?;
        let (&first, rest) = whole.split_first()?;
        self.0 = rest;
        Some(match first {
            b'{' => Token::Open,
            b'}' => Token::Close,
            b'\\' => self.control(),
            _ => {
                let length = whole.iter().position(|octet| matches!(octet, b'{' | b'}' | b'\\' | b'\r' | b'\n' | 0)).unwrap_or(whole.len());
                let (text, rest) = whole.split_at_checked(length).unwrap_or((whole, &[]));
                self.0 = rest;
                Token::Text(text)
            }
        })
    }
}

impl<'a> Tokens<'a> {
    fn control(&mut self) -> Token<'a> {
        let Some(&first) = self.0.first() else { return Token::Symbol(b'\\') };
        if first.is_ascii_alphabetic() {
            return self.word();
        }
        self.0 = self.0.get(1..).unwrap_or_default();
        let digit = |octet: &u8| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, self.0) {
            (b'\'', [high, low, rest @ ..]) => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    self.0 = rest;
                    Token::Hex(high << 4 | low)
                }
                _ => Token::Symbol(first),
            },
            _ => Token::Symbol(first),
        }
    }

    fn word(&mut self) -> Token<'a> {
        let letters = self.0.iter().take_while(|octet| octet.is_ascii_alphabetic()).count();
        let (name, rest) = self.0.split_at_checked(letters).unwrap_or((self.0, &[]));
        let sign = usize::from(rest.first() == Some(&b'-') && rest.get(1).is_some_and(u8::is_ascii_digit));
        let digits = rest.iter().skip(sign).take_while(|octet| octet.is_ascii_digit()).count();
        let length = if digits == 0 { 0 } else { sign + digits };
        let (number, rest) = rest.split_at_checked(length).unwrap_or((&[], rest));
        let number = std::str::from_utf8(number).ok().filter(|number| !number.is_empty()).map(|number| number.parse().unwrap_or(i32::MAX));
        self.0 = rest.strip_prefix(b" ").unwrap_or(rest);
        if name == b"bin" {
            let length = usize::try_from(number.unwrap_or_default()).unwrap_or_default();
            let (binary, rest) = self.0.split_at_checked(length).unwrap_or((self.0, &[]));
            self.0 = rest;
            return Token::Binary(binary);
        }
        Token::Word(name, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_the_language_has_them() {
        let tokens: Vec<_> = Tokens(b"{\\rtf1\\b0 a\r\nb\\'e5\\u-10179?\\~\\\\\\{\\'zz\\bin3 }{\\}\\li-x}").collect();
        let word = |name: &'static str, number| Token::Word(name.as_bytes(), number);
        let expected = [
            Token::Open,
            word("rtf", Some(1)),
            word("b", Some(0)),
            Token::Text(b"a"),
            Token::Text(b"b"),
            Token::Hex(0xe5),
            word("u", Some(-10179)),
            Token::Text(b"?"),
            Token::Symbol(b'~'),
            Token::Symbol(b'\\'),
            Token::Symbol(b'{'),
            Token::Symbol(b'\''),
            Token::Text(b"zz"),
            Token::Binary(b"}{\\"),
            Token::Close,
            word("li", None),
            Token::Text(b"-x"),
            Token::Close,
        ];
        // `\bin3` takes the three octets after its space.
        assert_eq!(tokens, expected);
        assert_eq!(Tokens(b"\\").collect::<Vec<_>>(), [Token::Symbol(b'\\')]);
        assert_eq!(Tokens(b"\\bin99 ab").collect::<Vec<_>>(), [Token::Binary(b"ab")]);
        assert_eq!(Tokens(b"\\b99999999999").collect::<Vec<_>>(), [word("b", Some(i32::MAX))]);
    }
}
