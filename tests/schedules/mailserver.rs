//! The mail server of a side: what it takes it writes down before it answers; sometimes nobody hears the answer.

use std::sync::Arc;
use std::time::Duration;

use brevbro::crypto::sha256;
use brevbro::event::{EventName, Field};
use brevbro::ident::Sha256;
use brevbro::port::{Delivery, MailSink, Pending, SinkAnswer, SinkError};
use tokio::time::sleep;

use crate::life::Life;
use crate::net::{Place, contains, is, is_stored};
use crate::plan::Extra;
use crate::world::{NAMES, SECRET, World, mailbox};

/// What a mail is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A message as mail.
    Message,
    /// A mail that tells of a message.
    Waiting,
    /// A delivery status notification.
    Notice { action: String, status: String, code: String },
    /// To the operator.
    Alarm,
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    pub side: usize,
    pub to: String,
    /// Its Message-ID.
    pub id: String,
    pub kind: Kind,
    /// The message that it is or is about.
    pub message: String,
    /// Of the mail's octets.
    pub digest: Sha256,
    /// Whether the gateway heard that it was taken.
    pub heard: bool,
    /// The number of the life that handed it over.
    pub life: u32,
}

/// SMTP to a mail server.
pub struct MailServer(pub Place);

impl MailSink for MailServer {
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(async move {
            let Place { world, side, life } = &self.0;
            life.here().await;
            sleep(Duration::from_millis(world.roll(300))).await;
            life.here().await;
            if world.plan.is_deaf(*side, world.elapsed()) && world.fails(1) {
                return Err(SinkError::Temporary("it cannot be reached".into()));
            }
            if delivery.to == mailbox(*side, "stangd") {
                return Err(SinkError::Permanent("550 5.2.1 the mailbox is closed".into()));
            }
            if world.fails(world.plan.mail) {
                return Err(SinkError::Temporary("451 4.3.0 try again".into()));
            }
            if world.fails(world.plan.mail * 4) {
                world.tell(format!("{} refuses a mail for {}", NAMES[*side], delivery.to));
                let (kind, message) = (kind_of(*side, &delivery), field(&delivery.message, "Final-Log-ID").unwrap_or_default());
                let mut log = world.log.lock().unwrap();
                match kind {
                    Kind::Notice { action, .. } => {
                        let id = field(&delivery.message, "Message-ID").unwrap_or_default();
                        log.turned_away.entry((action, message)).or_default().insert(id);
                    }
                    Kind::Alarm => log.unalarmed[*side] += 1,
                    Kind::Message | Kind::Waiting => {}
                }
                drop(log);
                return Err(SinkError::Permanent("550 5.7.1 not now".into()));
            }
            let number = take(world, life, &delivery).await;
            sleep(Duration::from_millis(world.roll(300))).await;
            life.here().await;
            if world.fails(world.plan.mail) {
                return Err(SinkError::Unknown("the connection broke".into()));
            }
            world.log.lock().unwrap().taken[number].heard = true;
            if world.fails(world.plan.mail * 4) {
                world.kill(*side, "the mail server has just answered");
                life.here().await;
            }
            Ok(SinkAnswer { text: format!("250 2.0.0 kept as {number}") })
        })
    }
}

/// Writes down that a mail was taken; its number. What it says must be true by now.
pub async fn take(world: &Arc<World>, life: &Life, delivery: &Delivery) -> usize {
    let side = life.side;
    let mail = &delivery.message;
    let kind = kind_of(side, delivery);
    let message = match kind {
        Kind::Notice { .. } => field(mail, "Final-Log-ID"),
        _ => field(mail, "X-SDK-Message-Id"),
    };
    let message = message.unwrap_or_default();
    let id = field(mail, "Message-ID").unwrap_or_default();
    world.tell(format!("{} takes {kind:?} {id} for {} about {message}", NAMES[side], delivery.to));
    if matches!(&kind, Kind::Notice { action, .. } if action == "delivered") && !is_stored(world, 1 - side, &message).await {
        world.wrong(format!("success of {message} is told, which is not stored"));
    }
    if kind == Kind::Alarm && contains(mail, SECRET) {
        world.wrong(format!("the operator is told of content: {id}"));
    }
    let events = world.sides[side].disk.events().await;
    let mut ends =
        events.iter().filter(|event| matches!(event.name, EventName::Delivered | EventName::Redelivered) && is(event, Field::MessageId, &message));
    if kind == Kind::Message && ends.next_back().is_some_and(|event| event.name == EventName::Delivered) {
        world.wrong(format!("{message} comes again after its delivery is durable"));
    }
    let taken = Taken { side, to: delivery.to.to_string(), id, kind, message, digest: sha256(mail), heard: false, life: life.number };
    if taken.kind == Kind::Waiting {
        world.beside(crate::client::read(Arc::clone(world), side, taken.message.clone()));
    }
    if let Some(path) = &delivery.from
        && world.plan.extras.contains(&Extra::Returned)
        && world.roll(2) == 0
    {
        world.beside(crate::client::give_back(Arc::clone(world), side, path.clone(), taken.clone()));
    }
    let mut log = world.log.lock().unwrap();
    log.taken.push(taken);
    log.taken.len() - 1
}

fn kind_of(side: usize, delivery: &Delivery) -> Kind {
    let mail = &delivery.message;
    let head = String::from_utf8_lossy(&mail[..mail.len().min(4_000)]).into_owned();
    let status = field(mail, "Action");
    if let Some(action) = status {
        let code = field(mail, "Diagnostic-Code").unwrap_or_default();
        Kind::Notice { action, status: field(mail, "Status").unwrap_or_default(), code }
    } else if delivery.to == mailbox(side, "drift") {
        Kind::Alarm
    } else if head.contains("Auto-Submitted:") {
        Kind::Waiting
    } else {
        Kind::Message
    }
}

/// A field of a mail's head or of its status part.
fn field(mail: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(mail);
    let begin = format!("\r\n{name}: ");
    let at = format!("\r\n{text}").find(&begin)?;
    let value: String = text[at + begin.len() - 2..].split("\r\n").next()?.trim().to_owned();
    // A value that is folded right after its name.
    Some(if value.is_empty() { text[at + begin.len() - 2..].trim_start().split("\r\n").next()?.trim().to_owned() } else { value })
}
