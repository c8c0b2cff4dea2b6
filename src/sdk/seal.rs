//! The seal: encrypt the payload, then sign the envelope; verify the signature, and only then decrypt (SDK C3.2.2 3.2).
//!
//! That order is in the types: [`Verified`] exists only where the signature held, and only it decrypts.

use zeroize::Zeroizing;

use super::envelope::{self, EnvelopeError, Header, LIMITS, MAX_ENVELOPE};
use crate::crypto::{self, Certificate, Identity, LibraryError, XmlSecError};
use crate::ident::{DocumentKind, Sha256};
use crate::xml::{Document, Element, Limits, XmlError};

/// Why an envelope cannot be sealed. All of it is our own fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The payload is not well-formed.
    #[error("the payload: {0}")]
    Payload(XmlError),
    /// A message must be encrypted, a receipt must not, and the header must say which (SDK C3.3.2 2.11).
    #[error("header, document type and recipient's certificate disagree on encryption")]
    Encryption,
    /// The header cannot be written such that it reads back.
    #[error("the header: {0}")]
    Header(EnvelopeError),
    /// Encryption failed.
    #[error("encryption: {0}")]
    Encrypt(LibraryError),
    /// Signing failed.
    #[error("signing: {0}")]
    Sign(XmlSecError),
}

/// Why an envelope cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no envelope of the profile; nobody is answered.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// There is not exactly one signature, a child of the root.
    #[error("signature: {0}")]
    NotSignedOnce(XmlSecError),
    /// The signature does not hold, or says what is not accepted.
    #[error("signature: {0}")]
    Signature(XmlSecError),
    /// A message whose payload is not encrypted (SDK B1.3.3 5.3 row 14).
    #[error("the message is not encrypted")]
    NotEncrypted,
    /// The payload cannot be decrypted, or what comes out is no XML: deliberately one and the same.
    #[error("the payload cannot be decrypted")]
    Undecryptable,
}

/// Seals a payload. `recipient` is the certificate to encrypt for; none for a receipt.
///
/// # Errors
/// [`SealError`].
pub fn seal(header: &Header, payload: &[u8], recipient: Option<&Certificate>, signer: &Identity) -> Result<Vec<u8>, SealError> {
    let encrypted = recipient.is_some();
    if header.encrypted != encrypted || encrypted != (header.kind == DocumentKind::Message) {
        return Err(SealError::Encryption);
    }
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let document = Document::parse(payload, &Limits::of(MAX_ENVELOPE)).map_err(SealError::Payload)?;
    // What stands around the root element, the XML declaration first of all, has no place inside another document.
    let element = payload.get(document.root().source()).unwrap_or(payload);
    drop(document);
    // SDK C3.2.2 2.5: what we send keeps the profile, whatever the ids in it are.
    let probe = if encrypted { format!("<e:EncryptedData xmlns:e=\"{}\"/>", crypto::XENC) } else { "<e xmlns=\"urn:e\"/>".to_owned() };
    envelope::read(envelope::write(header, &probe).as_bytes()).map_err(SealError::Header)?;
    let unsigned = match recipient {
        Some(recipient) => envelope::write(header, &crypto::encrypt_element(element, recipient).map_err(SealError::Encrypt)?),
        None => envelope::write(header, &String::from_utf8_lossy(element)),
    };
    crypto::sign_enveloped(unsigned.as_bytes(), signer).map_err(SealError::Sign)
}

/// An envelope whose signature held. Whether the signer is to be trusted is judged by others, with these certificates.
#[derive(Debug)]
pub struct Verified {
    /// What the envelope says.
    pub header: Header,
    /// The certificate whose key signed.
    pub signer: Certificate,
    /// The other certificates that the signature carries.
    pub intermediates: Vec<Certificate>,
    /// SHA-256 of the signature's octets, for the log.
    pub signature: Sha256,
    content: Content,
}

/// The payload as the envelope holds it. The tree is kept for the encrypted one: its cipher text is not copied.
enum Content {
    Clear(Vec<u8>),
    Encrypted(Document),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Clear(_)) { "Clear" } else { "Encrypted" })
    }
}

/// Verifies an envelope's signature.
///
/// # Errors
/// [`OpenError`]; [`super::envelope::read`] then still gives the header that a receipt about a bad signature needs.
pub fn verify(xml: &[u8]) -> Result<Verified, OpenError> {
    let by = crypto::verify_enveloped(xml, &LIMITS).map_err(|error| match error {
        XmlSecError::Xml(error) => OpenError::Envelope(error.into()),
        error @ (XmlSecError::NoSignature | XmlSecError::ManySignatures(_) | XmlSecError::Misplaced) => OpenError::NotSignedOnce(error),
        error => OpenError::Signature(error),
    })?;
    let header = envelope::header_of(&by.document)?;
    let content = if header.encrypted {
        Content::Encrypted(by.document)
    } else {
        let xml = xml.strip_prefix(b"\xef\xbb\xbf").unwrap_or(xml);
        let element = envelope::payload_of(&by.document).ok_or(OpenError::Undecryptable)?;
        let octets = xml.get(element.source()).ok_or(OpenError::Undecryptable)?;
        Content::Clear(standalone(octets, element).ok_or(OpenError::Undecryptable)?.to_vec())
    };
    Ok(Verified { header, signer: by.certificate, intermediates: by.intermediates, signature: by.signature_value_digest, content })
}

impl Verified {
    /// The payload's document, decrypted with whichever of our keys it is for, or as it stands when it is not encrypted.
    ///
    /// # Errors
    /// [`OpenError::NotEncrypted`] for a message in clear, [`OpenError::Undecryptable`] for everything else.
    pub fn payload(&self, own: &[Identity]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        match &self.content {
            Content::Clear(_) if self.header.kind == DocumentKind::Message => Err(OpenError::NotEncrypted),
            Content::Clear(octets) => Ok(Zeroizing::new(octets.clone())),
            // A receipt should come in clear, but SDK C3.3.2 2.11.c has a word that some will follow.
            Content::Encrypted(document) => {
                let data = envelope::payload_of(document).ok_or(OpenError::Undecryptable)?;
                let plain = crypto::decrypt_element(data, own).map_err(|_| OpenError::Undecryptable)?;
                standalone(&plain, data).ok_or(OpenError::Undecryptable)
            }
        }
    }
}

/// The octets of one element as a document of its own.
///
/// An element may use prefixes that are declared around its place only: in clear because it stands there, decrypted
/// because XML Encryption 4.4 reads it there and some writers count on that. Those declarations are then added to it.
fn standalone(octets: &[u8], place: Element<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let limits = Limits::of(MAX_ENVELOPE);
    if Document::parse(octets, &limits).is_ok() {
        return Some(Zeroizing::new(octets.to_vec()));
    }
    let mut scope: Vec<(&str, &str)> = Vec::new();
    let mut around = place.parent();
    while let Some(element) = around {
        for (prefix, namespace) in element.declarations() {
            if !prefix.is_empty() && !scope.iter().any(|(known, _)| known == prefix) {
                scope.push((prefix, namespace));
            }
        }
        around = element.parent();
    }
    // Without an XML declaration in front, the first tag is the element's own; after its name is room for declarations.
    let start = octets.iter().position(|b| *b == b'<')?;
    let name_end = octets.iter().skip(start + 1).position(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/'))? + start + 1;
    let (name, rest) = octets.split_at_checked(name_end)?;
    let tag = rest.split(|b| *b == b'>').next().unwrap_or_default();
    let mut with = Zeroizing::new(Vec::with_capacity(octets.len() + 1024));
    with.extend_from_slice(name);
    for (prefix, namespace) in scope {
        let declares = format!("xmlns:{prefix}");
        if !tag.windows(declares.len()).any(|part| part == declares.as_bytes()) {
            let value = namespace.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            with.extend_from_slice(format!(" {declares}=\"{value}\"").as_bytes());
        }
    }
    with.extend_from_slice(rest);
    Document::parse(&with, &limits).is_ok().then_some(with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_takes_the_prefixes_of_its_place_along() {
        let text = "<r xmlns:a='urn:a' xmlns:b='urn:b&amp;'><w xmlns:a='urn:c'><p/></w></r>";
        let document = Document::parse(text.as_bytes(), &Limits::of(1000)).unwrap();
        let place = document.elements().find(|e| e.local() == "p").unwrap();
        let alone = |octets: &str| standalone(octets.as_bytes(), place).map(|octets| String::from_utf8(octets.to_vec()).unwrap());
        assert_eq!(alone("<p x='1'/>").unwrap(), "<p x='1'/>");
        assert_eq!(alone("<a:p/>").unwrap(), "<a:p xmlns:a=\"urn:c\" xmlns:b=\"urn:b&amp;\"/>");
        assert_eq!(alone("<b:p\n xmlns:a='urn:d'><a:q/></b:p>").unwrap(), "<b:p xmlns:b=\"urn:b&amp;\"\n xmlns:a='urn:d'><a:q/></b:p>");
        assert_eq!(alone("<c:p/>"), None);
        assert_eq!(alone("<p></q>"), None);
        assert_eq!(alone(""), None);
    }
}
