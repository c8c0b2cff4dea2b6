//! What a seed brings: who sends what, when something goes wrong, and where lives end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use brevbro::ident::MailAddress;
use brevbro::port::{Clock, Job, JobId, Queue, Step, Store};

use crate::common::dice::Dice;
use crate::life::Arm;
use crate::net::{Served, serve};
use crate::operator::Act;
use crate::world::{NAMES, World, towards};

/// How a mail comes, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Smtp,
    /// It lies in an outbox folder.
    Folder,
    /// A program sent it by itself.
    Automatic,
    /// It was delivered from SDK and comes back.
    Circle,
}

/// When a client shows that it saw our 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    AtOnce,
    Later,
    Never,
}

/// A mail that is to be sent.
#[derive(Debug, Clone)]
pub struct Order {
    pub at: Duration,
    pub side: usize,
    pub token: String,
    pub from: String,
    pub to: Vec<MailAddress>,
    pub what: What,
    pub file: bool,
    /// Whether success is to be told.
    pub success: bool,
    /// Answers that its client misses.
    pub missed: u32,
    /// Its client repeats it after so long that it counts as another mail.
    pub stale: bool,
    pub confirm: Confirm,
    /// The Message-ID that it answers.
    pub answers: Option<String>,
}

/// What a schedule has besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extra {
    Scanner,
    Returned,
    Stale,
    Expiring,
    Unreachable,
    /// The gateway is one node of several, the only one that is there.
    Nodes,
    /// Organisations may have so little under way that they reach their limit.
    Limited,
}

/// What is broken on purpose, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The store says that it has what came by AS4, and has not.
    ForgetsArrivals,
    /// The store says that it has a mail's records, and has not.
    ForgetsMails,
    /// Bodies of received messages are said to be there, and are not.
    LosesBodies,
    /// The store does not keep that a mail was handed over.
    ForgetsDeliveries,
    /// Another attempt has other octets.
    ChangesRequests,
    /// A journal line says what a mail is about.
    TellsSecrets,
    /// What is to be deleted when its time is over is not, and is said to be.
    KeepsContent,
    /// The store does not keep that something is held.
    ForgetsHolds,
}

/// Something that happens at a time.
#[derive(Debug, Clone, Copy)]
pub enum Happening {
    Kill(usize),
    Jump(usize, i64),
    /// A request that is no AS4.
    Garbage(usize),
    /// A notice about no mail of ours.
    Nothing(usize),
    /// A job whose message has moved on.
    Stray(usize),
    /// The operator does something about a message.
    Operate(usize, Act),
}

/// A time in which something does not work.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    kind: Kind,
    side: usize,
    from: Duration,
    till: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nobody reaches the side.
    Cut,
    /// Its mail server is away.
    Deaf,
    /// DNS, SMP and CAs do not answer it.
    Blind,
    /// Its disk is full every now and then.
    Full,
}

/// A schedule.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub orders: Vec<Order>,
    pub arms: [Vec<Arm>; 2],
    /// Where lives end when everything has ended and its time is over.
    pub later: [Vec<Arm>; 2],
    /// The side at which something is held then.
    pub held: Option<usize>,
    pub happenings: Vec<(Duration, Happening)>,
    pub windows: Vec<Window>,
    pub extras: BTreeSet<Extra>,
    /// The side whose outbox folder is made anew when its gateway ends with mails in it.
    pub renews: Option<usize>,
    pub sabotage: Option<Sabotage>,
    /// How long things may go wrong.
    pub trouble: Duration,
    /// A fault of the net once in so many requests, and of the mail servers in so many mails.
    pub net: u64,
    pub mail: u64,
}

const MINUTE: Duration = Duration::from_mins(1);

/// The step that a point is one of.
fn step_of(point: &str) -> &str {
    point.rsplit_once('.').map_or(point, |(step, _)| step)
}

/// Whether a point is passed only when everything has ended.
fn is_later(point: &str) -> bool {
    match step_of(point) {
        "purge.begin" | "purge.later" => false,
        step => step.split('.').next() == Some("purge") || matches!(step, "hold.set" | "hold.end" | "hold.wake"),
    }
}

impl Plan {
    /// The schedule of a seed; `points` are all at which a life may end, each of which is the focus of some seeds.
    pub fn of(seed: u64, points: &[String]) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9).wrapping_add(17));
        let focus = points[usize::try_from(seed).unwrap() % points.len()].clone();
        let mut plan = Self {
            seed,
            orders: Vec::new(),
            arms: [Vec::new(), Vec::new()],
            later: [Vec::new(), Vec::new()],
            held: if dice.roll(3) == 0 { Some(dice.roll(2) as usize) } else { None },
            happenings: Vec::new(),
            windows: Vec::new(),
            extras: BTreeSet::new(),
            sabotage: None,
            renews: if dice.roll(8) == 0 { Some(dice.roll(2) as usize) } else { None },
            trouble: MINUTE * 20,
            net: [6, 10, 20, 1_000][dice.roll(4) as usize],
            mail: [6, 10, 20, 1_000][dice.roll(4) as usize],
        };
        let side = dice.roll(2) as usize;
        for _ in 0..=dice.roll(2) {
            let side = dice.roll(2) as usize;
            plan.order(&mut dice, side, "inkorg", "inkorg");
        }
        plan.order(&mut dice, side, "inkorg", "annan");
        plan.serve_focus(&mut dice, side, &focus);
        plan.serve_operator(&mut dice, side, &focus);
        // The first time that a point has its turn nothing else is in its way.
        let plain = seed < points.len() as u64;
        let pass = if plain { 1 } else { 1 + u32::try_from(dice.roll(3) * dice.roll(2)).unwrap() };
        // Either side may be the one that is held.
        if matches!(step_of(&focus), "hold" | "release" | "operate.release") {
            plan.arm(1 - side, &focus, pass);
        }
        plan.arm(side, &focus, pass);
        if plain {
            (plan.net, plan.mail) = (plan.net.max(8), plan.mail.max(8));
            plan.settle();
            return plan;
        }
        for _ in 0..dice.roll(4) {
            let point = points[dice.roll(points.len() as u64) as usize].clone();
            let pass = 1 + u32::try_from(dice.roll(3)).unwrap();
            plan.arm(dice.roll(2) as usize, &point, pass);
        }
        plan.trouble(&mut dice);
        plan
    }

    fn arm(&mut self, side: usize, point: &str, pass: u32) {
        let arms = if is_later(point) { &mut self.later } else { &mut self.arms };
        arms[side].push(Arm { point: point.to_owned(), pass });
    }

    fn order(&mut self, dice: &mut Dice, side: usize, from: &str, to: &str) -> &mut Order {
        let mut to = vec![towards(side, to)];
        if dice.roll(6) == 0 {
            to.push(towards(side, "annan"));
            to.dedup();
        }
        let order = Order {
            at: Duration::from_secs(5 + dice.roll(300)),
            side,
            token: format!("t{}", self.orders.len()),
            from: from.to_owned(),
            to,
            what: What::Smtp,
            file: dice.roll(3) == 0,
            success: dice.roll(3) > 0,
            missed: u32::from(dice.roll(5) == 0),
            stale: false,
            confirm: [Confirm::AtOnce, Confirm::Later, Confirm::Never][dice.roll(3) as usize],
            answers: None,
        };
        self.orders.push(order);
        self.orders.last_mut().unwrap()
    }

    /// Brings along what makes a side pass a point.
    fn serve_focus(&mut self, dice: &mut Dice, side: usize, focus: &str) {
        let step = step_of(focus);
        let mut also = dice.roll(12);
        // One in twelve has each of these without a need.
        let mut wanted = |name: &str| {
            also = also.wrapping_sub(1);
            step == name || also == 0
        };
        if wanted("accept.stale") {
            let order = self.order(dice, side, "inkorg", "inkorg");
            (order.missed, order.stale) = (1, true);
        }
        if wanted("accept.repeated") {
            self.order(dice, side, "annan", "inkorg").missed = 2;
        }
        if wanted("accept.dropped") {
            self.order(dice, side, "annan", "inkorg").what = What::Automatic;
            self.order(dice, side, "annan", "annan").what = What::Circle;
        }
        if wanted("scan") {
            self.extras.insert(Extra::Scanner);
        }
        if wanted("hold") || matches!(step, "release" | "pair" | "operate.release") {
            for turn in 0..7 {
                let own = if turn % 2 == 0 { side } else { 1 - side };
                let order = self.order(dice, own, "snabb", "snabb");
                (order.at, order.missed) = (Duration::from_secs(60 + 120 * turn), 0);
            }
        }
        if wanted("deliver.short") {
            self.order(dice, 1 - side, "lang", "inkorg");
        }
        if wanted("returned") {
            self.extras.insert(Extra::Returned);
            for _ in 0..3 {
                self.order(dice, 1 - side, "inkorg", "inkorg");
            }
        }
        if wanted("returned.dropped") {
            self.happen(dice, Happening::Nothing(side));
        }
        if wanted("read") {
            self.order(dice, 1 - side, "inkorg", "vakt");
        }
        if wanted("stale") {
            self.extras.insert(Extra::Stale);
        }
        if wanted("expiry") {
            self.extras.insert(Extra::Expiring);
        }
        if wanted("limit.reached") || step == "limit.over" {
            self.extras.insert(Extra::Limited);
            // What was taken is under way until the other side is there again, and the rest comes meanwhile.
            self.windows.push(Window { kind: Kind::Cut, side: 1 - side, from: Duration::ZERO, till: MINUTE * 12 });
            for turn in 0..4 {
                let order = self.order(dice, side, "annan", "inkorg");
                (order.at, order.missed) = (MINUTE * (1 + turn), 0);
            }
        }
        if step.starts_with("outbox") || dice.roll(12) == 0 {
            for to in ["inkorg", "annan", "utkorg"] {
                self.order(dice, side, "utkorg", to).what = What::Folder;
            }
            if matches!(focus, "outbox.told") || step == "outbox.refused" || dice.roll(4) == 0 {
                let order = self.order(dice, side, "utkorg", "inkorg");
                order.what = What::Folder;
                order.to = vec![format!("inkorg@c.example.sdk.{}.example", NAMES[side]).parse().unwrap()];
            }
            if step == "outbox.recognised" {
                self.arms[side].push(Arm { point: "outbox.taken".into(), pass: 1 });
                self.renews = Some(side);
            }
            if step == "outbox.unreachable" || dice.roll(6) == 0 {
                self.extras.insert(Extra::Unreachable);
            }
        }
        if step == "await" || dice.roll(10) == 0 {
            // The receipts do not come back for longer than a sender waits without being told.
            self.windows.push(Window { kind: Kind::Cut, side, from: Duration::ZERO, till: MINUTE * (40 + u32::try_from(dice.roll(120)).unwrap()) });
        }
        if step == "send.attempted" || dice.roll(10) == 0 {
            self.windows.push(Window {
                kind: Kind::Cut,
                side: 1 - side,
                from: Duration::ZERO,
                till: MINUTE * (8 + u32::try_from(dice.roll(10)).unwrap()),
            });
        }
        if step == "receive.refused" || dice.roll(12) == 0 {
            self.happen(dice, Happening::Garbage(side));
        }
        if step == "receive.duplicate" {
            self.net = 4;
        }
        if step == "abandon" || dice.roll(12) == 0 {
            self.happenings.push((MINUTE * 15, Happening::Stray(side)));
        }
        if dice.roll(8) == 0 {
            self.order(dice, side, "inkorg", "finnsinte");
        }
        if dice.roll(10) == 0 {
            self.order(dice, side, "inkorg", "stangd");
        }
    }

    /// Brings along what the operator has something to do with, and what is held.
    fn serve_operator(&mut self, dice: &mut Dice, side: usize, focus: &str) {
        if matches!(step_of(focus), "hold.set" | "hold.end" | "hold.wake" | "purge.held") {
            self.held = Some(side);
        }
        if step_of(focus) == "orphans" || dice.roll(12) == 0 {
            self.extras.insert(Extra::Nodes);
        }
        let wanted = Act::ALL.into_iter().find(|act| act.steps().contains(&step_of(focus)));
        let Some(act) = wanted.or_else(|| (dice.roll(4) == 0).then(|| Act::ALL[dice.roll(6) as usize])) else { return };
        let cut = match act {
            // Longer than anything is tried.
            Act::Resend => 200,
            Act::Retry | Act::Cancel => 50,
            _ => 0,
        };
        if cut > 0 {
            self.windows.push(Window { kind: Kind::Cut, side: 1 - side, from: Duration::ZERO, till: MINUTE * cut });
        }
        if act == Act::Handled {
            self.order(dice, 1 - side, "inkorg", "stangd");
        }
        for side in [side, 1 - side] {
            let at = Duration::from_secs(60 + dice.roll(900));
            self.happenings.push((at, Happening::Operate(side, act)));
        }
    }

    fn happen(&mut self, dice: &mut Dice, what: Happening) {
        self.happenings.push((Duration::from_secs(5 + dice.roll(600)), what));
    }

    /// What goes wrong without a point.
    fn trouble(&mut self, dice: &mut Dice) {
        for _ in 0..dice.roll(3) {
            let side = dice.roll(2) as usize;
            self.happen(dice, Happening::Kill(side));
        }
        if dice.roll(6) == 0 {
            let side = dice.roll(2) as usize;
            let seconds = [-3_600, -60, 45, 900, 7_200, 90_000][dice.roll(6) as usize];
            self.happen(dice, Happening::Jump(side, seconds));
        }
        if dice.roll(3) == 0 {
            let kind = [Kind::Cut, Kind::Deaf, Kind::Blind, Kind::Full][dice.roll(4) as usize];
            let from = Duration::from_secs(dice.roll(400));
            // Some last longer than anybody is ready to wait.
            let longest = if dice.roll(4) == 0 { 24_000 } else { 3_000 };
            let till = from + Duration::from_secs(60 + dice.roll(longest));
            self.windows.push(Window { kind, side: dice.roll(2) as usize, from, till });
        }
        self.settle();
    }

    /// The trouble lasts as long as its last window.
    fn settle(&mut self) {
        let last = self.windows.iter().map(|window| window.till).max().unwrap_or_default();
        self.trouble = self.trouble.max(last);
    }

    fn within(&self, kind: Kind, side: usize, at: Duration) -> bool {
        self.windows.iter().any(|window| window.kind == kind && window.side == side && (window.from..window.till).contains(&at))
    }

    pub fn is_cut(&self, side: usize, at: Duration) -> bool {
        self.within(Kind::Cut, side, at)
    }

    pub fn is_deaf(&self, side: usize, at: Duration) -> bool {
        self.within(Kind::Deaf, side, at)
    }

    pub fn is_blind(&self, side: usize, at: Duration) -> bool {
        self.within(Kind::Blind, side, at)
    }

    pub fn is_full(&self, side: usize, at: Duration) -> bool {
        self.within(Kind::Full, side, at)
    }

    /// Whether a mail server is away for so long that what is told by mail is given up.
    pub fn is_deaf_too_long(&self, side: usize) -> bool {
        self.windows
            .iter()
            .any(|window| window.kind == Kind::Deaf && window.side == side && window.till.checked_sub(window.from).unwrap() > MINUTE * 150)
    }

    /// Whether a disk is full at some time: then steps fail in ways that the journal calls faults.
    pub fn has_full_disk(&self) -> bool {
        self.windows.iter().any(|window| window.kind == Kind::Full)
    }
}

/// Lets something happen.
pub async fn happen(world: &Arc<World>, what: Happening) {
    match what {
        Happening::Kill(side) => world.kill(side, "at a moment"),
        Happening::Jump(side, seconds) => world.jump(side, seconds),
        Happening::Garbage(side) => {
            while !matches!(serve(world, side, "application/soap+xml".into(), b"garbage".to_vec()).await, Served::Answer(_)) {
                tokio::time::sleep(MINUTE).await;
            }
        }
        Happening::Operate(side, act) => crate::operator::act(world, side, act).await,
        Happening::Nothing(side) => crate::client::give_back_nothing(world, side).await,
        Happening::Stray(side) => {
            let own = &world.sides[side];
            let record = own.disk.kept.lock().unwrap().records.keys().next().copied();
            if let Some(record) = record {
                let job = Job::new(JobId::of(record, "stray"), Queue::Await, record, own.clock.now());
                let is_out =
                    own.disk.store.record(record).await.unwrap().is_some_and(|record| brevbro::outbound::Outgoing::from_record(&record).is_ok());
                let queue = if is_out { Queue::Seal } else { Queue::Open };
                own.disk.store.apply(Step::new().op(brevbro::port::Op::Enqueue(Job { queue, ..job }))).await.unwrap();
            }
        }
    }
}
