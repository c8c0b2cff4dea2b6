//! Two nodes on one database: an operator asks any of them, and what is held at one is not deleted by the other.

use brevbro::cli::control::Unanswered;
use brevbro::daemon::control::Command;
use brevbro::event::{EventName, Field};
use brevbro::inbound::Incoming;
use brevbro::outbound::Outgoing;
use brevbro::port::{Queue, Store};
use brevbro::sdk::receipt::Outcome;
use brevbro::worker::{Did, Hold, Overview, Target, Waiting};

use crate::common::postgres::{Cluster, shared};
use crate::gateway::harness::client::submit;
use crate::gateway::harness::peer::Mood;
use crate::gateway::harness::{Gateway, Manner, Peer, Setup, mail, run, wait_for, world};
use crate::operator::{KEPT, ask, short_days};

/// Given up after three seconds.
const FLEETING: &str = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"3s\"\nreceipt-timeout = \"3s\"\ndelayed-notice-after = \"1s\"";
/// The second attempt comes after an hour.
const SLOW: &str = "first = \"1h\"\nlongest = \"1h\"\ngive-up = \"5h\"\nreceipt-timeout = \"5h\"\ndelayed-notice-after = \"4h\"";
const SECRET: &str = "Kanariefagel4711";

/// A node of the gateway of this name, on this database.
fn setup(name: &str, node: &str, cluster: &Cluster, database: &str) -> Setup {
    let port = cluster.port;
    let top = format!(
        "store = {{ kind = \"postgresql\", host = [\"127.0.0.1\"], port = {port}, database = \"{database}\", user = \"postgres\" }}\nnode = {{ name = \"{node}\" }}"
    );
    Setup { top: Box::leak(top.into_boxed_str()), mailbox: KEPT, ..Setup::new(name) }
}

/// Two nodes of one gateway.
async fn two(cluster: &Cluster, name: &str, change: impl Fn(Setup) -> Setup) -> (Gateway, Gateway, String) {
    let database = cluster.database();
    let one = Gateway::start(change(setup(name, "nod-1", cluster, &database))).await;
    let other = Gateway::start(change(setup(name, "nod-2", cluster, &database))).await;
    (one, other, database)
}

fn store(gateway: &Gateway) -> &dyn Store {
    &*gateway.daemon.gateway.store
}

async fn send(gateway: &Gateway, peer: &Peer, id: &str) {
    let to = gateway.address_of("inkorg", &peer.name);
    let reply = submit(gateway, &[&to], "", &mail(&gateway.mailbox, id, SECRET)).await;
    assert!(reply.starts_with("250 "), "{reply}");
}

async fn refusal(gateway: &Gateway, command: Command) -> String {
    match ask::<Did>(gateway, command).await {
        Err(Unanswered::Refused(refused)) => refused.what,
        other => panic!("{other:?}"),
    }
}

async fn stop(nodes: [Gateway; 2]) {
    assert_eq!(nodes[0].events(EventName::Faulted).await, []);
    for node in nodes {
        assert_eq!(node.sink.faults(), [""; 0]);
        node.daemon.stop().await;
    }
}

#[test]
fn what_one_node_took_another_resends_delivers_again_and_ends() {
    let Some(cluster) = shared() else { return };
    run(async {
        let (one, other, _) = two(cluster, "noder-resend", |setup| Setup { retry: FLEETING, ..setup }).await;
        let peer = Peer::start("noder-resend-peer").await;
        send(&one, &peer, "a1").await;
        let first = peer.message(0).await;
        let id = first.message_id.to_string();
        one.event(EventName::ExchangeFailed).await;
        one.quiet().await;
        let did: Vec<Did> = ask(&other, Command::Resend { id: id.clone() }).await.unwrap();
        assert_eq!(did.len(), 1);
        let second = peer.message(1).await;
        assert_eq!((&second.message_id, &second.conversation_id), (&first.message_id, &first.conversation_id));
        peer.answer(&one, &second, Outcome::Accepted).await;
        one.event(EventName::Accepted).await;
        assert!(refusal(&one, Command::Resend { id: id.clone() }).await.contains("ACCEPTED"));
        assert!(refusal(&other, Command::Resend { id }).await.contains("ACCEPTED"));

        // A message that nobody can deliver, and what becomes of it at whichever node.
        for node in [&one, &other] {
            node.sink.will(&node.mailbox, &[Manner::Never; 40]);
        }
        let drafts = [peer.draft(&one), peer.draft(&one)];
        for (number, draft) in drafts.iter().enumerate() {
            peer.send(&one, draft).await.acknowledged();
            wait_for("the end of all attempts", || async {
                (store(&other).list(Incoming::UNDELIVERABLE, 9).await.unwrap().len() > number).then_some(())
            })
            .await;
        }
        one.sink.is_well();
        other.sink.is_well();
        let (mend, end) = (drafts[0].header.id.to_string(), drafts[1].header.id.to_string());
        ask::<Did>(&other, Command::Redeliver { id: mend }).await.unwrap();
        wait_for("the mail", || async { (one.delivered().len() + other.delivered().len() > 0).then_some(()) }).await;
        let did: Vec<Did> = ask(&one, Command::Handled { id: end.clone(), reason: "sent by courier".into() }).await.unwrap();
        assert_eq!(did[0].state, Incoming::HANDLED);
        assert!(refusal(&other, Command::Handled { id: end, reason: "again".into() }).await.contains("ended already"));
        one.event(EventName::Delivered).await;
        for name in [EventName::Resent, EventName::Redelivered, EventName::Handled] {
            let events = other.events(name).await;
            assert_eq!(events.len(), 1, "{name:?}");
            assert!(events[0].fields[&Field::Operator].contains("uid"), "{events:?}");
        }
        one.quiet().await;
        // A mail server that refuses a mail for good is a fault; there is no other.
        assert_eq!(one.events(EventName::Faulted).await.len(), 2);
        one.daemon.stop().await;
        other.daemon.stop().await;
    });
}

#[test]
fn any_node_tells_what_waits_and_tries_it_now_or_stops_it() {
    let Some(cluster) = shared() else { return };
    run(async {
        let (one, other, _) = two(cluster, "noder-retry", |setup| Setup { retry: SLOW, ..setup }).await;
        let peer = Peer::start("noder-retry-peer").await;
        peer.set(Mood::Down);
        for (id, node) in [("a1", &one), ("a2", &other), ("a3", &one)] {
            send(node, &peer, id).await;
        }
        one.nth_event(EventName::SendDeferred, 2).await;
        for node in [&one, &other] {
            let overview: Vec<Overview> = ask(node, Command::Status {}).await.unwrap();
            assert!(overview[0].working && overview[0].queues.iter().any(|line| line.queue == Queue::Send && line.jobs == 3), "{overview:?}");
            let waiting: Vec<Waiting> = ask(node, Command::Queue { limit: 10 }).await.unwrap();
            let told: Vec<&Waiting> = waiting.iter().filter(|waiting| waiting.queue == Queue::Send).collect();
            assert!(told.len() == 3 && told.iter().all(|waiting| waiting.why.contains("503") && waiting.attempts == 1), "{waiting:?}");
        }
        let first = store(&one).list(Outgoing::SUBMITTED, 9).await.unwrap()[0].id;
        peer.set(Mood::Good);
        ask::<Did>(&other, Command::Retry { id: first.to_string() }).await.unwrap();
        peer.message(0).await;
        let rest: Vec<Did> = ask(&one, Command::RetryTo { participant: peer.participant.clone() }).await.unwrap();
        assert_eq!(rest.len(), 2);
        one.nth_event(EventName::Acknowledged, 2).await;
        assert_eq!(peer.taken().len(), 3, "each once");

        // Nothing listens there, so nothing can have arrived.
        let nowhere = Peer::start("noder-retry-nowhere").await;
        let world = world().await;
        world.register(&nowhere.participant.to_string(), "https://127.0.0.1:9/as4", &world.peer_point, &world.peer);
        send(&one, &nowhere, "a4").await;
        one.nth_event(EventName::SendDeferred, 3).await;
        let record = store(&one).list(Outgoing::SUBMITTED, 9).await.unwrap()[0].id;
        let did: Vec<Did> = ask(&other, Command::Cancel { id: record.to_string() }).await.unwrap();
        assert_eq!(did[0].state, Outgoing::EXCHANGE_ERROR);
        assert!(refusal(&one, Command::Cancel { id: record.to_string() }).await.contains("ended already"));
        wait_for("the notice", || async { [&one, &other].into_iter().find_map(|node| node.notices().pop()) }).await;
        assert_eq!(one.events(EventName::Cancelled).await.len(), 1);
        stop([one, other]).await;
    });
}

#[test]
fn what_one_node_kept_back_goes_on_when_another_is_told_so() {
    let Some(cluster) = shared() else { return };
    run(async {
        let mailbox = "loop-messages = 1\n\n[retention]\ncontent-days = 36500\nmetadata-days = 36500\n";
        let (one, other, _) = two(cluster, "noder-release", |setup| Setup { mailbox, ..setup }).await;
        let peer = Peer::start("noder-release-peer").await;
        let to = one.address_of("avdelningen", &peer.name);
        for number in 0..4 {
            let draft = peer.draft(&one);
            peer.send(&one, &draft).await.acknowledged();
            // What goes too fast is counted for all nodes together.
            let node = [&one, &other][number % 2];
            let reply = submit(node, &[&to], "", &mail(&node.mailbox, &format!("a{number}"), "Hej")).await;
            assert!(reply.starts_with("250"), "{reply}");
            one.nth_event(EventName::Taken, number).await;
        }
        let held = wait_for("a message that is kept back", || async { store(&one).list(Outgoing::HELD, 9).await.unwrap().pop() }).await;
        let gone: Vec<Did> = ask(&other, Command::Release { id: held.id.to_string() }).await.unwrap();
        assert!(!gone.is_empty());
        one.nth_event(EventName::Acknowledged, 3).await;
        assert_eq!(store(&one).list(Outgoing::HELD, 9).await.unwrap(), []);
        stop([one, other]).await;
    });
}

async fn holds(gateway: &Gateway, command: Command) -> Vec<Hold> {
    ask(gateway, command).await.unwrap()
}

#[test]
fn a_hold_that_one_node_was_told_of_stops_the_deletion_at_every_node() {
    let Some(cluster) = shared() else { return };
    short_days();
    run(async {
        let (one, other, database) = two(cluster, "noder-hold", |setup| setup).await;
        let peer = Peer::start("noder-hold-peer").await;
        let mut messages = Vec::new();
        for (number, node) in [&one, &other].into_iter().enumerate() {
            send(node, &peer, &format!("a{number}")).await;
            let message = peer.message(number).await;
            one.nth_event(EventName::Acknowledged, number).await;
            peer.answer(&one, &message, Outcome::Accepted).await;
            one.nth_event(EventName::Accepted, number).await;
            messages.push(message);
        }
        one.quiet().await;
        let on = Target::Message(messages[0].message_id.to_string());
        assert_eq!(holds(&one, Command::Hold { on: on.clone(), reason: "Dnr 4711".into() }).await.len(), 1);
        let listed = holds(&other, Command::Holds {}).await;
        assert_eq!((listed.len(), listed[0].reason.as_str()), (1, "Dnr 4711"));

        // From here on their time is over.
        let soon = "\n[retention]\ncontent-days = 1\nmetadata-days = 400\n";
        let awake = |node: &str| Setup { mailbox: soon, ..setup("noder-hold", node, cluster, &database) };
        let (one, other) = (one.sleep().await, other.sleep().await);
        let (one, other) = (one.wake(awake("nod-1")).await, other.wake(awake("nod-2")).await);
        let held = one.event(EventName::PurgeHeld).await;
        assert_eq!(held.fields[&Field::MessageId], messages[0].message_id.to_string());
        let bodies =
            || cluster.sql(&database, &format!("SELECT count(DISTINCT body) FROM brevbro.clear_parts WHERE position('{SECRET}'::bytea IN data) > 0"));
        // The other message goes, which nobody holds.
        wait_for("the end of what is not held", || async {
            let deleted = one.events(EventName::RecordDeleted).await;
            deleted.iter().any(|event| event.fields.get(&Field::MessageId) == Some(&messages[1].message_id.to_string())).then_some(())
        })
        .await;
        assert_eq!(bodies(), "1", "the held one stays");
        let about = |events: Vec<brevbro::event::Event>| {
            let held = messages[0].message_id.to_string();
            events.into_iter().filter(|event| event.fields.get(&Field::MessageId) == Some(&held)).count()
        };
        assert_eq!(about(one.events(EventName::ContentDeleted).await), 0);
        assert_eq!(holds(&other, Command::Unhold { on }).await, []);
        wait_for("nothing to be left", || async {
            let none = store(&one).health().await.jobs.iter().all(|(_, jobs)| *jobs == 0);
            (none && bodies() == "0").then_some(())
        })
        .await;
        assert_eq!(about(other.events(EventName::ContentDeleted).await), 3, "mail, envelope and request, each once");
        for table in ["clear_blobs", "clear_parts", "sealed_blobs", "sealed_parts", "records"] {
            assert_eq!(cluster.sql(&database, &format!("SELECT count(*) FROM brevbro.{table}")), "0", "{table}");
        }
        stop([one, other]).await;
    });
}
