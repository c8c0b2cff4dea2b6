//! The testbed's files, shared with its servers.

use std::path::{Path, PathBuf};

use super::authority::Authorities;
use super::registry::Registry;
use super::settings::Settings;
use super::{Subject, TestbedError, files};
use crate::crypto::Identity;

/// The testbed's files, shared with its servers.
pub(super) struct State {
    pub(super) dir: PathBuf,
    pub(super) settings: Settings,
}

impl State {
    pub(super) fn crl_url(&self) -> String {
        format!("http://127.0.0.1:{}/crl", self.settings.crl_port)
    }

    pub(super) fn ocsp_url(&self) -> String {
        format!("http://127.0.0.1:{}/ocsp", self.settings.ocsp_port)
    }

    pub(super) fn smp_url(&self) -> String {
        format!("http://127.0.0.1:{}/smp", self.settings.smp_port)
    }

    pub(super) fn authorities(&self) -> Authorities {
        Authorities::new(&self.dir, self.crl_url(), self.ocsp_url())
    }

    pub(super) fn registry(&self) -> Registry {
        Registry::new(&self.dir)
    }

    pub(super) fn issued_dir(&self, subject: &Subject) -> PathBuf {
        self.dir.join("issued").join(subject.folder())
    }

    pub(super) fn smp_identity(&self) -> Result<Identity, TestbedError> {
        let path = self.issued_dir(&Subject::Smp).join("identity.pem");
        identity_from(&files::read(&path)?.ok_or_else(|| TestbedError::Broken("the SMP has no key".into()))?, &path)
    }

    pub(super) fn bits(&self, subject: &Subject) -> u32 {
        match subject {
            Subject::AccessPoint(_) => self.settings.access_point_bits,
            Subject::Participant(_) => self.settings.participant_bits,
            Subject::Smp | Subject::Tls(_) => self.settings.other_bits,
        }
    }
}

pub(super) fn identity_from(pem: &[u8], path: &Path) -> Result<Identity, TestbedError> {
    Identity::from_pem(pem, None).map_err(|source| TestbedError::Key { path: path.into(), source })
}
