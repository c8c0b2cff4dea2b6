//! `brevbro store`: looks after the state of a gateway that does not run.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CliError;
use crate::store::{SledOptions, SledStore, Spool, SpoolOptions, journal};
use crate::worker;

/// The arguments of `brevbro store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks that the journal's chain is whole, that every body is what was written, and that every record has its bodies.
    Verify(StateArgs),
    /// Builds the index anew from the journal; the one there was is kept beside it until the next time.
    Rebuild(StateArgs),
}

#[derive(Debug, Args)]
struct StateArgs {
    /// The state folder of a gateway that does not run.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    state_dir: PathBuf,
}

/// Does it, and prints what was found.
///
/// # Errors
/// [`CliError`] when the state cannot be opened, as it is while a gateway runs on it; unsound when something is lost or damaged.
pub async fn run(args: StoreArgs) -> Result<(), CliError> {
    match args.command {
        Command::Verify(args) => verify(&args).await,
        Command::Rebuild(args) => {
            drop(SledStore::open(SledOptions { rebuild: true, ..options(&args)? }).map_err(in_use)?);
            Ok(writeln!(io::stdout(), "the index was built anew")?)
        }
    }
}

/// Where the store is; a folder that is none is not made into one.
fn options(args: &StateArgs) -> Result<SledOptions, CliError> {
    let options = SledOptions::new(args.state_dir.join("store"));
    if options.dir.is_dir() {
        return Ok(options);
    }
    Err(CliError::failure(format!("there is no store in {}", args.state_dir.display())).hint("name the gateway's state-dir with --state-dir"))
}

fn in_use(error: crate::port::StoreError) -> CliError {
    CliError::from(error).hint("stop the gateway first; `brevbro journal` and `brevbro status` look at one that runs")
}

async fn verify(args: &StateArgs) -> Result<(), CliError> {
    let options = options(args)?;
    let summary = journal::verify(&options.journal())?;
    let store = SledStore::open(options).map_err(in_use)?;
    let spool = Spool::open(SpoolOptions::new(args.state_dir.join("spool"))).map_err(in_use)?;
    let damaged = spool.check()?;
    let found = worker::agreement(&store, &spool).await.map_err(|failure| CliError::failure(failure.what).hint(failure.hint))?;
    let mut out = io::stdout().lock();
    writeln!(out, "the journal's chain is whole: {} lines, last {}", summary.lines, summary.hash)?;
    writeln!(out, "{} records, {} bodies, {} of them named by none", found.records, found.bodies, found.unnamed)?;
    for damage in &damaged {
        writeln!(out, "damaged: {}: {}", damage.path.display(), damage.why)?;
    }
    for (record, blob) in &found.lost {
        writeln!(out, "lost: body {} of record {record}", blob.0)?;
    }
    for record in &found.unread {
        writeln!(out, "unreadable: record {record}")?;
    }
    if damaged.is_empty() && found.lost.is_empty() && found.unread.is_empty() {
        return Ok(());
    }
    Err(CliError::unsound("something is damaged or lost").hint("restore it from a backup; keep this folder, for what is not damaged is still good"))
}
