//! The Markdown of a received message, for a mail's two bodies. The peer's system wrote it, so it is hostile: what a mail
//! program gets to see is the sanitizer's output.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use pulldown_cmark::{Event, Parser, html};

use super::html as reader;
use super::markdown::{Block, Piece};
use super::words;

/// What a received text may become. No images, no styles: nothing that loads, hides or imitates.
static SANITIZER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    let set = |words: &'static str| words.split_ascii_whitespace().collect::<HashSet<_>>();
    builder
        .tags(set("a b blockquote br code div em h1 h2 h3 h4 h5 h6 hr i li ol p pre strong table tbody td th thead tr u ul"))
        .clean_content_tags(set("script style title textarea select template noscript object svg math iframe"))
        .tag_attributes(HashMap::from([("a", set("href")), ("ol", set("start"))]))
        .url_schemes(set("http https mailto"))
        .link_rel(Some("noopener noreferrer"));
    builder
});

/// HTML of a Markdown text, sanitized. A line end is kept as one: many systems write plain text here.
pub(super) fn to_html(markdown: &str) -> String {
    let text = words::clean(markdown);
    let events = Parser::new(&text).map(|event| if event == Event::SoftBreak { Event::HardBreak } else { event });
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, events);
    SANITIZER.clean(&out).to_string()
}

/// The same text for a reader of text/plain.
pub(super) fn to_plain(html: &str) -> String {
    let mut out = String::new();
    write_blocks(&mut out, &reader::blocks(html, &mut |_| None), "");
    out
}

/// Text escaped for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn write_blocks(out: &mut String, blocks: &[Block], indent: &str) {
    for (at, block) in blocks.iter().enumerate() {
        match block {
            Block::Paragraph(pieces) | Block::Heading(_, pieces) => {
                if at > 0 {
                    out.push('\n');
                }
                for (line, text) in pieces.split(|piece| *piece == Piece::Break).enumerate() {
                    if line > 0 || at > 0 {
                        out.push_str(indent);
                    }
                    out.push_str(super::markdown::plain_words(text).trim_end());
                    out.push('\n');
                }
            }
            Block::List { first, items } => {
                if at > 0 && indent.is_empty() {
                    out.push('\n');
                }
                for (number, item) in (first.unwrap_or(1)..).zip(items) {
                    let mark = if first.is_some() { format!("{number}. ") } else { "- ".to_owned() };
                    out.push_str(indent);
                    out.push_str(&mark);
                    if item.is_empty() {
                        out.push('\n');
                    }
                    write_blocks(out, item, &format!("{indent}{}", " ".repeat(mark.len())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_writes_cannot_run_load_or_hide() {
        let html = to_html("Hej <script>x()</script><b onclick=x()>fet</b> [a](javascript:x) ![b](http://c/d) <p style='display:none'>dold</p>");
        for evil in ["script", "onclick", "javascript", "<img", "style"] {
            assert!(!html.contains(evil), "{evil} in {html}");
        }
        assert!(html.contains("<b>fet</b>"));
    }

    #[test]
    fn both_bodies_say_the_same() {
        let html = to_html("# Beslut\n\nHej **Anna**  \nrad två\nrad tre\n\n* ett\n  * inre\n* två\n\n3. tre");
        assert!(html.contains("<strong>Anna</strong>") && html.contains("<ol start=\"3\">"), "{html}");
        assert_eq!(to_plain(&html), "Beslut\n\nHej Anna\nrad två\nrad tre\n\n- ett\n  - inre\n- två\n\n3. tre\n");
    }
}
