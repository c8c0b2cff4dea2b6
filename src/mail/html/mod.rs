//! text/html to blocks.
//!
//! `ammonia` parses what mail programs call HTML and hands back a small, balanced, escaped part of it, without scripts,
//! styles and comments; that is read here token by token with a stack, so neither nesting nor size can exhaust the
//! program. Lists that Outlook writes as paragraphs become lists, tables become lines, links show where they lead.

use super::markdown::Block;

mod builder;
mod clean;
mod counts;
mod depth;
mod frame;
mod glyphs;
mod links;
mod outlook;
mod quote;
mod runs;
mod style;
mod table;

use std::collections::BTreeSet;

use builder::Builder;
use clean::{Token, Tokens};
use style::Sheet;

/// An image that the text shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ImageUse {
    /// `cid:`, `data:` or `http:` address.
    pub(super) source: String,
    /// The words in its place.
    pub(super) alt: String,
    /// The height at which it is shown, in pixels.
    pub(super) height: Option<u32>,
    /// The width at which it is shown, in pixels.
    pub(super) width: Option<u32>,
    /// It stands in a signature, or below the greeting.
    pub(super) in_signature: bool,
}

/// What HTML says.
#[derive(Debug)]
pub(super) struct Read {
    /// Its text.
    pub(super) blocks: Vec<Block>,
    /// What of it the blocks cannot say.
    pub(super) remarks: BTreeSet<Remark>,
}

/// Something that was changed or left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remark {
    /// Sound, video, drawings or another page.
    Media,
    /// Text that no mail program shows was left out.
    HiddenText,
    /// Text that is white, on nothing that is known to be darker, is shown.
    WhiteText,
    /// Struck text bears words in place of its line.
    Struck,
    /// Colours that may say something are gone.
    Coloured,
    /// A sign of a symbol font has no known meaning.
    UnknownSign,
    /// A link shows the address that a guard was put before.
    GuardedLink,
}

/// The charset that the HTML names itself, where its part does not: `<meta charset=…>` or `http-equiv`.
pub(super) fn charset(html: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(html.get(..html.len().min(4_096))?).to_ascii_lowercase();
    let head = head.split("<body").next()?;
    let (_, value) = head.split("<meta").skip(1).find_map(|meta| meta.split('>').next()?.split_once("charset="))?;
    let name: String = value.trim_start_matches(['"', '\'', ' ']).chars().take_while(|c| c.is_ascii_alphanumeric() || "-_:.".contains(*c)).collect();
    // What has come this far as ASCII is no UTF-16 (HTML 13.2.3.2).
    (!name.is_empty() && !name.starts_with("utf-16")).then_some(name)
}

/// Reads HTML. `image` is asked once for each image shown and says what words stand in its place, if any.
pub(super) fn read(html: &str, image: &mut dyn FnMut(&ImageUse) -> Option<String>) -> Read {
    let html = &*depth::bounded(html);
    let clean = clean::clean(html);
    let mut builder = Builder::new(Sheet::of(html), image);
    for token in Tokens(&clean) {
        match token {
            Token::Open(name, attributes) => builder.open(name, attributes),
            Token::Close(name) => builder.close(name),
            Token::Text(text) => builder.text(&clean::unescape(text)),
        }
    }
    let (blocks, mut remarks) = builder.finish();
    if clean::has_media(html) {
        remarks.insert(Remark::Media);
    }
    Read { blocks, remarks }
}

/// The blocks alone.
pub(super) fn blocks(html: &str, image: &mut dyn FnMut(&ImageUse) -> Option<String>) -> Vec<Block> {
    read(html, image).blocks
}

/// What a line says of those that follow.
enum Turn {
    /// A signature follows.
    Signature,
    /// Another mail follows.
    OtherMail,
}

/// The greeting that ends a letter, or the header of a quoted one.
fn greeting(line: &str) -> Option<Turn> {
    const GREETINGS: &[&str] = &[
        "med vänlig",
        "med bästa",
        "vänlig hälsning",
        "vänliga hälsning",
        "vänligen",
        "bästa hälsning",
        "varma hälsning",
        "hälsning",
        "mvh",
        "hälsn",
        "allt gott",
        "best regards",
        "kind regards",
        "regards",
        "yours sincerely",
    ];
    let line = line.trim_matches(|c: char| c.is_whitespace() || c == '>').to_lowercase();
    if line == "--" || (line.chars().count() <= 60 && GREETINGS.iter().any(|greeting| line.starts_with(greeting))) {
        return Some(Turn::Signature);
    }
    ["från:", "from:"].iter().any(|field| line.starts_with(field)).then_some(Turn::OtherMail)
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
        for deep in ["<div><ul><li><table><tr><td>", "<blockquote>", "<blockquote><ul><li>"] {
            let text = markdown_of(&(deep.repeat(3_000) + "botten"));
            assert!(text.contains("botten") && text.len() < 10_000, "{deep}: {}", text.len());
        }
    }

    /// HTML with numbered words in it, and how many.
    fn numbered() -> impl Strategy<Value = (String, usize)> {
        let tag = prop::sample::select(vec![
            "p",
            "div",
            "b",
            "i",
            "u",
            "s",
            "ul",
            "ol",
            "li",
            "table",
            "tr",
            "td",
            "th",
            "blockquote",
            "pre",
            "h1",
            "h3",
            "span",
            "sup",
            "font",
            "a href='https://x.se/'",
            "div style='border:none;border-left:solid blue 1pt'",
            "p class=MsoNormal",
            "ol type=a",
            "td colspan=2",
            "td rowspan=3",
            "p class=MsoListParagraph style='mso-list:l0 level2 lfo1'",
            "span style='text-decoration:line-through'",
            "q",
            "button",
            "p style='margin:0'",
            "dl",
            "dt",
            "form",
            "textarea",
            "label",
            "center",
            "div id=Signature",
            "st1:personname",
            "o:p",
            "blink",
        ]);
        let piece = prop_oneof![
            3 => Just(String::new()),
            3 => tag.clone().prop_map(|tag| format!("<{tag}>")),
            2 => tag.prop_map(|tag| format!("</{}>", tag.split(' ').next().unwrap_or_default())),
            1 => Just("<br>".to_owned()),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| {
            let mut count = 0;
            let html = pieces.into_iter().map(|piece| {
                if piece.is_empty() {
                    count += 1;
                    format!(" ord{}x ", letters(count))
                } else {
                    piece
                }
            });
            (html.collect(), count)
        })
    }

    /// A number in letters: digits may be raised.
    fn letters(number: usize) -> String {
        number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn every_visible_word_is_there_once((html, count) in numbered()) {
            let markdown = markdown_of(&html);
            for number in 1..=count {
                let word = format!("ord{}x", letters(number));
                prop_assert_eq!(markdown.matches(&word).count(), 1, "{} of {} in {}", word, html, markdown);
            }
        }
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
