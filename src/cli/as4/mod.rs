//! `brevbro as4 inspect`: what a captured AS4 message holds, and whether it holds true, for an operator and the peer's
//! support. A payload is decrypted to see whether it can be; what it says is never printed, and written down only on request.
//! docs/as4.md has an example.

mod capture;
mod compare;
mod explain;
mod report;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;

pub use explain::{Explained, Subject, explain};
pub use report::Report;

use super::CliError;
use crate::crypto::{Certificate, Identity, KeyReference};

/// Octets of a file that is looked into.
const LARGEST: u64 = 300 << 20;

/// The arguments of `brevbro as4`.
#[derive(Debug, Args)]
pub struct As4Args {
    /// What to do.
    #[command(subcommand)]
    command: As4Command,
}

#[derive(Debug, Subcommand)]
enum As4Command {
    /// Says what a captured message holds and whether it verifies and decrypts; never what the payload says.
    Inspect(InspectArgs),
    /// Tries whether a participant's access point can be reached: looks it up, judges its certificates, and sends it an ebMS test
    /// message, which it answers and does not deliver.
    Ping(super::ping::PingArgs),
}

/// The arguments of `brevbro as4 inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// An HTTP request or response with its headers, a MIME body, or a SOAP envelope.
    file: PathBuf,
    /// A private key with its certificate, PKCS#12 or PEM: the receiving access point's, and the participant's to open the
    /// envelope (XHE) inside. May be given several times.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A file with a password: one for all keys, or one for each. May be given several times.
    #[arg(long, value_name = "FILE")]
    password_file: Vec<PathBuf>,
    /// A certificate that the message may name without bringing it along. May be given several times.
    #[arg(long, value_name = "FILE")]
    cert: Vec<PathBuf>,
    /// The Content-Type, where the file has no HTTP headers.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The request that the message answers, captured likewise: a receipt is compared with what was signed there.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Writes the payloads, decrypted and decompressed, to a new file: of an SDK message the envelope (XHE). Without this nothing
    /// of the content is shown.
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Prints JSON: one object with a list of sections.
    #[arg(long)]
    json: bool,
}

/// Runs a subcommand of `as4`.
///
/// # Errors
/// [`CliError`] when a file cannot be read or holds no message (exit codes 1 and 2), and after the report when the message does
/// not hold true (exit code 3).
pub async fn run(args: As4Args) -> Result<(), CliError> {
    match args.command {
        As4Command::Inspect(args) => inspect(&args),
        As4Command::Ping(args) => super::ping::run(args).await,
    }
}

fn inspect(args: &InspectArgs) -> Result<(), CliError> {
    let keys = Keys::read(args)?;
    let file = read(&args.file)?;
    let request = args.request.as_deref().map(read).transpose()?;
    let subject = Subject { file: &file, content_type: args.content_type.as_deref(), request: request.as_deref() };
    let Explained { report, payload } = explain(subject, &keys, Timestamp::now())?;
    let text = if args.json { report.json() } else { report.text() };
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(path) = &args.payload {
        let cannot = |error: std::io::Error| CliError::failure(format!("cannot write {}: {error}", path.display()));
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.write(true).create_new(true).open(path).and_then(|mut file| file.write_all(&payload)).map_err(cannot)?;
    }
    report.wrong().map_or(Ok(()), |wrong| Err(CliError::unsound(format!("the message does not hold true: {wrong}"))))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    if fs::metadata(path).map_err(|error| cannot_read(path, &error))?.len() > LARGEST {
        return Err(CliError::usage(format!("{} is larger than any AS4 message", path.display())));
    }
    fs::read(path).map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot read {}: {error}", path.display()))
}

/// What messages are verified and decrypted with.
#[derive(Debug, Default)]
pub struct Keys {
    /// Access points' and participants' keys.
    pub own: Vec<Identity>,
    /// Certificates that a message may name.
    pub known: Vec<Certificate>,
}

impl Keys {
    fn read(args: &InspectArgs) -> Result<Self, CliError> {
        let read = |path: &PathBuf| fs::read(path).map_err(|error| cannot_read(path, &error));
        let mut passwords = Vec::new();
        for path in &args.password_file {
            let bytes = zeroize::Zeroizing::new(read(path)?);
            passwords.push(zeroize::Zeroizing::new(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()));
        }
        let mut keys = Self::default();
        for path in &args.key {
            let bytes = zeroize::Zeroizing::new(read(path)?);
            let pem = bytes.windows(10).any(|window| window == b"-----BEGIN");
            let open = |password: Option<&str>| {
                if pem { Identity::from_pem(&bytes, password) } else { Identity::from_pkcs12(&bytes, password.unwrap_or_default()) }
            };
            let opened = passwords.iter().fold(open(None), |opened, password| opened.or_else(|_| open(Some(password.as_str()))));
            let hint = "give PKCS#12, or PEM with the key and its certificate in one file; --password-file names the file with its password";
            keys.own.push(opened.map_err(|error| CliError::usage(format!("{}: {error}", path.display())).hint(hint))?);
        }
        for path in &args.cert {
            keys.known.extend(Certificate::all_from(&read(path)?).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?);
        }
        Ok(keys)
    }

    fn find(&self, reference: &KeyReference) -> Option<Certificate> {
        self.known.iter().chain(self.own.iter().map(|own| &own.certificate)).find(|certificate| reference.names(certificate)).cloned()
    }
}
