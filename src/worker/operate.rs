//! What an operator asks for: a message is sent again, tried now, let go, delivered once more, stopped, or seen to.
//!
//! Each is one step with the operator's name in the journal, or a refusal that says why it makes no sense.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effects::{Outcome, from_store};
use super::{HoldOn, Node};
use crate::event::{EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{ConversationId, MessageId, ParticipantId, RecordId};
use crate::inbound::Incoming;
use crate::outbound::accept::Link;
use crate::outbound::operate::Left;
use crate::outbound::retry::later;
use crate::outbound::{Held, Outgoing};
use crate::port::{BlobKind, Guard, Job, JobId, Op, Queue, Record, State, Step, StoreError};

/// Messages of one pair of functions, or to one destination, that are looked at in one go.
const MANY: usize = 10_000;
/// How long a job is kept out of the way while it is seen whether its message may be stopped.
const ASIDE: Duration = Duration::from_mins(10);
/// How often a record is read again that changes under our hands.
const TRIES: usize = 5;

/// What was done to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Did {
    /// The record.
    pub record: RecordId,
    /// The state that it is in now.
    pub state: State,
}

/// What a hold is to be put on, as an operator names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A message, by messageId or record.
    Message(String),
    /// A conversation.
    Conversation(ConversationId),
    /// An organisation of ours.
    Organisation(ParticipantId),
}

impl Node {
    /// Sends a message again that ended without outcome.
    ///
    /// # Errors
    /// A [`Failure`] that says why it makes no sense, or that the store does not work.
    pub async fn resend(&self, id: &str, by: &str) -> Result<Did, Failure> {
        let record = self.one(id, |record| Outgoing::from_record(record).is_ok()).await?;
        for _ in 0..TRIES {
            let Some(now_kept) = self.kept(record).await? else { break };
            let Outgoing::Ended(ended) = Outgoing::from_record(&now_kept)? else { return Err(refused("it has not ended; it is still being sent")) };
            let (mut spent, mut envelope) = (Vec::new(), None);
            for id in &ended.kept {
                match self.blobs.open(*id).await {
                    Ok((blob, ..)) if blob.kind == BlobKind::Envelope => {
                        envelope = Some(*id);
                        spent.push(*id);
                    }
                    Ok((blob, ..)) if blob.kind == BlobKind::Request => spent.push(*id),
                    Ok(_) | Err(StoreError::Missing(_)) => {}
                    Err(error) => return Err(from_store(&error)),
                }
            }
            let left = Left { envelope, spent, as4_id: self.new_as4_id()? };
            let effects = crate::outbound::operate::resend(ended, &left, by, self.now())?;
            if self.carry_out("operate.resend", effects).await? == Outcome::Applied {
                return self.did(record).await;
            }
        }
        Err(changing())
    }

    /// Tries now what waits for its next attempt.
    ///
    /// # Errors
    /// A [`Failure`] that says why it makes no sense, or that the store does not work.
    pub async fn try_now(&self, id: &str, by: &str) -> Result<Did, Failure> {
        let record = self.one(id, |_| true).await?;
        let kept = self.kept(record).await?.ok_or_else(changing)?;
        let name = match Outgoing::from_record(&kept) {
            Ok(Outgoing::Scheduled(_)) => "seal",
            Ok(Outgoing::Submitted(_)) => "send",
            Ok(Outgoing::Held(_)) => return Err(refused("it is kept back; `brevbro release` lets it go")),
            Ok(Outgoing::Waiting(_)) => return Err(refused("the other access point has it; its message receipt is awaited")),
            Ok(Outgoing::Ended(_)) => return Err(refused("it has ended; `brevbro resend` sends it again where that makes sense")),
            Err(_) => match Incoming::from_record(&kept)? {
                Incoming::Retrieved(_) => "open",
                Incoming::New(_) => "deliver",
                _ => return Err(refused("nothing is left to try; `brevbro redeliver` delivers it once more")),
            },
        };
        let job = self.store.job(JobId::of(record, name)).await.map_err(|error| from_store(&error))?;
        let Some(job) = job.filter(|job| job.due > self.now()) else { return Err(refused("it is being tried just now")) };
        if !self.hasten(&kept, job, by).await? {
            return Err(changing());
        }
        self.did(record).await
    }

    /// Tries now all that waits for its next attempt to an organisation.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub async fn try_all_now(&self, to: &ParticipantId, by: &str) -> Result<Vec<Did>, Failure> {
        let mut tried = Vec::new();
        for queue in [Queue::Seal, Queue::Send] {
            for job in self.store.jobs(queue, self.now(), MANY).await.map_err(|error| from_store(&error))? {
                let Some(kept) = self.kept(job.record).await? else { continue };
                let Ok(outgoing) = Outgoing::from_record(&kept) else { continue };
                let waits = matches!(outgoing, Outgoing::Scheduled(_) | Outgoing::Submitted(_)) && job.due > self.now();
                if waits && outgoing.cargo().participant() == to && self.hasten(&kept, job, by).await? {
                    tried.push(Did { record: kept.id, state: kept.state });
                }
            }
        }
        Ok(tried)
    }

    /// A job that nobody runs is due now. Whether it was still there.
    async fn hasten(&self, kept: &Record, job: Job, by: &str) -> Result<bool, Failure> {
        let now = self.now();
        let event = match Outgoing::from_record(kept) {
            Ok(outgoing) => outgoing.cargo().event(now, EventName::TriedNow),
            Err(_) => Incoming::from_record(kept)?.arrival().event(now, EventName::TriedNow),
        };
        let event = event.with(Field::Operator, by).with(Field::Attempt, job.attempt);
        let step = Step::new().guard(Guard::In(kept.id, kept.state.clone())).op(Op::Hasten(job.id, now)).op(Op::Audit(event));
        self.lanes.insist(job.id);
        Ok(self.carry_out("operate.now", step.into()).await? == Outcome::Applied)
    }

    /// Lets a message go that was kept back, and all others of its pair of functions with it.
    ///
    /// # Errors
    /// A [`Failure`] when it is not kept back, or the store does not work.
    pub async fn let_go(&self, id: &str, by: &str) -> Result<Vec<Did>, Failure> {
        let record = self.one(id, |record| record.state == Outgoing::HELD).await?;
        let kept = self.kept(record).await?.ok_or_else(changing)?;
        let Outgoing::Held(Held { letter: first, .. }) = Outgoing::from_record(&kept)? else { return Err(refused("it is not kept back")) };
        let mut gone = Vec::new();
        for record in self.store.list(Outgoing::HELD, MANY).await.map_err(|error| from_store(&error))? {
            let Outgoing::Held(state) = Outgoing::from_record(&record)? else { continue };
            let ends = |letter: &crate::outbound::Letter| {
                (letter.organisation.folded(), letter.function.folded(), letter.participant.folded(), letter.to_function.folded())
            };
            if ends(&state.letter) != ends(&first) {
                continue;
            }
            // What was counted is forgotten with it, or it would be kept back again.
            let step = crate::outbound::operate::let_go(state, by, self.now())?.op(Op::Forget(super::loops::counted(&first)));
            if self.carry_out("operate.release", step.into()).await? == Outcome::Applied {
                gone.push(self.did(record.id).await?);
            }
        }
        Ok(gone)
    }

    /// Delivers a received message once more.
    ///
    /// # Errors
    /// A [`Failure`] that says why it makes no sense, or that the store does not work.
    pub async fn redeliver(&self, id: &str, by: &str) -> Result<Did, Failure> {
        self.with_incoming(id, "operate.redeliver", |state| crate::inbound::operate::redeliver(state, by, self.now())).await
    }

    /// Notes that an operator has seen to a received message that came back, could not be delivered or was not read.
    ///
    /// # Errors
    /// A [`Failure`] that says why it makes no sense, or that the store does not work.
    pub async fn handled(&self, id: &str, why: &str, by: &str) -> Result<Did, Failure> {
        self.with_incoming(id, "operate.handled", |state| crate::inbound::operate::handled(state, why, by, self.now())).await
    }

    async fn with_incoming(&self, id: &str, name: &str, step: impl Fn(Incoming) -> Result<Step, Failure>) -> Result<Did, Failure> {
        let record = self.one(id, |record| Incoming::from_record(record).is_ok()).await?;
        for _ in 0..TRIES {
            let Some(kept) = self.kept(record).await? else { break };
            if self.carry_out(name, step(Incoming::from_record(&kept)?)?.into()).await? == Outcome::Applied {
                return self.did(record).await;
            }
        }
        Err(changing())
    }

    /// Stops a message that has not left.
    ///
    /// # Errors
    /// A [`Failure`] when it may have left, or the store does not work.
    pub async fn cancel(&self, id: &str, by: &str) -> Result<Did, Failure> {
        let record = self.one(id, |record| Outgoing::from_record(record).is_ok()).await?;
        let kept = self.kept(record).await?.ok_or_else(changing)?;
        if kept.state == Outgoing::SUBMITTED {
            self.put_aside(&kept).await?;
        }
        // Whoever took the job before has said in the record that its attempt may have arrived; nobody can take it now.
        let kept = self.kept(record).await?.ok_or_else(changing)?;
        let step = crate::outbound::operate::cancel(&Outgoing::from_record(&kept)?, by, self.now());
        let outcome = match step {
            Ok(step) => self.carry_out("operate.cancel", step.into()).await?,
            Err(refusal) => {
                self.take_up(record).await?;
                return Err(refusal);
            }
        };
        if outcome == Outcome::Applied { self.did(record).await } else { Err(changing()) }
    }

    /// Takes a send job away from whoever has it, for a while.
    async fn put_aside(&self, kept: &Record) -> Result<(), Failure> {
        let Some(job) = self.store.job(JobId::of(kept.id, "send")).await.map_err(|error| from_store(&error))? else { return Ok(()) };
        let step = Step::new().guard(Guard::In(kept.id, Outgoing::SUBMITTED)).op(Op::Cancel(job.id));
        let aside = Op::Enqueue(Job { due: later(self.now(), ASIDE), ..job });
        self.carry_out("operate.aside", step.op(aside).into()).await.map(|_| ())
    }

    async fn take_up(&self, record: RecordId) -> Result<(), Failure> {
        let Some(job) = self.store.job(JobId::of(record, "send")).await.map_err(|error| from_store(&error))? else { return Ok(()) };
        let step = Step::new().guard(Guard::In(record, Outgoing::SUBMITTED)).op(Op::Cancel(job.id)).op(Op::Enqueue(Job { due: self.now(), ..job }));
        self.carry_out("operate.aside", step.into()).await.map(|_| ())
    }

    /// What a hold is on: each record of a message, or what was named.
    ///
    /// # Errors
    /// A [`Failure`] when there is no such message.
    pub async fn held_by(&self, target: Target) -> Result<Vec<HoldOn>, Failure> {
        match target {
            Target::Message(id) => {
                let found = self.find(&id).await?;
                if found.is_empty() { Err(unknown(&id)) } else { Ok(found.into_iter().map(|record| HoldOn::Message(record.id)).collect()) }
            }
            Target::Conversation(conversation) => Ok(vec![HoldOn::Conversation(conversation)]),
            Target::Organisation(organisation) => Ok(vec![HoldOn::Organisation(organisation)]),
        }
    }

    /// Every record of an id: the record itself, or what was sent or received as the SDK message of that id.
    async fn find(&self, id: &str) -> Result<Vec<Record>, Failure> {
        let id = id.trim();
        let mut names: Vec<RecordId> = uuid::Uuid::parse_str(id).ok().map(RecordId).into_iter().collect();
        if let Ok(message) = MessageId::new(id) {
            for key in [Link::sent(&message), Link::received(&message)] {
                let note = self.store.note(key).await.map_err(|error| from_store(&error))?;
                names.extend(note.as_deref().and_then(Link::from_note).map(|link| link.record));
            }
        }
        let mut found: Vec<Record> = Vec::new();
        for name in names {
            found.extend(self.kept(name).await?);
        }
        Ok(found)
    }

    /// The one record of an id that is meant.
    async fn one(&self, id: &str, is_meant: impl Fn(&Record) -> bool) -> Result<RecordId, Failure> {
        let found = self.find(id).await?;
        let first = found.first().map(|record| record.id);
        found.iter().find(|record| is_meant(record)).map(|record| record.id).or(first).ok_or_else(|| unknown(id))
    }

    async fn kept(&self, id: RecordId) -> Result<Option<Record>, Failure> {
        self.store.record(id).await.map_err(|error| from_store(&error))
    }

    async fn did(&self, record: RecordId) -> Result<Did, Failure> {
        let state = self.kept(record).await?.map_or(State::new("gone"), |kept| kept.state);
        Ok(Did { record, state })
    }
}

fn refused(why: &str) -> Failure {
    Failure::permanent(Stage::Settle, Blame::Us, why)
}

fn unknown(id: &str) -> Failure {
    refused(&format!("no message {id} is known here")).hint("name its messageId or its record, as `brevbro trace` shows them")
}

fn changing() -> Failure {
    Failure::temporary(Stage::Settle, Blame::Us, "it changes just now").hint("try again")
}
