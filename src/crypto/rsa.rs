//! RSA signatures and digests by the names that XML signatures give them.

use std::io;

use openssl::hash::MessageDigest;
use openssl::sign::{Signer, Verifier};

use super::{Certificate, PrivateKey};

/// The provider failed at something that does not depend on a peer's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic provider failed to {0}")]
pub struct ProviderError(pub &'static str);

/// A digest. SHA-1 is known for RSA-OAEP and thumbprints; no signature is made or accepted with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Digest {
    /// The `Algorithm` URI of XML signature and encryption.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Sha1 => "http://www.w3.org/2000/09/xmldsig#sha1",
            Self::Sha256 => "http://www.w3.org/2001/04/xmlenc#sha256",
            Self::Sha384 => "http://www.w3.org/2001/04/xmldsig-more#sha384",
            Self::Sha512 => "http://www.w3.org/2001/04/xmlenc#sha512",
        }
    }

    /// The digest with this `Algorithm` URI.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|digest| digest.uri() == uri)
    }

    /// The digest of bytes at hand.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn of(self, bytes: &[u8]) -> Result<Vec<u8>, ProviderError> {
        openssl::hash::hash(self.provider(), bytes).map(|digest| digest.to_vec()).map_err(|_| ProviderError("digest"))
    }

    pub(super) fn provider(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// A digest of a stream, fed by [`io::Write`].
pub struct Digester(openssl::hash::Hasher);

impl Digester {
    /// A digester that was fed nothing.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn new(digest: Digest) -> Result<Self, ProviderError> {
        openssl::hash::Hasher::new(digest.provider()).map(Self).map_err(|_| ProviderError("digest"))
    }

    /// Feeds bytes.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        self.0.update(bytes).map_err(|_| ProviderError("digest"))
    }

    /// The digest of everything fed.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn finish(mut self) -> Result<Vec<u8>, ProviderError> {
        self.0.finish().map(|digest| digest.to_vec()).map_err(|_| ProviderError("digest"))
    }
}

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// RSA with PKCS#1 v1.5 padding and a digest of the SHA-2 family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// `rsa-sha256`, which SDK writes.
    RsaSha256,
    /// `rsa-sha384`.
    RsaSha384,
    /// `rsa-sha512`.
    RsaSha512,
}

impl SignatureAlgorithm {
    /// The `Algorithm` URI of XML signatures.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::RsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
            Self::RsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
        }
    }

    /// The algorithm with this `Algorithm` URI.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        [Self::RsaSha256, Self::RsaSha384, Self::RsaSha512].into_iter().find(|algorithm| algorithm.uri() == uri)
    }

    fn provider(self) -> MessageDigest {
        match self {
            Self::RsaSha256 => MessageDigest::sha256(),
            Self::RsaSha384 => MessageDigest::sha384(),
            Self::RsaSha512 => MessageDigest::sha512(),
        }
    }
}

impl PrivateKey {
    /// Signs bytes.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn sign(&self, algorithm: SignatureAlgorithm, bytes: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let sign = || Signer::new(algorithm.provider(), self.pkey())?.sign_oneshot_to_vec(bytes);
        sign().map_err(|_| ProviderError("sign"))
    }
}

impl Certificate {
    /// Bits of its public key.
    #[must_use]
    pub fn key_bits(&self) -> u32 {
        self.public_key().map_or(0, |key| key.bits())
    }

    /// Whether this certificate's RSA key made the signature over the bytes.
    #[must_use]
    pub fn verifies(&self, algorithm: SignatureAlgorithm, bytes: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = self.public_key() else { return false };
        if key.id() != openssl::pkey::Id::RSA {
            return false;
        }
        Verifier::new(algorithm.provider(), &key).and_then(|mut verifier| verifier.verify_oneshot(signature, bytes)).unwrap_or(false)
    }
}
