//! The Markdown of a received message, for a mail's two bodies. The peer's system wrote it, so it is hostile: what a mail
//! program gets to see is the sanitizer's output.
//!
//! Many systems put plain text where Markdown is meant. So nothing that a person may have written is taken for markup that
//! hides it: `<Namn>` and other tags that format nothing are shown as they stand, as are definitions of links, links that
//! lead nowhere on the web, and lines that underline; each line end is kept, and a link's words are where it leads.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, LinkType, Parser, Tag, TagEnd, TextMergeStream, html};

use super::html as reader;
use super::markdown::{Block, Piece};
use super::words;

/// A longer text is shown as it stands: reading it as Markdown would take memory many times its size.
const MARKDOWN_MAX: usize = 2 * 1024 * 1024;

/// Deeper nesting than anybody writes. The sanitizer's time grows with the depth at each element.
const MAX_DEPTH: usize = 60;

/// What formats and nothing else. No images, no styles of the peer's: nothing that loads, hides or imitates.
const TAGS: &str = "a b blockquote br code div em h1 h2 h3 h4 h5 h6 hr i li ol p pre strong table tbody td th thead tr u ul";
/// Tags whose text is shown without what they add.
const NEUTRAL: &str = "big center font s small span strike sub sup";

/// How each element looks, in the words that Outlook's Word engine knows.
const STYLES: &[(&str, &str)] = &[
    ("p", "margin:0 0 10px 0"),
    ("div", "margin:0 0 10px 0"),
    ("h1", "margin:16px 0 8px 0;font-size:16pt;line-height:1.25"),
    ("h2", "margin:16px 0 8px 0;font-size:14pt;line-height:1.25"),
    ("h3", "margin:14px 0 6px 0;font-size:12pt;line-height:1.25"),
    ("h4", "margin:12px 0 6px 0;font-size:11pt;line-height:1.25"),
    ("h5", "margin:12px 0 6px 0;font-size:11pt;line-height:1.25"),
    ("h6", "margin:12px 0 6px 0;font-size:11pt;line-height:1.25"),
    ("ul", "margin:0 0 10px 0;padding-left:28px"),
    ("ol", "margin:0 0 10px 0;padding-left:28px"),
    ("li", "margin:0 0 4px 0"),
    ("blockquote", "margin:0 0 10px 0;padding-left:12px;border-left:3px solid #a6a6a6"),
    ("code", "font-family:Consolas,'Courier New',monospace"),
    ("pre", "margin:0 0 10px 0;font-family:Consolas,'Courier New',monospace;white-space:pre-wrap"),
    ("table", "margin:0 0 10px 0;border-collapse:collapse"),
    ("td", "padding:4px 8px;border:1px solid #a6a6a6;vertical-align:top"),
    ("th", "padding:4px 8px;border:1px solid #a6a6a6;text-align:left"),
    ("hr", "margin:12px 0;border:0;border-top:1px solid #a6a6a6"),
];

fn set(words: &'static str) -> HashSet<&'static str> {
    words.split_ascii_whitespace().collect()
}

fn sanitizer() -> ammonia::Builder<'static> {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(set(TAGS))
        .tag_attributes(HashMap::from([("a", set("href")), ("ol", set("start"))]))
        .url_schemes(set("http https mailto tel"))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"));
    builder
}

static BARE: LazyLock<ammonia::Builder<'static>> = LazyLock::new(sanitizer);
static STYLED: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = sanitizer();
    builder.set_tag_attribute_values(STYLES.iter().map(|(tag, style)| (*tag, HashMap::from([("style", *style)]))).collect());
    builder
});
/// Tags that a text may hold. Links are made here alone, so that each says where it leads.
static KNOWN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| set(TAGS).union(&set(NEUTRAL)).copied().filter(|tag| *tag != "a").collect());

/// A text for the two bodies.
pub(super) struct Rendered {
    /// Sanitized HTML, each element with its style.
    pub(super) html: String,
    /// The same words for a reader of text/plain, each line ended.
    pub(super) plain: String,
}

/// Renders a text.
pub(super) fn text(markdown: &str) -> Rendered {
    let text = words::clean(markdown);
    if text.len() > MARKDOWN_MAX {
        let html = format!("<p>{}</p>\n", escape(text.trim_end()).replace('\n', "<br>\n"));
        return Rendered { html, plain: text.trim_end().to_owned() + "\n" };
    }
    let text = without_definitions(&text);
    let mut raw = String::with_capacity(text.len() * 2);
    html::push_html(&mut raw, TextMergeStream::new(events(&text).into_iter()).flat_map(linked));
    let mut plain = String::new();
    write_blocks(&mut plain, &reader::blocks(&BARE.clean(&raw).to_string(), &mut |_| None), "");
    Rendered { html: STYLED.clean(&raw).to_string(), plain }
}

/// Text escaped for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `[KS 2026/1]: beslut` would be the definition of a link, which nobody sees (CommonMark 4.7); links are no part of the
/// subset.
fn without_definitions(text: &str) -> Cow<'_, str> {
    if Parser::new(text).reference_definitions().iter().next().is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("]:", "]\\:"))
}

/// What the text means, with everything that would not be seen turned into text.
fn events(text: &str) -> Vec<Event<'_>> {
    let mut out = Vec::new();
    let mut underline = None;
    let mut links: Vec<String> = Vec::new();
    let mut in_code = false;
    let (mut depth, mut open) = (0_usize, 0_usize);
    for (event, range) in Parser::new(text).into_offset_iter() {
        match &event {
            Event::Start(Tag::List(_) | Tag::Item | Tag::BlockQuote(_) | Tag::Emphasis | Tag::Strong) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    continue;
                }
            }
            Event::End(TagEnd::List(_) | TagEnd::Item | TagEnd::BlockQuote(_) | TagEnd::Emphasis | TagEnd::Strong) => {
                depth = depth.saturating_sub(1);
                if depth >= MAX_DEPTH {
                    continue;
                }
            }
            _ => {}
        }
        match event {
            Event::SoftBreak => out.push(Event::HardBreak),
            Event::Html(html) | Event::InlineHtml(html) => tags(html, &mut open, &mut out),
            // `-- ` under a name begins a signature; only `#` makes a heading in the subset.
            Event::Start(Tag::Heading { .. }) if underlined(text, &range) => {
                underline = text.get(range).and_then(|lines| lines.trim_end().lines().next_back()).map(str::trim);
                out.push(Event::Start(Tag::Paragraph));
            }
            Event::End(TagEnd::Heading(_)) if underline.is_some() => {
                out.extend([Event::HardBreak, Event::Text(underline.take().unwrap_or_default().into()), Event::End(TagEnd::Paragraph)]);
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                in_code = true;
                out.push(Event::Start(Tag::Paragraph));
                if let CodeBlockKind::Fenced(info) = kind
                    && !info.is_empty()
                {
                    out.extend([Event::Text(info), Event::HardBreak]);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                in_code = false;
                out.push(Event::End(TagEnd::Paragraph));
            }
            Event::Text(lines) if in_code => indented(&lines, &mut out),
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                let bare = matches!(link_type, LinkType::Autolink | LinkType::Email);
                // `Anna <anna@habo.se>` is how mail programs write an address.
                let (before, after) = match (bare, leads_out(&dest_url)) {
                    (true, true) => ("", String::new()),
                    (true, false) => ("<", ">".to_owned()),
                    (false, true) => ("", format!(" ({dest_url})")),
                    (false, false) => ("[", format!("]({dest_url})")),
                };
                out.push(Event::Text(before.into()));
                links.push(after);
            }
            Event::End(TagEnd::Link | TagEnd::Image) => out.push(Event::Text(links.pop().unwrap_or_default().into())),
            Event::Start(Tag::Image { dest_url, .. }) => {
                links.push(format!(" ({dest_url})]"));
                out.push(Event::Text("[Bild: ".into()));
            }
            other => out.push(other),
        }
    }
    out
}

fn underlined(text: &str, range: &Range<usize>) -> bool {
    text.get(range.clone()).is_some_and(|heading| !heading.trim_start().starts_with('#'))
}

fn leads_out(target: &str) -> bool {
    let target = target.to_ascii_lowercase();
    ["http://", "https://"].iter().any(|scheme| target.len() > scheme.len() && target.starts_with(scheme))
}

/// Web addresses in a text become links, whose words are always where they lead.
fn linked(event: Event<'_>) -> Vec<Event<'_>> {
    let Event::Text(text) = &event else { return vec![event] };
    if !text.contains("://") {
        return vec![event];
    }
    let mut out = Vec::new();
    for piece in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '(' | ')' | '[' | ']')) {
        let word = piece.trim_end_matches(|c: char| {
            c.is_whitespace() || matches!(c, '<' | '>' | '"' | '(' | ')' | '[' | ']' | '.' | ',' | ';' | ':' | '!' | '?')
        });
        let rest = piece.get(word.len()..).unwrap_or_default();
        if leads_out(word) {
            let link = Tag::Link { link_type: LinkType::Inline, dest_url: word.to_owned().into(), title: "".into(), id: "".into() };
            out.extend([Event::Start(link), Event::Text(word.to_owned().into()), Event::End(TagEnd::Link), Event::Text(rest.to_owned().into())]);
        } else {
            out.push(Event::Text(piece.to_owned().into()));
        }
    }
    out
}

/// Lines with their indentation, for a text that breaks where its window ends.
fn indented(lines: &str, out: &mut Vec<Event<'_>>) {
    for line in lines.split_inclusive('\n') {
        let words = line.trim_start_matches(' ');
        let indent = "\u{a0}".repeat((line.len() - words.len()).min(80));
        out.push(Event::Text((indent + words.trim_end_matches('\n')).into()));
        if line.ends_with('\n') {
            out.push(Event::HardBreak);
        }
    }
}

/// Tags that format stay tags, as deep as they make sense; all other is text. `open` counts those that are not closed.
fn tags<'a>(html: CowStr<'a>, open: &mut usize, out: &mut Vec<Event<'a>>) {
    let mut rest: &str = &html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        let length = tag.find('>').map_or(tag.len(), |end| end + 1);
        let (tag, after) = tag.split_at(length);
        push(out, before);
        let name: String = tag.trim_start_matches(['<', '/']).chars().take_while(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        if !tag.ends_with('>') || !KNOWN.contains(name.as_str()) {
            push(out, tag);
        } else if tag.starts_with("</") {
            *open = open.saturating_sub(1);
            out.push(Event::Html(tag.to_owned().into()));
        } else if matches!(name.as_str(), "br" | "hr") {
            out.push(Event::Html(tag.to_owned().into()));
        } else if *open < MAX_DEPTH {
            *open += 1;
            out.push(Event::Html(tag.to_owned().into()));
        } else {
            // What it begins stays a line of its own.
            out.push(Event::HardBreak);
        }
        rest = after;
    }
    push(out, rest);
}

/// Text out of an HTML block, whose line ends are kept as everywhere.
fn push(out: &mut Vec<Event<'_>>, text: &str) {
    for line in text.split_inclusive('\n') {
        let words = line.trim_end_matches('\n');
        if !words.is_empty() {
            out.push(Event::Text(words.to_owned().into()));
        }
        if words.len() < line.len() && !words.trim().is_empty() {
            out.push(Event::HardBreak);
        }
    }
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_peer_writes_cannot_run_load_or_hide() {
        let rendered = text(
            "Hej <script>x()</script><b onclick=x()>fet</b> [a](javascript:x) ![b](http://c/d) <p style='display:none'>dold</p>\n\n\
             <div>block<iframe src=http://e/f></iframe><img src=http://g/h onerror=x()></div>",
        );
        for evil in ["<script", "<b onclick", "href=\"javascript", "<img", "<iframe", "display:none"] {
            assert!(!rendered.html.contains(evil), "{evil} in {}", rendered.html);
        }
        assert!(rendered.html.contains("<b>fet</b>"), "{}", rendered.html);
        for seen in ["<script>x()</script>", "[a](javascript:x)", "[Bild: b (", "dold", "<iframe src=http://e/f>"] {
            assert!(rendered.plain.contains(seen), "{seen} in {}", rendered.plain);
            assert!(rendered.html.contains(&escape(seen).replace("&quot;", "\"")), "{seen} in {}", rendered.html);
        }
    }

    #[test]
    fn both_bodies_say_the_same() {
        let rendered = text("# Beslut\n\nHej **Anna**  \nrad två\nrad tre\n\n* ett\n  * inre\n* två\n\n3. tre");
        assert!(rendered.html.contains("<strong>Anna</strong>") && rendered.html.contains("<ol start=\"3\" style="), "{}", rendered.html);
        assert_eq!(rendered.plain, "Beslut\n\nHej Anna\nrad två\nrad tre\n\n- ett\n  - inre\n- två\n\n3. tre\n");
    }

    #[test]
    fn plain_text_where_markdown_is_meant_stays_readable() {
        let rendered = text("Hej <Namn>,\n[KS 2026/1]: beslut\n\n    indragen rad\n\nAnna <anna@habo.se>\n--\nHåbo kommun\n\n``` viktigt\nkod\n```");
        assert_eq!(rendered.plain, "Hej <Namn>,\n[KS 2026/1]: beslut\n\nindragen rad\n\nAnna <anna@habo.se>\n--\n\nHåbo kommun\n\nviktigt\nkod\n");
        assert!(rendered.html.contains("Hej &lt;Namn&gt;,<br>"), "{}", rendered.html);
    }

    #[test]
    fn a_link_says_where_it_leads() {
        let rendered = text("Se [vår bank](https://a.example/x_y) och (https://habo.se/a_b_c?d=1&e=2), <https://habo.se/>.");
        assert_eq!(rendered.plain, "Se vår bank (https://a.example/x_y) och (https://habo.se/a_b_c?d=1&e=2), https://habo.se/.\n");
        assert_eq!(rendered.html.matches("<a href=").count(), 3, "{}", rendered.html);
        assert!(rendered.html.contains(">https://a.example/x_y</a>") && rendered.html.contains("&amp;e=2\""), "{}", rendered.html);
    }

    #[test]
    fn a_huge_text_is_shown_as_it_stands() {
        let rendered = text(&"*a* <b>\n".repeat(MARKDOWN_MAX / 8 + 1));
        assert!(rendered.html.contains("*a* &lt;b&gt;<br>") && rendered.plain.starts_with("*a* <b>\n*a*"));
    }

    #[test]
    fn nesting_without_end_costs_no_more_than_its_length() {
        for piece in ["<div>", "<table><tr><td>", "<ul><li>", "</p>", "> ", "* ", "*a ", "[", "![", "`", "<p>", "<x ", "**"] {
            let began = std::time::Instant::now();
            let rendered = text(&(piece.repeat(100_000 / piece.len()) + " slut"));
            assert!(rendered.plain.contains("slut") && rendered.html.contains("slut"), "{piece}");
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "{piece}: {:?}", began.elapsed());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn every_word_is_shown_in_both_bodies(source in "([a-cåÖ0-9]{1,3}|[ *_`~<>#!\\[\\]()\\\\.:+=|\"'–-]|\n|\n\n|    |```|<x |<!--|-->|\\]: |\\]\\(){0,40}") {
            let words = |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>().concat();
            let rendered = text(&source);
            let page = rendered.html.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("&quot;", "\"");
            for c in words(&source).chars() {
                // Marks may part a word, so letters are what is counted.
                let count = |text: &str| text.chars().filter(|other| *other == c).count();
                prop_assert!(count(&rendered.plain) >= count(&source) || c.is_ascii_digit(), "{c} of {source:?} in {:?}", rendered.plain);
                prop_assert!(count(&page) >= count(&source) || c.is_ascii_digit(), "{c} of {source:?} in {page:?}");
            }
        }
    }
}
