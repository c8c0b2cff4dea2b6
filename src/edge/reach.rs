//! Where connections may lead: strangers name addresses (an SMP by its DNS record, an endpoint by its metadata, revocation
//! lists by certificates), and none of them may lead into this machine or the networks behind it.
//!
//! What is judged is the address that is connected to, after the name was resolved, so neither an odd way of writing an
//! address nor a name that changes its meaning gets around it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Ports below this belong to services that a request must not be smuggled to.
const SERVICES: u16 = 1024;
/// The ports below it that are the web's (SDK C3.2.1 2.4.3: 443).
const WEB: [u16; 2] = [80, 443];

/// What may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everything: for what the operator named, no stranger.
    Anywhere,
    /// The public internet at the web's ports or above the services', and these networks at any port.
    Public(Vec<IpNetwork>),
}

impl Default for Reach {
    /// The public internet.
    fn default() -> Self {
        Self::Public(Vec::new())
    }
}

impl Reach {
    /// The public internet, and this machine: for tests and the testbed.
    #[must_use]
    pub fn with_loopback() -> Self {
        Self::Public(IpNetwork::loopback().into())
    }

    /// Judges an address.
    ///
    /// # Errors
    /// Why it is not connected to, as the rest of a sentence that begins with the address.
    pub fn judge(&self, address: SocketAddr) -> Result<(), String> {
        let Self::Public(allowed) = self else { return Ok(()) };
        let ip = meant(address.ip());
        if allowed.iter().any(|network| network.contains(ip) || network.contains(address.ip())) {
            return Ok(());
        }
        let kind = match ip {
            IpAddr::V4(v4) => special_v4(v4),
            IpAddr::V6(v6) => special_v6(v6),
        };
        match kind {
            Some(kind) => Err(format!("is {kind}")),
            None if address.port() < SERVICES && !WEB.contains(&address.port()) => {
                Err(format!("has port {}, which is no web server's", address.port()))
            }
            None => Ok(()),
        }
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped (RFC 4291 2.5.5.2), behind NAT64 (RFC 6052 2.1) or 6to4 (RFC 3056 2);
/// otherwise the address itself.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let bits = v6.to_bits();
    let embedded = |bits: u128| IpAddr::V4(Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(bits),
        [0x2002, ..] => embedded(bits >> 80),
        _ => IpAddr::V6(v6),
    }
}

/// What an IPv4 address is when it is no host of the public internet (IANA's registry of special addresses).
fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (127, ..) => "an address of this machine",
        (0, ..) => "an unspecified address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (100, 64..=127, _) => "an address behind a provider's NAT",
        (169, 254, _) => "a link-local address",
        (192, 0, 0 | 2) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) => "an address for special use",
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved address",
        _ => return None,
    })
}

/// The same of an IPv6 address. Only 2000::/3 is handed out to hosts of the internet.
fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [first, second, ..] = address.segments();
    Some(match (first, second) {
        _ if address.is_loopback() => "an address of this machine",
        _ if address.is_unspecified() => "an unspecified address",
        (0xfc00..=0xfdff, _) => "a private address",
        (0xfe80..=0xfeff, _) => "a link-local address",
        (0xff00..=0xffff, _) => "a multicast address",
        // Protocols' own, Teredo among them, and examples in papers.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => "an address for special use",
        (0x2000..=0x3fff, _) => return None,
        _ => "a reserved address",
    })
}

/// One address or all addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// This machine's own addresses.
    #[must_use]
    pub const fn loopback() -> [Self; 2] {
        [Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 }, Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 }]
    }

    /// Whether the address belongs to it; an IPv4 address in IPv6's clothes counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                top(u128::from(u32::from(own)) << 96, self.prefix) == top(u128::from(u32::from(other)) << 96, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => top(own.into(), self.prefix) == top(other.into(), self.prefix),
            _ => false,
        }
    }

    /// Whether it is every address there is.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    /// Whether all its addresses are this machine's own.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.is_loopback() && self.prefix >= 8
    }
}

/// The first `prefix` bits.
const fn top(bits: u128, prefix: u8) -> u128 {
    if prefix == 0 { 0 } else { bits >> (128 - prefix as u32) }
}

/// The text is none that names a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no IP address or network, such as 10.1.2.3 or 10.1.0.0/16")]
pub struct NoNetwork;

impl FromStr for IpNetwork {
    type Err = NoNetwork;
    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
            IpAddr::V6(v6) => (v6.into(), 128),
        };
        let prefix: u8 = prefix.map_or(Ok(width), |prefix| prefix.parse().map_err(|_| NoNetwork))?;
        let left_over = prefix < 128 && bits << prefix != 0;
        if prefix > width || left_over { Err(NoNetwork) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 443)
    }

    #[test]
    fn networks_hold_their_addresses() {
        let net = |text: &str| text.parse::<IpNetwork>().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(net("10.1.0.0/16").contains(ip("10.1.255.1")) && !net("10.1.0.0/16").contains(ip("10.2.0.1")));
        assert!(net("10.1.2.3").contains(ip("::ffff:10.1.2.3")) && !net("::/0").contains(ip("10.1.2.3")));
        assert!(net("2001:db8::/32").contains(ip("2001:db8::1")) && net("0.0.0.0/0").contains(ip("192.0.2.1")));
        for wrong in ["10.1.2.3/16", "10.0.0.0/33", "::1/129", "kommun.se", "10.0.0.0/", "1.2.3"] {
            assert!(wrong.parse::<IpNetwork>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_stranger_leads_into_this_machine_or_the_networks_behind_it() {
        let special = [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "192.88.99.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::7f00:1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2001:2::1",
            "3fff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "100::1",
            "4000::1",
            "5f00::1",
        ];
        for text in special {
            assert!(Reach::default().judge(at(text)).is_err(), "{text}");
            assert_eq!(Reach::Anywhere.judge(at(text)), Ok(()), "{text}");
        }
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "169.253.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:67c::1",
            "2a00:801::1",
            "2600::1",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
            "2002:101:101::1",
            "2001:200::1",
        ];
        for text in public {
            assert_eq!(Reach::default().judge(at(text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn allowed_networks_are_reached_in_whatever_form_and_nothing_beside_them() {
        let reach = Reach::Public(vec!["10.1.0.0/16".parse().unwrap()]);
        for text in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"] {
            assert_eq!(reach.judge(at(text)), Ok(()), "{text}");
        }
        for text in ["10.2.0.1", "127.0.0.1", "64:ff9b::a02:1"] {
            assert!(reach.judge(at(text)).is_err(), "{text}");
        }
        let here = Reach::with_loopback();
        assert!(here.judge(at("127.0.0.1")).is_ok() && here.judge(at("::1")).is_ok() && here.judge(at("10.0.0.1")).is_err());
    }

    #[test]
    fn ports_of_other_services_are_left_alone() {
        let port = |port| Reach::default().judge(SocketAddr::new([1, 1, 1, 1].into(), port));
        for web in [80, 443, 1024, 8443, 65535] {
            assert_eq!(port(web), Ok(()), "{web}");
        }
        for other in [0, 22, 25, 53, 389, 445, 993] {
            assert!(port(other).is_err(), "{other}");
        }
        assert_eq!(Reach::with_loopback().judge("127.0.0.1:25".parse().unwrap()), Ok(()), "an allowed network is allowed whole");
    }
}
