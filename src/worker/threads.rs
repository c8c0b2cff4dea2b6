//! Looking up what mails and messages say that they answer.

use super::MailSide;
use super::effects::from_store;
use crate::failure::Failure;
use crate::ident::MessageId;
use crate::inbound::{Incoming, Taken};
use crate::mail::convert;
use crate::mail::thread::{self, Ends, Marked};
use crate::outbound::accept::{Link, Recipient, Transaction};
use crate::outbound::thread::{self as threads, Found, Threads, Traces};
use crate::outbound::{Cargo, Letter, Outgoing};
use crate::port::Key;

/// What of ours a received message answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answered {
    /// The mail with this Message-ID, without brackets.
    Mail(String),
    /// A message between others, which its sender should not know: it is joined to nothing.
    Strange,
    /// None of our mails that is known: its own message of before, one whose mail had no id, or one that is no longer kept.
    Unknown,
}

impl Answered {
    /// The mail's id.
    pub(super) fn into_mail(self) -> Option<String> {
        match self {
            Self::Mail(id) => Some(id),
            Self::Strange | Self::Unknown => None,
        }
    }
}

/// What the store has under a link.
pub(super) enum Linked {
    /// A message of ours.
    Sent(Letter),
    /// One that was received.
    Received(Taken),
}

impl Linked {
    fn is_between(&self, ends: &Ends<'_>) -> bool {
        let (organisation, function, other) = match self {
            Self::Sent(letter) => (&letter.organisation, &letter.function, &letter.participant),
            Self::Received(taken) => (&taken.arrival.organisation, &taken.function, &taken.arrival.from),
        };
        organisation == ends.organisation && function == ends.function && other == ends.other
    }
}

impl MailSide {
    /// What the messages of a mail answer.
    pub(super) async fn threads(&self, transaction: &Transaction, mail: &convert::Outgoing) -> Result<Threads, Failure> {
        let mut verdicts = Vec::with_capacity(transaction.recipients.len());
        for recipient in &transaction.recipients {
            verdicts.push(threads::decide(&self.traces(transaction, recipient, mail).await?));
        }
        Ok(threads::join(verdicts))
    }

    async fn traces(&self, transaction: &Transaction, recipient: &Recipient, mail: &convert::Outgoing) -> Result<Traces, Failure> {
        let ends = Ends { organisation: &transaction.organisation, function: &transaction.function, other: &recipient.participant };
        let gateway = &self.settings.domain;
        let mut traces = Traces::default();
        for id in &mail.in_reply_to {
            let found = match (thread::message_id_of(id, gateway), thread::marked(id, &ends, gateway)) {
                (Some(message), _) => self.found(&message, &ends).await?,
                (None, Marked::Conversation(conversation)) => Found::Sealed(conversation, None),
                (None, Marked::Other) => Found::Other,
                (None, Marked::None) => self.own_mail(id, recipient, &ends).await?,
            };
            let is_known = matches!(found, Found::Known(_));
            traces.chain.push(found);
            if is_known {
                break;
            }
        }
        if let Some(index) = mail.thread_index.as_deref().and_then(|field| thread::index::read(field, gateway)) {
            traces.index = Some(match self.found(&index.message, &ends).await? {
                known @ (Found::Known(_) | Found::Other) => known,
                _ if index.is_between(&ends, gateway) => Found::Sealed(index.conversation, Some(index.message)),
                _ => Found::Other,
            });
        }
        for message in &mail.quoted {
            traces.quoted.push(self.found(message, &ends).await?);
        }
        Ok(traces)
    }

    /// A message by its id.
    async fn found(&self, message: &MessageId, ends: &Ends<'_>) -> Result<Found, Failure> {
        let mut found = Found::Named(message.clone());
        // Both, where two of our organisations write to one another.
        for key in [Link::received(message), Link::sent(message)] {
            match self.linked(key).await? {
                Some((link, linked)) if linked.is_between(ends) => return Ok(Found::Known(link)),
                Some(_) => found = Found::Other,
                None => {}
            }
        }
        Ok(found)
    }

    /// A message between these ends.
    pub(super) async fn between(&self, message: &MessageId, ends: &Ends<'_>) -> Result<Option<Linked>, Failure> {
        for key in [Link::received(message), Link::sent(message)] {
            let linked = self.linked(key).await?.filter(|(_, linked)| linked.is_between(ends));
            if let Some((_, linked)) = linked {
                return Ok(Some(linked));
            }
        }
        Ok(None)
    }

    /// A mail of our own by its Message-ID: what it was sent as to this recipient.
    async fn own_mail(&self, id: &str, recipient: &Recipient, ends: &Ends<'_>) -> Result<Found, Failure> {
        Ok(match self.linked(Link::mail(id, &recipient.participant, &recipient.function)).await? {
            Some((link, linked)) if linked.is_between(ends) => Found::Known(link),
            // Message-IDs are the mail server's: two of our organisations may have the same.
            Some(_) | None => Found::Foreign,
        })
    }

    /// What a link leads to, as long as it is kept.
    pub(super) async fn linked(&self, key: Key) -> Result<Option<(Link, Linked)>, Failure> {
        let note = self.store.note(key).await.map_err(|error| from_store(&error))?;
        let Some(link) = note.as_deref().and_then(Link::from_note) else { return Ok(None) };
        let Some(record) = self.store.record(link.record).await.map_err(|error| from_store(&error))? else { return Ok(None) };
        let linked = match Outgoing::from_record(&record) {
            Ok(outgoing) => match outgoing.cargo() {
                Cargo::Letter(letter) => Some(Linked::Sent(letter)),
                Cargo::Reply(_) => None,
            },
            Err(_) => Incoming::from_record(&record)?.into_taken().map(Linked::Received),
        };
        Ok(linked.map(|linked| (link, linked)))
    }

    /// What of ours a received message answers.
    pub(super) async fn answered_mail(&self, state: &Taken) -> Result<Answered, Failure> {
        let Some(answered) = &state.in_reply_to else { return Ok(Answered::Unknown) };
        let ends = Ends { organisation: &state.arrival.organisation, function: &state.function, other: &state.arrival.from };
        let mut seen = Answered::Unknown;
        for key in [Link::sent(answered), Link::received(answered)] {
            match self.linked(key).await? {
                Some((_, linked)) if !linked.is_between(&ends) => seen = Answered::Strange,
                Some((_, Linked::Sent(letter))) => {
                    let id = letter.mail_message_id.map(|id| id.trim_start_matches('<').trim_end_matches('>').to_owned());
                    return Ok(id.map_or(Answered::Unknown, Answered::Mail));
                }
                Some((_, Linked::Received(_))) => return Ok(Answered::Unknown),
                None => {}
            }
        }
        Ok(seen)
    }
}
