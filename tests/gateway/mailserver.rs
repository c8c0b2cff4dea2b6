//! The organisation's mail server refuses, comes back, or breaks off.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::event::{EventName, Field};
use brevbro::port::BlobKind;
use brevbro::sdk::receipt::Outcome;

use crate::harness::client::submit;
use crate::harness::peer::Mood;
use crate::harness::{Gateway, Manner, Peer, Setup, Sink, mail, run, world};

#[test]
fn a_mail_that_is_put_off_is_delivered_once_later() {
    run(async {
        let gateway = Gateway::start(Setup::new("sink-later")).await;
        let peer = Peer::start("sink-later-peer").await;
        gateway.sink.will(&gateway.mailbox, &[Manner::Later, Manner::Later]);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        gateway.delivery().await;
        gateway.event(EventName::Delivered).await;
        assert_eq!(gateway.events(EventName::DeliveryDeferred).await.len(), 2);
        assert_eq!(gateway.delivered().len(), 1);
        // The mail server's troubles are no reason to let the sender wait for its receipt.
        assert_eq!(peer.receipt(0).await.outcome.summary(), "ACCEPTED");
        gateway.stop().await;
    });
}

#[test]
fn a_mail_that_is_refused_is_kept_and_the_operator_is_told() {
    run(async {
        let gateway = Gateway::start(Setup::new("sink-never")).await;
        let peer = Peer::start("sink-never-peer").await;
        gateway.sink.will(&gateway.mailbox, &[Manner::Never; 100]);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let alarm = gateway.alarm().await;
        assert!(alarm.text.contains("sink-never"), "{}", alarm.text);
        assert_eq!(gateway.delivered().len(), 0);
        let kept = gateway.daemon.gateway.blobs.heads().await.unwrap();
        assert_eq!(kept.iter().filter(|blob| blob.kind == BlobKind::Message).count(), 1, "the message is kept");
        // It is tried again all the same, and the operator is not told a second time.
        gateway.nth_event(EventName::DeliveryDeferred, 2).await;
        assert_eq!(gateway.events(EventName::Alarmed).await.len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn a_notice_that_is_refused_is_not_sent_again_and_nobody_is_told() {
    run(async {
        let gateway = Gateway::start(Setup::new("sink-notice")).await;
        let peer = Peer::start("sink-notice-peer").await;
        gateway.sink.will(&gateway.mailbox, &[Manner::Never]);
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], " NOTIFY=SUCCESS", &mail(&gateway.mailbox, "a1", "Hej")).await;
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        assert!(gateway.event(EventName::Faulted).await.fields[&Field::Cause].contains("550"));
        gateway.quiet().await;
        assert_eq!(gateway.sink.letters().len(), 0);
        gateway.daemon.stop().await;
    });
}

#[test]
fn a_receipt_that_cannot_be_sent_back_alarms_and_the_mail_is_delivered_all_the_same() {
    run(async {
        let fleeting = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"3s\"\nreceipt-timeout = \"3s\"\ndelayed-notice-after = \"1s\"";
        let gateway = Gateway::start(Setup { retry: fleeting, ..Setup::new("sink-receipt") }).await;
        let peer = Peer::start("sink-receipt-peer").await;
        peer.set(Mood::Down);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        gateway.delivery().await;
        gateway.event(EventName::ExchangeFailed).await;
        let alarm = gateway.alarm().await;
        assert!(alarm.text.contains("message receipt"), "{}", alarm.text);
        gateway.quiet().await;
        assert_eq!((gateway.delivered().len(), gateway.notices().len(), peer.receipts()), (1, 0, 0));
        gateway.stop().await;
    });
}

#[test]
fn when_the_answer_to_the_mail_is_missed_it_comes_again_with_the_same_message_id() {
    run(async {
        let gateway = Gateway::start(Setup::new("sink-break")).await;
        let peer = Peer::start("sink-break-peer").await;
        gateway.sink.will(&gateway.mailbox, &[Manner::Break]);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        gateway.event(EventName::Delivered).await;
        assert_eq!(gateway.events(EventName::PossibleDuplicate).await.len(), 1);
        let letters = gateway.delivered();
        assert_eq!(letters.len(), 2);
        assert_eq!(letters[0].line("Message-ID:").unwrap(), letters[1].line("Message-ID:").unwrap());
        let taken = gateway.event(EventName::Taken).await;
        assert!(letters[0].line("Message-ID:").unwrap().contains(&taken.fields[&Field::MessageId]));
        gateway.stop().await;
    });
}

#[test]
fn a_mailbox_with_a_mail_server_of_its_own_gets_messages_and_notices_there_and_the_operator_where_everything_else_goes() {
    run(async {
        let own = Sink::start().await;
        let server = format!("other-mail-server = [{{ name = \"egen\", host = \"127.0.0.1\", port = {}, security = \"none\" }}]", own.address.port());
        let setup = Setup { root: server.leak(), mailbox: "mail-server = \"egen\"", ..Setup::new("sink-own") };
        let gateway = Gateway::start(setup).await;
        let peer = Peer::start("sink-own-peer").await;
        own.will(&gateway.mailbox, &[Manner::Never]);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let message = own.letter("the message", |letter| letter.to == gateway.mailbox).await;
        assert!(!message.is_notice());
        gateway.alarm().await;
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], " NOTIFY=SUCCESS", &mail(&gateway.mailbox, "o1", "Hej")).await;
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        own.letter("the notice", |letter| letter.to == gateway.mailbox && letter.is_notice()).await;
        gateway.quiet().await;
        assert_eq!((own.letters().len(), gateway.sink.letters().len()), (2, 1), "only the alarm goes to the first");
        gateway.stop().await;
    });
}

#[test]
fn a_message_that_is_still_tried_goes_where_the_operator_says_since() {
    run(async {
        let world = world().await;
        let gateway = Gateway::start(Setup::new("sink-moved")).await;
        let peer = Peer::start("sink-moved-peer").await;
        gateway.sink.will(&gateway.mailbox, &[Manner::Never; 1000]);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        gateway.alarm().await;
        let setup = Setup { mailbox: "deliver-to = \"sdk-inkorg@sink-moved.se\"", ..Setup::new("sink-moved") };
        let gateway = gateway.restart_in(world, setup).await;
        let letter = gateway.sink.letter("the message", |letter| letter.to == "sdk-inkorg@sink-moved.se").await;
        assert!(letter.line("To:").unwrap().contains("sdk-inkorg@sink-moved.se"), "{}", letter.text);
        gateway.event(EventName::Delivered).await;
        assert!(gateway.delivered().is_empty());
        gateway.stop().await;
    });
}
