//! [`Queue::Await`](crate::port::Queue::Await): a message receipt has not come in time.

use super::MailSide;
use super::effects::{Outcome, from_store};
use crate::failure::Failure;
use crate::outbound::{Outgoing, settle};
use crate::port::Lease;

impl MailSide {
    /// Runs an await job.
    pub(super) async fn attend(&self, lease: Lease) -> Result<Outcome, Failure> {
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        let Outgoing::Waiting(state) = Outgoing::from_record(&record)? else { return self.abandon(lease).await };
        let effects = settle::overdue(state.clone(), lease, self.schedule(&state.letter.organisation), self.moment())?;
        self.carry_out("await", effects).await
    }
}
