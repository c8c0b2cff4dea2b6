//! The Markdown subset of SDK messages (SDK B1.3.3 4.3.3.2), written: headings, bold, italic, bullets, numbers, blank
//! lines between paragraphs, two spaces before a hard line break, and nothing else.
//!
//! Whatever stands in a text stays text: each character that a CommonMark reader would take for a mark is escaped, and
//! only those, since some receivers show the text as it is. An emphasis that the reader could not close is dropped.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// Nesting of lists that is kept; deeper ones become paragraphs of the deepest.
pub(super) const MAX_LIST_DEPTH: usize = 8;

/// A part of a text that stands by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// A paragraph.
    Paragraph(Vec<Piece>),
    /// A heading of level 1 to 6.
    Heading(u8, Vec<Piece>),
    /// A list; numbered from the given number, or with bullets.
    List {
        /// The first number.
        first: Option<u32>,
        /// Each item's blocks.
        items: Vec<Vec<Block>>,
    },
}

/// How a run of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Style {
    /// Bold.
    pub(super) bold: bool,
    /// Italic.
    pub(super) italic: bool,
}

/// A run of text in a paragraph, or a hard line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text in one style.
    Text(String, Style),
    /// A hard line break.
    Break,
}

/// Writes blocks as Markdown, with `\n` line ends and none at the end.
pub(super) fn write(blocks: &[Block]) -> String {
    blocks_text(blocks, 0)
}

/// The bare words of pieces, a space for a break.
pub(super) fn plain_words(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text, _) => text.as_str(),
            Piece::Break => " ",
        })
        .collect()
}

fn blocks_text(blocks: &[Block], depth: usize) -> String {
    let mut out = String::new();
    let mut lists_in_row = 0_usize;
    for block in blocks {
        lists_in_row = if matches!(block, Block::List { .. }) { lists_in_row + 1 } else { 0 };
        let text = match block {
            Block::Paragraph(pieces) => paragraphs(pieces),
            Block::Heading(level, pieces) => heading(*level, pieces),
            Block::List { first, items } => list(*first, items, lists_in_row.is_multiple_of(2), depth),
        };
        if text.is_empty() {
            continue;
        }
        if !out.is_empty() {
            // A list may follow an item's first line directly, unless it is numbered from elsewhere than 1 (CommonMark 5.2).
            let tight = depth > 0 && matches!(block, Block::List { first: None | Some(1), .. });
            out.push_str(if tight { "\n" } else { "\n\n" });
        }
        out.push_str(&text);
    }
    out
}

/// Two breaks in a row part paragraphs.
fn paragraphs(pieces: &[Piece]) -> String {
    let mut out = String::new();
    let mut blank = false;
    for line in pieces.split(|piece| *piece == Piece::Break) {
        let text = line_text(line, false);
        if text.is_empty() {
            blank = true;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if blank { "\n\n" } else { "  \n" });
        }
        out.push_str(&text);
        blank = false;
    }
    out
}

fn heading(level: u8, pieces: &[Piece]) -> String {
    let line: Vec<Piece> = pieces
        .iter()
        .map(|piece| match piece {
            // A heading is bold by itself.
            Piece::Text(text, style) => Piece::Text(text.clone(), Style { bold: false, ..*style }),
            Piece::Break => Piece::Text(" ".to_owned(), Style::default()),
        })
        .collect();
    let text = line_text(&line, true);
    if text.is_empty() { text } else { format!("{} {text}", "#".repeat(usize::from(level.clamp(1, 6)))) }
}

/// Lists that follow one another take turns in their marks, so that a reader does not join them (CommonMark 5.3).
fn list(first: Option<u32>, items: &[Vec<Block>], other_mark: bool, depth: usize) -> String {
    if depth >= MAX_LIST_DEPTH {
        return items.iter().map(|item| blocks_text(item, depth)).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    }
    let mut lines = Vec::new();
    let mut loose = false;
    let mut number = first.unwrap_or(1).min(99_999);
    for item in items {
        let text = blocks_text(item, depth + 1);
        if text.is_empty() {
            continue;
        }
        let mark = match first {
            Some(_) => format!("{number}{} ", if other_mark { ')' } else { '.' }),
            None => if other_mark { "- " } else { "* " }.to_owned(),
        };
        number += 1;
        loose |= text.contains("\n\n");
        let indent = format!("\n{}", " ".repeat(mark.len()));
        let body = text.replace('\n', &indent);
        lines.push(mark + &body);
    }
    // Blank lines hold no indentation.
    let text = lines.join(if loose { "\n\n" } else { "\n" });
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if !line.chars().all(|c| c == ' ') {
            out.push_str(line);
        }
    }
    out
}

/// One line in one style each, without spaces at its ends.
fn line_text(pieces: &[Piece], heading: bool) -> String {
    let mut runs: Vec<(String, Style)> = Vec::new();
    for piece in pieces {
        let Piece::Text(text, style) = piece else { continue };
        for word in text.split_inclusive(' ') {
            // Spaces are of no style: marks must hug the words.
            let (word, space) = word.strip_suffix(' ').map_or((word, false), |word| (word, true));
            push_run(&mut runs, &word.replace('\n', " "), *style);
            if space && runs.last().is_some_and(|(text, _)| !text.ends_with(' ')) {
                push_run(&mut runs, " ", Style::default());
            }
        }
    }
    while runs.last().is_some_and(|(text, _)| text == " ") {
        runs.pop();
    }
    join_over_spaces(&mut runs);
    settle(&mut runs);
    emit(&runs, heading)
}

fn push_run(runs: &mut Vec<(String, Style)>, text: &str, style: Style) {
    if text.is_empty() {
        return;
    }
    match runs.last_mut() {
        Some((last, same)) if *same == style && last != " " && text != " " => last.push_str(text),
        _ => runs.push((text.to_owned(), style)),
    }
}

/// `**a** **b**` is `**a b**`.
fn join_over_spaces(runs: &mut Vec<(String, Style)>) {
    let mut joined: Vec<(String, Style)> = Vec::with_capacity(runs.len());
    for (text, style) in runs.drain(..) {
        if let [.., (before, first), (space, _)] = joined.as_mut_slice()
            && space == " "
            && *first == style
            && text != " "
        {
            before.push(' ');
            before.push_str(&text);
            joined.pop();
        } else {
            joined.push((text, style));
        }
    }
    *runs = joined;
}

/// Takes away emphasis that a CommonMark reader would not read as such: runs that touch one another in different
/// emphasis, and marks that are not flanking (CommonMark 6.2).
fn settle(runs: &mut Vec<(String, Style)>) {
    for at in 1..runs.len() {
        let [.., before, this] = runs.get_mut(..=at).unwrap_or_default() else { continue };
        if before.1 != Style::default() && this.1 != Style::default() && before.1 != this.1 {
            this.1 = Style::default();
        }
    }
    for at in 0..runs.len() {
        let before = at.checked_sub(1).and_then(|at| runs.get(at)).and_then(|(text, _)| text.chars().next_back());
        let after = runs.get(at + 1).and_then(|(text, _)| text.chars().next());
        let Some((text, style)) = runs.get_mut(at) else { continue };
        if *style == Style::default() {
            continue;
        }
        let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else { continue };
        let free = |neighbour: Option<char>| neighbour.is_none_or(|c| c == ' ' || c.is_ascii_punctuation());
        let flanks = |inner: char, outer: Option<char>| !inner.is_whitespace() && (inner.is_alphanumeric() || free(outer));
        // `_` opens and closes at a word's edge only.
        let edges = free(before) && free(after);
        style.italic &= edges && !first.is_whitespace() && !last.is_whitespace();
        // Inside `**_x_**` the bold mark touches `_`, which is punctuation.
        let sound = if style.italic { edges } else { flanks(first, before) && flanks(last, after) };
        style.bold &= sound;
    }
    let mut merged: Vec<(String, Style)> = Vec::with_capacity(runs.len());
    for (text, style) in runs.drain(..) {
        match merged.last_mut() {
            Some((last, same)) if *same == style => last.push_str(&text),
            _ => merged.push((text, style)),
        }
    }
    *runs = merged;
}

fn emit(runs: &[(String, Style)], heading: bool) -> String {
    let whole: String = runs.iter().map(|(text, _)| text.as_str()).collect();
    let Some(start) = whole.find(|c| c != ' ') else { return String::new() };
    let end = whole.trim_end_matches(' ').len();
    let opener = line_opener(whole.get(start..end).unwrap_or_default()).map(|at| at + start);
    let mut out = String::with_capacity(whole.len() + 16);
    let mut from = 0;
    for (text, style) in runs {
        let span = from.max(start)..(from + text.len()).min(end);
        from += text.len();
        if span.is_empty() {
            continue;
        }
        let marks = match (style.bold, style.italic) {
            (true, true) => ("**_", "_**"),
            (true, false) => ("**", "**"),
            (false, true) => ("_", "_"),
            (false, false) => ("", ""),
        };
        out.push_str(marks.0);
        escape_into(&mut out, &whole, span, &Visible { range: start..end, opener, heading });
        out.push_str(marks.1);
    }
    out
}

/// The part of a line that is shown.
struct Visible {
    range: Range<usize>,
    /// Where the character stands that would make the line open a block.
    opener: Option<usize>,
    heading: bool,
}

/// Appends `line[span]`.
fn escape_into(out: &mut String, line: &str, span: Range<usize>, visible: &Visible) {
    for (offset, c) in line.get(span.clone()).unwrap_or_default().char_indices() {
        let at = span.start + offset;
        let rest = line.get(at + c.len_utf8()..visible.range.end).unwrap_or_default();
        let next = rest.chars().next();
        let before = line.get(visible.range.start..at).and_then(|text| text.chars().next_back());
        let at_edge = at == span.start || at + c.len_utf8() == span.end;
        let mark = match c {
            '*' | '`' => true,
            '\\' => at_edge || next.is_none_or(|c| c.is_ascii_punctuation()),
            '_' => at_edge || !(before.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric)),
            '<' => next.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')),
            '&' => is_entity(rest),
            ']' => matches!(next, Some('(' | ':' | '[')),
            '~' => next == Some('~') || before == Some('~'),
            '#' => visible.heading,
            _ => false,
        };
        if mark || visible.opener == Some(at) {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Where the character stands that would make the line open a block, if any: a heading, quote, list, rule or underline.
fn line_opener(line: &str) -> Option<usize> {
    let first = line.chars().next()?;
    let next = line.chars().nth(1);
    match first {
        '#' | '>' => Some(0),
        '-' | '+' => next.is_none_or(|c| c == ' ' || c == first).then_some(0),
        '=' => line.chars().all(|c| c == '=' || c == ' ').then_some(0),
        '0'..='9' => {
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            let mut after = line.chars().skip(digits);
            let list = digits <= 9 && matches!(after.next(), Some('.' | ')')) && after.next().is_none_or(|c| c == ' ');
            list.then_some(digits)
        }
        _ => None,
    }
}

fn is_entity(rest: &str) -> bool {
    let body: usize = rest.chars().take(41).take_while(|c| c.is_ascii_alphanumeric() || *c == '#').count();
    (1..=40).contains(&body) && rest.as_bytes().get(body) == Some(&b';')
}

/// Whether a text has any letter, digit or other visible sign.
pub(super) fn is_blank(text: &str) -> bool {
    text.graphemes(true).all(|g| g.chars().all(|c| c.is_whitespace() || c == '\u{200b}'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Parser, Tag, TagEnd};

    use super::*;

    fn plain(text: &str) -> Piece {
        Piece::Text(text.to_owned(), Style::default())
    }

    fn bold(text: &str) -> Piece {
        Piece::Text(text.to_owned(), Style { bold: true, italic: false })
    }

    fn italic(text: &str) -> Piece {
        Piece::Text(text.to_owned(), Style { bold: false, italic: true })
    }

    /// What a CommonMark reader shows, white space collapsed; fails on anything outside the subset.
    fn read(markdown: &str) -> String {
        let mut out = String::new();
        for event in Parser::new(markdown) {
            match event {
                Event::Text(text) => out.push_str(&text),
                Event::Start(Tag::Strong | Tag::Emphasis) | Event::End(TagEnd::Strong | TagEnd::Emphasis) => {}
                Event::SoftBreak
                | Event::HardBreak
                | Event::Start(Tag::Paragraph | Tag::Heading { .. } | Tag::List(_) | Tag::Item)
                | Event::End(_) => out.push(' '),
                other => panic!("{other:?} in {markdown:?}"),
            }
        }
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn words(blocks: &[Block]) -> String {
        let mut out = String::new();
        for block in blocks {
            match block {
                Block::Paragraph(pieces) | Block::Heading(_, pieces) => out.push_str(&plain_words(pieces)),
                Block::List { items, .. } => items.iter().for_each(|item| out.extend([&words(item), " "])),
            }
            out.push(' ');
        }
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_subset_is_written_as_sdk_shows_it() {
        let blocks = [
            Block::Heading(2, vec![bold("Beslut")]),
            Block::Paragraph(vec![plain("Hej "), bold("Anna "), plain("och "), italic("Bo"), plain("!"), Piece::Break, plain("Rad två")]),
            Block::List { first: None, items: vec![vec![Block::Paragraph(vec![plain("ett")])], vec![Block::Paragraph(vec![plain("två")])]] },
            Block::List {
                first: Some(3),
                items: vec![vec![
                    Block::Paragraph(vec![plain("tre")]),
                    Block::List { first: None, items: vec![vec![Block::Paragraph(vec![plain("inre")])]] },
                ]],
            },
        ];
        assert_eq!(write(&blocks), "## Beslut\n\nHej **Anna** och _Bo_!  \nRad två\n\n* ett\n* två\n\n3) tre\n   * inre");
    }

    #[test]
    fn only_what_would_be_read_as_a_mark_is_escaped() {
        for (text, written) in [
            ("- Hej", "\\- Hej"),
            ("-5 grader", "-5 grader"),
            ("1. Ett", "1\\. Ett"),
            ("2026. Slut", "2026\\. Slut"),
            ("kl. 10. Hej", "kl. 10. Hej"),
            ("fil_namn_1.pdf", "fil_namn_1.pdf"),
            ("_x_ 2*3", "\\_x\\_ 2\\*3"),
            ("a < b & c &amp; <b>", "a < b & c \\&amp; \\<b>"),
            ("[dnr KS 2026/123] [a](b)", "[dnr KS 2026/123] [a\\](b)"),
            (r"\\server\x c:\", r"\\\server\x c:\\"),
            ("> citat", "\\> citat"),
            ("#1", "\\#1"),
            ("====", "\\===="),
        ] {
            assert_eq!(write(&[Block::Paragraph(vec![plain(text)])]), written);
        }
    }

    #[test]
    fn emphasis_that_cannot_close_is_dropped_and_its_words_stay() {
        let line = [plain("ab"), italic("cd"), plain("ef "), bold("(x)"), plain("y "), bold("z"), italic("w")];
        assert_eq!(write(&[Block::Paragraph(line.to_vec())]), "abcdef (x)y **z**w");
    }

    fn piece() -> impl Strategy<Value = Piece> {
        let text = "[a-c åÖ0-9*_`~<>&;#!\\[\\]()\\\\.:+=|\"'–-]{0,6}|- |1\\. |&amp;|\\]\\(|\u{a0}|👨";
        prop_oneof![4 => (text, any::<bool>(), any::<bool>()).prop_map(|(text, bold, italic)| Piece::Text(text, Style { bold, italic })), 1 => Just(Piece::Break)]
    }

    fn block() -> impl Strategy<Value = Block> {
        let pieces = || prop::collection::vec(piece(), 0..6);
        let leaf = prop_oneof![pieces().prop_map(Block::Paragraph), (1..7_u8, pieces()).prop_map(|(level, line)| Block::Heading(level, line))];
        leaf.prop_recursive(3, 24, 4, |inner| {
            (prop::option::of(0..12_u32), prop::collection::vec(prop::collection::vec(inner, 0..3), 0..4))
                .prop_map(|(first, items)| Block::List { first, items })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_visible_word_survives_a_commonmark_reader(blocks in prop::collection::vec(block(), 0..5)) {
            let markdown = write(&blocks);
            prop_assert_eq!(read(&markdown), words(&blocks), "{:?}", markdown);
        }
    }
}
