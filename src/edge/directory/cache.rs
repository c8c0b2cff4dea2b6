//! What a directory remembers: answers, that there was none, and who asks at this moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use super::DirectoryOptions;
use crate::crypto::Certificate;
use crate::ident::{DocumentKind, ParticipantId};
use crate::port::{DirectoryError, Metadata};

/// Answers that are kept at most; beyond it the old ones go.
const KEPT: usize = 20_000;

/// What is asked for.
pub(super) type Key = (ParticipantId, DocumentKind);

/// An answer that was verified.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) at: Timestamp,
    pub(super) metadata: Metadata,
    /// What the signer's certificate is judged with.
    pub(super) intermediates: Vec<Certificate>,
}

type Answer = Result<Found, DirectoryError>;

/// What memory has to say.
#[derive(Debug)]
pub(super) enum Recalled {
    /// It is young enough.
    Young(Result<Metadata, DirectoryError>),
    /// It is too old, and the last attempt to get a newer one failed just now.
    Stale(Found, DirectoryError),
    /// Somebody must be asked.
    Nothing,
}

struct Kept {
    at: Timestamp,
    answer: Answer,
    /// The last attempt to get a newer one, when it failed.
    failed: Option<(Timestamp, DirectoryError)>,
}

/// Answers by what was asked for.
pub(super) struct Cache {
    max_age: SignedDuration,
    negative_max_age: SignedDuration,
    max_stale: SignedDuration,
    retry_after: SignedDuration,
    kept: Mutex<HashMap<Key, Kept>>,
    flights: Mutex<HashMap<Key, Arc<OnceCell<Answer>>>>,
}

impl Cache {
    pub(super) fn new(options: &DirectoryOptions) -> Self {
        let span = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self {
            max_age: span(options.max_age),
            negative_max_age: span(options.negative_max_age),
            max_stale: span(options.max_stale),
            retry_after: span(options.retry_after),
            kept: Mutex::default(),
            flights: Mutex::default(),
        }
    }

    pub(super) fn recall(&self, key: &Key, now: Timestamp) -> Recalled {
        let kept = self.kept();
        let Some(kept) = kept.get(key) else { return Recalled::Nothing };
        let age = now.duration_since(kept.at);
        // What seems to be of tomorrow was kept before the clock was put back: nobody knows how old it is.
        let known = !age.is_negative();
        match &kept.answer {
            Ok(found) if known && age < self.max_age && is_in_service(found, now) => Recalled::Young(Ok(found.metadata.clone())),
            Err(error) if known && age < self.negative_max_age => Recalled::Young(Err(error.clone())),
            Ok(found) if self.may_be_stale(found, now) => match &kept.failed {
                Some((at, failure)) if now.duration_since(*at).abs() < self.retry_after => Recalled::Stale(found.clone(), failure.clone()),
                _ => Recalled::Nothing,
            },
            _ => Recalled::Nothing,
        }
    }

    /// Whether there is an answer to give, also when nobody else has one.
    pub(super) fn has(&self, key: &Key, now: Timestamp) -> bool {
        !matches!(self.recall(key, now), Recalled::Nothing) || self.old(key, now).is_some()
    }

    /// What is kept and may still be used when nothing newer is to be had.
    pub(super) fn old(&self, key: &Key, now: Timestamp) -> Option<Found> {
        let kept = self.kept();
        kept.get(key)?.answer.as_ref().ok().filter(|found| self.may_be_stale(found, now)).cloned()
    }

    /// Keeps an answer. That DNS or SMP was down is noted beside the answer from before; what cannot be used is not kept, or
    /// whoever can write into one answer could keep a participant away for a while.
    pub(super) fn remember(&self, key: &Key, at: Timestamp, answer: &Answer) {
        let mut kept = self.kept();
        match answer {
            Err(failure @ DirectoryError::Unavailable { .. }) => {
                if let Some(kept) = kept.get_mut(key) {
                    kept.failed = Some((at, failure.clone()));
                }
            }
            Err(DirectoryError::Unusable { .. }) => {}
            answer => {
                if kept.len() >= KEPT {
                    let oldest = at.saturating_sub(self.negative_max_age).unwrap_or(Timestamp::MIN);
                    kept.retain(|_, found| found.at > oldest && found.answer.is_ok());
                }
                if kept.len() < KEPT || kept.contains_key(key) {
                    kept.insert(key.clone(), Kept { at, answer: answer.clone(), failed: None });
                }
            }
        }
    }

    /// Lets an answer go that was kept before `now`.
    pub(super) fn forget(&self, key: &Key, now: Timestamp) {
        let mut kept = self.kept();
        if kept.get(key).is_some_and(|kept| kept.at < now) {
            kept.remove(key);
        }
    }

    /// Asks once, however many want the same at the same time: all get the one answer. When whoever asks is cut off, the
    /// next one goes on.
    pub(super) async fn once<F: Future<Output = Answer>>(&self, key: &Key, ask: impl FnOnce() -> F) -> Answer {
        let flight = Flight { cache: self, key, cell: Arc::clone(self.flights().entry(key.clone()).or_default()) };
        flight.cell.get_or_init(ask).await.clone()
    }

    fn may_be_stale(&self, found: &Found, now: Timestamp) -> bool {
        now.duration_since(found.at) < self.max_stale && is_in_service(found, now)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Arc<OnceCell<Answer>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_in_service(found: &Found, now: Timestamp) -> bool {
    found.metadata.expiration.is_none_or(|until| now < until)
}

/// Somebody's part in an asking; the first to leave after the answer ends it, so that who comes later asks anew.
struct Flight<'a> {
    cache: &'a Cache,
    key: &'a Key,
    cell: Arc<OnceCell<Answer>>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = self.cache.flights();
        let is_ours = flights.get(self.key).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // Two hold it: the map and this one. Others that wait without an answer keep it.
        if is_ours && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            flights.remove(self.key);
        }
    }
}
