//! Keys and certificates: issued, issued anew, and revoked.

use std::io;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::authority::Authorities;
use super::files::{self, Readers};
use super::state::identity_from;
use super::{Subject, Testbed, TestbedError};
use crate::crypto::{Certificate, Identity};
use crate::ident::{AccessPointId, ParticipantId};

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

impl Testbed {
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

    /// Puts a subject's certificate onto its CA's list, which its responder follows; the next [`Self::issue`] makes a new one.
    ///
    /// # Errors
    /// [`TestbedError::NoCertificate`] when it has none.
    pub fn revoke(&self, subject: &Subject) -> Result<Certificate, TestbedError> {
        let certificate = self.issued(subject)?.ok_or_else(|| TestbedError::NoCertificate(subject.common_name()))?;
        self.state.authorities().revoke(subject.authority(), &certificate.serial(), Timestamp::now())?;
        Ok(certificate)
    }
}
