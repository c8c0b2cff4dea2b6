//! The access point: its keys and name, its endpoint and who may connect, and how it connects to others.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::check::Checker;
use super::checked::Revocation;
use super::errors::ConfigError;
use super::keys::{KeyFiles, Purpose};
use super::raw;
use super::values::HttpUrl;
use crate::crypto::{Certificate, Identity};
use crate::edge::forwarded::Proxies;
use crate::edge::tls::{ClientAuth, Roots, bears_name, client_config};
use crate::ident::AccessPointId;
use crate::sdk::envelope::MAX_ENVELOPE;

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

impl Checker<'_> {
    pub(super) fn access_point(&mut self, raw: raw::AccessPoint) -> Option<AccessPoint> {
        let files = KeyFiles { key: raw.key, password: raw.key_password_file, certificate: raw.certificate };
        let identity = self.identity("access-point", files, Purpose::Both);
        let others = raw.other_key.unwrap_or_default().into_iter().enumerate().map(|(i, raw)| {
            let files = KeyFiles { key: raw.key, password: raw.key_password_file, certificate: raw.certificate };
            self.identity(&format!("access-point.other-key[{i}]"), files, Purpose::Decrypt)
        });
        let others: Vec<_> = others.collect();
        let (tls_given, proxy_given) = (raw.tls.is_some(), raw.proxy.is_some());
        let client_revocation = raw.tls.as_ref().map(|tls| tls.client_revocation).or(raw.proxy.as_ref().map(|proxy| proxy.client_revocation));
        if tls_given && proxy_given {
            let hint = "the endpoint ends TLS itself, or a proxy does: remove one of the sections";
            self.error(ConfigError::new("access-point.proxy", "stands beside access-point.tls").hint(hint));
        }
        let tls = raw.tls.map(|tls| self.endpoint_tls(tls));
        let proxy = raw.proxy.map(|proxy| self.proxy(proxy));
        let client_tls = raw.client_tls.and_then(|raw| self.client_tls(raw));
        let allowed = raw.allow_plain_loopback.unwrap_or_default();
        if let Some(url) = &raw.public_url {
            self.encrypted("access-point.public-url", url, allowed);
        }
        if let Some(listen) = raw.listen
            && !tls_given
            && !proxy_given
            && !(allowed && listen.ip().is_loopback())
        {
            let hint = "add a section [access-point.tls]; without TLS it listens on this machine only, with allow-plain-loopback = true";
            self.error(ConfigError::new("access-point.listen", "listens without TLS").text(listen).hint(hint));
        }
        for (at, number) in [
            ("max-connections", raw.max_connections),
            ("max-connections-per-address", raw.max_connections_per_address),
            ("max-sends", raw.max_sends),
            ("max-sends-per-destination", raw.max_sends_per_destination),
        ] {
            if number == Some(0) {
                self.error(ConfigError::new(format!("access-point.{at}"), "lets nobody in, or nothing out").value(0));
            }
        }
        if let Some(envelope) = raw.max_envelope.filter(|envelope| envelope.0 > MAX_ENVELOPE as u64) {
            self.error(ConfigError::new("access-point.max-envelope", format!("is more than {MAX_ENVELOPE} octets")).value(envelope.0));
        }
        let named = identity.map(|identity| (self.access_point_name(raw.name, &identity.certificate), identity));
        if let (Some(Some((_, tls))), Some(url), Some(path)) = (&tls, &raw.public_url, &raw.path) {
            self.reachable_as_told(tls, url, &path.0);
        }
        let (mut client_ca, mut own_tls, mut proxies) = (Vec::new(), None, None);
        if let Some(tls) = tls {
            let (ca, tls) = tls?;
            (client_ca, own_tls) = (ca, Some(tls));
        }
        if let Some(proxy) = proxy {
            let (ca, proxy) = proxy?;
            (client_ca, proxies) = (ca, Some(proxy));
        }
        let (name, identity) = named?;
        let others: Vec<Identity> = others.into_iter().collect::<Option<_>>()?;
        for (i, other) in others.iter().enumerate().filter(|(_, other)| other.certificate.common_name() != identity.certificate.common_name()) {
            let (at, other) = (format!("access-point.other-key[{i}].key"), other.certificate.common_name().unwrap_or_default());
            self.warn(&at, &format!("has a certificate of another name, {other}: other access points know this one by its name"));
        }
        Some(AccessPoint {
            name: name?,
            identity,
            others,
            listen: raw.listen?,
            path: raw.path?.0,
            public_url: raw.public_url?,
            max_envelope: raw.max_envelope?.0,
            max_sends: raw.max_sends?,
            max_sends_per_destination: raw.max_sends_per_destination?,
            max_connections: raw.max_connections?,
            max_connections_per_address: raw.max_connections_per_address?,
            max_requests_per_client: raw.max_requests_per_client?,
            silence_timeout: raw.silence_timeout?.0,
            request_timeout: raw.request_timeout?.0,
            connect_timeout: raw.connect_timeout?.0,
            answer_timeout: raw.answer_timeout?.0,
            allow_plain_loopback: allowed,
            tls: own_tls,
            proxy: proxies,
            client_ca,
            client_revocation: client_revocation.unwrap_or(Some(Revocation::Off))?,
            client_tls: client_tls?,
        })
    }

    /// A message that is taken must fit its envelope.
    pub(super) fn sizes(&mut self, envelope: u64, message: u64) {
        let needed = message.saturating_add(message / 2);
        if needed > envelope {
            let hint = "encryption and base64 make an envelope a third larger than its message, with line ends nearly a half";
            let error = ConfigError::new("max-incoming-message", format!("does not fit an envelope of {envelope} octets"));
            self.error(error.value(message).hint(hint));
        }
    }

    /// What peers are told in SMP must be what they find here.
    fn reachable_as_told(&mut self, tls: &ServerTls, url: &HttpUrl, path: &str) {
        const AT: &str = "access-point.public-url";
        if !bears_name(&tls.certificate, url.host()) {
            let name = tls.certificate.common_name().unwrap_or_default();
            let hint = "others refuse to connect; the name must stand among the certificate's subject alternative names";
            self.error(
                ConfigError::new(AT, format!("names a host that access-point.tls.key's certificate ({name}) does not bear")).text(url).hint(hint),
            );
        }
        if url.path() != path {
            let hint = "nothing stands between others and the endpoint that could change the path";
            self.error(ConfigError::new(AT, format!("has another path than access-point.path, {path}")).text(url).hint(hint));
        }
    }

    // SDK C3.2.1 2.3.1.j: a party is named by its certificate.
    fn access_point_name(&mut self, given: Option<AccessPointId>, certificate: &Certificate) -> Option<AccessPointId> {
        let common_name = certificate.common_name().and_then(|name| AccessPointId::new(name).ok());
        match (given, common_name) {
            (_, None) => {
                self.error(ConfigError::new("access-point.key", "has a certificate without a usable common name"));
                None
            }
            (Some(given), Some(name)) if given != name => {
                let error = ConfigError::new("access-point.name", format!("is not the common name of the certificate, {name}"));
                self.error(error.text(given).hint("leave it out, or see whether the key is the right one"));
                None
            }
            (_, name) => name,
        }
    }

    fn endpoint_tls(&mut self, raw: raw::ServerTls) -> Option<(Vec<Certificate>, ServerTls)> {
        const AT: &str = "access-point.tls";
        let files = KeyFiles { key: raw.key, password: raw.key_password_file, certificate: raw.certificate };
        let identity = self.tls_identity(AT, files);
        let (clients, roots) = self.client_roots(AT, raw.clients, raw.client_ca)?;
        let tls = self.server_tls(AT, identity?, auth(clients, &roots))?;
        Some((roots, tls))
    }

    fn proxy(&mut self, raw: raw::Proxy) -> Option<(Vec<Certificate>, Proxies)> {
        const AT: &str = "access-point.proxy";
        for (i, network) in raw.from.iter().flatten().enumerate().filter(|(_, network)| network.is_everything()) {
            let hint = "name the proxy's own addresses; anyone else could claim to be any access point";
            self.error(ConfigError::new(format!("{AT}.from[{i}]"), "lets the whole world in").text(network).hint(hint));
        }
        if raw.from.as_ref().is_some_and(Vec::is_empty) {
            self.error(ConfigError::new(format!("{AT}.from"), "is empty: nobody could connect"));
        }
        let (clients, roots) = self.client_roots(AT, raw.clients, raw.client_ca)?;
        let proxies = self.tls_built(AT, Proxies::new(raw.from?, raw.header?, auth(clients, &roots)))?;
        Some((roots, proxies))
    }

    /// The CAs of those who connect.
    fn client_roots(
        &mut self,
        at: &str,
        clients: Option<raw::ClientCertificates>,
        ca: Option<Vec<PathBuf>>,
    ) -> Option<(raw::ClientCertificates, Vec<Certificate>)> {
        let at = format!("{at}.client-ca");
        let ca = ca.map(|paths| self.certificates(&at, paths));
        let clients = clients?;
        let roots = match (clients, ca) {
            (raw::ClientCertificates::None, _) => Some(Vec::new()),
            (_, Some(roots)) => roots,
            (_, None) => {
                let hint = "name the CAs of other access points' TLS certificates, or say clients = \"none\"";
                self.error(ConfigError::new(at, "is missing").hint(hint));
                None
            }
        }?;
        Some((clients, roots))
    }

    fn client_tls(&mut self, raw: raw::ClientTls) -> Option<ClientTls> {
        const AT: &str = "access-point.client-tls";
        let roots = match raw.ca {
            Some(paths) => Some(self.certificates("access-point.client-tls.ca", paths)?),
            None => None,
        };
        let identity = match raw.key {
            Some(key) => Some(self.tls_identity(AT, KeyFiles { key: Some(key), password: raw.key_password_file, certificate: raw.certificate })?),
            None => None,
        };
        let roots = roots.as_deref().map_or(Roots::System, Roots::Only);
        let config = self.tls_built(AT, client_config(roots, identity.as_ref().map(|(identity, _)| identity)))?;
        Some(ClientTls { config, certificate: identity.map(|(_, certificate)| certificate) })
    }
}

fn auth(clients: raw::ClientCertificates, roots: &[Certificate]) -> ClientAuth<'_> {
    match clients {
        raw::ClientCertificates::None => ClientAuth::None,
        raw::ClientCertificates::Optional => ClientAuth::Optional(roots),
        raw::ClientCertificates::Required => ClientAuth::Required(roots),
    }
}
