//! The access point's side of a configuration.

use std::sync::Arc;

use super::outside::as4_http;
use crate::as4::pmode::PMode;
use crate::as4::receive::ReceiveLimits;
use crate::config::checked;
use crate::edge::as4_client::As4Client;
use crate::edge::as4_server::{As4ServerOptions, As4Tls};
use crate::edge::http::HttpOptions;
use crate::edge::serving::ConnectionLimits;
use crate::edge::tap::Tap;
use crate::inbound::receive::Bringer;
use crate::worker::{AccessPoint, AccessPointSide, Acquaintances, Node};

/// The side, and the endpoint that is to be opened for it.
pub(super) fn wire(
    config: &checked::Gateway,
    point: &checked::AccessPoint,
    tap: Option<Arc<dyn Tap>>,
    node: &Arc<Node>,
) -> (Arc<AccessPointSide>, As4ServerOptions) {
    let transport = Arc::new(As4Client::new(HttpOptions { tap, ..as4_http(config, point) }));
    let access_point = access_point(point, config.trust.sender_access_point);
    let side = AccessPointSide { node: Arc::clone(node), transport, access_point, acquaintances: Acquaintances::default() };
    (Arc::new(side), as4_options(point))
}

fn access_point(config: &checked::AccessPoint, bringer: checked::SenderAccessPoint) -> AccessPoint {
    AccessPoint {
        name: config.name.clone(),
        identity: config.identity.clone(),
        others: config.others.clone(),
        public_url: config.public_url.as_str().to_owned(),
        pmode: PMode::sdk(config.name.clone()),
        limits: ReceiveLimits { payload: config.max_envelope, package: max_body(config), ..ReceiveLimits::default() },
        bringer: match bringer {
            checked::SenderAccessPoint::Approved => Bringer::Approved,
            checked::SenderAccessPoint::Registered => Bringer::Registered,
        },
    }
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
        requests_per_client: access_point.max_requests_per_client as usize,
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

/// Octets of a request's body: the largest envelope, even if gzip makes nothing of it, with SOAP part and MIME.
fn max_body(access_point: &checked::AccessPoint) -> u64 {
    access_point.max_envelope.saturating_add(2 << 20)
}
