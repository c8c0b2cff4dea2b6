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
mod files;
mod names;
mod point;
mod registry;
mod running;
mod web;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::crypto::{Certificate, Identity, IdentityError, IssueError};
use crate::ident::{AccessPointId, Domain, ParticipantId};
use crate::smp::SmpError;

pub use authority::Authority;
pub use case::{Case, CaseRequest, Recipient};
pub use cast::{Actor, Cast, Role};
pub use names::Subject;
pub use point::{Answered, Heard, Point, PointOptions, Sender, Taken};
pub use registry::Registration;
pub use running::Running;

use authority::Authorities;
use files::Readers;
use registry::Registry;

/// Why the testbed cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// A file or directory cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than the testbed writes.
    #[error("{path} is damaged")]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A key file cannot be used.
    #[error("{path} holds no usable key")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// A certificate or list cannot be made.
    #[error("a certificate or revocation list cannot be made")]
    Issue(#[from] IssueError),
    /// Metadata cannot be signed.
    #[error("the SMP's metadata cannot be signed")]
    Smp(#[from] SmpError),
    /// It has no certificate of this testbed, so there is nothing to register or revoke.
    #[error("{0} has no certificate of this testbed")]
    NoCertificate(String),
    /// A port is taken, most likely by another testbed on the same directory.
    #[error("{address} cannot be listened on")]
    Port {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A message of an acceptance case cannot be made or sent.
    #[error("the case cannot be run: {0}")]
    Case(String),
    /// The state is not as it should be.
    #[error("the testbed is damaged: {0}")]
    Broken(String),
}

/// How a new testbed is made. For one that exists already these are not looked at.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bits of access points' RSA keys. 3072, as in the real federation.
    pub access_point_bits: u32,
    /// Bits of participants' RSA keys. 4096, the largest seen in the real federation.
    pub participant_bits: u32,
    /// Bits of all other keys: the CAs', the SMP's, TLS. 3072.
    pub other_bits: u32,
    /// The zone of the name server; none means `sml.sdk.test`.
    pub sml_zone: Option<Domain>,
    /// The name server's port; the SMP, the revocation lists and the OCSP responders have the three after it. None means free ones.
    pub port: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self { access_point_bits: 3072, participant_bits: 4096, other_bits: 3072, ..Self::small() }
    }
}

impl Options {
    /// 2048 bits everywhere: for tests, where keys are made by the dozen.
    #[must_use]
    pub fn small() -> Self {
        Self { access_point_bits: 2048, participant_bits: 2048, other_bits: 2048, sml_zone: None, port: None }
    }
}

/// What a testbed is, as `testbed.json` has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Settings {
    sml_zone: Domain,
    dns_port: u16,
    smp_port: u16,
    crl_port: u16,
    ocsp_port: u16,
    access_point_bits: u32,
    participant_bits: u32,
    other_bits: u32,
}

impl Settings {
    fn new(options: &Options) -> Result<Self, TestbedError> {
        let sml_zone = match &options.sml_zone {
            Some(zone) => zone.clone(),
            // RFC 6761 6.2 keeps `test` for this.
            None => Domain::new("sml.sdk.test").map_err(|error| TestbedError::Broken(error.to_string()))?,
        };
        let beyond = || TestbedError::Broken("there are not three ports above the name server's".into());
        let ports = match options.port {
            Some(port) => [Some(port), port.checked_add(1), port.checked_add(2), port.checked_add(3)],
            None => [Some(free_port()?), Some(free_port()?), Some(free_port()?), Some(free_port()?)],
        };
        let [dns_port, smp_port, crl_port, ocsp_port] = ports.map(|port| port.ok_or_else(beyond));
        Ok(Self {
            sml_zone,
            dns_port: dns_port?,
            smp_port: smp_port?,
            crl_port: crl_port?,
            ocsp_port: ocsp_port?,
            access_point_bits: options.access_point_bits,
            participant_bits: options.participant_bits,
            other_bits: options.other_bits,
        })
    }
}

/// The testbed's files, shared with its servers.
struct State {
    dir: PathBuf,
    settings: Settings,
}

impl State {
    fn crl_url(&self) -> String {
        format!("http://127.0.0.1:{}/crl", self.settings.crl_port)
    }

    fn ocsp_url(&self) -> String {
        format!("http://127.0.0.1:{}/ocsp", self.settings.ocsp_port)
    }

    fn smp_url(&self) -> String {
        format!("http://127.0.0.1:{}/smp", self.settings.smp_port)
    }

    fn authorities(&self) -> Authorities {
        Authorities::new(&self.dir, self.crl_url(), self.ocsp_url())
    }

    fn registry(&self) -> Registry {
        Registry::new(&self.dir)
    }

    fn issued_dir(&self, subject: &Subject) -> PathBuf {
        self.dir.join("issued").join(subject.folder())
    }

    fn smp_identity(&self) -> Result<Identity, TestbedError> {
        let path = self.issued_dir(&Subject::Smp).join("identity.pem");
        identity_from(&files::read(&path)?.ok_or_else(|| TestbedError::Broken("the SMP has no key".into()))?, &path)
    }

    fn bits(&self, subject: &Subject) -> u32 {
        match subject {
            Subject::AccessPoint(_) => self.settings.access_point_bits,
            Subject::Participant(_) => self.settings.participant_bits,
            Subject::Smp | Subject::Tls(_) => self.settings.other_bits,
        }
    }
}

/// A key that was issued, and its files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The key, its certificate and the CAs above.
    pub identity: Identity,
    /// The folder of the files below.
    pub dir: PathBuf,
    /// PKCS#12.
    pub pkcs12: PathBuf,
    /// The PKCS#12's password, one line.
    pub password_file: PathBuf,
    /// The unencrypted key with its certificate and the CAs' as PEM.
    pub pem: PathBuf,
    /// The certificate alone, as PEM.
    pub certificate: PathBuf,
}

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

    /// Issues an access point its key.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_access_point(&self, name: &AccessPointId) -> Result<Issued, TestbedError> {
        self.issue(&Subject::AccessPoint(name.clone()), None)
    }

    /// Issues a participant its key, one for signing and encryption.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_participant(&self, participant: &ParticipantId) -> Result<Issued, TestbedError> {
        self.issue(&Subject::Participant(participant.clone()), None)
    }

    /// Issues a TLS key for host names and addresses.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_tls(&self, names: &[&str]) -> Result<Issued, TestbedError> {
        self.issue(&Subject::Tls(names.iter().map(|&name| name.to_owned()).collect()), None)
    }

    /// Issues a key, or gives back the one that was issued before and is still good. The PKCS#12's password is the given
    /// one, else the one from before, else a random one. Blocking: a large RSA key takes seconds.
    ///
    /// # Errors
    /// [`TestbedError`].
    pub fn issue(&self, subject: &Subject, password: Option<&str>) -> Result<Issued, TestbedError> {
        let dir = self.state.issued_dir(subject);
        let (pkcs12, password_file) = (dir.join("identity.p12"), dir.join("password"));
        let (pem, certificate) = (dir.join("identity.pem"), dir.join("certificate.pem"));
        let authorities = self.state.authorities();
        let now = Timestamp::now();
        let present = files::read(&pem)?.map(|bytes| identity_from(&bytes, &pem)).transpose()?;
        let identity = match present {
            Some(identity) if self.is_good(subject, &identity.certificate, now)? => identity,
            _ => authorities.issue(subject, self.state.bits(subject), now)?,
        };
        let kept = files::read(&password_file)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let password = match (password, kept) {
            (Some(password), _) => password.to_owned(),
            (None, Some(kept)) => kept.trim_end_matches(['\r', '\n']).to_owned(),
            (None, None) => uuid::Uuid::new_v4().simple().to_string(),
        };
        files::write(&pkcs12, &identity.to_pkcs12(&subject.common_name(), &password)?, Readers::Owner)?;
        files::write(&password_file, format!("{password}\n").as_bytes(), Readers::Owner)?;
        files::write(&certificate, identity.certificate.to_pem().as_bytes(), Readers::Everyone)?;
        // Last: its presence says that the others are there.
        files::write(&pem, identity.to_pem()?.as_bytes(), Readers::Owner)?;
        Ok(Issued { identity, dir, pkcs12, password_file, pem, certificate })
    }

    /// Issues a new key and certificate although the present one is still good; that one stays valid, its files are replaced.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn renew(&self, subject: &Subject) -> Result<Issued, TestbedError> {
        let path = self.state.issued_dir(subject).join("identity.pem");
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(TestbedError::File { path, source }),
            _ => self.issue(subject, None),
        }
    }

    /// A key whose certificate expired yesterday: the same one each time.
    pub(super) fn issue_expired(&self, subject: &Subject) -> Result<Identity, TestbedError> {
        let day = SignedDuration::from_hours(24);
        let now = Timestamp::now();
        self.issue_once(subject, |authorities, bits| authorities.issue_between(subject, bits, now - day * 30, now - day))
    }

    /// A key whose certificate is revoked: the same one each time.
    pub(super) fn issue_revoked(&self, subject: &Subject) -> Result<Identity, TestbedError> {
        let identity = self.issue_once(subject, |authorities, bits| authorities.issue(subject, bits, Timestamp::now()))?;
        let serial = identity.certificate.serial();
        if !self.state.authorities().is_revoked(subject.authority(), &serial)? {
            self.revoke(subject)?;
        }
        Ok(identity)
    }

    /// What was issued before, however bad it is now; otherwise what `make` issues.
    fn issue_once(
        &self,
        subject: &Subject,
        make: impl FnOnce(&Authorities, u32) -> Result<Identity, TestbedError>,
    ) -> Result<Identity, TestbedError> {
        let path = self.state.issued_dir(subject).join("identity.pem");
        if let Some(present) = files::read(&path)? {
            return identity_from(&present, &path);
        }
        let identity = make(&self.state.authorities(), self.state.bits(subject))?;
        files::write(&path, identity.to_pem()?.as_bytes(), Readers::Owner)?;
        Ok(identity)
    }

    /// Whether a certificate from before is one that a new one would equal.
    fn is_good(&self, subject: &Subject, certificate: &Certificate, now: Timestamp) -> Result<bool, TestbedError> {
        Ok(certificate.is_valid_at(now) && !self.state.authorities().is_revoked(subject.authority(), &certificate.serial())?)
    }

    /// The certificate that was issued to a subject; `None` when none was.
    ///
    /// # Errors
    /// [`TestbedError`] when the files are damaged.
    pub fn issued(&self, subject: &Subject) -> Result<Option<Certificate>, TestbedError> {
        let path = self.state.issued_dir(subject).join("identity.pem");
        files::read(&path)?.map(|bytes| Ok(identity_from(&bytes, &path)?.certificate)).transpose()
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

    /// Puts a subject's certificate onto its CA's list, which its responder follows; the next [`Self::issue`] makes a new one.
    ///
    /// # Errors
    /// [`TestbedError::NoCertificate`] when it has none.
    pub fn revoke(&self, subject: &Subject) -> Result<Certificate, TestbedError> {
        let certificate = self.issued(subject)?.ok_or_else(|| TestbedError::NoCertificate(subject.common_name()))?;
        self.state.authorities().revoke(subject.authority(), &certificate.serial(), Timestamp::now())?;
        Ok(certificate)
    }

    /// Starts the servers. They stop when the result is stopped or dropped.
    ///
    /// # Errors
    /// [`TestbedError::Port`] when a port is taken.
    pub async fn start(&self) -> Result<Running, TestbedError> {
        Running::start(&self.state).await
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A port that is free for UDP and TCP, and that this process has not been given before. It lies below the range that
/// systems give to outgoing connections, so that it is still free when the testbed is started another day.
pub(crate) fn free_port() -> Result<u16, TestbedError> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..200 {
        let [high, low, ..] = *uuid::Uuid::new_v4().as_bytes();
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        let address = loopback(port);
        let free = std::net::TcpListener::bind(address).is_ok() && std::net::UdpSocket::bind(address).is_ok();
        // Whoever was given a port may not have bound it yet.
        if free && GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
    Err(TestbedError::Broken("there is no free port between 20000 and 32000".into()))
}

fn identity_from(pem: &[u8], path: &Path) -> Result<Identity, TestbedError> {
    Identity::from_pem(pem, None).map_err(|source| TestbedError::Key { path: path.into(), source })
}
