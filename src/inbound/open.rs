//! Opening: the seal is verified first, and the payload decrypted only if it holds.
//!
//! Uses the participant's keys and nothing of the access point's.

use jiff::Timestamp;

use super::state::{Arrival, Closed, How, Incoming};
use super::told;
use crate::crypto::{Certificate, Identity};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::DocumentKind;
use crate::mail::alarm::Cause;
use crate::port::{DirectoryError, Effects, Guard, Lease, Metadata, Op, Step, Tell, TrustError};
use crate::sdk::envelope::Passed;
use crate::sdk::message::MessageLimits;
use crate::sdk::receipt::MAX_RECEIPT;
use crate::sdk::rules::Breach;
use crate::sdk::seal::{self, OpenError, Verified};

/// What an envelope comes to when it is not simply taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is deleted, the operator is told, and nobody gets a receipt (SDK C3.4.6 3.1.6, SDK C3.2.4 2.1.2).
    Discard(String),
    /// It is rejected with a receipt; receipts themselves are discarded instead.
    Reject(Vec<Breach>),
    /// It cannot be judged now.
    Later(Failure),
}

/// Octets that a payload of this kind may have. An envelope that has no more needs no [`size`].
#[must_use]
pub fn largest(kind: DocumentKind, limits: &MessageLimits) -> u64 {
    match kind {
        DocumentKind::Message => limits.payload as u64,
        DocumentKind::Receipt => MAX_RECEIPT as u64,
    }
}

/// Judges an envelope by its size before anything is verified: what is over the limit whatever it holds is not worth the
/// memory. As with a signature that does not hold, the receipt goes to whom the envelope names as its sender.
///
/// # Errors
/// [`Verdict::Reject`] with `too-long` (SDK B1.3.3 5.3), for a receipt [`Verdict::Discard`].
pub fn size(passed: &Passed, limits: &MessageLimits) -> Result<(), Verdict> {
    match passed.header.kind {
        kind if passed.payload_at_least <= largest(kind, limits) => Ok(()),
        DocumentKind::Message => Err(Verdict::Reject(vec![Breach::too_long(limits.payload)])),
        DocumentKind::Receipt => Err(Verdict::Discard("the receipt is too large".into())),
    }
}

/// Verifies the envelope's signature.
///
/// # Errors
/// [`Verdict::Reject`] with `SIG` when it does not hold, [`Verdict::Discard`] when there is no envelope to speak of.
pub fn verify(xml: &[u8], arrival: &Arrival) -> Result<Verified, Verdict> {
    let verified = seal::verify(xml).map_err(|error| from_seal(&error))?;
    // The envelope is the one whose header the access point compared: the blob has not changed since, and what reads it
    // here says of it what the reader there said.
    let (header, known) = (&verified.header, (&arrival.envelope_id, &arrival.from, &arrival.organisation, arrival.kind));
    if (&header.id, &header.from, &header.to, header.kind) != known {
        return Err(Verdict::Discard("the envelope is not the one that was received".into()));
    }
    Ok(verified)
}

/// What a judgement on the signer's certificate means.
#[must_use]
pub fn from_trust(error: &TrustError) -> Verdict {
    match error {
        TrustError::Unchecked(_) => Verdict::Later(Failure::temporary(Stage::Open, Blame::Federation, format!("the signer's certificate: {error}"))),
        TrustError::Issuer(_) | TrustError::NotYet(_) | TrustError::Expired(_) | TrustError::Revoked => {
            Verdict::Reject(vec![security(&format!("the signer's certificate is not accepted: {}", plain(error)))])
        }
    }
}

/// What a directory's error on the sender means.
#[must_use]
pub fn from_directory(error: &DirectoryError) -> Verdict {
    match error {
        // No receipt could be sent to it (SDK B1.3.3 5.3 row 13).
        DirectoryError::UnknownParticipant(_) | DirectoryError::UnknownDocument { .. } => {
            Verdict::Discard("the sender is not registered in the federation".into())
        }
        DirectoryError::Unusable { .. } | DirectoryError::Unavailable { .. } => Verdict::Later(
            Failure::temporary(Stage::Open, Blame::Federation, error.to_string())
                .hint("the sender's certificates cannot be fetched; the message waits"),
        ),
    }
}

/// Whether CertPub publishes this certificate as the sender's signing certificate (SDK C3.4.5).
#[must_use]
pub fn is_published(signer: &Certificate, metadata: &Metadata) -> bool {
    metadata.signing.contains(signer)
}

/// The verdict on a signer that CertPub does not publish.
#[must_use]
pub fn unpublished() -> Verdict {
    Verdict::Reject(vec![security("the signer's certificate is not published for the sender")])
}

/// Decrypts the payload, or cuts it out when it is a receipt.
///
/// # Errors
/// [`Verdict::Discard`], in one wording for every reason: a peer must not learn why (padding oracle).
pub fn payload(verified: &Verified, keys: &[Identity]) -> Result<Vec<u8>, Verdict> {
    verified.payload(keys).map(|payload| payload.to_vec()).map_err(|error| match error {
        OpenError::Undecryptable => Verdict::Discard("the payload cannot be decrypted or is not well-formed".into()),
        error => from_seal(&error),
    })
}

/// The effects of [`Verdict::Discard`].
///
/// # Errors
/// A [`Failure`] when the record cannot be written.
pub fn discarded(arrival: Arrival, lease: Lease, why: &str, now: Timestamp) -> Result<Effects, Failure> {
    let event = told::discarded(&arrival, why, now);
    let what = format!("the envelope {} from {} was deleted: {why}", arrival.envelope_id, arrival.from);
    let hint = "report it to Digg as an incident (SDK C1.6 4.1.1.a); the journal has all ids";
    let alarm = Tell::alarm(Cause::EnvelopeDiscarded, &what, hint).job(arrival.record, "alarm", now);
    let discard = vec![arrival.envelope];
    let record = arrival.record;
    let closed = Incoming::Closed(Closed { arrival, how: How::Discarded, at: now, kept: None });
    let step = Step::new()
        .guard(Guard::Held(lease.clone()))
        .guard(Guard::In(record, Incoming::RETRIEVED))
        .op(Op::Complete(lease))
        .op(Op::Put(closed.to_record()?))
        .op(Op::retire(record, now))
        .op(Op::Audit(event))
        .op(alarm);
    Ok(Effects { step, discard, ..Effects::default() })
}

fn from_seal(error: &OpenError) -> Verdict {
    match error {
        OpenError::Signature(_) | OpenError::NotSignedOnce(_) => Verdict::Reject(vec![security("the envelope's signature does not hold")]),
        // SDK B1.3.3 5.3 row 14
        OpenError::NotEncrypted => Verdict::Reject(vec![security("the message is not encrypted")]),
        OpenError::Envelope(error) => Verdict::Discard(format!("the envelope breaks its profile: {error}")),
        OpenError::Undecryptable => Verdict::Discard("the payload cannot be decrypted or is not well-formed".into()),
    }
}

fn plain(error: &TrustError) -> &'static str {
    match error {
        TrustError::Issuer(_) => "not issued by a CA of the federation",
        TrustError::NotYet(_) => "not valid yet",
        TrustError::Expired(_) => "expired",
        TrustError::Revoked => "revoked",
        TrustError::Unchecked(_) => "not checked",
    }
}

fn security(reason: &str) -> Breach {
    Breach::signature(reason)
}
