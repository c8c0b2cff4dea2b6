//! Mail in: who may send to whom, and when a mail is ours.
//!
//! Everything that can be decided before 250 is decided before 250, so that the mail server tells its user at once.
//! What depends on DNS or SMP being up is not: a well-formed address is accepted and queued when they are down.

use std::collections::HashMap;
use std::sync::Arc;

use super::MailSide;
use super::chance::fresh;
use super::effects::{Outcome, blocking, from_store, point};
use super::limits::{Limit, Usage};
use super::room::{Held, Holding};
use crate::crypto::sha256;
use crate::failure::{Blame, Failure, Shortage, Stage};
use crate::ident::{DocumentKind, Domain, FunctionId, MailAddress, MessageId, ParticipantId, RecordId, Sha256};
use crate::mail::address::{self, Reading};
use crate::mail::convert::{self, ConvertError, Receipt};
use crate::outbound::accept::{self, Mail, Recipient, Transaction};
use crate::outbound::convert as convert_to_sdk;
use crate::outbound::state::{Letter, Notify};
use crate::outbound::turn;
use crate::port::{BlobId, DirectoryError, Key, StoreError, Stored};
use jiff::Timestamp;

/// How long a transaction whose client may not have seen our 250 is remembered: longer than mail servers try.
const UNCONFIRMED: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 6);

/// How long a mail may wait for room in memory while its client waits for an answer, which it does for ten minutes
/// (RFC 5321 4.5.3.2.6).
pub const FOR_ROOM: std::time::Duration = std::time::Duration::from_mins(4);

/// How often a mail is lined up behind others of its conversation that are accepted at the same moment.
const TRIES: usize = 16;

/// What became of a mail at the end of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is ours.
    Accepted,
    /// It was ours already: the client missed our first answer.
    Repeated(String),
    /// It is ours, and was dropped: a program sent it by itself.
    Dropped,
    /// It is refused.
    Refused(Refusal),
}

impl Settled {
    /// Whether the mail's blob is still needed.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Accepted)
    }
}

/// Why a mail, a sender or a recipient is refused: an SMTP reply's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reply's code.
    pub code: u16,
    /// Subject and detail of the enhanced status.
    pub status: (u16, u16),
    /// Swedish, then English.
    pub text: String,
}

impl Refusal {
    pub(super) fn new(code: u16, status: (u16, u16), swedish: &str, english: &str) -> Self {
        Self { code, status, text: format!("{swedish} / {english}") }
    }
}

impl Refusal {
    /// The same with addresses that may have been meant.
    fn near(mut self, addresses: &[MailAddress]) -> Self {
        if !addresses.is_empty() {
            let list: Vec<&str> = addresses.iter().map(MailAddress::as_str).collect();
            self.text.extend([" - liknande adresser / similar addresses: ", &list.join(", ")]);
        }
        self
    }
}

impl From<&ConvertError> for Refusal {
    fn from(error: &ConvertError) -> Self {
        Self::new(error.code(), error.status(), &error.swedish(), &error.english())
    }
}

/// Whose mailbox a sender is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The organisation.
    pub organisation: ParticipantId,
    /// The mailbox's function.
    pub function: FunctionId,
    /// The mailbox's address.
    pub mailbox: MailAddress,
}

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The organisation.
    pub participant: ParticipantId,
    /// The function.
    pub function: FunctionId,
}

impl MailSide {
    /// Whether a mail may be sent in this name.
    ///
    /// # Errors
    /// A [`Refusal`] when the address is no mailbox of ours and may not send as one.
    pub fn check_sender(&self, address: &MailAddress) -> Result<Sender, Refusal> {
        let (organisation, mailbox) = self.household.sender(address).ok_or_else(|| {
            Refusal::new(
                550,
                (7, 1),
                "Avsändaren är ingen funktionsbrevlåda som får skicka till SDK",
                "the sender is not a function mailbox that may send to SDK",
            )
        })?;
        Ok(Sender { organisation: organisation.participant.clone(), function: mailbox.function.clone(), mailbox: mailbox.address.clone() })
    }

    /// Whether a notice with the empty sender is for us: it is taken and dropped.
    ///
    /// # Errors
    /// A [`Refusal`] for another domain than ours.
    pub fn check_return(&self, address: &MailAddress) -> Result<(), Refusal> {
        match address::read(address, &self.settings.domain) {
            Reading::Foreign => Err(foreign()),
            _ => Ok(()),
        }
    }

    /// Where an address leads, whether anybody is there or not.
    ///
    /// # Errors
    /// A [`Refusal`]: another domain than ours, or a malformed address.
    pub async fn destination(&self, address: &MailAddress) -> Result<Destination, Refusal> {
        let destination = match address::read(address, &self.settings.domain) {
            Reading::Function { participant, function } => Destination { participant, function },
            Reading::Short { participant, key } => {
                let note = self.store.note(short_form(&key)).await.map_err(|error| unknown_now(&error))?;
                let function = note.and_then(|function| FunctionId::new(function).ok());
                let function = function.ok_or_else(|| Refusal::new(550, (1, 1), "Funktionsadressen är okänd", "the function address is unknown"))?;
                Destination { participant, function }
            }
            // RFC 5321 4.5.1 asks for a postmaster. Mail to it would need a way of its own; the client is told where to write.
            Reading::Alias(name) if name.eq_ignore_ascii_case("postmaster") => {
                let operator = &self.mail.operator;
                let (swedish, english) = (format!("Skriv till {operator}"), format!("the postmaster is {operator}"));
                return Err(Refusal::new(551, (1, 6), &swedish, &english));
            }
            Reading::Alias(name) => {
                return Err(Refusal::new(550, (1, 1), "Adressen finns inte", "no such address").near(&self.functions_like(&name).await));
            }
            Reading::Foreign => return Err(foreign()),
            Reading::Malformed(why) => {
                return Err(Refusal::new(550, (1, 3), "Adressen är felskriven", &format!("malformed address: {why}")));
            }
        };
        Ok(destination)
    }

    /// Whether a recipient's address leads to a participant that takes messages.
    ///
    /// # Errors
    /// A [`Refusal`]: as [`Self::destination`], or an organisation that is not in the federation.
    pub async fn check_recipient(&self, address: &MailAddress) -> Result<Destination, Refusal> {
        let destination = self.destination(address).await?;
        match self.directory.kinds(&destination.participant).await {
            Ok(kinds) if kinds.contains(&DocumentKind::Message) => Ok(destination),
            Ok(_) | Err(DirectoryError::UnknownDocument { .. }) => {
                let (swedish, english) = ("Organisationen tar inte emot SDK-meddelanden", "the organisation takes no SDK messages");
                Err(Refusal::new(550, (1, 2), swedish, english))
            }
            Err(DirectoryError::UnknownParticipant(_)) => {
                let near = self.organisations_like(&destination.participant, &destination.function).await;
                Err(Refusal::new(550, (1, 2), "Organisationen är inte ansluten till SDK", "the organisation is not in SDK").near(&near))
            }
            // Never 550 for what may be there: it is queued and tried.
            Err(error @ (DirectoryError::Unavailable { .. } | DirectoryError::Unusable { .. })) => {
                tracing::warn!(participant = %destination.participant, %error, "a recipient is accepted unseen");
                Ok(destination)
            }
        }
    }

    /// The mail is durable in its blob: convert it, and make it ours or refuse it.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work; the client is to try again.
    pub async fn settle_mail(&self, transaction: &Transaction, digest: Sha256) -> Result<Settled, Failure> {
        point("accept", "spooled");
        let now = self.now();
        let mark = transaction.mark(digest);
        if let Some(first) = self.marked(transaction, &mark, now).await? {
            self.carry_out("accept.repeated", accept::repeated(transaction, &first, now).into()).await?;
            return Ok(Settled::Repeated(first));
        }
        let (held, bytes) = self.hold_mail(transaction).await?;
        let organisation = self.organisation(&transaction.organisation)?;
        let mailbox = organisation.mailbox(&transaction.function);
        let (policy, always_tell) = mailbox.map(|mailbox| (mailbox.policy.clone(), mailbox.always_tell)).unwrap_or_default();
        let octets = bytes.len() as u64;
        let bytes = Arc::new(bytes);
        let whole = Arc::clone(&bytes);
        let converted = blocking(move || {
            convert::outgoing(&whole, &policy).map(|mail| {
                let attachments = mail.files.iter().map(|file| sha256(&file.body)).collect();
                (mail, attachments)
            })
        });
        let (mail, attachments) = match converted.await? {
            Ok(converted) => converted,
            Err(error) => return Ok(Settled::Refused(Refusal::from(&error))),
        };
        let kept = Mail { message_id: mail.mail_message_id.clone(), octets, attachments };
        if let Some(why) = mail.automatic {
            self.carry_out("accept.dropped", accept::drop_automatic(transaction, why, &kept, now).into()).await?;
            return Ok(Settled::Dropped);
        }
        if let Some(refusal) = self.check_circles(transaction, &mail).await? {
            return Ok(Settled::Refused(refusal));
        }
        if mailbox.is_some_and(|mailbox| !mail.from.as_ref().is_some_and(|from| from == &mailbox.address || mailbox.senders.contains(from))) {
            let (swedish, english) =
                ("Från-adressen får inte skicka som funktionsbrevlådan", "the From address may not send as the function mailbox");
            return Ok(Settled::Refused(Refusal::new(550, (7, 1), swedish, english)));
        }
        if transaction.originator.as_ref().is_some_and(|domain| !originates_from(&mail.originators, domain)) {
            let (swedish, english) = ("Mejlet kommer inte från er klientorganisation", "the mail is not from your tenant (X-OriginatorOrg)");
            return Ok(Settled::Refused(Refusal::new(550, (7, 1), swedish, english)));
        }
        if let Some(refusal) = self.scan_mail(transaction, &bytes, &mail.files).await? {
            return Ok(Settled::Refused(refusal));
        }
        let policy = mailbox.map(|mailbox| mailbox.policy.clone()).unwrap_or_default();
        if let Some(refusal) = self.refused_by_all(transaction, &mail, &bytes, &policy).await? {
            return Ok(Settled::Refused(refusal));
        }
        drop(bytes);
        let mut transaction = transaction.clone();
        for recipient in &mut transaction.recipients {
            let never = !(recipient.notify.success || recipient.notify.failure || recipient.notify.delay);
            recipient.notify.success |= !never && (mail.receipt == Receipt::Wanted || always_tell || mail.has_lost());
        }
        let threads = self.threads(&transaction, &mail).await?;
        let mut letters = accept::letters(&transaction, &kept, &threads, now)?;
        let largest = self.mail.sending.payload as u64;
        // Most mails are far from the limit, and then an estimate will do.
        if mail.wire_octets() > largest {
            let (labels, measured) = (organisation.labels(&transaction.function), letters.clone());
            let size = blocking(move || convert_to_sdk::octets(mail, &measured, &labels)).await?;
            if size > largest {
                return Ok(Settled::Refused(too_large(size, largest)));
            }
        }
        drop(held);
        for letter in &letters {
            self.count_sent(letter).await?;
        }
        // Others of the same conversation may be accepted at the same moment; then this one comes after them.
        for _ in 0..TRIES {
            self.line_up(&mut letters).await?;
            let step = accept::accept(&transaction, letters.clone(), &threads, digest, &kept, now)?;
            let step = self.fenced(step, &[BlobId(transaction.id)]);
            if self.carry_out("accept", step.into()).await? == Outcome::Applied {
                return Ok(Settled::Accepted);
            }
            if let Some(first) = self.marked(&transaction, &mark, now).await? {
                return Ok(Settled::Repeated(first));
            }
        }
        Err(Failure::temporary(Stage::Accept, Blame::Us, "the transaction was overtaken by others"))
    }

    /// Names the letter before each, in its conversation.
    async fn line_up(&self, letters: &mut [Letter]) -> Result<(), Failure> {
        let mut lasts: HashMap<Key, RecordId> = HashMap::new();
        for letter in letters {
            let last = turn::last(letter);
            letter.after = match lasts.get(&last) {
                Some(before) => Some(*before),
                None => self.store.note(last.clone()).await.map_err(|error| from_store(&error))?.as_deref().and_then(turn::read),
            };
            lasts.insert(last, letter.record);
        }
        Ok(())
    }

    /// The mail, once there is room for it in memory.
    async fn hold_mail(&self, transaction: &Transaction) -> Result<(Held, Vec<u8>), Failure> {
        let organisation = &transaction.organisation;
        let held = tokio::time::timeout(FOR_ROOM, self.hold_blob(organisation, BlobId(transaction.id), Holding::Mail)).await;
        if let Ok(held) = held {
            return held.map(|(held, _, bytes)| (held, bytes));
        }
        let (used, most) = self.room.taken();
        self.tell_reached(&Usage { limit: Limit::Memory, whose: self.name.to_string(), used, most }).await;
        let failure = Failure::temporary(Stage::Accept, Blame::Us, "there was no room in memory in time");
        Err(failure.hint("raise memory, or send less at once").for_want_of(Shortage::Memory))
    }

    /// The client has shown that it saw our 250: from here on an equal mail is another mail.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work; the mark then stays until it is too old to count.
    pub async fn confirm(&self, transaction: &Transaction, digest: Sha256) -> Result<(), Failure> {
        let step = crate::port::Step::new().op(crate::port::Op::Forget(transaction.unconfirmed(digest)));
        self.carry_out("accept.confirm", step.into()).await.map(|_| ())
    }

    /// The transaction that left this mark. A mail in a folder stays the same mail for ever; a client that has not tried
    /// again for days does not mean the same one.
    async fn marked(&self, transaction: &Transaction, mark: &Key, now: Timestamp) -> Result<Option<String>, Failure> {
        let Some(note) = self.store.note(mark.clone()).await.map_err(|error| from_store(&error))? else { return Ok(None) };
        let Some((first, at)) = note.split_once(' ') else { return Ok(None) };
        let fresh = transaction.origin.is_some() || at.parse::<Timestamp>().is_ok_and(|at| now.duration_since(at) < UNCONFIRMED);
        if fresh {
            return Ok(Some(first.to_owned()));
        }
        self.carry_out("accept.stale", crate::port::Step::new().op(crate::port::Op::Forget(mark.clone())).into()).await?;
        Ok(None)
    }

    /// Deletes the blob of a mail that is not kept.
    pub(super) async fn forget_mail(&self, stored: &Stored) {
        self.discard("accept", &[stored.id]).await;
    }
}

/// Whether an address is known cannot be told while the store is away.
fn unknown_now(error: &StoreError) -> Refusal {
    tracing::error!(%error, "a recipient cannot be looked up");
    Refusal::new(451, (4, 3), "Försök igen senare", "recipients cannot be looked up for now, try again later")
}

/// Names one accepted recipient.
pub(super) fn name_recipient(address: &MailAddress, destination: Destination, notify: Notify, orcpt: Option<String>) -> Result<Recipient, Failure> {
    let message_id = MessageId::new(fresh().to_string()).map_err(|error| Failure::permanent(Stage::Accept, Blame::Us, error.to_string()))?;
    let Destination { participant, function } = destination;
    Ok(Recipient { record: RecordId(fresh()), message_id, address: address.clone(), participant, function, notify, orcpt })
}

/// One field alone: a second one could be the sender's own.
fn originates_from(originators: &[String], domain: &Domain) -> bool {
    matches!(originators, [only] if only.eq_ignore_ascii_case(domain.as_str()))
}

fn foreign() -> Refusal {
    Refusal::new(550, (7, 1), "Gatewayen tar bara emot post till SDK", "this gateway takes mail for SDK only, it does not relay")
}

/// Where the function of a short address stands.
pub(super) fn short_form(key: &str) -> Key {
    Key::new("short", key)
}

pub(super) fn too_large(size: u64, largest: u64) -> Refusal {
    let swedish = format!("Meddelandet blir {} MB ({size} byte) i SDK, högst {} MB får skickas", megabytes(size), megabytes(largest));
    let english = format!("the message becomes {} MB ({size} octets) in SDK, at most {} MB may be sent", megabytes(size), megabytes(largest));
    Refusal::new(552, (3, 4), &swedish, &english)
}

/// Rounded up, so that one octet too much is seen.
fn megabytes(octets: u64) -> String {
    let tenths = octets.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}
