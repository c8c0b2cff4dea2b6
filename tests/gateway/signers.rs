//! Signers that are only named: their certificate comes from the federation, and a stranger cannot make us look for long.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use base64::prelude::*;
use brevbro::crypto::{Certificate, Digest, Identity};
use brevbro::event::EventName;
use brevbro::sdk::receipt::Outcome;

use crate::common::soap::{cut, edited};
use crate::harness::peer::{Draft, Package};
use crate::harness::{Gateway, Peer, Setup, World, log, run, wait_for, world};

const TOKEN: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509SubjectKeyIdentifier";
const THUMBPRINT: &str = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1";

fn identifier(kind: &str, octets: &[u8]) -> String {
    let value = BASE64_STANDARD.encode(octets);
    format!("<wsse:SecurityTokenReference><wsse:KeyIdentifier ValueType=\"{kind}\">{value}</wsse:KeyIdentifier></wsse:SecurityTokenReference>")
}

fn by_key_identifier(certificate: &Certificate) -> String {
    identifier(TOKEN, &certificate.subject_key_id().unwrap())
}

/// Every name of a certificate that is not the certificate.
fn names(certificate: &Certificate) -> [(&'static str, String); 3] {
    let serial = format!(
        "<wsse:SecurityTokenReference><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{}</ds:X509IssuerName><ds:X509SerialNumber>{}\
         </ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data></wsse:SecurityTokenReference>",
        certificate.issuer().split(", ").collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(","),
        certificate.serial()
    );
    let thumbprint = Digest::Sha1.of(certificate.der()).unwrap();
    [("key identifier", by_key_identifier(certificate)), ("issuer and serial", serial), ("thumbprint", identifier(THUMBPRINT, &thumbprint))]
}

/// The package with its signer named like this, and without their certificate.
fn named(mut package: Package, name: &str) -> Package {
    package.body = edited(&package.body, &|soap| {
        let signature = cut(soap, "ds:Signature");
        let changed = signature.replace(cut(signature, "ds:KeyInfo"), &format!("<ds:KeyInfo>{name}</ds:KeyInfo>"));
        let at = soap.rfind("<wsse:BinarySecurityToken").unwrap();
        let token = cut(&soap[at..], "wsse:BinarySecurityToken");
        assert!(soap.contains(signature));
        soap.replace(signature, &changed).replace(token, "")
    });
    package
}

/// How often the certificate of an access point of this sender was looked for.
fn searches(peer: &Peer) -> usize {
    let log = String::from_utf8_lossy(&log().lock().unwrap()).into_owned();
    let of = format!("sender={}", peer.participant);
    log.lines().filter(|line| line.contains("was looked for in the federation") && line.contains(&of)).count()
}

/// A message of its own for each name, one after another.
fn fresh(draft: &Draft, number: usize) -> Draft {
    let mut draft = draft.clone();
    draft.message.message_id = format!("{number}-{}", draft.message.message_id).parse().unwrap();
    draft
}

async fn pair(name: &str) -> (Gateway, Peer) {
    (Gateway::start(Setup::new(name)).await, Peer::start(&format!("{name}-peer")).await)
}

#[test]
fn a_signer_that_is_only_named_is_found_in_the_federation_once_and_known_from_then_on() {
    run(async {
        let (gateway, peer) = pair("signers-named").await;
        let draft = peer.draft(&gateway);
        for (number, (what, name)) in names(&draft.point.certificate).into_iter().enumerate() {
            let reply = peer.push(&gateway, &named(fresh(&draft, number).package(), &name)).await;
            reply.acknowledged();
            assert_eq!(searches(&peer), 1, "{what}");
        }
        // All carry one SDK message: whichever was opened first is accepted, in whatever order the receipts come.
        let mut number = 0;
        while peer.receipt(number).await.outcome != Outcome::Accepted {
            number += 1;
        }
        gateway.delivery().await;
        gateway.stop().await;
    });
}

#[test]
fn who_sent_their_certificate_once_need_not_be_looked_for() {
    run(async {
        let (gateway, peer) = pair("signers-known").await;
        let draft = peer.draft(&gateway);
        peer.push(&gateway, &draft.package()).await.acknowledged();
        peer.push(&gateway, &named(fresh(&draft, 1).package(), &by_key_identifier(&draft.point.certificate))).await.acknowledged();
        assert_eq!(searches(&peer), 0);
        gateway.stop().await;
    });
}

#[test]
fn a_certificate_that_was_just_changed_is_found_past_the_cache() {
    run(async {
        let (gateway, peer) = pair("signers-changed").await;
        let mut draft = peer.draft(&gateway);
        peer.push(&gateway, &named(draft.package(), &by_key_identifier(&draft.point.certificate))).await.acknowledged();
        let name = "AP0077-TESTBED";
        let world = world().await;
        let issued = world.testbed.issue_access_point(&name.parse().unwrap()).unwrap();
        world.register(&peer.participant.to_string(), &peer.endpoint, &issued, &world.peer);
        draft.point = issued.identity;
        draft.message.from = name.parse().unwrap();
        peer.push(&gateway, &named(fresh(&draft, 1).package(), &by_key_identifier(&draft.point.certificate))).await.acknowledged();
        assert_eq!(searches(&peer), 2);
        gateway.stop().await;
    });
}

#[test]
fn a_name_that_leads_to_nobody_or_to_another_key_is_refused() {
    run(async {
        let (gateway, peer) = pair("signers-wrong").await;
        let draft = peer.draft(&gateway);
        let other = &draft.signer.certificate;
        let refused = async |what: &str, package: Package| {
            let error = peer.push(&gateway, &package).await.refused("EBMS:0101");
            assert!(!error.description.contains("0203:"), "{what}: nothing of the message is told: {error}");
        };
        refused("a certificate that is not the sender's", named(draft.package(), &by_key_identifier(other))).await;
        // The right name over somebody else's signature.
        let mut forged = draft.clone();
        forged.point = Identity::clone(&draft.signer);
        refused("another key", named(forged.package(), &by_key_identifier(&draft.point.certificate))).await;
        let mut unknown = draft.clone();
        unknown.message.original_sender = "0203:signers-nobody.se".parse().unwrap();
        refused("a sender that nobody knows", named(unknown.package(), &by_key_identifier(&draft.point.certificate))).await;
        let mut elsewhere = draft.clone();
        elsewhere.message.final_recipient = "0203:signers-elsewhere.se".parse().unwrap();
        let before = searches(&peer);
        refused("a recipient that is not ours", named(elsewhere.package(), &by_key_identifier(other))).await;
        assert_eq!(searches(&peer), before, "for somebody who is not served here nobody is looked for");
        assert_eq!(gateway.events(EventName::Received).await, []);
        assert_eq!(gateway.daemon.gateway.blobs.heads().await.unwrap(), []);
        gateway.stop().await;
    });
}

#[test]
fn while_nobody_can_be_asked_the_other_side_is_to_try_again() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_path_buf();
        // Nothing of it runs yet.
        let world: &'static World = tokio::task::spawn_blocking(move || &*Box::leak(Box::new(World::make(&at)))).await.unwrap();
        let gateway = Gateway::start_in(world, Setup::new("signers-down")).await;
        let peer = Peer::start_in(world, "signers-down-peer").await;
        let draft = peer.draft(&gateway);
        let package = named(draft.package(), &by_key_identifier(&draft.point.certificate));
        assert_eq!(peer.push(&gateway, &package).await.body, b"try again later\n");
        assert_eq!(gateway.events(EventName::Refused).await, [], "nothing was decided");
        let running = world.testbed.start().await.unwrap();
        wait_for("the same message taken", || async { peer.push(&gateway, &package).await.is_acknowledged().then_some(()) }).await;
        gateway.stop().await;
        running.stop().await;
    });
}

#[test]
fn a_flood_of_unknown_names_costs_few_searches_and_stops_nobody_else() {
    run(async {
        let (gateway, peer) = pair("signers-flood").await;
        let draft = peer.draft(&gateway);
        let package = named(draft.package(), &by_key_identifier(&draft.signer.certificate));
        let started = std::time::Instant::now();
        for _ in 0..60 {
            peer.push(&gateway, &package).await.not_taken();
        }
        // A burst of 20, and one more every two seconds.
        let allowed = 21 + usize::try_from(started.elapsed().as_secs()).unwrap() / 2;
        assert!(searches(&peer) <= allowed, "{} searches, {allowed} allowed", searches(&peer));
        // Somebody who is only named too gets through when there is room again; with a certificate at once.
        let sound = named(fresh(&draft, 2).package(), &by_key_identifier(&draft.point.certificate));
        let other = Peer::start("signers-flood-other").await;
        other.push(&gateway, &other.draft(&gateway).package()).await.acknowledged();
        wait_for("room for a search", || async { peer.push(&gateway, &sound).await.is_acknowledged().then_some(()) }).await;
        gateway.stop().await;
    });
}
