//! The forms of SDK: the message, its envelope, its receipt, and the seal on the envelope.
//!
//! | module | form | specification |
//! |---|---|---|
//! | [`message`] | `MessageWithAttachments:3` | SDK B1.3.3 |
//! | [`rules`] | what a receipt says about a breach; message against envelope | SDK B1.3.3 5, SDK C3.2.4 4 |
//! | [`envelope`] | XHE header and profile | SDK C3.2.2 2 |
//! | [`seal`] | encrypt then sign, verify then decrypt | SDK C3.2.2 3 |
//! | [`receipt`] | UBL ApplicationResponse, "meddelandekvittens" | SDK C3.2.4 |
//!
//! All pure: bytes and types in, bytes and types out. Times and ids are arguments.

mod datetime;
pub mod envelope;
pub mod message;
pub mod receipt;
pub mod rules;
pub mod seal;
mod structure;
