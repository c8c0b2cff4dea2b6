//! [`Queue::Notify`](crate::port::Queue::Notify): tell the sender what became of a mail, or the operator what needs a human.

use jiff::Timestamp;

use super::chance::fresh;
use super::effects::{Outcome as Done, from_store, point};
use super::notice::zone;
use super::{MailSide, Node, Sinks};
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::RecordId;
use crate::inbound::{Incoming, deliver};
use crate::mail::alarm::{self, Alarm, Cause};
use crate::outbound::retry::Next;
use crate::outbound::state::Ended;
use crate::outbound::{Cargo, Letter, Outgoing, Submitted};
use crate::port::{Delivery, Guard, Lease, Op, Record, SinkError, Step, Tell, Told};

/// Journal and mail of what concerns no record; both say what the event gives as its cause.
pub(super) fn announced(step: Step, event: Event, cause: Cause, hint: &str) -> Step {
    let alarm = Tell::alarm(cause, event.fields.get(&Field::Cause).map_or("", String::as_str), hint);
    let at = event.at;
    step.op(Op::Audit(event)).op(alarm.job(RecordId(fresh()), "alarm", at))
}

impl MailSide {
    /// Runs a notify job.
    pub(super) async fn notify(&self, lease: Lease) -> Result<Done, Failure> {
        let told: Told = serde_json::from_str(&lease.job.note)
            .map_err(|error| Failure::permanent(Stage::Settle, Blame::Us, format!("a notice's job cannot be read: {error}")))?;
        let record = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))?;
        let name = if matches!(told.tell, Tell::Alarm { .. }) { EventName::Alarmed } else { EventName::NoticeSent };
        let mut event = self.event_of(record.as_ref(), &lease, name);
        // An alarm about something that has no record brings its facts along.
        let facts = Tell::facts_key(lease.job.record);
        if record.is_none()
            && let Some(note) = self.store.note(facts.clone()).await.map_err(|error| from_store(&error))?
        {
            event.fields = serde_json::from_str(&note)
                .map_err(|error| Failure::permanent(Stage::Settle, Blame::Us, format!("an alarm's facts cannot be read: {error}")))?;
        }
        let since = told.since;
        let (delivery, sink, to) = match &told.tell {
            Tell::Alarm { cause, what, hint } => (self.alarm(&lease, since, *cause, what, hint, &event), self.sinks.first(), Sinks::first_way()),
            _ => match letter_of(record.as_ref()) {
                Some(letter) if self.household.sender(&letter.sender).is_none() => return self.keep_silent(lease, event).await,
                Some(letter) => match self.compose_notice(&lease, &letter, told, record.as_ref()).await? {
                    Some(delivery) => {
                        let mailbox = self.household.mailbox(&letter.organisation, &letter.function);
                        let (sink, to) = (self.sinks.of_notices(mailbox, &delivery.to), self.sinks.way_of_notices(mailbox, &delivery.to));
                        (delivery, sink, to)
                    }
                    // Reconciled with an earlier attempt: there is nothing to tell.
                    None => return self.abandon(lease).await,
                },
                None => return self.abandon(lease).await,
            },
        };
        let pass = match self.enter_mail(&to, &lease, since).await? {
            Ok(pass) => pass,
            Err(outcome) => return Ok(outcome),
        };
        let Some(repeated) = self.hand_over(&lease, event.clone()).await? else { return Ok(Done::Overtaken) };
        point("notify", "before-mail");
        let answer = if repeated { sink.deliver_again(delivery).await } else { sink.deliver(delivery).await };
        point("notify", "after-mail");
        self.leave_mail(pass, &answer).await;
        let held = Step::new().guard(Guard::Held(lease.clone())).op(Op::Forget(deliver::handover(lease.job.id)));
        let step = match answer {
            Ok(answer) => held
                .op(Op::Forget(facts))
                .op(Op::Complete(lease))
                .op(Op::Audit(Event { at: self.now(), ..event }.with(Field::MailServerAnswer, answer.text))),
            Err(error) => self.retry_notice(held, lease, event, since, &error),
        };
        self.carry_out("notify", step.into()).await
    }

    /// Who may no longer send is told nothing: the address may be somebody else's by now.
    async fn keep_silent(&self, lease: Lease, event: Event) -> Result<Done, Failure> {
        let event = Event { name: EventName::MailDropped, ..event }.with(Field::Cause, "a notice to an address that may no longer send");
        self.carry_out("notify", Step::new().op(Op::Complete(lease)).op(Op::Audit(event)).into()).await
    }

    fn retry_notice(&self, held: Step, lease: Lease, event: Event, since: Timestamp, error: &SinkError) -> Step {
        tracing::warn!(record = %lease.job.record, %error, "a notice cannot be delivered");
        let now = self.now();
        let next = match error {
            // Nobody is told that a notice cannot be delivered: that is how loops begin.
            SinkError::Permanent(_) => Next::GiveUp,
            SinkError::Temporary(_) | SinkError::Unknown(_) => self.mail.delivery.next(lease.job.attempt, since, self.moment(), Node::random()),
        };
        let name = match (next, error) {
            (Next::GiveUp, _) => EventName::Faulted,
            (Next::At(_), SinkError::Unknown(_)) => EventName::PossibleDuplicate,
            (Next::At(_), _) => EventName::DeliveryDeferred,
        };
        let event = Event { at: now, name, ..event }.with(Field::Cause, error).with(Field::Attempt, lease.job.attempt + 1);
        let note = lease.job.note.clone();
        match next {
            Next::At(due) => held.op(Op::Audit(event.with(Field::NextAttempt, due))).op(Op::Reschedule { lease, due, note }),
            Next::GiveUp => held.op(Op::Audit(event)).op(Op::Forget(Tell::facts_key(lease.job.record))).op(Op::Complete(lease)),
        }
    }

    fn event_of(&self, record: Option<&Record>, lease: &Lease, name: EventName) -> Event {
        let now = self.now();
        if let Some(letter) = letter_of(record) {
            return Cargo::Letter(letter).event(now, name);
        }
        if let Some(incoming) = record.and_then(|record| Incoming::from_record(record).ok()) {
            return incoming.arrival().event(now, name);
        }
        let mut event = Event::new(now, name);
        event.record = Some(lease.job.record);
        event
    }

    fn alarm(&self, lease: &Lease, at: Timestamp, cause: Cause, what: &str, hint: &str, event: &Event) -> Delivery {
        let mut facts = vec![("åtgärd / hint", hint.to_owned()), ("record", lease.job.record.to_string())];
        facts.extend(event.organisation.as_ref().map(|organisation| ("organisation", organisation.to_string())));
        let names = [
            (Field::MessageId, "messageId"),
            (Field::ReceiptId, "receipt id"),
            (Field::As4MessageId, "AS4 MessageId"),
            (Field::As4ConversationId, "AS4 ConversationId"),
            (Field::OriginalSender, "originalSender"),
            (Field::FinalRecipient, "finalRecipient"),
            (Field::PeerAccessPoint, "access point"),
            (Field::PeerCertificate, "certificate (SHA-256)"),
            (Field::PeerSignature, "signature (SHA-256)"),
            (Field::ErrorCode, "error"),
            (Field::PeerAddress, "address"),
            (Field::MailMessageId, "Message-ID"),
        ];
        facts.extend(names.into_iter().filter_map(|(field, name)| Some((name, event.fields.get(&field)?.clone()))));
        let zone = zone();
        let (gateway, to) = (&self.settings.domain, &self.mail.operator);
        let alarm = Alarm { cause, id: lease.job.id.0, at, zone: &zone, gateway, to, what, facts: &facts };
        Delivery { from: None, to: to.clone(), message: alarm::compose(&alarm), id: None }
    }
}

/// The letter that a record is about.
fn letter_of(record: Option<&Record>) -> Option<Letter> {
    match Outgoing::from_record(record?).ok()? {
        Outgoing::Scheduled(state) => Some(state.letter),
        Outgoing::Held(state) => Some(state.letter),
        Outgoing::Waiting(state) => Some(state.letter),
        Outgoing::Submitted(Submitted { cargo: Cargo::Letter(letter), .. }) | Outgoing::Ended(Ended { cargo: Cargo::Letter(letter), .. }) => {
            Some(letter)
        }
        Outgoing::Submitted(_) | Outgoing::Ended(_) => None,
    }
}
