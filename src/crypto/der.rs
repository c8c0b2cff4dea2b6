//! Just enough DER to look at the extensions that the provider's bindings do not show: key usage, and what a CRL
//! declares critical. It walks what the provider has already parsed; it is no parser of its own for anything else.

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

/// The extensions of a certificate (`tag` 0xa3) or a CRL (`tag` 0xa0), RFC 5280 4.1 and 5.1. `None` when it is neither.
pub(super) fn extensions(der: &[u8], tag: u8) -> Option<Vec<Extension<'_>>> {
    let (outer, _) = element(der)?;
    let (signed, _) = element(outer.contents)?;
    let fields = elements(signed.contents)?;
    // A certificate's version is tagged 0xa0 too, but stands first; a CRL's extensions stand last.
    let Some(wrapped) = fields.iter().skip(1).rev().find(|field| field.tag == tag) else { return Some(Vec::new()) };
    let (list, _) = element(wrapped.contents)?;
    elements(list.contents)?.into_iter().map(|each| extension(each.contents)).collect()
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
}
