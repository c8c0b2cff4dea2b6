//! Jobs: claimed, renewed, waited for.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::bells::Bells;
use super::fault::Fault;
use super::link::{Link, Session};
use super::{column, many, word};
use crate::ident::RecordId;
use crate::port::{Guard, Job, JobId, Lease, Op, Queue, Step, StoreError};

/// The longest wait between two looks, when no hint comes.
const LOOK: Duration = Duration::from_secs(2);

// The token is a sequence's, and so larger than all before it for whatever job; where sequences are handed out in portions
// (YugabyteDB), it is at least larger than those before it for this one.
const CLAIM: &str = "WITH ripe AS MATERIALIZED ( \
        SELECT id FROM jobs WHERE queue = $1 AND due <= coalesce($2::timestamptz, now()) AND free <= coalesce($2::timestamptz, now()) \
        ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
    UPDATE jobs SET token = greatest(token + 1, nextval('tokens')), holder = $5, \
        free = coalesce($2::timestamptz, now()) + $4::bigint * interval '1 microsecond' \
    FROM ripe WHERE jobs.id = ripe.id \
    RETURNING jobs.id, record, due, attempt, note, queue, token, free";
const RENEW: &str = "UPDATE jobs SET free = greatest(due, coalesce($3::timestamptz, now()) + $4::bigint * interval '1 microsecond') \
    WHERE id = $1 AND token = $2 AND token <> 0 RETURNING coalesce($3::timestamptz, now()) + $4::bigint * interval '1 microsecond'";
const NEXT: &str = "SELECT (extract(epoch FROM min(free) - coalesce($2::timestamptz, now())) * 1000000)::bigint FROM jobs WHERE queue = $1";

pub(super) async fn claim(
    session: &Session,
    queue: Queue,
    now: Option<Timestamp>,
    span: Duration,
    limit: usize,
    node: &str,
) -> Result<Vec<Lease>, Fault> {
    let statement = session.statement(CLAIM).await?;
    let rows = session.query(&statement, &[&word(queue), &now, &many(limit), &micros(span), &node]).await?;
    let lease = |row: &Row| -> Result<Lease, StoreError> {
        let token: i64 = column(row, 6)?;
        Ok(Lease { job: job(row)?, token: u64::try_from(token).unwrap_or_default(), until: column(row, 7)? })
    };
    let mut leases = rows.iter().map(lease).collect::<Result<Vec<_>, _>>().map_err(Fault::Wrong)?;
    // An UPDATE answers in no promised order.
    leases.sort_by_key(|lease| (lease.job.due, lease.job.id));
    Ok(leases)
}

pub(super) async fn renew(session: &Session, lease: &Lease, now: Option<Timestamp>, span: Duration) -> Result<Lease, Fault> {
    let statement = session.statement(RENEW).await?;
    let token = i64::try_from(lease.token).unwrap_or(-1);
    let renewed = session.query_opt(&statement, &[&lease.job.id.0, &token, &now, &micros(span)]).await?;
    match renewed {
        Some(row) => Ok(Lease { until: column(&row, 0).map_err(Fault::Wrong)?, ..lease.clone() }),
        None => Err(Fault::Refused(Box::new(Guard::Held(lease.clone())))),
    }
}

/// Waits for the next job to become free, at most as long as it shall: a hint, or that [`LOOK`] has passed, makes it look again.
pub(super) async fn wait(link: &Link, bells: &Bells, queue: Queue, now: impl Fn() -> Option<Timestamp>, at_most: Duration) {
    let mut rung = bells.hear(queue);
    let look = async {
        loop {
            rung.mark_unchanged();
            let rest = match next(link, queue, now()).await {
                Ok(Some(rest)) if rest.is_zero() => return,
                Ok(rest) => rest.unwrap_or(LOOK).min(LOOK),
                Err(fault) => {
                    tracing::debug!(?fault, "the next job cannot be asked for");
                    LOOK
                }
            };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                changed = rung.changed() => if changed.is_err() { return },
            }
        }
    };
    drop(tokio::time::timeout(at_most, look).await);
}

/// How long it is until a job of the queue may be claimed.
async fn next(link: &Link, queue: Queue, now: Option<Timestamp>) -> Result<Option<Duration>, Fault> {
    let session = link.session().await?;
    let statement = session.statement(NEXT).await?;
    let row = session.query_one(&statement, &[&word(queue), &now]).await?;
    let micros = column::<Option<i64>>(&row, 0).map_err(Fault::Wrong)?;
    Ok(micros.map(|micros| u64::try_from(micros).map_or(Duration::ZERO, Duration::from_micros)))
}

/// The queues in which a step makes work.
pub(super) fn queues(step: &Step) -> Vec<Queue> {
    // Whose job is hastened is not known here; those who wait look again soon.
    let queue = |op: &Op| match op {
        Op::Enqueue(job) => Some(job.queue),
        Op::Reschedule { lease, .. } => Some(lease.job.queue),
        _ => None,
    };
    let mut queues: Vec<Queue> = step.ops.iter().filter_map(queue).collect();
    queues.sort_unstable();
    queues.dedup();
    queues
}

/// A job out of `id, record, due, attempt, note, queue`.
pub(super) fn job(row: &Row) -> Result<Job, StoreError> {
    let found: String = column(row, 5)?;
    let queue = Queue::ALL.into_iter().find(|queue| word(*queue) == found);
    Ok(Job {
        id: JobId(column(row, 0)?),
        queue: queue.ok_or_else(|| StoreError::Damaged("a job is of a queue that this version does not know".into()))?,
        record: RecordId(column(row, 1)?),
        due: column(row, 2)?,
        attempt: u32::try_from(column::<i64>(row, 3)?).unwrap_or(u32::MAX),
        note: column(row, 4)?,
    })
}

fn micros(span: Duration) -> i64 {
    const CENTURY: i64 = 100 * 366 * 86_400 * 1_000_000;
    i64::try_from(span.as_micros()).unwrap_or(CENTURY).min(CENTURY)
}
