//! Looking for malware in what comes in and goes out.

use super::Pending;

/// What a scanner says of something that it has looked at whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It knows nothing against it.
    Clean,
    /// It is or holds malware of this name, in the scanner's words: printable ASCII of at most 128 characters.
    Malware(String),
}

/// Why there is no finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It is larger than the scanner takes. Asking again changes nothing, another setting does.
    #[error("{octets} octets are more than the malware scanner takes")]
    TooLarge {
        /// Octets of what it was asked about.
        octets: u64,
    },
    /// It was not reached, broke off, took too long or made no sense. Try again.
    #[error("the malware scanner gave no verdict: {0}")]
    NoVerdict(String),
}

/// Finds malware.
///
/// Promises: [`Finding::Clean`] is said only of something that was looked at from its first octet to its last; every doubt is a
/// [`ScanError`]. A call ends in bounded time.
pub trait Scanner: Send + Sync {
    /// Looks at one file or mail.
    fn scan<'a>(&'a self, octets: &'a [u8]) -> Pending<'a, Result<Finding, ScanError>>;
    /// Its name and version, for the log; an error when it does not answer.
    fn version(&self) -> Pending<'_, Result<String, ScanError>>;
}
