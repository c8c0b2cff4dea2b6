//! Receipts: signed non-repudiation information that repeats every reference of the message's signature (AS4 5.1.8).

use jiff::Timestamp;

use super::names::EBBP;
use super::{As4Error, Received, ebms, security};
use crate::crypto::{DS, Identity};
use crate::ident::As4MessageId;
use crate::xml::{Element, Writer};

use super::error::EbmsError;
use super::security::SignedReference;

/// Writes the signed receipt for a request: the whole HTTP body, of media type [`super::error::CONTENT_TYPE`].
///
/// # Errors
/// [`As4Error::Unsigned`] when the request was not signed; otherwise when signing fails.
pub fn write(received: &Received, signal_id: &As4MessageId, at: Timestamp, signer: &Identity) -> Result<Vec<u8>, As4Error> {
    let signature = received.signature.as_ref().ok_or(As4Error::Unsigned)?;
    let ids = security::Ids::of(signal_id);
    let mut writer = Writer::new();
    ebms::open_signal(&mut writer, &ids, signal_id, at, Some(&received.header.message_id));
    writer.open("eb:Receipt").open("ebbp:NonRepudiationInformation").attribute("xmlns:ebbp", EBBP);
    for reference in &signature.references {
        writer.open("ebbp:MessagePartNRInformation").raw(&reference.xml).close();
    }
    security::sign(&writer.finish(), &ids, "", &[], signer).map(|signed| signed.envelope)
}

/// The references that an `eb:Receipt` repeats, one from each part.
pub(super) fn references(receipt: Element<'_>) -> Result<Vec<SignedReference>, EbmsError> {
    let mut all = Vec::new();
    for part in receipt.only(EBBP, "NonRepudiationInformation").into_iter().flat_map(|e| e.named(EBBP, "MessagePartNRInformation")) {
        if part.child(DS, "Reference").is_some() {
            all.extend(security::references(part)?);
        }
    }
    Ok(all)
}
