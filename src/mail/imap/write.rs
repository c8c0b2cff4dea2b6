//! The texts that commands are made of: strings, folder names, times and logins.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use jiff::Timestamp;
use zeroize::Zeroizing;

/// RFC 3501 5.1.3: base64 with a comma and without padding.
const FOLDER_BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// A quoted string; `None` for what needs a literal: control characters and what is not ASCII (RFC 9051 4.3).
#[must_use]
pub fn quoted(text: &str) -> Option<String> {
    if text.len() > 1000 || text.bytes().any(|b| !(0x20..0x7f).contains(&b)) {
        return None;
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A folder's name as it stands in a command: in modified UTF-7, quoted (RFC 3501 5.1.3).
///
/// `None` when it has control characters or no characters, or is longer than any folder's.
#[must_use]
pub fn folder(name: &str) -> Option<String> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return None;
    }
    let mut written = String::new();
    let mut foreign: Vec<u8> = Vec::new();
    let flush = |foreign: &mut Vec<u8>, written: &mut String| {
        if !foreign.is_empty() {
            written.extend(["&", &FOLDER_BASE64.encode(&foreign), "-"]);
            foreign.clear();
        }
    };
    for c in name.chars() {
        if c.is_ascii() {
            flush(&mut foreign, &mut written);
            written.push(c);
            if c == '&' {
                written.push('-');
            }
        } else {
            let mut units = [0; 2];
            foreign.extend(c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut foreign, &mut written);
    quoted(&written)
}

/// The time that a mail gets in its folder (RFC 9051 2.3.3).
#[must_use]
pub fn internal_date(at: Timestamp) -> String {
    at.strftime("\"%e-%b-%Y %H:%M:%S +0000\"").to_string()
}

/// SASL PLAIN (RFC 4616 2), in base64.
#[must_use]
pub fn plain(user: &str, password: &str) -> Zeroizing<String> {
    sasl(&format!("\0{user}\0{password}"))
}

/// XOAUTH2, as Exchange Online and Gmail have it, in base64.
#[must_use]
pub fn xoauth2(user: &str, token: &str) -> Zeroizing<String> {
    sasl(&format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

/// OAUTHBEARER (RFC 7628 3.1), in base64.
#[must_use]
pub fn oauthbearer(user: &str, host: &str, port: u16, token: &str) -> Zeroizing<String> {
    // RFC 5801 4: a comma and an equals sign in the name are escaped.
    let name = user.replace('=', "=3D").replace(',', "=2C");
    sasl(&format!("n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01"))
}

fn sasl(text: &str) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_written_as_servers_have_them() {
        for (name, written) in [
            ("INBOX", "\"INBOX\""),
            ("Åtgärdat", "\"&AMU-tg&AOQ-rdat\""),
            ("SDK/Utkorg & mer", "\"SDK/Utkorg &- mer\""),
            ("日本語", "\"&ZeVnLIqe-\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("😀", "\"&2D3eAA-\""),
        ] {
            assert_eq!(folder(name).as_deref(), Some(written));
        }
        for none in ["", "a\r\nb", "\0"] {
            assert_eq!(folder(none), None);
        }
    }

    #[test]
    fn times_and_logins_have_their_form() {
        assert_eq!(internal_date("2026-01-05T09:07:03Z".parse().unwrap()), "\" 5-Jan-2026 09:07:03 +0000\"");
        assert_eq!(*plain("anna", "hemligt"), "AGFubmEAaGVtbGlndA==");
        let decoded = |text: &str| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!(decoded(&xoauth2("a@b.se", "t")), "user=a@b.se\u{1}auth=Bearer t\u{1}\u{1}");
        assert_eq!(decoded(&oauthbearer("a,=b", "h", 993, "t")), "n,a=a=2C=3Db,\u{1}host=h\u{1}port=993\u{1}auth=Bearer t\u{1}\u{1}");
        assert_eq!((quoted("a\"b"), quoted("å"), quoted("a\nb")), (Some("\"a\\\"b\"".into()), None, None));
    }
}
