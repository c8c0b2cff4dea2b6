//! Lists that Outlook writes as paragraphs, with the marks as text.

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
pub(super) fn level_of(css: &str) -> Option<usize> {
    let list = css.split_once("mso-list:l")?.1.split(';').next()?;
    let digits: String = list.split_once("level")?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok().map(|level| level.clamp(1, MAX_LIST_DEPTH))
}

/// The number that a mark such as `3.` counts from, or the words to keep of one such as `b)`.
pub(super) fn list_mark(mark: &str) -> (Option<u32>, Option<String>) {
    let mark = mark.trim_matches(|c: char| c.is_whitespace());
    let bare = mark.trim_end_matches(['.', ')']);
    if let Ok(number) = bare.parse::<u32>() {
        return (Some(number), None);
    }
    let lettered = bare != mark && bare.chars().all(char::is_alphanumeric) && !bare.is_empty();
    (None, lettered.then(|| format!("{mark} ")))
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
            Some((kind, list)) if kind.is_some() == first.is_some() => list.push(blocks),
            _ => lists.push((first, vec![blocks])),
        }
        rest = after;
    }
    lists.into_iter().map(|(first, items)| Block::List { first, items }).collect()
}
