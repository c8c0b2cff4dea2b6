//! The AS4 endpoint: what comes is taken once, or refused with the right error or receipt, and nothing is delivered.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read;

use brevbro::as4::{Severity, TEST_ACTION, TEST_SERVICE};
use brevbro::content::File;
use brevbro::crypto::{encrypt_element, sign_enveloped};
use brevbro::event::{EventName, Field};
use brevbro::ident::{DocumentKind, MessageId};
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::rules::{Breach, Detail, ReasonCode};
use brevbro::testbed::{Registration, Subject};

use crate::harness::peer::{Draft, Package};
use crate::harness::{Gateway, Peer, Setup, mail, run, world};

async fn pair(name: &str) -> (Gateway, Peer) {
    (Gateway::start(Setup::new(name)).await, Peer::start(&format!("{name}-peer")).await)
}

/// Nothing was taken in or delivered, and the message is not even kept.
async fn nothing_was_delivered(gateway: &Gateway) {
    assert_eq!(gateway.events(EventName::Taken).await, []);
    assert_eq!(gateway.delivered().len(), 0);
}

/// Sends a draft that the access point takes and the participant rejects; the receipt's lines.
async fn rejected(gateway: &Gateway, peer: &Peer, draft: &Draft) -> Vec<Breach> {
    rejected_package(gateway, peer, draft, &draft.package()).await
}

async fn rejected_package(gateway: &Gateway, peer: &Peer, draft: &Draft, package: &Package) -> Vec<Breach> {
    peer.push(gateway, package).await.acknowledged();
    let receipt = peer.receipt(0).await;
    assert_eq!(receipt.refers_to, draft.header.id);
    assert_eq!((&receipt.sender, &receipt.receiver), (&gateway.participant, &peer.participant));
    let turned_away = gateway.event(EventName::TurnedAway).await;
    assert_eq!(turned_away.fields[&Field::MessageId], draft.header.id.as_str());
    nothing_was_delivered(gateway).await;
    match receipt.outcome {
        Outcome::Rejected(lines) => lines,
        Outcome::Accepted => panic!("it was accepted"),
    }
}

fn codes(lines: &[Breach]) -> Vec<(ReasonCode, Detail)> {
    lines.iter().map(|line| (line.code, line.detail)).collect()
}

/// The access point refused it: an error of this code, a journal line, nothing kept.
async fn refused(gateway: &Gateway, peer: &Peer, package: &Package, code: &str) {
    let before = gateway.events(EventName::Refused).await.len();
    peer.push(gateway, package).await.refused(code);
    let line = gateway.nth_event(EventName::Refused, before).await;
    assert_eq!(line.fields[&Field::ErrorCode], code);
    assert_eq!(gateway.events(EventName::Received).await, []);
    assert_eq!(gateway.daemon.gateway.blobs.heads().await.unwrap(), []);
    nothing_was_delivered(gateway).await;
}

/// The draft's envelope with another content and another header, signed as it should be.
fn signed_around(draft: &Draft, content: &str, (from, to): (&str, &str)) -> Vec<u8> {
    let sealed = String::from_utf8(draft.envelope()).unwrap();
    let (head, rest) = sealed.split_once("PayloadContent>").unwrap();
    let prefix = head.rsplit('<').next().unwrap();
    let tail = rest.rsplit_once(&format!("</{prefix}PayloadContent>")).unwrap().1;
    let tail = tail.split_once("<ds:Signature").or_else(|| tail.split_once("<Signature")).unwrap().0;
    let unsigned = format!("{head}PayloadContent>{content}</{prefix}PayloadContent>{tail}</x:XHE>").replace(from, to);
    sign_enveloped(unsigned.as_bytes(), &draft.signer).unwrap()
}

#[test]
fn a_sound_message_is_acknowledged_accepted_and_delivered() {
    run(async {
        let (gateway, peer) = pair("as4-sound").await;
        let mut draft = peer.draft(&gateway);
        let body = b"%PDF-1.4 prov".to_vec();
        draft.content.documents[0].files =
            vec![File { name: "beslut.pdf".to_owned().into(), media_type: "application/pdf".into(), body: body.into() }];
        draft.rewrite();
        peer.send(&gateway, &draft).await.acknowledged();
        assert_eq!(peer.receipt(0).await.outcome, Outcome::Accepted);
        let letter = gateway.delivery().await;
        assert!(letter.text.contains("JVBERi0xLjQgcHJvdg=="), "{}", letter.text);
        gateway.stop().await;
    });
}

#[test]
fn an_envelope_that_was_changed_after_signing_is_rejected() {
    run(async {
        let (gateway, peer) = pair("as4-changed").await;
        let draft = peer.draft(&gateway);
        // The signature covers the header ...
        let changed = String::from_utf8(draft.envelope()).unwrap().replace("CreationDateTime>2", "CreationDateTime>3");
        let lines = rejected_package(&gateway, &peer, &draft, &draft.package_of(&mut changed.as_bytes())).await;
        assert_eq!(codes(&lines), [(ReasonCode::Sig, Detail::Security)]);
        gateway.stop().await;
    });
}

#[test]
fn a_payload_that_was_changed_is_rejected_and_never_decrypted() {
    run(async {
        let (gateway, peer) = pair("as4-tampered").await;
        let draft = peer.draft(&gateway);
        // ... and the encrypted payload: the last CipherValue before the signature.
        let mut envelope = draft.envelope();
        let text = String::from_utf8_lossy(&envelope).into_owned();
        let at = text.rfind("CipherValue>").map(|end| text[..end].rfind("CipherValue>").unwrap_or(end)).unwrap() + 40;
        envelope[at] = if envelope[at] == b'A' { b'B' } else { b'A' };
        let lines = rejected_package(&gateway, &peer, &draft, &draft.package_of(&mut envelope.as_slice())).await;
        assert_eq!(codes(&lines), [(ReasonCode::Sig, Detail::Security)]);
        gateway.stop().await;
    });
}

#[test]
fn a_message_that_is_not_encrypted_is_rejected() {
    run(async {
        let (gateway, peer) = pair("as4-clear").await;
        let draft = peer.draft(&gateway);
        let payload = String::from_utf8(draft.payload.clone()).unwrap();
        let payload = payload.split_once("?>").map_or(payload.as_str(), |(_, rest)| rest);
        let envelope = signed_around(&draft, payload, ("InstanceEncryptionIndicator>true", "InstanceEncryptionIndicator>false"));
        let lines = rejected_package(&gateway, &peer, &draft, &draft.package_of(&mut envelope.as_slice())).await;
        assert_eq!(codes(&lines), [(ReasonCode::Sig, Detail::Security)]);
        gateway.stop().await;
    });
}

#[test]
fn a_signer_that_the_smp_does_not_publish_for_the_sender_is_rejected() {
    run(async {
        let (gateway, peer) = pair("as4-signer").await;
        let mut draft = peer.draft(&gateway);
        // A sound certificate of the federation, of somebody else.
        draft.signer = world().await.testbed.issue_participant(&"0203:as4-somebody.se".parse().unwrap()).unwrap().identity;
        let lines = rejected(&gateway, &peer, &draft).await;
        assert_eq!(codes(&lines), [(ReasonCode::Sig, Detail::Security)]);
        gateway.stop().await;
    });
}

#[test]
fn a_recipient_that_is_not_ours_is_not_serviced() {
    run(async {
        let (gateway, peer) = pair("as4-recipient").await;
        let mut draft = peer.draft(&gateway);
        draft.message.final_recipient = "0203:nagon-annan.se".parse().unwrap();
        draft.header.to = draft.message.final_recipient.clone();
        let package = draft.package();
        refused(&gateway, &peer, &package, "EBMS:0004").await;
        let error = peer.push(&gateway, &package).await.refused("EBMS:0004");
        assert_eq!(error.detail.as_ref(), "NOT_SERVICED");
        gateway.stop().await;
    });
}

#[test]
fn an_envelope_that_disagrees_with_its_as4_header_is_deleted_and_the_operator_is_told() {
    run(async {
        let (gateway, peer) = pair("as4-disagree").await;
        let sound = peer.draft(&gateway);
        let mut to = sound.clone();
        to.header.to = "0203:nagon-annan.se".parse().unwrap();
        let mut from = sound.clone();
        from.header.from = "0203:nagon-annan.se".parse().unwrap();
        let mut federation = sound;
        federation.header.federation = "urn:fdc:digg.se:edelivery:federation:sdk".parse().unwrap();
        for draft in [to, from, federation] {
            refused(&gateway, &peer, &draft.package(), "EBMS:0003").await;
        }
        let alarm = gateway.alarm().await;
        assert!(alarm.text.contains("Digg"), "{}", alarm.text);
        gateway.nth_event(EventName::Alarmed, 2).await;
        assert_eq!(peer.receipts(), 0, "no message receipt");
        gateway.stop().await;
    });
}

#[test]
fn an_access_point_of_another_environment_is_refused() {
    run(async {
        let (gateway, peer) = pair("as4-environment").await;
        let rogue = tokio::task::spawn_blocking(|| {
            let dir = tempfile::tempdir().unwrap();
            let testbed = brevbro::testbed::Testbed::open(dir.path(), &brevbro::testbed::Options::small()).unwrap();
            testbed.issue_access_point(&"AP0002-TESTBED".parse().unwrap()).unwrap().identity
        });
        let mut draft = peer.draft(&gateway);
        draft.point = rogue.await.unwrap();
        refused(&gateway, &peer, &draft.package(), "EBMS:0101").await;
        gateway.stop().await;
    });
}

#[test]
fn a_revoked_access_point_is_refused() {
    run(async {
        let world = world().await;
        let name = "AP0066-TESTBED";
        let issued = world.testbed.issue_access_point(&name.parse().unwrap()).unwrap();
        world.testbed.revoke(&Subject::AccessPoint(name.parse().unwrap())).unwrap();
        let (gateway, peer) = pair("as4-revoked").await;
        let mut draft = peer.draft(&gateway);
        draft.point = issued.identity;
        draft.message.from = name.parse().unwrap();
        refused(&gateway, &peer, &draft.package(), "EBMS:0101").await;
        gateway.stop().await;
    });
}

#[test]
fn an_access_point_that_names_itself_as_another_is_refused() {
    run(async {
        let (gateway, peer) = pair("as4-name").await;
        let mut draft = peer.draft(&gateway);
        draft.message.from = "AP0003-TESTBED".parse().unwrap();
        refused(&gateway, &peer, &draft.package(), "EBMS:0003").await;
        gateway.stop().await;
    });
}

#[test]
fn a_dtd_in_the_soap_part_is_refused() {
    run(async {
        let (gateway, peer) = pair("as4-dtd-soap").await;
        let mut package = peer.draft(&gateway).package();
        package.edit("<S12:Envelope", "<!DOCTYPE x [<!ENTITY a \"b\">]><S12:Envelope");
        refused(&gateway, &peer, &package, "EBMS:0009").await;
        gateway.stop().await;
    });
}

#[test]
fn a_dtd_in_the_envelope_is_deleted_and_the_operator_is_told() {
    run(async {
        let (gateway, peer) = pair("as4-dtd-xhe").await;
        let draft = peer.draft(&gateway);
        let envelope = String::from_utf8(draft.envelope()).unwrap();
        let with = envelope.replacen("<x:XHE", "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><x:XHE", 1);
        assert_ne!(with, envelope);
        refused(&gateway, &peer, &draft.package_of(&mut with.as_bytes()), "EBMS:0004").await;
        gateway.alarm().await;
        assert_eq!(peer.receipts(), 0);
        gateway.stop().await;
    });
}

#[test]
fn truncated_mime_is_refused() {
    run(async {
        let (gateway, peer) = pair("as4-truncated").await;
        let mut package = peer.draft(&gateway).package();
        package.body.truncate(package.body.len() - 200);
        refused(&gateway, &peer, &package, "EBMS:0007").await;
        gateway.stop().await;
    });
}

#[test]
fn an_attachment_that_was_changed_on_the_way_is_refused() {
    run(async {
        let (gateway, peer) = pair("as4-attachment").await;
        let mut package = peer.draft(&gateway).package();
        let at = package.body.len() - 200;
        package.body[at] ^= 1;
        refused(&gateway, &peer, &package, "EBMS:0102").await;
        gateway.stop().await;
    });
}

#[test]
fn a_gzip_bomb_is_refused() {
    run(async {
        let (gateway, peer) = pair("as4-bomb").await;
        let package = peer.draft(&gateway).package_of(&mut std::io::repeat(b' ').take(30_000_000));
        assert!(package.body.len() < 1_000_000);
        refused(&gateway, &peer, &package, "EBMS:0303").await;
        gateway.stop().await;
    });
}

#[test]
fn the_same_as4_message_again_gets_the_same_receipt_and_is_not_delivered_twice() {
    run(async {
        let (gateway, peer) = pair("as4-twice").await;
        let draft = peer.draft(&gateway);
        let package = draft.package();
        let first = peer.push(&gateway, &package).await;
        first.acknowledged();
        gateway.delivery().await;
        // After everything, and signed anew: the id is what counts.
        for package in [package, draft.package()] {
            let again = peer.push(&gateway, &package).await;
            assert_eq!(again.body, first.body);
        }
        assert_eq!(gateway.nth_event(EventName::DuplicateReceived, 1).await.fields[&Field::As4MessageId], draft.message.message_id.as_str());
        assert_eq!(gateway.events(EventName::Received).await.len(), 1);
        assert_eq!(peer.receipt(0).await.outcome, Outcome::Accepted);
        gateway.event(EventName::ReceiptSent).await;
        assert_eq!((gateway.delivered().len(), peer.receipts()), (1, 1));
        gateway.stop().await;
    });
}

#[test]
fn the_same_as4_message_many_times_at_once_is_taken_once() {
    run(async {
        let (gateway, peer) = pair("as4-at-once").await;
        let package = peer.draft(&gateway).package();
        let push = || peer.push(&gateway, &package);
        let replies = tokio::join!(push(), push(), push(), push());
        for reply in [&replies.0, &replies.1, &replies.2, &replies.3] {
            reply.acknowledged();
            assert_eq!(reply.body, replies.0.body);
        }
        gateway.delivery().await;
        gateway.quiet().await;
        assert_eq!(gateway.events(EventName::Received).await.len(), 1);
        assert_eq!((gateway.delivered().len(), peer.receipts()), (1, 1));
        gateway.stop().await;
    });
}

#[test]
fn the_same_message_in_another_as4_message_is_rejected_as_a_duplicate() {
    run(async {
        let (gateway, peer) = pair("as4-duplicate").await;
        let mut draft = peer.draft(&gateway);
        peer.send(&gateway, &draft).await.acknowledged();
        assert_eq!(peer.receipt(0).await.outcome, Outcome::Accepted);
        draft.message.message_id = "en-annan@ap.peer.se".parse().unwrap();
        peer.send(&gateway, &draft).await.acknowledged();
        let Outcome::Rejected(lines) = peer.receipt(1).await.outcome else { panic!("it was accepted twice") };
        assert_eq!(codes(&lines), [(ReasonCode::Bv, Detail::Duplicate)]);
        gateway.delivery().await;
        assert_eq!(gateway.delivered().len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn a_message_that_breaks_rules_is_rejected_with_every_one_of_them() {
    run(async {
        let (gateway, peer) = pair("as4-rules").await;
        let mut draft = peer.draft(&gateway);
        let id = draft.content.message_id.to_string();
        draft.edit(&format!("messageId>{id}"), "messageId>inget-uuid");
        draft.edit("confidentiality>true", "confidentiality>kanske");
        draft.edit(&format!("extension>{}", peer.participant), "extension>0203:nagon-annan.se");
        draft.edit(">Prov<", "> <");
        let lines = rejected(&gateway, &peer, &draft).await;
        let at = |part: &str| lines.iter().find(|line| line.line.contains(part)).unwrap_or_else(|| panic!("no line for {part} in {lines:?}"));
        assert_eq!(at("messageId").code, ReasonCode::Bv);
        assert_eq!(at("confidentiality").code, ReasonCode::Sv);
        assert_eq!(at("label").detail, Detail::Invariant);
        assert!(lines.len() >= 3, "{lines:?}");
        assert!(lines.iter().all(|line| !line.reason.contains("kanske") && !line.reason.contains("inget-uuid")), "nothing is echoed: {lines:?}");
        gateway.stop().await;
    });
}

#[test]
fn ids_that_disagree_between_message_and_envelope_are_all_told() {
    run(async {
        let (gateway, peer) = pair("as4-ids").await;
        let mut draft = peer.draft(&gateway);
        draft.content.sender.participant = "0203:nagon-annan.se".parse().unwrap();
        draft.content.recipient.participant = "0203:nagon-tredje.se".parse().unwrap();
        draft.content.recipient.function = Some("okand".parse().unwrap());
        draft.rewrite();
        let lines = rejected(&gateway, &peer, &draft).await;
        let details: Vec<Detail> = lines.iter().map(|line| line.detail).collect();
        assert!(details.iter().filter(|detail| **detail == Detail::Security).count() >= 2, "{lines:?}");
        assert!(details.contains(&Detail::NotFound), "{lines:?}");
        gateway.stop().await;
    });
}

#[test]
fn an_unknown_function_is_rejected_as_not_found() {
    run(async {
        let (gateway, peer) = pair("as4-function").await;
        let mut draft = peer.draft(&gateway);
        draft.content.recipient.function = Some("okand".parse().unwrap());
        draft.header.service = draft.content.recipient.function.clone();
        draft.rewrite();
        let lines = rejected(&gateway, &peer, &draft).await;
        assert_eq!(codes(&lines), [(ReasonCode::Bv, Detail::NotFound)]);
        gateway.stop().await;
    });
}

#[test]
fn a_file_type_that_the_mailbox_does_not_take_is_rejected() {
    run(async {
        let setup = Setup { mailbox: "file-types = [\"image/png\"]", ..Setup::new("as4-types") };
        let (gateway, peer) = (Gateway::start(setup).await, Peer::start("as4-types-peer").await);
        let file =
            |name: &str, media_type: &str| File { name: name.to_owned().into(), media_type: media_type.to_owned(), body: b"prov".to_vec().into() };
        let mut draft = peer.draft(&gateway);
        draft.content.documents[0].files = vec![file("a.pdf", "application/pdf"), file("b.zip", "application/zip"), file("c.png", "image/png")];
        draft.rewrite();
        let lines = rejected(&gateway, &peer, &draft).await;
        assert_eq!(codes(&lines), [(ReasonCode::Bv, Detail::NotSupported)]);
        assert!(lines[0].line.contains("contentType") && lines[0].line.contains("[2]"), "{lines:?}");
        gateway.stop().await;
    });
}

#[test]
fn an_answer_to_a_message_that_was_rejected_here_is_rejected_too() {
    run(async {
        let (gateway, peer) = pair("as4-answers").await;
        let mut first = peer.draft(&gateway);
        first.content.recipient.function = Some("okand".parse().unwrap());
        first.header.service = first.content.recipient.function.clone();
        first.rewrite();
        rejected(&gateway, &peer, &first).await;
        let mut second = peer.draft(&gateway);
        second.content.in_reply_to = Some(first.content.message_id.clone());
        second.rewrite();
        peer.send(&gateway, &second).await.acknowledged();
        let Outcome::Rejected(lines) = peer.receipt(1).await.outcome else { panic!("it was accepted") };
        assert_eq!(codes(&lines), [(ReasonCode::Bv, Detail::NotSupported)]);

        // An id that nobody knows here is no reason.
        let mut third = peer.draft(&gateway);
        third.content.in_reply_to = Some("1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b".parse::<MessageId>().unwrap());
        third.rewrite();
        peer.send(&gateway, &third).await.acknowledged();
        assert_eq!(peer.receipt(2).await.outcome, Outcome::Accepted);
        gateway.delivery().await;
        gateway.stop().await;
    });
}

#[test]
fn a_payload_that_cannot_be_decrypted_or_read_gets_no_receipt() {
    run(async {
        let (gateway, peer) = pair("as4-undecryptable").await;
        // Sealed for somebody else; and what decrypts to no XML, which must not be told from it.
        let mut foreign = peer.draft(&gateway);
        foreign.sealed_for = foreign.signer.certificate.clone();
        peer.send(&gateway, &foreign).await.acknowledged();
        let unreadable = peer.draft(&gateway);
        let content = encrypt_element(b"<messagePayload><message></messagePayload>", &unreadable.sealed_for).unwrap();
        let envelope = signed_around(&unreadable, &content, ("", ""));
        peer.push(&gateway, &unreadable.package_of(&mut envelope.as_slice())).await.acknowledged();
        gateway.nth_event(EventName::Alarmed, 1).await;
        gateway.quiet().await;
        let events = gateway.events(EventName::Discarded).await;
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].fields[&Field::Cause], events[1].fields[&Field::Cause], "one wording for both");
        nothing_was_delivered(&gateway).await;
        assert_eq!(gateway.events(EventName::TurnedAway).await, []);
        assert_eq!(peer.receipts(), 0);
        gateway.stop().await;
    });
}

#[test]
fn a_sender_that_is_not_registered_gets_no_receipt() {
    run(async {
        let (gateway, peer) = pair("as4-stranger").await;
        let mut draft = peer.draft(&gateway);
        let stranger: brevbro::ident::ParticipantId = "0203:as4-stranger-unknown.se".parse().unwrap();
        draft.message.original_sender = stranger.clone();
        draft.header.from = stranger.clone();
        draft.content.sender.participant = stranger;
        draft.rewrite();
        peer.send(&gateway, &draft).await.acknowledged();
        gateway.event(EventName::Discarded).await;
        gateway.alarm().await;
        nothing_was_delivered(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn a_receipt_of_another_participant_than_the_recipient_settles_nothing() {
    run(async {
        let (gateway, peer) = pair("as4-foreign-receipt").await;
        let meddler = Peer::start("as4-foreign-meddler").await;
        let to = gateway.address_of("inkorg", &peer.name);
        crate::harness::client::submit(&gateway, &[&to], " NOTIFY=SUCCESS,FAILURE", &mail(&gateway.mailbox, "a1", "Hej")).await;
        let message = peer.message(0).await;
        gateway.event(EventName::Acknowledged).await;
        meddler.send(&gateway, &meddler.receipt_draft(&gateway, &message.message_id, Outcome::Accepted)).await.acknowledged();
        gateway.event(EventName::StrayReceipt).await;
        assert_eq!(gateway.events(EventName::Accepted).await, []);
        assert_eq!(gateway.notices(), []);
        // The recipient's own settles it.
        peer.send(&gateway, &peer.receipt_draft(&gateway, &message.message_id, Outcome::Accepted)).await.acknowledged();
        gateway.notice("delivered", "2.0.0").await;
        gateway.stop().await;
    });
}

#[test]
fn a_ping_is_answered_and_not_delivered() {
    run(async {
        let (gateway, peer) = pair("as4-ping").await;
        let draft = peer.draft(&gateway);
        let mut package = draft.package();
        let action = draft.message.kind.action();
        let service = "<eb:Service type=\"urn:fdc:digg.se:edelivery:process\">bdx:noprocess</eb:Service>";
        let test = format!("<eb:Service>{TEST_SERVICE}</eb:Service>");
        package.resign(&[(service, &test), (&action, TEST_ACTION)], &draft.point);
        peer.push(&gateway, &package).await.acknowledged();
        assert_eq!(gateway.events(EventName::Received).await, []);
        assert_eq!(gateway.daemon.gateway.blobs.heads().await.unwrap(), []);
        nothing_was_delivered(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn a_header_that_is_not_that_of_the_p_mode_is_refused() {
    run(async {
        let (gateway, peer) = pair("as4-pmode").await;
        let draft = peer.draft(&gateway);
        let action = draft.message.kind.action();
        let edits = [
            ("partytype:ap", "partytype:annan", "EBMS:0010"),
            (">bdx:noprocess<", ">annan-process<", "EBMS:0010"),
            ("name=\"finalRecipient\"", "name=\"annat\"", "EBMS:0010"),
            (">AP0001-TESTBED<", ">AP0009-TESTBED<", "EBMS:0010"),
            (action.as_str(), "busdox-docid-qns::urn:annat", "EBMS:0004"),
        ];
        for (from, to, code) in edits {
            let mut package = draft.package();
            package.resign(&[(from, to)], &draft.point);
            refused(&gateway, &peer, &package, code).await;
        }
        gateway.stop().await;
    });
}

#[test]
fn a_document_that_the_register_does_not_have_for_the_recipient_is_not_serviced() {
    run(async {
        // What the SMP said at start may not be remembered.
        let gateway = Gateway::start(Setup { discovery: "cache = \"1ms\"", ..Setup::new("as4-unregistered") }).await;
        let peer = Peer::start("as4-unregistered-peer").await;
        let world = world().await;
        let metadata = |kinds: Vec<DocumentKind>| {
            let (point, own) = (world.own_point.identity.certificate.clone(), world.own.identity.certificate.clone());
            Registration { kinds, ..Registration::new(gateway.participant.clone(), &gateway.endpoint, point, own) }
        };
        // It takes receipts alone ...
        world.testbed.publish(&metadata(vec![DocumentKind::Receipt])).unwrap();
        let package = peer.draft(&gateway).package();
        refused(&gateway, &peer, &package, "EBMS:0004").await;
        let error = peer.push(&gateway, &package).await.refused("EBMS:0004");
        assert_eq!((error.detail.as_ref(), error.severity), ("NOT_SERVICED", Severity::Failure));
        // ... and nothing at all ...
        world.testbed.withdraw(&gateway.participant).unwrap();
        refused(&gateway, &peer, &peer.draft(&gateway).package(), "EBMS:0004").await;
        assert_eq!(peer.receipts(), 0);
        // ... and messages again, which is seen at once: what speaks against a message is looked up once more.
        world.testbed.publish(&metadata(DocumentKind::ALL.to_vec())).unwrap();
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        gateway.delivery().await;
        gateway.stop().await;
    });
}

#[test]
fn a_message_by_an_approved_access_point_that_is_not_the_senders_is_taken_unless_that_is_asked_for() {
    run(async {
        let world = world().await;
        let other = world.testbed.issue_access_point(&"AP0067-TESTBED".parse().unwrap()).unwrap();
        for (name, trust, taken) in [("as4-approved", "", true), ("as4-registered", "sender-access-point = \"registered\"", false)] {
            let gateway = Gateway::start(Setup { trust, ..Setup::new(name) }).await;
            let peer = Peer::start(&format!("{name}-peer")).await;
            let mut draft = peer.draft(&gateway);
            draft.point = other.identity.clone();
            draft.message.from = "AP0067-TESTBED".parse().unwrap();
            if taken {
                peer.send(&gateway, &draft).await.acknowledged();
            } else {
                refused(&gateway, &peer, &draft.package(), "EBMS:0003").await;
                gateway.alarm().await;
                // What its own access point brings is taken.
                peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
            }
            gateway.delivery().await;
            gateway.stop().await;
        }
    });
}

#[test]
fn what_is_refused_is_reported_to_the_operator_with_every_id() {
    run(async {
        let (gateway, peer) = pair("as4-reported").await;
        let mut draft = peer.draft(&gateway);
        draft.header.to = "0203:nagon-annan.se".parse().unwrap();
        refused(&gateway, &peer, &draft.package(), "EBMS:0003").await;
        let line = gateway.event(EventName::Refused).await;
        // Quoted-printable breaks long lines.
        let alarm = gateway.alarm().await.text.replace("=\r\n", "");
        let point = &world().await.peer_point.identity.certificate;
        for (field, value) in [
            (Field::PeerAccessPoint, "AP0002-TESTBED".to_owned()),
            (Field::PeerCertificate, point.fingerprint().to_string()),
            (Field::PeerSignature, line.fields[&Field::PeerSignature].clone()),
            (Field::OriginalSender, peer.participant.to_string()),
            (Field::FinalRecipient, gateway.participant.to_string()),
            (Field::As4MessageId, draft.message.message_id.to_string()),
            (Field::As4ConversationId, draft.message.conversation_id.clone()),
            (Field::MessageId, draft.header.id.to_string()),
            (Field::ErrorCode, "EBMS:0003".to_owned()),
        ] {
            assert_eq!(line.fields.get(&field), Some(&value), "{field:?}");
            assert!(alarm.contains(&value), "{field:?} {value}: {alarm}");
        }
        assert!(alarm.contains("finalRecipient is not the envelope's ToParty"), "{alarm}");
        assert_eq!(line.organisation, Some(gateway.participant.clone()));
        gateway.stop().await;
    });
}

#[test]
fn an_envelope_that_is_not_well_formed_gets_no_message_receipt() {
    run(async {
        let (gateway, peer) = pair("as4-not-xml").await;
        let draft = peer.draft(&gateway);
        let envelope = draft.envelope();
        // SDK C3.2.4 2.1.2: cut off, or no XML at all.
        for envelope in [&envelope[..envelope.len() - 10], b"%PDF-1.4"] {
            let mut draft = draft.clone();
            draft.message.message_id = format!("{}@ap.{}", uuid::Uuid::new_v4(), peer.name).parse().unwrap();
            let mut envelope = envelope;
            refused(&gateway, &peer, &draft.package_of(&mut envelope), "EBMS:0004").await;
        }
        gateway.nth_event(EventName::Alarmed, 1).await;
        assert_eq!(peer.receipts(), 0);
        gateway.stop().await;
    });
}
