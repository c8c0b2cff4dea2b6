//! Which image in a text is decoration: a logo under the signature, an icon, a tracking dot.

/// A decoration has at most so many octets.
const DECORATION_OCTETS: usize = 64 * 1024;
/// A decoration is shown at most so high, in pixels.
const DECORATION_HEIGHT: u32 = 160;
/// Without a known height, a decoration has at most so many octets.
const UNMEASURED_OCTETS: usize = 8 * 1024;

/// Whether the image, shown with the height the text gives it or else with its own, only decorates.
pub(super) fn is_decoration(bytes: &[u8], shown_height: Option<u32>) -> bool {
    match shown_height.or_else(|| height(bytes)) {
        Some(height) => height <= DECORATION_HEIGHT && bytes.len() <= DECORATION_OCTETS,
        None => bytes.len() <= UNMEASURED_OCTETS,
    }
}

/// The height in pixels of a PNG, GIF or JPEG.
fn height(bytes: &[u8]) -> Option<u32> {
    let be16 = |at: usize| Some(u32::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(be16(20)? << 16 | be16(22)?);
    }
    if bytes.starts_with(b"GIF8") {
        return Some(u32::from(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?])));
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
            0xc0..=0xcf if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => return be16(at + 5),
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => at += 2 + be16(at + 2)?.max(2) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_read() {
        assert_eq!(height(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\x01\x02"), Some(258));
        assert_eq!(height(b"GIF89a\x05\0\x07\0"), Some(7));
        assert_eq!(height(b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x20\0\x10"), Some(32));
        assert_eq!(height(b"\xff\xd8\xff\xe0\0"), None);
        assert_eq!(height(b"BM"), None);
    }

    #[test]
    fn a_small_logo_decorates_and_a_screenshot_does_not() {
        let png = |height: u32, octets: usize| {
            let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0".to_vec();
            bytes.extend(height.to_be_bytes());
            bytes.resize(octets, 0);
            bytes
        };
        assert!(is_decoration(&png(80, 5_000), None));
        assert!(is_decoration(&png(600, 5_000), Some(60)));
        assert!(!is_decoration(&png(800, 5_000), None));
        assert!(!is_decoration(&png(80, 90_000), None));
    }
}
