//! `brevbro store`: what the gateway keeps.

mod key;
mod portable;
mod rekey;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::CliError;
use crate::config;
use crate::port::StoreError;
use crate::store::cipher::Keys;
use crate::store::{SledOptions, SledStore, Unfinished};

/// The arguments of `brevbro store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: Command,
}

/// What is done with it.
#[derive(Debug, Subcommand)]
enum Command {
    /// Checks a gateway that does not run: the journal's chain, the index against the journal, every body, every record's bodies.
    Verify(VerifyArgs),
    /// Builds the index of a gateway that does not run anew from its journal. The one there was is kept until the next time.
    Rebuild(StateArgs),
    /// Writes all that a gateway keeps, which does not run, into one file, for a store of another kind.
    Export(portable::PortableArgs),
    /// Brings an export into an empty state folder or database, as the configuration says.
    Import(portable::PortableArgs),
    /// Makes a key for [encryption], and prints it or writes it to a file.
    Key(key::KeyArgs),
    /// Has the gateway that runs use the keys that [encryption] names now. SIGHUP does the same.
    ReloadKeys(rekey::ReloadArgs),
    /// Has the gateway that runs encrypt with the active key what lies under older ones or in the clear.
    Rekey(rekey::RekeyArgs),
}

/// Which state.
#[derive(Debug, Args)]
struct StateArgs {
    /// The state folder of a gateway that does not run.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    state_dir: PathBuf,
}

/// Which state, and how its bodies are read.
#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    state: StateArgs,
    /// The gateway's configuration, for the keys of its [encryption]; not needed where bodies lie in the clear.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Does it, and prints what was found.
///
/// # Errors
/// [`CliError`] when the state cannot be opened, as it is while a gateway runs on it; unsound when something is lost or damaged.
pub async fn run(args: StoreArgs) -> Result<(), CliError> {
    match args.command {
        Command::Verify(args) => verify::run(&args).await,
        Command::Export(args) => portable::export(args).await,
        Command::Import(args) => portable::import(args).await,
        Command::Rebuild(args) => {
            drop(SledStore::open(SledOptions { rebuild: true, ..args.options()? }).map_err(in_use)?);
            Ok(writeln!(io::stdout(), "the index was built anew")?)
        }
        Command::Key(args) => key::run(&args),
        Command::ReloadKeys(args) => rekey::reload(&args),
        Command::Rekey(args) => rekey::run(&args),
    }
}

impl StateArgs {
    /// Where the store is; a folder that is none is not made into one.
    fn options(&self) -> Result<SledOptions, CliError> {
        Unfinished::refuse(&self.state_dir)?;
        let options = SledOptions::new(self.state_dir.join("store"));
        if options.dir.is_dir() {
            return Ok(options);
        }
        Err(CliError::failure(format!("there is no store in {}", self.state_dir.display())).hint("name the gateway's state-dir with --state-dir"))
    }
}

impl VerifyArgs {
    /// The keys that bodies are under.
    fn keys(&self) -> Result<Arc<Keys>, CliError> {
        match &self.config {
            Some(file) => Ok(Arc::new(Keys::new(config::load(file).map_err(CliError::usage)?.encryption))),
            None => Ok(Arc::default()),
        }
    }
}

fn in_use(error: StoreError) -> CliError {
    let hint = match error {
        StoreError::Locked(_) => "name the gateway's configuration with --config: its [encryption] names the keys",
        _ => "stop the gateway first; `brevbro status` and `brevbro audit verify` look at one that runs",
    };
    CliError::from(error).hint(hint)
}
