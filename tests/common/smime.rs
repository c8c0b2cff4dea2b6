//! Mails that are signed by S/MIME.

use std::sync::OnceLock;

use openssl::asn1::Asn1Time;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Name};

/// One signer for all tests: keys take their time.
pub fn signer() -> (X509, PKey<Private>) {
    static SIGNER: OnceLock<(X509, PKey<Private>)> = OnceLock::new();
    SIGNER.get_or_init(made).clone()
}

fn made() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "Anna").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (certificate.build(), key)
}

/// What S/MIME makes of a part when the signature holds the content.
pub fn signed_data(content: &[u8], options: CMSOptions) -> Vec<u8> {
    let (certificate, key) = signer();
    CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(content), CMSOptions::BINARY | options).unwrap().to_der().unwrap()
}
