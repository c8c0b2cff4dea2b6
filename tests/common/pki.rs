//! A small CA for tests, RSA 2048.

use brevbro::crypto::{Certificate, Identity, PrivateKey};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// A CA with its key.
pub struct Ca {
    key: PKey<Private>,
    x509: X509,
}

impl Ca {
    /// A new CA of this name.
    pub fn new(name: &str) -> Self {
        let key = key();
        let subject = subject(name);
        let mut builder = builder(&subject, &subject, &key);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { x509: builder.build(), key }
    }

    /// A CA that this one has certified.
    pub fn below(&self, name: &str) -> Self {
        let key = key();
        let mut builder = builder(&subject(name), self.x509.subject_name(), &key);
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Self { x509: builder.build(), key }
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> Certificate {
        Certificate::try_from(self.x509.clone()).unwrap()
    }

    /// A key and a certificate for `name`, a DNS name, and for 127.0.0.1.
    pub fn issue(&self, name: &str) -> Identity {
        let key = key();
        let mut builder = builder(&subject(name), self.x509.subject_name(), &key);
        let names = SubjectAlternativeName::new().dns(name).ip("127.0.0.1").build(&builder.x509v3_context(Some(&self.x509), None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let certificate = Certificate::try_from(builder.build()).unwrap();
        Identity::new(PrivateKey::new(key).unwrap(), certificate, vec![]).unwrap()
    }
}

/// An identity as PEM: certificate, then key.
pub fn pem(identity: &Identity) -> String {
    let key = PKey::private_key_from_pkcs8(&identity.key.to_pkcs8().unwrap()).unwrap();
    identity.certificate.to_pem() + &String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap()
}

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn subject(name: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_text("C", "SE").unwrap();
    builder.append_entry_by_text("CN", name).unwrap();
    builder.build()
}

fn builder(subject: &openssl::x509::X509NameRef, issuer: &openssl::x509::X509NameRef, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509Builder::new().unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    builder
}
