//! How options are declared: once, with manual, type, need and default or example; reading and reference follow from it.
//!
//! `section!` makes a struct whose fields are all `Option`: `None` is an option that was left out, or one whose error is
//! already noted. So reading goes on to the end and finds every error.

use super::errors::ConfigError;

/// Whether an option must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It must; the text is an example.
    Required,
    /// It need not; the text is an example.
    Optional,
    /// It need not; the text is what holds then.
    Default,
}

/// The reason of an option that must be there and is not.
const MISSING: &str = "is missing";

/// What stands at an option, for the reference.
pub(super) enum Shape {
    /// A value; its kind as a noun phrase.
    Value(String),
    /// A table.
    Table(Vec<Entry>),
    /// An array of tables.
    Tables(Vec<Entry>),
}

/// One declared option.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) doc: &'static str,
    pub(super) need: Need,
    /// TOML of the default or of an example.
    pub(super) text: &'static str,
    pub(super) shape: Shape,
}

/// The errors found so far.
#[derive(Default)]
pub(super) struct Errors(Vec<ConfigError>);

impl Errors {
    pub(super) fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    /// Drops that these paths are missing.
    pub(super) fn forgive(&mut self, missing: impl Fn(&str) -> bool) {
        self.0.retain(|error| error.reason != MISSING || !missing(&error.path));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_sorted(mut self) -> Vec<ConfigError> {
        self.0.sort_by(|a, b| (&a.path, &a.reason).cmp(&(&b.path, &b.reason)));
        self.0.dedup();
        // What is there but wrong is not missing as well.
        let wrong: Vec<String> = self.0.iter().filter(|error| !error.reason.starts_with(MISSING)).map(|error| error.path.clone()).collect();
        let is_wrong =
            |missing: &str| wrong.iter().any(|path| path.strip_prefix(missing).is_some_and(|rest| rest.is_empty() || rest.starts_with('[')));
        self.0.retain(|error| !error.reason.starts_with(MISSING) || !is_wrong(&error.path));
        self.0
    }
}

/// A place in the file.
#[derive(Debug, Clone)]
pub(super) struct At(String);

impl At {
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    /// An option of this table.
    pub(super) fn key(&self, key: &str) -> Self {
        Self(if self.0.is_empty() { key.to_owned() } else { format!("{}.{key}", self.0) })
    }

    /// An element of this array.
    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.0, reason)
    }
}

/// What can be read out of the file.
pub(super) trait Read: Sized {
    /// Reads it; `None` when an error was noted.
    fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self>;
    /// What it looks like.
    fn shape() -> Shape;
}

impl<T: Read> Read for Vec<T> {
    fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
        let toml::Value::Array(values) = value else {
            errors.push(at.error(format!("is {}, not a list", kind_of(&value))));
            return None;
        };
        // All of them before any is missed, so that each error is noted.
        let read: Vec<Option<T>> = values.into_iter().enumerate().map(|(i, value)| T::read(value, &at.index(i), errors)).collect();
        read.into_iter().collect()
    }

    fn shape() -> Shape {
        match T::shape() {
            Shape::Value(kind) => Shape::Value(format!("list, each: {kind}")),
            Shape::Table(entries) | Shape::Tables(entries) => Shape::Tables(entries),
        }
    }
}

/// The kind of a TOML value, for errors.
pub(super) fn kind_of(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "a text",
        toml::Value::Integer(_) => "a whole number",
        toml::Value::Float(_) => "a number",
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Datetime(_) => "a time",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a section",
    }
}

/// Reads the whole file.
pub(super) fn read_root<T: Read>(table: toml::Table, errors: &mut Errors) -> Option<T> {
    T::read(toml::Value::Table(table), &At::root(), errors)
}

/// The table that a section must be.
pub(super) fn table(value: toml::Value, at: &At, errors: &mut Errors) -> Option<toml::Table> {
    match value {
        toml::Value::Table(table) => Some(table),
        other => {
            errors.push(at.error(format!("is {}, not a section", kind_of(&other))));
            None
        }
    }
}

/// Takes an option out of its table.
pub(super) fn take<T: Read>(table: &mut toml::Table, field: &str, need: Need, text: &str, at: &At, errors: &mut Errors) -> Option<T> {
    let key = key(field);
    let at = at.key(&key);
    match (table.remove(&key), need) {
        (Some(value), _) => T::read(value, &at, errors),
        (None, Need::Default) => T::read(literal(text)?, &at, errors),
        (None, Need::Optional) => None,
        (None, Need::Required) => {
            let hint = match T::shape() {
                Shape::Value(_) => format!("for example {key} = {text}"),
                Shape::Table(_) => format!("add a section [{}]", at.0),
                Shape::Tables(_) => format!("add a section [[{}]]", at.0),
            };
            errors.push(at.error(MISSING).hint(hint));
            None
        }
    }
}

/// Refuses what is left in a table. The value of an unknown key is never shown: it may be a secret put where it should not be.
pub(super) fn refuse_rest(table: &toml::Table, known: &[&str], at: &At, errors: &mut Errors) {
    for unknown in table.keys() {
        let nearest = known.iter().map(|field| key(field)).min_by_key(|known| distance(unknown, known));
        let hint = if unknown.contains("password") && !unknown.ends_with("-file") {
            "a secret is never in this file: name a file that holds it, for example key-password-file".to_owned()
        } else {
            match nearest {
                Some(nearest) if distance(unknown, &nearest) <= 2 + unknown.len() / 4 => format!("did you mean {nearest}?"),
                _ => format!("known here: {}", known.iter().map(|field| key(field)).collect::<Vec<_>>().join(", ")),
            }
        };
        errors.push(at.key(unknown).error("is not an option").hint(hint));
    }
}

/// The key of a field.
pub(super) fn key(field: &str) -> String {
    field.replace('_', "-")
}

/// A TOML value out of its text.
pub(super) fn literal(text: &str) -> Option<toml::Value> {
    format!("it = {text}").parse::<toml::Table>().ok()?.remove("it")
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, diagonal), above) in b.chars().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Declares a section: its manual, its name, and its options with manual, type, need and the TOML of default or example.
macro_rules! section {
    ($(#[doc = $doc:literal])+ $name:ident { $( $(#[doc = $option_doc:literal])+ $field:ident: $type:ty = $need:ident $text:literal; )+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        #[allow(clippy::struct_field_names, reason = "options are named for those who read the file")]
        pub(in crate::config) struct $name {
            $( $(#[doc = $option_doc])+ pub(in crate::config) $field: Option<$type>, )+
        }

        impl crate::config::declare::Read for $name {
            fn read(value: toml::Value, at: &crate::config::declare::At, errors: &mut crate::config::declare::Errors) -> Option<Self> {
                use crate::config::declare::{Need, refuse_rest, table, take};
                let mut table = table(value, at, errors)?;
                let read = Self { $( $field: take(&mut table, stringify!($field), Need::$need, $text, at, errors), )+ };
                refuse_rest(&table, &[$( stringify!($field), )+], at, errors);
                Some(read)
            }

            fn shape() -> crate::config::declare::Shape {
                use crate::config::declare::{Entry, Need, Read, Shape, key};
                Shape::Table(vec![ $( Entry {
                    key: key(stringify!($field)),
                    doc: concat!($( $option_doc, "\n", )+),
                    need: Need::$need,
                    text: $text,
                    shape: <$type as Read>::shape(),
                }, )+ ])
            }
        }
    };
}

pub(super) use section;
