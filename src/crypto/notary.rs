//! Short texts signed with a key of their own: who has its public part can tell later that a text was there, unchanged.
//!
//! Ed25519, or EC with SHA-256. Keys are PEM: PKCS#8 for the private part, SubjectPublicKeyInfo for the public one.

use std::fmt;

use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sign::{Signer, Verifier};
use zeroize::Zeroizing;

use super::sha256;
use crate::ident::Sha256;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotaryError {
    /// It is no PEM of the right kind.
    #[error("it is no key in PEM")]
    Unreadable,
    /// It is of another kind.
    #[error("it is neither an Ed25519 nor an EC key")]
    Kind,
    /// The provider failed.
    #[error("the cryptographic library failed")]
    Provider,
}

/// The private part. Its debug print shows nothing of it.
#[derive(Clone)]
pub struct NotaryKey(PKey<Private>);

/// The public part.
#[derive(Debug, Clone)]
pub struct NotaryPublic(PKey<Public>);

impl fmt::Debug for NotaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotaryKey(…)")
    }
}

impl NotaryKey {
    /// A new Ed25519 key.
    ///
    /// # Errors
    /// [`NotaryError::Provider`].
    pub fn generate() -> Result<Self, NotaryError> {
        PKey::generate_ed25519().map(Self).map_err(|_| NotaryError::Provider)
    }

    /// Reads PEM.
    ///
    /// # Errors
    /// [`NotaryError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, NotaryError> {
        // No password is asked for on a terminal.
        let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0)).map_err(|_| NotaryError::Unreadable)?;
        if kind(key.id()) { Ok(Self(key)) } else { Err(NotaryError::Kind) }
    }

    /// The key as PKCS#8 PEM.
    ///
    /// # Errors
    /// [`NotaryError::Provider`].
    pub fn to_pem(&self) -> Result<Zeroizing<Vec<u8>>, NotaryError> {
        self.0.private_key_to_pem_pkcs8().map(Zeroizing::new).map_err(|_| NotaryError::Provider)
    }

    /// Its public part.
    ///
    /// # Errors
    /// [`NotaryError::Provider`].
    pub fn public(&self) -> Result<NotaryPublic, NotaryError> {
        let pem = self.0.public_key_to_pem().map_err(|_| NotaryError::Provider)?;
        NotaryPublic::from_pem(&pem)
    }

    /// Signs a text.
    ///
    /// # Errors
    /// [`NotaryError::Provider`].
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, NotaryError> {
        let signer = if self.0.id() == Id::ED25519 { Signer::new_without_digest(&self.0) } else { Signer::new(MessageDigest::sha256(), &self.0) };
        signer.and_then(|mut signer| signer.sign_oneshot_to_vec(text)).map_err(|_| NotaryError::Provider)
    }
}

impl NotaryPublic {
    /// Reads PEM.
    ///
    /// # Errors
    /// [`NotaryError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, NotaryError> {
        let key = PKey::public_key_from_pem(pem).map_err(|_| NotaryError::Unreadable)?;
        if kind(key.id()) { Ok(Self(key)) } else { Err(NotaryError::Kind) }
    }

    /// The key as PEM.
    ///
    /// # Errors
    /// [`NotaryError::Provider`].
    pub fn to_pem(&self) -> Result<Vec<u8>, NotaryError> {
        self.0.public_key_to_pem().map_err(|_| NotaryError::Provider)
    }

    /// SHA-256 of its DER: what the key is named by.
    ///
    /// # Errors
    /// [`NotaryError::Provider`].
    pub fn fingerprint(&self) -> Result<Sha256, NotaryError> {
        self.0.public_key_to_der().map(|der| sha256(&der)).map_err(|_| NotaryError::Provider)
    }

    /// Whether the private part signed this text.
    #[must_use]
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        let verifier =
            if self.0.id() == Id::ED25519 { Verifier::new_without_digest(&self.0) } else { Verifier::new(MessageDigest::sha256(), &self.0) };
        verifier.and_then(|mut verifier| verifier.verify_oneshot(signature, text)).unwrap_or(false)
    }
}

fn kind(id: Id) -> bool {
    id == Id::ED25519 || id == Id::EC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_text_and_its_key_only() {
        let ec = openssl::ec::EcKey::generate(&openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap()).unwrap();
        let ec = PKey::from_ec_key(ec).unwrap().private_key_to_pem_pkcs8().unwrap();
        for key in [NotaryKey::generate().unwrap(), NotaryKey::from_pem(&ec).unwrap()] {
            let again = NotaryKey::from_pem(&key.to_pem().unwrap()).unwrap();
            let public = NotaryPublic::from_pem(&key.public().unwrap().to_pem().unwrap()).unwrap();
            let signature = again.sign(b"text").unwrap();
            assert!(public.verifies(b"text", &signature));
            assert!(!public.verifies(b"texT", &signature));
            assert!(!public.verifies(b"text", &signature[..signature.len() - 1]) && !public.verifies(b"text", b""));
            assert!(!NotaryKey::generate().unwrap().public().unwrap().verifies(b"text", &signature));
            assert_eq!(format!("{key:?}"), "NotaryKey(…)");
        }
        let rsa = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap().private_key_to_pem_pkcs8().unwrap();
        assert_eq!(NotaryKey::from_pem(&rsa).unwrap_err(), NotaryError::Kind);
        assert_eq!(NotaryKey::from_pem(b"nothing").unwrap_err(), NotaryError::Unreadable);
    }
}
