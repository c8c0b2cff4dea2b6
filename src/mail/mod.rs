//! Mail on our side: bytes of a mail to [`convert::Outgoing`], [`Content`](crate::content::Content) to bytes of a mail,
//! outcomes to notices, SDK addresses to mail addresses, and the receiving side of SMTP.
//! Pure: time, ids and policies come as arguments.
//!
//! | module | does |
//! |---|---|
//! | [`session`] | the receiving side of SMTP, without I/O |
//! | [`address`] | function address ↔ mail address |
//! | [`addressees`] | the recipients in a header, where a mail has no envelope |
//! | [`author`] | who wrote a mail, where there is no doubt about it |
//! | [`convert`] | a mail of our house → what goes into the SDK message, by the mailbox's [`policy`] |
//! | [`compose`] | an SDK message → the mail that is delivered |
//! | [`imap`] | the client's side of IMAP, without I/O |
//! | [`near`] | names that are like one which does not exist |
//! | [`notice`] | an outcome → a delivery status notification |
//! | [`alarm`] | what needs a human → a mail to the operator |
//! | [`pair`] | two functions that answer each other by themselves |
//! | [`returned`] | what a mail server says of a mail that it had taken |
//! | [`thread`] | the Message-IDs and return paths that hold messages and answers together |

pub mod address;
pub mod addressees;
pub mod alarm;
pub mod author;
pub mod compose;
pub mod convert;
pub mod imap;
pub mod near;
pub mod notice;
pub mod pair;
pub mod policy;
pub mod returned;
pub mod session;
pub mod thread;

mod archive;
mod attached;
mod body;
mod calendar;
mod codepage;
mod contained;
mod files;
mod header;
mod history;
mod html;
mod image;
mod leaf;
mod markdown;
mod mime;
mod note;
mod parse;
mod plain;
mod refusal;
mod render;
mod report;
mod rtf;
mod spare;
mod structure;
mod subject;
mod tnef;
mod transfer;
mod uu;
mod winmail;
mod words;
