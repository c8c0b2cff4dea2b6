//! Header fields as their octets say: encoded words (RFC 2047) and parameters (RFC 2045 5.1, RFC 2231), also where the
//! programs that wrote them did not keep to the book.
//!
//! What is encoded in pieces is put together before it is read: some programs cut a letter in two.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::transfer;

/// More pieces of a parameter than a file name has.
const MAX_PIECES: usize = 200;
/// Longest name of a charset.
const CHARSET_MAX: usize = 60;

/// Base64 as encoded words have it: with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// The first field of this name, its lines still folded.
pub(super) fn field<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(header, name).next()
}

/// All fields of this name, their lines still folded.
pub(super) fn fields<'a>(header: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = header;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let end = field_end(rest);
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after;
        let Some(colon) = line.iter().position(|&octet| octet == b':') else { continue };
        let (key, value) = line.split_at_checked(colon).unwrap_or_default();
        if key.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes()) {
            all.push(value.get(1..).unwrap_or_default());
        }
    }
    all.into_iter()
}

/// Where the field ends: after the first line that no folded line follows.
fn field_end(rest: &[u8]) -> usize {
    let mut from = 0;
    while let Some(end) = memchr::memchr(b'\n', rest.get(from..).unwrap_or_default()) {
        from += end + 1;
        if !matches!(rest.get(from), Some(b' ' | b'\t')) {
            return from;
        }
    }
    rest.len()
}

/// The text of an unstructured field (RFC 2047 6.1).
pub(super) fn text(value: &[u8]) -> String {
    let value = unfold(value);
    let mut out = String::new();
    // Octets of encoded words in a row of one charset, which may share a letter.
    let mut pending: Option<(String, Vec<u8>)> = None;
    let flush = |out: &mut String, pending: &mut Option<(String, Vec<u8>)>| {
        if let Some((charset, octets)) = pending.take() {
            out.push_str(&decoded(&octets, &charset));
        }
    };
    let mut rest = value.as_slice();
    // Where no more words can end: then none begins either.
    let mut words_end = true;
    loop {
        let start = if words_end { memchr::memmem::find(rest, b"=?") } else { None };
        let Some(start) = start else {
            flush(&mut out, &mut pending);
            out.push_str(&decoded(rest, ""));
            return out;
        };
        let (before, word) = rest.split_at_checked(start).unwrap_or((rest, &[]));
        match encoded_word(word) {
            Word::Of { charset, octets, length } => {
                // RFC 2047 6.2: white space between two words is none.
                if !(pending.is_some() && before.trim_ascii().is_empty()) {
                    flush(&mut out, &mut pending);
                    out.push_str(&decoded(before, ""));
                }
                match &mut pending {
                    Some((same, all)) if same.eq_ignore_ascii_case(&charset) => all.extend(octets),
                    _ => {
                        flush(&mut out, &mut pending);
                        pending = Some((charset, octets));
                    }
                }
                rest = word.get(length..).unwrap_or_default();
            }
            none => {
                words_end = !matches!(none, Word::Endless);
                flush(&mut out, &mut pending);
                let (lone, after) = rest.split_at_checked(start + 2).unwrap_or((rest, &[]));
                out.push_str(&decoded(lone, ""));
                rest = after;
            }
        }
    }
}

enum Word {
    Of {
        charset: String,
        octets: Vec<u8>,
        length: usize,
    },
    /// It is no encoded word.
    Not,
    /// Nothing from here on ends a word.
    Endless,
}

/// Reads `=?charset*language?encoding?text?=`.
fn encoded_word(word: &[u8]) -> Word {
    let body = word.get(2..).unwrap_or_default();
    let Some(mark) = body.iter().take(CHARSET_MAX).position(|&octet| octet == b'?') else { return Word::Not };
    let (charset, tail) = body.split_at_checked(mark).unwrap_or_default();
    let [b'?', encoding, b'?', data @ ..] = tail else { return Word::Not };
    if charset.is_empty() || !charset.iter().all(u8::is_ascii_graphic) {
        return Word::Not;
    }
    let Some(end) = memchr::memmem::find(data, b"?=") else { return Word::Endless };
    let data = data.get(..end).unwrap_or_default();
    let octets = match encoding {
        b'q' | b'Q' => q_decoded(data),
        b'b' | b'B' => {
            let bare: Vec<u8> = data.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
            match BASE64.decode(bare) {
                Ok(octets) => octets,
                Err(_) => return Word::Not,
            }
        }
        _ => return Word::Not,
    };
    // RFC 2231 5: a language may follow the charset.
    let charset = charset.split(|&octet| octet == b'*').next().unwrap_or_default();
    Word::Of { charset: String::from_utf8_lossy(charset).into_owned(), octets, length: 2 + mark + 3 + end + 2 }
}

fn q_decoded(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        match (octet, tail) {
            (b'_', _) => out.push(b' '),
            (b'=', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.extend(hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low));
                rest = after;
            }
            _ => out.push(octet),
        }
    }
    out
}

/// The name that a part's header gives its file: that of Content-Disposition, else that of Content-Type.
pub(super) fn file_name(header: &[u8]) -> Option<String> {
    let of = |name: &str, key: &str| parameter(field(header, name)?, key).filter(|name| !name.trim().is_empty());
    of("Content-Disposition", "filename").or_else(|| of("Content-Type", "name")).or_else(|| of("Content-Disposition", "name"))
}

/// A parameter of a structured field, put together and decoded.
pub(super) fn parameter(value: &[u8], key: &str) -> Option<String> {
    let value = unfold(value);
    let mut plain = None;
    let mut pieces: BTreeMap<u32, (Encoded, Vec<u8>)> = BTreeMap::new();
    for (name, octets) in Parameters::of(&value) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let Some(mark) = name.strip_prefix(key) else { continue };
        match mark {
            "" if plain.is_none() => plain = Some(octets),
            "*" => drop(pieces.insert(0, (Encoded::Yes, octets))),
            _ if pieces.len() < MAX_PIECES => {
                let Some(mark) = mark.strip_prefix('*') else { continue };
                let (number, encoded) = mark.strip_suffix('*').map_or((mark, Encoded::No), |number| (number, Encoded::Yes));
                if let Ok(number) = number.parse() {
                    pieces.entry(number).or_insert((encoded, octets));
                }
            }
            _ => {}
        }
    }
    if pieces.is_empty() { plain.map(|octets| plain_value(&octets)) } else { Some(joined(pieces)) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoded {
    Yes,
    No,
}

/// RFC 2231 3 and 4: pieces in the order of their numbers, of which the first may name the charset.
fn joined(pieces: BTreeMap<u32, (Encoded, Vec<u8>)>) -> String {
    let mut charset = None;
    let mut all = Vec::new();
    for (number, (encoded, octets)) in pieces.into_iter().enumerate().map(|(at, (_, piece))| (at, piece)) {
        let mut value = octets.as_slice();
        if encoded == Encoded::Yes && number == 0 {
            let mut parts = value.splitn(3, |&octet| octet == b'\'');
            if let (Some(name), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
                charset = Some(String::from_utf8_lossy(name).into_owned());
                value = rest;
            }
        }
        match encoded {
            Encoded::Yes => all.extend(percent_decoded(value)),
            Encoded::No => all.extend_from_slice(value),
        }
    }
    let name = decoded(&all, charset.as_deref().unwrap_or_default());
    // Some write encoded words in pieces.
    if charset.is_none() && name.contains("=?") { text(name.as_bytes()) } else { name }
}

/// A value without RFC 2231: in encoded words, though RFC 2047 5 forbids it, in UTF-8 as of a URL, or as it stands.
fn plain_value(octets: &[u8]) -> String {
    if octets.contains(&b'%')
        && !octets.contains(&b' ')
        && let Ok(name) = String::from_utf8(percent_decoded(octets))
        && !name.is_ascii()
    {
        return name;
    }
    text(octets)
}

/// The parameters of a field's value, as octets without quotes.
struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    fn of(value: &'a [u8]) -> Self {
        Self(memchr::memchr(b';', value).and_then(|at| value.get(at + 1..)).unwrap_or_default())
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let Some(at) = self.0.iter().position(|octet| matches!(octet, b'=' | b';')) else { break };
            let (name, tail) = self.0.split_at_checked(at)?;
            let (sign, rest) = tail.split_first()?;
            if *sign == b';' {
                self.0 = rest;
                continue;
            }
            let rest = rest.trim_ascii_start();
            let (value, rest) = if let Some(quoted) = rest.strip_prefix(b"\"") {
                quoted_value(quoted)
            } else {
                let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
                let (value, rest) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                (value.trim_ascii().to_vec(), rest.get(1..).unwrap_or_default())
            };
            self.0 = rest;
            return Some((name.trim_ascii(), value));
        }
        None
    }
}

/// What stands between quotes, and what follows the parameter. A quote that nothing ends, and one in the middle, as a name
/// like `5" skruv.pdf` has it, are part of the text; so is a backslash before anything but a quote or another.
fn quoted_value(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&octet) = quoted.get(at) {
        let next = quoted.get(at + 1);
        match (octet, next) {
            (b'\\', Some(&escaped @ (b'"' | b'\\'))) => {
                value.push(escaped);
                at += 1;
            }
            (b'"', _) => {
                let after = quoted.get(at + 1..).unwrap_or_default();
                match after.iter().find(|octet| !octet.is_ascii_whitespace()) {
                    None => return (value, &[]),
                    Some(b';') => {
                        return (value, after.iter().position(|&octet| octet == b';').and_then(|at| after.get(at + 1..)).unwrap_or_default());
                    }
                    Some(_) => value.push(b'"'),
                }
            }
            _ => value.push(octet),
        }
        at += 1;
    }
    (value, &[])
}

/// Line ends are folding; the white space after them stays.
fn unfold(value: &[u8]) -> Vec<u8> {
    value
        .trim_ascii()
        .iter()
        .copied()
        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        .map(|octet| if octet == b'\t' { b' ' } else { octet })
        .collect()
}

fn decoded(octets: &[u8], charset: &str) -> String {
    let charset = (!charset.is_empty()).then_some(charset);
    transfer::text(octets, charset).or_else(|| transfer::text(octets, None)).unwrap_or_default()
}

fn percent_decoded(octets: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(octets).collect()
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encoded_words_are_read_as_programs_write_them() {
        for (value, read) in [
            ("=?utf-8?Q?R=C3=A4ksm=C3=B6rg=C3=A5s?=", "Räksmörgås"),
            ("=?utf-8?B?w6XDpA?= x", "åä x"),
            // A letter cut in two, folded.
            ("=?utf-8?Q?H=C3?=\r\n =?UTF-8?Q?=A5bo?=", "Håbo"),
            ("=?utf-8?B?SMM=?= =?utf-8?B?pWJv?=", "Håbo"),
            ("=?iso-8859-1?Q?Bl=E5?==?utf-8?Q?b=C3=A4r?=", "Blåbär"),
            ("a =?us-ascii?q?b?= c =?us-ascii?q?d?=", "a b c d"),
            ("\"=?utf-8?Q?=C3=85?=\" x", "\"Å\" x"),
            ("=?utf-8?Q?=C3=85 med mellanslag_?=.", "Å med mellanslag ."),
            ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
            ("=?windows-1252?Q?=80_100?=", "€ 100"),
            ("=?utf-8*sv?Q?=C3=A5?=", "å"),
            ("1 =? 2 ?= 3", "1 =? 2 ?= 3"),
            ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
            ("=?utf-8?Q?abc", "=?utf-8?Q?abc"),
            ("=?x-okänt?Q?=E5?=", "=?x-okänt?Q?=E5?="),
            ("Rå 8 bitar", "Rå 8 bitar"),
        ] {
            assert_eq!(text(value.as_bytes()), read, "{value}");
        }
        assert_eq!(text(b"H\xe5bo"), "Håbo");
    }

    #[test]
    fn parameters_are_read_as_programs_write_them() {
        for (value, read) in [
            ("attachment; filename=\"a b.pdf\"", "a b.pdf"),
            ("attachment; filename=a b.pdf ; size=3", "a b.pdf"),
            ("attachment; FileName = \"a;b\\\"c.pdf\"; size=3", "a;b\"c.pdf"),
            ("attachment; filename=\"C:\\hem\\a.pdf\"", "C:\\hem\\a.pdf"),
            ("attachment; filename=\"5\" skruv.pdf\"", "5\" skruv.pdf"),
            ("attachment; filename=\"utan slut.pdf", "utan slut.pdf"),
            ("attachment; filename*=utf-8'sv'%C3%A5%20b.pdf", "å b.pdf"),
            ("attachment; filename=a.pdf; filename*=UTF-8''%C3%A5.pdf", "å.pdf"),
            // A letter cut in two, and the charset of the first piece for all.
            ("attachment; filename*0*=utf-8''H%C3; filename*1*=%A5bo; filename*2=\" 1%2.pdf\"", "Håbo 1%2.pdf"),
            ("attachment; filename*1*=%E4.pdf; filename*0*=iso-8859-1''R%E4", "Rää.pdf"),
            ("attachment; filename*0=\"=?utf-8?Q?=C3=A5\"; filename*1=\"rs.pdf?=\"", "års.pdf"),
            ("attachment;\r\n filename=\"=?utf-8?Q?H=C3?=\r\n =?utf-8?Q?=A5bo.pdf?=\"", "Håbo.pdf"),
            ("attachment; filename==?iso-8859-1?Q?=E5.pdf?=", "å.pdf"),
            ("attachment; filename=%C3%A5.pdf", "å.pdf"),
            ("attachment; filename=\"100%25.pdf\"", "100%25.pdf"),
            ("attachment; filename=\"å.pdf\"", "å.pdf"),
        ] {
            assert_eq!(parameter(value.as_bytes(), "filename").as_deref(), Some(read), "{value}");
        }
        assert_eq!(parameter(b"attachment; filename=\"\xe5.pdf\"", "filename").as_deref(), Some("å.pdf"));
        assert_eq!(parameter(b"attachment", "filename"), None);
        let header = b"Content-Type: application/pdf;\r\n\tname=\"b.pdf\"\r\nX: y\r\ncontent-disposition: inline\r\n\r\n";
        assert_eq!(file_name(header).as_deref(), Some("b.pdf"));
    }

    #[test]
    fn a_field_that_never_ends_a_word_costs_no_more_than_its_length() {
        let long = "=?a?q?x".repeat(200_000);
        let started = std::time::Instant::now();
        assert_eq!(text(long.as_bytes()).len(), long.len());
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_reader(octets in prop::collection::vec(any::<u8>(), 0..200), value in "[=?utf\\-8QB*;\" \\\\'%A0-9a-z]{0,60}") {
            text(&octets);
            parameter(&octets, "filename");
            text(value.as_bytes());
            parameter(format!("a; filename{value}").as_bytes(), "filename");
        }

        #[test]
        fn every_text_survives_its_encoded_words(subject in "[a-zåäöÅÄÖ =?_\\-]{0,80}", step in 1..20_usize) {
            let words: Vec<String> = subject.as_bytes().chunks(step).map(|piece| {
                let q = piece.iter().map(|octet| format!("={octet:02X}")).collect::<Vec<_>>().concat();
                format!("=?utf-8?Q?{q}?=")
            }).collect();
            prop_assert_eq!(text(words.join("\r\n ").as_bytes()), subject);
        }
    }
}
