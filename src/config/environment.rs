//! The environments of the federation, told by their CAs: one process serves one of them (SDK C3.2.1 2.10.e).
//!
//! QA and production have the same federation id, so the id alone does not tell them apart; the CAs that Digg publishes do.
//! CAs that are not among them, such as a testbed's or a renewed one, say nothing.

use std::fmt;
use std::sync::OnceLock;

use jiff::Timestamp;

use super::check::Checker;
use super::checked::{AccessPoint, Discovery, Organisation, TrustAnchors};
use super::errors::ConfigError;
use crate::crypto::{Authorities, Certificate};
use crate::edge::trust::Elsewhere;
use crate::ident::{Domain, FederationId};
use crate::port::Realm;

const HINT: &str = "one gateway serves one federation and one environment (SDK C3.2.1 2.10.e): run another one, with configuration, keys and \
                    state-dir of its own";

/// One environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Environment {
    /// Open test.
    OpenTest,
    /// QA.
    Qa,
    /// Production.
    Production,
}

impl Environment {
    const fn federation(self) -> &'static str {
        match self {
            Self::OpenTest => "urn:fdc:digg.se:edelivery:federation:test",
            Self::Qa | Self::Production => "urn:fdc:digg.se:edelivery:federation:sdk",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenTest => "open test",
            Self::Qa => "QA",
            Self::Production => "production",
        })
    }
}

/// CAs by environment.
struct Known(Vec<(Environment, Certificate)>);

impl Known {
    /// Those that Digg publishes, and that lie in `config/federation`.
    fn published() -> &'static Self {
        static PUBLISHED: OnceLock<Known> = OnceLock::new();
        PUBLISHED.get_or_init(|| {
            let read = |(environment, pem): &(Environment, &str)| Some((*environment, Certificate::from_pem(pem.as_bytes()).ok()?));
            Self(PEM.iter().filter_map(read).collect())
        })
    }

    /// The environments that a CA belongs to; test CAs of participants belong to two.
    fn of_ca(&self, ca: &Certificate) -> Vec<Environment> {
        self.0.iter().filter(|(_, known)| known == ca).map(|(environment, _)| *environment).collect()
    }

    /// The environments whose CAs have issued a certificate.
    fn of(&self, certificate: &Certificate, sent: &[Certificate]) -> Vec<Environment> {
        // When it was issued they were valid; whether they still are is not the question.
        let at: Timestamp = certificate.not_before();
        [Environment::OpenTest, Environment::Qa, Environment::Production]
            .into_iter()
            .filter(|environment| {
                let own = self.0.iter().filter(|(of, _)| of == environment).map(|(_, ca)| ca.clone()).collect();
                Authorities::new(own, Vec::new()).chain(certificate, sent, at).is_ok()
            })
            .collect()
    }
}

/// The environment of the configuration, told by the CAs of access points, or else by those of the SMP.
pub(super) fn environment(trust: &TrustAnchors) -> Option<Environment> {
    let known = Known::published();
    trust.access_point.iter().chain(&trust.smp).find_map(|ca| known.of_ca(ca).first().copied())
}

/// The CAs of the environments that are not this one, to tell in words where a foreign certificate comes from.
pub(super) fn elsewhere(trust: &TrustAnchors) -> Vec<Elsewhere> {
    let (known, own) = (Known::published(), environment(trust));
    let realms = [(Realm::AccessPoint, &trust.access_point), (Realm::Participant, &trust.participant), (Realm::Smp, &trust.smp)];
    let of = |environment: Environment, realm: Realm, configured: &[Certificate]| {
        let is_other = |ca: &&Certificate| !configured.contains(ca) && own.is_none_or(|own| !known.of_ca(ca).contains(&own)) && realm_of(ca) == realm;
        let others = known.0.iter().filter(|(of, _)| *of == environment).map(|(_, ca)| ca).filter(is_other).cloned().collect();
        Elsewhere { realm, environment: environment.to_string(), authorities: Authorities::new(others, Vec::new()) }
    };
    let environments = [Environment::OpenTest, Environment::Qa, Environment::Production].into_iter();
    environments.flat_map(|environment| realms.map(|(realm, configured)| of(environment, realm, configured))).collect()
}

/// What a published CA certifies; its name says it.
fn realm_of(ca: &Certificate) -> Realm {
    let name = ca.common_name().unwrap_or_default();
    if name.contains("ccesspunkt") {
        Realm::AccessPoint
    } else if name.contains("SMP") {
        Realm::Smp
    } else {
        Realm::Participant
    }
}

/// What is compared with one another.
pub(super) struct Parts<'a> {
    pub(super) federation: Option<&'a FederationId>,
    pub(super) access_point: Option<&'a AccessPoint>,
    pub(super) trust: &'a TrustAnchors,
    pub(super) discovery: Option<&'a Discovery>,
    pub(super) organisations: &'a [Organisation],
}

impl Checker<'_> {
    /// Notes everything that belongs to another environment than the rest.
    pub(super) fn one_environment(&mut self, parts: &Parts<'_>) {
        let Some(own) = environment(parts.trust) else { return };
        let known = Known::published();
        let trust = parts.trust;
        for (at, cas) in [("trust.access-point-ca", &trust.access_point), ("trust.participant-ca", &trust.participant), ("trust.smp-ca", &trust.smp)]
        {
            for ca in cas {
                let of = known.of_ca(ca);
                self.belongs(at, ca, &of, own);
                if of.is_empty() && at != "trust.participant-ca" {
                    let name = ca.common_name().unwrap_or_default();
                    self.warn(at, &format!("has {name}, which is not among the published CAs of {own}"));
                }
            }
        }
        if let Some(signer) = &trust.smp_signer {
            self.belongs("trust.smp-signer", signer, &known.of(signer, &[]), own);
        }
        if let Some(federation) = parts.federation
            && !federation.to_string().eq_ignore_ascii_case(own.federation())
        {
            let reason = format!("is not that of {own}, whose CAs are in trust: {}", own.federation());
            self.error(ConfigError::new("federation", reason).text(federation).hint(HINT));
        }
        if let Some(point) = parts.access_point {
            let identity = &point.identity;
            self.belongs("access-point.key", &identity.certificate, &known.of(&identity.certificate, &identity.chain), own);
            // Test certificates are anybody's; the other way round, production's may serve a test.
            for ca in point.client_ca.iter().filter(|_| own == Environment::Production) {
                let at = if point.proxy.is_some() { "access-point.proxy.client-ca" } else { "access-point.tls.client-ca" };
                self.belongs(at, ca, &known.of_ca(ca), own);
            }
        }
        for (i, organisation) in parts.organisations.iter().enumerate() {
            let signing = &organisation.signing;
            self.belongs(&format!("organisation[{i}].key"), &signing.certificate, &known.of(&signing.certificate, &signing.chain), own);
        }
        match parts.discovery {
            Some(Discovery::Dns { sml_zone, .. }) => self.zone(sml_zone, own),
            Some(Discovery::Static(participants)) => {
                for (i, participant) in participants.iter().enumerate() {
                    let at = |key: &str| format!("discovery.participant[{i}].{key}");
                    self.belongs(&at("access-point-certificate"), &participant.access_point, &known.of(&participant.access_point, &[]), own);
                    for certificate in &participant.signing {
                        self.belongs(&at("signing-certificate"), certificate, &known.of(certificate, &[]), own);
                    }
                }
            }
            None => {}
        }
    }

    fn belongs(&mut self, at: &str, certificate: &Certificate, of: &[Environment], own: Environment) {
        if of.is_empty() || of.contains(&own) {
            return;
        }
        let name = certificate.common_name().unwrap_or_else(|| certificate.subject());
        let of: Vec<String> = of.iter().map(ToString::to_string).collect();
        self.error(ConfigError::new(at, format!("has {name} of {}, while the rest is of {own}", of.join(" and "))).hint(HINT));
    }

    /// The zones of the environments are not published; these two kinds tell themselves.
    fn zone(&mut self, zone: &Domain, own: Environment) {
        const AT: &str = "discovery.sml-zone";
        let folded = zone.folded();
        if folded.rsplit('.').next() == Some("test") {
            self.error(ConfigError::new(AT, format!("is a testbed's, while the CAs in trust are those of {own}")).text(zone).hint(HINT));
        }
        if own == Environment::Production && format!(".{folded}").contains(".acc.") {
            self.warn(AT, "looks like an acceptance zone, while the CAs in trust are those of production");
        }
    }
}

macro_rules! published {
    ($($environment:ident / $folder:literal: $($file:literal)+;)+) => {
        const PEM: &[(Environment, &str)] = &[
            $( $( (Environment::$environment, include_str!(concat!("../../config/federation/", $folder, "/", $file, ".pem"))), )+ )+
        ];
    };
}

published! {
    OpenTest / "open-test":
        "accesspunkt-ca-open-test" "rot-ca-edelivery-accesspunkt-test" "rot-ca-edelivery-smp-test" "expitrust-test-ca-v8"
        "swedishpublicsectorfunctioncav3sat" "testsithseidfunctioncav1" "testsithseidrootcav2";
    Qa / "qa":
        "accesspunkt-ca-sdk-qa" "rot-ca-edelivery-accesspunkt-qa" "rot-ca-edelivery-smp-qa" "expitrust-test-ca-v8"
        "swedishpublicsectorfunctioncav3sat" "testsithseidfunctioncav1" "testsithseidrootcav2";
    Production / "production":
        "accesspunkt-ca-sdk-prod" "rot-ca-edelivery-accesspunkt-prod" "rot-ca-edelivery-smp-prod" "expitrust-eid-ca-v4-1"
        "swedishpublicsectorfunctioncav3" "sithseidfunctioncav1" "sithseidrootcav2";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Profile, Template};

    #[test]
    fn every_published_ca_is_read_and_only_participants_test_cas_belong_to_two() {
        let known = Known::published();
        assert_eq!(known.0.len(), PEM.len());
        for (environment, ca) in &known.0 {
            let of = known.of_ca(ca);
            assert!(of.contains(environment));
            let shared = !ca.common_name().unwrap_or_default().contains("eDelivery") && *environment != Environment::Production;
            assert_eq!(of.len() > 1, shared && !ca.subject().contains("Accesspunkt"), "{ca:?}: {of:?}");
        }
        let smp = include_str!("../../config/federation/qa/smp0001-sdk-qa.pem");
        assert_eq!(known.of(&Certificate::from_pem(smp.as_bytes()).unwrap(), &[]), [Environment::Qa]);
    }

    #[test]
    fn every_published_ca_certifies_what_its_name_says() {
        for (environment, _) in PEM {
            let of = |realm| Known::published().0.iter().filter(|(own, ca)| own == environment && realm_of(ca) == realm).count();
            assert_eq!([Realm::AccessPoint, Realm::Smp, Realm::Participant].map(of), [2, 1, 4], "{environment}");
        }
    }

    #[test]
    fn a_certificate_is_of_the_environment_whose_ca_issued_it() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let issue = |name: &str, profile, above: Option<&crate::crypto::Identity>| {
            let until = now + jiff::SignedDuration::from_hours(24);
            let template = Template { subject: vec![("CN", name.to_owned())], from: now, until, profile, crl_url: None, ocsp_url: None };
            template.issue(2048, above).unwrap()
        };
        let (qa, production) = (issue("QA", Profile::Authority, None), issue("PROD", Profile::Authority, None));
        let known = Known(vec![(Environment::Qa, qa.certificate.clone()), (Environment::Production, production.certificate.clone())]);
        let leaf = issue("AP0001", Profile::Service, Some(&production)).certificate;
        assert_eq!(known.of(&leaf, &[]), [Environment::Production]);
        assert_eq!(known.of(&issue("AP0002", Profile::Service, Some(&qa)).certificate, &[]), [Environment::Qa]);
        assert!(known.of_ca(&leaf).is_empty());
    }
}
