//! One node after the other gets a new version: the first one brings the tables forward, the others go on beside it.

use std::time::Duration;

use crate::common::postgres::Plan;
use crate::evidence::{Inbox, accepted};
use crate::nodes::{Nodes, Role, order};
use crate::stage::{Side, wait_for};

/// A version that only adds: the one before it gets along.
const EXPANDS: &str = "store.postgres.migration=return(4:3:ALTER TABLE records ADD COLUMN later text)";
/// A version that takes something away that the first one needs.
const CONTRACTS: &str = "store.postgres.migration=return(5:5:ALTER TABLE records ADD COLUMN latest text)";

#[test]
fn a_new_version_starts_beside_the_old_one_and_one_that_is_too_old_is_refused() {
    let Some(mut all) = Nodes::set("nodes-upgrade", &[Role::Both; 2], &Plan::default(), |_| "postgres") else { return };
    all.start();
    let version = |all: &Nodes| all.sql("SELECT version, compatible_with FROM schema_version");
    assert_eq!(version(&all), "3|1");
    let mut sent = 0;
    let mut pass = |all: &Nodes, what: &str| {
        for node in &all.running {
            let mut client = all.stage.client_of(&[node.smtp], 1, 1);
            client.send(&order(&format!("crash-a-{sent:04}"), Side::A, 0, 0));
            sent += 1;
            client.close();
            wait_for("the client's end", Duration::from_mins(1), || client.ended().then_some(()));
        }
        let promised: Vec<_> = accepted(&all.stage).into_iter().map(|(letter, ..)| letter).collect();
        assert_eq!(promised.len(), sent);
        wait_for(what, Duration::from_mins(2), || Inbox::read(&all.stage).is_complete(promised.iter().cloned()).then_some(()));
    };
    pass(&all, "mails of the old version");
    all.running[1].stop();
    all.running[1].start(Some(EXPANDS));
    assert!(all.running[1].is_up(), "{}", all.running[1].log());
    assert_eq!(version(&all), "4|3", "the new one has brought the tables forward");
    pass(&all, "mails of both versions, through both nodes");
    // The old one may even be started again.
    all.running[0].stop();
    all.running[0].start(None);
    assert!(all.running[0].is_up(), "{}", all.running[0].log());
    pass(&all, "mails after the old one was started again");
    // A version later the rest of the old form goes.
    for node in &mut all.running {
        node.stop();
    }
    all.running[1].start(Some(CONTRACTS));
    assert!(all.running[1].is_up(), "{}", all.running[1].log());
    assert_eq!(version(&all), "5|5");
    all.running[0].start(None);
    assert!(!all.running[0].is_up());
    let told = all.running[0].log();
    assert!(
        told.contains("programs before 5 may not use them") && told.contains("install the version of brevbro that the other nodes run"),
        "{told}"
    );
    all.running[0].start(Some(CONTRACTS));
    assert!(all.running[0].is_up(), "{}", all.running[0].log());
    pass(&all, "mails of the newest version");
}
