//! Text that came from outside, made fit for XML 1.0, for one line, and for a reader.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Line ends become `\n`, tabs spaces; what XML 1.0 cannot carry or no reader sees is dropped (control characters,
/// byte order marks, non-characters).
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\t' => out.push(' '),
            // A form feed or a vertical tab parts words.
            '\n' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            c if is_unfit(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// One line: [`clean`]ed, NFC, white space collapsed, without marks that turn the reading direction.
pub(super) fn one_line(text: &str) -> String {
    let text: String = clean(text).chars().filter(|&c| !turns_direction(c)).nfc().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `max` code points, cut between graphemes.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut left = max;
    let mut end = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        let size = grapheme.chars().count();
        if size > left {
            break;
        }
        left -= size;
        end = at + grapheme.len();
    }
    text.get(..end).unwrap_or_default().trim_end()
}

/// Characters that turn the direction of what follows: a name that ends in `fdp.exe` must not show `exe.pdf`.
pub(super) fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_carry_is_dropped() {
        assert_eq!(clean("a\u{c}b\u{b}c"), "a\nb\nc");
        assert_eq!(clean("a\0b\r\nc\rd\te\u{feff}\u{ffff}å\u{85}"), "ab\nc\nd eå");
        assert_eq!(one_line("  Ha\u{30a}bo \r\n\t kommun \u{202e}x "), "Håbo kommun x");
    }

    #[test]
    fn a_cut_never_splits_a_grapheme() {
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(cut(&format!("ab{family}c"), 4), "ab");
        assert_eq!(cut(&format!("ab{family}c"), 7), format!("ab{family}"));
        assert_eq!(cut("åäö", 2), "åä");
        assert_eq!(cut("a b", 2), "a");
    }
}
