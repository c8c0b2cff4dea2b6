//! A folder whose mails are sent: watched by IDLE and looked at now and then besides, since some servers tell nothing.
//!
//! The folder is the queue. A mail stays in it until a [`OutboxReception`] has made it durable or has told its writer why not,
//! and only then is it moved away; a mark under UIDVALIDITY and UID, which the reception keeps, says that this has happened.
//! So the program may end between any two steps: what is marked is moved and nothing more, what is not is taken.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::session::Session;
use super::{ImapError, ImapOptions};
use crate::edge::serving::Stop;
use crate::mail::imap::refusal::Why;
use crate::port::Pending;

/// RFC 2177 3: servers may end an IDLE after 30 minutes.
const IDLE: Duration = Duration::from_mins(25);
/// What is neither deleted nor on its way to be.
const WAITING: &str = "UNDELETED";
/// Waits after failures: the first, and the longest. Who is told to wait waits so long instead.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// The shortest wait where a server says that too much was asked of it, and not for how long.
const THROTTLED: Duration = Duration::from_mins(1);
/// The longest wait for one mail that cannot be taken, while others are.
const LATER: Duration = Duration::from_mins(30);
/// After how long without the folder a person is told.
const PATIENCE: Duration = Duration::from_mins(15);
/// The wait while nothing can be taken.
const SHUT: Duration = Duration::from_secs(5);
/// Between two looks, when a server always has news and nothing to take.
const BREATH: Duration = Duration::from_millis(200);

/// A watched folder.
#[derive(Clone)]
pub struct OutboxOptions {
    /// The mailbox.
    pub account: ImapOptions,
    /// The folder.
    pub folder: String,
    /// Where mails go that were taken.
    pub processed: String,
    /// Where mails go that were refused.
    pub failed: String,
    /// How often it is looked at when the server tells nothing.
    pub poll: Duration,
    /// Octets of the largest mail that is fetched.
    pub max_mail: u64,
}

/// A mail's place: what it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The mailbox and its server.
    pub account: String,
    /// The folder.
    pub folder: String,
    /// UIDVALIDITY.
    pub validity: u32,
    /// UID.
    pub uid: u32,
}

/// A mail that was found.
pub struct Found {
    /// Where.
    pub place: Place,
    /// When the server got it, in the server's form.
    pub internal_date: String,
    /// It.
    pub content: Content,
    /// The room in memory that its octets take.
    pub room: Box<dyn Send>,
}

/// As much of a mail as was fetched.
pub enum Content {
    /// All of it.
    Whole(Vec<u8>),
    /// Its header, and how large it is: too large to be sent.
    TooLarge {
        /// Octets.
        octets: u64,
        /// The header.
        header: Vec<u8>,
    },
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is ours: durable.
    Taken,
    /// It is refused, and its writer was told.
    Refused,
    /// It must wait.
    Later,
    /// Nothing can be taken now, neither this one nor another.
    Shut,
}

/// Who decides about mails, and remembers.
pub trait OutboxReception: Send + Sync + 'static {
    /// What became of the mail at this place before, if anything. [`Fate::Shut`] where that cannot be told now, or it could not
    /// be taken anyway.
    fn known<'a>(&'a self, place: &'a Place) -> Pending<'a, Option<Fate>>;

    /// Waits for room in memory for a mail of so many octets.
    fn room(&self, octets: u64) -> Pending<'_, Box<dyn Send>>;

    /// Takes a mail: durable, with the mark of its place, when it returns [`Fate::Taken`].
    fn take(&self, found: Found) -> Pending<'_, Fate>;

    /// The mail at this place has been moved, as far as the server says.
    fn moved<'a>(&'a self, place: &'a Place) -> Pending<'a, ()>;

    /// No mail is at this place any more, and none will ever be: its mark can go.
    fn gone(&self, place: Place) -> Pending<'_, ()>;

    /// The folder has not been had for a long time: a person must look at it.
    fn unreachable<'a>(&'a self, account: &'a str, error: &'a ImapError) -> Pending<'a, ()>;
}

/// Watches a folder until it is time to stop.
pub async fn watch(options: OutboxOptions, reception: Arc<dyn OutboxReception>, mut stop: Stop) {
    let place = options.account.place();
    let mut watcher = Watcher {
        options,
        reception,
        validity: 0,
        moved: BTreeSet::new(),
        late: HashMap::new(),
        shut: None,
        too_large: HashMap::new(),
        current: None,
        failures: 0,
    };
    let mut since: Option<Instant> = None;
    let mut told = false;
    while !stop.is_stopped() {
        let ended = watcher.session(&mut stop).await;
        let Err(error) = ended else { break };
        if watcher.failures == 0 {
            (since, told) = (None, false);
        }
        let began = *since.get_or_insert_with(Instant::now);
        if began.elapsed() >= PATIENCE && !told {
            watcher.reception.unreachable(&place, &error).await;
            told = true;
        }
        let wait = watcher.failed(&error);
        tracing::warn!(mailbox = place, %error, wait = wait.as_secs_f32(), "an outbox folder cannot be read for now");
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.stopped() => {}
        }
    }
}

struct Watcher {
    options: OutboxOptions,
    reception: Arc<dyn OutboxReception>,
    /// What the UIDs below are of.
    validity: u32,
    /// Moved, as the server said, but not yet seen to be gone.
    moved: BTreeSet<u32>,
    /// Mails that could not be taken: how often that was tried, and when it is again.
    late: HashMap<u32, (u32, Instant)>,
    /// Until when nothing is tried.
    shut: Option<Instant>,
    /// Mails that turned out to be larger than the server had said.
    too_large: HashMap<u32, u64>,
    /// The mail that is looked at.
    current: Option<u32>,
    /// Sessions in a row that failed before the folder had been looked through.
    failures: u32,
}

impl Watcher {
    /// One session, to its end; `Ok` when it is time to stop.
    async fn session(&mut self, stop: &mut Stop) -> Result<(), ImapError> {
        let mut session = tokio::select! {
            session = self.options.account.open() => session?,
            () = stop.stopped() => return Ok(()),
        };
        let looked = self.look_through(&mut session, stop).await;
        if looked.is_ok() {
            session.close().await;
        }
        looked
    }

    async fn look_through(&mut self, session: &mut Session, stop: &mut Stop) -> Result<(), ImapError> {
        let selected = match session.select(&self.options.folder).await {
            Err(error @ ImapError::Refused { .. }) if matches!(error.why(), Some(Why::NoFolder | Why::Other)) => {
                session.create(&self.options.folder).await?;
                session.select(&self.options.folder).await?
            }
            selected => selected?,
        };
        if selected.validity != self.validity {
            // RFC 9051 2.3.1.1: nothing that was known of UIDs holds any more.
            self.validity = selected.validity;
            self.moved.clear();
            self.late.clear();
            self.too_large.clear();
        }
        let mut idles = session.can("IDLE");
        loop {
            let waiting = session.search(WAITING).await?;
            self.forget_gone(&waiting).await;
            let settled = self.settle_all(session, &waiting, stop).await?;
            if stop.is_stopped() {
                return Ok(());
            }
            self.failures = 0;
            if session.has_news() {
                if !settled {
                    sleep(BREATH).await;
                }
                continue;
            }
            let now = Instant::now();
            let late = self.late.iter().filter(|(uid, _)| waiting.contains(uid)).map(|(_, (_, due))| *due);
            let due = late.chain(self.shut.filter(|due| *due > now)).min();
            let until = due.unwrap_or_else(|| now + self.options.poll).min(now + self.options.poll);
            if idles {
                let at_most = until.saturating_duration_since(Instant::now()).min(IDLE);
                let idled = tokio::select! {
                    idled = session.idle(at_most) => idled,
                    () = stop.stopped() => return Ok(()),
                };
                match idled {
                    Err(error) if error.leaves_session() => idles = false,
                    idled => drop(idled?),
                }
            } else {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = stop.stopped() => return Ok(()),
                }
            }
        }
    }

    /// Settles what is due; whether there was anything.
    async fn settle_all(&mut self, session: &mut Session, waiting: &BTreeSet<u32>, stop: &mut Stop) -> Result<bool, ImapError> {
        let mut settled = false;
        for uid in waiting {
            if stop.is_stopped() {
                break;
            }
            let (now, late) = (Instant::now(), self.late.get(uid).map(|(_, due)| *due));
            if late.max(self.shut).is_some_and(|due| due > now) {
                continue;
            }
            self.current = Some(*uid);
            let fate = tokio::select! {
                biased;
                fate = self.settle(session, *uid) => fate?,
                () = stopped_long(stop) => break,
            };
            self.current = None;
            match fate {
                Fate::Later => self.postpone(*uid),
                Fate::Shut => {
                    self.shut = Some(Instant::now() + SHUT);
                    break;
                }
                Fate::Taken | Fate::Refused => {
                    settled = true;
                    self.too_large.remove(uid);
                    // A server that says "moved" and leaves it there must not be asked again and again.
                    if self.moved.insert(*uid) {
                        self.late.remove(uid);
                    } else {
                        self.postpone(*uid);
                    }
                }
            }
        }
        self.current = None;
        Ok(settled)
    }

    async fn settle(&self, session: &mut Session, uid: u32) -> Result<Fate, ImapError> {
        let place = self.place(uid);
        let fate = match self.reception.known(&place).await {
            Some(fate) => fate,
            None => match self.fetch(session, &place).await? {
                Some(found) => self.reception.take(found).await,
                // Somebody else took it out.
                None => return Ok(Fate::Taken),
            },
        };
        let folder = match fate {
            Fate::Taken => &self.options.processed,
            Fate::Refused => &self.options.failed,
            Fate::Later | Fate::Shut => return Ok(fate),
        };
        session.move_to(uid, folder).await?;
        self.reception.moved(&place).await;
        Ok(fate)
    }

    async fn fetch(&self, session: &mut Session, place: &Place) -> Result<Option<Found>, ImapError> {
        let uid = place.uid;
        let Some(looked) = session.look(uid).await? else { return Ok(None) };
        let size = looked.size.ok_or_else(|| ImapError::Unsuited("the server does not tell a mail's size".into()))?;
        let octets = size.max(self.too_large.get(&uid).copied().unwrap_or_default());
        let max = self.options.max_mail;
        let room = self.reception.room(octets.min(max)).await;
        let content = if octets > max {
            let Some(header) = session.header(uid).await? else { return Ok(None) };
            Content::TooLarge { octets, header }
        } else {
            // Exchange tells sizes by guess, so a mail may be larger than that.
            let Some(mail) = session.mail(uid, usize::try_from(max).unwrap_or(usize::MAX)).await? else { return Ok(None) };
            Content::Whole(mail)
        };
        Ok(Some(Found { place: place.clone(), internal_date: looked.internal_date.unwrap_or_default(), content, room }))
    }

    fn place(&self, uid: u32) -> Place {
        Place { account: self.options.account.place(), folder: self.options.folder.clone(), validity: self.validity, uid }
    }

    /// What was moved and is not found any more will never be found again.
    async fn forget_gone(&mut self, waiting: &BTreeSet<u32>) {
        for uid in self.moved.difference(waiting) {
            self.reception.gone(self.place(*uid)).await;
        }
        self.moved.retain(|uid| waiting.contains(uid));
        self.late.retain(|uid, _| waiting.contains(uid));
        self.too_large.retain(|uid, _| waiting.contains(uid));
    }

    fn postpone(&mut self, uid: u32) {
        let tries = self.late.get(&uid).map_or(0, |(tries, _)| *tries);
        let wait = Duration::from_secs(2 << tries.min(10)).min(LATER);
        self.late.insert(uid, (tries + 1, Instant::now() + wait));
    }

    /// How long to wait after a session that failed. A mail at which it did waits longer, so that the others get their turn.
    fn failed(&mut self, error: &ImapError) -> Duration {
        if let Some(uid) = self.current.take() {
            match error {
                ImapError::TooLarge { octets } => {
                    self.too_large.insert(uid, *octets);
                }
                _ if error.why() == Some(Why::Throttled) => {}
                _ => self.postpone(uid),
            }
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = WAITS.0.saturating_mul(1 << (self.failures - 1).min(12)).min(WAITS.1);
        match error.wait() {
            // Not earlier than told.
            Some(told) => told.max(WAITS.0),
            None if error.why() == Some(Why::Throttled) => doubled.max(THROTTLED),
            None => doubled,
        }
    }
}

/// Time to stop, and some more: what is being taken may end, a server that hangs may not hold everything up.
async fn stopped_long(stop: &mut Stop) {
    stop.stopped().await;
    sleep(Duration::from_secs(10)).await;
}
