//! OCSP: the `openssl` program and we judge one another's questions and answers, and trust is given by whoever can tell.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::*;
use brevbro::crypto::{
    Identity, OcspAnswer, OcspQuestion, OcspRefusal, OcspStatus, Profile, Template, issue_ocsp, ocsp_request, ocsp_urls, refuse_ocsp,
};
use brevbro::edge::http::{HttpClient, HttpOptions, PlainHttp};
use brevbro::edge::reach::Reach;
use brevbro::edge::trust::{CaTrust, Order, Revocation, TrustOptions};
use brevbro::ident::{AccessPointId, ParticipantId};
use brevbro::port::{Realm, Trust, TrustError};
use brevbro::testbed::{Authority, Options, Running, Subject, Testbed};
use common::{has, judge, temporary};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Federation {
    testbed: Testbed,
    running: Running,
    access_point: Subject,
    participant: Subject,
    dir: tempfile::TempDir,
}

async fn federation() -> Federation {
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let access_point = Subject::AccessPoint(AccessPointId::new("AP0001-TESTBED").unwrap());
    let participant = Subject::Participant(ParticipantId::new("0203:kommun.se").unwrap());
    for subject in [&access_point, &participant] {
        testbed.issue(subject, None).unwrap();
    }
    let running = testbed.start().await.unwrap();
    Federation { testbed, running, access_point, participant, dir }
}

impl Federation {
    fn trust(&self, change: impl FnOnce(&mut TrustOptions)) -> CaTrust {
        common::trust::trust(&self.testbed, change)
    }

    async fn judge(&self, trust: &CaTrust) -> Result<(), TrustError> {
        let certificate = self.testbed.issued(&self.access_point).unwrap().unwrap();
        trust.judge(Realm::AccessPoint, &certificate, &[]).await
    }

    fn ca(&self, name: &str) -> Identity {
        Identity::from_pem(&fs::read(self.dir.path().join("ca").join(name).join("identity.pem")).unwrap(), None).unwrap()
    }

    /// Puts another responder in the place of the testbed's.
    async fn replace_responder(&mut self, says: Says) -> Arc<Responder> {
        self.running.stop_ocsp().await;
        let address = self.running.ocsp_url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind(address).await.unwrap();
        let ca = self.ca("access-point");
        let responder = Arc::new(Responder {
            without_usage: leaf(Profile::Service, &ca),
            stranger: leaf(Profile::Authority, &self.ca("participant")),
            root: self.ca("access-point-root"),
            ca,
            says: Mutex::new(says),
            asked: Mutex::new(0),
            before: Mutex::new(None),
        });
        let serving = Arc::clone(&responder);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        responder
    }
}

fn leaf(profile: Profile, issuer: &Identity) -> Identity {
    let now = Timestamp::now();
    let (from, until) = (now - SignedDuration::from_hours(1), now + SignedDuration::from_hours(1));
    Template { subject: vec![("CN", "OCSP".into())], from, until, profile, crl_url: None, ocsp_url: None }.issue(2048, Some(issuer)).unwrap()
}

/// What the replaced responder says of the access point's certificate. Of its CA it says good as long as it says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Good,
    Revoked,
    Unknown,
    GoodUntilYesterday,
    GoodFromTomorrow,
    GoodByStranger,
    GoodByOneWhoMayNot,
    /// The same answer as the first time.
    GoodAgain,
    TryLater,
    Nonsense,
    Nothing,
}

struct Responder {
    ca: Identity,
    root: Identity,
    without_usage: Identity,
    stranger: Identity,
    says: Mutex<Says>,
    asked: Mutex<usize>,
    before: Mutex<Option<Vec<u8>>>,
}

impl Responder {
    fn set(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How often it was asked about the access point.
    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let (head, body) = loop {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "a request is sent wholly");
            request.extend_from_slice(&buffer[..read]);
            if let Some(at) = request.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(request[..at].to_vec()).unwrap().to_lowercase();
                let length: usize = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
                if request.len() == at + 4 + length {
                    break (head, request[at + 4..].to_vec());
                }
            }
        };
        assert!(head.contains("content-type: application/ocsp-request"), "{head}");
        let of_root = head.starts_with("post /ocsp/access-point-root ");
        if !of_root {
            *self.asked.lock().unwrap() += 1;
        }
        let says = *self.says.lock().unwrap();
        if says == Says::Nothing && !of_root {
            tokio::time::sleep(Duration::from_mins(10)).await;
        }
        let answer = self.answer(&body, if of_root { Says::Good } else { says }, of_root);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: {}\r\n\r\n", answer.len());
        let _ = stream.write_all(&[head.as_bytes(), &answer].concat()).await;
        let _ = stream.shutdown().await;
    }

    fn answer(&self, question: &[u8], says: Says, of_root: bool) -> Vec<u8> {
        let question = OcspQuestion::read(question).unwrap();
        let (now, day) = (Timestamp::now(), SignedDuration::from_hours(24));
        let issue = |by: &Identity, status: OcspStatus, made: Timestamp| {
            let said: Vec<_> = question.ids.iter().map(|id| (id.clone(), status)).collect();
            issue_ocsp(by, &said, question.nonce.as_deref(), made, Some(made + SignedDuration::from_hours(1))).unwrap()
        };
        let issuer = if of_root { &self.root } else { &self.ca };
        match says {
            Says::Good => issue(issuer, OcspStatus::Good, now),
            Says::Revoked => issue(issuer, OcspStatus::Revoked(now - day), now),
            Says::Unknown => issue(issuer, OcspStatus::Unknown, now),
            Says::GoodUntilYesterday => issue(issuer, OcspStatus::Good, now - day),
            Says::GoodFromTomorrow => issue(issuer, OcspStatus::Good, now + day),
            Says::GoodByStranger => issue(&self.stranger, OcspStatus::Good, now),
            Says::GoodByOneWhoMayNot => issue(&self.without_usage, OcspStatus::Good, now),
            Says::GoodAgain => self.before.lock().unwrap().get_or_insert_with(|| issue(issuer, OcspStatus::Good, now)).clone(),
            Says::TryLater => refuse_ocsp(OcspRefusal::TryLater),
            Says::Nonsense | Says::Nothing => b"<html>".to_vec(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_asks_the_testbeds_responders_and_believes_them() {
    if !has("openssl") {
        return;
    }
    let federation = federation().await;
    let dir = tempfile::tempdir().unwrap();
    for (authority, subject) in [(Authority::AccessPoint, &federation.access_point), (Authority::Participant, &federation.participant)] {
        let trusted = federation.testbed.trusted(authority).unwrap();
        let root = temporary(dir.path(), "root.pem", trusted.last().unwrap().to_pem().as_bytes());
        let issuer = temporary(dir.path(), "issuer.pem", trusted[0].to_pem().as_bytes());
        let certificate = federation.testbed.issued(subject).unwrap().unwrap();
        let file = temporary(dir.path(), "leaf.pem", certificate.to_pem().as_bytes());
        let [url] = &ocsp_urls(&certificate)[..] else { panic!("one responder") };
        let verdict = async |what: &[&str]| {
            let mut command = Command::new("sh");
            // What it thinks of the signature it says on the other stream.
            command.args(["-c", "exec openssl ocsp \"$@\" 2>&1", "ocsp", "-CAfile"]).arg(&root).arg("-issuer").arg(&issuer);
            command.arg("-verify_other").arg(&issuer).args(what);
            judge(command).await.unwrap()
        };
        let asked = ["-url", url, "-cert", file.to_str().unwrap()];
        let text = verdict(&asked).await;
        assert!(text.contains("Response verify OK") && text.contains("leaf.pem: good"), "{authority:?}: {text}");
        assert!(!text.contains("WARNING"), "the nonce comes back: {text}");
        let text = verdict(&["-sha256", asked[0], asked[1], asked[2], asked[3]]).await;
        assert!(text.contains("Response verify OK") && text.contains("leaf.pem: good"), "{authority:?}: {text}");
        federation.testbed.revoke(subject).unwrap();
        let text = verdict(&asked).await;
        assert!(text.contains("Response verify OK") && text.contains("leaf.pem: revoked"), "{authority:?}: {text}");
        let text = verdict(&["-url", url, "-serial", "4711"]).await;
        assert!(text.contains("Response verify OK") && text.contains("4711: unknown"), "{authority:?}: {text}");
        // The same by GET.
        let question = ocsp_request(&certificate, &trusted[0], &[7; 32]).unwrap();
        let path = BASE64_STANDARD.encode(question).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let http = HttpClient::new(HttpOptions { plain: PlainHttp::Loopback, reach: Reach::with_loopback(), ..HttpOptions::default() });
        let answer = http.get(&format!("{url}/{path}")).await.unwrap();
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/ocsp-response"));
        let answer = temporary(dir.path(), "answer.der", &answer.body);
        let text = verdict(&["-no_nonce", "-respin", answer.to_str().unwrap(), "-cert", file.to_str().unwrap()]).await;
        assert!(text.contains("Response verify OK") && text.contains("leaf.pem: revoked"), "{authority:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssls_answers_are_read() {
    if !has("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let ca = Identity::from_pem(&fs::read(dir.path().join("ca/access-point/identity.pem")).unwrap(), None).unwrap();
    let issue = |name: &str| testbed.issue_access_point(&AccessPointId::new(name).unwrap()).unwrap().identity.certificate;
    let [good, bad, absent] = ["AP0001-TESTBED", "AP0002-TESTBED", "AP0003-TESTBED"].map(issue);
    let hex = |certificate: &brevbro::crypto::Certificate| format!("{:X}", certificate.serial().parse::<u128>().unwrap());
    let index = format!("V\t350101000000Z\t\t{}\tunknown\t/CN=a\nR\t350101000000Z\t250102030405Z\t{}\tunknown\t/CN=b\n", hex(&good), hex(&bad));
    let index = temporary(dir.path(), "index.txt", index.as_bytes());
    let issuer = temporary(dir.path(), "ca.pem", ca.certificate.to_pem().as_bytes());
    let delegate = leaf(Profile::Responder, &ca);
    let revoked = OcspStatus::Revoked("2025-01-02T03:04:05Z".parse().unwrap());
    for (by, identity) in [("ca", &ca), ("delegate", &delegate)] {
        let key = temporary(dir.path(), "signer.pem", identity.to_pem().unwrap().as_bytes());
        for (extra, certificate, expected) in [
            (&[][..], &good, OcspStatus::Good),
            (&["-resp_key_id", "-rmd", "sha512"], &bad, revoked),
            (&["-nmin", "10"], &absent, OcspStatus::Unknown),
        ] {
            let question = ocsp_request(certificate, &ca.certificate, &[7; 32]).unwrap();
            let question = temporary(dir.path(), "question.der", &question);
            let answer = dir.path().join("answer.der");
            let mut command = Command::new("openssl");
            command.args(["ocsp", "-index"]).arg(&index).arg("-CA").arg(&issuer).arg("-rsigner").arg(&key).args(extra);
            command.arg("-reqin").arg(question).arg("-respout").arg(&answer);
            judge(command).await.unwrap();
            let answer = fs::read(answer).unwrap();
            let read = |nonce: &[u8]| OcspAnswer::read(&answer, certificate, &ca.certificate, nonce, Timestamp::now()).map(|answer| answer.status());
            assert_eq!(read(&[7; 32]), Ok(expected), "{by} {extra:?}");
            assert!(read(&[8; 32]).is_err(), "{by} {extra:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_responder_is_believed_and_where_it_cannot_be_the_list_tells() {
    let mut federation = federation().await;
    let responder = federation.replace_responder(Says::GoodAgain).await;
    // Now there is an answer that can be given a second time.
    assert_eq!(federation.judge(&federation.trust(|_| ())).await, Ok(()));
    // The list says revoked, so that it shows who was believed.
    federation.testbed.revoke(&federation.access_point).unwrap();
    let unusable = [
        Says::Unknown,
        Says::GoodUntilYesterday,
        Says::GoodFromTomorrow,
        Says::GoodByStranger,
        Says::GoodByOneWhoMayNot,
        Says::GoodAgain,
        Says::TryLater,
        Says::Nonsense,
    ];
    for says in unusable {
        responder.set(says);
        assert_eq!(federation.judge(&federation.trust(|_| ())).await, Err(TrustError::Revoked), "{says:?}");
    }
    responder.set(Says::Good);
    assert_eq!(federation.judge(&federation.trust(|_| ())).await, Ok(()));
    assert_eq!(federation.judge(&federation.trust(|options| options.order = Order::CrlFirst)).await, Err(TrustError::Revoked));
    federation.running.stop_crl().await;
    assert_eq!(federation.judge(&federation.trust(|options| options.order = Order::CrlFirst)).await, Ok(()));
    responder.set(Says::Revoked);
    for revocation in [Revocation::Hard, Revocation::Soft] {
        assert_eq!(federation.judge(&federation.trust(|options| options.revocation = revocation)).await, Err(TrustError::Revoked));
    }
    for says in unusable {
        responder.set(says);
        let hard = federation.judge(&federation.trust(|_| ())).await;
        assert!(matches!(hard, Err(TrustError::Unchecked(_))), "{says:?}: {hard:?}");
        assert_eq!(federation.judge(&federation.trust(|options| options.revocation = Revocation::Soft)).await, Ok(()), "{says:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_seen_by_ocsp_alone_and_by_lists_alone() {
    let mut federation = federation().await;
    let certificates = [(Realm::AccessPoint, &federation.access_point), (Realm::Participant, &federation.participant)]
        .map(|(realm, subject)| (realm, federation.testbed.issued(subject).unwrap().unwrap()));
    let all = async |federation: &Federation| {
        let trust = federation.trust(|_| ());
        let mut told = Vec::new();
        for (realm, certificate) in &certificates {
            told.push(trust.judge(*realm, certificate, &[]).await);
        }
        told
    };
    federation.running.stop_crl().await;
    assert_eq!(all(&federation).await, [Ok(()), Ok(())]);
    federation.testbed.revoke(&federation.participant).unwrap();
    assert_eq!(all(&federation).await, [Ok(()), Err(TrustError::Revoked)]);
    federation.testbed.revoke(&federation.access_point).unwrap();
    assert_eq!(all(&federation).await, [Err(TrustError::Revoked), Err(TrustError::Revoked)]);
    federation.running.stop().await;
    federation.running = federation.testbed.start().await.unwrap();
    federation.running.stop_ocsp().await;
    assert_eq!(all(&federation).await, [Err(TrustError::Revoked), Err(TrustError::Revoked)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_and_a_silent_responder_is_waited_for_once() {
    let mut federation = federation().await;
    let responder = federation.replace_responder(Says::Good).await;
    let trust = federation.trust(|_| ());
    for _ in 0..3 {
        assert_eq!(federation.judge(&trust).await, Ok(()));
    }
    assert_eq!(responder.asked(), 1);
    let eager = federation.trust(|options| (options.max_age, options.http.exchange_timeout) = (Duration::ZERO, Duration::from_secs(2)));
    for _ in 0..2 {
        assert_eq!(federation.judge(&eager).await, Ok(()));
    }
    assert_eq!(responder.asked(), 3);
    responder.set(Says::Nothing);
    let patient = federation.trust(|options| options.http.exchange_timeout = Duration::from_secs(2));
    for _ in 0..3 {
        assert_eq!(federation.judge(&patient).await, Ok(()), "the list tells");
    }
    assert_eq!(responder.asked(), 4);
    let nothing_held_against = federation.trust(|options| {
        options.http.exchange_timeout = Duration::from_secs(2);
        options.retry_after = Duration::ZERO;
    });
    for _ in 0..2 {
        assert_eq!(federation.judge(&nothing_held_against).await, Ok(()));
    }
    assert_eq!(responder.asked(), 6);
    // What was good a moment ago still holds when nobody can be asked any more.
    federation.running.stop_crl().await;
    assert_eq!(federation.judge(&eager).await, Ok(()));
    assert!(matches!(
        federation.judge(&federation.trust(|options| options.http.exchange_timeout = Duration::from_secs(2))).await,
        Err(TrustError::Unchecked(_))
    ));
}
