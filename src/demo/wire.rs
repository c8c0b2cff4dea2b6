//! What goes over the wire between the two access points, kept as it went.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::edge::tap::Tap;

/// One connection: what was sent and what came back, headers and bodies.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange {
    /// The request.
    pub request: Vec<u8>,
    /// The response.
    pub response: Vec<u8>,
}

/// Records connections.
#[derive(Debug, Default)]
pub(super) struct Tape(Mutex<BTreeMap<u64, Exchange>>);

impl Tape {
    /// The first exchange whose request is a POST.
    #[must_use]
    pub(super) fn first_post(&self) -> Option<Exchange> {
        let exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.values().find(|exchange| exchange.request.starts_with(b"POST ")).cloned()
    }

    fn with(&self, connection: u64, change: impl FnOnce(&mut Exchange)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(connection).or_default());
    }
}

impl Tap for Tape {
    fn sent(&self, connection: u64, octets: &[u8]) {
        self.with(connection, |exchange| exchange.request.extend_from_slice(octets));
    }

    fn heard(&self, connection: u64, octets: &[u8]) {
        self.with(connection, |exchange| exchange.response.extend_from_slice(octets));
    }
}
