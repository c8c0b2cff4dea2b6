//! From a certificate to a configured CA: building and judging the chain at a given time.

use jiff::Timestamp;
use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509StoreContext};

use super::{Certificate, KeyUse, der};

/// At most so many certificates between the judged one and the anchor.
const DEPTH: i32 = 8;
/// Certificates out of a message that are looked at.
const SENT: usize = 16;
/// RSA of 2048 bits, SHA-256: 112 bits of strength.
const SECURITY_LEVEL: i32 = 2;
/// The provider's `X509_V_ERR_CERT_NOT_YET_VALID`.
const NOT_YET_VALID: i32 = 9;
/// The provider's `X509_V_ERR_CERT_HAS_EXPIRED`.
const HAS_EXPIRED: i32 = 10;

/// Why no trusted chain leads from a certificate to a configured CA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No configured CA has issued it, a link is missing, or a link may not be one.
    #[error("{0}")]
    Broken(String),
    /// It, or a CA above it, is not valid yet.
    #[error("not valid until {0}")]
    NotYet(Timestamp),
    /// It, or a CA above it, is no longer valid.
    #[error("expired at {0}")]
    Expired(Timestamp),
    /// Its key usage allows neither signing nor key encipherment, or it is a CA's.
    #[error("its key usage does not fit")]
    Usage,
}

/// The configured CAs of one realm.
///
/// An anchor need not be self-signed: the federation publishes some issuing CAs without their roots, and such a
/// CA is then itself what is trusted. Intermediates are no anchors; they only help to build the chain.
#[derive(Debug, Clone, Default)]
pub struct Authorities {
    anchors: Vec<Certificate>,
    intermediates: Vec<Certificate>,
}

impl Authorities {
    /// Takes anchors and intermediates. Without any anchor nothing is trusted.
    #[must_use]
    pub fn new(anchors: Vec<Certificate>, intermediates: Vec<Certificate>) -> Self {
        Self { anchors, intermediates }
    }

    /// Takes CA certificates in any order, as a file holds them: an intermediate is one whose issuer is among the others,
    /// an anchor every other one.
    #[must_use]
    pub fn from_bundle(certificates: Vec<Certificate>) -> Self {
        let is_anchor = |one: &Certificate| !certificates.iter().any(|other| other != one && other.has_issued(one));
        let (anchors, intermediates) = certificates.iter().cloned().partition(|one| is_anchor(one));
        Self { anchors, intermediates }
    }

    /// Whether one of these CAs, anchor or intermediate, has issued the certificate; its time is not looked at.
    #[must_use]
    pub fn have_issued(&self, certificate: &Certificate) -> bool {
        self.anchors.iter().chain(&self.intermediates).any(|ca| ca.has_issued(certificate))
    }

    /// Every CA, anchors first.
    pub fn all(&self) -> impl Iterator<Item = &Certificate> {
        self.anchors.iter().chain(&self.intermediates)
    }

    /// The anchors.
    #[must_use]
    pub fn anchors(&self) -> &[Certificate] {
        &self.anchors
    }

    /// The chain from `certificate` up to an anchor, both included, valid at `at` in all its links.
    /// `sent` are further intermediates, out of a peer's message: they are tried, never trusted.
    /// Revocation is not looked at.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn chain(&self, certificate: &Certificate, sent: &[Certificate], at: Timestamp) -> Result<Vec<Certificate>, ChainError> {
        if usage_fits(certificate) { self.path(certificate, sent, at) } else { Err(ChainError::Usage) }
    }

    /// As [`Self::chain`], whatever the certificate is for.
    pub(super) fn path(&self, certificate: &Certificate, sent: &[Certificate], at: Timestamp) -> Result<Vec<Certificate>, ChainError> {
        let mut untrusted = Stack::new().map_err(provider)?;
        for link in self.by_nearness(sent) {
            untrusted.push(link.x509().clone()).map_err(provider)?;
        }
        let mut context = X509StoreContext::new().map_err(provider)?;
        let store = self.store(at).map_err(provider)?;
        let judged = context.init(&store, certificate.x509(), &untrusted, |context| {
            if context.verify_cert()? {
                let links: Vec<X509> = context.chain().map(|chain| chain.iter().map(ToOwned::to_owned).collect()).unwrap_or_default();
                return Ok(Ok(links));
            }
            Ok(Err((context.error(), context.current_cert().map(ToOwned::to_owned))))
        });
        match judged.map_err(provider)? {
            Ok(links) => links.into_iter().map(|link| Certificate::try_from(link).map_err(|error| ChainError::Broken(error.to_string()))).collect(),
            Err((error, culprit)) => {
                let culprit = culprit.and_then(|x509| Certificate::try_from(x509).ok());
                Err(match (error.as_raw(), culprit) {
                    (NOT_YET_VALID, Some(culprit)) => ChainError::NotYet(culprit.not_before()),
                    (HAS_EXPIRED, Some(culprit)) => ChainError::Expired(culprit.not_after()),
                    (_, Some(culprit)) => ChainError::Broken(format!("{} ({})", error.error_string(), culprit.subject())),
                    (_, None) => ChainError::Broken(error.error_string().to_owned()),
                })
            }
        }
    }

    /// What may stand between, those that are nearest to an anchor first. The provider takes the first that fits and never
    /// turns back, so among CAs that certify one another it would else walk in circles.
    fn by_nearness<'a>(&'a self, sent: &'a [Certificate]) -> Vec<&'a Certificate> {
        // A peer may send a thousand certificates; a chain needs a handful.
        let mut left: Vec<&Certificate> = self.intermediates.iter().chain(sent.iter().take(SENT)).collect();
        let mut sorted: Vec<&Certificate> = Vec::new();
        let mut above: Vec<&Certificate> = self.anchors.iter().collect();
        loop {
            let (next, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|link| above.iter().any(|above| above.has_issued(link)));
            left = others;
            if next.is_empty() {
                // Those that lead nowhere: they make for better words when no chain is found.
                sorted.append(&mut left);
                return sorted;
            }
            sorted.extend(next.iter().copied());
            above = next;
        }
    }

    /// The provider's store has the time in it, so it is made anew for each judgement; a realm has a handful of CAs.
    fn store(&self, at: Timestamp) -> Result<X509Store, ErrorStack> {
        let mut param = X509VerifyParam::new()?;
        param.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::TRUSTED_FIRST)?;
        param.set_time(at.as_second());
        param.set_depth(DEPTH);
        param.set_auth_level(SECURITY_LEVEL);
        let mut builder = X509StoreBuilder::new()?;
        builder.set_param(&param)?;
        for anchor in &self.anchors {
            builder.add_cert(anchor.x509().clone())?;
        }
        Ok(builder.build())
    }
}

fn provider(_: ErrorStack) -> ChainError {
    ChainError::Broken("the provider refuses it".into())
}

/// Whether its usages let the certificate stand for somebody who signs or decrypts here.
///
/// A key usage, where there is one, must let it sign or decipher keys (RFC 5280 4.2.1.3): one that may only sign
/// certificates is no end entity's. No extended usage exists for XML signatures; the federation's certificates have none,
/// or those of TLS, mail or documents. One that has only others, such as a CA's OCSP responder or a time stamper, is not
/// made for this (RFC 5280 4.2.1.12).
fn usage_fits(certificate: &Certificate) -> bool {
    const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    const PKIX: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03];
    const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
    const MICROSOFT_DOCUMENTS: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x03, 0x0c];
    // TLS server and client, mail, documents (RFC 9336).
    let fits = |oid: &[u8]| matches!(oid.strip_prefix(PKIX), Some([1 | 2 | 4 | 36])) || oid == ANY || oid == MICROSOFT_DOCUMENTS;
    let extended = match certificate.extension(EXTENDED_KEY_USAGE) {
        None => true,
        Some(usages) => der::sequence(usages).and_then(der::elements).is_some_and(|usages| usages.iter().any(|usage| fits(usage.contents))),
    };
    extended && (certificate.may(KeyUse::Sign) || certificate.may(KeyUse::Encrypt))
}
