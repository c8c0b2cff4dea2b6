//! What is asked of a request, and what is needed to open one.

use jiff::Timestamp;

use crate::as4::ebms::Header;
use crate::crypto::{Certificate, Identity, KeyReference, SignatureAlgorithm};

/// Bounds on a request, against floods and bombs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// Octets of the SOAP part.
    pub soap: usize,
    /// Octets of the whole body.
    pub package: u64,
    /// Octets of all payloads, decompressed.
    pub payload: u64,
    /// How many times larger than compressed a payload of over 1 MiB may be.
    pub ratio: u64,
    /// Octets of an uncompressed XML or text payload that is canonicalised for its digest.
    pub canonical: usize,
    /// Attachments.
    pub parts: usize,
}

impl Default for ReceiveLimits {
    /// Room for more than the 100 MB of SDK C3.2.1 2.8.
    fn default() -> Self {
        Self { soap: 1 << 20, package: 200 << 20, payload: 200 << 20, ratio: 100, canonical: 16 << 20, parts: 8 }
    }
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// Without it a message is refused with EBMS:0103.
    Required,
    /// It is checked when it is there.
    Optional,
}

/// What is asked of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bounds.
    pub limits: ReceiveLimits,
    /// Whether the header and every attachment must be signed.
    pub signature: Requirement,
    /// Whether every attachment must be encrypted.
    pub encryption: Requirement,
    /// The algorithms that a signature may have.
    pub signature_algorithms: Vec<SignatureAlgorithm>,
    /// Bits of the smallest key that a signature may be of.
    pub signature_key: u32,
}

impl Default for Options {
    /// Everything signed with rsa-sha256 and encrypted (SDK C3.2.1 2.10).
    fn default() -> Self {
        Self {
            limits: ReceiveLimits::default(),
            signature: Requirement::Required,
            encryption: Requirement::Required,
            signature_algorithms: vec![SignatureAlgorithm::RsaSha256],
            signature_key: 2048,
        }
    }
}

/// What is needed to open requests.
pub struct Context<'a> {
    /// Our own keys; several while one is being replaced.
    pub keys: &'a [Identity],
    /// Finds a signer's certificate that did not come along.
    pub known: &'a dyn Fn(&KeyReference) -> Option<Certificate>,
    /// What is asked of a request.
    pub options: &'a Options,
    /// Now.
    pub at: Timestamp,
}

/// What became of the search for a signer's certificate that did not come along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// It is this one. Whether it is the one that was named is checked again.
    Found(Box<Certificate>),
    /// It is not known here.
    Unknown,
    /// It cannot be told now, why: the other side is asked to try again.
    Later(String),
}

/// Finds a signer's certificate by its name and by what the header claims, for which nothing vouches yet: who searches has
/// to bound what a stranger can make it do.
pub type Seeking<'a> = &'a dyn Fn(&KeyReference, &Header) -> Sought;
