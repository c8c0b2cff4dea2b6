//! A federation in a box, on loopback: four CAs with revocation lists and OCSP responders, the SML's name server, an SMP with CertPub.
//!
//! Its state lies in a directory and outlives it: stopped and started again it has the same keys, registrations and
//! addresses. Every question is answered from the files as they are then, so another process may issue, register and
//! revoke while it runs.
//!
//! ```text
//! DIR/testbed.json             ports, zone, key sizes
//! DIR/trust/*.pem              what others trust: one file for each CA, the issuing certificate first
//! DIR/ca/NAME/                 a CA's key, and what it has issued and revoked
//! DIR/issued/CA/NAME/          identity.p12 with password, identity.pem, certificate.pem
//! DIR/registrations/           what the SMP publishes
//! ```

mod authority;
mod case;
mod cast;
mod dns;
mod error;
mod files;
mod issued;
mod names;
mod point;
mod registry;
mod running;
mod settings;
mod state;
mod web;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::crypto::Certificate;
use crate::ident::{Domain, ParticipantId};

pub use authority::Authority;
pub use case::{Case, CaseRequest, Recipient};
pub use cast::{Actor, Cast, Role};
pub use error::TestbedError;
pub use issued::Issued;
pub use names::Subject;
pub use point::{Answered, Heard, Point, PointOptions, Sender, Taken};
pub use registry::Registration;
pub use running::Running;
pub use settings::Options;
pub(crate) use settings::free_port;

use files::Readers;
use settings::{Settings, loopback};
use state::State;

/// A testbed on disk.
#[derive(Clone)]
pub struct Testbed {
    state: Arc<State>,
}

impl Testbed {
    /// Opens the testbed in a directory; makes it, with keys and free ports, when there is none. That takes some seconds
    /// with full-size keys and is blocking.
    ///
    /// # Errors
    /// [`TestbedError`].
    pub fn open(dir: &Path, options: &Options) -> Result<Self, TestbedError> {
        files::make_dir(dir)?;
        let dir = dir.canonicalize().map_err(|source| TestbedError::File { path: dir.into(), source })?;
        let path = dir.join("testbed.json");
        let settings = if let Some(settings) = files::read_json(&path)? {
            settings
        } else {
            let settings = Settings::new(options)?;
            files::write_json(&path, &settings)?;
            settings
        };
        let testbed = Self { state: Arc::new(State { dir, settings }) };
        let authorities = testbed.state.authorities();
        authorities.create(testbed.state.settings.other_bits, Timestamp::now())?;
        for authority in Authority::ALL {
            files::write(&testbed.trust_file(authority), authorities.bundle(authority)?.as_bytes(), Readers::Everyone)?;
        }
        testbed.issue(&Subject::Smp, None)?;
        Ok(testbed)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.state.dir
    }

    /// The file with a CA's certificates as PEM, the issuing one first, for others' configuration.
    #[must_use]
    pub fn trust_file(&self, authority: Authority) -> PathBuf {
        self.state.dir.join("trust").join(format!("{}.pem", authority.name()))
    }

    /// A CA's certificates, the issuing one first.
    ///
    /// # Errors
    /// [`TestbedError`] when the CA's key is gone.
    pub fn trusted(&self, authority: Authority) -> Result<Vec<Certificate>, TestbedError> {
        let issuer = self.state.authorities().issuer(authority)?;
        Ok(std::iter::once(issuer.certificate).chain(issuer.chain).collect())
    }

    /// Where the name server listens when the testbed runs.
    #[must_use]
    pub fn dns_address(&self) -> SocketAddr {
        loopback(self.state.settings.dns_port)
    }

    /// The zone of the name server.
    #[must_use]
    pub fn sml_zone(&self) -> &Domain {
        &self.state.settings.sml_zone
    }

    /// The SMP's base URL.
    #[must_use]
    pub fn smp_url(&self) -> String {
        self.state.smp_url()
    }

    /// The address below which the revocation lists lie.
    #[must_use]
    pub fn crl_url(&self) -> String {
        self.state.crl_url()
    }

    /// The address below which the OCSP responders are asked.
    #[must_use]
    pub fn ocsp_url(&self) -> String {
        self.state.ocsp_url()
    }

    /// Registers a participant that has its certificate of this testbed, for both kinds of documents, at any access point.
    ///
    /// # Errors
    /// [`TestbedError::NoCertificate`] before [`Self::issue_participant`].
    pub fn register(&self, participant: &ParticipantId, endpoint: &str, access_point: &Certificate) -> Result<(), TestbedError> {
        let own = self.issued(&Subject::Participant(participant.clone()))?.ok_or_else(|| TestbedError::NoCertificate(participant.to_string()))?;
        self.publish(&Registration::new(participant.clone(), endpoint, access_point.clone(), own))
    }

    /// Registers a participant exactly so; an earlier registration is replaced.
    ///
    /// # Errors
    /// [`TestbedError::File`].
    pub fn publish(&self, registration: &Registration) -> Result<(), TestbedError> {
        self.state.registry().put(registration)
    }

    /// Ends a participant's registration, if there is one.
    ///
    /// # Errors
    /// [`TestbedError::File`].
    pub fn withdraw(&self, participant: &ParticipantId) -> Result<(), TestbedError> {
        self.state.registry().remove(participant)
    }

    /// What the SMP publishes of a participant.
    ///
    /// # Errors
    /// [`TestbedError`] when the file is damaged.
    pub fn registration_of(&self, participant: &ParticipantId) -> Result<Option<Registration>, TestbedError> {
        self.state.registry().find(participant)
    }

    /// Everybody who is registered.
    ///
    /// # Errors
    /// [`TestbedError`] when a file is damaged.
    pub fn registrations(&self) -> Result<Vec<Registration>, TestbedError> {
        self.state.registry().all()
    }

    /// Starts the servers. They stop when the result is stopped or dropped.
    ///
    /// # Errors
    /// [`TestbedError::Port`] when a port is taken.
    pub async fn start(&self) -> Result<Running, TestbedError> {
        Running::start(&self.state).await
    }
}
