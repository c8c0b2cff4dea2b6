//! `brevbro resend`, `retry`, `release`, `redeliver`, `handled`, `cancel`: what an operator does with one message.

use clap::Args;

use super::CliError;
use super::control::Running;
use crate::daemon::control::Command;
use crate::ident::ParticipantId;
use crate::worker::Did;

/// The arguments of the commands that are about one message.
#[derive(Debug, Args)]
pub struct MessageArgs {
    /// The message: its messageId, or its record as the journal names it.
    id: String,
    #[command(flatten)]
    running: Running,
}

/// The arguments of `brevbro retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The message: its messageId, or its record as the journal names it.
    #[arg(required_unless_present = "destination")]
    id: Option<String>,
    /// All that waits for this organisation.
    #[arg(long, value_name = "PARTICIPANT", conflicts_with = "id")]
    destination: Option<ParticipantId>,
    #[command(flatten)]
    running: Running,
}

/// The arguments of `brevbro handled`.
#[derive(Debug, Args)]
pub struct HandledArgs {
    /// The message: its messageId, or its record as the journal names it.
    id: String,
    /// What was done about it; it stands in the journal, so no content.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    running: Running,
}

fn show(did: &Did) -> String {
    format!("{}  {}", did.record, did.state)
}

/// `brevbro resend`: prints the record and its new state.
///
/// # Errors
/// [`CliError`] when it makes no sense, or no gateway runs.
pub fn resend(args: MessageArgs) -> Result<(), CliError> {
    args.running.print(Command::Resend { id: args.id }, |did| show(&did))
}

/// `brevbro retry`: prints the records and their states.
///
/// # Errors
/// As [`resend`].
pub fn retry(args: RetryArgs) -> Result<(), CliError> {
    let command = match (args.id, args.destination) {
        (Some(id), _) => Command::Retry { id },
        (None, Some(participant)) => Command::RetryTo { participant },
        (None, None) => return Err(CliError::usage("neither a message nor a destination is named")),
    };
    args.running.print(command, |did| show(&did))
}

/// `brevbro release`: prints the records that go on.
///
/// # Errors
/// As [`resend`].
pub fn release(args: MessageArgs) -> Result<(), CliError> {
    args.running.print(Command::Release { id: args.id }, |did| show(&did))
}

/// `brevbro redeliver`: prints the record and its new state.
///
/// # Errors
/// As [`resend`].
pub fn redeliver(args: MessageArgs) -> Result<(), CliError> {
    args.running.print(Command::Redeliver { id: args.id }, |did| show(&did))
}

/// `brevbro handled`: prints the record and its new state.
///
/// # Errors
/// As [`resend`].
pub fn handled(args: HandledArgs) -> Result<(), CliError> {
    args.running.print(Command::Handled { id: args.id, reason: args.reason }, |did| show(&did))
}

/// `brevbro cancel`: prints the record and its new state.
///
/// # Errors
/// As [`resend`].
pub fn cancel(args: MessageArgs) -> Result<(), CliError> {
    args.running.print(Command::Cancel { id: args.id }, |did| show(&did))
}
