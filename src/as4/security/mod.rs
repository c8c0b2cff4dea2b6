//! WS-Security of the SOAP part and the attachments: signatures, encryption, and the tokens that name certificates.

mod encryption;
mod look;
mod sign;
mod token;
mod verify;

use serde::{Deserialize, Serialize};

pub(super) use encryption::{Decryption, decryptions, encrypt};
pub use look::{DigestFound, FoundEncryption, FoundReference, FoundSignature};
pub(super) use look::{decryption_of, encryptions as look_at_encryptions, signature as look_at_signature};
pub(super) use sign::sign;
pub(super) use verify::{check_timestamp, references, verify};

use crate::crypto::{Certificate, sha256};
use crate::ident::{As4MessageId, Sha256};

/// One `ds:Reference`: what was signed and its digest. Two are equal when each value is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// `#id` or `cid:…`, as written.
    pub uri: String,
    /// The algorithms of the transforms.
    pub transforms: Vec<String>,
    /// The digest's algorithm.
    pub digest_method: String,
    /// The digest in base64 without white space.
    pub digest_value: String,
}

/// A reference of a verified signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReference {
    /// Its values.
    pub reference: Reference,
    /// The `ds:Reference` element itself, in exclusive canonical form: a receipt repeats it.
    pub xml: String,
}

/// A signature that verified, apart from attachments, over `eb:Messaging` and the Body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose key made it. Whether the certificate is to be trusted is not judged here.
    pub signer: Certificate,
    /// Certificates that came along, from the signer upwards.
    pub chain: Vec<Certificate>,
    /// What it covers.
    pub references: Vec<SignedReference>,
    /// SHA-256 of the signature value.
    pub digest: Sha256,
}

/// Ids of the elements of one SOAP part, apart from those of every other message.
#[derive(Debug, Clone)]
pub(super) struct Ids(String);

impl Ids {
    /// The same message gets the same ids again.
    pub(super) fn of(message_id: &As4MessageId) -> Self {
        Self(sha256(message_id.as_str().as_bytes()).to_string().chars().take(24).collect())
    }

    pub(super) fn messaging(&self) -> String {
        format!("messaging-{}", self.0)
    }

    fn body(&self) -> String {
        format!("body-{}", self.0)
    }

    fn signing_token(&self) -> String {
        format!("X509-{}", self.0)
    }

    fn encryption_token(&self) -> String {
        format!("recipient-{}", self.0)
    }

    fn encrypted_key(&self) -> String {
        format!("EK-{}", self.0)
    }

    fn encrypted_data(&self) -> String {
        format!("ED-{}", self.0)
    }

    fn signature(&self) -> String {
        format!("SIG-{}", self.0)
    }
}

/// The octets of a reference's digest.
pub(super) fn digest_value(reference: &Reference) -> Option<Vec<u8>> {
    token::decode(&reference.digest_value)
}
