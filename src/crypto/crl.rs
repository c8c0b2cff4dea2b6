//! Certificate revocation lists (RFC 5280 5): whose they are, until when they hold, whom they name.

use std::fmt;

use jiff::Timestamp;
use openssl::x509::{CrlStatus, X509Crl};

use super::certificate::timestamp;
use super::{Certificate, der};

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Neither DER nor PEM of a CRL.
    #[error("not a revocation list")]
    Unreadable,
    /// It is the list of another CA, or its signature does not hold.
    #[error("the revocation list is not signed by the certificate's issuer")]
    Issuer,
    /// It is a delta, an indirect list, or one that covers only a part: it may be silent about the certificate.
    #[error("the revocation list does not cover the certificate")]
    Partial,
    /// Its date lies ahead.
    #[error("the revocation list is dated {0}, which has not come yet")]
    NotYet(Timestamp),
    /// A newer one should have been published.
    #[error("the revocation list ended at {0}")]
    Outdated(Timestamp),
}

/// A list that was read; nothing of it is checked before [`Self::revoked`].
pub struct Crl {
    list: X509Crl,
    issued: Timestamp,
    until: Option<Timestamp>,
    whole: bool,
}

impl Crl {
    /// Reads DER or PEM.
    ///
    /// # Errors
    /// [`CrlError::Unreadable`].
    pub fn read(bytes: &[u8]) -> Result<Self, CrlError> {
        let list = if bytes.first() == Some(&0x30) { X509Crl::from_der(bytes) } else { X509Crl::from_pem(bytes) };
        let list = list.map_err(|_| CrlError::Unreadable)?;
        let issued = timestamp(list.last_update()).ok_or(CrlError::Unreadable)?;
        let until = list.next_update().map(|time| timestamp(time).ok_or(CrlError::Unreadable)).transpose()?;
        let whole = is_whole(&list.to_der().map_err(|_| CrlError::Unreadable)?);
        Ok(Self { list, issued, until, whole })
    }

    /// When it was issued.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When the next one is due; none when the CA does not say.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether `certificate`, issued by `issuer`, is revoked according to this list at `at`.
    ///
    /// # Errors
    /// [`CrlError`] when the list is not the issuer's, does not cover the certificate, or does not hold at `at`.
    pub fn revoked(&self, certificate: &Certificate, issuer: &Certificate, at: Timestamp) -> Result<bool, CrlError> {
        let name = |a: &openssl::x509::X509NameRef, b: &openssl::x509::X509NameRef| a.try_cmp(b).is_ok_and(std::cmp::Ordering::is_eq);
        let key = issuer.public_key().map_err(|_| CrlError::Issuer)?;
        let signed = name(self.list.issuer_name(), issuer.x509().subject_name())
            && name(issuer.x509().subject_name(), certificate.x509().issuer_name())
            && self.list.verify(&key).unwrap_or(false);
        if !signed {
            return Err(CrlError::Issuer);
        }
        if !self.whole {
            return Err(CrlError::Partial);
        }
        // Clocks differ: a list that was made a minute "from now" is today's.
        if self.issued > at + jiff::SignedDuration::from_mins(5) {
            return Err(CrlError::NotYet(self.issued));
        }
        if let Some(until) = self.until.filter(|until| *until < at) {
            return Err(CrlError::Outdated(until));
        }
        // "Remove from CRL" belongs to deltas, which were refused above; taken as revoked to be on the safe side.
        Ok(!matches!(self.list.get_by_serial(certificate.x509().serial_number()), CrlStatus::NotRevoked))
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl").field("issued", &self.issued).field("until", &self.until).finish_non_exhaustive()
    }
}

/// The `http` and `https` addresses at which a certificate says its issuer's list lies, in the certificate's order.
#[must_use]
pub fn crl_urls(certificate: &Certificate) -> Vec<String> {
    let Some(points) = certificate.x509().crl_distribution_points() else { return Vec::new() };
    let names = points.iter().filter_map(|point| point.distpoint()?.fullname());
    let urls = names.flat_map(|names| names.iter().filter_map(|name| name.uri()).map(str::to_owned).collect::<Vec<_>>());
    urls.filter(|url| url.starts_with("http://") || url.starts_with("https://")).collect()
}

/// Whether the list speaks of all certificates of its issuer. Critical extensions say otherwise (RFC 5280 5.2): a delta
/// indicator always, an issuing distribution point when it has more fields than the place where the list lies.
fn is_whole(der: &[u8]) -> bool {
    const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
    let Some(extensions) = der::extensions(der, 0xa0) else { return false };
    extensions.iter().filter(|extension| extension.critical).all(|extension| {
        extension.oid == ISSUING_DISTRIBUTION_POINT
            && der::element(extension.value)
                .and_then(|(point, _)| der::elements(point.contents))
                .is_some_and(|fields| fields.iter().all(|field| field.tag == 0xa0))
    })
}
