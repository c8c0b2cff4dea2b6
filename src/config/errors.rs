//! What is wrong with a configuration: every error at once, each with its place, its reason and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, `organisation[1].mailbox[0].address`; empty for the file as a whole.
    pub path: String,
    /// What stands there, cut to 80 characters; never where a secret, or its file, is named.
    pub value: Option<String>,
    /// What is wrong with it, as the rest of a sentence that begins with the path.
    pub reason: String,
    /// What would be right; may be empty.
    pub hint: String,
}

impl ConfigError {
    /// An error without value and hint.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), value: None, reason: reason.into(), hint: String::new() }
    }

    /// The same error with what stands there.
    #[must_use]
    pub fn value(mut self, value: impl fmt::Display) -> Self {
        let text = value.to_string();
        let mut shown: String = text.chars().take(80).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        self.value = Some(shown);
        self
    }

    /// The same error with the text that stands there, in the quotes that it has in the file.
    #[must_use]
    pub fn text(self, text: impl fmt::Display) -> Self {
        self.value(format_args!("\"{text}\""))
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        let between = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{between}{}", self.reason)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n    hint: {}", self.hint) }
    }
}

/// All errors of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file.
    pub file: PathBuf,
    /// At least one, in the order of the paths.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// A single error.
    #[must_use]
    pub fn one(file: &Path, error: ConfigError) -> Self {
        Self { file: file.to_owned(), errors: vec![error] }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors.len();
        write!(f, "{} has {count} error{}", self.file.display(), if count == 1 { "" } else { "s" })?;
        self.errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// A text that is no TOML. The provider's own print quotes the line, which may hold what must not be shown: place and reason only.
pub(super) fn syntax(text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    ConfigError::new("", format!("line {line}, column {column}: {}", error.message().lines().collect::<Vec<_>>().join("; ")))
}
