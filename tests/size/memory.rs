//! How much memory large messages take, measured on the process by the kernel (`VmHWM`).
//!
//! The tests that CI runs are bounded; those that are ignored are the figures of `docs/performance.md`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brevbro::edge::clock::SystemClock;
use brevbro::event::EventName;
use brevbro::ident::{As4MessageId, ConversationId, MessageId, RecordId};
use brevbro::outbound::state::{Notify, Reached};
use brevbro::outbound::{Cargo, Dispatch, Letter, Outgoing, Submitted};
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, Job, JobId, Op, Queue, Step, Store};
use brevbro::sdk::receipt::Outcome;
use brevbro::store::{SledOptions, SledStore, Spool, SpoolOptions};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::harness::{Peer, Setup, mail_with, run, wait_for};
use crate::outside::Outside;
use crate::{delivered, grown, noise, sized};

const MB: u64 = 1_000_000;
/// What AS4 may take, whatever the size: below 60 MB above an idle gateway.
const AS4: u64 = 60 * MB;

/// A gateway that has done everything once, and the memory that it has then.
async fn warm(name: &'static str, peer: &str, top: &'static str) -> (Outside, Peer, u64) {
    let peer = Peer::start(peer).await;
    let gateway = Outside::start(Setup { top, ..Setup::new(name) }, async |_| {}).await;
    peer.push_to(&gateway.endpoint, &peer.draft_to(&gateway.participant).package()).await.acknowledged();
    delivered(&gateway.sink, &gateway.mailbox, 1).await;
    peer.receipt(0).await;
    let idle = gateway.forget_peak();
    println!("idle with {} MB", idle / MB);
    (gateway, peer, idle)
}

/// Receives so many envelopes of so many octets at once; the memory that it takes, until all are judged.
async fn receives(name: &'static str, peer: &'static str, number: usize, octets: usize) -> (u64, u64) {
    let (gateway, peer, idle) = warm(name, peer, "").await;
    let peer = Arc::new(peer);
    let pushes: Vec<_> = (0..number)
        .map(|_| {
            let draft = peer.draft_to(&gateway.participant);
            let (peer, endpoint) = (Arc::clone(&peer), gateway.endpoint.clone());
            tokio::spawn(async move {
                let package = draft.package_of(&mut grown(&draft.envelope(), octets).as_slice());
                peer.push_to(&endpoint, &package).await.acknowledged();
            })
        })
        .collect();
    for push in pushes {
        push.await.unwrap();
    }
    let received = gateway.memory().1 - idle;
    // Too long whatever they hold: that is seen as they pass by, so the step that opens them needs no more.
    for number in 1..=number {
        let Outcome::Rejected(breaches) = peer.receipt(number).await.outcome else { panic!("accepted") };
        assert_eq!(breaches.iter().map(ToString::to_string).collect::<Vec<_>>(), ["BV too-long"]);
    }
    (received, gateway.memory().1 - idle)
}

/// Sends an envelope of so many octets; the memory that it takes.
async fn sends(name: &'static str, peer: &'static str, octets: usize) -> u64 {
    let peer = Peer::start(peer).await;
    let due = Timestamp::now() + SignedDuration::from_secs(25);
    let record = RecordId(Uuid::new_v4());
    let draft = peer.draft_to(&format!("0203:{name}.se").parse().unwrap());
    let envelope = grown(&draft.envelope(), octets);
    let gateway = Outside::start(Setup::new(name), async |state| sealed(state, name, &peer, record, &envelope, due).await).await;
    let idle = gateway.forget_peak();
    assert!(Timestamp::now() < due && peer.taken().is_empty(), "it began before it was looked at");
    tokio::time::sleep(Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default()).await;
    wait_for("the receipt", || async { (gateway.journal(EventName::Acknowledged) > 0).then_some(()) }).await;
    let used = gateway.memory().1 - idle;
    assert_eq!(peer.taken()[0].envelope, envelope, "octet for octet");
    used
}

/// Leaves an envelope in the state of a gateway, to be sent at `due`.
async fn sealed(state: &Path, name: &str, peer: &Peer, record: RecordId, envelope: &[u8], due: Timestamp) {
    let spool = Spool::open(SpoolOptions::new(state.join("spool"))).unwrap();
    let store = SledStore::open(SledOptions { clock: Arc::new(SystemClock), ..SledOptions::new(state.join("store")) }).unwrap();
    let (blob, id) = (BlobId(Uuid::new_v4()), Uuid::new_v4().to_string());
    let mut writer =
        spool.create(Blob { id: blob, kind: BlobKind::Envelope, header: serde_json::json!({ "record": record }).to_string() }, None).await.unwrap();
    std::io::Write::write_all(&mut writer, envelope).unwrap();
    writer.commit().await.unwrap();
    let letter = Letter {
        record,
        mail: BlobId(Uuid::new_v4()),
        transaction: Uuid::new_v4(),
        accepted_at: Timestamp::now(),
        organisation: format!("0203:{name}.se").parse().unwrap(),
        function: "inkorg".parse().unwrap(),
        sender: format!("inkorg@{name}.se").parse().unwrap(),
        address: format!("inkorg@{}.sdk.{name}.se", peer.name).parse().unwrap(),
        participant: peer.participant.clone(),
        to_function: "avdelningen".parse().unwrap(),
        message_id: MessageId::new(id.as_str()).unwrap(),
        conversation_id: ConversationId::new(id.as_str()).unwrap(),
        in_reply_to: None,
        mail_message_id: None,
        envid: None,
        orcpt: None,
        notify: Notify { success: false, failure: false, delay: false },
        resent: None,
        octets: None,
        after: None,
    };
    let as4_id = As4MessageId::new(format!("{id}@sdk.{name}.se")).unwrap();
    let dispatch = Dispatch { as4_id, envelope: blob, request: None, reached: Reached::Never, delay_told: None, place: None, yields: false };
    let outgoing = Outgoing::Submitted(Submitted { cargo: Cargo::Letter(letter), dispatch });
    let step = Step::new().op(Op::Put(outgoing.to_record().unwrap())).op(Op::Enqueue(Job::new(JobId::of(record, "send"), Queue::Send, record, due)));
    store.apply(step).await.unwrap();
}

/// Opens so many messages of so many octets at once in so much memory; the memory that it takes until all are delivered or
/// turned away.
async fn opens(name: &'static str, peer: &'static str, top: &'static str, number: usize, octets: usize) -> u64 {
    let (gateway, peer, idle) = warm(name, peer, top).await;
    let mut draft = peer.draft_to(&gateway.participant);
    sized(&mut draft, octets);
    let envelope = draft.envelope();
    for at in 0..number {
        // The same message in other AS4 messages: all but one are turned away when they were opened.
        let mut again = peer.draft_to(&gateway.participant);
        again.message.conversation_id = format!("{at}");
        peer.push_to(&gateway.endpoint, &again.package_of(&mut envelope.as_slice())).await.acknowledged();
    }
    let mut accepted = 0;
    for number in 1..=number {
        accepted += usize::from(peer.receipt(number).await.outcome == Outcome::Accepted);
    }
    assert_eq!(accepted, 1);
    delivered(&gateway.sink, &gateway.mailbox, 2).await;
    gateway.memory().1 - idle
}

/// Takes so many mails at once that become messages of about so many octets; the memory that it takes until all are sent.
async fn seals(name: &'static str, peer: &'static str, top: &'static str, number: usize, octets: usize) -> u64 {
    let (gateway, peer, idle) = warm(name, peer, top).await;
    let to = format!("avdelningen@{}.{}", peer.name, gateway.domain);
    let mails: Vec<_> = (0..number)
        .map(|at| {
            let mail = mail_with(&gateway.mailbox, &format!("stor-{at}"), "stor.pdf", "application/pdf", &noise(octets / 4 * 3));
            let (smtp, from, to) = (gateway.smtp, gateway.mailbox.clone(), to.clone());
            tokio::spawn(async move { crate::submit(smtp, &from, &to, &mail).await })
        })
        .collect();
    for mail in mails {
        let reply = mail.await.unwrap();
        assert!(reply.starts_with("250"), "{reply}");
    }
    wait_for("all receipts", || async { (gateway.journal(EventName::Acknowledged) >= number).then_some(()) }).await;
    gateway.memory().1 - idle
}

#[test]
fn an_envelope_of_100_mb_is_received_and_judged_in_60_mb_of_memory() {
    run(async {
        let (received, judged) = receives("minne-in", "minne-in-peer", 1, 100_000_000).await;
        println!("received in {} MB, judged in {} MB", received / MB, judged / MB);
        assert!(received < AS4 && judged < AS4, "{received} {judged}");
    });
}

#[test]
fn an_envelope_of_100_mb_is_sent_in_60_mb_of_memory() {
    run(async {
        let used = sends("minne-ut", "minne-ut-peer", 100_000_000).await;
        println!("sent in {} MB", used / MB);
        assert!(used < AS4, "{used}");
    });
}

#[test]
fn large_messages_at_once_are_opened_in_the_memory_that_was_allowed() {
    run(async {
        let used = opens("minne-oppna", "minne-oppna-peer", "memory = \"300 MB\"", 4, 25_000_000).await;
        println!("opened in {} MB", used / MB);
        assert!(used < 300 * MB + AS4, "{used}");
    });
}

#[test]
fn large_mails_at_once_are_sealed_in_the_memory_that_was_allowed() {
    run(async {
        let used = seals("minne-forsegla", "minne-forsegla-peer", "memory = \"300 MB\"", 4, 20_000_000).await;
        println!("sealed and sent in {} MB", used / MB);
        assert!(used < 300 * MB + AS4, "{used}");
    });
}

/// One line of the figures: what is done, and the memory that it takes.
fn figure(what: &str, used: u64) {
    println!("{what}: {} MB", used / MB);
}

#[test]
#[ignore = "figures of docs/performance.md: some gigabytes of disk"]
fn figures_of_as4() {
    run(async {
        for (name, peer, number) in [("tal-in", "tal-in-peer", 1), ("tal-in-8", "tal-in-8-peer", 8)] {
            let (received, judged) = receives(name, peer, number, 100_000_000).await;
            figure(&format!("{number} envelopes of 100 MB at once, received"), received);
            figure(&format!("{number} envelopes of 100 MB at once, until they were turned away"), judged);
        }
        figure("1 envelope of 100 MB, sent", sends("tal-ut", "tal-ut-peer", 100_000_000).await);
    });
}

#[test]
#[ignore = "figures of docs/performance.md"]
fn figures_of_opening() {
    run(async {
        for (name, peer, top, number) in [
            ("tal-o1", "tal-o1-peer", "memory = \"2 GB\"", 1),
            ("tal-o8", "tal-o8-peer", "memory = \"1 GB\"", 8),
            ("tal-o8-lite", "tal-o8-lite-peer", "memory = \"400 MB\"", 8),
        ] {
            figure(&format!("{number} messages of 30 MB at once with {top}, opened and delivered"), opens(name, peer, top, number, 30_000_000).await);
        }
    });
}

#[test]
#[ignore = "figures of docs/performance.md"]
fn figures_of_sealing() {
    run(async {
        for (name, peer, top, number) in [
            ("tal-s1", "tal-s1-peer", "memory = \"2 GB\"", 1),
            ("tal-s8", "tal-s8-peer", "memory = \"1 GB\"", 8),
            ("tal-s8-lite", "tal-s8-lite-peer", "memory = \"400 MB\"", 8),
        ] {
            figure(&format!("{number} mails of 29 MB at once with {top}, sealed and sent"), seals(name, peer, top, number, 29_000_000).await);
        }
    });
}
