//! From a mail of ours to the other organisation's message receipt, one file per step.
//!
//! ```text
//! accept ─▶ convert ─▶ address ─▶ seal ─▶ send ─▶ settle
//! SMTP      Content    SMP, PKI   XHE     AS4     message receipt, or none in time
//! ```
//!
//! A step takes a state and what it needs of the world, and returns the next state as [`Effects`](crate::port::Effects);
//! the worker carries them out. States are types ([`state`]); what is stored is their enum, in flow order, with a version.

pub mod accept;
pub mod address;
pub mod convert;
pub mod hold;
pub mod hours;
mod load;
pub mod operate;
pub mod refused;
pub mod retire;
pub mod retry;
pub mod scan;
pub mod seal;
pub mod send;
pub mod settle;
pub mod state;
pub mod thread;
pub mod told;
pub mod transitions;
pub mod turn;
pub mod verdict;

pub use state::{Cargo, Dispatch, Held, Letter, Outgoing, Reached, Reply, Resent, Scheduled, Submitted, Waiting};
