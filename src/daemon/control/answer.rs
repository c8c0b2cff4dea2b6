//! Answering: one arm for each command.

use std::sync::Arc;

use jiff::Timestamp;

use super::Out;
use super::protocol::{Command, Refused, Request};
use crate::daemon::keys::AtRest;
use crate::worker::Gateway;

/// What answers: the gateway, and what is known of the process.
pub struct Answering {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// What is kept, and its keys.
    pub at_rest: Arc<AtRest>,
    /// When the process began.
    pub started: Timestamp,
}

impl Answering {
    /// Does what is asked and writes the answer's lines; that it is whole is the caller's to say.
    pub(super) async fn answer(&self, request: Request, uid: u32, out: &mut Out) -> Result<(), Refused> {
        let by = if request.by.is_empty() { format!("uid {uid}") } else { format!("{} (uid {uid})", request.by) };
        match request.command {
            Command::Status {} => out.line(&self.gateway.overview(self.started).await?).await,
            Command::Queue { limit } => out.lines(self.gateway.waiting(limit).await?).await,
            Command::Resend { id } => out.line(&self.gateway.resend(&id, &by).await?).await,
            Command::Retry { id } => out.line(&self.gateway.try_now(&id, &by).await?).await,
            Command::RetryTo { participant } => out.lines(self.gateway.try_all_now(&participant, &by).await?).await,
            Command::Release { id } => out.lines(self.gateway.let_go(&id, &by).await?).await,
            Command::Redeliver { id } => out.line(&self.gateway.redeliver(&id, &by).await?).await,
            Command::Handled { id, reason } => out.line(&self.gateway.handled(&id, &reason, &by).await?).await,
            Command::Cancel { id } => out.line(&self.gateway.cancel(&id, &by).await?).await,
            Command::Hold { on, reason } => {
                for on in self.gateway.held_by(on).await? {
                    self.gateway.hold(on, &reason, &by).await?;
                }
                out.lines(self.gateway.holds().await?).await
            }
            Command::Unhold { on } => {
                for on in self.gateway.held_by(on).await? {
                    self.gateway.end_hold(&on, &by).await?;
                }
                out.lines(self.gateway.holds().await?).await
            }
            Command::Holds {} => out.lines(self.gateway.holds().await?).await,
            Command::Keys {} => out.lines(self.at_rest.census().await?).await,
            Command::ReloadKeys {} => out.line(&self.at_rest.reload(&by).await?).await,
            Command::Rekey {} => {
                self.at_rest.begin(&by)?;
                while let Some(progress) = self.at_rest.progress().await {
                    out.line(&progress).await?;
                }
                out.line(&self.at_rest.done()).await?;
                out.lines(self.at_rest.census().await?).await
            }
        }
    }
}
