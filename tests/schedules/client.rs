//! Those who hand mails in by SMTP: what was not answered is sent again, the same octets in the same envelope.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brevbro::edge::serving::Peer;
use brevbro::edge::smtp_server::{Accepted as Taken250, Client, Reception};
use brevbro::event::{EventName, Field};
use brevbro::ident::{MailAddress, MessageId};
use brevbro::inbound::Incoming;
use brevbro::inbound::read::Reader;
use brevbro::mail::session::{Body, Charset, Envelope, Greeting, Notify, Occasion, Onward, Recipient, Reply, Sender};
use brevbro::outbound::accept::Link;
use brevbro::port::{BlobId, Blobs, Store};
use brevbro::worker::MailDoor;
use tokio::time::{sleep, sleep_until};

use crate::mailserver::Taken;
use crate::net::is;
use crate::plan::{Confirm, Order, What};
use crate::world::{Accepted, NAMES, SECRET, World, mailbox};

/// A mail's octets.
pub fn compose(order: &Order) -> Vec<u8> {
    let Order { side, token, from, to, .. } = order;
    let list: Vec<String> = to.iter().map(ToString::to_string).collect();
    let more = match order.what {
        What::Automatic => "Auto-Submitted: auto-replied\r\n",
        What::Circle => "X-SDK-Message-Id: 7bc5576a-3f87-4cf5-a0c5-277da06fcacb\r\n",
        _ => "",
    };
    let answered = order.answers.as_ref().map_or(String::new(), |id| format!("In-Reply-To: {id}\r\nReferences: {id}\r\n"));
    let head = format!(
        "From: Karin Ek <{}>\r\nTo: {}\r\nSubject: Om {SECRET} i {token}.\r\nDate: Mon, 02 Mar 2026 09:00:00 +0100\r\n\
         Message-ID: <{token}@client.test>\r\n{answered}{more}MIME-Version: 1.0\r\n",
        mailbox(*side, from),
        list.join(", ")
    );
    let text = format!("Hej!\r\n\r\nDetta om {token}. \u{e4}r en {SECRET}.\r\n");
    let body = if order.file {
        let file = format!("Nummer;{SECRET}\r\n1;{token}.\r\n").repeat(20);
        format!(
            "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n{text}--b\r\nContent-Type: text/csv; name=\"{SECRET}.csv\"\r\n\
             Content-Disposition: attachment; filename=\"{SECRET}.csv\"\r\n\r\n{file}--b--\r\n"
        )
    } else {
        format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}")
    };
    (head + &body).into_bytes()
}

fn client() -> Client {
    Client { peer: Peer::new(SocketAddr::from(([192, 0, 2, 2], 2525))), login: None }
}

/// A transaction.
#[derive(Clone)]
struct Letter {
    from: Option<MailAddress>,
    to: Vec<MailAddress>,
    envid: Option<String>,
    notify: BTreeSet<Occasion>,
    octets: Vec<u8>,
}

/// What came of an attempt.
enum Attempt {
    Accepted(Taken250),
    Refused(Reply),
    /// The connection broke.
    Broken,
}

/// One attempt, as a part of the life of the gateway that is up; what it accepts must be durable.
async fn attempt(world: &Arc<World>, side: usize, letter: &Letter) -> Attempt {
    let Some((life, _, door)) = world.up(side) else { return Attempt::Broken };
    let letter = letter.clone();
    let told = life.run(async move { dialogue(&door, letter).await });
    match told.await {
        Ok(Ok(accepted)) => Attempt::Accepted(accepted),
        Ok(Err(reply)) => Attempt::Refused(reply),
        Err(_) => Attempt::Broken,
    }
}

async fn dialogue(door: &MailDoor, letter: Letter) -> Result<Taken250, Reply> {
    let client = client();
    door.client(&client)?;
    let sender = Sender {
        address: letter.from,
        size: Some(letter.octets.len() as u64),
        body: Body::EightBit,
        charset: Charset::default(),
        ret: None,
        envid: letter.envid,
        onward: Onward::default(),
    };
    let mut envelope = Envelope { helo: "client.test".into(), greeting: Greeting::Ehlo, sender, recipients: Vec::new() };
    door.sender(&client, &envelope).await?;
    for address in letter.to {
        let notify = (!letter.notify.is_empty()).then(|| Notify::On(letter.notify.clone()));
        let recipient = Recipient { address, notify, original: None };
        door.recipient(&client, &envelope, &recipient).await?;
        envelope.recipients.push(recipient);
    }
    let mut sink = door.data(&client, &envelope).await?;
    sink.write(&letter.octets).map_err(|_| Reply::local_error())?;
    sink.finish().await
}

/// Sends a mail until it is answered.
pub async fn send(world: Arc<World>, order: Order) {
    sleep_until(world.begin() + order.at).await;
    let notify = [(order.success, Occasion::Success), (true, Occasion::Failure), (true, Occasion::Delay)];
    let letter = Letter {
        from: Some(mailbox(order.side, &order.from)),
        to: order.to.clone(),
        envid: Some(order.token.clone()),
        notify: notify.into_iter().filter_map(|(wanted, occasion)| wanted.then_some(occasion)).collect(),
        octets: compose(&order),
    };
    let (mut missed, mut tries) = (order.missed, 0_u32);
    let known = world.sides[order.side].forgets.load(Ordering::SeqCst);
    loop {
        tries += 1;
        match attempt(&world, order.side, &letter).await {
            Attempt::Accepted(accepted) => {
                is_durable(&world, &order, &accepted.transaction).await;
                if missed > 0 && !world.calm() {
                    missed -= 1;
                    world.tell(format!("{}: the 250 to {} is missed", NAMES[order.side], order.token));
                    if order.stale {
                        // Longer than anybody tries: by then it is another mail.
                        world.jump(order.side, 60 * 60 * 24 * 7);
                    }
                } else {
                    world.tell(format!("{}: {} is accepted as {}", NAMES[order.side], order.token, accepted.transaction));
                    let forgotten = world.sides[order.side].forgets.load(Ordering::SeqCst) != known;
                    world.log.lock().unwrap().accepted.push(Accepted { order: order.clone(), forgotten });
                    if world.fails(12) {
                        world.kill(order.side, "250 has just been said");
                    }
                    return confirm(&world, &order, accepted.transaction).await;
                }
            }
            Attempt::Refused(reply) if reply.code() >= 500 => {
                world.tell(format!("{}: {} is refused: {reply}", NAMES[order.side], order.token));
                world.log.lock().unwrap().refused.insert(order.token.clone(), reply.to_string());
                return;
            }
            Attempt::Refused(reply) => world.tell(format!("{}: {} is deferred: {reply}", NAMES[order.side], order.token)),
            Attempt::Broken => world.tell(format!("{}: nobody answers {}", NAMES[order.side], order.token)),
        }
        sleep(Duration::from_secs(20 + world.roll(600) * u64::from(tries.min(4)))).await;
    }
}

/// The client goes on after our 250, or it does not.
async fn confirm(world: &Arc<World>, order: &Order, transaction: String) {
    match order.confirm {
        Confirm::AtOnce => {}
        Confirm::Later => sleep(Duration::from_secs(world.roll(120))).await,
        Confirm::Never => return,
    }
    if let Some((life, _, door)) = world.up(order.side) {
        let _ = life.run(async move { door.confirmed(&transaction).await }).await;
    }
}

/// At the moment of 250, each recipient has a record and the mail is there.
async fn is_durable(world: &Arc<World>, order: &Order, transaction: &str) {
    let disk = &world.sides[order.side].disk;
    let events = disk.events().await;
    let of = |event: &&brevbro::event::Event| is(event, Field::Transaction, transaction);
    if order.what == What::Automatic {
        if !events.iter().filter(of).any(|event| event.name == EventName::MailDropped) {
            world.wrong(format!("{} is dropped, and the journal does not say so", order.token));
        }
        return;
    }
    let mut records = 0;
    for event in events.iter().filter(of).filter(|event| event.name == EventName::MailAccepted) {
        records += usize::from(disk.store.record(event.record.unwrap()).await.unwrap().is_some());
    }
    let mail = disk.blobs.open(BlobId(transaction.parse().unwrap())).await.is_ok();
    if records != order.to.len() || !mail {
        world.wrong(format!("{} is answered with 250 and not durable: {records} records, mail {mail}", order.token));
    }
}

/// A person opens a message in the gateway, some day.
pub async fn read(world: Arc<World>, side: usize, message: String) {
    sleep(Duration::from_secs(60 + world.roll(9_000))).await;
    for _ in 0..50 {
        if let Some((life, gateway, _)) = world.up(side) {
            let note = world.sides[side].disk.store.note(Link::received(&MessageId::new(message.as_str()).unwrap())).await.unwrap();
            let Some(link) = note.and_then(|note| Link::from_note(&note)) else { break };
            // The operator has seen to it, so nobody reads it here.
            let kept = world.sides[side].disk.store.record(link.record).await.unwrap();
            if kept.is_some_and(|kept| kept.state == Incoming::HANDLED) {
                return;
            }
            let told = life.run(async move { gateway.mail().unwrap().read_message(link.record, &Reader::new("Karin").unwrap()).await });
            if let Ok(Ok(read)) = told.await
                && read.is_some()
            {
                world.tell(format!("{}: {message} is read", NAMES[side]));
                *world.log.lock().unwrap().read.entry(message).or_default() += 1;
                return;
            }
            // It is not told of yet, as far as the gateway knows.
        }
        sleep(Duration::from_mins(5)).await;
    }
    world.wrong(format!("{message} cannot be read"));
}

/// The mail server gives a mail back that it had taken.
pub async fn give_back(world: Arc<World>, side: usize, path: MailAddress, mail: Taken) {
    sleep(Duration::from_secs(world.roll(1_800))).await;
    let report = format!(
        "From: MAILER-DAEMON@{name}.example\r\nTo: {path}\r\nSubject: Returned\r\nMessage-ID: <back-{}@{name}.example>\r\nAuto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"r\"\r\n\r\n--r\r\n\r\nIt came back.\r\n--r\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.{name}.example\r\n\r\nFinal-Recipient: rfc822; {}\r\nAction: failed\r\n\
         Status: 5.1.1\r\n\r\n--r--\r\n",
        mail.message,
        mail.to,
        name = NAMES[side]
    );
    let letter = Letter { from: None, to: vec![path], envid: None, notify: BTreeSet::new(), octets: report.into_bytes() };
    loop {
        match attempt(&world, side, &letter).await {
            Attempt::Accepted(_) => {
                world.tell(format!("{}: {} is given back", NAMES[side], mail.message));
                *world.log.lock().unwrap().given_back.entry(mail.message).or_default() += 1;
                return;
            }
            Attempt::Refused(reply) if reply.code() >= 500 => return world.wrong(format!("a notice about {} is refused: {reply}", mail.message)),
            _ => sleep(Duration::from_secs(60 + world.roll(600))).await,
        }
    }
}

/// A notice about no mail of ours.
pub async fn give_back_nothing(world: &Arc<World>, side: usize) {
    let path: MailAddress = format!("retur-7bc5576a-3f87-4cf5-a0c5-277da06fcacb@sdk.{}.example", NAMES[side]).parse().unwrap();
    let octets = b"From: MAILER-DAEMON@x.example\r\nSubject: Returned\r\n\r\nIt came back.\r\n".to_vec();
    let letter = Letter { from: None, to: vec![path], envid: None, notify: BTreeSet::new(), octets };
    while !matches!(attempt(world, side, &letter).await, Attempt::Accepted(_)) {
        sleep(Duration::from_mins(1)).await;
    }
}
