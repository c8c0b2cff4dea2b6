//! Mails as they are: some hundreds that look like what the programs of a municipality and its neighbours send, out as SDK
//! messages and back as mails, judged by another reader (Python's `email`).
//!
//! For each: every file's SHA-256 is equal, every visible word is there in its order, the thread is kept, the shape is the fixed
//! one. What does not come through is named by a note, and no note names anything else.
//!
//! `BREVBRO_CORPUS=folder` writes the mails, and what they became, into a folder.

#![allow(unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking; builders are read, not called often"
)]

#[path = "../common/mod.rs"]
mod common;

mod apple;
mod build;
mod business;
mod exchange;
mod generated;
mod judge;
mod mozilla;
mod odd;
mod outlook;
mod scanner;
mod there_and_back;
mod web;
mod wrapped;
#[path = "../containers/writer.rs"]
#[allow(dead_code, missing_docs)]
mod writer;

/// Every mail.
fn mails() -> Vec<build::Mail> {
    let mails = [
        outlook::mails(),
        exchange::mails(),
        apple::mails(),
        mozilla::mails(),
        web::mails(),
        scanner::mails(),
        business::mails(),
        odd::mails(),
        wrapped::mails(),
    ]
    .concat();
    let names: std::collections::BTreeSet<&str> = mails.iter().map(|mail| mail.name).collect();
    assert_eq!(names.len(), mails.len(), "each has a name of its own");
    mails
}
