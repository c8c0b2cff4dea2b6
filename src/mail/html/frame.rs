//! Open elements: what each means for what it holds.

use super::clean::attribute;
use super::glyphs::{Font, Script};
use super::style::Css;
use crate::mail::markdown::Style;

/// What an open element means for what it holds.
#[derive(Default, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of one element")]
pub(super) struct Frame {
    /// Its tag.
    pub(super) name: String,
    /// How its text looks.
    pub(super) style: Style,
    /// The link's target, how many pieces stood before it, and how many images were left out before it.
    pub(super) link: Option<(String, usize, usize)>,
    /// Shown to nobody.
    pub(super) hidden: bool,
    /// Its letters have no size.
    pub(super) sizeless: bool,
    /// Struck out.
    pub(super) struck: bool,
    /// Off the line.
    pub(super) script: Option<Script>,
    /// Its letters are signs.
    pub(super) font: Option<Font>,
    /// Something but white lies behind it.
    pub(super) background: bool,
    /// The mark that Outlook wrote before a list item's text.
    pub(super) mark: bool,
    /// A list item written as a paragraph, with its level.
    pub(super) item: Option<usize>,
    /// Such an item whose mark is part of its text.
    pub(super) bare_item: bool,
    /// Its lines and spaces were typed.
    pub(super) preformatted: bool,
    /// A signature that a mail program put there.
    pub(super) signature: bool,
    /// A block without margin: mail programs write each line as one.
    pub(super) line: bool,
    /// A block after which a paragraph begins.
    pub(super) parts: bool,
    /// It collects blocks.
    pub(super) holds: bool,
}

/// Whether a `blockquote` quotes: some programs write one for what is merely indented.
pub(super) fn is_quote(attributes: &str, css: &Css) -> bool {
    let cited = attribute(attributes, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("cite"));
    cited || !css.contains("border:none") || css.contains("border-left:solid")
}

/// Whether an element is a block.
pub(super) fn is_block(name: &str) -> bool {
    const BLOCKS: &[&str] = &[
        "address",
        "article",
        "aside",
        "blockquote",
        "caption",
        "center",
        "dd",
        "details",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "legend",
        "li",
        "main",
        "menu",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    BLOCKS.contains(&name) || matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

/// Whether a paragraph ends before and after a block: everything but what mail programs write line by line, and the
/// frames they put around a quoted mail.
pub(super) fn parts(name: &str, whose: &str, css: &Css) -> bool {
    const FRAMES: &[&str] = &["quote", "cite", "divrplyfwdmsg", "appendonsend", "reference-message"];
    !matches!(name, "div" | "p") || css.text().contains("border-top") || FRAMES.iter().any(|frame| whose.contains(frame))
}
