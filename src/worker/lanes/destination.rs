//! Where something goes, and how that is told.

use std::fmt;

use crate::port::Key;

/// Where something goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::worker) enum Destination {
    /// The host and port of another access point.
    AccessPoint(String),
    /// A mail server, or a mailbox by IMAP.
    MailServer(String),
    /// The resolvers, which say where SMPs are.
    Dns,
    /// The host and port of an SMP.
    Smp(String),
}

impl Destination {
    /// As one word.
    pub(in crate::worker) fn name(&self) -> &str {
        match self {
            Self::AccessPoint(name) | Self::MailServer(name) | Self::Smp(name) => name,
            Self::Dns => "DNS",
        }
    }

    /// Where it is noted that the operator knows it to be down.
    pub(in crate::worker) fn down(&self) -> Key {
        let kind = match self {
            Self::AccessPoint(_) => "point",
            Self::MailServer(_) => "mail",
            Self::Dns => "dns",
            Self::Smp(_) => "smp",
        };
        Key::new("down", &format!("{kind} {}", self.name()))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessPoint(place) => write!(f, "the access point at {place}"),
            Self::MailServer(name) => write!(f, "the mail server {name}"),
            Self::Dns => f.write_str("DNS"),
            Self::Smp(place) => write!(f, "the SMP at {place}"),
        }
    }
}
