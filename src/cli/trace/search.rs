//! Finding a message's life: from what somebody knows of it to every event of it, on all sides that can be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::cli::journal::Unread;
use crate::event::{Event, EventName, Field, Standing};
use crate::ident::{ParticipantId, RecordId};
use crate::port::Pending;
use crate::store::PostgresJournal;
use crate::store::journal::find::{Finder, Found, Want, fold};

/// What somebody knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    /// Any of these ids.
    pub(super) ids: BTreeSet<String>,
    /// The address that it came from, folded.
    pub(super) from: Option<String>,
    /// The address that it went to, folded.
    pub(super) to: Option<String>,
    /// The address at either end, folded.
    pub(super) mailbox: Option<String>,
    /// When.
    pub(super) window: Option<(Timestamp, Timestamp)>,
    /// Whose: nothing of another participant is shown (SDK C1.6 3.3.a).
    pub(super) organisation: Option<ParticipantId>,
}

/// An event, and in whose journal it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// 0 is the gateway's own journal, 1 the other side's.
    pub(super) side: usize,
    pub(super) found: Found,
}

/// Where events can be looked for.
pub(super) trait Events: Sync {
    fn find<'a>(&'a self, want: &'a Want) -> Pending<'a, Result<Vec<Found>, Unread>>;
}

impl Events for Finder {
    fn find<'a>(&'a self, want: &'a Want) -> Pending<'a, Result<Vec<Found>, Unread>> {
        Box::pin(async move { Ok(Finder::find(self, want)?) })
    }
}

/// The journal in a database.
pub(super) struct Table {
    journal: PostgresJournal,
    unread: AtomicU64,
}

impl Table {
    pub(super) const fn new(journal: PostgresJournal) -> Self {
        Self { journal, unread: AtomicU64::new(0) }
    }

    /// Lines that could not be read.
    pub(super) fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }
}

impl Events for Table {
    fn find<'a>(&'a self, want: &'a Want) -> Pending<'a, Result<Vec<Found>, Unread>> {
        Box::pin(async move {
            let (found, unread) = self.journal.find(want).await?;
            self.unread.fetch_max(unread, Ordering::Relaxed);
            Ok(found)
        })
    }
}

/// Events that are at hand: an exported journal.
impl Events for Vec<Found> {
    fn find<'a>(&'a self, want: &'a Want) -> Pending<'a, Result<Vec<Found>, Unread>> {
        Box::pin(async move { Ok(self.iter().filter(|found| want.is(&found.event)).cloned().collect()) })
    }
}

/// The life of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// The SDK message's id, where it is known.
    pub(super) message: Option<String>,
    /// In their order.
    pub(super) events: Vec<Seen>,
}

/// How a message stands at one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) organisation: Option<ParticipantId>,
    pub(super) standing: Standing,
    /// Since when.
    pub(super) since: Timestamp,
    /// When the next attempt is due.
    pub(super) next: Option<String>,
}

impl Query {
    fn is(&self, event: &Event) -> bool {
        let at = |fields: &[Field], wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| fields.iter().any(|field| event.fields.get(field).is_some_and(|value| fold(value) == *wanted)))
        };
        at(&[Field::Sender], &self.from)
            && at(&[Field::Recipient, Field::Mailbox], &self.to)
            && at(&[Field::Sender, Field::Recipient, Field::Mailbox], &self.mailbox)
    }

    fn shows(&self, event: &Event) -> bool {
        self.organisation.is_none() || event.organisation == self.organisation
    }

    /// The events that the question names.
    fn first(&self) -> Want {
        let addresses = [&self.from, &self.to, &self.mailbox].into_iter().flatten().take(1).cloned();
        let ids = if self.ids.is_empty() { addresses.collect() } else { self.ids.clone() };
        Want { ids, window: self.window }
    }

    /// Every life that the question names.
    pub(super) async fn lives(&self, sources: &[&dyn Events]) -> Result<Vec<Life>, Unread> {
        let mut links = BTreeSet::new();
        let mut seen: BTreeMap<(usize, u64), Found> = BTreeMap::new();
        for (side, source) in sources.iter().enumerate() {
            for found in source.find(&self.first()).await?.into_iter().filter(|found| self.is(&found.event) && self.shows(&found.event)) {
                links.extend(linked(&found.event));
                seen.insert((side, found.number), found);
            }
        }
        // Without an id to go by every event would be one to look at.
        if links.is_empty() {
            return Ok(divide(seen));
        }
        // Each round knows more ids; a message has a handful of them.
        for _ in 0..8 {
            let before = links.len();
            let own: BTreeSet<RecordId> = seen.values().filter_map(|found| found.event.record).collect();
            let want = Want { ids: links.clone(), window: None };
            for (side, source) in sources.iter().enumerate() {
                for found in source.find(&want).await? {
                    // A fault of a job names its record and not whose it is.
                    let shown = self.shows(&found.event)
                        || (found.event.organisation.is_none() && found.event.record.is_some_and(|record| own.contains(&record)));
                    let named = linked(&found.event);
                    if shown && !named.is_disjoint(&links) {
                        links.extend(named);
                        seen.insert((side, found.number), found);
                    }
                }
            }
            if links.len() == before {
                break;
            }
        }
        Ok(divide(seen))
    }
}

/// The ids by which an event belongs to one message, and to no other.
fn linked(event: &Event) -> BTreeSet<String> {
    let fields = [Field::MessageId, Field::As4MessageId, Field::ReceiptId];
    let named = fields.into_iter().filter_map(|field| event.fields.get(&field)).map(|id| fold(id));
    named.chain(event.record.map(|record| fold(&record.to_string()))).collect()
}

/// Events of each message by themselves, the oldest first.
fn divide(seen: BTreeMap<(usize, u64), Found>) -> Vec<Life> {
    let mut message_of: BTreeMap<String, String> = BTreeMap::new();
    for found in seen.values() {
        if let Some(message) = found.event.fields.get(&Field::MessageId) {
            message_of.extend(linked(&found.event).into_iter().map(|id| (id, fold(message))));
        }
    }
    let mut lives: BTreeMap<String, Life> = BTreeMap::new();
    for ((side, number), found) in seen {
        let own = found.event.fields.get(&Field::MessageId).map(|id| fold(id));
        let message = own.or_else(|| linked(&found.event).iter().find_map(|id| message_of.get(id).cloned()));
        let key = message.clone().or_else(|| found.event.record.map(|record| record.to_string())).unwrap_or_else(|| format!("{side}/{number}"));
        let life = lives.entry(key).or_default();
        life.message = message;
        life.events.push(Seen { side, found });
    }
    let mut lives: Vec<Life> = lives.into_values().collect();
    for life in &mut lives {
        life.events.sort_by_key(|seen| (seen.found.event.at, seen.side, seen.found.number));
    }
    lives.sort_by_key(|life| life.events.first().map(|seen| seen.found.event.at));
    lives
}

impl Life {
    /// A field's value, in the first event that has it.
    pub(super) fn field(&self, field: Field) -> Option<&str> {
        self.events.iter().find_map(|seen| seen.found.event.fields.get(&field)).map(String::as_str)
    }

    /// How it stands at each end that is seen: sender first. Records of its receipts have no say.
    pub(super) fn ends(&self) -> Vec<End> {
        let mut records: Vec<(Option<RecordId>, Vec<&Event>)> = Vec::new();
        for event in self.events.iter().map(|seen| &seen.found.event) {
            match records.iter_mut().find(|(record, _)| *record == event.record) {
                Some((_, events)) => events.push(event),
                None => records.push((event.record, vec![event])),
            }
        }
        let message = |events: &&(Option<RecordId>, Vec<&Event>)| {
            let receipts = events.1.first().is_some_and(|first| first.fields.contains_key(&Field::ReceiptId));
            !receipts || !events.1.iter().all(|event| is_receipts(event.name))
        };
        let end = |(_, events): &(Option<RecordId>, Vec<&Event>)| {
            let standing = Standing::after(events.iter().copied())?;
            let by = events.iter().rev().find(|event| event.name == standing.by)?;
            Some(End {
                organisation: events.iter().find_map(|event| event.organisation.clone()),
                standing,
                since: by.at,
                next: by.fields.get(&Field::NextAttempt).cloned(),
            })
        };
        records.iter().filter(message).filter_map(end).collect()
    }
}

/// Whether a message receipt's own record may have such an event.
const fn is_receipts(name: EventName) -> bool {
    use EventName as E;
    matches!(
        name,
        E::Sealed
            | E::Submitted
            | E::SendDeferred
            | E::ReceiptSent
            | E::Received
            | E::DuplicateReceived
            | E::Opened
            | E::StaleMetadata
            | E::StrayReceipt
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "0f1e2d3c-0000-4000-8000-00000000000a";

    fn events() -> Vec<Found> {
        let (a, b): (ParticipantId, ParticipantId) = ("0203:a.se".parse().unwrap(), "0203:b.se".parse().unwrap());
        let record = |n| RecordId(uuid::Uuid::from_u128(n));
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let out = |second, name| Event::new(at(second), name).of(record(1), &a).with(Field::MessageId, MESSAGE);
        let coming = |second, name| Event::new(at(second), name).of(record(2), &b).with(Field::MessageId, MESSAGE);
        let mut fault = Event::new(at(5), EventName::Faulted).with(Field::Cause, "x");
        fault.record = Some(record(1));
        let events = [
            out(0, EventName::MailAccepted).with(Field::Sender, "Karin@a.se").with(Field::MailMessageId, "<M@a.se>"),
            Event::new(at(1), EventName::MailAccepted).of(record(9), &a).with(Field::MessageId, "another").with(Field::Sender, "karin@a.se"),
            out(2, EventName::Submitted).with(Field::As4MessageId, "as4@gw"),
            Event::new(at(3), EventName::DuplicateReceived).with(Field::As4MessageId, "as4@gw"),
            coming(4, EventName::Received),
            fault,
            coming(6, EventName::Delivered),
            Event::new(at(7), EventName::Received).of(record(4), &a).with(Field::ReceiptId, "receipt"),
            Event::new(at(8), EventName::Opened).of(record(4), &a).with(Field::ReceiptId, "receipt").with(Field::MessageId, MESSAGE),
            out(9, EventName::Accepted).with(Field::ReceiptId, "receipt"),
        ];
        let found = |(number, event)| Found { line: number, number, event };
        (0..).zip(events).map(found).collect()
    }

    fn numbers(life: &Life) -> Vec<u64> {
        life.events.iter().map(|seen| seen.found.number).collect()
    }

    #[tokio::test]
    async fn any_id_leads_to_the_whole_life_and_to_no_other() {
        let events = events();
        for id in [MESSAGE, "m@a.se", "AS4@GW", "receipt", &uuid::Uuid::from_u128(2).to_string()] {
            let lives = Query { ids: BTreeSet::from([fold(id)]), ..Query::default() }.lives(&[&events]).await.unwrap();
            assert_eq!(lives.len(), 1, "{id}");
            assert_eq!((numbers(&lives[0]), lives[0].message.as_deref()), (vec![0, 2, 3, 4, 5, 6, 7, 8, 9], Some(MESSAGE)), "{id}");
        }
        assert!(Query { ids: BTreeSet::from(["m-1".into()]), ..Query::default() }.lives(&[&events]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_and_when_lead_to_it_too() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let query = |window| Query { from: Some("karin@a.se".into()), window: Some(window), ..Query::default() };
        let events = events();
        assert_eq!(query((at(0), at(0))).lives(&[&events]).await.unwrap().len(), 1);
        assert_eq!(query((at(0), at(9))).lives(&[&events]).await.unwrap().len(), 2);
        assert!(query((at(2), at(9))).lives(&[&events]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_organisation_sees_its_own_half_and_how_it_stands_there() {
        let events = events();
        let query = |own: &str| Query { ids: BTreeSet::from([MESSAGE.into()]), organisation: Some(own.parse().unwrap()), ..Query::default() };
        let lives = query("0203:a.se").lives(&[&events]).await.unwrap();
        assert_eq!(numbers(&lives[0]), [0, 2, 5, 7, 8, 9]);
        assert_eq!(lives[0].ends().iter().map(|end| end.standing.by).collect::<Vec<_>>(), [EventName::Accepted]);
        let lives = query("0203:b.se").lives(&[&events]).await.unwrap();
        assert_eq!(numbers(&lives[0]), [4, 6]);
        assert!(query("0203:c.se").lives(&[&events]).await.unwrap().is_empty());
        let both = Query { ids: BTreeSet::from([MESSAGE.into()]), ..Query::default() }.lives(&[&events]).await.unwrap();
        assert_eq!(both[0].ends().iter().map(|end| end.standing.by).collect::<Vec<_>>(), [EventName::Accepted, EventName::Delivered]);
    }

    #[tokio::test]
    async fn two_journals_make_one_life() {
        let (own, other): (Vec<Found>, Vec<Found>) =
            events().into_iter().partition(|found| found.event.organisation != Some("0203:b.se".parse().unwrap()));
        let lives = Query { ids: BTreeSet::from(["m@a.se".into()]), ..Query::default() }.lives(&[&own, &other]).await.unwrap();
        assert_eq!(numbers(&lives[0]), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(lives[0].events.iter().filter(|seen| seen.side == 1).count(), 2);
    }
}
