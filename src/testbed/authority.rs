//! The four CAs. As in the real federation, access points and participants have an issuing CA below a root, the SMP and
//! TLS hang on a root; each CA has its own revocation list and OCSP responder.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::TestbedError;
use super::files::{self, Readers};
use super::names::Subject;
use super::state::identity_from;
use crate::crypto::{Certificate, Identity, OcspError, OcspQuestion, OcspRefusal, OcspStatus, Profile, Template, issue_crl, issue_ocsp, refuse_ocsp};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long a list says that it holds. The testbed makes a new one for each question.
const LIST_HOLDS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long an OCSP answer says that it holds.
const ANSWER_HOLDS: SignedDuration = SignedDuration::from_hours(24);

/// One of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// Issues access points' certificates.
    AccessPoint,
    /// Issues participants' certificates, in the place of SITHS, Expisoft and Försäkringskassan.
    Participant,
    /// Issues the SMP's certificate.
    Smp,
    /// Issues TLS certificates.
    Tls,
}

impl Authority {
    /// All four.
    pub const ALL: [Self; 4] = [Self::AccessPoint, Self::Participant, Self::Smp, Self::Tls];

    /// Its name in files and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessPoint => "access-point",
            Self::Participant => "participant",
            Self::Smp => "smp",
            Self::Tls => "tls",
        }
    }

    /// The CAs from the root down, the last one issues: name in files, common name.
    const fn levels(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AccessPoint => &[("access-point-root", "Rot CA eDelivery Accesspunkt-TESTBED"), ("access-point", "Accesspunkt CA-TESTBED")],
            Self::Participant => &[("participant-root", "Rot CA Funktion-TESTBED"), ("participant", "Funktion CA-TESTBED")],
            Self::Smp => &[("smp", "Rot CA eDelivery SMP-TESTBED")],
            Self::Tls => &[("tls", "Rot CA TLS-TESTBED")],
        }
    }

    /// Who answers for its issuing CA by OCSP when it is not the CA itself: both are met in the federation.
    const fn responder(self) -> Option<&'static str> {
        match self {
            Self::Participant => Some("OCSP Funktion-TESTBED"),
            Self::AccessPoint | Self::Smp | Self::Tls => None,
        }
    }
}

/// Where the CAs live and under which address their lists are published.
#[derive(Debug, Clone)]
pub(super) struct Authorities {
    dir: PathBuf,
    crl_url: String,
    ocsp_url: String,
}

impl Authorities {
    pub(super) fn new(dir: &Path, crl_url: String, ocsp_url: String) -> Self {
        Self { dir: dir.join("ca"), crl_url, ocsp_url }
    }

    /// Makes the keys that are not there yet, all CAs at once: each takes a moment.
    pub(super) fn create(&self, bits: u32, now: Timestamp) -> Result<(), TestbedError> {
        std::thread::scope(|scope| {
            let threads = Authority::ALL.map(|authority| scope.spawn(move || self.create_one(authority, bits, now)));
            let joined = threads.map(|thread| thread.join().unwrap_or_else(|_| Err(TestbedError::Broken("making a CA's key failed".into()))));
            joined.into_iter().collect()
        })
    }

    fn create_one(&self, authority: Authority, bits: u32, now: Timestamp) -> Result<(), TestbedError> {
        let mut above: Option<(&str, Identity)> = None;
        for (name, common_name) in authority.levels() {
            let path = self.key_file(name);
            let identity = if let Some(present) = files::read(&path)? {
                identity_from(&present, &path)?
            } else {
                let template = Template {
                    subject: subject_of(common_name),
                    from: now - DAY,
                    until: now + DAY * 3650,
                    profile: Profile::Authority,
                    crl_url: above.as_ref().map(|(above, _)| self.list_url(above)),
                    ocsp_url: above.as_ref().map(|(above, _)| self.responder_url(above)),
                };
                let identity = template.issue(bits, above.as_ref().map(|(_, identity)| identity))?;
                if let Some((above, _)) = &above {
                    self.record(above, &identity.certificate)?;
                }
                files::write(&path, identity.to_pem()?.as_bytes(), Readers::Owner)?;
                identity
            };
            above = Some((name, identity));
        }
        let (Some(common_name), Some((name, issuer))) = (authority.responder(), above) else { return Ok(()) };
        let path = self.responder_file(name);
        if files::read(&path)?.is_none() {
            let template = Template {
                subject: subject_of(common_name),
                from: now - DAY,
                until: now + DAY * 3650,
                profile: Profile::Responder,
                crl_url: None,
                ocsp_url: None,
            };
            files::write(&path, template.issue(2048, Some(&issuer))?.to_pem()?.as_bytes(), Readers::Owner)?;
        }
        Ok(())
    }

    /// The issuing CA's key.
    pub(super) fn issuer(&self, authority: Authority) -> Result<Identity, TestbedError> {
        let path = self.key_file(authority.name());
        let pem = files::read(&path)?.ok_or_else(|| TestbedError::Broken(format!("{} is missing", path.display())))?;
        identity_from(&pem, &path)
    }

    /// The CA certificates as PEM, the issuing one first: what others put into their configuration.
    pub(super) fn bundle(&self, authority: Authority) -> Result<String, TestbedError> {
        let issuer = self.issuer(authority)?;
        Ok(std::iter::once(&issuer.certificate).chain(&issuer.chain).map(Certificate::to_pem).collect())
    }

    /// Issues a new key with a certificate for two years.
    pub(super) fn issue(&self, subject: &Subject, bits: u32, now: Timestamp) -> Result<Identity, TestbedError> {
        self.issue_between(subject, bits, now - SignedDuration::from_hours(1), now + DAY * 730)
    }

    /// Issues a new key with a certificate that holds so long.
    pub(super) fn issue_between(&self, subject: &Subject, bits: u32, from: Timestamp, until: Timestamp) -> Result<Identity, TestbedError> {
        let authority = subject.authority();
        let template = Template {
            subject: subject_of(&subject.common_name()),
            from,
            until,
            profile: subject.profile(),
            crl_url: Some(self.list_url(authority.name())),
            ocsp_url: Some(self.responder_url(authority.name())),
        };
        let identity = template.issue(bits, Some(&self.issuer(authority)?))?;
        self.record(authority.name(), &identity.certificate)?;
        Ok(identity)
    }

    /// Remembers what a CA has issued: its responder knows nothing of other numbers.
    fn record(&self, name: &str, certificate: &Certificate) -> Result<(), TestbedError> {
        files::write(&self.issued_dir(name).join(certificate.serial()), certificate.subject().as_bytes(), Readers::Everyone)
    }

    /// Puts a certificate onto its CA's list. One file for each, so that two processes do not lose one another's.
    pub(super) fn revoke(&self, authority: Authority, serial: &str, now: Timestamp) -> Result<(), TestbedError> {
        files::write(&self.revoked_dir(authority.name()).join(serial), now.to_string().as_bytes(), Readers::Everyone)
    }

    pub(super) fn is_revoked(&self, authority: Authority, serial: &str) -> Result<bool, TestbedError> {
        Ok(files::names(&self.revoked_dir(authority.name()))?.iter().any(|name| name == serial))
    }

    /// A CA's list of this moment, in DER; `None` when there is no such CA.
    pub(super) fn list(&self, name: &str, now: Timestamp) -> Result<Option<Vec<u8>>, TestbedError> {
        let Some((name, identity)) = self.known(name)? else { return Ok(None) };
        Ok(Some(issue_crl(&identity, &self.revoked(name, now)?, now, now + LIST_HOLDS)?))
    }

    /// A CA's answer of this moment to an OCSP question, in DER; `None` when there is no such CA.
    pub(super) fn answer(&self, name: &str, question: &[u8], now: Timestamp) -> Result<Option<Vec<u8>>, TestbedError> {
        let Some((name, issuer)) = self.known(name)? else { return Ok(None) };
        let question = match OcspQuestion::read(question) {
            Ok(question) => question,
            Err(OcspError::Unreadable) => return Ok(Some(refuse_ocsp(OcspRefusal::Malformed))),
            Err(_) => return Ok(Some(refuse_ocsp(OcspRefusal::Internal))),
        };
        let (issued, revoked) = (files::names(&self.issued_dir(name))?, self.revoked(name, now)?);
        let said = question.ids.into_iter().map(|id| {
            let serial = id.serial().filter(|serial| id.is_of(&issuer.certificate) && issued.contains(serial));
            let status = serial.map_or(OcspStatus::Unknown, |serial| {
                revoked.iter().find(|(other, _)| *other == serial).map_or(OcspStatus::Good, |(_, at)| OcspStatus::Revoked(*at))
            });
            (id, status)
        });
        let said: Vec<_> = said.collect();
        let path = self.responder_file(name);
        let responder = files::read(&path)?.map_or(Ok(issuer), |pem| identity_from(&pem, &path))?;
        Ok(Some(issue_ocsp(&responder, &said, question.nonce.as_deref(), now, Some(now + ANSWER_HOLDS))?))
    }

    /// A CA by a name that comes from the network: it reaches the disk only when it is one of ours.
    fn known(&self, name: &str) -> Result<Option<(&'static str, Identity)>, TestbedError> {
        let mut known = Authority::ALL.into_iter().flat_map(Authority::levels).map(|(name, _)| *name);
        let Some(name) = known.find(|known| *known == name) else { return Ok(None) };
        let path = self.key_file(name);
        files::read(&path)?.map(|pem| Ok((name, identity_from(&pem, &path)?))).transpose()
    }

    /// Serial numbers with the time of revocation.
    fn revoked(&self, name: &str, now: Timestamp) -> Result<Vec<(String, Timestamp)>, TestbedError> {
        let dir = self.revoked_dir(name);
        let mut revoked = Vec::new();
        for serial in files::names(&dir)? {
            let at = files::read(&dir.join(&serial))?.and_then(|at| String::from_utf8(at).ok()?.trim().parse().ok());
            revoked.push((serial, at.unwrap_or(now)));
        }
        Ok(revoked)
    }

    fn responder_url(&self, name: &str) -> String {
        format!("{}/{name}", self.ocsp_url)
    }

    fn list_url(&self, name: &str) -> String {
        format!("{}/{name}.crl", self.crl_url)
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("identity.pem")
    }

    fn responder_file(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("responder.pem")
    }

    fn issued_dir(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("issued")
    }

    fn revoked_dir(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("revoked")
    }
}

/// Subjects in the form of the published ones; the organisation says at first sight that this is no real CA.
fn subject_of(common_name: &str) -> Vec<(&'static str, String)> {
    let fields = [("C", "SE"), ("O", "Brevbro testbädd"), ("organizationIdentifier", "000000-0000"), ("CN", common_name)];
    fields.map(|(field, value)| (field, value.to_owned())).into()
}
