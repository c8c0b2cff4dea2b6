//! Whom a mail is to by its header, where it has no envelope: a mail that was put into an outbox folder.
//!
//! To, Cc and Bcc count; where the mail was resent, those of the newest resending and no others (RFC 5322 3.6.6).

use std::collections::HashSet;

use mail_parser::{Addr, Address, Header, HeaderName, Message, MessageParser};

use super::structure;
use crate::ident::{Domain, MailAddress};

/// More than any mail of a person has, with those that are no addresses.
const MOST: usize = 10_000;

/// What a mail's header says of its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressees {
    /// The address in From, when there is exactly one.
    pub from: Option<MailAddress>,
    /// Those in the gateway's domain, each once, in their order.
    pub ours: Vec<MailAddress>,
    /// All others, each once.
    pub others: Vec<MailAddress>,
    /// Entries that are no addresses.
    pub malformed: usize,
}

/// Reads the header of a mail, or of its beginning.
#[must_use]
pub fn read(mail: &[u8], gateway: &Domain) -> Addressees {
    let (header, _) = structure::split_header(mail);
    let Some(message) = MessageParser::default().parse_headers(header) else { return Addressees::default() };
    let mut read = Addressees { from: super::parse::from(&message, header).ok().map(|from| from.address), ..Addressees::default() };
    let mut seen = HashSet::new();
    for entry in fields(&message).filter_map(|field| field.value.as_address()).flat_map(Address::iter).take(MOST) {
        let Some(address) = address(entry) else {
            read.malformed += 1;
            continue;
        };
        if seen.insert(address.folded()) {
            if is_within(&address, gateway) { read.ours.push(address) } else { read.others.push(address) }
        }
    }
    read
}

/// The fields that name recipients.
fn fields<'a>(message: &'a Message<'a>) -> impl Iterator<Item = &'a Header<'a>> {
    let resent = |header: &Header<'_>| matches!(header.name, HeaderName::ResentTo | HeaderName::ResentCc | HeaderName::ResentBcc);
    let plain = |header: &Header<'_>| matches!(header.name, HeaderName::To | HeaderName::Cc | HeaderName::Bcc);
    let headers = message.headers();
    // A resending stands above the older ones and in one piece (RFC 5322 3.6.6): until a field of it comes a second time.
    let mut begun = HashSet::new();
    let newest: Vec<&Header<'_>> = headers
        .iter()
        .filter(|header| header.name().to_ascii_lowercase().starts_with("resent-"))
        .take_while(|header| begun.insert(header.name().to_ascii_lowercase()))
        .filter(|header| resent(header))
        .collect();
    let chosen: Vec<&Header<'_>> = if newest.is_empty() { headers.iter().filter(|header| plain(header)).collect() } else { newest };
    chosen.into_iter()
}

/// An entry without an address, the name of an empty group, is no recipient.
fn address(entry: &Addr<'_>) -> Option<MailAddress> {
    MailAddress::new(entry.address.as_deref()?.trim()).ok()
}

fn is_within(address: &MailAddress, gateway: &Domain) -> bool {
    let (own, gateway) = (address.domain().to_lowercase(), gateway.folded());
    own == gateway || own.strip_suffix(&gateway).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> (Vec<String>, Vec<String>, usize) {
        let read = super::read(header.replace('\n', "\r\n").as_bytes(), &"sdk.a.se".parse().unwrap());
        let texts = |addresses: &[MailAddress]| addresses.iter().map(ToString::to_string).collect();
        (texts(&read.ours), texts(&read.others), read.malformed)
    }

    fn expect(ours: &[&str], others: &[&str], malformed: usize) -> (Vec<String>, Vec<String>, usize) {
        let texts = |addresses: &[&str]| addresses.iter().map(|text| (*text).to_owned()).collect();
        (texts(ours), texts(others), malformed)
    }

    #[test]
    fn recipients_are_those_of_to_cc_and_bcc_each_once() {
        let header = "From: x@a.se\nTo: \"F, g\" <f@b.se.sdk.a.se>, grupp: G@SDK.a.se, h@c.se;\nCc: F@B.se.sdk.a.se\nBcc: i@xsdk.a.se,\n j@b.sdk.a.se\nReply-To: k@sdk.a.se\n\nTo: l@sdk.a.se\n";
        assert_eq!(read(header), expect(&["f@b.se.sdk.a.se", "G@SDK.a.se", "j@b.sdk.a.se"], &["h@c.se", "i@xsdk.a.se"], 0));
    }

    #[test]
    fn of_a_mail_that_was_resent_the_newest_resending_counts() {
        let header = "Resent-From: y@a.se\nResent-To: f@sdk.a.se\nResent-Date: x\nResent-To: g@sdk.a.se\nFrom: x@a.se\nTo: h@sdk.a.se\n\n";
        assert_eq!(read(header), expect(&["f@sdk.a.se"], &[], 0));
    }

    #[test]
    fn what_is_no_address_is_counted() {
        assert_eq!(read("From: x@a.se\nTo: nobody, f@sdk.a.se\n\n").2, 1);
        assert_eq!(read("From: x@a.se\n\n"), expect(&[], &[], 0));
        assert_eq!(read("From: x@a.se\nTo: undisclosed-recipients:;\n\n"), expect(&[], &[], 0));
        let from = |header: &str| super::read(header.as_bytes(), &"sdk.a.se".parse().unwrap()).from;
        assert_eq!(from("From: x@a.se, y@a.se\r\n\r\n"), None);
        assert_eq!(from("From: X <x@a.se>\r\n\r\n").unwrap().as_str(), "x@a.se");
    }
}
