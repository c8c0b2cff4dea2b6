//! Judging certificates: chain to the configured CAs, validity, revocation by CRL over HTTP (SDK C3.4.3 2.9).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::http::{HttpClient, HttpOptions, PlainHttp};
use crate::crypto::{Authorities, Certificate, ChainError, Crl, CrlError, crl_urls};
use crate::port::{Clock, Pending, Realm, Trust, TrustError};

/// What to do when revocation cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Revocation {
    /// The certificate is not trusted, for now. The default.
    #[default]
    Hard,
    /// The certificate is trusted all the same, and the log says so; one that is known as revoked is not.
    Soft,
    /// Revocation is never checked: for a federation on this machine alone.
    Off,
}

/// The options of [`CaTrust`].
#[derive(Debug, Clone)]
pub struct TrustOptions {
    /// The CAs of each realm; a realm without CAs trusts nobody.
    pub authorities: BTreeMap<Realm, Authorities>,
    /// When revocation cannot be checked.
    pub revocation: Revocation,
    /// How old a list may be before it is fetched again, whatever it says of the next one. Default 1 h.
    pub crl_max_age: Duration,
    /// How lists are fetched. Lists are signed, so plain HTTP is allowed anywhere: most CAs publish nowhere else.
    pub http: HttpOptions,
}

impl Default for TrustOptions {
    fn default() -> Self {
        Self {
            authorities: BTreeMap::new(),
            revocation: Revocation::Hard,
            crl_max_age: Duration::from_hours(1),
            // The largest lists of Swedish CAs have some megabytes.
            http: HttpOptions { plain: PlainHttp::Anywhere, answer_limit: 64_000_000, ..HttpOptions::default() },
        }
    }
}

/// Judges by configured CAs and their revocation lists.
pub struct CaTrust {
    options: TrustOptions,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    /// By address. The inner lock makes many judgements wait for one fetch.
    lists: Mutex<HashMap<String, Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Fetched>>>;

struct Fetched {
    at: Timestamp,
    crl: Arc<Crl>,
}

impl CaTrust {
    /// A judge with these options.
    #[must_use]
    pub fn new(options: TrustOptions, clock: Arc<dyn Clock>) -> Self {
        Self { http: HttpClient::new(options.http.clone()), options, clock, lists: Mutex::new(HashMap::new()) }
    }

    async fn judge_now(&self, realm: Realm, certificate: &Certificate, sent: &[Certificate]) -> Result<(), TrustError> {
        let now = self.clock.now();
        let Some(authorities) = self.options.authorities.get(&realm) else {
            return Err(TrustError::Issuer(format!("no CA is configured for {realm:?}")));
        };
        let chain = authorities.chain(certificate, sent, now).map_err(|error| match error {
            ChainError::NotYet(from) => TrustError::NotYet(from),
            ChainError::Expired(until) => TrustError::Expired(until),
            ChainError::Broken(_) | ChainError::Usage => TrustError::Issuer(error.to_string()),
        })?;
        if self.options.revocation == Revocation::Off {
            return Ok(());
        }
        // Only now are addresses out of the certificates asked: a configured CA stands for each of them. The anchor itself
        // cannot be revoked but by the operator.
        for (subject, issuer) in chain.iter().zip(chain.iter().skip(1)) {
            match self.revoked(subject, issuer, now).await {
                Ok(false) => {}
                Ok(true) => return Err(TrustError::Revoked),
                Err(reason) if self.options.revocation == Revocation::Soft => {
                    tracing::warn!(certificate = subject.subject(), reason, "trusted although its revocation cannot be checked");
                }
                Err(reason) => return Err(TrustError::Unchecked(reason)),
            }
        }
        Ok(())
    }

    /// Asks the lists that the certificate names, one after another, until one answers.
    async fn revoked(&self, certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<bool, String> {
        let mut reason = format!("{} names no revocation list", certificate.subject());
        for url in crl_urls(certificate) {
            match self.ask(&url, certificate, issuer, now).await {
                Ok(revoked) => return Ok(revoked),
                Err(error) => reason = format!("{url}: {error}"),
            }
        }
        Err(reason)
    }

    async fn ask(&self, url: &str, certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<bool, String> {
        let slot = Arc::clone(self.lists.lock().unwrap_or_else(PoisonError::into_inner).entry(url.to_owned()).or_default());
        let mut kept = slot.lock().await;
        let max_age = SignedDuration::try_from(self.options.crl_max_age).unwrap_or(SignedDuration::MAX);
        let judged = |crl: &Crl| crl.revoked(certificate, issuer, now);
        if let Some(kept) = kept.as_ref() {
            let young = now.duration_since(kept.at) < max_age;
            if young && let Ok(revoked) = judged(&kept.crl) {
                return Ok(revoked);
            }
        }
        match self.fetch(url).await {
            Ok(crl) => {
                // A list that is not the issuer's must not push out one that is.
                let revoked = judged(&crl).map_err(|error| error.to_string())?;
                *kept = Some(Fetched { at: now, crl: Arc::new(crl) });
                Ok(revoked)
            }
            // Older than we like, but what its CA says still holds until its next update.
            Err(error) => match kept.as_ref().map(|kept| judged(&kept.crl)) {
                Some(Ok(revoked)) => Ok(revoked),
                Some(Err(CrlError::Outdated(until))) => Err(format!("{error}; the last list ended at {until}")),
                _ => Err(error),
            },
        }
    }

    async fn fetch(&self, url: &str) -> Result<Crl, String> {
        let answer = self.http.get(url).await.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        Crl::read(&answer.body).map_err(|error| error.to_string())
    }
}

impl Trust for CaTrust {
    fn judge<'a>(&'a self, realm: Realm, certificate: &'a Certificate, intermediates: &'a [Certificate]) -> Pending<'a, Result<(), TrustError>> {
        Box::pin(self.judge_now(realm, certificate, intermediates))
    }
}

impl std::fmt::Debug for CaTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaTrust").field("options", &self.options).finish_non_exhaustive()
    }
}
