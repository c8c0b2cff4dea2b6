//! Conversion as people meet it: `brevbro convert`, and mails of the programs that write them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod cli;
mod html;
