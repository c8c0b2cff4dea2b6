//! Blocks out of tokens, with a stack of open elements.

mod inline;

use std::collections::BTreeSet;

use super::clean::attribute;
use super::counts::{Count, append, list};
use super::frame::{Frame, is_block, is_quote, parts};
use super::glyphs::{self, Script};
use super::outlook::{LooseItem, leading_mark, level_by_margin, level_of, list_mark, nest};
use super::runs::{Run, settled};
use super::style::{Color, Css, Sheet};
use super::table::{self, Cell};
use super::{ImageUse, Remark, quote};
use crate::mail::markdown::{Block, MAX_LIST_DEPTH, Piece, Style, is_blank, plain_words};

/// Deeper nesting of lists, tables and quotes than anybody writes.
const MAX_DEPTH: usize = 200;
/// Deeper quotes than anybody reads.
const MAX_QUOTES: usize = 20;

/// Something that collects blocks until it is closed.
enum Holder {
    List { first: Option<u32>, count: Option<Count>, items: Vec<Vec<Block>> },
    Item,
    Table { rows: Vec<Vec<Cell>> },
    Row { cells: Vec<Cell> },
    Cell { head: bool, columns: usize, rows: usize },
    Quote,
}

/// Collects blocks from tokens.
pub(super) struct Builder<'a> {
    image: &'a mut dyn FnMut(&ImageUse) -> Option<String>,
    sheet: Sheet,
    frames: Vec<Frame>,
    holders: Vec<(Holder, Vec<Block>)>,
    root: Vec<Block>,
    pieces: Vec<Run>,
    heading: Option<u8>,
    loose: Vec<LooseItem>,
    mark: String,
    /// The last block is a line that the next line may follow.
    joinable: bool,
    /// A greeting has closed the text: what follows is a signature.
    signed: bool,
    /// Images that left no words.
    dropped: usize,
    remarks: BTreeSet<Remark>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(sheet: Sheet, image: &'a mut dyn FnMut(&ImageUse) -> Option<String>) -> Self {
        Self {
            image,
            sheet,
            frames: Vec::new(),
            holders: Vec::new(),
            root: Vec::new(),
            pieces: Vec::new(),
            heading: None,
            loose: Vec::new(),
            mark: String::new(),
            joinable: false,
            signed: false,
            dropped: 0,
            remarks: BTreeSet::new(),
        }
    }

    pub(super) fn open(&mut self, name: &str, attributes: &str) {
        let hidden = self.frames.last().is_some_and(|frame| frame.hidden);
        match name {
            "br" | "img" | "hr" | "input" if hidden => return,
            "br" => {
                // Apple Mail marks so where its signature begins.
                self.signed |= attribute(attributes, "id").is_some_and(|id| id.contains("Signature"));
                return self.pieces.push((Piece::Break, false));
            }
            "hr" => {
                self.flush();
                return self.push(Block::Paragraph(vec![Piece::Text("———".to_owned(), Style::default())]));
            }
            "img" => return self.image(attributes),
            "input" => return self.input(attributes),
            _ => {}
        }
        let css = Css::of(attributes);
        let above = self.frames.last().cloned().unwrap_or_default();
        let mut frame = Frame { name: name.to_owned(), link: None, item: None, bare_item: false, line: false, parts: false, holds: false, ..above };
        frame.hidden |= css.hides() || attribute(attributes, "hidden").is_some() || self.sheet.hides(name, attributes);
        frame.hidden |= name == "option" && attribute(attributes, "selected").is_none();
        if !frame.hidden {
            self.enter(name, attributes, &css, &mut frame);
        }
        self.frames.push(frame);
    }

    fn enter(&mut self, name: &str, attributes: &str, css: &Css, frame: &mut Frame) {
        match name {
            "b" | "strong" | "th" => frame.style.bold = true,
            "i" | "em" => frame.style.italic = true,
            "s" | "strike" | "del" => frame.struck = true,
            "sup" => frame.script = Some(Script::Super),
            "sub" => frame.script = Some(Script::Sub),
            "q" => self.words("”", frame),
            // Fields of a form stand apart.
            "select" | "textarea" | "button" => self.words(" ", frame),
            "a" => frame.link = attribute(attributes, "href").map(|target| (target, self.pieces.len(), self.dropped)),
            "pre" => frame.preformatted = true,
            _ => {}
        }
        self.look(name, attributes, css, frame);
        frame.mark |= css.contains("mso-list:ignore");
        let whose = [attribute(attributes, "id"), attribute(attributes, "class")].map(Option::unwrap_or_default).concat().to_lowercase();
        frame.signature |= whose.contains("signature") || whose.contains("signatur");
        if !is_block(name) {
            return;
        }
        frame.line = name == "div" || (name == "p" && self.sheet.is_tight(name, attributes, css));
        frame.parts = parts(name, &whose, css);
        self.flush();
        self.joinable &= !frame.parts;
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading = name.as_bytes().get(1).map(|digit| digit - b'0'),
            "p" | "div" => {
                frame.item = level_of(css);
                frame.bare_item = frame.item.is_none() && name == "p" && whose.contains("msolistparagraph");
                if frame.bare_item {
                    frame.item = Some(level_by_margin(css));
                }
            }
            "blockquote" if is_quote(attributes, css) => self.hold(frame, Holder::Quote),
            _ => self.enter_structure(name, attributes, css, frame),
        }
    }

    /// What the look of an element says.
    fn look(&mut self, name: &str, attributes: &str, css: &Css, frame: &mut Frame) {
        if matches!(name, "span" | "font") {
            frame.style.bold |= matches!(css.get("font-weight"), Some("bold" | "bolder" | "600" | "700" | "800" | "900"));
            frame.style.italic |= css.get("font-style") == Some("italic");
        }
        frame.struck |= css.is_struck();
        match css.get("vertical-align") {
            Some("super") => frame.script = Some(Script::Super),
            Some("sub") => frame.script = Some(Script::Sub),
            _ => {}
        }
        if let Some(family) = css.get("font-family").map(str::to_owned).or_else(|| attribute(attributes, "face").filter(|_| name == "font")) {
            frame.font = glyphs::font(&family);
        }
        frame.sizeless = css.is_sizeless().unwrap_or(frame.sizeless);
        frame.preformatted = css.is_preformatted().unwrap_or(frame.preformatted || name == "textarea");
        frame.background |= css.has_background() || attribute(attributes, "bgcolor").is_some();
        let color = css.color().or_else(|| attribute(attributes, "color").and_then(|color| Color::read(&color.to_lowercase())));
        if color.is_some_and(Color::is_white) && !frame.background {
            self.remarks.insert(Remark::WhiteText);
        }
        if matches!(name, "span" | "font" | "p") && (color.is_some_and(Color::is_loud) || css.is_highlighted()) {
            self.remarks.insert(Remark::Coloured);
        }
    }

    fn enter_structure(&mut self, name: &str, attributes: &str, css: &Css, frame: &mut Frame) {
        let number = |name: &str| attribute(attributes, name).and_then(|text| text.trim().parse::<u32>().ok());
        let span = |name: &str| number(name).and_then(|span| usize::try_from(span).ok()).unwrap_or(1);
        let depth = self.holders.iter().filter(|(holder, _)| matches!(holder, Holder::List { .. })).count();
        match (name, self.holders.last_mut()) {
            ("ul" | "ol" | "menu" | "dir", _) if depth < MAX_LIST_DEPTH => {
                let ordered = name == "ol";
                let count = if ordered { Count::of(attribute(attributes, "type").as_deref(), css) } else { None };
                let first = ordered.then(|| number("start").unwrap_or(1));
                self.hold(frame, Holder::List { first, count, items: Vec::new() });
            }
            ("li", Some((Holder::List { first, count, items }, _))) => {
                if first.is_some() && count.is_none() && items.is_empty() {
                    *count = Count::of(None, css);
                }
                let due = first.map(|first| first.saturating_add(u32::try_from(items.len()).unwrap_or(u32::MAX)));
                let value = number("value").filter(|_| first.is_some());
                if value.is_some() && value != due {
                    self.count_anew(value);
                }
                self.hold(frame, Holder::Item);
            }
            ("table", _) => self.hold(frame, Holder::Table { rows: Vec::new() }),
            ("tr", Some((Holder::Table { .. }, _))) => self.hold(frame, Holder::Row { cells: Vec::new() }),
            ("td" | "th", Some((Holder::Row { .. }, _))) => {
                self.hold(frame, Holder::Cell { head: name == "th", columns: span("colspan"), rows: span("rowspan") });
            }
            _ => {}
        }
    }

    /// The open list goes on with another number: as another list.
    fn count_anew(&mut self, value: Option<u32>) {
        let Some((Holder::List { first, items, .. }, _)) = self.holders.last_mut() else { return };
        let (before, done) = (std::mem::replace(first, value), std::mem::take(items));
        if done.is_empty() {
            return;
        }
        let below = self.holders.len().checked_sub(2).and_then(|at| self.holders.get_mut(at));
        below.map_or(&mut self.root, |(_, blocks)| blocks).push(Block::List { first: before, items: done });
    }

    fn hold(&mut self, frame: &mut Frame, holder: Holder) {
        // What is nested deeper is read as it comes: each level is gone through once more at its end.
        let quotes = self.holders.iter().filter(|(holder, _)| matches!(holder, Holder::Quote)).count();
        if self.holders.len() >= MAX_DEPTH || (matches!(holder, Holder::Quote) && quotes >= MAX_QUOTES) {
            return;
        }
        self.settle_loose();
        frame.holds = true;
        self.holders.push((holder, Vec::new()));
    }

    pub(super) fn close(&mut self, name: &str) {
        let Some(frame) = self.frames.pop() else { return };
        if frame.hidden {
            return;
        }
        match name {
            "q" => self.words("”", &frame),
            "select" | "textarea" | "button" => self.words(" ", &Frame::default()),
            _ => {}
        }
        if let Some((target, before, dropped)) = &frame.link {
            self.link(target, *before, *dropped);
        }
        if frame.mark && !self.frames.last().is_some_and(|frame| frame.mark) {
            self.end_mark();
        }
        if !is_block(name) {
            return;
        }
        if let Some(level) = frame.item {
            self.end_loose_item(level, frame.bare_item);
        }
        self.flush_in(frame.line);
        self.joinable &= !frame.parts;
        self.heading = None;
        if frame.holds {
            self.end_holder();
        }
    }

    fn end_loose_item(&mut self, level: usize, bare: bool) {
        if !self.pieces.iter().any(|(piece, _)| matches!(piece, Piece::Text(text, _) if !is_blank(text))) {
            return;
        }
        let mut mark = std::mem::take(&mut self.mark);
        if bare {
            let words = plain_words(&self.pieces.iter().map(|(piece, _)| piece.clone()).collect::<Vec<_>>());
            // Without a mark it goes on with the item before it, or is a paragraph like any other.
            let Some(found) = leading_mark(&words) else { return };
            found.clone_into(&mut mark);
            self.strip_start(found.chars().filter(|c| !c.is_whitespace()).count());
        }
        let (first, prefix) = list_mark(&mark);
        let mut pieces = settled(std::mem::take(&mut self.pieces));
        if let Some(prefix) = prefix {
            pieces.insert(0, Piece::Text(prefix, Style::default()));
        }
        self.loose.push(LooseItem { level, first, pieces });
    }

    /// Takes so many visible characters away from the beginning, and the white space around them.
    fn strip_start(&mut self, mut characters: usize) {
        for (piece, _) in &mut self.pieces {
            let Piece::Text(text, _) = piece else { return };
            let cut = text.char_indices().find(|(_, c)| {
                let blank = c.is_whitespace();
                let stays = !blank && characters == 0;
                characters -= usize::from(!blank && characters > 0);
                stays
            });
            match cut {
                Some((at, _)) => {
                    drop(text.drain(..at));
                    return;
                }
                None => text.clear(),
            }
        }
    }

    fn end_holder(&mut self) {
        self.settle_loose();
        let Some((holder, mut blocks)) = self.holders.pop() else { return };
        match (holder, self.holders.last_mut()) {
            (Holder::List { first, count, mut items }, _) => {
                append(&mut items, blocks); // a list directly in a list
                self.push(list(first, count, items));
            }
            (Holder::Item, Some((Holder::List { items, .. }, between))) => {
                append(items, std::mem::take(between));
                items.push(blocks);
            }
            (Holder::Cell { head, columns, rows }, Some((Holder::Row { cells }, _))) => cells.push(Cell { blocks, head, columns, rows }),
            (Holder::Row { cells }, Some((Holder::Table { rows }, _))) => {
                let stray = (!blocks.is_empty()).then_some(Cell { blocks, columns: 1, rows: 1, head: false });
                rows.push(stray.into_iter().chain(cells).collect());
            }
            (Holder::Row { cells }, _) => self.push_all(blocks.into_iter().chain(cells.into_iter().flat_map(|cell| cell.blocks))),
            (Holder::Table { rows }, _) => {
                blocks.extend(table::blocks(rows));
                self.push_all(blocks);
            }
            (Holder::Quote, _) => self.push_all(quote::quoted(blocks)),
            (Holder::Item | Holder::Cell { .. }, _) => self.push_all(blocks),
        }
    }

    /// Ends what stands before a block.
    fn flush(&mut self) {
        let line = self.frames.iter().rev().find(|frame| is_block(&frame.name)).is_none_or(|frame| frame.line);
        self.flush_in(line);
    }

    /// Ends a paragraph, or a line that may belong to the one before it.
    fn flush_in(&mut self, line: bool) {
        if self.pieces.is_empty() {
            return;
        }
        let pieces = settled(std::mem::take(&mut self.pieces));
        if pieces.is_empty() {
            self.joinable = false; // an empty line
            return;
        }
        self.notice_greeting(&pieces);
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

    pub(super) fn finish(mut self) -> (Vec<Block>, BTreeSet<Remark>) {
        while let Some(frame) = self.frames.last() {
            let name = frame.name.clone();
            self.close(&name);
        }
        self.flush();
        while !self.holders.is_empty() {
            self.end_holder();
        }
        self.settle_loose();
        (self.root, self.remarks)
    }
}
