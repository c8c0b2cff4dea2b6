//! TLS: who is let in, who is kept out, and that OpenSSL agrees.

#![allow(clippy::unwrap_used)]

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
