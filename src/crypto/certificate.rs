//! An X.509 certificate, read once, compared by its octets.

use std::fmt;

use base64::prelude::*;
use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::x509::X509;

use super::{der, sha256};
use crate::ident::Sha256;

/// Why a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Neither DER, PEM nor base64 of DER.
    #[error("not a certificate")]
    Unreadable,
    /// The certificate was read but a field of it cannot be.
    #[error("the certificate's {0} cannot be read")]
    Field(&'static str),
}

/// What a key may be used for (RFC 5280 4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Signatures of messages: digitalSignature or contentCommitment.
    Sign,
    /// Session keys are encrypted to it: keyEncipherment.
    Encrypt,
    /// Signatures of revocation lists: cRLSign.
    Lists,
}

/// One certificate. Two are equal when their DER is.
#[derive(Clone)]
pub struct Certificate {
    x509: X509,
    der: Vec<u8>,
}

impl Certificate {
    /// Reads DER; octets after the certificate are refused.
    ///
    /// # Errors
    /// [`CertificateError`] when it is none, or its names or times cannot be read.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let x509 = X509::from_der(der).map_err(|_| CertificateError::Unreadable)?;
        let own = x509.to_der().map_err(|_| CertificateError::Unreadable)?;
        if own != der {
            return Err(CertificateError::Unreadable);
        }
        Self::checked(x509, own)
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// As [`Self::from_der`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let x509 = X509::from_pem(pem).map_err(|_| CertificateError::Unreadable)?;
        let der = x509.to_der().map_err(|_| CertificateError::Unreadable)?;
        Self::checked(x509, der)
    }

    /// Reads whatever a file or an XML element may hold: PEM, DER, or base64 of DER with white space anywhere.
    ///
    /// # Errors
    /// As [`Self::from_der`].
    pub fn from_any(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.windows(10).any(|w| w == b"-----BEGIN") {
            return Self::from_pem(bytes);
        }
        if bytes.first() == Some(&0x30) {
            return Self::from_der(bytes);
        }
        let compact: Vec<u8> = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        Self::from_der(&BASE64_STANDARD.decode(compact).map_err(|_| CertificateError::Unreadable)?)
    }

    /// Reads every certificate of a PEM text, or the one of a DER file.
    ///
    /// # Errors
    /// As [`Self::from_der`]; also when there is none.
    pub fn all_from(bytes: &[u8]) -> Result<Vec<Self>, CertificateError> {
        if !bytes.windows(10).any(|w| w == b"-----BEGIN") {
            return Ok(vec![Self::from_any(bytes)?]);
        }
        let stack = X509::stack_from_pem(bytes).map_err(|_| CertificateError::Unreadable)?;
        if stack.is_empty() {
            return Err(CertificateError::Unreadable);
        }
        stack.into_iter().map(Self::try_from).collect()
    }

    fn checked(x509: X509, der: Vec<u8>) -> Result<Self, CertificateError> {
        timestamp(x509.not_before()).ok_or(CertificateError::Field("start of validity"))?;
        timestamp(x509.not_after()).ok_or(CertificateError::Field("end of validity"))?;
        x509.public_key().map_err(|_| CertificateError::Field("public key"))?;
        Ok(Self { x509, der })
    }

    /// The certificate's octets.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate's octets in base64 without line breaks, as `X509Certificate` and `BinarySecurityToken` carry it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64_STANDARD.encode(&self.der)
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let lines: Vec<String> = self.to_base64().as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// SHA-256 of the DER.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        sha256(&self.der)
    }

    /// The subject's common name; the last one when there are several.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let entry = self.x509.subject_name().entries_by_nid(Nid::COMMONNAME).last()?;
        entry.data().to_string().ok()
    }

    /// The subject, `C=SE, O=…, CN=…`, for logs.
    #[must_use]
    pub fn subject(&self) -> String {
        words(self.x509.subject_name())
    }

    /// The issuer, as [`Self::subject`].
    #[must_use]
    pub fn issuer(&self) -> String {
        words(self.x509.issuer_name())
    }

    /// The serial number in decimal, as `X509SerialNumber` has it.
    #[must_use]
    pub fn serial(&self) -> String {
        self.x509.serial_number().to_bn().and_then(|n| n.to_dec_str()).map(|n| n.to_string()).unwrap_or_default()
    }

    /// The subject key identifier's octets.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<Vec<u8>> {
        self.x509.subject_key_id().map(|id| id.as_slice().to_vec())
    }

    /// The first moment of validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        timestamp(self.x509.not_before()).unwrap_or(Timestamp::MAX)
    }

    /// The last moment of validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        timestamp(self.x509.not_after()).unwrap_or(Timestamp::MIN)
    }

    /// Whether `at` lies within the validity.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.not_before() <= at && at <= self.not_after()
    }

    /// The public key.
    ///
    /// # Errors
    /// Never for a certificate that was read; the provider's signature asks for it.
    pub fn public_key(&self) -> Result<PKey<Public>, CertificateError> {
        self.x509.public_key().map_err(|_| CertificateError::Field("public key"))
    }

    /// Whether its key usage allows this. A certificate without that extension allows everything.
    #[must_use]
    pub fn may(&self, usage: KeyUse) -> bool {
        const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
        let wanted = match usage {
            KeyUse::Sign => 0b1100_0000,
            KeyUse::Encrypt => 0b0010_0000,
            KeyUse::Lists => 0b0000_0010,
        };
        let Some(all) = der::extensions(&self.der, 0xa3) else { return false };
        let Some(extension) = all.into_iter().find(|extension| extension.oid == KEY_USAGE) else { return true };
        match der::element(extension.value) {
            // BIT STRING: the number of unused bits, then the bits, digitalSignature first.
            Some((der::Element { tag: 3, contents: [_, bits, ..] }, [])) => bits & wanted != 0,
            _ => false,
        }
    }

    /// Whether it is this certificate's key that has signed the other one, whose issuer it is by name; no time is looked at.
    #[must_use]
    pub fn has_issued(&self, other: &Self) -> bool {
        self.x509.issued(&other.x509).as_raw() == 0 && self.public_key().is_ok_and(|key| other.x509.verify(&key).unwrap_or(false))
    }

    /// Whether its basic constraints make it a CA's (RFC 5280 4.2.1.9).
    #[must_use]
    pub fn is_authority(&self) -> bool {
        const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
        let fields = self.extension(BASIC_CONSTRAINTS).and_then(der::sequence).and_then(der::elements).unwrap_or_default();
        matches!(fields.first(), Some(der::Element { tag: 1, contents: [yes] }) if *yes != 0)
    }

    /// Whether the key is RSA, and of how many bits.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<u32> {
        self.public_key().ok().filter(|key| key.rsa().is_ok()).map(|key| key.bits())
    }

    /// An extension's value, by the contents octets of its identifier.
    pub(super) fn extension(&self, oid: &[u8]) -> Option<&[u8]> {
        der::extensions(&self.der, 0xa3)?.into_iter().find(|extension| extension.oid == oid).map(|extension| extension.value)
    }

    /// The provider's own type, for `crypto` alone.
    pub(crate) fn x509(&self) -> &X509 {
        &self.x509
    }
}

impl TryFrom<X509> for Certificate {
    type Error = CertificateError;
    fn try_from(x509: X509) -> Result<Self, CertificateError> {
        let der = x509.to_der().map_err(|_| CertificateError::Unreadable)?;
        Self::checked(x509, der)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), self.fingerprint())
    }
}

/// A time of the provider as ours.
pub(super) fn timestamp(time: &Asn1TimeRef) -> Option<Timestamp> {
    let epoch = Asn1Time::from_unix(0).ok()?;
    let diff = epoch.diff(time).ok()?;
    Timestamp::from_second(i64::from(diff.days) * 86_400 + i64::from(diff.secs)).ok()
}
fn words(name: &openssl::x509::X509NameRef) -> String {
    let entries = name.entries().map(|entry| {
        let value = entry.data().to_string().unwrap_or_default();
        format!("{}={value}", entry.object().nid().short_name().unwrap_or("?"))
    });
    entries.collect::<Vec<_>>().join(", ")
}
