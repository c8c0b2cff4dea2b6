//! Revocation over the network: which addresses are asked, how often, and what counts when they are silent or lie.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brevbro::crypto::{Authorities, Certificate};
use brevbro::edge::http::{HttpOptions, PlainHttp};
use brevbro::edge::reach::Reach;
use brevbro::edge::tls::{ClientAuth, Roots, TlsIdentity, client_config, server_config};
use brevbro::edge::trust::{CaTrust, Revocation, TrustOptions};
use brevbro::port::{Clock, Realm, Trust, TrustError};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::forge::*;
use crate::common::pki;

/// A server of lists that counts.
struct Server {
    port: u16,
    lists: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), lists: Arc::default(), asked: Arc::default() };
        let (lists, asked) = (Arc::clone(&server.lists), Arc::clone(&server.asked));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (lists, asked, tls) = (Arc::clone(&lists), Arc::clone(&asked), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, &lists, &asked).await,
                        Some(tls) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                                answer(stream, &lists, &asked).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    fn put(&self, name: &str, list: Vec<u8>) {
        self.lists.lock().unwrap().insert(format!("/{name}"), list);
    }

    fn remove(&self, name: &str) {
        self.lists.lock().unwrap().remove(&format!("/{name}"));
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn answer<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut stream: S, lists: &Mutex<HashMap<String, Vec<u8>>>, asked: &Mutex<Vec<String>>) {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&request[..read]).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(path.clone());
    let list = lists.lock().unwrap().get(&path).cloned();
    match list {
        // A name for a server that says nothing.
        None if path.contains("silent") => tokio::time::sleep(Duration::from_mins(10)).await,
        None => drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await),
        Some(list) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", list.len());
            drop(stream.write_all(&[head.as_bytes(), &list].concat()).await);
        }
    }
    drop(stream.shutdown().await);
}

/// A clock that is set by hand.
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Scene {
    ca: Made,
    clock: Arc<Hands>,
    server: Server,
}

impl Scene {
    async fn new() -> Self {
        Self { ca: Form::ca("ca").issue(None), clock: Arc::new(Hands(Mutex::new(now()))), server: Server::start(None).await }
    }

    fn leaf(&self, urls: &[&str]) -> Certificate {
        let all: Vec<_> = urls.iter().map(|url| vec![*url]).collect();
        let all: Vec<(&[&str], Vec<u8>)> = all.iter().map(|point| (point.as_slice(), Vec::new())).collect();
        Form::leaf("leaf").with(points(&all)).issue(Some(&self.ca)).certificate
    }

    fn trust(&self, change: impl FnOnce(&mut TrustOptions)) -> CaTrust {
        let anchors = || Authorities::new(vec![self.ca.certificate.clone()], Vec::new());
        let authorities = BTreeMap::from([(Realm::AccessPoint, anchors()), (Realm::Participant, anchors()), (Realm::Smp, anchors())]);
        let http = HttpOptions {
            plain: PlainHttp::Loopback,
            reach: Reach::with_loopback(),
            exchange_timeout: Duration::from_secs(2),
            ..TrustOptions::default().http
        };
        let mut options = TrustOptions { authorities, http, ..TrustOptions::default() };
        change(&mut options);
        CaTrust::new(options, Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn later(&self, by: SignedDuration) {
        *self.clock.0.lock().unwrap() += by;
    }
}

async fn judge(trust: &CaTrust, certificate: &Certificate) -> Result<(), TrustError> {
    trust.judge(Realm::AccessPoint, certificate, &[]).await
}

fn unchecked(result: Result<(), TrustError>, words: &str) {
    assert!(matches!(&result, Err(TrustError::Unchecked(why)) if why.contains(words)), "{words}: {result:?}");
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[tokio::test]
async fn addresses_are_tried_in_their_order_and_ldap_is_passed_over() {
    let scene = Scene::new().await;
    scene.server.put("second", List::new().sign(&scene.ca));
    let (first, second) = (scene.server.url("first"), scene.server.url("second"));
    let leaf = scene.leaf(&["ldap://127.0.0.1/cn=ca", &first, &second]);
    assert_eq!(judge(&scene.trust(|_| ()), &leaf).await, Ok(()));
    assert_eq!(*scene.server.asked.lock().unwrap(), ["/first", "/second"]);
    unchecked(judge(&scene.trust(|_| ()), &scene.leaf(&["ldap://127.0.0.1/cn=ca"])).await, "LDAP only");
    unchecked(judge(&scene.trust(|_| ()), &scene.leaf(&[])).await, "names neither OCSP responder nor revocation list");
}

#[tokio::test]
async fn an_address_that_fails_is_not_asked_by_every_message() {
    let scene = Scene::new().await;
    let url = scene.server.url("list");
    let leaf = scene.leaf(&[&url]);
    let trust = scene.trust(|_| ());
    let other = Form::ca("ca").issue(None);
    let useless =
        [None, Some(b"<html>".to_vec()), Some(List::new().sign(&other)), Some(List { until: Some(now() - MINUTE), ..List::new() }.sign(&scene.ca))];
    for (number, list) in useless.into_iter().enumerate() {
        match list {
            Some(list) => scene.server.put("list", list),
            None => scene.server.remove("list"),
        }
        for _ in 0..20 {
            assert!(matches!(judge(&trust, &leaf).await, Err(TrustError::Unchecked(_))), "{number}");
        }
        assert_eq!(scene.server.asked(), number + 1, "asked once");
        scene.later(MINUTE);
    }
    scene.server.put("list", List::new().sign(&scene.ca));
    assert_eq!(judge(&trust, &leaf).await, Ok(()));
}

#[tokio::test]
async fn a_list_is_used_again_until_it_is_old_or_has_ended() {
    let scene = Scene::new().await;
    let url = scene.server.url("list");
    let leaf = scene.leaf(&[&url]);
    let trust = scene.trust(|_| ());
    let until = |minutes: i32| List { until: Some(now() + MINUTE * minutes), ..List::new() };
    scene.server.put("list", until(90).sign(&scene.ca));
    for _ in 0..5 {
        assert_eq!(judge(&trust, &leaf).await, Ok(()));
    }
    assert_eq!(scene.server.asked(), 1);
    scene.later(MINUTE * 61);
    assert_eq!(judge(&trust, &leaf).await, Ok(()));
    assert_eq!(scene.server.asked(), 2, "an hour is the most, whatever it says itself");
    scene.later(MINUTE * 30);
    unchecked(judge(&trust, &leaf).await, "ended at");
    assert_eq!(scene.server.asked(), 3, "its own end comes sooner");
}

#[tokio::test]
async fn an_older_list_that_still_holds_undoes_no_revocation() {
    let scene = Scene::new().await;
    let url = scene.server.url("list");
    let leaf = scene.leaf(&[&url]);
    let trust = scene.trust(|options| options.max_age = Duration::ZERO);
    let before = List { issued: now() - MINUTE * 60, ..List::new() }.sign(&scene.ca);
    let newer = List { issued: now(), ..List::new() }.revoking(&leaf).sign(&scene.ca);
    scene.server.put("list", newer);
    assert_eq!(judge(&trust, &leaf).await, Err(TrustError::Revoked));
    scene.server.put("list", before);
    assert_eq!(judge(&trust, &leaf).await, Err(TrustError::Revoked));
    assert_eq!(scene.server.asked(), 2);
}

#[tokio::test]
async fn after_its_end_a_list_counts_as_long_as_is_configured_and_only_while_no_other_is_to_be_had() {
    let scene = Scene::new().await;
    let url = scene.server.url("list");
    let (good, bad) = (scene.leaf(&[&url]), scene.leaf(&[&url]));
    let until = Some(now() + MINUTE * 10);
    scene.server.put("list", List { until, ..List::new() }.revoking(&bad).sign(&scene.ca));
    let (strict, patient) = (scene.trust(|_| ()), scene.trust(|options| options.grace = Duration::from_mins(30)));
    for trust in [&strict, &patient] {
        assert_eq!((judge(trust, &good).await, judge(trust, &bad).await), (Ok(()), Err(TrustError::Revoked)));
    }
    scene.server.remove("list");
    scene.later(MINUTE * 39);
    unchecked(judge(&strict, &good).await, "the last list ended at");
    assert_eq!((judge(&patient, &good).await, judge(&patient, &bad).await), (Ok(()), Err(TrustError::Revoked)));
    let [state] = patient.lists().try_into().unwrap();
    assert_eq!((state.url.as_str(), state.until, state.failure.as_deref()), (url.as_str(), until, Some("status 404")));
    scene.later(MINUTE * 2);
    unchecked(judge(&patient, &good).await, "the last list ended at");
    scene.server.put("list", List { issued: now(), ..List::new() }.revoking(&good).sign(&scene.ca));
    scene.later(MINUTE);
    assert_eq!(judge(&patient, &good).await, Err(TrustError::Revoked));
}

#[tokio::test]
async fn each_kind_of_certificate_has_its_own_answer_to_silence() {
    let scene = Scene::new().await;
    let url = scene.server.url("list");
    let leaf = scene.leaf(&[&url]);
    let trust =
        scene.trust(|options| options.revocation_of = BTreeMap::from([(Realm::Participant, Revocation::Soft), (Realm::Smp, Revocation::Off)]));
    let all = async || {
        let mut told = Vec::new();
        for realm in [Realm::AccessPoint, Realm::Participant, Realm::Smp] {
            told.push(trust.judge(realm, &leaf, &[]).await.map_err(|error| error == TrustError::Revoked));
        }
        told
    };
    assert_eq!(all().await, [Err(false), Ok(()), Ok(())]);
    scene.later(MINUTE);
    scene.server.put("list", List::new().revoking(&leaf).sign(&scene.ca));
    assert_eq!(all().await, [Err(true), Err(true), Ok(())], "soft is no blindness");
}

#[tokio::test]
async fn a_list_over_https_comes_from_a_server_of_the_configured_cas() {
    let scene = Scene::new().await;
    let web = pki::Ca::new("Web CA");
    let identity = TlsIdentity::try_from(&web.issue("crl.example")).unwrap();
    let server = Server::start(Some(server_config(&identity, ClientAuth::None).unwrap())).await;
    server.put("list", List::new().sign(&scene.ca));
    let leaf = scene.leaf(&[&server.url("list").replace("http:", "https:")]);
    let by = |root: Certificate| Some(client_config(Roots::Only(&[root]), None).unwrap());
    assert_eq!(judge(&scene.trust(|options| options.http.tls = by(web.certificate())), &leaf).await, Ok(()));
    unchecked(judge(&scene.trust(|options| options.http.tls = by(pki::Ca::new("Another").certificate())), &leaf).await, "TLS");
    unchecked(judge(&scene.trust(|options| options.http.tls = None), &leaf).await, "refused");
    assert_eq!(server.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_too_long_or_never_comes_costs_its_limit_once() {
    let scene = Scene::new().await;
    let mut long = List::new();
    long.revoked = (1..=20_000u64).map(|number| (format!("{}", (u128::from(number) << 64) + 77), Vec::new())).collect();
    let long = long.sign(&scene.ca);
    assert!(long.len() > 500_000);
    scene.server.put("long", long);
    let (long, silent) = (scene.server.url("long"), scene.server.url("silent"));
    let leaf = scene.leaf(&[&long]);
    unchecked(judge(&scene.trust(|options| options.http.answer_limit = 100_000), &leaf).await, "longer than 100000 octets");
    assert_eq!(judge(&scene.trust(|_| ()), &leaf).await, Ok(()));
    let (trust, leaf) = (Arc::new(scene.trust(|_| ())), scene.leaf(&[&silent]));
    let asked = scene.server.asked();
    let began = Instant::now();
    let all: Vec<_> = (0..10)
        .map(|_| {
            let (trust, leaf) = (Arc::clone(&trust), leaf.clone());
            tokio::spawn(async move { judge(&trust, &leaf).await })
        })
        .collect();
    for one in all {
        unchecked(one.await.unwrap(), "it took too long");
    }
    assert_eq!(scene.server.asked(), asked + 1, "ten messages wait for one answer");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
