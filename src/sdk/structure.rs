//! What an XML Schema says about an element's children, checked so that every fault is found, not the first.

use super::rules::{MAX_BREACHES, Violation};
use crate::xml::{Attribute, Element, NodeRef, trim};

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// The namespace of the types that XML Schema has by itself.
pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema";

/// What the schema calls an element's type: all that an `xsi:type` may say. (Schema validators let it name a narrower
/// type too. There is none in these schemas, and for those that XML Schema has, `token` for `string`, nobody has a use.)
#[derive(Clone, Copy)]
pub(super) struct Type(Option<(&'static str, &'static str)>);

impl Type {
    /// A type without a name, or one in a document where `xsi:type` has no place.
    pub(super) const NAMELESS: Self = Self(None);

    /// A type by its name.
    pub(super) const fn of(namespace: &'static str, name: &'static str) -> Self {
        Self(Some((namespace, name)))
    }

    fn is(self, element: Element<'_>, value: &str) -> bool {
        let value = trim(value);
        let (prefix, local) = value.split_once(':').unwrap_or(("", value));
        self.0.is_some_and(|(namespace, name)| local == name && element.resolve(prefix) == Some(namespace))
    }
}

/// One child element that a sequence may have at its place.
pub(super) struct Child {
    namespace: &'static str,
    name: &'static str,
    min: usize,
    max: usize,
}

/// Exactly one.
pub(super) const fn one(namespace: &'static str, name: &'static str) -> Child {
    Child { namespace, name, min: 1, max: 1 }
}

/// None or one.
pub(super) const fn optional(namespace: &'static str, name: &'static str) -> Child {
    Child { namespace, name, min: 0, max: 1 }
}

/// As many as there are, but at least `min`.
pub(super) const fn many(namespace: &'static str, name: &'static str, min: usize) -> Child {
    Child { namespace, name, min, max: usize::MAX }
}

/// One thing that is not as the sequence says.
pub(super) enum Fault<'a> {
    /// A child of this name is missing.
    Missing(&'static str),
    /// One more than may be.
    TooMany(Element<'a>),
    /// It does not belong here at all.
    Unexpected(Element<'a>),
    /// It belongs here, but earlier.
    Misplaced(Element<'a>),
    /// Character data where only elements may be.
    Text,
    /// An attribute that does not belong here.
    Attribute,
}

/// Compares an element's children and attributes with a sequence. `open` lets elements of other namespaces than the
/// sequence's follow it (`xs:any namespace="##other"`); they are handed to `foreign`.
pub(super) fn sequence<'a>(parent: Element<'a>, kind: Type, model: &[Child], open: bool, foreign: &mut dyn FnMut(Element<'a>)) -> Vec<Fault<'a>> {
    let mut faults = attributes(parent, kind, &[]);
    let mut counts = vec![0_usize; model.len()];
    let (mut reached, mut closed) = (0, false);
    for node in parent.children() {
        match node {
            NodeRef::Element(child) => {
                let found = model.iter().zip(&mut counts).enumerate().find(|(_, (m, _))| child.is(m.namespace, m.name));
                let Some((at, (expected, count))) = found else {
                    let other = !child.namespace().is_empty() && model.iter().all(|m| m.namespace != child.namespace());
                    if open && other {
                        closed = true;
                        foreign(child);
                    } else {
                        faults.push(Fault::Unexpected(child));
                    }
                    continue;
                };
                *count += 1;
                if *count > expected.max {
                    faults.push(Fault::TooMany(child));
                } else if at < reached || closed {
                    faults.push(Fault::Misplaced(child));
                }
                reached = reached.max(at);
            }
            NodeRef::Text(text) if !is_blank(text) => faults.push(Fault::Text),
            _ => {}
        }
    }
    let missing = model.iter().zip(&counts).filter(|(m, count)| **count < m.min).map(|(m, _)| Fault::Missing(m.name));
    faults.extend(missing);
    faults
}

/// An element that holds only text and, besides `xsi:`, only these attributes.
pub(super) fn leaf<'a>(element: Element<'a>, kind: Type, allowed: &[&str]) -> Vec<Fault<'a>> {
    let mut faults = attributes(element, kind, allowed);
    faults.extend(element.elements().map(Fault::Unexpected));
    faults
}

/// What is no attribute of the element. `xsi:nil` never is one: nothing in these schemas can be nil.
pub(super) fn attributes<'a>(element: Element<'a>, kind: Type, allowed: &[&str]) -> Vec<Fault<'a>> {
    let fine = |a: &Attribute| match a.namespace.as_str() {
        XSI => match a.local.as_str() {
            "schemaLocation" | "noNamespaceSchemaLocation" => true,
            "type" => kind.is(element, &a.value),
            _ => false,
        },
        namespace => namespace.is_empty() && allowed.contains(&a.local.as_str()),
    };
    element.attributes().iter().filter(|a| !fine(a)).map(|_| Fault::Attribute).collect()
}

/// Whether there is nothing but XML's white space; a no-break space is content.
pub(super) fn is_blank(text: &str) -> bool {
    trim(text).is_empty()
}

/// Whether an element and everything in it has no text.
pub(super) fn is_empty(element: Element<'_>) -> bool {
    element.children().all(|child| match child {
        NodeRef::Text(text) => is_blank(text),
        NodeRef::Element(child) => is_empty(child),
        _ => true,
    })
}

/// The element's place, `/root/child[2]/leaf`: local names, a number where there are several of a name.
///
/// Names are cut, so that what a peer calls its elements cannot swell a receipt or a log line.
pub(super) fn xpath(element: Element<'_>) -> String {
    let mut steps = Vec::new();
    let mut at = Some(element);
    while let Some(element) = at {
        let same = |e: &Element<'_>| e.is(element.namespace(), element.local());
        let name: String = element.local().chars().take(64).collect();
        let siblings = element.parent().map_or(0, |parent| parent.elements().filter(same).count());
        let before = element.parent().map_or(0, |parent| parent.elements().filter(same).take_while(|e| *e != element).count());
        let step = if siblings > 1 { format!("{name}[{}]", before + 1) } else { name };
        steps.push(step);
        at = element.parent();
    }
    steps.iter().rev().fold(String::new(), |path, step| path + "/" + step)
}

/// The rules of a profile that a document breaks, collected while it is read.
pub(super) struct Violations {
    list: Vec<Violation>,
    rules: Rules,
}

/// What a profile calls the rules about its elements.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// How often an element may stand.
    pub(super) cardinality: &'static str,
    /// Elements and attributes that are not in the profile.
    pub(super) foreign: &'static str,
    /// Elements and attributes that are there and empty.
    pub(super) empty: &'static str,
}

impl Violations {
    pub(super) fn new(rules: Rules) -> Self {
        Self { list: Vec::new(), rules }
    }

    pub(super) fn note(&mut self, rule: &str, at: Element<'_>, reason: &str) {
        if self.list.len() < MAX_BREACHES {
            self.list.push(Violation { rule: rule.into(), line: xpath(at), reason: reason.into() });
        }
    }

    pub(super) fn faults(&mut self, parent: Element<'_>, faults: Vec<Fault<'_>>) {
        let Rules { cardinality, foreign, .. } = self.rules;
        for fault in faults {
            match fault {
                Fault::Missing(name) => self.note(cardinality, parent, &format!("{name} is missing")),
                Fault::TooMany(child) => self.note(cardinality, child, "it is repeated"),
                Fault::Unexpected(child) => self.note(foreign, child, "it is not in the profile"),
                Fault::Misplaced(child) => self.note("XSD", child, "it is out of order"),
                Fault::Text => self.note("XSD", parent, "it holds text beside its elements"),
                Fault::Attribute => self.note(foreign, parent, "it has an attribute that is not in the profile"),
            }
        }
    }

    pub(super) fn sequence(&mut self, parent: Element<'_>, model: &[Child]) {
        let faults = sequence(parent, Type::NAMELESS, model, false, &mut |_| {});
        self.faults(parent, faults);
        // SDK C3.2.2 2.4, SDK C3.2.4 3.3: empty is what has neither text nor elements.
        if parent.elements().next().is_none() && is_empty(parent) {
            self.note(self.rules.empty, parent, "it is empty");
        }
    }

    /// The trimmed text of an element that holds only text; `None` when it is empty, which is noted.
    pub(super) fn text(&mut self, element: Element<'_>, attributes: &[&str]) -> Option<String> {
        let faults = leaf(element, Type::NAMELESS, attributes);
        self.faults(element, faults);
        for attribute in element.attributes().iter().filter(|a| is_blank(&a.value)) {
            let name: String = attribute.local.chars().take(64).collect();
            self.note(self.rules.empty, element, &format!("its attribute {name} is empty"));
        }
        let text = element.trimmed();
        if text.is_empty() {
            self.note(self.rules.empty, element, "it is empty");
            return None;
        }
        Some(text)
    }

    /// What was read, when no rule was broken; otherwise at least one violation.
    pub(super) fn verdict<T>(mut self, read: Option<T>) -> Result<T, Vec<Violation>> {
        match read {
            Some(read) if self.list.is_empty() => Ok(read),
            _ => {
                if self.list.is_empty() {
                    self.list.push(Violation { rule: "XSD".into(), line: "/".into(), reason: "it cannot be read".into() });
                }
                Err(self.list)
            }
        }
    }
}
