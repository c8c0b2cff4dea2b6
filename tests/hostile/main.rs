//! What an attacker writes: each attack is refused with its own error, and what it was made of is accepted without it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::format_collect,
    clippy::format_push_string,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

/// A request between two access points, to be changed as text or signed by hand.
mod request;

mod bombs;
mod envelope;
mod metadata;
mod oracle;
mod signed_by_hand;
mod wrapping;
