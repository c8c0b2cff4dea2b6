//! Carrying out what a step returned.

use std::io::{ErrorKind, Read, Write};

use super::Node;
use super::chance::{fresh, is_fixed};
use super::lawful::unlawful;
use super::room::{Held, Holding};
use crate::failure::{Blame, Failure, Shortage, Stage};
use crate::ident::{As4MessageId, ParticipantId, RecordId};
use crate::outbound::Outgoing;
use crate::port::{Blob, BlobId, Effects, NewBlob, Op, Step, StoreError};

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was applied.
    Applied,
    /// A guard did not hold: someone else did it, or took the job over. Nothing happened.
    Overtaken,
}

/// Passes a fail point: tests may stop, delay or kill the program here.
pub(super) fn point(name: &str, effect: &str) {
    #[cfg(feature = "failpoints")]
    fail::eval(&format!("{name}.{effect}"), |_| ());
    #[cfg(not(feature = "failpoints"))]
    let _ = (name, effect);
}

impl Node {
    /// Writes the blobs, applies the step, deletes what is no longer needed, in that order.
    pub(super) async fn carry_out(&self, name: &str, effects: Effects) -> Result<Outcome, Failure> {
        if let Some(why) = unlawful(&effects.step) {
            return Err(Failure::permanent(Stage::Store, Blame::Us, format!("{name}: {why}")).hint("report it with the log"));
        }
        point(name, "begin");
        let written: Vec<BlobId> = effects.blobs.iter().map(|new| new.blob.id).collect();
        for (number, NewBlob { blob, body }) in effects.blobs.into_iter().enumerate() {
            if let Err(failure) = self.write_blob(blob, body.0).await {
                self.discard(name, written.get(..number).unwrap_or_default()).await;
                return Err(failure);
            }
            point(name, "blob");
        }
        let moved_on = moved_on(&effects.step);
        match self.apply(self.fenced(effects.step, &written)).await {
            Ok(()) => {}
            Err(StoreError::Conflict(guard)) => {
                tracing::debug!(step = name, ?guard, "overtaken");
                // Nobody names them, and nobody will.
                self.discard(name, &written).await;
                return Ok(Outcome::Overtaken);
            }
            Err(error) => {
                // What is broken may have happened, and is looked at when the store works again, or at the next start.
                if matches!(error, StoreError::Full | StoreError::TooLarge { .. }) {
                    self.discard(name, &written).await;
                }
                return Err(from_store(&error));
            }
        }
        point(name, "applied");
        for gone in moved_on {
            self.hasten_next(gone).await;
        }
        self.discard(name, &effects.discard).await;
        point(name, "done");
        Ok(Outcome::Applied)
    }

    /// Deletes blobs; what is left is looked for later ([`orphans`](super::orphans)).
    pub(super) async fn discard(&self, name: &str, blobs: &[BlobId]) {
        for id in blobs {
            if let Err(error) = self.blobs.delete(*id).await {
                tracing::warn!(step = name, %error, "a blob that is no longer needed cannot be deleted");
            }
        }
    }

    /// Whether something new may be taken in, of so many octets if that is known.
    pub(super) async fn admits(&self, octets: Option<u64>) -> Result<(), Failure> {
        self.blobs.admit(octets).await.map_err(|error| from_store(&error))
    }

    /// Whether the store takes steps and bodies can be written.
    pub(super) async fn works(&self) -> bool {
        self.store.health().await.working && self.blobs.works().await
    }

    /// Makes a blob durable.
    pub(super) async fn write_blob(&self, blob: Blob, body: Vec<u8>) -> Result<(), Failure> {
        let mut writer = self.blobs.create(blob, Some(body.len() as u64)).await.map_err(|error| from_store(&error))?;
        let writer = blocking(move || writer.write_all(&body).map(|()| writer)).await?;
        let writer = writer.map_err(|error| unwritten(&error))?;
        writer.commit().await.map(|_| ()).map_err(|error| from_store(&error))
    }

    /// Reads a whole blob of an organisation's once there is room for what is to be done with it. The room is taken until the
    /// handle is dropped.
    pub(super) async fn hold_blob(&self, whose: &ParticipantId, id: BlobId, holding: Holding) -> Result<(Held, Blob, Vec<u8>), Failure> {
        let (_, octets, _) = self.blobs.open(id).await.map_err(|error| from_store(&error))?;
        let held = self.room.take(whose, holding.need(octets)).await?;
        let (blob, body) = self.read_blob(id).await?;
        Ok((held, blob, body))
    }

    /// Reads a whole blob of at most 150 MB. One that may be large is for [`Self::hold_blob`].
    pub(super) async fn read_blob(&self, id: BlobId) -> Result<(Blob, Vec<u8>), Failure> {
        const LARGEST: u64 = 150_000_000;
        let (blob, octets, reader) = self.blobs.open(id).await.map_err(|error| from_store(&error))?;
        if octets > LARGEST {
            return Err(Failure::permanent(Stage::Store, Blame::Us, format!("a blob of {octets} octets is too large to read at once")));
        }
        let body = blocking(move || {
            let mut body = Vec::with_capacity(usize::try_from(octets).unwrap_or_default());
            reader.take(LARGEST).read_to_end(&mut body).map(|_| body)
        });
        let body = body.await?.map_err(|error| unread(&error))?;
        Ok((blob, body))
    }

    /// A new AS4 message id (RFC 2822 3.6.4).
    pub(super) fn new_as4_id(&self) -> Result<As4MessageId, Failure> {
        As4MessageId::new(format!("{}@{}", fresh(), self.settings.domain))
            .map_err(|error| Failure::permanent(Stage::Send, Blame::Us, error.to_string()))
    }
}

/// Messages that the other access point has, or that have ended: whoever waits for them may go.
fn moved_on(step: &Step) -> Vec<RecordId> {
    let states = [Outgoing::WAITING, Outgoing::ACCEPTED, Outgoing::REJECTED, Outgoing::EXCHANGE_ERROR];
    let put = |op: &Op| match op {
        Op::Put(record) if states.contains(&record.state) => Some(record.id),
        _ => None,
    };
    step.ops.iter().filter_map(put).collect()
}

/// A new blob's name.
pub(super) fn new_blob() -> BlobId {
    BlobId(fresh())
}

/// Runs what computes or waits for the disk on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    if is_fixed() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::temporary(Stage::Store, Blame::Us, "a step ended in a panic").hint("report it with the log"))
}

/// What an error of reading from the spool means: what is damaged stays so, a disk may come back.
pub(super) fn unread(error: &std::io::Error) -> Failure {
    let what = format!("the spool cannot be read: {error}");
    match error.kind() {
        ErrorKind::InvalidData => Failure::permanent(Stage::Store, Blame::Us, what),
        _ => Failure::temporary(Stage::Store, Blame::Us, what).hint(WRITABLE),
    }
}

/// What an error of writing into the spool means.
pub(super) fn unwritten(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => no_room(),
        _ => Failure::temporary(Stage::Store, Blame::Us, format!("the spool cannot be written: {error}")).hint(WRITABLE),
    }
}

fn no_room() -> Failure {
    let hint = "make room in state-dir, in octets or inodes; work goes on by itself";
    Failure::temporary(Stage::Store, Blame::Us, StoreError::Full.to_string()).hint(hint).for_want_of(Shortage::Disk)
}

/// What to do about a disk that fails.
const WRITABLE: &str = "see in the system's log what the disk of state-dir has, and that it is mounted for writing; work goes on by itself";

/// What the store's refusal means.
pub(super) fn from_store(error: &StoreError) -> Failure {
    match error {
        StoreError::Locked(_) => Failure::temporary(Stage::Store, Blame::Us, error.to_string())
            .hint("name the file of that key among the keys of [encryption]; nothing is lost"),
        StoreError::Full => no_room(),
        StoreError::TooLarge { .. } | StoreError::Missing(_) | StoreError::Damaged(_) => {
            Failure::permanent(Stage::Store, Blame::Us, error.to_string())
        }
        StoreError::Conflict(_) => Failure::temporary(Stage::Store, Blame::Us, error.to_string()),
        StoreError::Broken(_) => Failure::temporary(Stage::Store, Blame::Us, error.to_string()).hint(WRITABLE),
    }
}
