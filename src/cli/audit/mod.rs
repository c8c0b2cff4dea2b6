//! `brevbro audit`: the journal as evidence: whether it is whole, the key that signs it, and what it says for another system.

mod export;
mod key;
mod verify;

use clap::{Args, Subcommand};

use super::CliError;

/// The arguments of `brevbro audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says whether the journal is whole: no line changed, removed, inserted, moved, or cut off behind a signed head.
    Verify(verify::VerifyArgs),
    /// Makes the key that signs the journal's heads.
    Key(key::KeyArgs),
    /// Writes events as JSON lines, for a SIEM or another organisation's `brevbro trace --with`.
    Export(export::ExportArgs),
}

/// Does what was asked for.
///
/// # Errors
/// [`CliError`].
pub async fn run(args: &AuditArgs) -> Result<(), CliError> {
    match &args.command {
        Command::Verify(args) => verify::run(args).await,
        Command::Key(args) => key::run(args),
        Command::Export(args) => export::run(args).await,
    }
}
