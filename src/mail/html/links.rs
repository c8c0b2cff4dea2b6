//! Where a link leads, in words: its text, and its address unless the text says it.

use super::Remark;
use crate::mail::words;

/// What a program that guards links puts before the address that the writer gave.
const GUARDS: &[(&str, &str)] = &[
    (".safelinks.protection.outlook.com", "url"),
    ("www.google.com", "q"),
    ("www.google.se", "q"),
    ("nam.safelink.emails.azure.net", "destination"),
];

/// The words that follow a link's text, if any, and what is to be said of them.
pub(super) fn address(target: &str, shown: &str) -> (Option<String>, Option<Remark>) {
    let target = words::one_line(target);
    let lower = target.to_lowercase();
    let schemes = ["http:", "https:", "mailto:", "tel:", "ftp:", "file:", "sip:"];
    if !schemes.iter().any(|scheme| lower.starts_with(scheme)) {
        return (None, None);
    }
    let (target, remark) = match unguarded(&target) {
        Some(real) => (real, Some(Remark::GuardedLink)),
        None => (target, None),
    };
    let shown = shown.trim();
    let told = match split_scheme(&target) {
        ("mailto", rest) => words::one_line(&decoded(rest.split('?').next().unwrap_or(rest))),
        ("tel", rest) => rest.to_owned(),
        _ => target.clone(),
    };
    let same = match split_scheme(&target) {
        ("tel", number) => digits(number).ends_with(digits(shown).trim_start_matches('0')) && digits(shown).len() >= 5,
        ("mailto", _) => bare(shown) == bare(&told),
        _ => bare(shown) == bare(&target) || decoded(&bare(shown)) == decoded(&bare(&target)),
    };
    if told.is_empty() || same {
        return (None, remark);
    }
    (Some(if shown.is_empty() { told } else { format!(" ({told})") }), remark)
}

/// The address that a guard was put before.
fn unguarded(target: &str) -> Option<String> {
    let (_, rest) = target.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let host = host.to_lowercase();
    if host.ends_with("urldefense.com") {
        // `v3/__https://…__;…`
        let (_, inner) = path.split_once("__")?;
        return Some(inner.split_once("__;").map_or(inner, |(inner, _)| inner).to_owned()).filter(|real| is_web(real) && !real.contains('*'));
    }
    let (_, parameter) = GUARDS.iter().find(|(guard, _)| host.ends_with(guard))?;
    let query = path.split_once('?')?.1;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(parameter)?.strip_prefix('='))?;
    Some(words::one_line(&decoded(value))).filter(|real| is_web(real) || real.starts_with("mailto:"))
}

fn is_web(address: &str) -> bool {
    address.starts_with("http://") || address.starts_with("https://")
}

fn split_scheme(target: &str) -> (&str, &str) {
    let (scheme, rest) = target.split_once(':').unwrap_or(("", target));
    for known in ["mailto", "tel"] {
        if scheme.eq_ignore_ascii_case(known) {
            return (known, rest);
        }
    }
    ("", target)
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// An address as people write it.
fn bare(text: &str) -> String {
    let text = text.trim().trim_matches(['<', '>', '"']).to_lowercase();
    let text = ["https://", "http://", "mailto:"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(&text).to_owned();
    text.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_unless_the_text_says_it() {
        for (target, shown, told) in [
            ("https://habo.se/x", "läs mer", Some(" (https://habo.se/x)")),
            ("https://www.habo.se/", "www.habo.se", None),
            ("https://habo.se/%C3%A5", "https://habo.se/å", None),
            ("https://elak.example/", "https://banken.se/", Some(" (https://elak.example/)")),
            ("https://habo.se/", "", Some("https://habo.se/")),
            ("mailto:anna@habo.se?subject=x", "anna@habo.se", None),
            ("mailto:anna%40habo.se", "Anna", Some(" (anna@habo.se)")),
            ("tel:+46171525000", "0171-525 00 0", None),
            ("tel:+46171525000", "Växeln", Some(" (+46171525000)")),
            ("file:///\\\\server\\a b", "mappen", Some(" (file:///\\\\server\\a b)")),
            ("javascript:x()", "klicka", None),
            ("#_Toc1", "avsnitt 1", None),
        ] {
            assert_eq!(address(target, shown).0.as_deref(), told, "{target} {shown}");
        }
    }

    #[test]
    fn guarded_links_show_where_the_writer_sent_them() {
        let safe = "https://eur02.safelinks.protection.outlook.com/?url=https%3A%2F%2Fhabo.se%2Fa%3Fb%3D1&data=05%7C02&reserved=0";
        assert_eq!(address(safe, "här"), (Some(" (https://habo.se/a?b=1)".to_owned()), Some(Remark::GuardedLink)));
        assert_eq!(address(safe, "https://habo.se/a?b=1").0, None);
        let defended = "https://urldefense.com/v3/__https://habo.se/a__;!!x$";
        assert_eq!(address(defended, "här").0.as_deref(), Some(" (https://habo.se/a)"));
        // What is none is told as it stands.
        let other = "https://safelinks.example/?url=https%3A%2F%2Fhabo.se";
        assert_eq!(address(other, "här"), (Some(format!(" ({other})")), None));
    }
}
