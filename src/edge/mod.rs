//! Sockets: everything that speaks to another machine, on tokio.
//!
//! An edge moves bytes, keeps limits and time, and hands what it got to a trait that its owner implements; what the
//! bytes mean is the formats' and the flows' affair. Each edge has its own options, which `config` fills.

pub mod as4_client;
pub mod as4_server;
pub mod clamd;
pub mod clock;
pub mod directory;
pub mod dns;
pub mod forwarded;
pub mod guests;
pub mod http;
pub mod imap;
pub mod reach;
mod revocation;
pub mod serving;
pub mod smtp_client;
pub mod smtp_server;
pub mod tap;
pub mod tls;
pub mod trust;
