//! Session keys under RSA-OAEP, and AES-GCM of streams.
//!
//! A session key that cannot be unwrapped is replaced by a random one, so that a wrong key and a wrong ciphertext end
//! alike, at the tag: what is told apart here is an oracle for whoever can send messages (XML Encryption 1.1 6.1.1).

use std::io::{self, Write};

use openssl::symm::{Cipher, Crypter, Mode};
use zeroize::Zeroizing;

use super::{Certificate, Oaep, PrivateKey, ProviderError};

/// Octets of the nonce that stands before an AES-GCM ciphertext (XML Encryption 1.1 5.2.4).
const NONCE: usize = 12;
/// Octets of the tag that stands behind it.
const TAG: usize = 16;

/// AES-GCM by key size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gcm {
    /// AES-128-GCM, which AS4 writes.
    Aes128,
    /// AES-192-GCM.
    Aes192,
    /// AES-256-GCM.
    Aes256,
}

impl Gcm {
    /// The `Algorithm` URI of XML encryption.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Aes128 => "http://www.w3.org/2009/xmlenc11#aes128-gcm",
            Self::Aes192 => "http://www.w3.org/2009/xmlenc11#aes192-gcm",
            Self::Aes256 => "http://www.w3.org/2009/xmlenc11#aes256-gcm",
        }
    }

    /// The algorithm with this `Algorithm` URI.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        [Self::Aes128, Self::Aes192, Self::Aes256].into_iter().find(|gcm| gcm.uri() == uri)
    }

    fn provider(self) -> Cipher {
        match self {
            Self::Aes128 => Cipher::aes_128_gcm(),
            Self::Aes192 => Cipher::aes_192_gcm(),
            Self::Aes256 => Cipher::aes_256_gcm(),
        }
    }
}

/// A symmetric key for one message, wiped when dropped.
pub struct SessionKey {
    octets: Zeroizing<Vec<u8>>,
    gcm: Gcm,
}

impl SessionKey {
    /// A new key out of the provider's random numbers.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn random(gcm: Gcm) -> Result<Self, ProviderError> {
        let mut octets = Zeroizing::new(vec![0; gcm.provider().key_len()]);
        openssl::rand::rand_bytes(&mut octets).map_err(|_| ProviderError("make a random number"))?;
        Ok(Self { octets, gcm })
    }

    /// Encrypts the key to a certificate.
    ///
    /// # Errors
    /// [`ProviderError`], for example when the certificate's key is not RSA.
    pub fn wrap(&self, recipient: &Certificate, oaep: &Oaep) -> Result<Vec<u8>, ProviderError> {
        let failed = ProviderError("encrypt a session key");
        let key = recipient.public_key().map_err(|_| failed)?;
        oaep.encrypt(&key, &self.octets).map_err(|_| failed)
    }

    /// Decrypts a key. What does not decrypt to a key of the right size becomes a random key, without a word.
    ///
    /// # Errors
    /// [`ProviderError`] when there are no random numbers.
    pub fn unwrap(wrapped: &[u8], recipient: &PrivateKey, oaep: &Oaep, gcm: Gcm) -> Result<Self, ProviderError> {
        let substitute = Self::random(gcm)?;
        Ok(match oaep.decrypt(recipient.pkey(), wrapped) {
            Ok(octets) if octets.len() == substitute.octets.len() => Self { octets, gcm },
            _ => substitute,
        })
    }

    fn crypter(&self, mode: Mode, nonce: &[u8]) -> Result<Crypter, ProviderError> {
        Crypter::new(self.gcm.provider(), mode, &self.octets, Some(nonce)).map_err(|_| ProviderError("start AES-GCM"))
    }
}

/// Encrypts a stream with AES-GCM: nonce, ciphertext, tag.
pub struct Encryptor<W: Write> {
    out: W,
    crypter: Crypter,
    buffer: Vec<u8>,
}

impl<W: Write> Encryptor<W> {
    /// Begins with a random nonce, which is written at once.
    ///
    /// # Errors
    /// Of `out`, and of the provider as [`io::ErrorKind::Other`].
    pub fn new(key: &SessionKey, mut out: W) -> io::Result<Self> {
        let mut nonce = [0; NONCE];
        openssl::rand::rand_bytes(&mut nonce).map_err(|_| io::Error::other(ProviderError("make a random number")))?;
        let crypter = key.crypter(Mode::Encrypt, &nonce).map_err(io::Error::other)?;
        out.write_all(&nonce)?;
        Ok(Self { out, crypter, buffer: Vec::new() })
    }

    /// Writes the tag and gives the stream back.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn finish(mut self) -> io::Result<W> {
        let failed = |_| io::Error::other(ProviderError("finish AES-GCM"));
        let mut tag = [0; TAG];
        self.crypter.finalize(&mut tag).map_err(failed)?;
        self.crypter.get_tag(&mut tag).map_err(failed)?;
        self.out.write_all(&tag)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.resize(bytes.len() + TAG, 0);
        let length = self.crypter.update(bytes, &mut self.buffer).map_err(|_| io::Error::other(ProviderError("encrypt")))?;
        self.out.write_all(self.buffer.get(..length).unwrap_or_default())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The ciphertext is not what the key's owner made, or the key is another one. It says no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("decryption failed")]
pub struct DecryptionError;

/// Decrypts nonce, ciphertext and tag piece by piece.
///
/// What [`Self::update`] gives is not authenticated before [`Self::finish`] returned: keep it out of reach until then.
pub struct Decryptor {
    key: SessionKey,
    crypter: Option<Crypter>,
    /// Octets that are not decrypted yet: the nonce at first, later what may be the tag.
    held: Vec<u8>,
}

impl Decryptor {
    /// Begins.
    #[must_use]
    pub fn new(key: SessionKey) -> Self {
        Self { key, crypter: None, held: Vec::new() }
    }

    /// Takes ciphertext and appends plaintext to `out`.
    ///
    /// # Errors
    /// [`DecryptionError`].
    pub fn update(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecryptionError> {
        self.held.extend_from_slice(bytes);
        if self.crypter.is_none() {
            let Some(nonce) = self.held.get(..NONCE) else { return Ok(()) };
            self.crypter = Some(self.key.crypter(Mode::Decrypt, nonce).map_err(|_| DecryptionError)?);
            self.held.drain(..NONCE);
        }
        let ready = self.held.len().saturating_sub(TAG);
        if let (Some(crypter), Some(input)) = (&mut self.crypter, self.held.get(..ready))
            && ready > 0
        {
            let start = out.len();
            out.resize(start + ready + TAG, 0);
            let length = crypter.update(input, out.get_mut(start..).unwrap_or_default()).map_err(|_| DecryptionError)?;
            out.truncate(start + length);
            self.held.drain(..ready);
        }
        Ok(())
    }

    /// Checks the tag.
    ///
    /// # Errors
    /// [`DecryptionError`] when it does not hold.
    pub fn finish(self) -> Result<(), DecryptionError> {
        let mut crypter = self.crypter.ok_or(DecryptionError)?;
        if self.held.len() != TAG {
            return Err(DecryptionError);
        }
        crypter.set_tag(&self.held).map_err(|_| DecryptionError)?;
        crypter.finalize(&mut [0; TAG]).map_err(|_| DecryptionError)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Digest;

    fn sealed(key: &SessionKey, plain: &[u8]) -> Vec<u8> {
        let mut encryptor = Encryptor::new(key, Vec::new()).unwrap();
        plain.chunks(1000).for_each(|chunk| encryptor.write_all(chunk).unwrap());
        encryptor.finish().unwrap()
    }

    fn opened(key: &SessionKey, cipher: &[u8], step: usize) -> Result<Vec<u8>, DecryptionError> {
        let mut decryptor = Decryptor::new(SessionKey { octets: key.octets.clone(), gcm: key.gcm });
        let mut out = Vec::new();
        for chunk in cipher.chunks(step) {
            decryptor.update(chunk, &mut out)?;
        }
        decryptor.finish().map(|()| out)
    }

    #[test]
    fn streams_of_any_cut_come_back() {
        for gcm in [Gcm::Aes128, Gcm::Aes192, Gcm::Aes256] {
            let key = SessionKey::random(gcm).unwrap();
            for length in [0, 1, 15, 16, 17, 5000] {
                let plain: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
                let cipher = sealed(&key, &plain);
                assert_eq!(cipher.len(), length + NONCE + TAG);
                for step in [1, 7, 28, 10_000] {
                    assert_eq!(opened(&key, &cipher, step).unwrap(), plain);
                }
            }
        }
    }

    #[test]
    fn a_changed_or_cut_ciphertext_fails() {
        let key = SessionKey::random(Gcm::Aes128).unwrap();
        let cipher = sealed(&key, b"hemligt");
        for at in 0..cipher.len() {
            let mut changed = cipher.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&key, &changed, 9), Err(DecryptionError));
            assert_eq!(opened(&key, &cipher[..at], 9), Err(DecryptionError));
        }
    }

    #[test]
    fn session_keys_travel_and_a_wrong_one_fails_only_at_the_tag() {
        let rsa = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        let mut builder = openssl::x509::X509::builder().unwrap();
        builder.set_pubkey(&rsa).unwrap();
        builder.set_not_before(&openssl::asn1::Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&openssl::asn1::Asn1Time::from_unix(1).unwrap()).unwrap();
        builder.sign(&rsa, openssl::hash::MessageDigest::sha256()).unwrap();
        let certificate = Certificate::try_from(builder.build()).unwrap();
        let private = PrivateKey::new(rsa).unwrap();
        let all = [Digest::Sha1, Digest::Sha256, Digest::Sha384, Digest::Sha512];
        let pairs = all.into_iter().flat_map(|digest| all.map(|mask| Oaep { digest, mask, label: Vec::new() }));
        for oaep in pairs.chain([Oaep { label: b"label".to_vec(), ..Oaep::SHA256 }]) {
            let key = SessionKey::random(Gcm::Aes128).unwrap();
            let wrapped = key.wrap(&certificate, &oaep).unwrap();
            assert_eq!(SessionKey::unwrap(&wrapped, &private, &oaep, Gcm::Aes128).unwrap().octets, key.octets);
            // The beginning may be a zero, which counts for nothing; the end may not be missed.
            for wrong in [&wrapped[..255], &[0; 256], &[]] {
                assert_ne!(SessionKey::unwrap(wrong, &private, &oaep, Gcm::Aes128).unwrap().octets, key.octets);
            }
            let other = Oaep { label: b"other".to_vec(), ..oaep.clone() };
            assert_ne!(SessionKey::unwrap(&wrapped, &private, &other, Gcm::Aes128).unwrap().octets, key.octets);
        }
    }
}
