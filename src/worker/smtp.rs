//! The SMTP server's questions, answered by [`reception`](super::reception).

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::MailSide;
use super::admission::{Account, Admission};
use super::chance::fresh;
use super::effects::{from_store, point};
use super::pace::Counted;
use super::reception::{Refusal, Sender, Settled, name_recipient};
use super::returned::Returning;
use crate::edge::smtp_server::{Accepted, Client, DataSink, Reception};
use crate::failure::{Failure, Shortage};
use crate::ident::Sha256;
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
    unconfirmed: Arc<Mutex<HashMap<String, (Transaction, Sha256)>>>,
}

impl MailDoor {
    /// A door that admits these clients.
    #[must_use]
    pub fn new(gateway: Arc<MailSide>, admission: Admission) -> Self {
        Self { gateway, admission, unconfirmed: Arc::default() }
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
            Ok(Box::new(Spooling { gateway, transaction, writer, unconfirmed: Arc::clone(&self.unconfirmed) }) as Box<dyn DataSink>)
        })
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
    unconfirmed: Arc<Mutex<HashMap<String, (Transaction, Sha256)>>>,
}

impl DataSink for Spooling {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.writer.write_all(octets)
    }

    fn finish(self: Box<Self>) -> Pending<'static, Result<Accepted, Reply>> {
        Box::pin(async move {
            let Self { gateway, transaction, writer, unconfirmed } = *self;
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

pub(super) fn failed(failure: &Failure) -> Reply {
    tracing::error!(what = %failure.what, hint = %failure.hint, "a mail cannot be taken in");
    match failure.shortage {
        Some(Shortage::Disk) => full(),
        None => Reply::local_error(),
    }
}
