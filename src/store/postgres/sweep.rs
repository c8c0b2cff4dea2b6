//! Tidying: names of steps that nobody will ask for, bodies that were replaced, bodies that nobody finished, and lines of the
//! journal whose time of keeping is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::{Bodies, prune};

const EVERY: Duration = Duration::from_mins(10);
/// A call goes on for seconds, a reader for minutes, a writer for as long as a mail client may take.
const OLD: [&str; 3] = [
    "DELETE FROM steps WHERE at < now() - interval '1 hour'",
    "DELETE FROM sealed_blobs WHERE replaced < now() - interval '1 hour' OR (written IS NULL AND begun < now() - interval '1 day')",
    "DELETE FROM clear_blobs WHERE replaced < now() - interval '1 hour' OR (written IS NULL AND begun < now() - interval '1 day')",
];

/// Every node does so; what another one did is not there any more.
pub(super) async fn keep_sweeping(link: Arc<Link>, bodies: Bodies, keep: Option<SignedDuration>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let swept = persist!(link, session => sweep(&session, bodies));
        if let Err(error) = swept {
            tracing::warn!(%error, "PostgreSQL cannot be tidied");
        }
        if let (Bodies::All, Some(keep)) = (bodies, keep)
            && let Err(error) = prune::prune(&link, keep).await
        {
            tracing::warn!(%error, "lines of the journal whose time of keeping is over cannot be deleted; it is tried again");
        }
    }
}

async fn sweep(session: &Session, bodies: Bodies) -> Result<(), Fault> {
    let tables = if bodies == Bodies::All { 3 } else { 2 };
    for sql in OLD.iter().take(tables) {
        session.execute(*sql, &[]).await?;
    }
    Ok(())
}
