//! `brevbro as4 ping`: whether another organisation's access point can be reached and answers, step by step as a message
//! would go: DNS, SMP, certificates, TLS, and the ebMS test service (ebMS 3.0 5.2.2), which is answered and never delivered.
//!
//! It needs no running gateway and touches no state; it uses the configuration's keys.

use std::io::{self, Cursor, Seek, Write};
use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use uuid::Uuid;

use super::CliError;
use crate::as4::answer::{self, Answer};
use crate::as4::{self, UserMessage};
use crate::config::{self, AccessPoint, Gateway};
use crate::crypto::Certificate;
use crate::daemon::Outside;
use crate::edge::http::{HttpAnswer, HttpClient, HttpError};
use crate::ident::{AccessPointId, As4MessageId, DocumentKind, ParticipantId};
use crate::outbound::address;
use crate::port::{DirectoryError, Freshness, Metadata, Realm, TrustError};
use crate::smp;

/// What a test message carries: something that every access point takes for a payload.
const PAYLOAD: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><hello>world</hello>";

/// The arguments of `brevbro as4 ping`.
#[derive(Debug, clap::Args)]
pub struct PingArgs {
    /// The participant behind the access point, such as 0203:kommun.se.
    #[arg(long)]
    to: ParticipantId,
    /// The configuration file, whose keys and CAs are used.
    #[arg(short, long, default_value = "/etc/brevbro/gateway.toml")]
    config: PathBuf,
    /// Looks up where receipts for the participant's messages go, in place of its messages.
    #[arg(long)]
    receipt: bool,
}

/// Goes the way of a message and tells each step as it is taken.
///
/// # Errors
/// [`CliError`] at the first step that fails.
pub async fn run(args: PingArgs) -> Result<(), CliError> {
    let config = config::load(&args.config).map_err(CliError::usage)?;
    let Some(point) = &config.access_point else {
        return Err(CliError::failure("this node has no access point").hint("run it on the node with role = \"access-point\""));
    };
    let outside = Outside::of(&config).map_err(|error| CliError::failure(error.to_string()))?;
    let kind = if args.receipt { DocumentKind::Receipt } else { DocumentKind::Message };
    let mut steps = Steps { config: &config, point, outside: &outside, to: &args.to, kind, out: io::stdout() };
    steps.tell("participant", args.to.to_string())?;
    let metadata = steps.find().await?;
    steps.judge(&metadata).await?;
    steps.ring(&metadata).await
}

struct Steps<'a> {
    config: &'a Gateway,
    point: &'a AccessPoint,
    outside: &'a Outside,
    to: &'a ParticipantId,
    kind: DocumentKind,
    out: io::Stdout,
}

impl Steps<'_> {
    /// One line, at once: whoever waits sees how far it has come. What others wrote never reaches a terminal's controls.
    fn tell(&mut self, label: &str, value: impl AsRef<str>) -> Result<(), CliError> {
        let value: String = value.as_ref().chars().take(1000).map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(self.out, "{label:<14}{value}")?;
        Ok(self.out.flush()?)
    }

    async fn find(&mut self) -> Result<Metadata, CliError> {
        if let (Some(dns), config::Discovery::Dns { sml_zone, .. }) = (&self.outside.dns, &self.config.discovery) {
            self.tell("DNS", format!("NAPTR {}", smp::naptr_name(self.to, sml_zone)))?;
            let base = dns.smp(self.to).await.map_err(|error| not_found(&error))?;
            self.tell("SMP", &base)?;
            let group = dns.group(self.to, &base).await.map_err(|error| not_found(&error))?;
            let kinds: Vec<&str> = group.kinds().into_iter().map(named).collect();
            let others = group.document_ids.len() - kinds.len();
            let others = if others == 0 { String::new() } else { format!(", and {others} that are not SDK's") };
            self.tell("documents", if kinds.is_empty() { format!("none of SDK's{others}") } else { kinds.join(", ") + &others })?;
        } else {
            self.tell("discovery", "in the configuration file")?;
        }
        let found = self.outside.directory.metadata(self.to, self.kind, Freshness::Fresh).await;
        let metadata = found.map_err(|error| not_found(&error))?;
        self.tell("metadata", format!("for {}, signed by {}", named(self.kind), about(&metadata.signer)))?;
        self.tell("endpoint", format!("{}, {}", metadata.endpoint, metadata.transport_profile))?;
        let dates = [("from", metadata.activation), ("until", metadata.expiration)];
        let dates: Vec<String> = dates.into_iter().filter_map(|(word, date)| Some(format!("{word} {}", date?))).collect();
        if !dates.is_empty() {
            self.tell("in service", dates.join(" "))?;
        }
        address::endpoint(&metadata, &self.outside.transport_profiles, Timestamp::now())
            .map_err(|unaddressed| CliError::failure(unaddressed.failure.what).hint(unaddressed.failure.hint))?;
        Ok(metadata)
    }

    async fn judge(&mut self, metadata: &Metadata) -> Result<(), CliError> {
        let mut certificates = vec![("access point", Realm::AccessPoint, &metadata.access_point)];
        certificates.extend(metadata.signing.iter().map(|certificate| ("signing", Realm::Participant, certificate)));
        certificates.extend(metadata.encryption.iter().map(|certificate| ("encryption", Realm::Participant, certificate)));
        let mut refused = None;
        for (label, realm, certificate) in certificates {
            let judged = self.outside.trust.judge(realm, certificate, &[]).await;
            let verdict = match &judged {
                Ok(()) => "trusted".to_owned(),
                Err(error) => format!("NOT TRUSTED: {error}"),
            };
            self.tell(label, format!("{}: {verdict}", about(certificate)))?;
            refused = refused.or(judged.err().map(|error| untrusted(label, &error)));
        }
        refused.map_or(Ok(()), Err)
    }

    async fn ring(&mut self, metadata: &Metadata) -> Result<(), CliError> {
        let own = self.config.participants.first().map(|own| own.id.clone());
        let peer = metadata.access_point.common_name().and_then(|name| AccessPointId::new(name).ok());
        let message = UserMessage {
            message_id: As4MessageId::new(format!("{}@{}", Uuid::new_v4(), self.config.mail_domain))?,
            timestamp: Timestamp::from_millisecond(Timestamp::now().as_millisecond())?,
            ref_to: None,
            from: self.point.name.clone(),
            to: peer.ok_or_else(|| CliError::failure("the access point's certificate has no common name"))?,
            conversation_id: Uuid::new_v4().to_string(),
            kind: self.kind,
            original_sender: own.unwrap_or_else(|| self.to.clone()),
            final_recipient: self.to.clone(),
        };
        let (identity, recipient) = (self.point.identity.clone(), metadata.access_point.clone());
        let packed = message.clone();
        let packed = tokio::task::spawn_blocking(move || {
            let boundary = format!("brevbro-{}", Uuid::new_v4().simple());
            let mut body = Cursor::new(Vec::new());
            let sent = as4::send::ping(&packed, &mut &*PAYLOAD, &identity, &recipient, Cursor::new(Vec::new()), &mut body, &boundary)?;
            Ok::<_, as4::As4Error>((sent, body))
        });
        let (sent, mut body) = packed.await??;
        body.rewind()?;
        self.tell("test message", format!("{}, {} octets, from {} to {}", message.message_id, sent.octets, message.from, message.to))?;
        let begun = Instant::now();
        let client = HttpClient::new(self.outside.as4.clone().unwrap_or_default());
        let answer = client.post(&metadata.endpoint, &sent.content_type, sent.octets, Box::new(body)).await.map_err(unreached)?;
        let took = begun.elapsed();
        self.tell("connection", connection(&answer))?;
        let (status, expected, octets) = (answer.status, metadata.access_point.clone(), answer.body.len());
        let read = tokio::task::spawn_blocking(move || answer::read(answer.status, &answer.content_type, &answer.body, &sent, &expected)).await?;
        self.tell("answer", format!("status {status}, {octets} octets, after {} ms", took.as_millis()))?;
        match read {
            Answer::Receipt(receipt) => {
                for warning in &receipt.warnings {
                    self.tell("warning", warning.to_string())?;
                }
                self.tell("receipt", format!("{}: signed by the access point, repeats every digest", receipt.signal_id))
            }
            Answer::Errors(errors) => {
                let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Err(CliError::failure(format!("the access point answered with an error: {}", told.join("; ")))
                    .hint("its operator sees the message id in their log; a P-Mode for the ebMS test service may be missing there"))
            }
            Answer::Unusable(why) => Err(CliError::failure(format!("the answer proves nothing: {why}"))
                .hint("is the endpoint in SMP the access point's, and is its certificate there the one that it signs with?")),
        }
    }
}

const fn named(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Message => "messages",
        DocumentKind::Receipt => "receipts",
    }
}

fn about(certificate: &Certificate) -> String {
    let name = certificate.common_name().unwrap_or_else(|| certificate.subject());
    format!("{name}, until {}, SHA-256 {}", certificate.not_after().strftime("%Y-%m-%d"), certificate.fingerprint())
}

fn connection(answer: &HttpAnswer) -> String {
    let seen = &answer.connection;
    match &seen.tls {
        None => format!("{} without TLS", seen.address),
        Some(tls) => format!("{} by {}, {}; {}", seen.address, tls.version, tls.cipher, tls.certificates.first().map(about).unwrap_or_default()),
    }
}

fn not_found(error: &DirectoryError) -> CliError {
    let hint = match error {
        DirectoryError::UnknownParticipant(_) => "is the id right, and [discovery] sml-zone that of this environment?",
        DirectoryError::UnknownDocument { .. } => "the other organisation's access point operator registers documents in SMP",
        DirectoryError::Unusable { .. } => "compare the SMP's signer and addresses with [trust] and [discovery]",
        DirectoryError::Unavailable { .. } => "is the way there open: DNS, and HTTP to the SMP and the CAs' servers?",
    };
    CliError::failure(error.to_string()).hint(hint)
}

fn untrusted(label: &str, error: &TrustError) -> CliError {
    let hint = match error {
        TrustError::Unchecked(_) => "is the way to the CA's OCSP responder and revocation list open?",
        TrustError::Issuer(_) => "is it of another environment? compare with [trust]",
        TrustError::NotYet(_) | TrustError::Expired(_) | TrustError::Revoked => "the other organisation must renew it and publish it",
    };
    CliError::failure(format!("the {label} certificate is not trusted: {error}; nothing was sent")).hint(hint)
}

fn unreached(error: HttpError) -> CliError {
    let hint = match &error {
        HttpError::Refused(_) => "an endpoint is https, in the internet; see [discovery] allow-networks",
        HttpError::Unreachable(why) if why.starts_with("TLS") => "see [access-point.client-tls]: the CAs of its server, and the certificate to show",
        HttpError::Unreachable(_) => "is the way there open?",
        HttpError::NoAnswer(_) => "with TLS 1.3 a server that refuses our certificate says so only now; see [access-point.client-tls] key",
        HttpError::TooLong(_) => "this is no AS4 answer",
    };
    CliError::failure(error).hint(hint)
}
