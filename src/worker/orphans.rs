//! At start: blobs that no record names are taken in or deleted.
//!
//! A crash between writing a blob and applying the step that names it leaves one. A mail is then taken in by the same
//! step as ever, with the ids in its header: whether its client saw our 250 or not, the mark of the transaction makes a
//! repetition the same transaction. Everything else is made again by the job that made it, or sent again by its peer.

use super::effects::{blocking, from_store};
use super::{Gateway, MailSide};
use crate::failure::Failure;
use crate::ident::RecordId;
use crate::inbound::Incoming;
use crate::outbound::Outgoing;
use crate::outbound::accept::Transaction;
use crate::port::{Blob, BlobKind, Listed, StoreError};

/// Blobs that are asked for at a time.
const PAGE: usize = 1_000;

/// What was found at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Mails that were taken in.
    pub taken_in: usize,
    /// Blobs that were deleted.
    pub deleted: usize,
}

impl Gateway {
    /// Takes in or deletes what a crash left, before any job runs.
    ///
    /// # Errors
    /// A [`Failure`] when the store or the spool cannot be read.
    pub async fn take_in_orphans(&self) -> Result<Found, Failure> {
        let (mut found, mut after) = (Found::default(), None);
        loop {
            let page = self.blobs.all(after, PAGE).await.map_err(|error| from_store(&error))?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.id);
            for Listed { id, .. } in page {
                match self.blobs.open(id).await {
                    Ok((blob, ..)) => self.put_in_order(&blob, &mut found).await?,
                    Err(StoreError::Missing(_)) => {}
                    // It is told and left where it is: nobody knows what it was.
                    Err(error @ StoreError::Damaged(_)) => tracing::error!(blob = %id.0, %error, "a body that was kept cannot be read"),
                    Err(error) => return Err(from_store(&error)),
                }
            }
        }
    }

    async fn put_in_order(&self, blob: &Blob, found: &mut Found) -> Result<(), Failure> {
        if self.is_named(blob).await? {
            return Ok(());
        }
        let taken_in = match (blob.kind, self.mail()) {
            (BlobKind::Mail, Some(side)) => side.take_in(blob).await?,
            // What is not sealed is the mail side's.
            (BlobKind::Mail | BlobKind::Message | BlobKind::Receipt, None) => return Ok(()),
            _ => false,
        };
        if taken_in {
            found.taken_in += 1;
        } else {
            self.blobs.delete(blob.id).await.map_err(|error| from_store(&error))?;
            found.deleted += 1;
        }
        Ok(())
    }

    async fn is_named(&self, blob: &Blob) -> Result<bool, Failure> {
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
                    // A receipt of ours is named by the job that seals it, which is there once the envelope was opened.
                    incoming => blob.kind == BlobKind::Receipt || incoming.blobs().contains(&blob.id),
                },
            };
            if named {
                return Ok(true);
            }
        }
        Ok(false)
    }
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
