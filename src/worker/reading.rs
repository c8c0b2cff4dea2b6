//! Messages that are read in the gateway: what waits, and opening one.

use super::MailSide;
use super::effects::{Outcome, blocking, from_store};
use super::household::Mode;
use super::room::Holding;
use crate::content::Content;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{FunctionId, ParticipantId, RecordId};
use crate::inbound::read::{self, Reader};
use crate::inbound::{Incoming, Unread};
use crate::sdk::message;

/// More messages than anybody looks through at once.
const LISTED: usize = 10_000;

impl MailSide {
    /// The messages of a mailbox that nobody has read, the oldest first. No content: opening one is another thing.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub async fn unread(&self, organisation: &ParticipantId, function: &FunctionId) -> Result<Vec<Unread>, Failure> {
        let mut unread = self.all_unread().await?;
        unread.retain(|unread| &unread.taken.arrival.organisation == organisation && &unread.taken.function == function);
        unread.sort_by_key(|unread| unread.taken.arrival.received_at);
        Ok(unread)
    }

    /// Opens a message that waits here, for a person who may read the mailbox: that is the caller's to know. `None` when there is
    /// none. That it was read, when and by whom is durable before anything is returned.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work; nothing was shown then.
    pub async fn read_message(&self, record: RecordId, by: &Reader) -> Result<Option<Content>, Failure> {
        // Somebody else may open it at the same time.
        for _ in 0..8 {
            let Some(record) = self.store.record(record).await.map_err(|error| from_store(&error))? else { return Ok(None) };
            // An outgoing message is none that is read here.
            let Ok(state) = Incoming::from_record(&record) else { return Ok(None) };
            let Some(taken) = state.clone().into_taken() else { return Ok(None) };
            let (_held, _, xml) = self.hold_blob(&taken.arrival.organisation, taken.message, Holding::Rendering).await?;
            let Some(effects) = read::opened(state, by, self.now())? else { return Ok(None) };
            if self.carry_out("read", effects).await? == Outcome::Overtaken {
                continue;
            }
            let limits = self.mail.message;
            let content = blocking(move || message::read(&xml, &limits)).await?;
            return content.map(Some).map_err(|_| Failure::permanent(Stage::Render, Blame::Us, "a kept message is no longer valid"));
        }
        Err(Failure::temporary(Stage::Render, Blame::Us, "a message is opened by many at once"))
    }

    /// At start: what waits for a mailbox that gets its messages whole by now is delivered. How many those are.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub async fn deliver_unread(&self) -> Result<usize, Failure> {
        let mut delivered = 0;
        for unread in self.all_unread().await? {
            let mailbox = self.household.mailbox(&unread.taken.arrival.organisation, &unread.taken.function);
            if mailbox.is_some_and(|mailbox| mailbox.mode == Mode::Full) {
                let outcome = self.carry_out("read", read::delivered_instead(unread, self.now())?).await?;
                // Another node may have done so, or somebody has read it.
                delivered += usize::from(outcome == Outcome::Applied);
            }
        }
        Ok(delivered)
    }

    async fn all_unread(&self) -> Result<Vec<Unread>, Failure> {
        let records = self.store.list(Incoming::UNREAD, LISTED).await.map_err(|error| from_store(&error))?;
        let mut unread = Vec::with_capacity(records.len());
        for record in records {
            if let Incoming::Unread(one) = Incoming::from_record(&record)? {
                unread.push(one);
            }
        }
        Ok(unread)
    }
}
