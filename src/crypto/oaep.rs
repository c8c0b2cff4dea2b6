//! RSA-OAEP as an `EncryptedKey` declares it (XML Encryption 1.1 5.5.2), for envelopes and AS4 alike.

use base64::prelude::*;
use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::pkey::{HasPublic, PKeyRef, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use zeroize::Zeroizing;

use super::{DS, Digest, XENC, XENC11};
use crate::xml::Element;

/// RSA-OAEP whose digest and mask are declared.
const OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
/// RSA-OAEP whose mask is MGF1 with SHA-1.
const OAEP_MGF1P: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
/// Octets of a label; no peer writes any.
const LABEL: usize = 1024;

/// The parameters of RSA-OAEP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oaep {
    /// The digest of the label.
    pub digest: Digest,
    /// The digest of the mask generation function MGF1.
    pub mask: Digest,
    /// The label, `OAEPparams`; nearly always empty.
    pub label: Vec<u8>,
}

impl Oaep {
    /// SHA-256 for both and no label, which AS4 writes.
    pub const SHA256: Self = Self { digest: Digest::Sha256, mask: Digest::Sha256, label: Vec::new() };

    /// What an `EncryptedKey` declares: digest and mask are SHA-1 unless it says otherwise, and `mgf1p` fixes the mask.
    ///
    /// `None` when it is no RSA-OAEP, or names a digest that is not known here.
    #[must_use]
    pub fn declared(wrapped: Element<'_>) -> Option<Self> {
        let method = wrapped.only(XENC, "EncryptionMethod")?;
        let name = method.attribute("Algorithm")?;
        let digest = match method.child(DS, "DigestMethod") {
            Some(declared) => Digest::from_uri(declared.attribute("Algorithm")?)?,
            None => Digest::Sha1,
        };
        let mask = match (name, method.child(XENC11, "MGF")) {
            (OAEP_MGF1P, _) | (OAEP, None) => Digest::Sha1,
            (OAEP, Some(declared)) => Digest::from_mgf1_uri(declared.attribute("Algorithm")?)?,
            _ => return None,
        };
        let label = match method.child(XENC, "OAEPparams") {
            Some(label) => BASE64_STANDARD.decode(label.text().split_whitespace().collect::<String>()).ok()?,
            None => Vec::new(),
        };
        (label.len() <= LABEL).then_some(Self { digest, mask, label })
    }

    pub(super) fn encrypt<T: HasPublic>(&self, key: &PKeyRef<T>, octets: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut context = PkeyCtx::new(key)?;
        context.encrypt_init()?;
        self.set(&mut context)?;
        let mut out = Vec::new();
        context.encrypt_to_vec(octets, &mut out)?;
        Ok(out)
    }

    pub(super) fn decrypt(&self, key: &PKeyRef<Private>, octets: &[u8]) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut context = PkeyCtx::new(key)?;
        context.decrypt_init()?;
        self.set(&mut context)?;
        let mut out = Zeroizing::new(Vec::new());
        context.decrypt_to_vec(octets, &mut out)?;
        Ok(out)
    }

    fn set<T>(&self, context: &mut PkeyCtx<T>) -> Result<(), ErrorStack> {
        context.set_rsa_padding(Padding::PKCS1_OAEP)?;
        context.set_rsa_oaep_md(provider(self.digest))?;
        context.set_rsa_mgf1_md(provider(self.mask))?;
        if self.label.is_empty() { Ok(()) } else { context.set_rsa_oaep_label(&self.label) }
    }
}

impl Digest {
    /// MGF1 with this digest, as an `xenc11:MGF` names it.
    #[must_use]
    pub const fn mgf1_uri(self) -> &'static str {
        match self {
            Self::Sha1 => "http://www.w3.org/2009/xmlenc11#mgf1sha1",
            Self::Sha256 => "http://www.w3.org/2009/xmlenc11#mgf1sha256",
            Self::Sha384 => "http://www.w3.org/2009/xmlenc11#mgf1sha384",
            Self::Sha512 => "http://www.w3.org/2009/xmlenc11#mgf1sha512",
        }
    }

    fn from_mgf1_uri(uri: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|digest| digest.mgf1_uri() == uri)
    }
}

fn provider(digest: Digest) -> &'static MdRef {
    match digest {
        Digest::Sha1 => Md::sha1(),
        Digest::Sha256 => Md::sha256(),
        Digest::Sha384 => Md::sha384(),
        Digest::Sha512 => Md::sha512(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Document, Limits};

    fn declared(algorithm: &str, inner: &str) -> Option<Oaep> {
        let xml = format!("<EncryptedKey xmlns='{XENC}'><EncryptionMethod Algorithm='{algorithm}'>{inner}</EncryptionMethod></EncryptedKey>");
        Oaep::declared(Document::parse(xml.as_bytes(), &Limits::of(10_000)).unwrap().root())
    }

    #[test]
    fn what_is_not_declared_is_sha_1() {
        let of = |digest, mask| Some(Oaep { digest, mask, label: Vec::new() });
        let sha384 = format!("<DigestMethod xmlns='{DS}' Algorithm='{}'/>", Digest::Sha384.uri());
        let mgf = format!("<MGF xmlns='{XENC11}' Algorithm='{}'/>", Digest::Sha512.mgf1_uri());
        for name in [OAEP, OAEP_MGF1P] {
            assert_eq!(declared(name, ""), of(Digest::Sha1, Digest::Sha1));
            assert_eq!(declared(name, &sha384), of(Digest::Sha384, Digest::Sha1));
        }
        assert_eq!(declared(OAEP, &format!("{sha384}{mgf}")), of(Digest::Sha384, Digest::Sha512));
        assert_eq!(declared(OAEP_MGF1P, &mgf), of(Digest::Sha1, Digest::Sha1), "mgf1p fixes the mask");
    }

    #[test]
    fn labels_are_read_and_unknown_names_are_not_guessed() {
        assert_eq!(declared(OAEP, "<OAEPparams>AAEC\n Aw==</OAEPparams>").unwrap().label, [0, 1, 2, 3]);
        assert_eq!(declared(OAEP, "<OAEPparams/>").unwrap().label, [0; 0]);
        for (name, inner) in [
            ("http://www.w3.org/2001/04/xmlenc#rsa-1_5", String::new()),
            (OAEP, format!("<DigestMethod xmlns='{DS}' Algorithm='http://www.w3.org/2001/04/xmldsig-more#md5'/>")),
            (OAEP, format!("<DigestMethod xmlns='{DS}'/>")),
            (OAEP, format!("<MGF xmlns='{XENC11}' Algorithm='{}'/>", Digest::Sha1.uri())),
            (OAEP, "<OAEPparams>*</OAEPparams>".into()),
            (OAEP, format!("<OAEPparams>{}</OAEPparams>", "A".repeat(2000))),
        ] {
            assert_eq!(declared(name, &inner), None, "{name} {inner}");
        }
    }
}
