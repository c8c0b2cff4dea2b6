//! HTML as the sanitizer leaves it, and its tokens.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// What stands inside the body, or is dropped with all it holds.
const TAGS: &str = "a address article aside b big blockquote br button caption center code dd del details dir div dl dt em fieldset figcaption \
                    figure font footer form h1 h2 h3 h4 h5 h6 header hr i img input ins legend li main menu nav ol option p pre q s section select \
                    small span strike strong sub summary sup table tbody td textarea tfoot th thead tr u ul";
const DROPPED: &str = "script style title template noscript object svg math iframe audio video xml";
/// Of these, what a reader would have seen or heard.
const MEDIA: &[&str] = &["<object", "<svg", "<math", "<iframe", "<audio", "<video", "<embed"];

static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    let set = |words: &'static str| words.split_ascii_whitespace().collect::<HashSet<_>>();
    builder
        .tags(set(TAGS))
        .clean_content_tags(set(DROPPED))
        .generic_attributes(set("style id class hidden bgcolor"))
        .tag_attributes(HashMap::from([
            ("a", set("href")),
            ("blockquote", set("type")),
            ("font", set("color face")),
            ("img", set("src alt height width")),
            ("input", set("type value checked")),
            ("li", set("value")),
            ("ol", set("start type")),
            ("option", set("selected")),
            ("td", set("colspan rowspan")),
            ("th", set("colspan rowspan")),
        ]))
        .url_schemes(set("http https mailto tel cid data file ftp sip"))
        .link_rel(None);
    builder
});

/// A piece of clean HTML.
pub(super) enum Token<'a> {
    /// A tag opens: its name, its attributes.
    Open(&'a str, &'a str),
    /// A tag closes.
    Close(&'a str),
    /// Text, escaped.
    Text(&'a str),
}

/// A small, balanced, escaped part of what the mail calls HTML.
pub(super) fn clean(html: &str) -> String {
    CLEANER.clean(html).to_string()
}

/// Whether the mail holds something else than text and images, outside of its comments.
pub(super) fn has_media(html: &str) -> bool {
    let mut rest = html;
    loop {
        let (shown, comment) = rest.split_once("<!--").map_or((rest, None), |(shown, comment)| (shown, Some(comment)));
        let shown = shown.to_ascii_lowercase();
        if MEDIA.iter().any(|tag| shown.contains(tag)) {
            return true;
        }
        match comment.and_then(|comment| comment.split_once("-->")) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
}

/// Tokens of the sanitizer's output: every `<` opens a tag, values stand in double quotes.
pub(super) struct Tokens<'a>(pub(super) &'a str);

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

/// The value of an attribute in an opening tag.
pub(super) fn attribute(attributes: &str, name: &str) -> Option<String> {
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

/// Undoes the sanitizer's escapes.
pub(super) fn unescape(text: &str) -> String {
    text.replace("&nbsp;", "\u{a0}").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
