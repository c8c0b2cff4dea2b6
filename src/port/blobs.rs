//! Bodies: written and made durable before a step that names them.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Pending;
use super::store::StoreError;
use crate::ident::Sha256;

/// A blob's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobId(pub uuid::Uuid);

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobKind {
    /// A mail as it was taken in.
    Mail,
    /// An XHE, sealed by us or received.
    Envelope,
    /// An AS4 request as it is sent.
    Request,
    /// An AS4 signal: our receipt for a duplicate, or theirs as evidence.
    Signal,
    /// An SDK message in the clear, before its mail is delivered.
    Message,
    /// A message receipt in the clear.
    Receipt,
}

/// A blob's first part: what must be known to take it in again when no index knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its name.
    pub id: BlobId,
    /// What it holds.
    pub kind: BlobKind,
    /// The flow's own JSON: a transaction's envelope, a message's ids. At most 1 MiB.
    pub header: String,
}

/// What is known of a blob that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub id: BlobId,
    /// Octets of the body.
    pub octets: u64,
    /// SHA-256 of the body.
    pub digest: Sha256,
}

/// A blob that is there, without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: BlobId,
    /// How long ago it was written, by the clock of whatever keeps it. A young one that no record names may be of somebody
    /// who is just about to apply the step that names it.
    pub age: Duration,
}

/// A blob that is being written, on a thread that may block. Dropped without [`BlobWriter::commit`] it never was.
pub trait BlobWriter: io::Write + Send {
    /// Makes the blob durable: file and directory.
    fn commit(self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>>;
}

/// A blob's body, read on a thread that may block.
pub trait BlobReader: io::Read + io::Seek + Send {}

impl<T: io::Read + io::Seek + Send> BlobReader for T {}

/// A blob that is open: its head, the number of its body's octets, and its body.
pub type OpenBlob = (Blob, u64, Box<dyn BlobReader>);

/// Bodies.
///
/// Promises: a blob is durable and whole when `commit` returns, and absent before; it never changes under a reader.
/// A name that is committed again is replaced whole: work that was cut off before its step may run again. What was
/// damaged on disk is an error: reading from front to back ends in [`io::ErrorKind::InvalidData`], never in wrong bytes
/// that pass for right ones.
pub trait Blobs: Send + Sync {
    /// Whether something new may be taken in, of so many octets if that is known: [`StoreError::Full`] when there is room only for
    /// what has been taken in before. What goes on does not ask, for `create` has the last word.
    fn admit(&self, _expected: Option<u64>) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
    /// Whether blobs can be written, as far as the last attempt shows; one that failed is followed by others, until it works again.
    fn works(&self) -> Pending<'_, bool> {
        Box::pin(async { true })
    }
    /// Begins a blob. [`StoreError::Full`] when there is no room for `expected` octets.
    fn create(&self, blob: Blob, expected: Option<u64>) -> Pending<'_, Result<Box<dyn BlobWriter>, StoreError>>;
    /// Opens a blob for reading; [`StoreError::Missing`] when there is none, [`StoreError::Damaged`] when its head is not
    /// what was written, [`StoreError::Locked`] when its key is not here. The body is not touched yet.
    fn open(&self, id: BlobId) -> Pending<'_, Result<OpenBlob, StoreError>>;
    /// Deletes a blob, for good when it returns; it is no error when there is none.
    fn delete(&self, id: BlobId) -> Pending<'_, Result<(), StoreError>>;
    /// The blobs there are, at most `limit` of them, in the order of their names, from behind `after` on; none are left when
    /// none come. Reads no heads, so that millions can be listed. One that is committed or deleted meanwhile may be in it or not.
    fn all(&self, after: Option<BlobId>, limit: usize) -> Pending<'_, Result<Vec<Listed>, StoreError>>;

    /// The heads of all blobs, in the order of their names; reads every one of them, which is for looking at few. One that
    /// is damaged is left out.
    fn heads(&self) -> Pending<'_, Result<Vec<Blob>, StoreError>> {
        Box::pin(async move {
            let (mut heads, mut after) = (Vec::new(), None);
            loop {
                let page = self.all(after, 1_000).await?;
                let Some(last) = page.last() else { return Ok(heads) };
                after = Some(last.id);
                for Listed { id, .. } in page {
                    match self.open(id).await {
                        Ok((blob, ..)) => heads.push(blob),
                        Err(StoreError::Missing(_) | StoreError::Damaged(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        })
    }
}
