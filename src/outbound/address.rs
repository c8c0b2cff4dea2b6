//! Judging what the directory says of the recipient, before anything is sent (SDK C3.2.1 2.10.a-b,f-g; SDK C3.4.6 3.1.3.b).

use jiff::Timestamp;

use crate::crypto::{Certificate, KeyUse};
use crate::failure::{Blame, Failure, Stage};
use crate::port::{DirectoryError, Fail, Metadata, TrustError};

/// Why a recipient cannot be addressed now or ever: a failure, and what the sender is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unaddressed {
    /// For the log and the retry.
    pub failure: Failure,
    /// For the sender, when it is final.
    pub fail: Fail,
}

/// The transport profile that brevbro speaks (SDK C3.2.1 2.3.1.e), where no other is configured.
pub const TRANSPORT_PROFILE: &str = "digg-transport-as4-v1_0";

/// Checks profile and dates of an endpoint.
///
/// # Errors
/// [`Unaddressed`] when the endpoint is not one that can be used now.
pub fn endpoint(metadata: &Metadata, profiles: &[String], now: Timestamp) -> Result<(), Unaddressed> {
    let unusable = |what: String| Unaddressed {
        failure: Failure::permanent(Stage::Address, Blame::Federation, what)
            .hint("the other organisation's access point operator must correct the registration in SMP"),
        fail: Fail::NotRegistered,
    };
    let participant = &metadata.participant;
    if !profiles.contains(&metadata.transport_profile) {
        return Err(unusable(format!("{participant} is registered with another transport profile than {}", profiles.join(", "))));
    }
    if metadata.activation.is_some_and(|at| now < at) {
        return Err(unusable(format!("the endpoint of {participant} is not active yet")));
    }
    if metadata.expiration.is_some_and(|at| now > at) {
        return Err(unusable(format!("the endpoint of {participant} is no longer active")));
    }
    Ok(())
}

/// The certificates to encrypt to, the one to prefer first: that which begins last. Whoever publishes a new certificate
/// beside the old one can decrypt with it, and will sooner take the old one away.
#[must_use]
pub fn encryption(metadata: &Metadata) -> Vec<Certificate> {
    let usable = |certificate: &&Certificate| certificate.may(KeyUse::Encrypt) && certificate.rsa_bits().is_some();
    let mut usable: Vec<Certificate> = metadata.encryption.iter().filter(usable).cloned().collect();
    // Stable: of two that begin together the one that is published first.
    usable.sort_by_key(|certificate| std::cmp::Reverse(certificate.not_before()));
    usable
}

/// What it means that [`encryption`] finds nothing.
#[must_use]
pub fn unencryptable(metadata: &Metadata) -> Unaddressed {
    let what = if metadata.encryption.is_empty() { "no encryption certificate" } else { "no encryption certificate that keys may be encrypted to" };
    Unaddressed {
        failure: Failure::permanent(Stage::Address, Blame::Peer, format!("{} publishes {what}", metadata.participant))
            .hint("the other organisation must publish its certificate under the message document id"),
        fail: Fail::Certificate,
    }
}

/// What a directory's error means for an outgoing message.
#[must_use]
pub fn from_directory(error: &DirectoryError) -> Unaddressed {
    let what = error.to_string();
    match error {
        DirectoryError::UnknownParticipant(_) | DirectoryError::UnknownDocument { .. } => {
            Unaddressed { failure: Failure::permanent(Stage::Address, Blame::Sender, what), fail: Fail::NotRegistered }
        }
        DirectoryError::Unusable { .. } => Unaddressed {
            failure: Failure::permanent(Stage::Address, Blame::Federation, what).hint("compare the SMP's signer with [trust] in the configuration"),
            fail: Fail::NotRegistered,
        },
        DirectoryError::Unavailable { .. } => {
            Unaddressed { failure: Failure::temporary(Stage::Address, Blame::Federation, what), fail: Fail::Directory }
        }
    }
}

/// What a judgement on the recipient's certificate means; `whose` is a noun phrase.
#[must_use]
pub fn from_trust(error: &TrustError, whose: &str) -> Unaddressed {
    let what = format!("{whose}: {error}");
    match error {
        TrustError::Unchecked(_) => Unaddressed { failure: Failure::temporary(Stage::Address, Blame::Federation, what), fail: Fail::Directory },
        TrustError::Issuer(_) | TrustError::NotYet(_) | TrustError::Expired(_) | TrustError::Revoked => Unaddressed {
            failure: Failure::permanent(Stage::Address, Blame::Peer, what).hint("the other organisation must renew its certificate and publish it"),
            fail: Fail::Certificate,
        },
    }
}
