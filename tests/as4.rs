//! The AS4 layer keeps its promises: what others made opens, what is wrong is refused with the right error, what we
//! write passes the published schemas and reads back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::struct_excessive_bools,
    clippy::inconsistent_struct_constructor,
    reason = "a test fails by panicking, and writes XML as it reads best"
)]

#[path = "common/mod.rs"]
mod common;

#[path = "as4/keys.rs"]
mod keys;

#[path = "as4/canonical.rs"]
mod canonical;
#[path = "as4/errors.rs"]
mod errors;
#[path = "as4/exchange.rs"]
mod exchange;
#[path = "as4/foreign.rs"]
mod foreign;
#[path = "as4/judges.rs"]
mod judges;
#[path = "as4/santuario.rs"]
mod santuario;
#[path = "as4/tampering.rs"]
mod tampering;
#[path = "as4/vectors.rs"]
mod vectors;
#[path = "as4/wire.rs"]
mod wire;
