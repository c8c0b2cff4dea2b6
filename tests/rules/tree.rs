//! A tree of XML that can be changed in every way that XML can be wrong, and the changes.

use std::fmt::Write;

use brevbro::xml::{Document, Element, Limits, NodeRef};

/// Numbers that only look random, the same in each run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    pub(crate) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A node as it will be written.
#[derive(Clone)]
enum Node {
    Tag(Tag),
    Text(String),
    /// Markup as it is.
    Raw(String),
}

/// An element, namespace declarations among its attributes.
#[derive(Clone)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Node>,
}

/// A document to be changed.
#[derive(Clone)]
pub(crate) struct Tree {
    root: Tag,
}

impl Tree {
    /// Takes a sound document apart.
    pub(crate) fn of(xml: &[u8]) -> Self {
        let document = Document::parse(xml, &Limits::of(1 << 22)).unwrap();
        Self { root: tag(document.root()) }
    }

    pub(crate) fn write(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.root.write(&mut out);
        out
    }

    /// Changes one thing.
    pub(crate) fn mutate(&mut self, numbers: &mut Numbers) {
        let places = self.places();
        let place = &places[numbers.below(places.len())];
        let other = &places[numbers.below(places.len())];
        match numbers.below(24) {
            0 | 1 => drop(self.take(place)),
            2 => {
                if let Some((index, parent)) = place.split_last() {
                    let copy = self.at(place).clone();
                    self.at(parent).children.insert(*index, Node::Tag(copy));
                }
            }
            3 => {
                let copy = self.at(place).clone();
                if copy.weight() < 400 {
                    let into = self.at(other);
                    let at = numbers.below(into.children.len() + 1);
                    into.children.insert(at, Node::Tag(copy));
                }
            }
            4 => {
                if let Some((index, parent)) = place.split_last() {
                    let siblings = &mut self.at(parent).children;
                    let with = numbers.below(siblings.len());
                    siblings.swap(*index, with);
                }
            }
            5 | 6 => {
                let names = self.names();
                let target = self.at(place);
                let prefix = target.name.split_once(':').map_or(String::new(), |(prefix, _)| format!("{prefix}:"));
                target.name = match numbers.below(4) {
                    0 => format!("{prefix}okand"),
                    1 => target.name.to_uppercase(),
                    2 => format!("{prefix}{}", numbers.one(&["label", "ID", "attention", "documents", "Status"])),
                    _ => names[numbers.below(names.len())].clone(),
                };
                self.declare();
            }
            7 => {
                let namespace = numbers.one(&NAMESPACES);
                let target = self.at(place);
                let local = target.name.rsplit(':').next().unwrap().to_owned();
                if numbers.below(2) == 0 || namespace.is_empty() {
                    target.name = local;
                    target.set("xmlns", namespace);
                } else {
                    target.name = format!("w:{local}");
                    target.set("xmlns:w", namespace);
                }
                self.declare();
            }
            8 => self.at(place).children.clear(),
            9 => self.at(place).children = vec![Node::Text(numbers.one(&BLANKS).to_owned())],
            10..=13 => {
                let leaves: Vec<_> = places.iter().filter(|place| self.at(place).is_leaf()).collect();
                let place = leaves[numbers.below(leaves.len())];
                let local = self.at(place).local().to_owned();
                self.at(place).children = vec![Node::Text(value(&local, numbers))];
            }
            14 | 15 => {
                let (name, value) = ATTRIBUTES[numbers.below(ATTRIBUTES.len())];
                let value = if name == "xsi:type" { numbers.one(&TYPES) } else { value };
                let target = self.at(place);
                for prefix in ["xsi", "xs", "f", "tns"] {
                    if name.starts_with(&format!("{prefix}:")) || value.starts_with(&format!("{prefix}:")) {
                        target.set(&format!("xmlns:{prefix}"), prefixed(prefix));
                    }
                }
                target.set(name, value);
            }
            16 => {
                let target = self.at(place);
                let own: Vec<usize> = (0..target.attributes.len()).filter(|at| !target.attributes[*at].0.starts_with("xmlns")).collect();
                if !own.is_empty() {
                    let at = own[numbers.below(own.len())];
                    if numbers.below(2) == 0 {
                        target.attributes.remove(at);
                    } else {
                        target.attributes[at].1 = numbers.one(&["", " ", "annat", " iso6523-actorid-upis ", "iso6523-actorid-upis"]).into();
                    }
                }
            }
            17..=19 => {
                let inserted = numbers.one(&FOREIGN).to_owned();
                let target = self.at(place);
                let end = target.children.len();
                let at = if numbers.below(2) == 0 { end } else { numbers.below(end + 1) };
                target.children.insert(at, Node::Raw(inserted));
            }
            20 => {
                let inserted = numbers.one(&HARMLESS).to_owned();
                let target = self.at(place);
                let at = numbers.below(target.children.len() + 1);
                target.children.insert(at, Node::Raw(inserted));
            }
            21 => {
                let how = numbers.below(4);
                for node in &mut self.at(place).children {
                    if let Node::Text(text) = node {
                        *node = Node::Raw(rewritten(text, how));
                    }
                }
            }
            22 => {
                let text = numbers.one(&[&"text", &"\u{a0}", &" ", &"Kanariefagel"]).to_string();
                let target = self.at(place);
                let at = numbers.below(target.children.len() + 1);
                target.children.insert(at, Node::Text(text));
            }
            _ => {
                if let Some(taken) = self.take(place) {
                    let places = self.places();
                    let into = self.at(&places[numbers.below(places.len())].clone());
                    into.children.push(taken);
                    self.declare();
                }
            }
        }
    }

    /// Every element's place: the indices of the children that lead to it.
    fn places(&self) -> Vec<Vec<usize>> {
        fn walk(tag: &Tag, at: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
            all.push(at.clone());
            for (index, child) in tag.children.iter().enumerate() {
                if let Node::Tag(child) = child {
                    at.push(index);
                    walk(child, at, all);
                    at.pop();
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.root, &mut Vec::new(), &mut all);
        all
    }

    fn at(&mut self, place: &[usize]) -> &mut Tag {
        place.iter().fold(&mut self.root, |tag, index| match &mut tag.children[*index] {
            Node::Tag(child) => child,
            _ => panic!("a place leads through elements"),
        })
    }

    fn take(&mut self, place: &[usize]) -> Option<Node> {
        let (index, parent) = place.split_last()?;
        Some(self.at(parent).children.remove(*index))
    }

    fn names(&self) -> Vec<String> {
        fn walk(tag: &Tag, names: &mut Vec<String>) {
            names.push(tag.name.clone());
            for child in &tag.children {
                if let Node::Tag(child) = child {
                    walk(child, names);
                }
            }
        }
        let mut names = Vec::new();
        walk(&self.root, &mut names);
        names
    }

    /// Declares on the root every prefix that a moved or renamed element may have lost.
    fn declare(&mut self) {
        fn walk(tag: &Tag, all: &mut Vec<(String, String)>) {
            for (name, value) in &tag.attributes {
                if name.starts_with("xmlns:") && !all.iter().any(|(known, _)| known == name) {
                    all.push((name.clone(), value.clone()));
                }
            }
            for child in &tag.children {
                if let Node::Tag(child) = child {
                    walk(child, all);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.root, &mut all);
        for (name, value) in all {
            if !self.root.attributes.iter().any(|(known, _)| *known == name) {
                self.root.attributes.push((name, value));
            }
        }
    }
}

fn tag(element: Element<'_>) -> Tag {
    let qualified = |prefix: &str, local: &str| if prefix.is_empty() { local.to_owned() } else { format!("{prefix}:{local}") };
    let declared = element.declarations().iter().map(|(prefix, namespace)| {
        let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
        (name, namespace.clone())
    });
    let attributes = declared.chain(element.attributes().iter().map(|a| (qualified(&a.prefix, &a.local), a.value.clone()))).collect();
    let children = element.children().filter_map(|child| match child {
        NodeRef::Element(child) => Some(Node::Tag(tag(child))),
        NodeRef::Text(text) => Some(Node::Text(text.to_owned())),
        _ => None,
    });
    Tag { name: qualified(element.prefix(), element.local()), attributes, children: children.collect() }
}

impl Tag {
    fn local(&self) -> &str {
        self.name.rsplit(':').next().unwrap()
    }

    fn is_leaf(&self) -> bool {
        !self.children.iter().any(|child| matches!(child, Node::Tag(_)))
    }

    fn weight(&self) -> usize {
        let inside = self.children.iter().map(|child| if let Node::Tag(child) = child { child.weight() } else { 1 });
        1 + inside.sum::<usize>()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_owned(), value.to_owned()));
    }

    fn write(&self, out: &mut String) {
        write!(out, "<{}", self.name).unwrap();
        for (name, value) in &self.attributes {
            write!(out, " {name}=\"{}\"", escaped(value).replace('"', "&quot;")).unwrap();
        }
        out.push('>');
        for child in &self.children {
            match child {
                Node::Tag(child) => child.write(out),
                Node::Text(text) => out.push_str(&escaped(text)),
                Node::Raw(raw) => out.push_str(raw),
            }
        }
        write!(out, "</{}>", self.name).unwrap();
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
}

/// The same text in another spelling.
fn rewritten(text: &str, how: usize) -> String {
    match how {
        0 => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
        1 => text.chars().fold(String::new(), |mut out, c| {
            write!(out, "&#x{:X};", u32::from(c)).unwrap();
            out
        }),
        2 => {
            let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
            format!("{}<!-- k -->{}", escaped(&text[..middle]), escaped(&text[middle..]))
        }
        _ => format!("<?p i?>{}<!---->", escaped(text)),
    }
}

/// A value for an element of that name: mostly of its own kind, right or nearly so.
fn value(local: &str, numbers: &mut Numbers) -> String {
    let kind: &[&str] = match local {
        "creationDateTime" | "CreationDateTime" => &MOMENTS,
        "IssueDate" => &DATES,
        "IssueTime" => &TIMES,
        "messageId" | "conversationId" | "refToMessageId" | "ID" => &UUIDS,
        "confidentiality" | "InstanceEncryptionIndicator" => &BOOLEANS,
        "content" => &BASE64,
        "root" | "extension" | "EndpointID" => &IDS,
        "ResponseCode" | "StatusReasonCode" | "BusinessScopeCriterionTypeCode" => &CODES,
        "BusinessScopeCriterionValue" | "CustomizationID" | "ProfileID" | "XHEVersionID" | "ContentTypeCode" | "DocumentTypeCode" => &FIXED,
        _ => &[],
    };
    if !kind.is_empty() && numbers.below(4) != 0 {
        return numbers.one(kind).to_owned();
    }
    match numbers.below(6) {
        0 => numbers.one(&["å", "🙂", "x", "e\u{301}", " ", "\u{a0}"]).repeat(255 + numbers.below(3)),
        1 => numbers.one(&BLANKS).to_owned(),
        2 => "Kanariefagel".to_owned(),
        3 => numbers.one(&["e\u{301}"]).repeat(128 + numbers.below(2)),
        _ => numbers.one(&["x", "å & <b>", " x ", "\u{a0}x", "1", "]]>", "\r\n", "a\tb"]).to_owned(),
    }
}

const BLANKS: [&str; 9] = ["", " ", "\t\n", "\r", "\u{a0}", "\u{85}", "\u{2003}", "\u{feff}", "\u{200b}"];

const MOMENTS: [&str; 33] = [
    "2026-01-02T03:04:05.678Z",
    "2026-01-02T03:04:05.6Z",
    "2026-01-02T03:04:05.67Z",
    "2026-01-02T03:04:05.6789Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.678",
    "2026-01-02T03:04:05.678+00:00",
    "2026-01-02T03:04:05.678+01:00",
    "2026-01-02T03:04:05-14:00",
    "2026-01-02T03:04:05+14:01",
    "2026-01-02T03:04:05+1:00",
    "2026-01-02T24:00:00.000Z",
    "2026-01-02T24:00:00.001Z",
    "2026-01-02T24:00:01.000Z",
    "2026-01-02T23:59:60.000Z",
    "2026-01-02T23:60:00.000Z",
    "2026-02-29T03:04:05.678Z",
    "2024-02-29T03:04:05.678Z",
    "1900-02-29T03:04:05.678Z",
    "2026-13-02T03:04:05.678Z",
    "2026-00-02T03:04:05.678Z",
    "0000-01-02T03:04:05.678Z",
    "0001-01-02T03:04:05.678Z",
    "9999-12-31T23:59:59.999Z",
    "-2026-01-02T03:04:05.678Z",
    "2026-1-02T03:04:05.678Z",
    "2026-01-02 03:04:05.678Z",
    "2026-01-02t03:04:05.678z",
    "2026-01-02T03:04:05,678Z",
    " 2026-01-02T03:04:05.678Z",
    "2026-01-02T03:04:05.678Z\n",
    "\u{a0}2026-01-02T03:04:05.678Z",
];

const DATES: [&str; 14] = [
    "2026-01-02",
    "2026-01-02Z",
    "2026-01-02+01:00",
    "2026-01-02-14:00",
    "2026-01-02+14:01",
    " 2026-01-02 ",
    "\u{a0}2026-01-02",
    "2026-02-30",
    "2026-1-2",
    "20260102",
    "0000-01-02",
    "2026-01-02T00:00:00",
    "26-01-02",
    "2024-02-29",
];

const TIMES: [&str; 14] = [
    "03:04:05Z",
    "03:04:05.678Z",
    "03:04:05.1234567890Z",
    "03:04:05+01:00",
    "03:04:05",
    "24:00:00Z",
    "24:00:01Z",
    "23:59:60Z",
    " 03:04:05Z\n",
    "3:04:05Z",
    "03:04Z",
    "03:04:05.Z",
    "03:04:05z",
    "\u{a0}03:04:05Z",
];

const UUIDS: [&str; 14] = [
    "7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
    "7BC5576A-3F87-4CF5-A0C5-277DA06FCACB",
    "00000000-0000-0000-0000-000000000000",
    "7bc5576a-3f87-4cf5-a0c5-277da06fcac",
    "7bc5576a-3f87-4cf5-a0c5-277da06fcacbb",
    "7bc5576a3f874cf5a0c5277da06fcacb",
    "{7bc5576a-3f87-4cf5-a0c5-277da06fcacb}",
    "urn:uuid:7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
    "7bc5576g-3f87-4cf5-a0c5-277da06fcacb",
    " 7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
    "7bc5576a-3f87-4cf5-a0c5-277da06fcacb\n",
    "7bc5576a-3f87-4cf5-a0c5-277da06fcac٣",
    "7bc5576a3-f87-4cf5-a0c5-277da06fcacb",
    "Kanariefagel",
];

const BOOLEANS: [&str; 13] = ["true", "false", "1", "0", " true ", "\t0\n", "TRUE", "True", "ja", "", "01", "\u{a0}true", "tru e"];

const BASE64: [&str; 16] = [
    "AAEC/w==",
    "AAEC/w=",
    "AAEC/w",
    "AAEC/",
    " AAEC/w==",
    "AAEC\n/w==\n",
    "AAEC/x==",
    "AAEC_w==",
    "=AAEC",
    "*",
    "A*==",
    "AAEC/w==AAEC",
    "åäö",
    "AAECAw==\u{a0}",
    "\u{a0}AAEC",
    "====",
];

const IDS: [&str; 24] = [
    "iso6523-actorid-upis",
    "iso6523-actorid-upis ",
    "ISO6523-ACTORID-UPIS",
    "icke-godkant-kodverk",
    "urn:riv:infrastructure:messaging:functionalAddress",
    "urn:riv:infrastructure:messaging:functionaladdress",
    " urn:riv:infrastructure:messaging:functionalAddress",
    "0203:kommun.se",
    "0203:KOMMUN.se",
    " 0203:kommun.se ",
    "\u{a0}0203:kommun.se",
    "0203:",
    "0203:a..b",
    "0203:håbo.se",
    "0007:2021006883",
    "0007:202100688",
    "0088:7300000000000",
    "9999:kommun.se",
    "kommun.se",
    "inkorg",
    "in korg",
    "\u{a0}inkorg",
    "in\u{85}korg",
    "Kanariefagel",
];

const CODES: [&str; 20] = [
    "ACCEPTED",
    "REJECTED",
    "accepted",
    " REJECTED ",
    "SV",
    "BV",
    "SIG",
    "sig",
    " BV\n",
    "XX",
    "\u{a0}SV",
    "DOCUMENTID",
    "documentid",
    "DOCUMENTID_SCHEME",
    "DOCUMENT_SCHEME",
    " PROCESSID ",
    "PROCESSID_SCHEME",
    "FEDERATIONID",
    "not-found",
    "Kanariefagel",
];

const FIXED: [&str; 18] = [
    "1.0",
    " 1.0 ",
    "1.1",
    "1",
    "urn:fdc:digg.se:edelivery:xhe:1",
    "urn:fdc:digg.se:edelivery:xhe:2",
    "urn:fdc:digg.se:edelivery:messagetype:response:1",
    "urn:fdc:digg.se:edelivery:messagetype:response:1.1",
    "bdx:noprocess",
    " bdx:noprocess\t",
    "BDX:noprocess",
    "busdox-docid-qns",
    "urn:fdc:Digg.se:edelivery:process",
    "urn:fdc:digg.se:edelivery:federation:sdk",
    "application/xml",
    "application/XML",
    "text/xml",
    "Q{urn:riv:infrastructure:messaging:MessageWithAttachments:2}Message",
];

const NAMESPACES: [&str; 6] = [
    "",
    "urn:f",
    "urn:riv:infrastructure:messaging:MessageWithAttachments:3",
    "urn:riv:infrastructure:messaging:MessageWithAttachments:2",
    "http://docs.oasis-open.org/bdxr/ns/XHE/1/BasicComponents",
    "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
];

const ATTRIBUTES: [(&str, &str); 22] = [
    ("okand", "x"),
    ("okand", ""),
    ("f:x", "y"),
    ("f:x", ""),
    ("xml:lang", "sv"),
    ("xml:space", "preserve"),
    ("xml:id", "a1"),
    ("xml:base", "urn:x"),
    ("xsi:schemaLocation", "urn:nowhere nowhere.xsd"),
    ("xsi:noNamespaceSchemaLocation", "nowhere.xsd"),
    ("xsi:nil", "true"),
    ("xsi:nil", "false"),
    ("xsi:okand", "x"),
    ("xsi:type", ""),
    ("xsi:type", ""),
    ("xsi:type", ""),
    ("schemeID", "iso6523-actorid-upis"),
    ("schemeID", ""),
    ("schemeName", "x"),
    ("listID", "x"),
    ("languageID", "sv"),
    ("Id", "x"),
];

const TYPES: [&str; 20] = [
    "xs:string",
    "xs:token",
    "xs:dateTime",
    "xs:boolean",
    "xs:int",
    "xs:anyType",
    "string",
    "f:x",
    "",
    " xs:string ",
    "tns:MessageType",
    "tns:MessageHeaderType",
    "tns:MessageBodyType",
    "tns:IIType",
    "tns:RecipientType",
    "tns:SenderType",
    "tns:AttentionDataType",
    "tns:DigitalDocumentType",
    "tns:ContentAsBase64",
    "tns:Okand",
];

fn prefixed(prefix: &str) -> &'static str {
    match prefix {
        "xsi" => "http://www.w3.org/2001/XMLSchema-instance",
        "xs" => "http://www.w3.org/2001/XMLSchema",
        "tns" => "urn:riv:infrastructure:messaging:MessageWithAttachments:3",
        _ => "urn:f",
    }
}

const FOREIGN: [&str; 14] = [
    "<f:x xmlns:f=\"urn:f\">y</f:x>",
    "<f:x xmlns:f=\"urn:f\"/>",
    "<f:x xmlns:f=\"urn:f\"> </f:x>",
    "<f:x xmlns:f=\"urn:f\"><f:y>z</f:y></f:x>",
    "<f:x xmlns:f=\"urn:f\">y<f:y/></f:x>",
    "<f:x xmlns:f=\"urn:f\" f:a=\"\" b=\"\">y</f:x>",
    "<f:x xmlns:f=\"urn:f\">Kanariefagel</f:x>",
    "<f:x xmlns:f=\"urn:f\"><messageId xmlns=\"urn:riv:infrastructure:messaging:MessageWithAttachments:3\">x</messageId></f:x>",
    "<f:x xmlns:f=\"urn:f\"><messagePayload xmlns=\"urn:riv:infrastructure:messaging:MessageWithAttachments:3\">x</messagePayload></f:x>",
    "<f:x xmlns:f=\"urn:f\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"f:y\">y</f:x>",
    "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">x</ds:Signature>",
    "<x xmlns=\"\">y</x>",
    "<x>y</x>",
    "<label xmlns=\"urn:f\">y</label>",
];

const HARMLESS: [&str; 8] = ["<!-- k -->", "<!---->", "<?p i?>", "<?p?>", "<![CDATA[]]>", "<![CDATA[ ]]>", "&#32;", "&#x9;"];

/// Changes one thing of a document's octets.
pub(crate) fn mutate_octets(octets: &mut Vec<u8>, numbers: &mut Numbers) {
    const TOKENS: [&[u8]; 34] = [
        b"<",
        b">",
        b"&",
        b"\"",
        b"'",
        b"/",
        b"=",
        b" ",
        b"]]>",
        b"<!--",
        b"-->",
        b"--",
        b"<?",
        b"?>",
        b"<![CDATA[",
        b"&amp;",
        b"&#0;",
        b"&#xD;",
        b"&#x1F642;",
        b"&nbsp;",
        b"&lt",
        b"\r\n",
        b"\r",
        b"\0",
        b"\x0b",
        b"\xff",
        b"\xc3",
        b"\xc2\xa0",
        b"\xed\xa0\x80",
        b"\xef\xbf\xbe",
        b"xmlns=\"\"",
        b" xmlns:f=\"\"",
        b" xml:lang=\"sv\"",
        b"<!DOCTYPE a>",
    ];
    let at = numbers.below(octets.len());
    match numbers.below(8) {
        0 => octets[at] ^= 1 << numbers.below(8),
        1 => drop(octets.remove(at)),
        2 | 3 => drop(octets.splice(at..at, numbers.one(&TOKENS).iter().copied())),
        4 => {
            let end = (at + 1 + numbers.below(40)).min(octets.len());
            octets.drain(at..end);
        }
        5 => {
            let end = (at + 1 + numbers.below(40)).min(octets.len());
            let copy = octets[at..end].to_vec();
            let to = numbers.below(octets.len());
            octets.splice(to..to, copy);
        }
        6 => {
            // The XML declaration in all its forms.
            let end = octets.windows(2).position(|two| two == b"?>").map_or(0, |end| end + 2);
            let declarations: [&[u8]; 16] = [
                b"",
                b" ",
                b"\xef\xbb\xbf",
                b"\xef\xbb\xbf<?xml version=\"1.0\"?>",
                b"<?xml version='1.0' encoding='utf-8'?>",
                b"<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>",
                b"<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"kanske\"?>",
                b"<?xml version=\"1.0\" standalone=\"yes\" encoding=\"UTF-8\"?>",
                b"<?xml version=\"1.1\"?>",
                b"<?xml version=\"1.7\"?>",
                b"<?xml version=\"2.0\"?>",
                b"<?xml encoding=\"UTF-8\"?>",
                b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
                b"<?xml version=\"1.0\" encoding=\"US-ASCII\"?>",
                b"<?xml?>",
                b"<?XML version=\"1.0\"?>",
            ];
            octets.splice(..end, numbers.one(&declarations).iter().copied());
        }
        _ => {
            // One of the places where markup begins or ends.
            let marks: Vec<usize> = (0..octets.len()).filter(|at| matches!(octets[*at], b'<' | b'>' | b'"' | b'=')).collect();
            let at = marks[numbers.below(marks.len())];
            let token = numbers.one(&TOKENS);
            octets.splice(at..at, token.iter().copied());
        }
    }
    if octets.is_empty() {
        octets.push(b'x');
    }
}
