//! How other participants are found.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::declare::section;
use crate::config::values::{HttpUrl, Line, Span, words};
use crate::edge::reach::IpNetwork;
use crate::ident::{Domain, ParticipantId};

section! {
    /// How other participants are found.
    Discovery {
        /// `dns`: by DNS, SMP and CertPub, as the federation does. `static`: they stand in this file, for closed networks and tests.
        mode: DiscoveryMode = Default "\"dns\"";
        /// With `dns`: the zone of the federation's service metadata locator. The federation's operator (Digg) tells it; there is no default.
        sml_zone: Domain = Optional "\"sml.example.se\"";
        /// With `dns`: the name servers to ask. Left out, the operating system's.
        resolvers: Vec<SocketAddr> = Optional "[\"192.0.2.53:53\"]";
        /// With `dns`: the transport profiles of endpoints that are sent to. A newer one that is compatible may be added.
        transport_profiles: Vec<Line> = Default "[\"digg-transport-as4-v1_0\"]";
        /// With `dns`: how long an answer may be used again.
        cache: Span = Default "\"1h\"";
        /// With `dns`: how old an answer may be that is used because DNS or the SMP is down. The log and the journal say so each time.
        /// A certificate that has ended or is revoked is never used, however its metadata was kept.
        cache_stale: Span = Default "\"1d\"";
        /// With `dns`: how long "not registered" may be used again.
        cache_absent: Span = Default "\"5m\"";
        /// With `dns`: how long DNS and SMP may take together for one answer.
        timeout: Span = Default "\"10s\"";
        /// Networks that are not of the public internet and may be connected to all the same, where SMP, endpoints or revocation
        /// lists lie in them. Others decide where these addresses lead, so without this none leads into private networks.
        allow_networks: Vec<IpNetwork> = Default "[]";
        /// Allows addresses of this machine, and with `static` http endpoints there. For tests. (SMP and revocation lists are asked
        /// by http where their addresses say so: what they answer is signed.)
        allow_plain_loopback: bool = Default "false";
        /// With `static`: one participant.
        participant: Vec<StaticParticipant> = Optional "[]";
    }
}

section! {
    /// A participant that stands in the file.
    StaticParticipant {
        /// Its id.
        id: ParticipantId = Required "\"0203:sundbyberg.se\"";
        /// The URL of its access point.
        endpoint: HttpUrl = Required "\"https://as4.sundbyberg.se/as4\"";
        /// The certificate of its access point.
        access_point_certificate: PathBuf = Required "\"/etc/brevbro/sundbyberg-ap.pem\"";
        /// The certificates that it signs with.
        signing_certificate: Vec<PathBuf> = Required "[\"/etc/brevbro/sundbyberg.pem\"]";
        /// The certificates to encrypt to, the first one is used. Left out, those that it signs with.
        encryption_certificate: Vec<PathBuf> = Optional "[\"/etc/brevbro/sundbyberg-encryption.pem\"]";
    }
}

words! {
    /// How participants are found.
    pub(in crate::config) DiscoveryMode {
        /// By DNS and SMP.
        Dns = "dns",
        /// In the file.
        Static = "static",
    }
}
