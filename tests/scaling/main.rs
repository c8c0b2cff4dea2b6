//! The simulation of the federation agrees with what is known of queues, so that its figures can be wrong only in what is put in.

#![allow(unreachable_pub, dead_code)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, reason = "a test fails by panicking")]

#[path = "../../benches/federation/engine.rs"]
mod engine;
#[path = "../../benches/federation/model.rs"]
mod model;

use engine::{Closed, Dice, Job, Stations, Stop, quantile};
use model::{Cost, Kind, Machines, Scenario, Units, capacity, gateways, play};

/// The mean wait at a station: jobs that come by chance, served by so many for one second in the mean.
fn mean_wait(servers: usize, load: f64, service: impl Fn(&mut Dice) -> f64) -> f64 {
    let (mut dice, mut stations, mut at) = (Dice(11), Stations::default(), 0.0);
    let station = stations.add(servers);
    let jobs = (0..200_000).map(|_| {
        at += dice.exponential(1.0 / (load * servers as f64));
        Job { at, stops: vec![Stop { station, seconds: service(&mut dice) }], mark: 1, kind: 0 }
    });
    let jobs: Vec<Job> = jobs.collect();
    let served: f64 = jobs.iter().map(|job| job.stops[0].seconds).sum();
    let played = stations.play(jobs);
    let spent: f64 = played.passed.iter().map(|passed| passed.ended).sum();
    (spent - served) / played.passed.len() as f64
}

fn is_near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 0.08, "{found} instead of {expected}");
}

#[test]
fn one_server_waits_as_the_formula_says() {
    for load in [0.3, 0.6, 0.8] {
        // M/M/1: rho / (1 - rho); M/D/1: half of it (Pollaczek and Khinchine).
        is_near(mean_wait(1, load, |dice| dice.exponential(1.0)), load / (1.0 - load));
        is_near(mean_wait(1, load, |_| 1.0), load / (1.0 - load) / 2.0);
    }
}

#[test]
fn several_servers_wait_as_erlang_says() {
    for (servers, load) in [(2, 0.7), (4, 0.8), (8, 0.85)] {
        let offered = load * f64::from(servers);
        let term = |n: u32| (1..=n).fold(1.0, |product, k| product * offered / f64::from(k));
        let last = term(servers) / (1.0 - load);
        let waits = last / ((0..servers).map(term).sum::<f64>() + last);
        is_near(mean_wait(servers as usize, load, |dice| dice.exponential(1.0)), waits / (f64::from(servers) * (1.0 - load)));
    }
}

#[test]
fn a_station_that_was_closed_lets_them_in_slowly_at_first() {
    let mut stations = Stations::default();
    let station = stations.add(4);
    stations.close(station, Closed { from: 10.0, until: 100.0, slowest: 1.0, doubling: 5.0, fastest: 0.02 });
    let jobs = (0..500).map(|n| Job { at: f64::from(n) / 10.0, stops: vec![Stop { station, seconds: 0.01 }], mark: 1, kind: 0 });
    let played = stations.play(jobs.collect());
    let mut ends: Vec<f64> = played.passed.iter().map(|passed| passed.at + passed.ended).collect();
    ends.sort_by(f64::total_cmp);
    let within = |from: f64, until: f64| ends.iter().filter(|end| (from..until).contains(*end)).count();
    assert_eq!((within(0.0, 10.0), within(10.02, 100.0)), (100, 0));
    assert!((5..=6).contains(&within(100.0, 105.0)) && (9..=11).contains(&within(105.0, 110.0)) && ends.len() == 500);
    // 315 in the first half minute, at 64 a second in the end; then nobody is kept.
    assert!((310..=320).contains(&within(100.0, 130.0)) && (130.0..131.0).contains(&played.ended), "{} {}", within(100.0, 130.0), played.ended);
    assert!((quantile(&ends, 1.0) - played.ended).abs() < 1e-9);
}

const UNITS: Units = {
    let cost = Cost { fixed: 0.01, octet: 1e-8 };
    Units { convert: cost, seal: cost, package: cost, receive: cost, open: cost, step: 0.001 }
};

#[test]
fn the_federation_is_whole_and_its_load_follows_from_its_volume() {
    let all = gateways();
    assert!((all.iter().map(|gateway| gateway.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(all.iter().map(|gateway| gateway.organisations).sum::<usize>(), model::MUNICIPALITIES + model::REGIONS + model::AGENCIES);
    let machines = Machines { nodes: 1, cores: 2 };
    let rows = |yearly, outage| play(&Scenario { yearly, machines, outage }, &UNITS, 3);
    let (few, many) = (rows(2e5, false), rows(2e6, false));
    let sum = |rows: &[(Kind, model::Row)]| rows.iter().map(|(_, row)| row.messages).sum::<usize>();
    is_near(sum(&few) as f64, 2e5 / 250.0 * 1.3);
    is_near(sum(&many) as f64, 2e6 / 250.0 * 1.3);
    let busiest = |rows: &[(Kind, model::Row)]| rows.iter().map(|(_, row)| row.cores).fold(0.0, f64::max);
    assert!((7.0..13.0).contains(&(busiest(&many) / busiest(&few))), "ten times the volume is ten times the load");
    let away = rows(2e5, true);
    let latest = |rows: &[(Kind, model::Row)]| rows.iter().map(|(_, row)| row.latency[2]).fold(0.0, f64::max);
    assert!(latest(&few) < 60.0 && latest(&away) > 3_000.0 && latest(&away) < 2.0 * 3_600.0, "{} {}", latest(&few), latest(&away));
    assert_eq!(sum(&away), sum(&few), "nothing is lost by waiting");
}

#[test]
fn what_a_node_carries_grows_with_its_cores() {
    let [one, three] = [1, 3].map(|nodes| capacity(&UNITS, &Machines { nodes, cores: 2 }));
    is_near(three.0 / one.0, 3.0);
    assert!((one.1 - three.1).abs() < f64::EPSILON, "one store serves all nodes");
}
