//! One function for each event of the outgoing flow: it asks for every field that the event must have, so that no step
//! forgets one (SDK C3.4.6 3.4.1).

use jiff::Timestamp;

use super::state::{Cargo, Dispatch, Letter};
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::{AccessPointId, As4MessageId, MessageId, Sha256};

/// What is told of a mail that was taken in.
pub struct Accepted<'a> {
    /// Octets of the mail.
    pub octets: u64,
    /// Digests of what is attached, cut.
    pub digests: &'a str,
    /// The other end of the connection.
    pub peer: &'a str,
    /// As whom it was known.
    pub account: Option<&'a str>,
    /// Why it answers nothing although it looks so.
    pub doubt: Option<&'a str>,
}

/// A mail was taken in, for one recipient.
pub(super) fn mail_accepted(letter: &Letter, mail: &Accepted<'_>, at: Timestamp) -> Event {
    let event = Cargo::Letter(letter.clone())
        .event(at, EventName::MailAccepted)
        .with(Field::Sender, &letter.sender)
        .with(Field::Recipient, &letter.address)
        .with(Field::OwnFunction, &letter.function)
        .with(Field::Size, mail.octets)
        .with(Field::Digest, mail.digests)
        .with(Field::PeerAddress, mail.peer);
    event.with_some(Field::RefToMessageId, letter.in_reply_to.as_ref()).with_some(Field::Cause, mail.doubt).with_some(Field::Account, mail.account)
}

/// A message is kept back until then.
pub(super) fn held(letter: &Letter, cause: &str, until: Timestamp, at: Timestamp) -> Event {
    Cargo::Letter(letter.clone()).event(at, EventName::Held).with(Field::Cause, cause).with(Field::NextAttempt, until)
}

/// A message that was kept back goes on.
pub(super) fn released(letter: &Letter, at: Timestamp) -> Event {
    Cargo::Letter(letter.clone()).event(at, EventName::Released)
}

/// The recipient's metadata was found and verified.
#[must_use]
pub fn addressed(letter: &Letter, peer: &str, certificate: Sha256, at: Timestamp) -> Event {
    let event = Cargo::Letter(letter.clone()).event(at, EventName::Addressed);
    event.with(Field::PeerAccessPoint, peer).with(Field::PeerCertificate, certificate)
}

/// How an envelope was sealed.
pub(super) struct Sealing<'a> {
    /// The id that its AS4 message will have.
    pub(super) as4_id: &'a As4MessageId,
    /// Octets of the envelope.
    pub(super) octets: usize,
    /// The certificate that it is signed with.
    pub(super) signer: Sha256,
    /// The certificate that it is encrypted to; receipts are not.
    pub(super) recipient: Option<Sha256>,
}

/// An envelope was signed, and encrypted where it holds a message.
pub(super) fn sealed(cargo: &Cargo, sealing: &Sealing<'_>, at: Timestamp) -> Event {
    of_as4(cargo, sealing.as4_id, EventName::Sealed, at)
        .with(Field::Size, sealing.octets)
        .with(Field::OwnCertificate, sealing.signer)
        .with_some(Field::ParticipantCertificate, sealing.recipient)
}

/// The AS4 message was made for that access point.
pub(super) fn submitted(cargo: &Cargo, dispatch: &Dispatch, peer: &AccessPointId, certificate: Sha256, at: Timestamp) -> Event {
    of_as4(cargo, &dispatch.as4_id, EventName::Submitted, at)
        .with(Field::PeerAccessPoint, peer)
        .with(Field::PeerCertificate, certificate)
        .with(Field::Document, cargo.kind().action())
}

/// What an AS4 receipt proves.
pub(super) struct Receipt<'a> {
    /// Its id.
    pub(super) signal: &'a As4MessageId,
    /// Who signed it.
    pub(super) peer: &'a AccessPointId,
    /// With which certificate.
    pub(super) certificate: Sha256,
    /// The digest of its signature value.
    pub(super) signature: Sha256,
    /// What it warns of.
    pub(super) warnings: Option<String>,
}

/// The other access point has it. Without a receipt it said so of a retry; then the receipt was missed.
pub(super) fn acknowledged(cargo: &Cargo, dispatch: &Dispatch, receipt: Option<&Receipt<'_>>, at: Timestamp) -> Event {
    let name = match cargo {
        Cargo::Letter(_) => EventName::Acknowledged,
        Cargo::Reply(_) => EventName::ReceiptSent,
    };
    let event = of_as4(cargo, &dispatch.as4_id, name, at);
    match receipt {
        Some(receipt) => event
            .with(Field::As4SignalId, receipt.signal)
            .with(Field::PeerSignature, receipt.signature)
            .with(Field::PeerCertificate, receipt.certificate)
            .with(Field::PeerAccessPoint, receipt.peer)
            .with_some(Field::Cause, receipt.warnings.as_ref()),
        None => event.with(Field::Cause, "the other access point names a retry a duplicate; its receipt was missed"),
    }
}

/// An attempt failed; the next one is at `due`.
pub(super) fn deferred(cargo: &Cargo, dispatch: Option<&Dispatch>, failure: &Failure, attempt: u32, due: Timestamp, at: Timestamp) -> Event {
    tried(cargo, dispatch, EventName::SendDeferred, at).because(failure).with(Field::Attempt, attempt).with(Field::NextAttempt, due)
}

/// It ended without outcome.
pub(super) fn exchange_failed(cargo: &Cargo, dispatch: Option<&Dispatch>, failure: &Failure, at: Timestamp) -> Event {
    tried(cargo, dispatch, EventName::ExchangeFailed, at).because(failure)
}

/// What a message receipt says: [`EventName::Accepted`], [`EventName::Rejected`], [`EventName::LateReceipt`] or
/// [`EventName::StrayReceipt`].
pub(super) fn receipt(cargo: &Cargo, name: EventName, receipt: &MessageId, code: &str, at: Timestamp) -> Event {
    cargo.event(at, name).with(Field::ReceiptId, receipt).with(Field::ReceiptCode, code)
}

fn tried(cargo: &Cargo, dispatch: Option<&Dispatch>, name: EventName, at: Timestamp) -> Event {
    match dispatch {
        Some(dispatch) => of_as4(cargo, &dispatch.as4_id, name, at),
        // No AS4 message was made yet.
        None => cargo.event(at, name),
    }
}

fn of_as4(cargo: &Cargo, id: &As4MessageId, name: EventName, at: Timestamp) -> Event {
    cargo.event(at, name).with(Field::As4MessageId, id).with(Field::As4ConversationId, cargo.as4_conversation())
}
