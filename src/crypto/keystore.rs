//! Key files as CAs hand them out: PKCS#12 with new and old ciphers, PEM in any order, DER.

use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{Id, PKey, Private};
use openssl::provider::Provider;
use zeroize::Zeroizing;

use super::der::{self, Element};
use super::identity::{Identity, IdentityError, PrivateKey};
use super::{Certificate, CertificateError};

/// Rounds of a password's derivation. Common are 2,048 to 600,000; more than this would keep the start waiting.
const ROUNDS: u64 = 5_000_000;

/// A private key of any kind, its certificate, and the certificates above it, nearest first.
#[derive(Clone)]
pub struct KeyPair {
    key: PKey<Private>,
    /// The key's certificate: of several the one that begins last.
    pub certificate: Certificate,
    /// What leads from it to its root as far as it was there; certificates of others are left out.
    pub chain: Vec<Certificate>,
}

impl KeyPair {
    /// Reads a key file: PKCS#12, PEM (PKCS#1, PKCS#8, encrypted PKCS#8) with or without certificates, DER of a key.
    /// `certificates` are those of another file, PEM or DER.
    ///
    /// # Errors
    /// [`IdentityError`]. A file with several private keys is refused: nobody could say which one is meant.
    pub fn read(octets: &[u8], certificates: Option<&[u8]>, password: Option<&str>) -> Result<Self, IdentityError> {
        // Editors of Windows put a mark before text.
        let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
        let password = password.filter(|password| !password.is_empty());
        if password.is_some_and(|password| password.contains('\0')) {
            return Err(IdentityError::Password);
        }
        if is_pem(octets) {
            let key = pem_key(octets, password)?;
            let mut pool = pem_certificates(octets)?;
            pool.extend(other_file(certificates)?);
            return Self::joined(key, pool);
        }
        match inside(octets) {
            Some(_) if Self::is_pkcs12(octets) => pkcs12(octets, password),
            Some(_) => Self::joined(der_key(octets, password)?, other_file(certificates)?),
            None => Err(IdentityError::Unreadable),
        }
    }

    /// Whether the octets begin as PKCS#12 does.
    #[must_use]
    pub fn is_pkcs12(octets: &[u8]) -> bool {
        inside(octets).is_some_and(|inside| inside.starts_with(&[2, 1, 3]))
    }

    /// As the key of a participant or an access point: RSA of at least 2048 bits.
    ///
    /// # Errors
    /// [`IdentityError::Kind`], [`IdentityError::Weak`].
    pub fn identity(self) -> Result<Identity, IdentityError> {
        Identity::new(PrivateKey::new(self.key)?, self.certificate, self.chain)
    }

    /// The key as PKCS#8 in DER, for a TLS stack; wiped when dropped.
    ///
    /// # Errors
    /// [`IdentityError::NoKey`] when the provider cannot write it.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        self.key.private_key_to_pkcs8().map(Zeroizing::new).map_err(|_| IdentityError::NoKey)
    }

    fn joined(key: PKey<Private>, pool: Vec<Certificate>) -> Result<Self, IdentityError> {
        if pool.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let is_own = |certificate: &&Certificate| certificate.public_key().is_ok_and(|public| key.public_eq(&public));
        // After a renewal with the same key both certificates may be there.
        let own = pool.iter().filter(is_own).max_by_key(|certificate| certificate.not_before()).cloned().ok_or(IdentityError::Mismatch)?;
        let chain = chain(&own, pool);
        Ok(Self { key, certificate: own, chain })
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("certificate", &self.certificate).field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// From a certificate upwards, whatever the order is in which they come. Each is used once, so loops of CAs that certify
/// one another end.
fn chain(own: &Certificate, mut pool: Vec<Certificate>) -> Vec<Certificate> {
    let mut chain: Vec<Certificate> = Vec::new();
    pool.retain(|certificate| certificate != own);
    loop {
        let last = chain.last().unwrap_or(own);
        let Some(at) = pool.iter().position(|above| above.has_issued(last)) else { return chain };
        chain.push(pool.swap_remove(at));
    }
}

fn is_pem(octets: &[u8]) -> bool {
    octets.windows(10).any(|window| window == b"-----BEGIN")
}

/// What is inside the outermost SEQUENCE, also one of indefinite length, as some programs write PKCS#12.
fn inside(octets: &[u8]) -> Option<&[u8]> {
    let (0x30, rest) = octets.split_first().map(|(tag, rest)| (*tag, rest))? else { return None };
    let (&length, rest) = rest.split_first()?;
    rest.get(if length & 0x80 == 0 { 0 } else { usize::from(length & 0x7f) }..)
}

fn other_file(certificates: Option<&[u8]>) -> Result<Vec<Certificate>, IdentityError> {
    Ok(certificates.map(Certificate::all_from).transpose()?.unwrap_or_default())
}

fn pem_certificates(octets: &[u8]) -> Result<Vec<Certificate>, IdentityError> {
    match Certificate::all_from(octets) {
        Ok(certificates) => Ok(certificates),
        Err(error) if octets.windows(12).any(|window| window == b"CERTIFICATE-") => Err(error.into()),
        Err(_) => Ok(Vec::new()),
    }
}

fn pem_key(octets: &[u8], password: Option<&str>) -> Result<PKey<Private>, IdentityError> {
    let keys = octets.split(|octet| matches!(octet, b'\n' | b'\r')).filter(|line| {
        let line = line.trim_ascii();
        line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----")
    });
    match keys.count() {
        0 => return Err(IdentityError::NoKey),
        1 => {}
        many => return Err(IdentityError::ManyKeys(many)),
    }
    let says = |words: &[u8]| octets.windows(words.len()).any(|window| window == words);
    if !says(b"BEGIN ENCRYPTED PRIVATE KEY") && !says(b"Proc-Type: 4,ENCRYPTED") {
        // A callback that gives nothing, or the provider would ask on the terminal.
        return PKey::private_key_from_pem_callback(octets, |_| Ok(0)).map_err(|_| IdentityError::Damaged);
    }
    let password = password.ok_or(IdentityError::Locked)?;
    with_old_ciphers(|| PKey::private_key_from_pem_passphrase(octets, password.as_bytes())).map_err(|error| locked(&error))
}

fn der_key(octets: &[u8], password: Option<&str>) -> Result<PKey<Private>, IdentityError> {
    // An encrypted key begins with the algorithm, a bare one with its version.
    if inside(octets).is_some_and(|inside| inside.first() == Some(&0x30)) {
        let password = password.ok_or(IdentityError::Locked)?;
        if largest(octets, 0) > ROUNDS {
            return Err(IdentityError::Slow);
        }
        return with_old_ciphers(|| PKey::private_key_from_pkcs8_passphrase(octets, password.as_bytes())).map_err(|error| locked(&error));
    }
    PKey::private_key_from_der(octets).map_err(|_| IdentityError::Unreadable)
}

fn pkcs12(octets: &[u8], password: Option<&str>) -> Result<KeyPair, IdentityError> {
    let container = Pkcs12::from_der(octets).map_err(|_| IdentityError::Damaged)?;
    let outside = container.to_der().map_err(|_| IdentityError::Damaged).map(|der| Outside::read(&der).unwrap_or_default())?;
    if outside.rounds > ROUNDS {
        return Err(IdentityError::Slow);
    }
    if outside.has_mac == Some(false) {
        return Err(IdentityError::NoMac);
    }
    if outside.keys > 1 {
        return Err(IdentityError::ManyKeys(outside.keys));
    }
    let parsed = with_old_ciphers(|| container.parse2(password.unwrap_or_default())).map_err(|error| match (locked(&error), password) {
        (IdentityError::Password, None) => IdentityError::Locked,
        (error, _) => error,
    })?;
    let key = parsed.pkey.ok_or(IdentityError::NoKey)?;
    let certificates = parsed.cert.into_iter().chain(parsed.ca.into_iter().flatten());
    let pool = certificates.map(Certificate::try_from).collect::<Result<Vec<_>, CertificateError>>()?;
    KeyPair::joined(key, pool)
}

/// Opens something; where the provider has not its ciphers (RC2, single DES), once more with those that it keeps apart as
/// outdated. They are there for that moment only.
fn with_old_ciphers<T>(open: impl Fn() -> Result<T, ErrorStack>) -> Result<T, ErrorStack> {
    match open() {
        Err(error) if is_unsupported(&error) => match Provider::try_load(None, "legacy", true) {
            Ok(legacy) => {
                let opened = open();
                drop(legacy);
                opened
            }
            Err(_) => Err(error),
        },
        opened => opened,
    }
}

fn is_unsupported(error: &ErrorStack) -> bool {
    let names = ["unsupported", "unknown digest algorithm", "unknown cipher", "unsupported encryption algorithm", "unknown pbe algorithm"];
    error.errors().iter().any(|error| error.reason().is_some_and(|reason| names.contains(&reason)))
}

/// Why something that is encrypted was not opened.
fn locked(error: &ErrorStack) -> IdentityError {
    let said = |reason: &str| error.errors().iter().any(|error| error.reason() == Some(reason));
    if said("mac verify failure") {
        IdentityError::Password
    } else if is_unsupported(error) {
        IdentityError::Cipher
    } else if said("bad decrypt") || said("bad password read") || said("pkcs12 cipherfinal error") {
        IdentityError::Password
    } else {
        IdentityError::Damaged
    }
}

/// What a PKCS#12 container tells without its password (RFC 7292 4).
#[derive(Debug, Default)]
struct Outside {
    has_mac: Option<bool>,
    /// Private keys that can be seen: those that are encrypted one by one, as all known programs do it.
    keys: usize,
    /// The largest number of rounds that is asked for.
    rounds: u64,
}

impl Outside {
    fn read(container: &[u8]) -> Option<Self> {
        const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
        // keyBag and pkcs8ShroudedKeyBag.
        const KEYS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
        let fields = der::elements(der::sequence(container)?)?;
        let mut outside = Self { has_mac: Some(fields.len() > 2), keys: 0, rounds: largest(container, 0) };
        let octets_of = |content: &Element<'_>| match der::elements(content.contents)?.as_slice() {
            [Element { tag: 6, contents: DATA }, Element { tag: 0xa0, contents }] => match der::element(contents)? {
                (Element { tag: 4, contents }, []) => Some(contents.to_vec()),
                _ => None,
            },
            _ => None,
        };
        let safe = octets_of(fields.get(1)?)?;
        outside.rounds = outside.rounds.max(largest(&safe, 0));
        for content in der::elements(der::sequence(&safe)?)? {
            let Some(bags) = octets_of(&content) else { continue };
            outside.rounds = outside.rounds.max(largest(&bags, 0));
            for bag in der::sequence(&bags).and_then(der::elements).unwrap_or_default() {
                let kind = der::element(bag.contents).map(|(kind, _)| kind.contents);
                let is_key = kind.and_then(|kind| kind.strip_prefix(KEYS)).is_some_and(|number| matches!(number, [1 | 2]));
                outside.keys += usize::from(is_key);
            }
        }
        Some(outside)
    }
}

/// The largest whole number in what is not wrapped in octets: numbers of rounds, among versions.
fn largest(bytes: &[u8], depth: usize) -> u64 {
    const DEPTH: usize = 12;
    let number = |contents: &[u8]| contents.iter().fold(0u64, |sum, octet| sum.checked_mul(256).map_or(u64::MAX, |sum| sum | u64::from(*octet)));
    der::Elements(bytes)
        .map_while(|element| element)
        .map(|element| match element.tag {
            2 => number(element.contents),
            tag if tag & 0x20 != 0 && depth < DEPTH => largest(element.contents, depth + 1),
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}

/// The kind of a key that is no RSA key, for a person.
pub(super) fn kind(key: &PKey<Private>) -> &'static str {
    match key.id() {
        Id::EC => "elliptic curve (EC)",
        Id::ED25519 | Id::ED448 => "EdDSA",
        Id::DSA => "DSA",
        Id::RSA_PSS => "RSA-PSS only",
        _ => "of another kind",
    }
}
