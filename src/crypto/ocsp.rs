//! OCSP (RFC 6960): asking a CA about one certificate, and judging what comes back: whose answer it is, about what, until
//! when it holds, and whether it answers this very question.

use jiff::{SignedDuration, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::Id as KeyKind;
use openssl::sign::Verifier;
use openssl::x509::X509Name;

use super::der::{self, Element, Extension, sequence, tagged};
use super::{Authorities, Certificate, Digest, KeyUse, ProviderError, crl_urls};

/// Clocks differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Certificates of an answer that are looked at; a responder sends its own and perhaps those above it.
const CERTIFICATES: usize = 8;
/// Object identifiers' contents octets.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const NONCE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
const NO_CHECK: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05];
const OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// It is no OCSP answer, or not of the basic type.
    #[error("not an OCSP answer")]
    Unreadable,
    /// The responder does not answer.
    #[error("the OCSP responder refuses: {0}")]
    Refused(&'static str),
    /// It speaks of other certificates.
    #[error("the OCSP answer does not speak of the certificate")]
    Silent,
    /// Neither the issuer signed it nor somebody whom the issuer lets answer, or the signature does not hold.
    #[error("the OCSP answer is not signed by the certificate's issuer or its delegate")]
    Signer,
    /// It answers another question.
    #[error("the OCSP answer has another question's nonce")]
    Nonce,
    /// It says something critical that is not understood.
    #[error("the OCSP answer has an unknown critical extension")]
    Critical,
    /// Its date lies ahead.
    #[error("the OCSP answer is dated {0}, which has not come yet")]
    NotYet(Timestamp),
    /// A newer one is to be had.
    #[error("the OCSP answer ended at {0}")]
    Outdated(Timestamp),
}

/// What a responder says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspStatus {
    /// Not revoked.
    Good,
    /// Revoked, for good or on hold, since then.
    Revoked(Timestamp),
    /// The responder does not know it.
    Unknown,
}

/// The question about `certificate`, issued by `issuer`, in DER. The nonce is 32 random octets (RFC 9654 2.1).
///
/// # Errors
/// [`ProviderError`].
pub fn ocsp_request(certificate: &Certificate, issuer: &Certificate, nonce: &[u8]) -> Result<Vec<u8>, ProviderError> {
    const FAILED: ProviderError = ProviderError("name a certificate");
    let serial = der::certificate_field(certificate.der(), 0).ok_or(FAILED)?;
    let name = issuer.x509().subject_name().to_der().map_err(|_| FAILED)?;
    // SHA-1 names the issuer here and protects nothing; it is what every responder knows (RFC 5019 2.1.1).
    let algorithm = der::write(0x30, &[der::write(0x06, SHA1), der::write(0x05, &[])].concat());
    let id = [
        algorithm,
        der::write(0x04, &Digest::Sha1.of(&name)?),
        der::write(0x04, &Digest::Sha1.of(key_bits(issuer).ok_or(FAILED)?)?),
        der::write(0x02, serial.contents),
    ];
    let list = der::write(0x30, &der::write(0x30, &der::write(0x30, &id.concat())));
    Ok(der::write(0x30, &der::write(0x30, &[list, der::write(0xa2, &nonce_extensions(nonce))].concat())))
}

/// A SEQUENCE of extensions with the nonce in it.
pub(super) fn nonce_extensions(nonce: &[u8]) -> Vec<u8> {
    let extension = [der::write(0x06, NONCE), der::write(0x04, &der::write(0x04, nonce))].concat();
    der::write(0x30, &der::write(0x30, &extension))
}

/// The nonce among extensions.
pub(super) fn nonce_of<'a>(extensions: &[Extension<'a>]) -> Option<&'a [u8]> {
    let extension = extensions.iter().find(|extension| extension.oid == NONCE)?;
    match der::element(extension.value) {
        Some((Element { tag: 4, contents }, [])) => Some(contents),
        // Before RFC 6960 the value's form was left open.
        _ => Some(extension.value),
    }
}

/// The `http` and `https` addresses at which a certificate says its issuer's responder is asked.
#[must_use]
pub fn ocsp_urls(certificate: &Certificate) -> Vec<String> {
    let Ok(urls) = certificate.x509().ocsp_responders() else { return Vec::new() };
    urls.iter().map(ToString::to_string).filter(|url| url.starts_with("http://") || url.starts_with("https://")).collect()
}

/// An answer about one certificate whose signer, subject and nonce were found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspAnswer {
    status: OcspStatus,
    issued: Timestamp,
    until: Option<Timestamp>,
    delegate: Option<Certificate>,
}

impl OcspAnswer {
    /// Reads what a responder sent for the question with `nonce` about `certificate`, issued by `issuer`, and judges it at `at`.
    ///
    /// An answer without any nonce is taken, as responders that sign in advance give it (RFC 6960 4.4.1, RFC 5019 4): its
    /// age is then bounded by its own dates alone.
    ///
    /// # Errors
    /// [`OcspError`].
    pub fn read(bytes: &[u8], certificate: &Certificate, issuer: &Certificate, nonce: &[u8], at: Timestamp) -> Result<Self, OcspError> {
        let basic = basic(bytes)?;
        let answer = Basic::read(basic).ok_or(OcspError::Unreadable)?;
        let signer = answer.signer(issuer, at).ok_or(OcspError::Signer)?;
        if nonce_of(&answer.extensions).is_some_and(|theirs| theirs != nonce) {
            return Err(OcspError::Nonce);
        }
        let serial = der::certificate_field(certificate.der(), 0).ok_or(OcspError::Silent)?;
        let single = answer.singles.iter().find(|single| single.id.serial == serial.contents && single.id.is_of(issuer)).ok_or(OcspError::Silent)?;
        if answer.extensions.iter().chain(&single.extensions).any(|extension| extension.critical && extension.oid != NONCE) {
            return Err(OcspError::Critical);
        }
        let delegate = (signer != *issuer).then_some(signer);
        let read = Self { status: single.status, issued: single.issued, until: single.until, delegate };
        read.holds_at(at)?;
        Ok(read)
    }

    /// What it says.
    #[must_use]
    pub fn status(&self) -> OcspStatus {
        self.status
    }

    /// Until when it says that it holds; none when newer answers are always to be had.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The delegate that signed it, where the CA wants delegates to be checked as any certificate: it names a revocation
    /// list and does not say that it need not be checked (RFC 6960 4.2.2.2.1).
    #[must_use]
    pub fn delegate_to_check(&self) -> Option<&Certificate> {
        self.delegate.as_ref().filter(|delegate| delegate.extension(NO_CHECK).is_none() && !crl_urls(delegate).is_empty())
    }

    /// Whether it holds at `at`.
    ///
    /// # Errors
    /// [`OcspError::NotYet`], [`OcspError::Outdated`].
    pub fn holds_at(&self, at: Timestamp) -> Result<(), OcspError> {
        if self.issued > at.saturating_add(SKEW).unwrap_or(at) {
            return Err(OcspError::NotYet(self.issued));
        }
        // Without an end it is as good as the moment in which it was made (RFC 6960 4.2.2.1).
        let until = self.until.unwrap_or(self.issued);
        if until < at.saturating_sub(SKEW).unwrap_or(at) {
            return Err(OcspError::Outdated(until));
        }
        Ok(())
    }
}

/// The basic answer in an answer that was successful.
fn basic(bytes: &[u8]) -> Result<&[u8], OcspError> {
    let Some((Element { tag: 0x30, contents }, [])) = der::element(bytes) else { return Err(OcspError::Unreadable) };
    let fields = der::elements(contents).ok_or(OcspError::Unreadable)?;
    match fields.as_slice() {
        [Element { tag: 0x0a, contents: [0] }, Element { tag: 0xa0, contents }] => match der::element(contents) {
            Some((Element { tag: 0x30, contents }, [])) => match der::elements(contents).as_deref() {
                Some([Element { tag: 6, contents: BASIC }, Element { tag: 4, contents }]) => Ok(contents),
                _ => Err(OcspError::Unreadable),
            },
            _ => Err(OcspError::Unreadable),
        },
        [Element { tag: 0x0a, contents: [status] }, ..] => Err(OcspError::Refused(match status {
            1 => "it calls the question malformed",
            2 => "it has an internal error",
            3 => "it is busy",
            5 => "it wants signed questions",
            6 => "it is not in charge of the certificate",
            _ => return Err(OcspError::Unreadable),
        })),
        _ => Err(OcspError::Unreadable),
    }
}

/// A `BasicOCSPResponse` taken apart.
struct Basic<'a> {
    /// The signed octets.
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: Vec<Certificate>,
    responder: Element<'a>,
    singles: Vec<Single<'a>>,
    extensions: Vec<Extension<'a>>,
}

/// A `SingleResponse`.
struct Single<'a> {
    id: Id<'a>,
    status: OcspStatus,
    issued: Timestamp,
    until: Option<Timestamp>,
    extensions: Vec<Extension<'a>>,
}

impl<'a> Basic<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let inner = sequence(bytes)?;
        let (data, rest) = der::element(inner)?;
        let signed = inner.get(..inner.len() - rest.len())?;
        let mut fields = der::elements(rest)?.into_iter();
        let algorithm = der::elements(tagged(fields.next(), 0x30)?)?.into_iter().next()?.contents;
        // BIT STRING: no unused bits.
        let (0, signature) = tagged(fields.next(), 0x03)?.split_first().map(|(unused, bits)| (*unused, bits))? else { return None };
        let mut certificates = Vec::new();
        if let Some(wrapped) = fields.next() {
            let mut left = sequence(tagged(Some(wrapped), 0xa0)?)?;
            while !left.is_empty() && certificates.len() < CERTIFICATES {
                let (_, rest) = der::element(left)?;
                certificates.push(Certificate::from_der(left.get(..left.len() - rest.len())?).ok()?);
                left = rest;
            }
        }
        let fields = der::elements((data.tag == 0x30).then_some(data.contents)?)?;
        let mut fields = fields.into_iter().enumerate().filter(|(at, field)| *at > 0 || field.tag != 0xa0).map(|(_, field)| field);
        let responder = fields.next()?;
        generalized(fields.next())?;
        let singles = der::elements(tagged(fields.next(), 0x30)?)?.into_iter().map(|single| Single::read(tagged(Some(single), 0x30)?));
        let singles = singles.collect::<Option<_>>()?;
        let extensions = fields.next().map_or(Some(Vec::new()), |field| wrapped_extensions(field, 0xa1))?;
        Some(Self { signed, algorithm, signature, certificates, responder, singles, extensions })
    }

    /// Who signed it, if that is the issuer itself or one to whom the issuer gave `id-kp-OCSPSigning` (RFC 6960 4.2.2.2).
    fn signer(&self, issuer: &Certificate, at: Timestamp) -> Option<Certificate> {
        let by_issuer = Authorities::new(vec![issuer.clone()], Vec::new());
        let may_answer = |candidate: &&Certificate| {
            *candidate == issuer
                || (is_responder(candidate)
                    && by_issuer.path(candidate, &[], at).is_ok_and(|chain| matches!(chain.as_slice(), [_, above] if above == issuer)))
        };
        let mut candidates = std::iter::once(issuer).chain(&self.certificates).filter(|candidate| self.is_by(candidate));
        candidates.find(|candidate| self.is_signed_with(candidate) && may_answer(candidate)).cloned()
    }

    /// Whether the responder's identifier is this certificate's.
    fn is_by(&self, candidate: &Certificate) -> bool {
        match self.responder {
            Element { tag: 0xa1, contents } => {
                X509Name::from_der(contents).is_ok_and(|name| name.try_cmp(candidate.x509().subject_name()).is_ok_and(std::cmp::Ordering::is_eq))
            }
            Element { tag: 0xa2, contents } => match (der::element(contents), key_bits(candidate)) {
                (Some((Element { tag: 4, contents }, [])), Some(bits)) => Digest::Sha1.of(bits).is_ok_and(|hash| hash == contents),
                _ => false,
            },
            _ => false,
        }
    }

    fn is_signed_with(&self, candidate: &Certificate) -> bool {
        let Some((kind, digest)) = signature_algorithm(self.algorithm) else { return false };
        let Ok(key) = candidate.public_key() else { return false };
        key.id() == kind && Verifier::new(digest, &key).and_then(|mut verifier| verifier.verify_oneshot(self.signature, self.signed)).unwrap_or(false)
    }
}

impl<'a> Single<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = der::elements(bytes)?.into_iter();
        let id = Id::read(tagged(fields.next(), 0x30)?)?;
        let status = match fields.next()? {
            Element { tag: 0x80, .. } => OcspStatus::Good,
            Element { tag: 0xa1, contents } => OcspStatus::Revoked(generalized(der::elements(contents)?.into_iter().next())?),
            Element { tag: 0x82, .. } => OcspStatus::Unknown,
            _ => return None,
        };
        let issued = generalized(fields.next())?;
        let (mut until, mut extensions) = (None, Vec::new());
        for field in fields {
            match field.tag {
                0xa0 => until = Some(generalized(der::elements(field.contents)?.into_iter().next())?),
                _ => extensions = wrapped_extensions(field, 0xa1)?,
            }
        }
        Some(Self { id, status, issued, until, extensions })
    }
}

/// A `CertID`: the issuer by digests of its name and key, the certificate by its serial number.
pub(super) struct Id<'a> {
    digest: Digest,
    issuer_name: &'a [u8],
    issuer_key: &'a [u8],
    pub(super) serial: &'a [u8],
}

impl<'a> Id<'a> {
    pub(super) fn read(contents: &'a [u8]) -> Option<Self> {
        const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
        let fields = der::elements(contents)?;
        let [
            Element { tag: 0x30, contents: algorithm },
            Element { tag: 4, contents: issuer_name },
            Element { tag: 4, contents: issuer_key },
            Element { tag: 2, contents: serial },
        ] = fields.as_slice()
        else {
            return None;
        };
        let oid = tagged(der::elements(algorithm)?.into_iter().next(), 0x06)?;
        let digest = match oid.strip_prefix(SHA2) {
            None if oid == SHA1 => Digest::Sha1,
            Some([1]) => Digest::Sha256,
            Some([2]) => Digest::Sha384,
            Some([3]) => Digest::Sha512,
            _ => return None,
        };
        Some(Self { digest, issuer_name, issuer_key, serial })
    }

    /// Whether `issuer` is the one that it names.
    pub(super) fn is_of(&self, issuer: &Certificate) -> bool {
        let is = |bytes: &[u8], hash: &[u8]| self.digest.of(bytes).is_ok_and(|own| own == hash);
        let name = issuer.x509().subject_name().to_der();
        name.is_ok_and(|name| is(&name, self.issuer_name)) && key_bits(issuer).is_some_and(|bits| is(bits, self.issuer_key))
    }
}

/// The octets of a certificate's public key as OCSP digests them: without tag, length and number of unused bits.
pub(super) fn key_bits(certificate: &Certificate) -> Option<&[u8]> {
    let info = der::certificate_field(certificate.der(), 5)?;
    match der::elements(info.contents)?.as_slice() {
        [_, Element { tag: 3, contents: [0, bits @ ..] }] => Some(bits),
        _ => None,
    }
}

/// RSA and ECDSA with SHA-2; nothing is believed by SHA-1.
pub(super) fn signature_algorithm(oid: &[u8]) -> Option<(KeyKind, MessageDigest)> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    match (oid.strip_prefix(RSA), oid.strip_prefix(ECDSA)) {
        (Some([11]), _) => Some((KeyKind::RSA, MessageDigest::sha256())),
        (Some([12]), _) => Some((KeyKind::RSA, MessageDigest::sha384())),
        (Some([13]), _) => Some((KeyKind::RSA, MessageDigest::sha512())),
        (_, Some([2])) => Some((KeyKind::EC, MessageDigest::sha256())),
        (_, Some([3])) => Some((KeyKind::EC, MessageDigest::sha384())),
        (_, Some([4])) => Some((KeyKind::EC, MessageDigest::sha512())),
        _ => None,
    }
}

/// Whether its extensions let it sign answers: the extended usage is there, and the key usage lets it sign anything.
fn is_responder(certificate: &Certificate) -> bool {
    let usages = certificate.extension(EXTENDED_KEY_USAGE).and_then(sequence).and_then(der::elements).unwrap_or_default();
    certificate.may(KeyUse::Sign) && usages.iter().any(|usage| usage.contents == OCSP_SIGNING)
}

/// Extensions below an explicit tag.
pub(super) fn wrapped_extensions(field: Element<'_>, tag: u8) -> Option<Vec<Extension<'_>>> {
    der::extension_list(sequence(tagged(Some(field), tag)?)?)
}

/// A `GeneralizedTime`, the only form of time in OCSP.
fn generalized(element: Option<Element<'_>>) -> Option<Timestamp> {
    der::time(element.filter(|element| element.tag == 0x18)?)
}
