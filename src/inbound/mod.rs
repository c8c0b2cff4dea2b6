//! From an AS4 message of another access point to a mail in one of our function mailboxes, one file per step.
//!
//! ```text
//! receive ─▶ open ─▶ check ─▶ render ─▶ deliver
//! AS4, PKI   XHE     rules    mail      SMTP
//!                      └────▶ settle: our message receipt   returned: the mail server gives it back
//! ```
//!
//! A step takes a state and what it needs of the world, and returns the next state as [`Effects`](crate::port::Effects);
//! the worker carries them out. The AS4 receipt is signed when the envelope is durable, the message receipt when the
//! message is valid and durable; the mail server has no say in either.

pub mod check;
pub mod deliver;
mod load;
pub mod open;
pub mod operate;
pub mod read;
pub mod receive;
pub mod render;
pub mod retire;
pub mod returned;
pub mod scan;
pub mod settle;
pub mod state;
pub mod told;
pub mod transitions;

pub use state::{Arrival, Closed, Delivered, How, Incoming, Purged, Read, Returned, Taken, Undeliverable, Unread, Was};
