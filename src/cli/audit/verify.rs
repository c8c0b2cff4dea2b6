//! `brevbro audit verify`: whether the journal is as it was written.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::CliError;
use crate::crypto::NotaryPublic;
use crate::store::SledOptions;
use crate::store::journal::heads::{HEADS, trusted};
use crate::store::journal::{JournalError, Known, Summary, verify_with};

/// The arguments of `brevbro audit verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The gateway's state folder. The gateway may be running.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    state_dir: PathBuf,
    /// The journal's folder, when it is not in a state folder: a copy.
    #[arg(long, value_name = "DIR", conflicts_with = "state_dir")]
    journal: Option<PathBuf>,
    /// The public key of `audit.signing-key`, from where it is kept.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Signed heads, one a line, from where they were sent. Left out: those beside the journal, which whoever can write
    /// the journal can cut off too.
    #[arg(long, value_name = "FILE", requires = "public_key")]
    heads: Option<PathBuf>,
}

/// A file that is needed for the proof.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read", .0.display())]
struct Unreadable(PathBuf, #[source] io::Error);

pub(super) fn run(args: &VerifyArgs) -> Result<(), CliError> {
    let dir = args.journal.clone().unwrap_or_else(|| SledOptions::new(args.state_dir.join("store")).journal());
    let heads = match &args.public_key {
        None => None,
        Some(key) => {
            let key = NotaryPublic::from_pem(&read(key)?).map_err(CliError::usage)?;
            let path = args.heads.clone().unwrap_or_else(|| dir.join(HEADS));
            let text = String::from_utf8_lossy(&read(&path)?).into_owned();
            Some(trusted(&text, &key).map_err(CliError::unsound)?)
        }
    };
    let signed = heads.is_some();
    let known = Known { heads: heads.unwrap_or_default(), running: is_used(&dir) };
    let summary = verify_with(&dir, &known, |_, _| {}).map_err(|error| match error {
        error @ (JournalError::Damaged { .. } | JournalError::Short { .. } | JournalError::Empty) => CliError::unsound(error)
            .hint("keep the files as they are, and compare them with a backup; everything before that line is as it was written"),
        error => CliError::from(error).hint("name the gateway's state-dir with --state-dir"),
    })?;
    let mut out = io::stdout().lock();
    for text in told(&summary, signed) {
        writeln!(out, "{text}")?;
    }
    Ok(())
}

/// What holds, in Swedish and in English.
fn told(summary: &Summary, signed: bool) -> [String; 2] {
    let Summary { first, lines, events, segments, hash, vouched, unfinished } = summary;
    let last = (first + lines).saturating_sub(1);
    let (proof_sv, proof_en) = match (signed, vouched) {
        (true, Some(line)) => {
            (format!("Signerade huvuden bevisar den till och med rad {line}."), format!("Signed heads prove it up to line {line}."))
        }
        (true, None) => ("Inget signerat huvud gäller någon av raderna.".to_owned(), "No signed head is of any of its lines.".to_owned()),
        (false, _) => (
            "Ingen signatur är kontrollerad: det behövs --public-key för att bevisa att inte allt är omskrivet.".to_owned(),
            "No signature was checked: it takes --public-key to prove that not all of it was written anew.".to_owned(),
        ),
    };
    let (writing_sv, writing_en) = if *unfinished { (" En rad skrivs just nu.", " A line is being written.") } else { ("", "") };
    [
        format!(
            "Journalen är hel: rad {first} till {last}, {events} händelser i {segments} filer. Sista radens hash: {hash}. {proof_sv}{writing_sv}"
        ),
        format!(
            "The journal is whole: lines {first} to {last}, {events} events in {segments} files. Hash of the last line: {hash}. {proof_en}{writing_en}"
        ),
    ]
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| CliError::usage(Unreadable(path.to_owned(), error)))
}

/// Whether a gateway uses the journal.
fn is_used(dir: &Path) -> bool {
    File::open(dir.join("lock")).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
