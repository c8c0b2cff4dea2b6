//! What goes back: the old receipt for an old id, and errors that are signed and say what ebMS asks for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Cursor;

use brevbro::as4::error::CONTENT_TYPE;
use brevbro::as4::inspect::{Contents, Inspection, inspect};
use brevbro::event::{EventName, Field};

use crate::harness::{Gateway, Peer, Setup, run};

async fn pair(name: &str) -> (Gateway, Peer) {
    (Gateway::start(Setup::new(name)).await, Peer::start(&format!("{name}-peer")).await)
}

fn looked_into(answer: &[u8]) -> Inspection {
    inspect(CONTENT_TYPE, &mut &answer[..], &[], &|_| None, Cursor::new(Vec::new()), &mut std::io::sink()).unwrap()
}

#[test]
fn another_content_under_an_old_id_gets_the_old_receipt_which_proves_nothing_for_it() {
    run(async {
        let (gateway, peer) = pair("answers-other").await;
        let draft = peer.draft(&gateway);
        let first = peer.push(&gateway, &draft.package()).await;
        first.acknowledged();
        gateway.delivery().await;
        let mut other = peer.draft(&gateway);
        other.message.message_id = draft.message.message_id.clone();
        let again = peer.push(&gateway, &other.package()).await;
        assert_eq!(again.body, first.body, "byte for byte");
        assert!(!again.is_acknowledged(), "its digests are those of the first content");
        assert_eq!(gateway.event(EventName::DuplicateReceived).await.fields[&Field::As4MessageId], draft.message.message_id.as_str());
        // What is broken, or of somebody else, is refused whatever its id.
        let mut broken = other.package();
        broken.edit("<ds:SignatureValue>", "<ds:SignatureValue>AAAA");
        peer.push(&gateway, &broken).await.refused("EBMS:0101");
        gateway.quiet().await;
        assert_eq!((gateway.events(EventName::Received).await.len(), gateway.delivered().len()), (1, 1));
        gateway.stop().await;
    });
}

#[test]
fn the_same_id_of_another_access_point_is_another_message() {
    run(async {
        let (gateway, peer) = pair("answers-point").await;
        let draft = peer.draft(&gateway);
        peer.push(&gateway, &draft.package()).await.acknowledged();
        let mut other = peer.draft(&gateway);
        let name = "AP0078-TESTBED";
        other.point = crate::harness::world().await.testbed.issue_access_point(&name.parse().unwrap()).unwrap().identity;
        other.message.from = name.parse().unwrap();
        other.message.message_id = draft.message.message_id.clone();
        let reply = peer.push(&gateway, &other.package()).await;
        reply.acknowledged();
        gateway.stop().await;
    });
}

#[test]
fn errors_are_signed_by_the_access_point_and_name_the_message() {
    run(async {
        let (gateway, peer) = pair("answers-errors").await;
        let draft = peer.draft(&gateway);
        let own = crate::harness::world().await.own_point.identity.certificate.clone();
        let mut elsewhere = draft.clone();
        elsewhere.message.final_recipient = "0203:nagon-annan.se".parse().unwrap();
        elsewhere.header.to = elsewhere.message.final_recipient.clone();
        let mut unsigned = draft.package();
        unsigned.edit("ds:Signature ", "ds:Nothing ");
        unsigned.edit("</ds:Signature>", "</ds:Nothing>");
        let mut cut = draft.package();
        cut.body.truncate(cut.body.len() - 100);
        for (package, code) in [(elsewhere.package(), "EBMS:0004"), (unsigned, "EBMS:0103"), (cut, "EBMS:0007")] {
            let reply = peer.push(&gateway, &package).await;
            reply.refused(code);
            let found = looked_into(&reply.body);
            let signature = found.signature.unwrap();
            assert_eq!((signature.refused, signature.signer.as_ref()), (None, Some(&own)), "{code}");
            assert_eq!(signature.references.len(), 2, "eb:Messaging and the Body");
            let Contents::Signal(signal) = found.contents else { panic!("{:?}", found.contents) };
            assert_eq!(signal.ref_to.as_ref(), Some(&draft.message.message_id), "{code}");
            assert_eq!(signal.errors[0].ref_to.as_deref(), Some(draft.message.message_id.as_str()), "{code}");
            let text = String::from_utf8(reply.body.clone()).unwrap();
            assert!(text.contains("<eb:Description xml:lang=\"en\">"), "{text}");
        }
        // Of what has no header there is nothing to name.
        let mut garbage = draft.package();
        garbage.edit("</S12:Header>", "</S12:header>");
        let reply = peer.push(&gateway, &garbage).await;
        reply.refused("EBMS:0009");
        let Contents::Signal(signal) = looked_into(&reply.body).contents else { panic!() };
        assert_eq!((signal.ref_to, signal.errors[0].ref_to.as_deref()), (None, None));
        gateway.stop().await;
    });
}
