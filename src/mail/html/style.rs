//! What styles say that matters for the text: what is hidden, what is a line and what a paragraph, which letters are signs.

use std::collections::{HashMap, HashSet};

use super::clean::attribute;

/// Style sheets are read so far.
const SHEET_MAX: usize = 256 * 1024;

/// The declarations of one element, in lower case and with no more white space than parts values.
#[derive(Debug, Default)]
pub(super) struct Css(String);

impl Css {
    pub(super) fn of(attributes: &str) -> Self {
        Self::new(&attribute(attributes, "style").unwrap_or_default())
    }

    fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        let rules = text.split(';').filter_map(|rule| rule.split_once(':')).map(|(name, value)| {
            let value = value.split(',').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(",");
            format!("{}:{value}", name.trim())
        });
        Self(rules.collect::<Vec<_>>().join(";"))
    }

    /// The value of a property; the last one counts.
    pub(super) fn get(&self, property: &str) -> Option<&str> {
        let value = self.0.split(';').filter_map(|rule| rule.split_once(':')).rfind(|(name, _)| *name == property)?.1;
        Some(value.trim_end_matches("!important").trim_end())
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        self.0.contains(text)
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether no mail program shows the element.
    pub(super) fn hides(&self) -> bool {
        let zero = |property: &str| self.get(property).is_some_and(is_zero);
        self.get("display") == Some("none")
            || self.get("visibility") == Some("hidden")
            || zero("opacity")
            || ((zero("max-height") || zero("height")) && self.get("overflow") == Some("hidden"))
    }

    /// Whether the text has no size; `None` when nothing is said.
    pub(super) fn is_sizeless(&self) -> Option<bool> {
        self.get("font-size").map(is_zero)
    }

    /// Whether a block has no room above and below; `None` when nothing is said.
    fn tight(&self) -> Option<bool> {
        let whole = self.get("margin").map(|value| {
            let parts: Vec<&str> = value.split(' ').collect();
            parts.first().is_some_and(|top| is_zero(top)) && parts.get(2).is_none_or(|bottom| is_zero(bottom))
        });
        let side = |property: &str| self.get(property).map(is_zero);
        match (whole, side("margin-top"), side("margin-bottom")) {
            (_, Some(false), _) | (_, _, Some(false)) => Some(false),
            (_, Some(true), Some(true)) => Some(true),
            (whole, ..) => whole,
        }
    }

    /// Whether letters stand as lines and spaces were typed.
    pub(super) fn is_preformatted(&self) -> Option<bool> {
        self.get("white-space").map(|value| value.starts_with("pre"))
    }

    /// The colour of the text.
    pub(super) fn color(&self) -> Option<Color> {
        self.get("color").and_then(Color::read)
    }

    /// Whether something but white lies behind the text.
    pub(super) fn has_background(&self) -> bool {
        let of = |property: &str| {
            self.get(property).is_some_and(|value| !matches!(value, "none" | "transparent" | "initial" | "inherit") && !is_white(value))
        };
        of("background") || of("background-color") || of("background-image") || of("mso-shading")
    }

    /// Whether the text is marked as with a pen.
    pub(super) fn is_highlighted(&self) -> bool {
        let pen = |value: &str| Color::read(value).is_some_and(Color::is_loud);
        ["background", "background-color", "mso-highlight"].iter().any(|property| self.get(property).is_some_and(pen))
    }

    /// Whether the text is struck out; `None` when nothing is said.
    pub(super) fn is_struck(&self) -> bool {
        ["text-decoration", "text-decoration-line"].iter().any(|property| self.get(property).is_some_and(|value| value.contains("line-through")))
    }
}

fn is_zero(value: &str) -> bool {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    // Word writes 0.0001pt for nothing.
    digits.parse::<f32>().is_ok_and(|number| number.abs() < 0.01)
}

fn is_white(value: &str) -> bool {
    Color::read(value).is_some_and(Color::is_white)
}

/// A colour by its three parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Color(u8, u8, u8);

impl Color {
    /// `#rgb`, `#rrggbb`, `rgb(…)`, and the names that pens have.
    pub(super) fn read(value: &str) -> Option<Self> {
        let hex = |text: &str| u8::from_str_radix(text, 16).ok();
        if let Some(digits) = value.strip_prefix('#') {
            return match digits.len() {
                3 => {
                    let part = |at: usize| digits.get(at..=at).and_then(hex).map(|part| part * 17);
                    Some(Self(part(0)?, part(1)?, part(2)?))
                }
                6 => Some(Self(hex(digits.get(..2)?)?, hex(digits.get(2..4)?)?, hex(digits.get(4..)?)?)),
                _ => None,
            };
        }
        if let Some(parts) = value.strip_prefix("rgb(").or_else(|| value.strip_prefix("rgba(")) {
            let mut parts = parts.trim_end_matches(')').split(',').map(|part| part.parse::<u8>().ok());
            return Some(Self(parts.next()??, parts.next()??, parts.next()??));
        }
        Some(match value {
            "white" => Self(255, 255, 255),
            "red" => Self(255, 0, 0),
            "green" | "#008000" => Self(0, 128, 0),
            "lime" => Self(0, 255, 0),
            "yellow" => Self(255, 255, 0),
            "orange" => Self(255, 165, 0),
            "magenta" | "fuchsia" => Self(255, 0, 255),
            "purple" => Self(128, 0, 128),
            _ => return None,
        })
    }

    pub(super) fn is_white(self) -> bool {
        self.0 >= 0xfa && self.1 >= 0xfa && self.2 >= 0xfa
    }

    /// One that a writer chooses to say something: no grey, and not the blues of links and of mail programs' own texts.
    pub(super) fn is_loud(self) -> bool {
        let Self(red, green, blue) = self;
        let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
        most - least > 0x50 && (red > blue || green > blue)
    }
}

/// What the mail's style sheets say of classes and elements.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    hidden: HashSet<String>,
    tight: HashMap<String, bool>,
}

impl Sheet {
    /// Reads every `<style>` of the mail; what holds for some screens alone is left out.
    pub(super) fn of(html: &str) -> Self {
        let mut sheet = Self::default();
        let mut rest = html;
        let mut left = SHEET_MAX;
        while let Some(start) = find(rest, "<style") {
            let body = rest.get(start..).unwrap_or_default();
            let end = find(body, "</style").unwrap_or(body.len());
            let text = body.get(..end).unwrap_or_default();
            rest = body.get(end.max(6)..).unwrap_or_default();
            if text.len() > left {
                break;
            }
            left -= text.len();
            sheet.rules(text.split_once('>').map_or("", |(_, rules)| rules));
        }
        sheet
    }

    fn rules(&mut self, text: &str) {
        let mut rest = text;
        while let Some((selectors, tail)) = rest.split_once('{') {
            let selectors = selectors.rsplit("*/").next().unwrap_or_default().rsplit("-->").next().unwrap_or_default();
            let selectors = selectors.rsplit("<!--").next().unwrap_or_default().trim();
            if selectors.starts_with('@') {
                rest = after_block(tail);
                continue;
            }
            let (body, after) = tail.split_once('}').unwrap_or((tail, ""));
            rest = after;
            let css = Css::new(body);
            let (hides, tight) = (css.hides(), css.tight());
            for selector in selectors.split(',').map(|selector| selector.trim().to_lowercase()) {
                let simple = !selector.is_empty() && selector.bytes().all(|b| b.is_ascii_alphanumeric() || b".#-_".contains(&b));
                if simple && hides && selector.contains(['.', '#']) {
                    self.hidden.insert(selector.clone());
                }
                if let (true, Some(tight)) = (simple, tight) {
                    self.tight.insert(selector, tight);
                }
            }
        }
    }

    /// Whether the sheets hide the element.
    pub(super) fn hides(&self, name: &str, attributes: &str) -> bool {
        !self.hidden.is_empty() && selectors(name, attributes).any(|selector| self.hidden.contains(&selector))
    }

    /// Whether the block has no room above and below: by its own style, by the sheets, or by what Word means by its classes.
    pub(super) fn is_tight(&self, name: &str, attributes: &str, css: &Css) -> bool {
        let word = || {
            let class = attribute(attributes, "class").unwrap_or_default().to_lowercase();
            ["msonormal", "msoplaintext", "msonospacing"].iter().any(|tight| class.ends_with(tight))
        };
        let by_sheet = || selectors(name, attributes).find_map(|selector| self.tight.get(&selector).copied());
        css.tight().or_else(by_sheet).unwrap_or_else(word)
    }
}

/// The simple selectors that mean an element, the closest first.
fn selectors(name: &str, attributes: &str) -> impl Iterator<Item = String> {
    let classes = attribute(attributes, "class").unwrap_or_default().to_lowercase();
    let id = attribute(attributes, "id").unwrap_or_default().to_lowercase();
    let mut all = Vec::new();
    if !id.is_empty() {
        all.push(format!("#{id}"));
    }
    for class in classes.split_whitespace().take(20) {
        all.push(format!("{name}.{class}"));
        all.push(format!(".{class}"));
    }
    all.push(name.to_owned());
    all.into_iter()
}

/// What follows a block of rules in braces.
fn after_block(text: &str) -> &str {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(at + 1..).unwrap_or_default();
        }
    }
    ""
}

/// Where an ASCII text stands, whatever its case.
fn find(text: &str, wanted: &str) -> Option<usize> {
    let first = wanted.as_bytes().first()?;
    let bytes = text.as_bytes();
    memchr::memchr_iter(*first, bytes).find(|&at| bytes.get(at..at + wanted.len()).is_some_and(|found| found.eq_ignore_ascii_case(wanted.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_tell_what_is_hidden_and_what_is_a_line() {
        let sheet = Sheet::of(
            "<STYLE type=text/css><!-- /* x */ P {margin-top:0;margin-bottom:0;} @media print{.m{display:none}} p.MsoNormal, li.x\
             {margin:0cm; margin-bottom:8.0pt} .dold , #d{Display : None} div .e{display:none} --></STYLE><p>",
        );
        assert!(sheet.hides("p", " class=\"a dold\"") && sheet.hides("b", " id=\"d\""));
        assert!(!sheet.hides("p", " class=\"m\"") && !sheet.hides("p", " class=\"e\""));
        let tight = |attributes: &str| sheet.is_tight("p", attributes, &Css::of(attributes));
        assert!(tight("") && !tight(" class=\"MsoNormal\"") && tight(" class=\"MsoNormal\" style=\"margin:0cm\""));
        assert!(!tight(" style=\"margin-bottom:12pt\""));
        assert!(Sheet::default().is_tight("p", " class=\"x_MsoNormal\"", &Css::default()));
        assert!(!Sheet::default().is_tight("p", "", &Css::default()));
    }

    #[test]
    fn colours_that_say_something_are_told_from_those_of_mail_programs() {
        for loud in ["red", "#c00000", "rgb(255,0,0)", "#00b050", "#ffff00"] {
            assert!(Color::read(loud).unwrap().is_loud(), "{loud}");
        }
        for quiet in ["#1f497d", "#44546a", "#000", "#7f7f7f", "#0563c1", "#ffffff"] {
            assert!(!Color::read(quiet).unwrap().is_loud(), "{quiet}");
        }
        assert!(Color::read("#FFF".to_lowercase().as_str()).unwrap().is_white() && Color::read("windowtext").is_none());
    }
}
