//! A writer that cannot write XML that is not well-formed: every text is escaped, every element is closed.

use super::chars::is_xml_char;

/// Writes one document into a string, element by element.
///
/// Names come from our own code and are written as they are; values may be anything. Characters that XML cannot
/// carry are written as U+FFFD.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    open: Vec<&'static str>,
    in_tag: bool,
}

impl Writer {
    /// An empty document without XML declaration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty document that begins with the XML declaration.
    #[must_use]
    pub fn with_declaration() -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into(), ..Self::default() }
    }

    /// Opens an element by its qualified name.
    pub fn open(&mut self, name: &'static str) -> &mut Self {
        self.close_tag();
        self.out.push('<');
        self.out.push_str(name);
        self.open.push(name);
        self.in_tag = true;
        self
    }

    /// Writes an attribute (or `xmlns` declaration) of the element that was just opened.
    pub fn attribute(&mut self, name: &str, value: &str) -> &mut Self {
        debug_assert!(self.in_tag, "an attribute after content");
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        escape(&mut self.out, value, true);
        self.out.push('"');
        self
    }

    /// Writes character data.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.close_tag();
        escape(&mut self.out, text, false);
        self
    }

    /// Writes XML that another [`Writer`] or the canonicaliser made.
    pub fn raw(&mut self, xml: &str) -> &mut Self {
        self.close_tag();
        self.out.push_str(xml);
        self
    }

    /// Closes the innermost open element.
    pub fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            if self.in_tag {
                self.out.push_str("/>");
                self.in_tag = false;
            } else {
                self.out.push_str("</");
                self.out.push_str(name);
                self.out.push('>');
            }
        }
        self
    }

    /// Writes an element that holds only text.
    pub fn leaf(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.open(name).text(text).close()
    }

    /// Closes what is open and returns the document.
    #[must_use]
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn close_tag(&mut self) {
        if self.in_tag {
            self.out.push('>');
            self.in_tag = false;
        }
    }
}

/// Escapes as canonical XML does (C14N 1.0 2.3), so that what is written is what is signed.
pub(super) fn escape(out: &mut String, text: &str, attribute: bool) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' if !attribute => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\t' if attribute => out.push_str("&#x9;"),
            '\n' if attribute => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c if is_xml_char(c) => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Document, Limits};

    #[test]
    fn what_is_written_reads_back() {
        let value = "å<&>\"'\t\r\n]]>";
        let mut writer = Writer::with_declaration();
        writer.open("r").attribute("xmlns", "urn:x").attribute("a", value).leaf("b", value).open("c").close();
        let text = writer.finish();
        let document = Document::parse(text.as_bytes(), &Limits::of(1000)).unwrap();
        assert_eq!(document.root().attribute("a"), Some(value));
        assert_eq!(document.root().child("urn:x", "b").unwrap().text(), value);
    }

    #[test]
    fn a_character_that_xml_forbids_becomes_the_replacement() {
        let mut writer = Writer::new();
        writer.leaf("r", "a\u{0}b\u{fffe}");
        assert_eq!(writer.finish(), "<r>a\u{fffd}b\u{fffd}</r>");
    }
}
