//! The power is cut, the disk is full, the disk fails: nothing that was acknowledged is lost, and it goes on by itself.
//!
//! `BREVBRO_POWER_CUTS` makes the power cuts more, `BREVBRO_POWER_SEED` rolls other dice (docs/reliability.md).

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]

mod cuts;
mod damage;
mod disk;
mod failing;
mod full;
mod gateways;
mod tape;
mod work;

#[path = "../common/mod.rs"]
mod common;
#[path = "../crash/evidence.rs"]
#[allow(dead_code)]
mod evidence;
#[path = "../crash/stage.rs"]
#[allow(dead_code, clippy::unnecessary_debug_formatting)]
mod stage;

use std::future::Future;

/// Runs a future of a store to its end.
fn block<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
