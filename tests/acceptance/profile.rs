//! Verifiering av att AS4-profilen efterlevs (SDK C2.1.4.4.2 7.1): what we put on the wire, judged field by field against the
//! P-Mode (SDK C3.2.1 2.3.1) in the words of the paper, not of the program.

use brevbro::event::EventName;
use brevbro::sdk::receipt::Outcome;
use brevbro::testbed::{Case, Role, Taken};
use brevbro::xml::{Document, Element, Limits};

use crate::shared::harness::{run, world};
use crate::{accepted, pair, send, sent_by};

const CORE: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/";
const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
const PARTY: &str = "urn:fdc:digg.se:edelivery:transportprofile:as4:partytype:ap";
const MESSAGE: &str = "busdox-docid-qns::urn:riv:infrastructure:messaging:MessageWithAttachments:3::messagePayload##3.0::tm-base-ext-sigenc";
const RECEIPT: &str = "busdox-docid-qns::urn:oasis:names:specification:ubl:schema:xsd:ApplicationResponse-2::ApplicationResponse##fdc:digg.se:edelivery:messagetype:response:1::2.1::tm-base-ext-sigenc";

/// The only element of that name.
fn one<'d>(document: &'d Document, local: &str) -> Element<'d> {
    let found: Vec<_> = document.elements().filter(|element| element.local() == local).collect();
    let [element] = found.as_slice() else { panic!("{} elements {local}", found.len()) };
    *element
}

fn algorithms(document: &Document, local: &str) -> Vec<String> {
    let of = |element: Element<'_>| element.attribute("Algorithm").unwrap_or_default().to_owned();
    document.elements().filter(|element| element.local() == local).map(of).collect()
}

fn properties(parent: Element<'_>) -> Vec<(String, Option<String>, String)> {
    let of = |e: Element<'_>| (e.attribute("name").unwrap_or_default().to_owned(), e.attribute("type").map(str::to_owned), e.trimmed());
    parent.elements().map(of).collect()
}

/// Judges one request. `from` and `to` are the participants.
fn judge(taken: &Taken, own_point: &str, peer_point: &str, from: &str, to: &str, action: &str, conversation: &str) {
    for verdict in &taken.verdicts {
        assert_eq!(verdict.outcome, Ok(()), "{}", verdict.rule);
    }
    // SOAP 1.2 with attachments.
    assert!(taken.content_type.starts_with("multipart/related;") && taken.content_type.contains("application/soap+xml"), "{}", taken.content_type);
    let document = Document::parse(&taken.soap, &Limits::of(1 << 20)).unwrap();
    assert!(document.root().is(SOAP, "Envelope"));
    assert_eq!(one(&document, "Body").elements().count(), 0, "the payload is an attachment");

    // 2.3.1.j-o: parties, their types and roles; the names are those of the certificates.
    for (side, name, role) in [("From", own_point, "initiator"), ("To", peer_point, "responder")] {
        let party = one(&document, side);
        let [id, said] = party.elements().collect::<Vec<_>>()[..] else { panic!("{side}") };
        assert_eq!((id.local(), id.trimmed().as_str(), id.attribute("type")), ("PartyId", name, Some(PARTY)), "{side}");
        assert_eq!((said.local(), said.trimmed()), ("Role", format!("{CORE}{role}")), "{side}");
    }
    assert_eq!(taken.received.signer().unwrap().common_name().as_deref(), Some(own_point));
    // 2.3.1.a-c, 2.7.
    let collaboration: Vec<_> = one(&document, "CollaborationInfo").elements().map(|e| (e.local().to_owned(), e.trimmed())).collect();
    let said = |local: &str, value: &str| (local.to_owned(), value.to_owned());
    assert_eq!(collaboration, [said("Service", "bdx:noprocess"), said("Action", action), said("ConversationId", conversation)], "no AgreementRef");
    assert_eq!(one(&document, "Service").attribute("type"), Some("urn:fdc:digg.se:edelivery:process"));
    // 2.3.1.d, h, i: one-way push over the default channel needs no mpc, and answers nothing.
    let user = one(&document, "UserMessage");
    assert!(user.attribute("mpc").is_none_or(|mpc| mpc == format!("{CORE}defaultMPC")));
    assert!(!document.elements().any(|element| element.local() == "RefToMessageId"));
    // 2.3.1.p-q, and nothing else.
    let scheme = Some("iso6523-actorid-upis".to_owned());
    let wanted = [("originalSender".to_owned(), scheme.clone(), from.to_owned()), ("finalRecipient".to_owned(), scheme, to.to_owned())];
    assert_eq!(properties(one(&document, "MessageProperties")), wanted);
    // 2.2.a: one payload, gzip.
    let wanted = [("MimeType".to_owned(), None, "text/xml".to_owned()), ("CompressionType".to_owned(), None, "application/gzip".to_owned())];
    assert_eq!(properties(one(&document, "PartProperties")), wanted);
    let [part] = taken.received.parts.as_slice() else { panic!("{} parts", taken.received.parts.len()) };
    assert!(part.compressed && part.encrypted);
    // eDelivery AS4 1.15: rsa-sha256 over header, body and payload; AES-128-GCM, its key by RSA-OAEP with SHA-256.
    assert_eq!(algorithms(&document, "SignatureMethod"), ["http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"]);
    let signed_info = one(&document, "SignedInfo");
    let references: Vec<_> = signed_info.elements().filter(|e| e.is(DS, "Reference")).collect();
    let uri = |element: &Element<'_>| element.attribute("URI").unwrap().to_owned();
    let id = |local: &str| {
        let element = one(&document, local);
        format!("#{}", element.attributes().iter().find(|a| a.local == "Id").unwrap().value)
    };
    assert_eq!(references.iter().map(uri).collect::<Vec<_>>(), [id("Messaging"), id("Body"), "cid:message".to_owned()]);
    for reference in &references {
        assert_eq!(reference.child(DS, "DigestMethod").unwrap().attribute("Algorithm"), Some("http://www.w3.org/2001/04/xmlenc#sha256"));
    }
    let methods = ["http://www.w3.org/2009/xmlenc11#rsa-oaep", "http://www.w3.org/2009/xmlenc11#aes128-gcm"];
    assert_eq!(algorithms(&document, "EncryptionMethod"), methods);
    assert_eq!(algorithms(&document, "MGF"), ["http://www.w3.org/2009/xmlenc11#mgf1sha256"]);
    let reference = one(&document, "CipherReference");
    assert_eq!((reference.namespace(), reference.attribute("URI")), (XENC, Some("cid:message")));
}

#[test]
fn what_is_sent_adheres_to_the_as4_profile() {
    run(async {
        let (gateway, point) = pair("profile").await;
        let actor = point.actor(Role::Answering).unwrap();
        let own_point = world().await.own_point.identity.certificate.common_name().unwrap();
        let (own, participant) = (gateway.participant.to_string(), actor.participant.to_string());
        send(&gateway, Role::Answering, "profile").await;
        gateway.event(EventName::Accepted).await;
        let taken = sent_by(point, &gateway).remove(0);
        let header = taken.header.clone().unwrap();
        // The conversation is the message's (SDK B1.3.3), which for its first message is the envelope's id (SDK C3.2.1 2.7).
        judge(&taken, &own_point, actor.name.as_str(), &own, &participant, MESSAGE, header.id.as_str());
        // SDK C3.4.6 3.1.6, from the other side.
        assert_eq!((header.from.to_string(), header.to.to_string()), (own.clone(), participant.clone()));

        let answered = accepted(&gateway, Case::Tf04).await;
        let taken = sent_by(point, &gateway).into_iter().find(|taken| taken.receipt.is_some()).unwrap();
        let (header, receipt) = (taken.header.clone().unwrap(), taken.receipt.clone().unwrap());
        judge(&taken, &own_point, actor.name.as_str(), &own, &participant, RECEIPT, header.id.as_str());
        assert_eq!((receipt.refers_to, receipt.outcome), (answered.envelope_id, Outcome::Accepted));
        gateway.stop().await;
    });
}
