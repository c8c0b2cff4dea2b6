//! The whole federation on a Monday, played through: `make federation`. What it is and is not stands in `docs/scaling.md`.
//!
//! What the steps cost is measured in the same run. `BREVBRO_FEDERATION=quick` plays the smallest volume only.

#![allow(unreachable_pub, dead_code, reason = "the tests of the simulation use the rest")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it fails by panicking and prints"
)]

#[path = "../../tests/common/mod.rs"]
mod common;
mod engine;
mod model;
#[path = "../sample/mod.rs"]
mod sample;
mod units;

use std::time::{Duration, Instant};

use model::{Machines, Scenario, Units, capacity, play};

fn main() {
    // `cargo test --all-targets` runs benches too, without this word: once, with little, to see that they work.
    let asked = std::env::var("BREVBRO_FEDERATION").ok();
    let in_earnest = asked.is_some() || std::env::args().any(|argument| argument == "--bench");
    let units = units::measure(if in_earnest { Duration::from_secs(2) } else { Duration::ZERO }, in_earnest);
    show(&units);
    // Several nodes share a database.
    let shared = units::postgres_step(if in_earnest { Duration::from_secs(10) } else { Duration::ZERO });
    if let Some(step) = shared {
        println!("  {:<28}{:>9.3} ({:.0} a second, 32 at once)", "the same of PostgreSQL", step * 1e3, 1.0 / step);
    }
    let on = |units: Units, machines: &Machines| Units { step: if machines.nodes > 1 { shared.unwrap_or(units.step) } else { units.step }, ..units };
    let one = Machines { nodes: 1, cores: 2 };
    for machines in [one, Machines { nodes: 1, cores: 8 }, Machines { nodes: 3, cores: 2 }, Machines { nodes: 3, cores: 8 }] {
        let (cores, store) = capacity(&on(units, &machines), &machines);
        println!(
            "{} node(s) of {} cores: {cores:.1} messages a second each way by the cores, {store:.0} by the store",
            machines.nodes, machines.cores
        );
    }
    let few = !in_earnest || asked.as_deref() == Some("quick");
    let volumes: &[f64] = if few { &[1e6] } else { &[1e6, 10e6, 50e6] };
    for yearly in volumes {
        report(&Scenario { yearly: *yearly, machines: one, outage: false }, &units);
    }
    report(&Scenario { yearly: volumes[volumes.len() - 1], machines: one, outage: true }, &units);
    if !few {
        let three = Machines { nodes: 3, cores: 2 };
        report(&Scenario { yearly: 50e6, machines: three, outage: false }, &on(units, &three));
        // A machine that others share, or much slower ones.
        let slow = |units: Units| Units { step: units.step * 10.0, ..units.slower(10.0) };
        println!("\nthe same with machines and disks a tenth as fast");
        report(&Scenario { yearly: 50e6, machines: one, outage: false }, &slow(units));
        report(&Scenario { yearly: 50e6, machines: three, outage: false }, &slow(on(units, &three)));
    }
}

fn show(units: &Units) {
    let Units { convert, seal, package, receive, open, step } = units;
    println!("one core, milliseconds for each message and for each megabyte");
    for (name, cost) in [("convert", convert), ("seal", seal), ("AS4 packaged", package), ("AS4 opened, receipt signed", receive), ("open", open)] {
        println!("  {name:<28}{:>9.2}{:>9.2}", cost.fixed * 1e3, cost.octet * 1e9);
    }
    println!("  {:<28}{:>9.3} ({:.0} a second, 32 at once)", "a durable step of the store", step * 1e3, 1.0 / step);
}

fn report(scenario: &Scenario, units: &Units) {
    let began = Instant::now();
    let rows = play(scenario, units, 2_026);
    println!(
        "\n{} million a year, a Monday, {} node(s) of {} cores each{}",
        scenario.yearly / 1e6,
        scenario.machines.nodes,
        scenario.machines.cores,
        if scenario.outage { ", the largest gateway away from nine to ten" } else { "" },
    );
    println!("| from | messages | cores, busiest hour | store | longest queue | delivered p50 | p99 | max | receipt p50 | p99 | max |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (kind, row) in rows {
        let seconds = |all: [f64; 3]| all.map(|seconds| format!("{seconds:.2} s")).join(" | ");
        println!(
            "| {} | {} | {:.2} % | {:.3} % | {} | {} | {} |",
            kind.name(),
            row.messages,
            row.cores * 1e2,
            row.store * 1e2,
            row.longest,
            seconds(row.latency),
            seconds(row.receipt),
        );
    }
    println!("played in {:.1} s", began.elapsed().as_secs_f64());
}
