//! Encryption of attachments: the key under RSA-OAEP in the header, AES-GCM in the MIME part (WSS SwA 1.1 5.5).

use base64::prelude::*;

use super::super::As4Error;
use super::super::envelope::{Envelope, has_id};
use super::super::error::{Code, EbmsError};
use super::super::names::{CIPHERTEXT, CONTENT_ONLY, ENCRYPTED_KEY_TOKEN, GZIP, RSA_OAEP, WSSE, WSSE11};
use super::Ids;
use super::sign::{write_token, write_token_reference};
use super::token::{decode, key};
use crate::crypto::{Certificate, DS, Digest, Gcm, Identity, Oaep, SessionKey, XENC, XENC11};
use crate::ident::Sha256;
use crate::xml::{Element, Writer};

/// Encrypted keys that are looked at: one for each of some recipients.
const ENCRYPTED_KEYS: usize = 8;

/// Makes the key for one attachment and the XML that goes into `wsse:Security`.
pub(in super::super) fn encrypt(recipient: &Certificate, ids: &Ids, cid: &str) -> Result<(SessionKey, String), As4Error> {
    let session = SessionKey::random(Gcm::Aes128)?;
    let wrapped = session.wrap(recipient, &Oaep::SHA256)?;
    let mut writer = Writer::new();
    write_token(&mut writer, &ids.encryption_token(), recipient);
    writer.open("xenc:EncryptedKey").attribute("xmlns:xenc", XENC).attribute("xmlns:ds", DS).attribute("Id", &ids.encrypted_key());
    // Both digests are declared: without an MGF element the mask would be MGF1 with SHA-1 (XML Encryption 1.1 5.5.2).
    writer.open("xenc:EncryptionMethod").attribute("Algorithm", RSA_OAEP);
    writer.open("ds:DigestMethod").attribute("Algorithm", Digest::Sha256.uri()).close();
    writer.open("xenc11:MGF").attribute("xmlns:xenc11", XENC11).attribute("Algorithm", Digest::Sha256.mgf1_uri()).close().close();
    writer.open("ds:KeyInfo");
    write_token_reference(&mut writer, &ids.encryption_token());
    writer.close().open("xenc:CipherData").leaf("xenc:CipherValue", &BASE64_STANDARD.encode(wrapped)).close();
    writer.open("xenc:ReferenceList").open("xenc:DataReference").attribute("URI", &format!("#{}", ids.encrypted_data()));
    writer.close().close().close();
    writer.open("xenc:EncryptedData").attribute("xmlns:xenc", XENC).attribute("xmlns:ds", DS).attribute("Id", &ids.encrypted_data());
    writer.attribute("MimeType", GZIP).attribute("Type", CONTENT_ONLY);
    writer.open("xenc:EncryptionMethod").attribute("Algorithm", Gcm::Aes128.uri()).close();
    writer.open("ds:KeyInfo").open("wsse:SecurityTokenReference").attribute("xmlns:wsse11", WSSE11);
    writer.attribute("wsse11:TokenType", ENCRYPTED_KEY_TOKEN);
    writer.open("wsse:Reference").attribute("URI", &format!("#{}", ids.encrypted_key())).close().close().close();
    writer.open("xenc:CipherData").open("xenc:CipherReference").attribute("URI", &format!("cid:{cid}"));
    writer.open("xenc:Transforms").open("ds:Transform").attribute("Algorithm", CIPHERTEXT);
    Ok((session, writer.finish()))
}

/// How one attachment is decrypted.
pub(in super::super) struct Decryption {
    /// Its `cid:` URI as written.
    pub(in super::super) uri: String,
    pub(in super::super) key: SessionKey,
    /// The media type of the plaintext.
    pub(in super::super) mime_type: Option<String>,
    /// Which of our certificates it is for.
    pub(in super::super) recipient: Sha256,
}

/// Finds what is encrypted and unwraps the keys. A key that does not unwrap is found out at the attachment's tag.
/// More than `attachments` are not looked at: each costs an operation with a private key.
pub(in super::super) fn decryptions(envelope: &Envelope<'_>, keys: &[Identity], attachments: usize) -> Result<Vec<Decryption>, EbmsError> {
    let Some(security) = envelope.security else { return Ok(Vec::new()) };
    if security.named(XENC, "EncryptedData").count() > attachments {
        return Err(EbmsError::new(Code::MimeInconsistency, "More is encrypted than eb:PayloadInfo names"));
    }
    security.named(XENC, "EncryptedData").map(|data| decryption(data, security, keys)).collect()
}

fn refused(why: &str) -> EbmsError {
    EbmsError::new(Code::PolicyNoncompliance, why.to_owned())
}

fn undecryptable() -> EbmsError {
    // One text for every cause: what can be told apart can be asked for.
    EbmsError::new(Code::FailedDecryption, "The message cannot be decrypted")
}

pub(super) fn decryption(data: Element<'_>, security: Element<'_>, keys: &[Identity]) -> Result<Decryption, EbmsError> {
    let method = data.only(XENC, "EncryptionMethod").and_then(|method| method.attribute("Algorithm"));
    let gcm = method.and_then(Gcm::from_uri).ok_or_else(|| refused("The encryption's algorithm is not accepted"))?;
    if data.attribute("Type").is_some_and(|kind| kind != CONTENT_ONLY) {
        return Err(refused("Only the content of attachments may be encrypted"));
    }
    let reference = data.only(XENC, "CipherData").and_then(|e| e.only(XENC, "CipherReference"));
    let reference = reference.ok_or_else(|| refused("Only attachments may be encrypted"))?;
    let transforms: Vec<Option<&str>> =
        reference.child(XENC, "Transforms").into_iter().flat_map(|all| all.elements()).map(|e| e.attribute("Algorithm")).collect();
    let uri = reference.attribute("URI").filter(|uri| uri.starts_with("cid:"));
    let (Some(uri), [Some(CIPHERTEXT)]) = (uri, transforms.as_slice()) else {
        return Err(refused("The reference to an encrypted attachment is not accepted"));
    };
    let wrapped = encrypted_key(data, security, keys).ok_or_else(undecryptable)?;
    let oaep = Oaep::declared(wrapped).ok_or_else(|| refused("The key transport's algorithm is not accepted"))?;
    let (named, _) = wrapped.only(DS, "KeyInfo").and_then(|key_info| key(key_info, security)).ok_or_else(undecryptable)?;
    let identity = keys.iter().find(|identity| named.names(&identity.certificate)).ok_or_else(undecryptable)?;
    let value = wrapped.only(XENC, "CipherData").and_then(|e| e.only(XENC, "CipherValue")).and_then(|e| decode(&e.text()));
    let key = SessionKey::unwrap(&value.ok_or_else(undecryptable)?, &identity.key, &oaep, gcm).map_err(|_| undecryptable())?;
    let mime_type = data.attribute("MimeType").map(str::to_owned);
    Ok(Decryption { uri: uri.to_owned(), key, mime_type, recipient: identity.certificate.fingerprint() })
}

/// The key of an EncryptedData: by its KeyInfo, or by the ReferenceList of a key. Of several, for several recipients, the
/// first that is for one of ours; a name alone decides, so that no operation with a private key is spent on the others.
pub(super) fn encrypted_key<'d>(data: Element<'d>, security: Element<'d>, keys: &[Identity]) -> Option<Element<'d>> {
    let named = data.child(DS, "KeyInfo").and_then(|info| info.child(WSSE, "SecurityTokenReference")).and_then(|at| at.child(WSSE, "Reference"));
    let id = named.and_then(|reference| reference.attribute("URI")?.strip_prefix('#'));
    let uri = data.attribute("Id").map(|id| format!("#{id}"));
    let lists = |wrapped: &Element<'d>| {
        let list = wrapped.child(XENC, "ReferenceList").into_iter().flat_map(|list| list.elements());
        uri.is_some() && list.filter(|e| e.is(XENC, "DataReference")).any(|e| e.attribute("URI") == uri.as_deref())
    };
    let all: Vec<Element<'d>> = security.named(XENC, "EncryptedKey").take(ENCRYPTED_KEYS).collect();
    let mut own = all.iter().filter(|wrapped| id.is_some_and(|id| has_id(**wrapped, id))).chain(all.iter().filter(|wrapped| lists(wrapped))).copied();
    let is_ours = |wrapped: &Element<'d>| {
        let named = wrapped.only(DS, "KeyInfo").and_then(|info| key(info, security));
        named.is_some_and(|(named, _)| keys.iter().any(|identity| named.names(&identity.certificate)))
    };
    let first = own.next()?;
    if is_ours(&first) { Some(first) } else { own.find(is_ours).or(Some(first)) }
}
