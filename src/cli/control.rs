//! What commands share that speak to a gateway that runs: its state folder, the question, the lines of the answer.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;

use super::CliError;
use crate::daemon::control::{Command, NAME, Refused, Reply, Request, Way};

/// How long the next line of an answer is waited for: a command may work for minutes before it says anything.
const PATIENCE: Duration = Duration::from_mins(30);

/// Which gateway is asked.
#[derive(Debug, Args)]
pub struct Running {
    /// The state folder of the gateway, which must be running.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    pub state_dir: PathBuf,
    /// Prints lines of JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody listens.
    #[error("no gateway runs on {}", .0.display())]
    Nobody(PathBuf),
    /// The socket may not be used.
    #[error("the gateway on {} may not be asked", .0.display())]
    Forbidden(PathBuf),
    /// The connection broke.
    #[error("the gateway did not answer to the end")]
    Broken(#[source] io::Error),
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Unanswered {
    /// As the command line tells it, with what to do.
    #[must_use]
    pub fn told(self) -> CliError {
        let hint = match &self {
            Unanswered::Nobody(_) => "start it, or name the state-dir of its configuration with --state-dir".to_owned(),
            Unanswered::Forbidden(_) => "run the command as root or as the gateway's user".to_owned(),
            Unanswered::Broken(_) => "look into the gateway's log".to_owned(),
            Unanswered::Refused(refused) => refused.hint.clone(),
        };
        CliError::failure(self).hint(hint)
    }
}

impl Running {
    /// Asks, and hands out each line of the answer as it comes.
    ///
    /// # Errors
    /// [`Unanswered`], also after some lines: what came before is not the whole answer then.
    pub fn ask<T: DeserializeOwned>(&self, command: Command, mut take: impl FnMut(T) -> io::Result<()>) -> Result<(), Unanswered> {
        let mut stream = self.connect()?;
        let mut question = serde_json::to_vec(&Request::new(asker(), command)).map_err(|error| Unanswered::Broken(error.into()))?;
        question.push(b'\n');
        stream.write_all(&question).map_err(Unanswered::Broken)?;
        for line in BufReader::new(stream).lines() {
            let line = line.map_err(Unanswered::Broken)?;
            match serde_json::from_str(&line).map_err(|error| Unanswered::Broken(error.into()))? {
                Reply::Line(line) => {
                    let line = serde_json::from_value(line).map_err(|error| Unanswered::Broken(error.into()))?;
                    take(line).map_err(Unanswered::Broken)?;
                }
                Reply::Done {} => return Ok(()),
                Reply::Refused(refused) => return Err(refused.into()),
            }
        }
        Err(Unanswered::Broken(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Asks, and prints the answer: as it comes where JSON is wanted, else as `show` has it.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn print<T: DeserializeOwned>(&self, command: Command, show: impl Fn(T) -> String) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        let asked = self.ask(command, |line: serde_json::Value| {
            let text = if self.json { line.to_string() } else { show(serde_json::from_value(line)?) };
            writeln!(out, "{text}")
        });
        match asked {
            // Whoever reads along has seen enough.
            Err(Unanswered::Broken(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(Unanswered::told),
        }
    }

    fn connect(&self) -> Result<UnixStream, Unanswered> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Unanswered::Nobody(self.state_dir.clone()),
            io::ErrorKind::PermissionDenied => Unanswered::Forbidden(self.state_dir.clone()),
            _ => Unanswered::Broken(error),
        };
        let way = Way::to(&self.state_dir, NAME).map_err(failed)?;
        let stream = UnixStream::connect(&way.path).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(stream)
    }
}

/// The person at the keyboard, as far as the environment tells: who became root keeps the name.
fn asker() -> String {
    let name = ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    name.map(|name| name.chars().filter(|c| !c.is_control()).take(64).collect()).unwrap_or_default()
}
