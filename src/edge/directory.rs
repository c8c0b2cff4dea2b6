//! Finding participants: in DNS and SMP, or in the configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::dns::{Dns, DnsError, DnsOptions};
use super::http::{HttpClient, HttpError, HttpOptions, PlainHttp};
use crate::crypto::{Certificate, SignedBy};
use crate::ident::{DocumentKind, Domain, ParticipantId};
use crate::port::{Clock, Directory, DirectoryError, Freshness, Metadata, Pending, Realm, Trust, TrustError};
use crate::smp::{self, CertificateUse, ServiceGroup, ServiceMetadata, SmpError};

/// Answers that are kept at most; beyond it the old ones go.
const KEPT: usize = 20_000;

/// The options of [`DnsDirectory`].
#[derive(Debug, Clone)]
pub struct DirectoryOptions {
    /// The zone below which the federation's SML publishes. It stands in no paper, so there is no default.
    pub sml_zone: Domain,
    /// The resolvers.
    pub dns: DnsOptions,
    /// How SMPs are asked. Plain HTTP is allowed by default since the metadata is signed (OASIS SMP 1.0 3.1).
    pub http: HttpOptions,
    /// The transport profiles of endpoints that are used (SDK C3.2.1).
    pub transport_profiles: Vec<String>,
    /// The only signer whose metadata is taken; none means every one that `trust` accepts.
    pub smp_signer: Option<Certificate>,
    /// How long DNS, SMP and the judging of its signer may take together for one answer. Default 30 s.
    pub timeout: Duration,
    /// How long a found participant is remembered. Default 15 min.
    pub max_age: Duration,
    /// How long it is remembered that a participant or document is unknown. Default 1 min.
    pub negative_max_age: Duration,
}

impl DirectoryOptions {
    /// The defaults for a zone.
    #[must_use]
    pub fn new(sml_zone: Domain) -> Self {
        Self {
            sml_zone,
            dns: DnsOptions::default(),
            http: HttpOptions { plain: PlainHttp::Anywhere, answer_limit: smp::ANSWER_LIMIT, ..HttpOptions::default() },
            transport_profiles: vec!["digg-transport-as4-v1_0".into()],
            smp_signer: None,
            timeout: Duration::from_secs(30),
            max_age: Duration::from_mins(15),
            negative_max_age: Duration::from_mins(1),
        }
    }
}

/// Looks participants up in DNS and at their SMP (SDK C3.4.1, SDK C3.4.2, SDK C3.4.5).
pub struct DnsDirectory {
    options: DirectoryOptions,
    dns: Dns,
    http: HttpClient,
    trust: Arc<dyn Trust>,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<(ParticipantId, DocumentKind), Kept>>,
}

struct Kept {
    at: Timestamp,
    answer: Result<Metadata, DirectoryError>,
}

impl DnsDirectory {
    /// A directory with these options; `trust` judges the SMP's signer.
    ///
    /// # Errors
    /// [`DnsError::Setup`].
    pub fn new(options: DirectoryOptions, trust: Arc<dyn Trust>, clock: Arc<dyn Clock>) -> Result<Self, DnsError> {
        let (dns, http) = (Dns::new(&options.dns)?, HttpClient::new(options.http.clone()));
        Ok(Self { options, dns, http, trust, clock, kept: Mutex::new(HashMap::new()) })
    }

    /// What is remembered and young enough. That DNS or SMP was down is never remembered.
    fn remembered(&self, participant: &ParticipantId, kind: DocumentKind, now: Timestamp) -> Option<Result<Metadata, DirectoryError>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(&(participant.clone(), kind))?;
        let max_age = if found.answer.is_ok() { self.options.max_age } else { self.options.negative_max_age };
        let young = now.duration_since(found.at) < SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        let in_service = found.answer.as_ref().map_or(true, |metadata| metadata.expiration.is_none_or(|until| now < until));
        (young && in_service).then(|| found.answer.clone())
    }

    fn remember(&self, participant: &ParticipantId, kind: DocumentKind, at: Timestamp, answer: &Result<Metadata, DirectoryError>) {
        if matches!(answer, Err(DirectoryError::Unavailable { .. } | DirectoryError::Unusable { .. })) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            let oldest = at - SignedDuration::try_from(self.options.negative_max_age).unwrap_or(SignedDuration::ZERO);
            kept.retain(|_, found| found.at > oldest && found.answer.is_ok());
        }
        if kept.len() < KEPT {
            kept.insert((participant.clone(), kind), Kept { at, answer: answer.clone() });
        }
    }

    async fn find(&self, participant: &ParticipantId, kind: DocumentKind, freshness: Freshness) -> Result<Metadata, DirectoryError> {
        let now = self.clock.now();
        if freshness == Freshness::Cached
            && let Some(answer) = self.remembered(participant, kind, now)
        {
            return answer;
        }
        let timed_out = |_| DirectoryError::Unavailable { service: "DNS or SMP".into(), reason: "it took too long".into() };
        let answer = tokio::time::timeout(self.options.timeout, self.ask(participant, kind, now)).await.map_err(timed_out).flatten();
        self.remember(participant, kind, now, &answer);
        answer
    }

    /// The base URL of the participant's SMP.
    async fn smp(&self, participant: &ParticipantId) -> Result<String, DirectoryError> {
        let name = smp::naptr_name(participant, &self.options.sml_zone);
        match self.dns.naptr(&name).await {
            Ok(records) => smp::base_url(&records).ok_or_else(|| unusable(participant, "its NAPTR records lead to no SMP")),
            Err(DnsError::Absent) => Err(DirectoryError::UnknownParticipant(participant.clone())),
            Err(error) => Err(DirectoryError::Unavailable { service: "DNS".into(), reason: error.to_string() }),
        }
    }

    /// One document of the SMP; `None` when it says that there is none.
    async fn fetch(&self, participant: &ParticipantId, smp: &str, url: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        let unavailable = |reason: String| DirectoryError::Unavailable { service: format!("SMP {smp}"), reason };
        match self.http.get(url).await {
            Ok(answer) => match answer.status {
                200 => Ok(Some(answer.body)),
                404 => Ok(None),
                300..=399 => Err(unusable(participant, "its SMP redirects, which this federation does not allow")),
                status => Err(unavailable(format!("status {status}"))),
            },
            Err(error @ (HttpError::Refused(_) | HttpError::TooLong(_))) => Err(unusable(participant, &format!("its SMP {smp}: {error}"))),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    async fn group(&self, participant: &ParticipantId, smp: &str) -> Result<ServiceGroup, DirectoryError> {
        let body = self.fetch(participant, smp, &smp::service_group_url(smp, participant)).await?;
        let body = body.ok_or_else(|| DirectoryError::UnknownParticipant(participant.clone()))?;
        let group = ServiceGroup::read(&body).map_err(|error| unusable(participant, &told(&error)))?;
        if group.participant == *participant { Ok(group) } else { Err(unusable(participant, &SmpError::Another("participant").to_string())) }
    }

    async fn ask(&self, participant: &ParticipantId, kind: DocumentKind, now: Timestamp) -> Result<Metadata, DirectoryError> {
        let smp = self.smp(participant).await?;
        let url = smp::service_metadata_url(&smp, participant, kind.document_id());
        let Some(body) = self.fetch(participant, &smp, &url).await? else {
            // Which of the two is unknown? The group says.
            self.group(participant, &smp).await?;
            return Err(DirectoryError::UnknownDocument { participant: participant.clone(), kind });
        };
        // The signature's library is not for async threads: parsing and RSA take their time.
        let opened = tokio::task::spawn_blocking(move || ServiceMetadata::open(&body)).await;
        let opened = opened.map_err(|_| unusable(participant, "reading it failed"))?;
        let (metadata, signer) = opened.map_err(|error| unusable(participant, &told(&error)))?;
        self.judge(participant, &signer).await?;
        self.accept(participant, kind, metadata, signer.certificate, now).map_err(|error| unusable(participant, &told(&error)))
    }

    async fn judge(&self, participant: &ParticipantId, signer: &SignedBy) -> Result<(), DirectoryError> {
        if self.options.smp_signer.as_ref().is_some_and(|only| *only != signer.certificate) {
            return Err(unusable(participant, "the signer of its metadata is not the configured one"));
        }
        self.trust.judge(Realm::Smp, &signer.certificate, &signer.intermediates).await.map_err(|error| match error {
            TrustError::Unchecked(reason) => DirectoryError::Unavailable { service: "revocation list of the SMP's signer".into(), reason },
            other => unusable(participant, &format!("the signer of its metadata is not trusted: {other}")),
        })
    }

    /// Checks that the answer is the one asked for and picks the endpoint (SDK C3.2.1 2.10).
    fn accept(
        &self,
        participant: &ParticipantId,
        kind: DocumentKind,
        metadata: ServiceMetadata,
        signer: Certificate,
        now: Timestamp,
    ) -> Result<Metadata, SmpError> {
        if metadata.participant != *participant {
            return Err(SmpError::Another("participant"));
        }
        if DocumentKind::from_document_id(&metadata.document_id) != Some(kind) {
            return Err(SmpError::Another("document"));
        }
        let endpoint = metadata.endpoint(&self.options.transport_profiles, now)?.clone();
        let certificates = |usage| metadata.certificates(usage).cloned().collect();
        Ok(Metadata {
            participant: participant.clone(),
            kind,
            endpoint: endpoint.url,
            access_point: endpoint.certificate,
            transport_profile: endpoint.transport_profile,
            activation: endpoint.activation,
            expiration: endpoint.expiration,
            signing: certificates(CertificateUse::Signing),
            encryption: certificates(CertificateUse::Encryption),
            signer,
        })
    }

    /// The SMP's list of documents is not signed, so each kind is asked for its signed metadata, which is then remembered.
    async fn find_kinds(&self, participant: &ParticipantId) -> Result<Vec<DocumentKind>, DirectoryError> {
        let mut kinds = Vec::new();
        for kind in DocumentKind::ALL {
            match self.find(participant, kind, Freshness::Cached).await {
                Ok(_) => kinds.push(kind),
                Err(DirectoryError::UnknownDocument { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kinds)
    }
}

impl Directory for DnsDirectory {
    fn kinds<'a>(&'a self, participant: &'a ParticipantId) -> Pending<'a, Result<Vec<DocumentKind>, DirectoryError>> {
        Box::pin(self.find_kinds(participant))
    }

    fn metadata<'a>(
        &'a self,
        participant: &'a ParticipantId,
        kind: DocumentKind,
        freshness: Freshness,
    ) -> Pending<'a, Result<Metadata, DirectoryError>> {
        Box::pin(self.find(participant, kind, freshness))
    }
}

impl std::fmt::Debug for DnsDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsDirectory").field("options", &self.options).finish_non_exhaustive()
    }
}

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
        })
    }
}

impl Directory for StaticDirectory {
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

fn unusable(participant: &ParticipantId, reason: &str) -> DirectoryError {
    DirectoryError::Unusable { participant: participant.clone(), reason: reason.to_owned() }
}

/// An SMP error with its cause; neither quotes the answer.
fn told(error: &SmpError) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
