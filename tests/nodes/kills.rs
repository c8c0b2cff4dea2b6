//! Three nodes on one database: killed in a loop, the database stopped and cut off. Nothing is lost.

use std::time::{Duration, Instant};

use crate::common::dice::{Dice, seed, setting};
use crate::common::postgres::{Plan, Stop};
use crate::evidence::{Inbox, Journal, accepted, weigh};
use crate::nodes::{Node, Nodes, Role, order};
use crate::stage::{Side, wait_for};

/// How long everything may take to become quiet after the last fault; what a dead node held is free after a minute.
const QUIET: Duration = Duration::from_mins(5);
/// Nodes.
const NODES: usize = 3;

#[test]
fn nodes_that_die_and_a_database_that_goes_away_lose_nothing() {
    let (kills, mails) = (setting("BREVBRO_NODES_KILLS").unwrap_or(9), setting("BREVBRO_NODES_MAILS").unwrap_or(40));
    let seed = seed();
    println!("{kills} kills, {mails} mails each way, BREVBRO_CRASH_SEED={seed}");
    let plan = Plan { durable: true, ..Plan::default() };
    let Some(mut all) = Nodes::set("nodes-kills", &[Role::Both; NODES], &plan, |_| "postgres") else { return };
    all.start();
    let mut dice = Dice(seed);
    let began = Instant::now();
    let (mut out, mut back) = (all.stage.client_of(&all.smtp(), 4, seed), all.stage.client(Side::B, 2, seed));
    let (mut sent, mut outages, mut cuts) = (0, 0, 0);
    for round in 1..=kills {
        while sent * kills < mails * round {
            let files = u64::from(dice.roll(3) == 0);
            out.send(&order(&format!("crash-a-{sent:04}"), Side::A, dice.roll(4) as usize, files));
            back.send(&order(&format!("crash-b-{sent:04}"), Side::B, dice.roll(4) as usize, files));
            sent += 1;
        }
        let node = &mut all.running[dice.roll(NODES as u64) as usize];
        // Half of the kills may fall into the start.
        if dice.roll(2) == 0 {
            assert!(node.is_up(), "{}", node.log());
        }
        std::thread::sleep(Duration::from_millis(dice.roll(1_500)));
        revive(node);
        match dice.roll(6) {
            0 => {
                all.cluster.stop(if dice.roll(2) == 0 { Stop::Crash } else { Stop::Fast });
                std::thread::sleep(Duration::from_millis(dice.roll(2_000)));
                all.cluster.go();
                outages += 1;
            }
            1 => {
                all.cable.cut();
                std::thread::sleep(Duration::from_millis(dice.roll(3_000)));
                all.cable.mend();
                cuts += 1;
            }
            2 => {
                all.cable.jerk_after(dice.roll(20_000));
                cuts += 1;
            }
            _ => {}
        }
        // Who cannot reach the database as it starts gives up, and whoever runs it starts it again.
        for node in &mut all.running {
            if node.has_ended() {
                node.start(None);
            }
        }
    }
    all.cable.mend();
    out.close();
    back.close();
    let killed = began.elapsed();
    let until = Instant::now() + QUIET;
    while !(out.ended() && back.ended()) {
        assert!(Instant::now() < until, "the clients do not end");
        keep_alive(&mut all.running);
    }
    let promised: Vec<_> = accepted(&all.stage).into_iter().map(|(letter, ..)| letter).collect();
    while !Inbox::read(&all.stage).is_complete(promised.iter().cloned()) && Instant::now() < until {
        keep_alive(&mut all.running);
    }
    wait_for("no job is left", QUIET, || (all.sql("SELECT count(*) FROM jobs WHERE queue <> 'purge'") == "0").then_some(()));
    let counted = all.sql("SELECT count(*) > 0, coalesce(sum(split_part(value, ' ', 1)::bigint), 0) FROM notes WHERE key LIKE 'use/%'");
    assert_eq!(counted, "t|0", "each message that came in on whichever node has ended on some");
    std::thread::sleep(Duration::from_secs(2));
    for node in &mut all.running {
        node.stop();
    }
    all.stage.b.stop();
    let mut wrong = Vec::new();
    let journals = [Journal::of("the nodes", all.events(), &mut wrong), Journal::read(Side::B, &all.stage, &mut wrong)];
    let verdict = weigh(&all.stage, &journals, wrong);
    println!(
        "{} mails, {} handed in again; {verdict}; {outages} outages and {cuts} cuts of the database; killed for {:.0} s, quiet after {:.0} s",
        verdict.accepted,
        verdict.handed_in_again,
        killed.as_secs_f32(),
        began.elapsed().as_secs_f32(),
    );
    // A node has eight mails on their way at once, and as many notices.
    verdict.assert((kills + (outages + cuts) * NODES as u64) as usize * 16);
    assert_eq!(verdict.accepted as u64, mails * 2);
}

fn revive(node: &mut Node) {
    if !node.has_ended() {
        node.kill();
    }
    node.start(None);
}

fn keep_alive(nodes: &mut [Node]) {
    for node in nodes {
        if node.has_ended() {
            node.start(None);
        }
    }
    std::thread::sleep(Duration::from_millis(200));
}
