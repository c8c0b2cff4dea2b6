//! Schedules by dice: two gateways whole, with everything around them in memory and time that is only told, end at every
//! named point and at any moment, while the net, the mail servers, the federation and the disks fail them.
//!
//! A seed is one history, and the same one again. What is judged is what the world outside wrote down: its clients, mail servers and
//! wires. `BREVBRO_SCHEDULES` plays more of them, `BREVBRO_SCHEDULE` plays one and prints it (docs/reliability.md).

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]

mod client;
mod disk;
mod folder;
mod gateway;
mod judge;
mod life;
mod mailserver;
mod net;
mod operator;
mod plan;
mod retire;
mod world;

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use common::dice::setting;
use plan::{Plan, Sabotage};
use world::World;

/// What came of a schedule.
struct Played {
    wrong: Vec<String>,
    history: Vec<String>,
    journals: Vec<String>,
    passed: life::Tally,
    mails: usize,
    repeats: usize,
    failures: usize,
}

/// Plays a seed on this thread.
fn play(seed: u64, points: &[String]) -> Played {
    play_with(seed, points, None)
}

fn play_with(seed: u64, points: &[String], sabotage: Option<Sabotage>) -> Played {
    life::take_passed();
    take_panics();
    brevbro::worker::fix_chance(Some(seed));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let plan = Plan { sabotage, ..Plan::of(seed, points) };
    let (mut wrong, log) = runtime.block_on(async {
        let world = World::new(plan);
        world.play().await;
        let mut wrong = judge::judge(&world).await;
        if wrong.is_empty() {
            retire::play(&world).await;
            wrong.append(&mut world.log.lock().unwrap().wrong);
        }
        world.close().await;
        judge::keep_journals(&world).await;
        let log = std::mem::take(&mut *world.log.lock().unwrap());
        (wrong, log)
    });
    drop(runtime);
    brevbro::worker::fix_chance(None);
    let passed = life::take_passed();
    wrong.extend(passed.unowned.iter().map(|point| format!("nobody's task passed {point}")));
    wrong.extend(take_panics());
    let distinct: std::collections::BTreeSet<_> = log.taken.iter().map(|taken| (taken.side, &taken.id)).collect();
    let failures = log.taken.iter().filter(|taken| matches!(&taken.kind, mailserver::Kind::Notice { action, .. } if action == "failed")).count();
    Played {
        wrong,
        repeats: log.taken.len() - distinct.len(),
        mails: log.accepted.len(),
        failures,
        history: log.history,
        journals: log.journals,
        passed,
    }
}

thread_local! {
    static PANICS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn take_panics() -> Vec<String> {
    PANICS.take()
}

/// A panic in a task ends the task alone: it is remembered.
fn watch_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if tokio::runtime::Handle::try_current().is_ok() {
                PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

fn points() -> Vec<String> {
    let names = common::points::all();
    life::watch_points(&names);
    watch_panics();
    let own = ["disk.apply", "disk.applied", "disk.commit", "disk.committed", "disk.delete", "disk.deleted"];
    names.into_iter().filter(|name| !common::points::is_of_disk(name)).chain(own.map(str::to_owned)).collect()
}

#[test]
fn schedules_by_dice_lose_nothing_and_end_at_every_point() {
    let points = points();
    if let Some(seed) = setting("BREVBRO_SCHEDULE") {
        let played = play(seed, &points);
        println!("{}\n{}", played.history.join("\n"), played.journals.join("\n"));
        println!("{:#?}", played.passed.ended);
        assert!(played.wrong.is_empty(), "seed {seed}: {:#?}", played.wrong);
        return;
    }
    let (first, seeds, began) = (setting("BREVBRO_SCHEDULES_FROM").unwrap_or(0), setting("BREVBRO_SCHEDULES").unwrap_or(500), Instant::now());
    gateway::keys();
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let sums = Mutex::new((BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new(), 0, 0, 0));
    std::thread::scope(|scope| {
        for _ in 0..setting("BREVBRO_SCHEDULES_THREADS").unwrap_or(2) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + seeds {
                        break;
                    }
                    let played = play(seed, &points);
                    if !played.wrong.is_empty() {
                        println!("seed {seed}: {:#?}", played.wrong);
                        failed.lock().unwrap().push(seed);
                    }
                    let mut sums = sums.lock().unwrap();
                    for (point, times) in played.passed.passed {
                        *sums.0.entry(point).or_default() += times;
                    }
                    for (point, times) in played.passed.ended {
                        *sums.1.entry(point).or_default() += times;
                    }
                    (sums.2, sums.3, sums.4) = (sums.2 + played.mails, sums.3 + played.repeats, sums.4 + played.failures);
                }
            });
        }
    });
    let (passed, mut ended, mails, repeats, failures) = sums.into_inner().unwrap();
    let (seconds, ends) = (began.elapsed().as_secs_f32(), ended.values().sum::<u64>());
    println!("{seeds} schedules, {mails} mails, {ends} ends at points, {repeats} mails repeated, {failures} told as failed, {seconds:.0} s");
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds that failed: {failed:?}; BREVBRO_SCHEDULE=seed prints one");
    if first == 0 && seeds >= 500 {
        // Which of these a life comes to is chance; `tests/crash` ends at each of them, one after another.
        let by_name = |point: &str| point.starts_with("put-off.") || point.starts_with("destination.");
        // What chance has left out gets histories of its own, after all others.
        let left_out: Vec<_> = points.iter().filter(|point| !ended.contains_key(*point) && !by_name(point)).cloned().collect();
        for (number, point) in left_out.iter().enumerate() {
            for seed in (seeds + 100 * number as u64..).take(100) {
                let played = play(seed, std::slice::from_ref(point));
                assert!(played.wrong.is_empty(), "seed {seed}, at {point} alone: {:#?}", played.wrong);
                if played.passed.ended.contains_key(point) {
                    ended.insert(point.clone(), 1);
                    break;
                }
            }
        }
        let never: Vec<_> = left_out.iter().filter(|point| !ended.contains_key(*point)).collect();
        let unseen: Vec<_> = never.iter().filter(|point| !passed.contains_key(**point)).collect();
        assert!(never.is_empty(), "no life ended at {never:?}; of these nobody passed {unseen:?}");
    }
}

#[test]
fn a_seed_is_one_history() {
    let points = points();
    for seed in [3, 44, 101] {
        let (first, again) = (play(seed, &points), play(seed, &points));
        assert!(first.history.len() > 20, "{:?}", first.history);
        for (one, other) in first.history.iter().zip(&again.history) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(first.history.len(), again.history.len());
    }
}

#[test]
fn what_is_broken_on_purpose_is_noticed() {
    let points = points();
    let broken = [
        (Sabotage::ForgetsArrivals, "which is not durable"),
        (Sabotage::ForgetsMails, "is answered with 250 and not durable"),
        (Sabotage::LosesBodies, "which is not there"),
        (Sabotage::ForgetsDeliveries, "comes again at"),
        (Sabotage::ChangesRequests, "is sent with other octets"),
        (Sabotage::TellsSecrets, "tells content"),
        (Sabotage::KeepsContent, "is still there"),
        (Sabotage::ForgetsHolds, "nothing says that"),
    ];
    for (sabotage, words) in broken {
        // Not every schedule comes to what is broken.
        let noticed = (0..12).any(|seed| {
            let wrong = play_with(seed, &points, Some(sabotage)).wrong;
            wrong.iter().any(|line| line.contains(words))
        });
        assert!(noticed, "{sabotage:?} is not noticed");
    }
}
