//! A node ended at every named point of the shared database, while mails are on their way.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use crate::common::postgres::Plan;
use crate::evidence::{Inbox, Journal, accepted, weigh};
use crate::nodes::{Nodes, Role, order};
use crate::stage::{Side, wait_for};

/// How long everything may take.
const LIMIT: Duration = Duration::from_mins(4);
/// After how long a mail is followed by another one, until a node ends.
const ANOTHER: Duration = Duration::from_secs(20);
/// Each point, the files of a mail that makes a node pass it, and the passes at which a node ends. Only what does not fit one part is
/// written in parts; the first passes of the others are those of the start.
const POINTS: [(&str, u64, [u32; 3]); 5] = [
    ("store.postgres.part", 30, [1, 2, 4]),
    ("store.postgres.body", 30, [1, 2, 4]),
    ("store.postgres.commit", 1, [1, 3, 6]),
    ("store.postgres.committed", 1, [1, 3, 6]),
    ("store.postgres.chain", 1, [1, 3, 6]),
];

#[test]
fn a_node_that_ends_at_any_named_point_of_its_database_loses_nothing() {
    let plan = Plan { durable: true, ..Plan::default() };
    let Some(mut all) = Nodes::set("nodes-points", &[Role::Both], &plan, |_| "postgres") else { return };
    all.start();
    let (mut ends, mut sent) = (0, 0);
    for round in 0..3 {
        for (point, files, passes) in POINTS {
            all.running[0].kill();
            let_a_minute_pass(&all);
            all.running[0].start_to_end_at(&format!("{point}:{}", passes[round]));
            let mut client = all.stage.client_of(&all.smtp(), 1, 1);
            let mut next = Instant::now();
            let status = wait_for(&format!("the end at {point}"), LIMIT, || {
                // Under load, lines of many steps are chained at once: another mail passes the point once more.
                if next <= Instant::now() {
                    client.send(&order(&format!("crash-a-{sent:04}"), Side::A, sent % 4, files));
                    (sent, next) = (sent + 1, next + ANOTHER);
                }
                all.running[0].ended()
            });
            client.close();
            assert_eq!(status.signal(), Some(6), "{point}: {}", all.running[0].log());
            ends += 1;
            let_a_minute_pass(&all);
            // What is under way goes on with the next life, which ends as well.
            all.running[0].start(None);
            wait_for("the client's end", LIMIT, || client.ended().then_some(()));
        }
    }
    let promised: Vec<_> = accepted(&all.stage).into_iter().map(|(letter, ..)| letter).collect();
    assert_eq!(promised.len(), sent);
    wait_for("every mail", LIMIT, || Inbox::read(&all.stage).is_complete(promised.iter().cloned()).then_some(()));
    wait_for("no job", LIMIT, || (all.sql("SELECT count(*) FROM jobs WHERE queue <> 'purge'") == "0").then_some(()));
    // All may be done before the last life has begun.
    assert!(all.running[0].is_up(), "{}", all.running[0].log());
    all.running[0].stop();
    all.stage.b.stop();
    let mut wrong = Vec::new();
    let journals = [Journal::of("the node", all.events(), &mut wrong), Journal::read(Side::B, &all.stage, &mut wrong)];
    let verdict = weigh(&all.stage, &journals, wrong);
    println!("{sent} mails, ended {ends} times at a point of the database; {verdict}");
    verdict.assert(ends * 2);
}

/// For so long a job is held by a node that is dead.
fn let_a_minute_pass(all: &Nodes) {
    all.sql("UPDATE jobs SET free = now() WHERE token <> 0 AND free > now()");
}
