//! TF-01 to TF-04: the transport models Bas and Utökad Bas (SDK C2.1.4.4.2 4 and 5).

use brevbro::as4::Answer;
use brevbro::event::{EventName, Field};
use brevbro::ident::DocumentKind;
use brevbro::testbed::{Case, Role};

use crate::shared::harness::run;
use crate::{accepted, pair, refused, send, sent_by, unsent};

/// TF-01 Skicka meddelande och ta emot meddelandekvittens: the recipient's access point is found in SMP, takes the message,
/// and its message receipt comes in without an error.
#[test]
fn tf_01_a_message_is_sent_and_its_message_receipt_received() {
    run(async {
        let (gateway, point) = pair("tf-01").await;
        send(&gateway, Role::Answering, "tf-01").await;
        let acknowledged = gateway.event(EventName::Acknowledged).await;
        let actor = point.actor(Role::Answering).unwrap();
        assert_eq!(acknowledged.fields[&Field::PeerCertificate], actor.point.certificate.fingerprint().to_string());
        let accepted = gateway.event(EventName::Accepted).await;
        assert_eq!(accepted.fields[&Field::ReceiptCode], "ACCEPTED");
        gateway.notice("delivered", "2.0.0").await;
        let sent = sent_by(point, &gateway);
        let [taken] = sent.as_slice() else { panic!("{} messages", sent.len()) };
        let header = taken.header.as_ref().unwrap();
        assert_eq!((header.kind, &header.to, header.encrypted), (DocumentKind::Message, &actor.participant, true));
        assert_eq!(header.id.as_str(), accepted.fields[&Field::MessageId]);
        gateway.quiet().await;
        assert_eq!(gateway.events(EventName::Refused).await, []);
        gateway.stop().await;
    });
}

/// TF-02 Skicka meddelande till AP där mottagande AP har ett revokerat mottagarcertifikat: nothing is sent, and the sender is
/// told with a code.
#[test]
fn tf_02_nothing_is_sent_to_an_access_point_whose_certificate_is_revoked() {
    run(async {
        let (gateway, _) = pair("tf-02").await;
        send(&gateway, Role::Revoked, "tf-02").await;
        let failed = unsent(&gateway, "5.7.5").await;
        assert!(failed.fields[&Field::Cause].contains("revoked"), "{failed:?}");
        assert_eq!(failed.fields[&Field::PeerAccessPoint], "TESTAP03-TESTBED");
        gateway.alarm().await;
        gateway.stop().await;
    });
}

/// TF-03 Ta emot från deltagare med certifikat i annan miljö: not accepted, with a code. A revoked one is treated alike.
#[test]
fn tf_03_a_message_by_a_certificate_of_another_environment_is_refused() {
    run(async {
        let (gateway, _) = pair("tf-03").await;
        let line = refused(&gateway, Case::Tf03, "EBMS:0101").await;
        assert!(line.fields[&Field::Cause].contains("not issued by a configured CA"), "{line:?}");
        gateway.stop().await;
        let (gateway, _) = pair("tf-03-revoked").await;
        let line = refused(&gateway, Case::Revoked, "EBMS:0101").await;
        assert!(line.fields[&Field::Cause].contains("revoked"), "{line:?}");
        gateway.stop().await;
    });
}

/// TF-04 Ta emot meddelande och skicka meddelandekvittens: the message reaches the participant, the receipt its sender.
#[test]
fn tf_04_a_message_is_received_and_its_message_receipt_sent() {
    run(async {
        let (gateway, point) = pair("tf-04").await;
        let answered = accepted(&gateway, Case::Tf04).await;
        let Answer::Receipt(receipt) = answered.answer else { panic!("{:?}", answered.answer) };
        assert_eq!(receipt.signer, crate::shared::harness::world().await.own_point.identity.certificate);
        // Utökad Bas: the message receipt is signed and not encrypted (SDK C3.3.2 2.11.b, 3.2.d).
        let sent = sent_by(point, &gateway);
        let [taken] = sent.as_slice() else { panic!("{} messages", sent.len()) };
        let header = taken.header.as_ref().unwrap();
        assert_eq!((header.kind, header.encrypted), (DocumentKind::Receipt, false));
        gateway.stop().await;
    });
}
