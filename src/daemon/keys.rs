//! The keys of what is kept, while the daemon runs: read anew, and what lies under older ones sealed anew.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::control::Refused;
use crate::config;
use crate::crypto::rest::RestKey;
use crate::event::{Event, EventName, Field};
use crate::port::{Clock, Op, Step, Store, StoreError};
use crate::store::cipher::{Census, Keys, Rekey, Rekeying, Rings};

/// How often a run tells how far it has come.
const TELL: Duration = Duration::from_secs(1);

/// The keys of a daemon and the bodies under them.
pub struct AtRest {
    keys: Arc<Keys>,
    bodies: Arc<dyn Rekey>,
    rekeying: Arc<Rekeying>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Read again when keys have changed.
    file: PathBuf,
    /// One change at a time.
    changing: Mutex<()>,
    /// The run that goes on, or the last one.
    run: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What is told of bodies and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeysTold {
    /// How far the run has come.
    Progress {
        /// Bodies that were looked at.
        seen: u64,
        /// Bodies that were encrypted with the active key.
        anew: u64,
        /// Bodies that could not be.
        failed: u64,
    },
    /// So many bodies are under a key.
    Key {
        /// The key's id.
        id: String,
        /// What it is for.
        role: KeyRole,
        /// Bodies under it.
        bodies: u64,
        /// Whether it is needed: by these, or by one that is being written.
        needed: bool,
    },
    /// So many bodies lie in the clear.
    Clear {
        /// Bodies.
        bodies: u64,
    },
    /// So many bodies have a beginning that cannot be read.
    Damaged {
        /// Bodies.
        bodies: u64,
    },
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyRole {
    /// What is new is encrypted with it.
    Active,
    /// It opens what is older.
    Older,
    /// It is not configured.
    Missing,
}

impl AtRest {
    /// Of a daemon that was started from this file.
    #[must_use]
    pub fn new(keys: Arc<Keys>, bodies: Arc<dyn Rekey>, store: Arc<dyn Store>, clock: Arc<dyn Clock>, file: PathBuf) -> Arc<Self> {
        let rekeying = Rekeying::new(Arc::clone(&bodies));
        Arc::new(Self { keys, bodies, rekeying, store, clock, file, changing: Mutex::new(()), run: std::sync::Mutex::default() })
    }

    /// Says in the log what bodies lie under.
    pub fn report(&self) {
        match described(&self.keys.rings()) {
            None => tracing::warn!("messages are kept in the clear here: there is no section [encryption]; the disk has to be encrypted"),
            Some(keys) => tracing::info!(keys, "what is kept of messages is encrypted"),
        }
    }

    /// Reads the configuration again and uses its keys from now on; everything else in it counts at the next start.
    ///
    /// # Errors
    /// [`Refused`] when the file is not sound, or lacks a key that bodies are under. Nothing has changed then.
    pub async fn reload(&self, by: &str) -> Result<String, Refused> {
        let _changing = self.changing.lock().await;
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || config::load(&file)).await;
        let read = read.map_err(|_| Refused::new("the configuration cannot be read", "see the gateway's log"))?;
        let rings = read.map_err(|errors| Refused::new(errors.to_string(), "nothing was changed"))?.encryption;
        self.bodies.needs(rings.clone()).await.map_err(|error| refused(&error))?;
        let told = described(&rings).unwrap_or_else(|| "none".to_owned());
        self.keys.replace(rings);
        tracing::info!(keys = told, "the keys of [encryption] were read again");
        self.journal(Event::new(self.clock.now(), EventName::KeysChanged).with(Field::Key, &told).with(Field::Reader, by)).await?;
        Ok(told)
    }

    /// How many bodies are under which key.
    ///
    /// # Errors
    /// [`Refused`] when they cannot be counted.
    pub async fn census(&self) -> Result<Vec<KeysTold>, Refused> {
        self.bodies.census().await.map(|census| self.told(&census)).map_err(|error| refused(&error))
    }

    /// Begins to encrypt all bodies with the active keys, unless that is going on. It goes on when nobody listens any more.
    ///
    /// # Errors
    /// [`Refused`] when there are no keys.
    pub fn begin(self: &Arc<Self>, by: &str) -> Result<(), Refused> {
        let Some(keys) = described(&self.keys.rings()) else {
            return Err(Refused::new("there are no keys", "name them in [encryption], then: brevbro store reload-keys"));
        };
        if self.rekeying.begin() {
            let (own, by) = (Arc::clone(self), by.to_owned());
            let run = tokio::spawn(async move {
                tracing::info!(keys, "what was kept under older keys is encrypted anew");
                let run = own.rekeying.run().await;
                let progress = own.rekeying.progress();
                match run {
                    Ok(_) => tracing::info!(anew = progress.anew, failed = progress.failed, "what was kept is under the active keys"),
                    Err(error) => tracing::error!(%error, "what was kept cannot be encrypted anew"),
                }
                let event = Event::new(own.clock.now(), EventName::Rekeyed).with(Field::Key, keys).with(Field::Reader, by);
                let event = event.with(Field::Cause, format!("{} encrypted anew, {} failed", progress.anew, progress.failed));
                if let Err(refused) = own.journal(event).await {
                    tracing::error!(what = refused.what, "the journal cannot say so");
                }
            });
            *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        }
        Ok(())
    }

    /// Ends a run that goes on, between two bodies: what is left keeps its key.
    pub async fn stop(&self) {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(run) = run {
            run.abort();
            drop(run.await);
        }
    }

    /// How far the run has come, after a while; none when it has ended.
    pub async fn progress(&self) -> Option<KeysTold> {
        tokio::time::sleep(TELL).await;
        let progress = self.rekeying.progress();
        progress.running.then_some(KeysTold::Progress { seen: progress.seen, anew: progress.anew, failed: progress.failed })
    }

    /// What the last run did.
    #[must_use]
    pub fn done(&self) -> KeysTold {
        let progress = self.rekeying.progress();
        KeysTold::Progress { seen: progress.seen, anew: progress.anew, failed: progress.failed }
    }

    fn told(&self, census: &Census) -> Vec<KeysTold> {
        let rings = self.keys.rings();
        let mut told = Vec::new();
        let mut key = |id, bodies| {
            let active = [&rings.content, &rings.transport].iter().any(|ring| ring.first().is_some_and(|first| first.id() == id));
            let role = if active { KeyRole::Active } else { rings.key(id).map_or(KeyRole::Missing, |_| KeyRole::Older) };
            told.push(KeysTold::Key { id: id.to_string(), role, bodies, needed: bodies > 0 || census.needed.contains(&id) });
        };
        let mut known: Vec<_> = rings.content.iter().chain(&rings.transport).map(|key| key.id()).collect();
        known.dedup();
        for (at, id) in known.iter().enumerate() {
            if !known.iter().take(at).any(|other| other == id) {
                key(*id, census.keys.get(id).copied().unwrap_or_default());
            }
        }
        census.keys.iter().filter(|(id, _)| !known.contains(id)).for_each(|(id, bodies)| key(*id, *bodies));
        told.push(KeysTold::Clear { bodies: census.clear });
        told.extend((census.damaged > 0).then_some(KeysTold::Damaged { bodies: census.damaged }));
        told
    }

    async fn journal(&self, event: Event) -> Result<(), Refused> {
        self.store.apply(Step::new().op(Op::Audit(event))).await.map_err(|error| refused(&error))
    }
}

/// The keys by their ids, the active one first; none when nothing is encrypted.
fn described(rings: &Rings) -> Option<String> {
    let ids = |ring: &[Arc<RestKey>]| ring.iter().map(|key| key.id().to_string()).collect::<Vec<_>>().join(", ");
    let (content, transport) = (ids(&rings.content), ids(&rings.transport));
    match (content.is_empty(), transport.is_empty()) {
        (true, true) => None,
        _ if content == transport => Some(content),
        _ => Some(format!("{transport}; for content {content}")),
    }
}

fn refused(error: &StoreError) -> Refused {
    let hint = match error {
        StoreError::Locked(_) => "name that key's file behind the active one until brevbro store rekey --check says that no body needs it",
        _ => "see the gateway's log",
    };
    Refused::new(error.to_string(), hint)
}
