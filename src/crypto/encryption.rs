//! Encryption of one XML element for one recipient (SDK C3.2.2 3.4).
//!
//! Written is what the peers write: AES-256-CBC, the key by RSA-OAEP with SHA-1, the recipient's certificate beside it;
//! libxmlsec1 computes it. Read are more forms, and reading is done with `openssl` alone: libxmlsec1 1.2 knows neither
//! `xmlenc11#rsa-oaep` nor OAEP with SHA-256, and one reader whose every failure is the same [`Undecryptable`] is
//! easier to keep silent than two. A caller must have verified the signature over the cipher text before.

use base64::prelude::*;
use openssl::symm::{Cipher, Crypter, Mode, decrypt_aead};
use zeroize::Zeroizing;

use super::{Certificate, DS, Identity, LibraryError, Oaep, XENC, xmlsec};
use crate::xml::{Element, Writer};

const ELEMENT: &str = "http://www.w3.org/2001/04/xmlenc#Element";
const AES256_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";
const OAEP_MGF1P: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
const GCM_NONCE: usize = 12;
const GCM_TAG: usize = 16;
const BLOCK: usize = 16;

/// The element cannot be decrypted. Why is told to nobody: a peer that learns it has a padding oracle (SDK C3.2.2 3.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encrypted element cannot be decrypted")]
pub struct Undecryptable;

/// Encrypts the octets of one element and returns the `EncryptedData` that takes its place.
///
/// # Errors
/// [`LibraryError`] when the certificate's key is not RSA or the library fails.
pub fn encrypt_element(element: &[u8], recipient: &Certificate) -> Result<String, LibraryError> {
    let encrypted = xmlsec::encrypt(element, recipient)?;
    let mut w = Writer::new();
    w.open("xenc:EncryptedData").attribute("xmlns:xenc", XENC).attribute("Type", ELEMENT);
    w.open("xenc:EncryptionMethod").attribute("Algorithm", AES256_CBC).close();
    w.open("ds:KeyInfo").attribute("xmlns:ds", DS);
    w.open("xenc:EncryptedKey");
    w.open("xenc:EncryptionMethod").attribute("Algorithm", OAEP_MGF1P);
    w.open("ds:DigestMethod").attribute("Algorithm", SHA1).close();
    w.close();
    w.open("ds:KeyInfo").open("ds:X509Data").leaf("ds:X509Certificate", &recipient.to_base64()).close().close();
    w.open("xenc:CipherData").leaf("xenc:CipherValue", &encrypted.key).close();
    w.close().close();
    w.open("xenc:CipherData").leaf("xenc:CipherValue", &encrypted.data).close();
    Ok(w.finish())
}

/// Decrypts an `EncryptedData` whose one `EncryptedKey` is for one of our own certificates.
///
/// The key named by certificate comes first; when none is named, or it is not ours by octets, any of ours may fit.
///
/// # Errors
/// [`Undecryptable`], whatever the reason.
pub fn decrypt_element(data: Element<'_>, own: &[Identity]) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    if !data.is(XENC, "EncryptedData") {
        return Err(Undecryptable);
    }
    let cipher = DataCipher::of(algorithm(data)?).ok_or(Undecryptable)?;
    let key_info = data.only(DS, "KeyInfo").ok_or(Undecryptable)?;
    let wrapped = key_info.only(XENC, "EncryptedKey").ok_or(Undecryptable)?;
    let octets = cipher_value(data)?;
    let unwrapped = unwrap_key(wrapped, own, cipher.key_len())?;
    // A key that does not unwrap walks the same way as one that does, with a random key: how long it takes must not tell
    // one failure from the other (as RFC 3218 2.3.2 does for RSA 1.5).
    let (session, is_ours) = match unwrapped {
        Some(session) => (session, true),
        None => (random(cipher.key_len())?, false),
    };
    let plain = cipher.decrypt(&session, &octets)?;
    if is_ours { Ok(plain) } else { Err(Undecryptable) }
}

fn random(len: usize) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    let mut key = Zeroizing::new(vec![0; len]);
    openssl::rand::rand_bytes(&mut key).map_err(|_| Undecryptable)?;
    Ok(key)
}

/// The key, if one of ours unwraps one of this length. Every one of ours is asked, whichever it is.
fn unwrap_key(wrapped: Element<'_>, own: &[Identity], len: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Undecryptable> {
    let oaep = Oaep::declared(wrapped).ok_or(Undecryptable)?;
    let octets = cipher_value(wrapped)?;
    let named = wrapped.only(DS, "KeyInfo").into_iter().flat_map(|info| info.named(DS, "X509Data").collect::<Vec<_>>());
    let named: Vec<_> = named
        .flat_map(|data| data.named(DS, "X509Certificate"))
        .take(4)
        .filter_map(|certificate| Certificate::from_any(certificate.text().as_bytes()).ok())
        .collect();
    let is_named = |identity: &&Identity| named.contains(&identity.certificate);
    let first = own.iter().filter(is_named);
    let rest = own.iter().filter(|identity| !is_named(identity));
    let unwrapped = first.chain(rest).map(|identity| oaep.decrypt(identity.key.pkey(), &octets).ok().filter(|key| key.len() == len));
    // All of them, not up to the first.
    Ok(unwrapped.fold(None, Option::or))
}

enum DataCipher {
    Cbc(Cipher),
    Gcm(Cipher),
}

impl DataCipher {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => Self::Cbc(Cipher::aes_128_cbc()),
            AES256_CBC => Self::Cbc(Cipher::aes_256_cbc()),
            "http://www.w3.org/2009/xmlenc11#aes128-gcm" => Self::Gcm(Cipher::aes_128_gcm()),
            "http://www.w3.org/2009/xmlenc11#aes192-gcm" => Self::Gcm(Cipher::aes_192_gcm()),
            "http://www.w3.org/2009/xmlenc11#aes256-gcm" => Self::Gcm(Cipher::aes_256_gcm()),
            _ => return None,
        })
    }

    fn key_len(&self) -> usize {
        match self {
            Self::Cbc(cipher) | Self::Gcm(cipher) => cipher.key_len(),
        }
    }

    fn decrypt(&self, key: &[u8], octets: &[u8]) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
        match self {
            Self::Cbc(cipher) => {
                let (iv, body) = octets.split_at_checked(BLOCK).ok_or(Undecryptable)?;
                if body.is_empty() || body.len() % BLOCK != 0 {
                    return Err(Undecryptable);
                }
                let mut crypter = Crypter::new(*cipher, Mode::Decrypt, key, Some(iv)).map_err(|_| Undecryptable)?;
                // XML Encryption 5.2: only the last octet of the padding has a value, which the provider would refuse.
                crypter.pad(false);
                let mut plain = Zeroizing::new(vec![0; body.len() + BLOCK]);
                let mut len = crypter.update(body, &mut plain).map_err(|_| Undecryptable)?;
                len += crypter.finalize(plain.get_mut(len..).ok_or(Undecryptable)?).map_err(|_| Undecryptable)?;
                plain.truncate(len);
                let padding = usize::from(plain.last().copied().ok_or(Undecryptable)?);
                if !(1..=BLOCK).contains(&padding) {
                    return Err(Undecryptable);
                }
                plain.truncate(len - padding);
                Ok(plain)
            }
            Self::Gcm(cipher) => {
                let (iv, rest) = octets.split_at_checked(GCM_NONCE).ok_or(Undecryptable)?;
                let (body, tag) = rest.len().checked_sub(GCM_TAG).and_then(|at| rest.split_at_checked(at)).ok_or(Undecryptable)?;
                decrypt_aead(*cipher, key, Some(iv), &[], body, tag).map(Zeroizing::new).map_err(|_| Undecryptable)
            }
        }
    }
}

fn algorithm(element: Element<'_>) -> Result<&str, Undecryptable> {
    element.only(XENC, "EncryptionMethod").and_then(|method| method.attribute("Algorithm")).ok_or(Undecryptable)
}

fn cipher_value(element: Element<'_>) -> Result<Vec<u8>, Undecryptable> {
    let value = element.only(XENC, "CipherData").and_then(|data| data.only(XENC, "CipherValue")).ok_or(Undecryptable)?;
    base64(&value.text()).ok_or(Undecryptable)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|b| b.is_ascii_whitespace()) {
        let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        return BASE64_STANDARD.decode(compact).ok();
    }
    BASE64_STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use openssl::symm::{encrypt, encrypt_aead};

    use super::*;
    use crate::crypto::testing::identity;
    use crate::crypto::{Digest, XENC11};

    const OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
    use crate::xml::{Document, Limits};

    const PLAIN: &[u8] = b"<m xmlns='urn:m'>hemligt</m>";

    fn decrypt(xml: &str, own: &[Identity]) -> Result<Vec<u8>, Undecryptable> {
        let document = Document::parse(xml.as_bytes(), &Limits::of(100_000)).unwrap();
        decrypt_element(document.root(), own).map(|plain| plain.to_vec())
    }

    #[test]
    fn what_is_encrypted_for_us_decrypts_with_any_order_of_keys() {
        let (own, other) = (identity("own"), identity("other"));
        let xml = encrypt_element(PLAIN, &own.certificate).unwrap();
        assert!(!xml.contains("hemligt"));
        assert_eq!(decrypt(&xml, std::slice::from_ref(&own)).unwrap(), PLAIN);
        assert_eq!(decrypt(&xml, &[other.clone(), own.clone()]).unwrap(), PLAIN);
        let unnamed = xml.replace(&own.certificate.to_base64(), &other.certificate.to_base64());
        assert_eq!(decrypt(&unnamed, &[other.clone(), own]).unwrap(), PLAIN);
        assert_eq!(decrypt(&xml, &[other]), Err(Undecryptable));
        assert_eq!(decrypt(&xml, &[]), Err(Undecryptable));
    }

    #[test]
    fn every_length_survives() {
        let own = [identity("own")];
        for len in 1..40 {
            let plain = vec![b'x'; len];
            assert_eq!(decrypt(&encrypt_element(&plain, &own[0].certificate).unwrap(), &own).unwrap(), plain);
        }
    }

    /// Writes what other programs write: any OAEP, any cipher.
    fn foreign(own: &Identity, method: &str, oaep: &Oaep, cipher: (&str, Cipher)) -> String {
        let key = vec![7; cipher.1.key_len()];
        let wrapped = oaep.encrypt(&own.certificate.public_key().unwrap(), &key).unwrap();
        let iv = vec![9; cipher.1.iv_len().unwrap()];
        let mut data = iv.clone();
        if cipher.0.ends_with("gcm") {
            let mut tag = [0; 16];
            data.extend(encrypt_aead(cipher.1, &key, Some(&iv), &[], PLAIN, &mut tag).unwrap());
            data.extend(tag);
        } else {
            data.extend(encrypt(cipher.1, &key, Some(&iv), PLAIN).unwrap());
        }
        let (wrapped, data) = (BASE64_STANDARD.encode(wrapped), BASE64_STANDARD.encode(data));
        format!(
            "<EncryptedData xmlns='{XENC}'><EncryptionMethod Algorithm='{}'/><KeyInfo xmlns='{DS}'><e:EncryptedKey xmlns:e='{XENC}'>{method}<e:CipherData><e:CipherValue>{wrapped}</e:CipherValue></e:CipherData></e:EncryptedKey></KeyInfo><CipherData><CipherValue>{data}&#xd;\n</CipherValue></CipherData></EncryptedData>",
            cipher.0
        )
    }

    #[test]
    fn every_form_that_peers_may_write_is_read() {
        let own = identity("own");
        let all = [Digest::Sha1, Digest::Sha256, Digest::Sha384, Digest::Sha512];
        let digest = |digest: Digest| format!("<DigestMethod xmlns='{DS}' Algorithm='{}'/>", digest.uri());
        let mgf = |mask: Digest| format!("<MGF xmlns='{XENC11}' Algorithm='{}'/>", mask.mgf1_uri());
        let label = "<e:OAEPparams>bGFi\n ZWw=</e:OAEPparams>";
        let method = |name: &str, inner: String| format!("<e:EncryptionMethod Algorithm='{name}'>{inner}</e:EncryptionMethod>");
        let oaep = |digest, mask, label: &[u8]| Oaep { digest, mask, label: label.to_vec() };
        let mut oaeps = vec![
            (method(OAEP_MGF1P, String::new()), oaep(Digest::Sha1, Digest::Sha1, b"")),
            (method(OAEP, String::new()), oaep(Digest::Sha1, Digest::Sha1, b"")),
            (method(OAEP_MGF1P, format!("{label}{}", digest(Digest::Sha256))), oaep(Digest::Sha256, Digest::Sha1, b"label")),
        ];
        for own in all {
            oaeps.push((method(OAEP_MGF1P, digest(own)), oaep(own, Digest::Sha1, b"")));
            oaeps.extend(all.map(|mask| (method(OAEP, digest(own) + &mgf(mask)), oaep(own, mask, b""))));
        }
        let ciphers = [
            ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", Cipher::aes_128_cbc()),
            ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", Cipher::aes_256_cbc()),
            ("http://www.w3.org/2009/xmlenc11#aes128-gcm", Cipher::aes_128_gcm()),
            ("http://www.w3.org/2009/xmlenc11#aes192-gcm", Cipher::aes_192_gcm()),
            ("http://www.w3.org/2009/xmlenc11#aes256-gcm", Cipher::aes_256_gcm()),
        ];
        for (method, oaep) in &oaeps {
            for cipher in ciphers {
                let xml = foreign(&own, method, oaep, cipher);
                assert_eq!(decrypt(&xml, std::slice::from_ref(&own)).unwrap(), PLAIN, "{method} {}", cipher.0);
            }
        }
    }

    #[test]
    fn rsa_1_5_and_every_damage_look_alike() {
        let own = [identity("own")];
        let xml = encrypt_element(PLAIN, &own[0].certificate).unwrap();
        for (from, to) in [
            (OAEP_MGF1P, "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
            (AES256_CBC, "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"),
            (AES256_CBC, "http://www.w3.org/2009/xmlenc11#aes256-gcm"),
            (AES256_CBC, "http://www.w3.org/2001/04/xmlenc#aes128-cbc"),
            ("xenc:EncryptedKey>", "xenc:Other>"),
            ("<xenc:CipherValue>", "<xenc:CipherValue>AAAA"),
            ("<xenc:CipherValue>", "<xenc:CipherValue>*"),
            ("#sha1", "#md5"),
        ] {
            assert_eq!(decrypt(&xml.replace(from, to), &own), Err(Undecryptable), "{to}");
        }
    }
}
