//! From what is written to what is ready: opens files and keys, and compares options with one another.
//!
//! A function here returns `None` only when an error is noted. Every file of a section is opened before the section
//! gives up, so that one run tells them all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::checked::{
    AccessPoint, Discovery, Gateway, Log, Mail, Organisation, Participant, Retry, Revocation, Role, StateStore, StaticParticipant, TrustAnchors,
    Warning,
};
use super::declare::Errors;
use super::environment::{self, Parts, environment};
use super::errors::ConfigError;
use super::limits::CommonLimits;
use super::raw;
use super::retention::Retained;
use super::values::HttpUrl;
use crate::crypto::Authorities;
use crate::edge::reach::{IpNetwork, Reach};
use crate::ident::{Domain, MailAddress, NodeName};
use crate::store::cipher::Rings;

/// A clock that differs more than this is wrong.
const LONGEST_SKEW: Duration = Duration::from_hours(1);

/// Checks one configuration.
pub(super) struct Checker<'a> {
    pub(super) base: &'a Path,
    pub(super) now: Timestamp,
    errors: &'a mut Errors,
    warnings: Vec<Warning>,
}

/// What holds for the whole file and is compared with its parts.
pub(super) struct Common {
    pub(super) name: Option<Domain>,
    mail_domain: Option<Domain>,
    pub(super) retry: Option<Retry>,
    pub(super) retention: Option<Retained>,
    pub(super) limits: Option<CommonLimits>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(base: &'a Path, now: Timestamp, errors: &'a mut Errors) -> Self {
        Self { base, now, errors, warnings: Vec::new() }
    }

    pub(super) fn gateway(mut self, mut raw: raw::Root) -> Option<Gateway> {
        let role = raw.node.as_ref().and_then(|node| node.role).unwrap_or(Role::Both);
        let store = raw.store.take().and_then(|raw| self.store(raw));
        if role != Role::Both && matches!(store, Some(StateStore::Local(_))) {
            let hint = "the other side's work reaches this node only through a database that both use";
            self.error(ConfigError::new("node.role", "cannot be alone with state that is on this machine only").hint(hint));
        }
        let mut retry = raw.retry.take();
        let delivery = retry.as_mut().and_then(|raw| raw.delivery.take());
        let retry = retry.and_then(|raw| self.retry(raw));
        let delivery = self.delivery(delivery.as_ref(), retry);
        let retention = raw.retention.take().and_then(|raw| self.retention(&raw));
        let limits = raw.limits.take().and_then(|raw| Self::limits(&raw));
        let common = Common { name: raw.name.take(), mail_domain: raw.mail_domain.take(), retry, retention, limits };
        let only_here = is_only_here(raw.access_point.as_ref(), raw.discovery.as_ref());
        let reach = self.reach(raw.access_point.as_ref(), raw.discovery.as_ref(), only_here);
        let access_point = raw.access_point.take().and_then(|raw| self.access_point(raw));
        let trust = raw.trust.take().and_then(|raw| self.trust(raw, only_here));
        let discovery = raw.discovery.take().and_then(|raw| self.discovery(raw));
        let (mut participants, mut organisations) = (None, None);
        match (raw.organisation.take(), role) {
            (Some(raw), Role::AccessPoint) => participants = self.participants(raw, &common),
            (Some(raw), Role::Mail | Role::Both) => {
                organisations = self.organisations(raw, &common);
                participants = organisations.as_ref().map(|all| all.iter().map(Participant::from).collect());
            }
            (None, _) => {}
        }
        let max_envelope = access_point.as_ref().map(|access_point| access_point.max_envelope);
        if let (Some(envelope), Some(message)) = (max_envelope, raw.max_incoming_message) {
            self.sizes(envelope, message.0);
        }
        let federation = raw.federation.clone();
        let (memory, state_dir, log, expiry_warnings) =
            (raw.memory, raw.state_dir.take().map(|dir| self.base.join(dir)), raw.log.take(), raw.expiry_warnings.take());
        let audit = raw.audit.take().and_then(|raw| self.audit(raw));
        let node = raw.node.take().and_then(|raw| raw.name).or_else(|| common.name.as_ref().and_then(node_name));
        let encryption = raw.encryption.take().map(|raw| self.encryption(raw, state_dir.as_deref(), role));
        if let (Some(access_point), Some(organisations)) = (&access_point, &organisations) {
            self.keys_apart(access_point, organisations);
        }
        if let (Some(access_point), Some(trust)) = (&access_point, &trust) {
            self.own_environment(access_point, trust);
        }
        if let (Some(organisations), Some(trust)) = (&organisations, &trust) {
            self.own_participants(organisations, trust);
        }
        if let Some(trust) = &trust {
            self.one_environment(&Parts {
                federation: federation.as_ref(),
                access_point: access_point.as_ref(),
                trust,
                discovery: discovery.as_ref(),
                organisations: organisations.as_deref().unwrap_or_default(),
            });
        }
        let mail = match role {
            Role::AccessPoint => None,
            Role::Mail | Role::Both => self.mail(raw, organisations, &common),
        };
        let trust = trust?;
        Some(Gateway {
            environment: environment(&trust),
            name: common.name?,
            mail_domain: common.mail_domain?,
            federation: federation?,
            node: node?,
            state_dir: state_dir?,
            store: store?,
            file: PathBuf::new(),
            encryption: match encryption {
                Some(encryption) => encryption?,
                None => Rings::default(),
            },
            memory: memory?.0,
            participants: participants?,
            access_point: if role == Role::Mail { None } else { Some(access_point?) },
            mail: if role == Role::AccessPoint { None } else { Some(mail?) },
            trust,
            discovery: discovery?,
            reach,
            retry: retry?,
            retention: retention?,
            audit: audit?,
            delivery: delivery?,
            log: log.and_then(|raw| Some(Log { format: raw.format?, level: raw.level? }))?,
            expiry_warnings: expiry_warnings?,
            warnings: self.warnings,
        })
    }

    /// The mail side, whose parts are compared with one another.
    fn mail(&mut self, raw: raw::Root, organisations: Option<Vec<Organisation>>, common: &Common) -> Option<Mail> {
        if let Some(operator) = &raw.operator {
            self.outside(common, "operator", operator);
        }
        let smtp = raw.smtp.map(|raw| self.smtp(raw, common));
        let server = raw.mail_server.and_then(|raw| self.mail_server("mail-server", raw, common));
        let other_servers = self.other_mail_servers(raw.other_mail_server.unwrap_or_default(), common);
        let loops = raw.loops.and_then(|raw| self.loops(raw));
        let malware = raw.malware.map(|raw| self.malware(raw));
        if let (Some(Some(smtp)), Some(organisations)) = (&smtp, &organisations) {
            self.accounts_mailboxes(smtp, organisations);
        }
        if let Some(organisations) = &organisations {
            self.mail_servers_known(organisations, server.as_ref(), other_servers.as_deref());
        }
        if smtp.is_none() {
            self.sources(organisations.as_deref().unwrap_or_default());
        }
        Some(Mail {
            operator: raw.operator?,
            max_incoming: raw.max_incoming_message?.0,
            smtp: match smtp {
                Some(smtp) => Some(smtp?),
                None => None,
            },
            server: server?,
            other_servers: other_servers?,
            reading_url: raw.reading_url,
            loops: loops?,
            malware: match malware {
                Some(malware) => Some(malware?),
                None => None,
            },
            organisations: organisations?,
        })
    }

    fn trust(&mut self, raw: raw::Trust, only_here: bool) -> Option<TrustAnchors> {
        let mut read = |at: &str, paths: Option<Vec<PathBuf>>| paths.and_then(|paths| self.certificates(at, paths));
        let access_point = read("trust.access-point-ca", raw.access_point_ca);
        let participant = read("trust.participant-ca", raw.participant_ca);
        let smp = read("trust.smp-ca", raw.smp_ca);
        let smp_signer = raw.smp_signer.map(|path| self.certificate("trust.smp-signer", path));
        let revocation_ca = raw.revocation_ca.map(|paths| self.certificates("trust.revocation-ca", paths));
        let all = [
            ("trust.revocation", raw.revocation),
            ("trust.participant-revocation", raw.participant_revocation),
            ("trust.smp-revocation", raw.smp_revocation),
        ];
        for (at, _) in all.into_iter().filter(|(_, revocation)| *revocation == Some(Revocation::Off) && !only_here) {
            let hint = "\"soft\" goes on where revocation cannot be checked";
            let reason = "is allowed only where endpoint, name servers and participants are all on this machine";
            self.error(ConfigError::new(at, reason).text("off").hint(hint));
        }
        let skew = raw.clock_skew.map(|skew| skew.0);
        if skew.is_some_and(|skew| skew > LONGEST_SKEW) {
            self.error(ConfigError::new("trust.clock-skew", "is longer than an hour").hint("set the machine's clock (chrony, systemd-timesyncd)"));
        }
        let mut trust = TrustAnchors {
            access_point: access_point?,
            participant: participant?,
            smp: smp?,
            smp_signer: match smp_signer {
                Some(signer) => Some(signer?),
                None => None,
            },
            smp_signer_name: raw.smp_signer_name.map(|name| name.0),
            sender_access_point: raw.sender_access_point?,
            revocation: raw.revocation?,
            participant_revocation: raw.participant_revocation.or(raw.revocation)?,
            smp_revocation: raw.smp_revocation.or(raw.revocation)?,
            revocation_order: raw.revocation_order?,
            revocation_ca: match revocation_ca {
                Some(ca) => Some(ca?),
                None => None,
            },
            revocation_cache: raw.revocation_cache?.0,
            revocation_grace: raw.revocation_grace.map(|grace| grace.0).unwrap_or_default(),
            clock_skew: skew?,
            elsewhere: Vec::new(),
        };
        trust.elsewhere = environment::elsewhere(&trust);
        Some(trust)
    }

    /// What SMP, endpoints and revocation lists may be, whose addresses others name.
    fn reach(&mut self, access_point: Option<&raw::AccessPoint>, discovery: Option<&raw::Discovery>, only_here: bool) -> Reach {
        const LOOPBACK: &str = "discovery.allow-plain-loopback";
        let mut networks = discovery.and_then(|raw| raw.allow_networks.clone()).unwrap_or_default();
        for (i, network) in networks.iter().enumerate().filter(|(_, network)| network.is_everything()) {
            let hint = "name the networks that the SMP, endpoints or revocation lists lie in; leave the option out when they lie in the internet";
            self.error(ConfigError::new(format!("discovery.allow-networks[{i}]"), "allows every address there is").text(network).hint(hint));
        }
        let here = discovery.and_then(|raw| raw.allow_plain_loopback) == Some(true);
        if here && !only_here {
            self.warn(LOOPBACK, "lets addresses that others name lead to this machine, although not everything is on it: it is for tests");
        }
        if here || access_point.and_then(|raw| raw.allow_plain_loopback) == Some(true) {
            networks.extend(IpNetwork::loopback());
        }
        Reach::Public(networks)
    }

    fn discovery(&mut self, raw: raw::Discovery) -> Option<Discovery> {
        match raw.mode? {
            raw::DiscoveryMode::Dns => {
                if raw.sml_zone.is_none() {
                    let hint = "the federation's operator tells it; it stands in no public paper and has no default";
                    self.error(ConfigError::new("discovery.sml-zone", "is missing, with mode = \"dns\"").hint(hint));
                }
                if raw.participant.is_some_and(|participants| !participants.is_empty()) {
                    self.error(
                        ConfigError::new("discovery.participant", "has no meaning with mode = \"dns\"").hint("say mode = \"static\", or remove it"),
                    );
                }
                let profiles: Vec<String> = raw.transport_profiles?.into_iter().map(|profile| profile.0).collect();
                if profiles.is_empty() {
                    self.error(ConfigError::new("discovery.transport-profiles", "is empty: nobody could be sent to"));
                }
                Some(Discovery::Dns {
                    transport_profiles: profiles,
                    sml_zone: raw.sml_zone?,
                    resolvers: raw.resolvers.unwrap_or_default(),
                    cache: raw.cache?.0,
                    cache_stale: raw.cache_stale?.0,
                    cache_absent: raw.cache_absent?.0,
                    timeout: raw.timeout?.0,
                })
            }
            raw::DiscoveryMode::Static => {
                let allow_plain_loopback = raw.allow_plain_loopback.unwrap_or_default();
                let raw = raw.participant.unwrap_or_default();
                if raw.is_empty() {
                    let hint = "add a section [[discovery.participant]]";
                    self.error(ConfigError::new("discovery.participant", "is missing, with mode = \"static\"").hint(hint));
                }
                let read: Vec<_> = raw.into_iter().enumerate().map(|(i, raw)| self.static_participant(i, raw, allow_plain_loopback)).collect();
                let participants: Vec<StaticParticipant> = read.into_iter().collect::<Option<_>>()?;
                for (i, participant) in participants.iter().enumerate() {
                    if participants.iter().take(i).any(|other| other.id == participant.id) {
                        let at = format!("discovery.participant[{i}].id");
                        self.error(ConfigError::new(at, "stands twice").text(&participant.id));
                    }
                }
                Some(Discovery::Static(participants))
            }
        }
    }

    fn static_participant(&mut self, index: usize, raw: raw::StaticParticipant, plain: bool) -> Option<StaticParticipant> {
        let at = |key: &str| format!("discovery.participant[{index}].{key}");
        if let Some(endpoint) = &raw.endpoint {
            self.encrypted(&at("endpoint"), endpoint, plain);
        }
        let access_point = raw.access_point_certificate.and_then(|path| self.certificate(&at("access-point-certificate"), path));
        let signing = raw.signing_certificate.and_then(|paths| self.certificates(&at("signing-certificate"), paths));
        let encryption = raw.encryption_certificate.map(|paths| self.certificates(&at("encryption-certificate"), paths));
        let signing = signing?;
        let encryption = encryption.unwrap_or_else(|| Some(signing.clone()))?;
        Some(StaticParticipant { id: raw.id?, endpoint: raw.endpoint?, access_point: access_point?, signing, encryption })
    }

    /// The access point's certificate belongs to the environment whose CAs are trusted: the commonest mix-up.
    fn own_environment(&mut self, access_point: &AccessPoint, trust: &TrustAnchors) {
        let authorities = Authorities::new(trust.access_point.clone(), Vec::new());
        if let Err(error) = authorities.chain(&access_point.identity.certificate, &access_point.identity.chain, self.now) {
            let hint = "key and CAs must be of one environment: open test, QA or production";
            self.error(
                ConfigError::new("access-point.key", format!("has a certificate that trust.access-point-ca does not lead to: {error}")).hint(hint),
            );
        }
    }

    /// Receivers trust about the same participant CAs as we do. Their lists may be longer, so this is no error.
    fn own_participants(&mut self, organisations: &[Organisation], trust: &TrustAnchors) {
        let authorities = Authorities::new(trust.participant.clone(), Vec::new());
        for (i, organisation) in organisations.iter().enumerate() {
            if let Err(error) = authorities.chain(&organisation.signing.certificate, &organisation.signing.chain, self.now) {
                let what = format!("has a certificate that trust.participant-ca does not lead to, so receivers may refuse it: {error}");
                self.warn(&format!("organisation[{i}].key"), &what);
            }
        }
    }

    /// An address that the mail server delivers itself: one in the gateway's domain would come back here.
    pub(super) fn outside(&mut self, common: &Common, at: &str, address: &MailAddress) {
        let Some(domain) = &common.mail_domain else { return };
        let own = address.domain().to_lowercase();
        let gateway = domain.folded();
        if own == gateway || own.ends_with(&format!(".{gateway}")) {
            let hint = "mail to that domain is routed to the gateway; this must be an address on the mail server";
            self.error(ConfigError::new(at, format!("is in mail-domain ({domain})")).text(address).hint(hint));
        }
    }

    /// Plain http leads to this machine only, and only where that is allowed.
    pub(super) fn encrypted(&mut self, at: &str, url: &HttpUrl, allowed: bool) {
        if url.is_plain() && !(allowed && url.is_loopback()) {
            let hint = "use https; http is for this machine only, with allow-plain-loopback = true";
            self.error(ConfigError::new(at, "is without TLS").text(url).hint(hint));
        }
    }

    pub(super) fn error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    pub(super) fn warn(&mut self, path: &str, what: &str) {
        self.warnings.push(Warning { path: path.to_owned(), what: what.to_owned() });
    }
}

/// What a node is called that says nothing else: the first part of the gateway's name.
fn node_name(gateway: &Domain) -> Option<NodeName> {
    NodeName::new(gateway.as_str().split('.').next()?).ok()
}

/// Whether everything that certificates guard is on this machine.
fn is_only_here(access_point: Option<&raw::AccessPoint>, discovery: Option<&raw::Discovery>) -> bool {
    let own = access_point
        .is_none_or(|raw| raw.listen.is_some_and(|listen| listen.ip().is_loopback()) && raw.public_url.as_ref().is_some_and(HttpUrl::is_loopback));
    own && discovery.is_some_and(|raw| match raw.mode {
        Some(raw::DiscoveryMode::Static) => {
            raw.participant.iter().flatten().all(|participant| participant.endpoint.as_ref().is_some_and(HttpUrl::is_loopback))
        }
        _ => raw.resolvers.as_ref().is_some_and(|resolvers| !resolvers.is_empty() && resolvers.iter().all(|resolver| resolver.ip().is_loopback())),
    })
}
