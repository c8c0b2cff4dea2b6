//! The tables, and how they come to be what this version needs.
//!
//! Migrations only go forward, by number, under a lock, when a node starts. Each says which older programs may go on beside
//! it: an upgrade of many nodes, one after the other, first expands (a new column, a new table, with which the version before
//! gets along) and takes away what is no longer needed a version later.

use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::{Bodies, PostgresOptions, quoted};
use crate::port::StoreError;

/// One change of the tables.
struct Migration {
    number: i32,
    /// Programs whose last migration is this one or a later one may use the tables as they are after it.
    compatible_with: i32,
    sql: std::borrow::Cow<'static, str>,
}

/// All of them, in their order.
fn migrations() -> Vec<Migration> {
    let mut all = vec![
        Migration { number: 1, compatible_with: 1, sql: include_str!("migrations/0001-first.sql").into() },
        Migration { number: 2, compatible_with: 1, sql: include_str!("migrations/0002-found-by-name.sql").into() },
        Migration { number: 3, compatible_with: 1, sql: include_str!("migrations/0003-keys.sql").into() },
    ];
    all.extend(of_a_later_version());
    all
}

fn latest(migrations: &[Migration]) -> i32 {
    migrations.last().map_or(0, |last| last.number)
}

/// What a test lets this program bring along as if it were a later version: `number:compatible_with:sql`.
fn of_a_later_version() -> Option<Migration> {
    #[cfg(feature = "failpoints")]
    if let Some(said) = fail::eval("store.postgres.migration", Option::unwrap_or_default) {
        let mut parts = said.splitn(3, ':');
        let (number, compatible_with, sql) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.to_owned());
        return Some(Migration { number, compatible_with, sql: sql.into() });
    }
    None
}

/// Brings the tables to what this program needs.
///
/// # Errors
/// [`StoreError::Broken`] when they are too new for it, or may not be changed.
pub(super) async fn migrate(link: &Link, options: &PostgresOptions) -> Result<(), StoreError> {
    persist!(link, session => go(&mut session, options))
}

async fn go(session: &mut Session, options: &PostgresOptions) -> Result<(), Fault> {
    let migrations = migrations();
    let latest = latest(&migrations);
    if options.bodies == Bodies::Sealed {
        return look(session, options).await;
    }
    let exists = session.query_one("SELECT to_regclass($1) IS NOT NULL", &[&format!("{}.schema_version", quoted(&options.schema))]).await?;
    if !exists.try_get::<_, bool>(0)? {
        found(session, options).await?;
    }
    let row = session.query_one("SELECT version, compatible_with FROM schema_version", &[]).await?;
    let (version, compatible_with): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
    if version >= latest {
        return admitted(version, compatible_with, latest);
    }
    session.begin();
    session.batch_execute("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'").await?;
    // Whoever comes at the same time waits here, and then finds it done.
    let row = session.query_one("SELECT version, compatible_with FROM schema_version FOR UPDATE", &[]).await?;
    let (version, compatible_with): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
    for Migration { number, compatible_with, sql } in migrations.iter().filter(|migration| migration.number > version) {
        session.batch_execute(sql).await?;
        session.execute("UPDATE schema_version SET version = $1, compatible_with = $2, at = now()", &[number, compatible_with]).await?;
        tracing::info!(migration = number, "the tables in PostgreSQL were brought forward");
    }
    session.commit().await?;
    if version > latest { admitted(version, compatible_with, latest) } else { Ok(()) }
}

/// Who must not see everything, or only reads, cannot make tables either: takes them as they are, or not at all.
pub(super) async fn look(session: &mut Session, options: &PostgresOptions) -> Result<(), Fault> {
    let latest = latest(&migrations());
    let table = format!("{}.schema_version", quoted(&options.schema));
    let exists = session.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?;
    let (version, compatible_with): (i32, i32) = if exists.try_get(0)? {
        let row = session.query_one("SELECT version, compatible_with FROM schema_version", &[]).await?;
        (row.try_get(0)?, row.try_get(1)?)
    } else {
        (0, 0)
    };
    if version < latest {
        return Err(Fault::wrong(format!(
            "the tables in PostgreSQL are of version {version} and this program needs {latest}: start a node of this version first that is not of the \
             role access-point, it brings them forward; a new database then needs contrib/postgresql/roles.sql"
        )));
    }
    admitted(version, compatible_with, latest)
}

/// The schema and the one table by which everything else is told.
async fn found(session: &mut Session, options: &PostgresOptions) -> Result<(), Fault> {
    let schema = quoted(&options.schema);
    let exists = session.query_one("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", &[&options.schema]).await?;
    if !exists.try_get::<_, bool>(0)? {
        again(session.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await)?;
    }
    let table = "CREATE TABLE IF NOT EXISTS schema_version (one integer PRIMARY KEY CHECK (one = 1), version integer NOT NULL, \
                 compatible_with integer NOT NULL, at timestamptz NOT NULL); \
                 INSERT INTO schema_version VALUES (1, 0, 0, now()) ON CONFLICT DO NOTHING";
    again(session.batch_execute(table).await)
}

/// Two that make the same thing at once: the one that lost finds it made when it looks again.
fn again(made: Result<(), tokio_postgres::Error>) -> Result<(), Fault> {
    use tokio_postgres::error::SqlState;
    made.map_err(|error| match error.code() {
        Some(code)
            if [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT, SqlState::DUPLICATE_SCHEMA].contains(code) =>
        {
            Fault::Again("another node makes the tables".into())
        }
        _ => error.into(),
    })
}

fn admitted(version: i32, compatible_with: i32, latest: i32) -> Result<(), Fault> {
    if version > latest && compatible_with > latest {
        return Err(Fault::wrong(format!(
            "the tables in PostgreSQL are of version {version} and this program knows {latest}; programs before {compatible_with} may not use them: \
             install the version of brevbro that the other nodes run, or a newer one"
        )));
    }
    Ok(())
}
