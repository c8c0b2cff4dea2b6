//! Addresses that others name never lead into this machine or the networks behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use brevbro::crypto::Authorities;
use brevbro::edge::as4_client::As4Client;
use brevbro::edge::clock::SystemClock;
use brevbro::edge::http::{HttpClient, HttpError, HttpOptions, PlainHttp};
use brevbro::edge::reach::Reach;
use brevbro::edge::tls::{Roots, client_config};
use brevbro::edge::trust::{CaTrust, TrustOptions};
use brevbro::port::{Freshness, Realm, Request, Transport, TransportError, Trust, TrustError};
use brevbro::testbed::{Authority, Options, Testbed};

use crate::stage::Stage;

/// Ways to write this machine, in the order: by number, by name, in IPv6's clothes, in forms that only some programs read.
fn spellings(port: u16) -> Vec<String> {
    let hosts = [
        "127.0.0.1",
        "127.9.9.9",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "[::1%25lo]",
        "[fe80::1%25lo]",
    ];
    hosts.iter().map(|host| format!("http://{host}:{port}/smp")).collect()
}

#[tokio::test]
async fn a_dns_record_leads_to_no_smp_on_this_machine_however_it_is_written() {
    let stage = Stage::set().await;
    for url in spellings(stage.smp_address.port()) {
        stage.points_to(&url);
        let directory = stage.directory_with(|options| {
            options.http.plain = PlainHttp::Anywhere;
            options.http.reach = Reach::default();
        });
        let answer = stage.ask(&directory, Freshness::Cached).await;
        assert!(answer.is_err(), "{url}: {answer:?}");
    }
    for url in
        ["http://user:password@smp.example.se/", "http://a@127.0.0.1/", "http://10.0.0.1/smp", "http://169.254.169.254/latest", "http://[fd00::1]/"]
    {
        stage.points_to(url);
        assert!(stage.unusable().await.contains("refused"), "{url}");
    }
    assert_eq!(stage.requests(), 0, "nothing was ever sent");
    stage.points_to(&format!("http://{}/smp", stage.smp_address));
    assert!(stage.ask(&stage.directory(), Freshness::Cached).await.is_ok(), "and it was the guard that kept it away");
}

#[tokio::test]
async fn a_name_is_judged_by_the_address_that_it_means_when_it_is_connected_to() {
    // `localhost` stands in the machine's own list of names: a name as good as any that leads inside.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    let client = |reach| HttpClient::new(HttpOptions { plain: PlainHttp::Anywhere, reach, ..HttpOptions::default() });
    let refused = client(Reach::default()).get(&url).await.unwrap_err();
    assert!(
        matches!(&refused, HttpError::Refused(why) if why.starts_with("localhost is ") && why.ends_with("which is an address of this machine")),
        "{refused}"
    );
    let accepted = tokio::spawn(async move { listener.accept().await.is_ok() });
    let answer = client(Reach::with_loopback()).get(&url).await;
    assert!(matches!(answer, Err(HttpError::NoAnswer(_))), "{answer:?}");
    assert!(accepted.await.unwrap());
}

#[tokio::test]
async fn an_endpoint_is_https_without_user_and_in_the_internet() {
    let ca = crate::common::pki::Ca::new("TLS CA");
    let tls = client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
    let push = async |endpoint: &str| {
        let client = As4Client::new(HttpOptions { tls: Some(Arc::clone(&tls)), ..HttpOptions::default() });
        let request = Request { endpoint: endpoint.into(), content_type: "a/b".into(), length: 0, body: Box::new(std::io::empty()) };
        client.push(request).await
    };
    let here: Vec<String> = spellings(8443).into_iter().map(|url| url.replace("http://", "https://")).collect();
    let more = [
        "http://as4.example.se/as4",
        "https://user@as4.example.se/as4",
        "https://10.1.2.3/as4",
        "https://192.168.0.1:8443/as4",
        "https://[fd00::1]/as4",
        "https://1.1.1.1:22/as4",
        "https://1.1.1.1:25/as4",
        "file:///etc/passwd",
        "gopher://1.1.1.1/",
        "as4.example.se",
    ];
    for endpoint in here.iter().map(String::as_str).chain(more) {
        let answer = push(endpoint).await;
        assert!(matches!(answer, Err(TransportError::Refused { .. })), "{endpoint}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_lead_to_no_list_or_responder_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let certificate = testbed.issue_access_point(&"AP0001-TESTBED".parse().unwrap()).unwrap().identity.certificate;
    let _running = testbed.start().await.unwrap();
    let judge = async |reach: Reach| {
        let authorities = BTreeMap::from([(Realm::AccessPoint, Authorities::from_bundle(testbed.trusted(Authority::AccessPoint).unwrap()))]);
        let mut options = TrustOptions { authorities, ..TrustOptions::default() };
        options.http.reach = reach;
        CaTrust::new(options, Arc::new(SystemClock)).judge(Realm::AccessPoint, &certificate, &[]).await
    };
    let refused = judge(Reach::default()).await;
    assert!(matches!(&refused, Err(TrustError::Unchecked(why)) if why.contains("an address of this machine")), "{refused:?}");
    assert_eq!(judge(Reach::with_loopback()).await, Ok(()));
}
