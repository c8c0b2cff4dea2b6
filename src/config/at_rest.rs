//! What the gateway keeps, under keys.

use std::path::Path;

use super::check::Checker;
use super::checked::Role;
use super::declare::section;
use super::errors::ConfigError;
use super::files;
use super::values::SecretFile;
use crate::crypto::rest::RestKey;
use crate::store::cipher::Rings;

section! {
    /// Encryption at rest.
    Encryption {
        /// The files of the keys, each of 32 octets or their base64: `brevbro store key` makes one. The first encrypts what is new,
        /// the others only open what is older. They must not lie in `state-dir`, and need a backup of their own: what is
        /// encrypted with a lost key is lost.
        keys: Vec<SecretFile> = Required "[\"/etc/brevbro/state-2026.key\"]";
        /// Other keys for what is in the clear otherwise: mails, SDK messages and message receipts. A node that is access point
        /// alone does without, since it keeps only what is sealed; one of the mail side alone must have some. Left out,
        /// `keys` are for everything.
        content_keys: Vec<SecretFile> = Optional "[\"/etc/brevbro/content-2026.key\"]";
    }
}

impl Checker<'_> {
    pub(super) fn encryption(&mut self, raw: Encryption, state_dir: Option<&Path>, role: Role) -> Option<Rings> {
        if role == Role::AccessPoint && raw.content_keys.is_some() {
            let hint = "leave it to the nodes that have the mail side: this one keeps nothing that it is for";
            self.error(ConfigError::new("encryption.content-keys", "has no business on an access point's node").hint(hint));
        }
        let transport = raw.keys.and_then(|files| self.rest_keys("encryption.keys", files, state_dir));
        if role == Role::Mail && raw.content_keys.is_none() {
            let hint =
                "make one with brevbro store key; nodes that are access point alone have encryption.keys too, and must not read what is in the clear";
            self.error(ConfigError::new("encryption.content-keys", "is missing on a node of the mail side").hint(hint));
        }
        let content = raw.content_keys.map(|files| self.rest_keys("encryption.content-keys", files, state_dir));
        if let (Some(Some(content)), Some(transport)) = (&content, &transport) {
            for (i, key) in content.iter().enumerate().filter(|(_, key)| transport.iter().any(|other| other.id() == key.id())) {
                let hint = "a node that is access point alone has encryption.keys; what is in the clear needs other ones";
                self.error(
                    ConfigError::new(format!("encryption.content-keys[{i}]"), format!("is the key {} of encryption.keys", key.id())).hint(hint),
                );
            }
        }
        let transport = Rings::of(transport?).transport;
        let content = match content {
            Some(content) => Rings::of(content?).content,
            None => transport.clone(),
        };
        Some(Rings { content, transport })
    }

    fn rest_keys(&mut self, at: &str, files: Vec<SecretFile>, state_dir: Option<&Path>) -> Option<Vec<RestKey>> {
        if files.is_empty() {
            self.error(ConfigError::new(at, "is empty").hint("leave the section [encryption] out where nothing is to be encrypted"));
            return None;
        }
        let read: Vec<_> = files.into_iter().enumerate().map(|(i, file)| self.rest_key(&format!("{at}[{i}]"), &file, state_dir)).collect();
        let keys = read.into_iter().collect::<Option<Vec<_>>>()?;
        for (i, key) in keys.iter().enumerate() {
            if keys.iter().take(i).any(|other| other.id() == key.id()) {
                self.error(ConfigError::new(format!("{at}[{i}]"), format!("is the key {} once more", key.id())));
            }
        }
        Some(keys)
    }

    fn rest_key(&mut self, at: &str, file: &SecretFile, state_dir: Option<&Path>) -> Option<RestKey> {
        let path = self.secret_path(file);
        if state_dir.is_some_and(|dir| path.starts_with(dir)) {
            let hint = "who gets the state, by a stolen disk or a backup, must not get the key with it";
            self.error(ConfigError::new(at, "names a file in state-dir").text(file.0.display()).hint(hint));
            return None;
        }
        let read = files::secret(&path).map_err(|error| self.secret_error(at, file, &error)).ok()?;
        if read.group_reads {
            self.warn(at, "names a file that its group can read");
        }
        let key = RestKey::read(&read.octets);
        key.map_err(|error| self.error(ConfigError::new(at, format!("is no key: {error}")).hint("brevbro store key makes one"))).ok()
    }
}
