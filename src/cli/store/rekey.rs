//! `brevbro store rekey` and `reload-keys`: the keys of the gateway that runs.

use clap::Args;

use crate::cli::CliError;
use crate::cli::control::Running;
use crate::daemon::control::Command;
use crate::daemon::keys::{KeyRole, KeysTold};

/// The arguments of `brevbro store reload-keys`.
#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    running: Running,
}

/// The arguments of `brevbro store rekey`.
#[derive(Debug, Args)]
pub(super) struct RekeyArgs {
    #[command(flatten)]
    running: Running,
    /// Changes nothing and says how many bodies need which key.
    #[arg(long)]
    check: bool,
}

/// Has the keys read again; prints the ids of those that count now, the active one first.
///
/// # Errors
/// [`CliError`] when no gateway runs, or its configuration is not sound.
pub(super) fn reload(args: &ReloadArgs) -> Result<(), CliError> {
    args.running.print(Command::ReloadKeys {}, |keys: String| format!("keys: {keys}"))
}

/// Has everything encrypted with the active key and tells how far that is; then, or at once with `--check`, how many bodies
/// are under which key. Whoever stops the command does not stop the work.
///
/// # Errors
/// [`CliError`] when no gateway runs, or it has no keys.
pub(super) fn run(args: &RekeyArgs) -> Result<(), CliError> {
    let command = if args.check { Command::Keys {} } else { Command::Rekey {} };
    args.running.print(command, show)
}

fn show(told: KeysTold) -> String {
    match told {
        KeysTold::Progress { seen, anew, failed: 0 } => format!("{seen} bodies seen, {anew} encrypted anew"),
        KeysTold::Progress { seen, anew, failed } => format!("{seen} bodies seen, {anew} encrypted anew, {failed} failed: see the log"),
        KeysTold::Key { id, role: KeyRole::Active, bodies, .. } => format!("key {id}  {bodies} bodies, and all new ones"),
        KeysTold::Key { id, role: KeyRole::Older, needed: false, .. } => format!("key {id}  no body: it may be removed from [encryption]"),
        KeysTold::Key { id, role: KeyRole::Older, bodies: 0, .. } => {
            format!("key {id}  no body, but it is in use still, by one that is being written or by another node: ask again")
        }
        KeysTold::Key { id, role: KeyRole::Older, bodies, .. } => format!("key {id}  {bodies} bodies: they need it"),
        KeysTold::Key { id, role: KeyRole::Missing, bodies, .. } => {
            format!("key {id}  {bodies} bodies, which cannot be read: it is not in [encryption]")
        }
        KeysTold::Clear { bodies } => format!("in the clear  {bodies} bodies"),
        KeysTold::Damaged { bodies } => format!("damaged  {bodies} bodies"),
    }
}
