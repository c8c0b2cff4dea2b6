//! Canonical XML: the octets that an XML signature is computed over.
//!
//! Inclusive C14N 1.0 and 1.1 and exclusive C14N 1.0 of an element with everything in it, seen where it stands, so
//! that its ancestors' namespaces (and, inclusively, their `xml:` attributes) count. Arbitrary node sets are not
//! supported: no signature that we write or accept needs one.

use super::tree::{Attribute, Document, Element, NodeRef, XML_NS};
use super::write::escape;

/// A canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canonicalization {
    /// `http://www.w3.org/TR/2001/REC-xml-c14n-20010315`.
    Inclusive,
    /// `http://www.w3.org/2006/12/xml-c14n11`, as long as no `xml:base` would have to be joined.
    Inclusive11,
    /// `http://www.w3.org/2001/10/xml-exc-c14n#`.
    Exclusive {
        /// The PrefixList of InclusiveNamespaces; `#default` is the default namespace.
        prefixes: Vec<String>,
    },
}

/// Whether comments are part of the canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// They are left out.
    Without,
    /// They are kept.
    With,
}

/// Why there is no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// C14N 1.1 2.4 would have to join `xml:base` attributes of ancestors.
    #[error("xml:base above a part that is canonicalised by C14N 1.1 is not supported")]
    Base,
}

impl Canonicalization {
    /// Exclusive canonicalisation without InclusiveNamespaces.
    #[must_use]
    pub const fn exclusive() -> Self {
        Self::Exclusive { prefixes: Vec::new() }
    }

    /// The form of an `Algorithm` URI, and whether it keeps comments. A PrefixList is added by the caller.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<(Self, Comments)> {
        Some(match uri {
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315" => (Self::Inclusive, Comments::Without),
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments" => (Self::Inclusive, Comments::With),
            "http://www.w3.org/2006/12/xml-c14n11" => (Self::Inclusive11, Comments::Without),
            "http://www.w3.org/2006/12/xml-c14n11#WithComments" => (Self::Inclusive11, Comments::With),
            "http://www.w3.org/2001/10/xml-exc-c14n#" => (Self::exclusive(), Comments::Without),
            "http://www.w3.org/2001/10/xml-exc-c14n#WithComments" => (Self::exclusive(), Comments::With),
            _ => return None,
        })
    }

    /// The canonical form of an element; `without` is one element below it that is left out with all it holds, as the
    /// enveloped-signature transform asks.
    ///
    /// # Errors
    /// [`CanonicalError`].
    pub fn element(&self, element: Element<'_>, comments: Comments, without: Option<Element<'_>>) -> Result<String, CanonicalError> {
        let mut walk = Walk { form: self, comments, without, out: String::new(), rendered: Vec::new() };
        walk.element(element, true)?;
        Ok(walk.out)
    }

    /// The canonical form of a whole document: the root with the comments and instructions beside it.
    ///
    /// # Errors
    /// [`CanonicalError`].
    pub fn document(&self, document: &Document, comments: Comments, without: Option<Element<'_>>) -> Result<String, CanonicalError> {
        let mut walk = Walk { form: self, comments, without, out: String::new(), rendered: Vec::new() };
        let mut after_root = false;
        for node in document.top() {
            let before = walk.out.len();
            if let NodeRef::Element(root) = node {
                walk.element(root, true)?;
                after_root = true;
                continue;
            }
            walk.node(node)?;
            if walk.out.len() > before {
                // C14N 1.0 2.3: one line feed between the root and what stands beside it.
                if after_root { walk.out.insert(before, '\n') } else { walk.out.push('\n') }
            }
        }
        Ok(walk.out)
    }
}

struct Walk<'w> {
    form: &'w Canonicalization,
    comments: Comments,
    without: Option<Element<'w>>,
    out: String,
    /// The namespaces that the output has in scope, innermost last: prefix and namespace.
    rendered: Vec<(String, String)>,
}

impl Walk<'_> {
    fn node(&mut self, node: NodeRef<'_>) -> Result<(), CanonicalError> {
        match node {
            NodeRef::Element(element) => return self.element(element, false),
            NodeRef::Text(text) => escape(&mut self.out, text, false),
            NodeRef::Comment(text) if self.comments == Comments::With => {
                self.out.push_str("<!--");
                self.out.push_str(text);
                self.out.push_str("-->");
            }
            NodeRef::Comment(_) => {}
            NodeRef::Instruction { target, data } => {
                self.out.push_str("<?");
                self.out.push_str(target);
                if !data.is_empty() {
                    self.out.push(' ');
                    self.out.push_str(data);
                }
                self.out.push_str("?>");
            }
        }
        Ok(())
    }

    fn element(&mut self, element: Element<'_>, apex: bool) -> Result<(), CanonicalError> {
        if self.without == Some(element) {
            return Ok(());
        }
        let scope = self.rendered.len();
        self.out.push('<');
        self.name(element.prefix(), element.local());
        self.namespaces(element, apex);
        self.attributes(element, apex)?;
        self.out.push('>');
        for child in element.children() {
            self.node(child)?;
        }
        self.out.push_str("</");
        self.name(element.prefix(), element.local());
        self.out.push('>');
        self.rendered.truncate(scope);
        Ok(())
    }

    fn name(&mut self, prefix: &str, local: &str) {
        if !prefix.is_empty() {
            self.out.push_str(prefix);
            self.out.push(':');
        }
        self.out.push_str(local);
    }

    fn namespaces(&mut self, element: Element<'_>, apex: bool) {
        let mut wanted: Vec<(&str, &str)> = Vec::new();
        let mut want = |prefix, namespace| {
            if prefix != "xml" && !wanted.iter().any(|(p, _)| *p == prefix) {
                wanted.push((prefix, namespace));
            }
        };
        match self.form {
            Canonicalization::Exclusive { prefixes } => {
                // Exclusive C14N 3: what the element and its attributes visibly use, and the PrefixList.
                want(element.prefix(), element.namespace());
                for attribute in element.attributes().iter().filter(|a| !a.prefix.is_empty()) {
                    want(&attribute.prefix, &attribute.namespace);
                }
                // Below the apex a listed prefix changes only where it is declared.
                for prefix in prefixes.iter().filter(|_| apex) {
                    let prefix = if prefix == "#default" { "" } else { prefix.as_str() };
                    if let Some(namespace) = element.resolve(prefix) {
                        want(prefix, namespace);
                    }
                }
                for (prefix, namespace) in element.declarations() {
                    if prefixes.iter().any(|listed| listed == prefix || (listed == "#default" && prefix.is_empty())) {
                        want(prefix, namespace);
                    }
                }
            }
            Canonicalization::Inclusive | Canonicalization::Inclusive11 => {
                let mut at = Some(element);
                while let Some(declaring) = at {
                    for (prefix, namespace) in declaring.declarations() {
                        want(prefix, namespace);
                    }
                    at = if apex { declaring.parent() } else { None };
                }
            }
        }
        wanted.retain(|(prefix, namespace)| {
            let current = self.rendered.iter().rev().find(|(p, _)| p == prefix).map(|(_, n)| n.as_str());
            // xmlns="" is written only where it takes a default namespace of the output away.
            current.unwrap_or_default() != *namespace
        });
        wanted.sort_unstable();
        for (prefix, namespace) in wanted {
            self.out.push_str(" xmlns");
            if !prefix.is_empty() {
                self.out.push(':');
                self.out.push_str(prefix);
            }
            self.out.push_str("=\"");
            escape(&mut self.out, namespace, true);
            self.out.push('"');
            self.rendered.push((prefix.to_owned(), namespace.to_owned()));
        }
    }

    fn attributes(&mut self, element: Element<'_>, apex: bool) -> Result<(), CanonicalError> {
        let mut attributes: Vec<&Attribute> = element.attributes().iter().collect();
        if apex && !matches!(self.form, Canonicalization::Exclusive { .. }) {
            let mut at = element.parent();
            while let Some(ancestor) = at {
                for attribute in ancestor.attributes().iter().filter(|a| a.namespace == XML_NS) {
                    if *self.form == Canonicalization::Inclusive11 {
                        match attribute.local.as_str() {
                            "lang" | "space" => {}
                            "base" => return Err(CanonicalError::Base),
                            _ => continue,
                        }
                    }
                    if !attributes.iter().any(|a| a.namespace == XML_NS && a.local == attribute.local) {
                        attributes.push(attribute);
                    }
                }
                at = ancestor.parent();
            }
        }
        attributes.sort_unstable_by(|a, b| (&a.namespace, &a.local).cmp(&(&b.namespace, &b.local)));
        for attribute in attributes {
            self.out.push(' ');
            self.name(&attribute.prefix, &attribute.local);
            self.out.push_str("=\"");
            escape(&mut self.out, &attribute.value, true);
            self.out.push('"');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Limits;

    fn parse(text: &str) -> Document {
        Document::parse(text.as_bytes(), &Limits::of(100_000)).unwrap()
    }

    #[test]
    fn an_element_brings_its_ancestors_namespaces_along_only_inclusively() {
        let document = parse("<r xmlns='u' xmlns:a='ua' xmlns:b='ub' xml:lang='sv' xml:id='i'><a:c b:x='1'><d/></a:c></r>");
        let element = document.root().elements().next().unwrap();
        let form = |form: Canonicalization| form.element(element, Comments::Without, None).unwrap();
        assert_eq!(form(Canonicalization::Inclusive), r#"<a:c xmlns="u" xmlns:a="ua" xmlns:b="ub" xml:id="i" xml:lang="sv" b:x="1"><d></d></a:c>"#);
        assert_eq!(form(Canonicalization::Inclusive11), r#"<a:c xmlns="u" xmlns:a="ua" xmlns:b="ub" xml:lang="sv" b:x="1"><d></d></a:c>"#);
        assert_eq!(form(Canonicalization::exclusive()), r#"<a:c xmlns:a="ua" xmlns:b="ub" b:x="1"><d xmlns="u"></d></a:c>"#);
        assert_eq!(
            form(Canonicalization::Exclusive { prefixes: vec!["#default".into(), "none".into()] }),
            r#"<a:c xmlns="u" xmlns:a="ua" xmlns:b="ub" b:x="1"><d></d></a:c>"#
        );
    }

    #[test]
    fn an_element_that_is_left_out_takes_its_children_along() {
        let document = parse("<r><s><t/></s> <u/></r>");
        let without = document.root().elements().next();
        assert_eq!(Canonicalization::Inclusive.element(document.root(), Comments::Without, without).unwrap(), "<r> <u></u></r>");
    }

    #[test]
    fn joining_xml_base_is_refused_in_1_1() {
        let document = parse("<r xml:base='http://x/'><s/></r>");
        let element = document.root().elements().next().unwrap();
        assert_eq!(Canonicalization::Inclusive11.element(element, Comments::Without, None), Err(CanonicalError::Base));
        assert!(Canonicalization::Inclusive11.element(document.root(), Comments::Without, None).is_ok());
    }
}
