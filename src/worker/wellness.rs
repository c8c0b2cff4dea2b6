//! The operator is told that the store did not work, as soon as it works again.

use std::time::Duration;

use jiff::Timestamp;

use super::Gateway;
use super::chance::fresh;
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::RecordId;
use crate::mail::alarm::Cause;
use crate::port::{Op, Step, Tell};

/// How often the store is looked at. What lasts shorter is in the log only.
const LOOK: Duration = Duration::from_secs(5);

impl Gateway {
    /// Watches for as long as it is polled.
    pub async fn watch_store(&self) {
        let mut since: Option<Timestamp> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            match (self.store.health().await.working, since) {
                (false, None) => since = Some(self.now()),
                // Told again until it is in the journal.
                (true, Some(began)) => match self.tell_of_standstill(began).await {
                    Ok(()) => since = None,
                    Err(failure) => tracing::warn!(what = failure.what, "the operator cannot be told yet that the store did not work"),
                },
                _ => {}
            }
        }
    }

    async fn tell_of_standstill(&self, began: Timestamp) -> Result<(), Failure> {
        let now = self.now();
        let what = format!("the store did not work from {began:.0} to {now:.0}; mails and messages of that time were told to come again");
        let hint = "see in the log of brevbro and of the system what the disk had; nothing that was acknowledged is lost";
        let event = Event::new(now, EventName::Faulted).with(Field::Cause, &what);
        let alarm = Tell::alarm(Cause::Fault, &what, hint).job(RecordId(fresh()), "alarm", now);
        self.carry_out("store.watch", Step::new().op(Op::Audit(event)).op(alarm).into()).await.map(drop)
    }
}
