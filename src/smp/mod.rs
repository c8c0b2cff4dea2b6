//! Discovery as formats: the DNS name of a participant, the NAPTR record's answer, the SMP's addresses and documents.
//!
//! OASIS BDXL and SMP 1.0 as SDK C3.4.1, SDK C3.4.2 and SDK C3.4.5 profile them. Bytes in, types out and back; asking DNS and
//! fetching over HTTP is `edge::directory`. Both sides are here, since the testbed publishes what the gateway reads.

mod metadata;
mod name;
mod naptr;
mod service_group;
mod url;

pub use metadata::{CertificateUse, Endpoint, Process, Published, ServiceMetadata};
pub use name::{label, naptr_name};
pub use naptr::{Naptr, SERVICE, base_url};
pub use service_group::ServiceGroup;
pub use url::{Asked, asked, service_group_url, service_metadata_url};

use crate::crypto::XmlSecError;
use crate::xml::{Element, XmlError};

/// The namespace of SMP 1.0.
pub const SMP_NS: &str = "http://docs.oasis-open.org/bdxr/ns/SMP/2016/05";

/// The size up to which an SMP's answer is read. Real ones have about 20 kB, most of it certificates.
pub const ANSWER_LIMIT: usize = 1_000_000;

/// Why an SMP's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SmpError {
    /// It is no XML that we read.
    #[error("the SMP's answer cannot be read")]
    Xml(#[from] XmlError),
    /// An element is missing, stands twice, or holds something else than it should.
    #[error("the SMP's answer has no valid {0}")]
    Invalid(&'static str),
    /// It refers to another SMP, which this federation does not do (SDK C3.4.1 2.11).
    #[error("the SMP redirects, which this federation does not allow")]
    Redirect,
    /// Its signature is missing or wrong.
    #[error("the signature of the SMP's metadata does not hold")]
    Signature(#[source] XmlSecError),
    /// It is the answer to another question.
    #[error("the SMP's answer is about another {0}")]
    Another(&'static str),
    /// No process and endpoint of it is one that we can use.
    #[error("the SMP's metadata has no {0}")]
    NoEndpoint(&'static str),
}

/// The only child of one name, or the error that names it.
fn only<'a>(parent: Element<'a>, local: &'static str) -> Result<Element<'a>, SmpError> {
    parent.only(SMP_NS, local).ok_or(SmpError::Invalid(local))
}

/// The text of an identifier and its scheme; the scheme is compared by the caller, without case.
fn identifier(parent: Element<'_>, local: &'static str) -> Result<(String, String), SmpError> {
    let element = only(parent, local)?;
    let value = element.trimmed();
    if value.is_empty() { Err(SmpError::Invalid(local)) } else { Ok((element.attribute("scheme").unwrap_or_default().to_owned(), value)) }
}

/// The participant that a document names.
fn participant(parent: Element<'_>) -> Result<crate::ident::ParticipantId, SmpError> {
    let (scheme, value) = identifier(parent, "ParticipantIdentifier")?;
    if !scheme.eq_ignore_ascii_case(crate::ident::PARTICIPANT_SCHEME) {
        return Err(SmpError::Invalid("ParticipantIdentifier"));
    }
    crate::ident::ParticipantId::new(value).map_err(|_| SmpError::Invalid("ParticipantIdentifier"))
}
