//! HTTP as attackers write it: no request has two readings, none costs more than its limits, and what is refused is never
//! taken for the beginning of the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use brevbro::edge::serving::ConnectionLimits;

use super::*;

/// Counts what gets as far as a reader, and how much of it came whole.
#[derive(Default)]
struct Counting {
    begun: AtomicUsize,
    whole: AtomicUsize,
    /// How long it takes to work on what came.
    work: Duration,
}

impl As4Reception for Counting {
    fn receive(&self, content_type: String, _: Peer, mut body: Box<dyn Read + Send>) -> Pending<'_, Answer> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut octets = Vec::new();
                // Reading on after an error must not find an end.
                body.read_to_end(&mut octets).or_else(|_| body.read_to_end(&mut octets)).map(|_| octets)
            });
            let Ok(octets) = read.await.unwrap() else {
                return Answer { status: 400, content_type: "text/plain".into(), retry_after: None, body: b"broken".to_vec() };
            };
            tokio::time::sleep(self.work).await;
            self.whole.fetch_add(1, Ordering::SeqCst);
            Answer { status: 202, content_type, retry_after: None, body: octets }
        })
    }
}

struct Counted {
    address: SocketAddr,
    reception: Arc<Counting>,
    _stopper: Stopper,
}

async fn counted(reception: Counting, change: impl FnOnce(&mut As4ServerOptions)) -> Counted {
    let mut options = As4ServerOptions::new("127.0.0.1:0".parse().unwrap(), As4Tls::LoopbackOnly);
    // A request that never ends gives itself up quickly.
    (options.head_timeout, options.body_block_timeout) = (Duration::from_secs(2), Duration::from_secs(2));
    change(&mut options);
    let server = As4Server::bind(options).await.unwrap();
    let (address, (stopper, stop)) = (server.address(), stop());
    let reception = Arc::new(reception);
    tokio::spawn(server.run(Arc::clone(&reception) as Arc<dyn As4Reception>, stop));
    Counted { address, reception, _stopper: stopper }
}

impl Counted {
    fn whole(&self) -> usize {
        self.reception.whole.load(Ordering::SeqCst)
    }
}

/// Sends octets and reads until the server closes, for a limited time; a reset is an end too.
async fn said(address: SocketAddr, octets: &[u8]) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    drop(tcp.write_all(octets).await);
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    let read = async {
        while let Ok(count @ 1..) = tcp.read(&mut buffer).await {
            heard.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the connection stays open");
    String::from_utf8_lossy(&heard).into_owned()
}

fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n{fields}\r\n{body}").into_bytes()
}

/// A whole request that would be answered if it were read as one.
const SMUGGLED: &str = "POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_readings_is_refused_and_so_is_what_follows_it() {
    let endpoint = counted(Counting::default(), |_| {}).await;
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".into(),
        "Transfer-Encoding: chunked, identity\r\n".into(),
        "Transfer-Encoding: xchunked\r\n".into(),
        "Transfer-Encoding: gzip\r\n".into(),
        "Transfer-Encoding : chunked\r\n".into(),
        "Transfer-Encoding:\r\n chunked\r\n".into(),
        "X: y\r\n folded\r\nContent-Length: 5\r\n".into(),
        "Content-Length: 5\r\nContent-Length: 6\r\n".into(),
        "Content-Length: 5, 5\r\n".into(),
        "Content-Length: +5\r\n".into(),
        "Content-Length: -1\r\n".into(),
        "Content-Length: 0x5\r\n".into(),
        "Content-Length: 5 5\r\n".into(),
        "Content-Length: \r\n".into(),
        "Content-Length: 99999999999999999999999\r\n".into(),
        "Content-Length : 5\r\n".into(),
        " Content-Length: 5\r\n".into(),
        "Content-Length: 5\r\nX: a\0b\r\n".into(),
        "Content-Length: 5\r\nX: a\rb\r\n".into(),
        "Content-Length: 5\r\nX\u{7f}: a\r\n".into(),
        "Content-Length: 5\r\n: nameless\r\n".into(),
        "Content-Length: 5\r\nno colon\r\n".into(),
    ] {
        let heard = said(endpoint.address, &post(&fields, &chunked)).await;
        assert!(heard.starts_with("HTTP/1.1 400 ") || heard.starts_with("HTTP/1.1 501 ") || heard.is_empty(), "{fields:?}: {heard}");
        assert_eq!(heard.matches("HTTP/1.1 ").count(), usize::from(!heard.is_empty()), "{fields:?}: {heard}");
        assert_eq!(endpoint.whole(), 0, "{fields:?}: {heard}");
    }
    assert!(said(endpoint.address, SMUGGLED.as_bytes()).await.starts_with("HTTP/1.1 202 "));
    assert_eq!(endpoint.whole(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_beside_chunks_does_not_count_and_ends_the_connection() {
    // RFC 9112 6.1: a proxy that goes by the length finds nothing of what it took for the body answered.
    let endpoint = counted(Counting::default(), |_| {}).await;
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    let length = format!("Content-Length: {}\r\n", chunked.len());
    for (number, fields) in [format!("{length}Transfer-Encoding: chunked\r\n"), format!("Transfer-Encoding: chunked\r\n{length}")].iter().enumerate()
    {
        let heard = said(endpoint.address, &post(fields, &chunked)).await;
        assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{heard}");
        assert!(endpoint.whole() <= number + 1, "{heard}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_none_are_never_a_message() {
    let endpoint = counted(Counting::default(), |options| options.max_body = 100_000).await;
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000));
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(100_000));
    for body in [
        "-1\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffffffffffffffffff\r\nhello\r\n",
        "7fffffffffffffff\r\nhello",
        "5\nhello\n0\n\n",
        "5\rhello\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "5\r\nhello\r\n",
        &long,
        &trailers,
    ] {
        let heard = said(endpoint.address, &post("Transfer-Encoding: chunked\r\n", body)).await;
        assert!(!heard.contains(" 202 ") && endpoint.whole() == 0, "{:?}: {heard}", &body[..body.len().min(40)]);
    }
    let sound = post("Transfer-Encoding: chunked\r\nConnection: close\r\n", "5;name=value\r\nhello\r\n00003\r\nyou\r\n0\r\n\r\n");
    let heard = said(endpoint.address, &sound).await;
    assert!(heard.starts_with("HTTP/1.1 202 ") && heard.ends_with("helloyou"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_versions_and_protocols_are_refused() {
    let endpoint = counted(Counting::default(), |_| {}).await;
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "post"] {
        let heard = said(endpoint.address, format!("{method} /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n\r\n").as_bytes()).await;
        assert!(heard.starts_with("HTTP/1.1 405 ") && heard.to_lowercase().contains("allow: post"), "{method}: {heard}");
        assert!(!heard.contains("a/b"), "TRACE shows nothing: {heard}");
    }
    for text in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
        "POST /as4 HTTP/2.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST /as4\r\n\r\n",
        "POST /as4 HTTP/1.0\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "CONNECT mail.habo.se:25 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST * HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\u{3}",
        "EHLO mail.habo.se\r\n",
        "\r\n\r\n\r\n\r\n",
    ] {
        let heard = said(endpoint.address, text.as_bytes()).await;
        assert!(!heard.contains(" 202 "), "{text:?}: {heard}");
    }
    assert_eq!(endpoint.whole(), 0);
    let old = said(endpoint.address, b"POST /as4 HTTP/1.0\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\nx").await;
    assert!(old.starts_with("HTTP/1.0 202 ") || old.starts_with("HTTP/1.1 202 "), "{old}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_before_sending_is_told_to_go_on_only_when_it_is_worth_it() {
    let endpoint = counted(Counting::default(), |options| options.max_body = 1000).await;
    let mut tcp = TcpStream::connect(endpoint.address).await.unwrap();
    tcp.write_all(&post("Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n", "")).await.unwrap();
    let mut first = [0; 25];
    tokio::time::timeout(Duration::from_secs(20), tcp.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    tcp.write_all(b"hello").await.unwrap();
    let mut rest = String::new();
    tokio::time::timeout(Duration::from_secs(20), tcp.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with("HTTP/1.1 202 "), "{rest}");
    let heard = said(endpoint.address, &post("Content-Length: 5000\r\nExpect: 100-continue\r\n", "")).await;
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_are_answered_in_order_and_a_refusal_ends_the_row() {
    let endpoint = counted(Counting::default(), |_| {}).await;
    let one = |body: &str| String::from_utf8(post("Content-Length: 3\r\n", body)).unwrap();
    let heard = said(endpoint.address, (one("one") + &one("two") + SMUGGLED).as_bytes()).await;
    let bodies: Vec<&str> = heard.split("HTTP/1.1 202 Accepted").skip(1).map(|answer| answer.split("\r\n\r\n").nth(1).unwrap()).collect();
    assert_eq!(bodies, ["one", "two", "x"]);
    // A flood of them gets one answer, and nothing of it is taken.
    let before = endpoint.whole();
    let flood = "GET /as4 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20_000) + SMUGGLED;
    let heard = said(endpoint.address, flood.as_bytes()).await;
    assert!(heard.matches("HTTP/1.1 ").count() <= 1, "{heard}");
    assert_eq!(endpoint.whole(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_their_bounds() {
    let endpoint = counted(Counting::default(), |_| {}).await;
    let long = "x".repeat(200_000);
    for (what, octets) in [
        ("many fields", post(&"X: y\r\n".repeat(65), "")),
        ("a flood of fields", post(&"X: y\r\n".repeat(200_000), "")),
        ("a long value", post(&format!("X: {long}\r\n"), "")),
        ("a long name", post(&format!("{long}: y\r\n"), "")),
        ("a long path", format!("POST /{long} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()),
        ("a long method", format!("{long} /as4 HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()),
        ("no line at all", long.clone().into_bytes()),
        ("empty lines", "\r\n".repeat(200_000).into_bytes()),
    ] {
        let heard = said(endpoint.address, &octets).await;
        let refused = ["431", "414", "400", "404", "408"].iter().any(|status| heard.starts_with(&format!("HTTP/1.1 {status} ")));
        assert!(refused || heard.is_empty(), "{what}: {heard}");
    }
    assert_eq!(endpoint.reception.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_worked_on_to_its_end_although_its_client_is_gone() {
    let endpoint = counted(Counting { work: Duration::from_millis(500), ..Counting::default() }, |_| {}).await;
    let mut tcp = TcpStream::connect(endpoint.address).await.unwrap();
    tcp.write_all(SMUGGLED.as_bytes()).await.unwrap();
    let begin = Instant::now();
    while endpoint.reception.begun.load(Ordering::SeqCst) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tcp.set_zero_linger().unwrap();
    drop(tcp);
    while endpoint.whole() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "it was dropped with its connection");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_comes_octet_by_octet_ends_in_its_time() {
    let ca = Ca::new("CA");
    let tls = server_config(&TlsIdentity::try_from(&ca.issue("ap.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let endpoint = endpoint(As4Tls::Tls(tls), |options| options.handshake_timeout = Duration::from_millis(600)).await;
    for drip in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let (mut reader, mut writer) = TcpStream::connect(endpoint.address).await.unwrap().into_split();
        let begin = Instant::now();
        let dribble = tokio::spawn(async move {
            for octet in drip.iter().chain(std::iter::repeat(&0)) {
                tokio::time::sleep(Duration::from_millis(if drip.is_empty() { 60_000 } else { 50 })).await;
                if writer.write_all(&[*octet]).await.is_err() {
                    return;
                }
            }
        });
        let mut heard = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut heard)).await.expect("it stays open"));
        assert!(begin.elapsed() >= Duration::from_millis(500), "it was not cut off by its time");
        dribble.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_makes_room_for_who_comes() {
    let endpoint = counted(Counting::default(), |options| {
        options.connections = ConnectionLimits { total: 3, per_peer: 3 };
        options.head_timeout = Duration::from_mins(5);
        options.body_block_timeout = Duration::from_mins(5);
    })
    .await;
    // A request under way, and more that wait than there are seats.
    let mut busy = TcpStream::connect(endpoint.address).await.unwrap();
    busy.write_all(&post("Content-Length: 40005\r\nConnection: close\r\n", &"x".repeat(40_000))).await.unwrap();
    let begin = Instant::now();
    while endpoint.reception.begun.load(Ordering::SeqCst) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut tcp = TcpStream::connect(endpoint.address).await.unwrap();
        tcp.write_all(b"POST /as4 HT").await.unwrap();
        idle.push(tcp);
    }
    assert!(said(endpoint.address, SMUGGLED.as_bytes()).await.starts_with("HTTP/1.1 202 "));
    let mut ended = [0; 1];
    let first = tokio::time::timeout(Duration::from_secs(20), idle[0].read(&mut ended)).await.expect("the oldest makes room");
    assert!(matches!(first, Ok(0) | Err(_)));
    busy.write_all(b"hello").await.unwrap();
    let mut heard = String::new();
    tokio::time::timeout(Duration::from_secs(20), busy.read_to_string(&mut heard)).await.unwrap().unwrap();
    assert!(heard.ends_with("xhello"), "a request under way keeps its seat");
}
