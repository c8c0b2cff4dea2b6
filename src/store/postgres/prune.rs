//! Forgetting: lines that were kept for as long as they shall be are deleted, the oldest first, and the journal says so before.
//!
//! ```text
//!  a line "pruned", and journal_end.pruned ═ lines before it, some thousands at a time
//! ```
//!
//! Which they are is found by an index over the time when each became a line. Whoever of the nodes comes to it does it; one that
//! dies leaves to the next what it had said.

use jiff::SignedDuration;

use super::chain::{self, Group};
use super::column;
use super::fault::Fault;
use super::link::{Link, Session, persist};
use crate::port::StoreError;
use crate::store::journal::{Pruned, parse};

/// So much more than it is kept the oldest line is old when some are deleted: what is deleted costs a line.
const COARSE: SignedDuration = SignedDuration::from_hours(24);
/// Lines that are deleted in one transaction.
const GROUP: i64 = 5_000;

/// The first line that stays of those that were chained since, in their order; every line when none is as old.
const STAYS: &str = "SELECT seq, line FROM journal WHERE chained >= now() - $1::bigint * interval '1 second' ORDER BY chained, seq LIMIT 1";
const OLDEST: &str = "SELECT seq, chained < now() - $1::bigint * interval '1 second' FROM journal ORDER BY seq LIMIT 1";
const DELETE: &str = "DELETE FROM journal WHERE seq IN \
                      (SELECT seq FROM journal WHERE seq < (SELECT pruned FROM journal_end WHERE one = 1) ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED)";

/// Says which lines go, when there are some, and deletes those of which it was said. How many were deleted.
pub(super) async fn prune(link: &Link, keep: SignedDuration) -> Result<u64, StoreError> {
    let said = persist!(link, session => say(&mut session, keep))?;
    fail::fail_point!("store.postgres.pruned", |_| Err(StoreError::Broken("fail point".into())));
    let mut deleted = 0;
    loop {
        let gone = persist!(link, session => async {
            let statement = session.statement(DELETE).await?;
            Ok::<_, Fault>(session.execute(&statement, &[&GROUP]).await?)
        })?;
        if gone == 0 {
            break;
        }
        deleted += gone;
    }
    if let Some(Pruned { before, .. }) = said {
        tracing::info!(before, deleted, "lines of the journal are deleted: their time of keeping is over");
    }
    Ok(deleted)
}

async fn say(session: &mut Session, keep: SignedDuration) -> Result<Option<Pruned>, Fault> {
    let (old, older) = (keep.as_secs(), keep.saturating_add(COARSE).as_secs());
    let oldest = session.query_opt(OLDEST, &[&older]).await?;
    let Some(oldest) = oldest.filter(|row| row.try_get(1).unwrap_or(false)) else { return Ok(None) };
    session.begin();
    session.batch_execute("BEGIN").await?;
    let Some(end) = chain::end(session, "FOR UPDATE").await? else {
        session.roll_back().await?;
        return Ok(None);
    };
    let pruned = match session.query_opt(STAYS, &[&old]).await? {
        None => Pruned { before: end.seq, prev: end.hash },
        Some(row) => {
            let line: String = column(&row, 1).map_err(Fault::Wrong)?;
            let (entry, _) = parse(line.as_bytes()).map_err(|why| Fault::Wrong(StoreError::Damaged(format!("a line of the journal {why}"))))?;
            Pruned { before: entry.seq, prev: entry.prev }
        }
    };
    let first: i64 = oldest.try_get(0)?;
    // Another node said so meanwhile.
    if u64::try_from(first).is_ok_and(|first| first >= pruned.before) || said(session, pruned.before).await? {
        session.roll_back().await?;
        return Ok(None);
    }
    let mut group = Group::behind(end);
    group.add(Vec::new(), Some(pruned))?;
    group.write(session).await?;
    let before = i64::try_from(pruned.before).unwrap_or_default();
    session.execute("UPDATE journal_end SET pruned = $1", &[&before]).await?;
    session.commit().await?;
    Ok(Some(pruned))
}

async fn said(session: &Session, before: u64) -> Result<bool, Fault> {
    let row = session.query_one("SELECT pruned FROM journal_end WHERE one = 1", &[]).await?;
    Ok(u64::try_from(row.try_get::<_, i64>(0)?).is_ok_and(|said| said >= before))
}
