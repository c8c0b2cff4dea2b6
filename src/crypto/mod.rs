//! Certificates, keys, signatures and encryption: every call into a cryptographic library goes through here.
//!
//! `openssl` does RSA, AES-GCM, digests and X.509; `xmlsec` does XML signatures and encryption of whole documents.
//! Nothing here reads a file, a clock or a socket; time and bytes are arguments.

mod certificate;
mod chain;
mod cms;
mod crl;
mod der;
mod digest;
mod encryption;
mod gcm;
mod identity;
mod issue;
mod keystore;
mod notary;
mod oaep;
mod ocsp;
mod password;
mod reference;
mod responder;
pub mod rest;
mod rsa;
mod signature;
#[cfg(test)]
pub(crate) mod testing;
mod xmlsec;

pub use certificate::{Certificate, CertificateError, KeyUse};
pub use chain::{Authorities, ChainError};
pub use cms::{Cms, CmsError, open_cms};
pub use crl::{Crl, CrlError, crl_obstacle, crl_urls};
pub use digest::{Hasher, sha256};
pub use encryption::{Undecryptable, decrypt_element, encrypt_element};
pub use gcm::{DecryptionError, Decryptor, Encryptor, Gcm, SessionKey};
pub use identity::{Identity, IdentityError, PrivateKey};
pub use issue::{IssueError, Profile, Template, issue_crl};
pub use keystore::KeyPair;
pub use notary::{NotaryError, NotaryKey, NotaryPublic};
pub use oaep::Oaep;
pub use ocsp::{OcspAnswer, OcspError, OcspStatus, ocsp_request, ocsp_urls};
pub use password::{PasswordHash, PasswordHashError};
pub use reference::KeyReference;
pub use responder::{OcspId, OcspQuestion, OcspRefusal, issue_ocsp, refuse_ocsp};
pub use rsa::{Digest, Digester, ProviderError, SignatureAlgorithm};
pub use signature::{SignedBy, XmlSecError, sign_enveloped, verify_enveloped};
pub use xmlsec::LibraryError;

/// The namespace of XML Signature.
pub const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// The namespace of XML Encryption 1.0.
pub const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
/// The namespace of XML Encryption 1.1.
pub const XENC11: &str = "http://www.w3.org/2009/xmlenc11#";
