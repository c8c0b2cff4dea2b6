//! What a gateway that runs lets others see: its memory, its keys, what is left of messages that have passed.
//!
//! The gateways are processes of their own, as in `tests/crash`, whose logs and judgement are used here.

#![allow(unreachable_pub, dead_code, reason = "parts of other tests are used in part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]
#![allow(clippy::unnecessary_debug_formatting, reason = "a path in quotes is a string of TOML")]

#[path = "../crash/evidence.rs"]
mod evidence;
mod keys;
mod memory;
mod process;
#[path = "../crash/stage.rs"]
mod stage;

#[path = "../common/mod.rs"]
mod common;
