//! A store under test, and the clock that it goes by.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use brevbro::port::{Clock, Store};
use brevbro::store::{MemoryStore, SledOptions, SledStore};
use jiff::Timestamp;

/// A clock that is the machine's until a test sets it.
#[derive(Default)]
pub(crate) struct Hands(Mutex<Option<Timestamp>>);

impl Hands {
    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = Some(now);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().unwrap_or_else(Timestamp::now)
    }
}

/// A store with its clock, and what it lives in.
pub(crate) struct Subject {
    store: Box<dyn Store>,
    pub(crate) hands: Arc<Hands>,
    _dir: Option<tempfile::TempDir>,
}

impl Deref for Subject {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

pub(crate) fn memory() -> Subject {
    let hands = Arc::new(Hands::default());
    Subject { store: Box::new(MemoryStore::with_clock(Arc::clone(&hands) as Arc<dyn Clock>)), hands, _dir: None }
}

pub(crate) fn sled() -> Subject {
    let (hands, dir) = (Arc::new(Hands::default()), tempfile::tempdir().unwrap());
    let options = SledOptions { clock: Arc::clone(&hands) as Arc<dyn Clock>, ..SledOptions::new(dir.path()) };
    Subject { store: Box::new(SledStore::open(options).unwrap()), hands, _dir: Some(dir) }
}
