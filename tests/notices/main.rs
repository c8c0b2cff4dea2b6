//! Notices to senders: every one that any outcome makes is a sound report, says what it should, and holds no secret.
//!
//! `BREVBRO_BLESS=1 cargo test --test notices` writes `docs/notices.md` anew: every text, as its reader gets it.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/dsn.rs"]
mod dsn;
mod lint;
mod made;
mod reports;
mod texts;
