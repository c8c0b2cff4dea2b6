//! The AS4 endpoint over real sockets: Python's HTTP client with and without certificate, and clients that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "as4_endpoint/framing.rs"]
mod framing;
#[path = "as4_endpoint/proxy.rs"]
mod proxy;

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use brevbro::crypto::{Certificate, Hasher};
use brevbro::edge::as4_server::{As4Reception, As4Server, As4ServerError, As4ServerOptions, As4Tls};
use brevbro::edge::serving::{Peer, Stopper, stop};
use brevbro::edge::tls::{ClientAuth, TlsIdentity, server_config};
use brevbro::port::{Answer, Pending};
use common::pki::{Ca, pem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Answers with the digest and length of the body and the name in the client's certificate.
struct Mirror;

impl As4Reception for Mirror {
    fn receive(&self, content_type: String, peer: Peer, mut body: Box<dyn Read + Send>) -> Pending<'_, Answer> {
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut hasher = Hasher::new();
                std::io::copy(&mut body, &mut hasher).map(|octets| format!("{} {octets}", hasher.finish()))
            });
            let name = peer.certificate().and_then(Certificate::common_name).unwrap_or_else(|| "nobody".to_owned());
            match read.await.unwrap() {
                Ok(digest) => Answer { status: 202, content_type, retry_after: None, body: format!("{digest} {name}").into_bytes() },
                Err(error) => Answer { status: 400, content_type: "text/plain".into(), retry_after: None, body: error.to_string().into_bytes() },
            }
        })
    }
}

struct Endpoint {
    address: SocketAddr,
    stopper: Stopper,
    running: JoinHandle<()>,
}

async fn endpoint(tls: As4Tls, change: impl FnOnce(&mut As4ServerOptions)) -> Endpoint {
    let mut options = As4ServerOptions::new("127.0.0.1:0".parse().unwrap(), tls);
    change(&mut options);
    let server = As4Server::bind(options).await.unwrap();
    let (address, (stopper, stop)) = (server.address(), stop());
    Endpoint { address, stopper, running: tokio::spawn(server.run(Arc::new(Mirror), stop)) }
}

/// Sends and reads until the server closes.
async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(text.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), tcp.read_to_end(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn python_posts_large_messages_with_and_without_a_certificate() {
    if !common::has("python3") {
        return;
    }
    let (ca, foreign) = (Ca::new("CA"), Ca::new("another CA"));
    let roots = [ca.certificate()];
    let config = server_config(&TlsIdentity::try_from(&ca.issue("ap.habo.test")).unwrap(), ClientAuth::Optional(&roots)).unwrap();
    let endpoint = endpoint(As4Tls::Tls(config), |_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("ca", ca.certificate().to_pem()), ("peer", pem(&ca.issue("peer.test"))), ("stranger", pem(&foreign.issue("stranger.test")))]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let script = r"
import hashlib, http.client, ssl, sys
port, folder = int(sys.argv[1]), sys.argv[2]
def connect(certificate=None):
    context = ssl.create_default_context(cafile=folder + '/ca')
    if certificate:
        context.load_cert_chain(folder + '/' + certificate)
    return http.client.HTTPSConnection('127.0.0.1', port, context=context, timeout=20)
def post(connection, body, **more):
    connection.request('POST', '/as4', body, {'Content-Type': 'multipart/related; boundary=x'}, **more)
    answer = connection.getresponse()
    return answer.status, answer.getheader('Content-Type'), answer.read().decode()
body = bytes(range(256)) * 80000
digest = '%s %d' % (hashlib.sha256(body).hexdigest(), len(body))
connection = connect('peer')
for _ in range(2):
    assert post(connection, body) == (202, 'multipart/related; boundary=x', digest + ' peer.test')
pieces = (body[at:at + 70001] for at in range(0, len(body), 70001))
assert post(connect(), pieces, encode_chunked=True)[2] == digest + ' nobody'
try:
    print(post(connect('stranger'), b'x'))
    sys.exit('a stranger was let in')
except (ssl.SSLError, ConnectionError):
    pass
";
    let mut command = Command::new("python3");
    command.args(["-c", script, &endpoint.address.port().to_string(), dir.path().to_str().unwrap()]).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || common::run(&mut command)).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_no_message_is_refused_by_its_status() {
    let endpoint = endpoint(As4Tls::LoopbackOnly, |options| options.max_body = 1000).await;
    let request = |line: &str, fields: &str| format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let chunked = format!("Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n", "x".repeat(2000));
    for (text, status) in [
        (request("GET /as4", "Connection: close\r\n"), "405"),
        (request("POST /other", "Content-Type: a/b\r\nContent-Length: 0\r\n"), "404"),
        (request("POST /as4", "Content-Length: 0\r\n"), "415"),
        (request("POST /as4", "Content-Type: a/b\r\nContent-Length: 1001\r\n"), "413"),
        (request("POST /as4", &chunked), "413"),
        (request("POST /as4", &format!("X: {}\r\n", "x".repeat(200_000))), "431"),
        (request("POST /as4", &"X: x\r\n".repeat(100)), "431"),
        (request("POST /as4", "Content-Type: a/b\r\nContent-Length: 5\r\nConnection: close\r\n") + "hello", "202"),
    ] {
        let heard = exchange(endpoint.address, &text).await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{}: {heard}", text.chars().take(60).collect::<String>());
        assert!(status != "405" || heard.to_lowercase().contains("allow: post"));
    }
}

#[tokio::test]
async fn slow_clients_lose_their_connection() {
    let short = Duration::from_millis(300);
    let endpoint = endpoint(As4Tls::LoopbackOnly, |options| {
        (options.head_timeout, options.body_block_timeout, options.body_timeout) = (short, short, short * 4);
    })
    .await;
    assert!(!exchange(endpoint.address, "").await.contains("200"), "idle");
    exchange(endpoint.address, "POST /as4 HTTP/1.1\r\nHo").await;
    let head = "POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 100000\r\n\r\n";
    assert!(exchange(endpoint.address, head).await.starts_with("HTTP/1.1 408 "), "nothing comes");
    let (mut reader, mut writer) = TcpStream::connect(endpoint.address).await.unwrap().into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let dribble = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut status = [0; 13];
    tokio::time::timeout(Duration::from_secs(5), reader.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 408 ");
    dribble.abort();
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way() {
    let endpoint = endpoint(As4Tls::LoopbackOnly, |_| {}).await;
    let mut busy = TcpStream::connect(endpoint.address).await.unwrap();
    busy.write_all(b"POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhel").await.unwrap();
    let mut idle = TcpStream::connect(endpoint.address).await.unwrap();
    idle.write_all(b"POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\nx").await.unwrap();
    let mut answer = [0; 13];
    idle.read_exact(&mut answer).await.unwrap();
    endpoint.stopper.stop();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(!endpoint.running.is_finished());
    busy.write_all(b"lo").await.unwrap();
    let mut heard = String::new();
    tokio::time::timeout(Duration::from_secs(5), busy.read_to_string(&mut heard)).await.unwrap().unwrap();
    assert!(heard.starts_with("HTTP/1.1 202 ") && heard.ends_with(" 5 nobody"), "{heard}");
    tokio::time::timeout(Duration::from_secs(5), endpoint.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_request_is_an_error_to_its_reader_and_no_message() {
    let endpoint = endpoint(As4Tls::LoopbackOnly, |_| {}).await;
    let mut tcp = TcpStream::connect(endpoint.address).await.unwrap();
    tcp.write_all(b"POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhel").await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut heard = String::new();
    drop(tokio::time::timeout(Duration::from_secs(5), tcp.read_to_string(&mut heard)).await.unwrap());
    assert!(!heard.contains(" 202 "), "{heard}");
}

#[tokio::test]
async fn plain_http_is_for_loopback_only() {
    let options = As4ServerOptions::new("0.0.0.0:0".parse().unwrap(), As4Tls::LoopbackOnly);
    assert!(matches!(As4Server::bind(options).await, Err(As4ServerError::Plain(_))));
}
