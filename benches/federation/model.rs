//! The federation: who there is, who writes to whom and when, and what a message costs each gateway.
//!
//! The populations are no data: municipalities fall off by their rank as municipalities do, from a million people to a few
//! thousand. What a message does at a gateway is what the code does.

use super::engine::{Closed, Dice, Job, Played, Stations, Stop, quantile};

pub const MUNICIPALITIES: usize = 290;
pub const REGIONS: usize = 21;
pub const AGENCIES: usize = 14;
/// Municipalities from this rank on have their gateway at one of so many service bureaus.
pub const OWN_GATEWAY: usize = 120;
pub const BUREAUS: usize = 10;

/// Days a year on which people write.
const WORKDAYS: f64 = 250.0;
/// A Monday has so much more than a mean day.
const MONDAY: f64 = 1.3;
/// Shares of a day by the hour, from six in the morning on.
const HOURS: [f64; 12] = [0.01, 0.03, 0.12, 0.16, 0.14, 0.10, 0.06, 0.11, 0.11, 0.09, 0.05, 0.02];
/// How long between two access points, and octets a second of a line.
const ROUND_TRIP: f64 = 0.05;
const LINE: f64 = 12_500_000.0;
/// A mail server takes a mail in this time.
const MAIL_SERVER: f64 = 0.1;
/// Places to one destination, and to a mail server, as they come.
const TO_ONE: usize = 4;
const TO_MAIL_SERVER: usize = 8;

/// Seconds of one core for each step of a message: what does not depend on its size, and each octet.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub fixed: f64,
    pub octet: f64,
}

impl Cost {
    fn of(self, octets: f64) -> f64 {
        self.fixed + self.octet * octets
    }
}

/// What the steps cost on a machine.
#[derive(Debug, Clone, Copy)]
pub struct Units {
    /// Mail to message, judged in the SMTP dialogue, and again when it is sealed.
    pub convert: Cost,
    pub seal: Cost,
    pub package: Cost,
    /// Opening an AS4 message, and signing its receipt.
    pub receive: Cost,
    /// Verifying, decrypting and judging an envelope.
    pub open: Cost,
    /// A durable step of the store.
    pub step: f64,
}

impl Units {
    /// The same on a machine that is so much slower, but for its disk.
    #[must_use]
    pub fn slower(&self, times: f64) -> Self {
        let slower = |cost: Cost| Cost { fixed: cost.fixed * times, octet: cost.octet * times };
        let Self { convert, seal, package, receive, open, step } = *self;
        Self { convert: slower(convert), seal: slower(seal), package: slower(package), receive: slower(receive), open: slower(open), step }
    }
}

/// A gateway's machines.
#[derive(Debug, Clone, Copy)]
pub struct Machines {
    pub nodes: usize,
    pub cores: usize,
}

/// What is played.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Messages a year in the whole federation.
    pub yearly: f64,
    pub machines: Machines,
    /// Whether the largest gateway is away from nine to ten.
    pub outage: bool,
}

/// A gateway: whose it is, and which share of all messages its organisations send and get.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub kind: Kind,
    pub organisations: usize,
    pub share: f64,
}

/// Which sort of gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Large,
    Middle,
    Small,
    Bureau,
    Region,
    Agency,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Large, Self::Middle, Self::Small, Self::Bureau, Self::Region, Self::Agency];

    pub fn name(self) -> &'static str {
        match self {
            Self::Large => "municipalities 1-10",
            Self::Middle => "municipalities 11-60",
            Self::Small => "municipalities 61-120",
            Self::Bureau => "service bureaus (17 each)",
            Self::Region => "regions",
            Self::Agency => "agencies",
        }
    }
}

/// Everybody, with shares that add up to one: municipalities 45 %, regions 35 %, agencies 20 % of what is sent and of what is got.
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
pub fn gateways() -> Vec<Gateway> {
    let falling = |number: usize, power: f64| {
        let weights: Vec<f64> = (1..=number).map(|rank| 1.0 / (rank as f64).powf(power)).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(move |weight| weight / sum)
    };
    let mut all = Vec::new();
    let mut bureaus = vec![Gateway { kind: Kind::Bureau, organisations: 0, share: 0.0 }; BUREAUS];
    for (rank, share) in falling(MUNICIPALITIES, 0.85).enumerate() {
        let share = 0.45 * share;
        let kind = match rank {
            0..10 => Kind::Large,
            10..60 => Kind::Middle,
            _ => Kind::Small,
        };
        if rank < OWN_GATEWAY {
            all.push(Gateway { kind, organisations: 1, share });
        } else {
            let bureau = &mut bureaus[rank % BUREAUS];
            bureau.organisations += 1;
            bureau.share += share;
        }
    }
    all.extend(bureaus);
    all.extend(falling(REGIONS, 0.7).map(|share| Gateway { kind: Kind::Region, organisations: 1, share: 0.35 * share }));
    all.extend(falling(AGENCIES, 1.0).map(|share| Gateway { kind: Kind::Agency, organisations: 1, share: 0.20 * share }));
    all
}

/// Octets of a message: most are short, some have scanned documents, few are as large as may be.
fn size(dice: &mut Dice) -> f64 {
    let (which, within) = (dice.unit(), dice.unit());
    match which {
        ..0.60 => 4_000.0 + 16_000.0 * within,
        ..0.90 => 100_000.0 + 400_000.0 * within,
        ..0.985 => 1_000_000.0 + 3_000_000.0 * within,
        _ => 8_000_000.0 + 22_000_000.0 * within,
    }
}

/// A gateway's stations.
struct Place {
    cores: usize,
    store: usize,
    mail: usize,
}

/// What came of a kind of gateways.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row {
    pub messages: usize,
    /// Of the busiest: cores in its busiest hour, and store over the day.
    pub cores: f64,
    pub store: f64,
    pub longest: usize,
    /// Seconds from `250` to the other mailbox: median, 99 of 100, all.
    pub latency: [f64; 3],
    /// Until the message receipt is there.
    pub receipt: [f64; 3],
}

/// Plays a Monday; a row for each kind of gateways, by who sends.
pub fn play(scenario: &Scenario, units: &Units, seed: u64) -> Vec<(Kind, Row)> {
    let gateways = gateways();
    // What happens by chance in an outage has numbers of its own: the same messages are sent with one and without.
    let (mut dice, mut probes) = (Dice(seed), Dice(!seed));
    let mut stations = Stations::default();
    let Machines { nodes, cores } = scenario.machines;
    let places: Vec<Place> =
        gateways.iter().map(|_| Place { cores: stations.add(nodes * cores), store: stations.add(1), mail: stations.add(TO_MAIL_SERVER) }).collect();
    let largest = (0..gateways.len()).max_by(|a, b| gateways[*a].share.total_cmp(&gateways[*b].share)).unwrap_or_default();
    let mut lanes = std::collections::BTreeMap::new();
    let mut jobs = Vec::new();
    let day = scenario.yearly / WORKDAYS * MONDAY;
    for (hour, share) in (0_u32..).zip(HOURS) {
        let from = f64::from(hour) * 3_600.0;
        let mut at = from;
        loop {
            at += dice.exponential(3_600.0 / (day * share));
            if at >= from + 3_600.0 {
                break;
            }
            let from = pick(&gateways, &mut dice);
            let to = loop {
                let to = pick(&gateways, &mut dice);
                // A bureau's organisations write to one another as well, over the same gateway.
                if to != from || gateways[to].organisations > 1 {
                    break to;
                }
            };
            let octets = size(&mut dice);
            let mut lane = |from: usize, to: usize| {
                *lanes.entry((from, to)).or_insert_with(|| {
                    let lane = stations.add(TO_ONE);
                    if scenario.outage && to == largest && from != to {
                        // Away from nine to ten; the next probe finds it within five minutes after.
                        let probe = 300.0 * probes.unit();
                        let closed = Closed { from: 3.0 * 3_600.0, until: 4.0 * 3_600.0 + probe, slowest: 1.0, doubling: 5.0, fastest: 0.02 };
                        stations.close(lane, closed);
                    }
                    lane
                })
            };
            let (there, back) = (lane(from, to), lane(to, from));
            jobs.push(message(at, octets, (&places[from], &places[to]), (there, back), units, from));
        }
    }
    summary(&gateways, &places, &scenario.machines, &stations.play(jobs))
}

fn pick(gateways: &[Gateway], dice: &mut Dice) -> usize {
    let mut left = dice.unit();
    gateways
        .iter()
        .position(|gateway| {
            left -= gateway.share;
            left <= 0.0
        })
        .unwrap_or(gateways.len() - 1)
}

/// The stops of a message and of its receipt.
fn message(at: f64, octets: f64, (from, to): (&Place, &Place), (there, back): (usize, usize), units: &Units, kind: usize) -> Job {
    // The message receipt is an envelope of its own, of some kilobytes.
    const RECEIPT: f64 = 3_000.0;
    let stop = |station, seconds| Stop { station, seconds };
    let Units { convert, seal, package, receive, open, step } = *units;
    let line = |octets: f64| ROUND_TRIP + octets / LINE;
    let stops = vec![
        stop(from.cores, convert.of(octets)),
        // Spool, then accepted and confirmed.
        stop(from.store, 3.0 * step),
        stop(from.cores, convert.of(octets) + seal.of(octets)),
        stop(from.store, 2.0 * step),
        stop(from.cores, package.of(octets)),
        stop(from.store, 2.0 * step),
        // The place is taken until the receipt is there.
        stop(there, line(octets) + receive.of(octets)),
        stop(to.cores, receive.of(octets)),
        stop(to.store, 3.0 * step),
        stop(from.store, 2.0 * step),
        stop(to.cores, open.of(octets)),
        stop(to.store, 3.0 * step),
        stop(to.mail, MAIL_SERVER + octets / LINE),
        stop(to.store, 2.0 * step),
        // The message receipt, there and back.
        stop(to.cores, seal.of(RECEIPT) + package.of(RECEIPT)),
        stop(to.store, 4.0 * step),
        stop(back, line(RECEIPT) + receive.of(RECEIPT)),
        stop(from.cores, receive.of(RECEIPT) + open.of(RECEIPT)),
        stop(from.store, 6.0 * step),
    ];
    Job { at, stops, mark: 14, kind }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn summary(gateways: &[Gateway], places: &[Place], machines: &Machines, played: &Played) -> Vec<(Kind, Row)> {
    let day = 3_600.0 * HOURS.len() as f64;
    let peak = HOURS.iter().copied().fold(0.0, f64::max) / HOURS.iter().sum::<f64>() * 3_600.0_f64.recip();
    let rows = Kind::ALL.map(|kind| {
        let of_kind = |gateway: usize| gateways[gateway].kind == kind;
        let sorted = |seconds: fn(&super::engine::Passed) -> f64| {
            let mut all: Vec<f64> = played.passed.iter().filter(|passed| of_kind(passed.kind)).map(seconds).collect();
            all.sort_by(f64::total_cmp);
            [quantile(&all, 0.5), quantile(&all, 0.99), quantile(&all, 1.0)]
        };
        let mut row = Row { messages: played.passed.iter().filter(|passed| of_kind(passed.kind)).count(), ..Row::default() };
        for (gateway, place) in places.iter().enumerate().filter(|(gateway, _)| of_kind(*gateway)) {
            debug_assert!(of_kind(gateway));
            let (cores, queue) = played.stations[place.cores];
            row.cores = row.cores.max(cores * peak / (machines.nodes * machines.cores) as f64);
            row.store = row.store.max(played.stations[place.store].0 / day);
            row.longest = row.longest.max(queue).max(played.stations[place.store].1);
        }
        row.latency = sorted(|passed| passed.marked);
        row.receipt = sorted(|passed| passed.ended);
        (kind, row)
    });
    rows.to_vec()
}

/// Messages that one gateway can send and as many that it can get in a second, before its cores or its store are full.
pub fn capacity(units: &Units, machines: &Machines) -> (f64, f64) {
    let mut dice = Dice(7);
    let (mut cores, mut number) = (0.0, 0.0);
    for _ in 0..200_000 {
        let octets = size(&mut dice);
        let Units { convert, seal, package, receive, open, .. } = *units;
        cores += 2.0 * convert.of(octets) + seal.of(octets) + package.of(octets) + receive.of(octets) + open.of(octets);
        cores += seal.of(3_000.0) + package.of(3_000.0) + receive.of(3_000.0) + open.of(3_000.0);
        number += 1.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let all = (machines.nodes * machines.cores) as f64;
    (all / (cores / number), 1.0 / (27.0 * units.step))
}
