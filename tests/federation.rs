//! The federation's side: the testbed publishes, foreign programs judge what it publishes, the gateway's edges find it and
//! refuse what is not right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brevbro::crypto::{Authorities, Certificate, sign_enveloped};
use brevbro::edge::as4_client::As4Client;
use brevbro::edge::clock::SystemClock;
use brevbro::edge::directory::{DirectoryOptions, DnsDirectory, StaticDirectory, StaticEntry};
use brevbro::edge::http::{HttpClient, HttpOptions, PlainHttp};
use brevbro::edge::reach::Reach;
use brevbro::edge::tls::{ClientAuth, Roots, TlsIdentity, client_config, server_config};
use brevbro::edge::trust::{CaTrust, Revocation, TrustOptions};
use brevbro::ident::{AccessPointId, DocumentKind, ParticipantId};
use brevbro::port::{Directory, DirectoryError, Freshness, Realm, Request, Transport, TransportError, Trust, TrustError};
use brevbro::smp;
use brevbro::testbed::{Authority, Issued, Options, Registration, Running, Subject, Testbed};
use common::{has, judge, shared, temporary};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ENDPOINT: &str = "https://ap.kommun.se/as4";

/// A running testbed with one access point and one registered participant.
struct Federation {
    testbed: Testbed,
    running: Running,
    access_point: Issued,
    own: Issued,
    participant: ParticipantId,
    _dir: tempfile::TempDir,
}

async fn federation() -> Federation {
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let participant = participant("0203:kommun.se");
    let access_point = testbed.issue_access_point(&AccessPointId::new("AP0001-TESTBED").unwrap()).unwrap();
    let own = testbed.issue_participant(&participant).unwrap();
    testbed.register(&participant, ENDPOINT, &access_point.identity.certificate).unwrap();
    let running = testbed.start().await.unwrap();
    Federation { testbed, running, access_point, own, participant, _dir: dir }
}

impl Federation {
    fn trust(&self, change: impl FnOnce(&mut TrustOptions)) -> CaTrust {
        common::trust::trust(&self.testbed, change)
    }

    fn directory(&self) -> DnsDirectory {
        self.directory_with(|_| ())
    }

    fn directory_with(&self, change: impl FnOnce(&mut DirectoryOptions)) -> DnsDirectory {
        let mut options = DirectoryOptions::new(self.running.sml_zone.clone());
        options.dns.resolvers = vec![self.running.dns_addr];
        options.dns.timeout = Duration::from_secs(2);
        options.http.plain = PlainHttp::Loopback;
        options.http.reach = Reach::with_loopback();
        change(&mut options);
        DnsDirectory::new(options, Arc::new(self.trust(|_| ())), Arc::new(SystemClock)).unwrap()
    }

    async fn fetch(&self, url: &str) -> Vec<u8> {
        let http = HttpClient::new(HttpOptions { plain: PlainHttp::Loopback, reach: Reach::with_loopback(), ..HttpOptions::default() });
        let answer = http.get(url).await.unwrap();
        assert_eq!(answer.status, 200, "{url}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    fn metadata_url(&self, kind: DocumentKind) -> String {
        smp::service_metadata_url(&self.running.smp_url, &self.participant, kind.document_id())
    }

    /// Puts another server in the SMP's place, which answers everything with the status and body that it is given.
    async fn replace_smp(&mut self) -> Arc<Mutex<(&'static str, Vec<u8>)>> {
        self.running.stop_smp().await;
        let address = self.running.smp_url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind(address).await.unwrap();
        let shared = Arc::new(Mutex::new(("404 Not Found", Vec::new())));
        let answer = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let _ = stream.read(&mut request).await;
                let (status, body) = answer.lock().unwrap().clone();
                let head = format!("HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
                let _ = stream.shutdown().await;
            }
        });
        shared
    }
}

fn participant(id: &str) -> ParticipantId {
    ParticipantId::new(id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_gets_the_smp_of_a_participant_and_nxdomain_for_a_stranger() {
    if !has("dig") {
        return;
    }
    let federation = federation().await;
    let dig = |name: String, more: &[&str]| {
        let mut command = Command::new("dig");
        let address = federation.running.dns_addr;
        command.arg(format!("@{}", address.ip())).args(["-p", &address.port().to_string(), "NAPTR", &name, "+time=3", "+tries=1"]).args(more);
        judge(command)
    };
    let name = smp::naptr_name(&federation.participant, &federation.running.sml_zone);
    let expected = format!("100 10 \"U\" \"Meta:SMP\" \"!^.*$!{}!\" .\n", federation.running.smp_url);
    assert_eq!(dig(name.clone(), &["+short"]).await.unwrap(), expected);
    assert_eq!(dig(name.to_lowercase(), &["+short", "+tcp", "+noedns"]).await.unwrap(), expected);
    let stranger = dig(smp::naptr_name(&participant("0203:stranger.se"), &federation.running.sml_zone), &[]).await.unwrap();
    assert!(stranger.contains("status: NXDOMAIN") && stranger.contains("SOA"), "{stranger}");
    let foreign = dig("www.example.com".into(), &[]).await.unwrap();
    assert!(foreign.contains("status: REFUSED"), "{foreign}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_verifies_every_chain_with_its_lists_and_sees_a_revocation() {
    if !has("openssl") {
        return;
    }
    let federation = federation().await;
    let testbed = &federation.testbed;
    let tls = testbed.issue_tls(&["localhost", "127.0.0.1"]).unwrap();
    let smp_certificate = testbed.issued(&Subject::Smp).unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let smp_file = temporary(dir.path(), "smp.pem", smp_certificate.to_pem().as_bytes());
    let leaves = [
        (Authority::AccessPoint, &["access-point", "access-point-root"][..], federation.access_point.certificate.clone()),
        (Authority::Participant, &["participant", "participant-root"], federation.own.certificate.clone()),
        (Authority::Smp, &["smp"], smp_file),
        (Authority::Tls, &["tls"], tls.certificate.clone()),
    ];
    let verify = async |authority: Authority, lists: &[&str], leaf: &Path| {
        let mut crls = Vec::new();
        for list in lists {
            let der = temporary(dir.path(), "list.der", &federation.fetch(&format!("{}/{list}.crl", federation.running.crl_url)).await);
            let mut command = Command::new("openssl");
            command.args(["crl", "-inform", "DER", "-in"]).arg(der);
            crls.push(judge(command).await.unwrap());
        }
        let crls = temporary(dir.path(), "crls.pem", crls.concat().as_bytes());
        // Root and intermediate apart, so that the whole chain is judged.
        let trusted = testbed.trusted(authority).unwrap();
        let (root, between) = trusted.split_last().unwrap();
        let root = temporary(dir.path(), "root.pem", root.to_pem().as_bytes());
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-crl_check_all", "-CAfile"]).arg(root).arg("-CRLfile").arg(crls);
        if !between.is_empty() {
            let text: String = between.iter().map(Certificate::to_pem).collect();
            command.arg("-untrusted").arg(temporary(dir.path(), "between.pem", text.as_bytes()));
        }
        command.arg(leaf);
        judge(command).await
    };
    for (authority, lists, leaf) in &leaves {
        let verdict = verify(*authority, lists, leaf).await;
        assert!(verdict.as_ref().is_ok_and(|text| text.ends_with(": OK\n")), "{authority:?}: {verdict:?}");
    }
    testbed.revoke(&Subject::AccessPoint(AccessPointId::new("AP0001-TESTBED").unwrap())).unwrap();
    let (authority, lists, leaf) = &leaves[0];
    let verdict = verify(*authority, lists, leaf).await.unwrap_err();
    assert!(verdict.contains("certificate revoked"), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_opens_the_pkcs12_with_its_password() {
    if !has("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let issued = testbed.issue(&Subject::AccessPoint(AccessPointId::new("AP0002-TESTBED").unwrap()), Some("lösen ord")).unwrap();
    assert_eq!(fs::read_to_string(&issued.password_file).unwrap(), "lösen ord\n");
    let mut command = Command::new("openssl");
    command.args(["pkcs12", "-nodes", "-in"]).arg(&issued.pkcs12).arg("-passin").arg(format!("file:{}", issued.password_file.display()));
    let text = judge(command).await.unwrap();
    assert!(text.contains("BEGIN PRIVATE KEY") && text.matches("BEGIN CERTIFICATE").count() == 3, "{text}");
    assert!(text.contains("CN = AP0002-TESTBED"), "{text}");
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-text", "-in"]).arg(&issued.certificate);
    let text = judge(command).await.unwrap();
    for expected in [
        "Digital Signature, Key Encipherment",
        "CA:FALSE",
        "Authority Key Identifier",
        "Subject Key Identifier",
        &testbed.crl_url(),
        &testbed.ocsp_url(),
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_accepts_both_answers_of_the_smp_and_xmlsec1_verifies_the_signed_one() {
    let Some(schema) = shared("as4-schemas/bdx-smp-201605.xsd") else { return };
    if !has("xmllint") || !has("xmlsec1") {
        return;
    }
    let federation = federation().await;
    let dir = tempfile::tempdir().unwrap();
    let group = federation.fetch(&smp::service_group_url(&federation.running.smp_url, &federation.participant)).await;
    let mut files = vec![temporary(dir.path(), "group.xml", &group)];
    for kind in DocumentKind::ALL {
        let signed = federation.fetch(&federation.metadata_url(kind)).await;
        let file = temporary(dir.path(), &format!("{kind:?}.xml"), &signed);
        let mut command = Command::new("xmlsec1");
        let trusted = federation.testbed.trust_file(Authority::Smp);
        command.args(["--verify", "--enabled-key-data", "x509", "--trusted-pem"]).arg(&trusted).arg(&file);
        judge(command).await.unwrap();
        let tampered = String::from_utf8(signed).unwrap().replace("ap.kommun.se", "ap.other.se");
        let tampered = temporary(dir.path(), "tampered.xml", tampered.as_bytes());
        let mut command = Command::new("xmlsec1");
        command.args(["--verify", "--enabled-key-data", "x509", "--trusted-pem"]).arg(&trusted).arg(&tampered);
        judge(command).await.unwrap_err();
        files.push(file);
    }
    let mut command = Command::new("xmllint");
    command.args(["--nonet", "--noout", "--schema"]).arg(schema).args(files);
    judge(command).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_finds_a_participant_and_its_certificates() {
    let federation = federation().await;
    let directory = federation.directory();
    // However it is written.
    let spelt = participant("0203:Kommun.SE");
    assert_eq!(directory.kinds(&spelt).await.unwrap(), DocumentKind::ALL);
    for kind in DocumentKind::ALL {
        let metadata = directory.metadata(&spelt, kind, Freshness::Fresh).await.unwrap();
        assert_eq!((metadata.kind, metadata.endpoint.as_str()), (kind, ENDPOINT));
        assert_eq!(metadata.access_point, federation.access_point.identity.certificate);
        assert_eq!(metadata.signing, std::slice::from_ref(&federation.own.identity.certificate));
        assert_eq!(metadata.encryption, metadata.signing);
        assert_eq!(metadata.signer, federation.testbed.issued(&Subject::Smp).unwrap().unwrap());
        assert_eq!(metadata.transport_profile, "digg-transport-as4-v1_0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_registered_is_unknown_and_what_is_not_taken_too() {
    let federation = federation().await;
    let directory = federation.directory();
    let stranger = participant("0203:stranger.se");
    let unknown = DirectoryError::UnknownParticipant(stranger.clone());
    assert_eq!(directory.metadata(&stranger, DocumentKind::Message, Freshness::Cached).await, Err(unknown.clone()));
    assert_eq!(directory.kinds(&stranger).await, Err(unknown));
    let partly = participant("0007:2021006883");
    let own = federation.testbed.issue_participant(&partly).unwrap().identity.certificate;
    let mut registration = Registration::new(partly.clone(), ENDPOINT, federation.access_point.identity.certificate.clone(), own);
    registration.kinds = vec![DocumentKind::Receipt];
    federation.testbed.publish(&registration).unwrap();
    assert_eq!(directory.kinds(&partly).await.unwrap(), [DocumentKind::Receipt]);
    let missing = directory.metadata(&partly, DocumentKind::Message, Freshness::Fresh).await;
    assert_eq!(missing, Err(DirectoryError::UnknownDocument { participant: partly.clone(), kind: DocumentKind::Message }));
    registration.kinds = DocumentKind::ALL.to_vec();
    registration.transport_profile = "bdxr-transport-ebms3-as4-v1p0".into();
    federation.testbed.publish(&registration).unwrap();
    assert!(matches!(directory.metadata(&partly, DocumentKind::Message, Freshness::Fresh).await, Err(DirectoryError::Unusable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_answer_is_kept_and_a_fresh_one_asked_for() {
    let federation = federation().await;
    let directory = federation.directory();
    let ask = |freshness| directory.metadata(&federation.participant, DocumentKind::Message, freshness);
    let first = ask(Freshness::Cached).await.unwrap();
    federation.testbed.register(&federation.participant, "https://moved.kommun.se/as4", &federation.access_point.identity.certificate).unwrap();
    assert_eq!(ask(Freshness::Cached).await.unwrap(), first);
    assert_eq!(ask(Freshness::Fresh).await.unwrap().endpoint, "https://moved.kommun.se/as4");
    assert_eq!(ask(Freshness::Cached).await.unwrap().endpoint, "https://moved.kommun.se/as4");
    federation.testbed.withdraw(&federation.participant).unwrap();
    assert_eq!(ask(Freshness::Fresh).await, Err(DirectoryError::UnknownParticipant(federation.participant.clone())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federation_that_is_down_is_unavailable_and_nobody_becomes_unknown() {
    let mut federation = federation().await;
    let directory = federation.directory();
    let participant = federation.participant.clone();
    let ask = || directory.metadata(&participant, DocumentKind::Message, Freshness::Fresh);
    federation.running.stop_smp().await;
    assert!(matches!(ask().await, Err(DirectoryError::Unavailable { service, .. }) if service.starts_with("SMP")));
    federation.running.stop().await;
    assert!(matches!(ask().await, Err(DirectoryError::Unavailable { service, .. }) if service == "DNS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_smp_did_not_sign_or_should_not_say_is_refused() {
    let stranger = participant("0203:stranger.se");
    let redirect = format!(
        "<SignedServiceMetadata xmlns='{}'><ServiceMetadata><Redirect href='http://127.0.0.1:1'><CertificateUID>x</CertificateUID></Redirect>\
         </ServiceMetadata></SignedServiceMetadata>",
        smp::SMP_NS
    );
    let mut federation = federation().await;
    let own = federation.testbed.issue_participant(&stranger).unwrap().identity.certificate;
    let another = Registration::new(stranger.clone(), ENDPOINT, federation.access_point.identity.certificate.clone(), own);
    federation.testbed.publish(&another).unwrap();
    let good = federation.fetch(&federation.metadata_url(DocumentKind::Message)).await;
    let receipt = federation.fetch(&federation.metadata_url(DocumentKind::Receipt)).await;
    let of_stranger = federation.fetch(&smp::service_metadata_url(&federation.running.smp_url, &stranger, DocumentKind::Message.document_id())).await;
    let text = String::from_utf8(good.clone()).unwrap();
    // The same metadata, signed by the access point in the SMP's place.
    let (unsigned, _) = text.split_once("<ds:Signature").or_else(|| text.split_once("<Signature")).unwrap();
    let resigned = sign_enveloped(format!("{unsigned}</SignedServiceMetadata>").as_bytes(), &federation.access_point.identity).unwrap();
    let smp_identity = federation.testbed.issue(&Subject::Smp, None).unwrap().identity;
    let signed_redirect = sign_enveloped(redirect.as_bytes(), &smp_identity).unwrap();
    let cases: [(&str, &str, Vec<u8>); 8] = [
        ("tampered with", "200 OK", text.replace("ap.kommun.se", "ap.other.se").into_bytes()),
        ("not signed", "200 OK", format!("{unsigned}</SignedServiceMetadata>").into_bytes()),
        ("signed by somebody else", "200 OK", resigned),
        ("a signed redirect", "200 OK", signed_redirect),
        ("an HTTP redirect", "302 Found", good.clone()),
        ("another participant's", "200 OK", of_stranger),
        ("another document's", "200 OK", receipt),
        ("no XML", "200 OK", b"hello".to_vec()),
    ];
    let directory = federation.directory();
    let smp = federation.replace_smp().await;
    let ask = async |status, body| {
        *smp.lock().unwrap() = (status, body);
        directory.metadata(&federation.participant, DocumentKind::Message, Freshness::Fresh).await
    };
    for (what, status, body) in cases {
        let answer = ask(status, body).await;
        assert!(matches!(answer, Err(DirectoryError::Unusable { .. })), "{what}: {answer:?}");
    }
    assert!(ask("200 OK", good.clone()).await.is_ok(), "so it was not the server in between");
    assert!(matches!(ask("503 Service Unavailable", good).await, Err(DirectoryError::Unavailable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_and_its_successor_trusted() {
    let federation = federation().await;
    let subject = Subject::AccessPoint(AccessPointId::new("AP0001-TESTBED").unwrap());
    let old = federation.access_point.identity.certificate.clone();
    let trust = federation.trust(|options| options.max_age = Duration::ZERO);
    assert_eq!(trust.judge(Realm::AccessPoint, &old, &[]).await, Ok(()));
    federation.testbed.revoke(&subject).unwrap();
    assert_eq!(trust.judge(Realm::AccessPoint, &old, &[]).await, Err(TrustError::Revoked));
    let new = federation.testbed.issue(&subject, None).unwrap().identity.certificate;
    assert_ne!(new, old);
    assert_eq!(trust.judge(Realm::AccessPoint, &new, &[]).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_smp_key_makes_its_metadata_useless() {
    let federation = federation().await;
    federation.testbed.revoke(&Subject::Smp).unwrap();
    let answer = federation.directory().metadata(&federation.participant, DocumentKind::Message, Freshness::Fresh).await;
    assert!(matches!(answer, Err(DirectoryError::Unusable { ref reason, .. }) if reason.contains("revoked")), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_signer_is_the_only_one_and_slowness_is_no_absence() {
    let federation = federation().await;
    let ask = async |directory: DnsDirectory| directory.metadata(&federation.participant, DocumentKind::Message, Freshness::Fresh).await;
    let signer = federation.testbed.issued(&Subject::Smp).unwrap();
    assert!(ask(federation.directory_with(|options| options.smp_signer = signer)).await.is_ok());
    let other = Some(federation.access_point.identity.certificate.clone());
    let refused = ask(federation.directory_with(|options| options.smp_signer = other)).await;
    assert!(matches!(refused, Err(DirectoryError::Unusable { .. })), "{refused:?}");
    let slow = ask(federation.directory_with(|options| options.timeout = Duration::ZERO)).await;
    assert!(matches!(slow, Err(DirectoryError::Unavailable { .. })), "{slow:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_realm_has_its_own_cas() {
    let federation = federation().await;
    let other = tempfile::tempdir().unwrap();
    let other = Testbed::open(other.path(), &Options::small()).unwrap();
    let foreign = other.issue_access_point(&AccessPointId::new("AP0001-TESTBED").unwrap()).unwrap().identity;
    let trust = federation.trust(|_| ());
    let issuer = |result: Result<(), TrustError>| matches!(result, Err(TrustError::Issuer(_)));
    assert!(issuer(trust.judge(Realm::AccessPoint, &foreign.certificate, &foreign.chain).await));
    assert!(issuer(trust.judge(Realm::AccessPoint, &federation.own.identity.certificate, &federation.own.identity.chain).await));
    assert!(issuer(trust.judge(Realm::Smp, &federation.access_point.identity.certificate, &[]).await));
    assert_eq!(trust.judge(Realm::Participant, &federation.own.identity.certificate, &[]).await, Ok(()));
    let nobody = federation.trust(|options| options.authorities.clear());
    assert!(issuer(nobody.judge(Realm::AccessPoint, &federation.access_point.identity.certificate, &[]).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_list_and_responder_trust_is_withheld_unless_it_is_soft_and_what_is_known_serves_on() {
    let mut federation = federation().await;
    let certificate = federation.access_point.identity.certificate.clone();
    let informed = federation.trust(|_| ());
    assert_eq!(informed.judge(Realm::AccessPoint, &certificate, &[]).await, Ok(()));
    // Old enough to be fetched anew at once, and still what the CA says.
    let stale = federation.trust(|options| options.max_age = Duration::ZERO);
    assert_eq!(stale.judge(Realm::AccessPoint, &certificate, &[]).await, Ok(()));
    federation.running.stop_crl().await;
    federation.running.stop_ocsp().await;
    assert_eq!(informed.judge(Realm::AccessPoint, &certificate, &[]).await, Ok(()));
    assert_eq!(stale.judge(Realm::AccessPoint, &certificate, &[]).await, Ok(()));
    let hard = federation.trust(|_| ());
    assert!(matches!(hard.judge(Realm::AccessPoint, &certificate, &[]).await, Err(TrustError::Unchecked(_))));
    let soft = federation.trust(|options| options.revocation = Revocation::Soft);
    assert_eq!(soft.judge(Realm::AccessPoint, &certificate, &[]).await, Ok(()));
    let off = federation.trust(|options| options.revocation = Revocation::Off);
    assert_eq!(off.judge(Realm::AccessPoint, &certificate, &[]).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_directory_knows_what_the_configuration_says() {
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let access_point = testbed.issue_access_point(&AccessPointId::new("AP0001-TESTBED").unwrap()).unwrap().identity.certificate;
    let known = participant("0203:kommun.se");
    let directory = StaticDirectory::new([StaticEntry {
        participant: known.clone(),
        kinds: vec![DocumentKind::Message],
        endpoint: ENDPOINT.into(),
        access_point: access_point.clone(),
        transport_profile: "digg-transport-as4-v1_0".into(),
        signing: vec![],
        encryption: vec![access_point.clone()],
    }]);
    let spelt = participant("0203:KOMMUN.se");
    assert_eq!(directory.kinds(&spelt).await.unwrap(), [DocumentKind::Message]);
    let metadata = directory.metadata(&spelt, DocumentKind::Message, Freshness::Cached).await.unwrap();
    assert_eq!((metadata.endpoint.as_str(), &metadata.encryption[..]), (ENDPOINT, &[access_point][..]));
    let missing = directory.metadata(&known, DocumentKind::Receipt, Freshness::Cached).await;
    assert!(matches!(missing, Err(DirectoryError::UnknownDocument { .. })));
    assert!(matches!(directory.kinds(&participant("0203:a.se")).await, Err(DirectoryError::UnknownParticipant(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testbed_that_is_opened_again_is_the_same() {
    let federation = federation().await;
    let (before, registered) = (federation.running.dns_addr, federation.testbed.registrations().unwrap());
    federation.running.stop().await;
    let again = Testbed::open(federation.testbed.dir(), &Options::default()).unwrap();
    let running = again.start().await.unwrap();
    assert_eq!(running.dns_addr, before);
    assert_eq!(again.registrations().unwrap(), registered);
    assert_eq!(
        again.issue_access_point(&AccessPointId::new("AP0001-TESTBED").unwrap()).unwrap().identity.certificate,
        federation.access_point.identity.certificate
    );
    for authority in Authority::ALL {
        assert_eq!(again.trusted(authority).unwrap(), federation.testbed.trusted(authority).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_issues_and_registers_while_the_testbed_runs() {
    let dir = tempfile::tempdir().unwrap();
    let brevbro = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
        command.arg("testbed").args(arguments).args(["--small-keys", "--dir"]).arg(dir.path());
        command
    };
    let mut server = brevbro(&["run"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = server.stdout.take().unwrap();
    let mut told = String::new();
    while !told.contains("ready\n") {
        let mut buffer = [0; 1024];
        let read = output.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {told}");
        told.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    judge(brevbro(&["issue", "access-point", "AP0009-TESTBED"])).await.unwrap();
    let ap_cert = dir.path().join("issued/access-point/AP0009-TESTBED/certificate.pem");
    let issue = ["issue", "participant", "0203:ny.se", "--endpoint", ENDPOINT, "--ap-cert", ap_cert.to_str().unwrap()];
    judge(brevbro(&issue)).await.unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let mut options = DirectoryOptions::new(testbed.sml_zone().clone());
    options.dns.resolvers = vec![testbed.dns_address()];
    options.http.reach = Reach::with_loopback();
    let authorities = BTreeMap::from([(Realm::Smp, Authorities::from_bundle(testbed.trusted(Authority::Smp).unwrap()))]);
    let trust = CaTrust::new(
        TrustOptions {
            authorities,
            http: HttpOptions { plain: PlainHttp::Loopback, reach: Reach::with_loopback(), ..HttpOptions::default() },
            ..TrustOptions::default()
        },
        Arc::new(SystemClock),
    );
    let directory = DnsDirectory::new(options, Arc::new(trust), Arc::new(SystemClock)).unwrap();
    let metadata = directory.metadata(&participant("0203:ny.se"), DocumentKind::Receipt, Freshness::Fresh).await.unwrap();
    assert_eq!(metadata.access_point, Certificate::from_pem(&fs::read(&ap_cert).unwrap()).unwrap());
    let revoked = judge(brevbro(&["revoke", "access-point", "AP0009-TESTBED"])).await.unwrap();
    assert!(revoked.starts_with("revoked      ") && revoked.contains("CN=AP0009-TESTBED"), "{revoked}");
    let mut stop = Command::new("kill");
    stop.arg(server.id().to_string());
    judge(stop).await.unwrap();
    assert!(server.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_as4_request_goes_over_tls_to_the_right_server_only() {
    const LENGTH: u64 = 5_000_000;
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(dir.path(), &Options::small()).unwrap();
    let server = testbed.issue_tls(&["localhost"]).unwrap().identity;
    let client = testbed.issue_tls(&["client.example"]).unwrap().identity;
    let roots = testbed.trusted(Authority::Tls).unwrap();
    let config = server_config(&TlsIdentity::try_from(&server).unwrap(), ClientAuth::Required(&roots)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let (mut received, mut buffer) = (Vec::new(), vec![0; 65_536]);
            while let Ok(read) = stream.read(&mut buffer).await {
                received.extend_from_slice(&buffer[..read]);
                let body = received.windows(4).position(|w| w == b"\r\n\r\n").map(|at| received.len() - at - 4);
                if read == 0 || body.is_some_and(|length| length as u64 >= LENGTH) {
                    break;
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 500 Oops\r\nContent-Type: application/soap+xml\r\nContent-Length: 5\r\n\r\nfault").await;
            let _ = stream.shutdown().await;
        }
    });
    let push = |options: HttpOptions, endpoint: String| async move {
        let body = Box::new(io::repeat(b'x').take(LENGTH));
        As4Client::new(options).push(Request { endpoint, content_type: "multipart/related".into(), length: LENGTH, body }).await
    };
    let identity = TlsIdentity::try_from(&client).unwrap();
    let tls = |identity| HttpOptions {
        tls: Some(client_config(Roots::Only(&roots), identity).unwrap()),
        reach: Reach::with_loopback(),
        ..HttpOptions::default()
    };
    let answer = push(tls(Some(&identity)), format!("https://localhost:{port}/as4")).await.unwrap();
    assert_eq!((answer.status, answer.content_type.as_str(), answer.body.as_slice()), (500, "application/soap+xml", &b"fault"[..]));
    let wrong_name = push(tls(Some(&identity)), format!("https://127.0.0.1:{port}/as4")).await;
    assert!(matches!(wrong_name, Err(TransportError::Unreachable { .. })), "{wrong_name:?}");
    let anonymous = push(tls(None), format!("https://localhost:{port}/as4")).await;
    assert!(matches!(anonymous, Err(TransportError::NoAnswer { .. } | TransportError::Unreachable { .. })), "{anonymous:?}");
    let plain = push(HttpOptions::default(), format!("http://localhost:{port}/as4")).await;
    assert!(matches!(plain, Err(TransportError::Refused { .. })), "{plain:?}");
}

#[test]
fn the_federations_published_certificates_chain_as_expected() {
    let Some(published) = shared("sdk-docs/certificates") else { return };
    let read = |path: &str| Certificate::from_any(&fs::read(published.join(path)).unwrap()).unwrap();
    let mut count = 0;
    for environment in fs::read_dir(&published).unwrap() {
        for file in fs::read_dir(environment.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            assert!(Certificate::from_any(&fs::read(&path).unwrap()).is_ok(), "{}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 24);
    let at: Timestamp = "2023-01-01T00:00:00Z".parse().unwrap();
    for (root, issuing, smp_root, smp) in [
        (
            "prod/Rot-CA-eDelivery-Accesspunkt-PROD.cer",
            "prod/Accesspunkt-CA-SDK-PROD.cer",
            "prod/Rot-CA-eDelivery-SMP-PROD.cer",
            "prod/SMP0001-SDK-PROD.cer",
        ),
        ("qa/Rot-CA-eDelivery-Accesspunkt---QA.cer", "qa/Accesspunkt-CA-SDK-QA.cer", "qa/Rot-CA-eDelivery-SMP-QA.cer", "qa/SMP0001-SDK-QA.cer"),
        (
            "open-test/Rot-CA-eDelivery-Accesspunkt-TEST.cer",
            "open-test/Accesspunkt-CA-OPEN-TEST.cer",
            "open-test/Rot-CA-eDelivery-SMP-TEST.cer",
            "open-test/SMP0001-OPEN-TEST.cer",
        ),
    ] {
        let bundle = Authorities::from_bundle(vec![read(issuing), read(root)]);
        assert_eq!(bundle.anchors(), [read(root)], "{issuing}");
        let smp_ca = Authorities::from_bundle(vec![read(smp_root)]);
        assert_eq!(smp_ca.chain(&read(smp), &[], at).unwrap(), [read(smp), read(smp_root)], "{smp}");
        assert!(bundle.chain(&read(smp), &[], at).is_err(), "{smp} is no access point");
        assert!(!brevbro::crypto::crl_urls(&read(smp)).is_empty(), "{smp}");
    }
    let siths = Authorities::from_bundle(["prod/sithseidfunctioncav1.cer", "prod/sithseidrootcav2.cer"].map(read).to_vec());
    assert_eq!(siths.anchors(), [read("prod/sithseidrootcav2.cer")]);
    // The root of this one is not published: the issuing CA is the anchor itself.
    let alone = Authorities::from_bundle(vec![read("prod/SwedishPublicSectorFunctionCAv3.crt")]);
    assert_eq!(alone.anchors().len(), 1);
}
