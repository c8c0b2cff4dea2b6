//! The HTTPS endpoint that other access points push AS4 messages to: HTTP/1.1, one path, POST.
//!
//! The server judges no message: it streams the body to an [`As4Reception`] and sends back what that answers.
//! Memory of a request is bounded whatever its size.
//!
//! | what | limit | then |
//! |---|---|---|
//! | connections | [`ConnectionLimits`] | one that has not sent 32 KiB of a body or all of it makes room, the oldest of the address that has most |
//! | requests of one client | `requests_per_client` | 503 with Retry-After, once 32 KiB of the body, or all of it, are there |
//! | TLS handshake | `handshake_timeout` | closed |
//! | head, and time before it | `head_timeout`, 32 KiB, 64 fields | closed; 431 |
//! | body | `max_body` | 413 |
//! | next piece of a body | `body_block_timeout` | 408 |
//! | whole body | `body_timeout`; of the client's own time `body_block_timeout` and a second for each KiB | 408 |
//! | lengths and transfer codings, several that differ (RFC 9112 6.1, 6.3) | none | 400; a length beside chunks does not count and ends the connection |
//!
//! The first 32 KiB of a body, or all of it, are awaited before anything is begun: those who send octet by octet cost no
//! thread and no file, and lose their place to others. A request is worked on to its end although its connection ends: half a step would leave things behind. What breaks
//! off in its body is an error to the reader, never an end.

use std::convert::Infallible;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::forwarded::{ForwardedError, Proxies};
use super::guests::{Guest, Guests};
use super::serving::{self, ConnectionLimits, Crowd, Crowding, Peer, Seat, Standing, Stop};
use crate::crypto::Certificate;
use crate::port::{Answer, Pending};

/// Pieces of a body that wait for the reception; a piece is what hyper reads at once.
const PIECES: usize = 4;
/// Octets of a request's head.
const HEAD: usize = 32 * 1024;
/// Header fields of a request.
const FIELDS: usize = 64;
/// Octets of a body, or all of it, that must be there before the reception is asked: it needs a thread and files for each.
const BEGINNING: usize = 32 * 1024;
/// Octets that a second of the client's time has to bring, on the average.
const LEAST: u64 = 1024;

/// TLS of the endpoint.
#[derive(Debug, Clone)]
pub enum As4Tls {
    /// HTTPS, with client certificates as the configuration says.
    Tls(Arc<ServerConfig>),
    /// Unencrypted, and then only on a loopback address: for tests.
    LoopbackOnly,
    /// Unencrypted, for reverse proxies and nobody else.
    Proxied(Arc<Proxies>),
}

/// The endpoint's options.
#[derive(Debug, Clone)]
pub struct As4ServerOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The only path that takes messages.
    pub path: String,
    /// TLS.
    pub tls: As4Tls,
    /// How many connections.
    pub connections: ConnectionLimits,
    /// Requests of one client at once whose bodies come in or that are worked on. A client is who shows a certificate, else an
    /// address. Default 50.
    pub requests_per_client: usize,
    /// Octets of one body.
    pub max_body: u64,
    /// For a request's head, and so for an idle connection.
    pub head_timeout: Duration,
    /// For the next piece of a body.
    pub body_block_timeout: Duration,
    /// For a whole body.
    pub body_timeout: Duration,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// How long requests under way may take after the server was told to stop.
    pub drain: Duration,
}

impl As4ServerOptions {
    /// Options for `/as4`: 150 MB, since 100 MB of XHE are to be taken (SDK C3.2.1 2.8) and base64 may come on top.
    #[must_use]
    pub fn new(listen: SocketAddr, tls: As4Tls) -> Self {
        Self {
            listen,
            path: "/as4".to_owned(),
            tls,
            connections: ConnectionLimits::default(),
            requests_per_client: 50,
            max_body: 150_000_000,
            head_timeout: Duration::from_secs(30),
            body_block_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_mins(20),
            handshake_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}

/// Takes AS4 requests.
pub trait As4Reception: Send + Sync + 'static {
    /// Takes one request and gives what the HTTP response says. The body blocks when read, so it is read on a thread
    /// that may block; an error while reading means that the request is not whole. A body that is not read to its end
    /// costs the connection.
    fn receive(&self, content_type: String, peer: Peer, body: Box<dyn Read + Send>) -> Pending<'_, Answer>;

    /// Somebody is turned away. May not wait.
    fn crowded(&self, crowd: Crowd) {
        let _ = crowd;
    }
}

/// Why the endpoint cannot start.
#[derive(Debug, thiserror::Error)]
pub enum As4ServerError {
    /// The address is taken or none of ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Without TLS the address must be a loopback one.
    #[error("{0} is not a loopback address and there is no TLS")]
    Plain(SocketAddr),
}

/// An endpoint that listens.
#[derive(Debug)]
pub struct As4Server {
    listener: TcpListener,
    address: SocketAddr,
    options: As4ServerOptions,
}

impl As4Server {
    /// Begins to listen; connections wait until [`Self::run`].
    ///
    /// # Errors
    /// [`As4ServerError`].
    pub async fn bind(options: As4ServerOptions) -> Result<Self, As4ServerError> {
        if matches!(options.tls, As4Tls::LoopbackOnly) && !options.listen.ip().to_canonical().is_loopback() {
            return Err(As4ServerError::Plain(options.listen));
        }
        let failed = |source| As4ServerError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, options })
    }

    /// Where it listens, with the port that the system chose when the options have port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop; then idle connections are closed and requests under way are answered.
    pub async fn run(self, reception: Arc<dyn As4Reception>, stop: Stop) {
        let options = Arc::new(self.options);
        let guests = Arc::new(Guests::default());
        let connection = |stream, peer, seat| {
            let (hall, stop) = (Hall { options: Arc::clone(&options), reception: Arc::clone(&reception), guests: Arc::clone(&guests) }, stop.clone());
            async move {
                if let Err(error) = connection(stream, peer, seat, hall, stop).await {
                    tracing::debug!(%error, "an AS4 connection broke");
                }
            }
        };
        // Who is turned away before the handshake can be told nothing.
        let full = |stream, crowd| {
            drop(stream);
            reception.crowded(crowd);
        };
        serving::serve(self.listener, options.connections, stop.clone(), options.drain, full, connection).await;
    }
}

/// What all connections share.
#[derive(Clone)]
struct Hall {
    options: Arc<As4ServerOptions>,
    reception: Arc<dyn As4Reception>,
    guests: Arc<Guests<String>>,
}

impl Hall {
    /// A place for a request of this client, or the answer to one too many.
    fn place(&self, peer: &Peer) -> Result<Guest<String>, Box<Response<Full<Bytes>>>> {
        let who =
            peer.certificate().map_or_else(|| serving::network(peer.address.ip()).to_string(), |certificate| certificate.fingerprint().to_string());
        let most = self.options.requests_per_client;
        self.guests.enter(who, most).ok_or_else(|| {
            let who = peer.certificate().map_or_else(|| peer.address.ip().to_string(), Certificate::subject);
            self.reception.crowded(Crowd { who, most, of: Crowding::Requests });
            let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            Box::new(response)
        })
    }
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

async fn connection(stream: TcpStream, mut peer: Peer, seat: Arc<Seat>, hall: Hall, stop: Stop) -> Result<(), Broken> {
    let options = Arc::clone(&hall.options);
    stream.set_nodelay(true)?;
    match &options.tls {
        As4Tls::LoopbackOnly => requests(stream, peer, seat, hall, stop).await,
        As4Tls::Proxied(proxies) if proxies.has(peer.address.ip()) => requests(stream, peer, seat, hall, stop).await,
        As4Tls::Proxied(_) => {
            // Whoever comes past the proxy could write its headers.
            tracing::warn!(peer = %peer.address, "an AS4 connection from an address that is no proxy's is closed");
            Ok(())
        }
        As4Tls::Tls(config) => {
            let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
            let stream = timeout(options.handshake_timeout, handshake).await??;
            peer.secured(stream.get_ref().1);
            requests(stream, peer, seat, hall, stop).await
        }
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin>(stream: S, peer: Peer, seat: Arc<Seat>, hall: Hall, mut stop: Stop) -> Result<(), Broken> {
    let service = service_fn(|request| {
        let (peer, seat, hall) = (peer.clone(), Arc::clone(&seat), hall.clone());
        async move {
            let response = respond(request, peer, &seat, hall).await;
            seat.stand(Standing::Waiting);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(hall.options.head_timeout).max_buf_size(HEAD).max_headers(FIELDS);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = served.as_mut() => return Ok(ended?),
        () = stop.stopped() => served.as_mut().graceful_shutdown(),
    }
    Ok(served.await?)
}

async fn respond(request: Request<Incoming>, peer: Peer, seat: &Seat, hall: Hall) -> Response<Full<Bytes>> {
    let options = &*hall.options;
    if request.uri().path() != options.path {
        return refusal(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    if is_ambiguous(request.headers()) {
        return refusal(StatusCode::BAD_REQUEST);
    }
    let Some(content_type) = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned) else {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    };
    if announced(request.headers()).is_some_and(|length| length > options.max_body) {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let peer = match &options.tls {
        As4Tls::Proxied(proxies) => match proxies.client(&peer, request.headers()) {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(proxy = %peer.address, %error, "an AS4 request behind a proxy is refused");
                return refusal(if matches!(error, ForwardedError::Unreadable(_)) { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN });
            }
        },
        // What a client writes of itself is nothing.
        As4Tls::Tls(_) | As4Tls::LoopbackOnly => peer,
    };
    let mut intake = Intake::new(request.into_body(), options);
    let begun = match intake.begin().await {
        Ok(begun) => begun,
        Err((outcome, _)) => return unfinished(outcome),
    };
    let place = match hall.place(&peer) {
        Ok(place) => place,
        Err(full) => return *full,
    };
    seat.stand(if begun.is_whole { Standing::Working } else { Standing::Receiving });
    let (pieces, body) = mpsc::channel(PIECES);
    let state = if begun.is_whole { Reading::Ended } else { Reading::Open };
    let body = Box::new(PieceReader { pieces: body, piece: begun.octets, state });
    // Both at once: the reception reads what the pump brings. When the reception is done, nobody reads any more. It is a
    // task of its own, so that a client that goes away ends the reading and not what follows it.
    let mut pump = pin!(pump(intake, pieces));
    let reception = Arc::clone(&hall.reception);
    let mut answer = tokio::spawn(async move {
        let _place = place;
        reception.receive(content_type, peer, body).await
    });
    let mut pumped = None;
    let answer = loop {
        tokio::select! {
            biased;
            outcome = pump.as_mut(), if pumped.is_none() => {
                seat.stand(Standing::Working);
                pumped = Some(outcome);
            }
            answer = &mut answer => break answer,
        }
    };
    match (pumped, answer) {
        (Some(outcome @ (Pumped::TooLarge | Pumped::TooSlow)), _) => unfinished(outcome),
        (Some(Pumped::Whole | Pumped::Broken) | None, Ok(answer)) => response(answer),
        // It panicked, or the runtime ends.
        (_, Err(error)) => {
            tracing::error!(%error, "an AS4 request was not worked on to its end");
            refusal(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Whether a proxy before us could find another end of the body than we do (RFC 9112 6.1, 6.3).
fn is_ambiguous(headers: &HeaderMap) -> bool {
    let (lengths, codings) = (headers.get_all(CONTENT_LENGTH).iter().count(), headers.get_all(TRANSFER_ENCODING).iter().count());
    lengths + codings > 1
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A refusal also ends the connection: the rest of the request is not read.
fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{status}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::try_from(answer.content_type)
        && !value.is_empty()
    {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    if let Some(wait) = answer.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

/// How the body came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pumped {
    Whole,
    TooLarge,
    TooSlow,
    /// The client went away, or the reception stopped reading.
    Broken,
}

/// The answer to a body that did not come as it should.
fn unfinished(outcome: Pumped) -> Response<Full<Bytes>> {
    refusal(match outcome {
        Pumped::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Pumped::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Pumped::Whole | Pumped::Broken => StatusCode::BAD_REQUEST,
    })
}

/// A body as it comes, within its limits.
struct Intake<'a> {
    body: Incoming,
    options: &'a As4ServerOptions,
    end: Instant,
    octets: u64,
    /// What the client has taken so far; the time that our own reader takes is not held against it.
    waited: Duration,
}

/// The beginning of a body.
struct Begun {
    octets: Bytes,
    is_whole: bool,
}

impl<'a> Intake<'a> {
    fn new(body: Incoming, options: &'a As4ServerOptions) -> Self {
        Self { body, options, end: Instant::now() + options.body_timeout, octets: 0, waited: Duration::ZERO }
    }

    /// The next piece; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, (Pumped, io::Error)> {
        loop {
            let now = Instant::now();
            let steady = (self.options.body_block_timeout + Duration::from_secs(self.octets / LEAST)).saturating_sub(self.waited);
            let until = self.end.min(now + steady.min(self.options.body_block_timeout));
            let frame = tokio::time::timeout_at(until, self.body.frame()).await;
            self.waited += now.elapsed();
            let frame = match frame {
                Err(_) => return Err((Pumped::TooSlow, io::Error::new(io::ErrorKind::TimedOut, "the body came too slowly"))),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err((Pumped::Broken, io::Error::new(io::ErrorKind::UnexpectedEof, error))),
                Ok(Some(Ok(frame))) => frame,
            };
            let Some(piece) = frame.into_data().ok().filter(|piece| !piece.is_empty()) else { continue };
            self.octets += piece.len() as u64;
            if self.octets > self.options.max_body {
                return Err((Pumped::TooLarge, io::Error::new(io::ErrorKind::FileTooLarge, "the body is over the limit")));
            }
            return Ok(Some(piece));
        }
    }

    /// As much as must be there before anything is begun with it.
    async fn begin(&mut self) -> Result<Begun, (Pumped, io::Error)> {
        let mut octets = BytesMut::new();
        while octets.len() < BEGINNING {
            match self.next().await? {
                Some(piece) => octets.extend_from_slice(&piece),
                None => return Ok(Begun { octets: octets.freeze(), is_whole: true }),
            }
        }
        Ok(Begun { octets: octets.freeze(), is_whole: false })
    }
}

async fn pump(mut intake: Intake<'_>, pieces: mpsc::Sender<io::Result<Bytes>>) -> Pumped {
    loop {
        match intake.next().await {
            Ok(Some(piece)) => {
                if pieces.send(Ok(piece)).await.is_err() {
                    return Pumped::Broken;
                }
            }
            Ok(None) => {
                // An empty piece is the end; without one the reader gets an error.
                drop(pieces.send(Ok(Bytes::new())).await);
                return Pumped::Whole;
            }
            Err((outcome, error)) => {
                drop(pieces.send(Err(error)).await);
                return outcome;
            }
        }
    }
}

/// The body as a blocking reader.
struct PieceReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
    state: Reading,
}

/// How far the body was read. An error stays: a reader that goes on after one must not see an end.
enum Reading {
    Open,
    Ended,
    Failed(io::ErrorKind, String),
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !buffer.is_empty() {
            match &self.state {
                Reading::Ended => return Ok(0),
                Reading::Failed(kind, text) => return Err(io::Error::new(*kind, text.clone())),
                Reading::Open => {}
            }
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) if piece.is_empty() => self.state = Reading::Ended,
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => self.state = Reading::Failed(error.kind(), error.to_string()),
                None => self.state = Reading::Failed(io::ErrorKind::UnexpectedEof, "the connection was lost".to_owned()),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}
