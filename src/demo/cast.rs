//! Who takes part: a municipality and an agency.

use crate::ident::ParticipantId;

/// One organisation of the demo.
#[derive(Debug)]
pub(super) struct Cast {
    /// Its name.
    pub name: &'static str,
    /// Its participant id.
    pub participant: &'static str,
    /// Its function mailbox.
    pub mailbox: &'static str,
    /// The mailbox's function.
    pub function: &'static str,
    /// The function's name.
    pub label: &'static str,
    /// The gateway's mail domain.
    pub domain: &'static str,
    /// The access point's name.
    pub access_point: &'static str,
    /// The folder.
    pub folder: &'static str,
}

/// The municipality.
pub(super) const HABO: Cast = Cast {
    name: "Håbo kommun",
    participant: "0203:habo.se",
    mailbox: "socialkontoret@habo.se",
    function: "socialkontoret",
    label: "Socialkontoret",
    domain: "sdk.habo.se",
    access_point: "AP0001-TESTBED",
    folder: "habo",
};

/// The agency.
pub(super) const AF: Cast = Cast {
    name: "Arbetsförmedlingen",
    participant: "0203:arbetsformedlingen.se",
    mailbox: "etablering@arbetsformedlingen.se",
    function: "sdk:etablering",
    label: "Etablering Mälardalen",
    domain: "sdk.arbetsformedlingen.se",
    access_point: "AP0002-TESTBED",
    folder: "arbetsformedlingen",
};

impl Cast {
    /// The address of this organisation's function in another's mail domain.
    pub(super) fn address_in(&self, other: &Self) -> String {
        let organisation = self.participant.trim_start_matches("0203:");
        format!("{}@{organisation}.{}", self.function.replace(':', "=3A"), other.domain)
    }

    /// The organisation's own mail domain.
    pub(super) fn mail_domain(&self) -> &'static str {
        self.participant.trim_start_matches("0203:")
    }

    #[expect(clippy::expect_used, reason = "the ids of the cast are constants that the test below reads")]
    pub(super) fn participant(&self) -> ParticipantId {
        self.participant.parse().expect("a participant id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{AccessPointId, Domain, FunctionId, MailAddress};

    #[test]
    fn the_cast_has_sound_ids() {
        for (cast, other) in [(&HABO, &AF), (&AF, &HABO)] {
            assert_eq!(cast.participant().as_str(), cast.participant);
            cast.access_point.parse::<AccessPointId>().unwrap();
            cast.function.parse::<FunctionId>().unwrap();
            Domain::new(cast.domain).unwrap();
            MailAddress::new(cast.mailbox).unwrap();
            MailAddress::new(cast.address_in(other)).unwrap();
        }
    }
}
