//! [`Queue::Open`](crate::port::Queue::Open): verify and decrypt an incoming envelope, and settle what it holds.

use super::chance::fresh;
use super::effects::{Outcome, blocking, from_store, new_blob, unread};
use super::room::Holding;
use super::scan::Scanned;
use super::{MailSide, Organisation};
use crate::content::Content;
use crate::crypto::Certificate;
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::DocumentKind;
use crate::inbound::check::{self, Checked, Known};
use crate::inbound::open::{self, Verdict};
use crate::inbound::scan;
use crate::inbound::settle::{self, Names};
use crate::inbound::{Arrival, Incoming};
use crate::outbound::Outgoing;
use crate::outbound::accept::Link;
use crate::outbound::settle::{self as outgoing, Received, Signed};
use crate::port::{Effects, Freshness, Lease, NewBlob, Op, Realm, Step};
use crate::sdk::envelope::{EnvelopeError, Passed, Passing};
use crate::sdk::receipt::{self, Receipt};
use crate::sdk::seal::Verified;

/// What an envelope turned out to hold.
enum Opened {
    Message { content: Box<Content>, places: Vec<usize>, xml: Vec<u8>, signer: Certificate },
    Receipt { receipt: Box<Receipt>, xml: Vec<u8>, signer: Certificate },
}

/// What it turned out to hold as far as can be told without the store.
enum Looked {
    Message { checked: Box<Checked>, xml: Vec<u8> },
    Receipt { receipt: Box<Receipt>, xml: Vec<u8> },
}

impl MailSide {
    /// Runs an open job.
    pub(super) async fn open(&self, lease: Lease) -> Result<Outcome, Failure> {
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        let Incoming::Retrieved(arrival) = Incoming::from_record(&record)? else { return self.abandon(lease).await };
        let organisation = self.organisation(&arrival.organisation)?;
        // To the end: an opened message is in memory until it is in the spool.
        let mut held = None;
        let examined = match self.passes(&arrival).await? {
            Ok(()) => {
                let (room, _, envelope) = self.hold_blob(&arrival.organisation, arrival.envelope, Holding::Opening).await?;
                held = Some(room);
                self.examine(&arrival, organisation, envelope).await?
            }
            Err(verdict) => Err(verdict),
        };
        let outcome = match examined {
            Ok(Opened::Message { content, places, xml, signer }) => match self.scan_message(&arrival, &content, &places).await? {
                Scanned::Passed => self.keep_message(arrival, organisation, lease, *content, xml, &signer).await,
                Scanned::Infected(found) => {
                    let effects = scan::infected(arrival, lease, content.recipient.function, found, &names(), self.now())?;
                    self.carry_out("open", effects).await
                }
                Scanned::Waits(error) => {
                    let now = self.now();
                    let due = self.next_scan(lease.job.attempt, now);
                    self.carry_out("open", scan::waits(&arrival, lease, &error, due, now).into()).await
                }
            },
            Ok(Opened::Receipt { receipt, xml, signer }) => self.settle_receipt(arrival, lease, *receipt, xml, &signer).await,
            Err(Verdict::Later(failure)) => Err(failure),
            Err(Verdict::Reject(breaches)) if arrival.kind == DocumentKind::Message => {
                // Rare, so the envelope is read once more rather than copied for every message that is taken.
                let service = self.pass(&arrival).await?.ok().and_then(|passed| passed.header.service);
                let effects = settle::turned_away(arrival, lease, service, breaches, &names(), self.now())?;
                self.carry_out("open", effects).await
            }
            Err(Verdict::Reject(breaches)) => {
                // A receipt is never receipted.
                let why: Vec<String> = breaches.into_iter().map(|breach| breach.reason).collect();
                let effects = open::discarded(arrival, lease, &format!("a receipt that cannot count: {}", why.join("; ")), self.now())?;
                self.carry_out("open", effects).await
            }
            Err(Verdict::Discard(why)) => {
                let effects = open::discarded(arrival, lease, &why, self.now())?;
                self.carry_out("open", effects).await
            }
        };
        drop(held);
        outcome
    }

    /// Whether the envelope is worth its memory: one that is too large whatever it holds is judged as it passes by.
    async fn passes(&self, arrival: &Arrival) -> Result<Result<(), Verdict>, Failure> {
        let (_, octets, _) = self.blobs.open(arrival.envelope).await.map_err(|error| from_store(&error))?;
        if octets <= open::largest(arrival.kind, &self.mail.message) {
            return Ok(Ok(()));
        }
        let passed = self.pass(arrival).await?.map_err(|error| Verdict::Discard(error.to_string()));
        Ok(passed.and_then(|passed| open::size(&passed, &self.mail.message)))
    }

    /// Reads the envelope without keeping it.
    async fn pass(&self, arrival: &Arrival) -> Result<Result<Passed, EnvelopeError>, Failure> {
        let (_, _, mut envelope) = self.blobs.open(arrival.envelope).await.map_err(|error| from_store(&error))?;
        let passed = blocking(move || Passing::of(&mut envelope)).await?;
        passed.map_err(|error| unread(&error))
    }

    async fn examine(&self, arrival: &Arrival, organisation: &Organisation, envelope: Vec<u8>) -> Result<Result<Opened, Verdict>, Failure> {
        let known = arrival.clone();
        let verified = match blocking(move || open::verify(&envelope, &known)).await? {
            Ok(verified) => verified,
            Err(verdict) => return Ok(Err(verdict)),
        };
        if let Err(verdict) = self.judge_signer(&verified, arrival).await {
            return Ok(Err(verdict));
        }
        let seen = self.store.note(Link::received(&arrival.envelope_id)).await.map_err(|error| from_store(&error))?.is_some();
        let (keys, signer) = (organisation.decryption.clone(), verified.signer.clone());
        let (kind, limits) = (arrival.kind, self.mail.message);
        let mailboxes: Vec<_> = organisation.mailboxes.iter().map(|mailbox| (mailbox.function.clone(), mailbox.policy.types.clone())).collect();
        let looked = blocking(move || -> Result<Looked, Verdict> {
            let payload = open::payload(&verified, &keys)?;
            match kind {
                DocumentKind::Receipt => {
                    let receipt = receipt::read(&payload).map_err(|_| Verdict::Discard("the receipt breaks its rules".into()))?;
                    if receipt.sender != verified.header.from || receipt.receiver != verified.header.to {
                        return Err(Verdict::Discard("the receipt's parties are not the envelope's".into()));
                    }
                    Ok(Looked::Receipt { receipt: Box::new(receipt), xml: payload })
                }
                DocumentKind::Message => {
                    let types = |function: &_| mailboxes.iter().find(|(own, _)| own == function).map(|(_, types)| types);
                    let known = Known {
                        has_function: &|function| types(function).is_some(),
                        takes: &|function, media_type| types(function).is_some_and(|types| types.allows(media_type)),
                        seen_before: seen,
                        limits: &limits,
                    };
                    let checked = check::message(&payload, &verified.header, &known);
                    Ok(Looked::Message { checked: Box::new(checked), xml: payload })
                }
            }
        });
        let (checked, xml) = match looked.await? {
            Ok(Looked::Message { checked, xml }) => (checked, xml),
            Ok(Looked::Receipt { receipt, xml }) => return Ok(Ok(Opened::Receipt { receipt, xml, signer })),
            Err(verdict) => return Ok(Err(verdict)),
        };
        let rejected = match checked.answers() {
            Some(answered) => self.store.note(settle::rejected(&arrival.from, answered)).await.map_err(|error| from_store(&error))?.is_some(),
            None => false,
        };
        let places = checked.places();
        let verdict = checked.verdict(rejected).map_err(Verdict::Reject);
        Ok(verdict.map(|content| Opened::Message { content: Box::new(content), places, xml, signer }))
    }

    /// The signer three ways: chain and validity, revocation, and CertPub (SDK C3.4.5).
    async fn judge_signer(&self, verified: &Verified, arrival: &Arrival) -> Result<(), Verdict> {
        let judged = self.trust.judge(Realm::Participant, &verified.signer, &verified.intermediates).await;
        judged.map_err(|error| open::from_trust(&error))?;
        for freshness in [Freshness::Cached, Freshness::Fresh] {
            let metadata = match self.published(&arrival.from, freshness).await {
                Err(error) if error.is_absence() && freshness == Freshness::Cached => continue,
                found => found.map_err(|error| open::from_directory(&error))?,
            };
            if open::is_published(&verified.signer, &metadata) {
                return self.note_stale(arrival.record, &arrival.organisation, &metadata).await.map_err(Verdict::Later);
            }
        }
        Err(open::unpublished())
    }

    async fn keep_message(
        &self,
        arrival: Arrival,
        organisation: &Organisation,
        lease: Lease,
        content: Content,
        xml: Vec<u8>,
        signer: &Certificate,
    ) -> Result<Outcome, Failure> {
        let function = content.recipient.function.as_ref();
        let mailbox = function.and_then(|function| organisation.mailbox(function)).map(|mailbox| mailbox.deliver_to.clone());
        let mailbox = mailbox.ok_or_else(|| Failure::permanent(Stage::Check, Blame::Us, "a checked message has no mailbox"))?;
        if let Some(function) = &content.recipient.function {
            self.count_received(&arrival.organisation, function, &arrival.from, content.sender.function.as_ref()).await?;
        }
        let link = Link { conversation: content.conversation_id.clone(), message: content.message_id.clone(), record: arrival.record };
        let link = (Link::received(&content.message_id), link.to_note());
        let effects = settle::taken(arrival, lease, &content, xml, &mailbox, signer.fingerprint(), link, names(), self.now())?;
        self.carry_out("open", effects).await
    }

    async fn settle_receipt(&self, arrival: Arrival, lease: Lease, receipt: Receipt, xml: Vec<u8>, signer: &Certificate) -> Result<Outcome, Failure> {
        // The outgoing message may move on between reading and writing; then it is read again.
        for _ in 0..4 {
            let now = self.now();
            let own =
                settle::receipt_taken(arrival.clone(), lease.clone(), &receipt.refers_to, &receipt.outcome.summary(), signer.fingerprint(), now)?;
            let effects = if let Some(sent) = self.sent(&receipt).await? {
                let (record, blob) = (sent.record_id(), new_blob());
                // Cut, so that no subject is too long to keep.
                let subject = signer.subject().chars().take(400).collect();
                let signed = Signed { record, subject, certificate: signer.fingerprint(), checked: now };
                let kept = NewBlob { blob: signed.blob(blob)?, body: xml.clone().into() };
                let received = Received { receipt: &receipt, envelope_id: &arrival.envelope_id, from: &arrival.from, blob };
                let mut remembered = Step::new();
                remembered.ops = self.remember_types(&sent, &receipt, &arrival.from).await?;
                let settled = outgoing::settle(sent, &received, now)?;
                Effects { blobs: vec![kept], ..Effects::default() }.and(own).and(settled).and(remembered.into())
            } else {
                let event = Event::new(now, EventName::StrayReceipt)
                    .of(arrival.record, &arrival.organisation)
                    .with(Field::MessageId, &receipt.refers_to)
                    .with(Field::OriginalSender, &arrival.from)
                    .with(Field::Cause, "a receipt for a message that was not sent from here");
                own.and(Step::new().op(Op::Audit(event)).into())
            };
            if self.carry_out("open.receipt", effects).await? == Outcome::Applied {
                return Ok(Outcome::Applied);
            }
        }
        Err(Failure::temporary(Stage::Settle, Blame::Us, "the message that a receipt refers to keeps changing"))
    }

    /// The outgoing message that a receipt refers to.
    async fn sent(&self, receipt: &Receipt) -> Result<Option<Outgoing>, Failure> {
        let note = self.store.note(Link::sent(&receipt.refers_to)).await.map_err(|error| from_store(&error))?;
        let Some(link) = note.as_deref().and_then(Link::from_note) else { return Ok(None) };
        let record = self.store.record(link.record).await.map_err(|error| from_store(&error))?;
        record.map(|record| Outgoing::from_record(&record)).transpose()
    }
}

fn names() -> Names {
    Names { receipt_id: fresh().to_string(), receipt: new_blob(), message: new_blob() }
}
