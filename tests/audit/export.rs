//! What another system gets: documented fields, one participant's events by themselves, and what comes while it listens.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use brevbro::event::{Event, EventName, Field};
use brevbro::ident::{ParticipantId, RecordId};
use brevbro::port::{Op, Step, Store};
use brevbro::store::{SledOptions, SledStore};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::printed;

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A day of two participants on one gateway, one of whose messages goes from the one to the other.
fn filled(dir: &Path) -> SledStore {
    let store = SledStore::open(SledOptions::new(dir.join("store"))).unwrap();
    let (a, b): (ParticipantId, ParticipantId) = ("0203:a.se".parse().unwrap(), "0203:b.se".parse().unwrap());
    let at = |hour: i64| "2026-11-20T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour);
    let record = |n| RecordId(Uuid::from_u128(n));
    let events = [
        Event::new(at(0), EventName::Started),
        Event::new(at(1), EventName::MailAccepted).of(record(1), &a).with(Field::MessageId, "m-1").with(Field::Sender, "karin@a.se"),
        Event::new(at(2), EventName::Submitted).of(record(1), &a).with(Field::MessageId, "m-1").with(Field::As4MessageId, "as4-1"),
        Event::new(at(3), EventName::Received).of(record(2), &b).with(Field::MessageId, "m-1").with(Field::As4MessageId, "as4-1"),
        Event::new(at(4), EventName::Delivered).of(record(2), &b).with(Field::MessageId, "m-1").with(Field::Mailbox, "bo@b.se"),
    ];
    for event in events {
        block(store.apply(Step::new().op(Op::Audit(event)))).unwrap();
    }
    store
}

fn names(text: &str) -> Vec<String> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_organisation_gets_its_own_events_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let _store = filled(dir.path());
    let state = dir.path().to_str().unwrap();
    let export = |more: &[&str]| printed(&[&["audit", "export", "--state-dir", state], more].concat(), 0);
    assert_eq!(names(&export(&[])), ["started", "mail-accepted", "submitted", "received", "delivered"]);
    let (a, b) = (export(&["--organisation", "0203:A.se"]), export(&["--organisation", "0203:b.se"]));
    assert_eq!((names(&a), names(&b)), (vec!["mail-accepted".into(), "submitted".into()], vec!["received".into(), "delivered".into()]));
    assert!(!a.contains("bo@b.se") && !b.contains("karin@a.se"));
    assert_eq!(names(&export(&["--since", "2026-11-20T02:00:00Z", "--until", "2026-11-20T04:00:00Z"])), ["submitted", "received"]);
    assert_eq!(names(&export(&["--since", "2026-11-20T04:00"])), ["received", "delivered"], "local time");
    // One line is one event with its place.
    let line: Value = serde_json::from_str(a.lines().next().unwrap()).unwrap();
    assert_eq!((&line["line"], &line["number"], &line["message-id"]), (&3.into(), &1.into(), &"m-1".into()), "{line}");

    let trace = |own: &str| printed(&["trace", "m-1", "--language", "en", "--state-dir", state, "--organisation", own], 0);
    let (a, b) = (trace("0203:a.se"), trace("0203:b.se"));
    assert!(a.contains("karin@a.se") && !a.contains("bo@b.se") && !a.contains("0203:b.se"), "{a}");
    assert!(b.contains("bo@b.se") && !b.contains("karin@a.se") && !b.contains("0203:a.se"), "{b}");
    assert!(printed(&["trace", "m-1", "--state-dir", state, "--organisation", "0203:c.se"], 1).contains("nothing"));
}

#[test]
fn who_listens_gets_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let mut listening = Command::new(env!("CARGO_BIN_EXE_brevbro"));
    listening.args(["audit", "export", "--follow", "--state-dir", dir.path().to_str().unwrap()]);
    let mut listening = listening.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.by_ref().take(5).count(), 5);
    block(store.apply(Step::new().op(Op::Audit(Event::new(Timestamp::now(), EventName::Expiring))))).unwrap();
    assert_eq!(names(&lines.next().unwrap()), ["expiring"]);
    listening.kill().unwrap();
    listening.wait().unwrap();
}

#[test]
fn the_documented_fields_are_the_ones_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md");
    let docs = std::fs::read_to_string(&path).unwrap();
    let fields = printed(&["audit", "export", "--fields"], 0);
    // They are the end of the page.
    let (page, listed) = docs.split_at(docs.find("| field | means |").unwrap());
    if std::env::var_os("BREVBRO_UPDATE").is_some() {
        std::fs::write(&path, format!("{page}{fields}")).unwrap();
    } else {
        assert_eq!(listed, fields, "docs/audit.md has another list; BREVBRO_UPDATE=1 writes what there is now");
    }
}
