//! Conversations between people who know nothing of SDK: two whole gateways, on each side Postfix, Dovecot, and mail programs
//! that read by IMAP and answer by SMTP. Every turn arrives once, whole, in its mailbox and in its thread.
//!
//! They are fifty of four turns; `BREVBRO_CONVERSATIONS` is another number.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports)]
    pub(crate) mod harness;
}
mod office;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use brevbro::event::{Event, EventName, Field};
use serde_json::{Value, json};

use gateway::harness::{run, world};
use office::{BOXES, Office};

const TURNS: usize = 4;

/// How long the people wait for one another, in seconds.
const PATIENCE: u64 = 540;

#[test]
fn every_turn_arrives_once_and_whole_in_its_mailbox_and_its_thread() {
    if !common::has("python3") {
        return;
    }
    let conversations: usize = std::env::var("BREVBRO_CONVERSATIONS").ok().map_or(50, |number| number.parse().unwrap());
    run(async move {
        let world = world().await;
        let (Some(one), Some(other)) = (Office::open(world, "samtal-a").await, Office::open(world, "samtal-b").await) else { return };
        let offices = [one, other];
        let began = Instant::now();
        let log = tempfile::NamedTempFile::new().unwrap();
        let order = json!({
            "sides": offices.each_ref().map(|office| json!({
                "name": office.name, "smtp": office.postfix.address.port(), "imap": office.dovecot.imap.port(), "domain": format!("{}.se", office.name),
            })),
            "boxes": BOXES, "conversations": conversations, "turns": TURNS, "patience": PATIENCE,
        });
        let (path, text) = (log.path().to_owned(), order.to_string());
        let ended = tokio::task::spawn_blocking(move || people(&path, &text)).await.unwrap();
        let took = began.elapsed();
        for office in &offices {
            office.quiet().await;
        }
        let lines: Vec<Value> = std::fs::read_to_string(log.path()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let journals = [offices[0].journal().await, offices[1].journal().await];
        let told = Told::of(&lines);
        println!("{conversations} conversations of {TURNS} turns in {:.1} s: {ended}", took.as_secs_f32());
        told.complete(conversations, &journals);
        for conversation in 0..conversations {
            told.conversation(conversation, &journals);
        }
        told.nothing_more(&offices);
        for office in offices {
            office.close().await;
        }
    });
}

/// Lets them write to one another; what they say at the end.
fn people(log: &Path, order: &str) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations/people.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(program).arg(log).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A mail by its conversation and turn.
type Turn = (String, u64);

/// What the people wrote down.
struct Told<'l> {
    sent: BTreeMap<Turn, &'l Value>,
    received: BTreeMap<Turn, Vec<&'l Value>>,
    notices: BTreeMap<String, Vec<&'l Value>>,
}

fn text<'v>(line: &'v Value, name: &str) -> &'v str {
    line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn texts(line: &Value, name: &str) -> Vec<String> {
    line[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

impl<'l> Told<'l> {
    fn of(lines: &'l [Value]) -> Self {
        let mut told = Self { sent: BTreeMap::new(), received: BTreeMap::new(), notices: BTreeMap::new() };
        for line in lines {
            let turn = || (text(line, "token").to_owned(), line["turn"].as_u64().unwrap());
            match text(line, "event") {
                "sent" => assert!(told.sent.insert(turn(), line).is_none(), "sent twice: {line}"),
                "received" => told.received.entry(turn()).or_default().push(line),
                "notice" => told.notices.entry(text(line, "about").to_owned()).or_default().push(line),
                _ => panic!("{line}"),
            }
        }
        told
    }

    /// All that was sent is there, and what is missing is named with what the journals say of trouble.
    fn complete(&self, conversations: usize, journals: &[Vec<Event>; 2]) {
        let missing: Vec<&Turn> = self.sent.keys().filter(|turn| !self.received.contains_key(*turn)).collect();
        let expected = [
            EventName::Started,
            EventName::MailAccepted,
            EventName::Addressed,
            EventName::Sealed,
            // A message waits until the one before it has its receipt.
            EventName::SendQueued,
            EventName::Submitted,
            EventName::Acknowledged,
            EventName::Accepted,
            EventName::NoticeSent,
            EventName::Received,
            EventName::Opened,
            EventName::Taken,
            EventName::ReceiptSent,
            EventName::Delivered,
        ];
        let trouble: Vec<&Event> = journals.iter().flatten().filter(|event| !expected.contains(&event.name)).collect();
        assert!(missing.is_empty() && trouble.is_empty(), "missing: {missing:?}; trouble: {trouble:#?}");
        assert_eq!((self.sent.len(), self.received.len()), (conversations * TURNS, conversations * TURNS));
    }

    fn conversation(&self, number: usize, journals: &[Vec<Event>; 2]) {
        let token = format!("konv-{number:03}");
        let turns: Vec<(&Value, &Value)> = (1..=TURNS as u64)
            .map(|turn| {
                let key = (token.clone(), turn);
                let [received] = &self.received[&key][..] else { panic!("{key:?} came more than once") };
                (self.sent[&key], *received)
            })
            .collect();
        let ids: Vec<&str> = turns.iter().map(|(_, received)| text(received, "message")).collect();
        for (at, (sent, received)) in turns.iter().enumerate() {
            let what = format!("{token}, turn {}, by {}", at + 1, text(sent, "program"));
            // The other one of the two whose conversation it is.
            assert_eq!(text(received, "box"), text(turns[(at + 1) % 2].0, "box"), "{what}: in its mailbox");
            assert_eq!(text(received, "subject"), text(turns[0].0, "subject"), "{what}: the subject");
            assert_eq!(received["files"], sent["files"], "{what}: the files, octet for octet");
            for paragraph in texts(sent, "paragraphs") {
                assert!(text(received, "plain").contains(&paragraph), "{what}: {paragraph:?} is not in {}", text(received, "plain"));
                assert!(text(received, "page").contains(&paragraph), "{what}: {paragraph:?} is not in the page {}", text(received, "page"));
            }
            assert_eq!(text(received, "conversation"), ids[0], "{what}: one conversation");
            let taken = journals.iter().flatten().find(|event| event.name == EventName::Taken && is(event, Field::MessageId, ids[at])).unwrap();
            let answered = taken.fields.get(&Field::RefToMessageId).map(|id| id.to_lowercase());
            assert_eq!(answered.as_deref(), at.checked_sub(1).map(|before| ids[before]), "{what}: refToMessageId");
            assert!(is(taken, Field::ConversationId, ids[0]), "{what}: conversationId in the journal");
            if let Some(before) = at.checked_sub(1) {
                // What the receiver itself wrote before stands in its own mailbox under this id.
                let own = text(turns[before].0, "id").to_owned();
                assert!(texts(received, "references").contains(&own), "{what}: {own} is not in References {}", received["references"]);
                assert_eq!(received["in_reply_to"].as_array().unwrap().len(), 1, "{what}: In-Reply-To");
            }
            let notices = self.notices.get(text(sent, "id")).map(Vec::as_slice).unwrap_or_default();
            let outcomes: Vec<_> = notices.iter().map(|notice| (text(notice, "action"), text(notice, "status"), text(notice, "box"))).collect();
            let expected: &[_] = if sent["asked"] == true { &[("delivered", "2.0.0", text(sent, "box"))] } else { &[] };
            assert_eq!(outcomes, expected, "{what}: told when asked, and once");
            assert!(notices.iter().all(|notice| text(notice, "envelope") == format!("{token}.{}", at + 1)), "{what}: {notices:?}");
        }
    }

    /// The mailboxes hold what was read and nothing else, and nobody was alarmed.
    fn nothing_more(&self, offices: &[Office; 2]) {
        let read = self.received.values().flatten().chain(self.notices.values().flatten());
        let counts = read.fold(BTreeMap::<&str, usize>::new(), |mut counts, line| {
            *counts.entry(text(line, "box")).or_default() += 1;
            counts
        });
        for office in offices {
            for address in office.addresses() {
                let there = office.dovecot.files(&address, "INBOX").len();
                assert_eq!(there, counts.get(address.as_str()).copied().unwrap_or_default(), "mails for {address}");
            }
            assert!(office.postfix.queue().is_empty());
        }
    }
}

fn is(event: &Event, field: Field, value: &str) -> bool {
    event.fields.get(&field).is_some_and(|own| own.to_lowercase() == value)
}
