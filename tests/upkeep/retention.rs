//! What has ended is deleted when its time is over, proven, told without content; and what is held is not.

use std::fs;
use std::path::{Path, PathBuf};

use brevbro::cli::control::Unanswered;
use brevbro::daemon::control::Command;
use brevbro::event::{EventName, Field};
use brevbro::inbound::Incoming;
use brevbro::outbound::send::Prepared;
use brevbro::outbound::{Cargo, Outgoing, turn};
use brevbro::port::{BlobKind, Listed, Queue};
use brevbro::sdk::receipt::Outcome;
use brevbro::worker::{Hold, Target};

use crate::common::files;
use crate::gateway::harness::client::submit;
use crate::gateway::harness::{Gateway, Peer, Setup, mail, run, wait_for};
use crate::operator::{KEPT, ask, short_days};

/// Content for twenty milliseconds, the rest for eight seconds.
const SOON: &str = "\n[retention]\ncontent-days = 1\nmetadata-days = 400\n";
/// The rest for two seconds.
const SOONER: &str = "\n[retention]\ncontent-days = 1\nmetadata-days = 100\n";
const SECRET: &str = "Kanariefagel4711";

async fn gateway(name: &str, mailbox: &'static str) -> Gateway {
    short_days();
    Gateway::start(Setup { mailbox, ..Setup::new(name) }).await
}

/// Files below a folder that hold these octets.
fn holding(dir: &Path, octets: &[u8]) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| fs::read(path).is_ok_and(|read| read.windows(octets.len()).any(|part| part == octets));
    files(dir).into_iter().filter(holds).collect()
}

async fn blobs(gateway: &Gateway) -> Vec<(BlobKind, u64)> {
    let blobs = &gateway.daemon.gateway.blobs;
    let mut found = Vec::new();
    for Listed { id, .. } in blobs.all(None, 1_000).await.unwrap() {
        if let Ok((blob, octets, _)) = blobs.open(id).await {
            found.push((blob.kind, octets));
        }
    }
    found
}

async fn all_gone(gateway: &Gateway) {
    wait_for("nothing to be left", || async {
        let health = gateway.daemon.gateway.store.health().await;
        let none = blobs(gateway).await.is_empty() && health.jobs.iter().all(|(_, jobs)| *jobs == 0);
        none.then_some(())
    })
    .await;
}

#[test]
fn after_its_time_nothing_of_a_message_is_left_but_what_the_journal_says() {
    run(async {
        let (sender, receiver) = (gateway("purge-a", SOONER).await, gateway("purge-b", SOONER).await);
        let to = sender.address_of("inkorg", "purge-b.se");
        let reply = submit(&sender, &[&to], "", &mail(&sender.mailbox, "a1", SECRET)).await;
        assert!(reply.starts_with("250"), "{reply}");
        let accepted = sender.event(EventName::MailAccepted).await.record.unwrap();
        let record = sender.daemon.gateway.store.record(accepted).await.unwrap().unwrap();
        let Cargo::Letter(letter) = Outgoing::from_record(&record).unwrap().cargo() else { panic!("a mail is a letter") };
        let last = turn::last(&letter);
        assert_eq!(sender.daemon.gateway.store.note(last.clone()).await.unwrap(), Some(turn::noted(accepted)));
        let delivered = receiver.delivery().await;
        assert!(delivered.text.contains(SECRET));
        let message = sender.event(EventName::Accepted).await;
        let id = message.fields[&Field::MessageId].clone();
        for (gateway, kinds) in [(&sender, vec!["envelope", "mail", "request"]), (&receiver, vec!["message"])] {
            all_gone(gateway).await;
            let deleted = gateway.events(EventName::ContentDeleted).await;
            let mut told: Vec<&str> = deleted.iter().map(|event| event.fields[&Field::Document].as_str()).collect();
            told.sort_unstable();
            assert_eq!(told, kinds);
            for event in &deleted {
                assert_eq!((&event.fields[&Field::MessageId], event.fields[&Field::Digest].len()), (&id, 64));
                assert!(event.fields[&Field::Size].parse::<u64>().unwrap() > 100 && event.fields[&Field::Rule].contains("content of"), "{event:?}");
                assert!(uuid::Uuid::parse_str(&event.fields[&Field::Blob]).is_ok());
            }
            // The message and the receipt that went the other way.
            let records = gateway.events(EventName::RecordDeleted).await;
            assert_eq!(records.len(), 2, "{records:?}");
            assert!(records.iter().all(|event| event.fields[&Field::Rule].contains("metadata of")));
            let store = &gateway.daemon.gateway.store;
            for state in [Outgoing::ACCEPTED, Outgoing::PURGED, Incoming::DELIVERED, Incoming::PURGED, Incoming::CLOSED] {
                assert_eq!(store.list(state, 9).await.unwrap(), []);
            }
        }
        assert_eq!(sender.daemon.gateway.store.note(last).await.unwrap(), None, "its place in its conversation is forgotten");
        let asleep = [sender.sleep().await, receiver.sleep().await];
        for gateway in &asleep {
            assert_eq!(holding(gateway.dir(), SECRET.as_bytes()), Vec::<PathBuf>::new(), "content is nowhere");
            // The index is one over the journal, and keeps what it overwrote until its space is used again.
            let store = gateway.dir().join("state/store");
            let elsewhere: Vec<PathBuf> = holding(gateway.dir(), id.as_bytes()).into_iter().filter(|path| !path.starts_with(&store)).collect();
            assert_eq!(elsewhere, Vec::<PathBuf>::new());
        }
    });
}

#[test]
fn what_proves_the_exchange_outlives_the_content() {
    run(async {
        let gateway = gateway("purge-proof", SOON).await;
        let peer = Peer::start("purge-proof-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "a1", SECRET)).await;
        let message = peer.message(0).await;
        gateway.event(EventName::Acknowledged).await;
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.nth_event(EventName::ContentDeleted, 2).await;
        let store = &gateway.daemon.gateway.store;
        let record = wait_for("the record without content", || async { store.list(Outgoing::PURGED, 9).await.unwrap().pop() }).await;
        let Outgoing::Ended(ended) = Outgoing::from_record(&record).unwrap() else { panic!("{record:?}") };
        let (mut proofs, mut kinds) = (0, Vec::new());
        for id in Outgoing::Ended(ended).blobs() {
            let (blob, octets, _) = gateway.daemon.gateway.blobs.open(id).await.unwrap();
            if blob.kind == BlobKind::Request {
                // The counterpart of the access point's receipt: what was signed. The request itself is gone.
                assert_eq!((octets, Prepared::from_blob(&blob).unwrap().sent.message_id), (0, peer.taken()[0].message.message_id.clone()));
                proofs += 1;
            }
            kinds.push(blob.kind);
        }
        kinds.sort();
        assert_eq!((proofs, kinds), (1, vec![BlobKind::Request, BlobKind::Signal, BlobKind::Receipt]));
        // A receipt that comes now is a line in the journal.
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        let stray = gateway.event(EventName::StrayReceipt).await;
        assert!(stray.fields[&Field::Cause].contains("deleted"), "{stray:?}");
        all_gone(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn a_mail_to_two_goes_with_the_last_of_them() {
    run(async {
        let gateway = gateway("purge-two", SOON).await;
        let (quick, slow) = (Peer::start("purge-two-quick").await, Peer::start("purge-two-slow").await);
        let to = [gateway.address_of("inkorg", &quick.name), gateway.address_of("inkorg", &slow.name)];
        submit(&gateway, &[&to[0], &to[1]], "", &mail(&gateway.mailbox, "a1", SECRET)).await;
        quick.answer(&gateway, &quick.message(0).await, Outcome::Accepted).await;
        let store = &gateway.daemon.gateway.store;
        wait_for("the first without content", || async { store.list(Outgoing::PURGED, 9).await.unwrap().pop() }).await;
        assert_eq!(blobs(&gateway).await.iter().filter(|(kind, _)| *kind == BlobKind::Mail).count(), 1, "the second still needs it");
        let message = slow.message(0).await;
        gateway.nth_event(EventName::Acknowledged, 1).await;
        slow.answer(&gateway, &message, Outcome::Accepted).await;
        all_gone(&gateway).await;
        let mails = gateway.events(EventName::ContentDeleted).await.into_iter().filter(|event| event.fields[&Field::Document] == "mail").count();
        assert_eq!(mails, 1);
        gateway.stop().await;
    });
}

#[test]
fn what_waits_for_a_reader_is_not_deleted() {
    run(async {
        let mailbox = "delivery = \"notice\"\n\n[retention]\ncontent-days = 1\nmetadata-days = 100\n";
        let gateway = gateway("purge-unread", mailbox).await;
        let peer = Peer::start("purge-unread-peer").await;
        let draft = peer.draft(&gateway);
        peer.send(&gateway, &draft).await.acknowledged();
        gateway.event(EventName::Noticed).await;
        let record = gateway.event(EventName::Taken).await.record.unwrap();
        // Our receipt, which has ended, goes in the meantime.
        gateway.event(EventName::RecordDeleted).await;
        let store = &gateway.daemon.gateway.store;
        assert_eq!(store.record(record).await.unwrap().unwrap().state, Incoming::UNREAD);
        assert!(blobs(&gateway).await.iter().any(|(kind, _)| *kind == BlobKind::Message));
        let reader = brevbro::inbound::read::Reader::new("anna.ek").unwrap();
        assert!(gateway.daemon.gateway.mail().unwrap().read_message(record, &reader).await.unwrap().is_some());
        all_gone(&gateway).await;
        gateway.stop().await;
    });
}

async fn holds(gateway: &Gateway, command: Command) -> Result<Vec<Hold>, Unanswered> {
    ask(gateway, command).await
}

#[test]
fn a_hold_stops_the_deletion_of_a_message_a_conversation_or_an_organisation_until_it_ends() {
    run(async {
        let gateway = gateway("purge-hold", KEPT).await;
        let peer = Peer::start("purge-hold-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "a1", SECRET)).await;
        let message = peer.message(0).await;
        gateway.event(EventName::Acknowledged).await;
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.event(EventName::Accepted).await;
        gateway.quiet().await;
        let on = [
            Target::Message(message.message_id.to_string()),
            Target::Conversation(message.conversation_id.clone()),
            Target::Organisation(gateway.participant.clone()),
        ];
        for on in &on {
            holds(&gateway, Command::Hold { on: on.clone(), reason: "Dnr 4711".into() }).await.unwrap();
        }
        let twice = holds(&gateway, Command::Hold { on: on[0].clone(), reason: "again".into() }).await.unwrap_err();
        assert!(twice.to_string().contains("already"), "{twice}");
        let listed = holds(&gateway, Command::Holds {}).await.unwrap();
        assert_eq!((listed.len(), listed[0].reason.as_str()), (3, "Dnr 4711"));
        assert_eq!(gateway.events(EventName::HoldSet).await.len(), 3);

        // From here on its time is over.
        let asleep = gateway.sleep().await;
        let gateway = asleep.wake(Setup { mailbox: SOON, ..Setup::new("purge-hold") }).await;
        let held = gateway.event(EventName::PurgeHeld).await;
        assert_eq!(held.fields[&Field::MessageId], message.message_id.to_string());
        for (number, on) in on.iter().enumerate() {
            // Looked at again and again, and left alone.
            let store = &gateway.daemon.gateway.store;
            let attempts = async || {
                let jobs = store.jobs(Queue::Purge, jiff::Timestamp::MIN, 99).await.unwrap();
                jobs.into_iter().filter(|job| job.note == "held").map(|job| job.attempt).max().unwrap_or_default()
            };
            let before = attempts().await;
            wait_for("another look", || async { (attempts().await > before + 1).then_some(()) }).await;
            assert_eq!(gateway.events(EventName::ContentDeleted).await, []);
            assert_eq!(holding(gateway.dir(), SECRET.as_bytes()).len(), 1);
            let left = holds(&gateway, Command::Unhold { on: on.clone() }).await.unwrap();
            assert_eq!(left.len(), 2 - number);
        }
        all_gone(&gateway).await;
        assert_eq!(gateway.events(EventName::HoldEnded).await.len(), 3);
        assert_eq!(holding(gateway.dir(), SECRET.as_bytes()), Vec::<PathBuf>::new());
        let none = holds(&gateway, Command::Unhold { on: on[2].clone() }).await.unwrap_err();
        assert!(none.to_string().contains("no hold"), "{none}");
        gateway.stop().await;
    });
}
