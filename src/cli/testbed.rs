//! `brevbro testbed`: a federation in a box, to try brevbro with before connecting to the real one.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::CliError;
use crate::crypto::Certificate;
use crate::demo::mailserver::{MailServer, Maildirs};
use crate::ident::{AccessPointId, Domain, ParticipantId};
use crate::testbed::{Authority, Issued, Options, Registration, Subject, Testbed};

/// The arguments of `brevbro testbed`.
#[derive(Debug, Args)]
pub struct TestbedArgs {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// Where the testbed is and how it is made when it is not there yet.
#[derive(Debug, Args)]
struct Place {
    /// The testbed's directory; a new testbed is made when there is none in it.
    #[arg(long)]
    dir: PathBuf,
    /// Makes a new testbed with 2048-bit keys, which is quicker; the real federation has 3072 and 4096.
    #[arg(long)]
    small_keys: bool,
    /// Makes a new testbed with its name server at this port of 127.0.0.1, its SMP, revocation lists and OCSP responders at the
    /// three after it; without it they get free ones.
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the name server, the SMP, the revocation lists and OCSP responders until it is interrupted.
    Run(Place),
    /// Runs a small mail server that keeps what it is sent, for a gateway to deliver to.
    MailServer {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:2525")]
        listen: SocketAddr,
        /// The folder of its mailboxes: a Maildir for each address.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Issues a key and certificate; also while the testbed runs.
    Issue {
        /// Whom to.
        #[command(subcommand)]
        subject: IssueCommand,
    },
    /// Registers a participant with a certificate of its own at any access point.
    Register {
        #[command(flatten)]
        place: Place,
        /// The participant, such as 0203:kommun.se.
        participant: ParticipantId,
        /// The access point's URL.
        #[arg(long)]
        endpoint: String,
        /// The access point's certificate.
        #[arg(long)]
        ap_cert: PathBuf,
        /// The participant's certificate, for signing and encryption; without it the one that the testbed issued.
        #[arg(long)]
        cert: Option<PathBuf>,
    },
    /// Puts a certificate onto its CA's revocation list; the next `issue` makes a new one.
    Revoke {
        /// Whose.
        #[command(subcommand)]
        subject: RevokeCommand,
    },
}

#[derive(Debug, Subcommand)]
enum IssueCommand {
    /// An access point's.
    AccessPoint {
        #[command(flatten)]
        place: Place,
        /// Its name, such as AP0040-SDK-TEST: the certificate's common name.
        name: AccessPointId,
        #[command(flatten)]
        password: Password,
    },
    /// A participant's; with an endpoint it is registered too, for messages and receipts.
    Participant {
        #[command(flatten)]
        place: Place,
        /// The participant, such as 0203:kommun.se.
        participant: ParticipantId,
        /// The URL of the access point at which to register it.
        #[arg(long, requires = "ap_cert")]
        endpoint: Option<String>,
        /// That access point's certificate.
        #[arg(long, requires = "endpoint")]
        ap_cert: Option<PathBuf>,
        #[command(flatten)]
        password: Password,
    },
    /// A TLS server's and client's.
    Tls {
        #[command(flatten)]
        place: Place,
        /// Its host names and addresses.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        password: Password,
    },
}

#[derive(Debug, Subcommand)]
enum RevokeCommand {
    /// An access point's.
    AccessPoint {
        #[command(flatten)]
        place: Place,
        /// Its name.
        name: AccessPointId,
    },
    /// A participant's.
    Participant {
        #[command(flatten)]
        place: Place,
        /// The participant.
        participant: ParticipantId,
    },
    /// The SMP's.
    Smp {
        #[command(flatten)]
        place: Place,
    },
    /// A TLS server's.
    Tls {
        #[command(flatten)]
        place: Place,
        /// Its first host name or address.
        name: String,
    },
}

/// The password of the PKCS#12 file.
#[derive(Debug, Args)]
struct Password {
    /// A file with the password of the PKCS#12 file, its first line; without it there is a random one beside the key.
    #[arg(long)]
    password_file: Option<PathBuf>,
}

impl Password {
    fn read(&self) -> Result<Option<String>, CliError> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let text = read(path)?;
        let text = String::from_utf8(text).map_err(|error| CliError::usage(error).hint("the password is text in UTF-8"))?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }
}

/// Does what was asked for.
///
/// # Errors
/// [`CliError`] when the testbed cannot do it.
pub async fn run(args: TestbedArgs) -> Result<(), CliError> {
    match args.command {
        Command::Run(place) => serve(place).await,
        Command::MailServer { listen, dir } => keep_mail(listen, &dir).await,
        // Large keys take seconds, and all of this is files: no work for the async threads.
        other => tokio::task::spawn_blocking(move || change(other)).await?,
    }
}

async fn serve(place: Place) -> Result<(), CliError> {
    let testbed = tokio::task::spawn_blocking(move || place.open()).await??;
    let running = testbed.start().await.map_err(|error| CliError::from(error).hint("is the same testbed running already?"))?;
    let mut out = io::stdout();
    writeln!(out, "testbed      {}", testbed.dir().display())?;
    writeln!(out, "resolver     {} (UDP and TCP)", running.dns_addr)?;
    writeln!(out, "SML zone     {}", running.sml_zone)?;
    writeln!(out, "SMP          {}", running.smp_url)?;
    writeln!(out, "CRL          {}", running.crl_url)?;
    writeln!(out, "OCSP         {}", running.ocsp_url)?;
    for authority in Authority::ALL {
        writeln!(out, "CA           {}", testbed.trust_file(authority).display())?;
    }
    for registration in testbed.registrations()? {
        writeln!(out, "registered   {} at {}", registration.participant, registration.endpoint)?;
    }
    writeln!(out, "ready")?;
    out.flush()?;
    interrupted().await?;
    running.stop().await;
    Ok(())
}

async fn keep_mail(listen: SocketAddr, dir: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(dir)?;
    let server = MailServer::start(listen, Domain::new("mail.test")?, Maildirs::Below(dir.into())).await?;
    let mut out = io::stdout();
    writeln!(out, "mail server  {}", server.address)?;
    writeln!(out, "mailboxes    {}", dir.display())?;
    writeln!(out, "ready")?;
    out.flush()?;
    Ok(interrupted().await?)
}

/// Ends with Ctrl-C or the signal that service managers send.
async fn interrupted() -> io::Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

fn change(command: Command) -> Result<(), CliError> {
    match command {
        Command::Run(_) | Command::MailServer { .. } => Ok(()),
        Command::Issue { subject } => issue(subject),
        Command::Register { place, participant, endpoint, ap_cert, cert } => {
            let testbed = place.open()?;
            let access_point = certificate(&ap_cert)?;
            match cert {
                Some(cert) => testbed.publish(&Registration::new(participant, &endpoint, access_point, certificate(&cert)?))?,
                None => testbed.register(&participant, &endpoint, &access_point)?,
            }
            Ok(())
        }
        Command::Revoke { subject } => {
            let (place, subject) = match subject {
                RevokeCommand::AccessPoint { place, name } => (place, Subject::AccessPoint(name)),
                RevokeCommand::Participant { place, participant } => (place, Subject::Participant(participant)),
                RevokeCommand::Smp { place } => (place, Subject::Smp),
                RevokeCommand::Tls { place, name } => (place, Subject::Tls(vec![name])),
            };
            let revoked = place.open()?.revoke(&subject)?;
            writeln!(io::stdout(), "revoked      {} ({})", revoked.subject(), revoked.serial())?;
            Ok(())
        }
    }
}

fn issue(command: IssueCommand) -> Result<(), CliError> {
    match command {
        IssueCommand::AccessPoint { place, name, password } => show(&place.open()?.issue(&Subject::AccessPoint(name), password.read()?.as_deref())?),
        IssueCommand::Tls { place, names, password } => show(&place.open()?.issue(&Subject::Tls(names), password.read()?.as_deref())?),
        IssueCommand::Participant { place, participant, endpoint, ap_cert, password } => {
            // Everything that can be wrong is looked at before a key is made.
            let at = endpoint.zip(ap_cert).map(|(endpoint, path)| Ok::<_, CliError>((endpoint, certificate(&path)?))).transpose()?;
            let password = password.read()?;
            let testbed = place.open()?;
            let issued = testbed.issue(&Subject::Participant(participant.clone()), password.as_deref())?;
            if let Some((endpoint, access_point)) = at {
                testbed.register(&participant, &endpoint, &access_point)?;
            }
            show(&issued)
        }
    }
}

fn show(issued: &Issued) -> Result<(), CliError> {
    let mut out = io::stdout();
    writeln!(out, "subject      {}", issued.identity.certificate.subject())?;
    writeln!(out, "PKCS#12      {}", issued.pkcs12.display())?;
    writeln!(out, "password     {}", issued.password_file.display())?;
    writeln!(out, "PEM          {}", issued.pem.display())?;
    writeln!(out, "certificate  {}", issued.certificate.display())?;
    Ok(())
}

impl Place {
    fn open(self) -> Result<Testbed, CliError> {
        let sizes = if self.small_keys { Options::small() } else { Options::default() };
        let options = Options { port: self.port, ..sizes };
        Ok(Testbed::open(&self.dir, &options)?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| CliError::usage(error).hint(format!("looking for {}", path.display())))
}

fn certificate(path: &Path) -> Result<Certificate, CliError> {
    Certificate::from_any(&read(path)?).map_err(|error| CliError::usage(error).hint(format!("{} should hold one as PEM or DER", path.display())))
}
