//! What a configuration says of the world outside: who is found how, who is trusted, how access points are reached.

use std::sync::Arc;

use super::StartError;
use crate::config::checked;
use crate::crypto::{Authorities, Certificate};
use crate::edge::clock::SystemClock;
use crate::edge::directory::{DirectoryOptions, DnsDirectory, StaticDirectory, StaticEntry};
use crate::edge::dns::DnsOptions;
use crate::edge::http::{HttpOptions, PlainHttp};
use crate::edge::reach::Reach;
use crate::edge::tls::{self, Roots};
use crate::edge::trust::{CaTrust, Order, Revocation, TrustOptions};
use crate::ident::{DocumentKind, ParticipantId};
use crate::outbound::address::TRANSPORT_PROFILE;
use crate::port::{Clock, Directory, Realm, Trust};

/// What a gateway knows of the world outside, without anything that runs: for a look from the command line.
pub struct Outside {
    /// Finds participants.
    pub directory: Arc<dyn Directory>,
    /// The same, where they are found by DNS and SMP.
    pub dns: Option<Arc<DnsDirectory>>,
    /// Judges certificates.
    pub trust: Arc<dyn Trust>,
    /// How access points are connected to; a mail node has no way there.
    pub as4: Option<HttpOptions>,
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
            as4: config.access_point.as_ref().map(|point| as4_http(config, point)),
            transport_profiles: transport_profiles(config),
        })
    }
}

pub(super) fn transport_profiles(config: &checked::Gateway) -> Vec<String> {
    match &config.discovery {
        checked::Discovery::Dns { transport_profiles, .. } => transport_profiles.clone(),
        checked::Discovery::Static(_) => vec![TRANSPORT_PROFILE.to_owned()],
    }
}

fn trust_options(config: &checked::Gateway) -> Result<TrustOptions, String> {
    let (trust, point) = (&config.trust, config.access_point.as_ref());
    let callers = point.map(|point| point.client_ca.clone()).unwrap_or_default();
    let defaults = TrustOptions::default();
    let realms =
        [(Realm::AccessPoint, &trust.access_point), (Realm::Participant, &trust.participant), (Realm::Smp, &trust.smp), (Realm::TlsClient, &callers)];
    // A system without CAs can still ask by http.
    let tls = match &trust.revocation_ca {
        Some(ca) => Some(tls::client_config(Roots::Only(ca), None).map_err(|error| error.to_string())?),
        None => tls::client_config(Roots::System, None).ok(),
    };
    Ok(TrustOptions {
        authorities: realms.into_iter().map(|(realm, certificates)| (realm, authorities(certificates))).collect(),
        revocation: revocation(trust.revocation),
        client_revocation: point.map_or(Revocation::Off, |point| revocation(point.client_revocation)),
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
    options.http.tls = Some(match &config.access_point {
        Some(point) => Arc::clone(&point.client_tls.config),
        None => tls::client_config(Roots::System, None).map_err(|error| error.to_string())?,
    });
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
    // What is ours need not stand there a second time, as far as this node knows it; where it does, that counts.
    let own = config.access_point.iter().flat_map(|point| {
        config.participants.iter().map(|own| {
            let entry = entry(&own.id, point.public_url.as_str(), &point.identity.certificate);
            let Some(keys) = config.organisation(&own.id) else { return entry };
            let encryption = keys.decryption.iter().map(|key| key.certificate.clone()).collect();
            StaticEntry { signing: vec![keys.signing.certificate.clone()], encryption, ..entry }
        })
    });
    let others = participants.iter().map(|other| {
        let entry = entry(&other.id, other.endpoint.as_str(), &other.access_point);
        StaticEntry { signing: other.signing.clone(), encryption: other.encryption.clone(), ..entry }
    });
    StaticDirectory::new(own.chain(others))
}

pub(super) fn as4_http(config: &checked::Gateway, access_point: &checked::AccessPoint) -> HttpOptions {
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
