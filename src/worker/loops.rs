//! Mails that go in circles, and functions that answer each other by themselves.

use super::MailSide;
use super::chance::fresh;
use super::effects::{Outcome, from_store};
use super::reception::Refusal;
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::{FunctionId, ParticipantId, RecordId};
use crate::mail::alarm::Cause;
use crate::mail::convert::Outgoing as Mail;
use crate::mail::pair::{Pace, Pair, Way};
use crate::mail::thread;
use crate::outbound::accept::Transaction;
use crate::outbound::{Held, Letter, Scheduled, hold};
use crate::port::{Guard, Key, Lease, Op, Step, Tell};

/// More `Received` fields than that, and the mail goes in circles (RFC 5321 6.3).
const HOPS: usize = 50;
/// How often a count is tried when others count at the same time.
const TRIES: usize = 16;

/// A function of ours and one elsewhere.
struct Names<'a> {
    own: &'a ParticipantId,
    function: &'a FunctionId,
    other: &'a ParticipantId,
    other_function: &'a FunctionId,
}

impl Names<'_> {
    fn key(&self) -> Key {
        let Self { own, function, other, other_function } = self;
        Key::new("pair", &format!("{} {} {} {}", own.folded(), function.folded(), other.folded(), other_function.folded()))
    }
}

impl MailSide {
    /// Refuses what has been here before: a mail of too many hops, or one that this gateway delivered and a rule of the mail server
    /// sends on. Such a rule keeps the header, `X-SDK-Message-Id` even where it rewrites the Message-ID; what a person forwards has
    /// a header of its own.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub(super) async fn check_circles(&self, transaction: &Transaction, mail: &Mail) -> Result<Option<Refusal>, Failure> {
        let ours = mail.mail_message_id.as_deref().and_then(|id| thread::message_id_of(id, &self.settings.domain));
        let (cause, refusal) = if mail.received_count > HOPS {
            ("too many Received fields", ("Mejlet går runt i en slinga", "mail loop: too many Received headers"))
        } else if mail.delivered_as.is_some() || ours.is_some() {
            let swedish = "Mejlet har levererats från SDK och skickas tillbaka av en regel. Ta bort regeln, eller vidarebefordra mejlet för hand";
            let english = "the mail was delivered from SDK and is sent back by a rule: remove the rule, or forward the mail by hand";
            ("a mail that was delivered from SDK comes back", (swedish, english))
        } else {
            return Ok(None);
        };
        let mut event = Event::new(self.now(), EventName::LoopStopped)
            .with(Field::Transaction, transaction.id.simple())
            .with(Field::Function, &transaction.function)
            .with(Field::PeerAddress, &transaction.peer)
            .with(Field::Cause, cause);
        event.organisation = Some(transaction.organisation.clone());
        if let Some(id) = &mail.mail_message_id {
            event = event.with(Field::MailMessageId, id);
        }
        self.carry_out("accept.dropped", Step::new().op(Op::Audit(event)).into()).await?;
        // RFC 3463 3.5 X.4.6
        Ok(Some(Refusal::new(554, (4, 6), refusal.0, refusal.1)))
    }

    /// Counts a message that goes out.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub(super) async fn count_sent(&self, letter: &Letter) -> Result<(), Failure> {
        self.count(Way::Out, &names(letter)).await
    }

    /// Counts a message that came in.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub(super) async fn count_received(
        &self,
        own: &ParticipantId,
        function: &FunctionId,
        other: &ParticipantId,
        other_function: Option<&FunctionId>,
    ) -> Result<(), Failure> {
        // Who names no function cannot be answered.
        let Some(other_function) = other_function else { return Ok(()) };
        self.count(Way::In, &Names { own, function, other, other_function }).await
    }

    async fn count(&self, way: Way, names: &Names<'_>) -> Result<(), Failure> {
        let Some(pace) = self.pace(names) else { return Ok(()) };
        for _ in 0..TRIES {
            let (before, mut pair) = self.pair(names).await?;
            let now = self.now();
            let mut step = Step::new();
            if let Some(until) = pair.count(way, &pace, now) {
                let Names { own, function, other, other_function } = names;
                let cause = format!("more than {} messages each way within {} s; ours are held until {until}", pace.messages, pace.window.as_secs());
                let what = format!("the functions {function} of {own} and {other_function} of {other} exchange messages too fast: {cause}");
                let hint = "find the mailbox that answers by itself without saying so in its header (RFC 3834), here or there, and stop that";
                tracing::warn!(what, "a pair of functions is held");
                let mut event = Event::new(now, EventName::PairHeld)
                    .with(Field::OriginalSender, own)
                    .with(Field::FinalRecipient, other)
                    .with(Field::Function, other_function)
                    .with(Field::NextAttempt, until)
                    .with(Field::Cause, cause);
                event.organisation = Some((*own).clone());
                let record = RecordId(fresh());
                let alarm = Tell::alarm(Cause::Loop, &what, hint).job(record, "alarm", now);
                step = step.op(Tell::facts(record, &event)).op(Op::Audit(event)).op(alarm);
            }
            let step = noted(step, names.key(), before, &pair);
            if self.carry_out("pair", step.into()).await? == Outcome::Applied {
                return Ok(());
            }
        }
        tracing::warn!("a message of a busy pair of functions was not counted");
        Ok(())
    }

    /// Keeps a message back when its pair is held; it comes back as it is otherwise.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub(super) async fn hold_back(&self, state: Scheduled, lease: &Lease) -> Result<Result<Scheduled, Outcome>, Failure> {
        let names = names(&state.letter);
        let Some(pace) = self.pace(&names) else { return Ok(Ok(state)) };
        let (before, mut pair) = self.pair(&names).await?;
        let now = self.now();
        let Some(due) = pair.wait(&pace, now) else { return Ok(Ok(state)) };
        let place = noted(Step::new(), names.key(), before, &pair);
        let effects = hold::hold(state, lease.clone(), due, now)?.and(place.into());
        self.carry_out("hold", effects).await.map(Err)
    }

    /// Lets a message go that was kept back.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub(super) async fn release(&self, state: Held, lease: Lease) -> Result<Outcome, Failure> {
        let effects = hold::release(state, lease, self.now())?;
        self.carry_out("release", effects).await
    }

    /// How fast a pair may be; none where the mailbox is no longer configured.
    fn pace(&self, names: &Names<'_>) -> Option<Pace> {
        Some(self.household.organisation(names.own)?.mailbox(names.function)?.pace)
    }

    async fn pair(&self, names: &Names<'_>) -> Result<(Option<String>, Pair), Failure> {
        let note = self.store.note(names.key()).await.map_err(|error| from_store(&error))?;
        let pair = note.as_deref().and_then(|note| serde_json::from_str(note).ok()).unwrap_or_default();
        Ok((note, pair))
    }
}

/// Where a letter's pair of functions is counted.
pub(super) fn counted(letter: &Letter) -> Key {
    names(letter).key()
}

fn names(letter: &Letter) -> Names<'_> {
    Names { own: &letter.organisation, function: &letter.function, other: &letter.participant, other_function: &letter.to_function }
}

/// Writes what is kept of a pair, unless another did since it was read.
fn noted(step: Step, key: Key, before: Option<String>, pair: &Pair) -> Step {
    let guard = before.map_or_else(|| Guard::Absent(key.clone()), |before| Guard::Noted(key.clone(), before));
    // Numbers and times have no way to fail.
    step.guard(guard).op(Op::Note(key, serde_json::to_string(pair).unwrap_or_default()))
}
