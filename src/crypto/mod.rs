//! Certificates, keys, signatures and encryption: every call into a cryptographic library goes through here.
//!
//! `openssl` does RSA, AES-GCM, digests and X.509; `xmlsec` does XML signatures and encryption of whole documents.
//! Nothing here reads a file, a clock or a socket; time and bytes are arguments.

mod certificate;
mod digest;
mod identity;

pub use certificate::{Certificate, CertificateError};
pub use digest::{Hasher, sha256};
pub use identity::{Identity, IdentityError, PrivateKey};
