//! Participants that stand in the configuration.

use std::collections::HashMap;

use crate::crypto::Certificate;
use crate::ident::{DocumentKind, ParticipantId};
use crate::port::{Directory, DirectoryError, Freshness, Metadata, Pending};

/// One participant of a [`StaticDirectory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticEntry {
    /// Who.
    pub participant: ParticipantId,
    /// Which documents it takes.
    pub kinds: Vec<DocumentKind>,
    /// The access point's URL.
    pub endpoint: String,
    /// The access point's certificate.
    pub access_point: Certificate,
    /// The transport profile of the endpoint.
    pub transport_profile: String,
    /// The participant's signing certificates.
    pub signing: Vec<Certificate>,
    /// The participant's encryption certificates, the preferred one first.
    pub encryption: Vec<Certificate>,
}

/// Participants out of the configuration, for closed networks and tests. Who wrote the configuration vouches for them;
/// as signer of the metadata stands the access point's own certificate.
#[derive(Debug, Clone, Default)]
pub struct StaticDirectory {
    entries: HashMap<ParticipantId, StaticEntry>,
}

impl StaticDirectory {
    /// A directory of these participants; of two entries for one participant the last counts.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = StaticEntry>) -> Self {
        Self { entries: entries.into_iter().map(|entry| (entry.participant.clone(), entry)).collect() }
    }

    fn entry(&self, participant: &ParticipantId) -> Result<&StaticEntry, DirectoryError> {
        self.entries.get(participant).ok_or_else(|| DirectoryError::UnknownParticipant(participant.clone()))
    }

    fn find(&self, participant: &ParticipantId, kind: DocumentKind) -> Result<Metadata, DirectoryError> {
        let entry = self.entry(participant)?;
        if !entry.kinds.contains(&kind) {
            return Err(DirectoryError::UnknownDocument { participant: participant.clone(), kind });
        }
        Ok(Metadata {
            participant: entry.participant.clone(),
            kind,
            endpoint: entry.endpoint.clone(),
            access_point: entry.access_point.clone(),
            transport_profile: entry.transport_profile.clone(),
            activation: None,
            expiration: None,
            signing: entry.signing.clone(),
            encryption: entry.encryption.clone(),
            signer: entry.access_point.clone(),
            stale: None,
        })
    }
}

impl Directory for StaticDirectory {
    fn known(&self) -> Vec<ParticipantId> {
        self.entries.keys().cloned().collect()
    }

    fn kinds<'a>(&'a self, participant: &'a ParticipantId) -> Pending<'a, Result<Vec<DocumentKind>, DirectoryError>> {
        Box::pin(async move { self.entry(participant).map(|entry| entry.kinds.clone()) })
    }

    fn metadata<'a>(
        &'a self,
        participant: &'a ParticipantId,
        kind: DocumentKind,
        _freshness: Freshness,
    ) -> Pending<'a, Result<Metadata, DirectoryError>> {
        Box::pin(async move { self.find(participant, kind) })
    }
}
