//! The timeline: the journals of both gateways, as they grow, merged and told by message.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{say, show};
use crate::event::{Event, EventName, Field};
use crate::port::{Store, StoreError};

/// How long an event waits for earlier ones of the other gateway: a step's time is that of its beginning, and it is
/// journaled at its end.
const HOLD: SignedDuration = SignedDuration::from_millis(250);

/// One gateway whose journal is followed.
struct Followed {
    name: &'static str,
    store: Arc<dyn Store>,
    next: u64,
    /// The latest time in it so far.
    latest: Timestamp,
}

/// One event in its place.
#[derive(Debug, Clone)]
struct Entry {
    /// Its time, or that of the one before it in its journal if that is later: the journal's order holds.
    at: Timestamp,
    /// When the mail of this time was handed over.
    began: Timestamp,
    gateway: &'static str,
    event: Event,
}

/// Follows journals, merges them and prints what they say.
pub(super) struct Timeline {
    began: Timestamp,
    followed: Vec<Followed>,
    /// In order, told already.
    told: Vec<Entry>,
    /// Not told yet.
    waiting: Vec<Entry>,
}

impl Timeline {
    /// A timeline that begins now.
    #[must_use]
    pub(super) fn new(began: Timestamp) -> Self {
        Self { began, followed: Vec::new(), told: Vec::new(), waiting: Vec::new() }
    }

    /// Follows a gateway's journal from its first line.
    pub(super) fn follow(&mut self, name: &'static str, store: Arc<dyn Store>) {
        self.followed.push(Followed { name, store, next: 0, latest: Timestamp::MIN });
    }

    /// A new mail is handed over: times count from here, under new titles.
    pub(super) fn begin(&mut self, at: Timestamp, out: &mut (dyn Write + Send)) {
        self.began = at;
        say(out, &show::titles());
    }

    /// Reads what is new and prints what can have no earlier event any more.
    ///
    /// # Errors
    /// [`StoreError`] when a journal cannot be read.
    pub(super) async fn catch_up(&mut self, out: &mut (dyn Write + Send)) -> Result<(), StoreError> {
        self.read().await?;
        self.tell(Timestamp::now() - HOLD, out);
        Ok(())
    }

    /// Prints what is left once the journals have come to rest.
    ///
    /// # Errors
    /// [`StoreError`] when a journal cannot be read.
    pub(super) async fn finish(&mut self, out: &mut (dyn Write + Send)) -> Result<(), StoreError> {
        // The last lines are written when the mail server has answered.
        let mut quiet = 0;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            quiet = if self.read().await? == 0 { quiet + 1 } else { 0 };
            self.tell(Timestamp::now() - HOLD, out);
            if quiet == 8 {
                break;
            }
        }
        self.tell(Timestamp::MAX, out);
        Ok(())
    }

    async fn read(&mut self) -> Result<usize, StoreError> {
        let mut fresh = 0;
        for followed in &mut self.followed {
            for (line, event) in followed.store.audit(followed.next, 1_000).await? {
                followed.next = line + 1;
                followed.latest = followed.latest.max(event.at);
                self.waiting.push(Entry { at: followed.latest, began: self.began, gateway: followed.name, event });
                fresh += 1;
            }
        }
        // Stable: lines of one journal with one time stay as they are.
        self.waiting.sort_by_key(|entry| entry.at);
        Ok(fresh)
    }

    fn tell(&mut self, until: Timestamp, out: &mut (dyn Write + Send)) {
        let ripe = self.waiting.iter().take_while(|entry| entry.at <= until).count();
        for entry in self.waiting.drain(..ripe).collect::<Vec<_>>() {
            self.told.push(entry);
            let steps = self.steps();
            // That the gateways run is told with their addresses.
            if let Some((Entry { at, began, gateway, event }, _, since_last)) =
                steps.last().filter(|(entry, ..)| entry.event.name != EventName::Started)
            {
                say(out, &show::step(at.duration_since(*began).as_millis(), *since_last, gateway, event));
            }
        }
    }

    /// Every event with its message and the milliseconds since the step before it of the same message; the first step's
    /// are those since the mail was handed over.
    fn steps(&self) -> Vec<(&Entry, Option<String>, i128)> {
        let (mut messages, mut last) = (HashMap::new(), HashMap::new());
        let steps = self.told.iter().map(|entry| {
            let (as4, named) = (entry.event.fields.get(&Field::As4MessageId), entry.event.fields.get(&Field::MessageId));
            // The receiver of a receipt knows its AS4 id before it knows its message.
            let message: Option<String> = named.or_else(|| as4.and_then(|id| messages.get(id))).cloned();
            if let (Some(as4), Some(message)) = (as4, &message) {
                messages.insert(as4.clone(), message.clone());
            }
            let before = last.insert(message.clone(), entry.at).unwrap_or(entry.began.min(entry.at));
            (entry, message, entry.at.duration_since(before).as_millis())
        });
        steps.collect()
    }

    /// The events of one name at one gateway.
    pub(super) fn events<'a>(&'a self, gateway: &'a str, name: EventName) -> impl Iterator<Item = &'a Event> {
        self.told.iter().filter(move |entry| entry.gateway == gateway && entry.event.name == name).map(|entry| &entry.event)
    }

    /// The ids of the message that a gateway sent last, under the names that people look for.
    pub(super) fn ids(&self, gateway: &str) -> Vec<(&'static str, String)> {
        let last = |name| self.told.iter().rev().find(|entry| entry.gateway == gateway && entry.event.name == name);
        let field = |entry: Option<&Entry>, field| entry.and_then(|entry| entry.event.fields.get(&field)).cloned();
        let (submitted, acknowledged) = (last(EventName::Submitted), last(EventName::Acknowledged));
        let ids = [
            ("meddelande", field(submitted, Field::MessageId)),
            ("konversation", field(submitted, Field::ConversationId)),
            ("AS4", field(submitted, Field::As4MessageId)),
            ("AS4-kvittens", field(acknowledged, Field::As4SignalId)),
            ("kvittens", field(last(EventName::Opened), Field::ReceiptId)),
        ];
        ids.into_iter().filter_map(|(name, id)| Some((name, id?))).collect()
    }

    /// Everything, as JSON.
    #[must_use]
    pub(super) fn to_json(&self) -> Value {
        let Some(first) = self.told.first().map(|entry| entry.at) else { return json!([]) };
        let lines = self.steps().into_iter().map(|(Entry { at, gateway, event, .. }, message, since_last)| {
            json!({
                "gateway": gateway,
                "message": message,
                "ms": at.duration_since(first).as_millis(),
                "since-last-ms": since_last,
                "event": event,
            })
        });
        Value::Array(lines.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{Op, Step};
    use crate::store::MemoryStore;

    fn at(ms: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(ms)
    }

    #[tokio::test]
    async fn a_journal_keeps_its_order_and_two_are_merged_by_time() {
        let (habo, af): (Arc<dyn Store>, Arc<dyn Store>) = (Arc::new(MemoryStore::default()), Arc::new(MemoryStore::default()));
        let event = |ms, name| Event::new(at(ms), name).with(Field::MessageId, "m");
        let journals = [
            (
                &habo,
                vec![
                    event(10, EventName::MailAccepted),
                    event(30, EventName::Addressed),
                    event(20, EventName::Sealed),
                    event(90, EventName::Accepted),
                ],
            ),
            (&af, vec![event(25, EventName::Received), event(60, EventName::Taken).with(Field::As4MessageId, "a")]),
        ];
        for (store, events) in journals {
            for event in events {
                store.apply(Step::new().op(Op::Audit(event))).await.unwrap();
            }
        }
        let unnamed = Event::new(at(70), EventName::Opened).with(Field::As4MessageId, "a");
        af.apply(Step::new().op(Op::Audit(unnamed))).await.unwrap();
        let mut timeline = Timeline::new(at(0));
        timeline.follow("habo", habo);
        timeline.follow("af", af);
        let mut out = Vec::new();
        timeline.catch_up(&mut out).await.unwrap();
        let json = timeline.to_json();
        let lines = json.as_array().unwrap();
        let seen: Vec<_> = lines.iter().map(|line| (line["event"]["name"].as_str().unwrap(), line["since-last-ms"].as_i64().unwrap())).collect();
        let expected = [("mail-accepted", 10), ("received", 15), ("addressed", 5), ("sealed", 0), ("taken", 30), ("opened", 10), ("accepted", 20)];
        assert_eq!(seen, expected);
        assert!(lines.iter().all(|line| line["message"] == "m"));
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), expected.len());
    }
}
