//! What a sound configuration says, as values that are ready to use: keys opened, certificates read, TLS built.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::environment::Environment;
use super::files::Secret;
pub use super::limits::{MailboxLimit, OrganisationLimit};
pub use super::retention::Retained;
use super::values::{HttpUrl, words};
use crate::crypto::{Certificate, Identity, NotaryKey, PasswordHash};
use crate::edge::clamd::ClamdOptions;
use crate::edge::forwarded::Proxies;
use crate::edge::reach::{IpNetwork, Reach};
use crate::edge::smtp_client::Protocol;
use crate::edge::trust::Elsewhere;
use crate::ident::{AccessPointId, Domain, FederationId, FunctionId, MailAddress, MailServerName, NodeName, ParticipantId};
use crate::outbound::hours::Hours;
use crate::outbound::retry::Patience;
use crate::store::Reserve;
use crate::store::cipher::Rings;
use crate::store::journal::JournalOptions;

/// A whole configuration.
#[derive(Debug)]
pub struct Gateway {
    /// The gateway's host name.
    pub name: Domain,
    /// The mail domain that is routed to the gateway.
    pub mail_domain: Domain,
    /// The federation.
    pub federation: FederationId,
    /// Its environment, where the CAs tell.
    pub environment: Option<Environment>,
    /// What this node is called among several.
    pub node: NodeName,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// What keeps messages, jobs and the journal.
    pub store: StateStore,
    /// The file that this was read from.
    pub file: PathBuf,
    /// The keys that what is kept lies under; none where it lies in the clear.
    pub encryption: Rings,
    /// Octets of memory for messages that are held whole.
    pub memory: u64,
    /// Who is served, as far as every node knows it; at least one.
    pub participants: Vec<Participant>,
    /// AS4; none on a mail node.
    pub access_point: Option<AccessPoint>,
    /// Mail and the participants' keys; none on an access point node.
    pub mail: Option<Mail>,
    /// Who is trusted.
    pub trust: TrustAnchors,
    /// How participants are found.
    pub discovery: Discovery,
    /// Where addresses that others name may lead.
    pub reach: Reach,
    /// When to try again.
    pub retry: Retry,
    /// How long what has ended is kept, where no participant is known that has its own rule.
    pub retention: Retained,
    /// The journal.
    pub audit: Audit,
    /// When to try again what the mail server did not take.
    pub delivery: Retry,
    /// The log.
    pub log: Log,
    /// So many days before a certificate ends the operator is told.
    pub expiry_warnings: Vec<u32>,
    /// What works but should not stay so.
    pub warnings: Vec<Warning>,
}

/// What keeps messages, jobs and the journal.
#[derive(Debug)]
pub enum StateStore {
    /// Files in the state folder, beside which so much stays free.
    Local(Reserve),
    /// A database that several nodes share.
    Postgresql(Database),
}

/// A database in PostgreSQL.
#[derive(Debug)]
pub struct Database {
    /// Names and addresses of its servers, or the folder of a socket.
    pub hosts: Vec<String>,
    /// The port of each.
    pub port: u16,
    /// Its name.
    pub database: String,
    /// Who connects.
    pub user: String,
    /// The password of whoever connects.
    pub password: Option<Secret>,
    /// How connections are secret; none on this machine.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The schema.
    pub schema: String,
    /// Connections at once.
    pub max_connections: u32,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long one attempt may take.
    pub statement_timeout: Duration,
    /// How long a call goes on trying.
    pub patience: Duration,
}

/// The journal.
#[derive(Debug)]
pub struct Audit {
    /// When it goes on in a new segment, and how long old ones are kept.
    pub segments: JournalOptions,
    /// What signs its heads, when something does.
    pub heads: Option<Heads>,
}

/// What signs the journal's last line.
#[derive(Debug, Clone)]
pub struct Heads {
    /// The key.
    pub key: NotaryKey,
    /// So long after a line, at the latest.
    pub interval: Duration,
    /// After so many lines, at the latest.
    pub lines: u64,
    /// The program that gets each head, with its arguments; empty for none.
    pub command: Vec<String>,
}

/// The mail side.
#[derive(Debug)]
pub struct Mail {
    /// Who gets what a person has to act on.
    pub operator: MailAddress,
    /// The largest SDK message that is taken in, in octets of its XML.
    pub max_incoming: u64,
    /// Mail in by SMTP.
    pub smtp: Option<Smtp>,
    /// Mail out.
    pub server: MailServer,
    /// Mail out of mailboxes that name one of these; each has a name of its own.
    pub other_servers: Vec<MailServer>,
    /// Where people read messages of mailboxes that are only told of them.
    pub reading_url: Option<HttpUrl>,
    /// How fast functions may answer each other.
    pub loops: Loops,
    /// What looks for malware, when something does.
    pub malware: Option<Malware>,
    /// Who is served; at least one.
    pub organisations: Vec<Organisation>,
}

/// A participant that is served, without its keys.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Its id.
    pub id: ParticipantId,
    /// When to try again what it sends.
    pub retry: Retry,
    /// How long its messages are kept that have ended.
    pub retention: Retained,
    /// How much it may have here at once.
    pub limits: OrganisationLimit,
    /// The same of its mailboxes, where they are known.
    pub mailboxes: Vec<(FunctionId, MailboxLimit)>,
    /// When its people work; none for always.
    pub hours: Option<Hours>,
    /// By which clock its messages are given up.
    pub patience: Patience,
}

impl Gateway {
    /// What this node does.
    #[must_use]
    pub fn role(&self) -> Role {
        match (&self.access_point, &self.mail) {
            (Some(_), None) => Role::AccessPoint,
            (None, Some(_)) => Role::Mail,
            _ => Role::Both,
        }
    }

    /// The organisations with their keys; none on an access point node.
    #[must_use]
    pub fn organisations(&self) -> &[Organisation] {
        self.mail.as_ref().map(|mail| mail.organisations.as_slice()).unwrap_or_default()
    }

    /// The organisation with this participant id.
    #[must_use]
    pub fn organisation(&self, participant: &ParticipantId) -> Option<&Organisation> {
        self.organisations().iter().find(|organisation| organisation.participant == *participant)
    }

    /// Mail in by SMTP.
    #[must_use]
    pub fn smtp(&self) -> Option<&Smtp> {
        self.mail.as_ref()?.smtp.as_ref()
    }

    /// The mailbox that may send as this address, with its organisation.
    #[must_use]
    pub fn sender(&self, address: &MailAddress) -> Option<(&Organisation, &Mailbox)> {
        let all = self.organisations().iter().flat_map(|organisation| organisation.mailboxes.iter().map(move |mailbox| (organisation, mailbox)));
        let mut own = all.clone().filter(|(_, mailbox)| mailbox.address == *address);
        own.next().or_else(|| all.into_iter().find(|(_, mailbox)| mailbox.senders.contains(address)))
    }
}

impl Mail {
    /// The largest SDK message that a mail may become, in octets of its XML.
    #[must_use]
    pub fn max_message(&self) -> u64 {
        // What no receiver needs to take more than.
        self.smtp.as_ref().map_or(30_000_000, |smtp| smtp.max_message)
    }

    /// How long a file type that a function has rejected is remembered.
    #[must_use]
    pub fn refused_types(&self) -> Duration {
        self.smtp.as_ref().map_or(Duration::from_hours(30 * 24), |smtp| smtp.refused_types)
    }
}

/// The access point.
#[derive(Debug)]
pub struct AccessPoint {
    /// Its name: the CN of its certificate.
    pub name: AccessPointId,
    /// Its key and certificate.
    pub identity: Identity,
    /// The next one, or the one before it.
    pub others: Vec<Identity>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The path that takes AS4 messages.
    pub path: String,
    /// The URL that is registered for it.
    pub public_url: HttpUrl,
    /// The largest envelope, in octets.
    pub max_envelope: u64,
    /// Connections at once.
    pub max_connections: u32,
    /// Connections at once from one address.
    pub max_connections_per_address: u32,
    /// Requests at once from one client.
    pub max_requests_per_client: u32,
    /// How long a client may be silent.
    pub silence_timeout: Duration,
    /// How long a request's body may take.
    pub request_timeout: Duration,
    /// How long a connection to another access point may take.
    pub connect_timeout: Duration,
    /// How long its answer may take.
    pub answer_timeout: Duration,
    /// Messages that are sent at once.
    pub max_sends: u32,
    /// Messages that are sent at once to one host.
    pub max_sends_per_destination: u32,
    /// Whether http is allowed, on this machine only.
    pub allow_plain_loopback: bool,
    /// TLS of the endpoint; `None` on this machine or behind a proxy.
    pub tls: Option<ServerTls>,
    /// The reverse proxy that ends TLS in its place.
    pub proxy: Option<Proxies>,
    /// Who connects to it: the CAs; none where nobody is asked.
    pub client_ca: Vec<Certificate>,
    /// What to do when the revocation of those who connect cannot be checked.
    pub client_revocation: Revocation,
    /// TLS towards others.
    pub client_tls: ClientTls,
}

/// A server's TLS.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Ready for the listener.
    pub config: Arc<rustls::ServerConfig>,
    /// The certificate it shows.
    pub certificate: Certificate,
}

/// A client's TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// Ready for connections.
    pub config: Arc<rustls::ClientConfig>,
    /// The certificate it shows to servers that ask.
    pub certificate: Option<Certificate>,
}

/// The CAs of the environment, by what they certify.
#[derive(Debug, Clone)]
pub struct TrustAnchors {
    /// Access points; roots and intermediates.
    pub access_point: Vec<Certificate>,
    /// Participants; roots and intermediates.
    pub participant: Vec<Certificate>,
    /// The SMP's signer; roots and intermediates.
    pub smp: Vec<Certificate>,
    /// The only signer, when one is named.
    pub smp_signer: Option<Certificate>,
    /// The only name that the signer may have, when one is given.
    pub smp_signer_name: Option<String>,
    /// Which access points may bring a participant's messages.
    pub sender_access_point: SenderAccessPoint,
    /// What to do when the revocation of an access point's certificate cannot be checked.
    pub revocation: Revocation,
    /// The same for participants' certificates.
    pub participant_revocation: Revocation,
    /// The same for the SMP's.
    pub smp_revocation: Revocation,
    /// The CAs of servers that are asked for revocation by https; none for the operating system's.
    pub revocation_ca: Option<Vec<Certificate>>,
    /// How long lists and answers are used again.
    pub revocation_cache: Duration,
    /// How long they are used after their end, while no newer ones are to be had.
    pub revocation_grace: Duration,
    /// How far clocks may differ at the beginning of a certificate.
    pub clock_skew: Duration,
    /// The CAs of other environments.
    pub elsewhere: Vec<Elsewhere>,
    /// Which source of revocation is asked first.
    pub revocation_order: RevocationOrder,
}

/// How participants are found.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// By DNS and SMP.
    Dns {
        /// The zone.
        sml_zone: Domain,
        /// Name servers; empty for the operating system's.
        resolvers: Vec<SocketAddr>,
        /// The transport profiles of endpoints that are sent to; at least one.
        transport_profiles: Vec<String>,
        /// How long an answer may be used again.
        cache: Duration,
        /// How long it may be used when there is no newer one to be had.
        cache_stale: Duration,
        /// How long "not registered" may be used again.
        cache_absent: Duration,
        /// How long one answer may take.
        timeout: Duration,
    },
    /// In the file; at least one.
    Static(Vec<StaticParticipant>),
}

/// A participant that stands in the file.
#[derive(Debug, Clone)]
pub struct StaticParticipant {
    /// Its id.
    pub id: ParticipantId,
    /// Its access point's URL.
    pub endpoint: HttpUrl,
    /// Its access point's certificate.
    pub access_point: Certificate,
    /// What it signs with; at least one.
    pub signing: Vec<Certificate>,
    /// What to encrypt to; at least one.
    pub encryption: Vec<Certificate>,
}

/// Mail in.
#[derive(Debug)]
pub struct Smtp {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The name it greets with.
    pub hostname: Domain,
    /// From where anyone may send.
    pub clients: Vec<IpNetwork>,
    /// Who may send from everywhere.
    pub accounts: Vec<SmtpAccount>,
    /// Whether mail is taken only after STARTTLS.
    pub require_tls: bool,
    /// The largest SDK message that a mail may become, in octets of its XML.
    pub max_message: u64,
    /// Recipients of one mail.
    pub max_recipients: u32,
    /// Mails on one connection.
    pub max_mails: u32,
    /// How long a file type that a function has rejected is remembered.
    pub refused_types: Duration,
    /// Connections at once.
    pub max_connections: u32,
    /// Connections at once from one address.
    pub max_connections_per_address: u32,
    /// Mails of one sender in a minute.
    pub mails_per_minute: u32,
    /// Mails of one sender in an hour.
    pub mails_per_hour: u32,
    /// Recipients of one sender in a minute.
    pub recipients_per_minute: u32,
    /// Recipients of one sender in an hour.
    pub recipients_per_hour: u32,
    /// How long a client may be silent.
    pub timeout: Duration,
    /// STARTTLS, when there is a certificate.
    pub tls: Option<ServerTls>,
}

/// A client that is known by a password or a certificate; at least one of them.
#[derive(Debug, Clone)]
pub struct SmtpAccount {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: Option<PasswordHash>,
    /// The name in its certificate.
    pub certificate_name: Option<Domain>,
    /// The mailboxes that it may send as; empty for all.
    pub mailboxes: Vec<MailAddress>,
    /// What `X-OriginatorOrg` must say.
    pub originator: Option<Domain>,
}

/// Mail out.
#[derive(Debug)]
pub struct MailServer {
    /// What mailboxes call it.
    pub name: Option<MailServerName>,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: DeliverySecurity,
    /// User and password.
    pub credentials: Option<(String, Secret)>,
    /// The name the gateway greets with.
    pub hello: Domain,
    /// How long one command may take.
    pub timeout: Duration,
    /// Connections at once.
    pub max_connections: u32,
}

/// TLS towards the mail server. CAs are an empty list where the operating system's count.
#[derive(Debug, Clone)]
pub enum DeliverySecurity {
    /// In the clear.
    Plain,
    /// STARTTLS, required; by these CAs.
    Starttls(Vec<Certificate>),
    /// From the first octet on; by these CAs.
    Tls(Vec<Certificate>),
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// The wait after the first failure.
    pub first: Duration,
    /// How many times longer each wait is.
    pub factor: f64,
    /// The longest wait.
    pub longest: Duration,
    /// When a message is given up, from its beginning.
    pub give_up: Duration,
    /// How many attempts there are before.
    pub least_attempts: u32,
    /// How long a message waits for earlier ones of its conversation.
    pub in_order_within: Duration,
    /// How long the message receipt is awaited.
    pub receipt_timeout: Duration,
    /// When the sender is told of a delay.
    pub delayed_notice_after: Duration,
}

/// How fast functions may answer each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loops {
    /// Messages in each direction.
    pub messages: u32,
    /// Within this time.
    pub window: Duration,
    /// How long they are held first.
    pub hold: Duration,
}

/// Malware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malware {
    /// How clamd is asked.
    pub clamd: ClamdOptions,
    /// What is looked into.
    pub directions: ScanDirections,
    /// What happens while there is no verdict to be had.
    pub on_failure: OnScanFailure,
    /// How long there may be none before the operator is told.
    pub alarm_after: Duration,
}

/// The log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// What it leaves out.
    pub level: LogLevel,
}

/// An organisation that is served.
#[derive(Debug)]
pub struct Organisation {
    /// Its participant id.
    pub participant: ParticipantId,
    /// Its name.
    pub name: String,
    /// What signs.
    pub signing: Identity,
    /// What decrypts, tried in this order; at least one.
    pub decryption: Vec<Identity>,
    /// Its function mailboxes; at least one.
    pub mailboxes: Vec<Mailbox>,
    /// When to try again what it sends.
    pub retry: Retry,
    /// How long its messages are kept that have ended.
    pub retention: Retained,
    /// How much it may have here at once.
    pub limits: OrganisationLimit,
    /// When its people work; none for always.
    pub hours: Option<Hours>,
    /// By which clock its messages are given up.
    pub patience: Patience,
}

impl Organisation {
    /// The mailbox of a function.
    #[must_use]
    pub fn mailbox(&self, function: &FunctionId) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.function == *function)
    }
}

/// A function mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Its address.
    pub address: MailAddress,
    /// Its function address.
    pub function: FunctionId,
    /// Its name.
    pub label: String,
    /// Who else may send as it.
    pub senders: Vec<MailAddress>,
    /// Where its messages go.
    pub deliver_to: MailAddress,
    /// Its mail server, when that is not the first.
    pub mail_server: Option<MailServerName>,
    /// What receivers learn of the writer.
    pub person: PersonPolicy,
    /// Whether its messages are confidential when the mail does not say.
    pub confidential: bool,
    /// What becomes of quoted mails.
    pub history: History,
    /// What becomes of images in the text.
    pub inline_images: InlineImages,
    /// What becomes of signatures.
    pub signed_mail: SignedMail,
    /// When the sender is told of success.
    pub success_notice: SuccessNotice,
    /// What it gets of a message.
    pub delivery: DeliveryMode,
    /// When it is reminded of a message that waits.
    pub remind_after: Option<Duration>,
    /// Messages that it may exchange with one function, where that is not the gateway's number.
    pub loop_messages: Option<u32>,
    /// Media types that it takes, in lower case, PDF among them; empty for the common ones.
    pub file_types: Vec<String>,
    /// How much it may have here at once.
    pub limits: MailboxLimit,
    /// It by IMAP.
    pub imap: Option<Imap>,
}

/// A mailbox by IMAP.
#[derive(Debug, Clone)]
pub struct Imap {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: DeliverySecurity,
    /// Whose mailbox it is.
    pub username: String,
    /// How it is opened.
    pub access: ImapAccess,
    /// How long the server may be silent.
    pub timeout: Duration,
    /// The folder whose mails are sent.
    pub outbox: Option<Outbox>,
    /// The folder that gets messages.
    pub inbox: Option<Inbox>,
}

/// How a mailbox is opened.
#[derive(Debug, Clone)]
pub enum ImapAccess {
    /// By password.
    Password(Secret),
    /// By access tokens.
    Oauth2(Oauth2),
}

/// Access tokens.
#[derive(Debug, Clone)]
pub struct Oauth2 {
    /// The token endpoint.
    pub token_url: HttpUrl,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// What a token is for.
    pub scope: String,
    /// The CAs of the token endpoint; empty for the operating system's.
    pub ca: Vec<Certificate>,
}

/// A folder whose mails are sent.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// It.
    pub folder: String,
    /// Where mails go that were taken.
    pub processed: String,
    /// Where mails go that were refused.
    pub failed: String,
    /// How often it is looked at.
    pub poll: Duration,
    /// Recipients outside the mail domain.
    pub other_recipients: OtherRecipients,
}

/// A folder that gets messages.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// It.
    pub folder: String,
    /// Whether it is made when it is not there.
    pub create: bool,
    /// What messages are marked as.
    pub flags: Vec<Flag>,
}

/// What works but should not stay so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub path: String,
    /// What.
    pub what: String,
}

words! {
    /// What a node does.
    pub Role {
        /// AS4 with the access point's keys, in the DMZ.
        AccessPoint = "access-point",
        /// Mail with the participants' keys, inside.
        Mail = "mail",
        /// Everything.
        Both = "both",
    }
    /// Which access points may bring a participant's messages.
    pub SenderAccessPoint {
        /// Every approved one.
        Approved = "approved",
        /// The one at which SMP has the participant.
        Registered = "registered",
    }
    /// What to do when revocation cannot be checked.
    pub Revocation {
        /// Wait and try again.
        Hard = "hard",
        /// Go on, and say so in the journal.
        Soft = "soft",
        /// Never check.
        Off = "off",
    }
    /// Which source of revocation is asked first.
    pub RevocationOrder {
        /// The OCSP responder.
        OcspFirst = "ocsp-first",
        /// The revocation list.
        CrlFirst = "crl-first",
    }
    /// What a mailbox gets of a message.
    pub DeliveryMode {
        /// The message.
        Full = "full",
        /// A notice that it waits.
        Notice = "notice",
    }
    /// What is looked into for malware.
    pub ScanDirections {
        /// Mails to SDK and messages from it.
        Both = "both",
        /// Mails to SDK.
        Out = "out",
        /// Messages from SDK.
        In = "in",
    }
    /// What happens while there is no verdict to be had.
    pub OnScanFailure {
        /// Nothing passes.
        Closed = "closed",
        /// Everything passes.
        Open = "open",
    }
    /// The log's form.
    pub LogFormat {
        /// For people.
        Text = "text",
        /// For log systems.
        Json = "json",
    }
    /// The log's level.
    pub LogLevel {
        /// Errors.
        Error = "error",
        /// And warnings.
        Warn = "warn",
        /// And events.
        Info = "info",
        /// And details.
        Debug = "debug",
        /// And everything.
        Trace = "trace",
    }
    /// What receivers learn of the person who wrote.
    pub PersonPolicy {
        /// Nothing.
        None = "none",
        /// The name.
        Name = "name",
        /// Name and mail address.
        NameAndAddress = "name-and-address",
    }
    /// What becomes of the mails that an answer quotes.
    pub History {
        /// They are part of the message.
        Keep = "keep",
        /// They are left out.
        Trim = "trim",
    }
    /// What becomes of images in the text.
    pub InlineImages {
        /// What only decorates is left out.
        DropDecorative = "drop-decorative",
        /// All are attached.
        Keep = "keep",
        /// None is.
        Drop = "drop",
    }
    /// Signed mails.
    pub SignedMail {
        /// Their content is sent without the signature.
        Unwrap = "unwrap",
        /// The signed whole is attached besides.
        Keep = "keep",
    }
    /// What to do about recipients outside the mail domain.
    pub OtherRecipients {
        /// Tell the writer.
        Notice = "notice",
        /// Nothing.
        Ignore = "ignore",
    }
    /// A flag of a mail.
    pub Flag {
        /// For follow-up.
        Flagged = "flagged",
        /// Read.
        Seen = "seen",
    }
    /// When the sender is told that a message was accepted.
    pub SuccessNotice {
        /// When the mail asks for it.
        Asked = "asked",
        /// Always.
        Always = "always",
    }
}
