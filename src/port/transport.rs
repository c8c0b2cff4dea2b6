//! Sending one AS4 request and getting its answer.

use std::io::Read;
use std::time::Duration;

use super::Pending;

/// One AS4 request, ready to send.
pub struct Request {
    /// The access point's URL.
    pub endpoint: String,
    /// The whole Content-Type of the MIME package.
    pub content_type: String,
    /// Octets of the body.
    pub length: u64,
    /// The body.
    pub body: Box<dyn Read + Send>,
}

/// What the other access point answered, whatever the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The Content-Type; empty when there was none.
    pub content_type: String,
    /// `Retry-After`, when there was one: how long to leave the other side alone.
    pub retry_after: Option<Duration>,
    /// The body, bounded by the transport's limit.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nothing of the request can have arrived. Try again.
    #[error("{endpoint} cannot be reached: {reason}")]
    Unreachable {
        /// The URL.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The request may have arrived; the answer did not. Try again with the same bytes.
    #[error("{endpoint} gave no answer: {reason}")]
    NoAnswer {
        /// The URL.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The URL is not one that brevbro sends to: a scheme other than https, or an address that is not allowed.
    #[error("{endpoint} is refused: {reason}")]
    Refused {
        /// The URL.
        endpoint: String,
        /// Why.
        reason: String,
    },
}

/// Pushes AS4 requests over HTTPS.
pub trait Transport: Send + Sync {
    /// Sends the request and reads the answer. Follows no redirect, retries nothing.
    fn push(&self, request: Request) -> Pending<'_, Result<Answer, TransportError>>;
}
