//! Reading: from octets to the tree, within limits.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::chars::{SPACE, is_ncname, is_xml_char, resolve_reference, split_name, trim};
use super::tree::{Attribute, Document, ElementData, Kind, Limits, Node, XML_NS, XmlError};

/// Octets of one namespace name. Canonical XML repeats a name that was written once at every sibling that uses it: without
/// a bound of its own, a document of one megabyte could have a canonical form of hundreds.
const NAMESPACE: usize = 1024;

impl Document {
    /// Reads a document in UTF-8, with or without a byte order mark.
    ///
    /// # Errors
    /// [`XmlError`]; the first thing wrong ends the reading.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, XmlError> {
        if bytes.len() > limits.octets {
            return Err(XmlError::TooLarge { what: "octets", limit: limits.octets });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
        if text.starts_with('\u{feff}') {
            // The reader would pass over it, and every offset after it would be wrong.
            return Err(XmlError::Malformed { at: 0, reason: "a second byte order mark".into() });
        }
        if let Some((at, _)) = text.char_indices().find(|(_, c)| !is_xml_char(*c)) {
            return Err(XmlError::Malformed { at: at as u64, reason: "a character that XML forbids".into() });
        }
        Builder { limits, nodes: Vec::new(), open: Vec::new(), scopes: Vec::new(), attributes: 0, root: None }.run(text)
    }
}

struct Builder<'l> {
    limits: &'l Limits,
    nodes: Vec<Node>,
    open: Vec<u32>,
    /// Declarations in scope, innermost last, with the depth they belong to.
    scopes: Vec<(usize, String, String)>,
    attributes: usize,
    root: Option<u32>,
}

impl Builder<'_> {
    fn run(mut self, text: &str) -> Result<Document, XmlError> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = true;
        reader.config_mut().check_comments = true;
        reader.config_mut().expand_empty_elements = true;
        loop {
            let start = position(&reader);
            let malformed = |reason: String| XmlError::Malformed { at: start as u64, reason };
            let event = reader.read_event().map_err(|error| malformed(plain(&error)))?;
            let end = position(&reader);
            match event {
                Event::Start(tag) => self.start(&tag, start..end, &malformed)?,
                Event::Empty(_) => return Err(malformed("an empty tag that was not expanded".into())),
                Event::End(_) => self.end(end),
                Event::Text(text) => {
                    let text = text.xml10_content().map_err(|_| XmlError::Encoding)?;
                    if text.contains("]]>") {
                        return Err(malformed("]]> in character data".into()));
                    }
                    self.text(&text, start..end, &malformed)?;
                }
                Event::CData(text) => {
                    if self.open.is_empty() {
                        return Err(malformed("text outside the root element".into()));
                    }
                    let text = text.xml10_content().map_err(|_| XmlError::Encoding)?;
                    self.text(&text, start..end, &malformed)?;
                }
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(|_| XmlError::Encoding)?;
                    let resolved = resolve_reference(&name).ok_or_else(|| malformed("an unknown entity or character reference".into()))?;
                    if self.open.is_empty() {
                        return Err(malformed("text outside the root element".into()));
                    }
                    self.text(resolved.encode_utf8(&mut [0; 4]), start..end, &malformed)?;
                }
                Event::Comment(text) => {
                    let text = text.xml10_content().map_err(|_| XmlError::Encoding)?.into_owned();
                    self.leaf(Kind::Comment(text), start..end)?;
                }
                Event::PI(pi) => {
                    let target = String::from_utf8_lossy(pi.target()).into_owned();
                    if target.eq_ignore_ascii_case("xml") {
                        return Err(malformed("an XML declaration that is not at the start".into()));
                    }
                    if !is_ncname(&target) {
                        return Err(malformed("a processing instruction without a name".into()));
                    }
                    let data = String::from_utf8_lossy(pi.content()).trim_start_matches(SPACE).replace("\r\n", "\n").replace('\r', "\n");
                    self.leaf(Kind::Instruction { target, data }, start..end)?;
                }
                Event::Decl(declaration) => {
                    if start != 0 {
                        return Err(malformed("an XML declaration that is not at the start".into()));
                    }
                    let declared = std::str::from_utf8(&declaration).ok().and_then(xml_declaration);
                    let (version, encoding) = declared.ok_or_else(|| malformed("an XML declaration that is none".into()))?;
                    if version != "1.0" {
                        return Err(malformed("an XML version other than 1.0".into()));
                    }
                    if encoding.is_some_and(|encoding| !(encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("us-ascii"))) {
                        return Err(XmlError::Encoding);
                    }
                }
                Event::DocType(_) => return Err(XmlError::Dtd),
                Event::Eof => break,
            }
        }
        if !self.open.is_empty() {
            return Err(XmlError::Malformed { at: text.len() as u64, reason: "it ends inside an element".into() });
        }
        let root = self.root.ok_or(XmlError::Malformed { at: 0, reason: "there is no root element".into() })?;
        Ok(Document { nodes: self.nodes, root })
    }

    fn push(&mut self, kind: Kind, source: Range<usize>) -> Result<u32, XmlError> {
        if self.nodes.len() >= self.limits.nodes {
            return Err(XmlError::TooLarge { what: "nodes", limit: self.limits.nodes });
        }
        let index = self.nodes.len() as u32;
        self.nodes.push(Node { kind, parent: self.open.last().copied(), end: index + 1, source });
        Ok(index)
    }

    fn leaf(&mut self, kind: Kind, source: Range<usize>) -> Result<(), XmlError> {
        self.push(kind, source).map(|_| ())
    }

    fn text(&mut self, text: &str, source: Range<usize>, malformed: &dyn Fn(String) -> XmlError) -> Result<(), XmlError> {
        if self.open.is_empty() {
            return if text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
                Ok(())
            } else {
                Err(malformed("text outside the root element".into()))
            };
        }
        if let Some(Node { kind: Kind::Text(last), parent, source: range, .. }) = self.nodes.last_mut()
            && *parent == self.open.last().copied()
        {
            last.push_str(text);
            range.end = source.end;
            return Ok(());
        }
        if text.is_empty() { Ok(()) } else { self.leaf(Kind::Text(text.to_owned()), source) }
    }

    fn end(&mut self, source_end: usize) {
        let count = self.nodes.len() as u32;
        if let Some(index) = self.open.pop()
            && let Some(node) = self.nodes.get_mut(index as usize)
        {
            node.end = count;
            node.source.end = source_end;
        }
        let depth = self.open.len();
        while self.scopes.last().is_some_and(|(at, ..)| *at > depth) {
            self.scopes.pop();
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, source: Range<usize>, malformed: &dyn Fn(String) -> XmlError) -> Result<(), XmlError> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(malformed("a second root element".into()));
        }
        if self.open.len() >= self.limits.depth {
            return Err(XmlError::TooLarge { what: "levels of nesting", limit: self.limits.depth });
        }
        if !are_apart(tag) {
            return Err(malformed("attributes without white space between them".into()));
        }
        let depth = self.open.len() + 1;
        let mut declarations = Vec::new();
        let mut plain_attributes = Vec::new();
        for attribute in tag.attributes().with_checks(true) {
            let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
            self.attributes += 1;
            if plain_attributes.len() + declarations.len() >= self.limits.attributes {
                return Err(XmlError::TooLarge { what: "attributes of one element", limit: self.limits.attributes });
            }
            if self.attributes > self.limits.all_attributes {
                return Err(XmlError::TooLarge { what: "attributes", limit: self.limits.all_attributes });
            }
            let name = std::str::from_utf8(attribute.key.as_ref()).map_err(|_| XmlError::Encoding)?;
            let raw = std::str::from_utf8(&attribute.value).map_err(|_| XmlError::Encoding)?;
            if raw.len() > self.limits.value || name.len() > self.limits.value {
                return Err(XmlError::TooLarge { what: "octets of one attribute", limit: self.limits.value });
            }
            let value = attribute_value(raw).ok_or_else(|| malformed("an attribute value with < or an unknown reference".into()))?;
            let (prefix, local) = split_name(name).ok_or_else(|| malformed("an attribute name that is none".into()))?;
            if prefix == "xmlns" || (prefix.is_empty() && local == "xmlns") {
                if value.len() > NAMESPACE {
                    return Err(XmlError::TooLarge { what: "octets of one namespace name", limit: NAMESPACE });
                }
                let declared = if prefix.is_empty() { "" } else { local };
                let reserved = declared == "xmlns" || (declared == "xml") != (value == XML_NS) || value == "http://www.w3.org/2000/xmlns/";
                if reserved || (value.is_empty() && !declared.is_empty()) {
                    return Err(malformed("a namespace declaration that is not allowed".into()));
                }
                self.scopes.push((depth, declared.to_owned(), value.clone()));
                declarations.push((declared.to_owned(), value));
            } else {
                plain_attributes.push((prefix.to_owned(), local.to_owned(), value));
            }
        }
        let unbound = || malformed("a prefix that is not declared".into());
        let mut attributes: Vec<Attribute> = Vec::with_capacity(plain_attributes.len());
        for (prefix, local, value) in plain_attributes {
            let namespace = if prefix.is_empty() { String::new() } else { self.lookup(&prefix).ok_or_else(unbound)?.to_owned() };
            if attributes.iter().any(|a| a.local == local && a.namespace == namespace) {
                return Err(malformed("an attribute that is given twice".into()));
            }
            attributes.push(Attribute { prefix, local, namespace, value });
        }
        let name = tag.name();
        let name = std::str::from_utf8(name.as_ref()).map_err(|_| XmlError::Encoding)?;
        if name.len() > self.limits.value {
            return Err(XmlError::TooLarge { what: "octets of one name", limit: self.limits.value });
        }
        let (prefix, local) = split_name(name).ok_or_else(|| malformed("an element name that is none".into()))?;
        let namespace = match self.lookup(prefix) {
            Some(namespace) => namespace.to_owned(),
            None if prefix.is_empty() => String::new(),
            None => return Err(unbound()),
        };
        let data = ElementData { prefix: prefix.to_owned(), local: local.to_owned(), namespace, attributes, declarations };
        let index = self.push(Kind::Element(data), source)?;
        self.root.get_or_insert(index);
        self.open.push(index);
        Ok(())
    }

    fn lookup(&self, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some(XML_NS);
        }
        self.scopes.iter().rev().find(|(_, p, _)| p == prefix).map(|(_, _, namespace)| namespace.as_str())
    }
}

/// Whether white space follows each attribute value of a tag that another attribute follows (XML 1.0 3.1).
fn are_apart(tag: &[u8]) -> bool {
    let mut quote = None;
    let mut octets = tag.iter().peekable();
    while let Some(octet) = octets.next() {
        match quote {
            None if matches!(octet, b'"' | b'\'') => quote = Some(octet),
            Some(open) if open == octet => {
                quote = None;
                if octets.peek().is_some_and(|next| !matches!(next, b' ' | b'\t' | b'\n' | b'\r')) {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

/// Version and encoding of an XML declaration (XML 1.0 2.8), given without `<?` and `?>`; its parts have a fixed order.
fn xml_declaration(text: &str) -> Option<(&str, Option<&str>)> {
    let mut rest = text.strip_prefix("xml")?;
    let mut part = |name: &str| {
        let after = rest.trim_start_matches(SPACE).strip_prefix(name).filter(|_| rest.starts_with(SPACE))?;
        let after = after.trim_start_matches(SPACE).strip_prefix('=')?.trim_start_matches(SPACE);
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = after.get(1..)?.split_once(quote)?;
        rest = after;
        Some(value)
    };
    let (version, encoding, standalone) = (part("version")?, part("encoding"), part("standalone"));
    let sound = trim(rest).is_empty() && standalone.is_none_or(|value| matches!(value, "yes" | "no"));
    sound.then_some((version, encoding))
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// What the reader says, without any of the document's own text.
fn plain(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Syntax(error) => error.to_string(),
        quick_xml::Error::IllFormed(quick_xml::errors::IllFormedError::MismatchedEndTag { .. }) => "an end tag that does not match".into(),
        quick_xml::Error::IllFormed(quick_xml::errors::IllFormedError::UnmatchedEndTag(_)) => "an end tag without a start".into(),
        quick_xml::Error::IllFormed(_) => "it is ill-formed".into(),
        _ => "it cannot be read".into(),
    }
}

/// Attribute-value normalisation (XML 1.0 3.3.3) for attributes of type CDATA.
fn attribute_value(raw: &str) -> Option<String> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        match c {
            '<' => return None,
            '&' => {
                let end = rest.find(';')?;
                value.push(resolve_reference(rest.get(1..end)?)?);
                rest = rest.get(end + 1..)?;
                continue;
            }
            '\r' if rest.starts_with("\r\n") => {
                value.push(' ');
                rest = rest.get(2..)?;
                continue;
            }
            '\r' | '\n' | '\t' => value.push(' '),
            c => value.push(c),
        }
        rest = rest.get(c.len_utf8()..)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, XmlError> {
        Document::parse(text.as_bytes(), &Limits::of(10_000))
    }

    #[test]
    fn namespaces_resolve_and_text_is_merged() {
        let document =
            parse("\u{feff}<?xml version=\"1.0\"?>\n<a:r xmlns:a='u1' xmlns='u2' a:x='1'>å&amp;<![CDATA[<b>]]>\r\n<c y='2&#10;3\n4'/></a:r>")
                .unwrap();
        let root = document.root();
        assert!(root.is("u1", "r"));
        assert_eq!(root.attribute_ns("u1", "x"), Some("1"));
        assert_eq!(root.text(), "å&<b>\n");
        let child = root.only("u2", "c").unwrap();
        assert_eq!(child.attribute("y"), Some("2\n3 4"));
        assert_eq!(child.parent(), Some(root));
        assert_eq!(child.resolve("a"), Some("u1"));
    }

    #[test]
    fn attributes_may_end_a_tag_and_hold_quotes() {
        for text in ["<a b='1'/>", "<a b='1'></a>", "<a b='1' />", "<a b='\"' c=\"''\"/>", "<a b = '1'\n\tc='2'/>"] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text).map(|_| ()));
        }
    }

    #[test]
    fn every_form_of_the_declaration_is_read() {
        for text in ["<?xml version='1.0'?>", "<?xml\tversion = \"1.0\" ?>", "<?xml version='1.0' encoding=\"UTF-8\" standalone='no'?>"] {
            assert!(parse(&format!("{text}<a/>")).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_source_range_is_the_elements_own_octets() {
        let text = "<r> <b><c/></b> <d/></r>";
        let document = parse(text).unwrap();
        let sources: Vec<_> = document.elements().map(|e| &text[e.source()]).collect();
        assert_eq!(sources, [text, "<b><c/></b>", "<c/>", "<d/>"]);
    }

    #[test]
    fn a_byte_order_mark_stands_at_the_start_once_and_in_content_as_often_as_it_likes() {
        assert_eq!(parse("\u{feff}<r>\u{feff}\u{feff}</r>").unwrap().root().text(), "\u{feff}\u{feff}");
        assert!(matches!(parse("\u{feff}\u{feff}<r/>"), Err(XmlError::Malformed { at: 0, .. })));
    }

    #[test]
    fn a_dtd_is_refused() {
        assert_eq!(parse("<!DOCTYPE r><r/>").unwrap_err(), XmlError::Dtd);
        assert_eq!(parse("<!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>").unwrap_err(), XmlError::Dtd);
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            " ",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "x<a/>",
            "<a/>x",
            "<a b='1' b='2'/>",
            "<a b=1/>",
            "<a b='1'c='2'/>",
            "<a b=\"1\"c='2'></a>",
            "<a xmlns:p='u'p:b='1'/>",
            "<p:a/>",
            "<a p:b='1'/>",
            "<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>",
            "<a>&nbsp;</a>",
            "<a>&#0;</a>",
            "<a>\u{1}</a>",
            "<a b='<'/>",
            "<a:b:c xmlns:a='u'/>",
            "<a xmlns:p=''/>",
            "<1a/>",
            "<a>]]></a>",
            "<a><!-- -- --></a>",
            "<a/><?xml version='1.0'?>",
            "<a xmlns:xml='u'/>",
            "<a xmlns:xmlns='u'/>",
            "<?xml version='1.1'?><a/>",
            "<a b='&x'/>",
            "<a>&lt</a>",
            "&amp;<a/>",
            "<?xml?><a/>",
            "<??><a/>",
            "<?1?><a/>",
            "<?a:b?><a/>",
            "<?xml encoding='utf-8'?><a/>",
            "<?xml version='1.0' standalone='yes' encoding='utf-8'?><a/>",
            "<?xml version='1.0' standalone='kanske'?><a/>",
            "<?xml version='1.0'encoding='utf-8'?><a/>",
            "<?xml version='1.0' more='x'?><a/>",
        ] {
            assert!(matches!(parse(text), Err(XmlError::Malformed { .. })), "{text}: {:?}", parse(text).map(|_| ()));
        }
        assert_eq!(parse("<?xml version='1.0' encoding='ISO-8859-1'?><a/>").unwrap_err(), XmlError::Encoding);
    }

    #[test]
    fn floods_are_refused() {
        let large = |text: String| assert!(matches!(Document::parse(text.as_bytes(), &Limits::of(10_000_000)), Err(XmlError::TooLarge { .. })));
        large("<a>".repeat(65));
        large(format!("<a {}/>", (0..65).map(|i| format!("b{i}='' ")).collect::<Vec<_>>().concat()));
        large(format!("<a>{}</a>", "<b/>".repeat(100_001)));
        large(format!("<a b='{}'/>", "x".repeat(70_000)));
        assert!(matches!(Document::parse(&[b' '; 11], &Limits::of(10)), Err(XmlError::TooLarge { .. })));
    }
}
