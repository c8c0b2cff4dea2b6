//! Finding a participant and judging certificates: DNS, SMP and CertPub, PKI.

use jiff::Timestamp;

use super::Pending;
use crate::crypto::Certificate;
use crate::ident::{DocumentKind, ParticipantId};

/// Where and how a participant takes a kind of document, out of verified SMP metadata (SDK C3.4.1, SDK C3.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Whose it is.
    pub participant: ParticipantId,
    /// For which documents.
    pub kind: DocumentKind,
    /// The access point's URL.
    pub endpoint: String,
    /// The access point's certificate: encrypt to it, expect receipts from it.
    pub access_point: Certificate,
    /// The transport profile of the endpoint.
    pub transport_profile: String,
    /// The endpoint works from here on.
    pub activation: Option<Timestamp>,
    /// The endpoint works until here.
    pub expiration: Option<Timestamp>,
    /// The participant's certificates of type `signing-cert`.
    pub signing: Vec<Certificate>,
    /// The participant's certificates of type `encryption-cert`, in the order of the metadata.
    pub encryption: Vec<Certificate>,
    /// Who signed the metadata; already judged.
    pub signer: Certificate,
    /// When it was fetched, if it is older than it should be and is used only because DNS or the SMP is down.
    pub stale: Option<Timestamp>,
}

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As old as the cache allows; older ones too while DNS or the SMP is down.
    Cached,
    /// Asked now, past every cache: after a certificate that does not fit, or a participant that was not known.
    Fresh,
}

/// Why there is no metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The participant is not in the federation: no NAPTR record, or the SMP says 404.
    #[error("{0} is not registered in the federation")]
    UnknownParticipant(ParticipantId),
    /// The participant takes no documents of this kind.
    #[error("{participant} is not registered for {kind:?} documents")]
    UnknownDocument {
        /// Who.
        participant: ParticipantId,
        /// What.
        kind: DocumentKind,
    },
    /// An answer came that cannot be trusted or used: wrong signature, redirect, wrong profile, expired endpoint.
    #[error("the metadata of {participant} cannot be used: {reason}")]
    Unusable {
        /// Whose.
        participant: ParticipantId,
        /// Why; names things, quotes nothing.
        reason: String,
    },
    /// No answer: DNS or SMP is down or too slow. Try again.
    #[error("{service} cannot be reached: {reason}")]
    Unavailable {
        /// `DNS` or `SMP`, with its address.
        service: String,
        /// Why.
        reason: String,
    },
}

impl DirectoryError {
    /// Whether DNS or SMP said that there is nothing. What was said before may have been kept: whoever acts on it asks past
    /// the cache first.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::UnknownParticipant(_) | Self::UnknownDocument { .. })
    }
}

/// Looks participants up.
pub trait Directory: Send + Sync {
    /// Whether the participant is registered, and for which of the document kinds that brevbro knows.
    ///
    /// Promises: an answer is either verified or an error; [`DirectoryError::UnknownParticipant`] only when DNS and SMP
    /// answered and said so.
    fn kinds<'a>(&'a self, participant: &'a ParticipantId) -> Pending<'a, Result<Vec<DocumentKind>, DirectoryError>>;

    /// Participants that it knows without asking anybody; what is found by DNS has no list.
    fn known(&self) -> Vec<ParticipantId> {
        Vec::new()
    }

    /// Whether it has an answer without asking anybody, if only an old one to fall back upon.
    fn knows(&self, _participant: &ParticipantId, _kind: DocumentKind) -> bool {
        true
    }

    /// Who would be asked for a participant's metadata: the base URL of its SMP, as DNS has it now. `None` where nobody is.
    fn asks<'a>(&'a self, _participant: &'a ParticipantId) -> Pending<'a, Result<Option<String>, DirectoryError>> {
        Box::pin(async { Ok(None) })
    }

    /// The metadata of one kind of document. The SMP's signature and its signer are verified; the access point's and
    /// the participant's certificates are not yet judged (see [`Trust`]).
    fn metadata<'a>(
        &'a self,
        participant: &'a ParticipantId,
        kind: DocumentKind,
        freshness: Freshness,
    ) -> Pending<'a, Result<Metadata, DirectoryError>>;
}

/// Whose certificate is judged, and so by which configured CAs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Realm {
    /// Access points: issued by this environment's AP CA.
    AccessPoint,
    /// Participants: SITHS, Expisoft, Försäkringskassan.
    Participant,
    /// The SMP's signer.
    Smp,
    /// Those who connect to our endpoint. Their chain was verified in the handshake; what is left is revocation.
    TlsClient,
}

/// Why a certificate is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// No configured CA has issued it, or a chain breaks.
    #[error("not issued by a configured CA: {0}")]
    Issuer(String),
    /// Not valid yet.
    #[error("not valid until {0}")]
    NotYet(Timestamp),
    /// No longer valid.
    #[error("expired at {0}")]
    Expired(Timestamp),
    /// Revoked.
    #[error("revoked")]
    Revoked,
    /// Its revocation cannot be checked now. Try again.
    #[error("revocation cannot be checked: {0}")]
    Unchecked(String),
}

/// A revocation list that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// Where it came from.
    pub url: String,
    /// When its CA made it.
    pub issued: Timestamp,
    /// When the next one is due.
    pub until: Option<Timestamp>,
    /// Why no newer one could be had, if it was tried and failed.
    pub failure: Option<String>,
}

/// Judges certificates: chain, validity, revocation.
pub trait Trust: Send + Sync {
    /// Judges `certificate`, with `intermediates` that the peer sent along, by the CAs of `realm`.
    fn judge<'a>(&'a self, realm: Realm, certificate: &'a Certificate, intermediates: &'a [Certificate]) -> Pending<'a, Result<(), TrustError>>;

    /// The revocation lists that are in use, for those who watch over their ends.
    fn lists(&self) -> Vec<RevocationList> {
        Vec::new()
    }
}
