//! Certificates of access points that sign without sending their certificate along (Domibus with its default policy).
//!
//! A message names its signer by key identifier, by issuer and serial number or by thumbprint, and claims a sender. Nothing
//! of that is verified when the certificate has to be found, so what a stranger can make us ask is bounded: nothing
//! unless the header is one that we would take, at most four looks into the federation for one message, two searches at
//! once, and so many in a minute. What is found is no more than a candidate: the signature is verified with it, and
//! it is judged like one that came along.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::AccessPointSide;
use crate::as4::Header;
use crate::as4::pmode::{self, Claim};
use crate::as4::receive::Sought;
use crate::crypto::{Certificate, KeyReference};
use crate::ident::{AccessPointId, DocumentKind};
use crate::port::{DirectoryError, Freshness};

/// Access points that are remembered.
const REMEMBERED: usize = 2_000;
/// Searches at once.
const AT_ONCE: usize = 2;
/// The longest search.
const LONGEST: Duration = Duration::from_secs(20);
/// Searches that may come in one burst.
const BURST: u32 = 20;
/// The time in which one more search is allowed.
const REFILL: SignedDuration = SignedDuration::from_secs(2);

/// Access points whose signature was accepted before, and what is left of the searches for others.
#[derive(Debug)]
pub struct Acquaintances {
    known: Mutex<HashMap<AccessPointId, Certificate>>,
    at_once: Semaphore,
    allowance: Mutex<Allowance>,
}

impl Default for Acquaintances {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            allowance: Mutex::new(Allowance { left: BURST, at: Timestamp::UNIX_EPOCH }),
        }
    }
}

/// Searches that may still be made: one more every [`REFILL`], at most [`BURST`].
#[derive(Debug)]
struct Allowance {
    left: u32,
    at: Timestamp,
}

impl Allowance {
    fn take(&mut self, now: Timestamp) -> bool {
        // A clock that was put back.
        self.at = self.at.min(now);
        let more = now.duration_since(self.at).as_secs() / REFILL.as_secs();
        if more > 0 {
            self.left = u32::try_from(more).unwrap_or(BURST).saturating_add(self.left).min(BURST);
            self.at = now;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

impl Acquaintances {
    /// Remembers the certificate of an access point whose message was verified and whose certificate was judged.
    pub(super) fn remember(&self, point: &AccessPointId, certificate: &Certificate) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(point) {
            // Nobody has so many peers; whoever is forgotten is found again.
            known.clear();
        }
        known.insert(point.clone(), certificate.clone());
    }

    fn find(&self, point: &AccessPointId, reference: &KeyReference) -> Option<Certificate> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(point).filter(|certificate| reference.names(certificate)).cloned()
    }

    fn may_search(&self, now: Timestamp) -> bool {
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}

impl AccessPointSide {
    /// Finds the certificate that a message's signature names.
    pub(super) async fn seek_signer(&self, reference: &KeyReference, header: &Header) -> Sought {
        let Some(claim) = pmode::claimed(header, &self.access_point.pmode) else { return Sought::Unknown };
        if !self.serves(&claim.final_recipient) {
            return Sought::Unknown;
        }
        if let Some(certificate) = self.acquaintances.find(&claim.from, reference) {
            return Sought::Found(Box::new(certificate));
        }
        let (Ok(_place), true) = (self.acquaintances.at_once.try_acquire(), self.acquaintances.may_search(self.now())) else {
            return Sought::Later("too many messages at once are signed with certificates that did not come along".into());
        };
        let late = |_| Sought::Later("the search for a signer's certificate took too long".into());
        let searched = tokio::time::timeout(LONGEST, self.search(reference, &claim)).await.unwrap_or_else(late);
        tracing::debug!(sender = %claim.original_sender, access_point = %claim.from, found = matches!(searched, Sought::Found(_)),
            "a signer's certificate did not come along and was looked for in the federation");
        searched
    }

    /// The access point of the claimed sender, by what it receives: our message receipts, or our messages.
    async fn search(&self, reference: &KeyReference, claim: &Claim) -> Sought {
        let answers = match claim.kind {
            DocumentKind::Message => [DocumentKind::Receipt, DocumentKind::Message],
            DocumentKind::Receipt => [DocumentKind::Message, DocumentKind::Receipt],
        };
        // Past the cache once: the certificate may have been changed a minute ago (SDK C3.4.5).
        for freshness in [Freshness::Cached, Freshness::Fresh] {
            for kind in answers {
                match self.directory.metadata(&claim.original_sender, kind, freshness).await {
                    Ok(metadata) if reference.names(&metadata.access_point) => return Sought::Found(Box::new(metadata.access_point)),
                    Ok(_) | Err(DirectoryError::UnknownDocument { .. }) => {}
                    Err(DirectoryError::UnknownParticipant(_) | DirectoryError::Unusable { .. }) => return Sought::Unknown,
                    Err(error @ DirectoryError::Unavailable { .. }) => {
                        return Sought::Later(format!("the signer's certificate did not come along and cannot be looked up: {error}"));
                    }
                }
            }
        }
        Sought::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_spent_and_come_back_with_time() {
        let start: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let after = |seconds: i64| start + SignedDuration::from_secs(seconds);
        let acquaintances = Acquaintances::default();
        for _ in 0..BURST {
            assert!(acquaintances.may_search(start));
        }
        assert!(!acquaintances.may_search(start) && !acquaintances.may_search(after(1)));
        assert!(acquaintances.may_search(after(2)) && !acquaintances.may_search(after(3)));
        // A clock that goes back gives nothing.
        assert!(!acquaintances.may_search(start));
        let spent = (0..1000).filter(|_| acquaintances.may_search(after(100_000))).count();
        assert_eq!(spent, BURST as usize);
    }

    #[test]
    fn who_was_accepted_before_is_found_by_every_name_of_the_same_certificate_only() {
        let (first, second) = (crate::crypto::testing::identity("AP0001"), crate::crypto::testing::identity("AP0001"));
        let point = AccessPointId::new("AP0001").unwrap();
        let acquaintances = Acquaintances::default();
        let name = |certificate: &Certificate| KeyReference::Thumbprint(crate::crypto::Digest::Sha1.of(certificate.der()).unwrap());
        assert_eq!(acquaintances.find(&point, &name(&first.certificate)), None);
        acquaintances.remember(&point, &first.certificate);
        assert_eq!(acquaintances.find(&point, &name(&first.certificate)), Some(first.certificate.clone()));
        assert_eq!(acquaintances.find(&point, &name(&second.certificate)), None);
        assert_eq!(acquaintances.find(&AccessPointId::new("AP0002").unwrap(), &name(&first.certificate)), None);
        acquaintances.remember(&point, &second.certificate);
        assert_eq!(acquaintances.find(&point, &name(&first.certificate)), None, "the newest counts");
        for number in 0..REMEMBERED * 2 {
            acquaintances.remember(&AccessPointId::new(format!("AP{number}")).unwrap(), &first.certificate);
        }
        assert!(acquaintances.known.lock().unwrap().len() <= REMEMBERED);
    }
}
