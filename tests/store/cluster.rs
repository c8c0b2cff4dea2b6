//! The tests' own PostgreSQL, before anything is said by it.

use crate::common::postgres::{Cluster, Plan, Stop};

#[test]
fn a_cluster_comes_back_after_a_stop_and_after_a_crash_with_what_was_committed() {
    let Some(cluster) = Cluster::start(&Plan { durable: true, ..Plan::default() }) else { return };
    let database = cluster.database();
    cluster.sql(&database, "CREATE TABLE t (n int)");
    for (n, how) in [(1, Stop::Fast), (2, Stop::Crash)] {
        cluster.sql(&database, &format!("INSERT INTO t VALUES ({n})"));
        cluster.stop(how);
        assert!(cluster.try_sql(&database, "SELECT 1").is_err(), "it is stopped");
        cluster.go();
    }
    assert_eq!(cluster.sql(&database, "SELECT n FROM t ORDER BY n"), "1\n2");
    assert_eq!(cluster.sql(&database, "SHOW fsync"), "on");
    let dir = cluster.path().to_owned();
    drop(cluster);
    assert!(!dir.exists(), "nothing is left");
}
