//! Whether a certificate is revoked: OCSP and revocation lists, asked over HTTP, kept while they hold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::http::{HttpAnswer, HttpClient, HttpError, HttpOptions};
use super::trust::{Order, TrustOptions};
use crate::crypto::{Certificate, Crl, CrlError, OcspAnswer, OcspError, OcspStatus, crl_obstacle, crl_urls, ocsp_request, ocsp_urls};
use crate::ident::Sha256;
use crate::port::RevocationList;

/// Addresses of one certificate that are tried.
const ADDRESSES: usize = 4;
/// An OCSP answer is small and quick, or the next source is asked.
const ANSWER_LIMIT: usize = 100_000;
const ANSWER_TIME: Duration = Duration::from_secs(10);
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Kept lists: a federation's CAs have a dozen. A list may have some megabytes.
const LISTS: usize = 64;
/// Addresses that failed and are remembered.
const FAILED: usize = 1_000;
/// Kept OCSP answers. Only certificates of configured CAs are asked about, so this is met by no stranger.
const ANSWERS: usize = 10_000;

/// What is kept of one source. The inner lock makes many judgements wait for one request.
type Slot<T> = Arc<tokio::sync::Mutex<Option<Kept<T>>>>;

struct Kept<T> {
    at: Timestamp,
    value: Arc<T>,
}

/// Asks, and remembers what was answered and who did not answer.
pub(super) struct Checker {
    order: Order,
    max_age: SignedDuration,
    grace: SignedDuration,
    retry_after: SignedDuration,
    lists_http: HttpClient,
    answers_http: HttpClient,
    /// By address.
    lists: Mutex<HashMap<String, Slot<Crl>>>,
    /// By certificate.
    answers: Mutex<HashMap<Sha256, Slot<OcspAnswer>>>,
    /// Addresses that have failed: when, and how.
    failed: Mutex<HashMap<String, (Timestamp, String)>>,
}

impl Checker {
    pub(super) fn new(options: &TrustOptions) -> Self {
        let span = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let quick = HttpOptions {
            answer_limit: ANSWER_LIMIT.min(options.http.answer_limit),
            connect_timeout: CONNECT_TIME.min(options.http.connect_timeout),
            exchange_timeout: ANSWER_TIME.min(options.http.exchange_timeout),
            ..options.http.clone()
        };
        Self {
            order: options.order,
            max_age: span(options.max_age),
            grace: span(options.grace),
            retry_after: span(options.retry_after),
            lists_http: HttpClient::new(options.http.clone()),
            answers_http: HttpClient::new(quick),
            lists: Mutex::default(),
            answers: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Whether `certificate`, issued by `issuer`, is revoked; why that cannot be told otherwise. The sources are asked in
    /// the configured order. When all fail, what was said before and still holds is what counts.
    pub(super) async fn revoked(&self, certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<bool, String> {
        let (responders, lists) = (ocsp_urls(certificate), crl_urls(certificate));
        let mut reasons = Vec::new();
        let order = match self.order {
            Order::OcspFirst => [true, false],
            Order::CrlFirst => [false, true],
        };
        for by_ocsp in order {
            let told = match by_ocsp {
                true if responders.is_empty() => continue,
                true => self.by_answer(&responders, certificate, issuer, now).await,
                false if lists.is_empty() => continue,
                false => self.by_lists(&lists, certificate, issuer, now).await,
            };
            match told {
                Ok(revoked) => return Ok(revoked),
                Err(reason) => reasons.push(reason),
            }
        }
        if let Some(revoked) = self.said_before(&lists, certificate, issuer, now).await {
            return Ok(revoked);
        }
        if let Some(obstacle) = crl_obstacle(certificate) {
            reasons.push(format!("{} {obstacle}", certificate.subject()));
        }
        if reasons.is_empty() {
            return Err(format!("{} names neither OCSP responder nor revocation list", certificate.subject()));
        }
        Err(reasons.join("; "))
    }

    /// Asks the responders that the certificate names, one after another, until one answers.
    async fn by_answer(&self, urls: &[String], certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<bool, String> {
        let slot = self.answer_slot(certificate);
        let mut kept = slot.lock().await;
        if let Some(told) = kept.as_ref().filter(|kept| self.is_young(kept, now)).and_then(|kept| told(&kept.value, now)) {
            return Ok(told);
        }
        let mut reasons = Vec::new();
        for url in urls.iter().take(ADDRESSES) {
            match self.answer(url, certificate, issuer, now).await {
                Ok(answer) => {
                    let revoked = matches!(answer.status(), OcspStatus::Revoked(_));
                    *kept = Some(Kept { at: now, value: Arc::new(answer) });
                    return Ok(revoked);
                }
                Err(reason) => reasons.push(format!("{url}: {reason}")),
            }
        }
        Err(reasons.join("; "))
    }

    /// One responder's word that is worth keeping: good or revoked.
    async fn answer(&self, url: &str, certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<OcspAnswer, String> {
        self.is_worth_asking(url, now)?;
        let nonce = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        let question = ocsp_request(certificate, issuer, &nonce).map_err(|error| error.to_string())?;
        // RFC 6960 A.1. Never GET: caches between would answer with another question's nonce.
        let body = Box::new(std::io::Cursor::new(question.clone()));
        let sent = self.answers_http.post(url, "application/ocsp-request", question.len() as u64, body).await;
        let read = successful(sent).and_then(|bytes| match OcspAnswer::read(&bytes, certificate, issuer, &nonce, now) {
            Ok(answer) => Ok(Ok(answer)),
            // It works, and has nothing to say about this certificate.
            Err(error @ OcspError::Silent) => Ok(Err(error.to_string())),
            Err(error) => Err(error.to_string()),
        });
        let answer = self.remembered(url, now, read)??;
        if let Some(delegate) = answer.delegate_to_check() {
            match self.by_lists(&crl_urls(delegate), delegate, issuer, now).await {
                Ok(false) => {}
                Ok(true) => return Err("the responder's own certificate is revoked".into()),
                Err(reason) => return Err(format!("the responder's own certificate cannot be checked: {reason}")),
            }
        }
        // RFC 6960 2.2: another source may know.
        if answer.status() == OcspStatus::Unknown { Err("the responder does not know the certificate".into()) } else { Ok(answer) }
    }

    /// Asks the lists that the certificate names, one after another, until one answers.
    async fn by_lists(&self, urls: &[String], certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<bool, String> {
        let mut reasons = Vec::new();
        for url in urls.iter().take(ADDRESSES) {
            match self.by_list(url, certificate, issuer, now).await {
                Ok(revoked) => return Ok(revoked),
                Err(error) => reasons.push(format!("{url}: {error}")),
            }
        }
        Err(reasons.join("; "))
    }

    async fn by_list(&self, url: &str, certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<bool, String> {
        let slot = self.list_slot(url);
        let mut kept = slot.lock().await;
        let judged = |crl: &Crl| crl.revoked(certificate, issuer, now);
        if let Some(Ok(revoked)) = kept.as_ref().filter(|kept| self.is_young(kept, now)).map(|kept| judged(&kept.value)) {
            return Ok(revoked);
        }
        match self.fetch(url, certificate, issuer, now).await {
            Ok((crl, revoked)) => {
                // Whoever stands between may hand out an older list that still holds: it must not undo a revocation.
                if let Some(Ok(revoked)) = kept.as_ref().filter(|kept| kept.value.issued() > crl.issued()).map(|kept| judged(&kept.value)) {
                    return Ok(revoked);
                }
                *kept = Some(Kept { at: now, value: Arc::new(crl) });
                Ok(revoked)
            }
            Err(error) => match kept.as_ref().map(|kept| judged(&kept.value)) {
                Some(Err(CrlError::Outdated(until))) => Err(format!("{error}; the last list ended at {until}")),
                _ => Err(error),
            },
        }
    }

    /// Fetches a list and judges the certificate by it. One that cannot be used is a failure of its address: it is not
    /// fetched anew for each message.
    async fn fetch(&self, url: &str, certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<(Crl, bool), String> {
        self.is_worth_asking(url, now)?;
        let read = match successful(self.lists_http.get(url).await) {
            Ok(bytes) => {
                let (certificate, issuer) = (certificate.clone(), issuer.clone());
                // Some megabytes to read and to digest.
                let judged = tokio::task::spawn_blocking(move || {
                    let crl = Crl::read(&bytes)?;
                    let revoked = crl.revoked(&certificate, &issuer, now)?;
                    Ok::<_, CrlError>((crl, revoked))
                });
                judged.await.map_err(|_| "reading it failed".to_owned()).and_then(|judged| judged.map_err(|error| error.to_string()))
            }
            Err(error) => Err(error),
        };
        self.remembered(url, now, read)
    }

    /// Older than we like, but what the CA said holds until the time that it named, and as long after it as is configured.
    async fn said_before(&self, lists: &[String], certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Option<bool> {
        for url in lists.iter().take(ADDRESSES) {
            let slot = self.list_slot(url);
            let kept = slot.lock().await;
            let Some(list) = kept.as_ref().map(|kept| &kept.value) else { continue };
            let at = self.as_of(list.until(), now);
            if let Ok(revoked) = list.revoked(certificate, issuer, at) {
                if at < now {
                    tracing::warn!(url, until = ?list.until(), "a revocation list is used after its end");
                }
                return Some(revoked);
            }
        }
        let slot = self.answer_slot(certificate);
        let kept = slot.lock().await;
        kept.as_ref().and_then(|kept| told(&kept.value, self.as_of(kept.value.until(), now)))
    }

    /// The time at which something that holds until then is judged: its end, when that is past no longer than is forgiven.
    fn as_of(&self, until: Option<Timestamp>, now: Timestamp) -> Timestamp {
        until.filter(|until| *until < now && now.duration_since(*until) <= self.grace).unwrap_or(now)
    }

    /// The lists that are kept and not being fetched at this moment.
    pub(super) fn lists_in_use(&self) -> Vec<RevocationList> {
        let slots: Vec<_> =
            self.lists.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(url, slot)| (url.clone(), Arc::clone(slot))).collect();
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |(url, slot): (String, Slot<Crl>)| {
            let kept = slot.try_lock().ok()?;
            let list = &kept.as_ref()?.value;
            let failure = failed.get(&url).map(|(_, reason)| reason.clone());
            Some(RevocationList { issued: list.issued(), until: list.until(), failure, url })
        };
        slots.into_iter().filter_map(state).collect()
    }

    fn is_young<T>(&self, kept: &Kept<T>, now: Timestamp) -> bool {
        // What seems to be of tomorrow was kept before the clock was put back.
        kept.at <= now && now.duration_since(kept.at) < self.max_age
    }

    fn list_slot(&self, url: &str) -> Slot<Crl> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= LISTS && !lists.contains_key(url) {
            lists.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(lists.entry(url.to_owned()).or_default())
    }

    fn answer_slot(&self, certificate: &Certificate) -> Slot<OcspAnswer> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS {
            // Those that somebody waits for stay.
            answers.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(answers.entry(certificate.fingerprint()).or_default())
    }

    /// Whether enough time has gone since the address last failed, so that not each judgement waits for it anew.
    fn is_worth_asking(&self, url: &str, now: Timestamp) -> Result<(), String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.get(url).filter(|(at, _)| now.duration_since(*at).abs() < self.retry_after) {
            Some((at, reason)) => Err(format!("{reason} (at {at})")),
            None => Ok(()),
        }
    }

    fn remembered<T>(&self, url: &str, now: Timestamp, result: Result<T, String>) -> Result<T, String> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= FAILED {
            failed.retain(|_, (at, _)| now.duration_since(*at).abs() < self.retry_after);
        }
        match &result {
            Ok(_) => failed.remove(url),
            Err(reason) => failed.insert(url.to_owned(), (now, reason.clone())),
        };
        result
    }
}

/// Whether an answer that still holds says revoked.
fn told(answer: &OcspAnswer, now: Timestamp) -> Option<bool> {
    answer.holds_at(now).ok().map(|()| matches!(answer.status(), OcspStatus::Revoked(_)))
}

fn successful(answer: Result<HttpAnswer, HttpError>) -> Result<Vec<u8>, String> {
    match answer {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(format!("status {}", answer.status)),
        Err(error) => Err(error.to_string()),
    }
}
