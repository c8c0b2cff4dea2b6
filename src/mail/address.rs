//! Function addresses as mail addresses, reversible without an address book.
//!
//! `sdk:inkorg01` at `0203:inera.se` is `sdk=3Ainkorg01@inera.se.<gateway domain>`; other schemes write the
//! organisation as `0007-2021006883`. The flat form `<function>--<organisation>@<gateway domain>` is read and written
//! for mail servers that cannot route subdomains. What stands at the gateway domain without `--` is an alias that only
//! the address book knows.

use std::fmt::Write as _;

use crate::crypto::sha256;
use crate::ident::{Domain, FunctionId, MailAddress, ParticipantId};

/// A local part's greatest length (RFC 5321 4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// What marks a short form: `=` that no two hexadecimal digits follow, so no escaped function can look like it.
const SHORT_MARK: &str = "=h";

/// A function address as a mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The address says it all.
    Full(MailAddress),
    /// The function id is too long for a local part: the address holds a hash of it, and the caller must store
    /// `key` → function before handing the address out, or no answer finds its way.
    Short {
        /// The address with the hash.
        address: MailAddress,
        /// The local part, folded: what [`Reading::Short`] will ask for.
        key: String,
    },
}

impl Written {
    /// The address, in either form.
    #[must_use]
    pub fn address(&self) -> &MailAddress {
        match self {
            Self::Full(address) | Self::Short { address, .. } => address,
        }
    }
}

/// What a mail address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A function of an organisation.
    Function {
        /// The organisation.
        participant: ParticipantId,
        /// The function.
        function: FunctionId,
    },
    /// A function whose id was too long; the stored key tells which.
    Short {
        /// The organisation.
        participant: ParticipantId,
        /// What [`Written::Short`] gave.
        key: String,
    },
    /// A name at the gateway domain itself: a friendly alias, `postmaster`, or one of our return paths.
    Alias(String),
    /// Not in the gateway's domain.
    Foreign,
    /// In the gateway's domain, but no address of ours has this form.
    Malformed(&'static str),
}

/// Why a function address cannot be written as a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{participant} makes no mail domain below {gateway}: together they are too long")]
pub struct AddressError {
    /// Whose function.
    pub participant: ParticipantId,
    /// Below which domain.
    pub gateway: Domain,
}

/// The canonical address: `<function>@<organisation>.<gateway>`.
///
/// # Errors
/// [`AddressError`] when organisation and gateway domain together exceed a domain name.
pub fn canonical(participant: &ParticipantId, function: &FunctionId, gateway: &Domain) -> Result<Written, AddressError> {
    let domain = format!("{}.{gateway}", organisation_part(participant));
    let whole = |local: &str| {
        MailAddress::new(format!("{local}@{domain}")).map_err(|_| AddressError { participant: participant.clone(), gateway: gateway.clone() })
    };
    let local = escape(function.as_str());
    if local.len() <= LOCAL_MAX {
        return whole(&local).map(Written::Full);
    }
    let key = short_form(function);
    Ok(Written::Short { address: whole(&key)?, key })
}

/// The flat address: `<function>--<organisation>@<gateway>`; `None` when it is longer than a local part may be.
#[must_use]
pub fn flat(participant: &ParticipantId, function: &FunctionId, gateway: &Domain) -> Option<MailAddress> {
    MailAddress::new(format!("{}--{}@{gateway}", escape_dashes(&escape(function.as_str())), organisation_part(participant))).ok()
}

/// What `address` names below `gateway`.
#[must_use]
pub fn read(address: &MailAddress, gateway: &Domain) -> Reading {
    let domain = address.domain().to_lowercase();
    let gateway = gateway.folded();
    if domain == gateway {
        return match address.local().split_once("--") {
            Some((function, organisation)) => function_of(function, organisation),
            None => Reading::Alias(address.local().to_owned()),
        };
    }
    match domain.strip_suffix(&gateway).and_then(|rest| rest.strip_suffix('.')) {
        Some(organisation) => function_of(address.local(), organisation),
        None => Reading::Foreign,
    }
}

fn function_of(local: &str, organisation: &str) -> Reading {
    let Some(participant) = participant_of(organisation) else { return Reading::Malformed("the domain names no organisation") };
    let folded = local.to_lowercase();
    if let Some((_, hash)) = folded.split_once(SHORT_MARK) {
        let sound = hash.len() == 24 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        return if sound { Reading::Short { participant, key: folded } } else { Reading::Malformed("the short form is damaged") };
    }
    let Some(text) = unescape(local) else { return Reading::Malformed("the local part has a character that must be written =XX") };
    match FunctionId::new(text) {
        Ok(function) => Reading::Function { participant, function },
        Err(_) => Reading::Malformed("the local part is no function id"),
    }
}

/// `0203:` is left out; a domain that itself begins like one of the schemes keeps it, so that reading stays unambiguous.
fn organisation_part(participant: &ParticipantId) -> String {
    match participant.as_str().split_once(':') {
        Some(("0203", domain)) if !["0203-", "0007-", "0088-"].iter().any(|scheme| domain.starts_with(scheme)) => domain.to_owned(),
        Some((scheme, value)) => format!("{scheme}-{value}"),
        None => participant.as_str().to_owned(),
    }
}

fn participant_of(organisation: &str) -> Option<ParticipantId> {
    let text = match organisation.split_once('-') {
        Some((scheme @ ("0203" | "0007" | "0088"), value)) => format!("{scheme}:{value}"),
        _ => format!("0203:{organisation}"),
    };
    ParticipantId::new(text).ok()
}

fn escape(function: &str) -> String {
    let octets = function.as_bytes();
    let mut text = String::with_capacity(octets.len());
    for (at, &octet) in octets.iter().enumerate() {
        let dot_stands_free = || at > 0 && at + 1 < octets.len() && octets.get(at - 1) != Some(&b'.');
        let plain = octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_') || (octet == b'.' && dot_stands_free());
        if plain {
            text.push(char::from(octet));
        } else {
            push_escape(&mut text, octet);
        }
    }
    text
}

/// Frees the flat form's separator: of two dashes the second is escaped, and one at the end.
fn escape_dashes(local: &str) -> String {
    let mut text = String::with_capacity(local.len());
    for (at, c) in local.char_indices() {
        if c == '-' && (text.ends_with('-') || at + 1 == local.len()) {
            push_escape(&mut text, b'-');
        } else {
            text.push(c);
        }
    }
    text
}

fn push_escape(text: &mut String, octet: u8) {
    let _ = write!(text, "={octet:02X}"); // writing to a String cannot fail
}

fn unescape(local: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(local.len());
    let mut rest = local.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'=' => {
                let digit = |d: u8| char::from(d).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                octets.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'-' | b'_' | b'.' => octets.push(octet),
            _ if octet.is_ascii_alphanumeric() => octets.push(octet),
            _ => return None,
        }
    }
    String::from_utf8(octets).ok()
}

/// A readable beginning, the mark, and 96 bits of the folded id's SHA-256.
fn short_form(function: &FunctionId) -> String {
    let folded = function.folded();
    let slug: String = folded.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let hash: String = sha256(folded.as_bytes()).to_string().chars().take(24).collect();
    format!("{slug}{SHORT_MARK}{hash}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gateway() -> Domain {
        Domain::new("sdk.habo.se").unwrap()
    }

    fn written(participant: &str, function: &str) -> String {
        canonical(&ParticipantId::new(participant).unwrap(), &FunctionId::new(function).unwrap(), &gateway()).unwrap().address().to_string()
    }

    #[test]
    fn the_documented_addresses_are_written() {
        assert_eq!(written("0203:sundbyberg.se", "socialkontoret"), "socialkontoret@sundbyberg.se.sdk.habo.se");
        assert_eq!(written("0203:inera.se", "sdk:inkorg01:0203:inera.se"), "sdk=3Ainkorg01=3A0203=3Ainera.se@inera.se.sdk.habo.se");
        assert_eq!(written("0007:2021006883", "reg"), "reg@0007-2021006883.sdk.habo.se");
        assert_eq!(written("0203:a.se", ".a..b."), "=2Ea.=2Eb=2E@a.se.sdk.habo.se");
    }

    #[test]
    fn aliases_foreign_and_malformed_addresses_are_told_apart() {
        let read = |text: &str| read(&MailAddress::new(text).unwrap(), &gateway());
        assert_eq!(read("socialkontoret@SDK.habo.se"), Reading::Alias("socialkontoret".into()));
        assert_eq!(read("a@habo.se"), Reading::Foreign);
        assert_eq!(read("a@xsdk.habo.se"), Reading::Foreign);
        assert!(matches!(read("a=4@b.se.sdk.habo.se"), Reading::Malformed(_)));
        assert!(matches!(read("a+b@b.se.sdk.habo.se"), Reading::Malformed(_)));
        assert!(matches!(read("a@0007-12.sdk.habo.se"), Reading::Malformed(_)));
        assert!(matches!(read("=C3@b.se.sdk.habo.se"), Reading::Malformed(_)), "half a letter");
    }

    #[test]
    fn a_function_too_long_for_a_local_part_gets_a_short_form_that_says_so() {
        let (participant, function) = (ParticipantId::new("0203:a.se").unwrap(), FunctionId::new(format!("urn:{}", "x".repeat(80))).unwrap());
        let Written::Short { address, key } = canonical(&participant, &function, &gateway()).unwrap() else { panic!("not short") };
        assert!(address.local().len() <= LOCAL_MAX);
        assert_eq!(read(&address, &gateway()), Reading::Short { participant, key });
    }

    proptest! {
        #[test]
        fn every_function_address_survives_its_mail_address(
            participant in prop_oneof!["0203:[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]{2,5}){0,2}", "0007:[0-9]{10}", "0088:[0-9]{13}",
                "0203:(0203|0007|0088)-[0-9]{1,3}"],
            function in "[a-zA-Z0-9.:/@åäö=_+-]{1,30}",
        ) {
            let (participant, function) = (ParticipantId::new(participant).unwrap(), FunctionId::new(function).unwrap());
            let same = Reading::Function { participant: participant.clone(), function: function.clone() };
            if let Written::Full(address) = canonical(&participant, &function, &gateway()).unwrap() {
                prop_assert_eq!(&read(&address, &gateway()), &same);
                let lower = MailAddress::new(address.folded()).unwrap();
                prop_assert_eq!(&read(&lower, &gateway()), &same, "compared without case");
            }
            if let Some(address) = flat(&participant, &function, &gateway()) {
                prop_assert_eq!(&read(&address, &gateway()), &same);
            }
        }
    }
}
