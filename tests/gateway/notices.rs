//! What a notice of a running gateway says, and to whom: evidence, what the client asked for, patience and office hours.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::event::{EventName, Field};
use brevbro::sdk::receipt::{self, Outcome};
use brevbro::sdk::rules::{Breach, Detail, ReasonCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::harness::client::{Client, submit};
use crate::harness::peer::Mood;
use crate::harness::sink::dsn::{self, Report};
use crate::harness::{Gateway, Letter, Peer, Setup, mail, run, world};

/// Attempts every half second, a notice of delay after one second, and the end after three.
const FLEETING: &str = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"3s\"\nreceipt-timeout = \"3s\"\ndelayed-notice-after = \"1s\"";

/// Stands in every mail's text.
const SECRET: &str = "HEMLIGT-7f3a";

fn report(letter: &Letter) -> Report {
    dsn::read(letter.text.as_bytes(), &[SECRET]).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn breach(code: ReasonCode, detail: Detail) -> Breach {
    Breach::new(code, detail, "NA", "Provat.")
}

/// Hands in a mail for a function of the peer.
async fn send(gateway: &Gateway, peer: &Peer, function: &str, id: &str, parameters: &str) {
    let to = gateway.address_of(function, &peer.name);
    let reply = submit(gateway, &[&to], parameters, &mail(&gateway.mailbox, id, SECRET)).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

#[test]
fn the_receipt_is_attached_with_who_signed_it_and_the_envelope_comes_back_as_asked() {
    run(async {
        let gateway = Gateway::start(Setup::new("notices-evidence")).await;
        let peer = Peer::start("notices-evidence-peer").await;
        let mut client = Client::connect(&gateway).await;
        let to = gateway.address_of("inkorg", &peer.name);
        for command in [
            format!("MAIL FROM:<{}> RET=FULL ENVID=QQ+2B1", gateway.mailbox),
            format!("RCPT TO:<{to}> NOTIFY=SUCCESS ORCPT=rfc822;Bo+2Bx@example.se"),
        ] {
            let reply = client.say(&command).await;
            assert!(reply.starts_with("250"), "{reply}");
        }
        let reply = client.data(&mail(&gateway.mailbox, "e1", SECRET)).await;
        assert!(reply.starts_with("250"), "{reply}");
        let message = peer.message(0).await;
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        let told = report(&gateway.notice("delivered", "2.0.0").await);
        assert_eq!(told.message[0], ("Original-Envelope-Id".to_owned(), "QQ+1".to_owned()));
        assert_eq!(told.field("Original-Recipient"), Some("rfc822; Bo+x@example.se"));
        assert_eq!(told.field("Remote-MTA"), Some("x-as4; AP0002-TESTBED"));
        assert_eq!(told.field("Diagnostic-Code"), Some("x-sdk; ACCEPTED"));
        assert_eq!(told.field("Final-Log-ID"), Some(message.message_id.as_str()));
        let evidence = receipt::read(&told.evidence.unwrap()).unwrap();
        assert_eq!((&evidence.refers_to, &evidence.outcome), (&message.message_id, &Outcome::Accepted));
        let signer = &world().await.peer.identity.certificate;
        for line in [
            format!("Kvittens-id: {}", evidence.id),
            format!("Utfärdare: {}", peer.participant),
            format!("Certifikat: {}", signer.subject()),
            format!("SHA-256: {}", signer.fingerprint()),
            "Underskrift: kontrollerad och giltig 2".to_owned(),
            format!("kontakta {} och ange meddelande-id", gateway.operator),
        ] {
            assert!(told.text.contains(&line), "{line} is missing in {}", told.text);
        }
        gateway.stop().await;
    });
}

#[test]
fn the_gravest_line_decides_and_a_duplicate_among_them_is_nothing() {
    run(async {
        let gateway = Gateway::start(Setup::new("notices-lines")).await;
        let peer = Peer::start("notices-lines-peer").await;
        let lines = [
            (vec![breach(ReasonCode::Bv, Detail::NotFound), breach(ReasonCode::Bv, Detail::TooLong)], "5.3.4", 0),
            (vec![breach(ReasonCode::Bv, Detail::Duplicate), breach(ReasonCode::Bv, Detail::NotFound)], "5.1.1", 0),
            (vec![breach(ReasonCode::Bv, Detail::Forbidden), breach(ReasonCode::Sv, Detail::Structure)], "5.6.0", 1),
            (vec![breach(ReasonCode::Sv, Detail::Structure), breach(ReasonCode::Sig, Detail::Security)], "5.7.7", 2),
        ];
        for (number, (breaches, status, alarms)) in lines.into_iter().enumerate() {
            send(&gateway, &peer, "inkorg", &format!("g{number}"), "").await;
            peer.answer(&gateway, &peer.message(number).await, Outcome::Rejected(breaches)).await;
            let told = report(&gateway.notice("failed", status).await);
            assert!(told.field("Diagnostic-Code").unwrap().starts_with("x-sdk; REJECTED "));
            assert!(told.evidence.is_none_or(|xml| receipt::read(&xml).is_ok()));
            gateway.quiet().await;
            assert_eq!(gateway.events(EventName::Alarmed).await.len(), alarms, "{status}");
        }
        gateway.stop().await;
    });
}

#[test]
fn addresses_that_are_like_the_wrong_one_are_named() {
    run(async {
        let gateway = Gateway::start(Setup::new("notices-near")).await;
        let peer = Peer::start("notices-near-peer").await;
        send(&gateway, &peer, "registrator", "n0", "").await;
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.event(EventName::Accepted).await;
        // The organisation is misspelt: told at once.
        let mut client = Client::connect(&gateway).await;
        client.say(&format!("MAIL FROM:<{}>", gateway.mailbox)).await;
        let known = gateway.address_of("registrator", "notices-near-peer.se");
        let reply = client.say(&format!("RCPT TO:<{}>", gateway.address_of("registrator", "notices-near-peeer.se"))).await;
        assert!(reply.starts_with("550") && reply.contains("5.1.2") && reply.contains(&known), "{reply}");
        let reply = client.say(&format!("RCPT TO:<{}>", gateway.address_of("registrator", "helt-annan.se"))).await;
        assert!(reply.starts_with("550 5.1.2") && !reply.contains("similar"), "{reply}");
        let reply = client.say(&format!("RCPT TO:<regisrtator@{}>", gateway.domain)).await;
        assert!(reply.starts_with("550") && reply.contains("5.1.1") && reply.contains(&known), "{reply}");
        // The function is: told when the receiver says so.
        send(&gateway, &peer, "regisrtator", "n1", "").await;
        peer.answer(&gateway, &peer.message(1).await, Outcome::Rejected(vec![breach(ReasonCode::Bv, Detail::NotFound)])).await;
        let told = report(&gateway.notice("failed", "5.1.1").await);
        assert!(told.text.contains(&format!("tidigare: {known}.")), "{}", told.text);
        gateway.stop().await;
    });
}

#[test]
fn a_receipt_that_contradicts_the_first_is_for_the_operator() {
    run(async {
        let gateway = Gateway::start(Setup::new("notices-contrary")).await;
        let peer = Peer::start("notices-contrary-peer").await;
        send(&gateway, &peer, "inkorg", "c1", " NOTIFY=SUCCESS,FAILURE").await;
        let message = peer.message(0).await;
        peer.answer(&gateway, &message, Outcome::Rejected(vec![breach(ReasonCode::Bv, Detail::TooLong)])).await;
        gateway.notice("failed", "5.3.4").await;
        for _ in 0..3 {
            peer.answer(&gateway, &message, Outcome::Accepted).await;
        }
        // What says again what was said, or that it came before, is nothing new.
        peer.answer(&gateway, &message, Outcome::Rejected(vec![breach(ReasonCode::Bv, Detail::Duplicate)])).await;
        gateway.nth_event(EventName::StrayReceipt, 3).await;
        let alarm = gateway.alarm().await;
        assert!(alarm.text.contains(message.message_id.as_str()));
        gateway.quiet().await;
        assert_eq!(gateway.events(EventName::Alarmed).await.len(), 1);
        assert_eq!(gateway.notices(), [("failed".to_owned(), "5.3.4".to_owned())], "no success after a failure");
        gateway.stop().await;
    });
}

#[test]
fn an_organisation_has_its_own_patience() {
    run(async {
        let own = "[organisation.retry]\nreceipt-timeout = \"3s\"\ndelayed-notice-after = \"1s\"";
        let gateway = Gateway::start(Setup { mailbox: own, ..Setup::new("notices-patience") }).await;
        let peer = Peer::start("notices-patience-peer").await;
        send(&gateway, &peer, "inkorg", "p1", "").await;
        let delayed = report(&gateway.notice("delayed", "4.4.7").await);
        assert!(delayed.field("Will-Retry-Until").is_some());
        gateway.notice("failed", "5.4.7").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices().len(), 2);
        gateway.stop().await;
    });
}

#[test]
fn a_delay_waits_for_somebody_to_read_it_and_the_end_does_not() {
    run(async {
        let zone = TimeZone::get("Europe/Stockholm").unwrap();
        // Hours that are far from now, whenever this runs.
        let hour = Timestamp::now().to_zoned(zone).hour();
        let (opens, closes) = if hour < 12 { ("18:00", "20:00") } else { ("04:00", "06:00") };
        let hours = format!(
            "[organisation.hours]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\nwork-on-holidays = true\nopens = \"{opens}\"\ncloses = \"{closes}\""
        );
        let gateway = Gateway::start(Setup { mailbox: hours.leak(), retry: FLEETING, ..Setup::new("notices-hours") }).await;
        let (peer, away) = (Peer::start("notices-hours-peer").await, Peer::start("notices-hours-away").await);
        away.set(Mood::Down);
        send(&gateway, &peer, "inkorg", "h1", "").await;
        send(&gateway, &away, "inkorg", "h2", "").await;
        gateway.nth_event(EventName::ExchangeFailed, 1).await;
        gateway.quiet().await;
        let failed = ("failed".to_owned(), "5.4.7".to_owned());
        assert_eq!(gateway.notices(), [failed.clone(), failed]);
        gateway.stop().await;
    });
}

#[test]
fn who_may_no_longer_send_is_told_nothing() {
    run(async {
        let setup = Setup { mailbox: "senders = [\"anna@notices-gone.se\"]", ..Setup::new("notices-gone") };
        let gateway = Gateway::start(setup.clone()).await;
        let peer = Peer::start("notices-gone-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let mut client = Client::connect(&gateway).await;
        client.envelope("anna@notices-gone.se", &[&to], "").await;
        let reply = client.data(&mail("anna@notices-gone.se", "s1", SECRET)).await;
        assert!(reply.starts_with("250"), "{reply}");
        drop(client);
        let message = peer.message(0).await;
        gateway.event(EventName::Acknowledged).await;
        let gateway = gateway.restart_in(world().await, Setup { mailbox: "", ..setup }).await;
        peer.answer(&gateway, &message, Outcome::Rejected(vec![breach(ReasonCode::Bv, Detail::TooLong)])).await;
        let dropped = gateway.event(EventName::MailDropped).await;
        assert!(dropped.fields[&Field::Cause].contains("may no longer send"), "{dropped:?}");
        gateway.quiet().await;
        assert!(gateway.sink.letters().is_empty());
        gateway.stop().await;
    });
}
