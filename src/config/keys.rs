//! The keys, passwords and certificates that options name: found, opened, and valid now.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use zeroize::Zeroizing;

use super::check::Checker;
use super::checked::ServerTls;
use super::errors::ConfigError;
use super::files::{self, FileError};
use super::values::SecretFile;
use crate::crypto::{Certificate, Identity, IdentityError, KeyPair, KeyUse};
use crate::edge::tls::{ClientAuth, TlsError, TlsIdentity, server_config};
use crate::failure::with_causes;

/// A certificate that ends sooner is warned of.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What the files hold.
struct Opened {
    key: Zeroizing<Vec<u8>>,
    certificates: Option<Vec<u8>>,
    password: Option<files::Secret>,
}

/// The three options that name a key.
pub(super) struct KeyFiles {
    pub(super) key: Option<SecretFile>,
    pub(super) password: Option<SecretFile>,
    pub(super) certificate: Option<PathBuf>,
}

/// What a key of the configuration must be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It signs and decrypts, now.
    Both,
    /// It signs, now; another one decrypts.
    Sign,
    /// It decrypts, also after its certificate's end: what was sealed before may still come.
    Decrypt,
}

impl Checker<'_> {
    /// A key of the access point or of a participant, with everything that is wrong with it.
    pub(super) fn identity(&mut self, at: &str, files: KeyFiles, purpose: Purpose) -> Option<Identity> {
        let pair = self.key_pair(at, files)?;
        let at = format!("{at}.key");
        let in_time = if purpose == Purpose::Decrypt { Some(()) } else { self.in_time(&at, &pair.certificate) };
        let usable = self.usable(&at, &pair.certificate, purpose);
        let identity = pair.identity().map_err(|error| self.key_error(&at, &error)).ok();
        in_time.and(usable).and(identity)
    }

    /// Key usage and kind of a certificate of ours.
    fn usable(&mut self, at: &str, certificate: &Certificate, purpose: Purpose) -> Option<()> {
        let name = certificate.common_name().unwrap_or_default();
        let (signs, decrypts) = (certificate.may(KeyUse::Sign), certificate.may(KeyUse::Encrypt));
        let wrong = if certificate.is_authority() {
            Some(("is a CA's", "the certificate of the access point or organisation itself is needed, not the one that issued it"))
        } else if !signs && purpose != Purpose::Decrypt {
            Some((
                "may not sign: its key usage has no digitalSignature",
                "it may be the encryption certificate of a pair; that one goes to encryption-key",
            ))
        } else if !decrypts && purpose != Purpose::Sign {
            Some(("may not decrypt: its key usage has no keyEncipherment", "the other certificate of the pair, for encryption, is missing"))
        } else {
            None
        };
        let Some((what, hint)) = wrong else { return Some(()) };
        self.error(ConfigError::new(at, format!("has a certificate, {name}, that {what}")).hint(hint));
        None
    }

    fn key_error(&mut self, at: &str, error: &IdentityError) {
        let of = at.strip_suffix(".key").unwrap_or(at);
        let hint = match error {
            IdentityError::Password => format!("see {of}.key-password-file; the file's text counts as it is, without the line end at its end"),
            IdentityError::Locked => format!("name the file that holds the password: {of}.key-password-file"),
            IdentityError::NoCertificate | IdentityError::Mismatch | IdentityError::Certificate(_) => format!("see {of}.certificate"),
            other => other.hint().to_owned(),
        };
        self.error(ConfigError::new(at, format!("cannot be used: {error}")).hint(hint));
    }

    fn key_pair(&mut self, at: &str, files: KeyFiles) -> Option<KeyPair> {
        let Opened { key, certificates, password } = self.opened(at, files)?;
        let pair = KeyPair::read(&key, certificates.as_deref(), password.as_ref().map(files::Secret::expose));
        pair.map_err(|error| self.key_error(&format!("{at}.key"), &error)).ok()
    }

    pub(super) fn tls_identity(&mut self, at: &str, files: KeyFiles) -> Option<(TlsIdentity, Certificate)> {
        let pair = self.key_pair(at, files)?;
        let at = format!("{at}.key");
        let in_time = self.in_time(&at, &pair.certificate);
        let identity = TlsIdentity::try_from(&pair);
        let identity = identity.map_err(|error| self.error(ConfigError::new(&at, format!("cannot be used: {}", with_causes(&error))))).ok();
        in_time?;
        Some((identity?, pair.certificate))
    }

    pub(super) fn server_tls(&mut self, at: &str, (identity, certificate): (TlsIdentity, Certificate), clients: ClientAuth<'_>) -> Option<ServerTls> {
        let config = self.tls_built(at, server_config(&identity, clients))?;
        Some(ServerTls { config, certificate })
    }

    pub(super) fn tls_built<T>(&mut self, at: &str, built: Result<T, TlsError>) -> Option<T> {
        built.map_err(|error| self.error(ConfigError::new(at, format!("cannot be set up: {}", with_causes(&error))))).ok()
    }

    /// The octets of all files; each is opened, so that one run tells all that is wrong with them.
    fn opened(&mut self, at: &str, files: KeyFiles) -> Option<Opened> {
        let password = files.password.map(|file| self.password(&format!("{at}.key-password-file"), &file));
        let certificates = files.certificate.map(|path| self.file(&format!("{at}.certificate"), &path));
        let key_at = format!("{at}.key");
        let file = files.key?;
        let key = files::secret(&self.secret_path(&file));
        let key = key.map_err(|error| self.secret_error(&key_at, &file, &error)).ok()?;
        if key.group_reads {
            self.warn(&key_at, "names a file that its group can read");
        }
        if certificates.is_some() && KeyPair::is_pkcs12(&key.octets) {
            self.error(ConfigError::new(format!("{at}.certificate"), "has no meaning with PKCS#12, which holds the certificate itself"));
            return None;
        }
        let certificates = certificates.map_or(Some(None), |read| read.map(Some))?;
        Some(Opened { key: key.octets, certificates, password: password.map_or(Some(None), |password| password.map(Some))? })
    }

    pub(super) fn password(&mut self, at: &str, file: &SecretFile) -> Option<files::Secret> {
        match files::password(&self.secret_path(file)) {
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

    /// Where a secret lies: a file, or `credential:NAME`, which systemd has laid ready for the service (systemd.exec(5),
    /// `LoadCredential=`).
    pub(super) fn secret_path(&self, file: &SecretFile) -> PathBuf {
        let name = file.0.to_str().and_then(|path| path.strip_prefix("credential:"));
        match (name, std::env::var_os("CREDENTIALS_DIRECTORY")) {
            (Some(name), Some(dir)) if is_credential(name) => PathBuf::from(dir).join(name),
            _ => self.base.join(&file.0),
        }
    }

    pub(super) fn secret_error(&mut self, at: &str, file: &SecretFile, error: &FileError) {
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

/// Whether this may be a credential's name: that of a file in one folder.
fn is_credential(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.contains('/') && name != "." && name != ".."
}
