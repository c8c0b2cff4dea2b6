//! Python's reader, for many mails at once.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What it says of a mail and of what the mail became.
pub struct Verdict(Value);

impl Verdict {
    fn texts(&self, side: &str, field: &str) -> Vec<String> {
        self.0[side][field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// The words that the sender's mail shows.
    pub fn written(&self) -> Vec<String> {
        self.texts("source", "words")
    }

    /// The digests of everything that the sender's mail holds.
    pub fn held(&self) -> Vec<String> {
        self.texts("source", "files")
    }

    pub fn texts_of(&self, field: &str) -> Vec<String> {
        self.texts("result", field)
    }

    /// Name and digest of each file that is delivered.
    pub fn files(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.0["result"]["files"].as_array().unwrap().iter().map(|file| (text(&file[0]), text(&file[1]))).collect()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.0["result"][name].as_str()
    }
}

/// Judges pairs of a mail and what became of it, `None` where nothing did.
pub fn judge(pairs: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<Verdict> {
    let folder = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for (number, (source, result)) in pairs.iter().enumerate() {
        let before = crate::common::temporary(folder.path(), &format!("{number}.before"), source);
        let after = result.as_ref().map(|result| crate::common::temporary(folder.path(), &format!("{number}.after"), result));
        list.push_str(&format!("{}\t{}\n", before.display(), after.map(|path| path.display().to_string()).unwrap_or_default()));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/judge.py");
    let mut python = Command::new("python3").arg("-I").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(list.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the judge fell");
    let verdicts: Vec<Verdict> = String::from_utf8(output.stdout).unwrap().lines().map(|line| Verdict(serde_json::from_str(line).unwrap())).collect();
    assert_eq!(verdicts.len(), pairs.len());
    verdicts
}

/// The words of `wanted` that `found` does not hold in their order; empty when it holds all.
pub fn missing<'a>(wanted: &'a [String], found: &[String]) -> Vec<&'a str> {
    let mut rest = found.iter();
    let mut missing = Vec::new();
    for word in wanted {
        let before = rest.clone();
        if !rest.any(|other| other == word) {
            missing.push(word.as_str());
            rest = before;
        }
    }
    missing
}
