//! The mail server takes a mail and gives it back: notices to the return path that each delivered mail has.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::event::{EventName, Field};
use brevbro::inbound::Incoming;
use brevbro::port::BlobKind;

use crate::common::dovecot::{Dovecot, DovecotSetup};
use crate::common::postfix::Plan;
use crate::harness::{Client, Gateway, Peer, Setup, free_port, run};

/// A report of this action about a mail of the message with this id.
fn report(message: &str, action: &str, status: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mail.se\r\nTo: x@y\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHej.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.se\r\nOriginal-Envelope-Id: {message}\r\n\r\n\
         Final-Recipient: rfc822; inkorg@x.se\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: smtp; 550 {status} no such user\r\n\r\n--b--\r\n"
    )
}

async fn give_back(gateway: &Gateway, to: &str, mail: &str) -> String {
    let mut client = Client::connect(gateway).await;
    client.envelope("", &[to], "").await;
    let reply = client.data(mail).await;
    client.say("QUIT").await;
    reply
}

async fn state_of(gateway: &Gateway, message: &str) -> Incoming {
    let taken = gateway.events(EventName::Taken).await.into_iter().find(|event| event.fields[&Field::MessageId] == message).unwrap();
    let record = gateway.daemon.gateway.store.record(taken.record.unwrap()).await.unwrap().unwrap();
    Incoming::from_record(&record).unwrap()
}

#[test]
fn a_mail_that_comes_back_is_a_failure_of_its_message_once_and_other_notices_are_noted() {
    run(async {
        let gateway = Gateway::start(Setup::new("returned")).await;
        let peer = Peer::start("returned-peer").await;
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let path = gateway.delivery().await.from;
        let event = gateway.event(EventName::Delivered).await;
        let message = event.fields[&Field::MessageId].to_lowercase();
        assert_eq!(path, format!("retur-{message}@{}", gateway.domain));

        for (action, status) in [("delayed", "4.4.1"), ("relayed", "2.0.0")] {
            let reply = give_back(&gateway, &path, &report(&message, action, status)).await;
            assert!(reply.starts_with("250"), "{reply}");
        }
        gateway.nth_event(EventName::ReturnNoted, 1).await;
        assert!(matches!(state_of(&gateway, &event.fields[&Field::MessageId]).await, Incoming::Delivered(_)));

        assert!(give_back(&gateway, &path, &report(&message, "failed", "5.1.1")).await.starts_with("250"));
        let returned = gateway.event(EventName::Returned).await;
        assert_eq!(returned.record, event.record);
        let cause = &returned.fields[&Field::Cause];
        assert!(cause.contains("5.1.1") && cause.contains("550 5.1.1 no such user") && cause.contains("inkorg@x.se"), "{cause}");
        let alarm = gateway.alarm().await;
        assert!(alarm.text.contains(&event.fields[&Field::MessageId]) && alarm.text.contains(&event.fields[&Field::As4MessageId]), "{}", alarm.text);
        assert!(alarm.text.contains("does not know the address"), "{}", alarm.text);
        let Incoming::Returned(state) = state_of(&gateway, &event.fields[&Field::MessageId]).await else { panic!("the state shows it") };
        assert_eq!(state.status.as_deref(), Some("5.1.1"));
        let kept = gateway.daemon.gateway.blobs.heads().await.unwrap();
        assert_eq!(kept.iter().filter(|blob| blob.kind == BlobKind::Message).count(), 1, "the message is kept");

        // A second copy of the notice, and one in prose, change nothing and alarm nobody again.
        assert!(give_back(&gateway, &path, &report(&message, "failed", "5.1.1")).await.starts_with("250"));
        assert!(
            give_back(&gateway, &path, "From: MAILER-DAEMON@x.se\r\nSubject: failure notice\r\n\r\n<a@b>: no (#5.1.1)\r\n").await.starts_with("250")
        );
        gateway.nth_event(EventName::ReturnNoted, 3).await;
        gateway.quiet().await;
        assert_eq!((gateway.events(EventName::Returned).await.len(), gateway.events(EventName::Alarmed).await.len()), (1, 1));
        gateway.stop().await;
    });
}

#[test]
fn forged_and_foreign_notices_are_journaled_and_change_nothing() {
    run(async {
        let gateway = Gateway::start(Setup::new("returned-forged")).await;
        let peer = Peer::start("returned-forged-peer").await;
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let path = gateway.delivery().await.from;
        let event = gateway.event(EventName::Delivered).await;
        let unknown = "00000000-0000-4000-8000-000000000000";
        let whole = "x".repeat(70) + "\r\n";
        let huge = report(unknown, "failed", "5.1.1") + &whole.repeat(20_000);
        let cases = [
            // Another message's notice at this one's address; a message that never was; no return path; one without end.
            (path.clone(), report(unknown, "failed", "5.1.1"), "another envelope"),
            (format!("retur-{unknown}@{}", gateway.domain), report(unknown, "failed", "5.1.1"), "no such message"),
            (format!("retur-{unknown}x@{}", gateway.domain), report(unknown, "failed", "5.1.1"), "no mail of ours"),
            (format!("retur-{unknown}@{}", gateway.domain), huge, "no such message"),
        ];
        for (number, (to, mail, why)) in cases.iter().enumerate() {
            assert!(give_back(&gateway, to, mail).await.starts_with("250"), "{to}");
            let dropped = gateway.nth_event(EventName::MailDropped, number).await;
            assert!(dropped.fields[&Field::Cause].contains(why), "{dropped:?}");
            assert!(dropped.fields[&Field::PeerAddress].contains("127.0.0.1"));
        }
        // Out of office: taken, noted, no failure.
        let away = "From: anna@x.se\r\nSubject: Borta\r\nAuto-Submitted: auto-replied (vacation)\r\n\r\nJag \u{e4}r borta\r\n";
        assert!(give_back(&gateway, &path, away).await.starts_with("250"));
        gateway.event(EventName::ReturnNoted).await;
        gateway.quiet().await;
        assert!(matches!(state_of(&gateway, &event.fields[&Field::MessageId]).await, Incoming::Delivered(_)));
        assert!(gateway.events(EventName::Alarmed).await.is_empty() && gateway.events(EventName::Returned).await.is_empty());
        gateway.stop().await;
    });
}

#[test]
fn what_postfix_takes_and_cannot_deliver_becomes_a_tracked_failure() {
    run(async {
        // Postfix takes mail for the whole domain, and Dovecot behind it knows nobody there.
        let Some(dovecot) = Dovecot::start(&DovecotSetup::of(&["drift@returned-postfix.se"])) else { return };
        let port = free_port();
        let plan = Plan::new().route("sdk.returned-postfix.se", std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let Some(postfix) = plan.transport("returned-postfix.se", &format!("lmtp:inet:{}", dovecot.lmtp)).start() else { return };
        let server =
            format!("other-mail-server = [{{ name = \"postfix\", host = \"127.0.0.1\", port = {}, security = \"none\" }}]", postfix.address.port());
        let setup = Setup { root: server.leak(), smtp_port: port, mailbox: "mail-server = \"postfix\"", ..Setup::new("returned-postfix") };
        let gateway = Gateway::start(setup).await;
        let peer = Peer::start("returned-postfix-peer").await;
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let returned = gateway.event(EventName::Returned).await;
        let cause = &returned.fields[&Field::Cause];
        assert!(cause.contains("5.1.1") && cause.contains("User doesn't exist"), "{cause}");
        let delivered = gateway.event(EventName::Delivered).await;
        assert_eq!(delivered.record, returned.record);
        assert!(gateway.alarm().await.text.contains(&delivered.fields[&Field::MessageId]));
        // The envelope id that was given is the one that came back, or the notice would have been dropped.
        assert!(gateway.events(EventName::MailDropped).await.is_empty());
        gateway.stop().await;
        postfix.wait_for_log(&["disconnect from", "mail=1", "quit=1"]);
    });
}
