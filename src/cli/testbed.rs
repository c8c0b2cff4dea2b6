//! `brevbro testbed`: a federation in a box, to try brevbro with before connecting to the real one.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::CliError;
use crate::as4::Answer;
use crate::crypto::Certificate;
use crate::demo::mailserver::{MailServer, Maildirs};
use crate::ident::{AccessPointId, Domain, FederationId, FunctionId, ParticipantId};
use crate::testbed::{Authority, Case, Heard, Issued, Options, Point, PointOptions, Registration, Role, Sender, Subject, Testbed};

/// The federation of envelopes in a testbed.
const FEDERATION: &str = "urn:fdc:digg.se:edelivery:federation:test";

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
    /// Runs a test access point: the participants TestAP-01 to TestAP-06 of Digg's acceptance cases (docs/acceptance.md), until
    /// it is interrupted. The testbed must run beside it.
    Point {
        #[command(flatten)]
        place: Place,
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:9443")]
        listen: SocketAddr,
        /// The federation of its envelopes.
        #[arg(long, default_value = FEDERATION)]
        federation: FederationId,
    },
    /// Sends an acceptance case to a participant's access point and says whether that answered as it should. For message
    /// receipts, `testbed point` runs beside it.
    Case {
        #[command(flatten)]
        place: Place,
        /// The case, such as TF-04.
        case: Case,
        /// The participant, which must be registered.
        #[arg(long)]
        to: ParticipantId,
        /// One of its function addresses.
        #[arg(long)]
        function: FunctionId,
        /// The federation of its envelopes.
        #[arg(long, default_value = FEDERATION)]
        federation: FederationId,
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
        Command::Point { place, listen, federation } => be_tested(place, listen, federation).await,
        Command::Case { place, case, to, function, federation } => test(place, case, &to, function, federation).await,
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

/// Runs the test access point.
async fn be_tested(place: Place, listen: SocketAddr, federation: FederationId) -> Result<(), CliError> {
    let testbed = tokio::task::spawn_blocking(move || place.open()).await??;
    let heard = Arc::new(|heard: &Heard| tell(heard).unwrap_or_default());
    let point = Point::start(testbed, PointOptions { listen, federation, heard }).await?;
    let mut out = io::stdout();
    writeln!(out, "access point {}", point.endpoint)?;
    for role in Role::ALL {
        writeln!(out, "{}    {} {}", role.name(), role.participant()?, role.about())?;
    }
    writeln!(out, "ready")?;
    out.flush()?;
    interrupted().await?;
    point.stop().await;
    Ok(())
}

/// One line for each thing that happens.
fn tell(heard: &Heard) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match heard {
        Heard::Took(taken) => {
            let header = &taken.received.header;
            let what = match (&taken.header, &taken.receipt) {
                (Ok(_), Some(receipt)) => format!("message receipt {} for {}", receipt.outcome.summary(), receipt.refers_to),
                (Ok(envelope), None) => format!("message {} from {} to {}", envelope.id, envelope.from, envelope.to),
                (Err(why), _) => format!("an envelope that cannot be read: {why}"),
            };
            writeln!(out, "took         {what} (AS4 {}, attempt {})", header.message_id, taken.attempt)?;
            for verdict in &taken.verdicts {
                if let Err(error) = &verdict.outcome {
                    writeln!(out, "  breaks     {}: {error}", verdict.rule)?;
                }
            }
        }
        Heard::Receipted { message, answer: Ok(()) } => writeln!(out, "receipted    {message} as ACCEPTED")?,
        Heard::Receipted { message, answer: Err(why) } => writeln!(out, "receipted    {message} not: {why}")?,
        Heard::Refused(why) => writeln!(out, "refused      {why}")?,
    }
    out.flush()
}

/// Sends a case.
async fn test(place: Place, case: Case, to: &ParticipantId, function: FunctionId, federation: FederationId) -> Result<(), CliError> {
    let sender = tokio::task::spawn_blocking(move || Ok::<_, CliError>(Sender::new(&place.open()?, federation)?)).await??;
    let answered = sender.send(case, &sender.recipient(to, function)?).await?;
    let mut out = io::stdout();
    writeln!(out, "case         {case} by {}", case.role().name())?;
    let mut met = true;
    for one in &answered {
        let said = match &one.answer {
            Answer::Receipt(receipt) => format!("receipt {}", receipt.signal_id),
            Answer::Errors(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Answer::Unusable(why) => format!("nothing usable: {why}"),
        };
        met &= match (&one.answer, case.refusal()) {
            (Answer::Receipt(_), None) => true,
            (Answer::Errors(errors), Some(code)) => errors.iter().any(|error| *error.code == *code),
            _ => false,
        };
        writeln!(out, "message      {} (AS4 {}, envelope of {} octets)", one.envelope_id, one.as4_id, one.envelope_octets)?;
        writeln!(out, "answer       {said}")?;
    }
    if case == Case::Again {
        met &= answered.windows(2).all(|pair| matches!(pair, [first, second] if first.body == second.body));
    }
    writeln!(out, "expected     {}", case.expected())?;
    writeln!(out, "{}", if met { "answered as expected" } else { "answered otherwise" })?;
    out.flush()?;
    if met { Ok(()) } else { Err(CliError::failure(format!("{case} was answered otherwise than expected"))) }
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
        Command::Run(_) | Command::MailServer { .. } | Command::Point { .. } | Command::Case { .. } => Ok(()),
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
