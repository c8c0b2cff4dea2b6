//! `brevbro restore`: the way back from a backup, into an empty state folder.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::backup::told;
use crate::event::{Event, EventName, Field};
use crate::port::{Job, Op, Queue, Step, Store};
use crate::store::backup::{Restored, restore};
use crate::store::{SledOptions, SledStore, Spool, SpoolOptions};
use crate::worker;

/// More jobs than are told one by one.
const TOLD: usize = 1_000;

/// The arguments of `brevbro restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup, or the folder of backups: then the newest one.
    #[arg(value_name = "DIR")]
    backup: PathBuf,
    /// The state folder to make. It must be empty, or not there.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    state_dir: PathBuf,
}

/// Restores, makes the index, notes it in the journal, and prints what the gateway does not know any more.
///
/// # Errors
/// [`CliError`] when nothing is restored; unsound when bodies of the backup are lost or damaged.
pub async fn run(args: RestoreArgs) -> Result<(), CliError> {
    let RestoreArgs { backup, state_dir } = args;
    let dir = state_dir.clone();
    let restored = tokio::task::spawn_blocking(move || restore(&backup, &dir)).await?.map_err(told)?;
    let Restored { path, manifest, damaged, keys, unfinished } = restored;
    let store = SledStore::open(SledOptions::new(state_dir.join("store")))?;
    let spool = Spool::open(SpoolOptions::new(state_dir.join("spool")))?;
    let found = worker::agreement(&store, &spool).await.map_err(|failure| CliError::failure(failure.what).hint(failure.hint))?;
    let event = Event::new(Timestamp::now(), EventName::Restored)
        .with(Field::Digest, manifest.hash)
        .with(Field::Cause, format!("backup of {:.0}", manifest.at));
    store.apply(Step::new().op(Op::Audit(event))).await?;
    fail::fail_point!("restore.noted");
    let (leaving, arriving) = (jobs(&store, &[Queue::Seal, Queue::Send, Queue::Answer]).await?, jobs(&store, &[Queue::Open, Queue::Deliver]).await?);
    let waiting = jobs(&store, &[Queue::Await]).await?;
    drop((store, spool));
    unfinished.end()?;
    fail::fail_point!("restore.ended");

    let mut out = io::stdout().lock();
    let (line, at) = (manifest.line, manifest.at);
    writeln!(
        out,
        "Återställt från {}: journalen till och med rad {line}, {at:.0}. Vad gatewayen gjorde därefter vet den inget om (docs/backup.md):",
        path.display()
    )?;
    writeln!(
        out,
        "Restored from {}: the journal up to line {line}, {at:.0}. Of what the gateway did after that it knows nothing (docs/backup.md):",
        path.display()
    )?;
    let told = [
        (
            &leaving,
            "var på väg ut och skickas nu, kanske en gång till: med samma messageId, som mottagaren känner igen",
            "were on their way out and are sent now, perhaps once more: with the same messageId, by which the receiver knows them",
        ),
        (
            &waiting,
            "väntade på kvittens, som kan ha kommit: uteblir den, pröva brevbro resend",
            "waited for a receipt, which may have come since: if it stays away, try brevbro resend",
        ),
        (
            &arriving,
            "var på väg till mejlservern och lämnas nu, kanske en gång till: med samma Message-ID",
            "were on their way to the mail server and are handed over now, perhaps once more: with the same Message-ID",
        ),
    ];
    for (jobs, swedish, english) in told {
        writeln!(out, "{} {swedish}.\n{} {english}.", jobs.len(), jobs.len())?;
        for job in jobs.iter().take(TOLD) {
            writeln!(out, "  record {}", job.record)?;
        }
    }
    writeln!(out, "Mejl som togs emot efter {at:.0} finns i mejlserverns logg, mottagna meddelanden i mejlservern: jämför.")?;
    writeln!(out, "Mails that were taken in after {at:.0} stand in the mail server's log, messages that came in the mail server: compare.")?;
    if keys {
        writeln!(out, "Nycklarna ligger kvar i {0}/keys.\nThe keys stay in {0}/keys.", path.display())?;
    }
    for damage in &damaged {
        writeln!(out, "damaged: {}: {}", damage.path.display(), damage.why)?;
    }
    for (record, blob) in &found.lost {
        writeln!(out, "lost: body {} of record {record}", blob.0)?;
    }
    if damaged.is_empty() && found.lost.is_empty() {
        return Ok(());
    }
    Err(CliError::unsound("it is restored, and some bodies are lost or damaged")
        .hint("take their files from an older backup before the gateway starts"))
}

async fn jobs(store: &SledStore, queues: &[Queue]) -> Result<Vec<Job>, CliError> {
    let mut found = Vec::new();
    for queue in queues {
        found.extend(store.jobs(*queue, Timestamp::MIN, usize::MAX).await?);
    }
    Ok(found)
}
