//! What a server means by NO, BAD and BYE: what to do follows from the response code (RFC 5530), and where a server has none
//! for it, from the words that Exchange and others use.

use std::time::Duration;

use super::reply::Said;

/// No server knows so long before how long it is busy.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Too much was asked of the server: leave it alone for a while.
    Throttled,
    /// The server or the folder is busy or away for now.
    Busy,
    /// The name, the password or the token.
    Credentials,
    /// The account may not do this.
    Permission,
    /// The folder is not there.
    NoFolder,
    /// The mailbox is full.
    OverQuota,
    /// The mail is larger than the server takes.
    TooLarge,
    /// Anything else.
    Other,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is about.
    pub why: Why,
    /// How long the server says to wait.
    pub wait: Option<Duration>,
    /// The server's words, one line.
    pub text: String,
}

/// By response code: RFC 5530 3, RFC 7889 4, RFC 9051 7.1, and what Exchange and Gmail say.
const CODES: [(&str, Why); 21] = [
    ("THROTTLED", Why::Throttled),
    ("LIMIT", Why::Throttled),
    ("OVERLOADED", Why::Throttled),
    ("INUSE", Why::Busy),
    ("UNAVAILABLE", Why::Busy),
    ("SERVERBUG", Why::Busy),
    ("EXPUNGEISSUED", Why::Busy),
    ("AUTHENTICATIONFAILED", Why::Credentials),
    ("EXPIRED", Why::Credentials),
    ("WEBALERT", Why::Credentials),
    ("AUTHORIZATIONFAILED", Why::Permission),
    ("CONTACTADMIN", Why::Permission),
    ("NOPERM", Why::Permission),
    ("PRIVACYREQUIRED", Why::Permission),
    ("TRYCREATE", Why::NoFolder),
    ("NONEXISTENT", Why::NoFolder),
    ("OVERQUOTA", Why::OverQuota),
    ("TOOBIG", Why::TooLarge),
    ("CANNOT", Why::Permission),
    ("READ-ONLY", Why::Permission),
    ("CLOSED", Why::Busy),
];

/// By words, for servers without a code; the first that fits counts.
const WORDS: [(&str, Why); 15] = [
    ("throttl", Why::Throttled),
    ("backoff time", Why::Throttled),
    ("too many simultaneous", Why::Throttled),
    ("too many connections", Why::Throttled),
    ("maximum number of connections", Why::Throttled),
    ("server busy", Why::Throttled),
    ("authenticated but not connected", Why::Busy),
    ("temporar", Why::Busy),
    ("unavailable", Why::Busy),
    ("try again", Why::Busy),
    ("authenticate failed", Why::Credentials),
    ("authentication failed", Why::Credentials),
    ("login failed", Why::Credentials),
    ("maximum message size", Why::TooLarge),
    ("message too large", Why::TooLarge),
];

impl Refusal {
    /// Reads a status response that is not OK.
    #[must_use]
    pub fn of(said: &Said) -> Self {
        let text = said.text.to_ascii_lowercase();
        let by_code = said.code.as_ref().and_then(|code| CODES.iter().find(|(name, _)| *name == code.name));
        let why = by_code.or_else(|| WORDS.iter().find(|(words, _)| text.contains(words))).map_or(Why::Other, |(_, why)| *why);
        let words = match &said.code {
            Some(code) => format!("[{}] {}", code.name, said.text),
            None => said.text.clone(),
        };
        Self { why, wait: wait(&text), text: words }
    }
}

/// `Suggested Backoff Time: 299961 milliseconds`, in lower case.
fn wait(text: &str) -> Option<Duration> {
    let (_, rest) = text.split_once("backoff time")?;
    let rest = rest.trim_start_matches([':', '=', ' ']);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let wait = if unit.starts_with("min") {
        Duration::from_secs(number.saturating_mul(60))
    } else if unit.starts_with("sec") || unit.starts_with("s ") {
        Duration::from_secs(number)
    } else {
        Duration::from_millis(number)
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::imap::reply::Reply;

    fn refusal(text: &str) -> Refusal {
        match Reply::read(text.as_bytes().to_vec()) {
            Reply::Done(_, said) | Reply::Said(said) => Refusal::of(&said),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_are_told_apart_as_servers_write_them() {
        for (text, why, wait) in [
            ("a NO [THROTTLED] Request is throttled. Suggested Backoff Time: 299961 milliseconds", Why::Throttled, Some(299_961)),
            ("a BAD Request is throttled. Suggested Backoff Time: 300000 milliseconds", Why::Throttled, Some(300_000)),
            ("* BYE Backoff Time: 5 minutes", Why::Throttled, Some(300_000)),
            ("* BYE Backoff Time: 99999999999 seconds", Why::Throttled, Some(3_600_000)),
            ("* BYE Backoff Time: soon", Why::Throttled, None),
            ("a NO [LIMIT] Too many simultaneous connections. (Failure)", Why::Throttled, None),
            ("* BYE Too many simultaneous connections", Why::Throttled, None),
            ("a NO [INUSE] Mailbox in use", Why::Busy, None),
            ("a NO [UNAVAILABLE] Temporary authentication failure.", Why::Busy, None),
            ("a BAD User is authenticated but not connected.", Why::Busy, None),
            ("a NO AUTHENTICATE failed.", Why::Credentials, None),
            ("a NO [AUTHENTICATIONFAILED] Authentication failed.", Why::Credentials, None),
            ("a NO [TRYCREATE] Mailbox doesn't exist: x", Why::NoFolder, None),
            ("a NO [OVERQUOTA] Quota exceeded (mailbox for user is full)", Why::OverQuota, None),
            ("a NO [TOOBIG] Message too large", Why::TooLarge, None),
            ("a NO [NOPERM] no", Why::Permission, None),
            ("a NO whatever", Why::Other, None),
        ] {
            let refusal = refusal(text);
            assert_eq!((refusal.why, refusal.wait.map(|wait| wait.as_millis())), (why, wait), "{text}");
        }
    }
}
