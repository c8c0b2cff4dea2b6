//! Certificate revocation lists (RFC 5280 5): whose they are, until when they hold, what they cover, whom they name.
//!
//! A list stays the octets that it came as: a CA's list may have a hundred thousand entries, and a tree of them would take
//! many times the room. Its signature is verified and its entries are searched where they lie.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use base64::prelude::*;
use jiff::{SignedDuration, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::Id as KeyKind;
use openssl::sign::Verifier;
use openssl::x509::X509Name;

use super::der::{self, Element, Extension, sequence, tagged};
use super::ocsp::signature_algorithm;
use super::{Certificate, KeyUse};
use crate::ident::Sha256;

/// Clocks differ: a list that was made a minute "from now" is today's.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
const DELTA: &[u8] = &[0x55, 0x1d, 0x1b];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];
const DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Neither DER nor PEM of a CRL.
    #[error("not a revocation list")]
    Unreadable,
    /// It is the list of another CA, or its signature does not hold.
    #[error("the revocation list is not signed by the certificate's issuer")]
    Issuer,
    /// Its signature is of a kind that proves nothing, such as one with SHA-1.
    #[error("the revocation list is signed with an algorithm that is not accepted")]
    Algorithm,
    /// It speaks of other CAs' certificates.
    #[error("the revocation list is an indirect one, of an issuer for others, which is not supported")]
    Indirect,
    /// It is a delta, or covers only a part: it may be silent about the certificate.
    #[error("the revocation list does not cover the certificate")]
    Partial,
    /// It says something critical that is not understood.
    #[error("the revocation list has an unknown critical extension")]
    Critical,
    /// Its date lies ahead.
    #[error("the revocation list is dated {0}, which has not come yet")]
    NotYet(Timestamp),
    /// A newer one should have been published.
    #[error("the revocation list ended at {0}")]
    Outdated(Timestamp),
}

/// A list that was read; nothing of it is believed before [`Self::revoked`].
pub struct Crl {
    der: Vec<u8>,
    signed: Range<usize>,
    signature: Range<usize>,
    algorithm: Option<(KeyKind, MessageDigest)>,
    issuer: Range<usize>,
    issued: Timestamp,
    until: Option<Timestamp>,
    entries: Range<usize>,
    scope: Result<Scope, CrlError>,
    /// Whose signature was found on it.
    signer: OnceLock<Sha256>,
}

/// Of which of its issuer's certificates a list speaks (RFC 5280 5.2.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Scope {
    /// The names of the place where it lies, as DER of each; none where it speaks for all places.
    names: Option<Vec<Vec<u8>>>,
    users_only: bool,
    authorities_only: bool,
}

impl Crl {
    /// Reads DER or PEM.
    ///
    /// # Errors
    /// [`CrlError::Unreadable`].
    pub fn read(bytes: &[u8]) -> Result<Self, CrlError> {
        let der = if bytes.first() == Some(&0x30) { bytes.to_vec() } else { from_pem(bytes).ok_or(CrlError::Unreadable)? };
        Self::parsed(der).ok_or(CrlError::Unreadable)
    }

    fn parsed(der: Vec<u8>) -> Option<Self> {
        let place = |part: &[u8]| {
            let from = part.as_ptr().addr() - der.as_ptr().addr();
            from..from + part.len()
        };
        let inner = sequence(&der)?;
        let (list, rest) = der::element(inner)?;
        let signed = inner.get(..inner.len() - rest.len())?;
        let after = der::elements(rest)?;
        let [algorithm, Element { tag: 3, contents: [0, signature @ ..] }] = after.as_slice() else { return None };
        let mut fields = der::elements(tagged(Some(list), 0x30)?)?.into_iter().peekable();
        // The version is 1, as numbers of versions begin with 0, or absent.
        if let Some(version) = fields.next_if(|field| field.tag == 2)
            && version.contents != [1]
        {
            return None;
        }
        // RFC 5280 5.1.1.2: what is signed says how it is signed, too.
        let inside = fields.next()?;
        if inside != *algorithm {
            return None;
        }
        let oid = tagged(der::elements(tagged(Some(*algorithm), 0x30)?)?.into_iter().next(), 6)?;
        let issuer = tagged(fields.next(), 0x30)?;
        let issued = der::time(fields.next()?)?;
        let until = match fields.next_if(|field| matches!(field.tag, 0x17 | 0x18)) {
            Some(until) => Some(der::time(until)?),
            None => None,
        };
        let entries = fields.next_if(|field| field.tag == 0x30).map_or(&[][..], |entries| entries.contents);
        let extensions = fields.next().map_or(Some(Vec::new()), |field| der::extension_list(sequence(tagged(Some(field), 0xa0)?)?))?;
        if fields.next().is_some() {
            return None;
        }
        let scope = match entries_obstacle(entries)? {
            Some(obstacle) => Err(obstacle),
            None => scope(&extensions),
        };
        let (signed, signature, issuer, entries) = (place(signed), place(signature), place(issuer), place_or_none(entries, &place));
        Some(Self { signed, signature, algorithm: signature_algorithm(oid), issuer, issued, until, entries, scope, der, signer: OnceLock::new() })
    }

    /// When it was issued.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When the next one is due; none when the CA does not say.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Octets that it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.der.len()
    }

    /// Whether `certificate`, issued by `issuer`, is revoked according to this list at `at`.
    ///
    /// # Errors
    /// [`CrlError`] when the list is not the issuer's, does not cover the certificate, or does not hold at `at`.
    pub fn revoked(&self, certificate: &Certificate, issuer: &Certificate, at: Timestamp) -> Result<bool, CrlError> {
        let own = |name: &openssl::x509::X509NameRef| self.issuer_name().is_some_and(|own| own.try_cmp(name).is_ok_and(std::cmp::Ordering::is_eq));
        // RFC 5280 6.3.3.f: the key must be one that may sign lists.
        if !own(issuer.x509().subject_name()) || !own(certificate.x509().issuer_name()) || !issuer.may(KeyUse::Lists) {
            return Err(CrlError::Issuer);
        }
        // Digesting some megabytes for each message would be felt.
        if self.signer.get() != Some(&issuer.fingerprint()) {
            self.verify(issuer)?;
            let _ = self.signer.set(issuer.fingerprint());
        }
        if !self.scope.as_ref().map_err(Clone::clone)?.covers(certificate) {
            return Err(CrlError::Partial);
        }
        if self.issued > at.saturating_add(SKEW).unwrap_or(at) {
            return Err(CrlError::NotYet(self.issued));
        }
        if let Some(until) = self.until.filter(|until| *until < at) {
            return Err(CrlError::Outdated(until));
        }
        let serial = der::certificate_field(certificate.der(), 0).ok_or(CrlError::Unreadable)?;
        // "Remove from CRL" belongs to deltas, which were refused above; taken as revoked to be on the safe side.
        Ok(der::Elements(self.part(&self.entries)).flatten().any(|entry| {
            der::element(entry.contents).is_some_and(|(number, _)| number.tag == 2 && trimmed(number.contents) == trimmed(serial.contents))
        }))
    }

    fn verify(&self, issuer: &Certificate) -> Result<(), CrlError> {
        let (kind, digest) = self.algorithm.ok_or(CrlError::Algorithm)?;
        let key = issuer.public_key().map_err(|_| CrlError::Issuer)?;
        let (signed, signature) = (self.part(&self.signed), self.part(&self.signature));
        let holds =
            key.id() == kind && Verifier::new(digest, &key).and_then(|mut verifier| verifier.verify_oneshot(signature, signed)).unwrap_or(false);
        if holds { Ok(()) } else { Err(CrlError::Issuer) }
    }

    fn issuer_name(&self) -> Option<X509Name> {
        X509Name::from_der(&der::write(0x30, self.part(&self.issuer))).ok()
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl").field("issued", &self.issued).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Scope {
    /// Whether the list speaks of the certificate. A CA that splits its list signs all parts alike: only the certificate
    /// says in which of them it would stand (RFC 5280 6.3.3.b.2).
    fn covers(&self, certificate: &Certificate) -> bool {
        let here = self.names.as_ref().is_none_or(|names| places(certificate).iter().flat_map(|place| &place.names).any(|name| names.contains(name)));
        let kind = if certificate.is_authority() { !self.users_only } else { !self.authorities_only };
        here && kind
    }
}

/// What the list's own extensions say of its scope (RFC 5280 5.2).
fn scope(extensions: &[Extension<'_>]) -> Result<Scope, CrlError> {
    let mut scope = Scope::default();
    for extension in extensions {
        match extension.oid {
            ISSUING_DISTRIBUTION_POINT => scope = issuing_point(extension.value).ok_or(CrlError::Critical)??,
            DELTA => return Err(CrlError::Partial),
            _ if extension.critical => return Err(CrlError::Critical),
            _ => {}
        }
    }
    Ok(scope)
}

fn issuing_point(value: &[u8]) -> Option<Result<Scope, CrlError>> {
    let mut scope = Scope::default();
    for field in der::elements(sequence(value)?)? {
        let yes = matches!(field.contents, [flag] if *flag != 0);
        match field.tag {
            0xa0 => scope.names = Some(full_names(field)?),
            0x81 => scope.users_only = yes,
            0x82 => scope.authorities_only = yes,
            // Only some reasons: silence means nothing.
            0x83 => return Some(Err(CrlError::Partial)),
            0x84 if yes => return Some(Err(CrlError::Indirect)),
            0x85 if yes => return Some(Err(CrlError::Partial)),
            0x84 | 0x85 => {}
            _ => return None,
        }
    }
    Some(Ok(scope))
}

/// Why the entries cannot be taken as what they seem; `None` outside when they cannot be read.
#[expect(clippy::option_option, reason = "unreadable, and readable with or without an obstacle")]
fn entries_obstacle(entries: &[u8]) -> Option<Option<CrlError>> {
    for entry in der::Elements(entries) {
        let fields = der::elements(tagged(Some(entry?), 0x30)?)?;
        let ([Element { tag: 2, .. }, _] | [Element { tag: 2, .. }, _, Element { tag: 0x30, .. }]) = fields.as_slice() else { return None };
        let Some(extensions) = fields.get(2) else { continue };
        // RFC 5280 5.3: a list with one that is not understood must not be used, for no certificate at all.
        if let Some(critical) = der::extension_list(extensions.contents)?.iter().find(|extension| extension.critical) {
            return Some(Some(if critical.oid == CERTIFICATE_ISSUER { CrlError::Indirect } else { CrlError::Critical }));
        }
    }
    Some(None)
}

/// A place where a certificate says that lists lie (RFC 5280 4.2.1.13).
struct Place {
    /// Its names, as DER of each.
    names: Vec<Vec<u8>>,
    /// The list there is the issuer's own and for all reasons.
    plain: bool,
}

fn places(certificate: &Certificate) -> Vec<Place> {
    let read = |value| {
        let place = |element| {
            let mut place = Place { names: Vec::new(), plain: true };
            for field in der::elements(tagged(Some(element), 0x30)?)? {
                match field.tag {
                    // A name relative to the issuer's leads nowhere by itself.
                    0xa0 => place.names = full_names(field).unwrap_or_default(),
                    _ => place.plain = false,
                }
            }
            Some(place)
        };
        der::elements(sequence(value)?)?.into_iter().map(place).collect::<Option<Vec<_>>>()
    };
    certificate.extension(DISTRIBUTION_POINTS).and_then(read).unwrap_or_default()
}

/// The general names in a distribution point's name.
fn full_names(field: Element<'_>) -> Option<Vec<Vec<u8>>> {
    let full = der::elements(field.contents)?.into_iter().next();
    Some(der::elements(tagged(full, 0xa0)?)?.into_iter().map(|name| der::write(name.tag, name.contents)).collect())
}

/// The `http` and `https` addresses at which a certificate says its issuer's list lies, in the certificate's order. LDAP
/// is not spoken, and lists of other issuers or for some reasons only are not looked for.
#[must_use]
pub fn crl_urls(certificate: &Certificate) -> Vec<String> {
    let names = places(certificate).into_iter().filter(|place| place.plain).flat_map(|place| place.names);
    let urls = names.filter_map(|name| match der::element(&name) {
        Some((Element { tag: 0x86, contents }, [])) => String::from_utf8(contents.to_vec()).ok(),
        _ => None,
    });
    urls.filter(|url| url.starts_with("http://") || url.starts_with("https://")).collect()
}

/// Why [`crl_urls`] gives nothing although the certificate names places; `None` when it names none, or gives something.
#[must_use]
pub fn crl_obstacle(certificate: &Certificate) -> Option<&'static str> {
    let places = places(certificate);
    if places.is_empty() || !crl_urls(certificate).is_empty() {
        return None;
    }
    Some(if places.iter().any(|place| place.plain) {
        "names revocation lists in LDAP only, which is not spoken here"
    } else {
        "names only revocation lists of another issuer (indirect ones), which are not supported"
    })
}

fn from_pem(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once("-----BEGIN X509 CRL-----")?;
    let (body, _) = rest.split_once("-----END X509 CRL-----")?;
    let compact: Vec<u8> = body.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(compact).ok().filter(|der| der.first() == Some(&0x30))
}

/// An empty part may be no part of the whole.
fn place_or_none(part: &[u8], place: &dyn Fn(&[u8]) -> Range<usize>) -> Range<usize> {
    if part.is_empty() { 0..0 } else { place(part) }
}

/// A serial number without what may stand before it when its writer was careless.
fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}
