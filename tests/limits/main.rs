//! Each limit has its answer, the operator hears of it once, and who has reached one keeps nobody else waiting.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports)]
    pub(crate) mod harness;
}

mod endpoint;
mod flood;
mod list;
mod quotas;
mod two;
