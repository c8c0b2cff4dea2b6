//! Blobs that no record names are taken in or deleted.
//!
//! What a node that is alone finds at its start, and several nodes once a day, is looked for by names: the records tell which
//! they name, in one pass over the index, and only what is none of these is opened, to be looked at by its head. So it costs by
//! the number of records, not by that of files that must be found all over the disk.
//!
//! A crash between writing a blob and applying the step that names it leaves one. A node that is alone puts it in order at its
//! start: a mail is then taken in by the same step as ever, with the ids in its header: whether its client saw our 250 or not, the
//! mark of the transaction makes a repetition the same transaction. Everything else is made again by the job that made it, or
//! sent again by its peer.
//!
//! Among several nodes such a blob may be of one that is just about to apply its step. So nothing is touched before it is older,
//! by the database's clock, than any step takes; and before it is deleted, a note forbids to name it, so that a node that
//! was stopped for hours and goes on finds its step refused. Nobody has our 250 or our receipt for it: its client and its peer
//! have long since tried again, with other nodes.

use std::ops::Range;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::effects::{blocking, from_store};
use super::purge::named;
use super::{Company, MailSide, Node};
use crate::failure::Failure;
use crate::ident::RecordId;
use crate::inbound::{Incoming, settle};
use crate::outbound::Outgoing;
use crate::outbound::accept::Transaction;
use crate::port::{Blob, BlobId, BlobKind, Guard, Key, Listed, Op, Step, StoreError};

/// Blobs that are asked for at a time.
const PAGE: usize = 1_000;

/// Older than anything that a node which works is about to name.
const OLD: Duration = Duration::from_hours(1);
/// How often all that is old is looked at. A step may give up a blob that was named for long, and its node end before it is deleted.
const WHOLE: SignedDuration = SignedDuration::from_hours(24);
/// How far clocks of nodes may differ, and more.
const MARGIN: Duration = Duration::from_hours(1);

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Mails that were taken in.
    pub taken_in: usize,
    /// Blobs that were deleted.
    pub deleted: usize,
}

/// Which blobs are looked at.
struct Look {
    ages: Range<Duration>,
    /// Blobs that are named, in order, where that was asked.
    named: Vec<BlobId>,
    /// What says afterwards that it was looked.
    marks: Step,
}

impl MailSide {
    /// Takes in or deletes what a crash left: of a node that is alone, before any job runs; among several, what is old enough
    /// and was not looked at before, and from time to time all that is old enough.
    ///
    /// # Errors
    /// A [`Failure`] when the store or the spool cannot be read.
    pub async fn take_in_orphans(&self) -> Result<Found, Failure> {
        let mut found = Found::default();
        let Look { ages, named, marks } = self.look().await?;
        let mut after = None;
        loop {
            let page = self.blobs.all(after, PAGE).await.map_err(|error| from_store(&error))?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let looked_at = |listed: &Listed| ages.contains(&listed.age) && named.binary_search(&listed.id).is_err();
            for Listed { id, .. } in page.into_iter().filter(looked_at) {
                match self.blobs.open(id).await {
                    Ok((blob, ..)) => self.put_in_order(&blob, &mut found).await?,
                    Err(StoreError::Missing(_)) => {}
                    // It is told and left where it is: nobody knows what it was.
                    Err(error @ (StoreError::Damaged(_) | StoreError::Locked(_))) => {
                        tracing::error!(blob = %id.0, %error, "a body that was kept cannot be read");
                    }
                    Err(error) => return Err(from_store(&error)),
                }
            }
        }
        if !marks.ops.is_empty() {
            self.carry_out("orphans", marks.into()).await?;
        }
        Ok(found)
    }

    /// What is to be looked at now.
    async fn look(&self) -> Result<Look, Failure> {
        if self.company == Company::Alone {
            return Ok(Look { ages: Duration::ZERO..Duration::MAX, named: self.names().await?, marks: Step::new() });
        }
        let now = self.now();
        let (last, marks) = self.last(looked(), Step::new()).await?;
        let (last_whole, marks_of_whole) = self.last(looked_whole(), marks.clone()).await?;
        match (last, last_whole) {
            (Some(last), Some(whole)) if (SignedDuration::ZERO..WHOLE).contains(&now.duration_since(whole)) => {
                let since = Duration::try_from(now.duration_since(last)).unwrap_or_default();
                Ok(Look { ages: OLD..since.saturating_add(OLD + MARGIN), named: Vec::new(), marks })
            }
            _ => Ok(Look { ages: OLD..Duration::MAX, named: self.names().await?, marks: marks_of_whole }),
        }
    }

    /// When it was looked last, and the step with which that is now, unless another node was faster.
    async fn last(&self, mark: Key, step: Step) -> Result<(Option<Timestamp>, Step), Failure> {
        let before = self.store.note(mark.clone()).await.map_err(|error| from_store(&error))?;
        let at = before.as_deref().and_then(|at| at.parse().ok());
        let guard = before.map_or_else(|| Guard::Absent(mark.clone()), |before| Guard::Noted(mark.clone(), before));
        Ok((at, step.guard(guard).op(Op::Note(mark, self.now().to_string()))))
    }

    /// The blobs that records name, in order. One whose record cannot be read is not among them, and is looked at.
    async fn names(&self) -> Result<Vec<BlobId>, Failure> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.records(after, PAGE).await.map_err(|error| from_store(&error))?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            names.extend(page.iter().filter_map(|record| named(record).ok()).flatten());
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn put_in_order(&self, blob: &Blob, found: &mut Found) -> Result<(), Failure> {
        if self.is_named(blob).await? {
            return Ok(());
        }
        match (self.company, blob.kind) {
            (Company::Alone, BlobKind::Mail) if !self.is_settled(blob).await? && self.take_in(blob).await? => {
                found.taken_in += 1;
                return Ok(());
            }
            (Company::Alone, _) => {}
            (Company::Nodes, _) => {
                self.carry_out("orphans", Step::new().op(Op::Note(gone(blob.id), self.now().to_string())).into()).await?;
                // Its step may have been applied since it was looked for; from here on it cannot be.
                if self.is_named(blob).await? {
                    self.carry_out("orphans", Step::new().op(Op::Forget(gone(blob.id))).into()).await?;
                    return Ok(());
                }
            }
        }
        self.blobs.delete(blob.id).await.map_err(|error| from_store(&error))?;
        found.deleted += 1;
        Ok(())
    }
}

impl Node {
    /// Whether a mail was taken in before: then what is left of it is not taken in once more.
    async fn is_settled(&self, blob: &Blob) -> Result<bool, Failure> {
        for recipient in Transaction::from_blob(blob)?.recipients {
            if self.store.record(recipient.record).await.map_err(|error| from_store(&error))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a record names a blob.
    pub(super) async fn is_named(&self, blob: &Blob) -> Result<bool, Failure> {
        let records = match blob.kind {
            BlobKind::Mail => Transaction::from_blob(blob)?.recipients.into_iter().map(|recipient| recipient.record).collect(),
            _ => record_of(blob).into_iter().collect::<Vec<_>>(),
        };
        for id in records {
            let Some(record) = self.store.record(id).await.map_err(|error| from_store(&error))? else { continue };
            let named = match Outgoing::from_record(&record) {
                Ok(outgoing) => outgoing.blobs().contains(&blob.id),
                Err(_) => match Incoming::from_record(&record)? {
                    Incoming::Retrieved(arrival) => Incoming::Retrieved(arrival).blobs().contains(&blob.id),
                    incoming => incoming.blobs().contains(&blob.id) || self.is_to_be_sealed(id, blob).await?,
                },
            };
            if named {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a blob is a receipt of ours whose job is still there; the job that seals it names it.
    async fn is_to_be_sealed(&self, incoming: RecordId, blob: &Blob) -> Result<bool, Failure> {
        if blob.kind != BlobKind::Receipt {
            return Ok(false);
        }
        let job = self.store.job(settle::answer_job(incoming)).await.map_err(|error| from_store(&error))?;
        let answer = job.and_then(|job| serde_json::from_str::<settle::Answer>(&job.note).ok());
        Ok(answer.is_some_and(|answer| answer.receipt == blob.id))
    }
}

impl Node {
    /// The step as it is applied when it names blobs that were written before it: not when one of them was given up since.
    pub(super) fn fenced(&self, step: Step, blobs: &[BlobId]) -> Step {
        match self.company {
            Company::Alone => step,
            Company::Nodes => blobs.iter().fold(step, |step, blob| step.guard(Guard::Absent(gone(*blob)))),
        }
    }
}

/// When somebody began to look through the blobs last.
fn looked() -> Key {
    Key::new("orphans", "looked")
}

/// When somebody began to look through all of them last.
fn looked_whole() -> Key {
    Key::new("orphans", "whole")
}

/// The mark of a blob that was given up.
fn gone(blob: BlobId) -> Key {
    Key::new("gone", &blob.0.simple().to_string())
}

impl MailSide {
    /// Takes in a mail that was durable before the crash; `false` when it is refused as it would have been.
    async fn take_in(&self, blob: &Blob) -> Result<bool, Failure> {
        let transaction = Transaction::from_blob(blob)?;
        let (_, body) = self.read_blob(blob.id).await?;
        let digest = blocking(move || crate::crypto::sha256(&body)).await?;
        Ok(self.settle_mail(&transaction, digest).await.is_ok_and(|settled| settled.is_kept()))
    }
}

fn record_of(blob: &Blob) -> Option<RecordId> {
    let header: serde_json::Value = serde_json::from_str(&blob.header).ok()?;
    serde_json::from_value(header.get("record")?.clone()).ok()
}
