//! text/html to blocks.
//!
//! `ammonia` parses what mail programs call HTML and hands back a small, balanced, escaped part of it, without scripts,
//! styles and comments; that is read here token by token with a stack, so neither nesting nor size can exhaust the
//! program. Lists that Outlook writes as paragraphs become lists, tables become lines, links show where they lead.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::markdown::{Block, MAX_LIST_DEPTH, Piece, Style, is_blank, plain_words};
use super::words;

/// An image that the text shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ImageUse {
    /// `cid:`, `data:` or `http:` address.
    pub(super) source: String,
    /// The words in its place.
    pub(super) alt: String,
    /// The height at which it is shown, in pixels.
    pub(super) height: Option<u32>,
}

/// Longest row of a table that becomes one line; a longer one is a layout, its cells follow one another.
const ROW_MAX: usize = 240;

/// What stands inside the body, or is dropped with all it holds.
const TAGS: &[&str] = &[
    "a",
    "address",
    "article",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "code",
    "dd",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
];
const DROPPED: &[&str] = &["script", "style", "title", "textarea", "select", "template", "noscript", "object", "svg", "math", "iframe", "xml"];

static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    let set = |words: &[&'static str]| words.iter().copied().collect::<HashSet<_>>();
    builder
        .tags(set(TAGS))
        .clean_content_tags(set(DROPPED))
        .generic_attributes(set(&["style", "id", "class", "hidden"]))
        .tag_attributes(HashMap::from([("a", set(&["href"])), ("img", set(&["src", "alt", "height"])), ("ol", set(&["start"]))]))
        .url_schemes(set(&["http", "https", "mailto", "tel", "cid", "data"]))
        .link_rel(None);
    builder
});

/// Reads HTML. `image` is asked once for each image shown and says what words stand in its place, if any.
pub(super) fn blocks(html: &str, image: &mut dyn FnMut(&ImageUse) -> Option<String>) -> Vec<Block> {
    let clean = CLEANER.clean(html).to_string();
    let mut builder = Builder::new(image);
    for token in Tokens(&clean) {
        match token {
            Token::Open(name, attributes) => builder.open(name, attributes),
            Token::Close(name) => builder.close(name),
            Token::Text(text) => builder.text(&unescape(text)),
        }
    }
    builder.finish()
}

enum Token<'a> {
    Open(&'a str, &'a str),
    Close(&'a str),
    Text(&'a str),
}

/// Tokens of the sanitizer's output: every `<` opens a tag, values stand in double quotes.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let Some(tag) = self.0.strip_prefix('<') else {
            let (text, rest) = self.0.split_at(self.0.find('<').unwrap_or(self.0.len()));
            self.0 = rest;
            return Some(Token::Text(text));
        };
        let mut quoted = false;
        let end = tag.bytes().position(|b| {
            quoted ^= b == b'"';
            b == b'>' && !quoted
        });
        let (body, rest) = match end {
            Some(end) => (tag.get(..end).unwrap_or_default(), tag.get(end + 1..).unwrap_or_default()),
            None => (tag, ""),
        };
        self.0 = rest;
        if let Some(name) = body.strip_prefix('/') {
            return Some(Token::Close(name));
        }
        let (name, attributes) = body.split_once(' ').unwrap_or((body, ""));
        Some(Token::Open(name, attributes))
    }
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    while let Some((key, tail)) = rest.split_once("=\"") {
        let (value, tail) = tail.split_once('"')?;
        if key.trim() == name {
            return Some(unescape(value));
        }
        rest = tail;
    }
    None
}

fn unescape(text: &str) -> String {
    text.replace("&nbsp;", "\u{a0}").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// What an open element means for what it holds.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of one element")]
struct Frame {
    name: String,
    style: Style,
    /// The link's target, and how many pieces stood before it.
    link: Option<(String, usize)>,
    /// Shown to nobody.
    hidden: bool,
    /// The mark that Outlook wrote before a list item's text.
    mark: bool,
    /// A list item written as a paragraph, with its level.
    item: Option<usize>,
    preformatted: bool,
    /// A block without margin: mail programs write each line as one.
    line: bool,
    /// A block after which a paragraph begins.
    parts: bool,
    /// It opened a [`Holder`].
    holds: bool,
}

/// Something that collects blocks until it is closed.
enum Holder {
    List { first: Option<u32>, items: Vec<Vec<Block>> },
    Item,
    Table { lines: Vec<Piece> },
    Row { cells: Vec<Vec<Block>> },
    Cell,
}

/// An item of a list that is written as paragraphs.
struct LooseItem {
    level: usize,
    first: Option<u32>,
    pieces: Vec<Piece>,
}

struct Builder<'a> {
    image: &'a mut dyn FnMut(&ImageUse) -> Option<String>,
    frames: Vec<Frame>,
    holders: Vec<(Holder, Vec<Block>)>,
    root: Vec<Block>,
    pieces: Vec<Piece>,
    heading: Option<u8>,
    loose: Vec<LooseItem>,
    mark: String,
    /// The last block is a line that the next line may follow.
    joinable: bool,
}

impl<'a> Builder<'a> {
    fn new(image: &'a mut dyn FnMut(&ImageUse) -> Option<String>) -> Self {
        Self {
            image,
            frames: Vec::new(),
            holders: Vec::new(),
            root: Vec::new(),
            pieces: Vec::new(),
            heading: None,
            loose: Vec::new(),
            mark: String::new(),
            joinable: false,
        }
    }

    fn open(&mut self, name: &str, attributes: &str) {
        let hidden = self.frames.last().is_some_and(|frame| frame.hidden);
        match name {
            "br" | "img" | "hr" if hidden => return,
            "br" => return self.pieces.push(Piece::Break),
            "hr" => {
                self.flush();
                return self.push(Block::Paragraph(vec![Piece::Text("———".to_owned(), Style::default())]));
            }
            "img" => return self.image(attributes),
            _ => {}
        }
        let (style, preformatted) = self.frames.last().map(|frame| (frame.style, frame.preformatted)).unwrap_or_default();
        let mut frame = Frame { name: name.to_owned(), style, preformatted, hidden, ..Frame::default() };
        let css = attribute(attributes, "style").unwrap_or_default().to_lowercase().replace(' ', "");
        frame.hidden |= css.contains("display:none") || css.contains("mso-hide:all") || css.contains("visibility:hidden");
        if !frame.hidden {
            self.enter(name, attributes, &css, &mut frame);
        }
        self.frames.push(frame);
    }

    fn enter(&mut self, name: &str, attributes: &str, css: &str, frame: &mut Frame) {
        match name {
            "b" | "strong" | "th" => frame.style.bold = true,
            "i" | "em" => frame.style.italic = true,
            "a" => frame.link = attribute(attributes, "href").map(|target| (target, self.pieces.len())),
            "pre" => frame.preformatted = true,
            _ => {}
        }
        if name == "span" || name == "font" {
            frame.style.bold |= css.contains("font-weight:bold") || css.contains("font-weight:700");
            frame.style.italic |= css.contains("font-style:italic");
        }
        frame.mark = self.frames.last().is_some_and(|frame| frame.mark) || css.contains("mso-list:ignore");
        if !is_block(name) {
            return;
        }
        frame.line = name == "div" || (name == "p" && (attribute(attributes, "class").as_deref() == Some("MsoNormal") || is_tight(css)));
        frame.parts = parts(name, attributes, css);
        self.flush();
        self.joinable &= !frame.parts;
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading = name.as_bytes().get(1).map(|digit| digit - b'0'),
            "p" | "div" => frame.item = outlook_level(css),
            "ul" | "ol" if self.holders.iter().filter(|(holder, _)| matches!(holder, Holder::List { .. })).count() < MAX_LIST_DEPTH => {
                let first = (name == "ol").then(|| attribute(attributes, "start").and_then(|text| text.trim().parse().ok()).unwrap_or(1));
                self.hold(frame, Holder::List { first, items: Vec::new() });
            }
            "li" if matches!(self.holders.last(), Some((Holder::List { .. }, _))) => self.hold(frame, Holder::Item),
            "table" => self.hold(frame, Holder::Table { lines: Vec::new() }),
            "tr" if matches!(self.holders.last(), Some((Holder::Table { .. }, _))) => self.hold(frame, Holder::Row { cells: Vec::new() }),
            "td" | "th" if matches!(self.holders.last(), Some((Holder::Row { .. }, _))) => self.hold(frame, Holder::Cell),
            _ => {}
        }
    }

    fn hold(&mut self, frame: &mut Frame, holder: Holder) {
        self.settle_loose();
        frame.holds = true;
        self.holders.push((holder, Vec::new()));
    }

    fn close(&mut self, name: &str) {
        let Some(frame) = self.frames.pop() else { return };
        if frame.hidden {
            return;
        }
        if let Some((target, before)) = frame.link {
            self.link(&target, before);
        }
        if frame.mark && !self.frames.last().is_some_and(|frame| frame.mark) {
            self.end_mark();
        }
        if !is_block(name) {
            return;
        }
        if let Some(level) = frame.item
            && self.pieces.iter().any(|piece| matches!(piece, Piece::Text(text, _) if !is_blank(text)))
        {
            let (first, prefix) = list_mark(&std::mem::take(&mut self.mark));
            let mut pieces = std::mem::take(&mut self.pieces);
            if let Some(prefix) = prefix {
                pieces.insert(0, Piece::Text(prefix, Style::default()));
            }
            self.loose.push(LooseItem { level, first, pieces });
        }
        self.flush_in(frame.line);
        self.joinable &= !frame.parts;
        self.heading = None;
        if frame.holds {
            self.end_holder();
        }
    }

    fn end_holder(&mut self) {
        self.settle_loose();
        let Some((holder, mut blocks)) = self.holders.pop() else { return };
        match holder {
            Holder::List { first, mut items } => {
                if !blocks.is_empty() {
                    items.push(blocks); // a list directly in a list
                }
                self.push(Block::List { first, items });
            }
            Holder::Item => match self.holders.last_mut() {
                Some((Holder::List { items, .. }, between)) => {
                    if !between.is_empty() {
                        items.push(std::mem::take(between));
                    }
                    items.push(blocks);
                }
                _ => self.push_all(blocks),
            },
            Holder::Cell => match self.holders.last_mut() {
                Some((Holder::Row { cells }, _)) => cells.push(blocks),
                _ => self.push_all(blocks),
            },
            Holder::Row { cells } => self.row(cells, blocks),
            Holder::Table { lines } => {
                if !lines.is_empty() {
                    blocks.push(Block::Paragraph(lines));
                }
                self.push_all(blocks);
            }
        }
    }

    /// A row of short cells is a line; anything else is a layout.
    fn row(&mut self, cells: Vec<Vec<Block>>, stray: Vec<Block>) {
        let simple = cells.len() > 1
            && cells.iter().all(|cell| match cell.as_slice() {
                [] => true,
                [Block::Paragraph(pieces)] => !pieces.contains(&Piece::Break),
                _ => false,
            });
        let filled = cells.iter().filter(|cell| !cell.is_empty()).count();
        let length: usize = cells.iter().flatten().map(block_length).sum();
        let Some((Holder::Table { lines }, blocks)) = self.holders.last_mut() else {
            return self.push_all(stray.into_iter().chain(cells.into_iter().flatten()));
        };
        if simple && filled > 1 && length <= ROW_MAX {
            if !lines.is_empty() {
                lines.push(Piece::Break);
            }
            let mut separate = false;
            for cell in cells {
                if separate {
                    lines.push(Piece::Text(" | ".to_owned(), Style::default()));
                }
                separate = true;
                if let Some(Block::Paragraph(pieces)) = cell.into_iter().next() {
                    lines.extend(pieces);
                }
            }
        } else {
            if !lines.is_empty() {
                blocks.push(Block::Paragraph(std::mem::take(lines)));
            }
            blocks.extend(stray.into_iter().chain(cells.into_iter().flatten()));
        }
    }

    fn text(&mut self, text: &str) {
        let Some(frame) = self.frames.last() else { return self.words(text, Style::default(), false) };
        if frame.hidden {
            return;
        }
        if frame.mark {
            self.mark.push_str(text);
            return;
        }
        let (style, preformatted) = (frame.style, frame.preformatted);
        self.words(text, style, preformatted);
    }

    fn words(&mut self, text: &str, style: Style, preformatted: bool) {
        let text = words::clean(text);
        if preformatted {
            for (at, line) in text.split('\n').enumerate() {
                if at > 0 {
                    self.pieces.push(Piece::Break);
                }
                let words = line.trim_start_matches(' ');
                let indent = (line.len() - words.len()).min(40);
                self.pieces.push(Piece::Text("\u{a0}".repeat(indent) + words.trim_end(), style));
            }
            return;
        }
        let mut out = String::with_capacity(text.len());
        let mut after_space = match self.pieces.last() {
            Some(Piece::Text(last, _)) => last.ends_with(' '),
            Some(Piece::Break) | None => true,
        };
        for c in text.chars() {
            let c = if c == '\n' { ' ' } else { c };
            if !(c == ' ' && after_space) {
                out.push(c);
            }
            after_space = c == ' ';
        }
        if !out.is_empty() {
            self.pieces.push(Piece::Text(out, style));
        }
    }

    fn image(&mut self, attributes: &str) {
        let usage = ImageUse {
            source: attribute(attributes, "src").unwrap_or_default(),
            alt: words::one_line(&attribute(attributes, "alt").unwrap_or_default()),
            height: attribute(attributes, "height").and_then(|text| text.trim().trim_end_matches("px").parse().ok()),
        };
        if let Some(words) = (self.image)(&usage) {
            self.pieces.push(Piece::Text(words, Style::default()));
        }
    }

    /// A link shows where it leads, unless its text says so.
    fn link(&mut self, target: &str, before: usize) {
        let bare = |text: &str| {
            let text = text.trim().to_lowercase();
            let text = ["https://", "http://", "mailto:", "tel:"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(&text).to_owned();
            text.trim_end_matches('/').to_owned()
        };
        let shown = plain_words(self.pieces.get(before..).unwrap_or_default());
        let shown = shown.trim();
        let leads_out = ["http:", "https:", "mailto:", "tel:"].iter().any(|scheme| target.to_lowercase().starts_with(scheme));
        if leads_out && bare(shown) != bare(target) {
            let target = words::one_line(target.strip_prefix("mailto:").unwrap_or(target));
            let words = if shown.is_empty() { target } else { format!(" ({target})") };
            self.pieces.push(Piece::Text(words, Style::default()));
        }
    }

    /// A mark outside a list paragraph is text.
    fn end_mark(&mut self) {
        if !self.frames.iter().any(|frame| frame.item.is_some()) {
            let mark = std::mem::take(&mut self.mark);
            self.words(&mark, Style::default(), false);
        }
    }

    /// Ends what stands before a block.
    fn flush(&mut self) {
        let line = self.frames.iter().rev().find(|frame| is_block(&frame.name)).is_none_or(|frame| frame.line);
        self.flush_in(line);
    }

    /// Ends a paragraph, or a line that may belong to the one before it.
    fn flush_in(&mut self, line: bool) {
        let mut pieces = std::mem::take(&mut self.pieces);
        if pieces.is_empty() {
            return;
        }
        let blank = |piece: &Piece| match piece {
            Piece::Break => true,
            Piece::Text(text, _) => is_blank(text),
        };
        while pieces.last().is_some_and(blank) {
            pieces.pop();
        }
        let lead = pieces.iter().take_while(|piece| blank(piece)).count();
        pieces.drain(..lead);
        if let Some(Piece::Text(first, _)) = pieces.first_mut() {
            *first = first.trim_start().to_owned();
        }
        if let Some(Piece::Text(last, _)) = pieces.last_mut() {
            *last = last.trim_end().to_owned();
        }
        if pieces.is_empty() {
            self.joinable = false; // an empty line
            return;
        }
        let joins = line && self.joinable && self.heading.is_none() && self.loose.is_empty();
        let blocks = self.holders.last_mut().map_or(&mut self.root, |(_, blocks)| blocks);
        if let (true, Some(Block::Paragraph(before))) = (joins, blocks.last_mut()) {
            before.push(Piece::Break);
            before.extend(pieces);
            return;
        }
        self.settle_loose();
        self.push(match self.heading {
            Some(level) => Block::Heading(level, pieces),
            None => Block::Paragraph(pieces),
        });
        self.joinable = line && self.heading.is_none();
    }

    fn settle_loose(&mut self) {
        let items = std::mem::take(&mut self.loose);
        self.push_all(nest(&items, 1));
    }

    fn push_all(&mut self, blocks: impl IntoIterator<Item = Block>) {
        for block in blocks {
            self.push(block);
        }
    }

    fn push(&mut self, block: Block) {
        self.joinable = false;
        match self.holders.last_mut() {
            Some((_, blocks)) => blocks.push(block),
            None => self.root.push(block),
        }
    }

    fn finish(mut self) -> Vec<Block> {
        while let Some(frame) = self.frames.last() {
            let name = frame.name.clone();
            self.close(&name);
        }
        self.flush();
        while !self.holders.is_empty() {
            self.end_holder();
        }
        self.settle_loose();
        self.root
    }
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "blockquote"
            | "caption"
            | "center"
            | "dd"
            | "div"
            | "dl"
            | "dt"
            | "figcaption"
            | "figure"
            | "footer"
            | "header"
            | "li"
            | "main"
            | "ol"
            | "p"
            | "pre"
            | "section"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "tr"
            | "ul"
    ) || matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

/// Whether a paragraph ends before and after a block: everything but what mail programs write line by line, and the
/// frames they put around a quoted mail.
fn parts(name: &str, attributes: &str, css: &str) -> bool {
    let quote = || attribute(attributes, "class").is_some_and(|class| class.contains("quote") || class.contains("cite"));
    !matches!(name, "div" | "p")
        || css.contains("border-top")
        || attribute(attributes, "id").is_some_and(|id| id.contains("divRplyFwdMsg"))
        || quote()
}

fn is_tight(css: &str) -> bool {
    css.split(';').any(|rule| matches!(rule, "margin:0" | "margin:0cm" | "margin:0in" | "margin:0px"))
}

fn block_length(block: &Block) -> usize {
    match block {
        Block::Paragraph(pieces) | Block::Heading(_, pieces) => plain_words(pieces).len(),
        Block::List { .. } => ROW_MAX + 1,
    }
}

/// `mso-list:l0 level2 lfo1` is level 2 (white space is already gone).
fn outlook_level(css: &str) -> Option<usize> {
    let list = css.split_once("mso-list:l")?.1.split(';').next()?;
    let digits: String = list.split_once("level")?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok().map(|level| level.clamp(1, MAX_LIST_DEPTH))
}

/// The number that a mark such as `3.` counts from, or the words to keep of one such as `b)`.
fn list_mark(mark: &str) -> (Option<u32>, Option<String>) {
    let mark = mark.trim_matches(|c: char| c.is_whitespace());
    let bare = mark.trim_end_matches(['.', ')']);
    if let Ok(number) = bare.parse::<u32>() {
        return (Some(number), None);
    }
    let lettered = bare != mark && bare.chars().all(char::is_alphanumeric) && !bare.is_empty();
    (None, lettered.then(|| format!("{mark} ")))
}

/// Items in a row, by their levels, as lists in lists.
fn nest(items: &[LooseItem], level: usize) -> Vec<Block> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::markdown;

    fn markdown_of(html: &str) -> String {
        markdown::write(&blocks(html, &mut |image| Some(format!("[{}]", image.source))))
    }

    #[test]
    fn what_the_subset_knows_is_kept() {
        let html = "<h1>Rubrik</h1><p>Hej <b>Anna</b>,<br>rad&nbsp;två</p><ul><li>ett<ol start=2><li>inre</ol><li>två</ul><div>Slut</div>";
        assert_eq!(markdown_of(html), "# Rubrik\n\nHej **Anna**,  \nrad\u{a0}två\n\n* ett\n\n  2. inre\n\n* två\n\nSlut");
    }

    #[test]
    fn scripts_styles_comments_and_hidden_text_are_gone() {
        let html = "<html><head><title>t</title><style>p{}</style></head><body><!-- c --><script>x()</script><p>Kvar</p>\
                    <p style='display: none'>dold</p><!--[if gte mso 9]><xml>x</xml><![endif]--></body></html>";
        assert_eq!(markdown_of(html), "Kvar");
    }

    #[test]
    fn outlook_lists_written_as_paragraphs_become_lists() {
        let item = |level: u8, mark: &str, text: &str| {
            format!(
                "<p class=MsoListParagraph style='text-indent:-18.0pt;mso-list:l0 level{level} lfo1'><![if !supportLists]><span \
                 style='mso-list:Ignore'>{mark}<span style='font:7.0pt \"Times New Roman\"'>&nbsp;&nbsp; </span></span><![endif]>{text}<o:p></o:p></p>"
            )
        };
        let html = format!(
            "<p class=MsoNormal>Före<o:p></o:p></p>{}{}{}<p class=MsoNormal><o:p>&nbsp;</o:p></p>{}{}{}",
            item(1, "·", "ett"),
            item(2, "o", "inre"),
            item(1, "·", "två"),
            item(1, "3.", "tre"),
            item(1, "4.", "fyra"),
            item(1, "a)", "bokstav"),
        );
        assert_eq!(markdown_of(&html), "Före\n\n* ett\n  * inre\n* två\n\n3) tre\n4) fyra\n\n* a) bokstav");
    }

    #[test]
    fn tables_and_links_become_readable_text() {
        let html = "<table><tr><th>Namn</th><th>Datum</th></tr><tr><td>Anna</td><td>2026-01-02</td></tr></table>\
                    <p><a href='https://www.habo.se/'>www.habo.se</a> <a href='https://habo.se/x_y'>läs mer</a> <a href='mailto:a@b.se'>a@b.se</a></p>";
        assert_eq!(markdown_of(html), "**Namn** | **Datum**  \nAnna | 2026-01-02\n\nwww.habo.se läs mer (https://habo.se/x_y) a@b.se");
    }

    #[test]
    fn a_layout_table_keeps_the_order_of_its_cells() {
        let html = "<table><tr><td><img src='cid:a@b' height=40></td><td><p>Anna</p><p>Håbo kommun</p></td></tr></table>";
        assert_eq!(markdown_of(html), "[cid:a@b]\n\nAnna\n\nHåbo kommun");
    }

    #[test]
    fn escaped_markup_in_html_stays_text() {
        assert_eq!(markdown_of("<p>&lt;b&gt; &amp;lt; *x*</p>"), "\\<b> \\&lt; \\*x\\*");
    }

    #[test]
    fn deep_nesting_is_read_without_harm() {
        let deep = "<div><ul><li><table><tr><td>".repeat(3_000) + "botten";
        assert!(markdown_of(&deep).contains("botten"));
    }

    proptest! {
        #[test]
        fn no_html_breaks_the_reader_or_escapes_the_subset(html in "(<(p|b|i|ul|ol|li|table|tr|td|div|h2|br|a href=x|pre)>|</(p|b|ul|li|td|tr|table|div|pre)>|[a-cåäö &<>*_#.1-]{1,4}){0,40}") {
            let markdown = markdown_of(&html);
            let mut rendered = String::new();
            pulldown_cmark::html::push_html(&mut rendered, pulldown_cmark::Parser::new(&markdown));
            for tag in ["<a", "<code", "<blockquote", "<img", "<hr"] {
                prop_assert!(!rendered.contains(tag), "{} from {}", tag, markdown);
            }
        }
    }
}
