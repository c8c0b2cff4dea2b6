//! Queues that are played through event by event: jobs go from station to station, and wait where all servers are taken.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A number source of its own, so that a run is the same again (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to 1, without 0.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64
    }

    /// An exponential wait with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// One stop of a job: where, and for how many seconds it takes a server there.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    pub station: usize,
    pub seconds: f64,
}

/// A job that comes at a time and goes through its stops.
#[derive(Debug, Clone)]
pub struct Job {
    pub at: f64,
    pub stops: Vec<Stop>,
    /// After so many stops the first time is taken: the second is at the end.
    pub mark: usize,
    /// What it counts for in the result.
    pub kind: usize,
}

/// A time in which a station lets nobody in, and how it opens again: one in this many seconds at first, twice as many after each
/// span, as the lanes of a gateway do.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    pub from: f64,
    pub until: f64,
    pub slowest: f64,
    pub doubling: f64,
    pub fastest: f64,
}

#[derive(Debug, Default)]
struct Station {
    servers: usize,
    busy: usize,
    queue: VecDeque<usize>,
    closed: Option<Closed>,
    /// The earliest next start, while it opens.
    next: f64,
    woken: bool,
    /// What came of it: seconds of service, longest queue.
    served: f64,
    longest: usize,
}

/// What came of a job.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    pub kind: usize,
    pub at: f64,
    /// Seconds until the mark, and until the end.
    pub marked: f64,
    pub ended: f64,
}

/// What came of all.
pub struct Played {
    pub passed: Vec<Passed>,
    /// Seconds of service at each station, and its longest queue.
    pub stations: Vec<(f64, usize)>,
    pub ended: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum What {
    Comes(usize),
    Ends(usize),
    Opens(usize),
}

/// By time, then by number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Event(f64, u64, What);

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// All stations.
#[derive(Default)]
pub struct Stations(Vec<Station>);

impl Stations {
    /// A station with so many servers; its number.
    pub fn add(&mut self, servers: usize) -> usize {
        self.0.push(Station { servers, ..Station::default() });
        self.0.len() - 1
    }

    /// Closes a station for a time.
    pub fn close(&mut self, station: usize, closed: Closed) {
        self.0[station].closed = Some(closed);
    }

    /// Plays all jobs to their ends.
    pub fn play(self, jobs: Vec<Job>) -> Played {
        let mut run = Run { stations: self.0, places: vec![0; jobs.len()], marks: vec![0.0; jobs.len()], heap: BinaryHeap::new(), numbers: 0, jobs };
        for (number, at) in run.jobs.iter().map(|job| job.at).enumerate().collect::<Vec<_>>() {
            run.push(at, What::Comes(number));
        }
        let mut passed = Vec::with_capacity(run.jobs.len());
        let mut now = 0.0;
        while let Some(Reverse(Event(at, _, what))) = run.heap.pop() {
            now = at;
            match what {
                What::Comes(job) => run.enter(job, now),
                What::Opens(station) => {
                    run.stations[station].woken = false;
                    run.begin(station, now);
                }
                What::Ends(job) => {
                    let stop = run.jobs[job].stops[run.places[job]];
                    run.stations[stop.station].busy -= 1;
                    run.places[job] += 1;
                    if run.places[job] == run.jobs[job].mark {
                        run.marks[job] = now;
                    }
                    if run.places[job] == run.jobs[job].stops.len() {
                        let Job { at, kind, .. } = run.jobs[job];
                        passed.push(Passed { kind, at, marked: run.marks[job] - at, ended: now - at });
                    } else {
                        run.enter(job, now);
                    }
                    run.begin(stop.station, now);
                }
            }
        }
        Played { passed, stations: run.stations.iter().map(|station| (station.served, station.longest)).collect(), ended: now }
    }
}

struct Run {
    stations: Vec<Station>,
    jobs: Vec<Job>,
    places: Vec<usize>,
    marks: Vec<f64>,
    heap: BinaryHeap<Reverse<Event>>,
    numbers: u64,
}

impl Run {
    fn push(&mut self, at: f64, what: What) {
        self.numbers += 1;
        self.heap.push(Reverse(Event(at, self.numbers, what)));
    }

    fn enter(&mut self, job: usize, now: f64) {
        let station = self.jobs[job].stops[self.places[job]].station;
        self.stations[station].queue.push_back(job);
        self.begin(station, now);
        let station = &mut self.stations[station];
        station.longest = station.longest.max(station.queue.len());
    }

    /// Serves whom it can.
    fn begin(&mut self, number: usize, now: f64) {
        loop {
            let station = &mut self.stations[number];
            if station.busy >= station.servers || station.queue.is_empty() {
                return;
            }
            let opens = station.closed.filter(|closed| now >= closed.from).map(|closed| station.next.max(closed.until));
            if let Some(opens) = opens.filter(|opens| *opens > now) {
                if !std::mem::replace(&mut station.woken, true) {
                    self.push(opens, What::Opens(number));
                }
                return;
            }
            if let Some(closed) = station.closed.filter(|closed| now >= closed.until) {
                let pause = closed.slowest / 2_f64.powf(((now - closed.until) / closed.doubling).floor().min(60.0));
                if pause <= closed.fastest {
                    station.closed = None;
                } else {
                    station.next = now + pause;
                }
            }
            let Some(job) = station.queue.pop_front() else { return };
            let seconds = self.jobs[job].stops[self.places[job]].seconds;
            station.busy += 1;
            station.served += seconds;
            self.push(now + seconds, What::Ends(job));
        }
    }
}

/// The value that this share of all are below.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a place in a list")]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}
