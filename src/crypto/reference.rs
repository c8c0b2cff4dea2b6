//! How a peer names a certificate without sending it: key identifier, issuer and serial number, thumbprint.

use openssl::x509::X509NameRef;

use super::{Certificate, CertificateError, Digest};

/// A certificate's name in a WS-Security or XML signature header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReference {
    /// The octets of its subject key identifier.
    SubjectKeyIdentifier(Vec<u8>),
    /// Its issuer (RFC 2253 text) and its serial number in decimal.
    IssuerSerial {
        /// The issuer as written.
        issuer: String,
        /// The serial number as written.
        serial: String,
    },
    /// The SHA-1 of its DER.
    Thumbprint(Vec<u8>),
    /// The certificate itself came along.
    Certificate(Box<Certificate>),
}

impl KeyReference {
    /// Whether this is the name of that certificate.
    #[must_use]
    pub fn names(&self, certificate: &Certificate) -> bool {
        match self {
            Self::SubjectKeyIdentifier(id) => certificate.subject_key_id().is_some_and(|own| own == *id),
            Self::IssuerSerial { issuer, serial } => {
                let serial = serial.trim().trim_start_matches('+');
                serial.trim_start_matches('0') == certificate.serial().trim_start_matches('0') && is_name(issuer, certificate.x509().issuer_name())
            }
            Self::Thumbprint(digest) => Digest::Sha1.of(certificate.der()).is_ok_and(|own| own == *digest),
            Self::Certificate(other) => **other == *certificate,
        }
    }
}

impl Certificate {
    /// Reads a `PKIPath`: a DER sequence of certificates, the end entity's last. They come back with that one first.
    ///
    /// # Errors
    /// [`CertificateError`] when it is none, is empty, or holds more than eight.
    pub fn path_from_der(der: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let (mut rest, after) = sequence(der).ok_or(CertificateError::Unreadable)?;
        let mut path = Vec::new();
        while !rest.is_empty() {
            let (_, next) = sequence(rest).ok_or(CertificateError::Unreadable)?;
            let own = rest.get(..rest.len() - next.len()).ok_or(CertificateError::Unreadable)?;
            path.insert(0, Self::from_der(own)?);
            rest = next;
        }
        if path.is_empty() || path.len() > 8 || !after.is_empty() { Err(CertificateError::Unreadable) } else { Ok(path) }
    }
}

/// The content of a DER sequence at the start, and what stands behind it.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    length(der.strip_prefix(&[0x30])?)
}

/// The content of a DER value behind its tag, and what stands behind it.
fn length(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if octets.is_empty() || octets.len() > 4 {
            return None;
        }
        (octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
    };
    rest.split_at_checked(length)
}

/// Whether the text (RFC 2253, or the same in the order of the certificate) is the name.
fn is_name(text: &str, name: &X509NameRef) -> bool {
    let Some(written) = parse_name(text) else { return false };
    let mut own: Vec<(String, String)> = Vec::new();
    for entry in name.entries() {
        let Ok(value) = entry.data().to_string() else { return false };
        let kind = entry.object().nid().short_name().map_or_else(|_| entry.object().to_string(), str::to_owned);
        own.push((kind_of(&kind), folded(&value)));
    }
    if written == own {
        return true;
    }
    own.reverse();
    written == own
}

/// Type and value of each attribute, folded.
fn parse_name(text: &str) -> Option<Vec<(String, String)>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let (mut quoted, mut octets) = (false, text.bytes().peekable());
    let mut parts_push = |part: &mut Vec<u8>| {
        let text = String::from_utf8(std::mem::take(part)).ok()?;
        let (kind, value) = text.split_once('=')?;
        let value = encoded(value.trim()).unwrap_or_else(|| value.to_owned());
        parts.push((kind_of(kind.trim()), folded(&value)));
        Some(())
    };
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' => {
                let next = octets.next()?;
                let hex = |b: u8| char::from(b).to_digit(16);
                match (hex(next), octets.peek().copied().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        octets.next();
                        part.push((high << 4 | low) as u8);
                    }
                    _ => part.push(next),
                }
            }
            b'"' => quoted = !quoted,
            b',' | b';' | b'+' if !quoted => parts_push(&mut part)?,
            other => part.push(other),
        }
    }
    parts_push(&mut part)?;
    Some(parts)
}

/// The text of a value written as `#` and the hexadecimal digits of its DER, as Java writes every attribute that
/// RFC 2253 has no keyword for.
fn encoded(value: &str) -> Option<String> {
    let digits = value.strip_prefix('#')?.as_bytes();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let der = digits.chunks(2).map(octet).collect::<Option<Vec<u8>>>()?;
    let (&tag, rest) = der.split_first()?;
    let (content, after) = length(rest)?;
    let text = match tag {
        // UTF8String, NumericString, PrintableString, IA5String
        0x0c | 0x12 | 0x13 | 0x16 => String::from_utf8(content.to_vec()).ok()?,
        // BMPString
        0x1e => String::from_utf16(&content.chunks(2).map(|pair| pair.iter().fold(0, |sum, octet| sum << 8 | u16::from(*octet))).collect::<Vec<_>>())
            .ok()?,
        // TeletexString, read as Latin 1 as everybody does
        0x14 => content.iter().map(|octet| char::from(*octet)).collect(),
        _ => return None,
    };
    after.is_empty().then_some(text)
}

/// One spelling for attribute types that have several.
fn kind_of(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("oid.").unwrap_or(&kind);
    match kind {
        "2.5.4.3" => "cn",
        "2.5.4.4" => "sn",
        "2.5.4.5" => "serialnumber",
        "2.5.4.6" => "c",
        "2.5.4.7" => "l",
        "2.5.4.8" | "s" => "st",
        "2.5.4.10" => "o",
        "2.5.4.11" => "ou",
        "2.5.4.97" => "organizationidentifier",
        "1.2.840.113549.1.9.1" | "e" => "emailaddress",
        "0.9.2342.19200300.100.1.25" => "dc",
        other => other,
    }
    .to_owned()
}

/// A value without regard to case and white space (RFC 5280 7.1).
fn folded(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_unescaped_commas_only() {
        let read = |text| parse_name(text).unwrap();
        let pair = |kind: &str, value: &str| (kind.to_owned(), value.to_owned());
        assert_eq!(read(r"CN=AP CA, O=Digg\, Sverige,C=SE"), [pair("cn", "ap ca"), pair("o", "digg, sverige"), pair("c", "se")]);
        assert_eq!(read(r#"E=a@b.se,O="Digg, Sverige""#), [pair("emailaddress", "a@b.se"), pair("o", "digg, sverige")]);
        assert_eq!(read(r"O=H\C3\A5bo,2.5.4.5=1"), [pair("o", "håbo"), pair("serialnumber", "1")]);
        // As java.security writes it: no keyword, no text.
        assert_eq!(read("2.5.4.97=#0c0a35353030303030303030,CN=AP CA"), [pair("organizationidentifier", "5500000000"), pair("cn", "ap ca")]);
        assert_eq!(read("1.2.840.113549.1.9.1=#160761406223c3a5"), [pair("emailaddress", "#160761406223c3a5")], "a length that is none");
        assert_eq!(read("2.5.4.5=#1e0400410042,CN=#"), [pair("serialnumber", "ab"), pair("cn", "#")]);
        for text in ["", "CN", "CN=a,", "CN=a\\"] {
            assert!(parse_name(text).is_none(), "{text}");
        }
    }
}
