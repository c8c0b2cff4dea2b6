//! Breaches: what a receipt tells a sender, and the rules that compare a message with its envelope.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::envelope::Header;
use super::message::Glimpse;

/// Why a message is not accepted, in the receipt's words (SDK C3.2.4 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReasonCode {
    /// The schema is broken.
    Sv,
    /// A rule is broken.
    Bv,
    /// The signature is wrong.
    Sig,
}

impl ReasonCode {
    /// The code as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sv => "SV",
            Self::Bv => "BV",
            Self::Sig => "SIG",
        }
    }

    /// The code with this text, compared without case.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Sv, Self::Bv, Self::Sig].into_iter().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }
}

/// What kind of breach it is (SDK B1.3.3 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// The schema.
    Structure,
    /// A rule.
    Invariant,
    /// Malware.
    Forbidden,
    /// Over the size.
    TooLong,
    /// The messageId was seen before; `multiple-matches` is read as this.
    Duplicate,
    /// A file type that is not taken, or an answer to a rejected message.
    NotSupported,
    /// The function address is not ours.
    NotFound,
    /// Signature, encryption or addresses that disagree.
    Security,
    /// None of these, or none at all: only in receipts of others; what they wrote stands in the reason.
    Other,
}

impl Detail {
    const ALL: [Self; 8] =
        [Self::Structure, Self::Invariant, Self::Forbidden, Self::TooLong, Self::Duplicate, Self::NotSupported, Self::NotFound, Self::Security];

    /// The code as it is written; nothing for [`Self::Other`].
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::Structure => "structure",
            Self::Invariant => "invariant",
            Self::Forbidden => "forbidden",
            Self::TooLong => "too-long",
            Self::Duplicate => "duplicate",
            Self::NotSupported => "not-supported",
            Self::NotFound => "not-found",
            Self::Security => "security",
            Self::Other => return None,
        })
    }

    /// The code with this text, compared without case.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("multiple-matches") {
            return Some(Self::Duplicate);
        }
        Self::ALL.into_iter().find(|code| code.as_str().is_some_and(|known| known.eq_ignore_ascii_case(text)))
    }
}

/// One breach: one line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The category.
    pub code: ReasonCode,
    /// The kind.
    pub detail: Detail,
    /// Where in the message, as XPath; `NA` when it is nowhere in particular.
    pub line: String,
    /// What is wrong, for the sender's operator. Never text that a person wrote (SDK B1.3.3 4.3.2).
    pub reason: String,
}

/// The receipt's word for "no place in particular" (SDK C3.2.4 3.1.g).
pub const NO_LINE: &str = "NA";
/// Where a message names the function that it is for.
const RECIPIENT_FUNCTION: &str = "/messagePayload/message/messageHeader/recipient/attention/subOrganization/organizationId";

/// The codes alone, `BV not-found`: what may stand in a log.
impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.as_str(), self.detail.as_str().unwrap_or("?"))
    }
}

impl Breach {
    /// A breach of any kind.
    pub fn new(code: ReasonCode, detail: Detail, line: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { code, detail, line: line.into(), reason: reason.into() }
    }

    /// The message breaks its schema.
    pub fn structure(line: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ReasonCode::Sv, Detail::Structure, line, reason)
    }

    /// The message breaks a rule.
    pub fn invariant(line: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ReasonCode::Bv, Detail::Invariant, line, reason)
    }

    /// Signature, certificate or missing encryption.
    pub fn signature(reason: impl Into<String>) -> Self {
        Self::new(ReasonCode::Sig, Detail::Security, NO_LINE, reason)
    }

    /// An address that the envelope has otherwise.
    pub fn address(line: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ReasonCode::Bv, Detail::Security, line, reason)
    }

    /// The message is larger than `limit` octets.
    #[must_use]
    pub fn too_long(limit: usize) -> Self {
        Self::new(ReasonCode::Bv, Detail::TooLong, NO_LINE, format!("The message is larger than {limit} octets."))
    }

    /// The messageId was seen before.
    #[must_use]
    pub fn duplicate() -> Self {
        Self::new(ReasonCode::Bv, Detail::Duplicate, "/messagePayload/message/messageHeader/messageId", "The messageId was received before.")
    }

    /// The function address is none of ours.
    #[must_use]
    pub fn unknown_function() -> Self {
        Self::new(ReasonCode::Bv, Detail::NotFound, RECIPIENT_FUNCTION, "Wrong or unknown subOrganization/organizationId.")
    }

    /// The function that the envelope names is none of ours.
    #[must_use]
    pub fn unknown_service() -> Self {
        Self::new(ReasonCode::Bv, Detail::NotFound, "/XHE/Payloads/Payload/HandlingServiceID", "Wrong or unknown xha:HandlingServiceID.")
    }

    /// A file type that is not taken. `document` and `file` count from 1, in the order of the message.
    #[must_use]
    pub fn file_type(document: usize, file: usize) -> Self {
        Self::new(ReasonCode::Bv, Detail::NotSupported, format!("{}/contentType", file_line(document, file)), "The file type is not accepted here.")
    }

    /// Malware in a text. `document` and `text` count from 1, in the order of the message.
    #[must_use]
    pub fn malware_in_text(document: usize, text: usize) -> Self {
        let line = format!("/messagePayload/message/messageBody/documents[{document}]/ContentText[{text}]/characterSequence");
        Self::new(ReasonCode::Bv, Detail::Forbidden, line, "The text is or holds malicious code.")
    }

    /// Malware in a file. `document` and `file` count from 1, in the order of the message.
    #[must_use]
    pub fn malware(document: usize, file: usize) -> Self {
        Self::new(ReasonCode::Bv, Detail::Forbidden, format!("{}/content", file_line(document, file)), "The file is or holds malicious code.")
    }
}

fn file_line(document: usize, file: usize) -> String {
    format!("/messagePayload/message/messageBody/documents[{document}]/ContentFiles[{file}]")
}

/// A rule of a profile (R1-XHE, R9-APP …) that a document breaks, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The rule's number, or `XSD` for the schema.
    pub rule: String,
    /// Where, as XPath.
    pub line: String,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.rule, self.line, self.reason)
    }
}

/// At most so many breaches or violations of one document are collected: a receipt has to stay readable.
pub const MAX_BREACHES: usize = 100;

/// The rules of a message that need its envelope (SDK B1.3.3 4.3.2). What could not be read has its breach already.
#[must_use]
pub fn check_against_envelope(message: &Glimpse, header: &Header) -> Vec<Breach> {
    const HEADER: &str = "/messagePayload/message/messageHeader";
    let mut breaches = Vec::new();
    if message.message_id.as_ref().is_some_and(|id| *id != header.id) {
        breaches.push(Breach::invariant(format!("{HEADER}/messageId"), "messageId is not the envelope's ID."));
    }
    if message.recipient.as_ref().is_some_and(|recipient| *recipient != header.to) {
        let line = format!("{HEADER}/recipient/recipientID/extension");
        breaches.push(Breach::address(line, "recipientID is not identical to the value in the XHE envelope."));
    }
    if message.sender.as_ref().is_some_and(|sender| *sender != header.from) {
        let line = format!("{HEADER}/sender/senderID/extension");
        breaches.push(Breach::address(line, "senderID is not identical to the value in the XHE envelope."));
    }
    if let Some(service) = &header.service
        && message.function.as_ref().is_some_and(|function| function != service)
    {
        let reason = "subOrganization/organizationId must equal HandlingServiceID.";
        breaches.push(Breach::address(format!("{RECIPIENT_FUNCTION}/extension"), reason));
    }
    breaches
}
