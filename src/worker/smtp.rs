//! The SMTP server's questions, answered by [`reception`](super::reception).

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::MailSide;
use super::admission::{Account, Admission};
use super::chance::fresh;
use super::effects::{from_store, point};
use super::limits::{Limit, mailbox_name};
use super::pace::Counted;
use super::reception::{Refusal, Sender, Settled, name_recipient};
use super::returned::Returning;
use crate::edge::guests::{Guest, Guests};
use crate::edge::serving::{Crowd, Crowding};
use crate::edge::smtp_server::{Accepted, Client, DataSink, Reception};
use crate::failure::{Failure, Shortage, Stage};
use crate::ident::{MailAddress, Sha256};
use crate::mail::session::{Credentials, Envelope, Mechanism, Notify as Asked, Occasion, Recipient, Reply};
use crate::outbound::accept::Transaction;
use crate::outbound::state::Notify;
use crate::port::{BlobWriter, Pending, StoreError};

/// Transactions that are remembered until their client confirms them; a client that never does is forgotten here and
/// stays unconfirmed in the store.
const REMEMBERED: usize = 10_000;

/// The gateway behind its SMTP server.
pub struct MailDoor {
    gateway: Arc<MailSide>,
    admission: Admission,
    /// The mails that come in now.
    present: Guests<MailAddress>,
    unconfirmed: Arc<Mutex<HashMap<String, (Transaction, Sha256)>>>,
}

impl MailDoor {
    /// A door that admits these clients.
    #[must_use]
    pub fn new(gateway: Arc<MailSide>, admission: Admission) -> Self {
        Self { gateway, admission, present: Guests::default(), unconfirmed: Arc::default() }
    }

    /// Whether a mailbox has room for another mail. Asked before the mail comes.
    async fn room_for(&self, owner: &Sender, octets: u64) -> Result<(), Reply> {
        let room = self.gateway.room_to_send(&owner.organisation, &owner.function, octets).await;
        let Some(reached) = room.map_err(|failure| failed(&failure))? else { return Ok(()) };
        self.gateway.tell_reached(&reached).await;
        Err(failed(&reached.failure(Stage::Accept)))
    }

    /// A place among the mails that a mailbox hands in at this moment.
    fn place(&self, owner: &Sender) -> Result<Option<Guest<MailAddress>>, Reply> {
        let Some(most) = self.gateway.limits.at_once(&owner.organisation, &owner.function) else { return Ok(None) };
        self.present.enter(owner.mailbox.clone(), most).map(Some).ok_or_else(|| {
            let whose = mailbox_name(&owner.organisation, &owner.function);
            self.gateway.node.tell_soon(Limit::MailboxAtOnce, whose, most as u64, most as u64);
            // RFC 3463 3.5
            Reply::new(451, (4, 5), "For manga mejl pa en gang, forsok senare / too many mails of this sender at once, try again later")
        })
    }

    /// Whether a client may send as this mailbox's: an account may be bound to some.
    fn may_send_as(account: Option<&Account>, owner: &Sender) -> Result<(), Reply> {
        let bound = account.filter(|account| !account.mailboxes.is_empty() && !account.mailboxes.contains(&owner.mailbox));
        let refusal = |_| Reply::new(550, (7, 1), "Kontot far inte skicka som brevladan / this account may not send as that mailbox");
        bound.map_or(Ok(()), |account| Err(refusal(account)))
    }
}

impl Reception for MailDoor {
    fn client(&self, client: &Client) -> Result<(), Reply> {
        self.admission.greets(client)
    }

    fn mechanisms(&self, client: &Client) -> Vec<Mechanism> {
        self.admission.mechanisms(client)
    }

    fn login<'a>(&'a self, client: &'a Client, credentials: &'a Credentials) -> Pending<'a, Result<String, Reply>> {
        Box::pin(self.admission.log_in(client, credentials, self.gateway.now()))
    }

    fn sender<'a>(&'a self, client: &'a Client, envelope: &'a Envelope) -> Pending<'a, Result<(), Reply>> {
        Box::pin(async move {
            let account = self.admission.sends(client)?;
            // Notices of other programs have no sender: taken, and dropped at the end (mail loops).
            if let Some(address) = &envelope.sender.address {
                let owner = self.gateway.check_sender(address).map_err(|refusal| reply(&refusal))?;
                Self::may_send_as(account, &owner)?;
                self.room_for(&owner, envelope.sender.size.unwrap_or_default()).await?;
            }
            self.admission.count(Counted::Mail, envelope.sender.address.as_ref(), self.gateway.now())
        })
    }

    fn recipient<'a>(&'a self, _: &'a Client, envelope: &'a Envelope, recipient: &'a Recipient) -> Pending<'a, Result<(), Reply>> {
        Box::pin(async move {
            if envelope.sender.address.is_none() {
                return self.gateway.check_return(&recipient.address).map_err(|refusal| reply(&refusal));
            }
            self.gateway.check_recipient(&recipient.address).await.map_err(|refusal| reply(&refusal))?;
            self.admission.count(Counted::Recipient, envelope.sender.address.as_ref(), self.gateway.now())
        })
    }

    fn data<'a>(&'a self, client: &'a Client, envelope: &'a Envelope) -> Pending<'a, Result<Box<dyn DataSink>, Reply>> {
        Box::pin(async move {
            let gateway = Arc::clone(&self.gateway);
            let address = client.peer.address.ip().to_string();
            let Some(sender) = &envelope.sender.address else {
                let to = envelope.recipients.iter().map(|recipient| recipient.address.clone()).collect();
                return Ok(Box::new(Returning { gateway, peer: address, to, octets: Vec::new() }) as Box<dyn DataSink>);
            };
            let owner = gateway.check_sender(sender).map_err(|refusal| reply(&refusal))?;
            let place = self.place(&owner)?;
            let account = self.admission.sends(client)?;
            let mut recipients = Vec::with_capacity(envelope.recipients.len());
            for recipient in &envelope.recipients {
                let destination = gateway.destination(&recipient.address).await.map_err(|refusal| reply(&refusal))?;
                let original = recipient.original.as_ref().map(|original| format!("{};{}", original.kind, original.address));
                let named = name_recipient(&recipient.address, destination, notify(recipient.notify.as_ref()), original);
                recipients.push(named.map_err(|failure| failed(&failure))?);
            }
            let transaction = Transaction {
                id: fresh(),
                at: gateway.now(),
                organisation: owner.organisation,
                function: owner.function,
                sender: sender.clone(),
                envid: envelope.sender.envid.clone(),
                recipients,
                peer: address,
                account: account.map(|account| account.name.clone()),
                originator: account.and_then(|account| account.originator.clone()),
                origin: None,
            };
            let blob = transaction.blob().map_err(|failure| failed(&failure))?;
            gateway.admits(envelope.sender.size).await.map_err(|failure| failed(&failure))?;
            let writer = gateway.blobs.create(blob, envelope.sender.size).await.map_err(|error| no_room(&error))?;
            Ok(Box::new(Spooling { gateway, transaction, writer, place, unconfirmed: Arc::clone(&self.unconfirmed) }) as Box<dyn DataSink>)
        })
    }

    fn crowded(&self, crowd: Crowd) {
        let limit = if crowd.of == Crowding::OfAddress { Limit::SmtpAddress } else { Limit::SmtpConnections };
        self.gateway.node.tell_soon(limit, crowd.who, crowd.most as u64, crowd.most as u64);
    }

    fn confirmed<'a>(&'a self, transaction: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            let known = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner).remove(transaction);
            let Some((transaction, digest)) = known else { return };
            if let Err(failure) = self.gateway.confirm(&transaction, digest).await {
                tracing::warn!(what = %failure.what, "a transaction stays unconfirmed");
            }
        })
    }
}

/// A mail on its way into the spool.
struct Spooling {
    gateway: Arc<MailSide>,
    transaction: Transaction,
    writer: Box<dyn BlobWriter>,
    place: Option<Guest<MailAddress>>,
    unconfirmed: Arc<Mutex<HashMap<String, (Transaction, Sha256)>>>,
}

impl DataSink for Spooling {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.writer.write_all(octets)
    }

    fn finish(self: Box<Self>) -> Pending<'static, Result<Accepted, Reply>> {
        Box::pin(async move {
            let Self { gateway, transaction, writer, place, unconfirmed } = *self;
            // Until the answer: what is judged takes more than what comes in.
            let _place = place;
            let stored = writer.commit().await.map_err(|error| no_room(&error))?;
            let settled = gateway.settle_mail(&transaction, stored.digest).await;
            let settled = match settled {
                Ok(settled) => {
                    if !settled.is_kept() {
                        gateway.forget_mail(&stored).await;
                    }
                    settled
                }
                Err(failure) => {
                    let refusal = failed(&failure);
                    let blob = transaction.blob().map_err(|failure| failed(&failure))?;
                    if !gateway.node.became_ours("accept", blob).await {
                        return Err(refusal);
                    }
                    Settled::Accepted
                }
            };
            let name = match settled {
                Settled::Refused(refusal) => return Err(reply(&refusal)),
                Settled::Accepted | Settled::Dropped => transaction.id.simple().to_string(),
                Settled::Repeated(first) => first,
            };
            point("accept", "before-250");
            let mut remembered = unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(name.clone(), (transaction, stored.digest));
            drop(remembered);
            Ok(Accepted { transaction: name })
        })
    }
}

/// RFC 3461 4.1: without NOTIFY, failures, and delays as we see fit.
fn notify(asked: Option<&Asked>) -> Notify {
    match asked {
        None => Notify { success: false, failure: true, delay: true },
        Some(Asked::Never) => Notify { success: false, failure: false, delay: false },
        Some(Asked::On(occasions)) => Notify {
            success: occasions.contains(&Occasion::Success),
            failure: occasions.contains(&Occasion::Failure),
            delay: occasions.contains(&Occasion::Delay),
        },
    }
}

fn reply(refusal: &Refusal) -> Reply {
    Reply::new(refusal.code, refusal.status, &refusal.text)
}

fn no_room(error: &StoreError) -> Reply {
    failed(&from_store(error))
}

/// RFC 5321 4.2.3, RFC 3463 3.4.
fn full() -> Reply {
    Reply::new(452, (3, 1), "Disken ar full, forsok senare / insufficient storage, try again later")
}

/// RFC 5321 4.2.3, RFC 3463 3.4: the machine is short of something, and other mails would have to wait too.
fn crowded() -> Reply {
    Reply::new(452, (3, 1), "Minnet racker inte, forsok senare / too many large mails at once, try again later")
}

/// RFC 3463 3.3: it is this sender's quota; others go on.
fn quota() -> Reply {
    Reply::new(452, (2, 2), "Avsandaren har for mycket pa vag har, forsok senare / this sender has too much under way here, try again later")
}

pub(super) fn failed(failure: &Failure) -> Reply {
    if failure.shortage == Some(Shortage::Quota) {
        // The operator was told when it began.
        tracing::debug!(what = %failure.what, "a mail is put off");
    } else {
        tracing::error!(what = %failure.what, hint = %failure.hint, "a mail cannot be taken in");
    }
    match failure.shortage {
        Some(Shortage::Disk) => full(),
        Some(Shortage::Memory) => crowded(),
        Some(Shortage::Quota) => quota(),
        None => Reply::local_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Blame;

    #[test]
    fn each_shortage_has_its_answer() {
        let said = |shortage: Option<Shortage>| {
            let failure = Failure::temporary(Stage::Accept, Blame::Us, "secret");
            let reply = failed(&shortage.map_or_else(|| failure.clone(), |shortage| failure.clone().for_want_of(shortage)));
            assert!(!reply.to_string().contains("secret"));
            (reply.code(), reply.status().unwrap_or_default())
        };
        let all = [None, Some(Shortage::Disk), Some(Shortage::Memory), Some(Shortage::Quota)].map(said);
        assert_eq!(all, [(451, "4.3.0".into()), (452, "4.3.1".into()), (452, "4.3.1".into()), (452, "4.2.2".into())]);
    }
}
