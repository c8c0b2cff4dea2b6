//! The command line: one file for each subcommand, and what they share: how a command fails.
//!
//! A subcommand is a `clap::Args` struct with an async `run`; it writes to standard output what it was asked for and
//! nothing else. Errors are returned, never printed: `main` prints each once, with its whole chain of causes and its hint.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed |
//! | 2 | it did not start: arguments or configuration are wrong |
//! | 3 | it was done, and what was looked into does not hold true |

pub mod as4;
pub mod audit;
pub mod backup;
pub mod check_config;
pub mod control;
pub mod convert;
pub mod demo;
pub mod hold;
mod journal;
pub mod operate;
pub mod ping;
pub mod queue;
pub mod restore;
pub mod run;
pub mod smtp_password;
pub mod status;
pub mod store;
pub mod testbed;
pub mod trace;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The arguments of `brevbro`.
#[derive(Debug, Parser)]
#[command(name = "brevbro", version, about = "Mail in, SDK message out, and back", max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The subcommands, in the order in which an operator meets them.
#[derive(Debug, Subcommand)]
enum Command {
    /// Checks a configuration file and says what it means, or everything that is wrong with it.
    CheckConfig(check_config::CheckConfigArgs),
    /// Runs the gateway until it is told to stop.
    Run(run::RunArgs),
    /// Shows the main job by itself: a federation and two gateways on this machine, a mail there and its answer back.
    Demo(demo::DemoArgs),
    /// Shows what becomes of a mail, or of an SDK message, and what is changed or left out on the way. Sends nothing.
    Convert(convert::ConvertArgs),
    /// Looks into captured AS4 messages, and tries other access points.
    As4(as4::As4Args),
    /// Says where a message is and what happened to it, by any of its ids, or by who sent it when.
    Trace(trace::TraceArgs),
    /// The journal as evidence: verifies it, makes the key that signs it, exports it.
    Audit(audit::AuditArgs),
    /// Says how the gateway that runs is: what is to be done, what waits for somebody.
    Status(status::StatusArgs),
    /// Lists what waits in the gateway that runs: since when, why, and when it is tried next.
    Queue(queue::QueueArgs),
    /// Sends a message again that ended without outcome (MESSAGE_EXCHANGE_ERROR), as the same SDK message.
    Resend(operate::MessageArgs),
    /// Tries now what waits for its next attempt.
    Retry(operate::RetryArgs),
    /// Lets messages go that were kept back since two functions answer each other too fast.
    Release(operate::MessageArgs),
    /// Delivers a received message once more, with the same Message-ID.
    Redeliver(operate::MessageArgs),
    /// Notes that somebody has seen to a message that came back, could not be delivered or was not read.
    Handled(operate::HandledArgs),
    /// Stops a message that has not left; its sender is told.
    Cancel(operate::MessageArgs),
    /// Keeps a message, a conversation or an organisation's messages from being deleted.
    Hold(hold::HoldArgs),
    /// Ends a hold.
    Unhold(hold::UnholdArgs),
    /// Lists all holds.
    Holds(hold::HoldsArgs),
    /// Makes the line that `password-hash-file` of an `[[smtp.account]]` holds, out of a password.
    SmtpPassword(smtp_password::SmtpPasswordArgs),
    /// Copies what a gateway keeps in files, also while it runs, and verifies the copy.
    Backup(backup::BackupArgs),
    /// Makes the state of a gateway from a backup, in an empty folder.
    Restore(restore::RestoreArgs),
    /// Looks after what a gateway keeps: checks it, builds its index anew, makes and changes its keys.
    Store(store::StoreArgs),
    /// A federation in a box: CAs, name server and SMP on this machine, to try brevbro with.
    Testbed(testbed::TestbedArgs),
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// [`CliError`], which `main` prints.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::CheckConfig(args) => check_config::run(args).await,
            Command::Run(args) => run::run(args).await,
            Command::SmtpPassword(args) => smtp_password::run(&args),
            Command::Demo(args) => demo::run(args).await,
            Command::Convert(args) => convert::run(args).await,
            Command::As4(args) => as4::run(args).await,
            Command::Trace(args) => trace::run(&args).await,
            Command::Audit(args) => audit::run(&args).await,
            Command::Status(args) => status::run(&args),
            Command::Queue(args) => queue::run(&args),
            Command::Resend(args) => operate::resend(args),
            Command::Retry(args) => operate::retry(args),
            Command::Release(args) => operate::release(args),
            Command::Redeliver(args) => operate::redeliver(args),
            Command::Handled(args) => operate::handled(args),
            Command::Cancel(args) => operate::cancel(args),
            Command::Hold(args) => hold::hold(args),
            Command::Unhold(args) => hold::unhold(args),
            Command::Holds(args) => hold::holds(&args),
            Command::Backup(args) => backup::run(args).await,
            Command::Restore(args) => restore::run(args).await,
            Command::Store(args) => store::run(args).await,
            Command::Testbed(args) => testbed::run(args).await,
        }
    }
}

/// How a command ends when it does not succeed; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It failed.
    Failure = 1,
    /// It did not start: arguments or configuration are wrong.
    Usage = 2,
    /// It did what was asked, and what it looked into does not hold true.
    Unsound = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not succeed: what failed, with its causes, apart from what to do about it.
///
/// It is no `std::error::Error` itself, so that `?` takes every error as a plain failure.
#[derive(Debug)]
pub struct CliError {
    error: Box<dyn Error + Send + Sync>,
    hint: String,
    exit: Exit,
}

impl CliError {
    /// The arguments or the configuration are wrong: exit code 2.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hint: String::new(), exit: Exit::Usage }
    }

    /// It failed: exit code 1.
    pub fn failure(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hint: String::new(), exit: Exit::Failure }
    }

    /// What was looked into does not hold true: exit code 3.
    pub fn unsound(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hint: String::new(), exit: Exit::Unsound }
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::failure(error)
    }
}

/// What failed, one line for each cause that adds something to the line before it, then the hint.
impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.error.to_string();
        write!(f, "error: {told}")?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.contains(&text) {
                write!(f, "\n  because: {text}")?;
            }
            told = text;
            cause = error.source();
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\nhint: {}", self.hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file cannot be read")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_is_told_with_its_causes_and_its_hint_once() {
        let error = CliError::from(Outer(std::io::Error::other("the disk is gone"))).hint("mount it");
        assert_eq!(error.to_string(), "error: the file cannot be read\n  because: the disk is gone\nhint: mount it");
        assert_eq!(error.exit(), Exit::Failure);
    }

    #[test]
    fn the_arguments_are_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
