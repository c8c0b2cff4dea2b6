//! The daemon: a checked configuration becomes running edges around one worker; start, drain, stop.
//!
//! Order of start: store and spool, orphans taken in, workers, AS4, and last SMTP, so that nothing is taken in before
//! what was taken in earlier is safe. Order of stop: SMTP and AS4 take nothing new, running jobs end, the store closes.

pub mod control;
mod imap;
mod isolation;
mod sinks;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::as4::pmode::PMode;
use crate::as4::receive::ReceiveLimits;
use crate::config::{self, checked};
use crate::crypto::{Authorities, Certificate};
use crate::edge::as4_client::As4Client;
use crate::edge::as4_server::{As4Reception, As4Server, As4ServerError, As4ServerOptions, As4Tls};
use crate::edge::clamd::Clamd;
use crate::edge::clock::SystemClock;
use crate::edge::directory::{DirectoryOptions, DnsDirectory, StaticDirectory, StaticEntry};
use crate::edge::dns::DnsOptions;
use crate::edge::http::{HttpOptions, PlainHttp};
use crate::edge::imap::watch;
use crate::edge::reach::Reach;
use crate::edge::serving::{ConnectionLimits, Stopper, stop};
use crate::edge::smtp_server::{SmtpServer, SmtpServerError, SmtpServerOptions, SmtpTls};
use crate::edge::tap::Tap;
use crate::edge::tls::{self, Roots};
use crate::edge::trust::{CaTrust, Order, Revocation, TrustOptions};
use crate::event::{Event, EventName};
use crate::ident::{DocumentKind, MailAddress, ParticipantId};
use crate::inbound::receive::Bringer;
use crate::mail::pair::Pace;
use crate::mail::policy::{AllowedTypes, MailboxPolicy};
use crate::mail::session::OnwardTls;
use crate::outbound::address::TRANSPORT_PROFILE;
use crate::outbound::hours::Hours;
use crate::outbound::retry::{Patience, Schedule};
use crate::port::{Blobs, Clock, Directory, Op, Realm, Step, Store, Transport, Trust};
use crate::sdk::message::MessageLimits;
use crate::store::{SledOptions, SledStore, Spool, SpoolOptions};
use crate::worker::{
    AccessPoint, Account, Acquaintances, Admission, Crew, Directions, Expiry, Gateway, Household, MailDoor, Mailbox, Malware, Mode, OnFailure,
    Organisation, OutboxDoor, Rate, Room, SenderPace, Settings, Watched,
};

/// How often the ends of certificates are looked at.
const WATCH: std::time::Duration = std::time::Duration::from_hours(1);

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error("the configuration is refused")]
    Config(#[from] config::ConfigErrors),
    /// The store or the spool cannot be opened.
    #[error("the state in {dir} cannot be opened")]
    Store {
        /// Where.
        dir: String,
        /// Why.
        source: crate::port::StoreError,
    },
    /// Something cannot be set up.
    #[error("{what} cannot be set up: {why}")]
    Setup {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The SMTP server does not start.
    #[error("the SMTP server does not start")]
    Smtp(#[from] SmtpServerError),
    /// The control socket cannot be made.
    #[error("the control socket cannot be made")]
    Control(#[from] control::ControlError),
    /// The AS4 endpoint does not start.
    #[error("the AS4 endpoint does not start")]
    As4(#[from] As4ServerError),
}

/// A daemon that runs.
pub struct Daemon {
    /// The worker's view of everything.
    pub gateway: Arc<Gateway>,
    /// Where mail is taken by SMTP; port 0 where it is not, and comes from outbox folders only.
    pub smtp: SocketAddr,
    /// Where AS4 is taken.
    pub as4: SocketAddr,
    crew: Crew,
    stopper: Stopper,
    servers: JoinSet<()>,
    /// What has no part in stopping: it ends with the daemon.
    aside: JoinSet<()>,
}

impl Daemon {
    /// Starts everything that the configuration names.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: checked::Gateway) -> Result<Self, StartError> {
        Self::start_tapped(config, None).await
    }

    /// Reads a configuration file and starts what it names, with a tap on the AS4 connections that the gateway makes.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start_file(path: &Path, tap: Arc<dyn Tap>) -> Result<Self, StartError> {
        Self::start_tapped(config::load(path)?, Some(tap)).await
    }

    /// As [`Self::start`], with a tap on the AS4 connections that the gateway makes.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    async fn start_tapped(config: checked::Gateway, tap: Option<Arc<dyn Tap>>) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let dir = config.state_dir.clone();
        let store_error = |source| StartError::Store { dir: dir.display().to_string(), source };
        let setup = |what| move |why: String| StartError::Setup { what, why };
        isolation::claim(&dir, &config.federation, config.environment).map_err(setup("the state"))?;
        let spool: Arc<dyn Blobs> = Arc::new(Spool::open(SpoolOptions::new(dir.join("spool"))).map_err(store_error)?);
        let store: Arc<dyn Store> =
            Arc::new(SledStore::open(SledOptions { clock: Arc::clone(&clock), ..SledOptions::new(dir.join("store")) }).map_err(store_error)?);
        let scratch = dir.join("scratch");
        std::fs::create_dir_all(&scratch).map_err(|error| setup("the scratch folder")(error.to_string()))?;
        let Outside { directory, trust, as4: as4_http, .. } = Outside::of(&config)?;
        let client: Arc<dyn Transport> = Arc::new(As4Client::new(HttpOptions { tap, ..as4_http }));
        let imap::Folders { outboxes, inboxes } = imap::folders(&config).map_err(setup("a mailbox by IMAP"))?;
        let sinks = sinks::sinks(&config, inboxes).map_err(setup("delivery to the mail server"))?;
        let as4_options = as4_options(&config.access_point);
        let smtp = config.smtp.as_ref().map(|smtp| (smtp_options(smtp, onward(&config)), admission(smtp)));
        let gateway = Arc::new(Gateway {
            store: Arc::clone(&store),
            blobs: spool,
            directory,
            trust,
            transport: client,
            sinks,
            clock: Arc::clone(&clock),
            room: Room::of(config.memory),
            settings: settings(&config, scratch).map_err(setup("the steps' settings"))?,
            access_point: access_point(&config.access_point),
            household: household(config.organisations, config.loops),
            malware: config.malware.map(malware),
            acquaintances: Acquaintances::default(),
        });
        store.apply(Step::new().op(Op::Audit(Event::new(clock.now(), EventName::Started)))).await.map_err(store_error)?;
        let found = gateway.take_in_orphans().await.map_err(|failure| setup("what an earlier run left")(failure.what))?;
        if found != crate::worker::Found::default() {
            tracing::info!(taken_in = found.taken_in, deleted = found.deleted, "what an earlier run left was put in order");
        }
        let unread = gateway.deliver_unread().await.map_err(|failure| setup("what waits to be read")(failure.what))?;
        if unread > 0 {
            tracing::info!(unread, "messages that nobody has read go to their mailboxes, which get them whole by now");
        }
        let control = control::ControlSocket::bind(&dir)?;
        let as4_server = As4Server::bind(as4_options).await?;
        let smtp_server = match smtp {
            Some((options, admission)) => Some((SmtpServer::bind(options).await?, admission)),
            None => None,
        };
        let as4 = as4_server.address();
        let smtp = smtp_server.as_ref().map_or_else(nowhere, |(server, _)| server.address());
        let crew = Crew::start(&gateway);
        let (stopper, stopped) = stop();
        let mut servers = JoinSet::new();
        servers.spawn(as4_server.run(Arc::clone(&gateway) as Arc<dyn As4Reception>, stopped.clone()));
        if let Some((server, admission)) = smtp_server {
            let door = MailDoor::new(Arc::clone(&gateway), admission);
            servers.spawn(server.run(Arc::new(door), stopped.clone()));
        }
        for (options, settings) in outboxes {
            let door = OutboxDoor::new(Arc::clone(&gateway), settings);
            servers.spawn(watch(options, Arc::new(door), stopped.clone()));
        }
        let (watching, asked) = (Arc::clone(&gateway), Arc::clone(&gateway));
        let mut aside = JoinSet::new();
        aside.spawn(async move {
            loop {
                if let Err(failure) = watching.watch_expiry().await {
                    tracing::warn!(what = failure.what, "the ends of certificates cannot be watched");
                }
                tokio::time::sleep(WATCH).await;
            }
        });
        aside.spawn(control.serve(Arc::new(control::Answering { gateway: Arc::clone(&gateway), started: clock.now() })));
        let scanning = Arc::clone(&gateway);
        aside.spawn(async move { report_scanner(scanning.malware.as_ref()).await });
        aside.spawn(async move {
            for wrong in asked.check_registration().await {
                tracing::warn!(participant = %wrong.participant, kind = ?wrong.kind, "our registration in the federation: {}", wrong.what);
            }
        });
        Ok(Self { gateway, smtp, as4, crew, stopper, servers, aside })
    }

    /// Takes nothing new, ends what runs, and returns.
    pub async fn stop(mut self) {
        self.stopper.stop();
        while self.servers.join_next().await.is_some() {}
        self.crew.drain().await;
        self.gateway.sinks.close().await;
        // They hold the store open.
        self.aside.shutdown().await;
    }
}

fn trust_options(config: &checked::Gateway) -> Result<TrustOptions, String> {
    let trust = &config.trust;
    let defaults = TrustOptions::default();
    let realms = [
        (Realm::AccessPoint, &trust.access_point),
        (Realm::Participant, &trust.participant),
        (Realm::Smp, &trust.smp),
        (Realm::TlsClient, &config.access_point.client_ca),
    ];
    // A system without CAs can still ask by http.
    let tls = match &trust.revocation_ca {
        Some(ca) => Some(tls::client_config(Roots::Only(ca), None).map_err(|error| error.to_string())?),
        None => tls::client_config(Roots::System, None).ok(),
    };
    Ok(TrustOptions {
        authorities: realms.into_iter().map(|(realm, certificates)| (realm, authorities(certificates))).collect(),
        revocation: revocation(trust.revocation),
        client_revocation: revocation(config.access_point.client_revocation),
        revocation_of: [(Realm::Participant, trust.participant_revocation), (Realm::Smp, trust.smp_revocation)]
            .into_iter()
            .map(|(realm, own)| (realm, revocation(own)))
            .collect(),
        elsewhere: trust.elsewhere.clone(),
        skew: trust.clock_skew,
        grace: trust.revocation_grace,
        max_age: trust.revocation_cache,
        order: match trust.revocation_order {
            checked::RevocationOrder::OcspFirst => Order::OcspFirst,
            checked::RevocationOrder::CrlFirst => Order::CrlFirst,
        },
        http: HttpOptions { tls, reach: config.reach.clone(), ..defaults.http },
        ..defaults
    })
}

fn revocation(configured: checked::Revocation) -> Revocation {
    match configured {
        checked::Revocation::Hard => Revocation::Hard,
        checked::Revocation::Soft => Revocation::Soft,
        checked::Revocation::Off => Revocation::Off,
    }
}

fn authorities(certificates: &[Certificate]) -> Authorities {
    Authorities::from_bundle(certificates.to_vec())
}

/// What a gateway knows of the world outside, without anything that runs: for a look from the command line.
pub struct Outside {
    /// Finds participants.
    pub directory: Arc<dyn Directory>,
    /// The same, where they are found by DNS and SMP.
    pub dns: Option<Arc<DnsDirectory>>,
    /// Judges certificates.
    pub trust: Arc<dyn Trust>,
    /// How access points are connected to.
    pub as4: HttpOptions,
    /// The transport profiles of endpoints that are sent to.
    pub transport_profiles: Vec<String>,
}

impl Outside {
    /// As the configuration has it.
    ///
    /// # Errors
    /// [`StartError::Setup`].
    pub fn of(config: &checked::Gateway) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = trust_options(config).map_err(|why| StartError::Setup { what: "asking for revocation", why })?;
        let trust: Arc<dyn Trust> = Arc::new(CaTrust::new(options, Arc::clone(&clock)));
        let dns = dns_directory(config, &trust, &clock).map_err(|why| StartError::Setup { what: "discovery", why })?;
        Ok(Self {
            directory: match &dns {
                Some(dns) => Arc::clone(dns) as Arc<dyn Directory>,
                None => Arc::new(static_directory(config)),
            },
            dns,
            trust,
            as4: as4_http(config),
            transport_profiles: transport_profiles(config),
        })
    }
}

fn transport_profiles(config: &checked::Gateway) -> Vec<String> {
    match &config.discovery {
        checked::Discovery::Dns { transport_profiles, .. } => transport_profiles.clone(),
        checked::Discovery::Static(_) => vec![TRANSPORT_PROFILE.to_owned()],
    }
}

fn dns_directory(config: &checked::Gateway, trust: &Arc<dyn Trust>, clock: &Arc<dyn Clock>) -> Result<Option<Arc<DnsDirectory>>, String> {
    let checked::Discovery::Dns { sml_zone, resolvers, transport_profiles, cache, cache_stale, cache_absent, timeout } = &config.discovery else {
        return Ok(None);
    };
    let mut options = DirectoryOptions::new(sml_zone.clone());
    options.dns = DnsOptions {
        resolvers: resolvers.clone(), // Room for a second question, when the first or its answer is lost.
        timeout: *timeout / 3,
        ..DnsOptions::default()
    };
    options.http.exchange_timeout = *timeout;
    options.http.tls = Some(Arc::clone(&config.access_point.client_tls.config));
    options.http.reach = config.reach.clone();
    options.max_age = *cache;
    options.max_stale = *cache_stale;
    options.negative_max_age = *cache_absent;
    options.timeout = *timeout;
    options.transport_profiles.clone_from(transport_profiles);
    options.smp_signer.clone_from(&config.trust.smp_signer);
    options.smp_signer_name.clone_from(&config.trust.smp_signer_name);
    let directory = DnsDirectory::new(options, Arc::clone(trust), Arc::clone(clock)).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(directory)))
}

/// The participants that stand in the file; none where they are found by DNS and SMP.
fn static_directory(config: &checked::Gateway) -> StaticDirectory {
    let checked::Discovery::Static(participants) = &config.discovery else { return StaticDirectory::default() };
    let entry = |participant: &ParticipantId, endpoint: &str, access_point: &Certificate| StaticEntry {
        participant: participant.clone(),
        kinds: DocumentKind::ALL.to_vec(),
        endpoint: endpoint.to_owned(),
        access_point: access_point.clone(),
        transport_profile: TRANSPORT_PROFILE.into(),
        signing: Vec::new(),
        encryption: Vec::new(),
    };
    // What is ours need not stand there a second time; where it does, that counts.
    let point = &config.access_point;
    let own = config.organisations.iter().map(|own| {
        let encryption = own.decryption.iter().map(|key| key.certificate.clone()).collect();
        let entry = entry(&own.participant, point.public_url.as_str(), &point.identity.certificate);
        StaticEntry { signing: vec![own.signing.certificate.clone()], encryption, ..entry }
    });
    let others = participants.iter().map(|other| {
        let entry = entry(&other.id, other.endpoint.as_str(), &other.access_point);
        StaticEntry { signing: other.signing.clone(), encryption: other.encryption.clone(), ..entry }
    });
    StaticDirectory::new(own.chain(others))
}

fn as4_http(config: &checked::Gateway) -> HttpOptions {
    let access_point = &config.access_point;
    HttpOptions {
        // The operator vouches for what stands in the configuration.
        reach: if matches!(config.discovery, checked::Discovery::Static(_)) { Reach::Anywhere } else { config.reach.clone() },
        plain: if access_point.allow_plain_loopback { PlainHttp::Loopback } else { PlainHttp::Never },
        tls: Some(Arc::clone(&access_point.client_tls.config)),
        connect_timeout: access_point.connect_timeout,
        exchange_timeout: access_point.answer_timeout,
        ..HttpOptions::default()
    }
}

/// Octets of a request's body: the largest envelope, even if gzip makes nothing of it, with SOAP part and MIME.
fn max_body(access_point: &checked::AccessPoint) -> u64 {
    access_point.max_envelope.saturating_add(2 << 20)
}

fn as4_options(access_point: &checked::AccessPoint) -> As4ServerOptions {
    let tls = match (&access_point.tls, &access_point.proxy) {
        (Some(tls), _) => As4Tls::Tls(Arc::clone(&tls.config)),
        (None, Some(proxies)) => As4Tls::Proxied(Arc::new(proxies.clone())),
        (None, None) => As4Tls::LoopbackOnly,
    };
    let mut options = As4ServerOptions {
        path: access_point.path.clone(),
        connections: ConnectionLimits { total: access_point.max_connections as usize, per_peer: access_point.max_connections_per_address as usize },
        max_body: max_body(access_point),
        handshake_timeout: access_point.silence_timeout,
        head_timeout: access_point.silence_timeout,
        body_block_timeout: access_point.silence_timeout,
        body_timeout: access_point.request_timeout,
        ..As4ServerOptions::new(access_point.listen, tls)
    };
    if access_point.proxy.is_some() {
        // Everybody comes from the proxy's address.
        options.connections.per_peer = options.connections.total;
    }
    options
}

/// An address at which nothing is.
fn nowhere() -> SocketAddr {
    SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0))
}

/// AS4 goes over TLS and what it carries is encrypted to its receiver; what comes back to the sender are notices.
fn onward(config: &checked::Gateway) -> OnwardTls {
    let mut servers = std::iter::once(&config.mail_server).chain(&config.other_mail_servers);
    if servers.any(|server| matches!(server.security, checked::DeliverySecurity::Plain)) { OnwardTls::Uncertain } else { OnwardTls::Always }
}

fn admission(smtp: &checked::Smtp) -> Admission {
    let networks = smtp.clients.clone();
    let account = |account: &checked::SmtpAccount| Account {
        name: account.name.clone(),
        password: account.password.clone(),
        certificate_name: account.certificate_name.as_ref().map(ToString::to_string),
        mailboxes: account.mailboxes.clone(),
        originator: account.originator.clone(),
    };
    let pace = SenderPace {
        mails: Rate { minute: smtp.mails_per_minute, hour: smtp.mails_per_hour },
        recipients: Rate { minute: smtp.recipients_per_minute, hour: smtp.recipients_per_hour },
    };
    let admits = Box::new(move |address| networks.iter().any(|network| network.contains(address)));
    Admission::new(admits, smtp.accounts.iter().map(account).collect(), pace)
}

fn smtp_options(smtp: &checked::Smtp, onward: OnwardTls) -> SmtpServerOptions {
    let tls = match &smtp.tls {
        None => SmtpTls::Plain,
        Some(tls) if smtp.require_tls => SmtpTls::Required(Arc::clone(&tls.config)),
        Some(tls) => SmtpTls::Offered(Arc::clone(&tls.config)),
    };
    SmtpServerOptions {
        tls,
        connections: ConnectionLimits { total: smtp.max_connections as usize, per_peer: smtp.max_connections_per_address as usize },
        // MIME is larger than what it becomes: base64 with line ends, twice the text, headers. What counts is the
        // message on the wire, and that is counted at the end of the data.
        max_message: smtp.max_message + smtp.max_message / 2,
        max_recipients: smtp.max_recipients as usize,
        max_mails: smtp.max_mails,
        onward,
        command_timeout: smtp.timeout,
        ..SmtpServerOptions::new(smtp.listen, smtp.hostname.clone())
    }
}

fn settings(config: &checked::Gateway, scratch: std::path::PathBuf) -> Result<Settings, String> {
    let schedule = schedule(&config.retry, None, Patience::RealTime);
    Ok(Settings {
        name: config.name.clone(),
        domain: config.mail_domain.clone(),
        federation: config.federation.clone(),
        bringer: match config.trust.sender_access_point {
            checked::SenderAccessPoint::Approved => Bringer::Approved,
            checked::SenderAccessPoint::Registered => Bringer::Registered,
        },
        operator: config.operator.clone(),
        postmaster: MailAddress::new(format!("postmaster@{}", config.mail_domain)).map_err(|error| error.to_string())?,
        delivery: schedule.clone(),
        refused_types: jiff::SignedDuration::try_from(config.refused_types()).unwrap_or(jiff::SignedDuration::MAX),
        schedule,
        message: limits(config.access_point.max_message)?,
        sending: limits(config.max_message())?,
        reading: config.reading_url.as_ref().map(|url| url.as_str().to_owned()),
        scratch,
        transport_profiles: transport_profiles(config),
        expiry: expiry(config),
    })
}

/// Our own certificates that are in use, and the CAs. A key that decrypts what is left over may end.
fn expiry(config: &checked::Gateway) -> Expiry {
    const OWN: &str = "order a new one now and change it as docs/certificates.md says";
    const CA: &str = "its operator has a new one, which must be added to the configuration before";
    let mut watched = Vec::new();
    let mut watch = |what: String, certificate: &Certificate, hint| watched.push(Watched { what, certificate: certificate.clone(), hint });
    let point = &config.access_point;
    watch("the access point's certificate".into(), &point.identity.certificate, OWN);
    if let Some(tls) = &point.tls {
        watch("the TLS certificate of the AS4 endpoint".into(), &tls.certificate, OWN);
    }
    if let Some(certificate) = &point.client_tls.certificate {
        watch("the TLS certificate towards other access points".into(), certificate, OWN);
    }
    if let Some(tls) = config.smtp.as_ref().and_then(|smtp| smtp.tls.as_ref()) {
        watch("the TLS certificate of the SMTP server".into(), &tls.certificate, OWN);
    }
    for organisation in &config.organisations {
        let participant = &organisation.participant;
        watch(format!("the certificate that {participant} signs with"), &organisation.signing.certificate, OWN);
        let newest = organisation.decryption.iter().map(|identity| &identity.certificate).max_by_key(|certificate| certificate.not_before());
        if let Some(certificate) = newest.filter(|newest| **newest != organisation.signing.certificate) {
            watch(format!("the certificate that others encrypt to for {participant}"), certificate, OWN);
        }
    }
    for (whose, authorities) in
        [("access points", &config.trust.access_point), ("participants", &config.trust.participant), ("the SMP", &config.trust.smp)]
    {
        for ca in authorities {
            watch(format!("the CA certificate of {whose}"), ca, CA);
        }
    }
    Expiry { days: config.expiry_warnings.clone(), watched }
}

fn malware(configured: checked::Malware) -> Malware {
    let directions = match configured.directions {
        checked::ScanDirections::Both => Directions::Both,
        checked::ScanDirections::Out => Directions::Out,
        checked::ScanDirections::In => Directions::In,
    };
    let on_failure = match configured.on_failure {
        checked::OnScanFailure::Closed => OnFailure::Closed,
        checked::OnScanFailure::Open => OnFailure::Open,
    };
    Malware::new(Arc::new(Clamd::new(configured.clamd)), directions, on_failure, configured.alarm_after)
}

/// Says in the log what looks for malware. One that does not answer keeps nothing from starting: what needs it waits.
async fn report_scanner(malware: Option<&Malware>) {
    let Some(malware) = malware else {
        tracing::warn!("nothing looks for malware here: there is no section [malware]; the mail server has to");
        return;
    };
    match malware.version().await {
        Ok(version) => tracing::info!(version, "malware is looked for"),
        Err(error) => tracing::warn!(%error, "malware cannot be looked for"),
    }
}

fn limits(payload: u64) -> Result<MessageLimits, String> {
    usize::try_from(payload).map(|payload| MessageLimits { payload }).map_err(|error| error.to_string())
}

fn access_point(config: &checked::AccessPoint) -> AccessPoint {
    AccessPoint {
        name: config.name.clone(),
        identity: config.identity.clone(),
        others: config.others.clone(),
        public_url: config.public_url.as_str().to_owned(),
        pmode: PMode::sdk(config.name.clone()),
        limits: ReceiveLimits { payload: config.max_envelope, package: max_body(config), ..ReceiveLimits::default() },
    }
}

fn schedule(retry: &checked::Retry, hours: Option<Hours>, patience: Patience) -> Schedule {
    Schedule {
        first: retry.first,
        factor: retry.factor,
        longest: retry.longest,
        give_up: retry.give_up,
        delay_after: retry.delayed_notice_after,
        receipt_within: retry.receipt_timeout,
        hours,
        patience,
    }
}

fn household(organisations: Vec<checked::Organisation>, loops: checked::Loops) -> Household {
    let organisations = organisations.into_iter().map(|organisation| Organisation {
        participant: organisation.participant,
        name: organisation.name,
        signing: organisation.signing,
        decryption: organisation.decryption,
        mailboxes: organisation.mailboxes.into_iter().map(|own| mailbox(own, loops)).collect(),
        schedule: schedule(&organisation.retry, organisation.hours, organisation.patience),
    });
    Household { organisations: organisations.collect() }
}

/// How mails of a mailbox are converted.
pub(crate) fn policy(mailbox: &checked::Mailbox) -> MailboxPolicy {
    use crate::mail::policy::{History, InlineImages, PersonPolicy, Secrecy, SignedMail};
    MailboxPolicy {
        person: match mailbox.person {
            checked::PersonPolicy::None => PersonPolicy::None,
            checked::PersonPolicy::Name => PersonPolicy::Name,
            checked::PersonPolicy::NameAndAddress => PersonPolicy::NameAndAddress,
        },
        secrecy: if mailbox.confidential { Secrecy::Confidential } else { Secrecy::Open },
        types: if mailbox.file_types.is_empty() { AllowedTypes::default() } else { AllowedTypes::named(&mailbox.file_types) },
        history: match mailbox.history {
            checked::History::Keep => History::Keep,
            checked::History::Trim => History::Cut,
        },
        images: match mailbox.inline_images {
            checked::InlineImages::DropDecorative => InlineImages::DropDecorative,
            checked::InlineImages::Keep => InlineImages::Keep,
            checked::InlineImages::Drop => InlineImages::DropAll,
        },
        signed: match mailbox.signed_mail {
            checked::SignedMail::Unwrap => SignedMail::Unwrap,
            checked::SignedMail::Keep => SignedMail::Keep,
        },
    }
}

fn mailbox(mailbox: checked::Mailbox, loops: checked::Loops) -> Mailbox {
    let policy = policy(&mailbox);
    Mailbox {
        address: mailbox.address,
        function: mailbox.function,
        label: Some(mailbox.label),
        senders: mailbox.senders,
        deliver_to: mailbox.deliver_to,
        mail_server: mailbox.mail_server,
        mode: match mailbox.delivery {
            checked::DeliveryMode::Full => Mode::Full,
            checked::DeliveryMode::Notice => Mode::Notice(mailbox.remind_after),
        },
        policy,
        pace: Pace { messages: mailbox.loop_messages.unwrap_or(loops.messages), window: loops.window, hold: loops.hold },
        always_tell: mailbox.success_notice == checked::SuccessNotice::Always,
    }
}
