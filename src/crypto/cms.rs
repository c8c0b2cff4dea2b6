//! S/MIME's wrapping (CMS, RFC 5652), undone as far as it hides nothing: what was signed comes out, and no signature is
//! judged. What is encrypted stays so.

use openssl::cms::CmsContentInfo;

use super::der;

/// What a CMS structure is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cms {
    /// Signed data with its content. The signature is not verified.
    Signed(Vec<u8>),
    /// Signed data without content: certificates, or a signature of something else.
    Detached,
    /// Encrypted for somebody.
    Encrypted,
    /// Some other wrapping, such as compressed data.
    Other,
}

/// No CMS, or a damaged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the CMS structure is damaged")]
pub struct CmsError;

/// 1.2.840.113549.1.7.2
const SIGNED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
/// 1.2.840.113549.1.7.3
const ENVELOPED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
/// 1.2.840.113549.1.7.6
const ENCRYPTED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
/// 1.2.840.113549.1.9.16.1.23
const AUTH_ENVELOPED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 23];

/// Opens a structure in BER.
///
/// # Errors
/// [`CmsError`] when it is none, or its end is missing.
pub fn open_cms(ber: &[u8]) -> Result<Cms, CmsError> {
    // The library has no type for RFC 5083, which says what it is in its first element all the same.
    if first_oid(ber) == Some(AUTH_ENVELOPED) {
        return Ok(Cms::Encrypted);
    }
    // Mail programs write lengths as they go along; read and written again, they are DER.
    let der = CmsContentInfo::from_der(ber).and_then(|cms| cms.to_der()).map_err(|_| CmsError)?;
    let content = der::sequence(&der).and_then(der::elements).ok_or(CmsError)?;
    let mut content = content.into_iter();
    match der::tagged(content.next(), 0x06).ok_or(CmsError)? {
        SIGNED => signed(content.next()).ok_or(CmsError),
        ENVELOPED | ENCRYPTED | AUTH_ENVELOPED => Ok(Cms::Encrypted),
        _ => Ok(Cms::Other),
    }
}

/// RFC 5652 5.1: version, digest algorithms, then what was signed.
fn signed(content: Option<der::Element<'_>>) -> Option<Cms> {
    let data = der::sequence(der::tagged(content, 0xa0)?)?;
    let inner = der::tagged(der::elements(data)?.into_iter().nth(2), 0x30)?;
    let Some(octets) = der::elements(inner)?.into_iter().nth(1) else { return Some(Cms::Detached) };
    let (octets, _) = der::element(der::tagged(Some(octets), 0xa0)?)?;
    der::tagged(Some(octets), 0x04).map(|octets| Cms::Signed(octets.to_vec()))
}

/// The first object identifier, whatever form the length before it has.
fn first_oid(ber: &[u8]) -> Option<&[u8]> {
    let [0x30, length, rest @ ..] = ber else { return None };
    let rest = if length & 0x80 == 0 { rest } else { rest.get(usize::from(length & 0x7f)..)? };
    der::tagged(der::element(rest).map(|(element, _)| element), 0x06)
}

#[cfg(test)]
mod tests {
    use openssl::cms::CMSOptions;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    use openssl::stack::Stack;
    use openssl::symm::Cipher;
    use openssl::x509::{X509, X509Name};

    use super::*;

    fn signer() -> (X509, PKey<openssl::pkey::Private>) {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "Anna").unwrap();
        let name = name.build();
        let mut certificate = X509::builder().unwrap();
        certificate.set_version(2).unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_pubkey(&key).unwrap();
        certificate.set_not_before(&openssl::asn1::Asn1Time::days_from_now(0).unwrap()).unwrap();
        certificate.set_not_after(&openssl::asn1::Asn1Time::days_from_now(1).unwrap()).unwrap();
        certificate.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
        (certificate.build(), key)
    }

    #[test]
    fn what_was_signed_comes_out_and_what_is_encrypted_does_not() {
        let (certificate, key) = signer();
        let sign = |flags| {
            CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(b"Content-Type: text/plain\r\n\r\nHej\r\n"), flags)
                .unwrap()
                .to_der()
                .unwrap()
        };
        let whole = sign(CMSOptions::BINARY);
        assert_eq!(open_cms(&whole), Ok(Cms::Signed(b"Content-Type: text/plain\r\n\r\nHej\r\n".to_vec())));
        assert_eq!(open_cms(&sign(CMSOptions::BINARY | CMSOptions::CMS_NOCERTS)), open_cms(&whole));
        assert_eq!(open_cms(&sign(CMSOptions::BINARY | CMSOptions::DETACHED)), Ok(Cms::Detached));
        let mut to = Stack::new().unwrap();
        to.push(certificate).unwrap();
        let encrypted = CmsContentInfo::encrypt(&to, b"Hej", Cipher::aes_256_cbc(), CMSOptions::BINARY).unwrap().to_der().unwrap();
        assert_eq!(open_cms(&encrypted), Ok(Cms::Encrypted));
        for end in 0..whole.len() {
            assert_eq!(open_cms(&whole[..end]), Err(CmsError), "{end}");
        }
        assert_eq!(open_cms(b"\x30\x80\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17\xa0\x80"), Ok(Cms::Encrypted));
    }
}
