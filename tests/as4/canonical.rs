//! Our canonical XML against that of libxml2, on generated documents.
//!
//! `BREVBRO_CANONICAL` is how many documents are compared, element by element; 300 when it is not set.

use std::fmt::Write;

use brevbro::xml::{Canonicalization, Comments, Document, Element, Limits};
use libxml::parser::Parser;
use libxml::tree::Node;
use libxml::tree::c14n::{CanonicalizationMode, CanonicalizationOptions};

/// Numbers that only look random, the same in each run.
struct Numbers {
    state: u64,
    /// Whether `xml:base` may stand: libxml2 judges its values.
    based: bool,
}

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const PREFIXES: [&str; 5] = ["", "a", "b", "c", "_-.x"];
// Names that only look alike, and one of a kilobyte. Without & and letters beyond ASCII: libxml2 keeps the first escaped
// and refuses the others.
const NAMESPACES: [&str; 8] = ["urn:1", "urn:2", "urn:1/", "URN:1", "http://x/?a%20b#c", "http://x/'()", "tag:x,2020:y", LONG];
const LONG: &str =
    "urn:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt:langt";
const TEXTS: [&str; 18] = [
    "",
    " ",
    "text",
    "å\r\nä",
    "\r",
    "\r\r\n\n",
    "&lt;&amp;&gt;&quot;'\"",
    "<![CDATA[<x>&]]>",
    "<![CDATA[]]>",
    "<![CDATA[\r\n]]>]]&gt;<![CDATA[&#13;]]>",
    "&#13;&#10;&#9;",
    "&#xD;\n",
    "\t\n",
    "𐍈&#x10FFFF;&#xE000;",
    "\u{85}\u{2028}\u{a0}\u{feff}",
    "]]&gt;",
    "&#38;lt;",
    "e\u{301}",
];
const VALUES: [&str; 13] = [
    "",
    "v",
    "å &amp; &lt; ' &quot;",
    "a\n\tb\r\nc",
    "\r\r\n",
    "&#13;&#10;&#9;&#32;",
    "&#xD;\n",
    ">",
    "urn:1",
    "  v  w  ",
    "&#38;amp;&#60;",
    "\u{85}\u{2028}\u{a0}",
    "𐍈&#x10FFFF;",
];

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
    for name in ["xml:lang", "xml:space", "xml:id", "xml:base", "xml:other"] {
        if numbers.below(8) == 0 {
            if name == "xml:base" && !numbers.based {
                continue;
            }
            // Not empty: libxml2 leaves an empty one out, where C14N 1.1 2.4 leaves out only what joining makes empty.
            let value = if name == "xml:base" {
                numbers.one(&["sv", "http://x/y"]).to_owned()
            } else if name == "xml:id" {
                format!("id{}", out.len())
            } else {
                numbers.one(&["sv", "preserve", "", " å\n"]).to_owned()
            };
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
            0 => out.push_str(numbers.one(&["<!-- c å -->", "<!---->", "<!--\r\n&amp;<x>-->"])),
            1 => out.push_str(numbers.one(&["<?pi  d ?>", "<?pi \u{a0}d\r\n?>", "<?pi a?b&amp;?>"])),
            2 => out.push_str("<?pi?>"),
            _ => element(numbers, depth - 1, scope.clone(), out),
        }
    }
    write!(out, "</{name}>").unwrap();
}

fn document(seed: u64) -> String {
    let mut numbers = Numbers { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, based: seed.is_multiple_of(4) };
    let mut out = String::new();
    out.push_str(numbers.one(&["", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<!--before--><?pi x?>\n", "<?pi?>\r\n<!--\r\n--><!---->"]));
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

/// Our form and libxml2's name for it.
type Form = (Canonicalization, CanonicalizationMode);

fn forms(seed: u64) -> (Vec<String>, [Form; 3]) {
    let lists: [&[&str]; 6] = [&[], &["a"], &["#default", "c"], &["b", "a", "c", "zz"], &["a", "a", "_-.x"], &["#default"]];
    let prefixes: Vec<String> = lists[seed as usize % lists.len()].iter().map(|prefix| (*prefix).to_owned()).collect();
    let forms = [
        (Canonicalization::Inclusive, CanonicalizationMode::Canonical1_0),
        (Canonicalization::Inclusive11, CanonicalizationMode::Canonical1_1),
        (Canonicalization::Exclusive { prefixes: prefixes.clone() }, CanonicalizationMode::ExclusiveCanonical1_0),
    ];
    (prefixes, forms)
}

/// Whether C14N 1.1 would have to join bases for this element, which is refused here.
fn inherits_a_base(element: Element<'_>) -> bool {
    let mut above = element.parent();
    while let Some(ancestor) = above {
        if ancestor.attributes().iter().any(|attribute| attribute.prefix == "xml" && attribute.local == "base") {
            return true;
        }
        above = ancestor.parent();
    }
    false
}

#[test]
fn libxml2_agrees_on_every_element_of_generated_documents() {
    let documents = std::env::var("BREVBRO_CANONICAL").map_or(300, |text| text.parse().unwrap());
    let (mut compared, mut refused) = (0, 0);
    for seed in 0..documents {
        let text = document(seed);
        let ours = Document::parse(text.as_bytes(), &Limits::of(1 << 20)).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let theirs = Parser::default().parse_string(&text).unwrap();
        let mut nodes = Vec::new();
        elements(&theirs.get_root_element().unwrap(), &mut nodes);
        let own: Vec<Element<'_>> = ours.elements().collect();
        assert_eq!(own.len(), nodes.len(), "seed {seed}");
        let (prefixes, forms) = forms(seed);
        // What an enveloped signature leaves out: one element and all in it.
        let left_out = own.get(1 + seed as usize % own.len());
        let without = Parser::default().parse_string(&text).unwrap();
        if left_out.is_some() {
            let mut nodes = Vec::new();
            elements(&without.get_root_element().unwrap(), &mut nodes);
            nodes[1 + seed as usize % own.len()].unlink_node();
        }
        for (form, mode) in forms {
            for (comments, with_comments) in [(Comments::With, true), (Comments::Without, false)] {
                let options = || CanonicalizationOptions { mode, with_comments, inclusive_ns_prefixes: prefixes.clone() };
                let whole = |left_out| form.document(&ours, comments, left_out).unwrap();
                assert_eq!(whole(None), theirs.canonicalize(options(), None).unwrap(), "seed {seed}, {form:?}, the document\n{text}");
                let rest = without.canonicalize(options(), None).unwrap();
                assert_eq!(whole(left_out.copied()), rest, "seed {seed}, {form:?}, the document without {left_out:?}\n{text}");
                compared += 2;
                for (element, node) in own.iter().zip(&mut nodes) {
                    let form_of = form.element(*element, comments, None);
                    if form == Canonicalization::Inclusive11 && inherits_a_base(*element) {
                        assert!(form_of.is_err(), "seed {seed}: joined bases\n{text}");
                        refused += 1;
                        continue;
                    }
                    let expected = node.canonicalize(options()).unwrap();
                    assert_eq!(form_of.unwrap(), expected, "seed {seed}, {form:?}, {}\n{text}", element.local());
                    compared += 1;
                }
            }
        }
    }
    println!("{documents} documents, {compared} comparisons agree, {refused} refused for xml:base in C14N 1.1");
    assert!(compared > 5000 && refused > 20, "{compared} comparisons, {refused} refused");
}
