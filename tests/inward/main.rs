//! What a case worker gets: SDK messages as the mails that are delivered, golden, and as Chromium draws them.
//!
//! `BREVBRO_BLESS=1 cargo test --test inward` writes the golden files and the images of `docs/images` anew.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod golden;
mod messages;
mod page;
