//! The published judges, for many documents at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::prelude::*;
use serde::Deserialize;

use crate::common::{python, shared};

/// What a judge says of one document.
#[derive(Debug, Deserialize)]
pub(crate) struct Judgement {
    /// Why it is not well-formed.
    pub(crate) formed: Option<String>,
    /// The schema's faults.
    pub(crate) schema: Vec<String>,
    /// Rule and path of each failed assert.
    pub(crate) rules: Vec<(String, String)>,
    /// Whether all faults stand inside foreign elements.
    pub(crate) core: bool,
    /// Whether the schema's do.
    pub(crate) core_schema: bool,
}

impl Judgement {
    pub(crate) fn valid(&self) -> bool {
        self.formed.is_none() && self.schema.is_empty() && self.rules.is_empty()
    }
}

/// A form and what judges it.
pub(crate) struct Form {
    pub(crate) schema: &'static str,
    pub(crate) rules: &'static str,
    /// XPath of the elements whose inside is not the form's business.
    pub(crate) foreign: &'static str,
}

pub(crate) const MESSAGE: Form = Form {
    schema: "sdk-docs/message/infrastructure_messaging_MessageWithAttachments_3.0.xsd",
    rules: "sdk-docs/message/MessageConstraints.xml",
    foreign: "//*[namespace-uri() != 'urn:riv:infrastructure:messaging:MessageWithAttachments:3'][namespace-uri(..) = 'urn:riv:infrastructure:messaging:MessageWithAttachments:3']",
};
pub(crate) const XHE: Form = Form {
    schema: "sdk-docs/xhe/schema/XHE-1.0.xsd",
    rules: "sdk-docs/xhe/rules/DIGG-XHE-Business-Rules.scmt",
    foreign: "//*[local-name() = 'PayloadContent']/* | /*/*[namespace-uri() = 'http://www.w3.org/2000/09/xmldsig#']",
};
pub(crate) const RECEIPT: Form =
    Form { schema: "sdk-docs/receipt/schema/Response-2.1.xsd", rules: "sdk-docs/receipt/rules/DIGG-AppRes-Business-Rules.scmt", foreign: "/none" };

/// A judge at work.
pub(crate) struct Judge {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Judge {
    /// Starts one; `None` where there is none to ask.
    pub(crate) fn of(form: &Form) -> Option<Self> {
        let (python, schematron, schema, rules) = (python()?, shared("tools/schematron.py")?, shared(form.schema)?, shared(form.rules)?);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/judge.py");
        let mut command = Command::new(python);
        command.arg(script).args([schematron, schema, rules]).arg(form.foreign);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Some(Self { process, input, output })
    }

    /// The judgement on each document, in order.
    pub(crate) fn judge(&mut self, documents: &[Vec<u8>]) -> Vec<Judgement> {
        self.ask("", documents)
    }

    /// The judgement with the schema's part by another validator than libxml2's.
    pub(crate) fn second_opinion(&mut self, document: &[u8]) -> Judgement {
        self.ask("?", &[document.to_vec()]).remove(0)
    }

    fn ask(&mut self, mark: &str, documents: &[Vec<u8>]) -> Vec<Judgement> {
        let mut input = self.input.take().unwrap();
        let judgements = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for document in documents {
                    writeln!(input, "{mark}{}", BASE64_STANDARD.encode(document)).unwrap();
                }
                input.flush().unwrap();
                input
            });
            let lines = self.output.by_ref().lines().take(documents.len());
            let read = |line: String| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let judgements: Vec<Judgement> = lines.map(|line| read(line.unwrap())).collect();
            self.input = Some(writing.join().unwrap());
            judgements
        });
        assert_eq!(judgements.len(), documents.len(), "the judge ended early");
        judgements
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.wait());
    }
}

/// How the rules' judge writes a place, without the namespaces: `/messagePayload[1]/message[1]`.
pub(crate) fn local(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("Q{") {
        out.push_str(before);
        rest = after.split_once('}').unwrap().1;
    }
    out + rest
}

/// How we write a place, with the numbers that we leave out.
pub(crate) fn numbered(path: &str) -> String {
    let steps = path.split('/').filter(|step| !step.is_empty());
    steps.fold(String::new(), |out, step| if step.ends_with(']') { format!("{out}/{step}") } else { format!("{out}/{step}[1]") })
}
