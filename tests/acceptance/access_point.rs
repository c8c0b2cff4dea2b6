//! TF-05 to TF-10: functions of the access point (SDK C2.1.4.4.2 6).

use brevbro::as4::Answer;
use brevbro::event::{EventName, Field};
use brevbro::ident::DocumentKind;
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::rules::Detail;
use brevbro::testbed::{Case, Registration, Role};

use crate::shared::harness::{Gateway, Setup, run, world};
use crate::{FLEETING, accepted, eventually, pair, point, receipts_of, receive, refused, send, unsent};

/// TF-05 Skicka meddelande till AP som är onåbar: it is tried again as configured, then the sender is told with a code.
#[test]
fn tf_05_an_access_point_that_is_not_reached_is_told_as_such() {
    run(async {
        let gateway = Gateway::start(Setup { retry: FLEETING, ..Setup::new("tf-05") }).await;
        point().await;
        send(&gateway, Role::Unreachable, "tf-05").await;
        gateway.notice("delayed", "4.4.1").await;
        let failed = unsent(&gateway, "5.4.7").await;
        assert!(failed.fields[&Field::Cause].contains("cannot be reached"), "{failed:?}");
        assert_eq!(failed.fields[&Field::ErrorCode], "EBMS:0005");
        assert!(gateway.events(EventName::SendDeferred).await.len() > 1);
        gateway.alarm().await;
        gateway.stop().await;
    });
}

/// TF-06 Ta emot meddelande med maximal XHE.
#[test]
fn tf_06_an_envelope_with_everything_in_it_is_taken() {
    run(async {
        let (gateway, _) = pair("tf-06").await;
        accepted(&gateway, Case::Tf06).await;
        let letter = gateway.delivery().await;
        assert!(letter.text.contains("bilaga-1000.pdf") && letter.text.contains("bilaga-2000.pdf"));
        gateway.stop().await;
    });
}

/// TF-07 Ta emot meddelande med minimal XHE: also one that does not name the function (SDK C3.2.2 2.2).
#[test]
fn tf_07_an_envelope_with_the_least_in_it_is_taken() {
    run(async {
        let (gateway, _) = pair("tf-07").await;
        accepted(&gateway, Case::Tf07).await;
        gateway.stop().await;
    });
}

/// TF-08 Ta emot meddelande på minst 70 MB inklusive XHE: the access point takes it. The participant may find it too long,
/// for a message of SDK has at most 30 MB (SDK B1.3.3 4.3.3.3), and says so in its message receipt.
#[test]
fn tf_08_an_envelope_of_seventy_megabytes_is_taken() {
    run(async {
        let (gateway, point) = pair("tf-08").await;
        let answered = receive(&gateway, Case::Tf08).await.remove(0);
        assert!(answered.envelope_octets >= 70_000_000, "{}", answered.envelope_octets);
        assert!(matches!(answered.answer, Answer::Receipt(_)), "{:?}", answered.answer);
        let receipt = eventually("a message receipt", async || {
            receipts_of(point, &gateway).into_iter().find(|receipt| receipt.refers_to == answered.envelope_id)
        });
        match receipt.await.outcome {
            Outcome::Accepted => drop(gateway.delivery().await),
            Outcome::Rejected(lines) => assert_eq!(lines.iter().map(|line| line.detail).collect::<Vec<_>>(), [Detail::TooLong]),
        }
        gateway.stop().await;
    });
}

/// TF-09 Ta emot meddelande med felaktigt formaterad XHE: the envelope is not handed to the participant, no message receipt
/// is sent, and the operator gets what the report to Digg needs (SDK C3.4.6 3.2.2, SDK C1.6 4.1.1.a).
#[test]
fn tf_09_an_envelope_that_breaks_its_profile_is_deleted_and_reported() {
    run(async {
        let (gateway, _) = pair("tf-09").await;
        let line = refused(&gateway, Case::Tf09, "EBMS:0004").await;
        let cause = &line.fields[&Field::Cause];
        assert!(cause.contains("R9-XHE") && cause.contains("XHEVersionID"), "the fault is named: {cause}");
        let alarm = gateway.alarm().await;
        assert!(alarm.text.contains("Digg") && alarm.text.contains("R9-XHE"), "{}", alarm.text);
        gateway.stop().await;
    });
}

/// TF-10 Ta emot meddelande med felaktigt värde i XHE med avseende på registrerat metadata: an envelope whose document is
/// not the registered one, and a sound one for a document that is not registered.
#[test]
fn tf_10_an_envelope_that_disagrees_with_the_register_is_deleted_and_reported() {
    run(async {
        let (gateway, _) = pair("tf-10").await;
        let line = refused(&gateway, Case::Tf10, "EBMS:0004").await;
        assert!(line.fields[&Field::Cause].contains("DOCUMENTID"), "the value is named: {line:?}");
        let alarm = gateway.alarm().await;
        assert!(alarm.text.contains("DOCUMENTID"), "{}", alarm.text);
        gateway.stop().await;

        // What the SMP said at start may not be remembered.
        let gateway = Gateway::start(Setup { discovery: "cache = \"1ms\"", ..Setup::new("tf-10-register") }).await;
        let world = world().await;
        let (point, own) = (world.own_point.identity.certificate.clone(), world.own.identity.certificate.clone());
        let registration = Registration::new(gateway.participant.clone(), &gateway.endpoint, point, own);
        world.testbed.publish(&Registration { kinds: vec![DocumentKind::Receipt], ..registration }).unwrap();
        let line = refused(&gateway, Case::Tf04, "EBMS:0004").await;
        assert!(line.fields[&Field::Cause].contains("not registered in SMP"), "{line:?}");
        gateway.alarm().await;
        gateway.stop().await;
    });
}
