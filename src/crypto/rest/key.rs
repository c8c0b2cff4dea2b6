//! The keys that content at rest lies under.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::md::Md;
use openssl::pkey::Id;
use openssl::pkey_ctx::PkeyCtx;
use zeroize::Zeroizing;

use super::ContentKey;
use crate::crypto::ProviderError;

/// Octets of a key.
const KEY: usize = 32;

/// Which key: it follows from the key, so that a wrong key is told from damage, and says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for KeyId {
    type Err = RestKeyError;

    fn from_str(text: &str) -> Result<Self, RestKeyError> {
        let number = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16 && !text.starts_with('+'));
        number.map(|number| Self(number.to_be_bytes())).ok_or(RestKeyError::Form)
    }
}

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestKeyError {
    /// It has another form.
    #[error("it is neither 32 octets nor their base64")]
    Form,
    /// It has the form of a key and is none: all octets are alike.
    #[error("it is no random key")]
    NotRandom,
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// A key for content at rest, wiped when dropped. Its debug print shows its id.
#[derive(Clone)]
pub struct RestKey {
    octets: Zeroizing<[u8; KEY]>,
    id: KeyId,
}

impl RestKey {
    /// A new key out of the provider's random numbers.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn random() -> Result<Self, ProviderError> {
        let mut octets = Zeroizing::new([0; KEY]);
        openssl::rand::rand_priv_bytes(&mut *octets).map_err(|_| ProviderError("make a random number"))?;
        Self::of(octets)
    }

    /// Reads a key as its file holds it: 32 octets, or their base64 with white space around it.
    ///
    /// # Errors
    /// [`RestKeyError`].
    pub fn read(file: &[u8]) -> Result<Self, RestKeyError> {
        let mut octets = Zeroizing::new([0; KEY]);
        if file.len() == KEY {
            octets.copy_from_slice(file);
        } else {
            // Room for what the decoder may use beside the key.
            let mut decoded = Zeroizing::new([0; KEY + 3]);
            let length = STANDARD.decode_slice(file.trim_ascii(), &mut *decoded).map_err(|_| RestKeyError::Form)?;
            let decoded = decoded.get(..length).filter(|decoded| decoded.len() == KEY).ok_or(RestKeyError::Form)?;
            octets.copy_from_slice(decoded);
        }
        if octets.iter().all(|octet| Some(octet) == octets.first()) {
            return Err(RestKeyError::NotRandom);
        }
        Ok(Self::of(octets)?)
    }

    /// The key's base64, as a file holds it.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(48));
        STANDARD.encode_string(self.octets.as_slice(), &mut text);
        text
    }

    /// Which key this is.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    fn of(octets: Zeroizing<[u8; KEY]>) -> Result<Self, ProviderError> {
        let mut id = [0; 8];
        derive(&*octets, &[0; 32], b"brevbro key id", &mut id)?;
        Ok(Self { octets, id: KeyId(id) })
    }

    /// The key of one content.
    pub(super) fn content(&self, salt: &[u8; 32]) -> Result<ContentKey, ProviderError> {
        let mut key = Zeroizing::new([0; KEY]);
        derive(&*self.octets, salt, b"brevbro content v1", &mut *key)?;
        Ok(ContentKey(key))
    }
}

impl fmt::Debug for RestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RestKey({})", self.id)
    }
}

/// HKDF-SHA256 (RFC 5869).
fn derive(key: &[u8], salt: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), ProviderError> {
    let mut derived = || {
        let mut context = PkeyCtx::new_id(Id::HKDF)?;
        context.derive_init()?;
        context.set_hkdf_md(Md::sha256())?;
        context.set_hkdf_key(key)?;
        context.set_hkdf_salt(salt)?;
        context.add_hkdf_info(info)?;
        context.derive(Some(out))
    };
    derived().map(drop).map_err(|_: openssl::error::ErrorStack| ProviderError("derive a key"))
}
