//! What an operator does with one message: it stays the same message, is told truly, and stands in the journal with who asked.

use brevbro::cli::control::Unanswered;
use brevbro::daemon::control::Command;
use brevbro::event::{EventName, Field};
use brevbro::inbound::Incoming;
use brevbro::outbound::Outgoing;
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::rules::Breach;
use brevbro::worker::Did;

use crate::gateway::harness::client::submit;
use crate::gateway::harness::peer::Mood;
use crate::gateway::harness::{Gateway, Manner, Peer, Setup, mail, run, wait_for, world};
use crate::operator::{ask, kept};

/// Given up after three seconds.
const FLEETING: &str = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"3s\"\nreceipt-timeout = \"3s\"\ndelayed-notice-after = \"1s\"";
/// The second attempt comes after an hour.
const SLOW: &str = "first = \"1h\"\nlongest = \"1h\"\ngive-up = \"5h\"\nreceipt-timeout = \"5h\"\ndelayed-notice-after = \"4h\"";

async fn send(gateway: &Gateway, peer: &Peer, id: &str) {
    let to = gateway.address_of("inkorg", &peer.name);
    let reply = submit(gateway, &[&to], "", &mail(&gateway.mailbox, id, "Hej")).await;
    assert!(reply.starts_with("250 "), "{reply}");
}

async fn refusal(gateway: &Gateway, command: Command) -> String {
    match ask::<Did>(gateway, command).await {
        Err(Unanswered::Refused(refused)) => refused.what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_without_outcome_is_sent_again_as_the_same_message_and_told_when_it_arrives() {
    run(async {
        let gateway = Gateway::start(Setup { retry: FLEETING, ..kept("resend") }).await;
        let peer = Peer::start("resend-peer").await;
        send(&gateway, &peer, "a1").await;
        let first = peer.message(0).await;
        let id = first.message_id.to_string();
        assert!(refusal(&gateway, Command::Resend { id: id.clone() }).await.contains("still being sent"));
        gateway.notice("failed", "5.4.7").await;
        gateway.quiet().await;

        let did: Vec<Did> = ask(&gateway, Command::Resend { id: id.clone() }).await.unwrap();
        assert_eq!(did.len(), 1);
        let second = peer.message(1).await;
        assert_eq!((&second.message_id, &second.conversation_id), (&first.message_id, &first.conversation_id));
        let taken = peer.taken();
        assert_ne!(taken[0].message.message_id, taken[1].message.message_id, "another attempt has another AS4 id");
        // A receiver that has it says so, which decides nothing; its own receipt does.
        peer.answer(&gateway, &second, Outcome::Rejected(vec![Breach::duplicate()])).await;
        peer.answer(&gateway, &second, Outcome::Accepted).await;
        // Whoever was told that it failed is told, although success was not asked for.
        gateway.notice("delivered", "2.0.0").await;
        gateway.quiet().await;
        let statuses: Vec<String> = gateway.notices().into_iter().map(|(_, status)| status).collect();
        assert_eq!(statuses, ["4.4.7", "5.4.7", "2.0.0"], "told once each");
        let event = gateway.event(EventName::Resent).await;
        assert_eq!((event.record, &event.fields[&Field::MessageId]), (Some(did[0].record), &id));
        assert!(event.fields[&Field::Operator].contains("uid"));

        assert!(refusal(&gateway, Command::Resend { id: id.clone() }).await.contains("ACCEPTED"));
        assert!(refusal(&gateway, Command::Resend { id: "7bc5576a-0000-4cf5-a0c5-277da06fcacb".into() }).await.contains("no message"));
        assert!(refusal(&gateway, Command::Resend { id: "../../etc".into() }).await.contains("no message"));
        gateway.stop().await;
    });
}

#[test]
fn a_message_that_fails_again_is_told_again_and_a_receipt_for_the_first_attempt_counts() {
    run(async {
        let gateway = Gateway::start(Setup { retry: FLEETING, ..kept("resend-twice") }).await;
        let peer = Peer::start("resend-twice-peer").await;
        send(&gateway, &peer, "a1").await;
        let message = peer.message(0).await;
        let id = message.message_id.to_string();
        gateway.nth_event(EventName::ExchangeFailed, 0).await;
        gateway.quiet().await;
        peer.set(Mood::Down);
        ask::<Did>(&gateway, Command::Resend { id: id.clone() }).await.unwrap();
        gateway.nth_event(EventName::ExchangeFailed, 1).await;
        gateway.quiet().await;
        assert_eq!(gateway.notices().iter().filter(|(action, _)| action == "failed").count(), 2);
        // Sent a third time, and while the other side is down its receipt for the first attempt comes.
        ask::<Did>(&gateway, Command::Resend { id: id.clone() }).await.unwrap();
        gateway.nth_event(EventName::SendDeferred, 1).await;
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.notice("delivered", "2.0.0").await;
        gateway.quiet().await;
        let store = &gateway.daemon.gateway.store;
        assert_eq!(store.list(Outgoing::ACCEPTED, 9).await.unwrap().len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn what_waits_for_its_next_attempt_is_tried_at_once() {
    run(async {
        let gateway = Gateway::start(Setup { retry: SLOW, ..kept("retry-now") }).await;
        let peer = Peer::start("retry-now-peer").await;
        peer.set(Mood::Down);
        for id in ["a1", "a2", "a3"] {
            send(&gateway, &peer, id).await;
        }
        gateway.nth_event(EventName::SendDeferred, 2).await;
        let store = &gateway.daemon.gateway.store;
        let first = store.list(Outgoing::SUBMITTED, 9).await.unwrap()[0].id;
        // Nobody is there, which three failures have shown; it is tried all the same.
        let did: Vec<Did> = ask(&gateway, Command::Retry { id: first.to_string() }).await.unwrap();
        assert_eq!(did[0].record, first);
        gateway.nth_event(EventName::SendDeferred, 3).await;
        peer.set(Mood::Good);
        let all: Vec<Did> = ask(&gateway, Command::RetryTo { participant: peer.participant.clone() }).await.unwrap();
        assert_eq!(all.len(), 3);
        peer.message(2).await;
        gateway.nth_event(EventName::Acknowledged, 2).await;
        assert_eq!(gateway.events(EventName::TriedNow).await.len(), 4);
        assert!(refusal(&gateway, Command::Retry { id: first.to_string() }).await.contains("awaited"));
        gateway.stop().await;
    });
}

#[test]
fn a_message_that_has_not_left_is_stopped_and_its_sender_told() {
    run(async {
        let gateway = Gateway::start(Setup { retry: SLOW, ..kept("cancel") }).await;
        let peer = Peer::start("cancel-peer").await;
        // Nothing listens there, so nothing can have arrived.
        let world = world().await;
        world.register(&peer.participant.to_string(), "https://127.0.0.1:9/as4", &world.peer_point, &world.peer);
        send(&gateway, &peer, "a1").await;
        gateway.event(EventName::SendDeferred).await;
        let store = &gateway.daemon.gateway.store;
        let record = store.list(Outgoing::SUBMITTED, 9).await.unwrap()[0].id;
        let did: Vec<Did> = ask(&gateway, Command::Cancel { id: record.to_string() }).await.unwrap();
        assert_eq!(did[0].state, Outgoing::EXCHANGE_ERROR);
        gateway.notice("failed", "5.3.0").await;
        gateway.quiet().await;
        assert_eq!(gateway.events(EventName::Cancelled).await.len(), 1);
        assert_eq!(gateway.events(EventName::Alarmed).await, [], "the operator knows");
        assert!(refusal(&gateway, Command::Cancel { id: record.to_string() }).await.contains("ended already"));

        // What may have arrived is not stopped, and goes on being sent.
        let peer = Peer::start("cancel-mute").await;
        peer.set(Mood::Mute);
        send(&gateway, &peer, "a2").await;
        wait_for("an attempt whose receipt was lost", || async { (peer.taken().len() == 1).then_some(()) }).await;
        gateway.nth_event(EventName::SendDeferred, 1).await;
        let record = store.list(Outgoing::SUBMITTED, 9).await.unwrap()[0].id;
        peer.set(Mood::Good);
        // It is tried at once, since that is what a refusal leaves behind.
        assert!(refusal(&gateway, Command::Cancel { id: record.to_string() }).await.contains("may have arrived"));
        gateway.event(EventName::Acknowledged).await;
        gateway.stop().await;
    });
}

#[test]
fn a_message_is_delivered_once_more_under_the_same_message_id() {
    run(async {
        let gateway = Gateway::start(Setup { retry: FLEETING, ..kept("redeliver") }).await;
        let peer = Peer::start("redeliver-peer").await;
        let draft = peer.draft(&gateway);
        gateway.sink.will(&gateway.mailbox, &[Manner::Never; 40]);
        peer.send(&gateway, &draft).await.acknowledged();
        let store = &gateway.daemon.gateway.store;
        let refused = wait_for("the end of all attempts", || async {
            let found = store.list(Incoming::UNDELIVERABLE, 9).await.unwrap();
            found.into_iter().next()
        })
        .await;
        gateway.sink.is_well();
        let id = draft.header.id.to_string();
        let before = gateway.delivered().len();
        ask::<Did>(&gateway, Command::Redeliver { id: id.clone() }).await.unwrap();
        wait_for("the mail", || async { (gateway.delivered().len() > before).then_some(()) }).await;
        gateway.event(EventName::Delivered).await;
        // Its reader has lost it.
        ask::<Did>(&gateway, Command::Redeliver { id: refused.id.to_string() }).await.unwrap();
        gateway.nth_event(EventName::Delivered, 1).await;
        gateway.quiet().await;
        let mails = gateway.delivered();
        let id_of = |letter: &crate::gateway::harness::Letter| letter.line("Message-ID:").map(str::to_owned);
        assert_eq!((mails.len(), id_of(&mails[0])), (before + 2, id_of(&mails[1])));
        assert_eq!(gateway.events(EventName::Redelivered).await.len(), 2);
        assert_eq!(peer.receipts(), 1, "the other side hears of none of it");
        gateway.daemon.stop().await;
    });
}

#[test]
fn what_nobody_can_deliver_ends_when_somebody_has_seen_to_it() {
    run(async {
        let gateway = Gateway::start(Setup { retry: FLEETING, ..kept("handled") }).await;
        let peer = Peer::start("handled-peer").await;
        let draft = peer.draft(&gateway);
        gateway.sink.will(&gateway.mailbox, &[Manner::Never; 40]);
        peer.send(&gateway, &draft).await.acknowledged();
        let store = &gateway.daemon.gateway.store;
        wait_for("the end of all attempts", || async { store.list(Incoming::UNDELIVERABLE, 9).await.unwrap().pop() }).await;
        let id = draft.header.id.to_string();
        let did: Vec<Did> = ask(&gateway, Command::Handled { id: id.clone(), reason: "sent by courier".into() }).await.unwrap();
        assert_eq!(did[0].state, Incoming::HANDLED);
        let event = gateway.event(EventName::Handled).await;
        assert_eq!((event.fields[&Field::Cause].as_str(), &event.fields[&Field::MessageId]), ("sent by courier", &id));
        assert!(refusal(&gateway, Command::Handled { id, reason: "again".into() }).await.contains("ended already"));
        gateway.daemon.stop().await;
    });
}

#[test]
fn messages_that_were_kept_back_go_on_when_an_operator_lets_them() {
    run(async {
        let mailbox = "loop-messages = 1\n\n[retention]\ncontent-days = 36500\nmetadata-days = 36500\n";
        let gateway = Gateway::start(Setup { mailbox, ..Setup::new("release") }).await;
        let peer = Peer::start("release-peer").await;
        let to = gateway.address_of("avdelningen", &peer.name);
        for number in 0..4 {
            let draft = peer.draft(&gateway);
            peer.send(&gateway, &draft).await.acknowledged();
            let reply = submit(&gateway, &[&to], "", &mail(&gateway.mailbox, &format!("a{number}"), "Hej")).await;
            assert!(reply.starts_with("250"), "{reply}");
            gateway.nth_event(EventName::Taken, number).await;
        }
        let store = &gateway.daemon.gateway.store;
        let held = wait_for("a message that is kept back", || async { store.list(Outgoing::HELD, 9).await.unwrap().pop() }).await;
        let waiting = store.list(Outgoing::SCHEDULED, 9).await.unwrap().len();
        assert!(refusal(&gateway, Command::Retry { id: held.id.to_string() }).await.contains("brevbro release"));
        let gone: Vec<Did> = ask(&gateway, Command::Release { id: held.id.to_string() }).await.unwrap();
        assert!(!gone.is_empty() && waiting < 4, "{gone:?}");
        gateway.nth_event(EventName::Acknowledged, 3).await;
        assert_eq!(store.list(Outgoing::HELD, 9).await.unwrap(), []);
        let by_hand = gateway.events(EventName::Released).await.into_iter().filter(|event| event.fields.contains_key(&Field::Operator)).count();
        assert_eq!(by_hand, gone.len());
        gateway.daemon.stop().await;
    });
}
