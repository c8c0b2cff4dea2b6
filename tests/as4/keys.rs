//! Access point keys for tests: RSA 2048, made once a run, each with a certificate of its own making.

use brevbro::crypto::Identity;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::extension::SubjectKeyIdentifier;
use openssl::x509::{X509Builder, X509NameBuilder};

/// A key and its certificate as one PEM text.
pub(crate) fn pem(name: &str) -> Vec<u8> {
    pem_of(name, 2048)
}

/// The same with a key of another size.
#[allow(dead_code, reason = "one of the binaries that share this does without")]
pub(crate) fn pem_of(name: &str, bits: u32) -> Vec<u8> {
    let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("C", "SE").unwrap();
    subject.append_entry_by_text("O", "Prov, AB").unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(100, openssl::bn::MsbOption::ONE, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(100).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    let ski = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(ski).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    [key.private_key_to_pem_pkcs8().unwrap(), builder.build().to_pem().unwrap()].concat()
}

/// The same, read.
pub(crate) fn identity(name: &str) -> Identity {
    Identity::from_pem(&pem(name), None).unwrap()
}
