//! Hints that there is work: at once for those in this process, by NOTIFY for other nodes.
//!
//! A NOTIFY inside the step's transaction would let no two steps of the whole database commit at the same time, so hints are
//! sent after it, over a connection of their own. One that is lost costs a wait of two seconds.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, Client};

use super::fault::Fault;
use super::link::Link;
use super::{quoted, word};
use crate::port::Queue;

/// Before another connection is tried.
const PAUSE: Duration = Duration::from_secs(1);
/// Where the database cannot listen at all.
const LONG_PAUSE: Duration = Duration::from_mins(5);

/// One bell a queue.
pub(super) struct Bells {
    of: [watch::Sender<()>; Queue::ALL.len()],
    /// By which this node tells its own hints when they come back.
    own: String,
    hints: mpsc::UnboundedSender<Queue>,
}

impl Bells {
    /// The bells, and the hints that are to go to other nodes.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Queue>) {
        let (hints, told) = mpsc::unbounded_channel();
        let own = uuid::Uuid::new_v4().simple().to_string();
        (Self { of: std::array::from_fn(|_| watch::Sender::new(())), own, hints }, told)
    }

    /// There is work in these queues.
    pub(super) fn ring(&self, queues: &[Queue]) {
        for queue in queues {
            self.ring_here(*queue);
            // It fails only when the store is being closed.
            let _ = self.hints.send(*queue);
        }
    }

    /// The bell of a queue: it has changed when it was rung since.
    pub(super) fn hear(&self, queue: Queue) -> watch::Receiver<()> {
        self.of.get(queue as usize).map_or_else(|| watch::channel(()).1, watch::Sender::subscribe)
    }

    fn ring_here(&self, queue: Queue) {
        if let Some(bell) = self.of.get(queue as usize) {
            bell.send_replace(());
        }
    }
}

/// Carries hints to other nodes and back, over one connection that is made again when it breaks.
pub(super) async fn listen(link: Arc<Link>, bells: Arc<Bells>, mut hints: mpsc::UnboundedReceiver<Queue>, channel: String, presence: i64) {
    loop {
        let pause = match converse(&link, &bells, &mut hints, &channel, presence).await {
            Ok(()) => return,
            Err(Fault::Lost(why)) => {
                tracing::debug!(why, "no hints come from PostgreSQL for now");
                PAUSE
            }
            Err(fault) => {
                tracing::warn!(why = %fault.into_error(), "no hints come from PostgreSQL; work is looked for every two seconds");
                LONG_PAUSE
            }
        };
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                hint = hints.recv() => if hint.is_none() { return },
            }
        }
    }
}

async fn converse(link: &Link, bells: &Bells, hints: &mut mpsc::UnboundedReceiver<Queue>, channel: &str, presence: i64) -> Result<(), Fault> {
    let (client, mut connection) = link.listener().await?;
    let (heard, mut news) = mpsc::unbounded_channel();
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message
                && heard.send(notification.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    client.batch_execute(&format!("LISTEN {}", quoted(channel))).await?;
    // As long as this connection lives, nobody exports or imports: a node works here.
    client.execute("SELECT pg_advisory_lock_shared($1)", &[&presence]).await?;
    loop {
        tokio::select! {
            said = news.recv() => match said {
                Some(said) => {
                    let said = said.split_once(':').filter(|(from, _)| *from != bells.own).map_or("", |(_, names)| names);
                    for queue in Queue::ALL.into_iter().filter(|queue| said.split(',').any(|name| name == word(*queue))) {
                        bells.ring_here(queue);
                    }
                }
                None => return Err(Fault::Lost("the connection ended".into())),
            },
            hint = hints.recv() => match hint {
                Some(first) => pass_on(&client, &bells.own, first, hints, channel).await?,
                None => return Ok(()),
            },
        }
    }
}

/// Tells other nodes, in one message for all that has come together.
async fn pass_on(client: &Client, own: &str, first: Queue, hints: &mut mpsc::UnboundedReceiver<Queue>, channel: &str) -> Result<(), Fault> {
    let mut queues = BTreeSet::from([first]);
    while let Ok(more) = hints.try_recv() {
        queues.insert(more);
    }
    let names = queues.into_iter().map(word).collect::<Vec<_>>().join(",");
    Ok(client.batch_execute(&format!("NOTIFY {}, '{own}:{names}'", quoted(channel))).await?)
}
