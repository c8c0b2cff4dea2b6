//! What an operator does to a gateway that runs, and what it does by itself as time goes by.
//!
//! The commands are called as `brevbro` calls them, over the gateway's control socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports)]
    pub(crate) mod harness;
}

#[path = "../crash/evidence.rs"]
#[allow(dead_code, unreachable_pub, reason = "used in part")]
mod evidence;
#[path = "../crash/stage.rs"]
#[allow(dead_code, unreachable_pub, clippy::unnecessary_debug_formatting, reason = "used in part")]
mod stage;

mod backup;
mod control;
mod moving;
mod nodes;
mod operator;
mod resend;
mod retention;
mod start;
mod store;
