//! A body that no record names yet is another node's affair until it is old; one that is given up is never named.

use std::time::Duration;

use crate::common::postgres::Plan;
use crate::evidence::{Inbox, accepted};
use crate::nodes::{Nodes, Role, order};
use crate::stage::{Side, wait_for};

const LIMIT: Duration = Duration::from_mins(2);
/// The first node stands still for so long, twice, between a mail's body and its step.
const HANGS: &str = "accept.spooled=2*sleep(25000)";

#[test]
fn a_node_that_hangs_before_its_step_finds_its_body_there_or_its_step_refused() {
    let Some(mut all) = Nodes::set("nodes-orphans", &[Role::Both; 2], &Plan::default(), |_| "postgres") else { return };
    all.stage.b.start(None);
    assert!(all.stage.b.is_up());
    all.running[0].start(Some(HANGS));
    assert!(all.running[0].is_up(), "{}", all.running[0].log());
    let count = |all: &Nodes, of: &str| all.sql(&format!("SELECT count(*) FROM {of}"));
    let mails = "clear_blobs WHERE kind = 'mail' AND written IS NOT NULL";
    let mut client = all.stage.client_of(&[all.running[0].smtp], 1, 1);

    // What was written just now is let be by a node that puts things in order as it starts.
    client.send(&order("crash-a-0000", Side::A, 0, 0));
    wait_for("the first body", LIMIT, || (count(&all, mails) == "1").then_some(()));
    all.running[1].start(None);
    assert!(all.running[1].is_up(), "{}", all.running[1].log());
    assert_eq!((count(&all, mails).as_str(), count(&all, "records").as_str()), ("1", "0"), "nobody has touched it, and its step is to come");
    let promised = |all: &Nodes| accepted(&all.stage).into_iter().map(|(letter, ..)| letter).collect::<Vec<_>>();
    wait_for("the first mail's delivery", LIMIT, || {
        let promised = promised(&all);
        (promised.len() == 1 && Inbox::read(&all.stage).is_complete(promised)).then_some(())
    });
    assert_eq!(count(&all, "notes WHERE key LIKE 'gone/%'"), "0");
    all.running[1].stop();

    // What is older than any step takes is given up, and the node that wakes up then may not name it.
    let kept = count(&all, mails);
    client.send(&order("crash-a-0001", Side::A, 1, 0));
    wait_for("the second body", LIMIT, || (count(&all, mails) != kept).then_some(()));
    all.sql("UPDATE clear_blobs SET written = written - interval '90 minutes' WHERE written > now() - interval '20 seconds' AND kind = 'mail'");
    all.running[1].start(None);
    assert!(all.running[1].is_up(), "{}", all.running[1].log());
    assert_eq!((count(&all, "notes WHERE key LIKE 'gone/%'"), count(&all, mails)), ("1".to_owned(), kept));
    assert_eq!(promised(&all).len(), 1, "nobody was told that it is kept");
    // Its client tries again, and then it is.
    wait_for("the second mail's delivery", LIMIT, || {
        let promised = promised(&all);
        (promised.len() == 2 && Inbox::read(&all.stage).is_complete(promised)).then_some(())
    });
    assert!(Inbox::read(&all.stage).delivered.values().all(|copies| copies.len() == 1), "each once");
    client.close();
    wait_for("no job is left", LIMIT, || (count(&all, "jobs WHERE queue <> 'purge'") == "0").then_some(()));
    for node in &mut all.running {
        node.stop();
    }

    // What was named for long, and then given up by a step whose node ended, is older than what was not looked at before: once a
    // day all are looked at, and what is named stays.
    let bodies = "sealed_blobs WHERE written IS NOT NULL";
    let named = count(&all, bodies);
    all.sql(&format!(
        "INSERT INTO sealed_blobs SELECT (jsonb_populate_record(b, jsonb_build_object('body', gen_random_uuid(), 'id', gen_random_uuid(), \
         'written', b.written - interval '5 hours'))).* FROM sealed_blobs b \
         WHERE b.ctid = (SELECT ctid FROM {bodies} LIMIT 1)"
    ));
    assert_ne!((named.as_str(), count(&all, bodies)), ("0", named.clone()));
    all.sql("UPDATE notes SET value = '2020-01-01T00:00:00Z' WHERE key = 'orphans/whole'");
    all.running[0].start(None);
    assert!(all.running[0].is_up(), "{}", all.running[0].log());
    assert_eq!(count(&all, bodies), named);
    assert_eq!(count(&all, "notes WHERE key = 'orphans/whole' AND value < '2021'"), "0");
    all.running[0].stop();
    all.stage.b.stop();
}
