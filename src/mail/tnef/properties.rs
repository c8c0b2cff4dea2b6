//! Lists of MAPI properties as TNEF has them (MS-OXTNEF 2.1.3.4).

use jiff::Timestamp;

use super::TnefError;
use crate::mail::codepage;

/// More properties than any object has.
const MAX_PROPERTIES: usize = 20_000;
/// 100 ns from 1601 to 1970.
const EPOCH: i64 = 116_444_736_000_000_000;

/// What a property is: a tag of MAPI's own, or a name in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// An id below 0x8000.
    Tag(u16),
    /// A number in a set.
    Number(Set, u32),
    /// A name in a set.
    Name(Set, String),
}

/// A set of named properties, by its GUID as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set(pub(super) [u8; 16]);

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Nothing, or an error.
    Nothing,
    /// A number of 16, 32 or 64 bits, or an amount.
    Integer(i64),
    /// A number with a fraction, as its bits.
    Real(u64),
    /// A time in 100 ns since 1601.
    Time(i64),
    /// Text in the message's code page, without its final NUL.
    Ansi(&'a [u8]),
    /// Text in UTF-16, without its final NUL.
    Wide(&'a [u8]),
    /// Octets, or a GUID.
    Binary(&'a [u8]),
    /// An object: its interface and what it holds.
    Object(&'a [u8], &'a [u8]),
}

/// The properties of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Properties<'a> {
    list: Vec<(Key, Vec<Value<'a>>)>,
    /// The code page of [`Value::Ansi`].
    pub(super) page: u32,
}

impl<'a> Properties<'a> {
    /// The one list that `octets` are.
    pub(super) fn read(octets: &'a [u8], page: u32) -> Result<Self, TnefError> {
        // Programs differ in whether several small numbers in a row are padded each.
        let list = read_with(octets, Small::Padded).or_else(|error| read_with(octets, Small::Packed).map_err(|_| error))?;
        Ok(Self { list: list.0, page })
    }

    /// Several lists after their number: one for each recipient.
    pub(super) fn read_rows(octets: &'a [u8], page: u32) -> Result<Vec<Self>, TnefError> {
        let mut input = Input(octets);
        let count = input.number()?;
        let mut rows = Vec::new();
        for _ in 0..count {
            let (list, rest) = read_with(input.0, Small::Padded)?;
            input.0 = rest;
            rows.push(Self { list, page });
            if rows.len() > MAX_PROPERTIES {
                return Err(TnefError::TooMany);
            }
        }
        Ok(rows)
    }

    /// Adds what another list has; the first of two equal keys counts.
    pub(super) fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// The values of a property.
    pub(super) fn values(&self, key: &Key) -> &[Value<'a>] {
        self.list.iter().find(|(own, _)| own == key).map_or(&[], |(_, values)| values)
    }

    /// The first value of a tag.
    pub(super) fn value(&self, tag: u16) -> Option<Value<'a>> {
        self.values(&Key::Tag(tag)).first().copied()
    }

    /// A text; `None` when it is absent, empty, or in a code page that nothing knows.
    pub(super) fn text(&self, tag: u16) -> Option<String> {
        self.value(tag).and_then(|value| self.decode(value))
    }

    /// A text of a set.
    pub(super) fn named_text(&self, set: Set, number: u32) -> Option<String> {
        self.values(&Key::Number(set, number)).first().and_then(|value| self.decode(*value))
    }

    /// All texts of a named property.
    pub(super) fn texts(&self, key: &Key) -> Vec<String> {
        self.values(key).iter().filter_map(|value| self.decode(*value)).collect()
    }

    /// A number.
    pub(super) fn integer(&self, tag: u16) -> Option<i64> {
        match self.value(tag)? {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A number of a set.
    pub(super) fn named_integer(&self, set: Set, number: u32) -> Option<i64> {
        match self.values(&Key::Number(set, number)).first()? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A time.
    pub(super) fn time(&self, tag: u16) -> Option<Timestamp> {
        self.value(tag).and_then(timestamp)
    }

    /// A time of a set.
    pub(super) fn named_time(&self, set: Set, number: u32) -> Option<Timestamp> {
        self.values(&Key::Number(set, number)).first().copied().and_then(timestamp)
    }

    /// Octets of a set.
    pub(super) fn named_binary(&self, set: Set, number: u32) -> Option<&'a [u8]> {
        match self.values(&Key::Number(set, number)).first()? {
            Value::Binary(octets) => Some(octets),
            _ => None,
        }
    }

    fn decode(&self, value: Value<'_>) -> Option<String> {
        let text = match value {
            Value::Ansi(octets) => codepage::decode(octets, self.page).or_else(|| codepage::decode(octets, 1252))?,
            Value::Wide(octets) => codepage::utf16(octets),
            _ => return None,
        };
        let text = text.trim_end_matches('\0');
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn timestamp(value: Value<'_>) -> Option<Timestamp> {
    let Value::Time(ticks) = value else { return None };
    // "None" is the end of the year 4500.
    let ticks = ticks.checked_sub(EPOCH).filter(|_| (1..0x0cb3_4557_a3dd_4000).contains(&ticks))?;
    Timestamp::from_second(ticks.div_euclid(10_000_000)).ok()
}

/// How small numbers in a row are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Small {
    /// Each fills four octets.
    Padded,
    /// All together end at a multiple of four octets.
    Packed,
}

type List<'a> = Vec<(Key, Vec<Value<'a>>)>;

fn read_with(octets: &[u8], small: Small) -> Result<(List<'_>, &[u8]), TnefError> {
    let mut input = Input(octets);
    let count = input.number()?;
    let mut list = Vec::new();
    for _ in 0..count {
        if list.len() >= MAX_PROPERTIES {
            return Err(TnefError::TooMany);
        }
        let kind = input.short()?;
        let key = input.key()?;
        list.push((key, input.values(kind, small)?));
    }
    Ok((list, input.0))
}

/// Octets that are read from their beginning.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], TnefError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TnefError::Property)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TnefError> {
        self.take(N)?.try_into().map_err(|_| TnefError::Property)
    }

    fn short(&mut self) -> Result<u16, TnefError> {
        self.array().map(u16::from_le_bytes)
    }

    fn number(&mut self) -> Result<u32, TnefError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length and that many octets, filled up to a multiple of four. Nothing may be missing but the last filling.
    fn padded(&mut self) -> Result<&'a [u8], TnefError> {
        let length = self.number()? as usize;
        let taken = self.take(length)?;
        let padding = (4 - length % 4) % 4;
        self.take(padding.min(self.0.len()))?;
        Ok(taken)
    }

    fn key(&mut self) -> Result<Key, TnefError> {
        let id = self.short()?;
        if id < 0x8000 {
            return Ok(Key::Tag(id));
        }
        let set = Set(self.array()?);
        match self.number()? {
            0 => Ok(Key::Number(set, self.number()?)),
            1 => Ok(Key::Name(set, codepage::utf16(self.padded()?).trim_end_matches('\0').to_owned())),
            _ => Err(TnefError::Property),
        }
    }

    fn values(&mut self, kind: u16, small: Small) -> Result<Vec<Value<'a>>, TnefError> {
        const MULTIPLE: u16 = 0x1000;
        let single = kind & !MULTIPLE;
        let several = kind & MULTIPLE != 0;
        if several && matches!(single, 0x00 | 0x01) {
            // Any number of them would need no octets.
            return Err(TnefError::Property);
        }
        // Text, octets and objects have a number even when there is one.
        let count = if several || matches!(single, 0x0d | 0x1e | 0x1f | 0x102) { self.number()? } else { 1 };
        let packed = several && small == Small::Packed;
        let mut values = Vec::new();
        for _ in 0..count {
            if values.len() >= MAX_PROPERTIES {
                return Err(TnefError::TooMany);
            }
            values.push(self.value(single, packed)?);
        }
        if packed && matches!(single, 0x02 | 0x0b) && count % 2 == 1 {
            self.take(2)?;
        }
        Ok(values)
    }

    fn value(&mut self, kind: u16, packed: bool) -> Result<Value<'a>, TnefError> {
        Ok(match kind {
            0x00 | 0x01 => Value::Nothing,
            0x02 | 0x0b => {
                let number = self.short()?;
                if !packed {
                    self.take(2)?;
                }
                Value::Integer(i64::from(number.cast_signed()))
            }
            0x03 => Value::Integer(i64::from(self.number()?.cast_signed())),
            0x0a => {
                self.take(4)?;
                Value::Nothing
            }
            0x04 => Value::Real(u64::from(self.number()?)),
            0x05 | 0x07 => Value::Real(self.array().map(u64::from_le_bytes)?),
            0x06 | 0x14 => Value::Integer(self.array().map(i64::from_le_bytes)?),
            0x40 => Value::Time(self.array().map(i64::from_le_bytes)?),
            0x48 => Value::Binary(self.take(16)?),
            0x1e => Value::Ansi(until_nul(self.padded()?)),
            0x1f => Value::Wide(until_wide_nul(self.padded()?)),
            0x102 => Value::Binary(self.padded()?),
            0x0d => {
                let (interface, contents) = self.padded()?.split_at_checked(16).ok_or(TnefError::Property)?;
                Value::Object(interface, contents)
            }
            _ => return Err(TnefError::Property),
        })
    }
}

/// Text ends at its NUL, if it has one.
fn until_nul(octets: &[u8]) -> &[u8] {
    octets.split(|octet| *octet == 0).next().unwrap_or(octets)
}

fn until_wide_nul(octets: &[u8]) -> &[u8] {
    let length = octets.chunks_exact(2).position(|unit| unit == [0, 0]).map_or(octets.len(), |units| units * 2);
    octets.get(..length).unwrap_or(octets)
}
