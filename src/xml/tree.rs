//! A read-only tree of one XML document, with namespaces resolved and everything that canonical XML needs kept; `read` makes it.
//!
//! Nodes live in one vector in document order; an [`Element`] is a borrowed handle. Text is kept with line ends
//! normalised and references resolved, as XML 1.0 2.11 and 4.6 ask; comments and processing instructions are kept
//! because C14N and the rules about them need them; the XML declaration is dropped.

use std::ops::Range;

use super::chars::trim;

/// The namespace of `xml:lang`, `xml:id` and `xml:space`.
pub const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";

/// Bounds on a document, against floods. What is over them is [`XmlError::TooLarge`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Octets of the whole document.
    pub octets: usize,
    /// Nesting of elements.
    pub depth: usize,
    /// Elements, comments, processing instructions and texts together.
    pub nodes: usize,
    /// Attributes and namespace declarations of one element.
    pub attributes: usize,
    /// Attributes and namespace declarations of the whole document.
    pub all_attributes: usize,
    /// Octets of one name or attribute value.
    pub value: usize,
}

impl Limits {
    /// Bounds for a document of at most so many octets.
    #[must_use]
    pub const fn of(octets: usize) -> Self {
        Self { octets, depth: 64, nodes: 100_000, attributes: 64, all_attributes: 50_000, value: 64 * 1024 }
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// It is not well-formed, or its namespaces are not.
    #[error("XML is not well-formed at octet {at}: {reason}")]
    Malformed {
        /// Octets from the start.
        at: u64,
        /// What is wrong; never content.
        reason: String,
    },
    /// It has a document type declaration.
    #[error("XML has a document type declaration, which is refused")]
    Dtd,
    /// It is in another encoding than UTF-8.
    #[error("XML is not in UTF-8")]
    Encoding,
    /// It is over one of the [`Limits`].
    #[error("XML is over the limit of {limit} {what}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

#[derive(Debug)]
pub(super) enum Kind {
    Element(ElementData),
    Text(String),
    Comment(String),
    Instruction { target: String, data: String },
}

#[derive(Debug)]
pub(super) struct ElementData {
    pub(super) prefix: String,
    pub(super) local: String,
    pub(super) namespace: String,
    pub(super) attributes: Vec<Attribute>,
    /// `(prefix, namespace)` as declared on this element, in document order; the default namespace has prefix "".
    pub(super) declarations: Vec<(String, String)>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) parent: Option<u32>,
    /// One past the last descendant.
    pub(super) end: u32,
    /// Octets of the source that the node takes, tags included.
    pub(super) source: Range<usize>,
}

/// An attribute, namespace declarations apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The prefix as written; "" for none.
    pub prefix: String,
    /// The local name.
    pub local: String,
    /// The namespace; "" for none.
    pub namespace: String,
    /// The value, normalised.
    pub value: String,
}

/// A document that was read.
#[derive(Debug)]
pub struct Document {
    pub(super) nodes: Vec<Node>,
    pub(super) root: u32,
}

/// A node among an element's children or a document's top level.
#[derive(Debug, Clone, Copy)]
pub enum NodeRef<'a> {
    /// An element.
    Element(Element<'a>),
    /// Character data, CDATA sections included; neighbours are merged.
    Text(&'a str),
    /// A comment's text.
    Comment(&'a str),
    /// A processing instruction.
    Instruction {
        /// Its name.
        target: &'a str,
        /// The rest.
        data: &'a str,
    },
}

/// A handle to one element.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    document: &'a Document,
    index: u32,
}

impl PartialEq for Element<'_> {
    /// The same element of the same document.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.document, other.document) && self.index == other.index
    }
}

impl Eq for Element<'_> {}

impl Document {
    /// The root element.
    #[must_use]
    pub fn root(&self) -> Element<'_> {
        Element { document: self, index: self.root }
    }

    /// The nodes beside the root, and the root, in order.
    pub fn top(&self) -> impl Iterator<Item = NodeRef<'_>> {
        Children { document: self, next: 0, end: self.nodes.len() as u32 }
    }

    /// All elements in document order.
    pub fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        (0..self.nodes.len() as u32).filter_map(|index| self.element(index))
    }

    /// Whether an octet of the source (after a byte order mark) stands in or at the end of text, or beside the root element
    /// and in nothing else, where only white space may be.
    pub(super) fn is_text_at(&self, at: usize) -> bool {
        let mut texts = self.nodes.iter().filter(|node| matches!(node.kind, Kind::Text(_)));
        let in_text = texts.any(|node| node.source.start <= at && at <= node.source.end);
        in_text || !self.nodes.iter().any(|node| node.source.start < at && at < node.source.end)
    }

    fn element(&self, index: u32) -> Option<Element<'_>> {
        match self.nodes.get(index as usize)?.kind {
            Kind::Element(_) => Some(Element { document: self, index }),
            _ => None,
        }
    }
}

struct Children<'a> {
    document: &'a Document,
    next: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = NodeRef<'a>;
    fn next(&mut self) -> Option<NodeRef<'a>> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        let node = self.document.nodes.get(index as usize)?;
        self.next = node.end;
        Some(match &node.kind {
            Kind::Element(_) => NodeRef::Element(Element { document: self.document, index }),
            Kind::Text(text) => NodeRef::Text(text),
            Kind::Comment(text) => NodeRef::Comment(text),
            Kind::Instruction { target, data } => NodeRef::Instruction { target, data },
        })
    }
}

impl<'a> Element<'a> {
    fn node(&self) -> &'a Node {
        #[expect(clippy::indexing_slicing, reason = "a handle is made only for an index of its own document")]
        &self.document.nodes[self.index as usize]
    }

    fn data(&self) -> &'a ElementData {
        match &self.node().kind {
            Kind::Element(data) => data,
            _ => unreachable!("a handle is made only for elements"),
        }
    }

    /// The local name.
    #[must_use]
    pub fn local(&self) -> &'a str {
        &self.data().local
    }

    /// The prefix as written; "" for none.
    #[must_use]
    pub fn prefix(&self) -> &'a str {
        &self.data().prefix
    }

    /// The namespace; "" for none.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        &self.data().namespace
    }

    /// Whether this is `{namespace}local`.
    #[must_use]
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.data().local == local && self.data().namespace == namespace
    }

    /// The attributes, namespace declarations apart, in document order.
    #[must_use]
    pub fn attributes(&self) -> &'a [Attribute] {
        &self.data().attributes
    }

    /// The namespace declarations written on this element: prefix ("" for the default) and namespace.
    #[must_use]
    pub fn declarations(&self) -> &'a [(String, String)] {
        &self.data().declarations
    }

    /// The value of an attribute without namespace.
    #[must_use]
    pub fn attribute(&self, local: &str) -> Option<&'a str> {
        self.attribute_ns("", local)
    }

    /// The value of an attribute in a namespace.
    #[must_use]
    pub fn attribute_ns(&self, namespace: &str, local: &str) -> Option<&'a str> {
        self.attributes().iter().find(|a| a.local == local && a.namespace == namespace).map(|a| a.value.as_str())
    }

    /// The element around this one.
    #[must_use]
    pub fn parent(&self) -> Option<Element<'a>> {
        self.document.element(self.node().parent?)
    }

    /// All children.
    pub fn children(&self) -> impl Iterator<Item = NodeRef<'a>> + use<'a> {
        Children { document: self.document, next: self.index + 1, end: self.node().end }
    }

    /// The children that are elements.
    pub fn elements(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        self.children().filter_map(|child| match child {
            NodeRef::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The element children of one name.
    pub fn named(&self, namespace: &'a str, local: &'a str) -> impl Iterator<Item = Element<'a>> + use<'a> {
        self.elements().filter(move |e| e.is(namespace, local))
    }

    /// The first element child of one name.
    #[must_use]
    pub fn child(&self, namespace: &str, local: &str) -> Option<Element<'a>> {
        self.elements().find(|e| e.is(namespace, local))
    }

    /// The only element child of one name: `None` when there is none or more than one.
    #[must_use]
    pub fn only(&self, namespace: &str, local: &str) -> Option<Element<'a>> {
        let mut all = self.elements().filter(|e| e.is(namespace, local));
        let first = all.next()?;
        all.next().is_none().then_some(first)
    }

    /// This element and all elements below it, in document order.
    pub fn descendants(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let document = self.document;
        (self.index..self.node().end).filter_map(move |index| document.element(index))
    }

    /// The text directly inside, child elements left out.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts = self.children().filter_map(|child| match child {
            NodeRef::Text(text) => Some(text),
            _ => None,
        });
        let mut text = parts.next().unwrap_or_default().to_owned();
        parts.for_each(|part| text.push_str(part));
        text
    }

    /// The text directly inside without white space at its ends.
    #[must_use]
    pub fn trimmed(&self) -> String {
        let text = self.text();
        let trimmed = trim(&text);
        if trimmed.len() == text.len() { text } else { trimmed.to_owned() }
    }

    /// The octets that the element takes in the source it was read from (after a byte order mark).
    #[must_use]
    pub fn source(&self) -> Range<usize> {
        self.node().source.clone()
    }

    /// The namespace that a prefix stands for here ("" asks for the default); `None` when undeclared.
    #[must_use]
    pub fn resolve(&self, prefix: &str) -> Option<&'a str> {
        if prefix == "xml" {
            return Some(XML_NS);
        }
        let mut at = Some(*self);
        while let Some(element) = at {
            if let Some((_, namespace)) = element.declarations().iter().find(|(p, _)| p == prefix) {
                return Some(namespace);
            }
            at = element.parent();
        }
        prefix.is_empty().then_some("")
    }
}
