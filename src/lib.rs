//! brevbro: mail in, *Säker digital kommunikation* out, and back.
//!
//! ```text
//!  outbound   mail ─▶ accept ─▶ convert ─▶ address ─▶ seal ─▶ send ─▶ settle ─▶ notice to the sender
//!  inbound    mail ◀─ deliver ◀─ render ◀─ check ◀─ open ◀─ receive ◀─ AS4      └▶ message receipt back
//! ```
//!
//! The modules stand in layers, and a module imports only from layers below its own (`tests/layers.rs` holds them to it):
//!
//! | layer | modules | may touch |
//! |---|---|---|
//! | 0 words | [`ident`] [`content`] [`failure`] [`event`] | nothing |
//! | 1 tools | [`xml`] [`crypto`] | layer 0 |
//! | 2 formats | `mail` `sdk` `as4` `smp` | bytes and types; never one another |
//! | 3 flows | [`port`] [`outbound`] [`inbound`] | formats and ports; pure; never one another |
//! | 4 edges | `store` `edge` | sockets, files, clock; implement ports |
//! | 5 assembly | `config` `observe` `worker` | flows and edges |
//! | 6 top | `daemon` `testbed` `demo` `cli` | everything |
//!
//! Layers 0 to 3 have no socket, file, clock or random number: time, ids and streams come in as arguments.

pub mod content;
pub mod event;
pub mod failure;
pub mod ident;

pub mod crypto;
pub mod xml;

pub mod as4;
pub mod mail;
pub mod sdk;
pub mod smp;

pub mod inbound;
pub mod outbound;
pub mod port;

#[cfg(feature = "daemon")]
pub mod edge;
#[cfg(feature = "daemon")]
pub mod store;

#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod worker;

#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod demo;
#[cfg(feature = "daemon")]
pub mod testbed;
