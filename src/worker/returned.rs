//! Mails with the empty sender: notices about mails that we have delivered, found by the return path that each of those has.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::MailSide;
use super::chance::fresh;
use super::effects::{Outcome, blocking, from_store};
use crate::edge::smtp_server::{Accepted, DataSink};
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::{MailAddress, MessageId};
use crate::inbound::{Incoming, returned};
use crate::mail::returned::{LARGEST, Returned, read};
use crate::mail::session::Reply;
use crate::mail::thread;
use crate::outbound::accept::Link;
use crate::port::{Op, Pending, Step};

/// How often it is looked whether a delivery has been recorded: a mail server may give a mail back before we have
/// written down that it took it.
const LOOKS: usize = 25;

/// The wait between two looks.
const BETWEEN: Duration = Duration::from_millis(200);

/// A mail with the empty sender on its way in. What it says is understood at its end; it is never kept.
pub(super) struct Returning {
    pub(super) gateway: Arc<MailSide>,
    pub(super) peer: String,
    pub(super) to: Vec<MailAddress>,
    pub(super) octets: Vec<u8>,
}

impl DataSink for Returning {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let room = LARGEST.saturating_sub(self.octets.len());
        self.octets.extend_from_slice(octets.get(..room).unwrap_or(octets));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Pending<'static, Result<Accepted, Reply>> {
        Box::pin(async move {
            let Self { gateway, peer, to, octets } = *self;
            let transaction = fresh().simple().to_string();
            let notice = blocking(move || read(&octets)).await.map_err(|failure| super::smtp::failed(&failure))?;
            for address in &to {
                let settled = gateway.give_back(address, &notice, &transaction, &peer).await;
                if settled.map_err(|failure| super::smtp::failed(&failure))? == Settled::Early {
                    let text = "Leveransen registreras, forsok igen / the delivery is being recorded, try again";
                    return Err(Reply::new(451, (3, 0), text));
                }
            }
            Ok(Accepted { transaction })
        })
    }
}

/// What came of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// It is in the journal.
    Told,
    /// The delivery that it is about is not recorded yet.
    Early,
}

impl MailSide {
    async fn give_back(&self, address: &MailAddress, notice: &Returned, transaction: &str, peer: &str) -> Result<Settled, Failure> {
        let dropped = |why: &str| {
            Event::new(self.now(), EventName::MailDropped)
                .with(Field::Transaction, transaction)
                .with(Field::PeerAddress, peer)
                .with(Field::Cause, format!("a notice to {address} with the empty sender: {why}"))
        };
        let why = match thread::returned(address, &self.settings.domain) {
            None => "it is about no mail of ours",
            Some(message) if !notice.is_about(&message) => "it names another envelope than its address",
            Some(message) => {
                for _ in 0..LOOKS {
                    match self.handed_over(&message).await? {
                        None => break,
                        Some(Incoming::New(_)) => tokio::time::sleep(BETWEEN).await,
                        Some(state) => {
                            let effects = returned::returned(state, notice, transaction, self.now())?;
                            if self.carry_out("returned", effects).await? == Outcome::Applied {
                                return Ok(Settled::Told);
                            }
                        }
                    }
                }
                match self.handed_over(&message).await? {
                    Some(_) => return Ok(Settled::Early),
                    None => "no such message was delivered from here",
                }
            }
        };
        self.carry_out("returned.dropped", Step::new().op(Op::Audit(dropped(why))).into()).await?;
        Ok(Settled::Told)
    }

    /// The message that was delivered as mail under this id, or is about to be.
    async fn handed_over(&self, message: &MessageId) -> Result<Option<Incoming>, Failure> {
        let note = self.store.note(Link::received(message)).await.map_err(|error| from_store(&error))?;
        let Some(link) = note.as_deref().and_then(Link::from_note) else { return Ok(None) };
        let Some(record) = self.store.record(link.record).await.map_err(|error| from_store(&error))? else { return Ok(None) };
        Incoming::from_record(&record).map(Some)
    }
}
