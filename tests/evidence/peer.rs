//! Another access point, that does as its script says, connection by connection, and otherwise as it should.

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brevbro::as4::Received;
use brevbro::as4::receive::{Context, Options, open};
use brevbro::edge::tls::{ClientAuth, TlsIdentity, server_config};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::answers::{SOAP, sound_receipt};
use crate::common::pki::Ca;
use crate::gateway::harness::{Shared, world};

/// What it does with one connection.
pub(crate) enum Play {
    /// Reads the request and answers with what this makes of it.
    Answer { status: &'static str, content_type: &'static str, make: fn(&Heard) -> Vec<u8> },
    /// Reads the request, answers with the receipt that it gave before.
    Replay,
    /// Reads the request, sends these octets, closes.
    Raw(&'static [u8]),
    /// Reads the request and sends it to another address.
    Redirect(&'static str),
    /// Reads the request, sends these octets, then one after another, slowly.
    Drip(&'static [u8]),
    /// Reads the request, sends these octets, then those until nobody takes them.
    Endless(&'static [u8], &'static str),
    /// Resets the connection after so many octets of the request.
    Reset(usize),
    /// Does not listen.
    Refuse,
    /// Shows a certificate of another CA.
    Stranger,
    /// Sends these octets where TLS belongs, and closes.
    NoTls(&'static [u8]),
}

impl Play {
    /// A signal with status 200.
    pub(crate) fn signal(make: fn(&Heard) -> Vec<u8>) -> Self {
        Self::Answer { status: "200 OK", content_type: SOAP, make }
    }
}

/// A request that came whole.
#[derive(Clone)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) received: Received,
}

#[derive(Default)]
struct State {
    script: Shared<VecDeque<Play>>,
    heard: Shared<Vec<Heard>>,
    answered: Shared<Vec<u8>>,
    connections: AtomicUsize,
    strayed: AtomicUsize,
    open: Notify,
}

/// The access point with its one participant.
pub(crate) struct Scripted {
    pub(crate) name: String,
    pub(crate) participant: String,
    pub(crate) endpoint: String,
    state: Arc<State>,
}

impl Scripted {
    /// Takes an address, registers it and listens.
    pub(crate) async fn start(name: &str) -> Self {
        let peer = Self::closed(name).await;
        peer.open();
        peer
    }

    /// Takes an address and registers it.
    pub(crate) async fn closed(name: &str) -> Self {
        let world = world().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let name = format!("{name}.example");
        let (participant, endpoint) = (format!("0203:{name}"), format!("https://127.0.0.1:{}/as4", socket.local_addr().unwrap().port()));
        world.register(&participant, &endpoint, &world.peer_point, &world.peer);
        let state = Arc::<State>::default();
        tokio::spawn(listen(socket, Arc::clone(&state)));
        Self { name, participant, endpoint, state }
    }

    /// Begins to listen.
    pub(crate) fn open(&self) {
        self.state.open.notify_one();
    }

    /// Adds to the script.
    pub(crate) fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.state.script.lock().unwrap().extend(plays);
    }

    /// The requests that came whole.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.state.heard.lock().unwrap().clone()
    }

    /// The last body that was sent in answer.
    pub(crate) fn answered(&self) -> Vec<u8> {
        self.state.answered.lock().unwrap().clone()
    }

    /// How many connections came.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many connections came to where a redirect led.
    pub(crate) fn strayed(&self) -> usize {
        self.state.strayed.load(Ordering::SeqCst)
    }
}

async fn listen(socket: TcpSocket, state: Arc<State>) {
    let world = world().await;
    let tls = TlsIdentity::from_pem(&std::fs::read(&world.tls.pem).unwrap()).unwrap();
    let tls = TlsAcceptor::from(server_config(&tls, ClientAuth::None).unwrap());
    // Bound and not listening: connections are refused, and nobody else takes the port.
    state.open.notified().await;
    let listener = socket.listen(64).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, Ordering::SeqCst);
        let play = state.script.lock().unwrap().pop_front().unwrap_or(Play::signal(sound_receipt));
        let (state, tls) = (Arc::clone(&state), tls.clone());
        // Whatever breaks off was meant to.
        tokio::spawn(async move { drop(perform(play, stream, tls, &state).await) });
    }
}

async fn perform(play: Play, mut stream: TcpStream, tls: TlsAcceptor, state: &State) -> std::io::Result<()> {
    match play {
        Play::NoTls(octets) => return stream.write_all(octets).await,
        Play::Stranger => {
            let stranger = TlsIdentity::try_from(&Ca::new("Somebody's CA").issue("localhost")).unwrap();
            let tls = TlsAcceptor::from(server_config(&stranger, ClientAuth::None).unwrap());
            return tls.accept(stream).await.map(drop);
        }
        _ => {}
    }
    let mut stream = tls.accept(stream).await?;
    if let Play::Reset(octets) = play {
        let mut some = vec![0; octets];
        stream.read_exact(&mut some).await?;
        let stream = stream.into_inner().0;
        stream.set_zero_linger()?;
        return Ok(());
    }
    let heard = hear(&mut stream).await?;
    state.heard.lock().unwrap().push(heard.clone());
    match play {
        Play::Answer { status, content_type, make } => {
            let body = tokio::task::spawn_blocking(move || make(&heard)).await.unwrap();
            answer(&mut stream, status, content_type, body, state).await?;
        }
        Play::Replay => {
            let body = state.answered.lock().unwrap().clone();
            answer(&mut stream, "200 OK", SOAP, body, state).await?;
        }
        Play::Raw(octets) => stream.write_all(octets).await?,
        Play::Redirect(status) => {
            let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let to = elsewhere.local_addr()?;
            let head = format!("HTTP/1.1 {status}\r\nLocation: https://{to}/as4\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.shutdown().await?;
            // As long as the attempts that follow take.
            if tokio::time::timeout(Duration::from_secs(5), elsewhere.accept()).await.is_ok() {
                state.strayed.fetch_add(1, Ordering::SeqCst);
            }
        }
        Play::Drip(octets) => {
            stream.write_all(octets).await?;
            stream.flush().await?;
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if !octets.is_empty() {
                    stream.write_all(b" ").await?;
                    stream.flush().await?;
                } else if stream.read(&mut [0]).await? == 0 {
                    return Ok(());
                }
            }
        }
        Play::Endless(octets, more) => {
            stream.write_all(octets).await?;
            let more = more.repeat(4000);
            while stream.write_all(more.as_bytes()).await.is_ok() {}
        }
        Play::Reset(_) | Play::Refuse | Play::Stranger | Play::NoTls(_) => {}
    }
    stream.shutdown().await
}

async fn answer(stream: &mut TlsStream<TcpStream>, status: &str, content_type: &str, body: Vec<u8>, state: &State) -> std::io::Result<()> {
    state.answered.lock().unwrap().clone_from(&body);
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await
}

/// Reads a request to its end and opens it.
async fn hear(stream: &mut TlsStream<TcpStream>) -> std::io::Result<Heard> {
    let (mut octets, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        let head = octets.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = head {
            let head = String::from_utf8(octets[..end].to_vec()).unwrap();
            let field = |name: &str| head.lines().find_map(|line| line.to_lowercase().starts_with(name).then(|| line.split_once(": ").unwrap().1));
            let length: usize = field("content-length:").unwrap().parse().unwrap();
            if octets.len() >= end + 4 + length {
                let (content_type, body) = (field("content-type:").unwrap().to_owned(), octets[end + 4..].to_vec());
                let received = tokio::task::spawn_blocking({
                    let body = body.clone();
                    let point = world().await.peer_point.identity.clone();
                    move || {
                        let options = Options::default();
                        let context = Context { keys: std::slice::from_ref(&point), known: &|_| None, options: &options, at: Timestamp::now() };
                        open(&content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut Vec::new()).unwrap()
                    }
                });
                return Ok(Heard { received: received.await.unwrap(), head, body });
            }
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            octets_read => octets.extend_from_slice(&buffer[..octets_read]),
        }
    }
}
