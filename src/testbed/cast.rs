//! Who takes part in Digg's acceptance cases (SDK C2.1.4.4.2 3.1): participants behind access points that are sound,
//! revoked, unreachable, expired or of another environment.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::files::{self, Readers};
use super::state::identity_from;
use super::{Registration, Subject, Testbed, TestbedError};
use crate::crypto::{Identity, Profile, Template};
use crate::ident::{AccessPointId, DocumentKind, ParticipantId};

/// Nothing listens there.
const NOBODY: &str = "https://127.0.0.1:9/as4";
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// One of the test participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// TestAP-01: takes messages and answers them.
    Answering,
    /// TestAP-02: is registered for message receipts only.
    ReceiptsOnly,
    /// TestAP-03: its access point's certificate is revoked.
    Revoked,
    /// TestAP-04: nobody answers at its access point's address.
    Unreachable,
    /// TestAP-05: its access point's certificate is of another environment.
    OtherEnvironment,
    /// TestAP-06: its access point's certificate has expired.
    Expired,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Answering, Self::ReceiptsOnly, Self::Revoked, Self::Unreachable, Self::OtherEnvironment, Self::Expired];

    const fn number(self) -> u8 {
        match self {
            Self::Answering => 1,
            Self::ReceiptsOnly => 2,
            Self::Revoked => 3,
            Self::Unreachable => 4,
            Self::OtherEnvironment => 5,
            Self::Expired => 6,
        }
    }

    /// Its name in Digg's paper, or the next one.
    #[must_use]
    pub fn name(self) -> String {
        format!("TestAP-{:02}", self.number())
    }

    /// What is the matter with it.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Answering => "takes messages and answers them",
            Self::ReceiptsOnly => "is registered for message receipts only",
            Self::Revoked => "has an access point whose certificate is revoked",
            Self::Unreachable => "has an access point that nobody reaches",
            Self::OtherEnvironment => "has an access point whose certificate is of another environment",
            Self::Expired => "has an access point whose certificate has expired",
        }
    }

    /// The participant.
    ///
    /// # Errors
    /// [`TestbedError::Broken`], which does not happen.
    pub fn participant(self) -> Result<ParticipantId, TestbedError> {
        // RFC 2606 2 keeps `example` for this.
        format!("0203:testap{:02}.example", self.number()).parse().map_err(broken)
    }

    /// The common name of its access point's certificate.
    ///
    /// # Errors
    /// As [`Self::participant`].
    pub fn access_point(self) -> Result<AccessPointId, TestbedError> {
        format!("TESTAP{:02}-TESTBED", self.number()).parse().map_err(broken)
    }
}

fn broken(error: impl ToString) -> TestbedError {
    TestbedError::Broken(error.to_string())
}

/// A test participant with its keys.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Which.
    pub role: Role,
    /// Its id.
    pub participant: ParticipantId,
    /// Its own key.
    pub own: Identity,
    /// Its access point's name.
    pub name: AccessPointId,
    /// Its access point's key.
    pub point: Identity,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Cast(Vec<Actor>);

impl Cast {
    /// Makes the keys that are not there yet. Blocking.
    ///
    /// # Errors
    /// [`TestbedError`].
    pub fn open(testbed: &Testbed) -> Result<Self, TestbedError> {
        Ok(Self(Role::ALL.into_iter().map(|role| Actor::made(testbed, role)).collect::<Result<_, _>>()?))
    }

    /// Registers everybody, at `endpoint` where somebody listens.
    ///
    /// # Errors
    /// [`TestbedError`].
    pub fn register(&self, testbed: &Testbed, endpoint: &str) -> Result<(), TestbedError> {
        for actor in &self.0 {
            let endpoint = if actor.role == Role::Unreachable { NOBODY } else { endpoint };
            let mut registration =
                Registration::new(actor.participant.clone(), endpoint, actor.point.certificate.clone(), actor.own.certificate.clone());
            if actor.role == Role::ReceiptsOnly {
                registration.kinds = vec![DocumentKind::Receipt];
            }
            testbed.publish(&registration)?;
        }
        Ok(())
    }

    /// All of them, in order.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.0
    }

    /// One of them.
    ///
    /// # Errors
    /// [`TestbedError::Broken`], which does not happen.
    pub fn actor(&self, role: Role) -> Result<&Actor, TestbedError> {
        self.0.iter().find(|actor| actor.role == role).ok_or_else(|| broken("a test participant is missing"))
    }

    /// The keys of all access points.
    #[must_use]
    pub fn points(&self) -> Vec<Identity> {
        self.0.iter().map(|actor| actor.point.clone()).collect()
    }
}

impl Actor {
    fn made(testbed: &Testbed, role: Role) -> Result<Self, TestbedError> {
        let (participant, name) = (role.participant()?, role.access_point()?);
        let own = testbed.issue_participant(&participant)?.identity;
        let subject = Subject::AccessPoint(name.clone());
        let point = match role {
            Role::Answering | Role::ReceiptsOnly | Role::Unreachable => testbed.issue(&subject, None)?.identity,
            Role::Revoked => testbed.issue_revoked(&subject)?,
            Role::Expired => testbed.issue_expired(&subject)?,
            Role::OtherEnvironment => elsewhere(testbed, &name)?,
        };
        Ok(Self { role, participant, own, name, point })
    }
}

/// A key of another environment: its CA looks like one of ours and is none.
fn elsewhere(testbed: &Testbed, name: &AccessPointId) -> Result<Identity, TestbedError> {
    let path: PathBuf = testbed.dir().join("other-environment").join("identity.pem");
    if let Some(present) = files::read(&path)? {
        return identity_from(&present, &path);
    }
    let now = Timestamp::now();
    let template = |common_name: &str, profile| Template {
        subject: vec![("C", "SE".to_owned()), ("O", "Brevbro testbädd, annan miljö".to_owned()), ("CN", common_name.to_owned())],
        from: now - DAY,
        until: now + DAY * 730,
        profile,
        crl_url: None,
        ocsp_url: None,
    };
    let authority = template("Accesspunkt CA-TESTBED", Profile::Authority).issue(2048, None)?;
    let identity = template(name.as_str(), Profile::Service).issue(2048, Some(&authority))?;
    files::write(&path, identity.to_pem()?.as_bytes(), Readers::Owner)?;
    Ok(identity)
}
