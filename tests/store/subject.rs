//! A store under test, and the clock that it goes by.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock};

use brevbro::port::{Clock, Store};
use brevbro::store::{MemoryStore, PostgresOptions, PostgresStore, SledOptions, SledStore};
use jiff::Timestamp;

use crate::block;
use crate::common::postgres::{Cluster, shared};

/// A clock that is the machine's until a test sets it.
#[derive(Default)]
pub(crate) struct Hands(Mutex<Option<Timestamp>>);

impl Hands {
    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = Some(now);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().unwrap_or_else(Timestamp::now)
    }
}

/// A store with its clock, and what it lives in.
pub(crate) struct Subject {
    store: Box<dyn Store>,
    pub(crate) hands: Arc<Hands>,
    _dir: Option<tempfile::TempDir>,
}

impl Deref for Subject {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

pub(crate) fn memory() -> Subject {
    let hands = Arc::new(Hands::default());
    Subject { store: Box::new(MemoryStore::with_clock(Arc::clone(&hands) as Arc<dyn Clock>)), hands, _dir: None }
}

pub(crate) fn sled() -> Subject {
    let (hands, dir) = (Arc::new(Hands::default()), tempfile::tempdir().unwrap());
    let options = SledOptions { clock: Arc::clone(&hands) as Arc<dyn Clock>, ..SledOptions::new(dir.path()) };
    Subject { store: Box::new(SledStore::open(options).unwrap()), hands, _dir: Some(dir) }
}

pub(crate) fn postgres() -> Option<Subject> {
    let hands = Arc::new(Hands::default());
    let options = PostgresOptions { clock: Some(Arc::clone(&hands) as Arc<dyn Clock>), ..place()? };
    Some(Subject { store: Box::new(block(PostgresStore::open(options)).unwrap()), hands, _dir: None })
}

/// A schema of its own in the database of this process's tests.
pub(crate) fn place() -> Option<PostgresOptions> {
    static DATABASE: OnceLock<String> = OnceLock::new();
    let cluster = shared()?;
    Some(within(cluster, DATABASE.get_or_init(|| cluster.database())))
}

/// A schema of its own in a database.
pub(crate) fn within(cluster: &Cluster, database: &str) -> PostgresOptions {
    PostgresOptions { schema: format!("s{}", uuid::Uuid::new_v4().simple()), connections: 6, ..PostgresOptions::new(&cluster.url(database)).unwrap() }
}

/// What some SQL that asks for texts finds past the store, a row a line.
pub(crate) fn answer(options: &PostgresOptions, sql: &str) -> String {
    block(async {
        let (client, connection) = options.server.connect(tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let asked = client.simple_query(&format!("SET search_path TO {}; {sql}", options.schema)).await.unwrap();
        let rows = asked.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(format!("{}\n", row.get(0).unwrap_or_default())),
            _ => None,
        });
        let found = rows.collect();
        drop(client);
        connection.await.unwrap().unwrap();
        found
    })
}

/// Runs some SQL past the store.
pub(crate) fn sql(options: &PostgresOptions, sql: &str) {
    block(async {
        let (client, connection) = options.server.connect(tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path TO {}; {sql}", options.schema)).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    });
}
