//! Which keys a spool's bodies are under, in a file beside them: so a missing key is told at start, not at the first body.
//!
//! A key stands in it from before the first body under it until it is found that none is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Rings;
use crate::crypto::rest::KeyId;
use crate::port::StoreError;
use crate::store::{store_error, sync_directory};

/// The file's name.
const NAME: &str = "keys";

/// The keys that a spool's bodies are under.
pub(in crate::store) struct Mark {
    dir: PathBuf,
    known: Mutex<BTreeMap<KeyId, Uses>>,
}

/// Bodies that were begun under a key since the start, and how many of them are not done yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Uses {
    begun: u64,
    running: u64,
}

/// A body that is being written under a key.
pub(in crate::store) struct Use {
    mark: Arc<Mark>,
    key: KeyId,
}

/// How often a key had been used when the bodies under it began to be counted.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Unused(KeyId, u64);

impl Mark {
    /// Reads the mark of a spool.
    pub(in crate::store) fn read(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(store_error("reading", &path, &error)),
        };
        let damaged =
            || StoreError::Broken(format!("{} is damaged; when it is removed, a missing key is told at the first body under it", path.display()));
        let known = text.lines().map(|line| line.parse().map(|key| (key, Uses::default())).map_err(|_| damaged()));
        Ok(Self { dir: dir.to_owned(), known: Mutex::new(known.collect::<Result<_, _>>()?) })
    }

    /// Whether all keys that bodies are under are in these rings.
    pub(in crate::store) fn opens_with(&self, rings: &Rings) -> Result<(), StoreError> {
        let missing = self.known().keys().find(|key| rings.key(**key).is_none()).copied();
        missing.map_or(Ok(()), |key| Err(StoreError::Locked(key.to_string())))
    }

    /// A body is begun under a key, which is durable in the mark when this returns.
    pub(in crate::store) fn begin(self: &Arc<Self>, key: KeyId) -> Result<Use, StoreError> {
        let mut known = self.known();
        let new = !known.contains_key(&key);
        known.entry(key).or_default();
        if new && let Err(error) = self.write(&known) {
            known.remove(&key);
            return Err(error);
        }
        let uses = known.entry(key).or_default();
        uses.begun += 1;
        uses.running += 1;
        Ok(Use { mark: Arc::clone(self), key })
    }

    /// The keys that nobody writes under at this moment and that seal nothing new. Bodies that are counted from now on are
    /// all there are.
    pub(in crate::store) fn unused(&self, rings: &Rings) -> Vec<Unused> {
        let seals = |key: KeyId| [&rings.content, &rings.transport].iter().any(|ring| ring.first().is_some_and(|first| first.id() == key));
        let known = self.known();
        known.iter().filter(|(key, uses)| uses.running == 0 && !seals(**key)).map(|(key, uses)| Unused(*key, uses.begun)).collect()
    }

    /// No body was found under these keys. One that was used since stays. The keys that are needed after that.
    pub(in crate::store) fn forget(&self, found_none: &[Unused], has_bodies: impl Fn(KeyId) -> bool) -> Result<BTreeSet<KeyId>, StoreError> {
        let mut known = self.known();
        let before = known.clone();
        for Unused(key, begun) in found_none {
            if !has_bodies(*key) && known.get(key).is_some_and(|uses| uses.begun == *begun && uses.running == 0) {
                known.remove(key);
            }
        }
        if known.len() != before.len()
            && let Err(error) = self.write(&known)
        {
            *known = before;
            return Err(error);
        }
        Ok(known.keys().copied().collect())
    }

    fn write(&self, known: &BTreeMap<KeyId, Uses>) -> Result<(), StoreError> {
        let (path, new) = (self.dir.join(NAME), self.dir.join("keys.new"));
        let text: String = known.keys().flat_map(|key| [key.to_string(), "\n".to_owned()]).collect();
        let written = || {
            fail::fail_point!("spool.keys.write", |_| Err(io::ErrorKind::StorageFull.into()));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            fs::rename(&new, &path)?;
            sync_directory(&self.dir)
        };
        written().map_err(|error: io::Error| store_error("writing", &path, &error))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<KeyId, Uses>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(uses) = self.mark.known().get_mut(&self.key) {
            uses.running = uses.running.saturating_sub(1);
        }
    }
}
