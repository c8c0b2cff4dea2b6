//! Windows code pages by their numbers, as TNEF and RTF name them.

use mail_parser::decoders::charsets::map::charset_decoder;

/// What code page 437 has above ASCII; the table of charsets lacks it.
const IBM437: &str =
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Text in a code page; `None` when nothing here knows it.
pub(super) fn decode(bytes: &[u8], page: u32) -> Option<String> {
    match page {
        // Zero is "the system's own": Western Europe here.
        0 => named(bytes, "windows-1252"),
        437 => Some(bytes.iter().map(|&octet| ibm437(octet)).collect()),
        1200 => Some(utf16(bytes)),
        20127 => Some(bytes.iter().map(|&octet| if octet.is_ascii() { char::from(octet) } else { '\u{fffd}' }).collect()),
        // UTF-8, or what was meant by it.
        65001 => std::str::from_utf8(bytes).map(str::to_owned).ok().or_else(|| named(bytes, "windows-1252")),
        page => named(bytes, &name(page)?),
    }
}

/// UTF-16, little end first, as MAPI has it. An odd last octet is dropped.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
}

fn named(bytes: &[u8], name: &str) -> Option<String> {
    charset_decoder(name.as_bytes()).map(|decode| decode(bytes))
}

fn ibm437(octet: u8) -> char {
    match octet.checked_sub(128) {
        None => char::from(octet),
        Some(above) => IBM437.chars().nth(usize::from(above)).unwrap_or('\u{fffd}'),
    }
}

fn name(page: u32) -> Option<String> {
    Some(match page {
        850 => "ibm850".to_owned(),
        866 => "ibm866".to_owned(),
        874 => "windows-874".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 | 51949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        1250..=1258 => format!("windows-{page}"),
        10000 => "macintosh".to_owned(),
        20866 => "koi8-r".to_owned(),
        21866 => "koi8-u".to_owned(),
        28591..=28606 => format!("iso-8859-{}", page - 28590),
        50220..=50222 => "iso-2022-jp".to_owned(),
        51932 => "euc-jp".to_owned(),
        54936 => "gb18030".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swedish_letters_come_right_from_every_page_that_has_them() {
        for (page, bytes) in [
            (0, &b"\xe5\xe4\xf6"[..]),
            (437, b"\x86\x84\x94"),
            (850, b"\x86\x84\x94"),
            (1252, b"\xe5\xe4\xf6"),
            (28591, b"\xe5\xe4\xf6"),
            (28605, b"\xe5\xe4\xf6"),
            (10000, b"\x8c\x8a\x9a"),
            (65001, "åäö".as_bytes()),
            (65001, b"\xe5\xe4\xf6"),
            (1200, b"\xe5\0\xe4\0\xf6\0\xff"),
        ] {
            assert_eq!(decode(bytes, page).as_deref(), Some("åäö"), "{page}");
        }
        assert_eq!(decode(b"\xcf\xf0\xe8", 1251).as_deref(), Some("При"));
        assert_eq!(decode(b"\x82\xa0", 932).as_deref(), Some("あ"));
        assert_eq!(decode(b"x", 99), None);
    }

    #[test]
    fn every_page_that_is_named_is_known() {
        let pages = [850, 866, 874, 932, 936, 949, 950, 10000, 20866, 21866, 50220, 51932, 51949, 54936];
        // There is no ISO 8859-12.
        for page in pages.into_iter().chain(1250..=1258).chain((28591..=28606).filter(|page| *page != 28602)) {
            assert_eq!(decode(b"abc", page).as_deref(), Some("abc"), "{page}");
        }
        assert_eq!(IBM437.chars().count(), 128);
    }
}
