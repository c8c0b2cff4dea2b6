//! AS4: the message between two access points (SDK C3.2.1, eDelivery AS4 1.15, AS4 1.0, ebMS 3.0, WS-Security 1.1.1).
//!
//! Bytes to types and back, as streams: [`send`] compresses, signs and encrypts one payload into an HTTP body,
//! [`receive`] decrypts, verifies and decompresses one, [`receipt`] and [`error`] write what goes back at once, and
//! [`answer`] reads it. [`pmode`] is what SDK fixes beside the technique. Who a signer is and whether their certificate
//! holds is judged elsewhere; here a signature is bound to a certificate, and everything signed to its position.

pub mod answer;
mod ebms;
mod envelope;
pub mod error;
pub mod inspect;
mod names;
mod package;
mod payload;
pub mod pmode;
pub mod receipt;
pub mod receive;
mod security;
pub mod send;

use std::io;

use jiff::Timestamp;

use crate::crypto::ProviderError;
use crate::ident::{AccessPointId, As4MessageId, DocumentKind, ParticipantId};

pub use answer::Answer;
pub use ebms::{Header, PartInfo, Party, PartyId, Property, Service};
pub use error::{Code, EbmsError, Severity};
pub use names::{DEFAULT_MPC, GZIP, INITIATOR, PARTY_TYPE, RESPONDER, SOAP_TYPE, TEST_ACTION, TEST_SERVICE};
pub use package::ContentType;
pub use pmode::PMode;
pub use receive::{Received, Refusal};
pub use security::{Reference, Signature, SignedReference};
pub use send::Sent;

/// One SDK document on its way between two access points, free of XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserMessage {
    /// `eb:MessageId`; stays the same when the message is sent again.
    pub message_id: As4MessageId,
    /// `eb:Timestamp`.
    pub timestamp: Timestamp,
    /// `eb:RefToMessageId`.
    pub ref_to: Option<As4MessageId>,
    /// The sending access point: the CN of its certificate.
    pub from: AccessPointId,
    /// The receiving access point: the CN of its certificate.
    pub to: AccessPointId,
    /// `eb:ConversationId`: a message's conversationId, or the XHE's id.
    pub conversation_id: String,
    /// What the payload is; it gives the Action.
    pub kind: DocumentKind,
    /// `originalSender`.
    pub original_sender: ParticipantId,
    /// `finalRecipient`.
    pub final_recipient: ParticipantId,
}

/// Why an AS4 message could not be made. All of these are ours, not a peer's.
#[derive(Debug, thiserror::Error)]
pub enum As4Error {
    /// Signing or encrypting failed.
    #[error("signing or encrypting an AS4 message failed")]
    Crypto(#[from] ProviderError),
    /// A stream failed.
    #[error("cannot {operation}")]
    Stream {
        /// What was being done.
        operation: &'static str,
        /// The stream's error.
        source: io::Error,
    },
    /// A MIME boundary that is none.
    #[error("the MIME boundary is not 1 to 70 of the allowed characters")]
    Boundary,
    /// A receipt was asked for a message that nobody signed.
    #[error("the message is not signed, so that no receipt can be given for it")]
    Unsigned,
    /// What was written does not read back: a fault of the program.
    #[error("the AS4 message that was written does not read back: {0}")]
    Own(String),
}

impl As4Error {
    fn stream(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Stream { operation, source }
    }
}
