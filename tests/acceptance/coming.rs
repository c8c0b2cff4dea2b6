//! The cases that Digg has announced (SDK C2.1.4.4.2 7 and 7.1).

use std::collections::BTreeSet;

use brevbro::as4::Answer;
use brevbro::event::{Event, EventName, Field};
use brevbro::sdk::receipt::Outcome;
use brevbro::testbed::{Case, Registration, Role};

use crate::shared::harness::client::{Client, submit};
use crate::shared::harness::{mail, run, world};
use crate::{accepted, address_of, eventually, pair, receipt_for, receipts_of, receive, refused, send, sent_by, unsent};

const MANY: usize = 40;

/// Ta emot stort antal simultana meddelanden: each is acknowledged, delivered once and answered once.
#[test]
fn many_messages_are_received_at_once() {
    run(async {
        let (gateway, point) = pair("many-in").await;
        let answered = receive(&gateway, Case::Many).await;
        assert_eq!(answered.len(), MANY);
        for one in &answered {
            assert!(matches!(one.answer, Answer::Receipt(_)), "{:?}", one.answer);
        }
        let receipts = eventually("all message receipts", async || {
            let receipts = receipts_of(point, &gateway);
            (receipts.len() >= MANY).then_some(receipts)
        });
        let receipts = receipts.await;
        assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Accepted));
        let (sent, told): (BTreeSet<_>, BTreeSet<_>) =
            (answered.iter().map(|one| one.envelope_id.to_string()).collect(), receipts.iter().map(|one| one.refers_to.to_string()).collect());
        assert_eq!(told, sent);
        eventually("all mails", async || (gateway.delivered().len() >= MANY).then_some(())).await;
        gateway.quiet().await;
        assert_eq!((gateway.delivered().len(), receipts_of(point, &gateway).len()), (MANY, MANY));
        gateway.stop().await;
    });
}

/// Skicka stort antal simultana meddelanden: each is taken once and ends as accepted.
#[test]
fn many_messages_are_sent_at_once() {
    run(async {
        let (gateway, point) = pair("many-out").await;
        let to = address_of(&gateway, Role::Answering);
        let one = async |number: usize| {
            let reply = submit(&gateway, &[&to], "", &mail(&gateway.mailbox, &format!("many-{number}"), "Hej")).await;
            assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        };
        // Four clients at a time, faster than messages leave.
        for batch in 0..MANY / 4 {
            tokio::join!(one(4 * batch), one(4 * batch + 1), one(4 * batch + 2), one(4 * batch + 3));
        }
        eventually("all outcomes", async || (gateway.events(EventName::Accepted).await.len() >= MANY).then_some(())).await;
        gateway.quiet().await;
        let ids: BTreeSet<_> = sent_by(point, &gateway).into_iter().map(|taken| taken.header.unwrap().id.to_string()).collect();
        assert_eq!((ids.len(), sent_by(point, &gateway).len()), (MANY, MANY));
        assert_eq!(gateway.events(EventName::ExchangeFailed).await, []);
        gateway.stop().await;
    });
}

/// Skicka meddelande till annan Federation: who is not in this one is refused before the mail is taken; who is registered
/// with an access point of another environment gets nothing; an envelope of another federation is not taken.
#[test]
fn nothing_goes_to_or_comes_from_another_federation() {
    run(async {
        let (gateway, _) = pair("other-federation").await;
        let mut client = Client::connect(&gateway).await;
        client.say(&format!("MAIL FROM:<{}>", gateway.mailbox)).await;
        let reply = client.say(&format!("RCPT TO:<{}>", gateway.address_of("inkorg", "annan-federation.example"))).await;
        assert!(reply.starts_with("550 5.1.2 "), "{reply}");
        client.cut();
        send(&gateway, Role::OtherEnvironment, "other").await;
        let failed = unsent(&gateway, "5.7.5").await;
        assert!(failed.fields[&Field::Cause].contains("not issued by a configured CA"), "{failed:?}");
        gateway.stop().await;

        let (gateway, _) = pair("other-federation-in").await;
        let line = refused(&gateway, Case::OtherFederation, "EBMS:0003").await;
        assert!(line.fields[&Field::Cause].contains("another federation"), "{line:?}");
        gateway.alarm().await;
        gateway.stop().await;
    });
}

/// Skicka meddelande till AP där mottagande AP har ett utgånget mottagarcertifikat: nothing is sent, the sender is told.
/// What such an access point sends is refused too.
#[test]
fn an_expired_access_point_certificate_is_good_for_nothing() {
    run(async {
        let (gateway, _) = pair("expired").await;
        send(&gateway, Role::Expired, "expired").await;
        let failed = unsent(&gateway, "5.7.5").await;
        assert!(failed.fields[&Field::Cause].contains("expired"), "{failed:?}");
        gateway.stop().await;
        let (gateway, _) = pair("expired-in").await;
        let line = refused(&gateway, Case::Expired, "EBMS:0101").await;
        assert!(line.fields[&Field::Cause].contains("expired"), "{line:?}");
        gateway.stop().await;
    });
}

/// Every field that SDK C3.4.6 3.4.1 asks for and the messageId, each with its value.
fn has(event: &Event, wanted: &[(Field, String)]) {
    for (field, value) in wanted {
        assert_eq!(event.fields.get(field), Some(value), "{field:?} of {event:?}");
    }
}

/// Kontroll av accesspunktsloggar: what SDK C3.4.6 3.4.1 demands is in the journal for what was sent and received, for
/// messages and message receipts, and for what was refused or failed, with the cause.
#[test]
fn the_access_points_log_has_every_field() {
    run(async {
        // Outgoing: our message, with the receipt's certificate and signature ...
        let (gateway, point) = pair("log").await;
        send(&gateway, Role::Answering, "log").await;
        let line = gateway.event(EventName::Acknowledged).await;
        let actor = point.actor(Role::Answering).unwrap();
        let taken = sent_by(point, &gateway).remove(0);
        let message = taken.header.as_ref().unwrap().id.to_string();
        let (own, participant) = (gateway.participant.to_string(), actor.participant.to_string());
        let sent = [
            (Field::PeerAccessPoint, actor.name.to_string()),
            (Field::PeerCertificate, actor.point.certificate.fingerprint().to_string()),
            (Field::PeerSignature, signature_of(&taken.signal)),
            (Field::OriginalSender, own.clone()),
            (Field::FinalRecipient, participant.clone()),
            (Field::As4MessageId, taken.received.header.message_id.to_string()),
            (Field::As4ConversationId, taken.received.header.conversation_id.clone()),
            (Field::MessageId, message.clone()),
        ];
        has(&line, &sent);
        assert!((taken.at.as_second() - line.at.as_second()).abs() < 60, "when it was sent");
        assert_eq!(line.organisation, Some(gateway.participant.clone()));
        // ... and their message receipt, incoming.
        gateway.event(EventName::Accepted).await;
        let line = gateway.event(EventName::Received).await;
        let received = [
            (Field::PeerAccessPoint, actor.name.to_string()),
            (Field::PeerCertificate, actor.point.certificate.fingerprint().to_string()),
            (Field::OriginalSender, participant.clone()),
            (Field::FinalRecipient, own.clone()),
        ];
        has(&line, &received);
        for field in [Field::PeerSignature, Field::As4MessageId, Field::As4ConversationId, Field::ReceiptId] {
            assert!(line.fields.contains_key(&field), "{field:?}");
        }
        assert_eq!(gateway.event(EventName::Opened).await.fields[&Field::MessageId], message, "which message it was for");
        gateway.stop().await;

        // Incoming: their message, and our message receipt, outgoing.
        let (gateway, _) = pair("log-in").await;
        let answered = accepted(&gateway, Case::Tf04).await;
        let own = gateway.participant.to_string();
        let line = gateway.event(EventName::Received).await;
        has(&line, &[(Field::OriginalSender, participant.clone()), (Field::FinalRecipient, own.clone())]);
        has(&line, &received[..2]);
        has(&line, &[(Field::As4MessageId, answered.as4_id.to_string()), (Field::MessageId, answered.envelope_id.to_string())]);
        assert_eq!(line.fields[&Field::As4ConversationId], answered.envelope_id.to_string());
        assert_eq!(line.fields[&Field::PeerSignature].len(), 64);
        let line = gateway.event(EventName::ReceiptSent).await;
        has(&line, &received[..2]);
        has(
            &line,
            &[(Field::OriginalSender, own), (Field::FinalRecipient, participant.clone()), (Field::MessageId, answered.envelope_id.to_string())],
        );
        let taken = sent_by(point, &gateway).remove(0);
        let (id, conversation) = (taken.received.header.message_id, taken.received.header.conversation_id);
        has(&line, &[(Field::As4MessageId, id.to_string()), (Field::As4ConversationId, conversation)]);
        has(&line, &[(Field::PeerSignature, signature_of(&taken.signal))]);
        gateway.stop().await;

        // What is refused, with its cause, as far as it could be read.
        let (gateway, _) = pair("log-refused").await;
        let line = refused(&gateway, Case::Tf09, "EBMS:0004").await;
        has(&line, &received[..2]);
        has(&line, &[(Field::OriginalSender, participant), (Field::FinalRecipient, gateway.participant.to_string())]);
        for field in [Field::PeerSignature, Field::As4MessageId, Field::As4ConversationId, Field::Cause, Field::PeerAddress] {
            assert!(line.fields.contains_key(&field), "{field:?}");
        }
        assert_eq!(line.organisation, Some(gateway.participant.clone()));
        gateway.stop().await;

        // What failed to leave, with its cause.
        let (gateway, _) = pair("log-failed").await;
        send(&gateway, Role::Revoked, "log-failed").await;
        let line = unsent(&gateway, "5.7.5").await;
        let actor = point.actor(Role::Revoked).unwrap();
        let wanted = [
            (Field::PeerAccessPoint, actor.name.to_string()),
            (Field::PeerCertificate, actor.point.certificate.fingerprint().to_string()),
            (Field::OriginalSender, gateway.participant.to_string()),
            (Field::FinalRecipient, actor.participant.to_string()),
        ];
        has(&line, &wanted);
        for field in [Field::As4MessageId, Field::As4ConversationId, Field::MessageId, Field::Cause] {
            assert!(line.fields.contains_key(&field), "{field:?}");
        }
        gateway.stop().await;
    });
}

/// SHA-256 of the signature value of a signal.
fn signature_of(signal: &[u8]) -> String {
    use base64::prelude::*;
    let text = std::str::from_utf8(signal).unwrap();
    let (_, rest) = text.split_once("<ds:SignatureValue>").unwrap();
    let value: String = rest.split_once('<').unwrap().0.split_whitespace().collect();
    brevbro::crypto::sha256(&BASE64_STANDARD.decode(value).unwrap()).to_string()
}

/// Om-mottagning av redan mottaget meddelande på grund av miss i ACK-en: the same receipt again, octet by octet, and no second
/// delivery. The other way round, when it is our ACK that gets lost, the same octets leave again.
#[test]
fn a_message_whose_acknowledgement_was_lost_is_taken_once() {
    run(async {
        let (gateway, point) = pair("again-in").await;
        let answered = receive(&gateway, Case::Again).await;
        let [first, second] = answered.as_slice() else { panic!("{} answers", answered.len()) };
        assert!(matches!(first.answer, Answer::Receipt(_)), "{:?}", first.answer);
        assert_eq!(second.body, first.body);
        assert_eq!(receipt_for(point, &gateway, &first.envelope_id).await.outcome, Outcome::Accepted);
        gateway.delivery().await;
        gateway.quiet().await;
        assert_eq!((gateway.delivered().len(), receipts_of(point, &gateway).len()), (1, 1));
        let line = gateway.event(EventName::DuplicateReceived).await;
        has(&line, &[(Field::As4MessageId, first.as4_id.to_string()), (Field::MessageId, first.envelope_id.to_string())]);
        assert_eq!(gateway.events(EventName::Received).await.len(), 1);
        gateway.stop().await;

        let (gateway, _) = pair("again-out").await;
        point.lose(&gateway.participant, 2);
        send(&gateway, Role::Answering, "again-out").await;
        gateway.event(EventName::Accepted).await;
        gateway.event(EventName::Acknowledged).await;
        let sent = sent_by(point, &gateway);
        assert_eq!(sent.iter().map(|taken| taken.attempt).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(sent.iter().all(|taken| (&taken.soap, &taken.envelope) == (&sent[0].soap, &sent[0].envelope)));
        gateway.notice("delivered", "2.0.0").await;
        gateway.quiet().await;
        assert_eq!(gateway.events(EventName::Accepted).await.len(), 1);
        gateway.stop().await;
    });
}

/// Skicka till en mottagare som inte kan ta emot den typen av meddelande: the mail is refused while it is handed in; where
/// the other access point alone knows, its NOT_SERVICED is told.
#[test]
fn nothing_is_sent_to_a_recipient_that_takes_no_such_document() {
    run(async {
        let (gateway, _) = pair("document").await;
        let mut client = Client::connect(&gateway).await;
        client.say(&format!("MAIL FROM:<{}>", gateway.mailbox)).await;
        let reply = client.say(&format!("RCPT TO:<{}>", address_of(&gateway, Role::ReceiptsOnly))).await;
        assert!(reply.starts_with("550 5.1.2 "), "{reply}");
        client.cut();
        gateway.stop().await;

        // Another gateway, which does not serve the participant that is registered there.
        let (sender, _) = pair("not-serviced").await;
        let (other, _) = pair("not-serviced-peer").await;
        let world = world().await;
        let (point, own) = (world.own_point.identity.certificate.clone(), world.own.identity.certificate.clone());
        world.testbed.publish(&Registration::new("0203:not-serviced-moved.se".parse().unwrap(), &other.endpoint, point, own)).unwrap();
        let to = sender.address_of("inkorg", "not-serviced-moved.se");
        submit(&sender, &[&to], "", &mail(&sender.mailbox, "moved", "Hej")).await;
        let notice = sender.notice("failed", "5.4.4").await;
        assert!(notice.text.contains("NOT_SERVICED"), "{}", notice.text);
        let line = sender.event(EventName::ExchangeFailed).await;
        has(&line, &[(Field::ErrorCode, "EBMS:0004".into()), (Field::PeerAccessPoint, "AP0001-TESTBED".into())]);
        let line = other.event(EventName::Refused).await;
        has(&line, &[(Field::ErrorCode, "EBMS:0004".into()), (Field::FinalRecipient, "0203:not-serviced-moved.se".into())]);
        assert_eq!(line.organisation, None, "it belongs to no participant of ours");
        other.alarm().await;
        sender.stop().await;
        other.stop().await;
    });
}

/// Tidsstämpel kontroll: a security time stamp that is there must hold (SDK C3.2.1 2.2.a). The envelope's own is always there.
#[test]
fn a_security_time_stamp_must_hold() {
    run(async {
        let (gateway, point) = pair("stamped").await;
        accepted(&gateway, Case::Stamped).await;
        for taken in sent_by(point, &gateway) {
            let made = taken.received.header.timestamp;
            assert!((taken.at.as_second() - made.as_second()).abs() < 60, "eb:Timestamp is {made}");
        }
        gateway.stop().await;
        let (gateway, _) = pair("stale").await;
        let line = refused(&gateway, Case::Stale, "EBMS:0101").await;
        assert!(line.fields[&Field::Cause].contains("expired"), "{line:?}");
        gateway.stop().await;
    });
}
