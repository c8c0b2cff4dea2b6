//! [`Queue::Seal`](crate::port::Queue::Seal): address and seal an outgoing message.

use super::effects::{Outcome, blocking, from_store, new_blob};
use super::lookup::{InLine, Unfound};
use super::room::Holding;
use super::threads::Linked;
use super::{MailSide, Node, Organisation};
use crate::content::Reference;
use crate::crypto::Certificate;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::DocumentKind;
use crate::inbound::Taken;
use crate::mail::convert;
use crate::mail::thread::Ends;
use crate::outbound::address::{self, Unaddressed};
use crate::outbound::convert::{Returned, content};
use crate::outbound::seal::{self, Seal};
use crate::outbound::send::{self, Attempted};
use crate::outbound::{Cargo, Letter, Outgoing, Scheduled, told};
use crate::port::{Effects, Fail, Freshness, Lease, Metadata, Op, Realm, Step, StoreError};
use crate::sdk::message;

/// So many messages of a conversation are searched for references.
const MESSAGES_BACK: usize = 8;
/// Octets of a mail of ours in which its references are looked for.
const HEADER_MAX: u64 = 64 * 1024;

impl MailSide {
    /// Runs a seal job.
    pub(super) async fn seal(&self, lease: Lease) -> Result<Outcome, Failure> {
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        let state = match Outgoing::from_record(&record)? {
            Outgoing::Scheduled(state) => state,
            Outgoing::Held(state) => return self.release(state, lease).await,
            _ => return self.abandon(lease).await,
        };
        let state = match self.hold_back(state, &lease).await? {
            Ok(state) => state,
            Err(outcome) => return Ok(outcome),
        };
        let organisation = self.organisation(&state.letter.organisation)?;
        let metadata = match self.recipient(&state, &lease).await {
            Ok(metadata) => metadata,
            Err(Unfound::InLine(InLine(to, waits))) => return self.wait_in_lane(Attempted::Scheduled(state), lease, &to, waits).await,
            Err(Unfound::Unaddressed(Unaddressed { failure, fail })) => {
                let (schedule, moment) = (self.schedule(&organisation.participant), self.moment());
                let effects = send::failed(Attempted::Scheduled(state), lease, &failure, fail, schedule, moment, Node::random())?;
                return self.carry_out("seal", effects).await;
            }
        };
        let returned = self.returned_references(&state.letter).await?;
        // To the end: the sealed envelope is in memory until it is in the spool.
        let (_held, _, mail) = self.hold_blob(&state.letter.organisation, state.letter.mail, Holding::Sealing).await?;
        let mailbox = organisation.mailbox(&state.letter.function);
        let labels = organisation.labels(&state.letter.function);
        let limits = self.mail.sending;
        let policy = mailbox.map(|mailbox| mailbox.policy.clone()).unwrap_or_default();
        let (signer, federation, now) = (organisation.signing.clone(), self.settings.federation.clone(), self.now());
        let (as4_id, envelope) = (self.new_as4_id()?, new_blob());
        let peer = metadata.access_point.common_name().unwrap_or_default();
        let addressed = told::addressed(&state.letter, &peer, metadata.access_point.fingerprint(), now);
        let own = policy.clone();
        let (mail, converted) = blocking(move || {
            let converted = convert::outgoing(&mail, &own)
                .map_err(|error| Failure::permanent(Stage::Convert, Blame::Us, format!("an accepted mail can no longer be converted: {error}")));
            (mail, converted)
        })
        .await?;
        let to = (&state.letter.participant, &state.letter.to_function);
        let converted = match converted {
            Ok(converted) => self.welcome(converted, mail, &policy, to).await?.map_err(|unwelcome| {
                let what = format!("the receiving function has refused {} before", unwelcome.media_type);
                (Failure::permanent(Stage::Convert, Blame::Sender, what), Fail::FileType { file: unwelcome.file })
            }),
            Err(failure) => Err((failure, Fail::Internal)),
        };
        let mail = match converted {
            Ok(mail) => mail,
            Err((failure, fail)) => {
                let schedule = &self.settings.schedule;
                let effects = send::failed(Attempted::Scheduled(state), lease, &failure, fail, schedule, now, Node::random())?;
                return self.carry_out("seal", effects).await;
            }
        };
        let failed = (state.clone(), lease.clone());
        let sealed = blocking(move || {
            let content = content(&mail, &state.letter, &labels, &returned);
            let missing = convert::missing(&mail.notes);
            let with = Seal { signer: &signer, federation: &federation, as4_id, envelope, limits, missing: &missing, now };
            seal::message(state, lease, &content, &metadata, &with)
        });
        let effects = match sealed.await? {
            // The journal tells them in the order in which they happened.
            Ok(effects) => Effects::from(Step::new().op(Op::Audit(addressed))).and(effects),
            Err(failure) => {
                let (state, lease) = failed;
                let fail = if failure.blame == Blame::Peer { Fail::Certificate } else { Fail::Internal };
                send::failed(Attempted::Scheduled(state), lease, &failure, fail, self.schedule(&organisation.participant), now, Node::random())?
            }
        };
        self.carry_out("seal", effects).await
    }

    /// The recipient's metadata, judged; on a bad certificate it is looked up once more past the cache.
    async fn recipient(&self, state: &Scheduled, lease: &Lease) -> Result<Metadata, Unfound> {
        let (whose, since) = ((&state.letter.participant, DocumentKind::Message), Cargo::Letter(state.letter.clone()).since());
        let mut freshness = Freshness::Cached;
        loop {
            let metadata = match self.registered(whose, freshness, lease, since).await? {
                Err(error) if error.is_absence() && freshness == Freshness::Cached => {
                    freshness = Freshness::Fresh;
                    continue;
                }
                found => found.map_err(|error| address::from_directory(&error))?,
            };
            match self.judge_recipient(&metadata).await {
                Err(unaddressed) if !unaddressed.failure.is_temporary() && freshness == Freshness::Cached => freshness = Freshness::Fresh,
                judged => {
                    let certificate = judged?;
                    let noted = self.note_stale(state.letter.record, &state.letter.organisation, &metadata).await;
                    return noted
                        .map(|()| Metadata { encryption: vec![certificate], ..metadata })
                        .map_err(|failure| Unaddressed { failure, fail: Fail::Internal }.into());
                }
            }
        }
    }

    /// The certificate to encrypt to: of those that are published the newest that is good now.
    async fn judge_recipient(&self, metadata: &Metadata) -> Result<Certificate, Unaddressed> {
        address::endpoint(metadata, &self.settings.transport_profiles, self.now())?;
        let mut refused: Option<Unaddressed> = None;
        for certificate in address::encryption(metadata) {
            match self.trust.judge(Realm::Participant, &certificate, &[]).await {
                Ok(()) => return Ok(certificate),
                Err(error) => {
                    let error = address::from_trust(&error, "the recipient's encryption certificate");
                    // One that may still turn out good is worth waiting for.
                    if refused.as_ref().is_none_or(|before| error.failure.is_temporary() && !before.failure.is_temporary()) {
                        refused = Some(error);
                    }
                }
            }
        }
        Err(refused.unwrap_or_else(|| address::unencryptable(metadata)))
    }

    /// The references of the conversation: what the other side gave as its own in the message of theirs that was last, and
    /// what we gave as ours before.
    async fn returned_references(&self, letter: &Letter) -> Result<Returned, Failure> {
        let ends = Ends { organisation: &letter.organisation, function: &letter.function, other: &letter.participant };
        let (mut returned, mut heard, mut next) = (Returned::default(), false, letter.in_reply_to.clone());
        for _ in 0..MESSAGES_BACK {
            let Some(answered) = next.take() else { break };
            // Only the party that gave a reference gets it back.
            match self.between(&answered, &ends).await? {
                Some(Linked::Received(taken)) => {
                    next = taken.in_reply_to.clone();
                    let Some(content) = self.received(&taken).await? else { continue };
                    if !heard {
                        (heard, returned.theirs) = (true, content.sender.references);
                    }
                    if returned.ours.is_empty() {
                        returned.ours = content.recipient.references;
                    }
                }
                Some(Linked::Sent(sent)) => {
                    if returned.ours.is_empty() {
                        returned.ours = self.own_references(&sent).await?;
                    }
                    next = sent.in_reply_to;
                }
                None => {}
            }
            if heard && !returned.ours.is_empty() {
                break;
            }
        }
        Ok(returned)
    }

    /// The references that a mail of ours gave.
    async fn own_references(&self, letter: &Letter) -> Result<Vec<Reference>, Failure> {
        let Ok((_, _, body)) = self.blobs.open(letter.mail).await else { return Ok(Vec::new()) };
        let read = blocking(move || {
            let mut header = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(body, HEADER_MAX), &mut header).map(|_| header)
        });
        Ok(read.await?.map(|header| convert::header_references(&header)).unwrap_or_default())
    }

    /// A received message.
    async fn received(&self, taken: &Taken) -> Result<Option<crate::content::Content>, Failure> {
        // Its content may have been deleted since: its time was over.
        if matches!(self.blobs.open(taken.message).await, Err(StoreError::Missing(_))) {
            return Ok(None);
        }
        let (_held, _, xml) = self.hold_blob(&taken.arrival.organisation, taken.message, Holding::Rendering).await?;
        let limits = self.mail.message;
        blocking(move || message::read(&xml, &limits).ok()).await
    }

    /// An organisation of ours.
    pub(super) fn organisation(&self, participant: &crate::ident::ParticipantId) -> Result<&Organisation, Failure> {
        self.household.organisation(participant).ok_or_else(|| {
            Failure::temporary(Stage::Seal, Blame::Us, format!("{participant} is no longer configured"))
                .hint("messages of an organisation that was removed from the configuration wait until it is there again")
        })
    }
}
