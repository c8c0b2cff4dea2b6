//! Mails in wrappings: what Outlook, Exchange and others put into winmail.dat, S/MIME, calendars, forwarded mails and
//! reports comes out whole, and nothing hides there. The files are written here, from the specifications, and foreign
//! programs judge the writer; what foreign programs write is read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::missing_panics_doc, reason = "a test fails by panicking")]
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no public")]

#[path = "../common/mod.rs"]
mod common;

mod calendar;
mod forwarded;
mod judges;
mod smime;
mod tnef;
mod writer;

use brevbro::mail::convert::{ConvertError, Outgoing, outgoing};
use brevbro::mail::policy::{AllowedTypes, MailboxPolicy};

/// A PDF, as far as its first octets tell.
pub const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n";

pub fn converted(mail: &[u8]) -> Outgoing {
    outgoing(mail, &MailboxPolicy::default()).unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(mail)))
}

pub fn refused(mail: &[u8]) -> ConvertError {
    match outgoing(mail, &MailboxPolicy::default()) {
        Ok(taken) => panic!("taken: {taken:?}"),
        Err(error) => error,
    }
}

/// A mailbox that sends these types besides PDF.
pub fn sending(types: &[&str]) -> MailboxPolicy {
    let named: Vec<String> = types.iter().map(|kind| (*kind).to_owned()).collect();
    MailboxPolicy { types: AllowedTypes::named(&named), ..MailboxPolicy::default() }
}

pub fn text(mail: &Outgoing) -> &str {
    mail.texts.first().map_or("", |text| text.as_str())
}

/// Name, type and octets of each file.
pub fn files(mail: &Outgoing) -> Vec<(&str, &str, &[u8])> {
    mail.files.iter().map(|file| (file.name.as_str(), file.media_type.as_str(), &file.body[..])).collect()
}

pub fn notes(mail: &Outgoing) -> Vec<&str> {
    mail.notes.iter().map(|note| note.swedish.as_str()).collect()
}
