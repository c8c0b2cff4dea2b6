//! Message receipts that are late, repeated, foreign or about nothing: what decides, what is told, and what is a line in the
//! journal only (docs/states.md). Those that contradict or never come stand in `outcomes` and `notices`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::event::{EventName, Field};
use brevbro::ident::MessageId;
use brevbro::outbound::Outgoing;
use brevbro::port::BlobKind;
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::rules::{Breach, Detail, ReasonCode};

use crate::harness::client::submit;
use crate::harness::peer::{Draft, Mood};
use crate::harness::{Gateway, Peer, Setup, mail, run, world};

async fn pair(name: &str) -> (Gateway, Peer) {
    (Gateway::start(Setup::new(name)).await, Peer::start(&format!("{name}-peer")).await)
}

/// Hands in a mail for the peer whose sender wants to know everything.
async fn send(gateway: &Gateway, peer: &Peer) {
    let to = gateway.address_of("inkorg", &peer.name);
    let reply = submit(gateway, &[&to], " NOTIFY=SUCCESS,FAILURE,DELAY", &mail(&gateway.mailbox, "a1", "Hej")).await;
    assert!(reply.starts_with("250 "), "{reply}");
}

/// The receipt in another access point's hands.
fn by(mut draft: Draft, name: &str, point: &brevbro::crypto::Identity) -> Draft {
    draft.message.from = name.parse().unwrap();
    draft.point = point.clone();
    draft
}

async fn success_is_told_once(gateway: &Gateway) {
    gateway.notice("delivered", "2.0.0").await;
    gateway.quiet().await;
    assert_eq!(gateway.notices(), [("delivered".to_owned(), "2.0.0".to_owned())]);
}

#[test]
fn a_receipt_for_what_was_never_sent_from_here_is_a_line_in_the_journal() {
    run(async {
        let (gateway, peer) = pair("receipts-unknown").await;
        // A message of theirs, and our receipt for it, are known here by their ids, and are none that we sent as a message.
        let theirs = peer.draft(&gateway);
        peer.send(&gateway, &theirs).await.acknowledged();
        peer.receipt(0).await;
        let ours = gateway.event(EventName::ReceiptSent).await.fields[&Field::ReceiptId].clone();
        gateway.quiet().await;
        let before = gateway.daemon.gateway.blobs.heads().await.unwrap().len();
        let unknown = uuid::Uuid::new_v4().to_string();
        for (number, id) in [unknown.as_str(), theirs.header.id.as_str(), ours.as_str()].into_iter().enumerate() {
            let id = MessageId::new(id).unwrap();
            let outcomes = [Outcome::Accepted, Outcome::Rejected(vec![Breach::new(ReasonCode::Bv, Detail::NotFound, "NA", "Provat.")])];
            for (turn, outcome) in outcomes.into_iter().enumerate() {
                peer.send(&gateway, &peer.receipt_draft(&gateway, &id, outcome)).await.acknowledged();
                let stray = gateway.nth_event(EventName::StrayReceipt, number * 2 + turn).await;
                assert_eq!(stray.fields[&Field::MessageId], id.as_str());
                assert!(stray.fields[&Field::Cause].contains("not sent from here"), "{stray:?}");
            }
        }
        gateway.quiet().await;
        assert_eq!((gateway.notices(), gateway.events(EventName::Alarmed).await), (vec![], vec![]));
        assert_eq!(peer.receipts(), 1, "a receipt is never receipted");
        // Of each there is our access point's receipt, and nothing else.
        let blobs = gateway.daemon.gateway.blobs.heads().await.unwrap();
        assert_eq!(blobs.len() - before, 6);
        assert!(blobs.iter().all(|blob| blob.kind != BlobKind::Receipt), "nobody keeps what is about nothing");
        gateway.stop().await;
    });
}

#[test]
fn a_receipt_counts_by_whichever_access_point_of_the_federation_it_comes() {
    run(async {
        let (gateway, peer) = pair("receipts-point").await;
        send(&gateway, &peer).await;
        let message = peer.message(0).await;
        gateway.event(EventName::Acknowledged).await;
        let receipt = peer.receipt_draft(&gateway, &message.message_id, Outcome::Accepted);
        let world = world().await;
        // One that no access point of the federation has signed is not even taken.
        let outside = by(receipt.clone(), "AP0068-TESTBED", &world.peer.identity);
        peer.push(&gateway, &outside.package()).await.refused("EBMS:0101");
        assert_eq!(gateway.events(EventName::Accepted).await, []);
        let other = world.testbed.issue_access_point(&"AP0069-TESTBED".parse().unwrap()).unwrap();
        peer.push(&gateway, &by(receipt, "AP0069-TESTBED", &other.identity).package()).await.acknowledged();
        let received = gateway.event(EventName::Received).await;
        assert_eq!(received.fields[&Field::PeerAccessPoint], "AP0069-TESTBED");
        success_is_told_once(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn a_receipt_that_is_repeated_is_told_once_however_it_is_repeated() {
    run(async {
        let (gateway, peer) = pair("receipts-again").await;
        send(&gateway, &peer).await;
        let message = peer.message(0).await;
        gateway.event(EventName::Acknowledged).await;
        let package = peer.receipt_draft(&gateway, &message.message_id, Outcome::Accepted).package();
        let first = peer.push(&gateway, &package).await;
        first.acknowledged();
        success_is_told_once(&gateway).await;
        // The same request, as an access point repeats it that missed the answer.
        assert_eq!(peer.push(&gateway, &package).await.body, first.body);
        gateway.event(EventName::DuplicateReceived).await;
        // The same answer in another envelope, as a participant says it twice.
        for number in 0..2 {
            peer.answer(&gateway, &message, Outcome::Accepted).await;
            let stray = gateway.nth_event(EventName::StrayReceipt, number).await;
            assert_eq!(stray.fields[&Field::Cause], "a receipt that came before");
        }
        success_is_told_once(&gateway).await;
        assert_eq!(gateway.events(EventName::Accepted).await.len(), 1);
        assert_eq!(gateway.events(EventName::Alarmed).await, []);
        gateway.stop().await;
    });
}

#[test]
fn a_message_receipt_that_overtakes_the_access_points_receipt_ends_the_sending() {
    run(async {
        let (gateway, peer) = pair("receipts-first").await;
        peer.set(Mood::Mute);
        send(&gateway, &peer).await;
        let message = peer.message(0).await;
        gateway.event(EventName::SendDeferred).await;
        assert_eq!(gateway.events(EventName::Acknowledged).await, []);
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        // No attempt is made any more, although the other access point never answered.
        success_is_told_once(&gateway).await;
        let attempts = peer.taken().len();
        let record = gateway.event(EventName::Submitted).await.record.unwrap();
        let kept = gateway.daemon.gateway.store.record(record).await.unwrap().unwrap();
        assert_eq!(kept.state, Outgoing::ACCEPTED);
        assert_eq!((peer.taken().len(), gateway.events(EventName::Acknowledged).await.len()), (attempts, 0));
        gateway.stop().await;
    });
}
