//! What is valid and what is not: every rule of message, envelope and receipt with what keeps it and what breaks it, and
//! thousands of mutated documents on which the published judges and we must agree.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod differential;
mod echo;
mod fixtures;
mod judge;
mod made;
mod published;
mod tree;
mod written;
