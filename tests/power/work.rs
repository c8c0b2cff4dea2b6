//! What the process does whose power is cut, and what must be left of it.
//!
//! Several strands work side by side, each on records, notes, jobs and blobs of its own and one step after another, all of
//! them a function of seed, strand and number. So all that a strand has at any moment follows from the number of its last
//! step; and after a cut it must be what it was after the last step that was acknowledged, or after the one that was
//! under way, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use brevbro::crypto::rest::RestKey;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, Guard, Job, JobId, Key, Op, Queue, Record, State, Step, Store, StoreError};
use brevbro::store::cipher::{Keys, Rekey, Rekeyed, Rings};
use brevbro::store::journal::{self, JournalOptions};
use brevbro::store::{Reserve, SledOptions, SledStore, Spool, SpoolOptions};
use jiff::Timestamp;
use uuid::Uuid;

use crate::block;
use crate::common::dice::Dice;

/// Strands of work.
pub const STRANDS: usize = 6;

const STATES: [&str; 2] = ["scheduled", "waiting-for-receipt"];

/// What a strand does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// A new item: its blob, then a step with record, note, job and event.
    Accept,
    /// The item's record changes its state, one job is done and another there.
    Advance(u64),
    /// The item's blob is written anew.
    Replace(u64),
    /// The item is gone, and then its blob.
    End(u64),
}

/// An item of a strand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    advanced: bool,
    version: u64,
}

/// A strand after some number of steps.
#[derive(Debug, Clone)]
pub struct Strand {
    seed: u64,
    number: usize,
    /// Steps done.
    pub done: u64,
    items: BTreeMap<u64, Item>,
    ended: BTreeSet<u64>,
}

impl Strand {
    pub fn after(seed: u64, strand: usize, done: u64) -> Self {
        let mut strand = Self { seed, number: strand, done: 0, items: BTreeMap::new(), ended: BTreeSet::new() };
        while strand.done < done {
            strand.advance();
        }
        strand
    }

    pub fn number(&self) -> usize {
        self.number
    }

    fn dice(&self, more: u64) -> Dice {
        Dice(self.seed ^ (self.number as u64) << 56 ^ more << 20)
    }

    fn next(&self) -> Deed {
        let mut dice = self.dice(self.done + 1);
        let kind = dice.roll(10);
        let mut pick = |fits: &dyn Fn(&Item) -> bool| {
            let fitting: Vec<u64> = self.items.iter().filter(|(_, item)| fits(item)).map(|(number, _)| *number).collect();
            (!fitting.is_empty()).then(|| fitting[dice.roll(fitting.len() as u64) as usize])
        };
        let deed = match kind {
            0..2 => pick(&|item| !item.advanced).map(Deed::Advance),
            2..4 => pick(&|_| true).map(Deed::Replace),
            4..6 => pick(&|item| item.advanced).map(Deed::End),
            _ => None,
        };
        deed.unwrap_or(Deed::Accept)
    }

    fn advance(&mut self) {
        let deed = self.next();
        self.done += 1;
        match deed {
            Deed::Accept => drop(self.items.insert(self.done, Item { advanced: false, version: 0 })),
            Deed::Advance(number) => self.items.get_mut(&number).unwrap().advanced = true,
            Deed::Replace(number) => self.items.get_mut(&number).unwrap().version += 1,
            Deed::End(number) => {
                self.items.remove(&number);
                self.ended.insert(number);
            }
        }
    }

    fn id(&self, number: u64) -> Uuid {
        // Ids all over the place, as real ones are; what they are of can be read off them.
        let spread = u128::from(self.dice(number).roll(u64::MAX));
        Uuid::from_u128(spread << 64 | (self.number as u128) << 48 | u128::from(number))
    }

    fn key(&self, number: u64) -> Key {
        Key::new("power", &format!("{}.{number}", self.number))
    }

    fn record(&self, number: u64, item: Item) -> Record {
        let octets = self.dice(number).roll(Record::MAX_BODY as u64 - 100) as usize;
        let body = format!("{{\"n\":{number},\"v\":{},\"x\":\"{}\"}}", item.advanced, "x".repeat(octets));
        Record { id: RecordId(self.id(number)), state: State::new(STATES[usize::from(item.advanced)]), body }
    }

    fn job(&self, number: u64, item: Item) -> Job {
        let queue = if item.advanced { Queue::Send } else { Queue::Seal };
        let record = RecordId(self.id(number));
        Job::new(JobId::of(record, if item.advanced { "send" } else { "seal" }), queue, record, moment()).with(format!("{}.{number}", self.number))
    }

    fn body(&self, number: u64, version: u64) -> Vec<u8> {
        let mut dice = self.dice(number << 8 | version);
        let octets = [40, 700, 9_000, 90_000][dice.roll(4) as usize] + dice.roll(700) as usize;
        std::iter::repeat_with(|| dice.roll(u64::MAX).to_ne_bytes()).flatten().take(octets).collect()
    }

    fn event(&self) -> Op {
        Op::Audit(Event::new(moment(), EventName::MailAccepted).with(Field::Transaction, format!("{}.{}", self.number, self.done + 1)))
    }

    /// Whether a blob is what some strand wrote.
    pub fn is_body(seed: u64, blob: &Blob, octets: &[u8]) -> bool {
        let parts: Vec<u64> = blob.header.split('.').map(|part| part.parse().unwrap()).collect();
        let strand = Self::after(seed, parts[0] as usize, 0);
        octets == strand.body(parts[1], parts[2]) && blob.id.0 == strand.id(parts[1])
    }

    /// Deletes what a cut between a step and its deletion left, as the daemon does at its start.
    pub fn tidy(&self, spool: &Spool) -> Result<(), StoreError> {
        self.ended.iter().try_for_each(|number| block(spool.delete(BlobId(self.id(*number)))))
    }

    /// Does the next step, durably.
    pub fn work(&mut self, store: &SledStore, spool: &Spool) -> Result<(), StoreError> {
        let step = Step::new().op(self.event());
        match self.next() {
            Deed::Accept => {
                let number = self.done + 1;
                let item = Item { advanced: false, version: 0 };
                self.write(spool, number, 0)?;
                let step = step
                    .guard(Guard::Absent(self.key(number)))
                    .op(Op::Put(self.record(number, item)))
                    .op(Op::Note(self.key(number), number.to_string()))
                    .op(Op::Enqueue(self.job(number, item)));
                block(store.apply(step))?;
            }
            Deed::Advance(number) => {
                let (old, new) = (self.items[&number], Item { advanced: true, ..self.items[&number] });
                let step = step
                    .guard(Guard::In(RecordId(self.id(number)), State::new(STATES[0])))
                    .op(Op::Put(self.record(number, new)))
                    .op(Op::Cancel(self.job(number, old).id))
                    .op(Op::Enqueue(self.job(number, new)));
                block(store.apply(step))?;
            }
            Deed::Replace(number) => {
                self.write(spool, number, self.items[&number].version + 1)?;
                block(store.apply(step))?;
            }
            Deed::End(number) => {
                let item = self.items[&number];
                let step = step.op(Op::Remove(RecordId(self.id(number)))).op(Op::Forget(self.key(number))).op(Op::Cancel(self.job(number, item).id));
                block(store.apply(step))?;
                block(spool.delete(BlobId(self.id(number))))?;
            }
        }
        self.advance();
        Ok(())
    }

    fn write(&self, spool: &Spool, number: u64, version: u64) -> Result<(), StoreError> {
        let body = self.body(number, version);
        let blob = Blob { id: BlobId(self.id(number)), kind: BlobKind::Mail, header: format!("{}.{number}.{version}", self.number) };
        let mut writer = block(spool.create(blob, Some(body.len() as u64)))?;
        // What a write says is said again by the commit.
        let _ = writer.write_all(&body);
        block(writer.commit()).map(drop)
    }
}

pub fn moment() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// What is found of all strands after an opening.
pub struct Found {
    records: BTreeMap<Uuid, Record>,
    notes: BTreeMap<(usize, u64), String>,
    jobs: BTreeMap<Uuid, Job>,
    /// The steps that the journal tells of, by strand, in its order.
    told: Vec<Vec<u64>>,
    blobs: BTreeMap<Uuid, String>,
}

impl Found {
    /// Reads everything; the journal, record by record, and blob by blob, whole.
    pub fn read(store: &SledStore, spool: &Spool, seed: u64, reached: &[u64]) -> Self {
        Self::try_read(store, spool, seed, reached).unwrap()
    }

    /// The same; what the store refuses to read is an error.
    pub fn try_read(store: &SledStore, spool: &Spool, seed: u64, reached: &[u64]) -> Result<Self, StoreError> {
        let mut records: BTreeMap<Uuid, Record> = BTreeMap::new();
        for state in STATES {
            records.extend(block(store.list(State::new(state), usize::MAX))?.into_iter().map(|record| (record.id.0, record)));
        }
        let (mut by_page, mut after) = (BTreeMap::new(), None);
        while let page = block(store.records(after, 7))?
            && let Some(last) = page.last()
        {
            after = Some(last.id);
            by_page.extend(page.into_iter().map(|record| (record.id.0, record)));
        }
        assert_eq!(by_page, records, "records by page and by their state");
        let mut notes = BTreeMap::new();
        for (strand, reached) in reached.iter().enumerate() {
            let strand_of = Strand::after(seed, strand, 0);
            for number in 1..=reached + 1 {
                notes.extend(block(store.note(strand_of.key(number)))?.map(|note| ((strand, number), note)));
                let by_id = block(store.record(RecordId(strand_of.id(number))))?;
                assert_eq!(by_id.as_ref(), records.get(&strand_of.id(number)), "a record by its id and by its state");
            }
        }
        let mut jobs = BTreeMap::new();
        for queue in [Queue::Seal, Queue::Send] {
            let leases = block(store.claim(queue, Duration::ZERO, usize::MAX))?;
            jobs.extend(leases.into_iter().map(|lease| (lease.job.id.0, lease.job)));
        }
        let mut told = vec![Vec::new(); reached.len()];
        let mut from = 0;
        while let events = block(store.audit(from, 500))?
            && !events.is_empty()
        {
            for (number, event) in events {
                assert!(number == from || from == 0, "events are counted without a gap");
                from = number + 1;
                let (strand, step) = event.fields[&Field::Transaction].split_once('.').unwrap();
                told[strand.parse::<usize>().unwrap()].push(step.parse().unwrap());
            }
        }
        let mut blobs = BTreeMap::new();
        for blob in block(spool.heads())? {
            let (read, _, mut body) = block(spool.open(blob.id))?;
            assert_eq!(read, blob);
            let mut octets = Vec::new();
            body.read_to_end(&mut octets).unwrap();
            assert!(Strand::is_body(seed, &blob, &octets), "blob {} is not what was written", blob.header);
            blobs.insert(blob.id.0, blob.header);
        }
        Ok(Self { records, notes, jobs, told, blobs })
    }

    /// After which step each strand is: the acknowledged one, or the one that was under way. `tidy`: what an earlier life
    /// left to be deleted is deleted.
    pub fn judge(&self, seed: u64, acknowledged: &[u64], tidy: bool) -> Result<Vec<u64>, String> {
        let found = acknowledged.iter().enumerate().map(|(strand, at_least)| {
            let told = &self.told[strand];
            let before = Strand::after(seed, strand, *at_least);
            let after = Strand::after(seed, strand, at_least + 1);
            // What an earlier segment told is gone with it; there is no gap.
            if !told.is_sorted_by(|one, next| one + 1 == *next) || (!seed.is_multiple_of(2) && told.first().is_some_and(|first| *first != 1)) {
                return Err(format!("strand {strand}: the journal tells of the steps {told:?}"));
            }
            let now = match told.last().copied() {
                Some(last) if last == at_least + 1 => &after,
                Some(last) if last == *at_least => &before,
                None if seed.is_multiple_of(2) || *at_least == 0 => &before,
                last => return Err(format!("strand {strand}: the last step is {last:?}, and {at_least} were acknowledged")),
            };
            self.compare(now, before.next(), &after, tidy).map(|()| now.done)
        });
        let found: Vec<u64> = found.collect::<Result<_, _>>()?;
        let known = |id: Uuid| (id.as_u128() >> 48 & 0xffff) as usize;
        let more = |count: usize, of: usize, what| if count == of { Ok(()) } else { Err(format!("{count} {what} where {of} should be")) };
        let items: usize = found.iter().enumerate().map(|(strand, done)| Strand::after(seed, strand, *done).items.len()).sum();
        debug_assert!(self.records.keys().all(|id| known(*id) < acknowledged.len()));
        more(self.records.len(), items, "records")?;
        more(self.notes.len(), items, "notes")?;
        more(self.jobs.len(), items, "jobs")?;
        Ok(found)
    }

    /// Compares a strand as it is with what it should be; `under_way` was begun after the last acknowledged step.
    fn compare(&self, now: &Strand, under_way: Deed, after: &Strand, tidy: bool) -> Result<(), String> {
        let what = |number: u64, what: &str| Err(format!("strand {} after step {}: item {number} {what}", now.number, now.done));
        for (number, item) in &now.items {
            if self.records.get(&now.id(*number)) != Some(&now.record(*number, *item)) {
                return what(*number, "has another record or none");
            }
            if self.notes.get(&(now.number, *number)) != Some(&number.to_string()) {
                return what(*number, "has another note or none");
            }
            let job = now.job(*number, *item);
            if self.jobs.get(&job.id.0) != Some(&job) {
                return what(*number, "has another job or none");
            }
            let header = |version| format!("{}.{number}.{version}", now.number);
            let replacing = after.items.get(number).filter(|_| under_way == Deed::Replace(*number)).map(|item| header(item.version));
            match self.blobs.get(&now.id(*number)) {
                Some(found) if *found == header(item.version) || Some(found) == replacing.as_ref() => {}
                Some(other) => return what(*number, &format!("has the blob {other}")),
                None => return what(*number, "has no blob"),
            }
        }
        for number in now.ended.iter().filter(|number| tidy && under_way != Deed::End(**number)) {
            if self.blobs.contains_key(&now.id(*number)) {
                return what(*number, "was ended, and its blob is back");
            }
        }
        Ok(())
    }
}

/// A store whose journal goes on in a new segment again and again, and of every second seed forgets the old ones.
pub fn options(dir: &Path, seed: u64) -> SledOptions {
    let keep = (seed.is_multiple_of(2)).then_some(jiff::SignedDuration::ZERO);
    let segments = JournalOptions { octets: 24 * 1024, keep, ..JournalOptions::default() };
    SledOptions { segments, reserve: Reserve::of(0), ..SledOptions::new(dir.join("store")) }
}

/// The spool beside it. Of two seeds in three bodies lie under keys: one seals in one life, the other in the next.
pub fn spool(dir: &Path, seed: u64, life: u64) -> Result<Spool, StoreError> {
    let key = |first: u8| RestKey::read(&[&[first][..], &[0x5a; 31]].concat()).unwrap();
    let order = if life.is_multiple_of(2) { [1, 2] } else { [2, 1] };
    let keys = if seed.is_multiple_of(3) { Keys::default() } else { Keys::new(Rings::of(order.map(key).into())) };
    Spool::open(SpoolOptions { keys: Arc::new(keys), reserve: Reserve::of(0), ..SpoolOptions::new(dir.join("spool")) })
}

/// Seals all bodies with the key of this life; how many were not.
fn rekey(spool: &Spool) -> usize {
    let all = block(spool.all(None, usize::MAX)).unwrap();
    let anew = all.into_iter().filter(|listed| block(spool.rekey(listed.id)).unwrap() == Rekeyed::Anew).count();
    block(spool.census()).unwrap();
    anew
}

/// Opens what a cut left, as the daemon does or by building the index anew, and reads it; how far each strand has come.
///
/// # Errors
/// What is wrong, for people.
pub fn check(dir: &Path, seed: u64, acknowledged: &[u64], tidy: bool, rebuild: bool) -> Result<Vec<u64>, String> {
    let read = || {
        let spool = spool(dir, seed, 0).map_err(|error| error.to_string())?;
        let store = SledOptions { rebuild, ..options(dir, seed) };
        let store = SledStore::open(store).map_err(|error| error.to_string())?;
        let damaged = spool.check().map_err(|error| error.to_string())?;
        if let Some(damage) = damaged.first() {
            return Err(format!("{}: {}", damage.path.display(), damage.why));
        }
        let found = Found::read(&store, &spool, seed, acknowledged);
        drop(store);
        journal::verify(&options(dir, seed).journal()).map_err(|error| error.to_string())?;
        found.judge(seed, acknowledged, tidy)
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", words.unwrap_or_default()))
    })
}

/// What the process is told.
pub struct Orders<'a> {
    pub dir: &'a Path,
    pub seed: u64,
    /// Where each strand goes on.
    pub from: &'a [u64],
    /// Steps of each strand.
    pub steps: u64,
    /// Whether the index is built anew.
    pub rebuild: bool,
}

const ORDERS: &str = "BREVBRO_POWER_ORDERS";

impl Orders<'_> {
    /// The process: this test binary, asked for its one ignored test.
    pub fn command(&self, acks: &Path) -> Command {
        let from: Vec<String> = self.from.iter().map(u64::to_string).collect();
        let text = format!("{} {} {} {} {}", self.dir.display(), self.seed, self.steps, u8::from(self.rebuild), from.join(" "));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "work::process_whose_power_is_cut", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ORDERS, text).env("POWER_ACKS", acks);
        command
    }
}

#[test]
#[ignore = "the process of the power-cut tests: it does as it was told"]
fn process_whose_power_is_cut() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let words: Vec<&str> = orders.split(' ').collect();
    let numbers: Vec<u64> = words[1..].iter().map(|word| word.parse().unwrap()).collect();
    let (dir, [seed, steps, rebuild]) = (Path::new(words[0]), numbers[..3].try_into().unwrap());
    let acks = File::options().append(true).create(true).open(std::env::var("POWER_ACKS").unwrap()).unwrap();
    let spool = spool(dir, seed, numbers[3..].iter().sum()).unwrap();
    let store = SledStore::open(SledOptions { rebuild: rebuild == 1, ..options(dir, seed) }).unwrap();
    for (strand, from) in numbers[3..].iter().enumerate() {
        Strand::after(seed, strand, *from).tidy(&spool).unwrap();
    }
    // What was found is built on from here on, so it is as good as acknowledged.
    for (strand, from) in numbers[3..].iter().enumerate() {
        (&acks).write_all(format!("{strand} {from}\n").as_bytes()).unwrap();
    }
    std::thread::scope(|scope| {
        let strands = numbers[3..].iter().enumerate().map(|(strand, from)| {
            let (store, spool, mut acks) = (&store, &spool, &acks);
            scope.spawn(move || {
                let mut strand_of = Strand::after(seed, strand, *from);
                for _ in 0..steps {
                    strand_of.work(store, spool).unwrap();
                    // One write: it stands on the tape as one.
                    acks.write_all(format!("{strand} {}\n", strand_of.done).as_bytes()).unwrap();
                }
            })
        });
        let strands: Vec<_> = strands.collect();
        let mut anew = rekey(&spool);
        while !strands.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            anew += rekey(&spool);
        }
        println!("sealed anew: {anew}");
    });
}
