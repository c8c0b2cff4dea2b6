//! `brevbro audit verify`: whether the journal is as it was written.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::CliError;
use crate::cli::journal::{JournalArgs, Place, Unread};
use crate::crypto::NotaryPublic;
use crate::store::journal::heads::{HEADS, trusted};
use crate::store::journal::{Known, Summary, verify_with};

/// The arguments of `brevbro audit verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: JournalArgs,
    /// The journal's folder, when it is not in a state folder: a copy.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["state_dir", "config"])]
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

pub(super) async fn run(args: &VerifyArgs) -> Result<(), CliError> {
    let place = match &args.journal {
        Some(copy) => Place::Folder(copy.clone()),
        None => args.place.place().await?,
    };
    let beside = match &place {
        Place::Folder(dir) | Place::Database { heads: dir, .. } => dir.join(HEADS),
    };
    let heads = match &args.public_key {
        None => None,
        Some(key) => {
            let key = NotaryPublic::from_pem(&read(key)?).map_err(CliError::usage)?;
            let text = String::from_utf8_lossy(&read(args.heads.as_ref().unwrap_or(&beside))?).into_owned();
            Some(trusted(&text, &key).map_err(CliError::unsound)?)
        }
    };
    let signed = heads.is_some();
    let known = |running| Known { heads: heads.unwrap_or_default(), running };
    let verified = match place {
        Place::Folder(dir) => verify_with(&dir, &known(is_used(&dir)), |_, _| {}).map_err(Unread::from),
        Place::Database { journal, .. } => journal.verify(&known(true)).await.map_err(Unread::from),
    };
    let hint = "keep everything as it is, and compare it with a backup; everything before that line is as it was written";
    let summary = verified.map_err(|error| error.told(hint))?;
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
    let (in_sv, in_en) =
        if *segments == 0 { ("databasen".to_owned(), "the database".to_owned()) } else { (format!("{segments} filer"), format!("{segments} files")) };
    let (writing_sv, writing_en) = if *unfinished { (" En rad skrivs just nu.", " A line is being written.") } else { ("", "") };
    [
        format!("Journalen är hel: rad {first} till {last}, {events} händelser i {in_sv}. Sista radens hash: {hash}. {proof_sv}{writing_sv}"),
        format!("The journal is whole: lines {first} to {last}, {events} events in {in_en}. Hash of the last line: {hash}. {proof_en}{writing_en}"),
    ]
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| CliError::usage(Unreadable(path.to_owned(), error)))
}

/// Whether a gateway uses the journal.
fn is_used(dir: &Path) -> bool {
    File::open(dir.join("lock")).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
