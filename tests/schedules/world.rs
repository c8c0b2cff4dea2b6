//! Two gateways and everything around them, in one thread and in its time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brevbro::event::{Event, EventName};
use brevbro::ident::{MailAddress, ParticipantId};
use brevbro::port::{Clock, Op, Queue, Step};
use brevbro::worker::{Admission, Crew, Gateway, MailDoor, MailSide, Rate, SenderPace};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::common::dice::Dice;
use crate::disk::Disk;
use crate::folder::Folder;
use crate::life::{Arm, Life};
use crate::mailserver::Taken;
use crate::net::Push;
use crate::plan::{Extra, Order, Plan, What};

pub const NAMES: [&str; 2] = ["a", "b"];
/// What stands in every mail and nowhere else.
pub const SECRET: &str = "hemlighet";
/// The longest that a schedule may take to come to rest.
const LONGEST: Duration = Duration::from_hours(24 * 20);

/// Who takes part on a side.
pub fn participant(side: usize) -> ParticipantId {
    format!("0203:{}.example", NAMES[side]).parse().unwrap()
}

/// A mailbox of a side.
pub fn mailbox(side: usize, name: &str) -> MailAddress {
    format!("{name}@{}.example", NAMES[side]).parse().unwrap()
}

/// The address of a function of the other side's.
pub fn towards(side: usize, function: &str) -> MailAddress {
    format!("{function}@{}.example.sdk.{}.example", NAMES[1 - side], NAMES[side]).parse().unwrap()
}

/// The time that a side believes it to be.
pub struct SimClock {
    start: Instant,
    offset: AtomicI64,
    /// When it was set.
    set: Mutex<Option<Instant>>,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let base: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        let elapsed = SignedDuration::try_from(self.start.elapsed()).unwrap();
        base + elapsed + SignedDuration::from_secs(self.offset.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.start.elapsed())
    }

    fn even_since(&self) -> Timestamp {
        let even = self.set.lock().unwrap().unwrap_or(self.start).elapsed();
        self.now() - SignedDuration::try_from(even).unwrap()
    }

    fn has_jumped_within(&self, span: Duration) -> bool {
        self.set.lock().unwrap().is_some_and(|set| set.elapsed() < span)
    }
}

/// One side.
pub struct Side {
    pub clock: Arc<SimClock>,
    pub disk: Disk,
    pub running: Mutex<Option<Running>>,
    /// How often so much time has passed that no unconfirmed mail is known any more.
    pub forgets: AtomicUsize,
    /// How often so much time has passed at once that attempts are given up.
    pub leaps: AtomicUsize,
    pub folder: Mutex<Folder>,
    arms: Mutex<VecDeque<Arm>>,
}

/// A gateway that is up.
pub struct Running {
    pub life: Arc<Life>,
    pub gateway: Gateway,
    pub door: Arc<MailDoor>,
    _crew: Crew,
}

/// A mail that a side has taken over, as its client or its folder saw it.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub order: Order,
    /// A client that repeats a mail after so long that nobody knows it any more sends two.
    pub forgotten: bool,
}

/// What everybody outside the gateways wrote down.
#[derive(Default)]
pub struct Log {
    pub history: Vec<String>,
    /// The gateways' journals at the end.
    pub journals: Vec<String>,
    pub wrong: Vec<String>,
    pub pushes: Vec<Push>,
    pub taken: Vec<Taken>,
    pub accepted: Vec<Accepted>,
    /// Orders that were refused, by token.
    pub refused: BTreeMap<String, String>,
    /// Messages that were read, by their ids.
    pub read: BTreeMap<String, usize>,
    /// Notices that the mail server refused for good: their Message-IDs, by their actions and messages.
    pub turned_away: BTreeMap<(String, String), BTreeSet<String>>,
    /// Alarms that the mail server refused for good.
    pub unalarmed: [usize; 2],
    /// Mails that were given back, by the ids of their messages.
    pub given_back: BTreeMap<String, usize>,
}

pub struct World {
    pub plan: Plan,
    pub sides: [Side; 2],
    pub log: Mutex<Log>,
    dice: Mutex<Dice>,
    start: Instant,
    busy: AtomicUsize,
    /// Nothing goes wrong any more.
    pub calm: AtomicBool,
    /// Time goes over for all that has ended.
    retiring: AtomicBool,
    over: AtomicBool,
    supervisors: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

/// Something that is on its way; the schedule is not at rest before it is over.
pub struct Busy(Arc<World>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    pub fn new(plan: Plan) -> Arc<Self> {
        let start = Instant::now();
        let side = |side: usize| {
            let clock = Arc::new(SimClock { start, offset: AtomicI64::new(0), set: Mutex::default() });
            let own: Arc<dyn Clock> = Arc::clone(&clock) as _;
            let arms = Mutex::new(plan.arms[side].clone().into());
            Side {
                clock,
                disk: Disk::new(&own),
                running: Mutex::default(),
                forgets: AtomicUsize::new(0),
                leaps: AtomicUsize::new(0),
                folder: Mutex::default(),
                arms,
            }
        };
        let sides = [side(0), side(1)];
        let dice = Mutex::new(Dice(plan.seed ^ 0x0dd5));
        let [calm, retiring, over] = [(); 3].map(|()| AtomicBool::new(false));
        let busy = AtomicUsize::new(0);
        Arc::new(Self { plan, sides, log: Mutex::default(), dice, start, busy, calm, retiring, over, supervisors: Mutex::default() })
    }

    pub fn roll(&self, sides: u64) -> u64 {
        self.dice.lock().unwrap().roll(sides)
    }

    /// Whether something goes wrong that does so once in so many times.
    pub fn fails(&self, once_in: u64) -> bool {
        !self.calm.load(Ordering::SeqCst) && self.roll(once_in) == 0
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn tell(&self, what: impl AsRef<str>) {
        let line = format!("{:>10.3} {}", self.elapsed().as_secs_f64(), what.as_ref());
        self.log.lock().unwrap().history.push(line);
    }

    pub fn wrong(&self, what: impl Into<String>) {
        let what = what.into();
        self.tell(format!("WRONG {what}"));
        self.log.lock().unwrap().wrong.push(what);
    }

    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// Does something beside the gateways' lives.
    pub fn beside(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let busy = self.busy();
        tokio::spawn(async move {
            work.await;
            drop(busy);
        });
    }

    /// The life of a side and its gateway, when it is up.
    pub fn up(&self, side: usize) -> Option<(Arc<Life>, Gateway, Arc<MailDoor>)> {
        let running = self.sides[side].running.lock().unwrap();
        let running = running.as_ref().filter(|running| !running.life.is_dead())?;
        Some((Arc::clone(&running.life), running.gateway.clone(), Arc::clone(&running.door)))
    }

    /// Kills a side's gateway.
    pub fn kill(&self, side: usize, why: &str) {
        if let Some((life, ..)) = self.up(side) {
            self.tell(format!("{} is killed: {why}", NAMES[side]));
            life.end();
        }
    }

    pub fn jump(&self, side: usize, seconds: i64) {
        if seconds > 60 * 60 * 24 * 6 {
            self.sides[side].forgets.fetch_add(1, Ordering::SeqCst);
        }
        self.tell(format!("the clock of {} jumps by {seconds} s", NAMES[side]));
        if seconds >= 7_200 {
            self.sides[side].leaps.fetch_add(1, Ordering::SeqCst);
        }
        let clock = &self.sides[side].clock;
        clock.offset.fetch_add(seconds, Ordering::SeqCst);
        *clock.set.lock().unwrap() = Some(Instant::now());
    }

    /// Plays the schedule until everything has ended.
    pub async fn play(self: &Arc<Self>) {
        self.supervisors.lock().unwrap().extend([0, 1].map(|side| tokio::spawn(supervise(Arc::clone(self), side))));
        for order in self.plan.orders.clone() {
            match order.what {
                What::Folder => crate::folder::put(self, order),
                _ => self.beside(crate::client::send(Arc::clone(self), order)),
            }
        }
        for (at, what) in self.plan.happenings.clone() {
            let own = Arc::clone(self);
            self.beside(async move {
                tokio::time::sleep_until(own.start + at).await;
                crate::plan::happen(&own, what).await;
            });
        }
        tokio::time::sleep(self.plan.trouble).await;
        self.rest("after the trouble").await;
        self.calm.store(true, Ordering::SeqCst);
        // What is deleted only at a start is deleted now.
        for side in [0, 1] {
            self.sides[side].arms.lock().unwrap().clear();
            self.kill(side, "for the last start");
        }
        // Among several nodes what one left is old before it is touched, and what was named for long is looked for once a day.
        let nodes = self.plan.extras.contains(&Extra::Nodes);
        tokio::time::sleep(if nodes { Duration::from_hours(28) } else { Duration::from_secs(1) }).await;
        self.rest("after the last start").await;
    }

    /// Lives end where the plan says that they do when time goes over.
    pub fn retire(&self) {
        self.retiring.store(true, Ordering::SeqCst);
        for side in [0, 1] {
            *self.sides[side].arms.lock().unwrap() = self.plan.later[side].clone().into();
            self.kill(side, "for the next time");
        }
    }

    /// The end.
    pub async fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        for side in [0, 1] {
            self.kill(side, "the end");
        }
        let supervisors = std::mem::take(&mut *self.supervisors.lock().unwrap());
        for supervisor in supervisors {
            supervisor.await.unwrap();
        }
    }

    async fn rest(self: &Arc<Self>, when: &str) {
        let (mut quiet, began) = (0, self.elapsed());
        while quiet < 2 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            let left = self.left().await;
            quiet = if left.is_empty() { quiet + 1 } else { 0 };
            let longest = if self.plan.sabotage.is_some() { LONGEST / 40 } else { LONGEST };
            if self.elapsed().checked_sub(began).unwrap() > longest {
                self.wrong(format!("never comes to rest {when}: {}", left.join(", ")));
                return;
            }
            if self.elapsed().checked_sub(began).unwrap() > Duration::from_hours(12) {
                self.calm.store(true, Ordering::SeqCst);
            }
        }
    }

    /// What is still to be done.
    async fn left(&self) -> Vec<String> {
        use brevbro::port::Store;
        let mut left = Vec::new();
        for (side, name) in NAMES.iter().enumerate() {
            if self.up(side).is_none() {
                left.push(format!("{name} is down"));
            }
            for (queue, jobs) in self.sides[side].disk.store.health().await.jobs {
                // What is kept for years waits for its end.
                if jobs > 0 && queue != Queue::Purge {
                    left.push(format!("{name} has {jobs} of {queue:?}"));
                }
            }
            if self.sides[side].folder.lock().unwrap().is_waiting() {
                left.push(format!("{name} has mails in its outbox folder"));
            }
        }
        match self.busy.load(Ordering::SeqCst) {
            0 => {}
            busy => left.push(format!("{busy} are busy")),
        }
        left
    }
}

/// Starts a side's gateway again and again.
async fn supervise(world: Arc<World>, side: usize) {
    for number in 0.. {
        let own = &world.sides[side];
        let arm = own.arms.lock().unwrap().pop_front();
        let telling = arm.as_ref().map_or(String::new(), |arm| format!(", to end at {}:{}", arm.point, arm.pass));
        world.tell(format!("{} starts for the {number}. time{telling}", NAMES[side]));
        let life = Life::new(side, number, arm, || {});
        let started = life.run(start(Arc::clone(&world), side, Arc::clone(&life)));
        let failed = tokio::select! {
            started = started => !started.unwrap_or(true),
            () = life.ended() => false,
        };
        if failed {
            life.end();
        }
        life.ended().await;
        world.tell(format!("{} is down", NAMES[side]));
        if world.plan.renews == Some(side) && !world.calm() && own.folder.lock().unwrap().renew() {
            world.tell(format!("the outbox folder of {} is made anew", NAMES[side]));
        }
        drop(own.running.lock().unwrap().take());
        life.bury();
        // One that ended otherwise leaves its point to the next.
        if let Some(arm) = life.missed().filter(|_| !world.calm() || world.retiring.load(Ordering::SeqCst)) {
            own.arms.lock().unwrap().push_front(arm);
        }
        if world.over.load(Ordering::SeqCst) {
            return;
        }
        let down = if world.calm.load(Ordering::SeqCst) { 0 } else { world.roll(6) * world.roll(100) };
        tokio::time::sleep(Duration::from_secs(down)).await;
    }
}

/// What the daemon does at its start, in its order; whether it came up.
async fn start(world: Arc<World>, side: usize, life: Arc<Life>) -> bool {
    let gateway = Arc::new(crate::gateway::gateway(&world, side, &life));
    let mail = Arc::clone(gateway.mail().unwrap());
    let started = Step::new().op(Op::Audit(Event::new(gateway.clock.now(), EventName::Started)));
    if gateway.store.apply(started).await.is_err()
        || mail.take_in_orphans().await.is_err()
        || mail.deliver_unread().await.is_err()
        || mail.retire_all().await.is_err()
    {
        return false;
    }
    let crew = Crew::start(&gateway);
    let many = Rate { minute: 100_000, hour: 100_000 };
    let admission = Admission::new(Box::new(|_| true), Vec::new(), SenderPace { mails: many, recipients: many });
    let door = Arc::new(MailDoor::new(Arc::clone(&mail), admission));
    let running = Running { life: Arc::clone(&life), gateway: Gateway::clone(&gateway), door, _crew: crew };
    *world.sides[side].running.lock().unwrap() = Some(running);
    let watching = gateway;
    drop(life.run(async move { drop(watching.watch_expiry().await) }));
    if world.plan.extras.contains(&Extra::Limited) {
        drop(life.run(watch_limits(Arc::clone(&mail))));
    }
    if world.plan.extras.contains(&Extra::Nodes) {
        drop(life.run(keep_in_order(Arc::clone(&mail))));
    }
    drop(life.run(crate::folder::watch(Arc::clone(&world), side, mail)));
    true
}

/// What is over is told.
async fn watch_limits(mail: Arc<MailSide>) {
    loop {
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(mail.watch_limits().await);
    }
}

/// What a node left that ended is put in order by those that live.
async fn keep_in_order(mail: Arc<MailSide>) {
    loop {
        tokio::time::sleep(Duration::from_hours(1)).await;
        drop(mail.take_in_orphans().await);
    }
}

impl World {
    /// When the schedule began.
    pub fn begin(&self) -> Instant {
        self.start
    }

    /// Whether nothing goes wrong any more.
    pub fn calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }
}
