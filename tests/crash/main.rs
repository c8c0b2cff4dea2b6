//! Killed at any moment: no mail is lost, none arrives twice but in the windows that SMTP itself leaves (RFC 1047).
//!
//! Gateways, testbed, the client that hands mails in and the mail servers that get them are processes of their own. The
//! client and the mail servers (`client.py`, `sink.py`) keep logs of their own, and what is judged is those logs; the
//! gateways' journals only have to admit what the logs show.
//!
//! `BREVBRO_CRASH_KILLS` and `BREVBRO_CRASH_MAILS` make a run longer, `BREVBRO_CRASH_SEED` rolls another one's dice again, and
//! `BREVBRO_CRASH_POINT` picks the named points with this text in their name (docs/reliability.md).

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]
#![allow(clippy::unnecessary_debug_formatting, reason = "a path in quotes is a string of TOML")]

mod evidence;
#[cfg(feature = "failpoints")]
mod left;
#[cfg(feature = "failpoints")]
mod points;
mod stage;

#[path = "../common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use serde_json::json;

use common::dice::{Dice, seed, setting};
use evidence::{Inbox, accepted, judge};
use stage::{MAILBOXES, NOBODY, Side, Stage, wait_for};

/// How long everything may take to become quiet after the last kill.
const QUIET: Duration = Duration::from_mins(3);
/// A day of retention while mails come: content is deleted so long after its end, among the kills.
const DAY: Duration = Duration::from_millis(1_500);

#[test]
fn gateways_killed_at_any_moment_lose_nothing() {
    if !common::has("python3") {
        return;
    }
    let (kills, mails) = (setting("BREVBRO_CRASH_KILLS").unwrap_or(60), setting("BREVBRO_CRASH_MAILS").unwrap_or(200));
    let seed = seed();
    println!("{kills} kills, {mails} mails, BREVBRO_CRASH_SEED={seed}");
    let mut dice = Dice(seed);
    let began = Instant::now();
    let mut stage = Stage::set("crash-random");
    for side in Side::BOTH {
        stage.gateway(side).day = Some(DAY);
        stage.gateway(side).start(None);
    }
    assert!(stage.a.is_up() && stage.b.is_up());
    let mut client = stage.client(Side::A, 6, seed);
    let mut sent = 0;
    for round in 1..=kills {
        // The mails are spread over the kills, so that none falls into silence.
        while sent * kills < mails * round {
            client.send(&order(sent, &mut dice));
            sent += 1;
        }
        let side = Side::BOTH[dice.roll(2) as usize];
        // Half of the kills may fall into the start, the others fall into work, however slow the machine is.
        if dice.roll(2) == 0 {
            assert!(stage.gateway(side).is_up());
        }
        std::thread::sleep(Duration::from_millis(dice.roll(900)));
        stage.gateway(side).kill();
        stage.gateway(side).start(None);
    }
    client.close();
    let killed = began.elapsed();
    wait_for("the client's end", QUIET, || client.ended().then_some(()));
    let promised: Vec<_> = accepted(&stage).into_iter().map(|(letter, ..)| letter).collect();
    let until = Instant::now() + QUIET;
    while !Inbox::read(&stage).is_complete(promised.iter().cloned()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    quiet(&stage);
    stage.stop();
    let verdict = judge(&stage);
    println!(
        "{} mails with {} recipients, {} of them rejected, {} handed in again; {verdict}; killed for {:.0} s, quiet after {:.0} s",
        verdict.accepted,
        verdict.letters,
        verdict.rejected,
        verdict.handed_in_again,
        killed.as_secs_f32(),
        began.elapsed().as_secs_f32(),
    );
    verdict.assert(kills as usize);
    assert_eq!(verdict.accepted as u64, mails);
    #[cfg(feature = "failpoints")]
    over(&mut stage, kills.div_ceil(6), &mut dice);
}

/// The time of everything goes over among more kills: nothing is left, and the journal says what was deleted.
#[cfg(feature = "failpoints")]
fn over(stage: &mut Stage, kills: u64, dice: &mut Dice) {
    use left::Left;
    // A day from here on: short enough for what is not content.
    const LATER: Duration = Duration::from_millis(1);
    let began = Instant::now();
    for side in Side::BOTH {
        stage.gateway(side).day = Some(LATER);
        stage.gateway(side).start(None);
    }
    // What ended last is over by then; the first looks come within seven of the longer days.
    let last = LATER * stage::KEPT + DAY * 7;
    let mut killed = 0;
    while killed < kills || Side::BOTH.iter().any(|side| Left::of(*side, stage).is_none_or(|left| !left.things.is_empty())) {
        let left = || Side::BOTH.map(|side| Left::of(side, stage).map(|left| left.things));
        assert!(began.elapsed() < last + QUIET, "{:?} is left", left());
        if killed < kills {
            let gateway = stage.gateway(Side::BOTH[dice.roll(2) as usize]);
            if dice.roll(2) == 0 {
                assert!(gateway.is_up());
            }
            std::thread::sleep(Duration::from_millis(dice.roll(2 * last.as_millis() as u64 / kills)));
            gateway.kill();
            gateway.start(None);
            killed += 1;
        } else {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    for side in Side::BOTH {
        assert!(stage.gateway(side).is_up());
    }
    stage.stop();
    for side in Side::BOTH {
        let left = Left::of(side, stage).unwrap();
        println!("{}: {} records and {} bodies deleted among {kills} kills more", side.name(), left.records, left.bodies);
        assert!(left.things.is_empty() && left.wrong.is_empty(), "{}: {:?} {:?}", side.name(), left.things, left.wrong);
        assert!(left.records > 0 && left.bodies > 0, "nothing was deleted at {}", side.name());
        brevbro::store::journal::verify(&stage.gateway(side).journal()).unwrap();
    }
}

/// A mail: one in three with files, one in ten to two recipients, one in eight to a function that nobody has.
fn order(number: u64, dice: &mut Dice) -> serde_json::Value {
    let (from, to) = (dice.roll(MAILBOXES as u64) as usize, dice.roll(MAILBOXES as u64) as usize);
    let mut to = vec![Side::A.towards(to), Side::A.towards((to + 1) % MAILBOXES)];
    if dice.roll(10) > 0 {
        to.pop();
    }
    if dice.roll(8) == 0 {
        to[0] = Side::A.towards_function(NOBODY);
    }
    let files = if dice.roll(3) == 0 { 1 + dice.roll(2) } else { 0 };
    json!({ "token": format!("crash-{number:04}"), "from": Side::A.mailbox(from), "to": to, "files": files })
}

/// Waits until no mail has come for a while.
fn quiet(stage: &Stage) {
    let (mut len, mut since) = (Inbox::read(stage).len(), Instant::now());
    while since.elapsed() < Duration::from_secs(4) {
        std::thread::sleep(Duration::from_millis(100));
        let now = Inbox::read(stage).len();
        if now != len {
            (len, since) = (now, Instant::now());
        }
    }
}
