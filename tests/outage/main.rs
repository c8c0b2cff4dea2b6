//! The other side is gone for hours, slow, or busy; the clock jumps; the gateway itself stands still: what waits goes in its order,
//! without a stampede, and nothing is given up that should not be.
//!
//! One gateway whole, with everything around it as models, in a time that is only told. `BREVBRO_OUTAGE` is how many messages wait.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brevbro::event::{EventName, Field};
use brevbro::outbound::Outgoing;
use brevbro::outbound::retry::Schedule;
use brevbro::port::{Queue, Store};
use brevbro::worker::LaneOptions;
use jiff::SignedDuration;
use tokio::time::sleep;

use world::{Manner, World, run};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Waits until the peer has taken so many, at most so long.
async fn until_taken(world: &World, peer: &str, number: usize, at_most: Duration) -> Duration {
    let began = world.elapsed();
    while world.peer(peer).taken() < number {
        assert!(world.elapsed().saturating_sub(began) < at_most, "{peer} took {} of {number}", world.peer(peer).taken());
        sleep(SECOND / 4).await;
    }
    world.elapsed().saturating_sub(began)
}

/// What nobody may find, whatever happened.
async fn nothing_lost(world: &World) {
    assert_eq!(world.count(EventName::ExchangeFailed).await, 0);
    assert_eq!(world.count(EventName::Faulted).await, 0);
    for peer in world.peers.values() {
        let mut ids: Vec<String> = peer.taken.lock().unwrap().iter().map(|taken| taken.id.to_string()).collect();
        let number = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), number, "taken twice");
    }
}

/// In each conversation the messages were taken in the order in which they were accepted.
async fn in_order(world: &World) -> usize {
    let mut places = BTreeMap::new();
    for peer in world.peers.values() {
        for (place, taken) in peer.taken.lock().unwrap().iter().enumerate() {
            places.insert(taken.id.to_string(), place);
        }
    }
    let conversations = world.conversations().await;
    for conversation in &conversations {
        let taken: Vec<usize> = conversation.iter().filter_map(|id| places.get(id).copied()).collect();
        assert!(taken.is_sorted(), "{conversation:?} came as {taken:?}");
    }
    conversations.iter().map(Vec::len).max().unwrap_or_default()
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

#[test]
fn after_eight_hours_what_has_waited_goes_in_its_order_and_slowly_at_first() {
    let number: usize = std::env::var("BREVBRO_OUTAGE").ok().and_then(|number| number.parse().ok()).unwrap_or(1_000);
    run(|| async move {
        let world = World::new(&["gone", "well"], Schedule::default());
        let (gateway, crew) = world.start();
        let gone = world.peer("gone");
        gone.is(Manner::Gone(SECOND * 2));
        // They come over two hours; every third answers the one before it, in conversations of up to ten.
        let pause = HOUR * 2 / u32::try_from(number).unwrap();
        for n in 0..number {
            let answers = (n % 30 != 0 && n % 3 != 0 && n >= 3).then(|| format!("m{}", n - n % 3));
            world.hand_in(&gateway, "gone", &format!("m{n}"), answers.as_deref()).await;
            sleep(pause).await;
        }
        world.hand_in(&gateway, "well", "other", None).await;
        assert!(until_taken(&world, "well", 1, MINUTE).await < SECOND * 2, "the others do not notice");
        let waiting = resident();
        sleep((HOUR * 8).saturating_sub(world.elapsed())).await;
        let (probes, _) = gone.count_anew();
        // Three to find out, then at most one in the time that probes grow to, shortened by jitter.
        assert!((60..=150).contains(&probes), "{probes} attempts in eight hours");
        // Nobody is touched by a probe, and each by itself about twice an hour.
        // And one more: the message to the other one is there, and its message receipt is awaited.
        assert_eq!(world.mails_with("Action: delayed"), number + 1, "each sender is told once that it takes long");
        assert_eq!((world.mails_with("server does not answer"), world.mails_with("server answers again")), (1, 0));

        gone.is(Manner::Takes(Duration::from_millis(200)));
        let drained = until_taken(&world, "gone", number, HOUR).await;
        sleep(MINUTE).await;
        let taken = gone.taken.lock().unwrap().clone();
        let first = taken[0].at;
        let mut by_second = BTreeMap::<u64, usize>::new();
        for taken in &taken {
            *by_second.entry(taken.at.saturating_sub(first).as_secs()).or_default() += 1;
        }
        let busiest = by_second.values().max().copied().unwrap();
        let in_first = |seconds| by_second.range(..seconds).map(|(_, taken)| taken).sum::<usize>();
        let most = gone.most.load(Ordering::SeqCst);
        let attempts: Vec<usize> = gone.attempts.lock().unwrap().values().copied().collect();
        assert!(most <= 4 && busiest <= 21, "{most} at once, {busiest} in a second");
        assert!(in_first(5) <= 8 && in_first(10) <= 20, "{by_second:?}");
        assert!(attempts.iter().all(|attempts| *attempts == 1), "none was sent again that got there");
        let longest = in_order(&world).await;
        nothing_lost(&world).await;
        assert_eq!(world.mails_with("Action: delayed"), number + 1);
        assert_eq!(world.mails_with("server answers again"), 1);
        assert_eq!(world.store.list(Outgoing::WAITING, usize::MAX).await.unwrap().len(), number + 1);
        println!(
            "{number} messages: {probes} attempts in 8 h; drained in {} s, {most} at once, at most {busiest} in a second, {} and {} in the first 5 and 10 s; conversations of up to {longest} in order; one attempt each that got there; VmRSS {waiting} MB while they waited, {} MB after",
            drained.as_secs(),
            in_first(5),
            in_first(10),
            resident(),
        );
        crew.drain().await;
    });
}

#[test]
fn a_slow_peer_keeps_a_healthy_one_from_nothing() {
    run(|| async {
        let world = World::new(&["slow", "well"], Schedule::default());
        let (gateway, crew) = world.start();
        world.peer("slow").is(Manner::Takes(SECOND * 100));
        for n in 0..100 {
            world.hand_in(&gateway, "slow", &format!("s{n}"), None).await;
        }
        let mut latencies = Vec::new();
        for n in 0..30 {
            world.hand_in(&gateway, "well", &format!("w{n}"), None).await;
            latencies.push(until_taken(&world, "well", n + 1, MINUTE).await);
            sleep(SECOND * 10).await;
        }
        until_taken(&world, "slow", 100, HOUR).await;
        assert_eq!(world.peer("slow").most.load(Ordering::SeqCst), 4);
        let slowest = latencies.into_iter().max().unwrap();
        assert!(slowest <= SECOND, "{slowest:?}");
        nothing_lost(&world).await;
        println!(
            "100 messages to a peer that takes 100 s each, 4 at once: {} s; the slowest of 30 to another: {slowest:?}",
            world.elapsed().as_secs()
        );
        crew.drain().await;
    });
}

#[test]
fn who_asks_to_be_left_alone_is() {
    run(|| async {
        let world = World::new(&["busy"], Schedule::default());
        let (gateway, crew) = world.start();
        world.peer("busy").is(Manner::Busy(MINUTE * 10));
        for n in 0..50 {
            world.hand_in(&gateway, "busy", &format!("m{n}"), None).await;
            sleep(SECOND).await;
        }
        sleep(MINUTE * 8).await;
        // Those that were on their way when it said so, and nobody after them.
        assert!(world.peer("busy").count_anew().0 <= 4);
        world.peer("busy").is(Manner::Takes(SECOND / 10));
        until_taken(&world, "busy", 50, MINUTE * 10).await;
        nothing_lost(&world).await;
        crew.drain().await;
    });
}

#[test]
fn a_message_that_fails_by_itself_lets_later_ones_go() {
    run(|| async {
        let world = World::new(&["peer"], Schedule::default());
        let (gateway, crew) = world.start();
        let peer = world.peer("peer");
        peer.is(Manner::Gone(SECOND));
        for (token, answers) in [("first", None), ("second", Some("first")), ("third", Some("first"))] {
            world.hand_in(&gateway, "peer", token, answers).await;
        }
        sleep(SECOND * 10).await;
        let conversation = world.conversations().await.remove(0);
        peer.poison.lock().unwrap().insert(conversation[0].clone());
        peer.is(Manner::Takes(SECOND / 10));
        // Others get through meanwhile.
        for n in 0..60 {
            sleep(SECOND * 20).await;
            world.hand_in(&gateway, "peer", &format!("other{n}"), None).await;
        }
        let taken: Vec<String> = peer.taken.lock().unwrap().iter().map(|taken| taken.id.to_string()).collect();
        let places: Vec<Option<usize>> = conversation.iter().map(|id| taken.iter().position(|taken| taken == id)).collect();
        assert!(places[0].is_none() && places[1] < places[2] && places[1].is_some(), "{places:?}");
        let attempts = peer.attempts.lock().unwrap()[&conversation[0]];
        assert!((4..=8).contains(&attempts), "it is tried as ever: {attempts}");
        peer.poison.lock().unwrap().clear();
        until_taken(&world, "peer", 63, HOUR).await;
        nothing_lost(&world).await;
        crew.drain().await;
    });
}

#[test]
fn a_message_waits_for_an_earlier_one_no_longer_than_is_configured() {
    run(|| async {
        let world = World::new(&["peer"], Schedule { in_order_within: HOUR * 2, ..Schedule::default() });
        let (gateway, crew) = world.start();
        let peer = world.peer("peer");
        peer.is(Manner::Gone(SECOND));
        world.hand_in(&gateway, "peer", "first", None).await;
        world.hand_in(&gateway, "peer", "second", Some("first")).await;
        sleep(SECOND * 10).await;
        let conversation = world.conversations().await.remove(0);
        peer.poison.lock().unwrap().insert(conversation[0].clone());
        peer.is(Manner::Takes(SECOND / 10));
        // Nothing else goes there, so nobody can tell whose fault it is.
        sleep(HOUR).await;
        assert_eq!(peer.taken(), 0);
        until_taken(&world, "peer", 1, HOUR * 2).await;
        assert_eq!(peer.taken.lock().unwrap()[0].id.as_str(), conversation[1]);
        crew.drain().await;
    });
}

#[test]
fn a_clock_that_jumps_gives_nothing_up_and_keeps_nobody_waiting() {
    for (name, jump) in [("three days forward", 72), ("a day back", -24)] {
        run(|| async move {
            let world = World::new(&["gone", "silent"], Schedule::default());
            let (gateway, crew) = world.start();
            world.peer("gone").is(Manner::Gone(SECOND));
            // It takes messages and says nothing more, so their message receipts are awaited.
            for n in 0..10 {
                world.hand_in(&gateway, "gone", &format!("g{n}"), None).await;
                world.hand_in(&gateway, "silent", &format!("s{n}"), None).await;
            }
            sleep(HOUR / 2).await;
            world.hands.set_by(SignedDuration::from_hours(jump));
            sleep(MINUTE * 20).await;
            world.hands.set_by(SignedDuration::from_hours(-jump));
            sleep(MINUTE * 20).await;
            nothing_lost(&world).await;
            world.peer("gone").is(Manner::Takes(SECOND / 10));
            let within = until_taken(&world, "gone", 10, HOUR).await;
            assert!(within < MINUTE * 8, "{name}: {within:?}");
            nothing_lost(&world).await;
            assert_eq!(world.peer("silent").taken(), 10);
            // Each is told at most once of each delay: that it was not sent, and that its receipt is awaited.
            assert!(world.mails_with("Action: delayed") <= 30, "{name}: {}", world.mails_with("Action: delayed"));
            crew.drain().await;
        });
    }
}

#[test]
fn a_clock_that_was_ahead_and_is_put_back_keeps_no_job_until_then() {
    run(|| async {
        let world = World::new(&["peer"], Schedule::default());
        // The machine begins in the wrong year.
        world.hands.set_by(SignedDuration::from_hours(24 * 365));
        let (gateway, crew) = world.start();
        world.peer("peer").is(Manner::Gone(SECOND));
        for n in 0..20 {
            world.hand_in(&gateway, "peer", &format!("m{n}"), None).await;
        }
        sleep(MINUTE * 5).await;
        crew.drain().await;
        drop(gateway);
        world.hands.set_by(SignedDuration::from_hours(-24 * 365));
        let (_gateway, crew) = world.start();
        world.peer("peer").is(Manner::Takes(SECOND / 10));
        let within = until_taken(&world, "peer", 20, HOUR).await;
        assert!(within < MINUTE * 3, "{within:?}");
        nothing_lost(&world).await;
        crew.drain().await;
    });
}

#[test]
fn what_was_accepted_before_a_long_shutdown_gets_another_round() {
    run(|| async {
        let world = World::new(&["peer", "silent"], Schedule::default());
        let (gateway, crew) = world.start();
        world.peer("peer").is(Manner::Gone(SECOND));
        for n in 0..5 {
            world.hand_in(&gateway, "peer", &format!("m{n}"), None).await;
            world.hand_in(&gateway, "silent", &format!("s{n}"), None).await;
        }
        sleep(HOUR).await;
        crew.drain().await;
        drop(gateway);
        sleep(HOUR * 24 * 7).await;
        let (_gateway, crew) = world.start();
        sleep(HOUR).await;
        nothing_lost(&world).await;
        world.peer("peer").is(Manner::Takes(SECOND / 10));
        until_taken(&world, "peer", 5, MINUTE * 40).await;
        nothing_lost(&world).await;
        // And what stays away is given up in the end, with all that wait.
        sleep(HOUR * 24).await;
        assert_eq!(world.count(EventName::ExchangeFailed).await, 10, "none has sent a message receipt");
        crew.drain().await;
    });
}

#[test]
fn what_waits_for_a_destination_that_stays_away_is_given_up_in_its_time() {
    run(|| async {
        let world = World::new(&["gone"], Schedule::default());
        let (gateway, crew) = world.start();
        world.peer("gone").is(Manner::Gone(SECOND));
        for n in 0..40 {
            world.hand_in(&gateway, "gone", &format!("m{n}"), None).await;
        }
        sleep(HOUR * 47).await;
        assert_eq!(world.count(EventName::ExchangeFailed).await, 0);
        sleep(HOUR * 3).await;
        assert_eq!((world.count(EventName::ExchangeFailed).await, world.mails_with("Action: failed")), (40, 40));
        // Also those that no probe was.
        for event in world.events().await.iter().filter(|event| event.name == EventName::ExchangeFailed) {
            assert!(event.fields[&Field::Cause].contains("nobody there"), "{event:?}");
            assert_eq!(event.fields[&Field::ErrorCode], "EBMS:0005");
        }
        let jobs = world.store.health().await.jobs;
        let left = jobs.iter().filter(|(queue, _)| *queue != Queue::Purge).map(|(_, jobs)| jobs);
        assert_eq!(left.sum::<usize>(), 0, "nothing is left to do but deleting");
        crew.drain().await;
    });
}

#[test]
fn a_mail_server_that_is_away_is_left_alone_and_gets_everything_once() {
    run(|| async {
        let world = World::new(&["gone"], Schedule { delay_after: MINUTE * 10, ..Schedule::default() });
        let (gateway, crew) = world.start();
        world.peer("gone").is(Manner::Gone(SECOND));
        *world.mail_server.lock().unwrap() = Some(0);
        for n in 0..200 {
            world.hand_in(&gateway, "gone", &format!("m{n}"), None).await;
        }
        sleep(HOUR * 4).await;
        let tried = world.mail_server.lock().unwrap().take().unwrap();
        assert!(tried <= 70, "200 notices and two alarms wait, and it was tried {tried} times");
        sleep(MINUTE * 10).await;
        assert_eq!(world.mails_with("Action: delayed"), 200);
        assert_eq!(world.mails_with("server does not answer"), 2, "the access point, and the mail server itself");
        assert_eq!(world.mails_with("server answers again"), 1);
        crew.drain().await;
    });
}

#[test]
fn a_directory_that_is_down_is_left_alone_and_keeps_no_others_waiting() {
    for down in ["smp.one", "dns"] {
        run(|| async move {
            let world = World::new(&["first", "second", "other", "well"], Schedule::default());
            let smps = [("first", "smp.one"), ("second", "smp.one"), ("other", "smp.two")];
            world.registry.lock().unwrap().smps = smps.map(|(peer, smp)| (peer.to_owned(), smp.to_owned())).into();
            world.registry.lock().unwrap().down.insert(down.to_owned());
            let (gateway, crew) = world.start();
            for n in 0..200 {
                let peer = if n % 2 == 0 { "first" } else { "second" };
                world.hand_in(&gateway, peer, &format!("m{n}"), (n >= 2).then(|| format!("m{}", n % 2)).as_deref()).await;
                sleep(SECOND * 10).await;
            }
            // Of `well` everything is remembered, and `other` has an SMP that answers, where DNS does.
            let mut slowest = Duration::ZERO;
            for n in 0..20 {
                world.hand_in(&gateway, "well", &format!("w{n}"), None).await;
                slowest = slowest.max(until_taken(&world, "well", n + 1, MINUTE).await);
                if down != "dns" {
                    world.hand_in(&gateway, "other", &format!("o{n}"), None).await;
                    slowest = slowest.max(until_taken(&world, "other", n + 1, MINUTE).await);
                }
                sleep(SECOND * 97).await;
            }
            assert!(slowest < SECOND * 3, "{down}: {slowest:?}");
            sleep((HOUR * 4).saturating_sub(world.elapsed())).await;
            let asked = world.registry.lock().unwrap().asked[down];
            assert!((30..=70).contains(&asked), "{down} was asked {asked} times");
            assert_eq!((world.peer("first").taken(), world.peer("second").taken()), (0, 0));
            assert_eq!((world.mails_with("server does not answer"), world.mails_with("server answers again")), (1, 0));
            world.registry.lock().unwrap().down.clear();
            for peer in ["first", "second"] {
                until_taken(&world, peer, 100, MINUTE * 15).await;
            }
            sleep(MINUTE).await;
            assert_eq!(world.mails_with("server answers again"), 1);
            assert_eq!(in_order(&world).await, 100);
            nothing_lost(&world).await;
            println!("{down} away for 4 h: 200 messages waited, it was asked {asked} times; the slowest message to others: {slowest:?}");
            crew.drain().await;
        });
    }
}

#[test]
fn what_waits_for_an_smp_that_stays_away_is_given_up_in_its_time() {
    run(|| async {
        let world = World::new(&["gone"], Schedule::default());
        world.registry.lock().unwrap().smps.insert("gone".to_owned(), "smp.one".to_owned());
        world.registry.lock().unwrap().down.insert("smp.one".to_owned());
        let (gateway, crew) = world.start();
        for n in 0..10 {
            world.hand_in(&gateway, "gone", &format!("m{n}"), None).await;
        }
        sleep(HOUR * 47).await;
        assert_eq!((world.count(EventName::ExchangeFailed).await, world.mails_with("Action: delayed")), (0, 10));
        sleep(HOUR * 3).await;
        assert_eq!((world.count(EventName::ExchangeFailed).await, world.mails_with("Action: failed")), (10, 10));
        crew.drain().await;
    });
}

/// What `docs/reliability.md` says of waits is what holds where nothing is configured.
#[test]
fn the_table_of_waits_is_the_schedule_s() {
    let told = include_str!("../../docs/reliability.md");
    let (schedule, lanes) = (Schedule::default(), LaneOptions::of(&Schedule::default()));
    let days = |span: Duration| match span.as_secs() / 86_400 {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let waits = format!("after {} s, twice as long each time, {} min at most", schedule.first.as_secs(), schedule.longest.as_secs() / 60);
    let ends = format!("{} and {} attempts", days(schedule.give_up), schedule.least());
    let hour = format!("after {} h", schedule.delay_after.as_secs() / 3_600);
    let row = |name: &str| told.lines().find(|line| line.starts_with("| ") && line.contains(name)).unwrap_or_else(|| panic!("no row for {name}"));
    for (stage, parts) in
        [("(`seal`)", vec![&waits, &ends, &hour]), ("(`send`)", vec![&ends]), ("(`await`)", vec![&hour]), ("(`deliver`)", vec![&waits, &ends, &hour])]
    {
        for part in parts {
            assert!(row(stage).contains(part.as_str()), "{stage} does not say: {part}");
        }
    }
    assert!(row("(`await`)").contains(&format!("{} after the access point's receipt", days(schedule.receipt_within))));
    let (at_once, to_one, to_mail) = (lanes.at_once, lanes.to_access_point, lanes.to_mail_server);
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        format!(
            "{at_once} messages are sent at once (`max-sends`), {to_one} of them to one host of another access point (`max-sends-per-destination`), {to_mail} to one mail server"
        ),
        format!("waits for {} h at most (`in-order-within`)", schedule.in_order_within.as_secs() / 3_600),
        format!("four of the longest waits more, {} hours", schedule.round().as_secs() / 3_600),
        format!("has been down for {} h", lanes.told_after.as_secs() / 3_600),
    ] {
        assert!(words.contains(&part), "the text does not say: {part}");
    }
}
