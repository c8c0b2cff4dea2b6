//! A mailbox by IMAP: an outbox folder that is watched, and a folder that gets messages, in which a mail is looked for before it
//! is put there again. The watch is as short as `edge/imap` may be: no session, the same questions in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brevbro::edge::imap::{Content, Fate, Found, ImapError, OutboxReception as _, Place as At};
use brevbro::port::{Delivery, MailSink, Pending, SinkAnswer, SinkError};
use brevbro::worker::{MailSide, OtherRecipients, OutboxDoor, OutboxSettings};
use tokio::time::{sleep, sleep_until};

use crate::mailserver::take;
use crate::net::Place;
use crate::plan::{Extra, Order};
use crate::world::{Accepted, NAMES, World, participant};

/// The outbox folder of a side, with what was moved out of it.
#[derive(Default)]
pub struct Folder {
    validity: u32,
    next: u32,
    waiting: BTreeMap<u32, Order>,
    /// Orders that are still to come.
    coming: usize,
}

impl Folder {
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.coming > 0
    }

    /// The folder is made anew, when there are mails in it: each of them has another UID.
    pub fn renew(&mut self) -> bool {
        let waiting = std::mem::take(&mut self.waiting);
        self.validity += u32::from(!waiting.is_empty());
        self.next += u32::try_from(waiting.len()).unwrap();
        self.waiting = waiting.into_values().rev().zip(self.next..).map(|(order, uid)| (uid, order)).collect();
        self.next += u32::try_from(self.waiting.len()).unwrap();
        !self.waiting.is_empty()
    }
}

/// Somebody puts a mail into the outbox folder.
pub fn put(world: &Arc<World>, order: Order) {
    world.sides[order.side].folder.lock().unwrap().coming += 1;
    let own = Arc::clone(world);
    world.beside(async move {
        sleep_until(own.begin() + order.at).await;
        let mut folder = own.sides[order.side].folder.lock().unwrap();
        folder.coming -= 1;
        folder.next += 1;
        let uid = folder.next;
        folder.waiting.insert(uid, order);
    });
}

fn at(side: usize, folder: &Folder, uid: u32) -> At {
    At { account: format!("utkorg@{}.example", NAMES[side]), folder: "Ut".into(), validity: folder.validity, uid }
}

/// Watches the folder for as long as the life lasts.
pub async fn watch(world: Arc<World>, side: usize, mail: Arc<MailSide>) {
    let settings = OutboxSettings {
        organisation: participant(side),
        function: "utkorg".parse().unwrap(),
        server: "imap.test".into(),
        max_recipients: 10,
        others: OtherRecipients::Notice,
    };
    let door = OutboxDoor::new(mail, settings);
    if world.plan.extras.contains(&Extra::Unreachable) {
        let error = ImapError::Lost("the server went down".into());
        door.unreachable("utkorg", &error).await;
    }
    // The watch is of a life: it ends at the first await after that.
    let mut moved: Vec<At> = Vec::new();
    loop {
        sleep(Duration::from_mins(1)).await;
        for place in std::mem::take(&mut moved) {
            door.gone(place).await;
        }
        let waiting: Vec<(At, Order)> = {
            let folder = world.sides[side].folder.lock().unwrap();
            folder.waiting.iter().map(|(uid, order)| (at(side, &folder, *uid), order.clone())).collect()
        };
        for (place, order) in waiting {
            let fate = if let Some(fate) = door.known(&place).await {
                fate
            } else {
                let mail = crate::client::compose(&order);
                let room = door.room(mail.len() as u64).await;
                let found = Found { place: place.clone(), internal_date: order.token.clone(), content: Content::Whole(mail), room };
                door.take(found).await
            };
            if fate == Fate::Later || world.fails(6) || is_anew(&world, side, &place) {
                continue;
            }
            if world.up(side).is_none() {
                std::future::pending::<()>().await;
            }
            // It is moved, and then the answer may be lost.
            settle(&world, side, &place, fate, &order);
            if world.fails(6) {
                world.kill(side, "a mail was moved, and nobody heard");
                std::future::pending::<()>().await;
            }
            door.moved(&place).await;
            moved.push(place);
        }
    }
}

/// Whether the folder was made anew meanwhile.
fn is_anew(world: &World, side: usize, place: &At) -> bool {
    world.sides[side].folder.lock().unwrap().validity != place.validity
}

fn settle(world: &World, side: usize, place: &At, fate: Fate, order: &Order) {
    world.sides[side].folder.lock().unwrap().waiting.remove(&place.uid);
    world.tell(format!("{}: {} is {fate:?} out of the folder", NAMES[side], order.token));
    let mut log = world.log.lock().unwrap();
    match fate {
        Fate::Taken => log.accepted.push(Accepted { order: order.clone(), forgotten: false }),
        _ => drop(log.refused.insert(order.token.clone(), "refused in the folder".into())),
    }
}

/// A folder that gets messages.
pub struct Inbox(pub Place);

impl Inbox {
    async fn append(&self, delivery: &Delivery) -> Result<SinkAnswer, SinkError> {
        let Place { world, life, .. } = &self.0;
        if world.fails(world.plan.mail) {
            return Err(SinkError::Temporary("throttled".into()));
        }
        let number = take(world, life, delivery).await;
        sleep(Duration::from_millis(world.roll(300))).await;
        life.here().await;
        if world.fails(world.plan.mail) {
            return Err(SinkError::Unknown("the connection broke".into()));
        }
        world.log.lock().unwrap().taken[number].heard = true;
        Ok(SinkAnswer { text: format!("APPENDUID {number}") })
    }
}

impl MailSink for Inbox {
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(async move {
            self.0.life.here().await;
            self.append(&delivery).await
        })
    }

    fn deliver_again(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(async move {
            let Place { world, side, life } = &self.0;
            life.here().await;
            let digest = brevbro::crypto::sha256(&delivery.message);
            let known = {
                let mut log = world.log.lock().unwrap();
                let known = log.taken.iter_mut().find(|taken| taken.side == *side && taken.digest == digest);
                known.map(|taken| taken.heard = true)
            };
            match known {
                Some(()) => Ok(SinkAnswer { text: "it was there already".into() }),
                None => self.append(&delivery).await,
            }
        })
    }
}
