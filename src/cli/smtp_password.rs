//! `brevbro smtp-password`: from a password to the line that the configuration names a file of.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::CliError;
use crate::crypto::PasswordHash;

/// Shorter ones are guessed.
const SHORTEST: usize = 12;

/// Arguments of `brevbro smtp-password`.
///
/// It reads the password from standard input, without showing it on a terminal, and writes the line to standard output:
/// `brevbro smtp-password > /etc/brevbro/exchange.hash`.
#[derive(Debug, clap::Args)]
pub struct SmtpPasswordArgs {}

/// Reads a password and writes its hash.
///
/// # Errors
/// When the password is short or cannot be read.
pub fn run(_: &SmtpPasswordArgs) -> Result<(), CliError> {
    let password = if io::stdin().is_terminal() { typed()? } else { line()? };
    if password.chars().count() < SHORTEST {
        return Err(CliError::usage(format!("the password is shorter than {SHORTEST} characters")));
    }
    let hash = PasswordHash::make(&password, Uuid::new_v4().into_bytes())?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(())
}

/// A password that is typed twice, unseen.
fn typed() -> Result<Zeroizing<String>, CliError> {
    let unseen = Unseen::begin()?;
    let ask = |what: &str| {
        write!(io::stderr(), "{what}: ")?;
        let read = line();
        writeln!(io::stderr())?;
        read
    };
    let (first, second) = (ask("Password")?, ask("Once more")?);
    drop(unseen);
    if first == second { Ok(first) } else { Err(CliError::usage("the two are not the same")) }
}

fn line() -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    io::stdin().lock().read_line(&mut text)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Zeroizing::new(password.strip_suffix('\r').unwrap_or(password).to_owned()))
}

/// The terminal shows nothing of what is typed until this is dropped.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
