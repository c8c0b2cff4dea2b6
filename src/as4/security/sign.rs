//! Signing: exclusive C14N, SHA-256, rsa-sha256 over `eb:Messaging`, the Body and every attachment.

use base64::prelude::*;

use super::super::As4Error;
use super::super::envelope::{Envelope, limits};
use super::super::names::{BASE64, CONTENT_SIGNATURE, EXC_C14N, SOAP, WSSE, WSU, X509V3};
use super::{Ids, Reference};
use crate::crypto::{Certificate, DS, Digest, Identity, SignatureAlgorithm, sha256};
use crate::ident::Sha256;
use crate::xml::{Canonicalization, Comments, Document, Element, Writer};

/// A SOAP part ready to send.
pub(in super::super) struct SignedEnvelope {
    pub(in super::super) envelope: Vec<u8>,
    pub(in super::super) references: Vec<Reference>,
    /// SHA-256 of the signature value.
    pub(in super::super) digest: Sha256,
}

/// Puts `eb:Messaging` into an envelope with an empty Body and signs both, and the attachments by their SHA-256.
///
/// `encryption` is XML that stands first in `wsse:Security`: WSS4J works in document order, so decryption comes before
/// the signature.
pub(in super::super) fn sign(
    messaging: &str,
    ids: &Ids,
    encryption: &str,
    attachments: &[(String, Sha256)],
    signer: &Identity,
) -> Result<SignedEnvelope, As4Error> {
    let unsigned = envelope(messaging, ids, encryption, &signer.certificate, "");
    let document = read(&unsigned)?;
    let parts = Envelope::of(&document).map_err(|error| As4Error::Own(error.to_string()))?;
    let mut references = Vec::new();
    for (element, id) in [(parts.messaging, ids.messaging()), (parts.body, ids.body())] {
        let digest = sha256(canonical(element)?.as_bytes());
        references.push(reference(format!("#{id}"), EXC_C14N, digest));
    }
    for (cid, digest) in attachments {
        references.push(reference(format!("cid:{cid}"), CONTENT_SIGNATURE, *digest));
    }
    let unfinished = signature(&references, ids, "");
    let document = read(&unfinished)?;
    let signed_info = document.root().only(DS, "SignedInfo").ok_or_else(|| As4Error::Own("no ds:SignedInfo".into()))?;
    let value = signer.key.sign(SignatureAlgorithm::RsaSha256, canonical(signed_info)?.as_bytes())?;
    let signature = signature(&references, ids, &BASE64_STANDARD.encode(&value));
    let envelope = envelope(messaging, ids, encryption, &signer.certificate, &signature).into_bytes();
    Ok(SignedEnvelope { envelope, references, digest: sha256(&value) })
}

fn reference(uri: String, transform: &str, digest: Sha256) -> Reference {
    Reference {
        uri,
        transforms: vec![transform.to_owned()],
        digest_method: Digest::Sha256.uri().to_owned(),
        digest_value: BASE64_STANDARD.encode(digest.0),
    }
}

fn envelope(messaging: &str, ids: &Ids, encryption: &str, signer: &Certificate, signature: &str) -> String {
    let mut writer = Writer::with_declaration();
    writer.open("S12:Envelope").attribute("xmlns:S12", SOAP).open("S12:Header").raw(messaging);
    writer.open("wsse:Security").attribute("xmlns:wsse", WSSE).attribute("xmlns:wsu", WSU).attribute("S12:mustUnderstand", "true");
    writer.raw(encryption);
    write_token(&mut writer, &ids.signing_token(), signer);
    writer.raw(signature).close().close();
    writer.open("S12:Body").attribute("xmlns:wsu", WSU).attribute("wsu:Id", &ids.body());
    writer.finish()
}

/// Writes a `wsse:BinarySecurityToken` with a certificate.
pub(super) fn write_token(writer: &mut Writer, id: &str, certificate: &Certificate) {
    writer.open("wsse:BinarySecurityToken").attribute("EncodingType", BASE64).attribute("ValueType", X509V3).attribute("wsu:Id", id);
    writer.text(&certificate.to_base64()).close();
}

/// Writes a `wsse:SecurityTokenReference` to such a token.
pub(super) fn write_token_reference(writer: &mut Writer, id: &str) {
    writer.open("wsse:SecurityTokenReference").open("wsse:Reference");
    writer.attribute("URI", &format!("#{id}")).attribute("ValueType", X509V3).close().close();
}

fn signature(references: &[Reference], ids: &Ids, value: &str) -> String {
    let mut writer = Writer::new();
    writer.open("ds:Signature").attribute("xmlns:ds", DS).attribute("xmlns:wsse", WSSE).attribute("Id", &ids.signature());
    writer.open("ds:SignedInfo");
    writer.open("ds:CanonicalizationMethod").attribute("Algorithm", EXC_C14N).close();
    writer.open("ds:SignatureMethod").attribute("Algorithm", SignatureAlgorithm::RsaSha256.uri()).close();
    for reference in references {
        writer.open("ds:Reference").attribute("URI", &reference.uri).open("ds:Transforms");
        for transform in &reference.transforms {
            writer.open("ds:Transform").attribute("Algorithm", transform).close();
        }
        writer.close().open("ds:DigestMethod").attribute("Algorithm", &reference.digest_method).close();
        writer.leaf("ds:DigestValue", &reference.digest_value).close();
    }
    writer.close().leaf("ds:SignatureValue", value).open("ds:KeyInfo");
    write_token_reference(&mut writer, &ids.signing_token());
    writer.finish()
}

fn read(text: &str) -> Result<Document, As4Error> {
    Document::parse(text.as_bytes(), &limits(8 << 20)).map_err(|error| As4Error::Own(error.to_string()))
}

fn canonical(element: Element<'_>) -> Result<String, As4Error> {
    Canonicalization::exclusive().element(element, Comments::Without, None).map_err(|error| As4Error::Own(error.to_string()))
}
