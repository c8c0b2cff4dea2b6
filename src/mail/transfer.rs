//! Content-Transfer-Encoding and charset of one part, undone here so that a file comes out byte for byte.
//!
//! The parser's own decoding turns text parts into UTF-8, also those that are files; so only its offsets are used.

use mail_parser::decoders::charsets::map::charset_decoder;

use super::uu;

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
    match encoding.map(|name| name.trim_matches([' ', '\t', '"', ';']).to_ascii_lowercase()).as_deref() {
        // With names that programs write in their place.
        None | Some("" | "7bit" | "8bit" | "binary" | "7-bit" | "8-bit" | "8bits" | "none" | "plain" | "utf-8" | "utf8" | "us-ascii") => {
            Ok(body.to_vec())
        }
        Some("base64" | "base-64" | "x-base64") => base64(body),
        Some("quoted-printable" | "quoted_printable" | "quotedprintable") => Ok(quoted_printable(body)),
        Some("x-uuencode" | "uuencode" | "x-uue") => uu::decode(body).ok_or(TransferError::Truncated),
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

/// Text in the charset that the part names, as its octets bear it out. `None` when nothing knows the charset.
///
/// Programs name the wrong charset, or none: what is UTF-8 is read as that, where a charset of one octet a letter or none
/// is named, and single octets that are no UTF-8 as windows-1252, which is what they mostly are.
pub(super) fn text(bytes: &[u8], charset: Option<&str>) -> Option<String> {
    if let Some(text) = by_mark(bytes) {
        return Some(text);
    }
    let name = charset.map(normal_charset).unwrap_or_default();
    match name.as_str() {
        "" | "utf-8" | "us-ascii" => Some(mostly_utf8(bytes)),
        "utf-7" => Some(utf7(bytes)),
        "utf-16" => Some(utf16(bytes, if begins_low(bytes) { u16::from_le_bytes } else { u16::from_be_bytes })),
        "windows-1252" | "iso-8859-1" | "iso-8859-15" => {
            // Letters of more than one octet by chance: `Ã¥` is a mistake, not a word.
            let named = charset_decoder(name.as_bytes()).map(|decode| decode(bytes));
            if bytes.is_ascii() { named } else { std::str::from_utf8(bytes).ok().map(str::to_owned).or(named) }
        }
        name => match charset_decoder(name.as_bytes()) {
            Some(decode) => Some(decode(bytes)),
            None => std::str::from_utf8(bytes).ok().map(str::to_owned),
        },
    }
}

/// The charset's name as one of those that are known, where it is a way to write one of them.
fn normal_charset(name: &str) -> String {
    let name = name.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let name = name.split([';', ',', '(']).next().unwrap_or_default().trim().to_ascii_lowercase().replace([' ', '_'], "-");
    let known = match name.as_str() {
        // What programs write that do not know.
        "default" | "unknown" | "x-unknown" | "unknown-8bit" | "x-user-defined" | "8bit" | "none" | "binary" => "",
        "utf8" | "utf-8-sig" | "utf8mb4" | "unicode-1-1-utf-8" | "unicode11utf8" | "x-utf-8" => "utf-8",
        "ascii" | "us" | "usascii" | "ansi-x3.4-1968" | "iso646-us" | "646" => "us-ascii",
        "ansi" | "x-ansi" | "cp-1252" | "cp1252" | "win-1252" | "windows1252" | "x-windows-1252" | "x-cp1252" | "windows-1252-1" => "windows-1252",
        "latin1" | "latin-1" | "l1" | "iso8859-1" | "iso88591" | "iso-88591" | "8859-1" | "iso-8859-1-windows" | "iso-ir-100" => "iso-8859-1",
        "latin9" | "latin-9" | "l9" | "iso8859-15" | "iso885915" | "8859-15" => "iso-8859-15",
        "utf7" | "unicode-1-1-utf-7" | "x-unicode-2-0-utf-7" => "utf-7",
        "utf16" | "ucs-2" | "unicode" | "iso-10646-ucs-2" => "utf-16",
        _ => return name,
    };
    known.to_owned()
}

/// Text that begins with a byte order mark, whatever it is called.
fn by_mark(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Some(mostly_utf8(rest)),
        [0xff, 0xfe, rest @ ..] => Some(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some(utf16(rest, u16::from_be_bytes)),
        _ => None,
    }
}

/// Whether UTF-16 without a mark has its low octets first: Latin letters have a zero in the other one. RFC 2781 4.3 would
/// have it the other way round, Windows does not.
fn begins_low(bytes: &[u8]) -> bool {
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).take(1_000).filter(|&&octet| octet == 0).count();
    zeros(1) > zeros(0)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks(2).filter_map(|pair| Some(unit([*pair.first()?, *pair.get(1)?])));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// UTF-8; what in it is none is windows-1252, octet by octet.
fn mostly_utf8(bytes: &[u8]) -> String {
    let latin = charset_decoder(b"windows-1252");
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if let Some(decode) = latin
            && !chunk.invalid().is_empty()
        {
            out.push_str(&decode(chunk.invalid()));
        }
    }
    out
}

/// RFC 2152: `+` begins UTF-16 in base64, which ends with whatever is no base64, `-` among it.
fn utf7(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet != b'+' {
            out.push_str(&mostly_utf8(&[octet]));
            continue;
        }
        let length = tail.iter().take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/')).count();
        let (encoded, after) = tail.split_at_checked(length).unwrap_or((tail, &[]));
        rest = after.strip_prefix(b"-").unwrap_or(after);
        if encoded.is_empty() {
            out.push('+');
            continue;
        }
        let mut padded = encoded.to_vec();
        // A rest of one digit stands for nothing.
        padded.truncate(if padded.len() % 4 == 1 { padded.len() - 1 } else { padded.len() });
        out.push_str(&utf16(&base64(&padded).unwrap_or_default(), u16::from_be_bytes));
    }
    out
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
        assert_eq!(decode(b"8-bitar", Some("8-Bit;")).unwrap(), b"8-bitar");
        assert_eq!(decode(b"begin 644 a\n#:&5J\n`\nend\n", Some("x-uuencode")).unwrap(), b"hej");
        assert!(matches!(decode(b"", Some("x-yenc")), Err(TransferError::Unknown(_))));
    }

    #[test]
    fn charsets_are_read_and_a_wrong_name_forgiven() {
        assert_eq!(text(b"r\xe4v \x80", Some("iso-8859-1")).as_deref(), Some("räv €"));
        assert_eq!(text(b"r\xe4v", Some("utf-8")).as_deref(), Some("räv"));
        assert_eq!(text("räv".as_bytes(), None).as_deref(), Some("räv"));
        assert_eq!(text(b"\x82\xa0", Some("shift_jis")).as_deref(), Some("あ"));
        assert_eq!(text(b"x\xe5", Some("x-klingon")), None);
        assert_eq!(text(b"bara ASCII", Some("x-klingon")).as_deref(), Some("bara ASCII"));
    }

    #[test]
    fn swedish_letters_survive_every_charset_that_mail_programs_name() {
        let (low, high): (Vec<u8>, Vec<u8>) =
            ("Åäö €".encode_utf16().flat_map(u16::to_le_bytes).collect(), "Åäö €".encode_utf16().flat_map(u16::to_be_bytes).collect());
        let marked = [&[0xff, 0xfe][..], &low].concat();
        for (bytes, charset) in [
            (&b"\xc5\xe4\xf6 \xa4"[..], Some("ISO-8859-15")),
            (b"\xc5\xe4\xf6 \x80", Some("\"Windows-1252\"")),
            (b"\xc5\xe4\xf6 \x80", Some("ANSI")),
            (b"\xc5\xe4\xf6 \x80", Some("unknown-8bit")),
            (b"\xc5\xe4\xf6 \x80", Some("us-ascii")),
            (b"+AMUA5AD2 +IKw-", Some("UTF-7")),
            ("Åäö €".as_bytes(), Some("utf8")),
            ("Åäö €".as_bytes(), Some("iso-8859-1")),
            ("Åäö €".as_bytes(), Some("us-ascii")),
            ("\u{feff}Åäö €".as_bytes(), Some("utf-8")),
            (&low, Some("utf-16")),
            (&low, Some("UTF-16LE")),
            (&high, Some("utf-16")),
            (&high, Some("utf-16be")),
            (&marked, Some("utf-16")),
            (&marked, None),
        ] {
            assert_eq!(text(bytes, charset).as_deref(), Some("Åäö €"), "{charset:?} {bytes:x?}");
        }
        assert_eq!(text(b"\x81\x8a\x9a", Some("macintosh")).as_deref(), Some("Åäö"));
        // One octet that is no UTF-8 does not spoil the others.
        assert_eq!(text(b"\xc3\x85 och \xe4", Some("utf-8")).as_deref(), Some("Å och ä"));
        assert_eq!(text(b"1 +- 1 +AOU- +2D3eAA-", Some("utf-7")).as_deref(), Some("1 + 1 å 😀"));
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
