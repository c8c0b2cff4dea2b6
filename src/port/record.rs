//! What is kept of one message, and the keys of notes beside it.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failure::{Blame, Failure, Stage};
use crate::ident::RecordId;

/// The state of a record, a word of the flow that owns it (SDK B1.4.2), for example `waiting-for-receipt`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State(pub std::borrow::Cow<'static, str>);

impl State {
    /// A state by its word.
    #[must_use]
    pub const fn new(word: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(word))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One message to or from one recipient. The body is the flow's own JSON, at most [`Record::MAX_BODY`] octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub id: RecordId,
    /// Its state.
    pub state: State,
    /// What the flow keeps of it, JSON.
    pub body: String,
}

impl Record {
    /// Octets of a body: with its name and state it stays below the 4 KiB of one value.
    pub const MAX_BODY: usize = 3_800;

    /// Writes what a flow keeps, with the version of its form.
    ///
    /// # Errors
    /// A [`Failure`] when it is over [`Self::MAX_BODY`], which only unreasonably long ids can bring about.
    pub fn of<T: Serialize>(id: RecordId, state: State, version: u8, kept: &T) -> Result<Self, Failure> {
        let body = serde_json::to_string(&Versioned { version, kept })
            .map_err(|error| Failure::permanent(Stage::Store, Blame::Us, format!("a record cannot be written: {error}")))?;
        if body.len() > Self::MAX_BODY {
            return Err(Failure::permanent(Stage::Store, Blame::Peer, "addresses and ids are too long to keep"));
        }
        Ok(Self { id, state, body })
    }

    /// Reads what a flow keeps.
    ///
    /// # Errors
    /// A [`Failure`] when it is not the flow's, or of another version.
    pub fn read<T: DeserializeOwned>(&self, version: u8) -> Result<T, Failure> {
        let read: Versioned<T> = serde_json::from_str(&self.body)
            .map_err(|error| Failure::permanent(Stage::Store, Blame::Us, format!("record {} cannot be read: {error}", self.id)))?;
        if read.version != version {
            return Err(Failure::permanent(Stage::Store, Blame::Us, format!("record {} has version {}", self.id, read.version))
                .hint("run the version of brevbro that wrote it, or a newer one"));
        }
        Ok(read.kept)
    }
}

/// A record's body.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    #[serde(rename = "v")]
    version: u8,
    #[serde(rename = "is")]
    kept: T,
}

/// The key of a note, 1 to 60 octets: dedupe marks and cross references such as `as4/<digest>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(String);

impl Key {
    /// A key out of a short family word and an id of any length: the id is kept when short and hashed when long.
    ///
    /// Two ids of one family give two keys; case of the id matters, so fold it before.
    #[must_use]
    pub fn new(family: &'static str, id: &str) -> Self {
        debug_assert!(family.len() <= 12, "a family is a short word");
        if id.len() <= 40 && id.bytes().all(|b| b.is_ascii_graphic()) {
            Self(format!("{family}/{id}"))
        } else {
            let digest = crate::crypto::sha256(id.as_bytes()).to_string();
            // 46 characters: longer than every id that is kept as it is, so that the two never meet.
            Self(format!("{family}/#{}", digest.get(..45).unwrap_or_default()))
        }
    }

    /// The key that a store keeps as this text, which [`Self::as_str`] gave.
    #[must_use]
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_short_and_apart() {
        let long = "x".repeat(41);
        let (short, hashed) = (Key::new("as4", "a@b"), Key::new("as4", &long));
        assert_eq!(short.as_str(), "as4/a@b");
        assert!(hashed.as_str().len() <= 60 && hashed != Key::new("as4", &"x".repeat(42)));
    }
}
