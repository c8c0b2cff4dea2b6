//! Lists that Outlook writes as paragraphs, with the marks as text.

use super::style::Css;
use crate::mail::markdown::{Block, MAX_LIST_DEPTH, Piece};

/// An item of a list that is written as paragraphs.
pub(super) struct LooseItem {
    /// 1 is the outermost.
    pub(super) level: usize,
    /// The number it bears, if any.
    pub(super) first: Option<u32>,
    /// Its text.
    pub(super) pieces: Vec<Piece>,
}

/// `mso-list:l0 level2 lfo1` is level 2 (white space is already gone).
pub(super) fn level_of(css: &Css) -> Option<usize> {
    let list = css.get("mso-list")?.strip_prefix('l')?;
    let digits: String = list.split_once("level")?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok().map(|level| level.clamp(1, MAX_LIST_DEPTH))
}

/// The level of a list paragraph of Word that another program passed on without its marks: by its margin, of which each
/// level has half an inch.
pub(super) fn level_by_margin(css: &Css) -> usize {
    let margin = css.get("margin-left").or_else(|| css.get("margin").and_then(|all| all.rsplit(' ').next())).unwrap_or_default();
    let digits = margin.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let points: f32 = digits.parse().unwrap_or(36.0);
    let points = match margin.get(digits.len()..) {
        Some("cm") => points * 28.35,
        Some("in") => points * 72.0,
        Some("px") => points * 0.75,
        _ => points,
    };
    (1..=MAX_LIST_DEPTH).find(|&level| points < 36.0 * (f32::from(u8::try_from(level).unwrap_or(1)) + 0.5)).unwrap_or(MAX_LIST_DEPTH)
}

/// The mark at the beginning of a paragraph that has one: what stands before two or more spaces that do not break.
pub(super) fn leading_mark(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let end = text.find(['\u{a0}', ' '])?;
    let (mark, rest) = text.split_at_checked(end)?;
    let spaces = rest.chars().take_while(|c| matches!(c, '\u{a0}' | ' ')).filter(|c| *c == '\u{a0}').count();
    let is_mark = matches!(mark, "·" | "•" | "o" | "§" | "-" | "–" | "▪" | "□" | "➢" | "✓" | "❖")
        || (mark.len() <= 8 && mark.ends_with(['.', ')']) && mark.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | ')' | '(')));
    (spaces >= 2 && is_mark).then_some(mark)
}

/// The number that a mark such as `3.` counts from, or the words to keep of one such as `b)` or `1.2`.
pub(super) fn list_mark(mark: &str) -> (Option<u32>, Option<String>) {
    let mark = mark.trim_matches(|c: char| c.is_whitespace());
    let bare = mark.trim_matches(['.', ')', '(']);
    if let Ok(number) = bare.parse::<u32>() {
        return (Some(number), None);
    }
    // A lone `o` is a bullet of Courier New, which Word writes for the second level.
    let said = bare.chars().any(char::is_alphanumeric) && (bare != mark || bare.chars().count() > 1);
    (None, said.then(|| format!("{mark} ")))
}

/// Items in a row, by their levels, as lists in lists.
pub(super) fn nest(items: &[LooseItem], level: usize) -> Vec<Block> {
    let mut lists: Vec<(Option<u32>, Vec<Vec<Block>>)> = Vec::new();
    let mut rest = items;
    while let Some((item, tail)) = rest.split_first() {
        let deeper = |item: &&LooseItem| item.level > level;
        let inner = if item.level > level { rest } else { tail };
        let count = inner.iter().take_while(deeper).count();
        let (children, after) = inner.split_at_checked(count).unwrap_or((inner, &[]));
        let mut blocks = if item.level > level { Vec::new() } else { vec![Block::Paragraph(item.pieces.clone())] };
        blocks.extend(nest(children, level + 1));
        let first = if item.level > level { None } else { item.first };
        match lists.last_mut() {
            // A number out of its turn begins another list.
            Some((kind, list))
                if item.level > level || kind.map(|from| from.saturating_add(u32::try_from(list.len()).unwrap_or(u32::MAX))) == first =>
            {
                list.push(blocks);
            }
            _ => lists.push((first, vec![blocks])),
        }
        rest = after;
    }
    lists.into_iter().map(|(first, items)| Block::List { first, items }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_say_something_are_kept() {
        for (mark, meant) in [
            ("·", (None, None)),
            ("o", (None, None)),
            ("3.", (Some(3), None)),
            ("(4)", (Some(4), None)),
            ("b)", (None, Some("b) "))),
            ("ii.", (None, Some("ii. "))),
            ("1.2.", (None, Some("1.2. "))),
            ("§", (None, None)),
        ] {
            assert_eq!(list_mark(mark), (meant.0, meant.1.map(str::to_owned)), "{mark}");
        }
        assert_eq!(leading_mark("·\u{a0}\u{a0}\u{a0} text"), Some("·"));
        assert_eq!(leading_mark("1.\u{a0} \u{a0}text"), Some("1."));
        assert_eq!((leading_mark("o ena sidan"), leading_mark("vanlig text")), (None, None));
    }
}
