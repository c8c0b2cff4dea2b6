//! What the database at the other end must be like: looked at before anything is done there.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::fault::Fault;
use super::link::{Link, Session, persist};
use crate::port::StoreError;

/// A connection is one's own, locks lock, texts are UTF-8, and commits wait for the disk.
///
/// # Errors
/// [`StoreError::Broken`] with what is not so, and what to do.
pub(super) async fn check(link: &Link) -> Result<(), StoreError> {
    persist!(link, session => apart(&mut session, link))?;
    let (encoding, fsync) = persist!(link, session => async {
        let row = session.query_one("SELECT current_setting('server_encoding'), current_setting('fsync')", &[]).await?;
        Ok::<(String, String), Fault>((row.try_get(0)?, row.try_get(1)?))
    })?;
    if encoding != "UTF8" {
        return Err(StoreError::Broken(format!("the database in PostgreSQL is in {encoding}: make one with ENCODING 'UTF8'")));
    }
    if fsync == "off" {
        tracing::warn!("fsync is off in PostgreSQL: a power cut there can lose mail that was acknowledged");
    }
    Ok(())
}

/// Two connections are two sessions of the server, each the same one all the time, and what one locks the other does not get.
///
/// A pooler that gives each transaction a session of its own would mix up settings and prepared statements, and nothing would be
/// heard of other nodes. A database that has the functions for locks, and locks nothing, would let two steps through of which
/// one forbids the other.
async fn apart(one: &mut Session, link: &Link) -> Result<(), Fault> {
    let mut other = link.session().await?;
    let first = backend(one).await?;
    other.begin();
    other.batch_execute("BEGIN").await?;
    let second = backend(&other).await?;
    if first == second {
        return Err(pooled());
    }
    one.begin();
    one.batch_execute("BEGIN").await?;
    // While the other one is busy with the session that it was lent.
    if backend(one).await? != first {
        return Err(pooled());
    }
    let key = i64::from_be_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().unwrap_or(&[0; 8]));
    one.batch_execute(&format!("SELECT pg_advisory_xact_lock({key})")).await?;
    let got = word(&other, &format!("SELECT pg_try_advisory_xact_lock({key})")).await?;
    one.roll_back().await?;
    other.roll_back().await?;
    // Lent sessions were given back in this order, and now the wrong one is next, or the next but one.
    for _ in 0..3 {
        if backend(one).await? != first || backend(&other).await? != second {
            return Err(pooled());
        }
    }
    if got != "f" {
        return Err(Fault::wrong("the advisory locks of this database lock nothing, and steps of several nodes need them: use PostgreSQL itself"));
    }
    Ok(())
}

/// What a pooler in between is not allowed.
pub(super) fn pooled() -> Fault {
    Fault::wrong(
        "the pooler in front of PostgreSQL gives each transaction another session: let it pool sessions (PgBouncer: pool_mode = session), or \
         connect past it",
    )
}

async fn backend(client: &Client) -> Result<String, Fault> {
    word(client, "SELECT pg_backend_pid()").await
}

/// The one answer to a question that needs no prepared statement, which a pooler may not keep.
async fn word(client: &Client, sql: &str) -> Result<String, Fault> {
    let answers = client.simple_query(sql).await?;
    let found = answers.iter().find_map(|answer| if let SimpleQueryMessage::Row(row) = answer { row.get(0) } else { None });
    found.map(str::to_owned).ok_or_else(|| Fault::wrong("PostgreSQL answered nothing"))
}
