//! What stands between a node and PostgreSQL, or in its place: taken where it keeps what is promised, refused at the start where not.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName};
use brevbro::port::{Op, Queue, Step, Store};
use brevbro::store::{PostgresOptions, PostgresStore};
use jiff::Timestamp;

use crate::common::postgres::{Cluster, shared};
use crate::subject::within;
use crate::{block, common, job};

/// PgBouncer in front of a cluster, ended when dropped.
struct Pooler {
    port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Pooler {
    fn start(cluster: &Cluster, database: &str, mode: &str) -> Option<Self> {
        if !common::has("pgbouncer") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let users = dir.path().join("users");
        std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} dbname={database}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 20\n",
            cluster.port,
            users.display()
        );
        let file = dir.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root, and takes the rights of this user when it is.
        if common::postgres::is_root() {
            for path in [dir.path(), &users, &file] {
                common::run(Command::new("chown").arg("postgres").arg(path)).unwrap();
            }
            command.args(["-u", "postgres"]);
        }
        let child = command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { port, child, _dir: dir };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "PgBouncer does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(pooler)
    }

    fn options(&self, cluster: &Cluster, database: &str) -> PostgresOptions {
        let direct = within(cluster, database);
        let url = format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port);
        PostgresOptions { schema: direct.schema, connections: 4, ..PostgresOptions::new(&url).unwrap() }
    }
}

#[test]
fn a_pooler_that_pools_transactions_is_refused_at_the_start() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let Some(pooler) = Pooler::start(cluster, &database, "transaction") else { return };
    let begun = Instant::now();
    for _ in 0..5 {
        let refused = block(PostgresStore::open(pooler.options(cluster, &database))).err().unwrap().to_string();
        assert!(refused.contains("pool_mode = session"), "{refused}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "it is not tried for long");
    assert_eq!(cluster.sql(&database, "SELECT count(*) FROM pg_tables WHERE tablename = 'records'"), "0", "nothing was done there");
}

#[test]
fn a_pooler_that_pools_sessions_is_as_good_as_none() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let Some(pooler) = Pooler::start(cluster, &database, "session") else { return };
    let options = pooler.options(cluster, &database);
    let (one, other) = (block(PostgresStore::open(options.clone())).unwrap(), block(PostgresStore::open(options)).unwrap());
    for n in 0..20 {
        let step = Step::new().op(Op::Enqueue(job(n, Queue::Send, Timestamp::now()))).op(Op::Audit(Event::new(Timestamp::now(), EventName::Sealed)));
        block(one.apply(step)).unwrap();
    }
    let leases = block(other.claim(Queue::Send, Duration::from_mins(1), 99)).unwrap();
    assert_eq!(leases.len(), 20);
    for lease in leases {
        block(other.apply(Step::new().op(Op::Complete(lease)))).unwrap();
    }
    assert_eq!(block(one.verify()).unwrap().events, 20);
}

#[test]
fn a_database_whose_locks_lock_nothing_is_refused_at_the_start() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    // As databases do it that have PostgreSQL's functions for the sake of clients and nothing behind them.
    cluster.sql(&database, "CREATE OR REPLACE FUNCTION pg_catalog.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE sql AS 'SELECT NULL::void'");
    let refused = block(PostgresStore::open(within(cluster, &database))).err().unwrap().to_string();
    assert!(refused.contains("advisory locks of this database lock nothing"), "{refused}");
}
