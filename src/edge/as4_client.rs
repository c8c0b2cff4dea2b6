//! Pushing AS4 requests to other access points over HTTPS (AS4 5.1; SDK C3.2.1 2.4).

use super::http::{HttpClient, HttpError, HttpOptions};
use crate::port::{Answer, Pending, Request, Transport, TransportError};

/// Sends over HTTP/1.1. The options' answer limit bounds what a peer's signal may measure; 4 MB is plenty.
#[derive(Debug, Clone)]
pub struct As4Client {
    http: HttpClient,
}

impl As4Client {
    /// A client with these options. The exchange's time must do for 100 MB on the line at hand (SDK C3.2.1 2.8).
    #[must_use]
    pub fn new(http: HttpOptions) -> Self {
        Self { http: HttpClient::new(http) }
    }
}

impl Transport for As4Client {
    fn push(&self, request: Request) -> Pending<'_, Result<Answer, TransportError>> {
        Box::pin(async move {
            let Request { endpoint, content_type, length, body } = request;
            match self.http.post(&endpoint, &content_type, length, body).await {
                Ok(answer) => {
                    Ok(Answer { status: answer.status, content_type: answer.content_type, retry_after: answer.retry_after, body: answer.body })
                }
                Err(HttpError::Refused(reason)) => Err(TransportError::Refused { endpoint, reason }),
                Err(HttpError::Unreachable(reason)) => Err(TransportError::Unreachable { endpoint, reason }),
                Err(error @ HttpError::TooLong(_)) => Err(TransportError::NoAnswer { endpoint, reason: error.to_string() }),
                Err(HttpError::NoAnswer(reason)) => Err(TransportError::NoAnswer { endpoint, reason }),
            }
        })
    }
}
