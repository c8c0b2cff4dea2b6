//! The envelope of a mail transaction: who, to whom, and what the client asked for beside it.
//!
//! The parameters of `MAIL` and `RCPT` are read here: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531),
//! RET, ENVID, NOTIFY, ORCPT (RFC 3461, RFC 6533), AUTH (RFC 4954 5), REQUIRETLS (RFC 8689).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Reply;
use crate::ident::{Domain, MailAddress};

/// One mail transaction up to its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// What the client called itself in HELO or EHLO; a claim, nothing more.
    pub helo: String,
    /// How it greeted.
    pub greeting: Greeting,
    /// `MAIL`.
    pub sender: Sender,
    /// `RCPT`, those that were granted, in order.
    pub recipients: Vec<Recipient>,
}

/// Which greeting the client used: after HELO there are no extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Greeting {
    /// SMTP of RFC 821.
    Helo,
    /// SMTP with extensions.
    Ehlo,
}

/// `MAIL FROM`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Where notices go; `None` is `<>`: nobody wants one.
    pub address: Option<MailAddress>,
    /// SIZE: octets that the client means to send.
    pub size: Option<u64>,
    /// BODY.
    pub body: Body,
    /// Whether SMTPUTF8 was asked for.
    pub charset: Charset,
    /// RET.
    pub ret: Option<Ret>,
    /// ENVID, decoded: the sender's own name of the transaction, returned in notices.
    pub envid: Option<String>,
    /// REQUIRETLS.
    pub onward: Onward,
}

/// How the mail may travel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Onward {
    /// As it happens.
    #[default]
    Any,
    /// Encrypted, to whom a certificate authenticates (RFC 8689).
    TlsOnly,
}

/// What MAIL may ask for only where it was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// AUTH: who first handed the mail in.
    Auth,
    /// REQUIRETLS.
    RequireTls,
}

/// BODY of `MAIL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Absent or `7BIT`.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBit,
}

/// In what the addresses and header fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Charset {
    /// ASCII.
    #[default]
    Ascii,
    /// UTF-8, by SMTPUTF8.
    Utf8,
}

/// RET: what a failure notice shall return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ret {
    /// The whole mail.
    Full,
    /// Its header only.
    Hdrs,
}

/// `RCPT TO`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// To whom.
    pub address: MailAddress,
    /// NOTIFY; absent means failures, and delays as the server sees fit (RFC 3461 4.1).
    pub notify: Option<Notify>,
    /// ORCPT.
    pub original: Option<OriginalRecipient>,
}

/// NOTIFY: when the sender wants a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notify {
    /// Never.
    Never,
    /// On these occasions; at least one.
    On(BTreeSet<Occasion>),
}

/// What a notice can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// Delivered.
    Success,
    /// Failed.
    Failure,
    /// Late.
    Delay,
}

/// ORCPT: the recipient as the sender first wrote it, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// `rfc822` or `utf-8`, in lower case.
    pub kind: String,
    /// The address in that form.
    pub address: String,
}

impl Sender {
    /// Reads what stands after `MAIL`.
    pub(super) fn read(args: &str, greeting: Greeting, extras: &[Extra]) -> Result<Self, Reply> {
        let rest = after_word(args, "FROM:").ok_or_else(|| syntax("MAIL FROM:<address>"))?;
        let (path, params) = split_path(rest).ok_or_else(|| Reply::new(501, (1, 7), "The sender must stand in angle brackets"))?;
        let mut sender =
            Self { address: None, size: None, body: Body::default(), charset: Charset::default(), ret: None, envid: None, onward: Onward::default() };
        for (key, value) in parameters(params, greeting)? {
            match (key.as_str(), value) {
                ("SIZE", Some(value)) => sender.size = Some(size(value)?),
                ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") => sender.body = Body::SevenBit,
                ("BODY", Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => sender.body = Body::EightBit,
                ("SMTPUTF8", None) => sender.charset = Charset::Utf8,
                ("RET", Some(value)) if value.eq_ignore_ascii_case("FULL") => sender.ret = Some(Ret::Full),
                ("RET", Some(value)) if value.eq_ignore_ascii_case("HDRS") => sender.ret = Some(Ret::Hdrs),
                // RFC 3461 4.4: at most 100 characters of xtext.
                ("ENVID", Some(value)) if value.len() <= 100 => sender.envid = Some(xtext(value).ok_or_else(|| bad_value("ENVID"))?),
                // RFC 4954 5: a claim of the client's that nothing here rests on.
                ("AUTH", Some(value)) if extras.contains(&Extra::Auth) => {
                    if value.len() > 500 || xtext(value).is_none_or(|text| text.is_empty()) {
                        return Err(bad_value("AUTH"));
                    }
                }
                ("REQUIRETLS", None) if extras.contains(&Extra::RequireTls) => sender.onward = Onward::TlsOnly,
                ("AUTH", None) if extras.contains(&Extra::Auth) => return Err(bad_value("AUTH")),
                ("REQUIRETLS", Some(_)) if extras.contains(&Extra::RequireTls) => return Err(bad_value("REQUIRETLS")),
                ("SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID", _) => return Err(bad_value(&key)),
                _ => return Err(unknown_parameter()),
            }
        }
        if !path.is_empty() {
            // RFC 6531 3.5: X.6.7 says that the address needs SMTPUTF8.
            if !path.is_ascii() && sender.charset == Charset::Ascii {
                return Err(Reply::new(553, (6, 7), "The sender's address needs SMTPUTF8"));
            }
            let address = MailAddress::new(path).map_err(|_| Reply::new(501, (1, 7), "The sender's address is malformed"))?;
            sender.address = Some(address);
        }
        Ok(sender)
    }
}

impl Recipient {
    /// Reads what stands after `RCPT`. A lone `<Postmaster>` is ours (RFC 5321 4.1.1.3).
    pub(super) fn read(args: &str, greeting: Greeting, charset: Charset, hostname: &Domain) -> Result<Self, Reply> {
        let malformed = || Reply::new(501, (1, 3), "The recipient's address is malformed");
        let rest = after_word(args, "TO:").ok_or_else(|| syntax("RCPT TO:<address>"))?;
        let (path, params) = split_path(rest).ok_or_else(|| Reply::new(501, (1, 3), "The recipient must stand in angle brackets"))?;
        if !path.is_ascii() && charset == Charset::Ascii {
            return Err(Reply::new(553, (6, 7), "The recipient's address needs SMTPUTF8"));
        }
        let address = if path.eq_ignore_ascii_case("postmaster") { format!("{path}@{hostname}") } else { path.to_owned() };
        let mut recipient = Self { address: MailAddress::new(address).map_err(|_| malformed())?, notify: None, original: None };
        for (key, value) in parameters(params, greeting)? {
            match (key.as_str(), value) {
                ("NOTIFY", Some(value)) => recipient.notify = Some(notify(value).ok_or_else(|| bad_value("NOTIFY"))?),
                ("ORCPT", Some(value)) => recipient.original = Some(original(value, charset).ok_or_else(|| bad_value("ORCPT"))?),
                ("NOTIFY" | "ORCPT", None) => return Err(bad_value(&key)),
                _ => return Err(unknown_parameter()),
            }
        }
        Ok(recipient)
    }
}

fn syntax(form: &str) -> Reply {
    Reply::new(501, (5, 4), format!("Syntax: {form}"))
}

fn bad_value(key: &str) -> Reply {
    Reply::new(501, (5, 4), format!("Bad value of parameter {key}"))
}

fn unknown_parameter() -> Reply {
    Reply::new(555, (5, 4), "Unsupported parameter")
}

/// What follows `word`, compared without case; a space after the colon is common and forgiven.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| text.get(word.len()..).unwrap_or_default().trim_start_matches(' '))
}

/// `<path> parameters`, the path without brackets and source route (RFC 5321 4.1.2, appendix C: the route is ignored).
fn split_path(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inner.find(|c| {
        let here = escaped;
        escaped = quoted && c == '\\' && !here;
        quoted ^= c == '"' && !here;
        c == '>' && !quoted
    })?;
    let (path, rest) = (inner.get(..end)?, inner.get(end + 1..)?);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let path = if path.starts_with('@') { path.split_once(':')?.1 } else { path };
    Some((path, rest))
}

/// The parameters with upper-case keywords. None after HELO, none twice (RFC 5321 4.1.1.11).
fn parameters(text: &str, greeting: Greeting) -> Result<Vec<(String, Option<&str>)>, Reply> {
    let mut list: Vec<(String, Option<&str>)> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
        let key = key.to_ascii_uppercase();
        if greeting == Greeting::Helo {
            return Err(Reply::new(555, (5, 4), "Parameters need EHLO"));
        }
        if list.iter().any(|(other, _)| *other == key) {
            return Err(Reply::new(501, (5, 4), "A parameter stands twice"));
        }
        list.push((key, value));
    }
    Ok(list)
}

/// RFC 1870 4: 1 to 20 digits; more than fits is as large as can be.
fn size(value: &str) -> Result<u64, Reply> {
    if !(1..=20).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad_value("SIZE"));
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

/// RFC 3461 4.1: `NEVER` alone, or a list of the others.
fn notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let mut occasions = BTreeSet::new();
    for word in value.split(',') {
        occasions.insert(match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => Occasion::Success,
            "FAILURE" => Occasion::Failure,
            "DELAY" => Occasion::Delay,
            _ => return None,
        });
    }
    Some(Notify::On(occasions))
}

/// RFC 3461 4.2 `rfc822;xtext`, RFC 6533 3 `utf-8;…`; at most 500 octets.
fn original(value: &str, charset: Charset) -> Option<OriginalRecipient> {
    let (kind, address) = value.split_once(';').filter(|_| value.len() <= 500)?;
    let kind = kind.to_ascii_lowercase();
    let atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let address = match kind.as_str() {
        "utf-8" => unitext(address, charset)?,
        _ => xtext(address)?,
    };
    (atom && !address.is_empty()).then_some(OriginalRecipient { kind, address })
}

/// RFC 3461 4: printable ASCII where `+XX` stands for an octet; what it decodes to is printable ASCII again.
fn xtext(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '+' => char::from(u8::try_from(hex(rest.next()?)? * 16 + hex(rest.next()?)?).ok()?),
            '=' => return None,
            c => c,
        };
        if !matches!(c, ' '..='~') {
            return None;
        }
        plain.push(c);
    }
    (!text.contains(' ')).then_some(plain)
}

/// RFC 6533 3: `\x{HEX}` stands for a character; with SMTPUTF8 UTF-8 stands for itself.
fn unitext(text: &str, charset: Charset) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(escape) = rest.strip_prefix("\\x{") {
            let (digits, after) = escape.split_once('}')?;
            let good = (2..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let decoded = char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| good)?)?;
            if decoded.is_control() {
                return None;
            }
            plain.push(decoded);
            rest = after;
        } else {
            let itself = matches!(c, '!'..='~') || (charset == Charset::Utf8 && !c.is_ascii() && !c.is_control());
            if !itself {
                return None;
            }
            plain.push(c);
            rest = rest.get(c.len_utf8()..)?;
        }
    }
    Some(plain)
}

/// Upper-case digits only, as RFC 3461 4 has them.
fn hex(c: char) -> Option<u32> {
    (!c.is_ascii_lowercase()).then(|| c.to_digit(16)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(args: &str) -> Result<Sender, u16> {
        Sender::read(args, Greeting::Ehlo, &[]).map_err(|reply| reply.code())
    }

    fn rcpt(args: &str, charset: Charset) -> Result<Recipient, u16> {
        Recipient::read(args, Greeting::Ehlo, charset, &Domain::new("gw.habo.se").unwrap()).map_err(|reply| reply.code())
    }

    #[test]
    fn senders_are_read_with_all_their_parameters() {
        let sender = mail("from: <anna@habo.se> SIZE=1000 body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb+20c").unwrap();
        assert_eq!(sender.address.unwrap().as_str(), "anna@habo.se");
        assert_eq!((sender.size, sender.body, sender.charset, sender.ret), (Some(1000), Body::EightBit, Charset::Utf8, Some(Ret::Hdrs)));
        assert_eq!(sender.envid.as_deref(), Some("a+b c"));
        assert_eq!(mail("FROM:<>").unwrap().address, None);
        assert_eq!(mail("FROM:<@a.se,@b.se:anna@habo.se>").unwrap().address.unwrap().as_str(), "anna@habo.se");
        assert_eq!(mail("FROM:<\"a b\"@habo.se>").unwrap().address.unwrap().local(), "\"a b\"");
        assert_eq!(mail("FROM:<a@habo.se> SIZE=99999999999999999999").unwrap().size, Some(u64::MAX));
    }

    #[test]
    fn malformed_senders_are_refused_with_their_code() {
        for (args, code) in [
            ("", 501),
            ("FROM", 501),
            ("FROM:anna@habo.se", 501),
            ("FROM:<anna@habo.se", 501),
            ("FROM:<anna@habo.se>SIZE=1", 501),
            ("FROM:<anna>", 501),
            ("FROM:<anna@[192.0.2.1]>", 501),
            ("FROM:<@a.se>", 501),
            ("FROM:<å@habo.se>", 553),
            ("FROM:<a@habo.se> SIZE=", 501),
            ("FROM:<a@habo.se> SIZE=-1", 501),
            ("FROM:<a@habo.se> SIZE=1 size=2", 501),
            ("FROM:<a@habo.se> BODY=BINARYMIME", 501),
            ("FROM:<a@habo.se> SMTPUTF8=1", 501),
            ("FROM:<a@habo.se> RET=SOME", 501),
            ("FROM:<a@habo.se> ENVID=a=b", 501),
            ("FROM:<a@habo.se> ENVID=+0A", 501),
            ("FROM:<a@habo.se> ENVID=+2b", 501),
            ("FROM:<a@habo.se> ENVID=+", 501),
            ("FROM:<a@habo.se> AUTH=<>", 555),
            ("FROM:<a@habo.se> X", 555),
        ] {
            assert_eq!(mail(args).map(|_| ()), Err(code), "{args}");
        }
        assert_eq!(Sender::read("FROM:<a@habo.se> SIZE=1", Greeting::Helo, &[]).unwrap_err().code(), 555);
    }

    #[test]
    fn what_is_offered_over_tls_alone_is_taken_only_where_it_is_offered() {
        let extras = [Extra::Auth, Extra::RequireTls];
        let read = |args, extras| Sender::read(args, Greeting::Ehlo, extras).map(|sender| sender.onward).map_err(|reply| reply.code());
        assert_eq!(read("FROM:<a@habo.se> AUTH=<> REQUIRETLS", &extras), Ok(Onward::TlsOnly));
        assert_eq!(read("FROM:<a@habo.se> AUTH=e+3Dmc2@example.com", &extras), Ok(Onward::Any));
        for args in ["FROM:<a@habo.se> AUTH", "FROM:<a@habo.se> AUTH=", "FROM:<a@habo.se> AUTH=+zz", "FROM:<a@habo.se> REQUIRETLS=1"] {
            assert_eq!(read(args, &extras), Err(501), "{args}");
        }
        for args in ["FROM:<a@habo.se> AUTH=<>", "FROM:<a@habo.se> REQUIRETLS"] {
            assert_eq!(read(args, &[]), Err(555), "{args}");
        }
    }

    #[test]
    fn recipients_are_read_with_their_notices() {
        let recipient = rcpt("TO:<b@sdk.habo.se> NOTIFY=success,DELAY ORCPT=rfc822;Bo+2Bx@habo.se", Charset::Ascii).unwrap();
        assert_eq!(recipient.notify, Some(Notify::On([Occasion::Success, Occasion::Delay].into())));
        assert_eq!(recipient.original, Some(OriginalRecipient { kind: "rfc822".into(), address: "Bo+x@habo.se".into() }));
        assert_eq!(rcpt("TO:<b@habo.se> NOTIFY=NEVER", Charset::Ascii).unwrap().notify, Some(Notify::Never));
        assert_eq!(rcpt("TO:<Postmaster>", Charset::Ascii).unwrap().address.as_str(), "Postmaster@gw.habo.se");
        let utf8 = |args, charset| rcpt(args, charset).unwrap().original.unwrap().address;
        assert_eq!(utf8("TO:<b@habo.se> ORCPT=utf-8;b\\x{E5}@habo.se", Charset::Ascii), "bå@habo.se");
        assert_eq!(utf8("TO:<bå@habo.se> ORCPT=utf-8;bå@habo.se", Charset::Utf8), "bå@habo.se");
    }

    #[test]
    fn malformed_recipients_are_refused_with_their_code() {
        for (args, code) in [
            ("TO:<>", 501),
            ("TO:<b>", 501),
            ("TO:b@habo.se", 501),
            ("TO:<bå@habo.se>", 553),
            ("TO:<b@habo.se> NOTIFY=", 501),
            ("TO:<b@habo.se> NOTIFY=NEVER,SUCCESS", 501),
            ("TO:<b@habo.se> NOTIFY=SUCCESS,", 501),
            ("TO:<b@habo.se> NOTIFY", 501),
            ("TO:<b@habo.se> ORCPT=b@habo.se", 501),
            ("TO:<b@habo.se> ORCPT=rfc822;", 501),
            ("TO:<b@habo.se> ORCPT=utf-8;\\x{D800}", 501),
            ("TO:<b@habo.se> ORCPT=utf-8;\\x{0A}", 501),
            ("TO:<b@habo.se> ORCPT=utf-8;å", 501),
            ("TO:<b@habo.se> SIZE=1", 555),
        ] {
            assert_eq!(rcpt(args, Charset::Ascii).map(|_| ()), Err(code), "{args}");
        }
    }
}
