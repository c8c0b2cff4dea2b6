//! Passwords as salted hashes (scrypt, RFC 7914), in one line of text: `$scrypt$ln=14,r=8,p=5$salt$hash`.
//!
//! Nobody who reads such a line learns the password without trying them one by one, and each try costs 16 MiB and as
//! long as a login takes.

use std::fmt;

use base64::prelude::*;
use openssl::memcmp;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// What [`PasswordHash::make`] costs: 16 MiB, five times over (OWASP's second choice of scrypt).
const COST: Cost = Cost { log_n: 14, r: 8, p: 5 };
/// The most that a line may cost: 256 MiB.
const DEAREST: u64 = 256 << 20;
/// Octets of a hash.
const HASH: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    log_n: u32,
    r: u32,
    p: u32,
}

/// A salted hash of a password. It is no password, but shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    hash: [u8; HASH],
}

/// Why a line is no hash of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// It has another form.
    #[error("is no line of the form $scrypt$ln=…,r=…,p=…$salt$hash")]
    Form,
    /// It is cheaper to guess than one that is made here, or dearer than a login may be.
    #[error("costs too little to guess, or too much to check")]
    Cost,
    /// It cannot be made.
    #[error("scrypt failed")]
    Scrypt,
}

impl PasswordHash {
    /// Hashes a password with a salt, which must be random.
    ///
    /// # Errors
    /// [`PasswordHashError::Scrypt`] when there is no memory for it.
    pub fn make(password: &str, salt: [u8; 16]) -> Result<Self, PasswordHashError> {
        let hash = scrypt(password, &salt, COST).ok_or(PasswordHashError::Scrypt)?;
        Ok(Self { cost: COST, salt: salt.to_vec(), hash })
    }

    /// Reads the line that [`Self`]'s `to_string` gives.
    ///
    /// # Errors
    /// [`PasswordHashError`].
    pub fn parse(line: &str) -> Result<Self, PasswordHashError> {
        let mut parts = line.strip_prefix("$scrypt$").ok_or(PasswordHashError::Form)?.split('$');
        let (Some(cost), Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(PasswordHashError::Form);
        };
        let octets = |text: &str| BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| PasswordHashError::Form);
        let hash = octets(hash)?.try_into().map_err(|_| PasswordHashError::Form)?;
        let (cost, salt) = (Cost::parse(cost).ok_or(PasswordHashError::Form)?, octets(salt)?);
        let fits = salt.len() >= 16 && cost.log_n <= 20 && cost.work() >= COST.work() && cost.memory() <= DEAREST;
        if fits { Ok(Self { cost, salt, hash }) } else { Err(PasswordHashError::Cost) }
    }

    /// A hash that no password has and that costs as much to check as any that is made here.
    #[must_use]
    pub fn nobodys() -> Self {
        Self { cost: COST, salt: vec![0; 16], hash: [0; HASH] }
    }

    /// Whether this is the password. Takes a tenth of a second and as much memory as the hash says, whatever the answer.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        scrypt(password, &self.salt, self.cost).is_some_and(|hash| memcmp::eq(&hash, &self.hash))
    }
}

impl Cost {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let mut number = |key: &str| parts.next()?.strip_prefix(key)?.parse().ok();
        let cost = Self { log_n: number("ln=")?, r: number("r=")?, p: number("p=")? };
        (parts.next().is_none() && cost.log_n > 0 && cost.r > 0 && cost.p > 0).then_some(cost)
    }

    fn memory(self) -> u64 {
        (u64::from(self.r) << self.log_n.min(32)).saturating_mul(128)
    }

    fn work(self) -> u64 {
        self.memory().saturating_mul(u64::from(self.p))
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { log_n, r, p } = self.cost;
        let text = |octets: &[u8]| BASE64_STANDARD_NO_PAD.encode(octets);
        write!(f, "$scrypt$ln={log_n},r={r},p={p}${}${}", text(&self.salt), text(&self.hash))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[…]")
    }
}

/// NFC, so that a letter is one password however the keyboard makes it.
fn scrypt(password: &str, salt: &[u8], cost: Cost) -> Option<[u8; HASH]> {
    let password: Zeroizing<String> = Zeroizing::new(password.nfc().collect());
    let mut hash = [0; HASH];
    let n = 1_u64.checked_shl(cost.log_n)?;
    openssl::pkcs5::scrypt(password.as_bytes(), salt, n, cost.r.into(), cost.p.into(), DEAREST * 2, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_line_and_no_other_is() {
        let made = PasswordHash::make("Räksmörgås 7", [7; 16]).unwrap();
        let line = made.to_string();
        assert!(line.starts_with("$scrypt$ln=14,r=8,p=5$BwcHBwcHBwcHBwcHBwcHBw$"), "{line}");
        let read = PasswordHash::parse(&line).unwrap();
        assert_eq!(read, made);
        assert!(read.verify("Räksmörgås 7"));
        assert!(read.verify("Ra\u{308}ksmo\u{308}rga\u{30a}s 7"), "the same letters, otherwise composed");
        assert!(!read.verify("räksmörgås 7") && !read.verify(""));
        assert_ne!(PasswordHash::make("Räksmörgås 7", [8; 16]).unwrap().to_string(), line);
        assert!(!PasswordHash::nobodys().verify(""));
        assert!(!format!("{read:?}").contains("scrypt"));
    }

    #[test]
    fn hashes_are_those_of_rfc_7914() {
        let hash = scrypt("pleaseletmein", b"SodiumChloride", Cost { log_n: 14, r: 8, p: 1 }).unwrap();
        assert_eq!(hash[..8], [0x70, 0x23, 0xbd, 0xcb, 0x3a, 0xfd, 0x73, 0x48]);
    }

    #[test]
    fn a_line_that_is_none_or_costs_too_little_or_too_much_is_refused() {
        let line = |cost: &str| PasswordHash::parse(&format!("$scrypt${cost}$BwcHBwcHBwcHBwcHBwcHBw${}", BASE64_STANDARD_NO_PAD.encode([0; 32])));
        assert!(line("ln=15,r=8,p=3").is_ok());
        for cost in ["ln=14,r=8,p=1", "ln=1,r=1,p=1", "ln=20,r=8,p=1", "ln=63,r=8,p=1", "ln=14,r=4294967295,p=5"] {
            assert_eq!(line(cost), Err(PasswordHashError::Cost), "{cost}");
        }
        for cost in ["", "ln=14", "r=8,ln=14,p=5", "ln=14,r=8,p=5,x=1", "ln=0,r=8,p=5", "ln=-1,r=8,p=5"] {
            assert_eq!(line(cost), Err(PasswordHashError::Form), "{cost}");
        }
        for text in [
            "",
            "hemlig",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
            "$scrypt$ln=14,r=8,p=5$BwcHBwcHBwcHBwcHBwcHBw",
            "$scrypt$ln=14,r=8,p=5$!$!",
        ] {
            assert_eq!(PasswordHash::parse(text), Err(PasswordHashError::Form), "{text}");
        }
    }
}
