//! Judging certificates: chain to the configured CAs, validity, revocation by OCSP and CRL over HTTP (SDK C3.4.3 2.9).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::http::{HttpOptions, PlainHttp};
use super::revocation::Checker;
use crate::crypto::{Authorities, Certificate, ChainError};
use crate::port::{Clock, Pending, Realm, RevocationList, Trust, TrustError};

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

/// Which source of revocation is asked first, where a certificate names both. The other one is asked when the first
/// cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// OCSP: small, and of this moment. The default.
    #[default]
    OcspFirst,
    /// The list: one for all certificates, and its publisher does not see who meets whom.
    CrlFirst,
}

/// The CAs of another environment (open test, QA, production): trusted by nobody, known by name.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// What they certify.
    pub realm: Realm,
    /// The environment.
    pub environment: String,
    /// Its CAs.
    pub authorities: Authorities,
}

/// The options of [`CaTrust`].
#[derive(Debug, Clone)]
pub struct TrustOptions {
    /// The CAs of each realm; a realm without CAs trusts nobody.
    pub authorities: BTreeMap<Realm, Authorities>,
    /// When revocation cannot be checked.
    pub revocation: Revocation,
    /// The same for those who connect to our endpoint. Default off.
    pub client_revocation: Revocation,
    /// The same for realms that differ.
    pub revocation_of: BTreeMap<Realm, Revocation>,
    /// CAs of other environments: who comes from one of them is told so.
    pub elsewhere: Vec<Elsewhere>,
    /// How far the clock here may be behind those of CAs: a certificate that begins sooner than that is taken. Nothing is
    /// added at the end. Default 5 min, which lists and OCSP answers have too.
    pub skew: Duration,
    /// How long a list or an OCSP answer is used after its own end while no newer one is to be had. Default not at all.
    pub grace: Duration,
    /// Which source is asked first.
    pub order: Order,
    /// How old a list or an OCSP answer may be before it is fetched again, whatever it says of the next one. Default 1 h.
    pub max_age: Duration,
    /// How long an address that failed is left alone. Default 30 s.
    pub retry_after: Duration,
    /// How lists are fetched; OCSP has shorter limits of its own. Both are signed, so plain HTTP is allowed anywhere: most
    /// CAs publish nowhere else.
    pub http: HttpOptions,
}

impl Default for TrustOptions {
    fn default() -> Self {
        Self {
            authorities: BTreeMap::new(),
            revocation: Revocation::Hard,
            client_revocation: Revocation::Off,
            revocation_of: BTreeMap::new(),
            elsewhere: Vec::new(),
            skew: Duration::from_mins(5),
            grace: Duration::ZERO,
            order: Order::OcspFirst,
            max_age: Duration::from_hours(1),
            retry_after: Duration::from_secs(30),
            // The largest lists of Swedish CAs have some megabytes.
            http: HttpOptions { plain: PlainHttp::Anywhere, answer_limit: 64_000_000, ..HttpOptions::default() },
        }
    }
}

/// Judges by configured CAs and what they say of their certificates.
pub struct CaTrust {
    options: TrustOptions,
    checker: Checker,
    clock: Arc<dyn Clock>,
}

impl CaTrust {
    /// A judge with these options.
    #[must_use]
    pub fn new(options: TrustOptions, clock: Arc<dyn Clock>) -> Self {
        Self { checker: Checker::new(&options), options, clock }
    }

    async fn judge_now(&self, realm: Realm, certificate: &Certificate, sent: &[Certificate]) -> Result<(), TrustError> {
        let now = self.clock.now();
        let mode = if realm == Realm::TlsClient { self.options.client_revocation } else { self.options.revocation };
        if (realm, mode) == (Realm::TlsClient, Revocation::Off) {
            return Ok(());
        }
        let Some(authorities) = self.options.authorities.get(&realm) else {
            return Err(TrustError::Issuer(format!("no CA is configured for {realm:?}")));
        };
        let soon = now.saturating_add(SignedDuration::try_from(self.options.skew).unwrap_or(SignedDuration::MAX)).unwrap_or(now);
        let chain = match authorities.chain(certificate, sent, now) {
            Err(ChainError::NotYet(from)) if from <= soon => authorities.chain(certificate, sent, soon),
            judged => judged,
        };
        let chain = chain.map_err(|error| match error {
            ChainError::NotYet(from) => TrustError::NotYet(from),
            ChainError::Expired(until) => TrustError::Expired(until),
            ChainError::Broken(_) => TrustError::Issuer(self.origin(realm, certificate, sent).unwrap_or_else(|| error.to_string())),
            ChainError::Usage => TrustError::Issuer(error.to_string()),
        })?;
        let mode = self.options.revocation_of.get(&realm).copied().unwrap_or(mode);
        if mode == Revocation::Off {
            return Ok(());
        }
        // Only now are addresses out of the certificates asked: a configured CA stands for each of them. The anchor itself
        // cannot be revoked but by the operator.
        for (subject, issuer) in chain.iter().zip(chain.iter().skip(1)) {
            match self.checker.revoked(subject, issuer, now).await {
                Ok(false) => {}
                Ok(true) => return Err(TrustError::Revoked),
                Err(reason) if mode == Revocation::Soft => {
                    tracing::warn!(certificate = subject.subject(), reason, "trusted although its revocation cannot be checked");
                }
                Err(reason) => return Err(TrustError::Unchecked(reason)),
            }
        }
        Ok(())
    }

    /// In words, the other environment that a certificate comes from: the commonest mix-up of all.
    fn origin(&self, realm: Realm, certificate: &Certificate, sent: &[Certificate]) -> Option<String> {
        let from = |certificate: &Certificate| {
            self.options.elsewhere.iter().find(|other| other.realm == realm && other.authorities.have_issued(certificate))
        };
        // What was sent along counts only as far as it leads on from the certificate.
        let above = |one: &Certificate| sent.iter().take(16).find(|ca| *ca != one && ca.has_issued(one));
        let mut found = from(certificate);
        let mut link = certificate;
        for _ in 0..4 {
            if found.is_some() {
                break;
            }
            link = above(link)?;
            found = from(link);
        }
        found.map(|other| format!("it is of another environment: {} ({})", other.environment, certificate.issuer()))
    }
}

/// How long after the clock has jumped no certificate is called expired, or not valid yet, for good.
const UNSURE: Duration = Duration::from_mins(15);

impl Trust for CaTrust {
    fn judge<'a>(&'a self, realm: Realm, certificate: &'a Certificate, intermediates: &'a [Certificate]) -> Pending<'a, Result<(), TrustError>> {
        Box::pin(async move {
            let judged = self.judge_now(realm, certificate, intermediates).await;
            match judged {
                Err(error @ (TrustError::Expired(_) | TrustError::NotYet(_))) if self.clock.has_jumped_within(UNSURE) => {
                    Err(TrustError::Unchecked(format!("{error}, by a clock that has just jumped")))
                }
                judged => judged,
            }
        })
    }

    fn lists(&self) -> Vec<RevocationList> {
        self.checker.lists_in_use()
    }
}

impl std::fmt::Debug for CaTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaTrust").field("options", &self.options).finish_non_exhaustive()
    }
}
