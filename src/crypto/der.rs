//! Just enough DER for what the provider's bindings do not show: extensions, revocation lists, OCSP questions and
//! answers (RFC 6960), and the outside of PKCS#12.

use jiff::Timestamp;

/// One element: tag, contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) contents: &'a [u8],
}

/// One X.509 extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    /// The object identifier's contents octets.
    pub(super) oid: &'a [u8],
    pub(super) critical: bool,
    pub(super) value: &'a [u8],
}

/// The first element and what follows it.
pub(super) fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0usize, |sum, &octet| sum << 8 | usize::from(octet)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((Element { tag, contents }, rest))
}

/// The elements that stand one after another.
pub(super) fn elements(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (next, rest) = element(bytes)?;
        found.push(next);
        bytes = rest;
    }
    Some(found)
}

/// The elements that stand one after another, read as they are asked for. What is no element ends it.
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Option<Element<'a>>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = element(self.0);
        self.0 = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(element, _)| element))
    }
}

/// The contents of the one SEQUENCE that `bytes` are.
pub(super) fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    match element(bytes)? {
        (Element { tag: 0x30, contents }, []) => Some(contents),
        _ => None,
    }
}

/// The contents of an element that must have this tag.
pub(super) fn tagged(element: Option<Element<'_>>, tag: u8) -> Option<&[u8]> {
    element.filter(|element| element.tag == tag).map(|element| element.contents)
}

/// A `UTCTime` or `GeneralizedTime` as RFC 5280 4.1.2.5 has them: seconds, no fraction, UTC.
pub(super) fn time(element: Element<'_>) -> Option<Timestamp> {
    let digits = std::str::from_utf8(element.contents).ok()?.strip_suffix('Z')?;
    let (century, digits) = match (element.tag, digits.len()) {
        // RFC 5280 4.1.2.5.1
        (0x17, 12) => (if digits < "50" { "20" } else { "19" }, digits),
        (0x18, 14) => digits.split_at_checked(2)?,
        _ => return None,
    };
    if !digits.bytes().chain(century.bytes()).all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).unwrap_or_default();
    format!("{century}{}-{}-{}T{}:{}:{}Z", part(0), part(2), part(4), part(6), part(8), part(10)).parse().ok()
}

/// Writes one element: tag, length, contents.
pub(super) fn write(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let octets = length.to_be_bytes();
    let significant: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
    let mut der = match (length, u8::try_from(significant.len())) {
        (0..=0x7f, _) => vec![tag, significant.first().copied().unwrap_or(0)],
        (_, Ok(count)) => [&[tag, 0x80 | count][..], &significant].concat(),
        // A length has at most eight octets.
        (_, Err(_)) => Vec::new(),
    };
    der.extend_from_slice(contents);
    der
}

/// The extensions that stand in a SEQUENCE with these contents.
pub(super) fn extension_list(contents: &[u8]) -> Option<Vec<Extension<'_>>> {
    elements(contents)?.into_iter().map(|each| extension(tagged(Some(each), 0x30)?)).collect()
}

/// A field of a certificate by its number in RFC 5280 4.1, counted without the version: the serial number is the first.
pub(super) fn certificate_field(der: &[u8], number: usize) -> Option<Element<'_>> {
    let (outer, _) = element(der)?;
    let (signed, _) = element(outer.contents)?;
    elements(signed.contents)?.into_iter().enumerate().filter(|(at, field)| *at > 0 || field.tag != 0xa0).nth(number).map(|(_, field)| field)
}

/// The extensions of a certificate (`tag` 0xa3) or a CRL (`tag` 0xa0), RFC 5280 4.1 and 5.1. `None` when it is neither.
pub(super) fn extensions(der: &[u8], tag: u8) -> Option<Vec<Extension<'_>>> {
    let (outer, _) = element(der)?;
    let (signed, _) = element(outer.contents)?;
    let fields = elements(signed.contents)?;
    // A certificate's version is tagged 0xa0 too, but stands first; a CRL's extensions stand last.
    let Some(wrapped) = fields.iter().skip(1).rev().find(|field| field.tag == tag) else { return Some(Vec::new()) };
    let (list, _) = element(wrapped.contents)?;
    extension_list(list.contents)
}

fn extension(bytes: &[u8]) -> Option<Extension<'_>> {
    match elements(bytes)?.as_slice() {
        [Element { tag: 6, contents: oid }, Element { tag: 4, contents: value }] => Some(Extension { oid, critical: false, value }),
        [Element { tag: 6, contents: oid }, Element { tag: 1, contents: critical }, Element { tag: 4, contents: value }] => {
            Some(Extension { oid, critical: *critical != [0], value })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_never_trusted() {
        assert_eq!(element(&[4, 2, 7, 8, 9]), Some((Element { tag: 4, contents: &[7, 8] }, &[9][..])));
        assert_eq!(element(&[4, 0x81, 1, 7]), Some((Element { tag: 4, contents: &[7] }, &[][..])));
        for cut in [&[][..], &[4], &[4, 2, 7], &[4, 0x80], &[4, 0x84, 0xff, 0xff, 0xff, 0xff], &[4, 0x82, 1], &[4, 0x88, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(element(cut), None, "{cut:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000] {
            let contents = vec![7; length];
            assert_eq!(element(&write(4, &contents)), Some((Element { tag: 4, contents: &contents }, &[][..])), "{length}");
        }
    }
}
