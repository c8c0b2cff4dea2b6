//! The testbed's HTTP servers: the SMP, the CAs' revocation lists and their OCSP responders.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::*;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::TestbedError;
use super::state::State;
use crate::ident::DocumentKind;
use crate::smp::{Asked, asked};

/// What a path leads to: content type and body.
type Page = Result<Option<(&'static str, Vec<u8>)>, TestbedError>;

/// Octets of a POST that are read.
const BODY: usize = 64 * 1024;

/// What is asked: the path, and the body of a POST.
struct Asking {
    path: String,
    body: Option<Bytes>,
}

impl Asking {
    /// The path of a GET.
    fn got(&self) -> Option<&str> {
        self.body.is_none().then_some(self.path.as_str())
    }
}

/// Serves the SMP below its base URL until it is dropped.
pub(super) async fn serve_smp(listener: TcpListener, state: Arc<State>) {
    serve(listener, move |asking| {
        let state = Arc::clone(&state);
        blocking(move || asking.got().map_or(Ok(None), |path| smp_page(&state, path)))
    })
    .await;
}

/// Serves the revocation lists until it is dropped.
pub(super) async fn serve_lists(listener: TcpListener, state: Arc<State>) {
    serve(listener, move |asking| {
        let state = Arc::clone(&state);
        blocking(move || {
            let Some(name) = asking.got().and_then(|path| path.strip_prefix("/crl/")).and_then(|name| name.strip_suffix(".crl")) else {
                return Ok(None);
            };
            Ok(state.authorities().list(name, jiff::Timestamp::now())?.map(|der| ("application/pkix-crl", der)))
        })
    })
    .await;
}

/// Serves the OCSP responders until it is dropped.
pub(super) async fn serve_responders(listener: TcpListener, state: Arc<State>) {
    serve(listener, move |asking| {
        let state = Arc::clone(&state);
        blocking(move || {
            let Some(rest) = asking.path.strip_prefix("/ocsp/") else { return Ok(None) };
            // RFC 6960 A.1: the question is the body of a POST, or base64 in the path of a GET, percent-encoded.
            let (name, question) = match (&asking.body, rest.split_once('/')) {
                (Some(body), _) => (rest.trim_end_matches('/'), body.to_vec()),
                (None, Some((name, question))) => {
                    // The only signs of base64 that need encoding in a path.
                    let signs = [("%2B", "+"), ("%2b", "+"), ("%2F", "/"), ("%2f", "/"), ("%3D", "="), ("%3d", "=")];
                    let base64 = signs.iter().fold(question.to_owned(), |text, (encoded, sign)| text.replace(encoded, sign));
                    // What is no base64 is no question either; the responder says so.
                    (name, BASE64_STANDARD.decode(base64).unwrap_or_default())
                }
                (None, None) => return Ok(None),
            };
            let answer = state.authorities().answer(name, &question, jiff::Timestamp::now())?;
            Ok(answer.map(|der| ("application/ocsp-response", der)))
        })
    })
    .await;
}

fn smp_page(state: &State, path: &str) -> Page {
    const XML: &str = "text/xml; charset=utf-8";
    let (participant, document) = match asked(path) {
        Some(Asked::Group(participant)) => (participant, None),
        Some(Asked::Metadata(participant, document)) => (participant, Some(document)),
        None => return Ok(None),
    };
    let Some(registration) = state.registry().find(&participant)? else { return Ok(None) };
    let Some(document) = document else { return Ok(Some((XML, registration.group().write(&state.smp_url()).into_bytes()))) };
    let Some(metadata) = DocumentKind::from_document_id(&document).and_then(|kind| registration.metadata(kind)) else { return Ok(None) };
    // The key is read anew each time: a revoked one may have been replaced by another process.
    Ok(Some((XML, metadata.sign(&state.smp_identity()?)?)))
}

/// Signing and files are not for async threads.
async fn blocking(work: impl FnOnce() -> Page + Send + 'static) -> Page {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(TestbedError::Broken("a request failed".into())))
}

async fn serve<F, P>(listener: TcpListener, page: F)
where
    F: Fn(Asking) -> P + Clone + Sync + Send + 'static,
    P: Future<Output = Page> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let page = page.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        let page = page.clone();
                        async move { Ok::<_, Infallible>(respond(request, page).await) }
                    });
                    let mut http = http1::Builder::new();
                    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
                    connections.spawn(http.serve_connection(TokioIo::new(stream), service));
                }
                // Out of file descriptors, for example: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond<P: Future<Output = Page>>(request: Request<Incoming>, page: impl Fn(Asking) -> P) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let body = match *request.method() {
        Method::GET => None,
        Method::POST => match Limited::new(request.into_body(), BODY).collect().await {
            Ok(body) => Some(body.to_bytes()),
            Err(_) => return answer(StatusCode::BAD_REQUEST, "text/plain", "the body is cut or too long\n"),
        },
        _ => return answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and POST\n"),
    };
    match page(Asking { path, body }).await {
        Ok(Some((content_type, body))) => answer(StatusCode::OK, content_type, body),
        Ok(None) => answer(StatusCode::NOT_FOUND, "text/plain", "not found\n"),
        // A testbed tells its user what is wrong with it.
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
