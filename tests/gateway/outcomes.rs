//! What became of a mail, as its sender learns it: the right notice, once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::as4::{Code, EbmsError};
use brevbro::event::{EventName, Field};
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::rules::{Breach, Detail, ReasonCode};
use brevbro::testbed::Subject;

use crate::harness::client::submit;
use crate::harness::peer::Mood;
use crate::harness::{Gateway, Peer, Setup, mail, run, world};

const EVERYTHING: &str = " NOTIFY=SUCCESS,FAILURE,DELAY";

/// Attempts every half second, a notice of delay after one second.
const IMPATIENT: &str = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"2h\"\nreceipt-timeout = \"2h\"\ndelayed-notice-after = \"1s\"";
/// As [`IMPATIENT`], and given up after three.
const FLEETING: &str = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"3s\"\nreceipt-timeout = \"3s\"\ndelayed-notice-after = \"1s\"";

async fn pair(name: &str, retry: Option<&'static str>) -> (Gateway, Peer) {
    let setup = Setup::new(name);
    let setup = Setup { retry: retry.unwrap_or(setup.retry), ..setup };
    (Gateway::start(setup).await, Peer::start(&format!("{name}-peer")).await)
}

/// Hands in a mail for the peer.
async fn send(gateway: &Gateway, peer: &Peer, id: &str, parameters: &str) {
    let to = gateway.address_of("inkorg", &peer.name);
    let reply = submit(gateway, &[&to], parameters, &mail(&gateway.mailbox, id, "Hej")).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

fn notices(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(action, status)| ((*action).to_owned(), (*status).to_owned())).collect()
}

fn rejected(code: ReasonCode, detail: Detail, line: &str) -> Outcome {
    Outcome::Rejected(vec![Breach::new(code, detail, line, "Provat.")])
}

#[test]
fn accepted_is_told_as_delivered_to_who_asked() {
    run(async {
        let (sender, receiver) = (Gateway::start(Setup::new("out-accepted")).await, Gateway::start(Setup::new("out-accepted-peer")).await);
        let to = sender.address_of("inkorg", "out-accepted-peer.se");
        submit(&sender, &[&to], EVERYTHING, &mail(&sender.mailbox, "fraga-1", "Hej")).await;
        let notice = sender.notice("delivered", "2.0.0").await;
        assert_eq!(notice.from, "", "a notice has no sender");
        assert_eq!(notice.line("In-Reply-To:"), Some("<fraga-1@example.se>"));
        assert_eq!(notice.line("Auto-Submitted:"), Some("auto-replied"));
        assert!(notice.line("Date:").is_some());
        receiver.delivery().await;
        sender.quiet().await;
        assert_eq!(sender.notices(), notices(&[("delivered", "2.0.0")]));

        // Who did not ask hears nothing when all is well.
        submit(&sender, &[&to], "", &mail(&sender.mailbox, "fraga-2", "Hej")).await;
        sender.nth_event(EventName::Accepted, 1).await;
        sender.quiet().await;
        assert_eq!(sender.notices().len(), 1);
        assert_eq!(receiver.delivered().len(), 2);
        sender.stop().await;
        receiver.stop().await;
    });
}

#[test]
fn a_mailbox_that_always_wants_to_know_is_told() {
    run(async {
        let gateway = Gateway::start(Setup { mailbox: "success-notice = \"always\"", ..Setup::new("out-always") }).await;
        let peer = Peer::start("out-always-peer").await;
        send(&gateway, &peer, "a1", "").await;
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.notice("delivered", "2.0.0").await;
        gateway.stop().await;
    });
}

#[test]
fn a_function_that_the_receiver_does_not_know_is_told_as_such() {
    run(async {
        let (sender, receiver) = (Gateway::start(Setup::new("out-function")).await, Gateway::start(Setup::new("out-function-peer")).await);
        let to = sender.address_of("finns-inte", "out-function-peer.se");
        submit(&sender, &[&to], "", &mail(&sender.mailbox, "a1", "Hej")).await;
        let notice = sender.notice("failed", "5.1.1").await;
        assert!(notice.line("Final-Recipient:").unwrap().ends_with(&to), "{}", notice.text);
        sender.quiet().await;
        assert_eq!(sender.notices(), notices(&[("failed", "5.1.1")]));
        // It is the sender's mistake, not a fault for the operator.
        assert_eq!(sender.events(EventName::Alarmed).await, []);
        assert_eq!(receiver.delivered().len(), 0);
        sender.stop().await;
        receiver.stop().await;
    });
}

#[test]
fn every_rejection_has_its_own_status_code() {
    run(async {
        let (gateway, peer) = pair("out-rejected", None).await;
        let cases = [
            (rejected(ReasonCode::Bv, Detail::NotFound, "NA"), "5.1.1", 0),
            (
                rejected(ReasonCode::Bv, Detail::NotSupported, "/messagePayload/message/messageBody/documents[1]/ContentFiles[1]/contentType"),
                "5.6.1",
                0,
            ),
            (rejected(ReasonCode::Bv, Detail::NotSupported, "/messagePayload/message/messageHeader/refToMessageId"), "5.0.0", 0),
            (rejected(ReasonCode::Bv, Detail::TooLong, "NA"), "5.3.4", 0),
            (rejected(ReasonCode::Bv, Detail::Forbidden, "NA"), "5.7.1", 0),
            (rejected(ReasonCode::Sv, Detail::Structure, "NA"), "5.6.0", 1),
            (rejected(ReasonCode::Bv, Detail::Invariant, "NA"), "5.6.0", 2),
            (rejected(ReasonCode::Sig, Detail::Security, "NA"), "5.7.7", 3),
        ];
        let mut told = Vec::new();
        for (number, (outcome, status, alarms)) in cases.into_iter().enumerate() {
            send(&gateway, &peer, &format!("a{number}"), "").await;
            peer.answer(&gateway, &peer.message(number).await, outcome).await;
            gateway.nth_event(EventName::NoticeSent, number).await;
            gateway.quiet().await;
            told.push(("failed".to_owned(), status.to_owned()));
            assert_eq!(gateway.notices(), told);
            assert_eq!(gateway.events(EventName::Alarmed).await.len(), alarms, "{status}");
        }
        gateway.stop().await;
    });
}

#[test]
fn a_rejection_as_a_duplicate_decides_nothing() {
    run(async {
        let (gateway, peer) = pair("out-duplicate", None).await;
        send(&gateway, &peer, "a1", EVERYTHING).await;
        let message = peer.message(0).await;
        gateway.event(EventName::Acknowledged).await;
        peer.answer(&gateway, &message, rejected(ReasonCode::Bv, Detail::Duplicate, "NA")).await;
        gateway.event(EventName::Rejected).await;
        assert_eq!(gateway.notices(), []);
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.notice("delivered", "2.0.0").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices().len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn an_access_point_that_is_away_is_told_once_and_the_message_gets_there() {
    run(async {
        let (gateway, peer) = pair("out-away", Some(IMPATIENT)).await;
        peer.set(Mood::Down);
        send(&gateway, &peer, "a1", EVERYTHING).await;
        gateway.notice("delayed", "4.4.1").await;
        gateway.nth_event(EventName::SendDeferred, 6).await;
        assert_eq!(gateway.notices(), notices(&[("delayed", "4.4.1")]));
        peer.set(Mood::Good);
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.notice("delivered", "2.0.0").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("delayed", "4.4.1"), ("delivered", "2.0.0")]));
        assert_eq!(peer.taken().len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn an_access_point_that_stays_away_is_given_up() {
    run(async {
        let (gateway, peer) = pair("out-gone", Some(FLEETING)).await;
        // Nothing listens there: another failure than an answer 503, and the same outcome.
        let world = world().await;
        world.register(&peer.participant.to_string(), "https://127.0.0.1:9/as4", &world.peer_point, &world.peer);
        send(&gateway, &peer, "a1", EVERYTHING).await;
        gateway.notice("failed", "5.4.7").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("delayed", "4.4.1"), ("failed", "5.4.7")]));
        gateway.event(EventName::ExchangeFailed).await;
        gateway.alarm().await;
        gateway.stop().await;
    });
}

#[test]
fn an_access_point_that_refuses_ends_it_at_once() {
    run(async {
        let (gateway, peer) = pair("out-refused", None).await;
        peer.set(Mood::Refusing(EbmsError::not_serviced()));
        send(&gateway, &peer, "a1", "").await;
        let event = gateway.event(EventName::ExchangeFailed).await;
        assert!(event.fields[&Field::Cause].contains("EBMS:0004"), "{event:?}");
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("failed", "5.4.4")]));
        let notice = gateway.notice("failed", "5.4.4").await;
        assert!(notice.text.contains("NOT_SERVICED"), "{}", notice.text);
        gateway.alarm().await;
        assert_eq!(gateway.events(EventName::SendDeferred).await, []);
        gateway.stop().await;
    });
}

#[test]
fn a_receipt_that_another_access_point_signed_proves_nothing() {
    run(async {
        let (gateway, peer) = pair("out-forged", None).await;
        peer.set(Mood::Forged);
        send(&gateway, &peer, "a1", "").await;
        gateway.nth_event(EventName::SendDeferred, 1).await;
        assert_eq!(gateway.events(EventName::Acknowledged).await, []);
        peer.set(Mood::Good);
        gateway.event(EventName::Acknowledged).await;
        gateway.stop().await;
    });
}

#[test]
fn a_message_whose_receipt_was_missed_comes_again_as_the_same() {
    run(async {
        let (gateway, peer) = pair("out-missed", None).await;
        peer.set(Mood::Mute);
        send(&gateway, &peer, "a1", EVERYTHING).await;
        gateway.nth_event(EventName::SendDeferred, 1).await;
        let taken = peer.taken();
        assert!(taken.len() >= 2 && taken.iter().all(|other| other.message == taken[0].message && other.envelope == taken[0].envelope));
        // So phase4 names a duplicate. In answer to a retry it is as good as the receipt that was missed.
        peer.set(Mood::Refusing(EbmsError::new(Code::Other, "Duplicate")));
        assert!(gateway.event(EventName::Acknowledged).await.fields[&Field::Cause].contains("duplicate"));
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.notice("delivered", "2.0.0").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("delivered", "2.0.0")]));
        gateway.stop().await;
    });
}

#[test]
fn a_message_receipt_that_does_not_come_is_told_and_told_again_when_it_comes_late() {
    run(async {
        let (gateway, peer) = pair("out-late", Some(FLEETING)).await;
        send(&gateway, &peer, "a1", EVERYTHING).await;
        gateway.notice("delayed", "4.4.7").await;
        gateway.notice("failed", "5.4.7").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("delayed", "4.4.7"), ("failed", "5.4.7")]));

        let message = peer.message(0).await;
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.event(EventName::LateReceipt).await;
        gateway.notice("delivered", "2.0.0").await;
        // Whatever else comes changes nothing any more.
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        peer.answer(&gateway, &message, rejected(ReasonCode::Bv, Detail::NotFound, "NA")).await;
        gateway.nth_event(EventName::StrayReceipt, 1).await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("delayed", "4.4.7"), ("failed", "5.4.7"), ("delivered", "2.0.0")]));
        gateway.stop().await;
    });
}

#[test]
fn a_late_rejection_is_told_too() {
    run(async {
        let (gateway, peer) = pair("out-late-no", Some(FLEETING)).await;
        send(&gateway, &peer, "a1", "").await;
        gateway.notice("failed", "5.4.7").await;
        peer.answer(&gateway, &peer.message(0).await, rejected(ReasonCode::Bv, Detail::NotFound, "NA")).await;
        // With the status of the rejection that it is.
        let late = gateway.notice("failed", "5.1.1").await;
        assert_eq!(late.line("Diagnostic-Code:"), Some("x-sdk; REJECTED BV not-found"));
        gateway.quiet().await;
        assert_eq!(gateway.notices().len(), 3);
        gateway.stop().await;
    });
}

#[test]
fn a_second_receipt_that_contradicts_the_first_changes_nothing() {
    run(async {
        let (gateway, peer) = pair("out-contradiction", None).await;
        send(&gateway, &peer, "a1", EVERYTHING).await;
        let message = peer.message(0).await;
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.notice("delivered", "2.0.0").await;
        peer.answer(&gateway, &message, rejected(ReasonCode::Bv, Detail::NotFound, "NA")).await;
        gateway.event(EventName::StrayReceipt).await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("delivered", "2.0.0")]));
        gateway.stop().await;
    });
}

#[test]
fn who_never_wants_to_know_is_told_nothing() {
    run(async {
        let (gateway, peer) = pair("out-never", Some(FLEETING)).await;
        for (number, outcome) in [Outcome::Accepted, rejected(ReasonCode::Bv, Detail::NotFound, "NA")].into_iter().enumerate() {
            send(&gateway, &peer, &format!("a{number}"), " NOTIFY=NEVER").await;
            peer.answer(&gateway, &peer.message(number).await, outcome).await;
        }
        gateway.event(EventName::Rejected).await;
        // And one that nobody ever answers, and one that never leaves.
        send(&gateway, &peer, "a8", " NOTIFY=NEVER").await;
        peer.message(2).await;
        peer.set(Mood::Down);
        send(&gateway, &peer, "a9", " NOTIFY=NEVER").await;
        gateway.nth_event(EventName::ExchangeFailed, 1).await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), []);
        gateway.stop().await;
    });
}

#[test]
fn only_failures_are_told_to_who_wants_only_those() {
    run(async {
        let (gateway, peer) = pair("out-failure", Some(FLEETING)).await;
        peer.set(Mood::Down);
        send(&gateway, &peer, "a1", " NOTIFY=FAILURE").await;
        gateway.notice("failed", "5.4.7").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), notices(&[("failed", "5.4.7")]));
        gateway.stop().await;
    });
}

#[test]
fn a_recipient_whose_certificate_is_revoked_gets_nothing() {
    run(async {
        let (gateway, peer) = pair("out-revoked", None).await;
        let world = world().await;
        let issued = world.testbed.issue_participant(&peer.participant).unwrap();
        world.testbed.revoke(&Subject::Participant(peer.participant.clone())).unwrap();
        world.register(&peer.participant.to_string(), &peer.endpoint, &world.peer_point, &issued);
        send(&gateway, &peer, "a1", "").await;
        gateway.notice("failed", "5.7.5").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices().len(), 1);
        gateway.alarm().await;
        assert_eq!(peer.taken().len(), 0);
        gateway.stop().await;
    });
}

#[test]
fn a_recipient_whose_access_point_is_revoked_gets_nothing() {
    run(async {
        let (gateway, peer) = pair("out-revoked-point", None).await;
        let world = world().await;
        let point = "AP0077-TESTBED".parse().unwrap();
        let issued = world.testbed.issue_access_point(&point).unwrap();
        world.testbed.revoke(&Subject::AccessPoint(point)).unwrap();
        world.register(&peer.participant.to_string(), &peer.endpoint, &issued, &world.peer);
        send(&gateway, &peer, "a1", "").await;
        gateway.notice("failed", "5.7.5").await;
        gateway.quiet().await;
        assert_eq!(gateway.notices().len(), 1);
        assert_eq!(peer.taken().len(), 0);
        gateway.stop().await;
    });
}

#[test]
fn a_new_certificate_is_found_although_the_old_one_is_remembered() {
    run(async {
        let (gateway, peer) = pair("out-renewed", None).await;
        let world = world().await;
        let subject = Subject::Participant(peer.participant.clone());
        // The gateway remembers what the SMP says now ...
        let first = world.testbed.issue_participant(&peer.participant).unwrap();
        world.register(&peer.participant.to_string(), &peer.endpoint, &world.peer_point, &first);
        let mut draft = peer.draft(&gateway);
        draft.signer = first.identity;
        peer.send(&gateway, &draft).await.acknowledged();
        gateway.event(EventName::Taken).await;
        // ... and what it signs with next is published since.
        world.testbed.revoke(&subject).unwrap();
        let second = world.testbed.issue_participant(&peer.participant).unwrap();
        world.register(&peer.participant.to_string(), &peer.endpoint, &world.peer_point, &second);
        let mut draft = peer.draft(&gateway);
        draft.signer = second.identity;
        peer.send(&gateway, &draft).await.acknowledged();
        gateway.nth_event(EventName::Taken, 1).await;
        gateway.stop().await;
    });
}

#[test]
fn a_wrong_registration_of_our_own_is_found() {
    run(async {
        let gateway = Gateway::start(Setup::new("registration")).await;
        let worker = &gateway.daemon.gateway;
        assert_eq!(worker.check_registration().await, []);
        let world = world().await;
        let own = gateway.participant.to_string();
        world.register(&own, "https://127.0.0.1:9/as4", &world.peer_point, &world.peer);
        let wrong: Vec<String> = worker.check_registration().await.into_iter().map(|wrong| wrong.what).collect();
        for word in ["access point certificate", "the endpoint https://127.0.0.1:9/as4", "signs with", "cannot be opened"] {
            assert!(wrong.iter().any(|what| what.contains(word)), "{word}: {wrong:?}");
        }
        gateway.stop().await;
    });
}
