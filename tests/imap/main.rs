//! Mail by IMAP: an outbox folder that is watched, and a folder that gets messages, with a real Dovecot and with servers that misbehave.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #[allow(unused_imports, reason = "other binaries need more of it")]
    pub(crate) mod harness;
}

use gateway::harness;

mod server;
mod stage;

mod delivery;
mod folders;
#[cfg(feature = "failpoints")]
mod kills;
mod login;
mod quirks;
