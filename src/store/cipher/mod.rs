//! Bodies under encryption: which keys there are, which of them is used for what, and which a state still needs.
//!
//! The form of what is kept is [`crypto::rest`](crate::crypto::rest)'s. Here stands what a store does with it: a body's head,
//! [`Blob`], is the sealed header of its content, so that addresses do not lie in the clear either.
//!
//! | ring | of | who needs it |
//! |---|---|---|
//! | content | mails, SDK messages and receipts in the clear | nodes that have a participant's keys |
//! | transport | envelopes, requests and signals, which are sealed already | every node |
//!
//! The first key of a ring seals what is new; the others open what is older. A ring without keys seals nothing, and what
//! was written in the clear is always read, so encryption can be switched on with a full store. A body whose key is not in
//! a ring is [`StoreError::Locked`]: it is neither damaged nor left over, and nobody deletes it for that.

mod mark;
mod rekey;

use std::io::{self, Read, Seek, Write};
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::crypto::rest::{Head, KeyId, Opened, RestKey, Sealer};
use crate::port::{Blob, BlobKind, StoreError};

pub(super) use mark::{Mark, Use};
pub use rekey::{Census, Rekey, Rekeyed, Rekeying};

/// Octets of a head's JSON: a header of the largest size of which every octet is escaped, and the rest of [`Blob`].
pub(super) const MAX_JSON: usize = 6 * super::MAX_HEADER + 1024;

/// The keys of both rings, which may change while a store runs.
#[derive(Debug, Default)]
pub struct Keys(RwLock<Rings>);

/// Keys for what is in the clear and for what is sealed already; the first of each seals.
#[derive(Debug, Clone, Default)]
pub struct Rings {
    /// Of mails, messages and receipts.
    pub content: Vec<Arc<RestKey>>,
    /// Of envelopes, requests and signals.
    pub transport: Vec<Arc<RestKey>>,
}

impl Rings {
    /// The same keys for everything.
    #[must_use]
    pub fn of(keys: Vec<RestKey>) -> Self {
        let keys: Vec<Arc<RestKey>> = keys.into_iter().map(Arc::new).collect();
        Self { content: keys.clone(), transport: keys }
    }

    /// What new bodies of a kind are sealed with; none when they are not.
    #[must_use]
    pub fn active(&self, kind: BlobKind) -> Option<&Arc<RestKey>> {
        match kind {
            BlobKind::Mail | BlobKind::Message | BlobKind::Receipt => self.content.first(),
            BlobKind::Envelope | BlobKind::Request | BlobKind::Signal => self.transport.first(),
        }
    }

    /// A key of either ring.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&Arc<RestKey>> {
        self.content.iter().chain(&self.transport).find(|key| key.id() == id)
    }
}

impl Keys {
    /// These keys.
    #[must_use]
    pub fn new(rings: Rings) -> Self {
        Self(RwLock::new(rings))
    }

    /// The keys as they are now.
    #[must_use]
    pub fn rings(&self) -> Rings {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these. The caller has seen that the state needs no other: [`Rekey::needs`].
    pub fn replace(&self, rings: Rings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rings;
    }

    /// What a new body of this kind is sealed with.
    pub(super) fn active(&self, kind: BlobKind) -> Option<Arc<RestKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).active(kind).cloned()
    }

    /// The key that a body is under.
    pub(super) fn key(&self, id: KeyId) -> Result<Arc<RestKey>, StoreError> {
        let key = self.0.read().unwrap_or_else(PoisonError::into_inner).key(id).cloned();
        key.ok_or_else(|| StoreError::Locked(id.to_string()))
    }
}

/// Begins a content whose header is a body's head.
pub(super) fn seal<W: Write>(key: &RestKey, blob: &Blob, out: W) -> io::Result<Sealer<W>> {
    let json = Zeroizing::new(serde_json::to_vec(blob)?);
    Sealer::new(key, &json, out)
}

/// Why a content cannot be opened.
pub(super) enum Unopened {
    /// Its key is not here.
    Locked(StoreError),
    /// It is damaged ([`io::ErrorKind::InvalidData`]), or cannot be read.
    Io(io::Error),
}

/// Opens a content at the beginning of a stream: the head at once, the body when it is read.
pub(super) fn open<R: Read + Seek>(keys: &Keys, mut stream: R) -> Result<(Blob, Opened<R>), Unopened> {
    let (head, sealed) = Head::read_from(&mut stream, MAX_JSON).map_err(Unopened::Io)?;
    opened(keys, &head, &sealed, stream)
}

/// As [`seal`], for a store that keeps what stands before the body apart from it.
pub(super) fn seal_apart<W: Write>(key: &RestKey, blob: &Blob, out: W) -> io::Result<(Vec<u8>, Sealer<W>)> {
    let json = Zeroizing::new(serde_json::to_vec(blob)?);
    Sealer::apart(key, &json, out)
}

/// Opens what [`seal_apart`] made.
pub(super) fn open_apart<R: Read + Seek>(keys: &Keys, mut front: &[u8], body: R) -> Result<(Blob, Opened<R>), Unopened> {
    let (head, sealed) = Head::read_from(&mut front, MAX_JSON).map_err(Unopened::Io)?;
    opened(keys, &head, &sealed, body)
}

fn opened<R: Read + Seek>(keys: &Keys, head: &Head, sealed: &[u8], stream: R) -> Result<(Blob, Opened<R>), Unopened> {
    let key = keys.key(head.key()).map_err(Unopened::Locked)?;
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| Unopened::Io(io::Error::new(io::ErrorKind::InvalidData, error));
    let json = head.open_header(&key, sealed).map_err(|error| damaged(error.into()))?;
    let blob = serde_json::from_slice(&json).map_err(|error| damaged(error.into()))?;
    Ok((blob, Opened::new(&key, head, sealed, stream).map_err(Unopened::Io)?))
}
