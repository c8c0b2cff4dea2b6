//! What a gateway says and keeps is valid: every envelope, request, signal, message and receipt, judged by its schema.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read;

use brevbro::as4::{TEST_ACTION, TEST_SERVICE};
use brevbro::event::EventName;
use brevbro::port::BlobKind;
use brevbro::sdk::receipt::Outcome;

use crate::common::judged::Judged;
use crate::harness::client::submit;
use crate::harness::{Gateway, Peer, Setup, mail_with, run};

/// Every blob that a gateway keeps; how many there were of each kind that is XML.
async fn kept(gateway: &Gateway, judged: &mut Judged) -> Vec<BlobKind> {
    let blobs = &gateway.daemon.gateway.blobs;
    let mut kinds = Vec::new();
    for blob in blobs.heads().await.unwrap() {
        let (_, _, mut body) = blobs.open(blob.id).await.unwrap();
        let mut octets = Vec::new();
        body.read_to_end(&mut octets).unwrap();
        let what = format!("{:?} of {}", blob.kind, gateway.participant);
        match blob.kind {
            BlobKind::Mail => continue,
            BlobKind::Request => judged.add_package(&what, &octets),
            BlobKind::Envelope | BlobKind::Signal | BlobKind::Message | BlobKind::Receipt => judged.add(&what, &octets),
        }
        kinds.push(blob.kind);
    }
    kinds
}

#[test]
fn everything_that_a_run_says_and_keeps_is_valid() {
    run(async {
        let (sender, receiver) = (Gateway::start(Setup::new("written")).await, Gateway::start(Setup::new("written-peer")).await);
        let peer = Peer::start("written-by-hand").await;
        let mut judged = Judged::default();
        // Taken and answered; turned away; taken by somebody else's software, which shows what came over the wire.
        for (number, to) in [
            sender.address_of("inkorg", "written-peer.se"),
            sender.address_of("okand", "written-peer.se"),
            sender.address_of("inkorg", "written-by-hand.se"),
        ]
        .iter()
        .enumerate()
        {
            let mail = mail_with(&sender.mailbox, &format!("w{number}"), "å & <b>.pdf", "application/pdf", b"%PDF-1.4 prov");
            let mail = mail.replace("Subject: Prov", "Subject: =?utf-8?B?w6UgJiA8Yj4gXV0+IPCfmYI=?=");
            assert!(submit(&sender, &[to], " NOTIFY=SUCCESS,FAILURE", &mail).await.starts_with("250"));
        }
        sender.event(EventName::Accepted).await;
        sender.event(EventName::Rejected).await;
        let message = peer.message(0).await;
        peer.answer(&sender, &message, Outcome::Accepted).await;
        receiver.delivery().await;

        // What the endpoint answers: a receipt, the same for a duplicate, for an ebMS test, and errors.
        let draft = peer.draft(&receiver);
        let package = draft.package();
        for what in ["a receipt", "a duplicate's receipt"] {
            judged.add(what, &peer.push(&receiver, &package).await.body);
        }
        let mut ping = peer.draft(&receiver).package();
        let service = "<eb:Service type=\"urn:fdc:digg.se:edelivery:process\">bdx:noprocess</eb:Service>";
        let test = format!("<eb:Service>{TEST_SERVICE}</eb:Service>");
        ping.resign(&[(service, &test), (&draft.message.kind.action(), TEST_ACTION)], &draft.point);
        judged.add("the answer to a test", &peer.push(&receiver, &ping).await.body);
        let mut stranger = peer.draft(&receiver);
        stranger.message.final_recipient = "0203:nagon-annan.se".parse().unwrap();
        stranger.header.to = stranger.message.final_recipient.clone();
        judged.add("NOT_SERVICED", &peer.push(&receiver, &stranger.package()).await.body);
        let mut cut = peer.draft(&receiver).package();
        cut.body.truncate(cut.body.len() - 200);
        judged.add("an error of packaging", &peer.push(&receiver, &cut).await.body);
        let mut dtd = peer.draft(&receiver).package();
        dtd.edit("<S12:Envelope", "<!DOCTYPE x [<!ENTITY a \"b\">]><S12:Envelope");
        judged.add("an error without a message", &peer.push(&receiver, &dtd).await.body);

        peer.receipt(0).await;
        for gateway in [&sender, &receiver] {
            gateway.quiet().await;
        }
        for taken in peer.taken() {
            judged.add("an envelope that the other side took", &taken.envelope);
        }
        let mut kinds = kept(&sender, &mut judged).await;
        kinds.extend(kept(&receiver, &mut judged).await);
        for kind in [BlobKind::Envelope, BlobKind::Request, BlobKind::Signal, BlobKind::Message, BlobKind::Receipt] {
            assert!(kinds.contains(&kind), "{kind:?} is not in {kinds:?}");
        }
        let counts = judged.judge();
        println!("{counts:#?}");
        assert!(counts.is_empty() || counts.len() == 7, "{counts:?}");
        sender.stop().await;
        receiver.stop().await;
    });
}
