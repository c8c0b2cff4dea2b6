//! Why a request was not opened: what the peer is told, what the log is told, and whose fault it is.

use std::io;

use crate::as4::error::{Code, EbmsError};
use crate::as4::package::PackageError;
use crate::crypto::ProviderError;
use crate::ident::As4MessageId;

/// Whose fault a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The peer's: the error goes back to them.
    Peer,
    /// Ours (a disk, the provider): answer that the service is not available, so that they try again.
    Ours,
    /// The connection's: there is nobody to answer.
    Connection,
}

/// Why a request was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Refusal {
    /// What the peer is told.
    pub error: Box<EbmsError>,
    /// The message's id, when it could be read. Nothing vouches for it.
    pub ref_to: Option<As4MessageId>,
    /// What the log is told.
    pub cause: String,
    /// Whose it is.
    pub fault: Fault,
}

/// What can go wrong on the way.
pub(in crate::as4) enum Problem {
    Peer(EbmsError),
    Package(PackageError),
    Ours(io::Error),
    /// It cannot be told now whether the message is good.
    Later(String),
}

impl Problem {
    pub(in crate::as4) fn provider(error: ProviderError) -> Self {
        Self::Ours(io::Error::other(error))
    }

    pub(in crate::as4) fn refusal(self, ref_to: Option<As4MessageId>) -> Refusal {
        let (error, cause, fault) = match self {
            Self::Peer(error) => (error.clone(), error.to_string(), Fault::Peer),
            Self::Package(PackageError::Mime(what)) => {
                (EbmsError::new(Code::MimeInconsistency, "The MIME package is not readable"), format!("MIME: {what}"), Fault::Peer)
            }
            Self::Package(PackageError::TooLarge(limit)) => {
                (EbmsError::new(Code::Other, "The message is too large"), format!("the package is over {limit} octets"), Fault::Peer)
            }
            Self::Package(PackageError::Stream(source)) => {
                (EbmsError::new(Code::Other, "The message did not arrive whole"), format!("reading the request: {source}"), Fault::Connection)
            }
            Self::Ours(source) => {
                (EbmsError::new(Code::Other, "The access point cannot take messages now"), format!("storing the request: {source}"), Fault::Ours)
            }
            Self::Later(why) => (EbmsError::new(Code::Other, "The access point cannot take messages now"), why, Fault::Ours),
        };
        Refusal { error: Box::new(error), ref_to, cause, fault }
    }
}

impl From<EbmsError> for Problem {
    fn from(error: EbmsError) -> Self {
        Self::Peer(error)
    }
}

impl From<PackageError> for Problem {
    fn from(error: PackageError) -> Self {
        Self::Package(error)
    }
}
