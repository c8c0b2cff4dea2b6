//! A key that is never written down, for files that end with whoever made them.

use openssl::symm::{Cipher, Crypter, Mode};
use zeroize::Zeroizing;

use crate::crypto::ProviderError;

/// AES-256-CTR under a random key, from any place of a stream. It hides; whether what is read back is what was written it
/// does not say. A place is written once: who has two texts of one place knows how they differ.
pub struct Veil {
    key: Zeroizing<[u8; 32]>,
}

impl Veil {
    /// Under a new key.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn new() -> Result<Self, ProviderError> {
        let mut key = Zeroizing::new([0; 32]);
        openssl::rand::rand_priv_bytes(&mut *key).map_err(|_| ProviderError("make a random number"))?;
        Ok(Self { key })
    }

    /// Hides, or shows again, what stands from the place `at` on. `to` is as long as `from`.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn pass(&self, at: u64, from: &[u8], to: &mut [u8]) -> Result<(), ProviderError> {
        const BLOCK: u64 = 16;
        let failed = |_| ProviderError("hide content");
        let counter = u128::from(at / BLOCK).to_be_bytes();
        let mut crypter = Crypter::new(Cipher::aes_256_ctr(), Mode::Encrypt, &*self.key, Some(&counter)).map_err(failed)?;
        let before = usize::try_from(at % BLOCK).unwrap_or_default();
        let mut passed = [0; BLOCK as usize];
        if let (Some(from), Some(to)) = ([0; BLOCK as usize].get(..before), passed.get_mut(..before)) {
            crypter.update(from, to).map_err(failed)?;
        }
        crypter.update(from, to).map_err(failed).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_in_pieces_is_shown_from_any_place() {
        let (veil, clear) = (Veil::new().unwrap(), (0..200).collect::<Vec<u8>>());
        let mut hidden = vec![0; 200];
        for (from, to) in [(0, 1), (1, 16), (16, 50), (50, 200)] {
            veil.pass(from as u64, &clear[from..to], &mut hidden[from..to]).unwrap();
        }
        assert!(!hidden.windows(4).any(|part| clear.windows(4).any(|other| other == part)));
        for from in [0, 7, 16, 33, 199, 200] {
            let mut shown = vec![0; 200 - from];
            veil.pass(from as u64, &hidden[from..], &mut shown).unwrap();
            assert_eq!(shown, clear[from..]);
        }
        let mut other = vec![0; 200];
        Veil::new().unwrap().pass(0, &hidden, &mut other).unwrap();
        assert_ne!(other, clear, "another key");
    }
}
