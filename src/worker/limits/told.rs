//! The operator hears once that a limit is reached, and once that it is over; who is turned away in between is not counted.
//!
//! A note says that it was told, so nodes and restarts tell nothing twice. What is kept in the store is over when less than
//! nine tenths of it are used; what is of one moment, when nobody was turned away for ten minutes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::quota::Usage;
use super::{Limit, lock};
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::mail::alarm::Cause;
use crate::port::{Guard, Key, Op, Step};
use crate::worker::Node;
use crate::worker::effects::{Outcome, from_store};
use crate::worker::notify::announced;

/// How long nobody may be turned away until it is over.
const QUIET: Duration = Duration::from_mins(10);

fn mark(limit: Limit, whose: &str) -> Key {
    Key::new("limit", &format!("{} {whose}", limit.word()))
}

impl Limit {
    /// What it means that it is reached.
    const fn meaning(self) -> &'static str {
        match self {
            Self::OrganisationWaiting => "messages are under way: its mails and the messages to it are put off",
            Self::OrganisationUnopened => "messages wait to be opened: what else comes to it is put off",
            Self::OrganisationStored => "octets are kept: its mails and the messages to it are put off",
            Self::MailboxWaiting => "messages are under way: its mails are put off",
            Self::MailboxStored => "octets are kept: its mails are put off",
            Self::MailboxAtOnce => "mails are handed in at once: more are put off",
            Self::Memory => "octets of memory are taken: mails are put off",
            Self::SmtpConnections => "connections of mail clients are open: more are turned away",
            Self::SmtpAddress => "connections of this mail client are open: more are turned away",
            Self::As4Connections => "connections of access points are open: more are turned away",
            Self::As4Address => "connections of this address are open: more are turned away",
            Self::As4Requests => "requests of one access point are worked on: more are put off",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::OrganisationWaiting | Self::MailboxWaiting => "see with `brevbro queue` what waits and why; docs/limits.md",
            Self::OrganisationUnopened => "see whether the node with the organisation's key runs, and who sends so much; docs/limits.md",
            Self::OrganisationStored | Self::MailboxStored => "shorten retention.content-days or raise the limit; docs/limits.md",
            Self::MailboxAtOnce | Self::SmtpConnections | Self::SmtpAddress => {
                "see which mail server or program sends so much at once; docs/limits.md"
            }
            Self::Memory => "raise memory, or have less sent at once; docs/limits.md",
            Self::As4Connections | Self::As4Address | Self::As4Requests => "see in the log who connects so often; docs/limits.md",
        }
    }
}

impl Node {
    /// Somebody is turned away for a limit: the operator is told, unless that was done.
    pub(in crate::worker) async fn tell_reached(&self, reached: &Usage) {
        let Usage { limit, whose, used, most } = reached;
        let name = (*limit, self.told_of(*limit, whose));
        if lock(&self.limits.open).insert(name.clone(), Instant::now()).is_some() {
            return;
        }
        let now = self.now();
        let what = format!("{whose} has reached a limit, {} = {most}: {used} {}", limit.option(), limit.meaning());
        tracing::warn!(limit = limit.word(), whose, used, most, "a limit is reached");
        let mark = mark(*limit, &name.1);
        let step = Step::new().guard(Guard::Absent(mark.clone())).op(Op::Note(mark, now.to_string()));
        let event = Event::new(now, EventName::LimitReached).with(Field::Cause, &what);
        let step = announced(step, event, Cause::LimitReached, limit.advice());
        if let Err(failure) = self.carry_out("limit.reached", step.into()).await {
            // The next one who is turned away tries again.
            lock(&self.limits.open).remove(&name);
            tracing::warn!(what = %failure.what, "the operator cannot be told of a limit");
        }
    }

    /// The same of what was noticed where nobody can wait.
    pub(in crate::worker) fn tell_soon(self: &Arc<Self>, limit: Limit, whose: String, used: u64, most: u64) {
        if let Some(last) = lock(&self.limits.open).get_mut(&(limit, self.told_of(limit, &whose))) {
            *last = Instant::now();
            return;
        }
        let node = Arc::clone(self);
        tokio::spawn(async move { node.tell_reached(&Usage { limit, whose, used, most }).await });
    }

    /// Tells of limits that were reached without anybody being turned away, and of those that are over; how many.
    ///
    /// # Errors
    /// A [`Failure`] when the store cannot be read or written.
    pub async fn watch_limits(&self) -> Result<usize, Failure> {
        let mut told = 0;
        for usage in self.usage(true).await? {
            let Usage { limit, whose, used, most } = &usage;
            let known = lock(&self.limits.open).contains_key(&(*limit, whose.clone()));
            if used >= most && !known {
                self.tell_reached(&usage).await;
                told += 1;
            } else if used.saturating_mul(10) < most.saturating_mul(9) {
                let what = format!("{whose} is below a limit again, {} = {most}: {used} are used", limit.option());
                told += usize::from(self.tell_over(*limit, whose, &what).await?);
            }
        }
        let mine = self.name.to_string();
        for limit in Limit::ALL.into_iter().filter(|limit| !limit.is_kept()) {
            let last = lock(&self.limits.open).get(&(limit, mine.clone())).copied().unwrap_or(self.limits.since);
            if last.elapsed() >= QUIET {
                let what = format!("{mine}: nobody has been turned away for {} for a while", limit.option());
                told += usize::from(self.tell_over(limit, &mine, &what).await?);
            }
        }
        Ok(told)
    }

    /// Under whose name it is told. A limit of one moment is the node's, whoever reached it first: one who attacks from many
    /// addresses makes one alarm.
    fn told_of(&self, limit: Limit, whose: &str) -> String {
        if limit.is_kept() { whose.to_owned() } else { self.name.to_string() }
    }

    /// It is over: journal and mail, if it was told.
    async fn tell_over(&self, limit: Limit, whose: &str, what: &str) -> Result<bool, Failure> {
        let mark = mark(limit, whose);
        lock(&self.limits.open).remove(&(limit, whose.to_owned()));
        let Some(since) = self.store.note(mark.clone()).await.map_err(|error| from_store(&error))? else { return Ok(false) };
        let now = self.now();
        tracing::info!(limit = limit.word(), whose, since, "a limit is no longer reached");
        let told = format!("{what}; since {since}");
        let step = Step::new().guard(Guard::Noted(mark.clone(), since)).op(Op::Forget(mark));
        let event = Event::new(now, EventName::LimitOver).with(Field::Cause, &told);
        let step = announced(step, event, Cause::LimitOver, "");
        Ok(self.carry_out("limit.over", step.into()).await? == Outcome::Applied)
    }
}
