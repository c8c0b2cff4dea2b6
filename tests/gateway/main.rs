//! Whole gateways over real sockets: bad input, outcomes and failures of everything around them.
//!
//! The federation is a testbed, each gateway is a daemon with a configuration file and state of its own; mail servers and
//! the other access point are the test's own and can be told to misbehave.

#[path = "../common/mod.rs"]
mod common;
mod harness;

mod admission;
mod answers;
mod as4;
mod at_rest;
mod conversion;
mod database;
mod discovery;
mod envelopes;
mod loops;
mod mailserver;
mod notices;
mod outcomes;
mod postfix;
mod receipts;
mod returned;
mod rules;
mod secrets;
mod signers;
mod smtp;
mod threads;
mod waiting;
mod written;
