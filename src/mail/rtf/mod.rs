//! RTF as mail programs write it: HTML or text that was wrapped in RTF comes out as it went in (MS-OXRTFEX), and RTF
//! that was written as such, by Word, becomes HTML.
//!
//! One pass, no recursion; groups are a stack of limited height.

mod characters;
mod lzfu;
mod reader;
mod tokens;
mod word;

pub(super) use lzfu::{LzfuError, decompress};
use reader::Reader;
use tokens::{Token, Tokens};

/// Deeper groups than any program writes.
const MAX_DEPTH: usize = 2_000;
/// How far the mark of wrapped HTML stands from the beginning (MS-OXRTFEX 2.1.3.1), and a little more.
const HEAD: usize = 40;

/// What RTF holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rtf {
    /// The text.
    pub(super) text: Text,
    /// Pictures, in order; HTML names the n-th of them `cid:` and [`picture_id`].
    pub(super) pictures: Vec<Picture>,
    /// Pictures in formats that nothing but Windows shows.
    pub(super) metafiles: usize,
    /// Objects of other programs.
    pub(super) objects: usize,
}

/// The text of RTF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// HTML.
    Html(String),
    /// Plain text.
    Plain(String),
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

/// A picture that stands in the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// Its media type.
    pub(super) media_type: &'static str,
    /// Its bytes.
    pub(super) body: Vec<u8>,
}

/// No RTF, or one that no program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RtfError {
    /// It does not begin as RTF does.
    #[error("RTF does not begin as RTF")]
    Beginning,
    /// Groups stand too deep in one another.
    #[error("RTF is too deep")]
    Depth,
    /// A group is not closed: an end is missing.
    #[error("RTF is cut short")]
    Short,
}

/// What a text was before it became RTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// HTML, wrapped.
    Html,
    /// Text, wrapped.
    Plain,
    /// RTF from the start.
    Word,
}

/// The Content-ID of the `number`-th picture, from 0.
pub(super) fn picture_id(number: usize) -> String {
    format!("rtf-picture-{number}")
}

/// Reads RTF.
pub(super) fn read(rtf: &[u8]) -> Result<Rtf, RtfError> {
    if !rtf.trim_ascii_start().starts_with(b"{\\rtf") {
        return Err(RtfError::Beginning);
    }
    let mut reader = Reader::new(source(rtf));
    for token in Tokens(rtf) {
        reader.token(token)?;
        if reader.is_done() {
            return Ok(reader.finish());
        }
    }
    Err(RtfError::Short)
}

/// MS-OXRTFEX 2.1.3.1: the mark stands in the header, before any text.
fn source(rtf: &[u8]) -> Source {
    for token in Tokens(rtf).take(HEAD) {
        match token {
            Token::Word(b"fromhtml", number) if number != Some(0) => return Source::Html,
            Token::Word(b"fromtext", _) => return Source::Plain,
            Token::Text(_) | Token::Word(b"fonttbl", _) => break,
            _ => {}
        }
    }
    Source::Word
}

#[cfg(test)]
mod tests;
