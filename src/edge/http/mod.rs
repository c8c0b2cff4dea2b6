//! A small HTTP/1.1 client: one request, one answer, nothing followed, everything bounded.
//!
//! Each request has its own connection. The address is resolved here and the very addresses that were checked are
//! connected to, so a name cannot change its meaning between check and use.

mod exchange;
mod target;
mod upload;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use exchange::talk;
use target::Target;
use upload::Upload;

use super::reach::Reach;
use super::serving::PeerTls;
use super::tap::{Tap, Tapped};
use super::tls;

/// Addresses of a name that are tried.
const ADDRESSES: usize = 8;

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

#[cfg(test)]
mod tests {
    use std::io;

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
