//! Handing a mail to the internal mail server.

use super::Pending;
use crate::ident::MailAddress;

/// One mail for one recipient.
pub struct Delivery {
    /// `MAIL FROM`; `None` is `<>`.
    pub from: Option<MailAddress>,
    /// `RCPT TO`.
    pub to: MailAddress,
    /// The mail, with CRLF line ends.
    pub message: Vec<u8>,
}

/// The mail server took the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkAnswer {
    /// Its words, for the journal.
    pub text: String,
}

/// The mail server did not take the mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It said no for now (4xx), or could not be reached. Try again.
    #[error("the mail server deferred the mail: {0}")]
    Temporary(String),
    /// It said no for good (5xx).
    #[error("the mail server refused the mail: {0}")]
    Permanent(String),
    /// The connection broke after the mail was sent and before the answer came: it may have been taken.
    #[error("the mail server's answer was missed: {0}")]
    Unknown(String),
}

/// Delivers mail.
pub trait MailSink: Send + Sync {
    /// Hands the mail over; durable there when it returns.
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>>;
}
