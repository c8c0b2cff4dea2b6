//! What may become of what: the states' transitions as a table.

use super::State;

/// One transition of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before; none when there was no record.
    pub from: Option<&'static str>,
    /// The state after; none when the record is gone.
    pub to: Option<&'static str>,
    /// The function that makes it, and when.
    pub by: &'static str,
}

impl Transition {
    /// A row of a table.
    #[must_use]
    pub const fn new(from: &'static str, to: &'static str, by: &'static str) -> Self {
        Self { from: Some(from), to: Some(to), by }
    }

    /// A record that comes to be.
    #[must_use]
    pub const fn begin(to: &'static str, by: &'static str) -> Self {
        Self { from: None, to: Some(to), by }
    }

    /// A record that is removed.
    #[must_use]
    pub const fn end(from: &'static str, by: &'static str) -> Self {
        Self { from: Some(from), to: None, by }
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, from: Option<&State>, to: Option<&State>) -> bool {
        self.from == from.map(|state| &*state.0) && self.to == to.map(|state| &*state.0)
    }
}
