//! The store of several nodes: PostgreSQL, which they share.
//!
//! ```text
//!  a step    BEGIN ─ its name ─ locks ─ guards ─ changes ─ events ═ COMMIT      apply returns
//!  a claim   UPDATE .. FOR UPDATE SKIP LOCKED: free = now + span, a new token   one statement, the database's clock
//!  a body    parts of 1 MiB ─ … ─ the last part, its head, its digest ═ COMMIT  commit returns
//!  journal   events ─ (every second, by whoever gets the lock) ─ numbered lines, each with the hash of the one before
//! ```
//!
//! Promises rest on the database's commit: it must be synchronous (a connection with `synchronous_commit = off` is refused),
//! and with a standby that takes over, replicated before it is confirmed. Whoever does not hear the answer to a commit asks
//! again under the same name ([`step`]). LISTEN and NOTIFY are hints; behind them stands a look every two seconds.
//!
//! The SQL is plain: no extension, function or trigger. Fail points: `store.postgres.commit`, `store.postgres.committed`,
//! `store.postgres.part`, `store.postgres.body`, `store.postgres.chain`, `store.postgres.pruned`.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_postgres::Row;

use self::bells::Bells;
use self::fault::Fault;
use self::link::{Link, persist};
use self::step::Once;
use super::check_limits;
use super::cipher::Keys;
use super::journal::{Known, Summary};
use crate::event::Event;
use crate::ident::RecordId;
use crate::port::{ChainHead, Clock, Health, Job, JobId, Key, Lease, Pending, Queue, Record, State, Step, Store, StoreError};

mod bells;
mod bodies;
mod chain;
mod fault;
mod journal;
mod keys;
mod link;
mod names;
mod pipeline;
mod portable;
mod proof;
mod prune;
mod queue;
mod read;
mod reader;
mod schema;
mod server;
mod step;
mod sweep;
mod tls;
mod writer;

pub use bodies::PostgresBlobs;
pub use journal::PostgresJournal;
pub(in crate::store) use portable::{Cursor, unfinished};
pub use proof::Walk;

/// Whose bodies a node may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bodies {
    /// All of them.
    #[default]
    All,
    /// Those that are sealed alone: tables with clear ones are never named.
    Sealed,
}

/// Where and how PostgreSQL is used.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Hosts, database, user and password.
    pub server: tokio_postgres::Config,
    /// How connections are secret, and whom they trust; without it they are in the clear.
    pub tls: Option<Arc<ClientConfig>>,
    /// The schema that holds the tables; created when absent.
    pub schema: String,
    /// Connections at most, beside one that listens.
    pub connections: usize,
    /// How long a connection may take to be made, or to become free.
    pub connect_timeout: Duration,
    /// How long one attempt at anything may take.
    pub statement_timeout: Duration,
    /// How long a call goes on trying while the database is away.
    pub patience: Duration,
    /// What this node is called: beside the jobs that it holds, and among the database's connections.
    pub node: String,
    /// Which bodies it deals with.
    pub bodies: Bodies,
    /// Nobody else works on it meanwhile: for an export or an import.
    pub alone: bool,
    /// How long a line of the journal is kept; for ever when absent.
    pub keep: Option<SignedDuration>,
    /// For tests: what the time is, instead of the database's own.
    pub clock: Option<Arc<dyn Clock>>,
}

impl PostgresOptions {
    /// The server of this URL (`postgresql://user@host/database`), and ten connections to it.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when it is none.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        // Its text may hold a password: what is wrong with it is not said.
        let server = url.parse().map_err(|_| StoreError::Broken("the URL of PostgreSQL cannot be read".into()))?;
        Ok(Self::of(server))
    }

    /// This server, and ten connections to it.
    #[must_use]
    pub fn of(server: tokio_postgres::Config) -> Self {
        Self {
            server,
            tls: None,
            schema: "brevbro".into(),
            connections: 10,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(20),
            node: "node".into(),
            bodies: Bodies::All,
            alone: false,
            keep: None,
            clock: None,
        }
    }
}

/// A [`Store`] in PostgreSQL, beside others that use the same.
pub struct PostgresStore {
    link: Arc<Link>,
    bells: Arc<Bells>,
    schema: String,
    node: String,
    bodies: Bodies,
    keep: Option<SignedDuration>,
    clock: Option<Arc<dyn Clock>>,
    /// They end with the store.
    _aside: JoinSet<()>,
}

impl PostgresStore {
    /// Connects, brings the tables to what this version needs, and begins to chain the journal, to listen and to tidy.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when PostgreSQL cannot be reached or used, commits without waiting for the disk, or has tables of
    /// a version that this one must not use.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let link = Arc::new(Link::new(&options)?);
        server::check(&link).await?;
        schema::migrate(&link, &options).await?;
        portable::refuse_unfinished(&link, &options.schema).await?;
        let (bells, hints) = Bells::new();
        let bells = Arc::new(bells);
        let mut aside = JoinSet::new();
        if options.alone {
            let held = portable::alone(&link, &options.schema).await?;
            aside.spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
        } else {
            portable::refuse_while_alone(&link, &options.schema).await?;
            let (channel, presence) = (format!("brevbro_{}", options.schema), portable::presence(&options.schema));
            aside.spawn(bells::listen(Arc::clone(&link), Arc::clone(&bells), hints, channel, presence));
        }
        // Who may not see clear bodies may not write the journal either: it leaves its events, and others chain them.
        if options.bodies == Bodies::All {
            aside.spawn(chain::keep_chaining(Arc::clone(&link)));
        }
        aside.spawn(sweep::keep_sweeping(Arc::clone(&link), options.bodies, options.keep));
        let PostgresOptions { schema, node, bodies, keep, clock, .. } = options;
        Ok(Self { link, bells, schema, node, bodies, keep, clock, _aside: aside })
    }

    /// The bodies beside it, over the same connections, in the clear.
    #[must_use]
    pub fn blobs(&self) -> PostgresBlobs {
        self.blobs_of(Arc::default())
    }

    /// The bodies beside it, under these keys.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when a body is under another one; [`StoreError::Broken`] when this node may not have one of them.
    pub async fn blobs_under(&self, keys: Arc<Keys>) -> Result<PostgresBlobs, StoreError> {
        self.blobs_of(keys).under_keys().await
    }

    fn blobs_of(&self, keys: Arc<Keys>) -> PostgresBlobs {
        PostgresBlobs::new(Arc::clone(&self.link), self.bodies, Handle::current(), keys, self.node.clone())
    }

    /// Up to `limit` lines of the journal from number `from` on, without their line feeds: everything that was told before
    /// the call is in it. Fewer than `limit` do not mean the end, none does.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lines(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        chain::catch_up(&self.link).await?;
        let lines = persist!(self.link, session => read::lines(&session, from, limit))?;
        Ok(lines.into_iter().map(|line| (line.seq, line.text)).collect())
    }

    /// Checks every line of the journal and their chain.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], which names the first line that is wrong.
    pub async fn verify(&self) -> Result<Summary, StoreError> {
        chain::catch_up(&self.link).await?;
        let mut session = self.link.session().await.map_err(Fault::into_error)?;
        proof::verify(&mut session, &Known::default()).await.map_err(Fault::into_error)
    }

    /// Deletes the lines of the journal that were kept for as long as they shall be, and how many they were. It happens by
    /// itself from time to time.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; what was said to go then goes the next time.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        match self.keep {
            Some(keep) if self.bodies == Bodies::All => prune::prune(&self.link, keep).await,
            _ => Ok(0),
        }
    }

    /// The time by which it goes; `None` is the database's.
    fn now(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|clock| instant(clock.now()))
    }
}

impl Store for PostgresStore {
    fn apply(&self, step: Step) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            check_limits(&step)?;
            let queues = queue::queues(&step);
            let once = Once::new(step, &self.schema).map_err(Fault::into_error)?;
            persist!(self.link, session => once.run(&mut session))?;
            self.bells.ring(&queues);
            Ok(())
        })
    }

    fn claim(&self, queue: Queue, span: Duration, limit: usize) -> Pending<'_, Result<Vec<Lease>, StoreError>> {
        Box::pin(async move { persist!(self.link, session => queue::claim(&session, queue, self.now(), span, limit, &self.node)) })
    }

    fn renew(&self, lease: Lease, span: Duration) -> Pending<'_, Result<Lease, StoreError>> {
        Box::pin(async move { persist!(self.link, session => queue::renew(&session, &lease, self.now(), span)) })
    }

    fn record(&self, id: RecordId) -> Pending<'_, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let found = self.rows("SELECT id, state, body FROM records WHERE id = $1", &[&id.0]).await?;
            found.first().map(record).transpose()
        })
    }

    fn note(&self, key: Key) -> Pending<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            let found = self.rows("SELECT value FROM notes WHERE key = $1", &[&key.as_str()]).await?;
            found.first().map(|row| column(row, 0)).transpose()
        })
    }

    fn list(&self, state: State, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let found = self.rows("SELECT id, state, body FROM records WHERE state = $1 ORDER BY id LIMIT $2", &[&&*state.0, &many(limit)]).await?;
            found.iter().map(record).collect()
        })
    }

    fn records(&self, after: Option<RecordId>, limit: usize) -> Pending<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let asked = "SELECT id, state, body FROM records WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2";
            let found = self.rows(asked, &[&after.map(|after| after.0), &many(limit)]).await?;
            found.iter().map(record).collect()
        })
    }

    fn job(&self, id: JobId) -> Pending<'_, Result<Option<Job>, StoreError>> {
        Box::pin(async move {
            let found = self.rows("SELECT id, record, due, attempt, note, queue FROM jobs WHERE id = $1", &[&id.0]).await?;
            found.first().map(queue::job).transpose()
        })
    }

    fn jobs(&self, queue: Queue, from: Timestamp, limit: usize) -> Pending<'_, Result<Vec<Job>, StoreError>> {
        Box::pin(async move {
            let asked = "SELECT id, record, due, attempt, note, queue FROM jobs WHERE queue = $1 AND due >= $2 ORDER BY due, id LIMIT $3";
            self.rows(asked, &[&word(queue), &instant(from), &many(limit)]).await?.iter().map(queue::job).collect()
        })
    }

    fn audit(&self, from: u64, limit: usize) -> Pending<'_, Result<Vec<(u64, Event)>, StoreError>> {
        Box::pin(async move { read::events(&self.link, from, limit).await })
    }

    fn head(&self) -> Pending<'_, Result<Option<ChainHead>, StoreError>> {
        Box::pin(async move {
            // Who leaves the chaining to others may not look at it either.
            if self.bodies == Bodies::Sealed {
                return Ok(None);
            }
            chain::catch_up(&self.link).await?;
            let end = persist!(self.link, session => chain::end(&session, ""))?;
            Ok(end.and_then(|end| end.seq.checked_sub(1).map(|line| ChainHead { line, hash: end.hash, segment: 0 })))
        })
    }

    fn wait_work(&self, queue: Queue, at_most: Duration) -> Pending<'_, ()> {
        Box::pin(async move { queue::wait(&self.link, &self.bells, queue, || self.now(), at_most).await })
    }

    fn health(&self) -> Pending<'_, Health> {
        Box::pin(async move {
            let counted = tokio::time::timeout(HEALTH, self.rows("SELECT queue, count(*) FROM jobs GROUP BY queue", &[])).await;
            let rows = counted.ok().and_then(Result::ok);
            let count = |queue: Queue| {
                let of = rows.iter().flatten().find(|row| column::<String>(row, 0).is_ok_and(|found| found == word(queue)));
                of.and_then(|row| usize::try_from(column::<i64>(row, 1).ok()?).ok()).unwrap_or(0)
            };
            Health { working: rows.is_some(), jobs: Queue::ALL.into_iter().map(|queue| (queue, count(queue))).collect() }
        })
    }
}

/// How long the database may take to say that it is there.
const HEALTH: Duration = Duration::from_secs(3);

impl PostgresStore {
    /// The rows of one question.
    async fn rows(&self, sql: &str, parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        persist!(self.link, session => async {
            let statement = session.statement(sql).await?;
            Ok::<Vec<Row>, Fault>(session.query(&statement, parameters).await?)
        })
    }
}

/// A column that is of the type that its table names.
fn column<T: for<'a> tokio_postgres::types::FromSql<'a>>(row: &Row, place: usize) -> Result<T, StoreError> {
    row.try_get(place).map_err(|error| StoreError::Damaged(format!("a row in PostgreSQL: {error}")))
}

fn record(row: &Row) -> Result<Record, StoreError> {
    Ok(Record { id: RecordId(column(row, 0)?), state: State(column::<String>(row, 1)?.into()), body: column(row, 2)? })
}

/// A limit as SQL takes it.
fn many(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// An instant that PostgreSQL can keep: to the microsecond, never earlier than it was, and not before all history.
fn instant(at: Timestamp) -> Timestamp {
    const FIRST: i64 = -180_000_000_000_000_000;
    let micros = at.as_nanosecond().div_euclid(1_000) + i128::from(at.as_nanosecond().rem_euclid(1_000) != 0);
    let micros = i64::try_from(micros).unwrap_or(i64::MAX).max(FIRST);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::from_second(253_402_000_000).unwrap_or(at))
}

/// A queue as it stands in the tables, whatever becomes of the names.
fn word(queue: Queue) -> &'static str {
    match queue {
        Queue::Seal => "seal",
        Queue::Send => "send",
        Queue::Await => "await",
        Queue::Open => "open",
        Queue::Deliver => "deliver",
        Queue::Answer => "answer",
        Queue::Notify => "notify",
        Queue::Purge => "purge",
    }
}

/// A name as SQL takes it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_kept_to_the_microsecond_and_never_earlier() {
        let at = |nanos| Timestamp::from_nanosecond(nanos).unwrap();
        for (given, kept) in [(1_000, 1_000), (1_001, 2_000), (-1_001, -1_000), (1_999, 2_000), (0, 0)] {
            assert_eq!(instant(at(given)), at(kept));
        }
        assert!(instant(Timestamp::MIN) > Timestamp::MIN && instant(Timestamp::MAX) > at(0));
    }

    #[test]
    fn a_name_stays_a_name() {
        assert_eq!(quoted("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
    }
}
