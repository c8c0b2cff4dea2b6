//! Keys change while messages are on their way: nothing is lost, whichever side changes.

use brevbro::as4::{self, Answer};
use brevbro::crypto::{Certificate, Identity};
use brevbro::event::{EventName, Field};
use brevbro::ident::AccessPointId;
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::seal;
use brevbro::testbed::{Issued, Registration, Subject};

use crate::harness::client::submit;
use crate::harness::peer::{Draft, Mood};
use crate::harness::{Gateway, Peer, Setup, World, mail, run, wait_for, world};

/// A federation of its own, whose services a test stops or whose access points it gives other keys.
fn own_world() -> &'static World {
    let dir = Box::leak(Box::new(tempfile::tempdir().unwrap()));
    Box::leak(Box::new(World::make(dir.path())))
}

/// Two certificates of one subject, the older first, each with files of its own.
fn two(world: &World, subject: &Subject) -> [Issued; 2] {
    let kept = tempfile::tempdir().unwrap().keep();
    let apart = |issued: Issued, name: &str| {
        let (pkcs12, password_file) = (kept.join(format!("{name}.p12")), kept.join(format!("{name}.password")));
        std::fs::copy(&issued.pkcs12, &pkcs12).unwrap();
        std::fs::copy(&issued.password_file, &password_file).unwrap();
        Issued { pkcs12, password_file, ..issued }
    };
    let old = apart(world.testbed.issue(subject, None).unwrap(), "old");
    loop {
        let new = world.testbed.renew(subject).unwrap();
        // Times in certificates are whole seconds.
        if new.identity.certificate.not_before() > old.identity.certificate.not_before() {
            return [old, apart(new, "new")];
        }
    }
}

/// A section that names a key.
fn section(name: &str, issued: &Issued) -> &'static str {
    let (key, password) = (issued.pkcs12.display(), issued.password_file.display());
    Box::leak(format!("[[{name}]]\nkey = \"{key}\"\nkey-password-file = \"{password}\"\n").into_boxed_str())
}

fn with(world: &World, point: &Issued, own: &Issued) -> World {
    let [peer_point, peer, tls] = [&world.peer_point, &world.peer, &world.tls].map(Clone::clone);
    World { testbed: world.testbed.clone(), own_point: point.clone(), peer_point, own: own.clone(), peer, tls }
}

fn registration(gateway: &Gateway, point: &Certificate, certificates: &[&Issued]) -> Registration {
    let all: Vec<Certificate> = certificates.iter().map(|issued| issued.identity.certificate.clone()).collect();
    let mut registration = Registration::new(gateway.participant.clone(), &gateway.endpoint, point.clone(), all[0].clone());
    (registration.signing, registration.encryption) = (all.clone(), all);
    registration
}

fn participant(id: &str) -> Subject {
    Subject::Participant(id.parse().unwrap())
}

fn access_point(name: &str) -> Subject {
    Subject::AccessPoint(AccessPointId::new(name).unwrap())
}

#[test]
fn what_was_sealed_for_the_old_certificate_is_opened_after_the_change_and_what_is_sent_is_signed_with_the_new() {
    run(async {
        let world = own_world();
        let mut running = world.testbed.start().await.unwrap();
        let [old, new] = two(world, &participant("0203:byter.se"));
        let before = with(world, &world.own_point, &old);
        let peer = Peer::start_in(world, "byter-peer").await;
        let gateway = Gateway::start_in(&before, Setup::new("byter")).await;
        let sealed_for = |issued: &Issued| {
            let mut draft = peer.draft(&gateway);
            draft.sealed_for = issued.identity.certificate.clone();
            draft
        };
        // It is received and lies in the queue: its signer cannot be looked up.
        running.stop_smp().await;
        peer.send(&gateway, &sealed_for(&old)).await.acknowledged();
        gateway.event(EventName::Postponed).await;
        // The change: the new key signs, the old one still decrypts. Both are published, the new one first.
        let late = [sealed_for(&old), sealed_for(&new)];
        let after = with(world, &world.own_point, &new);
        let setup = Setup { mailbox: section("organisation.encryption-key", &old), ..Setup::new("byter") };
        let gateway = gateway.restart_in(&after, setup).await;
        world.testbed.publish(&registration(&gateway, &world.own_point.identity.certificate, &[&new, &old])).unwrap();
        running.stop().await;
        let _running = world.testbed.start().await.unwrap();
        wait_for("the message from before", || async { (gateway.delivered().len() == 1).then_some(()) }).await;
        for (number, draft) in late.iter().enumerate() {
            peer.send(&gateway, draft).await.acknowledged();
            wait_for("a message after the change", || async { (gateway.delivered().len() == number + 2).then_some(()) }).await;
        }
        for number in 0..3 {
            assert_eq!(peer.receipt(number).await.outcome, Outcome::Accepted);
        }
        for taken in peer.taken() {
            assert_eq!(seal::verify(&taken.envelope).unwrap().signer, new.identity.certificate);
        }
        assert_eq!(gateway.daemon.gateway.check_registration().await, []);
        gateway.quiet().await;
        gateway.stop().await;
    });
}

#[test]
fn without_the_old_key_what_was_sealed_for_it_is_lost_and_the_operator_is_told() {
    run(async {
        let world = world().await;
        let [old, new] = two(world, &participant("0203:byter-hart.se"));
        let gateway = Gateway::start_in(&with(world, &world.own_point, &new), Setup::new("byter-hart")).await;
        let peer = Peer::start("byter-hart-peer").await;
        let mut draft = peer.draft(&gateway);
        draft.sealed_for = old.identity.certificate.clone();
        peer.send(&gateway, &draft).await.acknowledged();
        gateway.event(EventName::Discarded).await;
        assert!(gateway.alarm().await.text.contains("cannot be decrypted"));
        gateway.stop().await;
    });
}

/// What the peer's operator sees who expects that signer.
async fn answer(peer: &Peer, gateway: &Gateway, draft: &Draft, expected: &Identity) -> Answer {
    let package = draft.package();
    let reply = peer.push(gateway, &package).await;
    as4::answer::read(200, "application/soap+xml", &reply.body, &package.sent, &expected.certificate)
}

#[test]
fn a_receipt_is_signed_with_the_access_point_key_that_the_sender_knows() {
    run(async {
        let world = own_world();
        let _running = world.testbed.start().await.unwrap();
        let [old, new] = two(world, &access_point("AP0001-TESTBED"));
        let setup = Setup { mailbox: section("access-point.other-key", &old), ..Setup::new("byter-ap") };
        let gateway = Gateway::start_in(&with(world, &new, &world.own), setup).await;
        let peer = Peer::start_in(world, "byter-ap-peer").await;
        let draft = |issued: &Issued| {
            let mut draft = peer.draft(&gateway);
            draft.packed_for = issued.identity.certificate.clone();
            draft
        };
        // A sender with the registration from before the change in its cache, and one with the present one.
        for known in [&old, &new] {
            let answer = answer(&peer, &gateway, &draft(known), &known.identity).await;
            assert!(matches!(answer, Answer::Receipt(_)), "{answer:?}");
        }
        // SMP may have either of them meanwhile.
        for known in [&old, &new] {
            world.testbed.publish(&registration(&gateway, &known.identity.certificate, &[&world.own])).unwrap();
            assert_eq!(gateway.daemon.gateway.check_registration().await, []);
        }
        world.testbed.publish(&registration(&gateway, &world.peer_point.identity.certificate, &[&world.own])).unwrap();
        assert_eq!(gateway.daemon.gateway.check_registration().await.len(), 2, "a third one is wrong, for both documents");
        gateway.stop().await;
    });
}

#[test]
fn the_other_access_point_changes_its_key_while_a_message_waits() {
    run(async {
        let world = own_world();
        let _running = world.testbed.start().await.unwrap();
        let [old, new] = two(world, &access_point("AP0002-TESTBED"));
        let gateway = Gateway::start_in(world, Setup::new("motpart")).await;
        let peer = Peer::start_in(world, "motpart-peer").await;
        let publish = |issued: &Issued| {
            let (point, own) = (issued.identity.certificate.clone(), world.peer.identity.certificate.clone());
            world.testbed.publish(&Registration::new(peer.participant.clone(), &peer.endpoint, point, own)).unwrap();
        };
        let send = async |id: &str| {
            let to = gateway.address_of("inkorg", &peer.name);
            submit(&gateway, &[&to], "", &mail(&gateway.mailbox, id, "Hej")).await;
        };
        publish(&old);
        peer.has_keys(&[&old.identity]);
        peer.set(Mood::Down);
        send("a1").await;
        gateway.event(EventName::SendDeferred).await;
        // The old key is gone: what was made for it is made anew for the new one, under the same id.
        publish(&new);
        peer.has_keys(&[&new.identity]);
        peer.set(Mood::Good);
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        let submitted = gateway.events(EventName::Submitted).await;
        assert_eq!(submitted.len(), 2);
        assert_eq!(submitted[0].fields[&Field::As4MessageId], submitted[1].fields[&Field::As4MessageId]);
        assert_eq!(submitted[1].fields[&Field::PeerCertificate], new.identity.certificate.fingerprint().to_string());
        gateway.event(EventName::Accepted).await;
        gateway.quiet().await;
        gateway.stop().await;
    });
}

#[test]
fn a_receipt_signed_with_the_other_access_points_new_key_proves_delivery() {
    run(async {
        let world = own_world();
        let _running = world.testbed.start().await.unwrap();
        let [old, new] = two(world, &access_point("AP0002-TESTBED"));
        let gateway = Gateway::start_in(world, Setup::new("motpart-bada")).await;
        let peer = Peer::start_in(world, "motpart-bada-peer").await;
        let publish = |issued: &Issued| {
            let (point, own) = (issued.identity.certificate.clone(), world.peer.identity.certificate.clone());
            world.testbed.publish(&Registration::new(peer.participant.clone(), &peer.endpoint, point, own)).unwrap();
        };
        publish(&old);
        peer.has_keys(&[&old.identity]);
        peer.set(Mood::Down);
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "a1", "Hej")).await;
        gateway.event(EventName::SendDeferred).await;
        // It decrypts with both and signs with the new one alone.
        publish(&new);
        peer.has_keys(&[&new.identity, &old.identity]);
        peer.set(Mood::Good);
        let acknowledged = gateway.event(EventName::Acknowledged).await;
        assert_eq!(acknowledged.fields[&Field::PeerCertificate], new.identity.certificate.fingerprint().to_string());
        assert_eq!(gateway.events(EventName::Submitted).await.len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn a_message_is_sealed_for_the_newest_certificate_that_is_good() {
    run(async {
        let world = world().await;
        let [old, new] = two(world, &participant("0203:valjer-peer.se"));
        let peer = Peer::start("valjer-peer").await;
        let mut registration = Registration::new(
            peer.participant.clone(),
            &peer.endpoint,
            world.peer_point.identity.certificate.clone(),
            old.identity.certificate.clone(),
        );
        registration.encryption.push(new.identity.certificate.clone());
        world.testbed.publish(&registration).unwrap();
        let sealed = async |name: &str, number: usize| {
            let gateway = Gateway::start(Setup::new(name)).await;
            let to = gateway.address_of("inkorg", &peer.name);
            submit(&gateway, &[&to], "", &mail(&gateway.mailbox, name, "Hej")).await;
            let taken = wait_for("an envelope", || async { peer.taken().into_iter().nth(number) }).await;
            let event = gateway.event(EventName::Sealed).await;
            let verified = seal::verify(&taken.envelope).unwrap();
            let opens = |issued: &Issued| verified.payload(std::slice::from_ref(&issued.identity)).is_ok();
            let told = (opens(&old), opens(&new), event.fields[&Field::ParticipantCertificate].clone());
            gateway.stop().await;
            told
        };
        assert_eq!(sealed("valjer", 0).await, (false, true, new.identity.certificate.fingerprint().to_string()));
        world.testbed.revoke(&participant("0203:valjer-peer.se")).unwrap();
        assert_eq!(sealed("valjer-om", 1).await, (true, false, old.identity.certificate.fingerprint().to_string()));
    });
}
