//! What the flows need of the world, as traits; the edges and stores implement them, the worker calls them.
//!
//! A port has a written contract and, where it has several implementations, one test suite for all of them.
//! Nothing here does anything.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

mod blobs;
mod directory;
mod effects;
mod job;
mod load;
mod record;
mod retention;
mod scan;
mod sink;
mod step;
mod store;
mod tell;
mod transition;
mod transport;

pub use blobs::{Blob, BlobId, BlobKind, BlobReader, BlobWriter, Blobs, Listed, OpenBlob, Stored};
pub use directory::{Directory, DirectoryError, Freshness, Metadata, Realm, RevocationList, Trust, TrustError};
pub use effects::{Effects, NewBlob};
pub use job::{Job, JobId, Lease, Queue};
pub use load::{Load, NoTally, Tally, Underway};
pub use record::{Key, Record, State};
pub use retention::{Doomed, Retained, retiring};
pub use scan::{Finding, ScanError, Scanner};
pub use sink::{Delivery, MailSink, SinkAnswer, SinkError};
pub use step::{Guard, Op, Step};
pub use store::{ChainHead, Health, Store, StoreError};
pub use tell::{Delay, Fail, Tell, Told};
pub use transition::Transition;
pub use transport::{Answer, Request, Transport, TransportError};

/// What a port's call returns: a future that any runtime can drive.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time.
///
/// What only a machine's clock can tell has an answer for clocks that have nothing of the kind, as those of tests.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// The time that has passed since some moment, whoever set the clock meanwhile.
    fn elapsed(&self) -> Option<Duration> {
        None
    }

    /// Since when the clock has run evenly, by what it shows now: since the program began, the clock was set, or the machine
    /// was suspended, whatever was last.
    fn even_since(&self) -> Timestamp {
        Timestamp::MIN
    }

    /// Whether the clock was set, or the machine suspended, within this time.
    fn has_jumped_within(&self, _span: Duration) -> bool {
        false
    }
}

/// Now, and how far back the clock can be relied on: how much time has passed since an earlier moment nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// As of [`Clock::even_since`].
    pub even_since: Timestamp,
}

impl Moment {
    /// What a clock shows.
    #[must_use]
    pub fn of(clock: &dyn Clock) -> Self {
        Self { now: clock.now(), even_since: clock.even_since() }
    }
}

impl From<Timestamp> for Moment {
    /// By a clock that has always run evenly.
    fn from(now: Timestamp) -> Self {
        Self { now, even_since: Timestamp::MIN }
    }
}
