//! Holds: nothing of a message, a conversation or an organisation is deleted until further notice.
//!
//! A hold is a record of its own, named after what it is on: whether there is one is asked by name, and a step that
//! deletes is guarded by there being none.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Node;
use super::effects::{Outcome, from_store};
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{ConversationId, ParticipantId, RecordId};
use crate::port::{Guard, Job, JobId, Op, Queue, Record, State, Step};

/// The state of a hold's record.
const HOLD: State = State::new("hold");
/// The version of its stored form.
const VERSION: u8 = 1;
/// More holds than anybody keeps in mind.
const LISTED: usize = 10_000;
/// So many deletions that wait are looked at again when a hold ends; the others follow within a day.
const WOKEN: usize = 10_000;

/// What a hold is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldOn {
    /// One message, by its record.
    Message(RecordId),
    /// All messages of a conversation.
    Conversation(ConversationId),
    /// All messages of an organisation of ours.
    Organisation(ParticipantId),
}

impl HoldOn {
    /// The name of its record.
    fn record(&self) -> RecordId {
        let name = match self {
            Self::Message(record) => format!("hold message {record}"),
            Self::Conversation(conversation) => format!("hold conversation {}", conversation.as_str().to_ascii_lowercase()),
            Self::Organisation(organisation) => format!("hold organisation {}", organisation.folded()),
        };
        RecordId(JobId::of(RecordId(Uuid::nil()), &name).0)
    }

    fn event(&self, now: Timestamp, name: EventName) -> Event {
        let event = Event::new(now, name);
        match self {
            Self::Message(record) => Event { record: Some(*record), ..event },
            Self::Conversation(conversation) => event.with(Field::ConversationId, conversation),
            Self::Organisation(organisation) => Event { organisation: Some(organisation.clone()), ..event },
        }
    }
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// On what.
    pub on: HoldOn,
    /// Why: a case number, the name of who asked.
    pub reason: String,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The holds that a message can be under.
pub(super) fn over(record: RecordId, conversation: Option<&ConversationId>, organisation: &ParticipantId) -> Vec<RecordId> {
    let own = [HoldOn::Message(record), HoldOn::Organisation(organisation.clone())];
    own.into_iter().chain(conversation.map(|id| HoldOn::Conversation(id.clone()))).map(|on| on.record()).collect()
}

impl Node {
    /// Holds.
    ///
    /// # Errors
    /// A [`Failure`] when there is a hold on it, or the store does not work.
    pub async fn hold(&self, on: HoldOn, reason: &str, by: &str) -> Result<(), Failure> {
        let now = self.now();
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        let event = on.event(now, EventName::HoldSet).with(Field::Operator, by).with(Field::Cause, &reason);
        let hold = Hold { reason, by: by.to_owned(), at: now, on };
        let record = Record::of(hold.on.record(), HOLD, VERSION, &hold)?;
        let step = Step::new().guard(Guard::New(record.id)).op(Op::Put(record)).op(Op::Audit(event));
        match self.carry_out("hold.set", step.into()).await? {
            Outcome::Applied => Ok(()),
            Outcome::Overtaken => Err(Failure::permanent(Stage::Store, Blame::Us, "there is a hold on it already")),
        }
    }

    /// Ends a hold; what is due by now is deleted.
    ///
    /// # Errors
    /// A [`Failure`] when there is none, or the store does not work.
    pub async fn end_hold(&self, on: &HoldOn, by: &str) -> Result<(), Failure> {
        let now = self.now();
        let event = on.event(now, EventName::HoldEnded).with(Field::Operator, by);
        let step = Step::new().guard(Guard::In(on.record(), HOLD)).op(Op::Remove(on.record())).op(Op::Audit(event));
        if self.carry_out("hold.end", step.into()).await? == Outcome::Overtaken {
            return Err(Failure::permanent(Stage::Store, Blame::Us, "there is no hold on it"));
        }
        let waiting = self.store.jobs(Queue::Purge, Timestamp::MIN, WOKEN).await.map_err(|error| from_store(&error))?;
        for chunk in waiting.into_iter().filter(|job| job.note == super::purge::HELD).collect::<Vec<_>>().chunks(100) {
            let wake = |step: Step, job: &Job| step.op(Op::Hasten(job.id, now));
            self.carry_out("hold.wake", chunk.iter().fold(Step::new(), wake).into()).await?;
        }
        Ok(())
    }

    /// All holds.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub async fn holds(&self) -> Result<Vec<Hold>, Failure> {
        let records = self.store.list(HOLD, LISTED).await.map_err(|error| from_store(&error))?;
        let mut holds: Vec<Hold> = records.iter().map(|record| record.read(VERSION)).collect::<Result<_, _>>()?;
        holds.sort_by_key(|hold| hold.at);
        Ok(holds)
    }
}
