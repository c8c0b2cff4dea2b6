//! What a testbed is: its zone, its ports and the sizes of its keys.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::TestbedError;
use crate::ident::Domain;

/// How a new testbed is made. For one that exists already these are not looked at.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bits of access points' RSA keys. 3072, as in the real federation.
    pub access_point_bits: u32,
    /// Bits of participants' RSA keys. 4096, the largest seen in the real federation.
    pub participant_bits: u32,
    /// Bits of all other keys: the CAs', the SMP's, TLS. 3072.
    pub other_bits: u32,
    /// The zone of the name server; none means `sml.sdk.test`.
    pub sml_zone: Option<Domain>,
    /// The name server's port; the SMP, the revocation lists and the OCSP responders have the three after it. None means free ones.
    pub port: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self { access_point_bits: 3072, participant_bits: 4096, other_bits: 3072, ..Self::small() }
    }
}

impl Options {
    /// 2048 bits everywhere: for tests, where keys are made by the dozen.
    #[must_use]
    pub fn small() -> Self {
        Self { access_point_bits: 2048, participant_bits: 2048, other_bits: 2048, sml_zone: None, port: None }
    }
}

/// What a testbed is, as `testbed.json` has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) sml_zone: Domain,
    pub(super) dns_port: u16,
    pub(super) smp_port: u16,
    pub(super) crl_port: u16,
    pub(super) ocsp_port: u16,
    pub(super) access_point_bits: u32,
    pub(super) participant_bits: u32,
    pub(super) other_bits: u32,
}

impl Settings {
    pub(super) fn new(options: &Options) -> Result<Self, TestbedError> {
        let sml_zone = match &options.sml_zone {
            Some(zone) => zone.clone(),
            // RFC 6761 6.2 keeps `test` for this.
            None => Domain::new("sml.sdk.test").map_err(|error| TestbedError::Broken(error.to_string()))?,
        };
        let beyond = || TestbedError::Broken("there are not three ports above the name server's".into());
        let ports = match options.port {
            Some(port) => [Some(port), port.checked_add(1), port.checked_add(2), port.checked_add(3)],
            None => [Some(free_port()?), Some(free_port()?), Some(free_port()?), Some(free_port()?)],
        };
        let [dns_port, smp_port, crl_port, ocsp_port] = ports.map(|port| port.ok_or_else(beyond));
        Ok(Self {
            sml_zone,
            dns_port: dns_port?,
            smp_port: smp_port?,
            crl_port: crl_port?,
            ocsp_port: ocsp_port?,
            access_point_bits: options.access_point_bits,
            participant_bits: options.participant_bits,
            other_bits: options.other_bits,
        })
    }
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A port that is free for UDP and TCP, and that this process has not been given before. It lies below the range that
/// systems give to outgoing connections, so that it is still free when the testbed is started another day.
pub(crate) fn free_port() -> Result<u16, TestbedError> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..200 {
        let [high, low, ..] = *uuid::Uuid::new_v4().as_bytes();
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        let address = loopback(port);
        let free = std::net::TcpListener::bind(address).is_ok() && std::net::UdpSocket::bind(address).is_ok();
        // Whoever was given a port may not have bound it yet.
        if free && GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
    Err(TestbedError::Broken("there is no free port between 20000 and 32000".into()))
}
