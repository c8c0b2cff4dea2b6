//! Discovery and TLS as a whole gateway uses them: outages, news that came a moment ago, and who is at the other end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Cursor;

use brevbro::edge::as4_client::As4Client;
use brevbro::edge::http::HttpOptions;
use brevbro::edge::reach::Reach;
use brevbro::edge::tls::{Roots, TlsIdentity, client_config};
use brevbro::event::{EventName, Field};
use brevbro::ident::DocumentKind;
use brevbro::port::{DirectoryError, Freshness, Request, Transport};
use brevbro::testbed::{Authority, Subject};

use crate::harness::client::submit;
use crate::harness::peer::Mood;
use crate::harness::peer::Package;
use crate::harness::{Gateway, Peer, Setup, World, mail, run, world};

#[test]
fn messages_go_on_through_an_outage_of_the_smp_and_the_journal_says_on_what_they_rest() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_owned();
        let world = tokio::task::spawn_blocking(move || World::make(&at)).await.unwrap();
        let mut running = world.testbed.start().await.unwrap();
        let forgetful = |name| Setup { memory: "cache = \"1ms\"\ncache-stale = \"1h\"", ..Setup::new(name) };
        let sender = Gateway::start_in(&world, forgetful("outage")).await;
        let receiver = Gateway::start_in(&world, forgetful("outage-peer")).await;
        let to = sender.address_of("inkorg", "outage-peer.se");
        let send = async |id: &str| assert!(submit(&sender, &[&to], "", &mail(&sender.mailbox, id, "Hej")).await.starts_with("250 2.0.0 "), "{id}");
        send("fore").await;
        sender.event(EventName::Accepted).await;
        assert_eq!(sender.events(EventName::StaleMetadata).await, []);
        running.stop_smp().await;
        send("under").await;
        sender.nth_event(EventName::Accepted, 1).await;
        receiver.quiet().await;
        for (gateway, of) in [(&sender, "0203:outage-peer.se"), (&receiver, "0203:outage.se")] {
            let line = gateway.event(EventName::StaleMetadata).await;
            assert_eq!(line.fields[&Field::MetadataOf], of);
            assert!(line.fields[&Field::MetadataFetched].parse::<jiff::Timestamp>().unwrap() < line.at);
            assert_eq!(line.organisation.as_ref(), Some(&gateway.participant));
        }
        sender.stop().await;
        receiver.stop().await;
    });
}

#[test]
fn a_sender_that_was_unknown_a_moment_ago_is_asked_for_once_more_before_its_message_is_deleted() {
    run(async {
        let gateway = Gateway::start(Setup { memory: "cache-absent = \"1h\"", ..Setup::new("news") }).await;
        let participant = "0203:news-peer.se".parse().unwrap();
        for kind in DocumentKind::ALL {
            let absent = gateway.daemon.gateway.directory.metadata(&participant, kind, Freshness::Cached).await;
            assert_eq!(absent, Err(DirectoryError::UnknownParticipant(participant.clone())));
        }
        let peer = Peer::start("news-peer").await;
        let still = gateway.daemon.gateway.directory.metadata(&participant, DocumentKind::Receipt, Freshness::Cached).await;
        assert!(still.is_err(), "its absence is remembered");
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        gateway.delivery().await;
        gateway.stop().await;
    });
}

/// Pushes with a TLS certificate of one's own; the status.
async fn push_as(tls: &brevbro::crypto::Identity, gateway: &Gateway, package: &Package) -> u16 {
    let roots = world().await.testbed.trusted(Authority::Tls).unwrap();
    let tls = client_config(Roots::Only(&roots), Some(&TlsIdentity::try_from(tls).unwrap())).unwrap();
    let client = As4Client::new(HttpOptions { tls: Some(tls), reach: Reach::with_loopback(), ..HttpOptions::default() });
    let body = Box::new(Cursor::new(package.body.clone()));
    let request =
        Request { endpoint: gateway.endpoint.clone(), content_type: package.sent.content_type.clone(), length: package.body.len() as u64, body };
    client.push(request).await.unwrap().status
}

#[test]
fn the_verified_client_certificate_stands_in_the_journal_and_a_revoked_one_brings_nothing() {
    run(async {
        let world = world().await;
        let issue = async |name: &'static str| tokio::task::spawn_blocking(move || world.testbed.issue_tls(&[name]).unwrap().identity).await.unwrap();
        let (good, revoked) = (issue("tls-good.test").await, issue("tls-revoked.test").await);
        world.testbed.revoke(&Subject::Tls(vec!["tls-revoked.test".into()])).unwrap();
        let (gateway, peer) = (Gateway::start(Setup::new("tls-client")).await, Peer::start("tls-client-peer").await);
        let package = peer.draft(&gateway).package();
        assert_eq!(push_as(&good, &gateway, &package).await, 200);
        let line = gateway.event(EventName::Received).await;
        assert!(line.fields[&Field::TlsClient].contains("CN=tls-good.test"), "{line:?}");
        assert_eq!(line.fields[&Field::TlsClientCertificate], good.certificate.fingerprint().to_string());
        assert!(line.fields[&Field::PeerAddress].starts_with("127.0.0.1:"));
        assert_eq!(push_as(&good, &gateway, &package).await, 200);
        let line = gateway.event(EventName::DuplicateReceived).await;
        assert_eq!(line.fields[&Field::TlsClientCertificate], good.certificate.fingerprint().to_string());

        assert_eq!(push_as(&revoked, &gateway, &peer.draft(&gateway).package()).await, 403);
        let line = gateway.event(EventName::Refused).await;
        assert!(line.fields[&Field::Cause].contains("revoked") && line.fields[&Field::TlsClient].contains("CN=tls-revoked.test"), "{line:?}");
        assert_eq!(gateway.events(EventName::Received).await.len(), 1);
        gateway.delivery().await;
        gateway.quiet().await;
        assert_eq!(gateway.delivered().len(), 1);
        gateway.stop().await;
    });
}

/// Runs `brevbro as4 ping` with a gateway's configuration: whether it succeeded, and what it printed.
async fn ping(gateway: &Gateway, to: &str, more: &[&'static str]) -> (bool, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_brevbro"));
    command.args(["as4", "ping", "--to", to, "--config"]).arg(gateway.dir().join("gateway.toml")).args(more);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_ping_tells_each_step_to_the_other_gateway_and_back() {
    run(async {
        let (gateway, other) = (Gateway::start(Setup::new("ping")).await, Gateway::start(Setup::new("ping-other")).await);
        let (done, told) = ping(&gateway, "0203:Ping-Other.se", &[]).await;
        assert!(done, "{told}");
        let world = world().await;
        let point = world.own_point.identity.certificate.fingerprint().to_string();
        let lines: Vec<(&str, &str)> = told.lines().filter_map(|line| line.split_at_checked(14)).collect();
        let line = |label: &str| lines.iter().find(|(own, _)| own.trim() == label).unwrap_or_else(|| panic!("no {label} in {told}")).1;
        assert!(line("DNS").ends_with(&format!(".iso6523-actorid-upis.{}", world.testbed.sml_zone())));
        assert_eq!((line("SMP"), line("documents")), (world.testbed.smp_url().as_str(), "messages, receipts"));
        assert!(line("metadata").starts_with("for messages, signed by SMP0001-TESTBED, until "));
        assert_eq!(line("endpoint"), format!("{}, digg-transport-as4-v1_0", other.endpoint));
        assert!(line("access point").contains(&point) && line("access point").ends_with(": trusted"));
        assert!(line("signing").ends_with(": trusted") && line("encryption").ends_with(": trusted"));
        assert!(
            line("connection").starts_with("127.0.0.1:") && line("connection").contains(" by TLSv1.3, TLS13_AES_256_GCM_SHA384; localhost, until "),
            "{told}"
        );
        assert!(line("answer").starts_with("status 200, "));
        assert!(line("receipt").ends_with(": signed by the access point, repeats every digest"));
        assert!(ping(&gateway, "0203:ping-other.se", &["--receipt"]).await.1.contains("for receipts, signed by"));
        // Nothing was delivered or kept on either side.
        assert_eq!(other.daemon.gateway.blobs.heads().await.unwrap(), []);
        assert_eq!((other.delivered().len(), other.events(EventName::Received).await.len()), (0, 0));
        gateway.stop().await;
        other.stop().await;
    });
}

#[test]
fn a_ping_stops_at_the_step_that_fails_and_says_what_to_do() {
    run(async {
        let gateway = Gateway::start(Setup::new("ping-fails")).await;
        let world = world().await;
        let (failed, told) = ping(&gateway, "0203:nobody.se", &[]).await;
        assert!(!failed && told.contains("0203:nobody.se is not registered in the federation") && told.contains("hint: is the id right"), "{told}");
        // Its access point is down.
        world.register("0203:ping-down.se", "https://127.0.0.1:1/as4", &world.peer_point, &world.peer);
        let (failed, told) = ping(&gateway, "0203:ping-down.se", &[]).await;
        assert!(!failed && told.contains("test message  ") && told.contains("no connection") && !told.contains("receipt  "), "{told}");
        // Its certificate is no access point's: nothing is sent.
        world.register("0203:ping-wrong.se", "https://127.0.0.1:1/as4", &world.peer, &world.peer);
        let (failed, told) = ping(&gateway, "0203:ping-wrong.se", &[]).await;
        assert!(!failed && told.contains("NOT TRUSTED: ") && told.contains("nothing was sent") && !told.contains("test message"), "{told}");
        // Somebody else has signed the receipt.
        let (peer, elsewhere) = (Peer::start("ping-elsewhere").await, "0203:ping-elsewhere.se");
        peer.set(Mood::Forged);
        let (failed, told) = ping(&gateway, elsewhere, &[]).await;
        assert!(!failed && told.contains("the answer proves nothing: ") && !told.contains("receipt  "), "{told}");
        // It is another access point than the one that is registered, and says so.
        peer.set(Mood::Good);
        world.register(elsewhere, &peer.endpoint, &world.own_point, &world.peer);
        gateway.daemon.gateway.directory.metadata(&elsewhere.parse().unwrap(), DocumentKind::Message, Freshness::Fresh).await.unwrap();
        let (failed, told) = ping(&gateway, elsewhere, &[]).await;
        assert!(!failed && told.contains("answered with an error: EBMS:0102") && !told.contains("receipt  "), "{told}");
        gateway.stop().await;
    });
}
