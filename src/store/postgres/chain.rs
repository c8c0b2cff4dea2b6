//! The journal: events that steps told become numbered lines, each with the hash of the one before.
//!
//! A chain over all steps would let one commit at a time through. So a step only leaves its events, and whoever of the nodes
//! gets the lock makes lines of what is there, every second and before somebody reads. Events are numbered by a sequence after
//! their step has its locks: of two steps of which one saw the other, or came when the other had been answered, the later one
//! has the larger number; and it is not there before the other one is.
//!
//! A line is what a line of the files is (`store::journal`), so that whoever checks or exports those checks and exports these.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;

use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::{PostgresStore, column, many};
use crate::event::Event;
use crate::ident::Sha256;
use crate::port::StoreError;
use crate::store::journal::{Entry, parse, print};

const EVERY: Duration = Duration::from_secs(1);
/// Steps that become lines in one transaction.
const GROUP: i64 = 500;
/// Lines of one answer.
const PAGE: usize = 1_000;

/// How far a chain of lines is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chained {
    /// Its lines.
    pub lines: u64,
    /// Their events.
    pub events: u64,
    /// The hash of its last line.
    pub hash: Sha256,
}

impl Chained {
    const NONE: Self = Self { lines: 0, events: 0, hash: Sha256([0; 32]) };

    /// The next line, if it follows.
    fn then(self, line: &str) -> Result<Self, String> {
        let (entry, hash) = parse(line.as_bytes()).map_err(|why| format!("line {} of the journal {why}", self.lines))?;
        if (entry.seq, entry.prev, entry.event) != (self.lines, self.hash, self.events) {
            return Err(format!("line {} of the journal does not follow the line before it", self.lines));
        }
        Ok(Self { lines: self.lines + 1, events: self.events + entry.events.len() as u64, hash })
    }
}

impl PostgresStore {
    /// Up to `limit` lines of the journal from number `from` on, without their line feeds: everything that was told before
    /// the call is in it. Fewer than `limit` do not mean the end, none does.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn lines(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        catch_up(&self.link).await?;
        lines(&self.link, from, limit).await
    }

    /// Checks every line and their chain.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], which names the first line that is wrong.
    pub async fn verify(&self) -> Result<Chained, StoreError> {
        catch_up(&self.link).await?;
        // Asked for before the lines are: other nodes go on adding some.
        let rows = self.rows("SELECT seq FROM journal_end", &[]).await?;
        let end = rows.first().map(|row| column::<i64>(row, 0)).transpose()?.and_then(|end| u64::try_from(end).ok()).unwrap_or_default();
        let mut chained = Chained::NONE;
        loop {
            let page = lines(&self.link, chained.lines, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for (_, line) in page {
                chained = chained.then(&line).map_err(StoreError::Damaged)?;
            }
        }
        if chained.lines < end {
            return Err(StoreError::Damaged(format!("line {} of the journal is not there, and there were {end}", chained.lines)));
        }
        Ok(chained)
    }
}

async fn lines(link: &Link, from: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let rows: Vec<Row> = persist!(link, session => async {
        let statement = session.statement("SELECT seq, line FROM journal WHERE seq >= $1 ORDER BY seq LIMIT $2").await?;
        Ok::<_, Fault>(session.query(&statement, &[&from, &many(limit.min(PAGE))]).await?)
    })?;
    rows.iter().map(|row| Ok((u64::try_from(column::<i64>(row, 0)?).unwrap_or_default(), column(row, 1)?))).collect()
}

/// Events from number `from` on, with their numbers.
pub(super) async fn events(link: &Link, from: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
    catch_up(link).await?;
    let event = i64::try_from(from).unwrap_or(i64::MAX);
    // Every line has an event, so that so many lines have at least so many.
    let asked = "SELECT line FROM journal WHERE seq >= coalesce((SELECT seq FROM journal WHERE event <= $1 ORDER BY event DESC, seq DESC LIMIT 1), 0) \
                 ORDER BY seq LIMIT $2";
    let rows: Vec<Row> = persist!(link, session => async {
        let statement = session.statement(asked).await?;
        Ok::<_, Fault>(session.query(&statement, &[&event, &many(limit.min(PAGE).saturating_add(1))]).await?)
    })?;
    let mut found = Vec::new();
    for row in &rows {
        let line: String = column(row, 0)?;
        let (entry, _) = parse(line.as_bytes()).map_err(|why| StoreError::Damaged(format!("a line of the journal {why}")))?;
        found.extend((entry.event..).zip(entry.events).filter(|(number, _)| *number >= from));
    }
    found.truncate(limit);
    Ok(found)
}

/// Makes lines of everything that was told before this call.
pub(super) async fn catch_up(link: &Link) -> Result<(), StoreError> {
    while persist!(link, session => chain(&mut session, "FOR UPDATE"))? {}
    Ok(())
}

/// Makes lines of what is there, again and again; where another node is at it, that one does.
pub(super) async fn keep_chaining(link: Arc<Link>) {
    let mut told = false;
    loop {
        tokio::time::sleep(EVERY).await;
        loop {
            match persist!(link, session => chain(&mut session, "FOR UPDATE SKIP LOCKED")) {
                Ok(true) => {}
                Ok(false) => {
                    told = false;
                    break;
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "the journal in PostgreSQL is not being chained; what steps tell is kept until it is");
                    }
                    break;
                }
            }
        }
    }
}

/// Makes lines of a group of what was told; whether there may be more.
async fn chain(session: &mut Session, lock: &str) -> Result<bool, Fault> {
    if session.query_opt("SELECT 1 FROM told LIMIT 1", &[]).await?.is_none() {
        return Ok(false);
    }
    session.begin();
    session.batch_execute("BEGIN").await?;
    let Some(end) = session.query_opt(&format!("SELECT seq, event, hash FROM journal_end WHERE one = 1 {lock}"), &[]).await? else {
        session.roll_back().await?;
        return Ok(false);
    };
    // Behind the lock, so that everything is seen that was there when whoever had it before was through.
    let told = session.query("SELECT id, events FROM told ORDER BY id LIMIT $1", &[&GROUP]).await?;
    let group = Group::of(&end, &told)?;
    fail::fail_point!("store.postgres.chain");
    session
        .execute(
            "INSERT INTO journal (seq, event, line) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[])",
            &[&group.seqs, &group.events, &group.lines],
        )
        .await?;
    session.execute("DELETE FROM told WHERE id = ANY($1)", &[&group.told]).await?;
    session.execute("UPDATE journal_end SET seq = $1, event = $2, hash = $3", &[&group.seq, &group.event, &group.hash]).await?;
    session.commit().await?;
    Ok(i64::try_from(told.len()).unwrap_or(GROUP) == GROUP)
}

/// Lines as their columns.
#[derive(Default)]
struct Group {
    told: Vec<i64>,
    seqs: Vec<i64>,
    events: Vec<i64>,
    lines: Vec<String>,
    /// The end after them.
    seq: i64,
    event: i64,
    hash: String,
}

impl Group {
    fn of(end: &Row, told: &[Row]) -> Result<Self, Fault> {
        let hash: String = end.try_get(2)?;
        let mut prev = Sha256::try_from(hash.clone()).map_err(|_| Fault::wrong("the end of the journal in PostgreSQL is damaged"))?;
        let mut group = Self { seq: end.try_get(0)?, event: end.try_get(1)?, hash, ..Self::default() };
        let number = |number: i64| u64::try_from(number).map_err(|_| Fault::wrong("the end of the journal in PostgreSQL is damaged"));
        for row in told {
            let events: Vec<Event> = serde_json::from_str(&row.try_get::<_, String>(1)?)
                .map_err(|error| Fault::wrong(format!("what a step told cannot be read: {error}; run the newest version among the nodes")))?;
            let count = i64::try_from(events.len()).unwrap_or_default();
            let entry = Entry {
                seq: number(group.seq)?,
                prev,
                group: None,
                opened: None,
                segment: None,
                anew: false,
                pruned: None,
                event: number(group.event)?,
                events,
                changes: Vec::new(),
            };
            let line = print(&entry).map_err(|error| Fault::wrong(format!("a line of the journal cannot be written: {error}")))?;
            let text = String::from_utf8(line.octets).map_err(|_| Fault::wrong("a line of the journal is no text"))?;
            group.told.push(row.try_get(0)?);
            group.seqs.push(group.seq);
            group.events.push(group.event);
            group.lines.push(text.trim_end().to_owned());
            prev = line.hash;
            group.seq += 1;
            group.event += count;
        }
        group.hash = prev.to_string();
        Ok(group)
    }
}
