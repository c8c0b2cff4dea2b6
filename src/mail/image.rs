//! Which image in a text is decoration: a logo under the signature, an icon, a tracking dot.
//!
//! An image that says something must not get lost, and a logo must not be sent again with every answer. So outside of a
//! signature only what is too small to say anything counts as decoration.

/// How an image stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shown {
    /// The height that the text gives it, in pixels.
    pub(super) height: Option<u32>,
    /// The width that the text gives it.
    pub(super) width: Option<u32>,
    /// It stands in a signature.
    pub(super) in_signature: bool,
    /// The mail has the same image several times.
    pub(super) repeated: bool,
}

/// An icon is at most so wide and high.
const ICON: u32 = 64;
/// A tracking dot is at most so wide or high.
const DOT: u32 = 2;
/// A logo or banner under a signature is at most so high.
const LOGO_HEIGHT: u32 = 200;
/// And has at most so many octets.
const LOGO_OCTETS: usize = 256 * 1024;
/// Where nothing tells its size, at most so many.
const UNMEASURED_OCTETS: usize = 64 * 1024;

/// Whether the image, in the size that the text gives it or else in its own, only decorates.
pub(super) fn is_decoration(bytes: &[u8], shown: Shown) -> bool {
    let own = size(bytes);
    let width = shown.width.or_else(|| scaled(shown.height, own.map(|(width, height)| (height, width))));
    let height = shown.height.or_else(|| scaled(shown.width, own));
    let (width, height) = (width.or(own.map(|own| own.0)), height.or(own.map(|own| own.1)));
    if height.is_some_and(|height| height <= DOT) || width.is_some_and(|width| width <= DOT) {
        return true;
    }
    if let (Some(width), Some(height)) = (width, height)
        && width <= ICON
        && height <= ICON
    {
        return true;
    }
    let stands_for_a_logo = shown.in_signature || shown.repeated;
    stands_for_a_logo
        && match height {
            Some(height) => height <= LOGO_HEIGHT && bytes.len() <= LOGO_OCTETS,
            None => bytes.len() <= UNMEASURED_OCTETS,
        }
}

/// The other side of an image of which one is given, by its own proportions.
fn scaled(given: Option<u32>, own: Option<(u32, u32)>) -> Option<u32> {
    let (given, (same, other)) = (given?, own?);
    u32::try_from(u64::from(given) * u64::from(other) / u64::from(same.max(1))).ok()
}

/// Width and height in pixels of a PNG, GIF, JPEG or BMP.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let be16 = |at: usize| Some(u32::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    let le16 = |at: usize| Some(u32::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    let be32 = |at: usize| Some(be16(at)? << 16 | be16(at + 2)?);
    let le32 = |at: usize| Some(le16(at + 2)? << 16 | le16(at)?);
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some((be32(16)?, be32(20)?));
    }
    if bytes.starts_with(b"GIF8") {
        return Some((le16(6)?, le16(8)?));
    }
    if bytes.starts_with(b"BM") {
        // Rows from the top down are a negative height.
        let height = le32(22)?;
        return Some((le32(18)?, height.min(height.wrapping_neg())));
    }
    if !bytes.starts_with(b"\xff\xd8") {
        return None;
    }
    let mut at = 2;
    loop {
        // Segments until the frame header; its third field is the height (ITU-T T.81 B.2.2).
        let (0xff, kind) = (*bytes.get(at)?, *bytes.get(at + 1)?) else { return None };
        match kind {
            0xff => at += 1,
            0xc0..=0xcf if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => return Some((be16(at + 7)?, be16(at + 5)?)),
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => at += 2 + be16(at + 2)?.max(2) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, octets: usize) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.resize(octets.max(bytes.len()), 0);
        bytes
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(size(&png(300, 258, 0)), Some((300, 258)));
        assert_eq!(size(b"GIF89a\x05\0\x07\0"), Some((5, 7)));
        assert_eq!(size(b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x20\0\x10"), Some((16, 32)));
        assert_eq!(size(b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0\x10\0\0\0\xf8\xff\xff\xff"), Some((16, 8)));
        assert_eq!(size(b"\xff\xd8\xff\xe0\0"), None);
        assert_eq!(size(b"PK"), None);
    }

    #[test]
    fn a_logo_decorates_and_a_screenshot_does_not() {
        let (text, signature) = (Shown::default(), Shown { in_signature: true, ..Shown::default() });
        let repeated = Shown { repeated: true, ..Shown::default() };
        for (image, shown, decorates) in [
            (png(200, 80, 5_000), signature, true),
            (png(600, 150, 90_000), signature, true),
            (png(200, 80, 5_000), repeated, true),
            // Shown small, whatever its own size.
            (png(2_000, 1_000, 90_000), Shown { height: Some(60), ..signature }, true),
            (png(2_000, 1_000, 90_000), Shown { width: Some(120), ..signature }, true),
            // A row of a form that somebody has cut out of the screen.
            (png(800, 90, 20_000), text, false),
            (png(300, 150, 5_000), text, false),
            (png(1_200, 900, 90_000), signature, false),
            (png(1_200, 900, 90_000), repeated, false),
            (png(200, 80, 900_000), signature, false),
            (png(32, 32, 900), text, true),
            (png(1, 1, 70), text, true),
            (png(500, 1, 70), text, true),
            (png(900, 700, 50_000), Shown { width: Some(1), height: Some(1), ..text }, true),
            (b"WMF".to_vec(), text, false),
            (b"WMF".to_vec(), signature, true),
        ] {
            assert_eq!(is_decoration(&image, shown), decorates, "{shown:?} {:?} {}", size(&image), image.len());
        }
    }
}
