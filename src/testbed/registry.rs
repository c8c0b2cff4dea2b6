//! Who is registered where: one file for each participant, named by its DNS label, so that DNS and SMP find it without an
//! index and another process can add one while they run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TestbedError;
use super::files;
use crate::crypto::Certificate;
use crate::ident::{DocumentKind, ParticipantId};
use crate::smp::{self, CertificateUse, Endpoint, Process, Published, ServiceGroup, ServiceMetadata};

/// What the SMP publishes of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
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
    /// The participant's encryption certificates.
    pub encryption: Vec<Certificate>,
}

impl Registration {
    /// A participant that takes both kinds of documents and has one certificate for signing and encryption.
    #[must_use]
    pub fn new(participant: ParticipantId, endpoint: &str, access_point: Certificate, own: Certificate) -> Self {
        Self {
            participant,
            kinds: DocumentKind::ALL.to_vec(),
            endpoint: endpoint.to_owned(),
            access_point,
            transport_profile: "digg-transport-as4-v1_0".into(),
            signing: vec![own.clone()],
            encryption: vec![own],
        }
    }

    pub(super) fn group(&self) -> ServiceGroup {
        let document_ids = self.kinds.iter().map(|kind| kind.document_id().to_owned()).collect();
        ServiceGroup { participant: self.participant.clone(), document_ids }
    }

    /// The metadata of one kind; `None` when it is not registered.
    pub(super) fn metadata(&self, kind: DocumentKind) -> Option<ServiceMetadata> {
        if !self.kinds.contains(&kind) {
            return None;
        }
        let endpoint = Endpoint {
            url: self.endpoint.clone(),
            transport_profile: self.transport_profile.clone(),
            certificate: self.access_point.clone(),
            activation: None,
            expiration: None,
        };
        let uses = [(CertificateUse::Signing, &self.signing), (CertificateUse::Encryption, &self.encryption)];
        let published = uses.into_iter().flat_map(|(usage, list)| list.iter().map(move |one| Published { usage, certificate: one.clone() }));
        Some(ServiceMetadata {
            participant: self.participant.clone(),
            document_id: kind.document_id().to_owned(),
            processes: vec![Process::of_sdk(vec![endpoint])],
            published: published.collect(),
        })
    }
}

/// The registrations on disk.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    dir: PathBuf,
}

impl Registry {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.join("registrations") }
    }

    pub(super) fn put(&self, registration: &Registration) -> Result<(), TestbedError> {
        let certificates = |list: &[Certificate]| list.iter().map(Certificate::to_base64).collect();
        let stored = Stored {
            participant: registration.participant.clone(),
            kinds: registration.kinds.clone(),
            endpoint: registration.endpoint.clone(),
            access_point: registration.access_point.to_base64(),
            transport_profile: registration.transport_profile.clone(),
            signing: certificates(&registration.signing),
            encryption: certificates(&registration.encryption),
        };
        files::write_json(&self.file(&smp::label(&registration.participant)), &stored)
    }

    pub(super) fn remove(&self, participant: &ParticipantId) -> Result<(), TestbedError> {
        let path = self.file(&smp::label(participant));
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(TestbedError::File { path, source }),
            _ => Ok(()),
        }
    }

    pub(super) fn find(&self, participant: &ParticipantId) -> Result<Option<Registration>, TestbedError> {
        Self::read(&self.file(&smp::label(participant)))
    }

    /// Whether some participant has this DNS label, which comes from the network: nothing but base32 reaches the disk.
    pub(super) fn has_label(&self, label: &str) -> bool {
        let label = label.to_ascii_uppercase();
        label.len() == 52 && label.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')) && self.file(&label).exists()
    }

    pub(super) fn all(&self) -> Result<Vec<Registration>, TestbedError> {
        files::names(&self.dir)?.iter().filter_map(|name| Self::read(&self.dir.join(name)).transpose()).collect()
    }

    fn read(path: &Path) -> Result<Option<Registration>, TestbedError> {
        let Some(stored) = files::read_json::<Stored>(path)? else { return Ok(None) };
        let one =
            |text: &String| Certificate::from_any(text.as_bytes()).map_err(|_| TestbedError::Broken(format!("a certificate in {}", path.display())));
        Ok(Some(Registration {
            kinds: stored.kinds,
            endpoint: stored.endpoint,
            access_point: one(&stored.access_point)?,
            transport_profile: stored.transport_profile,
            signing: stored.signing.iter().map(one).collect::<Result<_, _>>()?,
            encryption: stored.encryption.iter().map(one).collect::<Result<_, _>>()?,
            participant: stored.participant,
        }))
    }

    fn file(&self, label: &str) -> PathBuf {
        self.dir.join(format!("{label}.json"))
    }
}

/// A registration as it lies on disk; certificates in base64.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    participant: ParticipantId,
    kinds: Vec<DocumentKind>,
    endpoint: String,
    access_point: String,
    transport_profile: String,
    signing: Vec<String>,
    encryption: Vec<String>,
}
