//! From what is written to what is ready: opens files and keys, and compares options with one another.
//!
//! A function here returns `None` only when an error is noted. Every file of a section is opened before the section
//! gives up, so that one run tells them all.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::checked::{Gateway, Log, Mail, Organisation, Participant, Retry, Role, StateStore, Warning};
use super::declare::Errors;
use super::environment::{Parts, environment};
use super::errors::ConfigError;
use super::limits::CommonLimits;
use super::raw;
use super::retention::Retained;
use super::values::HttpUrl;
use crate::ident::{Domain, MailAddress, NodeName};
use crate::store::cipher::Rings;

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
        let delivery = self.delivery(delivery, retry);
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
