//! Who is trusted: the CAs of the environment, and whether what is ours leads to them.

use std::path::PathBuf;
use std::time::Duration;

use super::check::Checker;
use super::checked::{AccessPoint, Organisation};
use super::environment;
use super::errors::ConfigError;
use super::raw;
use super::values::words;
use crate::crypto::{Authorities, Certificate};
use crate::edge::trust::Elsewhere;

/// A clock that differs more than this is wrong.
const LONGEST_SKEW: Duration = Duration::from_hours(1);

/// The CAs of the environment, by what they certify.
#[derive(Debug, Clone)]
pub struct TrustAnchors {
    /// Access points; roots and intermediates.
    pub access_point: Vec<Certificate>,
    /// Participants; roots and intermediates.
    pub participant: Vec<Certificate>,
    /// The SMP's signer; roots and intermediates.
    pub smp: Vec<Certificate>,
    /// The only signer, when one is named.
    pub smp_signer: Option<Certificate>,
    /// The only name that the signer may have, when one is given.
    pub smp_signer_name: Option<String>,
    /// Which access points may bring a participant's messages.
    pub sender_access_point: SenderAccessPoint,
    /// What to do when the revocation of an access point's certificate cannot be checked.
    pub revocation: Revocation,
    /// The same for participants' certificates.
    pub participant_revocation: Revocation,
    /// The same for the SMP's.
    pub smp_revocation: Revocation,
    /// The CAs of servers that are asked for revocation by https; none for the operating system's.
    pub revocation_ca: Option<Vec<Certificate>>,
    /// How long lists and answers are used again.
    pub revocation_cache: Duration,
    /// How long they are used after their end, while no newer ones are to be had.
    pub revocation_grace: Duration,
    /// How far clocks may differ at the beginning of a certificate.
    pub clock_skew: Duration,
    /// The CAs of other environments.
    pub elsewhere: Vec<Elsewhere>,
    /// Which source of revocation is asked first.
    pub revocation_order: RevocationOrder,
}

words! {
    /// Which access points may bring a participant's messages.
    pub SenderAccessPoint {
        /// Every approved one.
        Approved = "approved",
        /// The one at which SMP has the participant.
        Registered = "registered",
    }
    /// What to do when revocation cannot be checked.
    pub Revocation {
        /// Wait and try again.
        Hard = "hard",
        /// Go on, and say so in the journal.
        Soft = "soft",
        /// Never check.
        Off = "off",
    }
    /// Which source of revocation is asked first.
    pub RevocationOrder {
        /// The OCSP responder.
        OcspFirst = "ocsp-first",
        /// The revocation list.
        CrlFirst = "crl-first",
    }
}

impl Checker<'_> {
    pub(super) fn trust(&mut self, raw: raw::Trust, only_here: bool) -> Option<TrustAnchors> {
        let mut read = |at: &str, paths: Option<Vec<PathBuf>>| paths.and_then(|paths| self.certificates(at, paths));
        let access_point = read("trust.access-point-ca", raw.access_point_ca);
        let participant = read("trust.participant-ca", raw.participant_ca);
        let smp = read("trust.smp-ca", raw.smp_ca);
        let smp_signer = raw.smp_signer.map(|path| self.certificate("trust.smp-signer", path));
        let revocation_ca = raw.revocation_ca.map(|paths| self.certificates("trust.revocation-ca", paths));
        let all = [
            ("trust.revocation", raw.revocation),
            ("trust.participant-revocation", raw.participant_revocation),
            ("trust.smp-revocation", raw.smp_revocation),
        ];
        for (at, _) in all.into_iter().filter(|(_, revocation)| *revocation == Some(Revocation::Off) && !only_here) {
            let hint = "\"soft\" goes on where revocation cannot be checked";
            let reason = "is allowed only where endpoint, name servers and participants are all on this machine";
            self.error(ConfigError::new(at, reason).text("off").hint(hint));
        }
        let skew = raw.clock_skew.map(|skew| skew.0);
        if skew.is_some_and(|skew| skew > LONGEST_SKEW) {
            self.error(ConfigError::new("trust.clock-skew", "is longer than an hour").hint("set the machine's clock (chrony, systemd-timesyncd)"));
        }
        let mut trust = TrustAnchors {
            access_point: access_point?,
            participant: participant?,
            smp: smp?,
            smp_signer: match smp_signer {
                Some(signer) => Some(signer?),
                None => None,
            },
            smp_signer_name: raw.smp_signer_name.map(|name| name.0),
            sender_access_point: raw.sender_access_point?,
            revocation: raw.revocation?,
            participant_revocation: raw.participant_revocation.or(raw.revocation)?,
            smp_revocation: raw.smp_revocation.or(raw.revocation)?,
            revocation_order: raw.revocation_order?,
            revocation_ca: match revocation_ca {
                Some(ca) => Some(ca?),
                None => None,
            },
            revocation_cache: raw.revocation_cache?.0,
            revocation_grace: raw.revocation_grace.map(|grace| grace.0).unwrap_or_default(),
            clock_skew: skew?,
            elsewhere: Vec::new(),
        };
        trust.elsewhere = environment::elsewhere(&trust);
        Some(trust)
    }

    /// The access point's certificate belongs to the environment whose CAs are trusted: the commonest mix-up.
    pub(super) fn own_environment(&mut self, access_point: &AccessPoint, trust: &TrustAnchors) {
        let authorities = Authorities::new(trust.access_point.clone(), Vec::new());
        if let Err(error) = authorities.chain(&access_point.identity.certificate, &access_point.identity.chain, self.now) {
            let hint = "key and CAs must be of one environment: open test, QA or production";
            self.error(
                ConfigError::new("access-point.key", format!("has a certificate that trust.access-point-ca does not lead to: {error}")).hint(hint),
            );
        }
    }

    /// Receivers trust about the same participant CAs as we do. Their lists may be longer, so this is no error.
    pub(super) fn own_participants(&mut self, organisations: &[Organisation], trust: &TrustAnchors) {
        let authorities = Authorities::new(trust.participant.clone(), Vec::new());
        for (i, organisation) in organisations.iter().enumerate() {
            if let Err(error) = authorities.chain(&organisation.signing.certificate, &organisation.signing.chain, self.now) {
                let what = format!("has a certificate that trust.participant-ca does not lead to, so receivers may refuse it: {error}");
                self.warn(&format!("organisation[{i}].key"), &what);
            }
        }
    }
}
