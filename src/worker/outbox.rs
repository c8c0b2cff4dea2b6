//! Mails in an outbox folder, found by [`edge::imap`](crate::edge::imap): taken by the same step as those that come by SMTP.
//!
//! There is no dialogue in which a mail could be refused, so its writer gets a notice with the reasons that SMTP would have
//! given. The notice goes out before the mail leaves the folder, so that a crash repeats it (with the same Message-ID)
//! rather than to lose it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::chance::fresh;
use super::effects::{blocking, from_store, point};
use super::notice::zone;
use super::notify::announced;
use super::reception::{Destination, Refusal, Settled, name_recipient, too_large};
use super::{MailSide, Mailbox};
use crate::crypto::sha256;
use crate::edge::imap::{Content, Fate, Found, ImapError, OutboxReception, Place};
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{FunctionId, MailAddress, MessageId, ParticipantId, Sha256};
use crate::mail::addressees::{self, Addressees};
use crate::mail::alarm::Cause;
use crate::mail::notice::{self, Notice, Outcome};
use crate::outbound::accept::{Origin, Told, Transaction};
use crate::outbound::state::Notify;
use crate::port::{Delivery, Op, Pending, SinkError, Step};

/// Octets of a mail that a notice and a look at the recipients need.
const HEADER: usize = 256 << 10;
/// Notices that are remembered; one that is forgotten goes out again, with the same Message-ID.
const REMEMBERED: usize = 10_000;
/// Addresses that a notice names.
const NAMED: usize = 10;

/// What to do about recipients outside the gateway's domain, in a mail that has others within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherRecipients {
    /// Tell the writer that nothing is sent to them from here.
    Notice,
    /// Nothing: the mail server has sent to them itself.
    Ignore,
}

/// What is known of an outbox folder here.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// The organisation of its mailbox.
    pub organisation: ParticipantId,
    /// The function of its mailbox.
    pub function: FunctionId,
    /// The server, for the journal.
    pub server: String,
    /// Recipients of one mail.
    pub max_recipients: usize,
    /// Recipients outside the gateway's domain.
    pub others: OtherRecipients,
}

/// The gateway behind an outbox folder.
pub struct OutboxDoor {
    gateway: Arc<MailSide>,
    settings: OutboxSettings,
    /// Notices that went out since the start, about mails that are in the folder still.
    told: Mutex<HashSet<Uuid>>,
}

/// A mail on its way out of the folder.
struct Letter {
    origin: Origin,
    header: Vec<u8>,
    addressees: Addressees,
}

/// One refusal, and whom it is about.
struct Refused<'a> {
    recipients: &'a [MailAddress],
    refusal: Refusal,
}

impl OutboxDoor {
    /// A door for one folder.
    #[must_use]
    pub fn new(gateway: Arc<MailSide>, settings: OutboxSettings) -> Self {
        Self { gateway, settings, told: Mutex::default() }
    }

    fn mailbox(&self) -> Result<&Mailbox, Failure> {
        let found = self.gateway.household.mailbox(&self.settings.organisation, &self.settings.function);
        found.ok_or_else(|| Failure::permanent(Stage::Accept, Blame::Us, "an outbox folder has no mailbox"))
    }

    /// Whether the mailbox has so much here that its mails stay in the folder for now.
    async fn has_to_wait(&self) -> bool {
        let OutboxSettings { organisation, function, .. } = &self.settings;
        match self.gateway.room_to_send(organisation, function, 0).await {
            Ok(None) => false,
            Ok(Some(reached)) => {
                self.gateway.tell_reached(&reached).await;
                tracing::debug!(limit = reached.limit.word(), "a mail in an outbox folder must wait");
                true
            }
            Err(failure) => {
                tracing::error!(what = %failure.what, hint = %failure.hint, "an outbox folder must wait");
                true
            }
        }
    }

    async fn noted(&self, origin: &Origin) -> Result<Option<String>, Failure> {
        self.gateway.store.note(origin.mark()).await.map_err(|error| from_store(&error))
    }

    async fn take_in(&self, found: Found) -> Result<Fate, Failure> {
        point("outbox", "fetched");
        let Found { place, internal_date, content, room } = found;
        let (octets, body) = match content {
            Content::Whole(mail) => (None, mail),
            Content::TooLarge { octets, header } => (Some(octets), header),
        };
        let (digest, body) = blocking(move || (sha256(&body), body)).await?;
        let origin = match self.recognise(&place, digest, &internal_date).await? {
            Ok(told) => return Ok(fate(told)),
            Err(origin) => origin,
        };
        let header = body.get(..HEADER).unwrap_or(&body).to_vec();
        let letter = Letter { origin, addressees: addressees::read(&header, &self.gateway.settings.domain), header };
        if let Some(octets) = octets {
            return self.refuse(&letter, too_large(octets, self.gateway.mail.sending.payload as u64)).await;
        }
        if let Some(refusal) = self.judge(&letter.addressees)? {
            return self.refuse(&letter, refusal).await;
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for address in &letter.addressees.ours {
            match self.gateway.check_recipient(address).await {
                Ok(destination) => good.push((address.clone(), destination)),
                Err(refusal) => bad.push(Refused { recipients: std::slice::from_ref(address), refusal }),
            }
        }
        if self.settings.others == OtherRecipients::Notice && !letter.addressees.others.is_empty() {
            bad.push(Refused { recipients: &letter.addressees.others, refusal: outside() });
        }
        for refused in &bad {
            self.tell(&letter, refused).await?;
        }
        if good.is_empty() {
            return self.refused(&letter, "no recipient was taken").await;
        }
        self.accept(letter, good, body, digest, room).await
    }

    async fn accept(
        &self,
        letter: Letter,
        recipients: Vec<(MailAddress, Destination)>,
        body: Vec<u8>,
        digest: Sha256,
        room: Box<dyn Send>,
    ) -> Result<Fate, Failure> {
        let gateway = &self.gateway;
        // RFC 3461 4.1: without an envelope nobody asked for anything else.
        let notify = Notify { success: false, failure: true, delay: true };
        let named = recipients.into_iter().map(|(address, destination)| name_recipient(&address, destination, notify, None));
        let sender = match &letter.addressees.from {
            Some(from) => from.clone(),
            None => self.mailbox()?.address.clone(),
        };
        let transaction = Transaction {
            id: fresh(),
            at: gateway.now(),
            organisation: self.settings.organisation.clone(),
            function: self.settings.function.clone(),
            sender,
            envid: None,
            recipients: named.collect::<Result<_, _>>()?,
            peer: self.settings.server.clone(),
            account: None,
            originator: None,
            origin: Some(letter.origin.clone()),
        };
        let blob = transaction.blob()?;
        gateway.write_blob(blob.clone(), body).await?;
        drop(room);
        let settled = match gateway.settle_mail(&transaction, digest).await {
            Ok(settled) => {
                if !settled.is_kept() {
                    gateway.discard("accept", &[blob.id]).await;
                }
                settled
            }
            Err(failure) => {
                if !gateway.node.became_ours("accept", blob).await {
                    return Err(failure);
                }
                Settled::Accepted
            }
        };
        match settled {
            Settled::Accepted | Settled::Repeated(_) | Settled::Dropped => {
                point("outbox", "taken");
                Ok(Fate::Taken)
            }
            Settled::Refused(refusal) => self.refuse(&letter, refusal).await,
        }
    }

    /// What became of the mail before UIDVALIDITY changed; otherwise the place that it is known by from now on.
    async fn recognise(&self, place: &Place, digest: Sha256, internal_date: &str) -> Result<Result<Told, Origin>, Failure> {
        let gateway = &self.gateway;
        let origin = Origin::new(&place.account, &place.folder, place.validity, place.uid);
        let mut free = None;
        for twin in Origin::twins(&place.account, &place.folder, digest, internal_date) {
            let note = gateway.store.note(twin.key()).await.map_err(|error| from_store(&error))?;
            let Some(note) = note else {
                free.get_or_insert(twin);
                continue;
            };
            if let Some(told) = crate::outbound::accept::Twin::told(&note, place.validity) {
                tracing::info!(account = place.account, folder = place.folder, uid = place.uid, "a mail was settled before UIDVALIDITY changed");
                let step = origin.known_by(twin).settled(told, gateway.now());
                gateway.carry_out("outbox.recognised", step.into()).await?;
                return Ok(Ok(told));
            }
        }
        Ok(Err(match free {
            Some(twin) => origin.known_by(twin),
            None => origin,
        }))
    }

    /// What is wrong with a mail as a whole.
    fn judge(&self, addressees: &Addressees) -> Result<Option<Refusal>, Failure> {
        let mailbox = self.mailbox()?;
        let allowed = |from: &MailAddress| *from == mailbox.address || mailbox.senders.contains(from);
        let refusal = if !addressees.from.as_ref().is_none_or(allowed) {
            Refusal::new(550, (7, 1), "Från-adressen får inte skicka som funktionsbrevlådan", "the From address may not send as the function mailbox")
        } else if addressees.malformed > 0 {
            Refusal::new(550, (1, 3), "En mottagaradress är felskriven", "a recipient's address is malformed")
        } else if addressees.ours.len() > self.settings.max_recipients {
            let most = self.settings.max_recipients;
            Refusal::new(550, (5, 3), &format!("Mejlet har för många mottagare, högst {most}"), &format!("too many recipients, at most {most}"))
        } else if addressees.ours.is_empty() && addressees.others.is_empty() {
            Refusal::new(550, (1, 3), "Mejlet har ingen mottagare", "the mail has no recipient")
        } else if addressees.ours.is_empty() {
            outside()
        } else {
            return Ok(None);
        };
        Ok(Some(refusal))
    }

    /// Refuses a mail as a whole: its writer is told, then it is noted.
    async fn refuse(&self, letter: &Letter, refusal: Refusal) -> Result<Fate, Failure> {
        let all: Vec<MailAddress> = letter.addressees.ours.iter().chain(&letter.addressees.others).take(NAMED).cloned().collect();
        let cause = format!("{} {}.{}.{}", refusal.code, refusal.code / 100, refusal.status.0, refusal.status.1);
        self.tell(letter, &Refused { recipients: &all, refusal }).await?;
        self.refused(letter, &cause).await
    }

    async fn refused(&self, letter: &Letter, cause: &str) -> Result<Fate, Failure> {
        let now = self.gateway.now();
        let mut event = Event::new(now, EventName::MailRefused).with(Field::Cause, cause).with(Field::PeerAddress, &self.settings.server);
        event.organisation = Some(self.settings.organisation.clone());
        let step = letter.origin.settled(Told::Refused, now).op(Op::Audit(event.with(Field::Function, &self.settings.function)));
        self.gateway.carry_out("outbox.refused", step.into()).await?;
        Ok(Fate::Refused)
    }

    /// Tells the writer of a refusal; who may not send as this mailbox is not told, the mailbox is.
    async fn tell(&self, letter: &Letter, refused: &Refused<'_>) -> Result<(), Failure> {
        let mailbox = self.mailbox()?;
        let own = letter.addressees.from.as_ref().filter(|from| **from == mailbox.address || mailbox.senders.contains(from));
        let to = own.unwrap_or(&mailbox.address).clone();
        let recipient = refused.recipients.first().unwrap_or(&mailbox.address).clone();
        // The same notice has the same id, however often it is made.
        let name = format!("{} {} {recipient}", letter.origin.mark().as_str(), refused.refusal.text);
        let Sha256(seed) = sha256(name.as_bytes());
        let id = Uuid::from_bytes(*seed.first_chunk().unwrap_or(&[0; 16]));
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            return Ok(());
        }
        let message = self.compose(letter, refused, id, &to, &recipient)?;
        let sink = self.gateway.sinks.of_notices(Some(mailbox), &to);
        match sink.deliver_again(Delivery { from: None, to, message, id: None }).await {
            Ok(_) => {}
            // Nobody is told that a notice cannot be delivered: that is how loops begin. The mail is in the folder of failures.
            Err(error @ SinkError::Permanent(_)) => tracing::error!(%error, "a notice of a refused mail cannot be delivered"),
            Err(error) => return Err(Failure::temporary(Stage::Accept, Blame::MailServer, error.to_string())),
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(id);
        drop(told);
        point("outbox", "told");
        Ok(())
    }

    fn compose(&self, letter: &Letter, refused: &Refused<'_>, id: Uuid, to: &MailAddress, recipient: &MailAddress) -> Result<Vec<u8>, Failure> {
        let Refusal { code, status, text } = &refused.refusal;
        let (swedish, english) = text.split_once(" / ").unwrap_or((text, text));
        let (class, subject, detail) = (code / 100, status.0, status.1);
        let outcome = Outcome::NotTaken {
            status: format!("{class}.{subject}.{detail}"),
            swedish: swedish.to_owned().into(),
            english: english.to_owned().into(),
        };
        let named = refused.recipients.iter().chain(refused.recipients.is_empty().then_some(recipient));
        let names: Vec<&str> = named.take(NAMED).map(MailAddress::as_str).collect();
        let case = MessageId::new(id.to_string()).map_err(|error| Failure::permanent(Stage::Accept, Blame::Us, error.to_string()))?;
        let (now, zone, settings, operator) = (self.gateway.now(), zone(), &self.gateway.settings, &self.gateway.mail.operator);
        Ok(notice::compose(&Notice {
            outcome: &outcome,
            id,
            at: now,
            zone: &zone,
            gateway: &settings.domain,
            host: &settings.name,
            contact: operator,
            to,
            recipient,
            recipient_name: &names.join(", "),
            original_recipient: None,
            envelope_id: None,
            accepted_at: now,
            original: &letter.header,
            message_id: &case,
            remote: None,
            codes: None,
            evidence: None,
            notes: &[],
        }))
    }
}

impl OutboxReception for OutboxDoor {
    fn known<'a>(&'a self, place: &'a Place) -> Pending<'a, Option<Fate>> {
        Box::pin(async move {
            let known = async {
                let note = self.noted(&Origin::new(&place.account, &place.folder, place.validity, place.uid)).await?;
                if note.is_none() {
                    self.gateway.admits(None).await?;
                    // Asked before it is fetched, so that a folder that has to wait is not read over and over.
                    if self.has_to_wait().await {
                        return Ok(Some(Fate::Shut));
                    }
                }
                Ok(note.map(|note| fate(Origin::told(&note))))
            };
            let known: Result<Option<Fate>, Failure> = known.await;
            known.unwrap_or_else(|failure| {
                tracing::error!(what = %failure.what, hint = %failure.hint, "an outbox folder must wait");
                Some(Fate::Shut)
            })
        })
    }

    fn room(&self, octets: u64) -> Pending<'_, Box<dyn Send>> {
        Box::pin(async move {
            match self.gateway.room.take(&self.settings.organisation, octets).await {
                Ok(held) => Box::new(held) as Box<dyn Send>,
                // The room is never closed while the gateway runs.
                Err(_) => Box::new(()),
            }
        })
    }

    fn take(&self, found: Found) -> Pending<'_, Fate> {
        Box::pin(async move {
            match self.take_in(found).await {
                Ok(fate) => fate,
                Err(failure) => {
                    tracing::error!(what = %failure.what, hint = %failure.hint, "a mail in an outbox folder must wait");
                    // Whether it is this one that cannot be taken, or any.
                    let well = self.gateway.works().await && self.gateway.admits(None).await.is_ok();
                    if well { Fate::Later } else { Fate::Shut }
                }
            }
        })
    }

    fn moved<'a>(&'a self, _: &'a Place) -> Pending<'a, ()> {
        Box::pin(async { point("outbox", "moved") })
    }

    fn gone(&self, place: Place) -> Pending<'_, ()> {
        Box::pin(async move {
            let origin = Origin::new(&place.account, &place.folder, place.validity, place.uid);
            let forgotten = async {
                let Some(note) = self.noted(&origin).await? else { return Ok(()) };
                self.gateway.carry_out("outbox.gone", origin.forgotten(&note).into()).await.map(drop)
            };
            let forgotten: Result<(), Failure> = forgotten.await;
            if let Err(failure) = forgotten {
                tracing::warn!(what = %failure.what, "the mark of a mail that is gone stays");
            }
        })
    }

    fn unreachable<'a>(&'a self, account: &'a str, error: &'a ImapError) -> Pending<'a, ()> {
        Box::pin(async move {
            let (now, what) = (self.gateway.now(), format!("the outbox folder of {account} cannot be read: {error}"));
            let hint = "see whether the server is up, the login right and the mailbox shared with it; docs/imap.md has the steps";
            let mut event = Event::new(now, EventName::Postponed).with(Field::Cause, &what);
            event.organisation = Some(self.settings.organisation.clone());
            let step = announced(Step::new(), event, Cause::OutboxUnread, hint);
            if let Err(failure) = self.gateway.carry_out("outbox.unreachable", step.into()).await {
                tracing::error!(what = %failure.what, "the operator cannot be told");
            }
        })
    }
}

const fn fate(told: Told) -> Fate {
    match told {
        Told::Taken => Fate::Taken,
        Told::Refused => Fate::Refused,
    }
}

fn outside() -> Refusal {
    Refusal::new(
        550,
        (7, 1),
        "Adressen ligger utanför SDK, och härifrån skickas bara till SDK. Skicka dit från den vanliga utkorgen",
        "the address is outside SDK, and mail is sent to SDK only from here; send there in the usual way",
    )
}
