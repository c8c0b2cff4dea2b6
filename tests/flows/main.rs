//! The flows, step by step: states in, effects out, without a socket, a file or a clock.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod inbound;
mod made;
mod outbound;
mod transitions;
