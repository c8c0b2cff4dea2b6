//! Sealing: the SDK message is written, validated, encrypted for the recipient's organisation and signed by ours.
//!
//! Uses the participant's keys and nothing of the access point's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Cargo, Dispatch, Outgoing, Reached, Reply, Scheduled, Submitted, place};
use super::told::{self, Sealing};
use crate::content::Content;
use crate::crypto::Identity;
use crate::event::Event;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{As4MessageId, DocumentKind, FederationId, FunctionId, MessageId, RecordId, Sha256};
use crate::mail::convert::Note;
use crate::port::{Blob, BlobId, BlobKind, Effects, Guard, Job, JobId, Lease, Metadata, NewBlob, Op, Queue, Step};
use crate::sdk::envelope::Header;
use crate::sdk::message::MessageLimits;
use crate::sdk::{message, receipt, seal};

/// What sealing needs beside the message.
pub struct Seal<'a> {
    /// The organisation's signing key.
    pub signer: &'a Identity,
    /// The federation that the envelope names.
    pub federation: &'a FederationId,
    /// The id that the AS4 message will have.
    pub as4_id: As4MessageId,
    /// The name of the envelope's blob.
    pub envelope: BlobId,
    /// How large a message may be.
    pub limits: MessageLimits,
    /// What of the mail is missing in the message: kept with the envelope, for the notice to the sender.
    pub missing: &'a [Note],
    /// Now.
    pub now: Timestamp,
}

impl Seal<'_> {
    fn sealed(&self, cargo: &Cargo, octets: usize, recipient: Option<Sha256>) -> Event {
        let sealing = Sealing { as4_id: &self.as4_id, octets, signer: self.signer.certificate.fingerprint(), recipient };
        told::sealed(cargo, &sealing, self.now)
    }
}

/// What stands before a sealed envelope.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    record: RecordId,
    message_id: MessageId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Note>,
}

/// What was missing in the message when it was sealed, out of its envelope's blob.
#[must_use]
pub fn missing(blob: &Blob) -> Vec<Note> {
    if blob.kind != BlobKind::Envelope {
        return Vec::new();
    }
    serde_json::from_str::<Label>(&blob.header).map(|label| label.missing).unwrap_or_default()
}

/// Seals a message for the participant whose verified metadata this is.
///
/// # Errors
/// A [`Failure`]: of ours, when the message breaks a rule that it should not have come this far with.
pub fn message(state: Scheduled, lease: Lease, content: &Content, metadata: &Metadata, with: &Seal<'_>) -> Result<Effects, Failure> {
    let ours = |what: String| Failure::permanent(Stage::Seal, Blame::Us, what);
    let recipient = metadata.encryption.first().ok_or_else(|| {
        Failure::permanent(Stage::Address, Blame::Peer, format!("{} publishes no encryption certificate", metadata.participant))
            .hint("the other organisation must publish its certificate under the message document id")
    })?;
    let payload = message::write_within(content, &with.limits).map_err(|breaches| {
        let lines: Vec<String> = breaches.iter().map(|breach| format!("{} {breach}", breach.line)).collect();
        ours(format!("the message breaks its own rules: {}", lines.join("; ")))
    })?;
    let letter = state.letter;
    let header = Header {
        id: letter.message_id.clone(),
        created: content.created,
        kind: DocumentKind::Message,
        federation: with.federation.clone(),
        from: letter.organisation.clone(),
        to: letter.participant.clone(),
        service: Some(letter.to_function.clone()),
        encrypted: true,
    };
    let envelope =
        seal::seal(&header, &payload, Some(recipient), with.signer).map_err(|error| ours(format!("the envelope cannot be sealed: {error}")))?;
    let cargo = Cargo::Letter(letter);
    let sealed = with.sealed(&cargo, envelope.len(), Some(recipient.fingerprint()));
    let record = cargo.record();
    let mut submitted = submit(cargo, state.delay_told, envelope, with);
    submitted.0.dispatch.place = Some(place(&metadata.endpoint));
    let step =
        Step::new().guard(Guard::Held(lease.clone())).guard(Guard::In(record, Outgoing::SCHEDULED)).op(Op::Complete(lease)).op(Op::Audit(sealed));
    finish(submitted, step)
}

/// Signs a message receipt of ours; receipts are not encrypted.
///
/// `service` is the `HandlingServiceID` of the message that it answers.
///
/// # Errors
/// A [`Failure`] of ours.
pub fn receipt(reply: Reply, lease: Lease, xml: &[u8], service: Option<FunctionId>, with: &Seal<'_>) -> Result<Effects, Failure> {
    let ours = |what: String| Failure::permanent(Stage::Seal, Blame::Us, what);
    receipt::read(xml).map_err(|_| ours("the receipt breaks its own rules".into()))?;
    let header = Header {
        id: reply.envelope_id.clone(),
        created: reply.made_at,
        kind: DocumentKind::Receipt,
        federation: with.federation.clone(),
        from: reply.organisation.clone(),
        to: reply.participant.clone(),
        service,
        encrypted: false,
    };
    let envelope = seal::seal(&header, xml, None, with.signer).map_err(|error| ours(format!("the receipt cannot be signed: {error}")))?;
    let cargo = Cargo::Reply(reply);
    let sealed = with.sealed(&cargo, envelope.len(), None);
    let record = cargo.record();
    let submitted = submit(cargo, None, envelope, with);
    let step = Step::new().guard(Guard::Held(lease.clone())).guard(Guard::New(record)).op(Op::Complete(lease)).op(Op::Audit(sealed));
    finish(submitted, step)
}

fn submit(cargo: Cargo, delay_told: Option<Timestamp>, envelope: Vec<u8>, with: &Seal<'_>) -> (Submitted, NewBlob) {
    let label = Label { record: cargo.record(), message_id: cargo.message_id().clone(), missing: with.missing.to_vec() };
    // Ids and words have no way to fail.
    let header = serde_json::to_string(&label).unwrap_or_default();
    let blob = Blob { id: with.envelope, kind: BlobKind::Envelope, header };
    let (as4_id, envelope_blob) = (with.as4_id.clone(), with.envelope);
    let dispatch = Dispatch { as4_id, envelope: envelope_blob, request: None, reached: Reached::Never, delay_told, place: None, yields: false };
    (Submitted { cargo, dispatch }, NewBlob { blob, body: envelope.into() })
}

fn finish((submitted, blob): (Submitted, NewBlob), step: Step) -> Result<Effects, Failure> {
    let record = submitted.cargo.record();
    let send = Job::new(JobId::of(record, "send"), Queue::Send, record, submitted.cargo.since());
    let step = step.op(Op::Put(Outgoing::Submitted(submitted).to_record()?)).op(Op::Enqueue(send));
    Ok(Effects { blobs: vec![blob], step, discard: Vec::new() })
}
