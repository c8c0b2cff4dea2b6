//! One request and its answer on a connection that stands, everything bounded.

use std::time::Duration;

use http::Request;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::upload::Upload;
use super::{Connection, HttpAnswer, HttpError};
use crate::failure::with_causes;

/// Octets and fields of an answer's head.
const HEAD: usize = 64 * 1024;
const FIELDS: usize = 100;

/// One exchange on a connection that stands.
pub(super) async fn talk<S>(stream: S, request: Request<Upload>, limit: usize, seen: Connection) -> Result<HttpAnswer, HttpError>
where
    S: Read + Write + Send + Unpin + 'static,
{
    let no_answer = |error: hyper::Error| HttpError::NoAnswer(with_causes(&error));
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
        let frame = frame.map_err(|error| HttpError::NoAnswer(with_causes(&error)))?;
        if let Some(piece) = frame.data_ref() {
            if collected.len() + piece.len() > limit {
                return Err(HttpError::TooLong(limit));
            }
            collected.extend_from_slice(piece);
        }
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        assert_eq!(retry_after(" 90 ", now), Some(Duration::from_secs(90)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        for none in ["", "soon", "-1", "Sun, 06 Nov 1994 08:49:06 GMT", "99999999999999999999999"] {
            assert_eq!(retry_after(none, now), None, "{none}");
        }
    }
}
