//! At start: whether the federation knows us as we are (SDK C3.3.2 3.2.c).
//!
//! A wrong registration does not keep the gateway from starting: messages that are on their way are still opened, and
//! what must be mended stands in SMP.

use super::{AccessPointSide, Gateway, MailSide};
use crate::ident::{DocumentKind, ParticipantId};
use crate::port::{Freshness, Metadata};

/// What is wrong with our registration, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misregistered {
    /// Whose.
    pub participant: ParticipantId,
    /// For which documents.
    pub kind: DocumentKind,
    /// What.
    pub what: String,
}

impl Gateway {
    /// Looks up every participant of ours for both kinds of document, and judges of the answer what this node can judge.
    pub async fn check_registration(&self) -> Vec<Misregistered> {
        let mut found = Vec::new();
        for participant in self.participants.iter().map(|participant| &participant.id) {
            for kind in DocumentKind::ALL {
                let wrong = |what: String| Misregistered { participant: participant.clone(), kind, what };
                match self.directory.metadata(participant, kind, Freshness::Fresh).await {
                    Err(error) => found.push(wrong(error.to_string())),
                    Ok(metadata) => found.extend(self.faults(participant, &metadata).into_iter().map(wrong)),
                }
            }
        }
        found
    }

    fn faults(&self, participant: &ParticipantId, metadata: &Metadata) -> Vec<String> {
        let endpoint = self.access_point().map(|side| side.faults(metadata)).unwrap_or_default();
        let keys = self.mail().map(|side| side.faults(participant, metadata)).unwrap_or_default();
        [endpoint, keys].concat()
    }
}

impl AccessPointSide {
    fn faults(&self, metadata: &Metadata) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.access_point.keys().iter().any(|own| own.certificate == metadata.access_point) {
            faults.push("SMP has another access point certificate than [access-point] key, and than other-key".to_owned());
        }
        if metadata.endpoint != self.access_point.public_url {
            faults.push(format!("SMP has the endpoint {} and not [access-point] public-url", metadata.endpoint));
        }
        faults
    }
}

impl MailSide {
    fn faults(&self, participant: &ParticipantId, metadata: &Metadata) -> Vec<String> {
        let Some(organisation) = self.household.organisation(participant) else { return Vec::new() };
        let mut faults = Vec::new();
        if !metadata.signing.contains(&organisation.signing.certificate) {
            faults.push("CertPub does not have the certificate that the organisation signs with: receivers will reject its messages".to_owned());
        }
        let opens = |certificate| organisation.decryption.iter().any(|identity| &identity.certificate == certificate);
        if metadata.kind == DocumentKind::Message && !metadata.encryption.iter().all(opens) {
            faults.push("CertPub has an encryption certificate whose key is not configured: such messages cannot be opened".to_owned());
        }
        faults
    }
}
