//! What the octets of RTF mean: code pages by font, `\u`, and the octets that stand in for readers without Unicode.

use std::collections::HashMap;

use crate::mail::codepage;

/// Collects octets of one font until something else comes.
#[derive(Debug, Default)]
pub(super) struct Characters {
    /// `\ansicpg`, or what `\mac`, `\pc` and `\pca` stand for.
    page: u32,
    /// The code page of each font that says so.
    fonts: HashMap<i32, u32>,
    /// Octets of text in the code page of [`Self::font`].
    pending: Vec<u8>,
    font: i32,
    /// The first half of a character above the basic plane.
    high: Option<u16>,
    /// How many characters stand in for the last `\u`.
    pub(super) stand_ins: usize,
}

impl Characters {
    /// A word of the header that names the code page of the text.
    pub(super) fn header(&mut self, name: &[u8], number: Option<i32>) {
        match name {
            b"ansicpg" => self.page = number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default(),
            b"mac" => self.page = 10000,
            b"pc" => self.page = 437,
            b"pca" => self.page = 850,
            _ => {}
        }
    }

    /// The code page of a font, by `\fcharset` or `\cpg`.
    pub(super) fn define(&mut self, font: i32, name: &[u8], number: i32) {
        let page = match (name, number) {
            (b"cpg", page) => u32::try_from(page).ok(),
            // Symbols have no code page; their octets are shown as Windows shows them.
            (_, 0 | 2) if self.page != 65001 => Some(1252),
            (_, 77) => Some(10000),
            (_, 128) => Some(932),
            (_, 129 | 130) => Some(949),
            (_, 134) => Some(936),
            (_, 136) => Some(950),
            (_, 161) => Some(1253),
            (_, 162) => Some(1254),
            (_, 163) => Some(1258),
            (_, 177) => Some(1255),
            (_, 178) => Some(1256),
            (_, 186) => Some(1257),
            (_, 204) => Some(1251),
            (_, 222) => Some(874),
            (_, 238) => Some(1250),
            (_, 255) => Some(850),
            _ => None,
        };
        if let Some(page) = page {
            self.fonts.insert(font, page);
        }
    }

    /// Octets of text in a font. What stands in for a character that `\u` gave is skipped.
    pub(super) fn octets(&mut self, octets: &[u8], font: i32) {
        let skipped = self.stand_ins.min(octets.len());
        self.stand_ins -= skipped;
        let octets = octets.get(skipped..).unwrap_or_default();
        if !octets.is_empty() {
            self.font = font;
            self.pending.extend_from_slice(octets);
        }
    }

    /// The text that was collected; `None` when there is none.
    pub(super) fn take(&mut self) -> Option<String> {
        if self.pending.is_empty() {
            return None;
        }
        let page = self.fonts.get(&self.font).copied().unwrap_or(self.page);
        let text = codepage::decode(&self.pending, page).or_else(|| codepage::decode(&self.pending, 1252));
        self.pending.clear();
        text
    }

    /// The character of `\u`, once it is whole.
    pub(super) fn unicode(&mut self, number: i32) -> Option<char> {
        // A negative number is one above 32767.
        let unit = u16::try_from(number & 0xffff).unwrap_or_default();
        let mut units = self.high.take().into_iter().chain([unit]);
        if (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return None;
        }
        char::decode_utf16(&mut units).last().map(|unit| unit.unwrap_or('\u{fffd}'))
    }
}
