//! `brevbro hold`, `unhold`, `holds`: what is not deleted, although its time is over.

use clap::Args;

use super::CliError;
use super::control::Running;
use crate::daemon::control::Command;
use crate::ident::{ConversationId, ParticipantId};
use crate::worker::{Hold, HoldOn, Target};

/// On what.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct On {
    /// One message: its messageId, or its record as the journal names it.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// All messages of a conversation.
    #[arg(long, value_name = "ID")]
    conversation: Option<ConversationId>,
    /// All messages of an organisation of ours.
    #[arg(long, value_name = "PARTICIPANT")]
    organisation: Option<ParticipantId>,
}

impl On {
    fn target(self) -> Result<Target, CliError> {
        let id = self.id.map(Target::Message);
        let named = id.or_else(|| self.conversation.map(Target::Conversation)).or_else(|| self.organisation.map(Target::Organisation));
        named.ok_or_else(|| CliError::usage("nothing is named"))
    }
}

/// The arguments of `brevbro hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    #[command(flatten)]
    on: On,
    /// Why: it stands in the journal, so no content.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    running: Running,
}

/// The arguments of `brevbro unhold`.
#[derive(Debug, Args)]
pub struct UnholdArgs {
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    running: Running,
}

/// The arguments of `brevbro holds`.
#[derive(Debug, Args)]
pub struct HoldsArgs {
    #[command(flatten)]
    running: Running,
}

fn show(hold: &Hold) -> String {
    let on = match &hold.on {
        HoldOn::Message(record) => format!("message {record}"),
        HoldOn::Conversation(conversation) => format!("conversation {conversation}"),
        HoldOn::Organisation(organisation) => format!("organisation {organisation}"),
    };
    format!("{on}  since {:.0} by {}: {}", hold.at, hold.by, hold.reason)
}

/// `brevbro hold`: prints all holds that there are now.
///
/// # Errors
/// [`CliError`] when there is no such message, or no gateway runs.
pub fn hold(args: HoldArgs) -> Result<(), CliError> {
    args.running.print(Command::Hold { on: args.on.target()?, reason: args.reason }, |hold| show(&hold))
}

/// `brevbro unhold`: prints the holds that are left.
///
/// # Errors
/// As [`hold`].
pub fn unhold(args: UnholdArgs) -> Result<(), CliError> {
    args.running.print(Command::Unhold { on: args.on.target()? }, |hold| show(&hold))
}

/// `brevbro holds`: prints all holds.
///
/// # Errors
/// [`CliError`] when no gateway runs.
pub fn holds(args: &HoldsArgs) -> Result<(), CliError> {
    args.running.print(Command::Holds {}, |hold| show(&hold))
}
