//! [`Queue::Notify`](crate::port::Queue::Notify): tell the sender what became of a mail, or the operator what needs a human.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Gateway;
use super::effects::{Outcome as Done, blocking, from_store, point};
use super::room::Holding;
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::inbound::{Incoming, deliver};
use crate::mail::alarm::{self, Alarm, Cause};
use crate::mail::convert::{self, Note};
use crate::mail::notice::{self, Attempts, Notice, Outcome, RejectedLine, Service, Verdict};
use crate::outbound::retry::Next;
use crate::outbound::seal;
use crate::outbound::state::Ended;
use crate::outbound::{Cargo, Letter, Outgoing, Submitted};
use crate::port::{Delay, Delivery, Fail, Guard, Lease, Op, Record, SinkError, Step, Tell, Told};
use crate::sdk::receipt;

impl Gateway {
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
        let (delivery, sink) = match &told.tell {
            Tell::Alarm { cause, what, hint } => (self.alarm(&lease, since, *cause, what, hint, &event), self.sinks.first()),
            _ => match letter_of(record.as_ref()) {
                Some(letter) => match self.compose_notice(&lease, &letter, told, self.missing(record.as_ref())).await? {
                    Some(delivery) => (delivery, self.sinks.of(self.household.mailbox(&letter.organisation, &letter.function))),
                    // Reconciled with an earlier attempt: there is nothing to tell.
                    None => return self.abandon(lease).await,
                },
                None => return self.abandon(lease).await,
            },
        };
        if self.hand_over(&lease, event.clone()).await? == Done::Overtaken {
            return Ok(Done::Overtaken);
        }
        point("notify", "before-mail");
        let answer = sink.deliver(delivery).await;
        point("notify", "after-mail");
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

    fn retry_notice(&self, held: Step, lease: Lease, event: Event, since: Timestamp, error: &SinkError) -> Step {
        tracing::warn!(record = %lease.job.record, %error, "a notice cannot be delivered");
        let now = self.now();
        let next = match error {
            // Nobody is told that a notice cannot be delivered: that is how loops begin.
            SinkError::Permanent(_) => Next::GiveUp,
            SinkError::Temporary(_) | SinkError::Unknown(_) => self.settings.delivery.next(lease.job.attempt, since, now, Self::random()),
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
        let settings = &self.settings;
        let alarm = Alarm { cause, id: lease.job.id.0, at, zone: &zone, gateway: &settings.domain, to: &settings.operator, what, facts: &facts };
        Delivery { from: None, to: settings.operator.clone(), message: alarm::compose(&alarm), id: None }
    }

    /// What was missing in the message that was sealed of a record.
    fn missing(&self, record: Option<&Record>) -> Vec<Note> {
        let blobs = record.and_then(|record| Outgoing::from_record(record).ok()).map(|outgoing| outgoing.blobs()).unwrap_or_default();
        blobs.into_iter().filter_map(|blob| self.blobs.open(blob).ok()).flat_map(|(blob, ..)| seal::missing(&blob)).collect()
    }

    async fn compose_notice(&self, lease: &Lease, letter: &Letter, told: Told, missing: Vec<Note>) -> Result<Option<Delivery>, Failure> {
        let (_held, _, original) = self.hold_blob(letter.mail, Holding::Mail).await?;
        let evidence = match &told.tell {
            Tell::Accepted { receipt, .. } | Tell::Rejected { receipt, .. } => Some(self.read_blob(*receipt).await?.1),
            _ => None,
        };
        let policy = self
            .household
            .organisation(&letter.organisation)
            .and_then(|organisation| organisation.mailbox(&letter.function))
            .map(|mailbox| mailbox.policy.clone())
            .unwrap_or_default();
        let (id, at, gateway, letter) = (lease.job.id.0, told.since, self.settings.domain.clone(), letter.clone());
        blocking(move || {
            let files = || convert::outgoing(&original, &policy).map(|mail| mail.files.into_iter().map(|file| file.name).collect::<Vec<_>>());
            let Some(outcome) = outcome(&told.tell, evidence.as_deref(), || files().unwrap_or_default()) else { return Ok(None) };
            let zone = zone();
            let recipient_name = format!("{}, {}", letter.to_function, letter.participant.as_str().trim_start_matches("0203:"));
            let notice = Notice {
                outcome: &outcome,
                id,
                at,
                zone: &zone,
                gateway: &gateway,
                to: &letter.sender,
                recipient: &letter.address,
                recipient_name: &recipient_name,
                original_recipient: letter.orcpt.as_deref(),
                envelope_id: letter.envid.as_deref(),
                accepted_at: letter.accepted_at,
                original: &original,
                case: letter.message_id.as_str(),
                evidence: evidence.as_deref(),
                notes: &missing,
            };
            let message = notice::compose(&notice)
                .map_err(|error| Failure::permanent(Stage::Settle, Blame::Us, format!("a notice cannot be made: {error}")))?;
            Ok(Some(Delivery { from: None, to: letter.sender.clone(), message, id: None }))
        })
        .await?
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

/// Where the readers are.
pub(super) fn zone() -> TimeZone {
    TimeZone::get("Europe/Stockholm").unwrap_or(TimeZone::UTC)
}

/// What the notice says; `None` when there is nothing to say.
fn outcome(told: &Tell, evidence: Option<&[u8]>, files: impl FnOnce() -> Vec<crate::content::Redacted<String>>) -> Option<Outcome> {
    Some(match told {
        Tell::Accepted { at, late: false, .. } => Outcome::Accepted { at: *at },
        Tell::Accepted { at, late: true, .. } => Outcome::LateReceipt { at: *at, verdict: Verdict::Accepted },
        Tell::Rejected { at, late: true, .. } => Outcome::LateReceipt { at: *at, verdict: Verdict::Rejected },
        Tell::Rejected { .. } => return rejected(evidence?, &files()),
        Tell::Delayed { why: Delay::Receipt { acknowledged }, until } => Outcome::AwaitingReceipt { acknowledged: *acknowledged, until: *until },
        Tell::Delayed { why: Delay::Held, until } => Outcome::Held { until: *until },
        Tell::Delayed { why: Delay::AccessPoint { next }, until } => {
            Outcome::Unreachable { service: Service::AccessPoint, next: *next, last: *until }
        }
        Tell::Delayed { why: Delay::Directory { next }, until } => Outcome::Unreachable { service: Service::Directory, next: *next, last: *until },
        Tell::Failed { why } => match why {
            Fail::AccessPoint => Outcome::GaveUp { service: Service::AccessPoint },
            Fail::Unproven => Outcome::Unproven,
            Fail::Directory => Outcome::GaveUp { service: Service::Directory },
            Fail::NoReceipt { acknowledged } => Outcome::NoReceipt { acknowledged: *acknowledged },
            Fail::NotRegistered => Outcome::OrganisationUnknown,
            Fail::Certificate => Outcome::CertificateBad,
            Fail::NotServed => Outcome::NotServed,
            Fail::RefusedByPeer | Fail::Internal => Outcome::Faulty,
        },
        Tell::Alarm { .. } => return None,
    })
}

fn rejected(evidence: &[u8], files: &[crate::content::Redacted<String>]) -> Option<Outcome> {
    let Ok(receipt) = receipt::read(evidence) else { return Some(Outcome::Faulty) };
    let receipt::Outcome::Rejected(breaches) = receipt.outcome else { return Some(Outcome::Faulty) };
    let lines: Vec<RejectedLine<'_>> = breaches
        .iter()
        .map(|breach| RejectedLine { code: breach.code.as_str(), detail: breach.detail.as_str().unwrap_or_default(), line_id: &breach.line })
        .collect();
    Outcome::rejected(&lines, Attempts::First, files)
}
