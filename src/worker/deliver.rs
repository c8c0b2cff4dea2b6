//! [`Queue::Deliver`](crate::port::Queue::Deliver): hand a message to the mail server.

use super::effects::{Outcome, blocking, from_store, point};
use super::household::Mode;
use super::notice::zone;
use super::room::{Held, Holding};
use super::threads::Answered;
use super::{MailSide, Node};
use crate::event::Event;
use crate::failure::Failure;
use crate::inbound::{
    Incoming, Taken, deliver, read,
    render::{self, Render},
    told,
};
use crate::mail::address::{self, Written};
use crate::mail::compose::{Told, Waiting};
use crate::mail::thread;
use crate::outbound::retry::{Next, later};
use crate::port::{Delivery, Lease, Op, Step};

impl MailSide {
    /// Runs a deliver job.
    pub(super) async fn deliver(&self, lease: Lease) -> Result<Outcome, Failure> {
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        let state = Incoming::from_record(&record)?;
        let Some(mut taken) = state.clone().into_taken() else { return self.abandon(lease).await };
        let mailbox = self.household.mailbox(&taken.arrival.organisation, &taken.function);
        // The operator may have named another one since the message came.
        if let Some(mailbox) = mailbox {
            taken.mailbox.clone_from(&mailbox.deliver_to);
        }
        let mode = mailbox.map_or(Mode::Full, |mailbox| mailbox.mode);
        let told = match (&state, mode) {
            (Incoming::New(_), Mode::Full) => None,
            (Incoming::New(_), Mode::Notice(_)) => Some(Told::First),
            (Incoming::Unread(_), _) if lease.job.id == read::reminder(&taken) => Some(Told::Again),
            _ => return self.abandon(lease).await,
        };
        let to = self.sinks.way(mailbox);
        let pass = match self.enter_mail(&to, &lease, taken.arrival.received_at).await? {
            Ok(pass) => pass,
            Err(outcome) => return Ok(outcome),
        };
        let (mut held, delivery) = self.compose(&taken, told).await?;
        // A slow mail server keeps the mail in memory, and nothing else.
        held.keep(Holding::Blob.need(delivery.message.len() as u64));
        let event = told::handing_over(&taken, self.now());
        let Some(repeated) = self.hand_over(&lease, event).await? else { return Ok(Outcome::Overtaken) };
        point("deliver", "before-mail");
        let sink = self.sinks.of(mailbox);
        let answer = if repeated { sink.deliver_again(delivery).await } else { sink.deliver(delivery).await };
        drop(held);
        point("deliver", "after-mail");
        self.leave_mail(pass, &answer).await;
        let moment = self.moment();
        let now = moment.now;
        let effects = match (answer, state) {
            (Ok(answer), Incoming::Unread(state)) => read::reminded(state, lease, &answer, now)?,
            (Ok(answer), _) => match mode {
                Mode::Full => deliver::delivered(taken, lease, &answer, now)?,
                Mode::Notice(remind) => read::told(taken, lease, &answer, remind.map(|after| later(now, after)), now)?,
            },
            (Err(error), state) => {
                let since = if told == Some(Told::Again) { lease.job.due } else { taken.arrival.received_at };
                let next = match self.mail.delivery.next(lease.job.attempt, since, moment, Node::random()) {
                    Next::At(due) => Some(due),
                    Next::GiveUp => None,
                };
                tracing::warn!(record = %lease.job.record, %error, "delivery failed");
                match state {
                    Incoming::Unread(state) => read::reminder_failed(&state, lease, &error, next, now).into(),
                    _ => deliver::failed(taken, lease, &error, next, now)?,
                }
            }
        };
        self.carry_out("deliver", effects).await
    }

    /// Marks that a mail is being handed over, and says so in the journal when one may have been before. Whether this is
    /// another attempt; `None` when the job is somebody else's.
    pub(super) async fn hand_over(&self, lease: &Lease, event: Event) -> Result<Option<bool>, Failure> {
        let mark = self.store.note(deliver::handover(lease.job.id)).await.map_err(|error| from_store(&error))?;
        let outcome = self.carry_out("hand-over", deliver::hand_over(event, lease, mark.is_some()).into()).await?;
        Ok((outcome == Outcome::Applied).then_some(mark.is_some() || lease.job.attempt > 0))
    }

    /// The mail of a message, or the one that tells of it.
    async fn compose(&self, state: &Taken, told: Option<Told>) -> Result<(Held, Delivery), Failure> {
        let (held, _, xml) = self.hold_blob(&state.arrival.organisation, state.message, Holding::Rendering).await?;
        let limits = self.mail.message;
        let (domain, mailbox, at) = (self.settings.domain.clone(), state.mailbox.clone(), state.arrival.received_at);
        let (participant, postmaster) = (state.arrival.from.clone(), self.mail.postmaster.clone());
        let message_id = state.arrival.envelope_id.clone();
        let answered = self.answered_mail(state).await?;
        let (strange, answered) = (answered == Answered::Strange, answered.into_mail());
        let own = self.household.organisation(&state.arrival.organisation);
        let organisation = own.map(|organisation| organisation.name.clone());
        let label = own.and_then(|organisation| organisation.mailbox(&state.function)).and_then(|mailbox| mailbox.label.clone());
        let place = self.mail.reading.clone();
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
            let message = match told {
                None => render::mail(&xml, &limits, &with)?,
                Some(told) => render::notice(&xml, &limits, &with, &Waiting { told, place: place.as_deref(), zone: &zone() })?,
            };
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
