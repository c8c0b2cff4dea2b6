//! Answering: one arm for each command.

use std::sync::Arc;

use jiff::Timestamp;

use super::Out;
use super::protocol::{Command, Refused, Request};
use crate::worker::Gateway;

/// What answers: the gateway, and what is known of the process.
pub struct Answering {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// When the process began.
    pub started: Timestamp,
}

impl Answering {
    /// Does what is asked and writes the answer's lines; that it is whole is the caller's to say.
    pub(super) async fn answer(&self, request: Request, uid: u32, out: &mut Out) -> Result<(), Refused> {
        let _by = if request.by.is_empty() { format!("uid {uid}") } else { format!("{} (uid {uid})", request.by) };
        match request.command {
            Command::Status {} => out.line(&self.gateway.overview(self.started).await?).await,
            Command::Queue { limit } => {
                for waiting in self.gateway.waiting(limit).await? {
                    out.line(&waiting).await?;
                }
                Ok(())
            }
        }
    }
}
