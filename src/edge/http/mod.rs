//! A small HTTP/1.1 client: one request, one answer, nothing followed, everything bounded.
//!
//! Each request has its own connection. The address is resolved here and the very addresses that were checked are
//! connected to, so a name cannot change its meaning between check and use.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::rt::{Read as HyperRead, Write as HyperWrite};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::reach::Reach;
use super::serving::PeerTls;
use super::tap::{Tap, Tapped};
use super::tls;

/// How much of a body is read at once and how many such pieces wait for the network.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;
/// Addresses of a name that are tried.
const ADDRESSES: usize = 8;
/// Octets and fields of an answer's head.
const HEAD: usize = 64 * 1024;
const FIELDS: usize = 100;

/// Where unencrypted HTTP is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// Nowhere.
    #[default]
    Never,
    /// To addresses of this machine, for tests and the testbed.
    Loopback,
    /// Anywhere: for what is signed by itself, revocation lists and SMP metadata, which CAs and SMPs publish over HTTP.
    Anywhere,
}

/// The client's options.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Until the connection stands, TLS included. Default 10 s.
    pub connect_timeout: Duration,
    /// For the whole exchange after that. Default 30 s.
    pub exchange_timeout: Duration,
    /// Octets of an answer that are read; a longer one is an error. Default 4 MB.
    pub answer_limit: usize,
    /// Whether `http:` is allowed. Default never.
    pub plain: PlainHttp,
    /// Which addresses may be connected to. Default those of the public internet.
    pub reach: Reach,
    /// How TLS servers are judged; without it `https:` is refused.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Hears what goes over the connections. Default nobody.
    pub tap: Option<Arc<dyn Tap>>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            exchange_timeout: Duration::from_secs(30),
            answer_limit: 4_000_000,
            plain: PlainHttp::Never,
            reach: Reach::default(),
            tls: None,
            tap: None,
        }
    }
}

/// Why there is no answer. The three kinds are told apart because they differ in whether the request may have arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address is none that is connected to. Nothing was sent.
    #[error("the address is refused: {0}")]
    Refused(String),
    /// No connection came about. Nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The request was sent, wholly or in part, and no whole answer came.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The answer is longer than it may be.
    #[error("the answer is longer than {0} octets")]
    TooLong(usize),
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The Content-Type; empty when there was none.
    pub content_type: String,
    /// `Retry-After`, from now; none when it was unreadable or past.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
    /// Who answered.
    pub connection: Connection,
}

/// The other end of a connection of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The address that was connected to.
    pub address: SocketAddr,
    /// What was agreed on, where the connection is encrypted; the certificates are the server's.
    pub tls: Option<PeerTls>,
}

/// The client.
#[derive(Debug, Clone)]
pub struct HttpClient {
    options: HttpOptions,
}

impl HttpClient {
    /// A client with these options.
    #[must_use]
    pub fn new(options: HttpOptions) -> Self {
        Self { options }
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// [`HttpError`]; never for a status.
    pub async fn get(&self, url: &str) -> Result<HttpAnswer, HttpError> {
        self.exchange(Method::GET, url, None, Upload::empty()).await
    }

    /// Sends a body of exactly `length` octets. It is read on a blocking thread, piece by piece as the network takes it.
    ///
    /// # Errors
    /// [`HttpError`]; never for a status.
    pub async fn post(&self, url: &str, content_type: &str, length: u64, body: Box<dyn Read + Send>) -> Result<HttpAnswer, HttpError> {
        let content_type = HeaderValue::from_str(content_type).map_err(|_| HttpError::Refused("the Content-Type is none".into()))?;
        self.exchange(Method::POST, url, Some(content_type), Upload::of(length, body)).await
    }

    async fn exchange(&self, method: Method, url: &str, content_type: Option<HeaderValue>, body: Upload) -> Result<HttpAnswer, HttpError> {
        let target = Target::read(url, &self.options)?;
        let mut request = Request::builder()
            .method(method)
            .uri(target.path.as_str())
            .header(HOST, target.authority.as_str())
            .header(USER_AGENT, concat!("brevbro/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close");
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(body).map_err(|error| HttpError::Refused(error.to_string()))?;
        let connect = async {
            let stream = self.connect(&target).await?;
            match (&self.options.tls, target.secure) {
                (Some(config), true) => {
                    let name = tls::server_name(&target.host).map_err(|error| HttpError::Refused(error.to_string()))?;
                    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
                    Ok(Stream::Tls(Box::new(stream.map_err(|error| HttpError::Unreachable(format!("TLS: {error}")))?)))
                }
                _ => Ok(Stream::Plain(stream)),
            }
        };
        let timed_out = |_| HttpError::Unreachable("it took too long to connect".into());
        let stream = tokio::time::timeout(self.options.connect_timeout, connect).await.map_err(timed_out)??;
        let connection = stream.other_end()?;
        let (limit, tap) = (self.options.answer_limit, self.options.tap.as_ref());
        let talk = async {
            match stream {
                Stream::Plain(stream) => talk(TokioIo::new(Tapped::new(stream, tap)), request, limit, connection).await,
                Stream::Tls(stream) => talk(TokioIo::new(Tapped::new(*stream, tap)), request, limit, connection).await,
            }
        };
        let timed_out = |_| HttpError::NoAnswer("it took too long".into());
        tokio::time::timeout(self.options.exchange_timeout, talk).await.map_err(timed_out)?
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, HttpError> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|error| HttpError::Unreachable(format!("{}: {error}", target.host)))?.take(ADDRESSES).collect();
        let (mut addresses, mut refused) = (Vec::new(), None);
        for address in found {
            match self.judge(target, address) {
                Ok(()) => addresses.push(address),
                Err(why) => refused = Some(HttpError::Refused(why)),
            }
        }
        let mut last = refused.unwrap_or_else(|| HttpError::Unreachable(format!("{} has no address", target.host)));
        // One that swallows packets must leave time for the others.
        let share = self.options.connect_timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        for address in addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A small request must not wait for the acknowledgement of the one before it.
                    stream.set_nodelay(true).map_err(|error| HttpError::Unreachable(error.to_string()))?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = HttpError::Unreachable(format!("{address}: {error}")),
                Err(_) => last = HttpError::Unreachable(format!("{address}: it took too long to connect")),
            }
        }
        Err(last)
    }

    /// Whether this very address may be connected to, as this request wants it.
    fn judge(&self, target: &Target, address: SocketAddr) -> Result<(), String> {
        if !target.secure && self.options.plain == PlainHttp::Loopback && !address.ip().to_canonical().is_loopback() {
            return Err("http is allowed only to this machine's own addresses".into());
        }
        self.options.reach.judge(address).map_err(|why| match target.host.parse::<std::net::IpAddr>() {
            Ok(ip) => format!("{ip} {why}"),
            Err(_) => format!("{} is {}, which {why}", target.host, address.ip()),
        })
    }
}

/// Both kinds of connection.
enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    fn other_end(&self) -> Result<Connection, HttpError> {
        let (tcp, tls) = match self {
            Self::Plain(tcp) => (tcp, None),
            Self::Tls(stream) => {
                let (tcp, tls) = stream.get_ref();
                (tcp, Some(PeerTls::of(tls)))
            }
        };
        let address = tcp.peer_addr().map_err(|error| HttpError::Unreachable(error.to_string()))?;
        Ok(Connection { address: SocketAddr::new(address.ip().to_canonical(), address.port()), tls })
    }
}

/// An address that may be connected to.
struct Target {
    secure: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Target {
    fn read(url: &str, options: &HttpOptions) -> Result<Self, HttpError> {
        let refused = |why: &str| HttpError::Refused(why.into());
        let uri: Uri = url.parse().map_err(|_| refused("it is no URL"))?;
        let secure = match uri.scheme_str() {
            Some("https") if options.tls.is_some() => true,
            Some("https") => return Err(refused("TLS is not set up here")),
            Some("http") if options.plain != PlainHttp::Never => false,
            Some("http") => return Err(refused("http is not allowed, only https")),
            _ => return Err(refused("it is neither https nor http")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("it carries a user name"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(refused("it names no host"));
        }
        if is_odd(&host) {
            return Err(refused("its host is a number, neither a name nor an address in its usual form"));
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { secure, host, port, authority: authority.as_str().to_owned(), path })
    }
}

/// Whether a host is one of the spellings of an address that only some programs understand: `2130706433`, `0x7f.1`,
/// `0177.0.0.1`, `127.1`, or IPv6 with a zone. What different readers understand differently is refused.
fn is_odd(host: &str) -> bool {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return false;
    }
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    is_number || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())) || host.contains(['%', ':'])
}

/// One exchange on a connection that stands.
async fn talk<S>(stream: S, request: Request<Upload>, limit: usize, seen: Connection) -> Result<HttpAnswer, HttpError>
where
    S: HyperRead + HyperWrite + Send + Unpin + 'static,
{
    let no_answer = |error: hyper::Error| HttpError::NoAnswer(chain(&error));
    let (mut sender, connection) = http1::Builder::new().max_buf_size(HEAD).max_headers(FIELDS).handshake(stream).await.map_err(no_answer)?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
        Ok(HttpAnswer { status, content_type, retry_after, body: collect(response.into_body(), limit).await?, connection: seen })
    };
    let answer = answer.await;
    driver.abort();
    answer
}

/// Seconds, or a date (RFC 9110 10.2.3).
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|b| b.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let at = rfc2822::parse(value).ok()?.timestamp();
    at.duration_since(now).try_into().ok()
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, HttpError> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| HttpError::NoAnswer(chain(&error)))?;
        if let Some(piece) = frame.data_ref() {
            if collected.len() + piece.len() > limit {
                return Err(HttpError::TooLong(limit));
            }
            collected.extend_from_slice(piece);
        }
    }
    Ok(collected)
}

/// An error of hyper with its causes, which alone say what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A request's body: pieces that a blocking thread reads and the connection takes.
struct Upload {
    pieces: Option<mpsc::Receiver<io::Result<Bytes>>>,
    remaining: u64,
}

impl Upload {
    fn empty() -> Self {
        Self { pieces: None, remaining: 0 }
    }

    /// Starts reading. When the connection ends first, the channel closes and the thread stops at its next piece.
    fn of(length: u64, mut body: Box<dyn Read + Send>) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            let mut left = length;
            while left > 0 {
                let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
                let read = body.read_exact(&mut piece);
                left -= piece.len() as u64;
                let failed = read.is_err();
                if sender.blocking_send(read.map(|()| Bytes::from(piece))).is_err() || failed {
                    return;
                }
            }
        });
        Self { pieces: Some(pieces), remaining: length }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let Some(pieces) = self.pieces.as_mut() else { return Poll::Ready(None) };
        match std::task::ready!(pieces.poll_recv(context)) {
            Some(Ok(piece)) => {
                self.remaining = self.remaining.saturating_sub(piece.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn client(plain: PlainHttp, answer_limit: usize) -> HttpClient {
        HttpClient::new(HttpOptions {
            plain,
            answer_limit,
            exchange_timeout: Duration::from_secs(5),
            reach: Reach::with_loopback(),
            ..HttpOptions::default()
        })
    }

    /// Answers one connection with `answer` after its request has been read wholly; gives back the request.
    async fn serve(answer: &'static str, expect: usize) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a%3A%23b?c", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = vec![0; 65_536];
            loop {
                let head = request.windows(4).position(|w| w == b"\r\n\r\n");
                if head.is_some_and(|at| request.len() >= at + 4 + expect) {
                    break;
                }
                let read = stream.read(&mut buffer).await.unwrap();
                if read == 0 {
                    break;
                }
                request.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            request
        });
        (url, task)
    }

    #[tokio::test]
    async fn the_path_is_sent_as_it_was_encoded_and_any_status_is_an_answer() {
        let (url, task) =
            serve("HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Type: text/x\r\nContent-Length: 2\r\n\r\nhi", 0).await;
        let answer = client(PlainHttp::Loopback, 100).get(&url).await.unwrap();
        assert_eq!((answer.status, answer.content_type.as_str(), answer.body.as_slice()), (302, "text/x", &b"hi"[..]));
        assert!(answer.connection.address.ip().is_loopback() && answer.connection.tls.is_none());
        assert!(task.await.unwrap().starts_with(b"GET /a%3A%23b?c HTTP/1.1\r\n"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        assert_eq!(retry_after(" 90 ", now), Some(Duration::from_secs(90)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        for none in ["", "soon", "-1", "Sun, 06 Nov 1994 08:49:06 GMT", "99999999999999999999999"] {
            assert_eq!(retry_after(none, now), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_body_is_streamed_with_its_length() {
        const LENGTH: usize = 3_000_000;
        let (url, task) = serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LENGTH).await;
        let body = Box::new(io::repeat(b'x').take(LENGTH as u64));
        let answer = client(PlainHttp::Loopback, 100).post(&url, "text/plain", LENGTH as u64, body).await.unwrap();
        assert_eq!(answer.status, 200);
        let request = task.await.unwrap();
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.to_lowercase().contains("content-length: 3000000"), "{head}");
        assert_eq!(body.len(), LENGTH);
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_no_request() {
        let (url, _task) = serve("", 100).await;
        let error = client(PlainHttp::Loopback, 100).post(&url, "text/plain", 100, Box::new(io::Cursor::new(b"short"))).await.unwrap_err();
        assert!(matches!(error, HttpError::NoAnswer(_)), "{error}");
    }

    #[tokio::test]
    async fn a_long_answer_is_refused() {
        let (url, _task) = serve("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", 0).await;
        assert_eq!(client(PlainHttp::Loopback, 10).get(&url).await, Err(HttpError::TooLong(10)));
    }

    #[tokio::test]
    async fn a_broken_answer_and_a_closed_port_differ() {
        let (url, _task) = serve("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", 0).await;
        assert!(matches!(client(PlainHttp::Loopback, 100).get(&url).await, Err(HttpError::NoAnswer(_))));
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(client(PlainHttp::Loopback, 100).get(&format!("http://{closed}/")).await, Err(HttpError::Unreachable(_))));
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_not_connected_to() {
        for (plain, url) in [
            (PlainHttp::Never, "http://127.0.0.1:1/"),
            (PlainHttp::Loopback, "http://192.0.2.1/"),
            (PlainHttp::Anywhere, "https://127.0.0.1:1/"),
            (PlainHttp::Anywhere, "ftp://127.0.0.1:1/"),
            (PlainHttp::Anywhere, "http://user@127.0.0.1:1/"),
            (PlainHttp::Anywhere, "/path"),
            (PlainHttp::Anywhere, "not a url"),
            (PlainHttp::Anywhere, "http://10.0.0.1/"),
            (PlainHttp::Anywhere, "http://[::ffff:10.0.0.1]/"),
            (PlainHttp::Anywhere, "http://[fe80::1%25eth0]/"),
            (PlainHttp::Anywhere, "http://2130706433/"),
            (PlainHttp::Anywhere, "http://0x7f000001/"),
            (PlainHttp::Anywhere, "http://0x7f.1/"),
            (PlainHttp::Anywhere, "http://0177.0.0.1/"),
            (PlainHttp::Anywhere, "http://127.1/"),
            (PlainHttp::Anywhere, "http://127.0.0.1./"),
        ] {
            assert!(matches!(client(plain, 1).get(url).await, Err(HttpError::Refused(_))), "{url}");
        }
    }
}
