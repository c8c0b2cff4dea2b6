//! Everything that we write, held against the published schemas.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use brevbro::xml::{Canonicalization, Comments, Document, Element, Limits};

use super::{has, run, shared};

/// Which schema judges an element, wherever it stands. WS-Security, XML Encryption and CertPub have none at hand.
const SCHEMAS: [(&str, &str, &str); 9] = [
    ("http://www.w3.org/2003/05/soap-envelope", "Envelope", "as4-schemas/soap12.xsd"),
    ("http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/", "Messaging", "as4-schemas/ebms-header-3_0-200704.xsd"),
    ("http://docs.oasis-open.org/ebxml-bp/ebbp-signals-2.0", "NonRepudiationInformation", "as4-schemas/ebbp-signals-2.0.4.xsd"),
    ("http://www.w3.org/2000/09/xmldsig#", "Signature", "as4-schemas/xmldsig-core-schema.xsd"),
    ("http://docs.oasis-open.org/bdxr/ns/SMP/2016/05", "ServiceGroup", "as4-schemas/bdx-smp-201605.xsd"),
    ("http://docs.oasis-open.org/bdxr/ns/SMP/2016/05", "SignedServiceMetadata", "as4-schemas/bdx-smp-201605.xsd"),
    ("http://docs.oasis-open.org/bdxr/ns/XHE/1/ExchangeHeaderEnvelope", "XHE", "sdk-docs/xhe/schema/XHE-1.0.xsd"),
    (
        "urn:riv:infrastructure:messaging:MessageWithAttachments:3",
        "messagePayload",
        "sdk-docs/message/infrastructure_messaging_MessageWithAttachments_3.0.xsd",
    ),
    ("urn:oasis:names:specification:ubl:schema:xsd:ApplicationResponse-2", "ApplicationResponse", "sdk-docs/receipt/schema/Response-2.1.xsd"),
];

/// Elements cut out of what was written, by the schema that judges them.
#[derive(Default)]
pub struct Judged {
    elements: BTreeMap<&'static str, Vec<(String, String)>>,
}

impl Judged {
    /// Takes every element of a document that has a schema.
    pub fn add(&mut self, what: &str, xml: &[u8]) {
        let document = Document::parse(xml, &Limits::of(1 << 26)).unwrap_or_else(|error| panic!("{what}: {error}"));
        let before = self.len();
        document.elements().for_each(|element| self.element(what, element));
        assert!(self.len() > before, "{what}: nothing in it has a schema");
    }

    /// As [`Self::add`], of the SOAP part of a package.
    pub fn add_package(&mut self, what: &str, body: &[u8]) {
        let find = |text: &[u8]| body.windows(text.len()).position(|window| window == text).unwrap_or_else(|| panic!("{what}: no SOAP part"));
        let end = b"</S12:Envelope>";
        self.add(what, &body[find(b"<?xml")..find(end) + end.len()]);
    }

    fn element(&mut self, what: &str, element: Element<'_>) {
        if let Some((_, local, schema)) = SCHEMAS.iter().find(|(namespace, local, _)| element.is(namespace, local)) {
            let cut = Canonicalization::exclusive().element(element, Comments::With, None).unwrap();
            self.elements.entry(schema).or_default().push((format!("{what}, {local}"), cut));
        }
    }

    fn len(&self) -> usize {
        self.elements.values().map(Vec::len).sum()
    }

    /// How many elements each schema takes; panics with the first that one does not take. Nothing where there is no judge.
    pub fn judge(self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        let dir = tempfile::tempdir().unwrap();
        for (schema, elements) in self.elements {
            let Some(file) = has("xmllint").then(|| shared(schema)).flatten() else { return BTreeMap::new() };
            let paths: Vec<_> = (0..elements.len()).map(|number| dir.path().join(format!("{number}.xml"))).collect();
            for (path, (_, xml)) in paths.iter().zip(&elements) {
                std::fs::write(path, xml).unwrap();
            }
            for (number, portion) in paths.chunks(500).enumerate() {
                let verdict = run(Command::new("xmllint").args(["--noout", "--nonet", "--huge", "--schema"]).arg(&file).args(portion));
                if let Err(error) = verdict {
                    let failing = |path: &Path| error.contains(&format!("{} fails to validate", path.display()));
                    let found = portion.iter().position(|path| failing(path)).map(|at| &elements[number * 500 + at]);
                    panic!("{schema}: {found:?}\n{error}");
                }
            }
            counts.insert(schema, elements.len());
        }
        counts
    }
}
