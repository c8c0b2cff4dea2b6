//! The operator: does something about a message that is in the state for it, and asks again where nobody answered.

use std::sync::Arc;
use std::time::Duration;

use brevbro::event::{Event, EventName, Field};
use brevbro::failure::Failure;
use brevbro::ident::RecordId;
use brevbro::inbound::Incoming;
use brevbro::outbound::Outgoing;
use brevbro::port::State;
use brevbro::worker::{Gateway, HoldOn};
use tokio::time::sleep;

use crate::net::is;
use crate::world::{NAMES, World};

/// Who it is, as the journal has it.
const BY: &str = "uid 0";

/// What an operator does about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Resend,
    Retry,
    Cancel,
    Release,
    Redeliver,
    Handled,
}

impl Act {
    pub const ALL: [Self; 6] = [Self::Resend, Self::Retry, Self::Cancel, Self::Release, Self::Redeliver, Self::Handled];

    /// The steps that it takes.
    pub fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Resend => &["operate.resend"],
            Self::Retry => &["operate.now"],
            Self::Cancel => &["operate.cancel", "operate.aside"],
            Self::Release => &["operate.release"],
            Self::Redeliver => &["operate.redeliver"],
            Self::Handled => &["operate.handled"],
        }
    }

    /// Whether it can be done to a message in this state.
    fn fits(self, state: &State) -> bool {
        match self {
            Self::Resend => *state == Outgoing::EXCHANGE_ERROR,
            Self::Retry => [Outgoing::SCHEDULED, Outgoing::SUBMITTED, Incoming::RETRIEVED, Incoming::NEW].contains(state),
            // What is refused is tried as well: an attempt may have arrived.
            Self::Cancel => [Outgoing::SCHEDULED, Outgoing::SUBMITTED, Outgoing::HELD].contains(state),
            Self::Release => *state == Outgoing::HELD,
            Self::Redeliver => [Incoming::DELIVERED, Incoming::RETURNED, Incoming::UNDELIVERABLE, Incoming::HANDLED].contains(state),
            Self::Handled => [Incoming::RETURNED, Incoming::UNDELIVERABLE, Incoming::UNREAD].contains(state),
        }
    }

    async fn on(self, gateway: Gateway, record: RecordId) -> Result<(), Failure> {
        let id = record.to_string();
        match self {
            Self::Resend => gateway.resend(&id, BY).await.map(drop),
            Self::Retry => gateway.try_now(&id, BY).await.map(drop),
            Self::Cancel => gateway.cancel(&id, BY).await.map(drop),
            Self::Release => gateway.let_go(&id, BY).await.map(drop),
            Self::Redeliver => gateway.redeliver(&id, BY).await.map(drop),
            Self::Handled => gateway.handled(&id, "called", BY).await.map(drop),
        }
    }
}

/// Does it to some message of a side, once there is one that it can be done to.
pub async fn act(world: &Arc<World>, side: usize, act: Act) {
    for _ in 0..90 {
        let fitting = fitting(world, side, act);
        if !fitting.is_empty() {
            let record = fitting[world.roll(fitting.len() as u64) as usize];
            match asked(world, side, move |gateway| async move { act.on(gateway, record).await }).await {
                Some(Ok(())) => return world.tell(format!("{}: the operator did {act:?} to {record}", NAMES[side])),
                Some(Err(failure)) => world.tell(format!("{}: the operator may not {act:?} {record}: {}", NAMES[side], failure.what)),
                None => {}
            }
        }
        sleep(Duration::from_secs(200 + world.roll(300))).await;
    }
}

/// The messages of a side that are in the states for it.
fn fitting(world: &World, side: usize, act: Act) -> Vec<RecordId> {
    let kept = world.sides[side].disk.kept.lock().unwrap();
    kept.records.values().filter(|record| act.fits(&record.state)).map(|record| record.id).collect()
}

/// Asks a side's gateway; `None` when it ended, or was not there.
async fn asked<F: Future<Output = Result<(), Failure>> + Send + 'static>(
    world: &Arc<World>,
    side: usize,
    ask: impl FnOnce(Gateway) -> F,
) -> Option<Result<(), Failure>> {
    let (life, gateway, _) = world.up(side)?;
    life.run(ask(gateway)).await.ok()
}

/// Asks until it is answered; whatever the answer is, it was done.
async fn done(world: &Arc<World>, side: usize, ask: impl AsyncFn() -> Option<Result<(), Failure>>) {
    for _ in 0..200 {
        if ask().await.is_some() {
            return;
        }
        sleep(Duration::from_secs(30)).await;
    }
    world.wrong(format!("{} does not answer its operator", NAMES[side]));
}

/// Holds something until it is held.
pub async fn hold(world: &Arc<World>, side: usize, on: &HoldOn) {
    let ask = async || {
        let on = on.clone();
        asked(world, side, |gateway| async move { gateway.hold(on, "Dnr 4711", BY).await }).await
    };
    done(world, side, ask).await;
}

/// Ends a hold.
pub async fn end_hold(world: &Arc<World>, side: usize, on: &HoldOn) {
    let ask = async || {
        let on = on.clone();
        asked(world, side, |gateway| async move { gateway.end_hold(&on, BY).await }).await
    };
    done(world, side, ask).await;
}

/// Sees to all that waits for a human.
pub async fn see_to_all(world: &Arc<World>, side: usize) {
    for _ in 0..200 {
        let Some(record) = fitting(world, side, Act::Handled).pop() else { return };
        asked(world, side, |gateway| async move { Act::Handled.on(gateway, record).await }).await;
        sleep(Duration::from_secs(1)).await;
    }
    world.wrong(format!("{} cannot see to what waits for its operator", NAMES[side]));
}

/// How often the journal says that the operator did something about a message.
pub fn times(journal: &[Event], name: EventName, message: &str) -> usize {
    journal.iter().filter(|event| event.name == name && is(event, Field::MessageId, message)).count()
}
