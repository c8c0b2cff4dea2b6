//! Finding participants: in DNS and SMP, or in the configuration.

mod cache;
mod fixed;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use fixed::{StaticDirectory, StaticEntry};

use cache::{Cache, Found, Key, Recalled};

use super::dns::{Dns, DnsError, DnsOptions};
use super::http::{HttpClient, HttpError, HttpOptions, PlainHttp};
use crate::crypto::Certificate;
use crate::ident::{DocumentKind, Domain, ParticipantId};
use crate::port::{Clock, Directory, DirectoryError, Freshness, Metadata, Pending, Realm, Trust, TrustError};
use crate::smp::{self, CertificateUse, ServiceGroup, ServiceMetadata, SmpError};

/// NAPTR records of one name; real ones have one or two.
const RECORDS: usize = 32;

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
    /// The only common name that the signer may have; a signer's certificate is renewed every few years, its name stays.
    pub smp_signer_name: Option<String>,
    /// How long a found participant is remembered. Default 15 min.
    pub max_age: Duration,
    /// How old an answer may be that is used while DNS or the SMP is down. Default 1 day.
    pub max_stale: Duration,
    /// How long it is used then before DNS and SMP are asked again. Default 30 s.
    pub retry_after: Duration,
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
            smp_signer_name: None,
            max_age: Duration::from_mins(15),
            max_stale: Duration::from_hours(24),
            retry_after: Duration::from_secs(30),
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
    cache: Cache,
}

impl DnsDirectory {
    /// A directory with these options; `trust` judges the SMP's signer.
    ///
    /// # Errors
    /// [`DnsError::Setup`].
    pub fn new(options: DirectoryOptions, trust: Arc<dyn Trust>, clock: Arc<dyn Clock>) -> Result<Self, DnsError> {
        let (dns, http) = (Dns::new(&options.dns)?, HttpClient::new(options.http.clone()));
        let cache = Cache::new(&options);
        Ok(Self { options, dns, http, trust, clock, cache })
    }

    async fn find(&self, participant: &ParticipantId, kind: DocumentKind, freshness: Freshness) -> Result<Metadata, DirectoryError> {
        let key = (participant.clone(), kind);
        let now = self.clock.now();
        if freshness == Freshness::Cached {
            match self.cache.recall(&key, now) {
                Recalled::Young(answer) => return answer,
                Recalled::Stale(found, failure) => return self.stale(&key, found, failure, now).await,
                Recalled::Nothing => {}
            }
        }
        let asking = || async {
            let timed_out = |_| DirectoryError::Unavailable { service: "DNS or SMP".into(), reason: "it took too long".into() };
            let answer = tokio::time::timeout(self.options.timeout, self.ask(participant, kind, now)).await.map_err(timed_out).flatten();
            self.cache.remember(&key, now, &answer);
            answer
        };
        match self.cache.once(&key, asking).await {
            Ok(found) => Ok(found.metadata),
            // Who asks past the cache doubts what is in it, so nothing old will do.
            Err(failure @ DirectoryError::Unavailable { .. }) if freshness == Freshness::Cached => match self.cache.old(&key, now) {
                Some(found) => self.stale(&key, found, failure, now).await,
                None => Err(failure),
            },
            Err(error) => Err(error),
        }
    }

    /// An answer beyond its age, in place of the failure to get a new one. Its signer is judged again: what has been
    /// revoked or has ended in the meantime is not used.
    async fn stale(&self, key: &Key, found: Found, failure: DirectoryError, now: Timestamp) -> Result<Metadata, DirectoryError> {
        let (participant, _) = key;
        match self.judge(participant, &found.metadata.signer, &found.intermediates).await {
            Ok(()) => {
                tracing::warn!(%participant, fetched = %found.at, why = %failure, "metadata is used beyond its age, since there is no newer one to be had");
                Ok(Metadata { stale: Some(found.at), ..found.metadata })
            }
            Err(error @ DirectoryError::Unusable { .. }) => {
                self.cache.forget(key, now);
                Err(error)
            }
            Err(_) => Err(failure),
        }
    }

    /// The base URL of the participant's SMP, as DNS has it now.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn smp(&self, participant: &ParticipantId) -> Result<String, DirectoryError> {
        let name = smp::naptr_name(participant, &self.options.sml_zone);
        match self.dns.naptr(&name).await {
            Ok(records) if records.len() > RECORDS => Err(unusable(participant, "there are too many NAPTR records at its name")),
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
                404 | 410 => Ok(None),
                300..=399 => Err(unusable(participant, "its SMP redirects, which this federation does not allow")),
                status => Err(unavailable(format!("status {status}"))),
            },
            Err(error @ (HttpError::Refused(_) | HttpError::TooLong(_))) => Err(unusable(participant, &format!("its SMP {smp}: {error}"))),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    /// The list of documents that the SMP at `smp` has for the participant. It is not signed: it is for people to read, and to
    /// tell who is unknown from what is.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn group(&self, participant: &ParticipantId, smp: &str) -> Result<ServiceGroup, DirectoryError> {
        let body = self.fetch(participant, smp, &smp::service_group_url(smp, participant)).await?;
        let body = body.ok_or_else(|| DirectoryError::UnknownParticipant(participant.clone()))?;
        let group = ServiceGroup::read(&body).map_err(|error| unusable(participant, &told(&error)))?;
        if group.participant == *participant { Ok(group) } else { Err(unusable(participant, &SmpError::Another("participant").to_string())) }
    }

    async fn ask(&self, participant: &ParticipantId, kind: DocumentKind, now: Timestamp) -> Result<Found, DirectoryError> {
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
        self.judge(participant, &signer.certificate, &signer.intermediates).await?;
        let metadata = self.accept(participant, kind, metadata, signer.certificate, now).map_err(|error| unusable(participant, &told(&error)))?;
        Ok(Found { at: now, metadata, intermediates: signer.intermediates })
    }

    async fn judge(&self, participant: &ParticipantId, signer: &Certificate, intermediates: &[Certificate]) -> Result<(), DirectoryError> {
        if self.options.smp_signer.as_ref().is_some_and(|only| only != signer) {
            return Err(unusable(participant, "the signer of its metadata is not the configured one"));
        }
        if self.options.smp_signer_name.is_some() && self.options.smp_signer_name != signer.common_name() {
            return Err(unusable(participant, "the signer of its metadata has another name than the configured one"));
        }
        self.trust.judge(Realm::Smp, signer, intermediates).await.map_err(|error| match error {
            TrustError::Unchecked(reason) => DirectoryError::Unavailable { service: "revocation of the SMP's signer".into(), reason },
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
            stale: None,
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

    fn knows(&self, participant: &ParticipantId, kind: DocumentKind) -> bool {
        self.cache.has(&(participant.clone(), kind), self.clock.now())
    }

    fn asks<'a>(&'a self, participant: &'a ParticipantId) -> Pending<'a, Result<Option<String>, DirectoryError>> {
        Box::pin(async move {
            let timed_out = |_| DirectoryError::Unavailable { service: "DNS".into(), reason: "it took too long".into() };
            tokio::time::timeout(self.options.timeout, self.smp(participant)).await.map_err(timed_out).flatten().map(Some)
        })
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

fn unusable(participant: &ParticipantId, reason: &str) -> DirectoryError {
    DirectoryError::Unusable { participant: participant.clone(), reason: reason.to_owned() }
}

/// An SMP error with its cause; neither quotes the answer.
fn told(error: &SmpError) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
