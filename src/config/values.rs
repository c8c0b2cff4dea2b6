//! The kinds of value that an option can have: each reads itself, or says what would have been right.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;
use jiff::civil::{Date, Time};

use super::declare::{At, Errors, Read, Shape, kind_of};
use super::store::SchemaName;
use crate::edge::clamd::ClamdAddress;
use crate::edge::reach::IpNetwork;
use crate::ident::{AccessPointId, Domain, FederationId, FunctionId, MailAddress, MailServerName, NodeName, ParticipantId};

/// Reads a text by `FromStr`; the error's own text is the reason.
macro_rules! text_values {
    ($($type:ty, $kind:literal, $expected:literal;)+) => { $(
        impl Read for $type {
            fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
                let parsed = value.as_str().and_then(|text| text.parse().ok());
                if parsed.is_none() {
                    errors.push(at.error(concat!("is not ", $expected)).value(&value));
                }
                parsed
            }

            fn shape() -> Shape {
                Shape::Value($kind.to_owned())
            }
        }
    )+ };
}

text_values! {
    Domain, "domain name", "a domain name such as sdk.kommun.se";
    MailAddress, "mail address", "a mail address such as namn@kommun.se";
    ParticipantId, "participant id", "a participant id such as 0203:kommun.se";
    FunctionId, "function id", "a function id of 1 to 256 characters without white space at its ends";
    AccessPointId, "common name", "an access point's common name of 1 to 64 characters";
    FederationId, "federation id", "a federation id such as urn:fdc:digg.se:edelivery:federation:sdk";
    SocketAddr, "address and port", "an IP address with a port, such as 127.0.0.1:2525 or [::1]:2525";
    IpNetwork, "IP address or network", "an IP address or network such as 10.1.2.3 or 10.1.0.0/16, the bits after the prefix zero";
    HeaderName, "HTTP header", "the name of an HTTP header such as X-SSL-Client-Cert";
    HttpUrl, "URL", "a URL of the form https://host[:port]/path without user and fragment";
    MediaType, "media type", "a media type such as application/pdf";
    Host, "host name or IP address", "a host name or an IP address";
    MailServerName, "name", "a name of 1 to 40 letters, digits, - and _";
    SchemaName, "name", "a name of at most 50 lower case letters, digits and _, a letter first and not pg_";
    NodeName, "name", "a name of 1 to 63 letters, digits, - and _";
    ScannerAddress, "path or host:port", "the path of a socket such as /run/clamav/clamd.ctl, or a host and a port such as 127.0.0.1:3310";
    Line, "text", "a text of one line, 1 to 256 characters";
    UrlPath, "path", "a path that begins with /, without query";
}

impl Read for bool {
    fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
        if value.as_bool().is_none() {
            errors.push(at.error("is neither true nor false").value(&value));
        }
        value.as_bool()
    }

    fn shape() -> Shape {
        Shape::Value("true or false".to_owned())
    }
}

/// A whole number within the type and above zero.
macro_rules! counts {
    ($($type:ty),+) => { $(
        impl Read for $type {
            fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
                let number = value.as_integer().and_then(|n| Self::try_from(n).ok()).filter(|n| *n > 0);
                if number.is_none() {
                    errors.push(at.error(format!("is not a whole number from 1 to {}", Self::MAX)).value(&value));
                }
                number
            }

            fn shape() -> Shape {
                Shape::Value("whole number".to_owned())
            }
        }
    )+ };
}

counts!(u16, u32);

impl Read for f64 {
    fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "whole numbers that a person writes are exact")]
        let number = value.as_float().or_else(|| value.as_integer().map(|n| n as Self)).filter(|n| n.is_finite());
        if number.is_none() {
            errors.push(at.error("is not a number").value(&value));
        }
        number
    }

    fn shape() -> Shape {
        Shape::Value("number".to_owned())
    }
}

impl Read for PathBuf {
    fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
        let path = value.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(Self::from);
        if path.is_none() {
            errors.push(at.error("is not a path").value(&value));
        }
        path
    }

    fn shape() -> Shape {
        Shape::Value("file or folder".to_owned())
    }
}

/// The path of a file that holds a secret. What stands here is never shown: it may be the secret itself.
#[derive(Debug, Clone)]
pub(super) struct SecretFile(pub(super) PathBuf);

impl Read for SecretFile {
    fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
        let path = value.as_str().filter(|text| !text.is_empty() && !text.contains(['\0', '\n']));
        if path.is_none() {
            errors.push(at.error(format!("is {}, not the path of a file", kind_of(&value))).hint("secrets are named by file, never written here"));
        }
        path.map(|path| Self(path.into()))
    }

    fn shape() -> Shape {
        Shape::Value("file that only the gateway may read, or credential:NAME".to_owned())
    }
}

/// A span of time, `"30s"`, `"5m"`, `"1h30m"`, `"2d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut total = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(())?;
            let number: u64 = rest.get(..digits).and_then(|digits| digits.parse().ok()).ok_or(())?;
            rest = rest.get(digits..).ok_or(())?;
            let unit_ends = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let millis = match rest.get(..unit_ends) {
                Some("ms") => 1,
                Some("s") => 1_000,
                Some("m") => 60_000,
                Some("h") => 3_600_000,
                Some("d") => 86_400_000,
                _ => return Err(()),
            };
            let part = number.checked_mul(millis).ok_or(())?;
            total = total.checked_add(Duration::from_millis(part)).ok_or(())?;
            rest = rest.get(unit_ends..).ok_or(())?;
        }
        // A year is longer than anything here may take, and keeps sums with points in time sound.
        if total.is_zero() || total > Duration::from_hours(366 * 24) { Err(()) } else { Ok(Self(total)) }
    }
}

/// A number of octets: `30000000`, `"150 MB"`, `"30 MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct Size(pub(super) u64);

impl FromStr for Size {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits).ok_or(())?;
        let factor = match unit.trim_start() {
            "" | "B" => 1,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(()),
        };
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).filter(|size| *size > 0).map(Self).ok_or(())
    }
}

impl Read for Size {
    fn read(value: toml::Value, at: &At, errors: &mut Errors) -> Option<Self> {
        let size = match &value {
            toml::Value::Integer(number) => u64::try_from(*number).ok().filter(|size| *size > 0).map(Self),
            other => other.as_str().and_then(|text| text.parse().ok()),
        };
        if size.is_none() {
            errors.push(at.error("is not a size such as \"150 MB\", \"30 MiB\" or 30000000").value(&value));
        }
        size
    }

    fn shape() -> Shape {
        Shape::Value("size in octets".to_owned())
    }
}

text_values! {
    TimeOfDay, "time of day", "a time of day such as \"08:00\" or \"16:30\"";
    CalendarDate, "date", "a date such as \"2026-12-23\"";
    Span, "time span", "a time span above zero and below a year, such as \"30s\", \"5m\", \"1h30m\" or \"2d\"";
}

/// A time of day, `08:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct TimeOfDay(pub(super) Time);

impl FromStr for TimeOfDay {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5).ok_or(())?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
        let number = |text: &str| text.parse::<i8>().ok().filter(|_| digits(text)).ok_or(());
        Time::new(number(hour)?, number(minute)?, 0, 0).map(Self).map_err(|_| ())
    }
}

/// A day of the calendar, `2026-12-23`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CalendarDate(pub(super) Date);

impl FromStr for CalendarDate {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().ok().filter(|_| text.len() == 10).map(Self).ok_or(())
    }
}

/// An `http` or `https` URL with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    host: String,
    plain: bool,
}

impl HttpUrl {
    /// The URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = self.text.split_once("//").map_or("", |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        path.split('?').next().unwrap_or(path)
    }

    /// Whether it is without TLS.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether it leads to this machine: a loopback address or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(&self.host)
    }
}

/// Whether a host, without brackets or with them, is this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl FromStr for HttpUrl {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let uri: http::Uri = text.parse().map_err(|_| ())?;
        let plain = match uri.scheme_str() {
            Some("http") => true,
            Some("https") => false,
            _ => return Err(()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(())?.to_owned();
        let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if user || text.contains('#') { Err(()) } else { Ok(Self { text: text.to_owned(), host, plain }) }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `type/subtype`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType(pub(super) String);

impl FromStr for MediaType {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
        let (kind, sub) = text.split_once('/').ok_or(())?;
        if token(kind) && token(sub) { Ok(Self(text.to_ascii_lowercase())) } else { Err(()) }
    }
}

/// A host name or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host(pub(super) String);

impl FromStr for Host {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let sound = text.parse::<IpAddr>().is_ok() || text == "localhost" || Domain::new(text).is_ok();
        if sound { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// Where a malware scanner listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScannerAddress(pub(super) ClamdAddress);

impl FromStr for ScannerAddress {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.starts_with('/') && !text.contains('\0') {
            return Ok(Self(ClamdAddress::Unix(text.into())));
        }
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let Host(host) = host.parse()?;
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(())?;
        Ok(Self(ClamdAddress::Tcp(host, port)))
    }
}

impl fmt::Display for ScannerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ClamdAddress::Unix(path) => write!(f, "{}", path.display()),
            ClamdAddress::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// One line of text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(pub(super) String);

impl FromStr for Line {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let sound = !text.trim().is_empty() && text.chars().count() <= 256 && !text.chars().any(char::is_control);
        if sound { Ok(Self(text.trim().to_owned())) } else { Err(()) }
    }
}

/// The path of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UrlPath(pub(super) String);

impl FromStr for UrlPath {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let sound = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>".contains(&b));
        if sound { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// Declares an enum that is written as one of a few words.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $vis:vis $name:ident { $( $(#[doc = $word_doc:literal])+ $variant:ident = $word:literal, )+ })+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $( $(#[doc = $word_doc])+ $variant, )+ }

        impl crate::config::declare::Read for $name {
            fn read(value: toml::Value, at: &crate::config::declare::At, errors: &mut crate::config::declare::Errors) -> Option<Self> {
                match value.as_str() {
                    $( Some($word) => Some(Self::$variant), )+
                    _ => {
                        let words = [$( concat!("\"", $word, "\""), )+].join(", ");
                        errors.push(at.error(format!("is not one of {words}")).value(&value));
                        None
                    }
                }
            }

            fn shape() -> crate::config::declare::Shape {
                crate::config::declare::Shape::Value(format!("one of {}", [$( concat!("\"", $word, "\""), )+].join(", ")))
            }
        }
    )+ };
}

pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_bounded() {
        let seconds = |text: &str| text.parse::<Span>().ok().map(|span| span.0.as_secs());
        assert_eq!((seconds("30s"), seconds("5m"), seconds("1h30m"), seconds("2d")), (Some(30), Some(300), Some(5400), Some(172_800)));
        for wrong in ["", "5", "m", "5 m", "-5m", "5w", "0s", "400d", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_and_dates_are_read_in_one_form() {
        assert_eq!("16:30".parse::<TimeOfDay>().unwrap().0, jiff::civil::time(16, 30, 0, 0));
        assert_eq!("2026-02-28".parse::<CalendarDate>().unwrap().0, jiff::civil::date(2026, 2, 28));
        for wrong in ["", "8:00", "24:00", "08.00", "+8:00", "08:60", "08:00:00"] {
            assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
        }
        for wrong in ["", "2026-02-29", "20260228", "2026-02-28T10:00", "28/2 2026"] {
            assert!(wrong.parse::<CalendarDate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        let size = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        assert_eq!((size("150 MB"), size("30MiB"), size("7")), (Some(150_000_000), Some(31_457_280), Some(7)));
        for wrong in ["", "0", "MB", "5 mb", "18446744073709551615 GB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn urls_are_told_apart() {
        let url = |text: &str| text.parse::<HttpUrl>().unwrap();
        assert!(url("http://127.0.0.1:8080/as4").is_loopback() && url("http://[::1]/as4").is_loopback() && url("http://localhost/").is_plain());
        assert!(!url("https://as4.kommun.se/as4").is_loopback());
        assert_eq!((url("https://as4.kommun.se:443/a/b?c").host(), url("https://as4.kommun.se:443/a/b?c").path()), ("as4.kommun.se", "/a/b"));
        assert_eq!((url("https://[::1]").host(), url("https://[::1]").path()), ("::1", "/"));
        for wrong in ["ftp://x/", "as4.kommun.se", "https:///as4", "https://a:b@c/", "https://a/#b", ""] {
            assert!(wrong.parse::<HttpUrl>().is_err(), "{wrong}");
        }
    }
}
