//! Each event of both flows has every field that it must have, by what is demanded of it and not by what the code does.

use std::collections::BTreeSet;

use brevbro::event::{Event, EventName, Field};
use brevbro::sdk::receipt::Outcome;

use crate::gateway::harness::client::submit;
use crate::gateway::harness::peer::Mood;
use crate::gateway::harness::{Gateway, Peer, Setup, mail, run};

use EventName as E;
use Field as F;

const BOTH: &[F] = &[F::OriginalSender, F::FinalRecipient];
const AS4: &[F] = &[F::As4MessageId, F::As4ConversationId];
const PEER: &[F] = &[F::PeerAccessPoint, F::PeerCertificate];

/// What an event must say. SDK C3.4.6 3.4.1, table "Utgående meddelande": receiving access point, its certificate and signature
/// on the receipt, time, both participants, AS4 ids, cause; table "inkommet meddelande": the same of the sending one.
fn demanded(name: EventName) -> Option<Vec<&'static [F]>> {
    Some(match name {
        E::MailAccepted => vec![BOTH, &[F::MessageId, F::ConversationId, F::MailMessageId, F::Transaction, F::Sender, F::Recipient, F::PeerAddress]],
        E::Addressed => vec![BOTH, PEER, &[F::MessageId, F::ConversationId, F::MailMessageId]],
        E::Sealed => vec![BOTH, AS4, &[F::MessageId, F::OwnCertificate, F::Size]],
        E::Submitted => vec![BOTH, AS4, PEER, &[F::MessageId, F::Document]],
        E::Acknowledged | E::ReceiptSent => vec![BOTH, AS4, PEER, &[F::MessageId, F::PeerSignature, F::As4SignalId]],
        E::SendDeferred => vec![BOTH, AS4, &[F::MessageId, F::Cause, F::Attempt, F::NextAttempt]],
        E::ExchangeFailed => vec![BOTH, AS4, &[F::MessageId, F::Cause]],
        E::Accepted | E::Rejected | E::LateReceipt => vec![BOTH, &[F::MessageId, F::ConversationId, F::ReceiptId, F::ReceiptCode]],
        E::Received => vec![BOTH, AS4, PEER, &[F::PeerSignature, F::Document, F::PeerAddress]],
        E::Opened => vec![BOTH, AS4, PEER, &[F::PeerSignature, F::MessageId, F::ReceiptId, F::ReceiptCode, F::ParticipantCertificate]],
        E::Taken => vec![BOTH, AS4, PEER, &[F::PeerSignature, F::MessageId, F::ConversationId, F::Function, F::Mailbox, F::ParticipantCertificate]],
        E::Delivered => vec![BOTH, AS4, PEER, &[F::PeerSignature, F::MessageId, F::ConversationId, F::Mailbox, F::MailServerAnswer]],
        E::TurnedAway => vec![BOTH, AS4, PEER, &[F::PeerSignature, F::MessageId, F::ReceiptCode]],
        E::Discarded => vec![BOTH, AS4, PEER, &[F::PeerSignature, F::MessageId, F::Cause]],
        E::Refused => vec![BOTH, AS4, PEER, &[F::PeerSignature, F::Cause, F::ErrorCode, F::PeerAddress]],
        E::DuplicateReceived => vec![BOTH, AS4, PEER, &[F::PeerAddress]],
        E::NoticeSent => vec![BOTH, &[F::MessageId]],
        _ => return None,
    })
}

/// Events of the gateway itself belong to no message and to no organisation.
fn is_the_gateways(name: EventName) -> bool {
    matches!(name, E::Started | E::Expiring | E::LimitReached | E::LimitOver | E::DestinationDown | E::DestinationBack)
}

fn check(events: &[Event], seen: &mut BTreeSet<EventName>) {
    for event in events {
        if !is_the_gateways(event.name) && event.name != E::Alarmed && event.name != E::Refused {
            assert!(event.organisation.is_some() && (event.record.is_some() || event.name == E::DuplicateReceived), "whose is it? {event:?}");
        }
        for field in demanded(event.name).into_iter().flatten().flatten() {
            assert!(event.fields.get(field).is_some_and(|value| !value.is_empty()), "{:?} has no {field:?}: {event:?}", event.name);
        }
        seen.insert(event.name);
    }
}

#[test]
fn every_event_of_both_flows_has_every_field_that_is_demanded() {
    run(async {
        let mut seen = BTreeSet::new();
        // Out and in between two gateways.
        let (a, b) = (Gateway::start(Setup::new("falt-a")).await, Gateway::start(Setup::new("falt-b")).await);
        let to = a.address_of("inkorg", "falt-b.se");
        assert!(submit(&a, &[&to], " NOTIFY=SUCCESS,FAILURE", &mail(&a.mailbox, "falt1", "Hej")).await.starts_with("250"));
        b.delivery().await;
        a.event(E::NoticeSent).await;
        a.quiet().await;
        b.quiet().await;
        check(&a.journal().await, &mut seen);
        check(&b.journal().await, &mut seen);
        a.stop().await;
        b.stop().await;

        // What goes wrong on the way out.
        let retry = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"3s\"\nreceipt-timeout = \"2s\"\ndelayed-notice-after = \"1s\"";
        let (gateway, peer) = (Gateway::start(Setup { retry, ..Setup::new("falt-c") }).await, Peer::start("falt-d").await);
        let to = gateway.address_of("inkorg", &peer.name);
        let letter = |id| mail(&gateway.mailbox, id, "Hej");
        peer.set(Mood::Down);
        submit(&gateway, &[&to], "", &letter("falt2")).await;
        gateway.event(E::ExchangeFailed).await;
        peer.set(Mood::Good);
        submit(&gateway, &[&to], "", &letter("falt3")).await;
        let message = peer.message(0).await;
        gateway.nth_event(E::ExchangeFailed, 1).await;
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.event(E::LateReceipt).await;

        // What goes wrong on the way in.
        let mut draft = peer.draft(&gateway);
        draft.header.to = "0203:nagon-annan.se".parse().unwrap();
        peer.push(&gateway, &draft.package()).await.refused("EBMS:0003");
        let mut foreign = peer.draft(&gateway);
        foreign.sealed_for = foreign.signer.certificate.clone();
        peer.send(&gateway, &foreign).await.acknowledged();
        gateway.event(E::Discarded).await;
        let package = peer.draft(&gateway).package();
        peer.push(&gateway, &package).await.acknowledged();
        peer.push(&gateway, &package).await.acknowledged();
        gateway.event(E::DuplicateReceived).await;
        let mut unknown = peer.draft(&gateway);
        unknown.content.recipient.function = Some("finns-inte".parse().unwrap());
        unknown.rewrite();
        peer.send(&gateway, &unknown).await.acknowledged();
        gateway.event(E::TurnedAway).await;
        gateway.quiet().await;
        check(&gateway.journal().await, &mut seen);
        gateway.stop().await;

        let expected = [
            E::MailAccepted,
            E::Addressed,
            E::Sealed,
            E::Submitted,
            E::SendDeferred,
            E::Acknowledged,
            E::Accepted,
            E::ExchangeFailed,
            E::LateReceipt,
            E::NoticeSent,
            E::Received,
            E::DuplicateReceived,
            E::Refused,
            E::Opened,
            E::Taken,
            E::TurnedAway,
            E::Discarded,
            E::ReceiptSent,
            E::Delivered,
        ];
        let missing: Vec<_> = expected.into_iter().filter(|name| !seen.contains(name)).collect();
        assert_eq!(missing, [], "events that nothing here brought about");
    });
}
