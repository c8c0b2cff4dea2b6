//! What an operator does with a received message: has it delivered once more, or has seen to it in another way.

use jiff::Timestamp;

use super::read;
use super::state::{Delivered, Incoming, Returned, Taken, Undeliverable, Unread};
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::port::{Guard, Job, JobId, Op, Queue, Step, retiring};

/// A message that the mail server refused or gave back, or that its reader lost, is delivered once more: the same mail
/// with the same Message-ID.
///
/// # Errors
/// A [`Failure`] that says why it makes no sense, when it does not.
pub fn redeliver(state: Incoming, by: &str, now: Timestamp) -> Result<Step, Failure> {
    let word = state.state();
    let taken = match state {
        Incoming::Delivered(Delivered { taken, .. })
        | Incoming::Returned(Returned { taken, .. })
        | Incoming::Undeliverable(Undeliverable { taken, .. })
        | Incoming::Handled(Undeliverable { taken, .. }) => taken,
        Incoming::Retrieved(_) => return Err(refused("it was not opened yet")),
        Incoming::New(_) => return Err(refused("it is being delivered; to have that tried at once is `brevbro retry`")),
        Incoming::Unread(_) | Incoming::Read(_) => return Err(refused("it is read in the gateway, where it is")),
        Incoming::Closed(_) => return Err(refused("it is no message that is kept")),
        Incoming::Purged(_) => return Err(refused("its content was deleted when its time was over")),
    };
    let record = taken.arrival.record;
    let event = event(&taken, EventName::Redelivered, by, now);
    Ok(Step::new()
        .guard(Guard::In(record, word))
        .op(Op::Cancel(retiring(record)))
        .op(Op::Audit(event))
        .op(Op::Put(Incoming::New(Taken { alarmed: false, ..taken }).to_record()?))
        .op(Op::Enqueue(Job::new(JobId::of(record, "deliver"), Queue::Deliver, record, now))))
}

/// An operator has seen to a message that could not be delivered, came back or was not read: it has ended.
///
/// # Errors
/// A [`Failure`] that says why it makes no sense, when it does not.
pub fn handled(state: Incoming, why: &str, by: &str, now: Timestamp) -> Result<Step, Failure> {
    let word = state.state();
    let taken = match state {
        Incoming::Returned(Returned { taken, .. })
        | Incoming::Undeliverable(Undeliverable { taken, .. })
        | Incoming::Unread(Unread { taken, .. }) => taken,
        Incoming::Retrieved(_) | Incoming::New(_) => return Err(refused("it is still on its way")),
        _ => return Err(refused("it has ended already")),
    };
    let record = taken.arrival.record;
    let event = event(&taken, EventName::Handled, by, now).with(Field::Cause, why);
    let reminder = read::reminder(&taken);
    Ok(Step::new()
        .guard(Guard::In(record, word))
        .op(Op::Cancel(reminder))
        .op(Op::Audit(event))
        .op(Op::Put(Incoming::Handled(Undeliverable { taken, at: now }).to_record()?))
        .op(Op::retire(record, now)))
}

fn event(taken: &Taken, name: EventName, by: &str, now: Timestamp) -> Event {
    taken
        .arrival
        .event(now, name)
        .with(Field::ConversationId, &taken.conversation_id)
        .with(Field::Function, &taken.function)
        .with(Field::Operator, by)
}

fn refused(why: &str) -> Failure {
    Failure::permanent(Stage::Deliver, Blame::Us, why)
}
