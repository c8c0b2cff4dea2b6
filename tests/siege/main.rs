//! Thousands of half-open connections from another process: a good peer still delivers, and memory stays bounded.
//!
//! The quick form runs with the others; the whole one, with 10,000 of each kind, by
//! `cargo test --features failpoints --test siege -- --ignored --nocapture` (docs/reliability.md).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports)]
    pub(crate) mod harness;
}

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use brevbro::event::EventName;
use brevbro::testbed::Authority;
use gateway::harness::{Gateway, PATIENCE, Peer, Setup, run, world};

/// Sieges one at a time: each measures the memory of this process.
static ONE: Mutex<()> = Mutex::new(());

/// How an attacker leaves its connections.
struct Attack {
    how: &'static str,
    many: usize,
    /// From so many addresses.
    addresses: usize,
    /// Opened anew when they were closed, at most so many in a second.
    again: usize,
}

/// The attacking process; it ends with its standard input.
struct Attacker(Child);

impl Attacker {
    /// Starts it and waits until its connections stand.
    fn start(attack: &Attack, port: &str, ca: &Path, certificate: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/siege/attack.py");
        let mut command = Command::new("python3");
        command.arg(script).args([port, attack.how, &attack.many.to_string(), &attack.addresses.to_string(), &attack.again.to_string()]);
        command.args([ca, certificate]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let read = BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line);
        assert!(read.is_ok() && line.starts_with("standing "), "the attacker said {line:?}");
        print!("{} {}: {line}", attack.how, attack.many);
        Self(child)
    }

    /// Ends it; how many connections it opened and how many stood at last.
    fn end(mut self) -> (usize, usize) {
        drop(self.0.stdin.take());
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(self.0.wait().unwrap().success());
        let numbers: Vec<usize> = line.split_whitespace().skip(1).map(|word| word.parse().unwrap()).collect();
        (numbers[0], numbers[1])
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Octets that this process has in memory.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A gateway under attack: messages get there, and the connections cost little.
fn besiege(attack: Attack) {
    if !common::has("python3") {
        return;
    }
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    run(async move {
        let name = format!("siege-{}-{}-{}", attack.how, attack.many, attack.addresses);
        let (gateway, peer) = (Gateway::start(Setup::new(&name)).await, Peer::start(&format!("{name}-peer")).await);
        // Everything that is made once is made before memory is looked at.
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        gateway.event(EventName::Taken).await;
        let (before, open) = (memory(), descriptors());
        let world = world().await;
        let (ca, tls) = (world.testbed.trust_file(Authority::Tls), world.tls.pem.clone());
        let port = gateway.endpoint.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
        let (attack_is, addresses) = (attack.how, attack.addresses);
        let attacker = tokio::task::spawn_blocking(move || Attacker::start(&attack, &port, &ca, &tls)).await.unwrap();
        let (mut longest, mut most, mut held) = (Duration::ZERO, 0, 0);
        for number in 1..=5 {
            // So that it is not over before the attacker has come back a few times.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begin = Instant::now();
            // A peer tries again when it was unlucky, as brevbro does.
            while !peer.reaches(&gateway, &peer.draft(&gateway)).await {
                assert!(begin.elapsed() < PATIENCE, "a good peer does not get through");
            }
            longest = longest.max(begin.elapsed());
            gateway.nth_event(EventName::Taken, number).await;
            most = most.max(memory());
            held = held.max(descriptors().saturating_sub(open));
        }
        let (opened, stood) = tokio::task::spawn_blocking(|| attacker.end()).await.unwrap();
        let grown = most.saturating_sub(before) / 1_000_000;
        println!(
            "{attack_is}: {opened} opened, {stood} stand as the attacker sees it, {held} here; a message took {longest:?}, memory grew by {grown} MB"
        );
        // The seats, and what is being cut off or belongs to the good peer. An attacker may take more for standing that
        // the system never handed over.
        let seats = if addresses == 1 { 100 } else { 500 };
        assert!(held <= seats + 300, "{held} descriptors for {seats} seats");
        assert!(grown < 100, "memory grew by {grown} MB");
        assert!(longest < Duration::from_secs(30), "a message took {longest:?}");
        gateway.stop().await;
    });
}

#[test]
fn connections_that_say_nothing_from_one_address() {
    besiege(Attack { how: "tcp", many: 10_000, addresses: 1, again: 500 });
}

#[test]
fn connections_that_say_nothing_from_many_addresses() {
    besiege(Attack { how: "tcp", many: 10_000, addresses: 400, again: 500 });
}

#[test]
fn handshakes_that_are_begun() {
    besiege(Attack { how: "hello", many: 2000, addresses: 100, again: 100 });
}

#[test]
fn heads_that_are_begun() {
    besiege(Attack { how: "head", many: 400, addresses: 20, again: 20 });
}

#[test]
fn bodies_that_drip() {
    besiege(Attack { how: "body", many: 400, addresses: 20, again: 20 });
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_of_each_kind() {
    for (how, addresses, again) in [("tcp", 1, 2000), ("tcp", 1000, 2000), ("hello", 1000, 300), ("head", 1000, 100), ("body", 1000, 100)] {
        besiege(Attack { how, many: 10_000, addresses, again });
    }
}
