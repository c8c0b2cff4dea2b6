//! `brevbro store key`: a key for what the gateway keeps.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use zeroize::Zeroizing;

use crate::cli::CliError;
use crate::crypto::rest::RestKey;

/// The arguments of `brevbro store key`.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// Writes the key to this file, which must not be there yet and which only its owner may read, and prints its id.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes a key out of random numbers.
///
/// # Errors
/// [`CliError`] when it cannot be written.
pub(super) fn run(args: &KeyArgs) -> Result<(), CliError> {
    let key = RestKey::random()?;
    let text = key.to_base64();
    let line = Zeroizing::new([text.as_bytes(), b"\n"].concat());
    let Some(path) = &args.output else {
        return Ok(io::stdout().lock().write_all(&line)?);
    };
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(&line)?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(writeln!(io::stdout(), "{}", key.id())?),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CliError::usage(format!("{} is there already", path.display()))
            .hint("a key that bodies are under must not be overwritten: name a new file")),
        Err(error) => Err(CliError::failure(format!("{} cannot be written: {error}", path.display()))),
    }
}
