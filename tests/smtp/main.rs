//! The SMTP edges over real sockets, against Python's and OpenSSL's clients, a foreign server, and servers that break.
#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod chunking;
mod client;
mod login;
mod office;
mod postfix;
mod receivers;
mod server;
mod smuggling;
