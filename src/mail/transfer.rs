//! Content-Transfer-Encoding and charset of one part, undone here so that a file comes out byte for byte.
//!
//! The parser's own decoding turns text parts into UTF-8, also those that are files; so only its offsets are used.

use mail_parser::decoders::charsets::map::charset_decoder;

/// Why the bytes of a part cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TransferError {
    /// The base64 ends in the middle of a group.
    Truncated,
    /// An encoding that RFC 2045 does not know.
    Unknown(String),
}

/// The bytes that the part's encoding stands for (RFC 2045 6).
pub(super) fn decode(body: &[u8], encoding: Option<&str>) -> Result<Vec<u8>, TransferError> {
    match encoding.map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "7bit" | "8bit" | "binary") => Ok(body.to_vec()),
        Some("base64") => base64(body),
        Some("quoted-printable") => Ok(quoted_printable(body)),
        Some(other) => Err(TransferError::Unknown(other.chars().take(40).collect())),
    }
}

/// RFC 2045 6.8: what is no base64 is skipped; padding may stand between groups, as programs that join files write it.
fn base64(body: &[u8]) -> Result<Vec<u8>, TransferError> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3);
    let mut group = 0_u32;
    let mut digits = 0_u8;
    for &octet in body {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                end_group(&mut out, group, digits)?;
                (group, digits) = (0, 0);
                continue;
            }
            _ => continue,
        };
        group = group << 6 | u32::from(value);
        digits += 1;
        if digits == 4 {
            out.extend(group.to_be_bytes().iter().skip(1));
            (group, digits) = (0, 0);
        }
    }
    end_group(&mut out, group, digits)?;
    Ok(out)
}

fn end_group(out: &mut Vec<u8>, group: u32, digits: u8) -> Result<(), TransferError> {
    let octets = match digits {
        0 => 0,
        2 => 1,
        3 => 2,
        _ => return Err(TransferError::Truncated),
    };
    let whole = group << (6 * (4 - u32::from(digits)));
    out.extend(whole.to_be_bytes().iter().skip(1).take(octets));
    Ok(())
}

/// RFC 2045 6.7: soft breaks join, spaces that a relay put at a line's end go, a stray `=` stays as it is.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        let (text, end) = match line {
            [text @ .., b'\r', b'\n'] => (text, &b"\r\n"[..]),
            [text @ .., b'\n'] => (text, &b"\n"[..]),
            text => (text, &b""[..]),
        };
        let text = text.trim_ascii_end();
        let (text, end) = match text {
            [text @ .., b'='] => (text, &b""[..]),
            text => (text, end),
        };
        let mut rest = text;
        while let Some((&octet, tail)) = rest.split_first() {
            let hex = |octet: &u8| char::from(*octet).to_digit(16);
            match (octet, tail) {
                (b'=', [high, low, after @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                    let value = hex(high).zip(hex(low)).map_or(0, |(high, low)| high * 16 + low);
                    out.extend(u8::try_from(value));
                    rest = after;
                }
                _ => {
                    out.push(octet);
                    rest = tail;
                }
            }
        }
        out.extend_from_slice(end);
    }
    out
}

/// Text in the charset that the part names. Without a name, or with a wrong one, what is UTF-8 is read as that and
/// everything else as windows-1252, which mail programs mean by it. `None` when nothing knows the charset.
pub(super) fn text(bytes: &[u8], charset: Option<&str>) -> Option<String> {
    let name = charset.map(|name| name.trim().to_ascii_lowercase()).unwrap_or_default();
    match name.as_str() {
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => charset_decoder(b"windows-1252").map(|decode| decode(bytes)),
        },
        name => charset_decoder(name.as_bytes()).map(|decode| decode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_encodings_of_mail_are_undone() {
        assert_eq!(decode(b"aGVq\r\nIQ==\r\n", Some("BASE64")).unwrap(), b"hej!");
        assert_eq!(decode(b"aGVqIQ==aGVq", Some("base64")).unwrap(), b"hej!hej");
        assert_eq!(decode(b"r=C3=A4v =\r\nhej   \r\n=3D=ZZ", Some("quoted-printable")).unwrap(), "räv hej\r\n==ZZ".as_bytes());
        assert_eq!(decode(b"a\0b\r\n", Some("binary")).unwrap(), b"a\0b\r\n");
        assert_eq!(decode(b"aGVqI", Some("base64")), Err(TransferError::Truncated));
        assert!(matches!(decode(b"", Some("x-uuencode")), Err(TransferError::Unknown(_))));
    }

    #[test]
    fn charsets_are_read_and_a_wrong_name_forgiven() {
        assert_eq!(text(b"r\xe4v \x80", Some("iso-8859-1")).as_deref(), Some("räv €"));
        assert_eq!(text(b"r\xe4v", Some("utf-8")).as_deref(), Some("räv"));
        assert_eq!(text("räv".as_bytes(), None).as_deref(), Some("räv"));
        assert_eq!(text(b"\x82\xa0", Some("shift_jis")).as_deref(), Some("あ"));
        assert_eq!(text(b"x", Some("x-klingon")), None);
    }

    proptest! {
        #[test]
        fn base64_gives_back_every_byte(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
            let lines = encoded.as_bytes().chunks(76).collect::<Vec<_>>().join(&b"\r\n"[..]);
            prop_assert_eq!(decode(&lines, Some("base64")).unwrap(), bytes);
        }
    }
}
