//! Reading the journal: by the numbers of its lines and events, and by what they name.

use tokio_postgres::Row;

use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::{chain, column, many, names};
use crate::event::Event;
use crate::port::StoreError;
use crate::store::journal::find::{Found, Want};
use crate::store::journal::{Entry, parse};

/// Lines of one answer.
const PAGE: usize = 1_000;

/// A line as it stands in the table.
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) event: u64,
    pub(super) text: String,
    pub(super) names: Option<Vec<i32>>,
}

impl Line {
    fn of(row: &Row) -> Result<Self, StoreError> {
        let number = |place| column::<i64>(row, place).map(|number| u64::try_from(number).unwrap_or(u64::MAX));
        Ok(Self { seq: number(0)?, event: number(1)?, text: column(row, 2)?, names: column(row, 3)? })
    }
}

/// Up to `limit` lines from number `from` on.
pub(super) async fn lines(session: &Session, from: u64, limit: usize) -> Result<Vec<Line>, Fault> {
    let statement = session.statement("SELECT seq, event, line, names FROM journal WHERE seq >= $1 ORDER BY seq LIMIT $2").await?;
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let rows = session.query(&statement, &[&from, &many(limit.min(PAGE))]).await?;
    rows.iter().map(|row| Line::of(row).map_err(Fault::Wrong)).collect()
}

/// Events from number `from` on, with their numbers.
pub(super) async fn events(link: &Link, from: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
    chain::catch_up(link).await?;
    let event = i64::try_from(from).unwrap_or(i64::MAX);
    // Every line but those that say what is no longer kept has an event, so that so many lines have about as many.
    let asked = "SELECT line FROM journal WHERE seq >= coalesce((SELECT seq FROM journal WHERE event <= $1 ORDER BY event DESC, seq DESC LIMIT 1), 0) \
                 ORDER BY seq LIMIT $2";
    let rows: Vec<Row> = persist!(link, session => async {
        let statement = session.statement(asked).await?;
        Ok::<_, Fault>(session.query(&statement, &[&event, &many(limit.min(PAGE).saturating_add(1))]).await?)
    })?;
    let mut found = Vec::new();
    for row in &rows {
        let entry = entry(&column::<String>(row, 0)?)?;
        found.extend((entry.event..).zip(entry.events).filter(|(number, _)| *number >= from));
    }
    found.truncate(limit);
    Ok(found)
}

fn entry(line: &str) -> Result<Entry, StoreError> {
    parse(line.as_bytes()).map(|(entry, _)| entry).map_err(|why| StoreError::Damaged(format!("a line of the journal {why}")))
}

/// The events that are looked for, in their order, and how many lines could not be read. Those without names are all looked at.
pub(super) async fn find(session: &mut Session, want: &Want) -> Result<(Vec<Found>, u64), Fault> {
    let (ids, hours) = (names::wanted(want), names::hours(want));
    let mut clauses = Vec::new();
    // Text, for the array's length is part of no statement.
    let (ids, hours) = (ids.map(|ids| names::text(&ids)), hours.map(|hours| names::text(&hours)));
    let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = Vec::new();
    for wanted in [&ids, &hours].into_iter().flatten() {
        parameters.push(wanted);
        clauses.push(format!("names && ${}::text::integer[]", parameters.len()));
    }
    session.begin();
    // A search that answers much may take its time. Without statistics the planner would rather read everything.
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = off").await?;
    let mut rows = if clauses.is_empty() {
        session.query("SELECT seq, line FROM journal WHERE names IS NOT NULL", &[]).await?
    } else {
        session.query(&format!("SELECT seq, line FROM journal WHERE {}", clauses.join(" AND ")), &parameters).await?
    };
    rows.extend(session.query("SELECT seq, line FROM journal WHERE names IS NULL", &[]).await?);
    session.roll_back().await?;
    let (mut found, mut unread) = (Vec::new(), 0);
    for row in &rows {
        let Ok((entry, _)) = parse(row.try_get::<_, String>(1)?.as_bytes()) else {
            unread += 1;
            continue;
        };
        let numbered = (entry.event..).zip(entry.events).filter(|(_, event)| want.is(event));
        found.extend(numbered.map(|(number, event)| Found { line: entry.seq, number, event }));
    }
    found.sort_by_key(|found| found.number);
    Ok((found, unread))
}
