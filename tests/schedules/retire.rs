//! When everything has ended its time goes over: what is deleted, when, and that the journal proves it. What is held is not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use brevbro::crypto::sha256;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::{RecordId, Sha256};
use brevbro::inbound::Incoming;
use brevbro::inbound::retire::Past;
use brevbro::outbound::Outgoing;
use brevbro::outbound::state::Ended;
use brevbro::port::{BlobId, BlobKind, Blobs, Clock, Queue, Record, Store, Tally};
use brevbro::worker::HoldOn;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use crate::common::counted::counted;
use crate::gateway::KEPT;
use crate::net::is;
use crate::operator;
use crate::world::{NAMES, SECRET, World, participant};

/// Marks by which messages were known.
const MARKS: [&str; 6] = ["as4/", "facts/", "got/", "hand/", "rejected/", "sent/"];

const DAY: i64 = 60 * 60 * 24;

/// What a side had when everything had ended.
struct Had {
    /// When each message ended, and what it is held by.
    records: BTreeMap<RecordId, Over>,
    bodies: BTreeMap<BlobId, Body>,
    lines: usize,
}

struct Over {
    at: Timestamp,
    on: Vec<HoldOn>,
    bodies: Vec<BlobId>,
    /// A message receipt is evidence, and so is what it was sent in.
    has_content: bool,
}

struct Body {
    kind: BlobKind,
    octets: u64,
    digest: Sha256,
}

impl Had {
    async fn of(world: &World, side: usize) -> Self {
        let disk = &world.sides[side].disk;
        let records: Vec<Record> = disk.kept.lock().unwrap().records.values().cloned().collect();
        let mut bodies = BTreeMap::new();
        for blob in disk.blobs.heads().await.unwrap() {
            let (_, octets, mut reader) = disk.blobs.open(blob.id).await.unwrap();
            let mut body = Vec::new();
            reader.read_to_end(&mut body).unwrap();
            bodies.insert(blob.id, Body { kind: blob.kind, octets, digest: sha256(&body) });
        }
        let records = records.into_iter().filter_map(|record| Some((record.id, over(side, &record)?))).collect();
        Self { records, bodies, lines: disk.events().await.len() }
    }

    /// The content that a message names.
    fn content<'a>(&'a self, over: &'a Over) -> impl Iterator<Item = (BlobId, &'a Body)> {
        let own = over.bodies.iter().filter_map(|id| Some((*id, self.bodies.get(id)?)));
        own.filter(|(_, body)| over.has_content && Ended::is_content(body.kind))
    }
}

fn over(side: usize, record: &Record) -> Option<Over> {
    let (at, conversation, has_content, bodies) = match Outgoing::from_record(record) {
        Ok(Outgoing::Ended(ended)) => (ended.at, ended.conversation().cloned(), ended.has_content(), Outgoing::Ended(ended).blobs()),
        Ok(_) => return None,
        Err(_) => {
            let incoming = Incoming::from_record(record).ok()?;
            let bodies = incoming.blobs();
            let past = Past::of(incoming)?;
            (past.at, past.conversation().cloned(), past.has_content(), bodies)
        }
    };
    let own = [HoldOn::Message(record.id), HoldOn::Organisation(participant(side))];
    Some(Over { at, on: own.into_iter().chain(conversation.map(HoldOn::Conversation)).collect(), bodies, has_content })
}

/// Lets the time of both sides go over, and judges.
pub async fn play(world: &Arc<World>) {
    for side in [0, 1] {
        operator::see_to_all(world, side).await;
    }
    let had = [Had::of(world, 0).await, Had::of(world, 1).await];
    world.retire();
    let held = held(world, &had);
    if let Some((side, on)) = &held {
        operator::hold(world, *side, on).await;
    }
    let content = i64::try_from(KEPT.content.as_secs()).unwrap();
    // All has ended within these days, and not on one of them.
    for jump in [content - 31 * DAY, 32 * DAY] {
        pass(world, jump).await;
        for side in [0, 1] {
            deleted_in_time(world, side, &had[side], held.as_ref().filter(|(held, _)| *held == side).map(|(_, on)| on)).await;
        }
    }
    if let Some((side, on)) = &held {
        operator::end_hold(world, *side, on).await;
    }
    pass(world, 2 * DAY).await;
    for side in [0, 1] {
        deleted_in_time(world, side, &had[side], None).await;
    }
    pass(world, content).await;
    pass(world, 8 * DAY).await;
    for side in [0, 1] {
        nothing_is_left(world, side, &had[side]).await;
    }
}

/// What is held at which side, of what it has.
fn held(world: &World, had: &[Had; 2]) -> Option<(usize, HoldOn)> {
    let side = world.plan.held?;
    let all: Vec<&HoldOn> = had[side].records.values().flat_map(|over| &over.on).collect();
    (!all.is_empty()).then(|| (side, all[world.roll(all.len() as u64) as usize].clone()))
}

/// So much time passes, and what is due by then is done.
async fn pass(world: &Arc<World>, seconds: i64) {
    for side in [0, 1] {
        world.jump(side, seconds);
    }
    let (mut quiet, began) = (0, Instant::now());
    while quiet < 2 {
        sleep(Duration::from_secs(20)).await;
        let mut due = 0;
        for side in [0, 1] {
            let soon = world.sides[side].clock.now() + SignedDuration::from_mins(30);
            let jobs = world.sides[side].disk.store.jobs(Queue::Purge, Timestamp::MIN, 10_000).await.unwrap();
            due += jobs.iter().filter(|job| job.due < soon).count() + usize::from(world.up(side).is_none());
        }
        quiet = if due == 0 { quiet + 1 } else { 0 };
        if began.elapsed() > Duration::from_hours(6) {
            return world.wrong(format!("{due} deletions are due for hours"));
        }
    }
}

/// Content is there until its time is over or its hold, and not after that; the journal has a line for each body.
async fn deleted_in_time(world: &World, side: usize, had: &Had, held: Option<&HoldOn>) {
    let disk = &world.sides[side].disk;
    let (events, now) = (disk.events().await, world.sides[side].clock.now());
    let is_over = |over: &Over| now >= over.at + SignedDuration::try_from(KEPT.content).unwrap();
    let is_held = |over: &Over| held.is_some_and(|on| over.on.contains(on));
    // A mail to several goes with the last of them.
    let kept: BTreeSet<BlobId> = had.records.values().filter(|over| !is_over(over) || is_held(over)).flat_map(|over| over.bodies.clone()).collect();
    for (record, over) in &had.records {
        let told = events.iter().any(|event| event.record == Some(*record) && event.name == EventName::PurgeHeld);
        if over.has_content && is_over(over) && is_held(over) && !told {
            world.wrong(format!("{}: nothing says that {record} is held", NAMES[side]));
        }
        for (id, body) in had.content(over) {
            let there = disk.blobs.open(id).await.ok().map(|(_, octets, _)| octets);
            let lines: Vec<&Event> = events[had.lines..].iter().filter(|event| is_deletion(event, id)).collect();
            let what = format!("{}: the {:?} {} of {record}", NAMES[side], body.kind, id.0);
            if kept.contains(&id) {
                if there != Some(body.octets) || !lines.is_empty() {
                    world.wrong(format!("{what} is gone too soon"));
                }
                continue;
            }
            // What stands before a request proves what its receipt is for.
            let left = if body.kind == BlobKind::Request { Some(0) } else { None };
            if there != left {
                world.wrong(format!("{what} is still there"));
            }
            // Each of several recipients may have come to it before it was gone.
            let sharing = had.records.values().filter(|other| other.bodies.contains(&id)).count();
            if lines.is_empty() || lines.len() > sharing {
                world.wrong(format!("{what} was deleted, of which the journal has {} lines", lines.len()));
            }
            let proves = |event: &&Event| is(event, Field::Digest, &body.digest.to_string()) && is(event, Field::Size, &body.octets.to_string());
            if !lines.iter().all(proves) {
                world.wrong(format!("{what} was deleted as another: {lines:?}"));
            }
        }
    }
}

fn is_deletion(event: &Event, id: BlobId) -> bool {
    event.name == EventName::ContentDeleted && is(event, Field::Blob, &id.0.to_string())
}

/// In the end nothing is left but the journal, which says so and has no content.
async fn nothing_is_left(world: &World, side: usize, had: &Had) {
    let (disk, name) = (&world.sides[side].disk, NAMES[side]);
    let events = disk.events().await;
    for record in had.records.keys() {
        let lines = events.iter().filter(|event| event.record == Some(*record) && event.name == EventName::RecordDeleted).count();
        if lines != 1 {
            world.wrong(format!("{name}: the journal says {lines} times that record {record} is deleted"));
        }
    }
    let (records, notes): (Vec<_>, Vec<_>) = {
        let kept = disk.kept.lock().unwrap();
        (kept.records.values().map(|record| record.state.to_string()).collect(), kept.notes.keys().cloned().collect())
    };
    let counted = counted(disk.kept.lock().unwrap().notes.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    if counted != Tally::NONE {
        world.wrong(format!("{name}: {counted:?} is counted of nothing"));
    }
    if !records.is_empty() {
        world.wrong(format!("{name}: records are left: {records:?}"));
    }
    for blob in disk.blobs.heads().await.unwrap() {
        world.wrong(format!("{name}: the {:?} {} is left", blob.kind, blob.id.0));
    }
    for note in notes.iter().filter(|note| MARKS.iter().any(|family| note.starts_with(family))) {
        world.wrong(format!("{name}: a mark is left: {note}"));
    }
    for event in &events[had.lines..] {
        let line = serde_json::to_string(event).unwrap();
        if line.contains(SECRET) || event.name == EventName::Faulted {
            world.wrong(format!("{name}: when time was over the journal said {line}"));
        }
    }
}
