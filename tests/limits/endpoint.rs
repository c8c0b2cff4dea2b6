//! Requests of one client at once: a client that takes all its places leaves those of the others alone.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brevbro::edge::as4_server::{As4Reception, As4Server, As4ServerOptions, As4Tls};
use brevbro::edge::serving::{Crowd, Crowding, Peer, stop};
use brevbro::port::{Answer, Pending};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::gateway::harness::wait_for;

/// Reads the body to its end and says how long it was.
#[derive(Default)]
struct Measuring {
    begun: AtomicUsize,
    crowds: Mutex<Vec<Crowd>>,
}

impl As4Reception for Measuring {
    fn receive(&self, content_type: String, _: Peer, mut body: Box<dyn Read + Send>) -> Pending<'_, Answer> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || std::io::copy(&mut body, &mut std::io::sink())).await.unwrap();
            let body = format!("{} octets", read.unwrap_or_default()).into_bytes();
            Answer { status: 200, content_type, retry_after: None, body }
        })
    }

    fn crowded(&self, crowd: Crowd) {
        self.crowds.lock().unwrap().push(crowd);
    }
}

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Begins a request and sends all but the last octet of its body.
async fn begin(from: &str, to: SocketAddr, octets: usize) -> TcpStream {
    let mut stream = connect(from, to).await;
    let head = format!("POST /as4 HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: {octets}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; octets - 1]).await.unwrap();
    stream
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_places_and_no_more_and_the_others_have_theirs() {
    let reception = Arc::new(Measuring::default());
    let options = As4ServerOptions { requests_per_client: 2, ..As4ServerOptions::new("127.0.0.1:0".parse().unwrap(), As4Tls::LoopbackOnly) };
    let server = As4Server::bind(options).await.unwrap();
    let address = server.address();
    let (stopper, stopped) = stop();
    let running = tokio::spawn(server.run(Arc::clone(&reception) as Arc<dyn As4Reception>, stopped));
    let mut held = vec![begin("127.0.0.2", address, 100_000).await, begin("127.0.0.2", address, 100_000).await];
    // A place is taken when the beginning of a body is there.
    wait_for("both requests", || async { (reception.begun.load(Ordering::SeqCst) == 2).then_some(()) }).await;
    let refused = answer(&mut begin("127.0.0.2", address, 100_000).await).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.to_lowercase().contains("\r\nretry-after: 10\r\n"), "{refused}");
    let mut other = begin("127.0.0.3", address, 100_000).await;
    other.write_all(b"x").await.unwrap();
    assert!(answer(&mut other).await.ends_with("100000 octets"));
    for stream in &mut held {
        stream.write_all(b"x").await.unwrap();
        assert!(answer(stream).await.ends_with("100000 octets"));
    }
    let mut again = begin("127.0.0.2", address, 100_000).await;
    again.write_all(b"x").await.unwrap();
    assert!(answer(&mut again).await.ends_with("100000 octets"), "it has its place again");
    let crowds = reception.crowds.lock().unwrap().clone();
    assert_eq!(crowds.first(), Some(&Crowd { who: "127.0.0.2".into(), most: 2, of: Crowding::Requests }));
    stopper.stop();
    running.await.unwrap();
}
