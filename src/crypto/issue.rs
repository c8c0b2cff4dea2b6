//! Being a CA: keys, certificates in the federation's shape, revocation lists, PKCS#12. The testbed issues with it; the
//! gateway itself never does.

use jiff::Timestamp;
use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, CrlNumber, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509Builder, X509CrlBuilder, X509Extension, X509NameBuilder, X509RevokedBuilder};
use zeroize::Zeroizing;

use super::{CertificateError, Identity, IdentityError, PrivateKey, der};

/// Why nothing can be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The provider does not take a name, a number or a time, or fails.
    #[error("the provider cannot make it")]
    Provider(#[from] ErrorStack),
    /// The key or certificate that came out is none of ours.
    #[error("what was made cannot be used")]
    Identity(#[from] IdentityError),
    /// The certificate that came out cannot be read.
    #[error("what was made cannot be read")]
    Certificate(#[from] CertificateError),
}

/// What a certificate is for, which decides its extensions. They follow the federation's published certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// A CA: signs certificates and lists.
    Authority,
    /// An access point or SMP: digitalSignature and keyEncipherment, no extended key usage.
    Service,
    /// A participant's function certificate: as a service, with the extended usages that such certificates have.
    Function,
    /// A TLS server and client by these host names and addresses.
    Tls(Vec<String>),
    /// Answers for its issuer by OCSP (RFC 6960 4.2.2.2), and need not be checked itself.
    Responder,
}

/// What a certificate shall say.
#[derive(Debug, Clone)]
pub struct Template {
    /// The subject, `("CN", "…")` and so on, in order.
    pub subject: Vec<(&'static str, String)>,
    /// The first moment of validity.
    pub from: Timestamp,
    /// The last moment of validity.
    pub until: Timestamp,
    /// What for.
    pub profile: Profile,
    /// Where the issuer's revocation list lies; a root has none.
    pub crl_url: Option<String>,
    /// Where the issuer's OCSP responder is asked, if it has one.
    pub ocsp_url: Option<String>,
}

impl Template {
    /// A new RSA key of so many bits with its certificate, issued by `issuer`, or by itself when there is none.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(&self, bits: u32, issuer: Option<&Identity>) -> Result<Identity, IssueError> {
        let key = PrivateKey::new(PKey::from_rsa(Rsa::generate(bits)?)?)?;
        let mut builder = X509Builder::new()?;
        builder.set_version(2)?;
        let mut serial = BigNum::new()?;
        // 127 bits: positive in DER, and never met twice.
        serial.rand(127, MsbOption::ONE, false)?;
        let serial = serial.to_asn1_integer()?;
        builder.set_serial_number(&serial)?;
        let mut subject = X509NameBuilder::new()?;
        for (field, value) in &self.subject {
            subject.append_entry_by_text(field, value)?;
        }
        let subject = subject.build();
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.x509().subject_name()))?;
        let (from, until) = (asn1(self.from)?, asn1(self.until)?);
        builder.set_not_before(&from)?;
        builder.set_not_after(&until)?;
        builder.set_pubkey(key.pkey())?;
        for extension in self.extensions(&builder, issuer)? {
            builder.append_extension2(&extension)?;
        }
        builder.sign(issuer.map_or(&key, |issuer| &issuer.key).pkey(), MessageDigest::sha256())?;
        let above = issuer.map(|issuer| std::iter::once(issuer.certificate.clone()).chain(issuer.chain.clone()).collect());
        Ok(Identity::new(key, builder.build().try_into()?, above.unwrap_or_default())?)
    }

    fn extensions(&self, builder: &X509Builder, issuer: Option<&Identity>) -> Result<Vec<X509Extension>, ErrorStack> {
        let context = builder.x509v3_context(issuer.map(|issuer| &**issuer.certificate.x509()), None);
        let mut extensions = Vec::new();
        if self.profile == Profile::Authority {
            extensions.push(BasicConstraints::new().critical().ca().build()?);
            extensions.push(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?);
        } else {
            extensions.push(BasicConstraints::new().build()?);
            let mut usage = KeyUsage::new();
            usage.critical().digital_signature();
            if self.profile != Profile::Responder {
                usage.key_encipherment();
            }
            extensions.push(usage.build()?);
        }
        extensions.push(SubjectKeyIdentifier::new().build(&context)?);
        if issuer.is_some() {
            extensions.push(AuthorityKeyIdentifier::new().keyid(true).build(&context)?);
        }
        if matches!(self.profile, Profile::Function | Profile::Tls(_)) {
            extensions.push(ExtendedKeyUsage::new().server_auth().client_auth().build()?);
        }
        if self.profile == Profile::Responder {
            extensions.push(ExtendedKeyUsage::new().other("OCSPSigning").build()?);
            // id-pkix-ocsp-nocheck, a NULL.
            extensions.push(extension("1.3.6.1.5.5.7.48.1.5", &der::write(0x05, &[]))?);
        }
        if let Profile::Tls(names) = &self.profile {
            let mut alternatives = SubjectAlternativeName::new();
            for name in names {
                let is_address = name.contains(':') || name.chars().all(|c| c == '.' || c.is_ascii_digit());
                if is_address {
                    alternatives.ip(name)
                } else {
                    alternatives.dns(name)
                };
            }
            extensions.push(alternatives.build(&context)?);
        }
        if let Some(url) = &self.crl_url {
            extensions.push(distribution_point(url)?);
        }
        if let Some(url) = &self.ocsp_url {
            extensions.push(responder(url)?);
        }
        Ok(extensions)
    }
}

impl Identity {
    /// The key, its certificate and the chain as PKCS#12, with the provider's present-day ciphers.
    ///
    /// # Errors
    /// [`IssueError::Provider`].
    pub fn to_pkcs12(&self, name: &str, password: &str) -> Result<Vec<u8>, IssueError> {
        let mut above = Stack::new()?;
        for certificate in &self.chain {
            above.push(certificate.x509().clone())?;
        }
        let container = Pkcs12::builder().name(name).pkey(self.key.pkey()).cert(self.certificate.x509()).ca(above).build2(password)?;
        Ok(container.to_der()?)
    }

    /// The unencrypted key, its certificate and the chain as one PEM text.
    ///
    /// # Errors
    /// [`IssueError::Provider`].
    pub fn to_pem(&self) -> Result<Zeroizing<String>, IssueError> {
        let key = Zeroizing::new(self.key.pkey().private_key_to_pem_pkcs8()?);
        let mut text = Zeroizing::new(String::from_utf8_lossy(&key).into_owned());
        for certificate in std::iter::once(&self.certificate).chain(&self.chain) {
            text.push_str(&certificate.to_pem());
        }
        Ok(text)
    }
}

/// The revocation list of `issuer` in DER: serial numbers in decimal with the time of revocation.
///
/// # Errors
/// [`IssueError::Provider`], also for a serial number that is none.
pub fn issue_crl(issuer: &Identity, revoked: &[(String, Timestamp)], made: Timestamp, until: Timestamp) -> Result<Vec<u8>, IssueError> {
    let mut builder = X509CrlBuilder::new()?;
    builder.set_issuer_name(issuer.certificate.x509().subject_name())?;
    let (from, next) = (asn1(made)?, asn1(until)?);
    builder.set_last_update(&from)?;
    builder.set_next_update(&next)?;
    let around = X509Builder::new()?;
    let context = around.x509v3_context(Some(issuer.certificate.x509()), None);
    builder.append_extension2(&*AuthorityKeyIdentifier::new().keyid(true).build(&context)?)?;
    // Numbers must grow; the time does. A clock before 1970 has no number but 0.
    let number = u64::try_from(made.as_millisecond()).unwrap_or_default();
    builder.append_extension(CrlNumber::new(BigNum::from_dec_str(&number.to_string())?)?.build()?)?;
    for (serial, at) in revoked {
        let mut entry = X509RevokedBuilder::new()?;
        let serial = BigNum::from_dec_str(serial)?.to_asn1_integer()?;
        entry.set_serial_number(&serial)?;
        let at = asn1(*at)?;
        entry.set_revocation_date(&at)?;
        builder.add_revoked(entry.build())?;
    }
    builder.sort()?;
    builder.sign(issuer.key.pkey(), MessageDigest::sha256())?;
    Ok(builder.build()?.to_der()?)
}

fn asn1(time: Timestamp) -> Result<Asn1Time, ErrorStack> {
    Asn1Time::from_unix(time.as_second())
}

/// One distribution point with one URL (RFC 5280 4.2.1.13). The bindings read this extension but have no builder for it.
fn distribution_point(url: &str) -> Result<X509Extension, ErrorStack> {
    let uri = der::write(0x86, url.as_bytes());
    let point = der::write(0x30, &der::write(0xa0, &der::write(0xa0, &uri)));
    extension("2.5.29.31", &der::write(0x30, &point))
}

/// One OCSP responder with one URL (RFC 5280 4.2.2.1).
fn responder(url: &str) -> Result<X509Extension, ErrorStack> {
    const ID_AD_OCSP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
    let description = [der::write(0x06, ID_AD_OCSP), der::write(0x86, url.as_bytes())].concat();
    extension("1.3.6.1.5.5.7.1.1", &der::write(0x30, &der::write(0x30, &description)))
}

fn extension(oid: &str, value: &[u8]) -> Result<X509Extension, ErrorStack> {
    let value = Asn1OctetString::new_from_bytes(value)?;
    X509Extension::new_from_der(Asn1Object::from_str(oid)?.as_ref(), false, &value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Authorities, ChainError, Crl, CrlError, crl_urls};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn template(name: &str, profile: Profile) -> Template {
        Template {
            subject: vec![("C", "SE".into()), ("O", "Testbädd".into()), ("CN", name.into())],
            from: at("2024-01-01T00:00:00Z"),
            until: at("2026-01-01T00:00:00Z"),
            profile,
            crl_url: Some(format!("http://crl.example/{}.crl", "x".repeat(200))),
            ocsp_url: None,
        }
    }

    #[test]
    fn a_chain_holds_only_in_its_time_and_only_below_its_own_root() {
        let root = template("root", Profile::Authority).issue(2048, None).unwrap();
        let ca = template("ca", Profile::Authority).issue(2048, Some(&root)).unwrap();
        let leaf = template("leaf", Profile::Service).issue(2048, Some(&ca)).unwrap();
        let now = at("2025-01-01T00:00:00Z");
        let by_root = Authorities::new(vec![root.certificate.clone()], vec![]);
        let chain = by_root.chain(&leaf.certificate, &leaf.chain, now).unwrap();
        assert_eq!(chain, [leaf.certificate.clone(), ca.certificate.clone(), root.certificate.clone()]);
        assert!(matches!(by_root.chain(&leaf.certificate, &[], now), Err(ChainError::Broken(_))));
        let bundled = Authorities::from_bundle(vec![ca.certificate.clone(), root.certificate.clone()]);
        assert_eq!(bundled.chain(&leaf.certificate, &[], now).unwrap().len(), 3);
        let issuing_alone = Authorities::from_bundle(vec![ca.certificate.clone()]);
        assert_eq!(issuing_alone.chain(&leaf.certificate, &[], now).unwrap().len(), 2);
        assert_eq!(by_root.chain(&leaf.certificate, &leaf.chain, at("2026-01-01T00:00:01Z")), Err(ChainError::Expired(at("2026-01-01T00:00:00Z"))));
        assert_eq!(by_root.chain(&leaf.certificate, &leaf.chain, at("2023-12-31T23:59:59Z")), Err(ChainError::NotYet(at("2024-01-01T00:00:00Z"))));
        let other = Authorities::new(vec![template("root", Profile::Authority).issue(2048, None).unwrap().certificate], vec![]);
        assert!(matches!(other.chain(&leaf.certificate, &leaf.chain, now), Err(ChainError::Broken(_))));
        assert!(matches!(Authorities::default().chain(&leaf.certificate, &leaf.chain, now), Err(ChainError::Broken(_))));
        // A CA's own key is for certificates alone, and what a leaf "issues" is nothing.
        assert_eq!(by_root.chain(&ca.certificate, &[], now), Err(ChainError::Usage));
        let below_leaf = template("below", Profile::Service).issue(2048, Some(&leaf)).unwrap();
        assert!(matches!(by_root.chain(&below_leaf.certificate, &below_leaf.chain, now), Err(ChainError::Broken(_))));
    }

    #[test]
    fn a_list_speaks_for_its_issuer_in_its_time_and_for_nobody_else() {
        let ca = template("ca", Profile::Authority).issue(2048, None).unwrap();
        let namesake = template("ca", Profile::Authority).issue(2048, None).unwrap();
        let [good, bad] = ["good", "bad"].map(|name| template(name, Profile::Service).issue(2048, Some(&ca)).unwrap().certificate);
        let (issued, until) = (at("2025-01-01T00:00:00Z"), at("2025-01-08T00:00:00Z"));
        let der = issue_crl(&ca, &[(bad.serial(), issued)], issued, until).unwrap();
        let list = Crl::read(&der).unwrap();
        assert_eq!((list.issued(), list.until()), (issued, Some(until)));
        assert_eq!(list.revoked(&good, &ca.certificate, issued), Ok(false));
        assert_eq!(list.revoked(&bad, &ca.certificate, until), Ok(true));
        assert_eq!(list.revoked(&good, &ca.certificate, at("2025-01-08T00:00:01Z")), Err(CrlError::Outdated(until)));
        assert_eq!(list.revoked(&good, &ca.certificate, at("2024-12-31T00:00:00Z")), Err(CrlError::NotYet(issued)));
        assert_eq!(list.revoked(&good, &namesake.certificate, issued), Err(CrlError::Issuer));
        let mut tampered = der;
        *tampered.last_mut().unwrap() ^= 1;
        assert_eq!(Crl::read(&tampered).unwrap().revoked(&good, &ca.certificate, issued), Err(CrlError::Issuer));
        assert_eq!(Crl::read(b"hello").err(), Some(CrlError::Unreadable));
        assert_eq!(crl_urls(&good), [format!("http://crl.example/{}.crl", "x".repeat(200))]);
    }

    #[test]
    fn keys_leave_and_come_back() {
        let ca = template("ca", Profile::Authority).issue(2048, None).unwrap();
        let leaf = template("leaf", Profile::Tls(vec!["localhost".into(), "127.0.0.1".into()])).issue(2048, Some(&ca)).unwrap();
        let read = Identity::from_pkcs12(&leaf.to_pkcs12("leaf", "lösen").unwrap(), "lösen").unwrap();
        assert_eq!((&read.certificate, &read.chain), (&leaf.certificate, &leaf.chain));
        assert_eq!(Identity::from_pkcs12(&leaf.to_pkcs12("leaf", "a").unwrap(), "b").unwrap_err(), IdentityError::Password);
        let read = Identity::from_pem(leaf.to_pem().unwrap().as_bytes(), None).unwrap();
        assert_eq!((&read.certificate, &read.chain), (&leaf.certificate, &leaf.chain));
    }
}
