//! A private key with its certificate: out of PKCS#12 or PEM, never printed, wiped by the provider when dropped.

use std::fmt;

use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use zeroize::Zeroizing;

use super::{Certificate, CertificateError};

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The octets are neither a PKCS#12 container nor a PEM text.
    #[error("neither PKCS#12 nor PEM")]
    Unreadable,
    /// The container is sound but the password does not open it.
    #[error("the password does not open it, or its cipher is not supported")]
    Password,
    /// There is no private key inside.
    #[error("it holds no private key")]
    NoKey,
    /// There is no certificate inside.
    #[error("it holds no certificate")]
    NoCertificate,
    /// Key and certificate do not belong together.
    #[error("the private key is not the certificate's")]
    Mismatch,
    /// SDK's keys are RSA of at least 2048 bits.
    #[error("the key is not RSA of at least 2048 bits")]
    Weak,
    /// The certificate cannot be used.
    #[error("its certificate cannot be read")]
    Certificate(#[from] CertificateError),
}

/// An RSA private key. Its debug print shows nothing of it.
#[derive(Clone)]
pub struct PrivateKey(PKey<Private>);

impl PrivateKey {
    /// Takes an RSA key of at least 2048 bits.
    ///
    /// # Errors
    /// [`IdentityError::Weak`] for every other key.
    pub fn new(key: PKey<Private>) -> Result<Self, IdentityError> {
        if key.rsa().is_ok() && key.bits() >= 2048 { Ok(Self(key)) } else { Err(IdentityError::Weak) }
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
        let parsed = Pkcs12::from_der(der).map_err(|_| IdentityError::Unreadable)?.parse2(password).map_err(|_| IdentityError::Password)?;
        let key = PrivateKey::new(parsed.pkey.ok_or(IdentityError::NoKey)?)?;
        let certificate = Certificate::try_from(parsed.cert.ok_or(IdentityError::NoCertificate)?)?;
        let chain = parsed.ca.map(|stack| stack.into_iter().map(Certificate::try_from).collect::<Result<Vec<_>, _>>()).transpose()?;
        Self::new(key, certificate, chain.unwrap_or_default())
    }

    /// Reads a PEM text that holds the private key and the certificates, the key's own among them; the order is free.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn from_pem(pem: &[u8], password: Option<&str>) -> Result<Self, IdentityError> {
        let key = match password {
            Some(password) => PKey::private_key_from_pem_passphrase(pem, password.as_bytes()),
            // A callback that gives nothing, or the provider would ask on the terminal.
            None => PKey::private_key_from_pem_callback(pem, |_| Ok(0)),
        };
        let key = key.map_err(|_| if pem.windows(11).any(|w| w == b"PRIVATE KEY") { IdentityError::Password } else { IdentityError::NoKey })?;
        let key = PrivateKey::new(key)?;
        let mut certificates = Certificate::all_from(pem).map_err(|_| IdentityError::NoCertificate)?;
        let own = certificates.iter().position(|c| c.public_key().is_ok_and(|public| key.0.public_eq(&public))).ok_or(IdentityError::Mismatch)?;
        let certificate = certificates.remove(own);
        Self::new(key, certificate, certificates)
    }
}
