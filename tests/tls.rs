//! TLS: who is let in, who is kept out, and that OpenSSL agrees.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::process::{Command, Stdio};
use std::sync::Arc;

use brevbro::edge::tls::{ClientAuth, Roots, TlsIdentity, client_config, server_config, server_name, shown};
use common::pki::{Ca, pem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Handshakes both ways over a pipe; the names that each side's certificate gave the other.
async fn handshake(server: Arc<rustls::ServerConfig>, client: Arc<rustls::ClientConfig>, name: &str) -> Result<(String, Option<String>), String> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(far).await.map_err(|e| e.to_string())?;
        stream.write_all(b"ok").await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        Ok::<_, String>(shown(stream.get_ref().1.peer_certificates()).first().and_then(brevbro::crypto::Certificate::common_name))
    });
    let mut stream = TlsConnector::from(client).connect(server_name(name).unwrap(), near).await.map_err(|e| e.to_string())?;
    let mut greeting = [0; 2];
    // With TLS 1.3 a client learns only here that the server refused its certificate.
    let read = stream.read_exact(&mut greeting).await.map_err(|e| e.to_string());
    let client = serving.await.unwrap()?;
    read?;
    let server = shown(stream.get_ref().1.peer_certificates()).first().unwrap().common_name().unwrap();
    Ok((server, client))
}

#[tokio::test]
async fn a_client_certificate_of_the_right_ca_is_seen_and_any_other_refused() {
    let (ours, foreign) = (Ca::new("TLS CA"), Ca::new("another CA"));
    let server = TlsIdentity::try_from(&ours.issue("ap.habo.test")).unwrap();
    let client = TlsIdentity::from_pem(pem(&ours.issue("peer.test")).as_bytes()).unwrap();
    let stranger = TlsIdentity::try_from(&foreign.issue("stranger.test")).unwrap();
    let roots = [ours.certificate()];
    let connect = |identity| client_config(Roots::Only(&roots), identity).unwrap();

    let optional = server_config(&server, ClientAuth::Optional(&roots)).unwrap();
    let named = ("ap.habo.test".to_owned(), Some("peer.test".to_owned()));
    assert_eq!(handshake(optional.clone(), connect(Some(&client)), "ap.habo.test").await, Ok(named.clone()));
    assert_eq!(handshake(optional.clone(), connect(None), "127.0.0.1").await, Ok(("ap.habo.test".to_owned(), None)));
    assert!(handshake(optional, connect(Some(&stranger)), "ap.habo.test").await.is_err());

    let required = server_config(&server, ClientAuth::Required(&roots)).unwrap();
    assert_eq!(handshake(required.clone(), connect(Some(&client)), "ap.habo.test").await, Ok(named));
    assert!(handshake(required, connect(None), "ap.habo.test").await.is_err());
}

#[tokio::test]
async fn a_server_of_another_ca_or_another_name_is_refused() {
    let (ours, foreign) = (Ca::new("TLS CA"), Ca::new("another CA"));
    let server = server_config(&TlsIdentity::try_from(&ours.issue("ap.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let trusting = |ca: &Ca| client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
    assert!(handshake(server.clone(), trusting(&foreign), "ap.habo.test").await.unwrap_err().contains("UnknownIssuer"));
    assert!(handshake(server.clone(), trusting(&ours), "ap.other.test").await.is_err());
    assert!(handshake(server, trusting(&ours), "ap.habo.test").await.is_ok());
}

#[test]
fn settings_that_would_judge_nobody_are_refused() {
    let identity = TlsIdentity::try_from(&Ca::new("CA").issue("a.test")).unwrap();
    assert!(server_config(&identity, ClientAuth::Required(&[])).is_err());
    assert!(client_config(Roots::Only(&[]), None).is_err());
    assert!(TlsIdentity::from_pem(b"-----BEGIN CERTIFICATE-----\n").is_err());
    assert!(server_name("a b").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_connects_with_tls_1_2_and_1_3_and_with_nothing_older() {
    if !common::has("openssl") {
        return;
    }
    let ca = Ca::new("TLS CA");
    let server = server_config(&TlsIdentity::try_from(&ca.issue("ap.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = TlsAcceptor::from(server.clone()).accept(socket).await {
                drop(stream.shutdown().await);
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("ca.pem");
    std::fs::write(&root, ca.certificate().to_pem()).unwrap();
    let connect = |version: &'static str| {
        let (root, address) = (root.clone(), address.clone());
        tokio::task::spawn_blocking(move || {
            let mut command = Command::new("openssl");
            command.args(["s_client", "-verify_return_error", "-verify_hostname", "ap.habo.test", "-servername", "ap.habo.test", version]);
            common::run(command.arg("-CAfile").arg(root).args(["-connect", &address]).stdin(Stdio::null()))
                .map(|out| String::from_utf8_lossy(&out).into_owned())
        })
    };
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = connect(version).await.unwrap().unwrap();
        assert!(said.contains(name) && said.contains("Verify return code: 0 (ok)"), "{said}");
    }
    assert!(connect("-tls1_1").await.unwrap().is_err());
    serving.abort();
}

/// A key whose certificate an issuing CA below a root has issued, as SITHS does, with or without the issuing CA sent along.
fn function_certificate(issuing: &Ca, name: &str, sent: bool) -> TlsIdentity {
    let mut identity = issuing.issue(name);
    if sent {
        identity.chain = vec![issuing.certificate()];
    }
    TlsIdentity::try_from(&identity).unwrap()
}

#[tokio::test]
async fn chains_through_an_issuing_ca_hold_when_it_is_sent_or_configured_both_ways() {
    let root = Ca::new("SITHS e-id Root CA");
    let (issuing, other) = (root.below("SITHS e-id Function CA"), Ca::new("another root").below("SITHS e-id Function CA"));
    let (above, all) = (vec![root.certificate()], vec![root.certificate(), issuing.certificate()]);
    for (configured, sent, holds) in [(&above, true, true), (&above, false, false), (&all, true, true), (&all, false, true)] {
        let (server, client) = (function_certificate(&issuing, "ap.habo.test", sent), function_certificate(&issuing, "peer.test", sent));
        let plain = function_certificate(&issuing, "ap.habo.test", true);
        // The client's chain, by the server; then the server's, by the client.
        let required = server_config(&plain, ClientAuth::Required(configured)).unwrap();
        let outcome = handshake(required, client_config(Roots::Only(&all), Some(&client)).unwrap(), "ap.habo.test").await;
        assert_eq!(outcome.is_ok(), holds, "client: sent {sent}, {} configured: {outcome:?}", configured.len());
        let open = server_config(&server, ClientAuth::None).unwrap();
        let outcome = handshake(open, client_config(Roots::Only(configured), None).unwrap(), "ap.habo.test").await;
        assert_eq!(outcome.is_ok(), holds, "server: sent {sent}, {} configured: {outcome:?}", configured.len());
    }
    let required = server_config(&function_certificate(&issuing, "ap.habo.test", true), ClientAuth::Required(&all)).unwrap();
    let stranger = function_certificate(&other, "peer.test", true);
    assert!(handshake(required, client_config(Roots::Only(&all), Some(&stranger)).unwrap(), "ap.habo.test").await.is_err(), "of the same names");
}

#[tokio::test]
async fn the_name_that_is_meant_is_told_to_the_server() {
    let ca = Ca::new("TLS CA");
    let (near, far) = tokio::io::duplex(16 * 1024);
    let client = client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
    let connecting = tokio::spawn(async move { drop(TlsConnector::from(client).connect(server_name("ap.habo.test").unwrap(), near).await) });
    let hello = tokio_rustls::LazyConfigAcceptor::new(rustls::server::Acceptor::default(), far).await.unwrap();
    assert_eq!(hello.client_hello().server_name(), Some("ap.habo.test"));
    drop(hello);
    connecting.await.unwrap();
}

/// What must not be agreed on: protocol and suite, as `openssl` is told them. `@SECLEVEL=0` lets it offer all it has.
const WEAK: [(&str, &str); 9] = [
    ("-tls1", "ALL:@SECLEVEL=0"),
    ("-tls1_1", "ALL:@SECLEVEL=0"),
    ("-tls1_2", "AES128-SHA:@SECLEVEL=0"),
    ("-tls1_2", "AES256-GCM-SHA384:@SECLEVEL=0"),
    ("-tls1_2", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"),
    ("-tls1_2", "ECDHE-RSA-AES256-SHA384:@SECLEVEL=0"),
    ("-tls1_2", "DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0"),
    ("-tls1_2", "ADH-AES128-GCM-SHA256:@SECLEVEL=0"),
    ("-tls1_2", "ECDHE-RSA-NULL-SHA:@SECLEVEL=0"),
];

/// The suites that docs/network.md lists.
const STRONG: [(&str, &str, &str); 6] = [
    ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
    ("-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"),
    ("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"),
    ("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"),
    ("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"),
];

/// `openssl s_server` with one protocol and one suite; it ends with the test.
struct ForeignServer {
    child: std::process::Child,
    address: String,
}

impl ForeignServer {
    fn start(key: &std::path::Path, version: &str, option: &str, suite: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &address, version, option, suite]).arg("-cert").arg(key).arg("-key").arg(key);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(std::time::Instant::now() < until, "openssl s_server {version} {suite} does not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { child, address }
    }
}

impl Drop for ForeignServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn foreign_client(address: &str, version: &str, option: &str, suite: &str) -> Result<Vec<u8>, String> {
    let mut command = Command::new("openssl");
    common::run(command.args(["s_client", "-connect", address, version, option, suite]).stdin(Stdio::null()))
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_gets_modern_suites_and_no_weak_one_from_our_server() {
    if !common::has("openssl") {
        return;
    }
    let ca = Ca::new("TLS CA");
    let identity = ca.issue("ap.habo.test");
    let server = server_config(&TlsIdentity::try_from(&identity).unwrap(), ClientAuth::None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = TlsAcceptor::from(server.clone());
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(socket).await {
                    drop(stream.shutdown().await);
                }
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    std::fs::write(&key, pem(&identity)).unwrap();
    tokio::task::spawn_blocking(move || {
        for (version, option, suite) in STRONG {
            foreign_client(&address, version, option, suite).unwrap_or_else(|why| panic!("{suite}: {why}"));
        }
        for (version, suite) in WEAK {
            // openssl itself could: otherwise its refusal would prove nothing about us.
            let able = ForeignServer::start(&key, version, "-cipher", suite);
            foreign_client(&able.address, version, "-cipher", suite).unwrap_or_else(|why| panic!("openssl cannot {version} {suite}: {why}"));
            assert!(foreign_client(&address, version, "-cipher", suite).is_err(), "{version} {suite}");
        }
    })
    .await
    .unwrap();
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_takes_modern_suites_and_no_weak_one_from_openssl() {
    if !common::has("openssl") {
        return;
    }
    let ca = Ca::new("TLS CA");
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    std::fs::write(&key, pem(&ca.issue("ap.habo.test"))).unwrap();
    let client = client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
    let connect = async |version: &str, option: &str, suite: &str| {
        let server = ForeignServer::start(&key, version, option, suite);
        let socket = tokio::net::TcpStream::connect(&server.address).await.unwrap();
        let stream =
            TlsConnector::from(client.clone()).connect(server_name("ap.habo.test").unwrap(), socket).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(format!("{:?}", stream.get_ref().1.negotiated_cipher_suite().unwrap().suite()))
    };
    for (version, option, suite) in STRONG {
        let agreed = connect(version, option, suite).await.unwrap_or_else(|why| panic!("{suite}: {why}"));
        let plain = |name: &str| name.replace("TLS13_", "").replace("TLS_", "").replace("WITH_", "").replace(['-', '_'], "");
        assert!(plain(&agreed).starts_with(&plain(suite)), "{suite}: {agreed}");
    }
    for (version, suite) in WEAK {
        let agreed = connect(version, "-cipher", suite).await;
        assert!(agreed.is_err(), "{version} {suite}: {agreed:?}");
    }
}
