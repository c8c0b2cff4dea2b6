//! `brevbro queue`: what waits in the gateway that runs, since when, why, and when it is tried next.

use clap::Args;

use super::CliError;
use super::control::Running;
use crate::daemon::control::Command;
use crate::worker::Waiting;

/// The arguments of `brevbro queue`.
#[derive(Debug, Args)]
pub struct QueueArgs {
    #[command(flatten)]
    running: Running,
    /// So many of each queue at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

/// Prints one paragraph for each job: ids and reasons, no content.
///
/// # Errors
/// [`CliError`] when no gateway runs.
pub fn run(args: &QueueArgs) -> Result<(), CliError> {
    args.running.print(Command::Queue { limit: args.limit }, |waiting| show(&waiting))
}

fn show(waiting: &Waiting) -> String {
    let Waiting { queue, due, attempts, why, record, message } = waiting;
    let queue = serde_json::to_value(queue).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    let mut lines = vec![format!("{queue}  {record}  due {due:.0}, {attempts} failed")];
    lines.extend(message.as_ref().map(|known| {
        format!("  message {}  {}  {} with {}  since {:.0}", known.message_id, known.state, known.organisation, known.other, known.since)
    }));
    lines.extend((!why.is_empty()).then(|| format!("  {why}")));
    lines.join("\n")
}
