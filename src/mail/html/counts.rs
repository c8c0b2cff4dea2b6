//! Lists and how they are counted: in numbers, which the subset has, or in letters, which become part of the text.

use super::style::Css;
use crate::mail::markdown::{Block, Piece, Style};

/// What stands between items belongs to the one before.
pub(super) fn append(items: &mut Vec<Vec<Block>>, between: Vec<Block>) {
    match items.last_mut() {
        Some(last) => last.extend(between),
        None if between.is_empty() => {}
        None => items.push(between),
    }
}

/// A list; one that is not counted in numbers has its marks as text.
pub(super) fn list(first: Option<u32>, count: Option<Count>, mut items: Vec<Vec<Block>>) -> Block {
    let (Some(from), Some(count)) = (first, count) else { return Block::List { first, items } };
    for (number, item) in (from..).zip(&mut items) {
        let mark = Piece::Text(format!("{}) ", count.mark(number)), Style::default());
        match item.first_mut() {
            Some(Block::Paragraph(pieces)) => pieces.insert(0, mark),
            _ => item.insert(0, Block::Paragraph(vec![mark])),
        }
    }
    Block::List { first: None, items }
}

/// How the items of a list are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// a, b, c.
    Letters,
    /// A, B, C.
    Capitals,
    /// i, ii, iii.
    Roman,
    /// I, II, III.
    RomanCapitals,
}

impl Count {
    /// By the `type` of a list or by its style; `None` for plain numbers.
    pub(super) fn of(kind: Option<&str>, css: &Css) -> Option<Self> {
        let style = css.get("list-style-type").or_else(|| css.get("list-style"));
        match (kind.map(str::trim), style) {
            (Some("a"), _) | (_, Some("lower-alpha" | "lower-latin")) => Some(Self::Letters),
            (Some("A"), _) | (_, Some("upper-alpha" | "upper-latin")) => Some(Self::Capitals),
            (Some("i"), _) | (_, Some("lower-roman")) => Some(Self::Roman),
            (Some("I"), _) | (_, Some("upper-roman")) => Some(Self::RomanCapitals),
            _ => None,
        }
    }

    /// The mark of the item of this number.
    pub(super) fn mark(self, number: u32) -> String {
        match self {
            Self::Letters => letters(number),
            Self::Capitals => letters(number).to_uppercase(),
            Self::Roman => roman(number),
            Self::RomanCapitals => roman(number).to_uppercase(),
        }
    }
}

fn letters(number: u32) -> String {
    let mut out = Vec::new();
    let mut left = number;
    while left > 0 {
        out.push(char::from(b'a' + u8::try_from((left - 1) % 26).unwrap_or_default()));
        left = (left - 1) / 26;
    }
    out.into_iter().rev().collect()
}

fn roman(number: u32) -> String {
    const SIGNS: [(u32, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    let mut left = number.min(3_999);
    let mut out = String::new();
    for (value, sign) in SIGNS {
        while left >= value {
            out.push_str(sign);
            left -= value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_roman_numbers_count() {
        assert_eq!([1, 26, 27].map(|n| Count::Letters.mark(n)), ["a", "z", "aa"]);
        assert_eq!([4, 9, 14].map(|n| Count::RomanCapitals.mark(n)), ["IV", "IX", "XIV"]);
    }
}
