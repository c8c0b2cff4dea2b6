//! What `as4 inspect` prints: sections of named values, as text or as JSON.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::crypto::Certificate;

/// What is printed: sections of named values.
#[derive(Debug, Default)]
pub struct Report(Vec<Section>);

#[derive(Debug)]
pub(super) struct Section {
    title: String,
    lines: Vec<(&'static str, String)>,
    /// What of it does not hold.
    wrong: Option<String>,
}

impl Report {
    pub(super) fn section(&mut self, title: impl Into<String>) -> &mut Section {
        self.0.push(Section { title: title.into(), lines: Vec::new(), wrong: None });
        #[expect(clippy::expect_used, reason = "one was pushed just before")]
        self.0.last_mut().expect("a section")
    }

    /// The first thing that does not hold, for whoever asks for nothing else.
    #[must_use]
    pub fn wrong(&self) -> Option<&str> {
        self.0.iter().find_map(|section| section.wrong.as_deref())
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for section in &self.0 {
            if !text.is_empty() {
                text.push('\n');
            }
            let _ = writeln!(text, "{}", section.title);
            for (name, value) in &section.lines {
                let _ = writeln!(text, "  {name:<18}{value}");
            }
        }
        text
    }

    /// For programs: `{"sections":[{"title":…,"name":value,…}]}`; a name that stands several times has a list of values.
    #[must_use]
    pub fn json(&self) -> String {
        let section = |section: &Section| {
            let mut object = Map::from_iter([("title".to_owned(), Value::from(section.title.clone()))]);
            for (name, value) in &section.lines {
                match object.get_mut(*name) {
                    None => drop(object.insert((*name).to_owned(), Value::from(value.clone()))),
                    Some(Value::Array(all)) => all.push(Value::from(value.clone())),
                    Some(one) => *one = Value::Array(vec![one.take(), Value::from(value.clone())]),
                }
            }
            Value::Object(object)
        };
        let sections: Vec<Value> = self.0.iter().map(section).collect();
        format!("{:#}\n", serde_json::json!({ "sections": sections }))
    }
}

impl Section {
    /// Adds a value; control characters of a stranger never reach a terminal.
    pub(super) fn line(&mut self, name: &'static str, value: impl AsRef<str>) -> &mut Self {
        let value: String = value.as_ref().chars().take(1000).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !value.is_empty() {
            self.lines.push((name, value));
        }
        self
    }

    /// Adds what does not hold.
    pub(super) fn wrong(&mut self, name: &'static str, value: impl AsRef<str>) -> &mut Self {
        self.line(name, value);
        let told = self.lines.last().map(|(name, value)| format!("{}, {name}: {value}", self.title));
        self.wrong = self.wrong.take().or(told);
        self
    }

    pub(super) fn certificate(&mut self, certificate: &Certificate, at: Timestamp) -> &mut Self {
        let validity = if certificate.is_valid_at(at) { "" } else { " (NOT VALID NOW)" };
        self.line("subject", certificate.subject());
        self.line("issuer", certificate.issuer());
        self.line("valid", format!("{} to {}{validity}", certificate.not_before(), certificate.not_after()));
        self.line("sha-256", certificate.fingerprint().to_string())
    }
}
