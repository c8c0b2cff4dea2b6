//! A step of which nobody can say whether it happened: the store failed while it applied it.
//!
//! Its blobs must not be deleted then, for the step may stand in the journal, and must not be left either, for a mail that
//! no record names is taken in at the next start, long after its client has handed it in again. So the store is asked,
//! once it works again.

use std::sync::Arc;
use std::time::Duration;

use super::{Company, Node};
use crate::port::Blob;

/// How long an SMTP client waits: it has 10 minutes (RFC 5321 4.5.3.2.6).
const PATIENCE: Duration = Duration::from_mins(2);

impl Node {
    /// Whether a mail whose step ended in an error is ours after all; when it is not, its blob is gone. When the store does
    /// not come back in time the answer is no, and what is found out later only decides about the blob.
    pub(super) async fn became_ours(self: &Arc<Self>, name: &'static str, blob: Blob) -> bool {
        if let Some(ours) = self.look_up(name, &blob).await {
            return ours;
        }
        let node = Arc::clone(self);
        let finding_out = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                if let Some(ours) = node.look_up(name, &blob).await {
                    return ours;
                }
            }
        });
        matches!(tokio::time::timeout(PATIENCE, finding_out).await, Ok(Ok(true)))
    }

    /// Deletes a blob if the store says that no record names it; one that it cannot say is left for the next start.
    pub(super) async fn look_up(&self, name: &str, blob: &Blob) -> Option<bool> {
        let named = self.is_named(blob).await.ok()?;
        // Among several nodes a blob is given up under a fence, when it is old.
        if !named && self.company == Company::Alone {
            self.discard(name, &[blob.id]).await;
        }
        Some(named)
    }
}
