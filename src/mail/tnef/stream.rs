//! The outermost layer of TNEF (MS-OXTNEF 2.1.1): a signature, and attributes with checksums.

use super::TnefError;

/// What every stream begins with.
const SIGNATURE: [u8; 4] = 0x223e_9f78_u32.to_le_bytes();
/// More attributes than any message has.
const MAX_ATTRIBUTES: usize = 20_000;

/// To what an attribute belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The message.
    Message,
    /// The attachment that began last.
    Attachment,
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    /// To what it belongs.
    pub(super) level: Level,
    /// Its id, without its type.
    pub(super) id: u16,
    /// Its value.
    pub(super) data: &'a [u8],
}

/// Whether octets look like TNEF.
pub(in crate::mail) fn is_tnef(octets: &[u8]) -> bool {
    octets.starts_with(&SIGNATURE)
}

/// All attributes of a stream, in order.
pub(super) fn attributes(octets: &[u8]) -> Result<Vec<Attribute<'_>>, TnefError> {
    let rest = octets.strip_prefix(&SIGNATURE).ok_or(TnefError::Signature)?;
    // The key that follows only names the attachments of one message.
    let mut rest = rest.get(2..).ok_or(TnefError::Short)?;
    let mut found = Vec::new();
    while !is_padding(rest) {
        let (next, tail) = attribute(rest)?;
        found.push(next);
        rest = tail;
        if found.len() > MAX_ATTRIBUTES {
            return Err(TnefError::TooMany);
        }
    }
    Ok(found)
}

/// Some programs fill the end with zeros or a line end.
fn is_padding(rest: &[u8]) -> bool {
    rest.len() < 16 && rest.iter().all(|octet| matches!(octet, 0 | b'\r' | b'\n'))
}

fn attribute(octets: &[u8]) -> Result<(Attribute<'_>, &[u8]), TnefError> {
    // Level, id, type, length.
    let (head, rest) = octets.split_first_chunk::<9>().ok_or(TnefError::Short)?;
    let [level, low, high, _, _, length @ ..] = *head;
    let id = u16::from_le_bytes([low, high]);
    let level = match level {
        1 => Level::Message,
        2 => Level::Attachment,
        _ => return Err(TnefError::Level),
    };
    let length = u32::from_le_bytes(length) as usize;
    let (data, rest) = rest.split_at_checked(length).ok_or(TnefError::Short)?;
    let [low, high, rest @ ..] = rest else { return Err(TnefError::Short) };
    let sum = data.iter().fold(0_u16, |sum, octet| sum.wrapping_add(u16::from(*octet)));
    if sum != u16::from_le_bytes([*low, *high]) {
        return Err(TnefError::Checksum);
    }
    Ok((Attribute { level, id, data }, rest))
}
