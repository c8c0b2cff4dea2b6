//! What a step of a flow wants done, as data.

use super::{Blob, BlobId, Step};

/// A blob to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// Its name, kind and header.
    pub blob: Blob,
    /// Its body.
    pub body: crate::content::Redacted<Vec<u8>>,
}

/// Effects in the order in which they happen: blobs durable, then the step durable, then blobs deleted.
///
/// A crash between any two leaves nothing wrong: a blob that no record names is taken in or deleted at the next
/// start, and a job whose step was not applied runs again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Written first.
    pub blobs: Vec<NewBlob>,
    /// Applied second.
    pub step: Step,
    /// Deleted last.
    pub discard: Vec<BlobId>,
}

impl Effects {
    /// Both, as one: blobs of both, one step of both, both deletions.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.blobs.extend(other.blobs);
        self.step.guards.extend(other.step.guards);
        self.step.ops.extend(other.step.ops);
        self.discard.extend(other.discard);
        self
    }
}

impl From<Step> for Effects {
    fn from(step: Step) -> Self {
        Self { step, ..Self::default() }
    }
}
