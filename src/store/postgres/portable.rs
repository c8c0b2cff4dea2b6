//! Everything that a database keeps, for who takes it elsewhere, and the way in for what comes from elsewhere.

use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::step::lock;
use super::{PostgresStore, chain, column, many, queue, record};
use crate::port::{Key, StoreError};
use crate::store::Unfinished;
use crate::store::journal::Change;
use crate::store::journal::import::{Chain, ChainEnd};

/// Lines of one question.
const PAGE: i64 = 500;

/// The note of an import that has not ended.
pub(in crate::store) fn unfinished() -> Key {
    Key::new("import", "unfinished")
}

/// Where the next page of [`PostgresStore::changes`] begins.
pub(in crate::store) enum Cursor {
    Records(Option<Uuid>),
    Notes(Option<String>),
    Jobs(Option<Uuid>),
}

impl PostgresStore {
    /// Up to `limit` records, notes and jobs, and where those after them begin; nothing is there behind the last.
    pub(in crate::store) async fn changes(&self, from: Cursor, limit: usize) -> Result<(Vec<Change>, Option<Cursor>), StoreError> {
        let limit = many(limit);
        Ok(match from {
            Cursor::Records(after) => {
                let sql = "SELECT id, state, body FROM records WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2";
                let rows = self.rows(sql, &[&after, &limit]).await?;
                let next = rows.last().map(|row| column(row, 0).map(|id| Cursor::Records(Some(id)))).transpose()?;
                (rows.iter().map(|row| record(row).map(Change::Record)).collect::<Result<_, _>>()?, next.or(Some(Cursor::Notes(None))))
            }
            Cursor::Notes(after) => {
                let sql = "SELECT key, value FROM notes WHERE $1::text IS NULL OR key > $1 ORDER BY key LIMIT $2";
                let rows = self.rows(sql, &[&after, &limit]).await?;
                let note = |row| Ok::<_, StoreError>(Change::Note(Key::kept(column(row, 0)?), column(row, 1)?));
                let next = rows.last().map(|row| column(row, 0).map(|key| Cursor::Notes(Some(key)))).transpose()?;
                (rows.iter().map(note).collect::<Result<_, _>>()?, next.or(Some(Cursor::Jobs(None))))
            }
            Cursor::Jobs(after) => {
                let sql = "SELECT id, record, due, attempt, note, queue FROM jobs WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2";
                let rows = self.rows(sql, &[&after, &limit]).await?;
                let next = rows.last().map(|row| column(row, 0).map(|id| Cursor::Jobs(Some(id)))).transpose()?;
                (rows.iter().map(|row| queue::job(row).map(Change::Job)).collect::<Result<_, _>>()?, next)
            }
        })
    }

    /// The journal's lines from this number on, as they were written, some of them; none behind the last.
    pub(in crate::store) async fn written(&self, from: u64) -> Result<Vec<(u64, String)>, StoreError> {
        chain::catch_up(&self.link).await?;
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let rows = self.rows("SELECT seq, line FROM journal WHERE seq >= $1 ORDER BY seq LIMIT $2", &[&from, &PAGE]).await?;
        rows.iter().map(|row| Ok((u64::try_from(column::<i64>(row, 0)?).unwrap_or_default(), column(row, 1)?))).collect()
    }

    /// Follows the journal's chain from its first line to its last; how many lines there were, with those that are no longer kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a line does not follow the one before, or the last is not the last that there was.
    pub async fn follow(&self) -> Result<u64, StoreError> {
        let (mut chain, mut from) = (Chain::default(), 0);
        loop {
            let page = self.written(from).await?;
            let Some((last, _)) = page.last() else { break };
            from = last + 1;
            for (_, line) in &page {
                chain.follow(line.as_bytes()).map_err(|why| StoreError::Damaged(why.to_owned()))?;
            }
        }
        let rows = self.rows("SELECT seq, hash FROM journal_end", &[]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Damaged("the end of the journal is not there".into()))?;
        let said = (u64::try_from(column::<i64>(row, 0)?).unwrap_or_default(), column::<String>(row, 1)?);
        match chain.end() {
            Some(end) if (end.lines, end.hash.to_string()) != said => {
                Err(StoreError::Damaged("the last line of the journal is not the last there was".into()))
            }
            None if said.0 > 0 => Err(StoreError::Damaged("the journal has no line".into())),
            _ => Ok(said.0),
        }
    }

    /// Marks an empty database, durably: nobody starts on it before the mark is gone. `false` when it holds anything.
    pub(in crate::store) async fn begin_import(&self) -> Result<bool, StoreError> {
        persist!(self.link, session => begin(&mut session))
    }

    /// Adds lines to a journal that ends before the first of them, in numbers and first events.
    pub(in crate::store) async fn import_lines(&self, lines: &[(u64, u64, String)], end: ChainEnd) -> Result<(), StoreError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let seqs: Vec<i64> = lines.iter().map(|(seq, ..)| number(*seq)).collect();
        let events: Vec<i64> = lines.iter().map(|(_, event, _)| number(*event)).collect();
        let texts: Vec<&str> = lines.iter().map(|(.., line)| line.as_str()).collect();
        persist!(self.link, session => async {
            session.begin();
            session.batch_execute("BEGIN").await?;
            // What was committed without an answer is there already.
            let add = "INSERT INTO journal (seq, event, line) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]) ON CONFLICT DO NOTHING";
            session.execute(add, &[&seqs, &events, &texts]).await?;
            let end = (number(end.lines), number(end.events), end.hash.to_string());
            session.execute("UPDATE journal_end SET seq = $1, event = $2, hash = $3", &[&end.0, &end.1, &end.2]).await?;
            session.commit().await
        })
    }
}

async fn begin(session: &mut Session) -> Result<bool, Fault> {
    const ANYTHING: &str = "SELECT EXISTS (SELECT 1 FROM records) OR EXISTS (SELECT 1 FROM notes) OR EXISTS (SELECT 1 FROM jobs) OR EXISTS (SELECT 1 FROM told) \
                            OR EXISTS (SELECT 1 FROM journal) OR EXISTS (SELECT 1 FROM clear_blobs) OR EXISTS (SELECT 1 FROM sealed_blobs)";
    session.begin();
    // Of two imports one waits here, and then finds the other's mark.
    session.batch_execute("BEGIN; SELECT 1 FROM journal_end FOR UPDATE").await?;
    if session.query_one(ANYTHING, &[]).await?.try_get(0)? {
        session.roll_back().await?;
        return Ok(false);
    }
    session.execute("INSERT INTO notes (key, value) VALUES ($1, 'an import')", &[&unfinished().as_str()]).await?;
    session.commit().await?;
    Ok(true)
}

/// Refuses a database into which an import was begun and not ended.
pub(super) async fn refuse_unfinished(link: &Link, schema: &str) -> Result<(), StoreError> {
    let key = unfinished();
    let found = persist!(link, session => async {
        Ok::<_, Fault>(session.query_opt("SELECT value FROM notes WHERE key = $1", &[&key.as_str()]).await?)
    })?;
    match found {
        Some(row) => Err(Unfinished::refusal(&format!("the schema {schema} of the database"), &column::<String>(&row, 0)?)),
        None => Ok(()),
    }
}

/// Where nodes that work say so: each has this lock, shared, on the connection on which it listens.
pub(super) fn presence(schema: &str) -> i64 {
    lock(schema, 'p', "presence")
}

/// Sees to it that nobody else works: a connection that has the lock alone.
pub(super) async fn alone(link: &Link, schema: &str) -> Result<(Client, JoinSet<()>), StoreError> {
    let made = async {
        let (client, connection) = link.listener().await?;
        let mut driving = JoinSet::new();
        driving.spawn(async move { drop(connection.await) });
        let free: bool = client.query_one("SELECT pg_try_advisory_lock($1)", &[&presence(schema)]).await?.try_get(0)?;
        Ok::<_, Fault>(free.then_some((client, driving)))
    };
    made.await.map_err(Fault::into_error)?.ok_or_else(|| StoreError::Broken("a gateway uses the database: stop every node".into()))
}

/// Refuses to work while somebody is [`alone`].
pub(super) async fn refuse_while_alone(link: &Link, schema: &str) -> Result<(), StoreError> {
    let free: bool = persist!(link, session => async {
        Ok::<_, Fault>(session.query_one("SELECT pg_try_advisory_xact_lock_shared($1)", &[&presence(schema)]).await?.try_get(0)?)
    })?;
    if free { Ok(()) } else { Err(StoreError::Broken("the database is being exported or imported: wait for its end".into())) }
}
