//! Who can get a certificate, and what it then says.

use std::path::PathBuf;

use super::Authority;
use crate::crypto::Profile;
use crate::ident::{AccessPointId, ParticipantId};

/// Whom a certificate is issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An access point; its name is the common name.
    AccessPoint(AccessPointId),
    /// A participant.
    Participant(ParticipantId),
    /// The SMP.
    Smp,
    /// A TLS server by its host names and addresses, the first of which is the common name.
    Tls(Vec<String>),
}

impl Subject {
    /// Who issues it.
    #[must_use]
    pub const fn authority(&self) -> Authority {
        match self {
            Self::AccessPoint(_) => Authority::AccessPoint,
            Self::Participant(_) => Authority::Participant,
            Self::Smp => Authority::Smp,
            Self::Tls(_) => Authority::Tls,
        }
    }

    pub(super) fn profile(&self) -> Profile {
        match self {
            Self::AccessPoint(_) | Self::Smp => Profile::Service,
            Self::Participant(_) => Profile::Function,
            Self::Tls(names) => Profile::Tls(names.clone()),
        }
    }

    /// The common name of its certificate.
    #[must_use]
    pub fn common_name(&self) -> String {
        match self {
            Self::AccessPoint(name) => name.to_string(),
            // A function certificate's common name is the domain; other schemes have no nicer name than their number.
            Self::Participant(id) => id.as_str().split_once(':').map_or(id.as_str(), |(_, value)| value).chars().take(64).collect(),
            Self::Smp => "SMP0001-TESTBED".into(),
            Self::Tls(names) => names.first().map(|name| name.chars().take(64).collect()).unwrap_or_default(),
        }
    }

    /// The folder of its files below `issued`.
    pub(super) fn folder(&self) -> PathBuf {
        let name = match self {
            Self::Participant(id) => id.folded(),
            _ => self.common_name(),
        };
        let safe: String = name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '_' }).collect();
        // A leading dot could name the folder itself or the one above.
        let safe = if safe.starts_with('.') { format!("_{safe}") } else { safe };
        PathBuf::from(self.authority().name()).join(safe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_within_its_folder() {
        let access_point = |name| Subject::AccessPoint(AccessPointId::new(name).unwrap()).folder();
        assert_eq!(access_point("../../etc"), PathBuf::from("access-point/_.._.._etc"));
        assert_eq!(access_point(".."), PathBuf::from("access-point/_.."));
        assert_eq!(Subject::Participant(ParticipantId::new("0203:Kommun.se").unwrap()).folder(), PathBuf::from("participant/0203_kommun.se"));
    }
}
