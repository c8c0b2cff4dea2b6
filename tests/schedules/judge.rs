//! What must hold when everything has come to rest, read from what the world outside wrote down and from what the gateways keep.

use std::collections::{BTreeMap, BTreeSet};

use brevbro::event::{Event, EventName, Field};
use brevbro::inbound::Incoming;
use brevbro::outbound::state::{End, Ended};
use brevbro::outbound::{Cargo, Outgoing};
use brevbro::port::{BlobId, Blobs, Record};

use crate::common::counted::{counted, there};
use crate::mailserver::{Kind, Taken};
use crate::net::is;
use crate::operator;
use crate::plan::What;
use crate::world::{Accepted, Log, NAMES, SECRET, World, mailbox};

/// Failures that say that the message may have arrived.
const PERHAPS: [&str; 2] = ["no receipt of the access point until the deadline", "no message receipt until the deadline"];

/// Everything that is wrong.
pub async fn judge(world: &World) -> Vec<String> {
    let journals = [world.sides[0].disk.events().await, world.sides[1].disk.events().await];
    let mut log = std::mem::take(&mut *world.log.lock().unwrap());
    let mut judge = Judge { world, log: &log, journals: &journals, wrong: log.wrong.clone() };
    let mut known = BTreeSet::new();
    for accepted in &log.accepted {
        judge.order(accepted, &mut known);
    }
    judge.strangers(&known);
    judge.repeats();
    judge.requests();
    for side in [0, 1] {
        judge.journal(side);
        judge.kept(side).await;
    }
    let wrong = judge.wrong;
    log.wrong.clear();
    *world.log.lock().unwrap() = log;
    wrong
}

/// Keeps the journals with the history.
pub async fn keep_journals(world: &World) {
    for (side, name) in NAMES.iter().enumerate() {
        let lines = world.sides[side].disk.events().await;
        let lines = lines.iter().map(|event| format!("{name}: {}", serde_json::to_string(event).unwrap()));
        world.log.lock().unwrap().journals.extend(lines);
    }
}

struct Judge<'a> {
    world: &'a World,
    log: &'a Log,
    journals: &'a [Vec<Event>; 2],
    wrong: Vec<String>,
}

impl Judge<'_> {
    fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn record(&self, side: usize, event: &Event) -> Option<Record> {
        self.world.sides[side].disk.kept.lock().unwrap().records.get(&event.record?).cloned()
    }

    /// A mail that was taken over: each recipient's letter has one end.
    fn order(&mut self, accepted: &Accepted, known: &mut BTreeSet<String>) {
        let Accepted { order, forgotten } = accepted;
        let id = format!("{}@client.test", order.token);
        let of_mail = |event: &&Event| event.name == EventName::MailAccepted && is(event, Field::MailMessageId, &id);
        let letters: Vec<&Event> = self.journals[order.side].iter().filter(of_mail).collect();
        if order.what == What::Automatic {
            if !letters.is_empty() {
                self.wrong(format!("{}: a program's mail is sent", order.token));
            }
            return;
        }
        for to in &order.to {
            let name = to.as_str().split('@').next().unwrap_or_default();
            let own: Vec<Event> = letters.iter().filter(|event| is(event, Field::Function, name)).map(|event| (*event).clone()).collect();
            let most = if *forgotten { 2 } else { 1 };
            if own.is_empty() || own.len() > most {
                self.wrong(format!("{} to {name}: taken in {} times", order.token, own.len()));
            }
            for letter in own {
                known.insert(letter.fields[&Field::MessageId].clone());
                self.letter(accepted, name, &letter);
            }
        }
    }

    fn letter(&mut self, accepted: &Accepted, function: &str, letter: &Event) {
        let (order, message) = (&accepted.order, letter.fields[&Field::MessageId].as_str());
        let (side, there) = (order.side, 1 - order.side);
        let what = format!("{} to {function} ({message})", order.token);
        let Some(Ok(Outgoing::Ended(ended))) = self.record(side, letter).map(|record| Outgoing::from_record(&record)) else {
            return self.wrong(format!("{what}: has no end"));
        };
        let of = |taken: &&Taken| taken.message == message;
        let delivered: BTreeSet<&str> =
            self.log.taken.iter().filter(of).filter(|t| t.side == there && t.kind == Kind::Message).map(|t| t.id.as_str()).collect();
        let waiting = self.log.taken.iter().filter(of).any(|taken| taken.side == there && taken.kind == Kind::Waiting);
        let told = |wanted: &str| -> BTreeMap<&str, &str> {
            let notices = self.log.taken.iter().filter(of).filter(|taken| taken.side == side);
            let of_action = notices.filter_map(|taken| match &taken.kind {
                Kind::Notice { action, code, .. } if action == wanted => Some((taken.id.as_str(), code.as_str())),
                _ => None,
            });
            of_action.collect()
        };
        let (success, failure) = (told("delivered"), told("failed"));
        let perhaps = failure.values().any(|code| PERHAPS.iter().any(|text| code.contains(text)));
        if delivered.len() > 1 {
            self.wrong(format!("{what}: delivered as {delivered:?}"));
        }
        // What the other mail server does not take until the end is the other operator's.
        let undeliverable = self.is_undeliverable(there, message) && self.alarmed(there, message);
        let arrived = undeliverable || if function == "vakt" { waiting } else { !delivered.is_empty() };
        // Each time that it was sent again it had failed before, and that was told.
        let again = match &ended.cargo {
            Cargo::Letter(letter) => Some(letter.resent.as_ref().map_or(0, |resent| usize::from(resent.times))),
            Cargo::Reply(_) => None,
        };
        let (at_home, again) = (again.is_some(), again.unwrap_or_default());
        // The mail server would not have it.
        let unheard = self.log.turned_away.contains_key(&("delivered".to_owned(), message.to_owned()));
        let (wanted_success, wanted_failure) = match ended.end {
            End::Accepted => (usize::from(again > 0 || order.success && order.what != What::Folder), again),
            End::Rejected => (0, again + 1),
            // Who was told that it failed is told when it turns out otherwise.
            End::ExchangeError => {
                (success.len().min(usize::from(ended.late_told)), again + 1 + usize::from(ended.late_told && success.is_empty() && !unheard))
            }
        };
        if ended.end == End::Accepted && !arrived {
            self.wrong(format!("{what}: accepted, and not there"));
        }
        if ended.end == End::Rejected && (arrived || !delivered.is_empty()) {
            self.wrong(format!("{what}: rejected, and there"));
        }
        if ended.end == End::ExchangeError && arrived && !failure.is_empty() && !perhaps {
            self.wrong(format!("{what}: told as failed for good ({failure:?}), and there"));
        }
        let none = BTreeSet::new();
        let turned_away = |action: &str| self.log.turned_away.get(&(action.to_owned(), message.to_owned())).unwrap_or(&none);
        // What is told by mail is given up when its time is over, and hours that pass at once may be more than that.
        let leaps = self.world.sides[side].leaps.load(std::sync::atomic::Ordering::SeqCst) > 0;
        let away = leaps || self.world.plan.is_deaf_too_long(side);
        let told = |told: &BTreeMap<&str, &str>, wanted: usize, action| {
            let refused = turned_away(action).iter().filter(|id| !told.contains_key(id.as_str())).count();
            told.len() == wanted || (told.len() < wanted && (away || told.len() + refused == wanted))
        };
        if !at_home || !told(&success, wanted_success, "delivered") || !told(&failure, wanted_failure, "failed") {
            self.wrong(format!("{what}: ended as {:?}, told success {success:?}, failure {failure:?}", ended.end));
        }
        self.inbound(there, message, function, arrived, &what);
        if !arrived && failure.is_empty() && turned_away("failed").is_empty() && !away {
            self.wrong(format!("{what}: lost"));
        }
        let seen_to = operator::times(&self.journals[there], EventName::Handled, message) > 0;
        if function == "vakt" && waiting && !seen_to && !self.log.read.contains_key(message) {
            self.wrong(format!("{what}: nobody could read it"));
        }
    }

    /// What the other side keeps of a message.
    fn inbound(&mut self, side: usize, message: &str, function: &str, arrived: bool, what: &str) {
        let taken: Vec<&Event> =
            self.journals[side].iter().filter(|event| event.name == EventName::Taken && is(event, Field::MessageId, message)).collect();
        if taken.len() > 1 {
            self.wrong(format!("{what}: taken in {} times at the other side", taken.len()));
        }
        let Some(event) = taken.first() else {
            if arrived {
                self.wrong(format!("{what}: there, and the journal does not know of it"));
            }
            return;
        };
        let state = self.record(side, event).and_then(|record| Incoming::from_record(&record).ok());
        let back = self.log.given_back.contains_key(message);
        let good = match &state {
            Some(Incoming::Delivered(_)) => function != "vakt" && (!back || self.redelivered(side, message) > 0),
            Some(Incoming::Handled(_)) => operator::times(&self.journals[side], EventName::Handled, message) > 0,
            Some(Incoming::Returned(_)) => back,
            Some(Incoming::Read(_)) => function == "vakt",
            Some(Incoming::Undeliverable(_)) => self.alarmed(side, message),
            _ => false,
        };
        if !good {
            self.wrong(format!("{what}: ended at the other side as {:?}, given back {back}", state.map(|state| state.state())));
        }
    }

    /// Whether a side could not deliver a message until the end.
    fn is_undeliverable(&self, side: usize, message: &str) -> bool {
        let mut taken = self.journals[side].iter().filter(|event| event.name == EventName::Taken && is(event, Field::MessageId, message));
        taken.any(|event| {
            let state = self.record(side, event).map(|record| Incoming::from_record(&record));
            matches!(state, Some(Ok(Incoming::Undeliverable(_) | Incoming::Handled(_))))
        })
    }

    fn redelivered(&self, side: usize, message: &str) -> usize {
        operator::times(&self.journals[side], EventName::Redelivered, message)
    }

    /// Whether the operator was told of a message.
    fn alarmed(&self, side: usize, message: &str) -> bool {
        let alarmed = |event: &Event| event.name == EventName::Alarmed && is(event, Field::MessageId, message);
        let told = self.journals[side].iter().any(alarmed) && self.log.taken.iter().any(|taken| taken.side == side && taken.kind == Kind::Alarm);
        // The mail server that takes nothing takes no alarm either; the journal has it.
        told || self.log.unalarmed[side] > 0 || self.world.plan.is_deaf_too_long(side)
    }

    /// Nothing was delivered or told that nobody sent.
    fn strangers(&mut self, known: &BTreeSet<String>) {
        for taken in &self.log.taken {
            let foreign = !known.contains(&taken.message);
            let refused = matches!(taken.kind, Kind::Notice { .. }) && taken.to == mailbox(taken.side, "utkorg").as_str();
            if foreign && taken.kind != Kind::Alarm && !refused {
                self.wrong.push(format!("nobody sent what this is about: {taken:?}"));
            }
        }
        for order in &self.world.plan.orders {
            let settled = self.log.accepted.iter().any(|accepted| accepted.order.token == order.token) || self.log.refused.contains_key(&order.token);
            if !settled {
                self.wrong.push(format!("{} was neither taken nor refused", order.token));
            }
        }
    }

    /// A mail comes a second time only where the first answer was not heard, and the journal admits it.
    fn repeats(&mut self) {
        let mut copies: BTreeMap<(usize, &str), Vec<&Taken>> = BTreeMap::new();
        for taken in &self.log.taken {
            copies.entry((taken.side, &taken.id)).or_default().push(taken);
        }
        for ((side, id), copies) in copies {
            let (last, before) = copies.split_last().unwrap();
            // Where there is no room, what was heard cannot be kept.
            let forgets = self.world.plan.has_full_disk();
            let redelivered = self.redelivered(side, &last.message);
            if redelivered == 0 && !forgets && copies.iter().zip(&copies[1..]).any(|(copy, next)| copy.heard && copy.life == next.life) {
                self.wrong.push(format!("{id} comes again at {} from the same life that heard its answer", NAMES[side]));
            }
            let admits = |event: &&Event| {
                event.name == EventName::PossibleDuplicate && (last.message.is_empty() || is(event, Field::MessageId, &last.message))
            };
            let admitted = self.journals[side].iter().filter(admits).count() + redelivered;
            if admitted < before.len() && !last.message.is_empty() && self.is_known(side, &last.message) {
                self.wrong.push(format!("{} more of {id} at {}, {admitted} are admitted", before.len(), NAMES[side]));
            }
        }
    }

    fn is_known(&self, side: usize, message: &str) -> bool {
        self.journals[side].iter().any(|event| is(event, Field::MessageId, message))
    }

    /// The same id is the same octets, of one record.
    fn requests(&mut self) {
        let mut first = BTreeMap::new();
        for push in &self.log.pushes {
            let known = first.entry(&push.id).or_insert((push.from, push.digest));
            if *known != (push.from, push.digest) {
                self.wrong.push(format!("{} is sent with other octets", push.id));
            }
        }
        for (side, journal) in self.journals.iter().enumerate() {
            let mut ids = BTreeMap::new();
            for event in journal {
                if event.name == EventName::Resent {
                    ids.remove(&event.record);
                }
                if event.name != EventName::Submitted {
                    continue;
                }
                let id = &event.fields[&Field::As4MessageId];
                if ids.entry(event.record).or_insert(id) != &id {
                    self.wrong.push(format!("{} sends one message as {id} and as another", NAMES[side]));
                }
            }
        }
    }

    fn journal(&mut self, side: usize) {
        for event in &self.journals[side] {
            let line = serde_json::to_string(event).unwrap();
            if line.contains(SECRET) {
                self.wrong.push(format!("the journal of {} tells content: {line}", NAMES[side]));
            }
            let refused = event.fields.get(&Field::Cause).is_some_and(|cause| cause.starts_with("the mail server"));
            if event.name == EventName::Faulted && !refused && !self.world.plan.has_full_disk() {
                self.wrong.push(format!("a step of {} failed in a way that nobody foresaw: {line}", NAMES[side]));
            }
        }
    }

    /// Every record has an end, every body a record, every name of a body a body, and no mark is left of what is over.
    async fn kept(&mut self, side: usize) {
        let disk = self.world.sides[side].disk.clone();
        let (records, notes) = {
            let kept = disk.kept.lock().unwrap();
            let counted = counted(kept.notes.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            let there = there(kept.records.values());
            if counted != there {
                self.wrong(format!("{}: {counted:?} is counted of {there:?}", NAMES[side]));
            }
            (kept.records.values().cloned().collect::<Vec<_>>(), kept.notes.keys().cloned().collect::<Vec<_>>())
        };
        let mut named: BTreeSet<BlobId> = BTreeSet::new();
        for record in records {
            let (blobs, ended) = match Outgoing::from_record(&record) {
                Ok(outgoing) => (outgoing.blobs(), matches!(outgoing, Outgoing::Ended(Ended { .. }))),
                Err(_) => match Incoming::from_record(&record) {
                    Ok(incoming) => (incoming.blobs(), !matches!(incoming, Incoming::Retrieved(_) | Incoming::New(_))),
                    Err(error) => {
                        self.wrong(format!("a record cannot be read: {error:?}"));
                        continue;
                    }
                },
            };
            if !ended {
                self.wrong(format!("{}: a record is left as {}", NAMES[side], record.state));
            }
            named.extend(blobs);
        }
        let there: BTreeMap<BlobId, _> = disk.blobs.heads().await.unwrap().into_iter().map(|blob| (blob.id, blob.kind)).collect();
        for (id, kind) in &there {
            if !named.contains(id) {
                self.wrong(format!("{}: nothing names the {kind:?} {}", NAMES[side], id.0));
            }
        }
        for id in named.iter().filter(|id| !there.contains_key(*id)) {
            self.wrong(format!("{}: a record names {}, which is not there", NAMES[side], id.0));
        }
        for note in notes.iter().filter(|note| note.starts_with("hand/") || note.starts_with("facts/")) {
            self.wrong(format!("{}: a mark is left: {note}", NAMES[side]));
        }
    }
}
