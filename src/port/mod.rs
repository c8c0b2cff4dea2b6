//! What the flows need of the world, as traits; the edges and stores implement them, the worker calls them.
//!
//! A port has a written contract and, where it has several implementations, one test suite for all of them.
//! Nothing here does anything.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

mod directory;
mod effects;
mod scan;
mod sink;
mod store;
mod tell;
mod transport;

pub use directory::{Directory, DirectoryError, Freshness, Metadata, Realm, RevocationList, Trust, TrustError};
pub use effects::{Effects, NewBlob};
pub use scan::{Finding, ScanError, Scanner};
pub use sink::{Delivery, MailSink, SinkAnswer, SinkError};
pub use store::{
    Blob, BlobId, BlobKind, BlobReader, BlobWriter, Blobs, Guard, Health, Job, JobId, Key, Lease, Listed, Op, OpenBlob, Queue, Record, State, Step,
    Store, StoreError, Stored,
};
pub use tell::{Delay, Fail, Tell, Told};
pub use transport::{Answer, Request, Transport, TransportError};

/// What a port's call returns: a future that any runtime can drive.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}
