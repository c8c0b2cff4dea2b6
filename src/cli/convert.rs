//! `brevbro convert`: what becomes of a mail, or of an SDK message, without sending anything.
//!
//! It is the conversion that the gateway runs, told in words, Swedish first: the message, and everything that was changed
//! or left out on the way. With a configuration the mailbox of the mail's sender decides, else the defaults. The other
//! way round, `--in`, it prints the mail that an SDK message is delivered as.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use uuid::Uuid;

use super::CliError;
use crate::config::{self, Gateway};
use crate::content::{Content, Party, Person, Reference};
use crate::crypto::sha256;
use crate::daemon;
use crate::ident::{ConversationId, Domain, FunctionId, MailAddress, MessageId, ParticipantId};
use crate::mail::address::{self, Reading};
use crate::mail::compose::{self, ComposeContext};
use crate::mail::convert::{self, Ids, Loss, Note, Outgoing};
use crate::mail::policy::MailboxPolicy;
use crate::outbound::convert::Labels;
use crate::sdk::message::{self, MessageLimits};

/// The largest file that is read: larger than any mail that becomes a message.
const LARGEST: u64 = 200 * 1024 * 1024;

/// The arguments of `brevbro convert`.
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// The mail as a file (.eml), or - for standard input. With --in the SDK message's XML.
    file: PathBuf,
    /// The configuration file: the mailbox that the mail's From names decides. Left out, the defaults do.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// The SDK address that the mail is for, in the configuration's mail domain.
    #[arg(long, requires = "config", conflicts_with = "incoming")]
    to: Option<MailAddress>,
    /// Prints the message's XML; the notes go to standard error.
    #[arg(long, conflicts_with = "incoming")]
    xml: bool,
    /// The file is an SDK message: prints the mail that it is delivered as.
    #[arg(long = "in")]
    incoming: bool,
}

/// Converts one file and prints it.
///
/// # Errors
/// [`CliError`]: usage when the file or the configuration cannot be read; unsound when the gateway would refuse the mail or
/// reject the message.
#[expect(clippy::unused_async, reason = "subcommands are async")]
pub async fn run(args: ConvertArgs) -> Result<(), CliError> {
    let bytes = read(&args.file)?;
    let config = args.config.as_deref().map(config::load).transpose().map_err(CliError::usage)?;
    let mut out = io::stdout().lock();
    if args.incoming {
        out.write_all(&delivered(&bytes, config.as_ref())?)?;
        return Ok(out.flush()?);
    }
    let mail = converted(&bytes, config.as_ref(), args.to.as_ref())?;
    if args.xml {
        out.write_all(&mail.xml)?;
        io::stderr().write_all(notes(&mail.mail.notes).as_bytes())?;
    } else {
        out.write_all(report(&mail).as_bytes())?;
    }
    Ok(out.flush()?)
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| CliError::usage(Unread { path: path.display().to_string(), error }))?;
    if bytes.len() as u64 > LARGEST {
        return Err(CliError::usage(Unsound::Huge));
    }
    Ok(bytes)
}

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read")]
struct Unread {
    path: String,
    #[source]
    error: io::Error,
}

/// What the gateway would say no to.
#[derive(Debug, thiserror::Error)]
enum Unsound {
    #[error("the file is over 200 MiB")]
    Huge,
    #[error("avvisas / refused: {code} 5.{}.{}\n  {swedish}\n  {english}", status.0, status.1)]
    Refused { code: u16, status: (u16, u16), swedish: String, english: String },
    #[error("tas emot och slängs: ett program har skickat mejlet / taken and dropped: a program sent the mail ({0})")]
    Automatic(&'static str),
    #[error("avvisas med meddelandekvittens / rejected with a message receipt:{0}")]
    Rejected(String),
    #[error("{0}")]
    Address(String),
}

fn refused(code: u16, status: (u16, u16), swedish: impl Into<String>, english: impl Into<String>) -> CliError {
    CliError::unsound(Unsound::Refused { code, status, swedish: swedish.into(), english: english.into() })
}

/// A mail, its message, and the message's XML.
struct Converted {
    mail: Outgoing,
    content: Content,
    xml: Vec<u8>,
}

fn converted(bytes: &[u8], config: Option<&Gateway>, to: Option<&MailAddress>) -> Result<Converted, CliError> {
    // Who the mail is from is known once it is read; it is read by the defaults to find its mailbox.
    let mailbox = config.and_then(|config| config.sender(&convert::author(bytes)?));
    let policy = mailbox.map_or_else(MailboxPolicy::default, |(_, mailbox)| daemon::policy(mailbox));
    let mail = convert::outgoing(bytes, &policy).map_err(|error| refused(error.code(), error.status(), error.swedish(), error.english()))?;
    if let Some(why) = mail.automatic {
        return Err(CliError::unsound(Unsound::Automatic(why)));
    }
    if config.is_some() && mailbox.is_none() {
        let (swedish, english) =
            ("Från-adressen får inte skicka som någon funktionsbrevlåda.", "The From address may not send as any function mailbox.");
        return Err(refused(550, (7, 1), swedish, english));
    }
    let recipient = recipient(config, to)?;
    let labels =
        mailbox.map(|(organisation, mailbox)| Labels { organisation: Some(organisation.name.clone()), function: Some(mailbox.label.clone()) });
    let sender = match mailbox {
        Some((organisation, mailbox)) => (organisation.participant.clone(), mailbox.function.clone()),
        None => sample("0203:avsandare.example", "funktion")?,
    };
    let content = mail.content(ids()?, party(sender, labels.unwrap_or_default()), party(recipient, Labels::default()));
    let xml = message::write(&content).map_err(|breaches| CliError::failure(Unsound::Rejected(told(&breaches))))?;
    let largest = config.and_then(|config| config.mail.as_ref()).map_or(30_000_000, crate::config::Mail::max_message);
    if xml.len() as u64 > largest {
        let size = xml.len();
        let swedish = format!("Meddelandet blir {size} byte i SDK, högst {largest} får skickas.");
        return Err(refused(552, (3, 4), swedish, format!("The message becomes {size} octets in SDK, at most {largest} may be sent.")));
    }
    Ok(Converted { mail, content, xml })
}

fn told(breaches: &[crate::sdk::rules::Breach]) -> String {
    let lines = breaches.iter().map(|breach| format!("  {breach} {}: {}", breach.line, breach.reason));
    std::iter::once(String::new()).chain(lines).collect::<Vec<_>>().join("\n")
}

fn recipient(config: Option<&Gateway>, to: Option<&MailAddress>) -> Result<(ParticipantId, FunctionId), CliError> {
    let (Some(config), Some(to)) = (config, to) else { return sample("0203:mottagare.example", "funktion") };
    match address::read(to, &config.mail_domain) {
        Reading::Function { participant, function } => Ok((participant, function)),
        Reading::Malformed(why) => Err(CliError::usage(Unsound::Address(format!("{to}: {why}")))),
        Reading::Short { .. } | Reading::Alias(_) => {
            Err(CliError::usage(Unsound::Address(format!("{to} is known to the running gateway only"))).hint("give the canonical address"))
        }
        Reading::Foreign => Err(CliError::usage(Unsound::Address(format!("{to} is not below {}", config.mail_domain)))),
    }
}

/// Who stands in where nobody is named.
fn sample(participant: &str, function: &str) -> Result<(ParticipantId, FunctionId), CliError> {
    Ok((ParticipantId::new(participant)?, FunctionId::new(function)?))
}

fn party((participant, function): (ParticipantId, FunctionId), labels: Labels) -> Party {
    Party {
        participant,
        label: labels.organisation.map(Into::into),
        function: Some(function),
        function_label: labels.function.map(Into::into),
        persons: Vec::new(),
        references: Vec::new(),
    }
}

fn ids() -> Result<Ids, CliError> {
    let id = Uuid::new_v4().to_string();
    let created = Timestamp::from_millisecond(Timestamp::now().as_millisecond())?;
    Ok(Ids { message_id: MessageId::new(&id)?, conversation_id: ConversationId::new(&id)?, in_reply_to: None, created })
}

/// The message for a person's eyes.
fn report(converted: &Converted) -> String {
    let (mail, content) = (&converted.mail, &converted.content);
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<30}{value}");
    };
    line("Rubrik / Subject", content.label.as_ref().map(|label| label.0.clone()).unwrap_or_default());
    line("Sekretess / Confidential", if content.confidential { "ja / yes" } else { "nej / no" }.to_owned());
    line("Från / From", end(&content.sender));
    line("Till / To", end(&content.recipient));
    for reference in content.sender.references.iter().map(reference) {
        line("Vår referens / Our reference", reference);
    }
    for file in content.files() {
        let digest = sha256(&file.body);
        line("Bilaga / File", format!("{} ({}, {} byte, SHA-256 {digest})", *file.name, file.media_type, file.body.len()));
    }
    for id in &mail.in_reply_to {
        line("Svar på / Answers", format!("<{id}>"));
    }
    line("Storlek / Size", format!("{} byte som XML i SDK / as XML in SDK", converted.xml.len()));
    for body in content.documents.iter().flat_map(|document| &document.texts) {
        let _ = writeln!(text, "\n---- Text (Markdown) ----\n{}", **body);
    }
    let _ = writeln!(text, "\n{}", notes(&mail.notes));
    text
}

fn end(party: &Party) -> String {
    let mut words = vec![party.participant.to_string()];
    words.extend(party.function.as_ref().map(ToString::to_string));
    let names: Vec<&str> = party.function_label.iter().chain(&party.label).map(|label| label.as_str()).collect();
    let persons = party.persons.iter().map(person);
    let names = names.into_iter().map(str::to_owned).chain(persons).collect::<Vec<_>>().join(", ");
    if names.is_empty() { words.join(" ") } else { format!("{} ({names})", words.join(" ")) }
}

fn person(person: &Person) -> String {
    let label = person.label.as_ref().map(|label| label.0.clone());
    let id = person.id.as_ref().map(|id| id.extension.0.clone());
    label.into_iter().chain(id).collect::<Vec<_>>().join(" ")
}

fn reference(reference: &Reference) -> String {
    format!("{} {}", reference.id.root, *reference.id.extension)
}

/// Everything that was changed or left out, the gravest first.
fn notes(notes: &[Note]) -> String {
    let mut text = "---- Ändrat och utelämnat / Changed and left out ----\n".to_owned();
    if notes.is_empty() {
        text.push_str("Inget. / Nothing.\n");
    }
    let mut notes: Vec<&Note> = notes.iter().collect();
    notes.sort_by_key(|note| std::cmp::Reverse(note.loss));
    for note in notes {
        let kind = match note.loss {
            Loss::None => "ändrat / changed",
            Loss::Minor => "utelämnat / left out",
            Loss::Content => "SAKNAS / MISSING",
        };
        let _ = writeln!(text, "- [{kind}] {} / {}", *note.swedish, *note.english);
    }
    text
}

/// The mail that an SDK message is delivered as.
fn delivered(xml: &[u8], config: Option<&Gateway>) -> Result<Vec<u8>, CliError> {
    let limits = match config.and_then(|config| config.mail.as_ref()) {
        Some(mail) => MessageLimits { payload: usize::try_from(mail.max_incoming)? },
        None => MessageLimits::default(),
    };
    let content = message::read(xml, &limits).map_err(|breaches| CliError::unsound(Unsound::Rejected(told(&breaches))))?;
    let organisation = config.and_then(|config| config.organisations().iter().find(|own| own.participant == content.recipient.participant));
    let mailbox = content.recipient.function.as_ref().and_then(|function| organisation?.mailbox(function));
    if config.is_some() && mailbox.is_none() {
        return Err(CliError::unsound(Unsound::Rejected(" no mailbox of the configuration has the message's function".to_owned())));
    }
    let gateway = config.map_or_else(|| Domain::new("sdk.example"), |config| Ok(config.mail_domain.clone()))?;
    let stand_in = MailAddress::new("funktionsbrevlada@mottagare.example")?;
    let function = match &content.sender.function {
        Some(function) => function.clone(),
        None => FunctionId::new("okand")?,
    };
    let from = address::canonical(&content.sender.participant, &function, &gateway)?;
    let setting = ComposeContext {
        gateway_domain: &gateway,
        mailbox: mailbox.map_or(&stand_in, |mailbox| &mailbox.address),
        from_address: from.address(),
        answered_mail: None,
        received_at: content.created,
    };
    Ok(compose::incoming(&content, &setting)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = "From: Anna =?utf-8?Q?=C3=85berg?= <anna@habo.se>\r\nSubject: SV: [dnr KS 2026/1] Ans=?utf-8?Q?=C3=B6?=kan [Att: Bo]\r\n\
        Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hej <b>Bo</b> <img src='https://x.se/bild.png' height=300></p>\r\n"
        .as_bytes();

    #[test]
    fn a_mail_is_told_with_what_it_lost_and_its_message_reads_back() {
        let converted = converted(MAIL, None, None).unwrap();
        let report = report(&converted);
        for part in ["Hej **Bo**", "dnr KS 2026/1", "(Bo)", "Anna Åberg", "[SAKNAS / MISSING] En bild"] {
            assert!(report.contains(part), "{part} in\n{report}");
        }
        let mail = String::from_utf8(delivered(&converted.xml, None).unwrap()).unwrap();
        assert!(mail.contains("From: ") && mail.contains("Hej "), "{mail}");
    }

    #[test]
    fn what_the_gateway_would_refuse_is_unsound_and_says_why() {
        let error = converted(b"From: a@b.se\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n", None, None).err().unwrap();
        assert_eq!(error.exit(), super::super::Exit::Unsound);
        assert!(error.to_string().contains("550 5.6.0"), "{error}");
        assert!(converted(b"From: a@b.se\r\nPrecedence: bulk\r\n\r\nx\r\n", None, None).is_err());
        assert!(delivered(b"<x/>", None).is_err());
    }
}
