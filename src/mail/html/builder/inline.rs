//! What stands in a line: text, images, links, the fields of forms.

use super::{Builder, Frame};
use crate::mail::html::clean::attribute;
use crate::mail::html::style::Css;
use crate::mail::html::{ImageUse, Remark, Turn, glyphs, greeting, links};
use crate::mail::markdown::{Piece, Style, plain_words};
use crate::mail::words;

impl Builder<'_> {
    pub(in crate::mail::html) fn text(&mut self, text: &str) {
        let Some(frame) = self.frames.last() else { return self.words(text, &Frame::default()) };
        if frame.hidden || frame.sizeless {
            if text.chars().any(char::is_alphanumeric) && !frame.name.starts_with("option") {
                self.remarks.insert(Remark::HiddenText);
            }
            return;
        }
        if frame.mark {
            // Word gives some numbers the font of the bullet.
            let sign = |font| if text.trim().chars().count() == 1 { glyphs::signs(text, font).0 } else { text.to_owned() };
            let text = frame.font.map_or_else(|| text.to_owned(), sign);
            self.mark.push_str(&words::clean(&text));
            return;
        }
        let frame = frame.clone();
        self.words(text, &frame);
    }

    pub(super) fn words(&mut self, text: &str, frame: &Frame) {
        let mut text = words::clean(text);
        if let Some(font) = frame.font {
            let (signs, unknown) = glyphs::signs(&text, font);
            text = signs;
            if unknown {
                self.remarks.insert(Remark::UnknownSign);
            }
        }
        if let Some(script) = frame.script {
            text = glyphs::on_the_line(&text, script);
        }
        let (style, struck) = (frame.style, frame.struck);
        if struck && text.chars().any(char::is_alphanumeric) {
            self.remarks.insert(Remark::Struck);
        }
        if frame.preformatted {
            for (at, line) in text.split('\n').enumerate() {
                if at > 0 {
                    self.pieces.push((Piece::Break, false));
                }
                let begins = matches!(self.pieces.last(), None | Some((Piece::Break, _)));
                let words = if begins { line.trim_start_matches(' ') } else { line };
                let indent = (line.len() - words.len()).min(40);
                self.pieces.push((Piece::Text("\u{a0}".repeat(indent) + words, style), struck));
            }
            return;
        }
        let mut out = String::with_capacity(text.len());
        let mut after_space = match self.pieces.last() {
            Some((Piece::Text(last, _), _)) => last.ends_with(' '),
            Some((Piece::Break, _)) | None => true,
        };
        for c in text.chars() {
            let c = if c == '\n' { ' ' } else { c };
            if !(c == ' ' && after_space) {
                out.push(c);
            }
            after_space = c == ' ';
        }
        if !out.is_empty() {
            self.pieces.push((Piece::Text(out, style), struck));
        }
    }

    pub(super) fn plain(&mut self, text: String) {
        self.pieces.push((Piece::Text(text, Style::default()), false));
    }

    pub(super) fn image(&mut self, attributes: &str) {
        let css = Css::of(attributes);
        let pixels = |name: &str| {
            let of = |text: &str| text.trim().trim_end_matches("px").parse::<f32>().ok();
            let points = |text: &str| text.strip_suffix("pt").and_then(|text| text.parse::<f32>().ok()).map(|points| points / 0.75);
            let size =
                attribute(attributes, name).as_deref().and_then(of).or_else(|| css.get(name).and_then(|text| of(text).or_else(|| points(text))));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is given")]
            size.map(|size| size.clamp(0.0, 1e6).ceil() as u32)
        };
        let usage = ImageUse {
            source: attribute(attributes, "src").unwrap_or_default(),
            alt: words::one_line(&attribute(attributes, "alt").unwrap_or_default()),
            height: pixels("height"),
            width: pixels("width"),
            in_signature: self.signed || self.frames.last().is_some_and(|frame| frame.signature),
        };
        match (self.image)(&usage) {
            Some(words) => self.plain(words),
            None => self.dropped += 1,
        }
    }

    /// What a form shows of its fields.
    pub(super) fn input(&mut self, attributes: &str) {
        let value = words::one_line(&attribute(attributes, "value").unwrap_or_default());
        let checked = attribute(attributes, "checked").is_some();
        match attribute(attributes, "type").unwrap_or_default().to_lowercase().as_str() {
            "hidden" | "password" | "image" | "file" => {}
            "checkbox" | "radio" => self.plain(if checked { "[x] " } else { "[ ] " }.to_owned()),
            _ if !value.is_empty() => self.plain(value),
            _ => {}
        }
    }

    /// A link shows where it leads, unless its text says so, or it had but an image that was left out.
    pub(super) fn link(&mut self, target: &str, before: usize, dropped: usize) {
        let shown: Vec<Piece> = self.pieces.get(before..).unwrap_or_default().iter().map(|(piece, _)| piece.clone()).collect();
        let shown = plain_words(&shown);
        if shown.trim().is_empty() && self.dropped > dropped {
            return;
        }
        let (words, remark) = links::address(target, &shown);
        if let Some(words) = words {
            self.plain(words);
        }
        self.remarks.extend(remark);
    }

    /// A mark outside a list paragraph is text.
    pub(super) fn end_mark(&mut self) {
        if !self.frames.iter().any(|frame| frame.item.is_some()) {
            let mark = std::mem::take(&mut self.mark);
            self.words(&mark, &Frame::default());
        }
    }

    pub(super) fn notice_greeting(&mut self, pieces: &[Piece]) {
        for line in pieces.split(|piece| *piece == Piece::Break) {
            match greeting(&plain_words(line)) {
                Some(Turn::Signature) => self.signed = true,
                Some(Turn::OtherMail) => self.signed = false,
                None => {}
            }
        }
    }
}
