//! Our canonical XML against that of libxml2, on generated documents.

use std::fmt::Write;

use brevbro::xml::{Canonicalization, Comments, Document, Element, Limits};
use libxml::parser::Parser;
use libxml::tree::Node;
use libxml::tree::c14n::{CanonicalizationMode, CanonicalizationOptions};

/// Numbers that only look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const PREFIXES: [&str; 4] = ["", "a", "b", "c"];
// Without & and letters beyond ASCII: libxml2 keeps the first escaped and refuses the others.
const NAMESPACES: [&str; 4] = ["urn:1", "urn:2", "urn:3", "http://x/?a%20b"];
const TEXTS: [&str; 10] = ["", " ", "text", "å\r\nä", "&lt;&amp;&gt;&quot;'\"", "<![CDATA[<x>&]]>", "&#13;&#10;&#9;", "\t\n", "𐍈", "]]&gt;"];
const VALUES: [&str; 7] = ["", "v", "å &amp; &lt; ' &quot;", "a\n\tb\r\nc", "&#13;&#10;&#9;&#32;", ">", "urn:1"];

/// An element with all that canonical XML cares about; `scope` is what its prefixes stand for.
fn element(numbers: &mut Numbers, depth: usize, mut scope: Vec<(&'static str, &'static str)>, out: &mut String) {
    let mut declarations = String::new();
    for prefix in PREFIXES {
        match numbers.below(5) {
            0 => {
                let namespace = numbers.one(&NAMESPACES);
                let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
                write!(declarations, " {name}=\"{namespace}\"").unwrap();
                scope.retain(|(p, _)| *p != prefix);
                scope.push((prefix, namespace));
            }
            1 if prefix.is_empty() => {
                declarations += " xmlns=\"\"";
                scope.retain(|(p, _)| !p.is_empty());
            }
            _ => {}
        }
    }
    let named = |numbers: &mut Numbers, local: &str, attribute: bool| {
        let bound: Vec<&str> = scope.iter().map(|(p, _)| *p).filter(|p| !p.is_empty()).collect();
        if bound.is_empty() || numbers.below(3) == 0 {
            return (String::new(), local.to_owned());
        }
        let prefix = numbers.one(&bound);
        let namespace = scope.iter().find(|(p, _)| *p == prefix).unwrap().1;
        (if attribute { namespace.to_owned() } else { String::new() }, format!("{prefix}:{local}"))
    };
    let local = numbers.one(&["x", "y", "Z"]);
    let (_, name) = named(numbers, local, false);
    let mut attributes: Vec<((String, &str), String)> = Vec::new();
    for local in ["p", "q", "A"] {
        if numbers.below(3) == 0 {
            let (namespace, name) = named(numbers, local, true);
            if !attributes.iter().any(|(key, _)| *key == (namespace.clone(), local)) {
                attributes.push(((namespace, local), format!(" {name}=\"{}\"", numbers.one(&VALUES))));
            }
        }
    }
    for name in ["xml:lang", "xml:space", "xml:id"] {
        if numbers.below(8) == 0 {
            let value = if name == "xml:id" { format!("id{}", out.len()) } else { numbers.one(&["sv", "preserve"]).to_owned() };
            attributes.push(((name.to_owned(), ""), format!(" {name}='{value}'")));
        }
    }
    let attributes: String = attributes.into_iter().map(|(_, text)| text).collect();
    // Declarations may stand behind the attributes that use them.
    let inside = if numbers.below(2) == 0 { attributes + &declarations } else { declarations + &attributes };
    write!(out, "<{name}{inside}").unwrap();
    let children = if depth == 0 { 0 } else { numbers.below(4) };
    if children == 0 && numbers.below(2) == 0 {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for _ in 0..children {
        out.push_str(numbers.one(&TEXTS));
        match numbers.below(6) {
            0 => out.push_str("<!-- c å -->"),
            1 => out.push_str("<?pi  d ?>"),
            2 => out.push_str("<?pi?>"),
            _ => element(numbers, depth - 1, scope.clone(), out),
        }
    }
    write!(out, "</{name}>").unwrap();
}

fn document(seed: u64) -> String {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut out = String::new();
    out.push_str(numbers.one(&["", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<!--before--><?pi x?>\n"]));
    element(&mut numbers, 4, Vec::new(), &mut out);
    out.push_str(numbers.one(&["", "\n", "<!--after-->", "<?pi y?>\n<!--z-->"]));
    out
}

/// All elements below a node, in document order.
fn elements(node: &Node, all: &mut Vec<Node>) {
    all.push(node.clone());
    for child in node.get_child_elements() {
        elements(&child, all);
    }
}

#[test]
fn libxml2_agrees_on_every_element_of_generated_documents() {
    let lists: [&[&str]; 4] = [&[], &["a"], &["#default", "c"], &["b", "a", "c", "zz"]];
    let mut compared = 0;
    for seed in 0..250 {
        let text = document(seed);
        let ours = Document::parse(text.as_bytes(), &Limits::of(1 << 20)).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let theirs = Parser::default().parse_string(&text).unwrap();
        let mut nodes = Vec::new();
        elements(&theirs.get_root_element().unwrap(), &mut nodes);
        let own: Vec<Element<'_>> = ours.elements().collect();
        assert_eq!(own.len(), nodes.len(), "seed {seed}");
        let prefixes = lists[seed as usize % lists.len()].iter().map(|prefix| (*prefix).to_owned()).collect::<Vec<_>>();
        for (form, mode) in [
            (Canonicalization::Inclusive, CanonicalizationMode::Canonical1_0),
            (Canonicalization::Inclusive11, CanonicalizationMode::Canonical1_1),
            (Canonicalization::Exclusive { prefixes: prefixes.clone() }, CanonicalizationMode::ExclusiveCanonical1_0),
        ] {
            for (comments, with_comments) in [(Comments::With, true), (Comments::Without, false)] {
                let options = || CanonicalizationOptions { mode, with_comments, inclusive_ns_prefixes: prefixes.clone() };
                assert_eq!(
                    form.document(&ours, comments, None).unwrap(),
                    theirs.canonicalize(options(), None).unwrap(),
                    "seed {seed}, {form:?}, the document\n{text}"
                );
                for (element, node) in own.iter().zip(&mut nodes) {
                    let expected = node.canonicalize(options()).unwrap();
                    assert_eq!(form.element(*element, comments, None).unwrap(), expected, "seed {seed}, {form:?}, {}\n{text}", element.local());
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 2000, "{compared} comparisons are too few");
}
