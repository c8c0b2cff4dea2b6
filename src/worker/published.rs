//! What the federation's register says of a sender: both sides ask, each for its own rule.

use super::Node;
use crate::ident::{DocumentKind, ParticipantId};
use crate::port::{DirectoryError, Freshness, Metadata};

impl Node {
    /// A sender's certificates: under the receipt document, else under the message document (wire decision, SDK C3.4.5 3).
    pub(super) async fn published(&self, sender: &ParticipantId, freshness: Freshness) -> Result<Metadata, DirectoryError> {
        match self.directory.metadata(sender, DocumentKind::Receipt, freshness).await {
            Ok(metadata) if !metadata.signing.is_empty() => Ok(metadata),
            Ok(_) | Err(DirectoryError::UnknownDocument { .. }) => self.directory.metadata(sender, DocumentKind::Message, freshness).await,
            Err(error) => Err(error),
        }
    }
}
