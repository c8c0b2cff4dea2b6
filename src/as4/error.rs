//! EBMS errors: what one access point tells another when it does not take a message (ebMS 3.0 6.7, AS4 5.1.5 and 6).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::EB;
use super::{As4Error, ebms, security};
use crate::crypto::Identity;
use crate::ident::As4MessageId;
use crate::xml::{Element, Writer};

/// Whether the message was taken all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It was taken.
    Warning,
    /// It was not.
    Failure,
}

/// The errors of ebMS 3.0 6.7 and AS4 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// EBMS:0001
    ValueNotRecognized,
    /// EBMS:0002
    FeatureNotSupported,
    /// EBMS:0003
    ValueInconsistent,
    /// EBMS:0004
    Other,
    /// EBMS:0005
    ConnectionFailure,
    /// EBMS:0006
    EmptyMessagePartitionChannel,
    /// EBMS:0007
    MimeInconsistency,
    /// EBMS:0008
    PackagingNotSupported,
    /// EBMS:0009
    InvalidHeader,
    /// EBMS:0010
    ProcessingModeMismatch,
    /// EBMS:0011
    ExternalPayloadError,
    /// EBMS:0101
    FailedAuthentication,
    /// EBMS:0102
    FailedDecryption,
    /// EBMS:0103
    PolicyNoncompliance,
    /// EBMS:0201
    DysfunctionalReliability,
    /// EBMS:0202
    DeliveryFailure,
    /// EBMS:0301
    MissingReceipt,
    /// EBMS:0302
    InvalidReceipt,
    /// EBMS:0303
    DecompressionFailure,
}

impl Code {
    /// All of them, in order.
    pub const ALL: [Self; 19] = [
        Self::ValueNotRecognized,
        Self::FeatureNotSupported,
        Self::ValueInconsistent,
        Self::Other,
        Self::ConnectionFailure,
        Self::EmptyMessagePartitionChannel,
        Self::MimeInconsistency,
        Self::PackagingNotSupported,
        Self::InvalidHeader,
        Self::ProcessingModeMismatch,
        Self::ExternalPayloadError,
        Self::FailedAuthentication,
        Self::FailedDecryption,
        Self::PolicyNoncompliance,
        Self::DysfunctionalReliability,
        Self::DeliveryFailure,
        Self::MissingReceipt,
        Self::InvalidReceipt,
        Self::DecompressionFailure,
    ];

    /// `errorCode`, for example `EBMS:0004`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().0
    }

    /// `shortDescription`.
    #[must_use]
    pub const fn short_description(self) -> &'static str {
        self.row().1
    }

    /// `category`.
    #[must_use]
    pub const fn category(self) -> &'static str {
        self.row().2
    }

    /// `origin`: the module that found it (ebMS 3.0 6.2.2).
    #[must_use]
    pub const fn origin(self) -> &'static str {
        match self {
            Self::FailedAuthentication | Self::FailedDecryption | Self::PolicyNoncompliance => "security",
            Self::DysfunctionalReliability | Self::DeliveryFailure => "reliability",
            _ => "ebMS",
        }
    }

    /// The code with this `errorCode`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.text() == text)
    }

    const fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ValueNotRecognized => ("EBMS:0001", "ValueNotRecognized", "Content"),
            Self::FeatureNotSupported => ("EBMS:0002", "FeatureNotSupported", "Content"),
            Self::ValueInconsistent => ("EBMS:0003", "ValueInconsistent", "Content"),
            Self::Other => ("EBMS:0004", "Other", "Content"),
            Self::ConnectionFailure => ("EBMS:0005", "ConnectionFailure", "Communication"),
            Self::EmptyMessagePartitionChannel => ("EBMS:0006", "EmptyMessagePartitionChannel", "Communication"),
            Self::MimeInconsistency => ("EBMS:0007", "MimeInconsistency", "Unpackaging"),
            Self::PackagingNotSupported => ("EBMS:0008", "FeatureNotSupported", "Unpackaging"),
            Self::InvalidHeader => ("EBMS:0009", "InvalidHeader", "Unpackaging"),
            Self::ProcessingModeMismatch => ("EBMS:0010", "ProcessingModeMismatch", "Processing"),
            Self::ExternalPayloadError => ("EBMS:0011", "ExternalPayloadError", "Content"),
            Self::FailedAuthentication => ("EBMS:0101", "FailedAuthentication", "Processing"),
            Self::FailedDecryption => ("EBMS:0102", "FailedDecryption", "Processing"),
            Self::PolicyNoncompliance => ("EBMS:0103", "PolicyNoncompliance", "Processing"),
            Self::DysfunctionalReliability => ("EBMS:0201", "DysfunctionalReliability", "Processing"),
            Self::DeliveryFailure => ("EBMS:0202", "DeliveryFailure", "Communication"),
            Self::MissingReceipt => ("EBMS:0301", "MissingReceipt", "Communication"),
            Self::InvalidReceipt => ("EBMS:0302", "InvalidReceipt", "Communication"),
            Self::DecompressionFailure => ("EBMS:0303", "DecompressionFailure", "Communication"),
        }
    }
}

/// One `eb:Error`, ours or a peer's. A peer may use codes that no table has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code} {short_description}{}", self.words())]
pub struct EbmsError {
    /// `errorCode`.
    pub code: Box<str>,
    /// `severity`.
    pub severity: Severity,
    /// `category`.
    pub category: Box<str>,
    /// `shortDescription`.
    pub short_description: Box<str>,
    /// `eb:Description`: what is wrong, in a sentence that the peer's operator may read.
    pub description: String,
    /// `eb:ErrorDetail`; empty when there is none.
    pub detail: Box<str>,
    /// `refToMessageInError`, as the peer wrote it.
    pub ref_to: Option<String>,
}

/// The `eb:ErrorDetail` for a participant or document that is not served (SDK C3.2.1 2.5.c).
pub const NOT_SERVICED: &str = "NOT_SERVICED";

impl EbmsError {
    /// An error of ours, a failure.
    #[must_use]
    pub fn new(code: Code, description: impl Into<String>) -> Self {
        Self {
            code: code.text().into(),
            severity: Severity::Failure,
            category: code.category().into(),
            short_description: code.short_description().into(),
            description: description.into(),
            detail: Box::default(),
            ref_to: None,
        }
    }

    /// The participant, or the document for this participant, is not served here (SDK C3.2.1 2.5.c).
    #[must_use]
    pub fn not_serviced() -> Self {
        let error = Self::new(Code::Other, "The addressed participant is not served here for this kind of document");
        Self { detail: NOT_SERVICED.into(), ..error }
    }

    /// Whether it has this code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        *self.code == *code.text()
    }

    /// Whether the participant or document is not served there.
    #[must_use]
    pub fn is_not_serviced(&self) -> bool {
        self.is(Code::Other) && *self.detail == *NOT_SERVICED
    }

    fn words(&self) -> String {
        [&*self.detail, &*self.description].iter().filter(|text| !text.is_empty()).fold(String::new(), |all, text| all + ": " + text)
    }

    /// Reads an `eb:Error`; texts are cut to 500 characters, since they go to logs.
    pub(super) fn read(element: Element<'_>) -> Self {
        let cut = |text: &str| text.trim().chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let attribute = |name| cut(element.attribute(name).unwrap_or_default());
        let child = |name| element.child(EB, name).map(|e| cut(&e.text())).unwrap_or_default();
        Self {
            code: attribute("errorCode").into(),
            // What is neither must not pass as success.
            severity: if attribute("severity").eq_ignore_ascii_case("warning") { Severity::Warning } else { Severity::Failure },
            category: attribute("category").into(),
            short_description: attribute("shortDescription").into(),
            description: child("Description"),
            detail: child("ErrorDetail").into(),
            ref_to: element.attribute("refToMessageInError").map(cut),
        }
    }
}

/// The media type of what [`write()`] and [`super::receipt::write()`] give.
pub const CONTENT_TYPE: &str = "application/soap+xml; charset=UTF-8";

/// Writes a signed error signal: the whole HTTP body of the answer. `ref_to` is the message in error, when its id could
/// be read.
///
/// # Errors
/// [`As4Error`] when signing fails.
pub fn write(
    errors: &[EbmsError],
    ref_to: Option<&As4MessageId>,
    signal_id: &As4MessageId,
    at: Timestamp,
    signer: &Identity,
) -> Result<Vec<u8>, As4Error> {
    let ids = security::Ids::of(signal_id);
    let mut writer = Writer::new();
    ebms::open_signal(&mut writer, &ids, signal_id, at, ref_to);
    for error in errors {
        writer.open("eb:Error").attribute("category", &error.category);
        if let Some(ref_to) = ref_to {
            writer.attribute("refToMessageInError", ref_to.as_str());
        }
        writer.attribute("errorCode", &error.code).attribute("origin", Code::from_text(&error.code).map_or("ebMS", Code::origin));
        writer.attribute("severity", if error.severity == Severity::Failure { "failure" } else { "warning" });
        writer.attribute("shortDescription", &error.short_description);
        if !error.description.is_empty() {
            // phase4 cannot read an error whose description has no language.
            writer.open("eb:Description").attribute("xml:lang", "en").text(&error.description).close();
        }
        if !error.detail.is_empty() {
            writer.leaf("eb:ErrorDetail", &error.detail);
        }
        writer.close();
    }
    security::sign(&writer.finish(), &ids, "", &[], signer).map(|signed| signed.envelope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_text() {
        for code in Code::ALL {
            assert_eq!(Code::from_text(code.text()), Some(code));
        }
        assert_eq!(
            EbmsError::not_serviced().to_string(),
            "EBMS:0004 Other: NOT_SERVICED: The addressed participant is not served here for this kind of document"
        );
    }
}
