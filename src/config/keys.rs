//! The keys, passwords and certificates that options name: found, opened, and valid now.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use zeroize::Zeroizing;

use super::check::Checker;
use super::checked::ServerTls;
use super::errors::ConfigError;
use super::files::{self, FileError};
use super::values::SecretFile;
use crate::crypto::{Certificate, Identity, IdentityError};
use crate::edge::tls::{ClientAuth, TlsError, TlsIdentity, server_config};

/// A certificate that ends sooner is warned of.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The three options that name a key.
pub(super) struct KeyFiles {
    pub(super) key: Option<SecretFile>,
    pub(super) password: Option<SecretFile>,
    pub(super) certificate: Option<PathBuf>,
}

impl Checker<'_> {
    pub(super) fn identity(&mut self, at: &str, files: KeyFiles) -> Option<Identity> {
        let identity = self.identity_that_may_be_old(at, files)?;
        self.in_time(&format!("{at}.key"), &identity.certificate)?;
        Some(identity)
    }

    /// A key that only decrypts is of use after its certificate's end.
    pub(super) fn identity_that_may_be_old(&mut self, at: &str, files: KeyFiles) -> Option<Identity> {
        let (octets, password) = self.key_octets(at, files)?;
        let password = password.as_ref().map(files::Secret::expose);
        let read = if octets.first() == Some(&0x30) {
            Identity::from_pkcs12(&octets, password.unwrap_or_default())
        } else {
            Identity::from_pem(&octets, password)
        };
        match read {
            Ok(identity) => Some(identity),
            Err(error) => {
                let hint = match error {
                    IdentityError::Password => format!("see {at}.key-password-file"),
                    IdentityError::NoCertificate | IdentityError::Mismatch => format!("see {at}.certificate"),
                    _ => String::new(),
                };
                self.error(ConfigError::new(format!("{at}.key"), format!("cannot be used: {error}")).hint(hint));
                None
            }
        }
    }

    pub(super) fn tls_identity(&mut self, at: &str, files: KeyFiles) -> Option<(TlsIdentity, Certificate)> {
        let (octets, password) = self.key_octets(at, files)?;
        let read = if octets.first() == Some(&0x30) {
            Identity::from_pkcs12(&octets, password.as_ref().map(files::Secret::expose).unwrap_or_default())
                .map_err(|error| error.to_string())
                .and_then(|identity| Ok((TlsIdentity::try_from(&identity).map_err(|error| chain_of(&error))?, identity.certificate)))
        } else {
            let identity = TlsIdentity::from_pem(&octets).map_err(|error| chain_of(&error));
            identity.and_then(|identity| Ok((identity, Certificate::from_pem(&octets).map_err(|error| error.to_string())?)))
        };
        match read {
            Ok((identity, certificate)) => {
                self.in_time(&format!("{at}.key"), &certificate)?;
                Some((identity, certificate))
            }
            Err(reason) => {
                let hint = "PEM: an unencrypted key, and the certificate here or in `certificate`; PKCS#12: with its password file";
                self.error(ConfigError::new(format!("{at}.key"), format!("cannot be used: {reason}")).hint(hint));
                None
            }
        }
    }

    pub(super) fn server_tls(&mut self, at: &str, (identity, certificate): (TlsIdentity, Certificate), clients: ClientAuth<'_>) -> Option<ServerTls> {
        let config = self.tls_built(at, server_config(&identity, clients))?;
        Some(ServerTls { config, certificate })
    }

    pub(super) fn tls_built<T>(&mut self, at: &str, built: Result<T, TlsError>) -> Option<T> {
        built.map_err(|error| self.error(ConfigError::new(at, format!("cannot be set up: {}", chain_of(&error))))).ok()
    }

    /// The key's file, with the certificate's behind it, and the password.
    fn key_octets(&mut self, at: &str, files: KeyFiles) -> Option<(Zeroizing<Vec<u8>>, Option<files::Secret>)> {
        let password = files.password.map(|file| self.password(&format!("{at}.key-password-file"), &file));
        let certificate = files.certificate.map(|path| self.file(&format!("{at}.certificate"), &path));
        let key_at = format!("{at}.key");
        let file = files.key?;
        let key = files::secret(&self.base.join(&file.0));
        let key = key.map_err(|error| self.secret_error(&key_at, &file, &error)).ok()?;
        if key.group_reads {
            self.warn(&key_at, "names a file that its group can read");
        }
        let mut octets = key.octets;
        if let Some(certificate) = certificate {
            let certificate = certificate?;
            if octets.first() == Some(&0x30) {
                self.error(ConfigError::new(format!("{at}.certificate"), "has no meaning with PKCS#12, which holds the certificate itself"));
                return None;
            }
            octets.push(b'\n');
            octets.extend_from_slice(&certificate);
        }
        Some((octets, password.map_or(Some(None), |password| password.map(Some))?))
    }

    pub(super) fn password(&mut self, at: &str, file: &SecretFile) -> Option<files::Secret> {
        match files::password(&self.base.join(&file.0)) {
            Ok((secret, group_reads)) => {
                if group_reads {
                    self.warn(at, "names a file that its group can read");
                }
                Some(secret)
            }
            Err(error) => {
                self.secret_error(at, file, &error);
                None
            }
        }
    }

    fn secret_error(&mut self, at: &str, file: &SecretFile, error: &FileError) {
        let told = ConfigError::new(at, error.reason()).hint(error.hint());
        // A name that leads nowhere may be the secret itself, written in the wrong place.
        self.error(if error.is_there() { told.text(file.0.display()) } else { told });
    }

    fn file(&mut self, at: &str, path: &Path) -> Option<Vec<u8>> {
        let read = files::public(&self.base.join(path));
        read.map_err(|error| self.error(ConfigError::new(at, error.reason()).text(path.display()).hint(error.hint()))).ok()
    }

    pub(super) fn certificates(&mut self, at: &str, paths: Vec<PathBuf>) -> Option<Vec<Certificate>> {
        if paths.is_empty() {
            self.error(ConfigError::new(at, "is empty"));
            return None;
        }
        let read: Vec<_> = paths.into_iter().enumerate().map(|(i, path)| self.certificate_file(&format!("{at}[{i}]"), &path)).collect();
        Some(read.into_iter().collect::<Option<Vec<_>>>()?.concat())
    }

    pub(super) fn certificate(&mut self, at: &str, path: PathBuf) -> Option<Certificate> {
        self.certificate_file(at, &path)?.into_iter().next()
    }

    fn certificate_file(&mut self, at: &str, path: &Path) -> Option<Vec<Certificate>> {
        let octets = self.file(at, path)?;
        let certificates = Certificate::all_from(&octets);
        let certificates =
            certificates.map_err(|error| self.error(ConfigError::new(at, format!("cannot be read: {error}")).text(path.display()))).ok()?;
        for certificate in certificates.iter().filter(|certificate| !certificate.is_valid_at(self.now)).cloned().collect::<Vec<_>>() {
            let name = certificate.common_name().unwrap_or_default();
            self.warn(at, &format!("{name} is valid from {} to {} only", certificate.not_before(), certificate.not_after()));
        }
        Some(certificates)
    }

    /// A certificate of our own must be valid now.
    fn in_time(&mut self, at: &str, certificate: &Certificate) -> Option<()> {
        let name = certificate.common_name().unwrap_or_default();
        let reason = if self.now < certificate.not_before() {
            format!("has a certificate, {name}, that is not valid until {}", certificate.not_before())
        } else if self.now > certificate.not_after() {
            format!("has a certificate, {name}, that expired at {}", certificate.not_after())
        } else {
            if certificate.not_after().duration_since(self.now) < EXPIRES_SOON {
                self.warn(at, &format!("has a certificate, {name}, that expires at {}", certificate.not_after()));
            }
            return Some(());
        };
        self.error(ConfigError::new(at, reason).hint("renew it, or see the machine's clock"));
        None
    }
}

/// An error with its causes in one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
