//! What the sender's notice says of a letter: the outcome as it was decided, with what else is known of it by now.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::MailSide;
use super::effects::blocking;
use super::room::Holding;
use crate::content::Redacted;
use crate::failure::Failure;
use crate::mail::convert::{self, Note};
use crate::mail::notice::{self, Evidence, Fault, Notice, Outcome, Service, Signature, Verdict};
use crate::outbound::send::Prepared;
use crate::outbound::settle::{self, Signed};
use crate::outbound::{Letter, Outgoing, seal};
use crate::port::{Blob, BlobKind, Delay, Delivery, Fail, Lease, Record, Tell, Told};
use crate::sdk::receipt::{self, Receipt};

/// The message receipt behind an outcome.
struct Held {
    xml: Vec<u8>,
    receipt: Option<Receipt>,
    signed: Option<Signed>,
}

impl MailSide {
    /// The notice; `None` when there is nothing to tell.
    pub(super) async fn compose_notice(
        &self,
        lease: &Lease,
        letter: &Letter,
        told: Told,
        record: Option<&Record>,
    ) -> Result<Option<Delivery>, Failure> {
        let (_held, _, original) = self.hold_blob(&letter.organisation, letter.mail, Holding::Mail).await?;
        let held = match &told.tell {
            Tell::Accepted { receipt, .. } | Tell::Rejected { receipt, .. } => {
                let (blob, xml) = self.read_blob(*receipt).await?;
                Some(Held { receipt: receipt::read(&xml).ok(), signed: Signed::of(&blob), xml })
            }
            _ => None,
        };
        let policy = self
            .household
            .organisation(&letter.organisation)
            .and_then(|organisation| organisation.mailbox(&letter.function))
            .map(|mailbox| mailbox.policy.clone())
            .unwrap_or_default();
        let blobs = self.blobs_of(record).await;
        let missing: Vec<Note> = blobs.iter().flat_map(seal::missing).collect();
        let remote = blobs.iter().filter(|blob| blob.kind == BlobKind::Request).find_map(|blob| Prepared::from_blob(blob).ok());
        let near = match &told.tell {
            Tell::Rejected { .. } => self.addresses_like(&letter.organisation, &letter.participant, &letter.to_function).await,
            _ => Vec::new(),
        };
        let (settings, id, at, letter) = (&self.settings, lease.job.id.0, told.since, letter.clone());
        let (gateway, host, contact) = (settings.domain.clone(), settings.name.clone(), self.mail.operator.clone());
        blocking(move || {
            let files = || convert::outgoing(&original, &policy).map(|mail| mail.files.into_iter().map(|file| file.name).collect::<Vec<_>>());
            let receipt = held.as_ref().and_then(|held| held.receipt.as_ref());
            let mut outcome = outcome(&told.tell, receipt, || files().unwrap_or_default())?;
            if let Outcome::FunctionUnknown { near: addresses } = &mut outcome {
                *addresses = near;
            }
            let zone = zone();
            let recipient_name = format!("{}, {}", letter.to_function, letter.participant.as_str().trim_start_matches("0203:"));
            let codes = receipt.map(|receipt| receipt.outcome.summary());
            let fingerprint = held.as_ref().and_then(|held| held.signed.as_ref()).map(|signed| signed.certificate.to_string());
            let notice = Notice {
                outcome: &outcome,
                id,
                at,
                zone: &zone,
                gateway: &gateway,
                host: &host,
                contact: &contact,
                to: &letter.sender,
                recipient: &letter.address,
                recipient_name: &recipient_name,
                original_recipient: letter.orcpt.as_deref(),
                envelope_id: letter.envid.as_deref(),
                accepted_at: letter.accepted_at,
                original: &original,
                message_id: &letter.message_id,
                remote: remote.as_ref().map(|prepared| prepared.peer.as_str()),
                codes: codes.as_deref(),
                evidence: held.as_ref().and_then(|held| evidence(held, fingerprint.as_deref())),
                notes: &missing,
            };
            let message = notice::compose(&notice);
            Some(Delivery { from: None, to: letter.sender.clone(), message, id: None })
        })
        .await
    }

    /// What is known of the blobs that a record names.
    async fn blobs_of(&self, record: Option<&Record>) -> Vec<Blob> {
        let named = record.and_then(|record| Outgoing::from_record(record).ok()).map(|outgoing| outgoing.blobs()).unwrap_or_default();
        let mut blobs = Vec::with_capacity(named.len());
        for id in named {
            blobs.extend(self.blobs.open(id).await.map(|(blob, ..)| blob));
        }
        blobs
    }
}

fn evidence<'a>(held: &'a Held, fingerprint: Option<&'a str>) -> Option<Evidence<'a>> {
    let receipt = held.receipt.as_ref()?;
    let signature = held.signed.as_ref().zip(fingerprint).map(|(signed, fingerprint)| Signature {
        subject: &signed.subject,
        fingerprint,
        checked: signed.checked,
    });
    Some(Evidence { xml: &held.xml, id: &receipt.id, issued: receipt.issued, issuer: receipt.sender.as_str(), signature })
}

/// Where the readers are.
pub(super) fn zone() -> TimeZone {
    TimeZone::get("Europe/Stockholm").unwrap_or(TimeZone::UTC)
}

/// What the notice says; `None` when there is nothing to say.
fn outcome(told: &Tell, receipt: Option<&Receipt>, files: impl FnOnce() -> Vec<Redacted<String>>) -> Option<Outcome> {
    Some(match told {
        Tell::Accepted { at, late: false, .. } => Outcome::Accepted { at: *at },
        Tell::Accepted { at, late: true, .. } => Outcome::LateReceipt { at: *at, verdict: Verdict::Accepted },
        Tell::Rejected { at, late: true, .. } => late(*at, rejected(receipt, &files())?),
        Tell::Rejected { .. } => return rejected(receipt, &files()),
        Tell::Delayed { why: Delay::Receipt { acknowledged }, until } => Outcome::AwaitingReceipt { acknowledged: *acknowledged, until: *until },
        Tell::Delayed { why: Delay::Held, until } => Outcome::Held { until: *until },
        Tell::Delayed { why: Delay::AccessPoint { next }, until } => {
            Outcome::Unreachable { service: Service::AccessPoint, next: *next, last: *until }
        }
        Tell::Delayed { why: Delay::Directory { next }, until } => Outcome::Unreachable { service: Service::Directory, next: *next, last: *until },
        Tell::Failed { why } => match why {
            Fail::AccessPoint => Outcome::GaveUp { service: Service::AccessPoint },
            Fail::Unproven => Outcome::Unproven,
            Fail::Directory => Outcome::GaveUp { service: Service::Directory },
            Fail::NoReceipt { acknowledged } => Outcome::NoReceipt { acknowledged: *acknowledged },
            Fail::NotRegistered => Outcome::OrganisationUnknown,
            Fail::Certificate => Outcome::CertificateBad,
            Fail::NotServed => Outcome::NotServed,
            Fail::FileType { file } => Outcome::TypeRefused { file: files().into_iter().nth(*file) },
            Fail::RefusedByPeer => Outcome::Faulty { at: Fault::AccessPoint },
            Fail::Cancelled => Outcome::Cancelled,
            Fail::Internal => Outcome::Faulty { at: Fault::Gateway },
        },
        Tell::Alarm { .. } => return None,
    })
}

fn late(at: Timestamp, outcome: Outcome) -> Outcome {
    Outcome::LateReceipt { at, verdict: Verdict::Rejected(Box::new(outcome)) }
}

fn rejected(receipt: Option<&Receipt>, files: &[Redacted<String>]) -> Option<Outcome> {
    let Some(receipt::Outcome::Rejected(breaches)) = receipt.map(|receipt| &receipt.outcome) else {
        return Some(Outcome::Faulty { at: Fault::Receiver });
    };
    Outcome::rejected(&settle::lines(breaches), files)
}
