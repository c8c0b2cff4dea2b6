//! A private key with its certificate: out of PKCS#12 or PEM, never printed, wiped by the provider when dropped.

use std::fmt;

use openssl::pkey::{Id, PKey, Private};
use zeroize::Zeroizing;

use super::keystore::{self, KeyPair};
use super::{Certificate, CertificateError};

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The octets are none of the forms of a key.
    #[error("it is neither PKCS#12, PEM nor DER of a private key")]
    Unreadable,
    /// The form is known, but it is cut or changed.
    #[error("it is damaged")]
    Damaged,
    /// It is encrypted, and there is no password.
    #[error("it is encrypted and no password is given")]
    Locked,
    /// The container is sound but the password does not open it.
    #[error("the password does not open it")]
    Password,
    /// Its ciphers are not to be had here.
    #[error("its ciphers are not supported here")]
    Cipher,
    /// The password would have to be digested too often.
    #[error("its password protection asks for too many rounds")]
    Slow,
    /// A PKCS#12 container without integrity check.
    #[error("the PKCS#12 container has no integrity check (MAC)")]
    NoMac,
    /// There is no private key inside.
    #[error("it holds no private key")]
    NoKey,
    /// There are several, and nothing says which one is meant.
    #[error("it holds {0} private keys")]
    ManyKeys(usize),
    /// There is no certificate inside.
    #[error("it holds no certificate")]
    NoCertificate,
    /// Key and certificate do not belong together.
    #[error("the private key is not the certificate's")]
    Mismatch,
    /// SDK's keys are RSA keys.
    #[error("the key is {0}; it must be RSA")]
    Kind(&'static str),
    /// SDK's keys are RSA of at least 2048 bits.
    #[error("the RSA key has {0} bits; it must have at least 2048")]
    Weak(u32),
    /// The certificate cannot be used.
    #[error("its certificate cannot be read")]
    Certificate(#[from] CertificateError),
}

impl IdentityError {
    /// What to do about it; may be empty.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable => "PEM begins with -----BEGIN; `openssl pkcs12 -in FILE -info` shows whether a file is PKCS#12",
            Self::Damaged => "compare its size or SHA-256 with the file that the CA handed out; was it copied as text?",
            Self::Cipher => {
                "old ciphers need OpenSSL's legacy provider (Debian 13: apt install openssl-provider-legacy); or write it anew: \
                 openssl pkcs12 -legacy -in OLD -nodes | openssl pkcs12 -export -out NEW"
            }
            Self::Slow | Self::NoMac => "write it anew: openssl pkcs12 -in OLD -nodes | openssl pkcs12 -export -out NEW",
            Self::ManyKeys(_) => {
                "a file for each key: openssl pkcs12 -in FILE -nodes shows them; then openssl pkcs12 -export -inkey KEY -in CERTIFICATE"
            }
            Self::Kind(_) | Self::Weak(_) => "order a certificate for an RSA key of 3072 or 4096 bits",
            Self::Locked | Self::Password | Self::NoKey | Self::NoCertificate | Self::Mismatch | Self::Certificate(_) => "",
        }
    }
}

/// An RSA private key. Its debug print shows nothing of it.
#[derive(Clone)]
pub struct PrivateKey(PKey<Private>);

impl PrivateKey {
    /// Takes an RSA key of at least 2048 bits.
    ///
    /// # Errors
    /// [`IdentityError::Kind`], [`IdentityError::Weak`].
    pub fn new(key: PKey<Private>) -> Result<Self, IdentityError> {
        match key.bits() {
            _ if key.id() != Id::RSA => Err(IdentityError::Kind(keystore::kind(&key))),
            bits if bits < 2048 => Err(IdentityError::Weak(bits)),
            _ => Ok(Self(key)),
        }
    }

    /// The key as PKCS#8 in DER, for a TLS stack; wiped when dropped.
    ///
    /// # Errors
    /// [`IdentityError::NoKey`] when the provider cannot write it.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        self.0.private_key_to_pkcs8().map(Zeroizing::new).map_err(|_| IdentityError::NoKey)
    }

    /// Takes a key of any size: published vectors have smaller ones.
    #[cfg(test)]
    pub(crate) fn of_any_size(key: PKey<Private>) -> Self {
        Self(key)
    }

    /// The provider's own type, for `crypto` alone.
    pub(crate) fn pkey(&self) -> &PKey<Private> {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} bits)", self.0.bits())
    }
}

/// A private key, its certificate, and the certificates between it and the root, nearest first.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The key.
    pub key: PrivateKey,
    /// The key's certificate.
    pub certificate: Certificate,
    /// Intermediates; may be empty.
    pub chain: Vec<Certificate>,
}

impl Identity {
    /// Joins a key and its certificate.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] when they do not belong together.
    pub fn new(key: PrivateKey, certificate: Certificate, chain: Vec<Certificate>) -> Result<Self, IdentityError> {
        let public = certificate.public_key()?;
        if key.0.public_eq(&public) { Ok(Self { key, certificate, chain }) } else { Err(IdentityError::Mismatch) }
    }

    /// Opens a PKCS#12 container.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn from_pkcs12(der: &[u8], password: &str) -> Result<Self, IdentityError> {
        KeyPair::read(der, None, Some(password))?.identity()
    }

    /// Reads a PEM text that holds the private key and the certificates, the key's own among them; the order is free.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn from_pem(pem: &[u8], password: Option<&str>) -> Result<Self, IdentityError> {
        KeyPair::read(pem, None, password)?.identity()
    }
}
