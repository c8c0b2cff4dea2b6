//! Blocks out of tokens, with a stack of open elements.

use super::ImageUse;
use super::clean::attribute;
use super::outlook::{LooseItem, level_of, list_mark, nest};
use crate::mail::markdown::{Block, MAX_LIST_DEPTH, Piece, Style, is_blank, plain_words};
use crate::mail::words;

/// Longest row of a table that becomes one line; a longer one is a layout, its cells follow one another.
const ROW_MAX: usize = 240;

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

/// Collects blocks from tokens.
pub(super) struct Builder<'a> {
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
    pub(super) fn new(image: &'a mut dyn FnMut(&ImageUse) -> Option<String>) -> Self {
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

    pub(super) fn open(&mut self, name: &str, attributes: &str) {
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
            "p" | "div" => frame.item = level_of(css),
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

    pub(super) fn close(&mut self, name: &str) {
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

    pub(super) fn text(&mut self, text: &str) {
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

    pub(super) fn finish(mut self) -> Vec<Block> {
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
