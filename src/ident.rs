//! The identifiers of SDK, AS4 and mail, each a type with one checked constructor.
//!
//! A value of these types has been checked once, where it came in; nothing further in checks it again.
//! What is compared without regard to case compares so by `==` and hashes alike.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the identifier that it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdentError {
    /// What was read, cut to 80 characters.
    pub text: String,
    /// What would have been right, as a noun phrase with an example.
    pub expected: &'static str,
}

impl IdentError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), expected }
    }
}

/// Declares a text newtype with a checked constructor, `Display`, serde and, with `folded`, comparison without case.
macro_rules! text_ident {
    (@common $name:ident, $check:expr, $expected:literal) => {
        impl $name {
            /// Takes the text if it has the form.
            ///
            /// # Errors
            /// [`IdentError`] when it has not.
            pub fn new(text: impl Into<String>) -> Result<Self, IdentError> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(IdentError::new(&text, $expected)) }
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentError;
            fn from_str(text: &str) -> Result<Self, IdentError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentError;
            fn try_from(text: String) -> Result<Self, IdentError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(ident: $name) -> String {
                ident.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
    ($(#[$doc:meta])* exact $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);
        text_ident!(@common $name, $check, $expected);
    };
    ($(#[$doc:meta])* folded $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);
        text_ident!(@common $name, $check, $expected);

        impl $name {
            /// The form in which two equal identifiers are the same text: the key for maps on disk and DNS names.
            #[must_use]
            pub fn folded(&self) -> String {
                self.0.to_lowercase()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0 || self.folded() == other.folded()
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.folded().hash(state);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.folded().cmp(&other.folded())
            }
        }
    };
}

/// The scheme of every participant id: `iso6523-actorid-upis` (SDK C3.2.7 1.4).
pub const PARTICIPANT_SCHEME: &str = "iso6523-actorid-upis";
/// The scheme of document ids.
pub const DOCUMENT_SCHEME: &str = "busdox-docid-qns";
/// The only process of SDK.
pub const PROCESS_ID: &str = "bdx:noprocess";
/// The scheme of process ids; compared without case (documents write `digg.se` and `Digg.se`).
pub const PROCESS_SCHEME: &str = "urn:fdc:digg.se:edelivery:process";
/// The `root` of every function address.
pub const FUNCTION_ROOT: &str = "urn:riv:infrastructure:messaging:functionalAddress";

text_ident!(
    /// An organisation in the federation, `0203:<domain>`, `0007:<10 digits>` or `0088:<13 digits>` (SDK C3.2.7 1.4).
    folded ParticipantId,
    "a participant id such as 0203:kommun.se, 0007:2021006883 or 0088:7300000000000",
    is_participant
);

text_ident!(
    /// A function address: an opaque text out of the address book, 1 to 256 characters.
    folded FunctionId,
    "a function id of 1 to 256 characters without white space at its ends and without control characters",
    |text| is_line(text, 256) && text.trim() == text
);

text_ident!(
    /// An SDK message's id, a UUID, which is also the id of the XHE that carries it (SDK C3.2.2 2.5).
    folded MessageId,
    "a UUID such as 7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
    is_uuid
);

text_ident!(
    /// The id that holds a conversation's messages together, a UUID: the messageId of its first message.
    folded ConversationId,
    "a UUID such as 7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
    is_uuid
);

text_ident!(
    /// The id of one AS4 user message or signal (`eb:MessageId`), in the form of a mail Message-ID without brackets.
    exact As4MessageId,
    "an AS4 message id such as 1f4c@ap.kommun.se",
    |text| is_line(text, 255) && !text.contains(char::is_whitespace)
);

text_ident!(
    /// An access point's name: the CN of its certificate, for example `AP0040-SDK-PROD` (SDK C3.2.1 2.3.1.j).
    exact AccessPointId,
    "an access point's common name of 1 to 64 characters",
    |text| is_line(text, 64) && text.trim() == text
);

text_ident!(
    /// The federation an envelope belongs to, for example `urn:fdc:digg.se:edelivery:federation:sdk`.
    exact FederationId,
    "a federation id such as urn:fdc:digg.se:edelivery:federation:sdk",
    |text| is_line(text, 256) && !text.contains(char::is_whitespace)
);

text_ident!(
    /// What a mail server of ours is called among several.
    exact MailServerName,
    "a name of 1 to 40 letters, digits, - and _",
    |text| (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
);

text_ident!(
    /// What one node is called among those that share a database.
    exact NodeName,
    "a name of 1 to 63 letters, digits, - and _",
    |text| (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
);

text_ident!(
    /// A DNS domain name, without a trailing dot, compared without case.
    folded Domain,
    "a domain name such as sdk.kommun.se",
    is_domain
);

/// A mail address, `local@domain`; the local part may hold UTF-8 (RFC 6531). Compared without case as a whole,
/// as every mail server of our users does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress {
    text: String,
    at: usize,
}

impl MailAddress {
    /// Takes an address without angle brackets, comments or source route.
    ///
    /// # Errors
    /// [`IdentError`] when the local part is empty or over 64 octets (RFC 5321 4.5.3.1.1), or the domain is none.
    pub fn new(text: impl Into<String>) -> Result<Self, IdentError> {
        const EXPECTED: &str = "a mail address such as namn@kommun.se";
        let text = text.into();
        let Some(at) = text.rfind('@') else { return Err(IdentError::new(&text, EXPECTED)) };
        let (local, domain) = (&text[..at], &text[at + 1..]);
        let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
        let sound = (1..=64).contains(&local.len())
            && !local.chars().any(|c| c.is_control() || matches!(c, '<' | '>'))
            && (quoted || !local.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '(' | ')' | ',' | ';' | ':' | '\\' | '@' | '[' | ']')))
            && (quoted || !(local.starts_with('.') || local.ends_with('.') || local.contains("..")));
        if sound && is_domain(domain) { Ok(Self { text, at }) } else { Err(IdentError::new(&text, EXPECTED)) }
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The form in which equal addresses are the same text.
    #[must_use]
    pub fn folded(&self) -> String {
        self.text.to_lowercase()
    }
}

impl PartialEq for MailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for MailAddress {}

impl Hash for MailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for MailAddress {
    type Err = IdentError;
    fn from_str(text: &str) -> Result<Self, IdentError> {
        Self::new(text)
    }
}

impl TryFrom<String> for MailAddress {
    type Error = IdentError;
    fn try_from(text: String) -> Result<Self, IdentError> {
        Self::new(text)
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> String {
        address.text
    }
}

/// What an envelope carries: an SDK message or the receipt for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentKind {
    /// `MessageWithAttachments:3`.
    Message,
    /// `ApplicationResponse-2`, the "meddelandekvittens".
    Receipt,
}

impl DocumentKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Message, Self::Receipt];

    /// The document id as SMP, XHE and AS4 name it (SDK C3.2.6).
    #[must_use]
    pub const fn document_id(self) -> &'static str {
        match self {
            Self::Message => "urn:riv:infrastructure:messaging:MessageWithAttachments:3::messagePayload##3.0::tm-base-ext-sigenc",
            Self::Receipt => {
                "urn:oasis:names:specification:ubl:schema:xsd:ApplicationResponse-2::ApplicationResponse##fdc:digg.se:edelivery:messagetype:response:1::2.1::tm-base-ext-sigenc"
            }
        }
    }

    /// The AS4 Action: scheme, `::`, document id (SDK C3.2.1 2.3.1.c).
    #[must_use]
    pub fn action(self) -> String {
        format!("{DOCUMENT_SCHEME}::{}", self.document_id())
    }

    /// The XHE's `DocumentTypeCode` (SDK C3.2.2).
    #[must_use]
    pub const fn type_code(self) -> &'static str {
        match self {
            Self::Message => "Q{urn:riv:infrastructure:messaging:MessageWithAttachments:3}messagePayload",
            Self::Receipt => "Q{urn:oasis:names:specification:ubl:schema:xsd:ApplicationResponse-2}ApplicationResponse",
        }
    }

    /// The kind with this document id, compared without case (SDK C3.4.5 3).
    #[must_use]
    pub fn from_document_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.document_id().eq_ignore_ascii_case(id))
    }
}

/// Our own name of one message to or from one recipient, on disk and in every log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordId(pub uuid::Uuid);

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for RecordId {
    type Err = IdentError;
    fn from_str(text: &str) -> Result<Self, IdentError> {
        text.parse().map(Self).map_err(|_| IdentError::new(text, "a record id of 32 hexadecimal digits"))
    }
}

/// A SHA-256 digest; printed in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Sha256 {
    type Error = IdentError;
    fn try_from(text: String) -> Result<Self, IdentError> {
        let wrong = || IdentError::new(&text, "a SHA-256 digest of 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (octet, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

/// One to `max` characters without control characters.
fn is_line(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn is_participant(text: &str) -> bool {
    let Some((icd, value)) = text.split_once(':') else { return false };
    let digits = |n| value.len() == n && value.bytes().all(|b| b.is_ascii_digit());
    match icd {
        "0203" => is_domain(value),
        "0007" => digits(10),
        "0088" => digits(13),
        _ => false,
    }
}

fn is_domain(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_of_all_three_schemes_are_taken() {
        for text in ["0203:sundbyberg.se", "0203:Testa.testbed.inera.se", "0007:2021006883", "0088:7300000000000"] {
            assert_eq!(ParticipantId::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn other_participants_are_refused() {
        for text in ["", "0203", "0203:", "0203:a..b", "9999:kommun.se", "0007:202100688", "0088:73000000000001", "0203:a b.se"] {
            assert!(ParticipantId::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn participants_compare_without_case() {
        assert_eq!(ParticipantId::new("0203:Kommun.SE").unwrap(), ParticipantId::new("0203:kommun.se").unwrap());
    }

    #[test]
    fn mail_addresses_split_at_the_last_at() {
        let address = MailAddress::new("socialkontoret@håbo.se.sdk.habo.se").unwrap();
        assert_eq!((address.local(), address.domain()), ("socialkontoret", "håbo.se.sdk.habo.se"));
        for text in ["", "@", "a@", "@b.se", "a b@c.se", "a@b@c.se", ".a@b.se", "a..b@c.se", "<a@b.se>", "a\r\n@b.se"] {
            assert!(MailAddress::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn digests_survive_their_text() {
        let digest = Sha256([0xab; 32]);
        assert_eq!(Sha256::try_from(digest.to_string()).unwrap(), digest);
        assert!(Sha256::try_from("åå".repeat(16)).is_err());
    }

    #[test]
    fn document_ids_are_found_without_case() {
        for kind in DocumentKind::ALL {
            assert_eq!(DocumentKind::from_document_id(&kind.document_id().to_lowercase()), Some(kind));
        }
    }
}
