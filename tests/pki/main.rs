//! Keys, chains, revocation and the change of keys. The `openssl` program makes what CAs hand out and judges beside us.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports, reason = "shared with the tests of whole gateways")]
    pub(crate) mod harness;
}

use gateway::harness;

mod chains;
mod change;
mod ends;
mod fetching;
mod forge;
mod keystores;
mod lists;
