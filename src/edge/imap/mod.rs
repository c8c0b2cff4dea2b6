//! The client's side of IMAP: connections, logins and the commands that a watched folder and a delivery need.
//!
//! Own code on [`mail::imap`](crate::mail::imap), not a general client: a refusal of any command must be told apart from an
//! empty answer, nothing that a server sends may take more memory than was asked for, an unknown response must not end the
//! connection, and neither a password nor a mail may stand in an error or a trace.
//!
//! | module | does |
//! |---|---|
//! | `connection` | octets and tags, time and limits |
//! | [`login`] | TCP, TLS, STARTTLS, and who we are |
//! | [`token`] | OAuth2 access tokens by client credentials |
//! | [`session`] | folders and mails |
//! | [`outbox`] | a folder that is watched for mails to send |
//! | [`inbox`] | a folder that gets messages: a [`MailSink`](crate::port::MailSink) |

mod connection;
pub mod inbox;
pub mod login;
pub mod outbox;
pub mod session;
pub mod token;

use std::time::Duration;

pub use inbox::{ImapSink, InboxOptions};
pub use login::{ImapLogin, ImapOptions, ImapTls};
pub use outbox::{Content, Fate, Found, OutboxOptions, OutboxReception, Place, watch};
pub use token::{TokenOptions, TokenSource};

use crate::mail::imap::refusal::{Refusal, Why};

/// Why something cannot be had of an IMAP server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImapError {
    /// There is no connection.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection broke: what the command did is unknown.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// The server ended the connection.
    #[error("the server ended the connection: {}", .0.text)]
    Ended(Refusal),
    /// The server said NO or BAD.
    #[error("{command} was refused: {}", .refusal.text)]
    Refused {
        /// To what.
        command: &'static str,
        /// How.
        refusal: Refusal,
    },
    /// There is no access token.
    #[error("no access token: {reason}")]
    Token {
        /// Why.
        reason: String,
        /// How long the token endpoint wants to be left alone.
        wait: Option<Duration>,
    },
    /// A mail is larger than may be fetched.
    #[error("a mail has {octets} octets, more than are fetched")]
    TooLarge {
        /// Its octets.
        octets: u64,
    },
    /// The server lacks something, or sends what no server sends.
    #[error("{0}")]
    Unsuited(String),
}

impl ImapError {
    /// How long whoever refused wants to be left alone.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Ended(refusal) | Self::Refused { refusal, .. } => refusal.wait,
            Self::Token { wait, .. } => *wait,
            Self::Unreachable(_) | Self::Lost(_) | Self::TooLarge { .. } | Self::Unsuited(_) => None,
        }
    }

    /// What a refusal is about.
    #[must_use]
    pub fn why(&self) -> Option<Why> {
        match self {
            Self::Ended(refusal) | Self::Refused { refusal, .. } => Some(refusal.why),
            _ => None,
        }
    }

    /// Whether the session can still be used: the server answered, if only with a refusal.
    #[must_use]
    pub fn leaves_session(&self) -> bool {
        matches!(self, Self::Refused { refusal, .. } if !matches!(refusal.why, Why::Throttled | Why::Busy))
    }
}
