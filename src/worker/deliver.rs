//! [`Queue::Deliver`](crate::port::Queue::Deliver): hand a message to the mail server.

use super::Gateway;
use super::effects::{Outcome, blocking, from_store, point};
use super::room::{Held, Holding};
use super::threads::Answered;
use crate::event::{Event, EventName};
use crate::failure::Failure;
use crate::inbound::{
    Incoming, Taken, deliver,
    render::{self, Render},
};
use crate::mail::address::{self, Written};
use crate::mail::thread;
use crate::outbound::retry::Next;
use crate::port::{Delivery, Lease, Op, Step};

impl Gateway {
    /// Runs a deliver job.
    pub(super) async fn deliver(&self, lease: Lease) -> Result<Outcome, Failure> {
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        let Incoming::New(mut state) = Incoming::from_record(&record)? else { return self.abandon(lease).await };
        let mailbox = self.household.mailbox(&state.arrival.organisation, &state.function);
        // The operator may have named another one since the message came.
        if let Some(mailbox) = mailbox {
            state.mailbox.clone_from(&mailbox.deliver_to);
        }
        let (mut held, delivery) = self.compose(&state).await?;
        // A slow mail server keeps the mail in memory, and nothing else.
        held.keep(Holding::Blob.need(delivery.message.len() as u64));
        if self.hand_over(&lease, state.arrival.event(self.now(), EventName::Delivered)).await? == Outcome::Overtaken {
            return Ok(Outcome::Overtaken);
        }
        point("deliver", "before-mail");
        let answer = self.sinks.of(mailbox).deliver(delivery).await;
        drop(held);
        point("deliver", "after-mail");
        let now = self.now();
        let effects = match answer {
            Ok(answer) => deliver::delivered(state, lease, &answer, now)?,
            Err(error) => {
                let next = match self.settings.delivery.next(lease.job.attempt, state.arrival.received_at, now, Self::random()) {
                    Next::At(due) => Some(due),
                    Next::GiveUp => None,
                };
                tracing::warn!(record = %lease.job.record, %error, "delivery failed");
                deliver::failed(state, lease, &error, next, now)?
            }
        };
        self.carry_out("deliver", effects).await
    }

    /// Marks that a mail is being handed over, and says so in the journal when one may have been before.
    pub(super) async fn hand_over(&self, lease: &Lease, event: Event) -> Result<Outcome, Failure> {
        let mark = self.store.note(deliver::handover(lease.job.id)).await.map_err(|error| from_store(&error))?;
        self.carry_out("hand-over", deliver::hand_over(event, lease, mark.is_some()).into()).await
    }

    async fn compose(&self, state: &Taken) -> Result<(Held, Delivery), Failure> {
        let (held, _, xml) = self.hold_blob(state.message, Holding::Rendering).await?;
        let limits = self.settings.message;
        let (domain, mailbox, at) = (self.settings.domain.clone(), state.mailbox.clone(), state.arrival.received_at);
        let (participant, postmaster) = (state.arrival.from.clone(), self.settings.postmaster.clone());
        let message_id = state.arrival.envelope_id.clone();
        let answered = self.answered_mail(state).await?;
        let (strange, answered) = (answered == Answered::Strange, answered.into_mail());
        let own = self.household.organisation(&state.arrival.organisation);
        let organisation = own.map(|organisation| organisation.name.clone());
        let label = own.and_then(|organisation| organisation.mailbox(&state.function)).and_then(|mailbox| mailbox.label.clone());
        let composed = blocking(move || {
            let content = crate::sdk::message::read(&xml, &limits).ok();
            let function = content.as_ref().and_then(|content| content.sender.function.clone());
            let written = function.as_ref().and_then(|function| address::canonical(&participant, function, &domain).ok());
            let from = written.as_ref().map_or(&postmaster, Written::address);
            let with = Render {
                gateway: &domain,
                mailbox: &mailbox,
                from,
                answered: answered.as_deref(),
                strange,
                received_at: at,
                organisation: organisation.as_deref(),
                function: label.as_deref(),
            };
            let message = render::mail(&xml, &limits, &with)?;
            let delivery = Delivery { from: thread::return_path(&message_id, &domain), to: mailbox, message, id: Some(message_id) };
            Ok::<_, Failure>((delivery, written.zip(function)))
        });
        let (delivery, written) = composed.await??;
        // An answer to a short address finds its function by this note, so the note comes first.
        if let Some((Written::Short { key, .. }, function)) = written {
            let note = Op::Note(super::reception::short_form(&key), function.to_string());
            self.carry_out("deliver.short", Step::new().op(note).into()).await?;
        }
        Ok((held, delivery))
    }
}
