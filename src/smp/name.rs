//! The DNS name under which a participant's SMP is found (OASIS BDXL 2.2; SDK C3.4.2).

use crate::crypto::sha256;
use crate::ident::{Domain, PARTICIPANT_SCHEME, ParticipantId};

/// The participant's own label: SHA-256 of the id in lower case, base32 without padding, 52 characters.
///
/// SDK C3.4.2 2.4 speaks of BASE64, which no DNS label could carry; BDXL says base32.
#[must_use]
pub fn label(participant: &ParticipantId) -> String {
    base32(&sha256(participant.folded().as_bytes()).0)
}

/// The name to ask for NAPTR records, absolute, without the final dot.
#[must_use]
pub fn naptr_name(participant: &ParticipantId, zone: &Domain) -> String {
    format!("{}.{PARTICIPANT_SCHEME}.{zone}", label(participant))
}

/// RFC 4648 6 without padding.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: [char; 32] = [
        'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', '2', '3',
        '4', '5', '6', '7',
    ];
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    let mut letter = |index: u32| text.extend(LETTERS.get(index as usize & 31));
    for &byte in bytes {
        buffer = buffer << 8 | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            letter(buffer >> bits);
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        letter(buffer << (5 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_participant_has_one_name_however_its_id_is_written() {
        let zone = Domain::new("sml.example").unwrap();
        let expected = "T2OEA4VOMTLUZL2TT36GPQCNTM3BNURNWEVXXWMJYG4M5MXSRBKQ.iso6523-actorid-upis.sml.example";
        for id in ["0203:kommun.se", "0203:Kommun.SE"] {
            assert_eq!(naptr_name(&ParticipantId::new(id).unwrap(), &zone), expected);
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
