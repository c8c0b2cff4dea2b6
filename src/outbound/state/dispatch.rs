//! The AS4 side of an envelope: where it goes, under which id, and whether it may have got there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ident::As4MessageId;
use crate::port::BlobId;

/// The AS4 side of a sealed envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Fixed before the first attempt; every attempt has it.
    pub as4_id: As4MessageId,
    /// The sealed envelope.
    pub envelope: BlobId,
    /// The AS4 request, once it is made; every attempt sends these bytes.
    pub request: Option<BlobId>,
    /// Whether an attempt so far may have got there; written before each attempt, so a crash leaves it at the safe side.
    #[serde(default)]
    pub reached: Reached,
    /// When the sender was told that it takes long.
    pub delay_told: Option<Timestamp>,
    /// Host and port of the other access point, as they were last known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// It fails by itself, while others get through: later ones of its conversation wait for it no longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yields: bool,
}

/// Host and port of an endpoint, as destinations are told apart.
#[must_use]
pub fn place(endpoint: &str) -> String {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|octet| octet.is_ascii_digit()));
    let port = if endpoint.starts_with("http://") { 80 } else { 443 };
    let place = if has_port { host } else { format!("{host}:{port}") };
    // No host name is longer; what is, names no host, and would not fit a record.
    place.chars().take(260).collect()
}

/// Whether the other access point may have taken a message without our knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// It cannot have: no connection came about, or it said by an error that it did not take it.
    Never,
    /// It may have.
    #[default]
    Perhaps,
}

impl Reached {
    /// Either of two attempts.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Perhaps { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_told_apart_by_host_and_port() {
        for (endpoint, expected) in [
            ("https://AS4.habo.se/as4", "as4.habo.se:443"),
            ("https://as4.habo.se:443/other", "as4.habo.se:443"),
            ("https://as4.habo.se:8443", "as4.habo.se:8443"),
            ("http://127.0.0.1:4080/as4", "127.0.0.1:4080"),
            ("https://u@[2001:db8::1]/x", "[2001:db8::1]:443"),
            ("nonsense", "nonsense:443"),
        ] {
            assert_eq!(place(endpoint), expected);
        }
        assert!(place(&format!("https://{}/", "å".repeat(9_000))).len() <= 1_040);
    }
}
