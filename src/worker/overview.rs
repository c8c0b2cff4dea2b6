//! How the gateway is and what waits in it, for the operator: ids and numbers, never content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Gateway;
use super::effects::from_store;
use super::limits::{Limit, Usage};
use crate::failure::Failure;
use crate::ident::{ConversationId, MessageId, ParticipantId, RecordId};
use crate::inbound::Incoming;
use crate::outbound::{Cargo, Outgoing};
use crate::port::{Job, Queue, Record, State, StoreError, Told};

/// Records of one state are counted up to here.
const COUNTED: usize = 1_000;

/// Limits that are shown.
const LIMITS: usize = 20;

/// A number that may be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What was counted.
    pub number: usize,
    /// Whether there are more.
    pub more: bool,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which.
    pub queue: Queue,
    /// Jobs that wait or run.
    pub jobs: usize,
    /// When the first of them is or was due.
    pub due: Option<Timestamp>,
}

/// How the gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// The gateway's name.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Whether the store takes steps and bodies can be written.
    pub working: bool,
    /// Whether there is room for something new.
    pub admits: bool,
    /// What is to be done.
    pub queues: Vec<Line>,
    /// Records in the states that may need somebody, by the state's word.
    pub states: Vec<(State, Count)>,
    /// What is used of limits, first what is nearest to its end; at most twenty.
    #[serde(default)]
    pub limits: Vec<Usage>,
}

/// A job that waits or runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Whose turn it is.
    pub queue: Queue,
    /// When it is due, or was.
    pub due: Timestamp,
    /// Attempts that have failed.
    pub attempts: u32,
    /// Why the last one failed, or what the job is for; may be empty.
    pub why: String,
    /// The record.
    pub record: RecordId,
    /// What is known of it; absent when there is none any more.
    pub message: Option<Known>,
}

/// A message by its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The state that it is in.
    pub state: State,
    /// Our organisation.
    pub organisation: ParticipantId,
    /// The other one.
    pub other: ParticipantId,
    /// The SDK message's id; of a receipt the message that it is for.
    pub message_id: MessageId,
    /// Its conversation, where it is known.
    pub conversation_id: Option<ConversationId>,
    /// Since when it is here.
    pub since: Timestamp,
}

impl Known {
    /// What a record tells of its message.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let state = record.state.clone();
        if let Ok(outgoing) = Outgoing::from_record(record) {
            let cargo = outgoing.cargo();
            let conversation_id = match &cargo {
                Cargo::Letter(letter) => Some(letter.conversation_id.clone()),
                Cargo::Reply(_) => None,
            };
            let (organisation, other) = (cargo.organisation().clone(), cargo.participant().clone());
            return Some(Self { state, organisation, other, message_id: cargo.message_id().clone(), conversation_id, since: cargo.since() });
        }
        let incoming = Incoming::from_record(record).ok()?;
        let arrival = incoming.arrival().clone();
        Some(Self {
            state,
            organisation: arrival.organisation,
            other: arrival.from,
            message_id: arrival.envelope_id,
            conversation_id: incoming.into_taken().map(|taken| taken.conversation_id),
            since: arrival.received_at,
        })
    }
}

impl Gateway {
    /// How the gateway is.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub async fn overview(&self, started: Timestamp) -> Result<Overview, Failure> {
        let health = self.store.health().await;
        let mut queues = Vec::new();
        for (queue, jobs) in health.jobs {
            let first = self.store.jobs(queue, Timestamp::MIN, 1).await.map_err(|error| from_store(&error))?;
            queues.push(Line { queue, jobs, due: first.first().map(|job| job.due) });
        }
        let mut states = Vec::new();
        let looked = [Outgoing::HELD, Outgoing::WAITING, Incoming::UNREAD, Incoming::RETURNED];
        for state in looked {
            let found = self.store.list(state.clone(), COUNTED + 1).await.map_err(|error| from_store(&error))?.len();
            states.push((state, Count { number: found.min(COUNTED), more: found > COUNTED }));
        }
        let (name, version) = (self.settings.name.to_string(), env!("CARGO_PKG_VERSION").to_owned());
        let working = health.working && self.blobs.works().await;
        let admits = !matches!(self.blobs.admit(None).await, Err(StoreError::Full));
        let limits = self.nearest_limits().await?;
        Ok(Overview { name, version, started, working, admits, queues, states, limits })
    }

    /// The limits of which most is used, and the memory.
    async fn nearest_limits(&self) -> Result<Vec<Usage>, Failure> {
        let (used, most) = self.room.taken();
        let memory = Usage { limit: Limit::Memory, whose: self.settings.name.to_string(), used, most };
        let mut limits: Vec<Usage> = self.usage(true).await?.into_iter().filter(|usage| usage.used > 0).collect();
        limits.sort_by_key(|usage| std::cmp::Reverse(usage.permille()));
        limits.truncate(LIMITS - 1);
        limits.push(memory);
        Ok(limits)
    }

    /// What is to be done, queue by queue in the order of the flows, up to `limit` of each, the first due before the others.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>, Failure> {
        let mut waiting = Vec::new();
        for queue in Queue::ALL {
            for job in self.store.jobs(queue, Timestamp::MIN, limit).await.map_err(|error| from_store(&error))? {
                let record = self.store.record(job.record).await.map_err(|error| from_store(&error))?;
                let why = why(&job);
                let Job { queue, due, attempt, record: id, .. } = job;
                waiting.push(Waiting { queue, due, attempts: attempt, why, record: id, message: record.as_ref().and_then(Known::of) });
            }
        }
        Ok(waiting)
    }
}

/// What the job's note tells a person.
fn why(job: &Job) -> String {
    match job.queue {
        // What failed last, in the words of the journal.
        Queue::Seal | Queue::Send | Queue::Deliver | Queue::Open | Queue::Await => job.note.clone(),
        Queue::Notify => serde_json::from_str::<Told>(&job.note).map(|told| told.tell.name().to_owned()).unwrap_or_default(),
        Queue::Answer | Queue::Purge => String::new(),
    }
}
