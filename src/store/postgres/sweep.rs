//! Tidying: names of steps that nobody will ask for, bodies that were replaced, and bodies that nobody finished.

use std::sync::Arc;
use std::time::Duration;

use super::Bodies;
use super::fault::Fault;
use super::link::{Link, Session, persist};

const EVERY: Duration = Duration::from_mins(10);
/// A call goes on for seconds, a reader for minutes, a writer for as long as a mail client may take.
const OLD: [&str; 3] = [
    "DELETE FROM steps WHERE at < now() - interval '1 hour'",
    "DELETE FROM sealed_blobs WHERE replaced < now() - interval '1 hour' OR (written IS NULL AND begun < now() - interval '1 day')",
    "DELETE FROM clear_blobs WHERE replaced < now() - interval '1 hour' OR (written IS NULL AND begun < now() - interval '1 day')",
];

/// Every node does so; what another one did is not there any more.
pub(super) async fn keep_sweeping(link: Arc<Link>, bodies: Bodies) {
    loop {
        tokio::time::sleep(EVERY).await;
        let swept = persist!(link, session => sweep(&session, bodies));
        if let Err(error) = swept {
            tracing::warn!(%error, "PostgreSQL cannot be tidied");
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
