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

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Runs a future of a store to its end.
fn block<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// A folder for what is cut, in memory where there is room: what a sync means is for the model to say.
fn scratch(name: &str) -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix(name);
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).unwrap()
}
