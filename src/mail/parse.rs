//! The header fields of a mail that steer its way.

use jiff::Timestamp;
use mail_parser::{Addr, HeaderName, HeaderValue, Message};

use super::header;
use super::refusal::ConvertError;
use super::words;
use crate::ident::MailAddress;

/// A name and an address of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// The display name, one line; may be empty.
    pub(super) name: String,
    /// The address.
    pub(super) address: MailAddress,
}

/// The one author. Two of them, in one field or several, would let the check of the first stand for the second.
pub(super) fn from(message: &Message<'_>, header: &[u8]) -> Result<Mailbox, ConvertError> {
    let fields: Vec<_> = message.headers().iter().filter(|header| header.name == HeaderName::From).collect();
    let [field] = fields.as_slice() else { return Err(ConvertError::From) };
    let mut addresses = addresses(&field.value);
    match (addresses.pop(), addresses.is_empty()) {
        (Some(only), true) => only.map(|only| named(only, header, "From")).ok_or(ConvertError::From),
        _ => Err(ConvertError::From),
    }
}

/// Who pressed the button, when it was another than the author.
pub(super) fn sender(message: &Message<'_>, header: &[u8]) -> Option<Mailbox> {
    let field = message.headers().iter().find(|header| header.name == HeaderName::Sender)?;
    addresses(&field.value).into_iter().flatten().next().map(|mailbox| named(mailbox, header, "Sender"))
}

/// The display name as its octets say: the parser reads each encoded word by itself, and a letter may be cut in two.
fn named(mailbox: Mailbox, header: &[u8], field: &str) -> Mailbox {
    let value = header::field(header, field).unwrap_or_default();
    let Some(name) = value.iter().rposition(|&octet| octet == b'<').and_then(|end| value.get(..end)) else { return mailbox };
    if memchr::memmem::find(name, b"=?").is_none() {
        return mailbox;
    }
    let name = words::one_line(&header::text(name));
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(&name).trim();
    Mailbox { name: name.to_owned(), ..mailbox }
}

fn addresses(value: &HeaderValue<'_>) -> Vec<Option<Mailbox>> {
    value.as_address().map(|list| list.iter().map(mailbox).collect()).unwrap_or_default()
}

fn mailbox(addr: &Addr<'_>) -> Option<Mailbox> {
    let address = MailAddress::new(addr.address.as_deref()?.trim()).ok()?;
    Some(Mailbox { name: words::one_line(addr.name.as_deref().unwrap_or_default()), address })
}

/// Why a program and no person has sent the mail; nothing of that kind goes into SDK (RFC 3834 2).
pub(super) fn automatic(message: &Message<'_>, header: &[u8]) -> Option<&'static str> {
    let text = |name: &'static str| texts(header, name).next().map(|text| text.to_lowercase());
    // RFC 3834 5: parameters may follow the keyword.
    if text("Auto-Submitted").is_some_and(|value| value.split([';', ' ', '(']).next() != Some("no")) {
        return Some("Auto-Submitted");
    }
    let report = message.headers().iter().any(|header| {
        header.name == HeaderName::ContentType
            && header.value.as_content_type().is_some_and(|kind| {
                kind.ctype().eq_ignore_ascii_case("multipart") && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("report"))
            })
    });
    if report {
        return Some("multipart/report");
    }
    if text("Precedence").is_some_and(|value| matches!(value.trim(), "bulk" | "list" | "junk")) {
        return Some("Precedence");
    }
    has(message, "List-Id").then_some("List-Id")
}

/// Whether a header field is there.
pub(super) fn has(message: &Message<'_>, name: &str) -> bool {
    message.headers().iter().any(|header| header.name().eq_ignore_ascii_case(name))
}

/// How often a field stands there.
pub(super) fn count(message: &Message<'_>, name: &str) -> usize {
    message.headers().iter().filter(|header| header.name().eq_ignore_ascii_case(name)).count()
}

/// The decoded values of a text field, one line each, empty ones left out.
pub(super) fn texts<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = String> + 'a {
    header::fields(header, name).map(|value| words::one_line(&header::text(value))).filter(|text| !text.is_empty())
}

/// The Message-IDs, without brackets, of what the mail answers: In-Reply-To, then References from the newest.
pub(super) fn answered(message: &Message<'_>) -> Vec<String> {
    let ids = |value: &HeaderValue<'_>| -> Vec<String> {
        match value {
            HeaderValue::Text(id) => vec![id.to_string()],
            HeaderValue::TextList(ids) => ids.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    };
    let mut all = ids(message.in_reply_to());
    all.extend(ids(message.references()).into_iter().rev());
    let mut seen = Vec::new();
    for id in all {
        let id = words::one_line(&id);
        if !id.is_empty() && id.len() <= 998 && !seen.contains(&id) && seen.len() < 100 {
            seen.push(id);
        }
    }
    seen
}

/// The Date field.
pub(super) fn date(message: &Message<'_>) -> Option<Timestamp> {
    Timestamp::from_second(message.date()?.to_timestamp()).ok()
}
