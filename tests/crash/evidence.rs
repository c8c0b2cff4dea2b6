//! What the logs of clients and mail servers prove, and what the journals add.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use brevbro::event::{Event, EventName, Field};
use brevbro::port::{Key, Queue};
use brevbro::store::journal::{self, Change, Entry, JournalError};
use serde_json::Value;

use crate::common::counted::{counted, is_sum, there};
use crate::stage::{NOBODY, Side, Stage, log};

/// A mail to one recipient.
pub type Letter = (String, String);

/// What came of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Mails that were answered with 250.
    pub accepted: usize,
    /// Mails that the client handed in more than once, because it was not answered.
    pub handed_in_again: usize,
    /// Recipients of those mails.
    pub letters: usize,
    /// Of those, the ones that the other side rejects.
    pub rejected: usize,
    /// Letters that ended in neither delivery nor notice.
    pub lost: Vec<Letter>,
    /// Letters that arrived as two messages.
    pub doubled: Vec<Letter>,
    /// Mails and notices that a mail server got again with the same Message-ID.
    pub repeated: usize,
    /// Of those, the ones that no line of the journal admits.
    pub unexplained: Vec<String>,
    /// `possible-duplicate` in the journals.
    pub possible_duplicates: usize,
    /// Everything else that is not as it should be.
    pub wrong: Vec<String>,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lost, doubled, repeated, possible_duplicates, .. } = self;
        write!(f, "{} lost, {} doubled, {repeated} repeated of {possible_duplicates} possible duplicates", lost.len(), doubled.len())
    }
}

impl Verdict {
    /// Nothing lost, nothing twice but what the journals admit, and that at most once a kill.
    #[track_caller]
    pub fn assert(&self, kills: usize) {
        let Self { lost, doubled, unexplained, wrong, .. } = self;
        assert!(lost.is_empty() && doubled.is_empty() && unexplained.is_empty() && wrong.is_empty(), "{self:#?}");
        assert!(self.repeated <= kills, "more repeats than kills: {self:#?}");
    }
}

/// The mailbox at the other side that an address leads to: the part before the `@` is the function.
fn function(address: &str) -> String {
    address.split('@').next().unwrap_or_default().to_owned()
}

/// Whether the other side rejects it.
fn is_for_nobody((_, function): &Letter) -> bool {
    function == NOBODY
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

/// What the mail servers have got so far.
pub struct Inbox {
    /// Ids and digests of every copy of a letter.
    pub delivered: BTreeMap<Letter, Vec<(String, Value)>>,
    /// Ids of every notice about a letter, by action.
    pub notices: BTreeMap<Letter, Vec<(String, String)>>,
    /// What is neither: the operator's mail.
    pub other: Vec<String>,
}

impl Inbox {
    pub fn read(stage: &Stage) -> Self {
        let mut inbox = Self { delivered: BTreeMap::new(), notices: BTreeMap::new(), other: Vec::new() };
        for line in log(&stage.dir.join("sink.jsonl")) {
            let (token, id) = (text(&line, "token").to_owned(), text(&line, "id").to_owned());
            match text(&line, "kind") {
                "mail" => inbox.delivered.entry((token, function(text(&line, "to")))).or_default().push((id, line["files"].clone())),
                "notice" => {
                    let notices = inbox.notices.entry((token, function(text(&line, "about")))).or_default();
                    notices.push((text(&line, "action").to_owned(), id));
                }
                // Of pairs that were made to answer each other too fast.
                _ if text(&line, "subject").contains("Two functions answer each other") => {}
                // The other side was killed for so long that the operator was told.
                _ if ["A server does not answer", "A server answers again"].iter().any(|told| text(&line, "subject").contains(told)) => {}
                // A database was away for so long that the operator was told. Tests of disks look for this mail themselves.
                _ if text(&line, "subject").contains("Mails and messages could not be stored") => {}
                // A test gave it back.
                _ if text(&line, "subject").contains("skickade tillbaka") => {}
                _ => inbox.other.push(line.to_string()),
            }
        }
        inbox
    }

    /// Whether every letter is delivered, or rejected, and its sender told.
    pub fn is_complete(&self, letters: impl IntoIterator<Item = Letter>) -> bool {
        letters.into_iter().all(|letter| (is_for_nobody(&letter) || self.delivered.contains_key(&letter)) && self.notices.contains_key(&letter))
    }

    pub fn len(&self) -> usize {
        let copies = self.delivered.values().map(Vec::len).sum::<usize>();
        copies + self.notices.values().map(Vec::len).sum::<usize>() + self.other.len()
    }
}

/// The letters that a client has been promised, with their files and attempts. Mails that programs sent by themselves
/// are none: they are taken and dropped.
pub fn accepted(stage: &Stage) -> Vec<(Letter, Value, u64)> {
    let mut letters = Vec::new();
    let is_letter = |line: &&Value| text(line, "event") == "accepted" && !text(line, "token").ends_with("-auto");
    for line in log(&stage.dir.join("client.jsonl")).iter().filter(is_letter) {
        for to in line["to"].as_array().unwrap() {
            let letter = (text(line, "token").to_owned(), function(to.as_str().unwrap()));
            letters.push((letter, line["files"].clone(), line["tries"].as_u64().unwrap()));
        }
    }
    letters
}

/// Judges a run whose gateways have been stopped.
pub fn judge(stage: &Stage) -> Verdict {
    let mut wrong = Vec::new();
    let journals = Side::BOTH.map(|side| Journal::read(side, stage, &mut wrong));
    weigh(stage, &journals, wrong)
}

/// What the logs prove beside these journals.
pub fn weigh(stage: &Stage, journals: &[Journal], wrong: Vec<String>) -> Verdict {
    let mut verdict = Verdict { wrong, ..Verdict::default() };
    let (promised, inbox) = (accepted(stage), Inbox::read(stage));
    let admitted = |what: &dyn Fn(&Event) -> bool| {
        let events = journals.iter().flat_map(|journal| &journal.events);
        events.filter(|event| event.name == EventName::PossibleDuplicate && what(event)).count()
    };
    verdict.possible_duplicates = admitted(&|_| true);
    let mails: BTreeMap<&String, u64> = promised.iter().map(|((token, _), _, tries)| (token, *tries)).collect();
    verdict.accepted = mails.len();
    verdict.handed_in_again = mails.values().filter(|tries| **tries > 1).count();
    verdict.letters = promised.len();
    for line in log(&stage.dir.join("client.jsonl")).iter().filter(|line| text(line, "event") == "refused") {
        verdict.wrong.push(format!("refused: {line}"));
    }
    for (letter, files, _) in &promised {
        let copies = inbox.delivered.get(letter).map(Vec::as_slice).unwrap_or_default();
        let notices = inbox.notices.get(letter).map(Vec::as_slice).unwrap_or_default();
        if copies.is_empty() && !notices.iter().any(|(action, _)| action == "failed") {
            verdict.lost.push(letter.clone());
        }
        if copies.iter().any(|(_, delivered)| delivered != files) {
            verdict.wrong.push(format!("{letter:?}: the files are not those that were sent"));
        }
        let ids: BTreeSet<&String> = copies.iter().map(|(id, _)| id).collect();
        if ids.len() > 1 {
            verdict.doubled.push(letter.clone());
        }
        for id in ids {
            let again = copies.iter().filter(|(copy, _)| copy == id).count() - 1;
            let message = id.trim_start_matches('<').split('@').next().unwrap_or_default();
            verdict.repeated += again;
            if admitted(&|event| event.fields.get(&Field::MessageId).is_some_and(|id| id == message)) < again {
                verdict.unexplained.push(format!("{letter:?}: {again} more of {id}"));
            }
        }
        if is_for_nobody(letter) {
            verdict.rejected += 1;
            verdict.wrong.extend(copies.iter().map(|(id, _)| format!("{letter:?} is for nobody, and delivered as {id}")));
        }
        // Everything is healthy in the end, so every sender is told of one success, or of the rejection.
        let told: BTreeSet<&(String, String)> = notices.iter().collect();
        let wanted = if is_for_nobody(letter) { "failed" } else { "delivered" };
        if told.len() != 1 || told.iter().any(|(action, _)| action != wanted) {
            verdict.wrong.push(format!("{letter:?}: its sender was told {told:?}"));
        }
        let again = notices.len().saturating_sub(told.len());
        let mail = format!("{}@client.test", letter.0);
        verdict.repeated += again;
        if admitted(&|event| event.fields.get(&Field::MailMessageId).is_some_and(|id| id.contains(&mail))) < again {
            verdict.unexplained.push(format!("{letter:?}: {again} more of its notice"));
        }
    }
    let known: BTreeSet<&Letter> = promised.iter().map(|(letter, ..)| letter).collect();
    verdict.wrong.extend(inbox.delivered.keys().filter(|letter| !known.contains(letter)).map(|letter| format!("{letter:?} was never sent")));
    verdict.wrong.extend(inbox.other.iter().map(|mail| format!("a mail of its own: {mail}")));
    let sent = journals.iter().map(|journal| journal.as4_ids.len()).sum::<usize>();
    let received: BTreeSet<&String> = journals.iter().flat_map(|journal| journal.received.iter()).collect();
    if received.len() != sent {
        verdict.wrong.push(format!("{sent} AS4 messages were sent and {} taken in", received.len()));
    }
    verdict
}

/// One gateway's journal.
pub struct Journal {
    events: Vec<Event>,
    /// The AS4 id of every record that was sent.
    as4_ids: BTreeMap<String, String>,
    /// The AS4 ids that were taken in.
    received: Vec<String>,
}

impl Journal {
    /// Reads it, checks its chain, and that nothing is left to be done.
    pub fn read(side: Side, stage: &Stage, wrong: &mut Vec<String>) -> Self {
        let gateway = if side == Side::A { &stage.a } else { &stage.b };
        let (path, name) = (gateway.journal(), side.name());
        if let Err(error) = journal::verify(&path) {
            wrong.push(format!("the journal of {name}: {error}"));
        }
        let (mut jobs, mut records, mut used) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut own = Self::of(name, Vec::new(), wrong);
        let (mut entries, mut counts) = (Vec::new(), false);
        let read = journal::entries(&path, |entry| {
            entries.push(entry);
            Ok::<(), JournalError>(())
        });
        if let Err(error) = read {
            wrong.push(format!("the journal of {name}: {error}"));
        }
        for Entry { events, changes, .. } in entries {
            for event in events {
                own.note(name, &event, wrong);
                own.events.push(event);
            }
            for change in changes {
                match change {
                    Change::Job(job) => drop(jobs.insert(job.id, job)),
                    Change::NoJob(id) => drop(jobs.remove(&id)),
                    Change::Record(record) => drop(records.insert(record.id, record)),
                    Change::NoRecord(id) => drop(records.remove(&id)),
                    Change::Note(key, value) if is_sum(key.as_str()) => {
                        counts |= counted(std::iter::once((key.as_str(), value.as_str()))).octets > 0;
                        drop(used.insert(key, value));
                    }
                    Change::Note(..) | Change::NoNote(_) => {}
                }
            }
        }
        // What has ended is deleted days from now.
        let left_over = jobs.values().filter(|job| job.queue != Queue::Purge);
        wrong.extend(left_over.map(|job| format!("{name} has a job left: {job:?}")));
        let (counted, there) = (counted(used.iter().map(|(key, value): (&Key, &String)| (key.as_str(), value.as_str()))), there(records.values()));
        if counted != there {
            wrong.push(format!("{name} has counted {counted:?} of what is there, {there:?}"));
        }
        // Its content may be deleted already.
        if records.len() > 2 && !counts {
            wrong.push(format!("{name} counts nothing of {} records", records.len()));
        }
        wrong.extend(left(&gateway.state).into_iter().map(|path| format!("{name} has a file left: {path}")));
        own
    }

    /// Of these events.
    pub fn of(name: &str, events: Vec<Event>, wrong: &mut Vec<String>) -> Self {
        let mut own = Self { events: Vec::new(), as4_ids: BTreeMap::new(), received: Vec::new() };
        for event in events {
            own.note(name, &event, wrong);
            own.events.push(event);
        }
        own
    }

    fn note(&mut self, name: &str, event: &Event, wrong: &mut Vec<String>) {
        let Some(id) = event.fields.get(&Field::As4MessageId) else { return };
        let record = event.record.map(|record| record.to_string()).unwrap_or_default();
        match event.name {
            EventName::Submitted | EventName::SendDeferred | EventName::Acknowledged | EventName::ReceiptSent => {
                let first = self.as4_ids.entry(record).or_insert_with(|| id.clone());
                if first != id {
                    wrong.push(format!("{name} sent one message as {first} and as {id}"));
                }
            }
            EventName::Received => self.received.push(id.clone()),
            _ => {}
        }
    }
}

/// Files that were not put in their place or not removed.
pub fn left(state: &Path) -> Vec<String> {
    let misplaced = files(state).into_iter().filter(|path| path.extension().is_none_or(|extension| extension != "blob"));
    misplaced.map(|path| path.display().to_string()).collect()
}

/// All files of the spool.
pub fn files(state: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(state.join("spool")).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        found.extend(std::fs::read_dir(folder.path()).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    found
}
