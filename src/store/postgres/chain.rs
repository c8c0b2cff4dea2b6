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
use super::names;
use crate::event::Event;
use crate::ident::Sha256;
use crate::port::StoreError;
use crate::store::journal::{Entry, Pruned, parse, print};

const EVERY: Duration = Duration::from_secs(1);
/// Steps that become lines in one transaction.
const GROUP: i64 = 500;
/// Lines of a version that named none that are named in one transaction.
const UNNAMED: i64 = 500;

/// Makes lines of everything that was told before this call.
pub(super) async fn catch_up(link: &Link) -> Result<(), StoreError> {
    while persist!(link, session => chain(&mut session, "FOR UPDATE"))? {}
    Ok(())
}

/// Makes lines of what is there, again and again; where another node is at it, that one does.
pub(super) async fn keep_chaining(link: Arc<Link>) {
    let (mut told, mut looked) = (false, -1);
    loop {
        tokio::time::sleep(EVERY).await;
        let outcome = loop {
            match persist!(link, session => chain(&mut session, "FOR UPDATE SKIP LOCKED")) {
                Ok(true) => {}
                Ok(false) => break name(&link, &mut looked).await,
                Err(error) => break Err(error),
            }
        };
        match outcome {
            Ok(()) => told = false,
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "the journal in PostgreSQL is not being chained; what steps tell is kept until it is");
                }
            }
        }
    }
}

/// Names the lines of a version that named none, from the one after `looked` on. A damaged line stays without: who searches
/// looks at those, and says that they cannot be read.
async fn name(link: &Link, looked: &mut i64) -> Result<(), StoreError> {
    loop {
        let rows: Vec<Row> = persist!(link, session => async {
            let statement = session.statement("SELECT seq, line FROM journal WHERE names IS NULL AND seq > $1 ORDER BY seq LIMIT $2").await?;
            Ok::<_, Fault>(session.query(&statement, &[&*looked, &UNNAMED]).await?)
        })?;
        let Some(last) = rows.last() else { return Ok(()) };
        let last: i64 = super::column(last, 0)?;
        let (mut seqs, mut named) = (Vec::new(), Vec::new());
        for row in &rows {
            if let Ok((entry, _)) = parse(super::column::<String>(row, 1)?.as_bytes()) {
                seqs.push(super::column::<i64>(row, 0)?);
                named.push(names::text(&names::of(&entry.events)));
            }
        }
        let write = "UPDATE journal SET names = made.names::integer[] FROM unnest($1::bigint[], $2::text[]) AS made (seq, names) \
                     WHERE journal.seq = made.seq AND journal.names IS NULL";
        persist!(link, session => async {
            let statement = session.statement(write).await?;
            Ok::<_, Fault>(session.execute(&statement, &[&seqs, &named]).await?)
        })?;
        *looked = last;
    }
}

/// Makes lines of a group of what was told; whether there may be more.
async fn chain(session: &mut Session, lock: &str) -> Result<bool, Fault> {
    if session.query_opt("SELECT 1 FROM told LIMIT 1", &[]).await?.is_none() {
        return Ok(false);
    }
    session.begin();
    session.batch_execute("BEGIN").await?;
    let Some(end) = end(session, lock).await? else {
        session.roll_back().await?;
        return Ok(false);
    };
    // Behind the lock, so that everything is seen that was there when whoever had it before was through.
    let told = session.query("SELECT id, events FROM told ORDER BY id LIMIT $1", &[&GROUP]).await?;
    let mut group = Group::behind(end);
    for row in &told {
        let events = serde_json::from_str(&row.try_get::<_, String>(1)?)
            .map_err(|error| Fault::wrong(format!("what a step told cannot be read: {error}; run the newest version among the nodes")))?;
        group.told.push(row.try_get(0)?);
        group.add(events, None)?;
    }
    fail::fail_point!("store.postgres.chain");
    group.write(session).await?;
    session.execute("DELETE FROM told WHERE id = ANY($1)", &[&group.told]).await?;
    session.commit().await?;
    Ok(i64::try_from(told.len()).unwrap_or(GROUP) == GROUP)
}

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Lines there were: the number of the next one.
    pub(super) seq: u64,
    /// Events there were.
    pub(super) event: u64,
    /// The hash of the last line.
    pub(super) hash: Sha256,
}

impl Default for End {
    fn default() -> Self {
        Self { seq: 0, event: 0, hash: Sha256([0; 32]) }
    }
}

/// Where the journal ends, with the lock that this clause takes; none when it is another's and was to be skipped.
pub(super) async fn end(session: &Session, lock: &str) -> Result<Option<End>, Fault> {
    let Some(row) = session.query_opt(&format!("SELECT seq, event, hash FROM journal_end WHERE one = 1 {lock}"), &[]).await? else {
        return Ok(None);
    };
    let damaged = || Fault::Wrong(StoreError::Damaged("the end of the journal in PostgreSQL is not what was written".into()));
    let number = |place| row.try_get::<_, i64>(place).ok().and_then(|number| u64::try_from(number).ok()).ok_or_else(damaged);
    let hash = Sha256::try_from(row.try_get::<_, String>(2)?).map_err(|_| damaged())?;
    Ok(Some(End { seq: number(0)?, event: number(1)?, hash }))
}

/// Lines as their columns, behind an end that grows with them.
#[derive(Default)]
pub(super) struct Group {
    end: End,
    told: Vec<i64>,
    seqs: Vec<i64>,
    events: Vec<i64>,
    lines: Vec<String>,
    names: Vec<String>,
}

impl Group {
    /// Lines behind this end.
    pub(super) fn behind(end: End) -> Self {
        Self { end, ..Self::default() }
    }

    /// Adds the next line.
    pub(super) fn add(&mut self, events: Vec<Event>, pruned: Option<Pruned>) -> Result<(), Fault> {
        let End { seq, event, hash: prev } = self.end;
        let (count, named) = (events.len() as u64, names::text(&names::of(&events)));
        let entry = Entry { seq, prev, group: None, opened: None, segment: None, anew: false, pruned, event, events, changes: Vec::new() };
        let line = print(&entry).map_err(|error| Fault::wrong(format!("a line of the journal cannot be written: {error}")))?;
        let text = String::from_utf8(line.octets).map_err(|_| Fault::wrong("a line of the journal is no text"))?;
        self.seqs.push(i64::try_from(seq).unwrap_or(i64::MAX));
        self.events.push(i64::try_from(event).unwrap_or(i64::MAX));
        self.lines.push(text.trim_end().to_owned());
        self.names.push(named);
        self.end = End { seq: seq + 1, event: event + count, hash: line.hash };
        Ok(())
    }

    /// Writes the lines and their end.
    pub(super) async fn write(&self, session: &Session) -> Result<(), Fault> {
        session
            .execute(
                "INSERT INTO journal (seq, event, line, names, chained) SELECT seq, event, line, names::integer[], clock_timestamp() \
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS made (seq, event, line, names)",
                &[&self.seqs, &self.events, &self.lines, &self.names],
            )
            .await?;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let End { seq, event, hash } = self.end;
        session.execute("UPDATE journal_end SET seq = $1, event = $2, hash = $3", &[&number(seq), &number(event), &hash.to_string()]).await?;
        Ok(())
    }
}
