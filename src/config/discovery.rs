//! How participants are found, and where the addresses that others name may lead.

use std::net::SocketAddr;
use std::time::Duration;

use super::check::Checker;
use super::errors::ConfigError;
use super::raw;
use super::values::HttpUrl;
use crate::crypto::Certificate;
use crate::edge::reach::{IpNetwork, Reach};
use crate::ident::{Domain, ParticipantId};

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

impl Checker<'_> {
    /// What SMP, endpoints and revocation lists may be, whose addresses others name.
    pub(super) fn reach(&mut self, access_point: Option<&raw::AccessPoint>, discovery: Option<&raw::Discovery>, only_here: bool) -> Reach {
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

    pub(super) fn discovery(&mut self, raw: raw::Discovery) -> Option<Discovery> {
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
}
