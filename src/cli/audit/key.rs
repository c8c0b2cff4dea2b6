//! `brevbro audit key`: a new key for the journal's heads.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::CliError;
use crate::crypto::NotaryKey;

/// The arguments of `brevbro audit key`.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// Where the private key goes, which only its owner may read: what `audit.signing-key` names. It must not be there yet.
    #[arg(long, value_name = "FILE", default_value = "audit.pem")]
    out: PathBuf,
    /// Where the public key goes. Keep it elsewhere, with whoever is to check.
    #[arg(long, value_name = "FILE", default_value = "audit.pub.pem")]
    public: PathBuf,
}

/// Why no key was written.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be written to {}", .0.display())]
struct Unwritten(PathBuf, #[source] io::Error);

pub(super) fn run(args: &KeyArgs) -> Result<(), CliError> {
    let key = NotaryKey::generate()?;
    let public = key.public()?;
    write(&args.out, 0o600, &key.to_pem()?)?;
    write(&args.public, 0o644, &public.to_pem()?)?;
    writeln!(io::stdout(), "{}\n{}\nSHA-256 {}", args.out.display(), args.public.display(), public.fingerprint()?)?;
    Ok(())
}

fn write(path: &Path, mode: u32, pem: &[u8]) -> Result<(), CliError> {
    let written = OpenOptions::new().create_new(true).write(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(pem)?;
        file.sync_all()
    });
    written.map_err(|error| CliError::failure(Unwritten(path.to_owned(), error)).hint("a key that is there is never overwritten: name another file"))
}
