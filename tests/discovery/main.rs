//! Discovery against name servers and SMPs that lie, dawdle, break and change: what the directory believes, refuses, remembers,
//! and how often it asks. Everything over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod lies;
mod memory;
mod metadata;
mod names;
mod reach;
mod stage;
